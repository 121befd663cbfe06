package progs_test

import (
	"strings"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

func synFrom(n nic, port int) flow {
	return flow{from: n, to: bob, proto: tcp, sport: uint16(1000 + port), dport: 80}
}

func (l *lab) account(n nic) (u bpf.FlowUsage) {
	l.t.Helper()
	l.must(l.set.Maps["usage"].Lookup(uint32(n.eni), &u))
	return u
}

// TestHalfOpenAllowance: who opens connections that nobody answers is held at a
// small part of its share, alone, until they are answered, reset or over.
func TestHalfOpenAllowance(t *testing.T) {
	share := int(bpf.HalfOpenAllowance(progs.MinFlowTable))
	l := openTown(t, progs.Config{FlowTable: progs.MinFlowTable})
	l.ingress(bob, anything)
	l.apply()
	for i := range share {
		l.passes(ann, bob, synFrom(ann, i).forth(syn))
	}
	l.passes(ann, bob, synFrom(ann, 0).forth(syn)) // the same once more is no other
	if u := l.account(ann); u.HalfOpen != int32(share) || u.Flows != int32(share) {
		t.Fatalf("%+v, want %d half-open pairs", u, share)
	}
	l.drops(ann, synFrom(ann, share).forth(syn), "flow", "half_open")
	l.passes(ann, bob, datagram.forth(0))
	l.passes(cat, bob, synFrom(cat, 0).forth(syn))

	l.passes(bob, ann, synFrom(ann, 0).back(syn|ack))
	l.passes(bob, ann, synFrom(ann, 0).back(ack))
	l.passes(ann, bob, synFrom(ann, share).forth(syn))
	l.drops(ann, synFrom(ann, share+1).forth(syn), "flow", "half_open")
	l.passes(bob, ann, synFrom(ann, 1).back(rst|ack))
	l.passes(ann, bob, synFrom(ann, share+1).forth(syn))

	for i := 2; i < share+2; i++ {
		l.age(synFrom(ann, i), time.Minute)
	}
	eventually(t, "forgotten connections make room", func() bool {
		return l.send(ann, synFrom(ann, share+2).forth(syn)).verdict == sent
	})
}

// TestWhoOpensPays: a connection that its other side opens anew is that side's.
func TestWhoOpensPays(t *testing.T) {
	l := openTown(t, progs.Config{Second: time.Millisecond})
	l.ingress(ann, anything)
	l.apply()
	f := web
	l.handshake(f)
	if a, b := l.account(ann), l.account(bob); a.Flows != 1 || a.HalfOpen != 0 || b.Flows != 0 {
		t.Fatalf("ann %+v, bob %+v", a, b)
	}
	l.passes(bob, ann, f.back(syn))
	if a, b := l.account(ann), l.account(bob); a.Flows != 0 || b.Flows != 1 || b.HalfOpen != 1 {
		t.Errorf("after bob's SYN: ann %+v, bob %+v", a, b)
	}
	l.passes(ann, bob, f.forth(syn|ack))
	if b := l.account(bob); b.HalfOpen != 0 {
		t.Errorf("answered: bob %+v", b)
	}
	l.passes(ann, bob, f.forth(rst))
	l.swept()
}

// segment is a TCP segment of n data bytes with its numbers.
func (f flow) segment(flags byte, seq, acked uint32, n int) []byte {
	b := append(tcpSegment(f.sport, f.dport, flags), make([]byte, n)...)
	be.PutUint32(b[4:], seq)
	be.PutUint32(b[8:], acked)
	return f.from.frame(f.to, header{proto: tcp}, b)
}

// TestResetsAndEnds: what the receiver would not believe shortens nothing.
func TestResetsAndEnds(t *testing.T) {
	const client, server = 1000, 0xffffff00 // the server's numbers wrap soon
	a := web
	b := a.reply()
	type packet struct {
		from flow
		data []byte
	}
	sends := func(f flow, flags byte, seq, acked uint32, n int) packet {
		return packet{f, f.segment(flags, seq, acked, n)}
	}
	rows := []struct {
		name    string
		packets []packet // after the handshake and 100 bytes each way
		over    bool
	}{
		{"nothing more", nil, false},
		{"reset where the receiver is", []packet{sends(a, rst, client+101, 0, 0)}, true},
		{"reset of the server", []packet{sends(b, rst, server+101, 0, 0)}, true},
		{"reset behind data under way", []packet{sends(a, ack, client+101, server+101, 500), sends(a, rst, client+601, 0, 0)}, true},
		{"reset that answers what arrived", []packet{sends(a, ack, client+101, server+101, 500), sends(b, rst, server+101, 0, 0)}, true},
		{"guessed reset", []packet{sends(a, rst, client+5000, 0, 0)}, false},
		{"guessed reset in the window", []packet{sends(a, rst, client+102, 0, 0)}, false},
		{"old reset", []packet{sends(a, rst, client, 0, 0)}, false},
		{"guessed data, then a reset behind it", []packet{sends(a, ack, client+0x40000000, server+101, 10), sends(a, rst, client+0x4000000a, 0, 0)}, false},
		{"reset, and both go on", []packet{sends(a, rst, client+101, 0, 0), sends(a, ack, client+101, server+101, 1), sends(b, ack, server+101, client+101, 1)}, true},
		{"both ends, and both go on", []packet{sends(a, fin|ack, client+101, server+101, 0), sends(b, fin|ack, server+101, client+102, 0), sends(a, ack, client+102, server+102, 1), sends(b, ack, server+102, client+102, 1)}, true},
		{"one end", []packet{sends(a, fin|ack, client+101, server+101, 0)}, false},
		{"both ends", []packet{sends(a, fin|ack, client+101, server+101, 0), sends(b, fin|ack, server+101, client+102, 0)}, true},
		{"a guessed end", []packet{sends(a, fin|ack, client+0x40000000, server+101, 0), sends(b, fin|ack, server+101, client+101, 0)}, false},
		{"overtaken far, then reset", []packet{
			sends(a, ack, client+101+300000, server+101, 1000), sends(b, ack, server+101, client+301101, 0),
			sends(a, ack, client+301101, server+101, 10), sends(a, ack, client+301111, server+101, 10), sends(a, rst, client+301121, 0, 0),
		}, true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			l := openTown(t, progs.Config{Second: time.Second / 10})
			l.ingress(ann)
			l.apply()
			for _, p := range append([]packet{
				sends(a, syn, client, 0, 0), sends(b, syn|ack, server, client+1, 0), sends(a, ack, client+1, server+1, 100),
				sends(b, ack, server+1, client+101, 100), sends(a, ack, client+101, server+101, 0),
			}, row.packets...) {
				l.passes(p.from.from, p.from.to, p.data)
			}
			l.age(a, 4*time.Second) // forty of the table's seconds
			next := sends(b, ack, server+101, client+101, 1)
			if row.over {
				l.drops(bob, next.data, "ingress", "security_group")
			} else {
				l.passes(bob, ann, next.data)
			}
		})
	}
}

// TestRefusedConnection: a reset instead of an answer ends what never began.
func TestRefusedConnection(t *testing.T) {
	l := openTown(t, progs.Config{Second: time.Second / 10})
	l.ingress(ann)
	l.apply()
	l.passes(ann, bob, web.segment(syn, 5000, 0, 0))
	l.passes(bob, ann, web.reply().segment(rst|ack, 0, 5001, 0))
	l.age(web, 2*time.Second)
	l.drops(bob, web.reply().segment(ack, 1, 5001, 0), "ingress", "security_group")
}

// TestTimeoutsOfAnInterface: a side that has forgotten a flow judges its packet as
// a new one's, the other still knows it; one that does not track it has no say.
func TestTimeoutsOfAnInterface(t *testing.T) {
	anns := spec.Timeouts{TCPEstablished: 60, UDP: 40, UDPStream: 70}
	bobs := spec.Timeouts{TCPEstablished: 100, UDP: 60, UDPStream: 60}
	rows := []struct {
		name      string
		ann, bob  spec.Timeouts
		f         flow
		answers   int
		untracked bool // by ann's groups
		seconds   int
		late      string // what bob's packet is told then
	}{
		{"TCP, the receiver of the answer says", anns, spec.Timeouts{}, web, 1, false, 60, "ingress/security_group"},
		{"TCP, both say", anns, bobs, web, 1, false, 60, "ingress/security_group"},
		{"TCP, its sender says", spec.Timeouts{}, bobs, web, 1, false, 100, "flow/stray"},
		{"TCP, a side that tracks nothing", anns, bobs, web, 1, true, 100, "flow/stray"},
		{"UDP without an answer", anns, bobs, datagram, 0, false, 40, "ingress/security_group"},
		{"UDP without an answer, longer at one side", spec.Timeouts{UDP: 60}, spec.Timeouts{}, datagram, 0, false, 60, "ingress/security_group"},
		{"UDP stream", anns, bobs, datagram, 2, false, 70, "ingress/security_group"},
	}
	for _, row := range rows {
		for _, late := range []bool{false, true} {
			t.Run(row.name, func(t *testing.T) {
				const second = time.Second / 10
				l := openTown(t, progs.Config{Second: second})
				l.change(ann, func(p *maps.Port) { p.Timeouts = row.ann })
				l.change(bob, func(p *maps.Port) { p.Timeouts = row.bob })
				l.egress(ann, spec.Rule{Protocol: spec.AnyProtocol, FromPort: -1, ToPort: -1, Prefix: prefix("10.0.0.0/16")})
				l.ingress(ann)
				if row.untracked {
					l.egress(ann, anything)
					l.ingress(ann, anything)
				}
				l.apply()
				l.passes(ann, bob, row.f.forth(syn))
				for n := range row.answers {
					if n > 0 {
						l.passes(ann, bob, row.f.forth(ack))
					}
					l.passes(bob, ann, row.f.back(syn|ack))
				}
				idle := time.Duration(row.seconds-1) * second
				if late {
					idle += 2 * second
				}
				l.age(row.f, idle)
				if !late {
					l.passes(bob, ann, row.f.back(ack))
					return
				}
				stage, reason, _ := strings.Cut(row.late, "/")
				l.drops(bob, row.f.back(ack), stage, reason)
			})
		}
	}
}

// TestCut: flows outlive a rule unless it is cut, and then only its own.
func TestCut(t *testing.T) {
	const first, secondRule = 0x11, 0x22
	rule := func(id uint32, port int32) spec.Rule {
		return spec.Rule{Protocol: tcp, FromPort: port, ToPort: port, Prefix: prefix("10.0.0.0/16"), ID: id}
	}
	other := flow{from: ann, to: bob, proto: tcp, sport: 40001, dport: 443}
	l := openTown(t, progs.Config{Second: time.Millisecond})
	l.ingress(ann)
	l.ingress(bob, rule(first, 80), rule(secondRule, 443))
	l.apply()
	l.handshake(web)
	l.handshake(other)
	l.ingress(bob)
	l.apply()
	l.passes(ann, bob, web.forth(ack))
	if n, err := l.table.Cut([]uint32{first}); n != 1 || err != nil {
		t.Fatalf("%d pairs cut, %v; want one", n, err)
	}
	l.drops(ann, web.forth(ack), "ingress", "security_group")
	l.drops(bob, web.back(ack), "ingress", "security_group") // it has ended: an answer to nothing
	l.passes(ann, bob, other.forth(ack))
	l.passes(bob, ann, other.back(ack))

	// What was refused has ended: allowed again, it begins again.
	const third = 0x33
	l.ingress(bob, rule(third, 80), rule(secondRule, 443))
	l.apply()
	l.drops(ann, web.forth(ack), "flow", "stray")
	l.handshake(web)

	// Where another rule lets a flow in, it is tracked by that one from now on.
	const fourth = 0x44
	l.ingress(bob, rule(third, 80), rule(fourth, 443))
	l.apply()
	if n, err := l.table.Cut([]uint32{secondRule}); n != 1 || err != nil {
		t.Fatalf("%d pairs cut, %v; want one", n, err)
	}
	l.passes(bob, ann, other.back(ack))
	l.passes(ann, bob, other.forth(ack))
	if n, err := l.table.Cut([]uint32{secondRule}); n != 0 || err != nil {
		t.Errorf("%d pairs are cut once more, %v", n, err)
	}
	l.ingress(bob)
	l.apply()
	l.passes(ann, bob, web.forth(ack))

	// Many rules at once, the wanted one last.
	many := make([]uint32, 3*bpf.CutRules)
	for i := range many {
		many[i] = uint32(1000 + i)
	}
	if n, err := l.table.Cut(append(many, third)); n != 1 || err != nil {
		t.Errorf("%d pairs cut, %v; want one", n, err)
	}
	l.drops(ann, web.forth(ack), "ingress", "security_group")
}

// TestNobodyTakesRepliesAway: who may send with any source address cannot turn
// the answers of somebody else's flow to itself.
func TestNobodyTakesRepliesAway(t *testing.T) {
	l := openTown(t, progs.Config{})
	l.ingress(bob, anything)
	l.ingress(ann)
	l.change(cat, func(p *maps.Port) { p.SourceDestCheck = false })
	l.apply()
	l.passes(ann, bob, datagram.forth(0))
	l.passes(bob, ann, datagram.back(0))
	forged := ethernet(cat.router, cat.mac(), typeIPv4, ipv4(header{src: ann.addr, dst: bob.addr, proto: udp}, udpDatagram(datagram.sport, datagram.dport, 0)))
	l.passes(cat, bob, forged)
	l.passes(bob, ann, datagram.back(0))
	l.passes(ann, bob, datagram.forth(0))
}
