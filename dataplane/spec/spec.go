// Package spec says what one host's data plane shall look like. It is the only
// language between the planner, which knows VPCs, and the drivers, which know
// the kernel.
//
// Every element is a comparable value and every collection is a map from its
// key, so that "what changed" is a comparison and never a walk. Long collections
// are sets that never change, for which it is one of identity. All fields are
// plain data; nothing here opens, reads or resolves anything.
package spec

import (
	"net/netip"
)

// Host is the whole of one host: what is absent here shall be absent there.
type Host struct {
	// Name is the host's name: it marks every kernel object as ours.
	Name string
	// Revision is the store revision this was planned from.
	Revision int64
	// MTU of every link inside a VPC, in bytes.
	MTU int

	Subnets   map[SubnetID]Subnet
	Ports     map[ENI]Port
	Endpoints map[EndpointKey]Endpoint
	RuleSets  map[RuleSetID]RuleSet
	Routes    map[RouteTable]*RouteSet
	// Edges are the internet gateways of VPCs that have an interface here.
	Edges map[VPC]Edge
	// Public says whose each public address is that leads to an interface of this
	// host, through the gateway of its VPC.
	Public map[netip.Addr]Public
	// NATs are the namespaces of NAT gateways on this host, by their interface:
	// each has a port of the kind NATGateway.
	NATs map[ENI]NAT
	// Pools are the prefixes that public addresses come from.
	Pools map[netip.Prefix]Pool
	// Allowed are prefixes that are reached through gateways although they are no
	// part of the internet, such as the network that the host is in.
	Allowed map[netip.Prefix]bool
	// Peerings are the pairs of VPCs, both with an interface here, between which
	// routes may lead.
	Peerings map[VPCPair]Peering
	// Cuts are rules of security groups, by Rule.ID, that are no more and whose
	// tracked flows shall not outlive them. Their numbers never come back, so a
	// cut may be asked for again at any time.
	Cuts map[uint32]bool

	// Known holds every interface that the records still name, with or
	// without a workload, and Gone those whose deletion a tombstone confirms.
	// A port in the kernel that is in neither is not removed: the store that
	// lost it is not believed (the brake).
	Known, Gone map[ENI]bool
}

// SubnetID is the index of a subnet: unique for ever, on all hosts.
type SubnetID uint32

// ENI is the index of a network interface: unique for ever, on all hosts.
type ENI uint32

// VPC is the index of a VPC: unique for ever, on all hosts.
type VPC uint32

// edgeBit is in the index of every edge and of no interface.
const edgeBit = 0x80000000

// EdgeOf is what the internet gateway of a VPC is called where an interface is
// expected: it has a port like one.
func EdgeOf(v VPC) ENI { return ENI(v) | edgeBit }

// Edge is the VPC whose internet gateway e is; false for an interface.
func (e ENI) Edge() (VPC, bool) { return VPC(e &^ edgeBit), e&edgeBit != 0 }

// ACL is the index of a network ACL: unique for ever, on all hosts.
type ACL uint32

// Group is the index of a security group: unique for ever, on all hosts.
type Group uint32

// RouteTable is the index of a route table: unique for ever, on all hosts.
type RouteTable uint32

// Subnet is one segment with a presence on this host: a bridge in the
// namespace of its VPC.
type Subnet struct {
	ID     string // subnet-…, for names people read
	VPC    VPC
	VPCID  string // vpc-…, names the namespace
	CIDR   netip.Prefix
	Router netip.Addr
	MAC    MAC // of the router
	// ACLOut and ACLIn judge what leaves and what enters the subnet. A subnet
	// without them is closed: there is no list of that name.
	ACLOut, ACLIn RuleSetID
	// ACL is whose rules those are: a subnet may get another one, with rules of
	// the same numbers.
	ACL ACL
}

// Kind of the device at the workload's side of a port.
type Kind uint8

const (
	// Veth is a pair whose other end is in the workload's namespace.
	Veth Kind = iota
	// Tap is a device that a virtual machine monitor holds open.
	Tap
	// NATGateway is a pair whose other end is in a namespace that is ours: see
	// Host.NATs. Netns is empty.
	NATGateway
)

// Port is one attached network interface.
type Port struct {
	ID     string // eni-…
	VPC    VPC
	Subnet SubnetID
	Kind   Kind
	// Netns is where the workload's end lives; for a tap, where the device
	// was found. A veth's may be empty: nobody can tell at the moment, and the
	// pair that is there stays as it is.
	Netns Netns
	// Name of the workload's link, for example eth0; for a tap, the device.
	Name string
	MAC  MAC
	// Addr is the primary address with the subnet's prefix length; Extra are
	// the secondary ones, comma separated, so that Port stays comparable.
	Addr  netip.Prefix
	Extra Addrs
	// Gateway is the default route's next hop; invalid means no default route.
	Gateway netip.Addr
	// Table holds the routes of the port's subnet.
	Table RouteTable
	// Egress and Ingress are the merged rules of all groups of the interface.
	Egress, Ingress RuleSetID
	// SourceDestCheck drops what is not from or to an own address.
	SourceDestCheck bool
	// CutTracked re-evaluates tracked flows as well when rules change.
	CutTracked bool
	// Timeouts of the interface's idle flows.
	Timeouts Timeouts
}

// Timeouts say after how many idle seconds an interface forgets a tracked flow;
// 0 is AWS's default. They are ConnectionTrackingConfiguration of the EC2 API. Of
// a flow between two interfaces each keeps its own time.
type Timeouts struct {
	TCPEstablished uint32 // 60 to 432,000; default 432,000
	UDP            uint32 // one request without a stream: 30 to 60; default 30
	UDPStream      uint32 // seen from both sides: 60 to 180; default 180
}

// Netns identifies a network namespace: the path opens it, the inode tells
// whether it is still the same one. A NAT gateway's, which we make ourselves, has
// no inode here.
type Netns struct {
	Path  string
	Inode uint64
}

// EndpointKey is one address inside one VPC.
type EndpointKey struct {
	VPC  VPC
	Addr netip.Addr
}

// Endpoint says who has an address and where.
type Endpoint struct {
	ENI    ENI
	Subnet SubnetID
	MAC    MAC
	// Groups are the security groups of the interface.
	Groups Groups
}

// RouteKey is one destination of one table.
type RouteKey struct {
	Table RouteTable
	Dest  netip.Prefix
}

// Target is where a route leads.
type Target uint8

const (
	// Local delivers inside the VPC.
	Local Target = iota + 1
	// Blackhole wins the longest match and drops.
	Blackhole
	// InternetGateway leaves the VPC: the source needs a public address.
	InternetGateway
	// Interface hands everything to one interface of the VPC, whatever the
	// destination: a NAT gateway's, or an appliance's.
	Interface
	// PeerVPC delivers inside another VPC, and nowhere beyond.
	PeerVPC
)

// Route is one route's target.
type Route struct {
	Target Target
	// Via is the address of the interface that Interface leads to.
	Via netip.Addr
	// Peer is the VPC that PeerVPC leads to.
	Peer VPC
}

// Edge is the internet gateway of one VPC: its link to the host's own network.
type Edge struct {
	VPCID string // vpc-…, names the namespace
}

// Public is a public address's owner: an address of an interface of this host.
type Public struct {
	VPC     VPC
	ENI     ENI
	Private netip.Addr
}

// Mode says what the world knows of a pool of public addresses.
type Mode uint8

const (
	// PoolNAT exists on this host only: the world sees the host's own
	// address instead.
	PoolNAT Mode = iota
	// PoolARP lies within the network of one of the host's devices: the host
	// answers there for the addresses that somebody has.
	PoolARP
	// PoolRouted is led to this host by the network.
	PoolRouted
)

// String is the mode as people write it.
func (m Mode) String() string { return [...]string{"nat", "arp", "routed"}[m] }

// Pool is a prefix of public addresses. The host reaches them itself in every mode.
type Pool struct {
	// Host is the host's own address in the pool.
	Host netip.Addr
	Mode Mode
}

// VPCPair is two VPCs, the lower index first.
type VPCPair struct{ A, B VPC }

// Peering is a link between the namespaces of two VPCs.
type Peering struct {
	A, B string // vpc-…
}
