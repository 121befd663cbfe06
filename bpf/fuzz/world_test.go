package fuzz

import (
	"net/netip"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

const portBase = bpf.PortBase

// nic is an interface of the small world that whole frames are sent in, or its
// internet gateway.
type nic struct {
	slot, eni, subnet, flags uint32
	vpc                      uint32
	addr                     netip.Addr
	public                   netip.Addr // stands for addr at the gateway
}

const (
	ready   = uint32(bpf.FromEniPortFlagsPORT_READY)
	checked = uint32(bpf.FromEniPortFlagsPORT_SRC_DST_CHECK)
	isEdge  = uint32(bpf.FromEniPortFlagsPORT_EDGE)
)

var (
	ann = nic{1, 101, 11, ready | checked, vpcIndex, ip("10.0.1.10"), ip("198.18.0.10")}
	bob = nic{2, 102, 11, ready | checked, vpcIndex, ip("10.0.1.11"), netip.Addr{}}
	cat = nic{3, 103, 12, ready | checked, vpcIndex, ip("10.0.2.10"), netip.Addr{}}
	dan = nic{4, 104, 11, checked, vpcIndex, ip("10.0.1.12"), ip("198.18.0.12")} // not ready
	eve = nic{5, 105, 11, ready, vpcIndex, ip("10.0.1.13"), ip("198.18.0.13")}   // may send for others
	nat = nic{6, 107, 12, ready, vpcIndex, ip("10.0.2.12"), netip.Addr{}}        // may forward
	pia = nic{7, 108, 21, ready | checked, otherVPC, ip("10.7.0.5"), netip.Addr{}}
	// fay's port has not heard of the gateway yet.
	fay  = nic{8, 109, 11, ready | checked, vpcIndex, ip("10.0.1.14"), ip("198.18.0.14")}
	gate = nic{slot: 9, eni: bpf.EdgeENI | vpcIndex, flags: ready | isEdge, vpc: vpcIndex}

	nics = []nic{ann, bob, cat, dan, eve, nat, pia, fay}

	routerAddr = ip("10.0.1.1")
	blackholed = ip("10.0.9.1")
	nobody     = ip("10.0.1.200")
	elsewhere  = ip("203.0.113.9")

	// Public addresses that lead nowhere: another VPC's, one whose owner has
	// another, and nobody's.
	astray = []netip.Addr{ip("198.18.0.44"), ip("198.18.0.45"), ip("198.18.0.46"), ip("198.18.0.47")}
)

const (
	vpcIndex = 7
	otherVPC = 8
	mtu      = 1500
	link     = 40 // the slot of that to the other VPC; the next is the way back
)

// world is which of the small worlds it is.
type world struct {
	list  uint32 // of all ports, for all purposes; 0 is the one that refuses
	gated bool   // has an internet gateway, and a route to it
}

// target is a route; the longest prefix counts.
type target struct {
	dest   netip.Prefix
	target bpf.FromEniRouteTarget
	via    netip.Addr
	peer   uint32
	out    uint32 // of a peer: 1 and the link's slot
	gated  bool   // is there only with a gateway
}

// targets are the tables of both VPCs, which have their numbers.
var targets = map[uint32][]target{
	vpcIndex: {
		{dest: cidr("10.0.0.0/16"), target: bpf.FromEniRouteTargetROUTE_LOCAL},
		{dest: cidr("10.0.9.0/24"), target: bpf.FromEniRouteTargetROUTE_BLACKHOLE},
		{dest: cidr("0.0.0.0/0"), target: bpf.FromEniRouteTargetROUTE_INTERNET, gated: true},
		{dest: cidr("192.0.2.0/26"), target: bpf.FromEniRouteTargetROUTE_INTERFACE, via: nat.addr},
		{dest: cidr("192.0.2.64/26"), target: bpf.FromEniRouteTargetROUTE_INTERFACE, via: cat.addr},
		{dest: cidr("192.0.2.128/26"), target: bpf.FromEniRouteTargetROUTE_INTERFACE, via: nobody},
		{dest: cidr("192.0.2.192/26"), target: bpf.FromEniRouteTargetROUTE_INTERFACE, via: dan.addr},
		{dest: cidr("10.0.2.10/32"), target: bpf.FromEniRouteTargetROUTE_INTERFACE, via: cat.addr},
		{dest: cidr("10.7.0.0/16"), target: bpf.FromEniRouteTargetROUTE_PEER, peer: otherVPC, out: link + 1},
		{dest: cidr("10.7.1.0/24"), target: bpf.FromEniRouteTargetROUTE_PEER, peer: otherVPC},
		{dest: cidr("10.0.7.0/24"), target: 99},
	},
	otherVPC: {
		{dest: cidr("10.7.0.0/16"), target: bpf.FromEniRouteTargetROUTE_LOCAL},
		{dest: cidr("10.0.0.0/16"), target: bpf.FromEniRouteTargetROUTE_PEER, peer: vpcIndex, out: link + 2},
		{dest: cidr("0.0.0.0/0"), target: bpf.FromEniRouteTargetROUTE_INTERNET},
	},
}

// exceptions are what the operator says of addresses of the world.
var exceptions = map[netip.Prefix]bpf.FromEniFilterVerdict{
	cidr("192.168.7.0/24"):  bpf.FromEniFilterVerdictFILTER_ALLOW,
	cidr("192.168.7.9/32"):  bpf.FromEniFilterVerdictFILTER_REFUSE,
	cidr("203.0.113.77/32"): bpf.FromEniFilterVerdictFILTER_REFUSE,
}

func ip(s string) netip.Addr     { return netip.MustParseAddr(s) }
func cidr(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func (n nic) mac() spec.MAC {
	if n.flags&isEdge != 0 {
		return spec.MAC{2, 0xfe, 0, 0, 0, 2}
	}
	return spec.MACOf(spec.ENI(n.eni))
}

func (n nic) router() spec.MAC { return spec.RouterMAC(spec.SubnetID(n.subnet)) }

// routerAddr is the first address of its subnet, and nothing of a gateway's.
func (n nic) routerAddr() netip.Addr {
	if n.flags&isEdge != 0 {
		return netip.IPv4Unspecified()
	}
	return n.net().Addr().Next()
}

func (n nic) net() netip.Prefix {
	if n.flags&isEdge != 0 {
		return cidr("0.0.0.0/32")
	}
	return netip.PrefixFrom(n.addr, 24).Masked()
}

func words(a netip.Addr) (w [4]uint32) {
	b := a.As16()
	for i := range w {
		w[i] = ne.Uint32(b[4*i:])
	}
	return w
}

func be32(a netip.Addr) uint32 {
	if !a.IsValid() {
		return 0
	}
	b := a.As4()
	return ne.Uint32(b[:])
}

func addrOf(v uint32) netip.Addr { return netip.AddrFrom4([4]byte(ne.AppendUint32(nil, v))) }

// found puts a world into the maps.
func (h *harness) found(w world) {
	h.ask(opClear)
	for _, n := range nics {
		h.port(n, w)
		k := bpf.EndpointKey{Vpc: n.vpc}
		k.Addr.W = words(n.addr)
		e := bpf.Endpoint{Key: k, Eni: n.eni, Slot: n.slot, Subnet: n.subnet, Public: be32(n.public)}
		e.Mac = n.mac()
		h.put("endpoints", k, e)
		if n.public.IsValid() {
			h.public(n.public, n.vpc, n.addr)
		}
	}
	if w.gated {
		h.port(gate, w)
	}
	h.public(astray[0], otherVPC, pia.addr)
	h.public(astray[1], vpcIndex, bob.addr)
	h.public(astray[2], vpcIndex, nobody)
	for vpc, table := range targets {
		for _, r := range table {
			if w.gated || !r.gated {
				h.route(vpc, r.dest, bpf.Route{Target: uint32(r.target), Via: be32(r.via), Peer: r.peer, Out: r.out})
			}
		}
	}
	for p, verdict := range exceptions {
		h.put("edge_filter", bpf.FilterKey{Prefixlen: uint32(p.Bits()), Addr: be32(p.Addr())}, uint32(verdict))
	}
}

func (h *harness) port(n nic, w world) {
	p := bpf.Port{
		Epoch: 1, Eni: n.eni, Flags: n.flags, Subnet: n.subnet, Mtu: mtu, Vpc: n.vpc,
		Router: be32(n.routerAddr()), Net: be32(n.net().Addr()), Mask: mask(n.net().Bits()),
	}
	p.Mac, p.RouterMac = n.mac(), n.router()
	p.Policy[0] = bpf.Policy{Table: n.vpc, Egress: w.list, Ingress: w.list, AclOut: w.list, AclIn: w.list}
	if w.gated && n.vpc == vpcIndex && n.slot != fay.slot && n.flags&isEdge == 0 {
		p.Edge = gate.slot + 1
	}
	h.put("ports", n.slot, p)
	h.put("usage", n.eni, bpf.FlowUsage{})
}

func (h *harness) public(a netip.Addr, vpc uint32, private netip.Addr) {
	h.put("publics", be32(a), bpf.PublicAddress{Addr: be32(a), Vpc: vpc, Private: be32(private)})
}

func mask(bits int) uint32 {
	return ne.Uint32(be.AppendUint32(nil, uint32(uint64(0xffffffff)<<(32-bits))))
}

func (h *harness) route(table uint32, p netip.Prefix, r bpf.Route) {
	k := bpf.RouteKey{Prefixlen: uint32(32 + 96 + p.Bits()), Table: be.Uint32(ne.AppendUint32(nil, table))}
	k.Addr.W = words(p.Addr())
	r.Table, r.Net, r.Mask = k.Table, be32(p.Addr()), mask(p.Bits())
	h.put("routes", k, r)
}

// tables of fragments and refusals, as each port has them.
func (h *harness) furnish() {
	for _, n := range append([]nic{gate}, nics...) {
		h.put("frags", n.slot, bpf.FragTable{})
		h.put("denied", n.slot, bpf.DeniedTable{})
	}
}
