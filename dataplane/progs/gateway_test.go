package progs_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

var (
	// gate is the internet gateway of the town, and out a host of the world.
	gate = nic{eni: bpf.EdgeENI | spec.ENI(vpc), slot: 4, router: spec.MAC{2, 0xfe, 0, 0, 0, 1}}
	out  = nic{addr: addr("203.0.113.9")}

	annPublic = addr("198.18.0.10")
)

// hostMAC is that of the host's end of the gateway's link.
var hostMAC = spec.MAC{2, 0xfe, 0, 0, 0, 2}

// openGate is the town with an internet gateway; ann has a public address.
func openGate(t testing.TB, cfg progs.Config) *lab {
	t.Helper()
	l := openTown(t, cfg)
	l.ports[maps.Slot(gate.slot)] = maps.Port{ENI: gate.eni, VPC: vpc, Edge: true, MAC: hostMAC, RouterMAC: gate.router, MTU: mtu,
		Router: addr("0.0.0.0"), CIDR: prefix("0.0.0.0/32"), Egress: l.rules(nil), Ingress: l.rules(nil), ACLOut: l.rules(nil), ACLIn: l.rules(nil)}
	for _, n := range []nic{ann, bob, cat} {
		l.change(n, func(p *maps.Port) { p.Gateway = maps.Slot(gate.slot + 1) })
	}
	l.route("0.0.0.0/0", spec.Route{Target: spec.InternetGateway})
	l.public(annPublic, ann)
	l.apply()
	return l
}

func (l *lab) route(dest string, r spec.Route) {
	l.routes[spec.RouteKey{Table: mainTable, Dest: prefix(dest)}] = maps.Route{Route: r}
	for _, n := range []nic{ann, bob, cat} {
		l.touch(n)
	}
}

// public gives an interface's address a public one; an invalid one takes it away.
func (l *lab) public(a netip.Addr, n nic) {
	k := spec.EndpointKey{VPC: vpc, Addr: n.addr}
	e := l.endpoints[k]
	delete(l.publics, e.Public)
	e.Public = a
	l.endpoints[k] = e
	if a.IsValid() {
		l.publics[a] = maps.Public{VPC: vpc, Private: n.addr}
	}
	l.touch(n)
}

// summed is a packet with its checksums, as a workload without offload sends it.
func summed(frame []byte, l4sum bool) []byte {
	ip := frame[14:]
	be.PutUint16(ip[10:], 0)
	be.PutUint16(ip[10:], ^sum(ip[:20], 0))
	if at := sumOffset(ip[9]); at > 0 && l4sum {
		be.PutUint16(ip[20+at:], 0)
		be.PutUint16(ip[20+at:], ^sum(ip[20:], pseudo(ip)))
	}
	return frame
}

func sumOffset(proto byte) int {
	return map[byte]int{tcp: 16, udp: 6, icmp: 2}[proto]
}

func sum(b []byte, begin uint32) uint16 {
	for i := 0; i+1 < len(b); i += 2 {
		begin += uint32(be.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		begin += uint32(b[len(b)-1]) << 8
	}
	for begin > 0xffff {
		begin = begin&0xffff + begin>>16
	}
	return uint16(begin)
}

// pseudo is the sum of the pseudo header; ICMP has none.
func pseudo(ip []byte) uint32 {
	if ip[9] == icmp {
		return 0
	}
	n := uint32(ip[9]) + uint32(be.Uint16(ip[2:])) - 20
	for i := 12; i < 20; i += 2 {
		n += uint32(be.Uint16(ip[i:]))
	}
	return n
}

// whole demands right checksums and these addresses of a frame.
func whole(t *testing.T, frame []byte, src, dst netip.Addr) {
	t.Helper()
	ip := frame[14:]
	a, _ := netip.AddrFromSlice(ip[12:16])
	b, _ := netip.AddrFromSlice(ip[16:20])
	if a != src || b != dst {
		t.Errorf("from %s to %s, want %s to %s", a, b, src, dst)
	}
	if sum(ip[:20], 0) != 0xffff {
		t.Error("the IP header's checksum is wrong")
	}
	at := sumOffset(ip[9])
	if ip[9] == udp && be.Uint16(ip[20+at:]) == 0 || be.Uint16(ip[6:])&0x1fff != 0 {
		return
	}
	if at > 0 && sum(ip[20:], pseudo(ip)) != 0xffff {
		t.Errorf("protocol %d: its checksum is wrong", ip[9])
	}
}

// leaves and enters demand a packet through the gateway, whole.
func (l *lab) leaves(t *testing.T, from nic, frame []byte) {
	t.Helper()
	l.t = t
	before := l.counters()
	r := l.send(from, frame)
	l.demand(before, r, sent, counters{"tx " + text(from.eni): 1, "rx " + text(gate.eni): 1})
	if spec.MAC(r.data[:6]) != hostMAC || spec.MAC(r.data[6:12]) != gate.router {
		t.Errorf("frame for %x from %x", r.data[:6], r.data[6:12])
	}
	whole(t, r.data, annPublic, out.addr)
}

func (l *lab) enters(t *testing.T, to nic, frame []byte) result {
	t.Helper()
	l.t = t
	before := l.counters()
	r := l.send(gate, frame)
	l.demand(before, r, sent, counters{"tx " + text(gate.eni): 1, "rx " + text(to.eni): 1})
	if spec.MAC(r.data[:6]) != to.mac() || spec.MAC(r.data[6:12]) != to.router {
		t.Errorf("frame for %x from %x", r.data[:6], r.data[6:12])
	}
	return r
}

// refuses demands a drop. What is not let in from the world is counted at who is
// visited.
func (l *lab) refuses(from, to nic, frame []byte, stage, reason string) {
	l.t.Helper()
	at := from
	if from == gate && (stage == "ingress" || stage == "nacl_in" || stage == "flow" && reason != "stray") {
		at = to
	}
	before := l.counters()
	r := l.send(from, frame)
	l.demand(before, r, shot, counters{"drop " + text(at.eni) + " " + stage + "/" + reason: 1})
}

// fromWorld is a frame as the host hands it to the gateway: its MACs mean nothing.
func fromWorld(src, dst netip.Addr, h header, l4 []byte) []byte {
	h.src, h.dst = src, dst
	return ethernet(spec.MAC{}, spec.MAC{1}, typeIPv4, ipv4(h, l4))
}

// TestOneForOne: both ways, each protocol, with the checksums of both layers; the
// workload sees private addresses only.
func TestOneForOne(t *testing.T) {
	l := openGate(t, progs.Config{})
	l.ingress(ann, anyoneWeb, spec.Rule{Protocol: udp, ToPort: 65535, Prefix: prefix("0.0.0.0/0"), ID: 6},
		spec.Rule{Protocol: icmp, FromPort: -1, ToPort: -1, Prefix: prefix("0.0.0.0/0"), ID: 7})
	l.apply()
	for _, row := range []struct {
		name        string
		proto       uint8
		there, back []byte
		sums        bool
	}{
		{"TCP", tcp, tcpSegment(4000, 443, syn), tcpSegment(443, 4000, syn|ack), true},
		{"UDP", udp, udpDatagram(4000, 53, 5), udpDatagram(53, 4000, 90), true},
		{"UDP without a checksum", udp, udpDatagram(4001, 53, 5), udpDatagram(53, 4001, 90), false},
		{"ping", icmp, icmpMessage(echo, 0, 77, []byte("abc")), icmpMessage(echoReply, 0, 77, []byte("abc")), true},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := l.in(t)
			h := header{proto: row.proto}
			for range 2 {
				l.leaves(t, ann, summed(ann.frame(out, h, row.there), row.sums))
				r := l.enters(t, ann, summed(fromWorld(out.addr, annPublic, h, row.back), row.sums))
				whole(t, r.data, out.addr, ann.addr)
				row.there = slicesWithout(row.there, row.proto)
			}
		})
	}
	t.Run("opened from outside", func(t *testing.T) {
		l := l.in(t)
		h := header{proto: tcp}
		r := l.enters(t, ann, summed(fromWorld(out.addr, annPublic, h, tcpSegment(999, 80, syn)), true))
		whole(t, r.data, out.addr, ann.addr)
		l.leaves(t, ann, summed(ann.frame(out, h, tcpSegment(80, 999, syn|ack)), true))
		l.enters(t, ann, summed(fromWorld(out.addr, annPublic, h, tcpSegment(999, 80, ack)), true))
	})
	t.Run("fragments", func(t *testing.T) {
		l := l.in(t)
		first := header{proto: udp, id: 5, frag: 0x2000}
		later := header{proto: udp, id: 5, frag: 100}
		l.leaves(t, ann, summed(ann.frame(out, first, udpDatagram(7, 7, 792)), false))
		l.leaves(t, ann, summed(ann.frame(out, later, make([]byte, 32)), false))
		l.enters(t, ann, summed(fromWorld(out.addr, annPublic, first, udpDatagram(7, 7, 792)), false))
		r := l.enters(t, ann, summed(fromWorld(out.addr, annPublic, later, make([]byte, 32)), false))
		whole(t, r.data, out.addr, ann.addr)
	})
}

// slicesWithout is the segment again, of a connection that is known.
func slicesWithout(l4 []byte, proto uint8) []byte {
	if proto == tcp {
		l4[13] = ack
	}
	return l4
}

// TestGatewayRefuses: who has no public address, and what the world has not.
func TestGatewayRefuses(t *testing.T) {
	l := openGate(t, progs.Config{})
	l.filters[prefix("192.168.7.0/24")] = maps.Allow
	l.filters[prefix("203.0.113.77/32")] = maps.Refuse
	l.publics[addr("198.18.0.44")] = maps.Public{VPC: otherVPC, Private: dan.addr}
	l.publics[addr("198.18.0.45")] = maps.Public{VPC: vpc, Private: bob.addr} // bob does not say so
	l.apply()
	to := func(n nic, a string) []byte {
		return n.frame(nic{addr: addr(a)}, header{proto: udp}, udpDatagram(1, 2, 3))
	}
	for _, row := range []struct {
		name, stage, reason string
		from                nic
		frame               []byte
	}{
		{"no public address", "route", "no_public_address", bob, to(bob, "203.0.113.9")},
		{"the other address has none", "route", "no_public_address", ann, ann.frame(out, header{src: second, proto: udp}, udpDatagram(1, 2, 3))},
		{"private", "route", "not_public", ann, to(ann, "192.168.1.1")},
		{"private, too", "route", "not_public", ann, to(ann, "172.31.0.1")},
		{"shared", "route", "not_public", ann, to(ann, "100.127.255.254")},
		{"link-local", "route", "not_public", ann, to(ann, "169.254.1.1")},
		{"loopback", "route", "not_public", ann, to(ann, "127.0.0.1")},
		{"multicast", "route", "not_public", ann, to(ann, "224.0.0.5")},
		{"refused by the operator", "route", "not_public", ann, to(ann, "203.0.113.77")},
		{"from a private address", "spoof", "not_public", gate, fromWorld(addr("10.0.1.11"), annPublic, header{proto: udp}, udpDatagram(1, 5000, 3))},
		{"from the host, as loopback", "spoof", "not_public", gate, fromWorld(addr("127.0.0.1"), annPublic, header{proto: udp}, udpDatagram(1, 5000, 3))},
		{"to an address of nobody", "route", "no_endpoint", gate, fromWorld(out.addr, addr("198.18.0.43"), header{proto: udp}, udpDatagram(1, 5000, 3))},
		{"to another VPC's", "route", "no_endpoint", gate, fromWorld(out.addr, addr("198.18.0.44"), header{proto: udp}, udpDatagram(1, 5000, 3))},
		{"to one that its owner does not have", "route", "no_endpoint", gate, fromWorld(out.addr, addr("198.18.0.45"), header{proto: udp}, udpDatagram(1, 5000, 3))},
		{"to a private address", "route", "no_endpoint", gate, fromWorld(out.addr, ann.addr, header{proto: udp}, udpDatagram(1, 5000, 3))},
		{"not admitted", "ingress", "security_group", gate, fromWorld(out.addr, annPublic, header{proto: tcp}, tcpSegment(1, 22, syn))},
		{"ARP of the host", "parse", "ethertype", gate, ethernet(broadcast, hostMAC, typeARP, make([]byte, 28))},
		{"IPv6 of the host", "parse", "ipv6", gate, ethernet(broadcast, hostMAC, typeIPv6, make([]byte, 40))},
		{"redirect", "parse", "redirect", gate, fromWorld(out.addr, annPublic, header{proto: icmp}, icmpMessage(redirect, 1, 0, make([]byte, 28)))},
		{"error about nothing", "flow", "stray", gate, fromWorld(out.addr, annPublic, header{proto: icmp}, icmpMessage(unreachable, 4, 0, ipv4(header{src: annPublic, dst: out.addr, proto: udp}, udpDatagram(9, 9, 0))))},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := l.in(t)
			l.refuses(row.from, ann, row.frame, row.stage, row.reason)
			l.refuses(row.from, ann, row.frame, row.stage, row.reason) // remembered
		})
	}
	l.t = t
	if r := l.send(ann, to(ann, "192.168.7.1")); r.verdict != sent {
		t.Error("a network that the operator opened is refused")
	}
}

// TestErrorsThroughTheGateway: an error finds its flow by what it quotes, from
// whatever router it is, and what it quotes is translated back with it.
func TestErrorsThroughTheGateway(t *testing.T) {
	l := openGate(t, progs.Config{})
	for _, row := range []struct {
		name  string
		proto uint8
		l4    []byte
		quote int
	}{
		{"UDP", udp, udpDatagram(4000, 53, 8), 28},
		{"TCP", tcp, tcpSegment(4000, 443, syn), 40},
		{"TCP, eight bytes quoted", tcp, tcpSegment(4001, 443, syn), 28},
		{"ping", icmp, icmpMessage(echo, 0, 9, nil), 28},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := l.in(t)
			asked := summed(ann.frame(out, header{proto: row.proto}, row.l4), true)
			r := l.send(ann, asked)
			if r.verdict != sent {
				t.Fatal("the question does not leave")
			}
			quote := r.data[14 : 14+row.quote]
			router := addr("192.168.1.1")
			e := l.enters(t, ann, summed(fromWorld(router, annPublic, header{proto: icmp}, icmpMessage(unreachable, 4, 0, quote)), true))
			whole(t, e.data, router, ann.addr)
			if got, want := string(e.data[14+28:14+28+row.quote]), string(asked[14:14+row.quote]); got != want {
				t.Errorf("quotes\n%x, want\n%x", got, want)
			}
		})
	}
	t.Run("ours to the world", func(t *testing.T) {
		l := l.in(t)
		l.ingress(ann, anyoneWeb)
		l.apply()
		in := summed(fromWorld(out.addr, annPublic, header{proto: tcp}, tcpSegment(5, 80, syn)), true)
		seen := l.enters(t, ann, in).data
		msg := icmpMessage(unreachable, 3, 0, seen[14:14+40])
		r := l.send(ann, summed(ann.frame(out, header{proto: icmp}, msg), true))
		if r.verdict != sent {
			t.Fatalf("verdict %d", r.verdict)
		}
		whole(t, r.data, annPublic, out.addr)
		if got, want := string(r.data[14+28:14+28+40]), string(in[14:14+40]); got != want {
			t.Errorf("quotes\n%x, want\n%x", got, want)
		}
	})
}

// TestPublicAddressMoves: what is under way ends with the address, both ways, and
// the new owner has nothing of it.
func TestPublicAddressMoves(t *testing.T) {
	l := openGate(t, progs.Config{Second: time.Millisecond * 100})
	l.ingress(ann, anyoneWeb)
	l.ingress(bob, inTownWeb)
	l.apply()
	h := header{proto: tcp}
	in := func(flags byte) []byte {
		return summed(fromWorld(out.addr, annPublic, h, tcpSegment(5, 80, flags)), true)
	}
	l.enters(t, ann, in(syn))
	l.leaves(t, ann, summed(ann.frame(out, h, tcpSegment(80, 5, syn|ack)), true))
	l.enters(t, ann, in(ack))

	l.public(netip.Addr{}, ann)
	l.apply()
	l.drops(ann, ann.frame(out, h, tcpSegment(80, 5, ack)), "route", "no_public_address")
	l.refuses(gate, ann, in(ack), "route", "no_endpoint")

	l.public(annPublic, bob)
	l.apply()
	l.refuses(gate, bob, in(ack), "ingress", "security_group")
	l.ingress(bob, spec.Rule{Protocol: tcp, FromPort: 80, ToPort: 80, Prefix: prefix("203.0.113.0/24"), ID: 8})
	l.apply()
	before := l.counters()
	l.demand(before, l.send(gate, in(ack)), shot, counters{"drop " + text(bob.eni) + " flow/stray": 1})
	l.enters(t, bob, in(syn))
	l.drops(ann, ann.frame(out, h, tcpSegment(80, 5, ack)), "route", "no_public_address")
	l.swept()
}

// TestVisitedPays: pairs that the world opens are on the account of who is
// visited.
func TestVisitedPays(t *testing.T) {
	l := openGate(t, progs.Config{})
	l.ingress(ann, anyoneWeb)
	l.egress(ann, inTownWeb) // no answers but to what is tracked
	l.apply()
	for i := range uint16(5) {
		l.enters(t, ann, fromWorld(out.addr, annPublic, header{proto: tcp}, tcpSegment(100+i, 80, syn)))
	}
	if u := l.account(ann); u.Flows != 5 || u.HalfOpen != 5 {
		t.Errorf("ann's account: %+v", u)
	}
	if n := l.usage(gate); n != 0 {
		t.Errorf("the gateway pays for %d", n)
	}
	l.leaves(t, ann, summed(ann.frame(out, header{proto: tcp}, tcpSegment(80, 100, syn|ack)), true))
	if u := l.account(ann); u.HalfOpen != 4 {
		t.Errorf("answered, and still %d half open", u.HalfOpen)
	}
}

// TestGatewayACL: the subnet's network ACL judges each direction; the world has
// none.
func TestGatewayACL(t *testing.T) {
	l := openGate(t, progs.Config{})
	h := header{proto: udp}
	l.leaves(t, ann, summed(ann.frame(out, h, udpDatagram(9, 53, 0)), true))
	l.aclIn(ann, denyRest)
	l.apply()
	l.refuses(gate, ann, fromWorld(out.addr, annPublic, h, udpDatagram(53, 9, 0)), "nacl_in", "network_acl")
	l.aclIn(ann, allowAll, denyRest)
	l.aclOut(ann, denyRest)
	l.apply()
	l.enters(t, ann, summed(fromWorld(out.addr, annPublic, h, udpDatagram(53, 9, 0)), true))
	l.drops(ann, ann.frame(out, h, udpDatagram(9, 53, 0)), "nacl_out", "network_acl")
}

// TestWorldIsNoNeighbour: who comes from the world with an address of the VPC, or of
// one that it is joined with, is nobody's neighbour, and turns nobody's flow away.
func TestWorldIsNoNeighbour(t *testing.T) {
	l := openGate(t, progs.Config{})
	l.filters[prefix("10.0.0.0/8")] = maps.Allow
	l.routes[spec.RouteKey{Table: mainTable, Dest: prefix("10.7.0.0/16")}] = maps.Route{Route: spec.Route{Target: spec.PeerVPC, Peer: otherVPC}, Out: 9}
	l.touch(ann)
	l.ingress(ann, anything)
	l.apply()
	f := flow{from: ann, to: bob, proto: tcp, sport: 4000, dport: 80}
	l.handshake(f)
	for _, a := range []string{bob.addr.String(), "10.0.1.200", "10.0.2.10", "10.7.0.5"} {
		l.refuses(gate, ann, fromWorld(addr(a), annPublic, header{proto: tcp}, tcpSegment(80, 4000, syn)), "spoof", "anti_spoof")
	}
	l.passes(ann, bob, f.forth(ack))
	l.passes(bob, ann, f.back(ack))
	// What is private and nobody's here may come.
	l.enters(t, ann, fromWorld(addr("10.99.0.1"), annPublic, header{proto: udp}, udpDatagram(53, 9, 0)))
}

// TestRoomTowardsTheWorld: others keep entries for what goes there, so nobody goes
// beyond his share by not being tracked; a NAT gateway does, which has bounds of its
// own, and those who send to it do not.
func TestRoomTowardsTheWorld(t *testing.T) {
	const allowance = progs.MinFlowTable / 8
	l := openGate(t, progs.Config{FlowTable: progs.MinFlowTable})
	for _, n := range []nic{ann, bob, cat} {
		l.ingress(n, anything)
	}
	l.route("203.0.113.128/25", spec.Route{Target: spec.Interface, Via: cat.addr})
	l.change(cat, func(p *maps.Port) { p.SourceDestCheck, p.NAT = false, true })
	l.apply()
	datagrams := func(from nic, to string, n int) (passed int) {
		for i := range n {
			if l.send(from, from.frame(nic{addr: addr(to)}, header{proto: udp}, udpDatagram(uint16(1000+i), 53, 0))).verdict == sent {
				passed++
			}
		}
		return passed
	}
	if n := datagrams(ann, "203.0.113.9", 2*allowance); n > allowance {
		t.Errorf("%d flows to the world, of a share of %d", n, allowance)
	}
	if n := datagrams(bob, "203.0.113.200", 2*allowance); n > allowance {
		t.Errorf("%d flows to a NAT gateway, of a share of %d", n, allowance)
	}
	l.public(annPublic, cat)
	l.apply()
	if n := datagrams(cat, "203.0.113.9", 2*allowance); n != 2*allowance {
		t.Errorf("the NAT gateway sent %d of %d", n, 2*allowance)
	}
}
