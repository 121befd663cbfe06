package progs_test

import (
	"testing"
	"time"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// withSecond are ann, or cat, under the address that moves from one to the other.
func withSecond(n nic) nic {
	n.addr = second
	return n
}

// annsAddress is what cat sends as ann.
func annsAddress(f flow, l4 []byte) []byte {
	return ethernet(cat.router, cat.mac(), typeIPv4, ipv4(header{src: ann.addr, dst: bob.addr, proto: f.proto}, l4))
}

// TestHalvesThatLostTheirPartner: whoever a flow's other end is given to, the
// former half goes, too, and nobody stays charged.
func TestHalvesThatLostTheirPartner(t *testing.T) {
	addressMoves := func(l *lab) {
		l.endpoint(vpc, second, cat)
		l.touch(ann)
		l.apply()
	}
	for name, story := range map[string]func(*lab){
		"answers go to the owner of a borrowed address": func(l *lab) {
			l.change(cat, func(p *maps.Port) { p.SourceDestCheck = false })
			l.apply()
			l.passes(cat, bob, annsAddress(datagram, udpDatagram(datagram.sport, datagram.dport, 0)))
			l.passes(bob, ann, datagram.back(0))
		},
		"the opener's address moves, and is answered there": func(l *lab) {
			l.passes(ann, bob, flow{from: withSecond(ann), to: bob, proto: udp, sport: 10, dport: 9}.forth(0))
			addressMoves(l)
			l.passes(bob, cat, ethernet(bob.router, bob.mac(), typeIPv4, ipv4(header{src: bob.addr, dst: second, proto: udp}, udpDatagram(9, 10, 4))))
		},
		"the new owner of an address speaks first": func(l *lab) {
			l.passes(bob, ann, flow{from: bob, to: withSecond(ann), proto: udp, sport: 9, dport: 10}.forth(0))
			addressMoves(l)
			l.passes(cat, bob, flow{from: withSecond(cat), to: bob, proto: udp, sport: 10, dport: 9}.forth(0))
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := openTown(t, progs.Config{Second: time.Millisecond})
			l.ingress(ann, anything)
			l.ingress(cat, anything)
			l.apply()
			story(l)
			l.swept()
		})
	}
}

// TestAForgedFlowEndsNobodyElses: a flow under somebody's address, of an
// interface that soon forgets, takes nothing along when it goes.
func TestAForgedFlowEndsNobodyElses(t *testing.T) {
	const second = time.Second / 10
	for _, victim := range []flow{web, datagram} {
		l := openTown(t, progs.Config{Second: second})
		l.ingress(ann)
		l.ingress(cat)
		l.change(cat, func(p *maps.Port) {
			p.SourceDestCheck = false
			p.Timeouts = spec.Timeouts{TCPEstablished: 60}
		})
		l.apply()
		for range 2 { // UDP is a stream then
			l.handshake(victim)
			l.passes(bob, ann, victim.back(ack))
		}
		l.passes(cat, bob, annsAddress(victim, victim.forth(syn)[34:]))
		forged := victim.key()
		forged.Eni = uint32(cat.eni)
		var v bpf.Flow
		l.must(l.set.Maps["flows"].Lookup(forged, &v))
		v.LastSeen -= uint64(70 * second)
		l.must(l.set.Maps["flows"].Put(forged, v))
		l.age(victim, 70*second)
		for range 2 {
			_, err := l.table.Sweep(l.table.Slots())
			l.must(err)
		}
		l.passes(bob, ann, victim.back(ack))
		l.passes(ann, bob, victim.forth(ack))
	}
}

// TestTheTableIsNeverFull: interfaces that take all they get leave room for one
// that comes late, and what they have stays.
func TestTheTableIsNeverFull(t *testing.T) {
	l := openTown(t, progs.Config{FlowTable: progs.MinFlowTable})
	greedy := []nic{ann, bob}
	dest := map[spec.ENI]nic{ann.eni: bob, bob.eni: ann}
	l.ingress(ann, anything)
	l.ingress(bob, anything)
	l.ingress(cat, anything)
	var m bpf.HostState
	// As if sixty others had the rest.
	l.must(l.set.Maps["meta"].Lookup(uint32(0), &m))
	m.Live = 2 * uint64(bpf.FlowPairs(progs.MinFlowTable)-40)
	l.must(l.set.Maps["meta"].Put(uint32(0), m))
	l.apply()
	for i := range 100 {
		for _, n := range greedy {
			l.send(n, flow{from: n, to: dest[n.eni], proto: udp, sport: uint16(1000 + i), dport: 53}.forth(0))
		}
	}
	a, b := l.usage(ann), l.usage(bob)
	if a < 5 || b < 5 || a+b > 40 {
		t.Fatalf("ann has %d and bob %d of 40 pairs", a, b)
	}
	for i := range 5 {
		l.passes(cat, bob, flow{from: cat, to: bob, proto: udp, sport: uint16(i + 1), dport: 53}.forth(0))
	}
	l.passes(ann, bob, flow{from: ann, to: bob, proto: udp, sport: 1000, dport: 53}.forth(0))
	l.ingress(bob, inTownUDP)
	l.apply()
	l.drops(ann, datagram.forth(0), "flow", "allowance")
}

// TestUntrackedNeedsNoRoom: what nobody tracks is judged by the rules alone, so a
// full account does not stop it: it has no entry then.
func TestUntrackedNeedsNoRoom(t *testing.T) {
	const allowance = progs.MinFlowTable / 8
	l := openTown(t, progs.Config{FlowTable: progs.MinFlowTable})
	f := datagram
	for i := range uint16(allowance) {
		f.sport = 1000 + i
		l.passes(ann, bob, f.forth(0))
	}
	f.sport = 999
	l.drops(ann, f.forth(0), "flow", "allowance")
	for _, n := range []nic{ann, bob} {
		l.ingress(n, anything)
	}
	l.apply()
	before := l.entries()
	for range 3 {
		l.passes(ann, bob, f.forth(0))
		l.passes(bob, ann, f.back(0))
	}
	// The answer's half is bob's own account, which has room.
	if n := l.entries() - before; n != 2 {
		t.Errorf("%d entries more, want bob's pair", n)
	}
	l.ingress(bob, inTownUDP)
	l.apply()
	f.sport = 998
	l.drops(ann, f.forth(0), "flow", "allowance")
}
