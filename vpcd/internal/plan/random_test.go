package plan

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// Few names and few values, so that records meet, clash and miss each other.
var (
	someVPC    = rapid.SampledFrom([]string{"vpc-a", "vpc-b", "vpc-lost", ""})
	someSubnet = rapid.SampledFrom([]string{"subnet-1", "subnet-2", "subnet-3", "subnet-lost", ""})
	someGroup  = rapid.SampledFrom([]string{"sg-1", "sg-2", "sg-3", "sg-lost", ""})
	someCIDR   = rapid.SampledFrom([]string{"10.0.0.0/16", "10.0.1.0/24", "10.0.2.0/28", "10.0.1.7/24", "0.0.0.0/0", "fd00::/64", "x", ""})
	someAddr   = rapid.SampledFrom([]string{"10.0.1.1", "10.0.1.5", "10.0.1.6", "10.0.2.5", "::1", "x", ""})
	someTarget = rapid.SampledFrom([]string{"netns:a", "netns:b", "tap:t0", "netns:gone", ""})
	someProto  = rapid.SampledFrom([]string{"-1", "tcp", "udp", "icmp", "50", "256", "-2", "x", ""})
	somePort   = rapid.Ptr(rapid.SampledFrom([]int32{-2, -1, 0, 8, 80, 65535, 65536}), true)
	// Nobody's, or somebody else's.
	someIndex = rapid.Uint32Range(0, 14)
)

// mostly draws what is right: a world in which everything is wrong shows little.
func mostly[T any](t *rapid.T, label string, right T, wrong *rapid.Generator[T]) T {
	if rapid.IntRange(0, 11).Draw(t, "wrong "+label) != 11 {
		return right
	}
	return wrong.Draw(t, label)
}

func someRule(t *rapid.T) api.SecurityGroupRule {
	port := api.Ptr(rapid.Int32Range(0, 65535).Draw(t, "port"))
	r := api.SecurityGroupRule{
		SecurityGroupRuleId: rapid.SampledFrom([]string{"sgr-0011223344556677", "sgr-1", ""}).Draw(t, "sgr"),
		IsEgress:            rapid.Ptr(rapid.Bool(), true).Draw(t, "egress"), IpProtocol: mostly(t, "proto", "tcp", someProto),
		FromPort: mostly(t, "from", port, somePort), ToPort: mostly(t, "to", port, somePort),
	}
	switch rapid.IntRange(0, 3).Draw(t, "source") {
	case 0, 1:
		r.ReferencedGroupInfo = &api.ReferencedSecurityGroup{GroupId: someGroup.Draw(t, "ref")}
	case 2:
		r.PrefixListId = rapid.SampledFrom([]string{"pl-1", "pl-lost"}).Draw(t, "list")
	default:
		r.CidrIpv4 = mostly(t, "source", "10.0.0.0/8", someCIDR)
	}
	return r
}

// anyEntry is an entry of an ACL with whatever can be wrong about it.
var anyEntry = rapid.Custom(func(t *rapid.T) api.NetworkAclEntry {
	return api.NetworkAclEntry{
		RuleNumber: rapid.Ptr(rapid.Int32Range(-1, 40000), true).Draw(t, "number"),
		RuleAction: rapid.SampledFrom([]string{"allow", "deny", ""}).Draw(t, "action"), Egress: rapid.Ptr(rapid.Bool(), true).Draw(t, "egress"),
		Protocol: someProto.Draw(t, "proto"), CidrBlock: someCIDR.Draw(t, "cidr"),
		PortRange: &api.PortRange{From: somePort.Draw(t, "from"), To: somePort.Draw(t, "to")},
	}
})

func someEntry(t *rapid.T) api.NetworkAclEntry {
	port := api.Ptr(rapid.Int32Range(0, 65535).Draw(t, "port"))
	return mostly(t, "entry", api.NetworkAclEntry{
		RuleNumber: api.Ptr(rapid.Int32Range(1, 32766).Draw(t, "number")), RuleAction: "deny", Egress: api.Ptr(rapid.Bool().Draw(t, "egress")),
		Protocol: "6", CidrBlock: "10.0.0.0/8", PortRange: &api.PortRange{From: port, To: port},
	}, anyEntry)
}

// someWorld has VPCs a and b; what ends in 1 and 2 belongs to a, 3 to b.
func someWorld(t *rapid.T) *world {
	w := newWorld()
	index := func(id string) uint32 { return mostly(t, "index of "+id, w.index(), someIndex) }
	owner := func(id string) string {
		right := "vpc-a"
		if strings.HasSuffix(id, "3") {
			right = "vpc-b"
		}
		return mostly(t, "vpc of "+id, right, someVPC)
	}
	for _, id := range []string{"vpc-a", "vpc-b"} {
		w.Vpcs[id] = &record.Vpc{Vpc: api.Vpc{VpcId: id}, Index: index(id), Revocation: rapid.SampledFrom([]string{"keep", "cut", ""}).Draw(t, "revocation")}
	}
	for i, id := range []string{"subnet-1", "subnet-2", "subnet-3"} {
		cidr := []string{"10.0.1.0/24", "10.0.2.0/28", "10.0.1.0/24"}[i]
		w.Subnets[id] = &record.Subnet{Index: index(id), Subnet: api.Subnet{SubnetId: id, VpcId: owner(id), CidrBlock: mostly(t, "cidr", cidr, someCIDR)}}
	}
	for _, id := range []string{"sg-1", "sg-2", "sg-3"} {
		w.Groups[id] = &record.SecurityGroup{
			Index: index(id), Group: api.SecurityGroup{GroupId: id, VpcId: owner(id)},
			Rules: rapid.SliceOfN(rapid.Custom(someRule), 0, 3).Draw(t, "rules"),
		}
	}
	for i, id := range []string{"rtb-1", "rtb-2", "rtb-3"} {
		w.Tables[id] = &record.RouteTable{Index: index(id), Table: api.RouteTable{
			RouteTableId: id, VpcId: owner(id),
			Routes: []api.Route{{DestinationCidrBlock: mostly(t, "dest", "10.0.0.0/16", someCIDR), GatewayId: rapid.SampledFrom([]string{"local", "igw-1", ""}).Draw(t, "gateway")},
				{DestinationCidrBlock: "10.7.0.0/16", VpcPeeringConnectionId: rapid.SampledFrom([]string{"pcx-1", "pcx-lost", ""}).Draw(t, "peering")}},
			Associations: []api.RouteTableAssociation{
				{Main: mostly(t, "main", api.Ptr(i != 1), rapid.Ptr(rapid.Bool(), true)), SubnetId: someSubnet.Draw(t, "associated")},
			},
		}}
	}
	for _, id := range []string{"acl-1", "acl-2", "acl-3"} {
		w.Acls[id] = &record.NetworkAcl{Acl: api.NetworkAcl{
			NetworkAclId: id, VpcId: owner(id), IsDefault: mostly(t, "default", api.Ptr(id != "acl-2"), rapid.Ptr(rapid.Bool(), true)),
			Entries:      rapid.SliceOfN(rapid.Custom(someEntry), 0, 2).Draw(t, "entries"),
			Associations: []api.NetworkAclAssociation{{SubnetId: someSubnet.Draw(t, "acl's")}},
		}}
	}
	w.peering("1", "a", "b", rapid.SampledFrom([]string{"active", "active", "deleted", "pending-acceptance"}).Draw(t, "state")).
		Accepter.VpcId = mostly(t, "accepter", "vpc-b", someVPC)
	if rapid.Bool().Draw(t, "connected") {
		w.gateway("1", "a")
	}
	for i := range rapid.IntRange(0, 6).Draw(t, "interfaces") {
		id := fmt.Sprintf("eni-%d", i)
		w.Interfaces[id] = someInterface(t, id, index(id))
	}
	w.list("1", mostly(t, "entry", "192.0.2.0/24", someCIDR), "203.0.113.0/24")
	w.Tombstones["eni-old"] = &record.Tombstone{Index: someIndex.Draw(t, "tombstone")}
	for _, target := range []string{"netns:a", "netns:b"} {
		w.facts.Places[target] = Place{Netns: spec.Netns{Path: target, Inode: 1}}
	}
	w.facts.Places["tap:t0"] = Place{Device: "t0"}
	return w
}

func someInterface(t *rapid.T, id string, index uint32) *record.NetworkInterface {
	home := rapid.IntRange(0, 2).Draw(t, "home")
	net := []string{"10.0.1.", "10.0.2.", "10.0.1."}[home]
	near := rapid.Custom(func(t *rapid.T) string { return net + fmt.Sprint(rapid.IntRange(2, 9).Draw(t, "host")) })
	n := &record.NetworkInterface{Index: index, Interface: api.NetworkInterface{
		NetworkInterfaceId: id,
		VpcId:              mostly(t, "vpc", []string{"vpc-a", "vpc-a", "vpc-b"}[home], someVPC),
		SubnetId:           mostly(t, "subnet", fmt.Sprintf("subnet-%d", home+1), someSubnet),
		PrivateIpAddress:   mostly(t, "primary", near.Draw(t, "primary"), someAddr),
		SourceDestCheck:    rapid.Ptr(rapid.Bool(), true).Draw(t, "check"),
	}}
	for range rapid.IntRange(0, 2).Draw(t, "extra") {
		a := mostly(t, "extra", near.Draw(t, "extra"), someAddr)
		n.Interface.PrivateIpAddresses = append(n.Interface.PrivateIpAddresses, api.NetworkInterfacePrivateIpAddress{PrivateIpAddress: a})
		if rapid.Bool().Draw(t, "mapped") {
			public(n, len(n.Interface.PrivateIpAddresses)-1, rapid.SampledFrom([]string{"198.18.0.2", "198.18.0.3", "198.18.0.4", "", "::1"}).Draw(t, "public"))
		}
	}
	for range rapid.IntRange(0, 3).Draw(t, "groups") {
		g := mostly(t, "group", fmt.Sprintf("sg-%d", home+1), someGroup)
		n.Interface.Groups = append(n.Interface.Groups, api.GroupIdentifier{GroupId: g})
	}
	if rapid.IntRange(0, 4).Draw(t, "attached") > 0 {
		n.Attached = &record.Attachment{Host: rapid.SampledFrom([]string{"h1", "h1", "h2"}).Draw(t, "host"), Target: someTarget.Draw(t, "target"), IfName: "eth0"}
	}
	return n
}

// TestRandomWorlds: whatever the records say, the spec hangs together, and
// every interface of this host is planned, gone or named as a problem.
func TestRandomWorlds(t *testing.T) {
	planned, refused := 0, 0
	check := func(t *rapid.T) {
		w := someWorld(t)
		p := w.build()
		if again := w.build(); !reflect.DeepEqual(p, again) {
			t.Fatalf("two plans of one world\n%s\n%s", render(p), render(again))
		}
		checkEndpoints(t, p.Spec)
		checkPorts(t, w, p.Spec)
		checkPublic(t, w, p.Spec)
		checkPeerings(t, w, p.Spec)
		checkAccounted(t, w, p)
		planned += len(p.Spec.Ports)
		refused += len(p.Problems)
	}
	// Worlds of one draw resemble each other.
	for range 4 {
		rapid.Check(t, check)
	}
	if planned < 20 || refused < 20 {
		t.Errorf("%d ports, %d problems: these worlds show little", planned, refused)
	}
}

func checkEndpoints(t *rapid.T, h *spec.Host) {
	for k, e := range h.Endpoints {
		port, ok := h.Ports[e.ENI]
		if !ok || port.VPC != k.VPC || port.Subnet != e.Subnet || port.MAC != e.MAC {
			t.Fatalf("endpoint %v is %v, its port %v %v", k, e, ok, port)
		}
		if !h.Subnets[port.Subnet].CIDR.Contains(k.Addr) {
			t.Fatalf("endpoint %v is outside its subnet", k)
		}
	}
}

func checkPorts(t *rapid.T, w *world, h *spec.Host) {
	used := map[spec.RuleSetID]bool{}
	subnets := map[spec.SubnetID]bool{}
	tables := map[spec.RouteTable]bool{}
	vpcs := map[spec.VPC]string{}
	for eni, port := range h.Ports {
		n := w.Interfaces[port.ID]
		if spec.ENI(n.Index) != eni || eni == 0 || n.Attached.Host != "h1" || !h.Known[eni] {
			t.Fatalf("port %d is %v", eni, port)
		}
		if other, ok := vpcs[port.VPC]; ok && other != n.Interface.VpcId {
			t.Fatalf("%s and %s share VPC index %d", other, n.Interface.VpcId, port.VPC)
		}
		vpcs[port.VPC] = n.Interface.VpcId
		if h.Subnets[port.Subnet].VPC != port.VPC {
			t.Fatalf("port %v is in a subnet of another VPC", port)
		}
		segment := h.Subnets[port.Subnet]
		checkACL(t, h, segment.ACLOut)
		checkACL(t, h, segment.ACLIn)
		used[segment.ACLOut], used[segment.ACLIn] = true, true
		for _, id := range []spec.RuleSetID{port.Egress, port.Ingress} {
			set, ok := h.RuleSets[id]
			if !ok {
				t.Fatalf("port %v has no rules %s", port, id)
			}
			checkRules(t, w, n.Interface.VpcId, set)
			used[id] = true
		}
		for _, a := range append(port.Extra.List(), port.Addr.Addr()) {
			if h.Endpoints[spec.EndpointKey{VPC: port.VPC, Addr: a}].ENI != eni {
				t.Fatalf("address %s of %s is nobody's", a, port.ID)
			}
		}
		subnets[port.Subnet], tables[port.Table] = true, true
	}
	if len(used) != len(h.RuleSets) || len(subnets) != len(h.Subnets) {
		t.Fatalf("%d rule sets for %d used, %d subnets for %d used", len(h.RuleSets), len(used), len(h.Subnets), len(subnets))
	}
	for table := range h.Routes {
		if !tables[table] {
			t.Fatalf("route table %d is of no port", table)
		}
	}
}

// checkPublic: a public address leads to an address of a port, in a VPC that has
// a gateway, and there is an edge for each such VPC with a port and for no other.
func checkPublic(t *rapid.T, w *world, h *spec.Host) {
	edges := map[spec.VPC]spec.Edge{}
	for _, port := range h.Ports {
		if id := w.Interfaces[port.ID].Interface.VpcId; w.GatewayAttached("igw-1", id) {
			edges[port.VPC] = spec.Edge{VPCID: id}
		}
	}
	if !maps.Equal(edges, h.Edges) {
		t.Fatalf("edges %v, want %v", h.Edges, edges)
	}
	for a, p := range h.Public {
		port, ok := h.Ports[p.ENI]
		if !ok || port.VPC != p.VPC || p.Private != port.Addr.Addr() && !slices.Contains(port.Extra.List(), p.Private) {
			t.Fatalf("%s leads to %v, the port is %v", a, p, port)
		}
		if !w.GatewayAttached("igw-1", w.Interfaces[port.ID].Interface.VpcId) {
			t.Fatalf("%s leads into a VPC without a gateway", a)
		}
	}
}

// checkACL: whatever the record says, the last rule denies everything, and there
// is one rule of each number.
func checkACL(t *rapid.T, h *spec.Host, id spec.RuleSetID) {
	rules := h.RuleSets[id].Rules
	if len(rules) == 0 || !rules[len(rules)-1].Deny || !rules[len(rules)-1].Any() || rules[len(rules)-1].Protocol != spec.AnyProtocol {
		t.Fatalf("ACL %v does not end with a rule that denies the rest", rules)
	}
	for i, r := range rules {
		if i > 0 && r.ID <= rules[i-1].ID || r.Group != 0 {
			t.Fatalf("ACL %v: rule %v", rules, r)
		}
	}
}

// checkRules: a rule has exactly one remote, and a group is of the same VPC or of
// one that is joined with it.
func checkRules(t *rapid.T, w *world, vpc string, set spec.RuleSet) {
	for _, r := range set.Rules {
		if r.Prefix.IsValid() == (r.Group != 0) {
			t.Fatalf("rule %v has not exactly one remote", r)
		}
		if r.Group == 0 {
			continue
		}
		for id, g := range w.Groups {
			if spec.Group(g.Index) == r.Group && g.Group.VpcId != vpc && !peersOf(w.World)[[2]string{vpc, g.Group.VpcId}] {
				t.Fatalf("rule %v of %s refers to %s of %s", r, vpc, id, g.Group.VpcId)
			}
		}
	}
}

func checkAccounted(t *rapid.T, w *world, p Plan) {
	text := strings.Join(p.Problems, "\n")
	want := 0
	for id, n := range w.Interfaces {
		if n.Attached == nil || n.Attached.Host != "h1" {
			continue
		}
		want++
		planned := p.Spec.Ports[spec.ENI(n.Index)].ID == id
		if _, there := w.facts.Places[n.Attached.Target]; there && !planned && !strings.Contains(text, id+": ") {
			t.Fatalf("%s is neither planned nor a problem:\n%s", id, render(p))
		}
	}
	// An interface is planned without a public address that cannot be.
	problems := slices.DeleteFunc(slices.Clone(p.Problems), func(s string) bool { return strings.Contains(s, "public address") })
	if have := len(p.Spec.Ports) + len(p.Gone) + len(problems); have != want {
		t.Fatalf("%d interfaces here, %d accounted for:\n%s", want, have, render(p))
	}
}
