package fuzz

import (
	"net/netip"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

const portBase = bpf.PortBase

// nic is an interface of the small world that whole frames are sent in.
type nic struct {
	slot, eni, subnet, flags uint32
	addr                     netip.Addr
}

const (
	ready   = uint32(bpf.FromEniPortFlagsPORT_READY)
	checked = uint32(bpf.FromEniPortFlagsPORT_SRC_DST_CHECK)
)

var (
	ann = nic{1, 101, 11, ready | checked, netip.MustParseAddr("10.0.1.10")}
	bob = nic{2, 102, 11, ready | checked, netip.MustParseAddr("10.0.1.11")}
	cat = nic{3, 103, 12, ready | checked, netip.MustParseAddr("10.0.2.10")}
	dan = nic{4, 104, 11, checked, netip.MustParseAddr("10.0.1.12")} // not ready
	eve = nic{5, 105, 11, ready, netip.MustParseAddr("10.0.1.13")}   // may send for others

	nics = []nic{ann, bob, cat, dan, eve}

	routerAddr = netip.MustParseAddr("10.0.1.1")
	blackholed = netip.MustParseAddr("10.0.9.1")
	nobody     = netip.MustParseAddr("10.0.1.200")
	elsewhere  = netip.MustParseAddr("192.0.2.1")
)

const (
	vpcIndex = 7
	table    = 3
	mtu      = 1500
)

func (n nic) mac() spec.MAC    { return spec.MACOf(spec.ENI(n.eni)) }
func (n nic) router() spec.MAC { return spec.RouterMAC(spec.SubnetID(n.subnet)) }

func words(a netip.Addr) (w [4]uint32) {
	b := a.As16()
	for i := range w {
		w[i] = ne.Uint32(b[4*i:])
	}
	return w
}

func be32(a netip.Addr) uint32 { b := a.As4(); return ne.Uint32(b[:]) }

// found puts the world into the maps. All its ports use one list for all
// purposes; 0 is the one that refuses.
func (h *harness) found(list uint32) {
	h.ask(opClear)
	for _, n := range nics {
		router := n.addr.As4()
		router[3] = 1
		p := bpf.Port{
			Epoch: 1, Eni: n.eni, Flags: n.flags, Subnet: n.subnet, Mtu: mtu, Vpc: vpcIndex,
			Router: be32(netip.AddrFrom4(router)), Mask: be32(netip.MustParseAddr("255.255.255.0")),
		}
		p.Mac, p.RouterMac = n.mac(), n.router()
		p.Net = p.Router & p.Mask
		p.Policy[0] = bpf.Policy{Table: table, Egress: list, Ingress: list, AclOut: list, AclIn: list}
		h.put("ports", n.slot, p)
		h.put("usage", n.eni, bpf.FlowUsage{})
		k := bpf.EndpointKey{Vpc: vpcIndex}
		k.Addr.W = words(n.addr)
		e := bpf.Endpoint{Key: k, Eni: n.eni, Slot: n.slot, Subnet: n.subnet}
		e.Mac = n.mac()
		h.put("endpoints", k, e)
	}
	h.route("10.0.0.0/16", bpf.FromEniRouteTargetROUTE_LOCAL)
	h.route("10.0.9.0/24", bpf.FromEniRouteTargetROUTE_BLACKHOLE)
}

func (h *harness) route(cidr string, target bpf.FromEniRouteTarget) {
	p := netip.MustParsePrefix(cidr)
	k := bpf.RouteKey{Prefixlen: uint32(32 + 96 + p.Bits()), Table: be.Uint32(ne.AppendUint32(nil, table))}
	k.Addr.W = words(p.Addr())
	h.put("routes", k, bpf.Route{Target: uint32(target), Table: k.Table})
}

// Verdicts of linux/pkt_cls.h.
const (
	passed = 0
	shot   = 2
	sent   = 7
)

// fate is what becomes of a frame.
type fate struct {
	verdict uint32
	to      uint32 // ifindex, of what is sent
	drop    string // stage/reason, of what is dropped
}

func dropped(where string) fate { return fate{verdict: shot, drop: where} }

func nicAt(ifindex uint32) (nic, bool) {
	for _, n := range nics {
		if n.slot+portBase == ifindex {
			return n, true
		}
	}
	return nic{}, false
}

func nicOf(addr uint32) (nic, bool) {
	for _, n := range nics {
		if be32(n.addr) == addr {
			return n, true
		}
	}
	return nic{}, false
}

// fate follows DESIGN.md's "A packet's way" in a world whose lists refuse
// everything, and where nothing is remembered. Where `judged`, lists, flows or
// fragments had the last word: in another world it may be another.
func (f frame) fate() (_ fate, judged bool) {
	own, ok := nicAt(f.ifindex)
	if !ok || own.flags&ready == 0 {
		return dropped("port/not_ready"), false
	}
	if f.vlan != 0 {
		return dropped("parse/vlan"), false
	}
	if !f.readable(14) {
		return dropped("parse/malformed"), false
	}
	eth := f.at(0, 14)
	dst := spec.MAC(eth[:6])
	if spec.MAC(eth[6:12]) != own.mac() {
		return dropped("spoof/anti_spoof"), false
	}
	switch be.Uint16(eth[12:]) {
	case 0x0806:
		return f.arpFate(own), false
	case 0x86dd:
		return dropped("parse/ipv6"), false
	case 0x0800:
	default:
		return dropped("parse/ethertype"), false
	}
	if dst == (spec.MAC{255, 255, 255, 255, 255, 255}) {
		return dropped("route/broadcast"), false
	}
	if dst[0]&1 != 0 {
		return dropped("route/multicast"), false
	}
	p, drop := f.parse()
	if drop != "" {
		return dropped("parse/" + drop), false
	}
	if p.Dest == be32(routerAddr) {
		return own.service(dst, p), false
	}
	size := uint32(f.length - 14)
	if f.gsoSize > 0 {
		size = f.gsoSize + uint32(p.Header)
	}
	switch {
	case size > mtu:
		return dropped("parse/too_big"), false
	case p.Fragment != 0:
		return dropped("parse/fragment"), true // no first one is remembered here
	case p.Proto == protoICMP && p.Type == 5:
		return dropped("parse/redirect"), false
	}
	return own.locate(p)
}

// service is the router's own.
func (n nic) service(dst spec.MAC, p parsed) fate {
	if dst != n.router() {
		return dropped("route/dst_mac")
	}
	if p.Source != be32(n.addr) {
		return dropped("spoof/anti_spoof")
	}
	if p.Proto != protoICMP || p.Type != 8 || p.First != 0 || p.Fragment != 0 {
		return dropped("route/service")
	}
	return fate{verdict: passed}
}

// locate is where a packet would go.
func (n nic) locate(p parsed) (fate, bool) {
	to, known := nicOf(p.Dest)
	addr := ne.AppendUint32(nil, p.Dest)
	local := addr[0] == 10 && addr[1] == 0
	switch {
	case n.flags&checked != 0 && p.Source != be32(n.addr):
		return dropped("spoof/anti_spoof"), false
	case p.Err != 0:
		return dropped("flow/stray"), p.Quotes != 0
	case local && addr[2] == 9:
		return dropped("route/blackhole"), false
	case !local:
		return dropped("route/no_route"), false
	case !known || to.eni == n.eni:
		return dropped("route/no_endpoint"), false
	case to.flags&ready == 0:
		return dropped("route/peer_down"), false
	}
	return dropped("egress/security_group"), true
}

func (f frame) arpFate(own nic) fate {
	if !f.readable(14 + 28) {
		return dropped("arp/malformed")
	}
	b := f.at(14, 28)
	if be.Uint16(b) != 1 || be.Uint16(b[2:]) != 0x800 || b[4] != 6 || b[5] != 4 {
		return dropped("arp/malformed")
	}
	sender, target := ne.Uint32(b[14:]), ne.Uint32(b[24:])
	if spec.MAC(b[8:14]) != own.mac() || sender != 0 && sender != be32(own.addr) {
		return dropped("arp/arp_spoof")
	}
	if be.Uint16(b[6:]) != 1 || sender == target {
		return dropped("arp/arp_ignored")
	}
	answer := fate{verdict: sent, to: f.ifindex}
	if target == be32(routerAddr) {
		return answer
	}
	switch to, known := nicOf(target); {
	case !known || to.subnet != own.subnet:
		return dropped("arp/arp_unknown")
	case to.eni == own.eni:
		return dropped("arp/arp_ignored")
	}
	return answer
}
