package progs_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// Hosts of the world near what random rules are about. What one of them is asked
// answers nothing that the other has sent.
var (
	asksUs  = nic{addr: addr("192.0.2.9")}
	weAsk   = nic{addr: addr("192.0.2.1")}
	through = nic{addr: addr("192.0.2.65")} // routed to cat
)

// leaving is the fate of a packet for the world: its sender's rules are all there
// are.
func leaving(from policy, q asked) string {
	if !allows(from.egress, q) {
		return "egress/security_group"
	}
	if _, ok := numbered(from.aclOut, q); !ok {
		return "nacl_out/network_acl"
	}
	return untracked(q, tracks(from.egress, from.ingress, q))
}

// entering is that of a packet from there.
func entering(to policy, q asked) string {
	if _, ok := numbered(to.aclIn, q); !ok {
		return "nacl_in/network_acl"
	}
	if !allows(to.ingress, q) {
		return "ingress/security_group"
	}
	return untracked(q, tracks(to.ingress, to.egress, q))
}

// untracked is what may begin with any segment.
func untracked(q asked, tracked bool) string {
	if q.proto == tcp && !q.syn && tracked {
		return "flow/stray"
	}
	return ""
}

// beyond sends one packet out of the VPC, into it, or through an interface.
func (p *people) beyond(serial uint16) (from, to nic, frame []byte, where string) {
	q, a, b := asked{proto: p.proto()}, p.policies[ann.eni], p.policies[cat.eni]
	switch p.IntN(3) {
	case 0:
		frame = p.packet(&q, ann, weAsk, serial)
		return ann, gate, frame, leaving(a, q.from(weAsk.addr, nil))
	case 1:
		frame = p.packet(&q, asksUs, nic{addr: annPublic}, serial)
		return gate, ann, frame, entering(a, q.from(asksUs.addr, nil))
	}
	frame = p.packet(&q, ann, through, serial)
	return ann, cat, frame, begins(a, b, true, q.from(through.addr, nil), q.from(ann.addr, p.groups[ann.eni]))
}

// TestBeyondAgainstReference is TestRulesAgainstReference for what leaves the VPC,
// enters it, or is routed through an interface: who is beyond has no rules, and no
// group knows it.
func TestBeyondAgainstReference(t *testing.T) {
	const packets = 200
	p := people{lab: openGate(t, progs.Config{Second: time.Microsecond}), dice: dice{rand.New(rand.NewPCG(seed(t), 5))}}
	p.route("192.0.2.64/26", spec.Route{Target: spec.Interface, Via: cat.addr})
	s := p.shooter()
	fates := map[string]int{}
	for round := range rounds(packets) {
		p.shuffle()
		p.change(cat, func(port *maps.Port) { port.SourceDestCheck = false })
		p.public(annPublic, ann)
		p.apply()
		p.forgetPortless()
		if round%8 == 0 { // ann may have so many SYNs without an answer
			_, err := p.table.Sweep(p.table.Slots())
			p.must(err)
		}
		before, want := p.counters(), counters{}
		for i := range packets {
			from, to, frame, where := p.beyond(uint16(round*packets + i))
			verdict := uint32(sent)
			fates[text(from.eni)+" "+where]++
			if where != "" {
				verdict = shot
				at := from
				if from == gate { // what is not let in is counted at who is visited
					at = to
				}
				want["drop "+text(at.eni)+" "+where]++
			} else {
				want["tx "+text(from.eni)]++
				want["rx "+text(to.eni)]++
			}
			if got, err := s.send(from, frame); err != nil || got != verdict {
				t.Fatalf("round %d: %x from %d to %d: verdict %d, want %d %s, %v\nann %v\ncat %v", round, frame, from.eni, to.eni, got, verdict, where, err, p.policies[ann.eni], p.policies[cat.eni])
			}
		}
		if moved := p.counters().minus(before); moved.String() != want.String() {
			t.Fatalf("round %d: counters [%s], want [%s]", round, moved, want)
		}
	}
	t.Logf("%v", fates)
	if testing.Short() {
		return
	}
	for _, where := range []string{"101 ", "101 egress/security_group", "101 nacl_out/network_acl", "101 nacl_in/network_acl", "101 ingress/security_group", "101 flow/stray",
		text(gate.eni) + " ", text(gate.eni) + " nacl_in/network_acl", text(gate.eni) + " ingress/security_group"} {
		if fates[where] < 20 {
			t.Errorf("only %d packets with fate %q: this shows little", fates[where], where)
		}
	}
}
