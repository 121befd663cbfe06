package progs_test

import (
	"cmp"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// The reference says what AWS's user guide says of security groups and network
// ACLs, rule after rule, for reading. It knows nothing of how rules are compiled.

// asked is what a rule is asked about one packet.
type asked struct {
	proto      int16
	port, code int // destination port; ICMP: type and code
	syn        bool
	remote     netip.Addr
	groups     []spec.Group // of the interface that has the remote address
}

func (q asked) from(a netip.Addr, groups []spec.Group) asked {
	q.remote, q.groups = a, groups
	return q
}

func matches(r spec.Rule, q asked) bool {
	if r.Protocol != -1 && r.Protocol != q.proto {
		return false
	}
	switch r.Protocol {
	case tcp, udp:
		if q.port < int(r.FromPort) || q.port > int(r.ToPort) {
			return false
		}
	case icmp:
		if r.FromPort != -1 && q.port != int(r.FromPort) || r.ToPort != -1 && q.code != int(r.ToPort) {
			return false
		}
	}
	if r.Group != 0 {
		return slices.Contains(q.groups, r.Group)
	}
	return r.Prefix.Contains(q.remote)
}

// allows: security groups let a packet pass if any rule of any of them does.
func allows(rules []spec.Rule, q asked) bool {
	return slices.ContainsFunc(rules, func(r spec.Rule) bool { return matches(r, q) })
}

// numbered: a network ACL's rules are asked from the lowest number on, the first
// that matches decides, and what none matches is denied.
func numbered(rules []spec.Rule, q asked) (number uint32, allowed bool) {
	rules = slices.SortedFunc(slices.Values(rules), func(a, b spec.Rule) int { return cmp.Compare(a.ID, b.ID) })
	i := slices.IndexFunc(rules, func(r spec.Rule) bool { return matches(r, q) })
	if i < 0 {
		return 0, false
	}
	return rules[i].ID, !rules[i].Deny
}

// tracks: a TCP or UDP flow is untracked if a rule admits it from everywhere and
// the other direction admits all replies to everywhere on all ports.
func tracks(forth, back []spec.Rule, q asked) bool {
	if q.proto != tcp && q.proto != udp {
		return true
	}
	everywhere := func(r spec.Rule) bool { return r.Group == 0 && r.Prefix.Bits() == 0 }
	admitted := slices.ContainsFunc(forth, func(r spec.Rule) bool { return everywhere(r) && matches(r, q) })
	replies := slices.ContainsFunc(back, func(r spec.Rule) bool {
		return everywhere(r) && (r.Protocol == -1 || r.Protocol == q.proto && r.FromPort == 0 && r.ToPort == 65535)
	})
	return !admitted || !replies
}

// policy is the rules of one interface and of its subnet's ACL.
type policy struct{ egress, ingress, aclOut, aclIn []spec.Rule }

// crossing says what two ACLs say at the edge between two subnets: the stage
// that refuses, or none.
func crossing(from, to policy, out, in asked) string {
	if _, ok := numbered(from.aclOut, out); !ok {
		return "nacl_out/network_acl"
	}
	if _, ok := numbered(to.aclIn, in); !ok {
		return "nacl_in/network_acl"
	}
	return ""
}

// begins is the fate of a packet of no known flow: where it is dropped, or "".
func begins(from, to policy, cross bool, out, in asked) string {
	if !allows(from.egress, out) {
		return "egress/security_group"
	}
	if cross {
		if where := crossing(from, to, out, in); where != "" {
			return where
		}
	}
	if !allows(to.ingress, in) {
		return "ingress/security_group"
	}
	tracked := tracks(from.egress, from.ingress, out) || tracks(to.ingress, to.egress, in)
	if out.proto == tcp && !out.syn && tracked {
		return "flow/stray"
	}
	return ""
}

// people is the town with random rules and groups.
type people struct {
	*lab
	dice
	policies map[spec.ENI]policy
	groups   map[spec.ENI][]spec.Group
}

func (p *people) shuffle() {
	p.policies, p.groups = map[spec.ENI]policy{}, map[spec.ENI][]spec.Group{}
	clear(p.sets)
	for _, n := range []nic{dan, ann, bob, cat} {
		p.groups[n.eni] = p.dice.groups()
		// Neighbours share their subnet's ACL, which they do not meet.
		x := policy{p.dice.rules(), p.dice.rules(), p.dice.acl(), p.dice.acl()}
		p.policies[n.eni] = x
		p.lab.egress(n, x.egress...)
		p.lab.ingress(n, x.ingress...)
		p.aclOut(n, x.aclOut...)
		p.aclIn(n, x.aclIn...)
		if n.eni != dan.eni {
			p.endpoint(vpc, n.addr, n, p.groups[n.eni]...)
		}
	}
	p.endpoint(vpc, second, ann, p.groups[ann.eni]...)
	p.apply()
}

// rounds are how often the rules change, for so many packets each.
func rounds(packets int) int {
	total := 100000
	switch {
	case testing.Short():
		total = 10000
	case os.Getenv("VPC_SOAK") != "":
		total = 1000000
	}
	return total / packets
}

// TestRulesAgainstReference sends packets through the compiled rules and the
// reference: no difference in verdict, in who refused, or in which rule did.
func TestRulesAgainstReference(t *testing.T) {
	const packets = 200
	// Flows expire at once: each packet is judged by the rules alone.
	p := people{lab: openTown(t, progs.Config{Second: time.Microsecond}), dice: dice{rand.New(rand.NewPCG(seed(t), 1))}}
	s := p.shooter()
	fates := map[string]int{}
	for round := range rounds(packets) {
		p.shuffle()
		p.forgetPortless()
		if round%8 == 0 { // ann may have so many SYNs without an answer
			_, err := p.table.Sweep(p.table.Slots())
			p.must(err)
		}
		before, want := p.counters(), counters{}
		for i := range packets {
			to := []nic{bob, cat}[p.IntN(2)]
			from := ann
			if p.IntN(3) == 0 {
				from.addr = second
			}
			q := asked{proto: p.proto()}
			frame := p.packet(&q, from, to, uint16(round*packets+i))
			out, in := q.from(to.addr, p.groups[to.eni]), q.from(from.addr, p.groups[ann.eni])
			a, b := p.policies[ann.eni], p.policies[to.eni]
			where, verdict := begins(a, b, to.eni == cat.eni, out, in), uint32(sent)
			fates[where]++
			if where != "" {
				verdict = shot
				want["drop 101 "+where]++
			} else {
				want["tx 101"]++
				want["rx "+text(to.eni)]++
			}
			if got, err := s.send(ann, frame); err != nil || got != verdict {
				t.Fatalf("round %d: %+v to %s: verdict %d, want %d %s, %v\nann %v\nreceiver %v", round, q, to.addr, got, verdict, where, err, a, b)
			}
			if where == "" && i%8 == 0 && (q.proto == tcp || q.proto == udp) {
				p.named(flow{from: from, to: to, proto: uint8(q.proto), sport: uint16(round*packets + i), dport: uint16(q.port)}, out, in)
			}
		}
		if moved := p.counters().minus(before); moved.String() != want.String() {
			t.Fatalf("round %d: counters [%s], want [%s]", round, moved, want)
		}
	}
	t.Logf("%v", fates)
	for _, where := range []string{"", "egress/security_group", "nacl_out/network_acl", "nacl_in/network_acl", "ingress/security_group", "flow/stray"} {
		if fates[where] < 20 {
			t.Errorf("only %d packets with fate %q: this shows little", fates[where], where)
		}
	}
}

// named compares the rules that a flow entry names: any that admitted it, and
// one for the whole world if such a one did; of an ACL exactly the first.
func (p *people) named(f flow, out, in asked) {
	p.t.Helper()
	e, a, b := p.entry(f), p.policies[f.from.eni], p.policies[f.to.eni]
	for _, side := range []struct {
		rules []spec.Rule
		q     asked
		id    uint32
	}{{a.egress, out, e.OwnRule}, {b.ingress, in, e.PeerRule}} {
		world := slices.ContainsFunc(side.rules, func(r spec.Rule) bool { return r.Any() && matches(r, side.q) })
		if !slices.ContainsFunc(side.rules, func(r spec.Rule) bool { return r.ID == side.id && matches(r, side.q) && r.Any() == world }) {
			p.t.Errorf("%+v: rule %08x is named, of %v", side.q, side.id, side.rules)
		}
	}
	first, _ := numbered(a.aclOut, out)
	last, _ := numbered(b.aclIn, in)
	if f.to.eni != cat.eni {
		first, last = 0, 0
	}
	if uint32(e.AclOut) != first || uint32(e.AclIn) != last {
		p.t.Errorf("%+v: ACL rules %d and %d are named, want %d and %d", out, e.AclOut, e.AclIn, first, last)
	}
}

// TestRepliesAgainstReference: what comes back is let through by groups, as
// their flow, and judged by ACLs, as any packet.
func TestRepliesAgainstReference(t *testing.T) {
	const packets, most = 20, 1500 // pairs; all of them stay below half of an allowance
	p := people{lab: openTown(t, progs.Config{FlowTable: progs.DefaultFlowTable}), dice: dice{rand.New(rand.NewPCG(seed(t), 4))}}
	fates, open := map[string]int{}, 0
	for round := 0; round < min(rounds(packets), 3000) && open < most; round++ { // one source port each
		p.shuffle()
		a := p.policies[ann.eni]
		for i := range packets {
			f := flow{from: ann, to: []nic{bob, cat}[p.IntN(2)], proto: []uint8{tcp, udp}[p.IntN(2)], sport: uint16(round*packets + i), dport: uint16(p.port())}
			q := asked{proto: int16(f.proto), port: int(f.dport), syn: true}
			cross, b := f.to.eni == cat.eni, p.policies[f.to.eni]
			where := begins(a, b, cross, q.from(f.to.addr, p.groups[f.to.eni]), q.from(ann.addr, p.groups[ann.eni]))
			if got := p.send(ann, f.forth(syn)).verdict; (got == sent) != (where == "") {
				t.Fatalf("round %d: %+v: verdict %d, want it dropped at %q", round, f, got, where)
			}
			if where != "" {
				continue
			}
			open++
			q.port = int(f.sport)
			if cross {
				where = crossing(b, a, q.from(ann.addr, nil), q.from(f.to.addr, nil))
			}
			fates[where]++
			for range 2 {
				before, want := p.counters(), counters{"tx " + text(f.to.eni): 1, "rx 101": 1}
				if where != "" {
					want = counters{"drop " + text(f.to.eni) + " " + where: 1}
				}
				p.send(f.to, f.back(syn|ack))
				if moved := p.counters().minus(before); moved.String() != want.String() {
					t.Fatalf("round %d: the reply to %+v: counters [%s], want [%s]\nann %v\nreceiver %v", round, f, moved, want, a, b)
				}
			}
		}
	}
	t.Logf("%d pairs, replies: %v", open, fates)
	if testing.Short() {
		return
	}
	if fates[""] == 0 || fates["nacl_out/network_acl"] == 0 || fates["nacl_in/network_acl"] == 0 {
		t.Errorf("replies: %v: this shows little", fates)
	}
}
