// Package plan turns records and facts of one host into the spec of its data
// plane. It is a pure function of the current state: no clock, no kernel, no
// memory of earlier plans.
//
// A record that cannot be planned is left out, closed, and named in Problems;
// the others go on.
package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// Place is where a workload is at the moment.
type Place struct {
	Netns spec.Netns
	// Device is the tap's name; empty for namespaces.
	Device string
}

// Facts are what the records do not know about this host.
type Facts struct {
	// Host is this host's name: only its attachments are planned here.
	Host string
	// MTU of links inside VPCs, in bytes.
	MTU int
	// Places of workloads by canonical target; one that is gone is absent.
	Places map[string]Place
}

// Plan is the spec and the names behind its numbers.
type Plan struct {
	Spec *spec.Host
	// Names of interfaces by index.
	Names map[spec.ENI]string
	// Gone are interfaces whose workload is not there.
	Gone []string
	// Problems are records that could not be planned.
	Problems []string
}

// builder carries one Build.
type builder struct {
	w *record.World
	f Facts
	Plan
}

// Build plans one host.
func Build(w *record.World, f Facts) Plan {
	b := &builder{w: w, f: f, Plan: Plan{
		Names: map[spec.ENI]string{},
		Spec: &spec.Host{
			Name: f.Host, Revision: w.Revision, MTU: f.MTU,
			Subnets: map[spec.SubnetID]spec.Subnet{}, Ports: map[spec.ENI]spec.Port{},
			Endpoints: map[spec.EndpointKey]spec.Endpoint{}, RuleSets: map[spec.RuleSetID]spec.RuleSet{},
			Routes: map[spec.RouteKey]spec.Route{}, Known: map[spec.ENI]bool{}, Gone: map[spec.ENI]bool{},
		},
	}}
	for id, t := range w.Tombstones {
		if strings.HasPrefix(id, "eni-") {
			b.Spec.Gone[spec.ENI(t.Index)] = true
		}
	}
	for _, id := range sortedKeys(w.Interfaces) {
		n := w.Interfaces[id]
		b.Spec.Known[spec.ENI(n.Index)] = true
		b.Names[spec.ENI(n.Index)] = id
		if n.Attached == nil || n.Attached.Host != f.Host {
			continue
		}
		if err := b.attached(id, n); err != nil {
			b.Problems = append(b.Problems, fmt.Sprintf("%s: %v", id, err))
		}
	}
	return b.Plan
}

// attached plans one interface of a workload here: its port, its addresses, the
// subnet around it and the routes of that.
func (b *builder) attached(id string, n *record.NetworkInterface) error {
	place, ok := b.f.Places[n.Attached.Target]
	if !ok {
		b.Gone = append(b.Gone, id)
		return nil
	}
	vpc, ok := b.w.Vpcs[n.Interface.VpcId]
	if !ok {
		return fmt.Errorf("its VPC %s has no record", n.Interface.VpcId)
	}
	subnet, ok := b.w.Subnets[n.Interface.SubnetId]
	if !ok {
		return fmt.Errorf("its subnet %s has no record", n.Interface.SubnetId)
	}
	segment, err := b.subnet(vpc, subnet)
	if err != nil {
		return err
	}
	groups, err := b.groups(n)
	if err != nil {
		return err
	}
	port, err := b.port(n, place, vpc, segment, groups)
	if err != nil {
		return err
	}
	if port.Table, err = b.routes(vpc, subnet); err != nil {
		return err
	}
	return b.place(n, port, groups)
}

// place enters the port and its addresses, all or nothing.
func (b *builder) place(n *record.NetworkInterface, port spec.Port, groups []*record.SecurityGroup) error {
	members := make([]spec.Group, len(groups))
	for i, g := range groups {
		members[i] = spec.Group(g.Index)
	}
	set, err := spec.MakeGroups(members)
	if err != nil {
		return err
	}
	eni := spec.ENI(n.Index)
	e := spec.Endpoint{ENI: eni, Subnet: port.Subnet, MAC: port.MAC, Groups: set}
	keys := []spec.EndpointKey{{VPC: port.VPC, Addr: port.Addr.Addr()}}
	for _, a := range port.Extra.List() {
		keys = append(keys, spec.EndpointKey{VPC: port.VPC, Addr: a})
	}
	for _, k := range keys {
		if other, taken := b.Spec.Endpoints[k]; taken {
			return fmt.Errorf("address %s belongs to %s already", k.Addr, b.Names[other.ENI])
		}
	}
	for _, k := range keys {
		b.Spec.Endpoints[k] = e
	}
	b.Spec.Ports[eni] = port
	return nil
}

func (b *builder) port(n *record.NetworkInterface, place Place, vpc *record.Vpc, subnet spec.Subnet, groups []*record.SecurityGroup) (spec.Port, error) {
	primary, err := netip.ParseAddr(n.Interface.PrivateIpAddress)
	if err != nil || !subnet.CIDR.Contains(primary) {
		return spec.Port{}, fmt.Errorf("primary address %q is not in %s", n.Interface.PrivateIpAddress, subnet.CIDR)
	}
	var extra []netip.Addr
	for _, a := range n.Interface.PrivateIpAddresses {
		x, err := netip.ParseAddr(a.PrivateIpAddress)
		if err != nil || !subnet.CIDR.Contains(x) {
			return spec.Port{}, fmt.Errorf("address %q is not in %s", a.PrivateIpAddress, subnet.CIDR)
		}
		if x != primary {
			extra = append(extra, x)
		}
	}
	egress, ingress, err := b.rules(groups)
	if err != nil {
		return spec.Port{}, err
	}
	p := spec.Port{
		ID: n.Interface.NetworkInterfaceId, VPC: spec.VPC(vpc.Index), Subnet: b.subnetID(n), Kind: spec.Veth,
		Netns: place.Netns, Name: n.Attached.IfName, MAC: spec.MACOf(spec.ENI(n.Index)),
		Addr: netip.PrefixFrom(primary, subnet.CIDR.Bits()), Extra: spec.MakeAddrs(extra),
		Egress: egress, Ingress: ingress,
		SourceDestCheck: n.Interface.SourceDestCheck == nil || *n.Interface.SourceDestCheck,
		CutTracked:      vpc.Revocation == api.RevocationCut,
	}
	if place.Device != "" {
		p.Kind, p.Name = spec.Tap, place.Device
	} else if !n.Attached.NoDefaultRoute {
		p.Gateway = subnet.Router
	}
	return p, nil
}

func (b *builder) subnetID(n *record.NetworkInterface) spec.SubnetID {
	return spec.SubnetID(b.w.Subnets[n.Interface.SubnetId].Index)
}

func (b *builder) subnet(vpc *record.Vpc, s *record.Subnet) (spec.Subnet, error) {
	id := spec.SubnetID(s.Index)
	if have, ok := b.Spec.Subnets[id]; ok {
		return have, nil
	}
	cidr, err := netip.ParsePrefix(s.Subnet.CidrBlock)
	if err != nil {
		return spec.Subnet{}, fmt.Errorf("subnet %s: %w", s.Subnet.SubnetId, err)
	}
	segment := spec.Subnet{
		ID: s.Subnet.SubnetId, VPC: spec.VPC(vpc.Index), CIDR: cidr, Router: cidr.Addr().Next(), MAC: spec.RouterMAC(id),
	}
	b.Spec.Subnets[id] = segment
	return segment, nil
}

// routes enters the routes of the subnet's table: its own, or the main one.
func (b *builder) routes(vpc *record.Vpc, s *record.Subnet) (spec.RouteTable, error) {
	t, err := b.tableOf(vpc, s)
	if err != nil {
		return 0, err
	}
	table := spec.RouteTable(t.Index)
	for _, r := range t.Table.Routes {
		dest, err := netip.ParsePrefix(r.DestinationCidrBlock)
		if err != nil {
			return 0, fmt.Errorf("route table %s: %w", t.Table.RouteTableId, err)
		}
		// Whatever leads nowhere that is built still wins its prefix, and drops.
		target := spec.Blackhole
		if r.GatewayId == "local" {
			target = spec.Local
		}
		b.Spec.Routes[spec.RouteKey{Table: table, Dest: dest}] = spec.Route{Target: target}
	}
	return table, nil
}

func (b *builder) tableOf(vpc *record.Vpc, s *record.Subnet) (*record.RouteTable, error) {
	var main *record.RouteTable
	for _, id := range sortedKeys(b.w.Tables) {
		t := b.w.Tables[id]
		if t.Table.VpcId != vpc.Vpc.VpcId {
			continue
		}
		for _, a := range t.Table.Associations {
			if a.SubnetId == s.Subnet.SubnetId {
				return t, nil
			}
			if a.Main != nil && *a.Main {
				main = t
			}
		}
	}
	if main == nil {
		return nil, fmt.Errorf("VPC %s has no main route table", vpc.Vpc.VpcId)
	}
	return main, nil
}

func (b *builder) groups(n *record.NetworkInterface) ([]*record.SecurityGroup, error) {
	var out []*record.SecurityGroup
	for _, g := range n.Interface.Groups {
		r, ok := b.w.Groups[g.GroupId]
		if !ok {
			return nil, fmt.Errorf("its security group %s has no record", g.GroupId)
		}
		if r.Group.VpcId != n.Interface.VpcId {
			return nil, fmt.Errorf("its security group %s belongs to another VPC", g.GroupId)
		}
		out = append(out, r)
	}
	return out, nil
}

// rules merges the groups of one interface: the union of all that allow.
func (b *builder) rules(groups []*record.SecurityGroup) (egress, ingress spec.RuleSetID, err error) {
	var out, in []spec.Rule
	for _, g := range groups {
		for _, r := range g.Rules {
			rule, ok, err := b.rule(g, r)
			if err != nil {
				return egress, ingress, fmt.Errorf("rule %s: %w", r.SecurityGroupRuleId, err)
			}
			if !ok {
				continue
			}
			if api.Val(r.IsEgress) {
				out = append(out, rule)
			} else {
				in = append(in, rule)
			}
		}
	}
	return b.ruleSet(out), b.ruleSet(in), nil
}

func (b *builder) ruleSet(rules []spec.Rule) spec.RuleSetID {
	id, set := spec.MakeRuleSet(rules)
	b.Spec.RuleSets[id] = set
	return id
}

// rule compiles one rule; ok is false for one that matches nobody, such as a
// reference to a group that is gone.
func (b *builder) rule(g *record.SecurityGroup, r api.SecurityGroupRule) (spec.Rule, bool, error) {
	proto, err := protocol(r.IpProtocol)
	if err != nil {
		return spec.Rule{}, false, err
	}
	rule := spec.Rule{Protocol: proto, FromPort: -1, ToPort: -1, ID: RuleIndex(r.SecurityGroupRuleId)}
	if r.FromPort != nil && r.ToPort != nil {
		rule.FromPort, rule.ToPort = *r.FromPort, *r.ToPort
	}
	if (proto == tcp || proto == udp) && rule.FromPort == -1 {
		rule.FromPort, rule.ToPort = 0, 65535
	}
	if proto != tcp && proto != udp && proto != icmp {
		rule.FromPort, rule.ToPort = -1, -1
	}
	switch {
	case r.CidrIpv4 != "":
		if rule.Prefix, err = netip.ParsePrefix(r.CidrIpv4); err != nil {
			return spec.Rule{}, false, err
		}
	case r.ReferencedGroupInfo != nil:
		ref, ok := b.w.Groups[r.ReferencedGroupInfo.GroupId]
		if !ok || ref.Group.VpcId != g.Group.VpcId {
			return spec.Rule{}, false, nil
		}
		rule.Group = spec.Group(ref.Index)
	default:
		return spec.Rule{}, false, fmt.Errorf("names no source that is known here")
	}
	return rule, true, nil
}

const (
	icmp = 1
	tcp  = 6
	udp  = 17
)

func protocol(s string) (int16, error) {
	switch s {
	case "-1":
		return spec.AnyProtocol, nil
	case "icmp":
		return icmp, nil
	case "tcp":
		return tcp, nil
	case "udp":
		return udp, nil
	}
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil {
		return 0, fmt.Errorf("protocol %q", s)
	}
	return int16(n), nil
}

// RuleIndex is the number that stands for a rule in verdicts: the first eight
// hex digits of its id.
func RuleIndex(id string) uint32 {
	hex := strings.TrimPrefix(id, "sgr-")
	n, err := strconv.ParseUint(hex[:min(8, len(hex))], 16, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
