// Package plan turns records and facts of one host into the spec of its data
// plane. It is a pure function of the current state: no clock, no kernel. A
// Planner remembers parts of its last plan, to make them the same again and not
// anew; what it plans is what it would plan without.
//
// A record that cannot be planned is left out, closed, and named in Problems;
// the others go on.
package plan

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"strings"

	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// Sizes that a subnet can have, in bits of its prefix.
const (
	minSubnetBits = 16
	maxSubnetBits = 28
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
	// PublicPools are where public addresses come from, and PublicAllow what else
	// than the internet lies behind gateways.
	PublicPools, PublicAllow []netip.Prefix
	// PoolModes says of public pools what the world knows of them.
	PoolModes map[netip.Prefix]spec.Mode
	// Places of workloads by canonical target; one that is gone is absent.
	Places map[string]Place
}

// Plan is the spec and the names behind its numbers.
type Plan struct {
	Spec *spec.Host
	// Names of interfaces by index, and of internet gateways by what stands for them.
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
	// doubtful are records whose index is not theirs alone, with the reason.
	doubtful map[string]error
	tables   tables
	acls     acls
	// routed are the routes of each table that was met: its subnets share them.
	// before are those of the plan before this one, and moved what led elsewhere then.
	routed, before map[string]*routed
	moved          map[reach]bool
	// connected are the internet gateways of VPCs that have one.
	connected map[string]string
	peers     peers
	// merged are the rules of each set of groups that was met: interfaces with
	// the same groups share them, and lists can be long.
	merged map[spec.Groups]merged
	Plan
}

// wiring is all that one interface needs, gathered before any of it is entered.
type wiring struct {
	port    spec.Port
	segment spec.Subnet
	groups  spec.Groups
	rules   map[spec.RuleSetID]spec.RuleSet
	routes  *routed
}

func newBuilder(w *record.World, f Facts) *builder {
	return &builder{w: w, f: f, doubtful: doubtful(w), tables: tablesOf(w), acls: aclsOf(w), connected: connected(w), peers: peersOf(w), merged: map[spec.Groups]merged{}, routed: map[string]*routed{}, Plan: Plan{
		Names: map[spec.ENI]string{},
		Spec: &spec.Host{
			Name: f.Host, Revision: w.Revision, MTU: f.MTU,
			Subnets: map[spec.SubnetID]spec.Subnet{}, Ports: map[spec.ENI]spec.Port{},
			Endpoints: map[spec.EndpointKey]spec.Endpoint{}, RuleSets: map[spec.RuleSetID]spec.RuleSet{},
			Routes: map[spec.RouteTable]*spec.RouteSet{}, Known: map[spec.ENI]bool{}, Gone: map[spec.ENI]bool{},
			Edges: map[spec.VPC]spec.Edge{}, Public: map[netip.Addr]spec.Public{}, Pools: pools(f), Allowed: allowed(f.PublicAllow),
			Peerings: map[spec.VPCPair]spec.Peering{}, NATs: map[spec.ENI]spec.NAT{}, Cuts: cuts(w),
		},
	}}
}

func (b *builder) build() {
	w, f := b.w, b.f
	for id, t := range w.Tombstones {
		if strings.HasPrefix(id, "eni-") {
			b.Spec.Gone[spec.ENI(t.Index)] = true
		}
	}
	for _, id := range sortedKeys(w.Interfaces) {
		n := w.Interfaces[id]
		b.Spec.Known[spec.ENI(n.Index)] = true
		b.Names[spec.ENI(n.Index)] = id
		plan := b.attached
		switch {
		case b.isNatHere(n):
			plan = b.nat
		case n.Attached == nil || n.Attached.Host != f.Host:
			continue
		}
		if err := plan(id, n); err != nil {
			b.Problems = append(b.Problems, fmt.Sprintf("%s: %v", id, err))
		}
	}
	b.peerings()
}

// attached plans one interface of a workload here: its port, its addresses, the
// subnet around it and the routes of that.
func (b *builder) attached(id string, n *record.NetworkInterface) error {
	place, ok := b.f.Places[n.Attached.Target]
	if !ok {
		b.Gone = append(b.Gone, id)
		return nil
	}
	x, vpc, subnet, err := b.surroundings(id, n)
	if err != nil {
		return err
	}
	groups, err := b.groups(n)
	if err != nil {
		return err
	}
	if x.groups, err = indices(groups); err != nil {
		return err
	}
	if err := b.port(&x, n, place, vpc, groups); err != nil {
		return err
	}
	if x.routes, err = b.routes(vpc, subnet); err != nil {
		return err
	}
	x.port.Table = x.routes.table
	if err := b.enter(spec.ENI(n.Index), x); err != nil {
		return err
	}
	return b.public(n, x)
}

// surroundings are what an interface lies in.
func (b *builder) surroundings(id string, n *record.NetworkInterface) (x wiring, vpc *record.Vpc, subnet *record.Subnet, err error) {
	x.rules = map[spec.RuleSetID]spec.RuleSet{}
	if err := b.doubtful[id]; err != nil {
		return x, nil, nil, err
	}
	if vpc, subnet, err = b.parents(n); err != nil {
		return x, nil, nil, err
	}
	if x.segment, err = segment(vpc, subnet); err != nil {
		return x, nil, nil, err
	}
	return x, vpc, subnet, b.acl(&x.segment, x.rules, subnet)
}

// enter adds an interface to the spec, all of it or nothing.
func (b *builder) enter(eni spec.ENI, x wiring) error {
	keys := []spec.EndpointKey{{VPC: x.port.VPC, Addr: x.port.Addr.Addr()}}
	for _, a := range x.port.Extra.List() {
		keys = append(keys, spec.EndpointKey{VPC: x.port.VPC, Addr: a})
	}
	for _, k := range keys {
		if other, taken := b.Spec.Endpoints[k]; taken {
			return fmt.Errorf("address %s belongs to %s already", k.Addr, b.Names[other.ENI])
		}
	}
	for _, k := range keys {
		b.Spec.Endpoints[k] = spec.Endpoint{ENI: eni, Subnet: x.port.Subnet, MAC: x.port.MAC, Groups: x.groups}
	}
	b.Spec.Subnets[x.port.Subnet] = x.segment
	maps.Copy(b.Spec.RuleSets, x.rules)
	b.Spec.Routes[x.port.Table] = x.routes.set
	b.Spec.Ports[eni] = x.port
	return nil
}

// parents are the VPC and the subnet of an interface.
func (b *builder) parents(n *record.NetworkInterface) (*record.Vpc, *record.Subnet, error) {
	vpcID, subnetID := n.Interface.VpcId, n.Interface.SubnetId
	vpc, ok := b.w.Vpcs[vpcID]
	if !ok {
		return nil, nil, fmt.Errorf("its VPC %s has no record", vpcID)
	}
	subnet, ok := b.w.Subnets[subnetID]
	if !ok {
		return nil, nil, fmt.Errorf("its subnet %s has no record", subnetID)
	}
	if subnet.Subnet.VpcId != vpcID {
		return nil, nil, fmt.Errorf("its subnet %s belongs to another VPC, %s", subnetID, subnet.Subnet.VpcId)
	}
	return vpc, subnet, cmp.Or(b.doubtful[vpcID], b.doubtful[subnetID])
}

// port fills in the port and its rule sets.
func (b *builder) port(x *wiring, n *record.NetworkInterface, place Place, vpc *record.Vpc, groups []*record.SecurityGroup) error {
	primary, extra, err := addresses(x.segment, n)
	if err != nil {
		return err
	}
	subnet := b.w.Subnets[n.Interface.SubnetId]
	x.port = spec.Port{
		ID: n.Interface.NetworkInterfaceId, VPC: x.segment.VPC, Subnet: spec.SubnetID(subnet.Index), Kind: spec.Veth,
		Netns: place.Netns, Name: n.Attached.IfName, MAC: spec.MACOf(spec.ENI(n.Index)),
		Addr: netip.PrefixFrom(primary, x.segment.CIDR.Bits()), Extra: extra,
		SourceDestCheck: n.Interface.SourceDestCheck == nil || *n.Interface.SourceDestCheck,
		CutTracked:      vpc.Revocation == api.RevocationCut,
	}
	if x.port.Timeouts, err = timeouts(n.Interface.ConnectionTrackingConfiguration); err != nil {
		return err
	}
	if place.Device != "" {
		x.port.Kind, x.port.Name = spec.Tap, place.Device
	} else if !n.Attached.NoDefaultRoute {
		x.port.Gateway = x.segment.Router
	}
	m, err := b.rules(x.groups, groups)
	if err != nil {
		return err
	}
	x.port.Egress, x.port.Ingress = m.egress, m.ingress
	maps.Copy(x.rules, m.sets)
	return nil
}

// addresses are the primary address of an interface and the others.
func addresses(s spec.Subnet, n *record.NetworkInterface) (primary netip.Addr, extra spec.Addrs, err error) {
	if primary, err = address(s, n.Interface.PrivateIpAddress); err != nil {
		return primary, extra, err
	}
	var others []netip.Addr
	for _, a := range n.Interface.PrivateIpAddresses {
		other, err := address(s, a.PrivateIpAddress)
		if err != nil {
			return primary, extra, err
		}
		if other != primary {
			others = append(others, other)
		}
	}
	return primary, spec.MakeAddrs(others), nil
}

// address reads one address of a workload in the segment.
func address(s spec.Subnet, text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || !s.CIDR.Contains(a) {
		return netip.Addr{}, fmt.Errorf("address %q is not in %s", text, s.CIDR)
	}
	if a == s.Router {
		return netip.Addr{}, fmt.Errorf("address %s is the router's", a)
	}
	return a, nil
}

// segment is the subnet as the data plane sees it; the first address after the
// network's is the router's.
func segment(vpc *record.Vpc, s *record.Subnet) (spec.Subnet, error) {
	cidr, err := prefix(s.Subnet.CidrBlock)
	if err == nil && (cidr.Bits() < minSubnetBits || cidr.Bits() > maxSubnetBits) {
		err = fmt.Errorf("%s is no size of a subnet", cidr)
	}
	if err != nil {
		return spec.Subnet{}, fmt.Errorf("subnet %s: %w", s.Subnet.SubnetId, err)
	}
	return spec.Subnet{
		ID: s.Subnet.SubnetId, VPC: spec.VPC(vpc.Index), VPCID: vpc.Vpc.VpcId, CIDR: cidr,
		Router: cidr.Addr().Next(), MAC: spec.RouterMAC(spec.SubnetID(s.Index)),
	}, nil
}

var allIPv4 = netip.MustParsePrefix("0.0.0.0/0")

// prefix reads a canonical IPv4 prefix: two spellings would be two keys for one
// entry of the kernel.
func prefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, err
	}
	if !p.Addr().Is4() || p != p.Masked() {
		return p, fmt.Errorf("%q is not a canonical IPv4 prefix", s)
	}
	return p, nil
}
