package plan

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// world builds records as the service would write them; tests then break them.
type world struct {
	*record.World
	facts Facts
	next  uint32
}

func newWorld() *world {
	return &world{
		World: &record.World{
			Revision: 7, Vpcs: map[string]*record.Vpc{}, Subnets: map[string]*record.Subnet{},
			Interfaces: map[string]*record.NetworkInterface{}, Groups: map[string]*record.SecurityGroup{},
			Tables: map[string]*record.RouteTable{}, Acls: map[string]*record.NetworkAcl{}, Lists: map[string]*record.PrefixList{}, Gateways: map[string]*record.Gateway{}, Nats: map[string]*record.NatGateway{}, Peerings: map[string]*record.Peering{}, Tombstones: map[string]*record.Tombstone{}, Revocations: map[string]*record.Revocation{},
		},
		facts: Facts{Host: "h1", MTU: 1450, Places: map[string]Place{}},
	}
}

func (w *world) index() uint32 {
	w.next++
	return w.next
}

// vpc makes a VPC with its main table and a default group that admits itself.
func (w *world) vpc(name, cidr string) {
	id := "vpc-" + name
	w.Vpcs[id] = &record.Vpc{Vpc: api.Vpc{VpcId: id, CidrBlock: cidr}, Index: w.index(), Revocation: api.RevocationKeep}
	w.table(name+"-main", name, "10.0.0.0/16")
	main := w.Tables["rtb-"+name+"-main"]
	main.Table.Associations = []api.RouteTableAssociation{{Main: api.Ptr(true)}}
	w.acl(name, "out 100 allow -1 0.0.0.0/0", "in 100 allow -1 0.0.0.0/0").Acl.IsDefault = api.Ptr(true)
	w.group(name+"-default", name, "in -1 sg-"+name+"-default", "out -1 0.0.0.0/0")
}

// acl makes a network ACL with its closing rules; an entry is "in|out NUMBER
// allow|deny PROTO[:FROM-TO] CIDR".
func (w *world) acl(vpc string, entries ...string) *record.NetworkAcl {
	id := fmt.Sprintf("acl-%s-%d", vpc, len(w.Acls))
	r := &record.NetworkAcl{Acl: api.NetworkAcl{NetworkAclId: id, VpcId: "vpc-" + vpc}, Index: uint32(101 + len(w.Acls))}
	for _, text := range append(entries, "in 32767 deny -1 0.0.0.0/0", "out 32767 deny -1 0.0.0.0/0") {
		r.Acl.Entries = append(r.Acl.Entries, aclEntry(text))
	}
	w.Acls[id] = r
	return r
}

func aclEntry(text string) api.NetworkAclEntry {
	f := strings.Fields(text)
	number, err := strconv.ParseInt(f[1], 10, 32)
	if err != nil {
		panic(err)
	}
	proto, ports, ranged := strings.Cut(f[3], ":")
	e := api.NetworkAclEntry{Egress: api.Ptr(f[0] == "out"), RuleNumber: api.Ptr(int32(number)), RuleAction: f[2], Protocol: proto, CidrBlock: f[4]}
	if !ranged {
		return e
	}
	var from, to int32
	if _, err := fmt.Sscanf(ports, "%d-%d", &from, &to); err != nil {
		panic(err)
	}
	if proto == "1" {
		e.IcmpTypeCode = &api.IcmpTypeCode{Type: &from, Code: &to}
	} else {
		e.PortRange = &api.PortRange{From: &from, To: &to}
	}
	return e
}

func (w *world) table(name, vpc, local string) *record.RouteTable {
	t := &record.RouteTable{Index: w.index(), Table: api.RouteTable{
		RouteTableId: "rtb-" + name, VpcId: "vpc-" + vpc,
		Routes: []api.Route{{DestinationCidrBlock: local, GatewayId: "local"}},
	}}
	w.Tables["rtb-"+name] = t
	return t
}

func (w *world) subnet(name, vpc, cidr string) {
	id := "subnet-" + name
	w.Subnets[id] = &record.Subnet{Subnet: api.Subnet{SubnetId: id, VpcId: "vpc-" + vpc, CidrBlock: cidr}, Index: w.index()}
}

// gateway makes an internet gateway, attached to the VPC.
func (w *world) gateway(name, vpc string) {
	g := &record.Gateway{Gateway: api.InternetGateway{InternetGatewayId: "igw-" + name}}
	g.Gateway.Attachments = []api.InternetGatewayAttachment{{VpcId: "vpc-" + vpc}}
	w.Gateways["igw-"+name] = g
}

// public gives the i-th address of an interface a public one.
func public(n *record.NetworkInterface, i int, addr string) *record.NetworkInterface {
	n.Interface.PrivateIpAddresses[i].Association = &api.NetworkInterfaceAssociation{PublicIp: addr}
	return n
}

// list makes a prefix list of the account that all groups here belong to.
func (w *world) list(name string, cidrs ...string) {
	id := "pl-" + name
	l := &record.PrefixList{List: api.ManagedPrefixList{PrefixListId: id}}
	for _, c := range cidrs {
		l.Entries = append(l.Entries, api.PrefixListEntry{Cidr: c})
	}
	w.Lists[id] = l
}

// group makes a security group; a rule is "in|out PROTO[:FROM-TO] CIDR|sg-…|pl-…".
func (w *world) group(name, vpc string, rules ...string) {
	id := "sg-" + name
	g := &record.SecurityGroup{Index: w.index(), Group: api.SecurityGroup{GroupId: id, VpcId: "vpc-" + vpc}}
	for i, text := range rules {
		g.Rules = append(g.Rules, rule(fmt.Sprintf("sgr-%08x%09x", g.Index<<8|uint32(i), 0), text))
	}
	w.Groups[id] = g
}

func rule(id, text string) api.SecurityGroupRule {
	f := strings.Fields(text)
	proto, ports, ranged := strings.Cut(f[1], ":")
	r := api.SecurityGroupRule{SecurityGroupRuleId: id, IsEgress: api.Ptr(f[0] == "out"), IpProtocol: proto}
	if ranged {
		var from, to int32
		if _, err := fmt.Sscanf(ports, "%d-%d", &from, &to); err != nil {
			panic(err)
		}
		r.FromPort, r.ToPort = &from, &to
	}
	switch {
	case strings.HasPrefix(f[2], "sg-"):
		r.ReferencedGroupInfo = &api.ReferencedSecurityGroup{GroupId: f[2]}
	case strings.HasPrefix(f[2], "pl-"):
		r.PrefixListId = f[2]
	default:
		r.CidrIpv4 = f[2]
	}
	return r
}

// eni attaches an interface to the namespace of its own name. The first address
// is the primary one.
func (w *world) eni(name, subnet, addrs string, groups ...string) *record.NetworkInterface {
	id := "eni-" + name
	list := strings.Split(addrs, ",")
	s := w.Subnets["subnet-"+subnet]
	n := &record.NetworkInterface{
		Index: w.index(),
		Interface: api.NetworkInterface{
			NetworkInterfaceId: id, SubnetId: s.Subnet.SubnetId, VpcId: s.Subnet.VpcId, PrivateIpAddress: list[0],
		},
		Attached: &record.Attachment{Host: "h1", Target: "netns:" + name, IfName: "eth0"},
	}
	for _, a := range list {
		n.Interface.PrivateIpAddresses = append(n.Interface.PrivateIpAddresses, api.NetworkInterfacePrivateIpAddress{PrivateIpAddress: a})
	}
	for _, g := range groups {
		n.Interface.Groups = append(n.Interface.Groups, api.GroupIdentifier{GroupId: "sg-" + g})
	}
	w.Interfaces[id] = n
	w.facts.Places[n.Attached.Target] = Place{Netns: spec.Netns{Path: "/run/netns/" + name, Inode: uint64(n.Index)}}
	return n
}

func (w *world) build() Plan { return Build(w.World, w.facts) }

// port is the port of an interface that the test expects.
func (w *world) port(t *testing.T, p Plan, name string) spec.Port {
	t.Helper()
	port, ok := p.Spec.Ports[spec.ENI(w.Interfaces["eni-"+name].Index)]
	if !ok {
		t.Fatalf("no port for eni-%s; problems %q", name, p.Problems)
	}
	return port
}

// web is one VPC with one subnet and one workload: what a case starts from.
func web() *world {
	w := newWorld()
	w.vpc("a", "10.0.0.0/16")
	w.subnet("a1", "a", "10.0.1.0/24")
	w.eni("web", "a1", "10.0.1.10", "a-default")
	return w
}
