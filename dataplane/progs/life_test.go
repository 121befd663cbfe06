package progs_test

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

const (
	trackOwn  = uint32(bpf.FromEniFlowFlagsFLOW_TRACK_OWN)
	trackPeer = uint32(bpf.FromEniFlowFlagsFLOW_TRACK_PEER)
)

func native(a netip.Addr) uint32 {
	b := a.As4()
	return ne.Uint32(b[:])
}

func swapped(p uint16) uint16 { return p<<8 | p>>8 }

// key is the entry of f's packets in its own direction.
func (f flow) key() bpf.FlowKey {
	k := bpf.FlowKey{Eni: uint32(f.from.eni), Saddr: native(f.from.addr), Daddr: native(f.to.addr), Proto: f.proto, Dir: 1}
	switch f.proto {
	case tcp, udp:
		k.Sport, k.Dport = swapped(f.sport), swapped(f.dport)
	case icmp:
		k.Sport, k.Dport = swapped(f.sport), echo
	}
	return k
}

// reply is the same conversation seen from the other side.
func (f flow) reply() flow {
	return flow{from: f.to, to: f.from, proto: f.proto, sport: f.dport, dport: f.sport}
}

func (l *lab) entry(f flow) bpf.Flow {
	l.t.Helper()
	var v bpf.Flow
	l.must(l.set.Maps["flows"].Lookup(f.key(), &v))
	return v
}

// handshake opens a connection.
func (l *lab) handshake(f flow) {
	l.t.Helper()
	l.passes(f.from, f.to, f.forth(syn))
	l.passes(f.to, f.from, f.back(syn|ack))
	l.passes(f.from, f.to, f.forth(ack))
}

func TestTrackedFlowSurvivesItsRule(t *testing.T) {
	l := openTown(t, progs.Config{})
	l.handshake(web)
	l.ingress(bob)
	l.apply()
	l.passes(ann, bob, web.forth(ack))
	l.passes(bob, ann, web.back(ack))
	l.drops(ann, flow{from: ann, to: bob, proto: tcp, sport: 40001, dport: 80}.forth(syn), "ingress", "security_group")
	l.drops(ann, web.forth(syn), "ingress", "security_group") // the same tuple asks anew

	l.change(bob, func(p *maps.Port) { p.Cut = true })
	l.apply()
	l.drops(ann, web.forth(ack), "ingress", "security_group")
	l.drops(bob, web.back(ack), "egress", "security_group")
	l.ingress(bob, inTownWeb)
	l.apply()
	l.passes(ann, bob, web.forth(ack))
	l.passes(bob, ann, web.back(ack))
}

func TestUntrackedFlowDiesWithItsRule(t *testing.T) {
	l := openTown(t, progs.Config{})
	l.ingress(bob, anyoneWeb)
	l.apply()
	l.handshake(web)
	l.ingress(bob, inTownUDP)
	l.apply()
	l.drops(ann, web.forth(ack), "ingress", "security_group")
	l.ingress(bob, anyoneWeb)
	l.apply()
	l.passes(ann, bob, web.forth(ack))
}

// TestUntrackedStray: where nothing is tracked, no connection need be known.
func TestUntrackedStray(t *testing.T) {
	l := openTown(t, progs.Config{})
	l.ingress(ann, anything)
	l.ingress(bob, anything)
	l.apply()
	l.passes(ann, bob, web.forth(ack))
	l.passes(bob, ann, web.back(ack))
	l.ingress(ann)
	l.apply()
	l.drops(ann, flow{from: ann, to: bob, proto: tcp, sport: 40001, dport: 80}.forth(ack), "flow", "stray")
}

func TestWhatIsTracked(t *testing.T) {
	all := func(proto int16, from, to int32, p string) spec.Rule {
		return spec.Rule{Protocol: proto, FromPort: from, ToPort: to, Prefix: prefix(p)}
	}
	const world, inside = "0.0.0.0/0", "10.0.0.0/8"
	tcpFlow, udpFlow := web, datagram
	other := flow{from: ann, to: bob, proto: 47}
	rows := []struct {
		name    string
		f       flow
		in, out []spec.Rule
		tracked bool
	}{
		{"open both ways", tcpFlow, []spec.Rule{anyoneWeb}, []spec.Rule{anything}, false},
		{"replies by protocol", tcpFlow, []spec.Rule{anyoneWeb}, []spec.Rule{all(tcp, 0, 65535, world)}, false},
		{"one reply port is missing", tcpFlow, []spec.Rule{anyoneWeb}, []spec.Rule{all(tcp, 1, 65535, world)}, true},
		{"replies only to the town", tcpFlow, []spec.Rule{anyoneWeb}, []spec.Rule{all(-1, -1, -1, inside)}, true},
		{"replies of another protocol", tcpFlow, []spec.Rule{anyoneWeb}, []spec.Rule{all(udp, 0, 65535, world)}, true},
		{"no replies", tcpFlow, []spec.Rule{anyoneWeb}, nil, true},
		{"request only from the town", tcpFlow, []spec.Rule{inTownWeb}, []spec.Rule{anything}, true},
		{"the world and the town", tcpFlow, []spec.Rule{inTownWeb, anyoneWeb}, []spec.Rule{anything}, false},
		{"UDP open both ways", udpFlow, []spec.Rule{all(udp, 5000, 5000, world)}, []spec.Rule{anything}, false},
		{"UDP with TCP replies", udpFlow, []spec.Rule{all(udp, 5000, 5000, world)}, []spec.Rule{all(tcp, 0, 65535, world)}, true},
		{"ping", ping, []spec.Rule{anything}, []spec.Rule{anything}, true},
		{"other protocol", other, []spec.Rule{anything}, []spec.Rule{anything}, true},
	}
	town := openTown(t, progs.Config{})
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			l := town.in(t)
			l.ingress(bob, row.in...)
			l.egress(bob, row.out...)
			l.apply()
			// A connection of its own for each row; ping has one.
			if row.f.proto == tcp || row.f.proto == udp {
				row.f.sport = uint16(l.counters()["tx 101"]) + 50000
			}
			l.passes(ann, bob, row.f.forth(syn))
			e := l.entry(row.f)
			if got := e.Flags&trackPeer != 0; got != row.tracked {
				t.Errorf("tracked by the receiver: %v, want %v", got, row.tracked)
			}
			if e.Flags&trackOwn == 0 {
				t.Error("not tracked by the sender, whose groups let nothing in from everywhere")
			}
		})
	}
}

func TestDestinationGone(t *testing.T) {
	l := openTown(t, progs.Config{})
	l.passes(ann, bob, datagram.forth(0))
	l.vacate(bob)
	l.apply()
	l.drops(ann, datagram.forth(0), "route", "no_endpoint")
}

// TestSlotReused: nothing of an old flow reaches whoever has the slot, or the
// address, after its receiver.
func TestSlotReused(t *testing.T) {
	l := openTown(t, progs.Config{})
	l.handshake(web)
	l.passes(ann, bob, datagram.forth(0))
	l.vacate(bob)
	l.apply()
	stranger := nic{eni: 201, slot: bob.slot, addr: bob.addr, router: dan.router, subnet: foreign}
	l.move(stranger, otherVPC+1, otherRoutes)
	l.ingress(stranger, anything)
	l.apply()
	l.drops(ann, datagram.forth(0), "route", "no_endpoint")

	l.vacate(stranger)
	heir := bob
	heir.eni = 202
	l.move(heir, vpc, mainTable)
	l.egress(heir, anything)
	l.apply()
	toHeir := ann.frame(heir, header{proto: udp}, udpDatagram(datagram.sport, datagram.dport, 4))
	l.drops(ann, toHeir, "ingress", "security_group")
	l.ingress(heir, inTownWeb, inTownUDP)
	l.apply()
	l.drops(ann, ann.frame(heir, header{proto: tcp}, tcpSegment(web.sport, web.dport, ack)), "flow", "stray")
	l.passes(ann, heir, toHeir)
	l.passes(ann, heir, datagram.forth(0)) // ann still knows bob's MAC
}

// TestSenderMoved: epochs of different slots may be equal by chance.
func TestSenderMoved(t *testing.T) {
	l := openTown(t, progs.Config{})
	l.ingress(ann, anything) // so that ann's own groups do not track it
	l.apply()
	l.passes(ann, bob, datagram.forth(0))
	was := l.entry(datagram).Epoch
	moved := ann
	moved.slot = emptyRow
	l.vacate(ann)
	l.move(moved, vpc, mainTable)
	l.apply()
	var p bpf.Port
	l.must(l.set.Maps["ports"].Lookup(uint32(moved.slot), &p))
	p.Epoch = was
	l.must(l.set.Maps["ports"].Put(uint32(moved.slot), p))
	l.drops(moved, datagram.forth(0), "egress", "security_group")
}

func TestSecondAddress(t *testing.T) {
	l := openTown(t, progs.Config{})
	ann2 := ann
	ann2.addr = second
	f := flow{from: bob, to: ann2, proto: udp, sport: 9, dport: 10}
	l.passes(bob, ann, f.forth(0))
	l.passes(ann, bob, f.back(0))
	l.passes(ann, bob, flow{from: ann2, to: bob, proto: udp, sport: 1, dport: 2}.forth(0))
	delete(l.endpoints, spec.EndpointKey{VPC: vpc, Addr: second})
	l.touch(ann)
	l.apply()
	l.drops(bob, f.forth(0), "route", "no_endpoint")
	l.drops(ann, f.back(0), "spoof", "anti_spoof")
}

// TestAddressMoved: a live flow follows its address, and what it leaves behind
// is reclaimed.
func TestAddressMoved(t *testing.T) {
	l := openTown(t, progs.Config{Second: time.Millisecond})
	ann2, cat2 := ann, cat
	ann2.addr, cat2.addr = second, second
	f := flow{from: bob, to: ann2, proto: udp, sport: 9, dport: 10}
	l.passes(bob, ann, f.forth(0))
	l.endpoint(vpc, second, cat)
	l.touch(ann)
	l.apply()
	// The address is inside bob's subnet, so he asks the router nothing; the
	// frame goes to the router's MAC because cat is behind it.
	frame := ethernet(bob.router, bob.mac(), typeIPv4, ipv4(header{src: bob.addr, dst: second, proto: udp}, udpDatagram(9, 10, 4)))
	l.passes(bob, cat, frame)
	l.passes(cat, bob, flow{from: cat2, to: bob, proto: udp, sport: 10, dport: 9}.forth(0))
	l.swept()
}

// swept turns the clock until the table is empty and everything given back.
func (l *lab) swept() {
	l.t.Helper()
	eventually(l.t, "the table is empty", func() bool {
		_, err := l.table.Sweep(l.table.Slots())
		l.must(err)
		return l.entries() == 0
	})
	var m bpf.HostState
	l.must(l.set.Maps["meta"].Lookup(uint32(0), &m))
	if m.Live != 0 {
		l.t.Errorf("%d pairs are counted in an empty table", int64(m.Live))
	}
	var (
		eni uint32
		u   bpf.FlowUsage
	)
	accounts := l.set.Maps["usage"].Iterate()
	for accounts.Next(&eni, &u) {
		if u.Flows != 0 || u.HalfOpen != 0 {
			l.t.Errorf("interface %d is charged for %d pairs of an empty table, %d half open", eni, u.Flows, u.HalfOpen)
		}
	}
	l.must(accounts.Err())
}

// entries is the number of elements in the flow table, in any state.
func (l *lab) entries() int {
	var (
		k bpf.FlowKey
		v bpf.Flow
		n int
	)
	it := l.set.Maps["flows"].Iterate()
	for it.Next(&k, &v) {
		n++
	}
	l.must(it.Err())
	return n
}

func TestSourceDestCheckOff(t *testing.T) {
	l := openTown(t, progs.Config{})
	far := ann
	far.addr = addr("198.51.100.7")
	l.ingress(bob, anything, spec.Rule{Protocol: spec.AnyProtocol, FromPort: -1, ToPort: -1, Group: webGroup})
	l.apply()
	f := flow{from: far, to: bob, proto: udp, sport: 1, dport: 2}
	l.drops(ann, f.forth(0), "spoof", "anti_spoof")
	l.change(ann, func(p *maps.Port) { p.SourceDestCheck = false })
	l.apply()
	l.passes(ann, bob, f.forth(0))
	l.drops(bob, ethernet(bob.router, bob.mac(), typeIPv4, ipv4(header{src: bob.addr, dst: far.addr, proto: udp}, udpDatagram(2, 1, 0))), "route", "no_route")

	// A group speaks for its members' own addresses only.
	l.endpoint(vpc, ann.addr, ann, webGroup)
	l.ingress(bob, spec.Rule{Protocol: udp, FromPort: 0, ToPort: 65535, Group: webGroup})
	l.apply()
	f.sport = 3
	l.drops(ann, f.forth(0), "ingress", "security_group")
	l.passes(ann, bob, datagram.forth(0))
}

func TestGroups(t *testing.T) {
	l := openTown(t, progs.Config{})
	byGroup := spec.Rule{Protocol: udp, FromPort: 0, ToPort: 65535, Group: webGroup}
	l.ingress(bob, byGroup)
	l.apply()
	l.drops(ann, datagram.forth(0), "ingress", "security_group") // in no group at all
	l.endpoint(vpc, ann.addr, ann, dbGroup)
	l.apply()
	l.drops(ann, datagram.forth(0), "ingress", "security_group")
	l.endpoint(vpc, ann.addr, ann, dbGroup, webGroup)
	l.apply()
	l.passes(ann, bob, datagram.forth(0))
	l.egress(ann, spec.Rule{Protocol: udp, FromPort: 0, ToPort: 65535, Group: dbGroup})
	l.apply()
	l.drops(ann, flow{from: ann, to: bob, proto: udp, sport: 2, dport: 2}.forth(0), "egress", "security_group")
	l.endpoint(vpc, bob.addr, bob, dbGroup)
	l.apply()
	l.passes(ann, bob, flow{from: ann, to: bob, proto: udp, sport: 2, dport: 2}.forth(0))
}

func TestFragments(t *testing.T) {
	l := openTown(t, progs.Config{})
	piece := func(proto uint8, id, frag uint16, l4 []byte) []byte {
		return ann.frame(bob, header{proto: proto, id: id, frag: frag}, l4)
	}
	l.passes(ann, bob, piece(udp, 1, 0x2000, udpDatagram(1, 5000, 8)))
	l.passes(ann, bob, piece(udp, 1, 0x2002, make([]byte, 16)))
	l.passes(ann, bob, piece(udp, 1, 4, make([]byte, 16)))
	l.drops(ann, piece(udp, 2, 4, make([]byte, 16)), "parse", "fragment")
	l.drops(ann, piece(tcp, 1, 4, make([]byte, 16)), "parse", "fragment")
	l.passes(ann, bob, piece(icmp, 3, 0x2000, icmpMessage(echo, 0, 1, nil)))
	l.passes(ann, bob, piece(icmp, 3, 1<<8, make([]byte, 16)))

	// Where the first is refused, so is the rest, for the same reason.
	l.drops(ann, piece(tcp, 4, 0x2000, tcpSegment(1, 22, syn)), "ingress", "security_group")
	l.drops(ann, piece(tcp, 4, 3, make([]byte, 16)), "ingress", "security_group")

	// A later piece that is judged again is judged by its message's own type.
	l.change(bob, func(p *maps.Port) { p.Cut = true })
	l.apply()
	l.passes(ann, bob, piece(icmp, 3, 1<<8, make([]byte, 16)))
}

// TestFirstFragmentForgotten: a datagram whose end does not come leaves nothing.
func TestFirstFragmentForgotten(t *testing.T) {
	l := openTown(t, progs.Config{Second: 50 * time.Millisecond})
	piece := func(frag uint16, l4 []byte) []byte { return ann.frame(bob, header{proto: udp, id: 1, frag: frag}, l4) }
	first, last := piece(0x2000, udpDatagram(1, 5000, 8)), piece(2, make([]byte, 16))
	l.passes(ann, bob, first)
	l.passes(ann, bob, last)
	eventually(t, "the first is forgotten", func() bool { return l.send(ann, last).verdict == shot })
	l.drops(ann, last, "parse", "fragment")
	l.passes(ann, bob, first)
	l.passes(ann, bob, last)
}

// TestHalfOpen: a SYN that nobody answers opens the way for an answer only, and
// its entry goes in the time of a handshake.
func TestHalfOpen(t *testing.T) {
	l := openTown(t, progs.Config{Second: 10 * time.Millisecond})
	l.ingress(ann)
	l.apply()
	l.drops(bob, web.back(syn|ack), "ingress", "security_group")
	l.passes(ann, bob, web.forth(syn))
	l.passes(bob, ann, web.back(syn|ack))
	l.drops(bob, web.back(syn), "ingress", "security_group") // a SYN asks anew
	unanswered := flow{from: ann, to: bob, proto: tcp, sport: 40001, dport: 80}
	l.passes(ann, bob, unanswered.forth(syn))
	eventually(t, "only the answered one is left", func() bool {
		_, err := l.table.Sweep(l.table.Slots())
		l.must(err)
		return l.entries() == 2
	})
	l.passes(ann, bob, web.forth(ack))
	l.drops(bob, unanswered.back(syn|ack), "ingress", "security_group")
}

// TestDHCPAnswerHasNoFlow: who asks a workload for an address is not answered,
// however often and whatever else is judged again between.
func TestDHCPAnswerHasNoFlow(t *testing.T) {
	l := openTown(t, progs.Config{})
	asked := flow{from: ann, to: bob, proto: udp, sport: 68, dport: 67}
	for range 2 {
		l.passes(ann, bob, asked.forth(0))
		l.drops(bob, asked.back(0), "route", "rogue_dhcp")
	}
	l.touch(bob)
	l.apply()
	l.passes(ann, bob, asked.forth(0))
	l.drops(bob, asked.back(0), "route", "rogue_dhcp")
	piece := func(frag uint16, l4 []byte) []byte { return bob.frame(ann, header{proto: udp, id: 1, frag: frag}, l4) }
	l.drops(bob, piece(0x2000, udpDatagram(67, 68, 8)), "route", "rogue_dhcp")
	l.drops(bob, piece(2, make([]byte, 16)), "route", "rogue_dhcp")
}

func TestPingBothWays(t *testing.T) {
	l := openTown(t, progs.Config{})
	back := flow{from: bob, to: ann, proto: icmp, sport: ping.sport}
	l.drops(bob, ping.back(0), "ingress", "security_group")
	l.passes(ann, bob, ping.forth(0))
	l.passes(bob, ann, back.forth(0))
	l.passes(bob, ann, ping.back(0))
	l.passes(ann, bob, back.back(0))
	l.ingress(ann, anything)
	l.apply()
	l.drops(bob, bob.frame(ann, header{proto: icmp}, icmpMessage(echoReply, 0, 99, nil)), "flow", "stray")
}

func TestRelatedErrors(t *testing.T) {
	l := openTown(t, progs.Config{})
	l.egress(bob)
	l.egress(cat)
	l.apply()
	toCat := flow{from: ann, to: cat, proto: udp, sport: 1, dport: 5000}
	for _, f := range []flow{datagram, toCat, ping, web} {
		answer := f.to.frame(f.from, header{proto: icmp}, icmpMessage(unreachable, 3, 0, f.forth(syn)[14:]))
		l.drops(f.to, answer, "flow", "stray")
		l.passes(f.from, f.to, f.forth(syn))
		l.passes(f.to, ann, answer)
	}
	// Nobody else may speak of it, nor send it elsewhere.
	quote := icmpMessage(unreachable, 3, 0, datagram.forth(0)[14:])
	l.drops(cat, cat.frame(ann, header{proto: icmp}, quote), "flow", "stray")
	l.drops(bob, bob.frame(cat, header{proto: icmp}, quote), "flow", "stray")
	wrong := bob.frame(ann, header{proto: icmp}, quote)
	copy(wrong, []byte{2, 9, 9, 9, 9, 9})
	l.drops(bob, wrong, "route", "dst_mac")

	// Nor does it reach who had the address before.
	ann2 := ann
	ann2.addr = second
	l.egress(bob, anything)
	l.apply()
	f := flow{from: ann2, to: bob, proto: udp, sport: 5, dport: 5000}
	l.passes(ann, bob, f.forth(0))
	l.endpoint(vpc, second, cat)
	l.apply()
	l.drops(bob, bob.frame(ann2, header{proto: icmp}, icmpMessage(unreachable, 3, 0, f.forth(0)[14:])), "flow", "stray")
}

// TestSamePorts: both sides may be the first.
func TestSamePorts(t *testing.T) {
	l := openTown(t, progs.Config{Second: time.Millisecond})
	f := flow{from: ann, to: bob, proto: udp, sport: 53, dport: 53}
	l.passes(ann, bob, f.forth(0))
	l.passes(bob, ann, f.reply().forth(0))
	l.passes(ann, bob, f.forth(0))
	if n := l.entries(); n != 2 {
		t.Errorf("%d entries for one pair", n)
	}
	l.swept()
}

func TestSizes(t *testing.T) {
	l := openTown(t, progs.Config{})
	l.passes(ann, bob, ann.frame(bob, header{proto: udp}, udpDatagram(1, 5000, mtu-28)))
	l.drops(ann, append(datagram.forth(0), make([]byte, mtu)...), "parse", "too_big")
	l.handshake(web)
	segment := edit(tcpSegment(web.sport, web.dport, ack), 12, 8<<4)
	whole := ann.frame(bob, header{proto: tcp}, append(segment, make([]byte, 12+2896)...))
	before := l.counters()
	r := l.run(progs.FromENI, packet{index: maps.Slot(ann.slot).Index(), data: whole, gso: mtu - 52})
	l.demand(before, r, sent, counters{"tx 101": 1, "rx 102": 1})
}

func TestOverlappingVPCs(t *testing.T) {
	l := openTown(t, progs.Config{})
	l.passes(ann, bob, datagram.forth(0))
	l.drops(dan, dan.frame(nic{addr: ann.addr, subnet: foreign}, header{proto: udp}, udpDatagram(1, 5000, 0)), "route", "no_endpoint")
	l.drops(dan, ethernet(dan.router, dan.mac(), typeIPv4, ipv4(header{src: dan.addr, dst: cat.addr, proto: udp}, udpDatagram(1, 5000, 0))), "route", "no_endpoint")
}

// TestTimeouts ages flows by hand and asks whether a reply still belongs to
// one: without a flow the sender's groups refuse it.
func TestTimeouts(t *testing.T) {
	other := flow{from: ann, to: bob, proto: 47}
	greAllowed := spec.Rule{Protocol: 47, FromPort: -1, ToPort: -1, Prefix: prefix("10.0.0.0/16")}
	rows := []struct {
		name     string
		f        flow
		answers  int // seen before, each to a packet of its own
		idle     time.Duration
		survives bool
	}{
		{"UDP without an answer", datagram, 0, 29 * time.Second, true},
		{"UDP without an answer, late", datagram, 0, 31 * time.Second, false},
		{"UDP answered once", datagram, 1, 29 * time.Second, true},
		{"UDP answered once, late", datagram, 1, 31 * time.Second, false},
		{"UDP stream", datagram, 2, 179 * time.Second, true},
		{"UDP stream, late", datagram, 2, 181 * time.Second, false},
		{"ping", ping, 1, 29 * time.Second, true},
		{"ping, late", ping, 1, 31 * time.Second, false},
		{"other", other, 1, 599 * time.Second, true},
		{"other, late", other, 1, 601 * time.Second, false},
		{"half open", web, 0, 59 * time.Second, true},
		{"half open, late", web, 0, 61 * time.Second, false},
		{"established", web, 1, 430000 * time.Second, true},
		{"established, late", web, 1, 434000 * time.Second, false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			// Shorter seconds, because nothing can be older than the machine.
			second := time.Second / 10
			if row.idle > time.Hour {
				second = time.Second / 10000
			}
			l := openTown(t, progs.Config{Second: second})
			l.ingress(bob, inTownWeb, inTownUDP, inTownPing, greAllowed)
			l.ingress(ann)
			l.apply()
			l.passes(ann, bob, row.f.forth(syn))
			for n := range row.answers {
				if n > 0 {
					l.passes(ann, bob, row.f.forth(ack))
				}
				l.passes(bob, ann, row.f.back(syn|ack))
			}
			l.age(row.f, row.idle/(time.Second/second))
			if row.survives {
				l.passes(bob, ann, row.f.back(ack))
			} else {
				l.drops(bob, row.f.back(ack), "ingress", "security_group")
			}
		})
	}
}

// age makes both halves look as if nothing had come for d.
func (l *lab) age(f flow, d time.Duration) {
	l.t.Helper()
	back := f.reply().key()
	if f.proto == icmp {
		back.Sport, back.Dport = swapped(f.sport), echoReply
	}
	var ts unix.Timespec
	l.must(unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts))
	for _, k := range []bpf.FlowKey{f.key(), back} {
		var v bpf.Flow
		l.must(l.set.Maps["flows"].Lookup(k, &v))
		v.LastSeen = uint64(ts.Nano() - d.Nanoseconds())
		l.must(l.set.Maps["flows"].Put(k, v))
	}
}
