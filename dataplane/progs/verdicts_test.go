package progs_test

import (
	"maps"
	"slices"
	"strconv"
	"testing"

	"github.com/vpcfabric/vpc/bpf"
	dmaps "github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

func text(e spec.ENI) string { return strconv.FormatUint(uint64(e), 10) }

// drop is one row: this frame of ann's is dropped there for that reason.
type drop struct {
	name          string
	frame         []byte
	stage, reason string
	gso           uint32
}

var (
	web      = flow{from: ann, to: bob, proto: tcp, sport: 40000, dport: 80}
	datagram = flow{from: ann, to: bob, proto: udp, sport: 40000, dport: 5000}
	ping     = flow{from: ann, to: bob, proto: icmp, sport: 7}
)

func badIP(h header, l4 []byte) []byte { return ann.frame(bob, h, l4) }

func toRouter(h header, l4 []byte) []byte {
	h.dst = cidrs[red].Addr().Next()
	h.src = ann.addr
	return ethernet(ann.router, ann.mac(), typeIPv4, ipv4(h, l4))
}

func arpFrom(op uint16, sha spec.MAC, spa, tpa string) []byte {
	return ethernet(broadcast, ann.mac(), typeARP, arpPacket(op, sha, addr(spa), spec.MAC{}, addr(tpa)))
}

// dropRows are frames that ann may not send, whatever flows there are.
var dropRows = []drop{
	{name: "foreign source MAC", frame: ethernet(bob.mac(), cat.mac(), typeIPv4, ipv4(header{src: ann.addr, dst: bob.addr, proto: udp}, udpDatagram(1, 5000, 0))), stage: "spoof", reason: "anti_spoof"},
	{name: "neighbour's address", frame: badIP(header{src: bob.addr, dst: cat.addr, proto: udp}, udpDatagram(1, 5000, 0)), stage: "spoof", reason: "anti_spoof"},
	{name: "address of nobody", frame: badIP(header{src: addr("10.0.1.77"), proto: udp}, udpDatagram(1, 5000, 0)), stage: "spoof", reason: "anti_spoof"},
	{name: "spoofed ping to the router", frame: ethernet(ann.router, ann.mac(), typeIPv4, ipv4(header{src: bob.addr, dst: addr("10.0.1.1"), proto: icmp}, icmpMessage(echo, 0, 1, nil))), stage: "spoof", reason: "anti_spoof"},
	{name: "IPv6", frame: ethernet(bob.mac(), ann.mac(), typeIPv6, make([]byte, 40)), stage: "parse", reason: "ipv6"},
	{name: "unknown ethertype", frame: ethernet(bob.mac(), ann.mac(), 0x88cc, make([]byte, 40)), stage: "parse", reason: "ethertype"},
	{name: "a length field", frame: ethernet(bob.mac(), ann.mac(), 0x0040, make([]byte, 64)), stage: "parse", reason: "ethertype"},
	{name: "Ethernet broadcast", frame: ethernet(broadcast, ann.mac(), typeIPv4, ipv4(header{src: ann.addr, dst: bob.addr, proto: udp}, udpDatagram(1, 5000, 0))), stage: "route", reason: "broadcast"},
	{name: "Ethernet multicast", frame: ethernet(spec.MAC{1, 0, 0x5e, 0, 0, 1}, ann.mac(), typeIPv4, ipv4(header{src: ann.addr, dst: addr("224.0.0.1"), proto: udp}, udpDatagram(1, 5000, 0))), stage: "route", reason: "multicast"},
	{name: "DHCP offer to everybody", frame: ethernet(broadcast, ann.mac(), typeIPv4, ipv4(header{src: ann.addr, dst: addr("255.255.255.255"), proto: udp}, udpDatagram(67, 68, 240))), stage: "route", reason: "rogue_dhcp"},
	{name: "DHCP offer to everybody, by the router", frame: ethernet(ann.router, ann.mac(), typeIPv4, ipv4(header{src: ann.addr, dst: addr("255.255.255.255"), proto: udp}, udpDatagram(67, 68, 240))), stage: "route", reason: "rogue_dhcp"},
	{name: "DHCP offer to a neighbour", frame: badIP(header{proto: udp}, udpDatagram(67, 68, 240)), stage: "route", reason: "rogue_dhcp"},
	{name: "DHCP request to everybody", frame: ethernet(broadcast, ann.mac(), typeIPv4, ipv4(header{src: ann.addr, dst: addr("255.255.255.255"), proto: udp}, udpDatagram(68, 67, 240))), stage: "route", reason: "broadcast"},
	{name: "cut broadcast", frame: ethernet(broadcast, ann.mac(), typeIPv4, ipv4(header{src: ann.addr, dst: addr("255.255.255.255"), proto: udp}, udpDatagram(67, 68, 0)[:6])), stage: "route", reason: "broadcast"},
	{name: "IP multicast to the router's MAC", frame: ethernet(ann.router, ann.mac(), typeIPv4, ipv4(header{src: ann.addr, dst: addr("224.0.0.1"), proto: udp}, udpDatagram(1, 5000, 0))), stage: "route", reason: "no_route"},
	{name: "the subnet's broadcast address", frame: ethernet(ann.router, ann.mac(), typeIPv4, ipv4(header{src: ann.addr, dst: addr("10.0.1.255"), proto: udp}, udpDatagram(1, 5000, 0))), stage: "route", reason: "no_endpoint"},

	{name: "IP version 5", frame: badIP(header{proto: udp, version: 5}, udpDatagram(1, 5000, 0)), stage: "parse", reason: "malformed"},
	{name: "header of 16 bytes", frame: badIP(header{proto: udp, ihl: 4}, udpDatagram(1, 5000, 0)), stage: "parse", reason: "malformed"},
	{name: "header longer than the packet", frame: badIP(header{proto: udp, ihl: 15, total: 40}, nil), stage: "parse", reason: "malformed"},
	{name: "total length beyond the frame", frame: badIP(header{proto: udp, total: 200}, udpDatagram(1, 5000, 0)), stage: "parse", reason: "malformed"},
	{name: "total length below the header", frame: badIP(header{proto: udp, total: 19}, udpDatagram(1, 5000, 0)), stage: "parse", reason: "malformed"},
	{name: "total length 0", frame: badIP(header{proto: udp, total: 1 << 16}, udpDatagram(1, 5000, 0)), stage: "parse", reason: "malformed"},
	{name: "half a TCP header", frame: badIP(header{proto: tcp}, tcpSegment(1, 80, syn)[:10]), stage: "parse", reason: "malformed"},
	{name: "TCP data offset 4", frame: badIP(header{proto: tcp}, edit(tcpSegment(1, 80, syn), 12, 4<<4)), stage: "parse", reason: "malformed"},
	{name: "TCP options beyond the packet", frame: badIP(header{proto: tcp}, edit(tcpSegment(1, 80, syn), 12, 15<<4)), stage: "parse", reason: "malformed"},
	{name: "UDP length 7", frame: badIP(header{proto: udp}, edit(udpDatagram(1, 5000, 4), 5, 7)), stage: "parse", reason: "malformed"},
	{name: "UDP header cut", frame: badIP(header{proto: udp}, udpDatagram(1, 5000, 0)[:6]), stage: "parse", reason: "malformed"},
	{name: "ICMP header cut", frame: badIP(header{proto: icmp}, icmpMessage(echo, 0, 1, nil)[:4]), stage: "parse", reason: "malformed"},
	{name: "tiny first fragment", frame: badIP(header{proto: tcp, frag: 0x2000}, tcpSegment(1, 80, syn)[:8]), stage: "parse", reason: "malformed"},
	{name: "overlap at offset 8", frame: badIP(header{proto: tcp, id: 9, frag: 1}, make([]byte, 24)), stage: "parse", reason: "fragment"},
	{name: "later fragment without its first", frame: badIP(header{proto: udp, id: 99, frag: 185}, make([]byte, 24)), stage: "parse", reason: "fragment"},
	{name: "one byte above the MTU", frame: badIP(header{proto: udp}, udpDatagram(1, 5000, mtu-28+1)), stage: "parse", reason: "too_big"},
	{name: "segments above the MTU", frame: badIP(header{proto: tcp}, append(edit(tcpSegment(1, 80, ack), 12, 8<<4), make([]byte, 12+2896)...)), stage: "parse", reason: "too_big", gso: mtu - 52 + 1},
	{name: "redirect", frame: badIP(header{proto: icmp}, icmpMessage(redirect, 1, 0, ipv4(header{src: bob.addr, dst: ann.addr, proto: udp}, udpDatagram(1, 2, 0)))), stage: "parse", reason: "redirect"},

	{name: "ARP claims the router", frame: arpFrom(1, ann.mac(), "10.0.1.1", "10.0.1.11"), stage: "arp", reason: "arp_spoof"},
	{name: "ARP claims a neighbour", frame: arpFrom(2, ann.mac(), "10.0.1.11", "10.0.1.10"), stage: "arp", reason: "arp_spoof"},
	{name: "ARP sender is not the frame's", frame: arpFrom(1, bob.mac(), "10.0.1.10", "10.0.1.11"), stage: "arp", reason: "arp_spoof"},
	{name: "ARP for nobody", frame: arpFrom(1, ann.mac(), "10.0.1.10", "10.0.1.200"), stage: "arp", reason: "arp_unknown"},
	{name: "ARP across the router", frame: arpFrom(1, ann.mac(), "10.0.1.10", "10.0.2.10"), stage: "arp", reason: "arp_unknown"},
	{name: "probe for the own address", frame: arpFrom(1, ann.mac(), "0.0.0.0", "10.0.1.10"), stage: "arp", reason: "arp_ignored"},
	{name: "question for the own second address", frame: arpFrom(1, ann.mac(), "10.0.1.10", "10.0.1.20"), stage: "arp", reason: "arp_ignored"},
	{name: "gratuitous ARP", frame: arpFrom(1, ann.mac(), "10.0.1.10", "10.0.1.10"), stage: "arp", reason: "arp_ignored"},
	{name: "ARP answer", frame: arpFrom(2, ann.mac(), "10.0.1.10", "10.0.1.11"), stage: "arp", reason: "arp_ignored"},
	{name: "ARP of another hardware", frame: ethernet(broadcast, ann.mac(), typeARP, edit(arpPacket(1, ann.mac(), ann.addr, spec.MAC{}, bob.addr), 1, 6)), stage: "arp", reason: "malformed"},
	{name: "ARP cut", frame: ethernet(broadcast, ann.mac(), typeARP, arpPacket(1, ann.mac(), ann.addr, spec.MAC{}, bob.addr)[:20]), stage: "arp", reason: "malformed"},

	{name: "to a third MAC", frame: ethernet(spec.MAC{2, 9, 9, 9, 9, 9}, ann.mac(), typeIPv4, ipv4(header{src: ann.addr, dst: bob.addr, proto: udp}, udpDatagram(1, 5000, 0))), stage: "route", reason: "dst_mac"},
	{name: "to the MAC behind the router", frame: ethernet(cat.mac(), ann.mac(), typeIPv4, ipv4(header{src: ann.addr, dst: cat.addr, proto: udp}, udpDatagram(1, 5000, 0))), stage: "route", reason: "dst_mac"},
	{name: "router's address at a neighbour's MAC", frame: ethernet(bob.mac(), ann.mac(), typeIPv4, ipv4(header{src: ann.addr, dst: addr("10.0.1.1"), proto: icmp}, icmpMessage(echo, 0, 1, nil))), stage: "route", reason: "dst_mac"},
	{name: "no route", frame: badIP(header{dst: addr("198.51.100.1"), proto: udp}, udpDatagram(1, 5000, 0)), stage: "route", reason: "no_route"},
	{name: "loopback", frame: badIP(header{dst: addr("127.0.0.1"), proto: udp}, udpDatagram(1, 5000, 0)), stage: "route", reason: "no_route"},
	{name: "blackhole", frame: badIP(header{dst: addr("10.0.66.1"), proto: udp}, udpDatagram(1, 5000, 0)), stage: "route", reason: "blackhole"},
	{name: "nobody has the address", frame: badIP(header{dst: addr("10.0.1.200"), proto: udp}, udpDatagram(1, 5000, 0)), stage: "route", reason: "no_endpoint"},
	{name: "nobody beyond the router", frame: badIP(header{dst: addr("10.0.2.200"), proto: udp}, udpDatagram(1, 5000, 0)), stage: "route", reason: "no_endpoint"},
	{name: "to itself", frame: badIP(header{dst: second, proto: udp}, udpDatagram(1, 5000, 0)), stage: "route", reason: "no_endpoint"},
	{name: "the neighbour's port is gone", frame: ann.frame(eve, header{proto: udp}, udpDatagram(1, 5000, 0)), stage: "route", reason: "peer_down"},
	{name: "router over TCP", frame: toRouter(header{proto: tcp}, tcpSegment(1, 22, syn)), stage: "route", reason: "service"},
	{name: "router over DNS", frame: toRouter(header{proto: udp}, udpDatagram(1, 53, 0)), stage: "route", reason: "service"},
	{name: "router's timestamp", frame: toRouter(header{proto: icmp}, icmpMessage(13, 0, 1, make([]byte, 12))), stage: "route", reason: "service"},
	{name: "fragmented ping to the router", frame: toRouter(header{proto: icmp, frag: 0x2000}, icmpMessage(echo, 0, 1, nil)), stage: "route", reason: "service"},
	{name: "later fragment to the router", frame: toRouter(header{proto: icmp, frag: 4}, make([]byte, 8)), stage: "route", reason: "service"},
	{name: "an error to the router", frame: toRouter(header{proto: icmp}, icmpMessage(unreachable, 3, 0, ipv4(header{src: addr("10.0.1.1"), dst: ann.addr, proto: udp}, udpDatagram(1, 2, 0)))), stage: "route", reason: "service"},
	{name: "not allowed to enter", frame: badIP(header{proto: tcp}, tcpSegment(1, 22, syn)), stage: "ingress", reason: "security_group"},
	{name: "other protocol not allowed", frame: badIP(header{proto: 47}, make([]byte, 8)), stage: "ingress", reason: "security_group"},
	{name: "segment of no connection", frame: web.forth(ack), stage: "flow", reason: "stray"},
	{name: "SYN-ACK to nothing", frame: web.forth(syn | ack), stage: "flow", reason: "stray"},
	{name: "reset of no connection", frame: web.forth(rst), stage: "flow", reason: "stray"},
	{name: "SYN with FIN", frame: web.forth(syn | fin), stage: "parse", reason: "malformed"},
	{name: "SYN with RST", frame: web.forth(syn | rst), stage: "parse", reason: "malformed"},
	{name: "error about nothing", frame: badIP(header{proto: icmp}, icmpMessage(unreachable, 3, 0, ipv4(header{src: bob.addr, dst: ann.addr, proto: udp}, udpDatagram(9, 9, 0)))), stage: "flow", reason: "stray"},
	{name: "error that quotes nothing", frame: badIP(header{proto: icmp}, icmpMessage(unreachable, 3, 0, nil)), stage: "flow", reason: "stray"},
	{name: "spoofed error", frame: badIP(header{src: cat.addr, proto: icmp}, icmpMessage(unreachable, 3, 0, nil)), stage: "spoof", reason: "anti_spoof"},
}

func edit(b []byte, at int, v byte) []byte {
	b[at] = v
	return b
}

// Reasons that have their own tests, because they need more than one frame of
// ann's in the usual town.
var elsewhere = map[string]string{
	"not_ready":  "TestNotReady",
	"vlan":       "TestLiveFrames",
	"table_full": "TestTableFull",
	"allowance":  "TestAllowance",
	"half_open":  "TestHalfOpenAllowance",

	"network_acl":       "TestACLAtTheEdgeOnly",
	"no_public_address": "TestGatewayRefuses",
	"not_public":        "TestGatewayRefuses",
	"source_dest_check": "TestThroughAnInterface",
}

func TestDrops(t *testing.T) {
	town := openTown(t, progs.Config{})
	for _, row := range dropRows {
		t.Run(row.name, func(t *testing.T) {
			l := town.in(t)
			before := l.counters()
			r := l.run(progs.FromENI, packet{index: dmaps.Slot(ann.slot).Index(), data: row.frame, gso: row.gso})
			l.demand(before, r, shot, counters{"drop 101 " + row.stage + "/" + row.reason: 1})
		})
	}
	if live := town.liveFlows(); len(live) != 0 {
		t.Errorf("dropped packets left %d flows: %+v", len(live), live)
	}
}

// TestEveryReason keeps the tables complete: a reason nobody can see happen is
// not a reason.
func TestEveryReason(t *testing.T) {
	seen := maps.Clone(elsewhere)
	for _, row := range dropRows {
		seen[row.reason] = row.name
	}
	names := slices.Sorted(maps.Values(bpf.ReasonNames()))
	for _, name := range names {
		if seen[name] == "" {
			t.Errorf("no row shows %s", name)
		}
		delete(seen, name)
	}
	for name := range seen {
		t.Errorf("a row shows %s, which is no reason", name)
	}
	if len(slices.Compact(names)) != len(bpf.ReasonNames()) {
		t.Error("two reasons have one name")
	}
}

func TestNotReady(t *testing.T) {
	l := openTown(t, progs.Config{})
	l.drops(nic{slot: emptyRow}, web.forth(syn), "port", "not_ready")
	l.passes(ann, bob, datagram.forth(0))
	var p bpf.Port
	l.must(l.set.Maps["ports"].Lookup(uint32(ann.slot), &p))
	p.Flags &^= uint32(bpf.FromEniPortFlagsPORT_READY)
	l.must(l.set.Maps["ports"].Put(uint32(ann.slot), p))
	l.drops(ann, datagram.forth(0), "port", "not_ready")
}

func TestARPAnswers(t *testing.T) {
	l := openTown(t, progs.Config{})
	rows := []struct {
		name     string
		frame    []byte
		mac      spec.MAC
		tpa, spa string
	}{
		{"router", arpFrom(1, ann.mac(), "10.0.1.10", "10.0.1.1"), ann.router, "10.0.1.10", "10.0.1.1"},
		{"neighbour", arpFrom(1, ann.mac(), "10.0.1.10", "10.0.1.11"), bob.mac(), "10.0.1.10", "10.0.1.11"},
		{"asked from the second address", arpFrom(1, ann.mac(), "10.0.1.20", "10.0.1.11"), bob.mac(), "10.0.1.20", "10.0.1.11"},
		{"probe for a neighbour's address", arpFrom(1, ann.mac(), "0.0.0.0", "10.0.1.11"), bob.mac(), "0.0.0.0", "10.0.1.11"},
		{"unicast question", ethernet(bob.mac(), ann.mac(), typeARP, arpPacket(1, ann.mac(), ann.addr, bob.mac(), bob.addr)), bob.mac(), "10.0.1.10", "10.0.1.11"},
	}
	for _, row := range rows {
		before := l.counters()
		r := l.send(ann, row.frame)
		l.demand(before, r, sent, counters{})
		want := ethernet(ann.mac(), row.mac, typeARP, arpPacket(2, row.mac, addr(row.spa), ann.mac(), addr(row.tpa)))
		if !slices.Equal(r.data, want) {
			t.Errorf("%s: answered %x, want %x", row.name, r.data, want)
		}
	}
}

func TestRouterPing(t *testing.T) {
	l := openTown(t, progs.Config{})
	for _, src := range []string{"10.0.1.10", "10.0.1.20"} {
		before := l.counters()
		frame := ethernet(ann.router, ann.mac(), typeIPv4, ipv4(header{src: addr(src), dst: addr("10.0.1.1"), proto: icmp}, icmpMessage(echo, 0, 1, nil)))
		l.demand(before, l.send(ann, frame), ok, counters{})
	}
}

// TestAcrossSubnets: what crosses the router comes from the router, and goes to
// the receiver's port as directly as within a subnet.
func TestAcrossSubnets(t *testing.T) {
	l := openTown(t, progs.Config{})
	r := l.passes(ann, cat, flow{from: ann, to: cat, proto: udp, sport: 1, dport: 5000}.forth(0))
	if to, from := spec.MAC(r.data[:6]), spec.MAC(r.data[6:12]); to != cat.mac() || from != cat.router {
		t.Errorf("arrives from %s to %s, want the router %s and %s", from, to, cat.router, cat.mac())
	}
	if r.cb != [5]uint32{} {
		t.Errorf("%v is left of the sender's marks", r.cb)
	}
}

// TestForgedMark shows that what a workload writes into the marks is lost.
func TestForgedMark(t *testing.T) {
	l := openTown(t, progs.Config{})
	forged := [5]uint32{0x76706331, 1, 2, 3, 4}
	r := l.run(progs.FromENI, packet{index: dmaps.Slot(ann.slot).Index(), data: datagram.forth(0), cb: forged})
	if r.verdict != sent || r.cb != [5]uint32{} {
		t.Errorf("verdict %d, marks %v; want %d and none", r.verdict, r.cb, sent)
	}
}
