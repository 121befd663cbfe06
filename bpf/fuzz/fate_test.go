package fuzz

import (
	"net/netip"
	"slices"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

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

func nicAt(ifindex uint32, w world) (nic, bool) {
	for _, n := range nics {
		if n.slot+portBase == ifindex {
			return n, n.flags&ready != 0
		}
	}
	return gate, w.gated && gate.slot+portBase == ifindex
}

func nicOf(vpc uint32, addr netip.Addr) (nic, bool) {
	for _, n := range nics {
		if n.addr == addr && n.vpc == vpc {
			return n, true
		}
	}
	return nic{}, false
}

// fate follows DESIGN.md's "A packet's way" in a world whose lists refuse
// everything, and where nothing is remembered. Where `judged`, lists, flows or
// fragments had the last word: in another world it may be another.
func (f frame) fate(w world) (_ fate, judged bool) {
	own, ok := nicAt(f.ifindex, w)
	if !ok {
		return dropped("port/not_ready"), false
	}
	if f.vlan != 0 {
		return dropped("parse/vlan"), false
	}
	if !f.readable(14) {
		return dropped("parse/malformed"), false
	}
	if end, ok := f.ethernetFate(own); ok {
		return end, false
	}
	p, drop := f.parse()
	if drop != "" {
		return dropped("parse/" + drop), false
	}
	if own.flags&isEdge == 0 && addrOf(p.Dest) == own.routerAddr() {
		return own.service(spec.MAC(f.at(0, 6)), p), false
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
	return w.judge(own, p)
}

// ethernetFate is that of a frame that has no IPv4 for anyone. The host's frames
// for a gateway are asked for nothing else.
func (f frame) ethernetFate(own nic) (_ fate, ends bool) {
	eth := f.at(0, 14)
	dst, kind, edge := spec.MAC(eth[:6]), be.Uint16(eth[12:]), own.flags&isEdge != 0
	switch {
	case !edge && spec.MAC(eth[6:12]) != own.mac():
		return dropped("spoof/anti_spoof"), true
	case !edge && kind == 0x0806:
		return f.arpFate(own), true
	case kind == 0x86dd:
		return dropped("parse/ipv6"), true
	case kind != 0x0800:
		return dropped("parse/ethertype"), true
	case edge:
		return fate{}, false
	case dst == (spec.MAC{255, 255, 255, 255, 255, 255}):
		if p, drop := f.parse(); drop == "" && p.offersDHCP() {
			return dropped("route/rogue_dhcp"), true
		}
		return dropped("route/broadcast"), true
	case dst[0]&1 != 0:
		return dropped("route/multicast"), true
	}
	return fate{}, false
}

func (p parsed) offersDHCP() bool {
	return p.Proto == protoUDP && swap(p.Sport) == 67 && swap(p.Dport) == 68
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

// judge is the rest of the way, up to the first list.
func (w world) judge(n nic, p parsed) (fate, bool) {
	src := addrOf(p.Source)
	if p.Err != 0 {
		if n.flags&checked != 0 && src != n.addr || n.flags&checked == 0 && n.addr != src && nobodys(src) {
			return dropped("spoof/anti_spoof"), false
		}
		return dropped("flow/stray"), p.Quotes != 0
	}
	if p.offersDHCP() {
		return dropped("route/rogue_dhcp"), false
	}
	if _, drop := w.locate(n, src, addrOf(p.Dest)); drop != "" {
		return dropped(drop), false
	}
	if n.flags&isEdge != 0 {
		return dropped("nacl_in/network_acl"), true
	}
	return dropped("egress/security_group"), true
}

// within says whether one of the prefixes has the address.
func within(a netip.Addr, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return cidr(p).Contains(a) })
}

// nobodys are addresses that no host sends from.
func nobodys(a netip.Addr) bool { return within(a, "0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3") }

// inWorld says whether gateways lead there: public unicast, but for exceptions.
func inWorld(a netip.Addr) bool {
	bits, verdict := -1, bpf.FromEniFilterVerdictFILTER_ALLOW
	if nobodys(a) || within(a, "10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16") {
		verdict = bpf.FromEniFilterVerdictFILTER_REFUSE
	}
	for p, v := range exceptions {
		if p.Contains(a) && p.Bits() > bits {
			bits, verdict = p.Bits(), v
		}
	}
	return verdict == bpf.FromEniFilterVerdictFILTER_ALLOW
}

// way is where a packet goes if nobody refuses it.
type way struct {
	to  nic
	out uint32     // 1 and the slot of the link to another VPC; 0: none
	nat netip.Addr // its new source, of what leaves; its new destination, of what enters
}

// locate is where a packet would go, or where it is dropped.
func (w world) locate(n nic, src, dst netip.Addr) (way, string) {
	if n.flags&isEdge != 0 {
		return w.enter(src, dst)
	}
	if src != n.addr && (n.flags&checked != 0 || nobodys(src) || src == dst) {
		return way{}, "spoof/anti_spoof"
	}
	at, bits := -1, -1
	for i, r := range targets[n.vpc] {
		if r.dest.Contains(dst) && r.dest.Bits() > bits && (w.gated || !r.gated) {
			at, bits = i, r.dest.Bits()
		}
	}
	if n.net().Contains(dst) {
		return n.reach(n.vpc, dst)
	}
	if at < 0 {
		return way{}, "route/no_route"
	}
	switch r := targets[n.vpc][at]; r.target {
	case bpf.FromEniRouteTargetROUTE_LOCAL:
		return n.reach(n.vpc, dst)
	case bpf.FromEniRouteTargetROUTE_BLACKHOLE:
		return way{}, "route/blackhole"
	case bpf.FromEniRouteTargetROUTE_INTERNET:
		return w.leave(n, src, dst)
	case bpf.FromEniRouteTargetROUTE_INTERFACE:
		to, drop := n.reach(n.vpc, r.via)
		if to.to.flags&checked != 0 && r.via != dst && drop != "route/peer_down" {
			drop = "route/source_dest_check"
		}
		return to, drop
	case bpf.FromEniRouteTargetROUTE_PEER:
		if r.out == 0 {
			return way{}, "route/no_endpoint"
		}
		to, drop := n.reach(r.peer, dst)
		to.out = r.out
		return to, drop
	}
	return way{}, "route/no_route"
}

// reach is to an interface by its address; nobody reaches itself.
func (n nic) reach(vpc uint32, a netip.Addr) (way, string) {
	to, known := nicOf(vpc, a)
	switch {
	case !known:
		return way{}, "route/no_endpoint"
	case to.flags&ready == 0:
		return way{to: to}, "route/peer_down"
	case to.eni == n.eni:
		return way{to: to}, "route/no_endpoint"
	}
	return way{to: to}, ""
}

// leave is under the sender's public address, and under no other.
func (w world) leave(n nic, src, dst netip.Addr) (way, string) {
	switch {
	case src != n.addr || !n.public.IsValid():
		return way{}, "route/no_public_address"
	case !inWorld(dst):
		return way{}, "route/not_public"
	case n.slot == fay.slot:
		return way{}, "route/no_route"
	}
	return way{to: gate, nat: n.public}, ""
}

// enter is from the world, to who has that public address and is there.
func (w world) enter(src, dst netip.Addr) (way, string) {
	if !inWorld(src) {
		return way{}, "spoof/not_public"
	}
	for _, n := range nics {
		if n.public == dst && n.vpc == vpcIndex && n.flags&ready != 0 {
			return way{to: n, nat: n.addr}, ""
		}
	}
	return way{}, "route/no_endpoint"
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
	if target == be32(own.routerAddr()) {
		return answer
	}
	switch to, known := nicOf(own.vpc, addrOf(target)); {
	case !known || to.subnet != own.subnet:
		return dropped("arp/arp_unknown")
	case to.eni == own.eni:
		return dropped("arp/arp_ignored")
	}
	return answer
}
