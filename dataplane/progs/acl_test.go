package progs_test

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/flows"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// aclRule allows a protocol's destination ports, for ICMP type and code.
func aclRule(number uint32, proto int16, from, to int32, remote string) spec.Rule {
	return spec.Rule{ID: number, Protocol: proto, FromPort: from, ToPort: to, Prefix: prefix(remote)}
}

func denied(r spec.Rule) spec.Rule {
	r.Deny = true
	return r
}

const (
	overThere = "10.0.2.0/24" // cat's subnet
	overHere  = "10.0.1.0/24" // ann's and bob's
)

// toCat is a connection across the router.
var toCat = flow{from: ann, to: cat, proto: tcp, sport: 40000, dport: 80}

// ruled is the number of the rule that the only drop of a stage names.
func (l *lab) ruled(stage string) uint32 {
	l.t.Helper()
	drops, err := l.table.Drops()
	l.must(err)
	rule, found := uint32(0), 0
	for _, d := range drops {
		if d.Stage == stage {
			rule, found = d.Rule, found+1
		}
	}
	if found != 1 {
		l.t.Errorf("%d counters of stage %s, want 1: %+v", found, stage, drops)
	}
	return rule
}

// TestACLAtTheEdgeOnly: within the subnet nobody asks its ACL, at its edge
// everybody does, and what it does not mention stays outside.
func TestACLAtTheEdgeOnly(t *testing.T) {
	for _, closed := range []struct {
		name  string
		who   nic
		acl   func(*lab, nic, ...spec.Rule)
		stage string
	}{
		{"out of the sender's subnet", ann, (*lab).aclOut, "nacl_out"},
		{"into the receiver's subnet", cat, (*lab).aclIn, "nacl_in"},
	} {
		for _, row := range []struct {
			rules []spec.Rule
			want  uint32
		}{{nil, 0}, {[]spec.Rule{denyRest}, 32767}, {[]spec.Rule{allowAll, denied(aclRule(99, tcp, 80, 80, "10.0.0.0/16"))}, 99}} {
			t.Run(closed.name, func(t *testing.T) {
				l := openTown(t, progs.Config{})
				closed.acl(l, closed.who, row.rules...)
				l.apply()
				l.passes(ann, bob, web.forth(syn))
				for range 2 { // judged, and remembered
					l.drops(ann, toCat.forth(syn), closed.stage, "network_acl")
				}
				if got := l.ruled(closed.stage); got != row.want {
					t.Errorf("rule %d is named, want %d", got, row.want)
				}
				if live := l.liveFlows(); len(live) != 2 {
					t.Errorf("%d live halves, want bob's pair alone", len(live))
				}
			})
		}
	}
}

// TestACLOrder: the lowest number wins, whatever comes later.
func TestACLOrder(t *testing.T) {
	allow, refuse := aclRule(100, tcp, 80, 80, overHere), denied(aclRule(90, tcp, 0, 1023, "10.0.1.10/32"))
	l := openTown(t, progs.Config{})
	l.aclIn(cat, allow, refuse, denyRest)
	l.apply()
	l.drops(ann, toCat.forth(syn), "nacl_in", "network_acl")
	if got := l.ruled("nacl_in"); got != 90 {
		t.Errorf("rule %d decided", got)
	}
	refuse.ID = 110
	l.aclIn(cat, allow, refuse, denyRest)
	l.apply()
	l.passes(ann, cat, toCat.forth(syn))
	if e := l.entry(toCat); e.AclOut != 100 || e.AclIn != 100 {
		t.Errorf("the entry names rules %d and %d, want 100 twice", e.AclOut, e.AclIn)
	}
}

// TestACLBetweenTheGroups: the sender's groups come before the ACL on the way
// out, the receiver's after the one on the way in.
func TestACLBetweenTheGroups(t *testing.T) {
	l := openTown(t, progs.Config{})
	l.egress(ann)
	l.aclOut(ann)
	l.aclIn(cat)
	l.ingress(cat)
	l.apply()
	l.drops(ann, toCat.forth(syn), "egress", "security_group")
	l.egress(ann, anything)
	l.apply()
	l.drops(ann, toCat.forth(syn), "nacl_out", "network_acl")
	l.aclOut(ann, allowAll)
	l.apply()
	l.drops(ann, toCat.forth(syn), "nacl_in", "network_acl")
	l.aclIn(cat, allowAll)
	l.apply()
	l.drops(ann, toCat.forth(syn), "ingress", "security_group")
	l.ingress(cat, inTownWeb)
	l.apply()
	l.passes(ann, cat, toCat.forth(syn))
}

// TestACLIsStateless: a reply is judged like any packet, also of a connection
// that groups keep; without a rule for its ports it does not come back.
func TestACLIsStateless(t *testing.T) {
	ephemeral := aclRule(110, tcp, 32768, 61000, overHere)
	l := openTown(t, progs.Config{})
	l.aclIn(cat, aclRule(100, tcp, 80, 80, overHere), denyRest)
	l.aclOut(cat, denyRest)
	l.apply()
	l.passes(ann, cat, toCat.forth(syn))
	l.drops(cat, toCat.back(syn|ack), "nacl_out", "network_acl")
	l.drops(cat, toCat.back(syn|ack), "nacl_out", "network_acl")
	l.aclOut(cat, ephemeral, denyRest)
	l.apply()
	l.passes(cat, ann, toCat.back(syn|ack))
	l.passes(ann, cat, toCat.forth(ack))
	l.passes(cat, ann, toCat.back(ack))

	// The other end's ACL counts as well.
	l.aclIn(ann, denyRest)
	l.apply()
	l.drops(cat, toCat.back(ack), "nacl_in", "network_acl")
	l.passes(ann, cat, toCat.forth(ack))
	if e := l.entry(toCat.reply()); e.Packets != 2 {
		t.Errorf("%d replies are counted, 2 passed", e.Packets)
	}
}

// TestACLCutsLiveFlows: a changed ACL acts on the next packet of a connection
// that groups would keep, and so does its change back.
func TestACLCutsLiveFlows(t *testing.T) {
	l := openTown(t, progs.Config{})
	l.handshake(toCat)
	l.ingress(cat)
	l.apply()
	l.passes(ann, cat, toCat.forth(ack)) // tracked
	for range 2 {
		l.aclIn(cat, denied(aclRule(90, tcp, 80, 80, "10.0.1.10/32")), allowAll)
		l.apply()
		l.drops(ann, toCat.forth(ack), "nacl_in", "network_acl")
		l.passes(cat, ann, toCat.back(ack))
		l.aclIn(cat, allowAll, denyRest)
		l.apply()
		l.passes(ann, cat, toCat.forth(ack))
		l.passes(cat, ann, toCat.back(ack))
	}
}

// TestACLMatches shows what a rule can say of a packet: each row is the only
// rule that allows.
func TestACLMatches(t *testing.T) {
	icmpFrame := func(kind, code byte) []byte {
		return ann.frame(cat, header{proto: icmp}, icmpMessage(kind, code, 3, make([]byte, 12)))
	}
	other := func(proto uint8) []byte { return ann.frame(cat, header{proto: proto}, make([]byte, 8)) }
	for _, row := range []struct {
		name      string
		rule      spec.Rule
		yes, nope []byte
	}{
		{"type and code", aclRule(1, icmp, 13, 0, overHere), icmpFrame(13, 0), icmpFrame(13, 1)},
		{"type, any code", aclRule(1, icmp, 13, -1, overHere), icmpFrame(13, 5), icmpFrame(15, 5)},
		{"all of ICMP", aclRule(1, icmp, -1, -1, overHere), icmpFrame(17, 9), toCat.forth(syn)},
		{"a protocol", aclRule(1, 47, -1, -1, overHere), other(47), other(48)},
		{"protocol 0", aclRule(1, 0, -1, -1, overHere), other(0), other(255)},
		{"the last protocol", aclRule(1, 255, -1, -1, overHere), other(255), other(254)},
		{"the first port", aclRule(1, tcp, 80, 90, overHere), toCat.forth(syn), flow{from: ann, to: cat, proto: tcp, sport: 1, dport: 79}.forth(syn)},
		{"the last port", aclRule(1, tcp, 70, 80, overHere), toCat.forth(syn), flow{from: ann, to: cat, proto: tcp, sport: 1, dport: 81}.forth(syn)},
		{"not another's port", aclRule(1, udp, 80, 80, overHere), flow{from: ann, to: cat, proto: udp, sport: 1, dport: 80}.forth(0), toCat.forth(syn)},
		{"one address", aclRule(1, -1, -1, -1, "10.0.1.10/32"), toCat.forth(syn),
			ethernet(ann.router, ann.mac(), typeIPv4, ipv4(header{src: second, dst: cat.addr, proto: tcp}, tcpSegment(1, 80, syn)))},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := openTown(t, progs.Config{})
			l.ingress(cat, anything)
			l.aclIn(cat, row.rule, denyRest)
			l.apply()
			l.passes(ann, cat, row.yes)
			l.drops(ann, row.nope, "nacl_in", "network_acl")
		})
	}
}

// TestACLAndErrors: an ICMP error belongs to its flow for groups, but crosses an
// edge only where the ACL lets ICMP pass.
func TestACLAndErrors(t *testing.T) {
	l := openTown(t, progs.Config{})
	l.passes(ann, cat, toCat.forth(syn))
	answer := cat.frame(ann, header{proto: icmp}, icmpMessage(unreachable, 4, 0, toCat.forth(syn)[14:]))
	l.passes(cat, ann, answer)
	l.aclOut(cat, aclRule(100, tcp, 0, 65535, "0.0.0.0/0"), denyRest)
	l.apply()
	l.drops(cat, answer, "nacl_out", "network_acl")
	l.aclOut(cat, aclRule(100, icmp, unreachable, 4, "0.0.0.0/0"), denyRest)
	l.apply()
	l.passes(cat, ann, answer)
}

// TestRefusalsAreRemembered: the second packet of a refused tuple costs no walk,
// and what changes on either side is seen at once all the same.
func TestRefusalsAreRemembered(t *testing.T) {
	l := openTown(t, progs.Config{})
	ssh := flow{from: ann, to: bob, proto: tcp, sport: 40000, dport: 22}
	l.drops(ann, ssh.forth(syn), "ingress", "security_group")
	// Without the lists only what is remembered can be said again.
	for id := range l.sets {
		l.must(l.lists.Delete(ctx, id))
	}
	l.drops(ann, ssh.forth(syn), "ingress", "security_group")
	ssh.sport++
	l.drops(ann, ssh.forth(syn), "egress", "security_group")
}

// TestRefusalsOfAFlowsPackets: what a new connection is told is not what the
// packets of a live one on the same tuple are told.
func TestRefusalsOfAFlowsPackets(t *testing.T) {
	l := openTown(t, progs.Config{})
	l.handshake(web)
	l.ingress(bob)
	l.apply()
	for range 2 {
		l.drops(ann, web.forth(syn), "ingress", "security_group")
		l.touch(ann) // the live flow is judged again
		l.apply()
		l.drops(ann, web.forth(syn), "ingress", "security_group")
		l.passes(ann, bob, web.forth(ack))
	}
	// Nor is one ICMP code another.
	codes := func(code byte) []byte {
		return ann.frame(bob, header{proto: icmp}, icmpMessage(13, code, 9, make([]byte, 12)))
	}
	l.ingress(bob, spec.Rule{Protocol: icmp, FromPort: 13, ToPort: 2, Prefix: prefix("10.0.0.0/16")})
	l.apply()
	l.drops(ann, codes(1), "ingress", "security_group")
	l.passes(ann, bob, codes(2))
}

// TestRefusalsAreEachPortsOwn: one port's flood forgets nothing of another's.
func TestRefusalsAreEachPortsOwn(t *testing.T) {
	l := openTown(t, progs.Config{})
	ssh := flow{from: cat, to: bob, proto: tcp, sport: 40000, dport: 22}
	l.drops(cat, ssh.forth(syn), "ingress", "security_group")
	s := l.shooter()
	for i := range 5000 {
		flood := flow{from: ann, to: bob, proto: tcp, sport: uint16(i), dport: 22}
		if verdict, err := s.send(ann, flood.forth(syn)); err != nil || verdict != shot {
			t.Fatalf("verdict %d, %v", verdict, err)
		}
	}
	for id := range l.sets {
		l.must(l.lists.Delete(ctx, id))
	}
	l.drops(cat, ssh.forth(syn), "ingress", "security_group")
}

// TestFragmentsAreEachPortsOwn: the same for the ports of fragmented packets.
func TestFragmentsAreEachPortsOwn(t *testing.T) {
	l := openTown(t, progs.Config{})
	piece := func(n nic, id, frag uint16, l4 []byte) []byte {
		return n.frame(bob, header{proto: udp, id: id, frag: frag}, l4)
	}
	l.passes(cat, bob, piece(cat, 7, 0x2000, udpDatagram(1, 5000, 8)))
	s := l.shooter()
	for id := range 5000 {
		if verdict, err := s.send(ann, piece(ann, uint16(id), 0x2000, udpDatagram(1, 5000, 8))); err != nil || verdict != sent {
			t.Fatalf("verdict %d, %v", verdict, err)
		}
	}
	l.passes(cat, bob, piece(cat, 7, 2, make([]byte, 16)))
	// Its own newest ones a port does remember.
	l.passes(ann, bob, piece(ann, 4999, 2, make([]byte, 16)))
	l.passes(ann, bob, piece(ann, 4990, 2, make([]byte, 16)))
}

// TestFragmentsOfTheFormerOwner: who has a slot next, with the same address,
// inherits nothing of what it remembers.
func TestFragmentsOfTheFormerOwner(t *testing.T) {
	l := openTown(t, progs.Config{})
	later := header{proto: udp, id: 7, frag: 2}
	l.passes(ann, bob, ann.frame(bob, header{proto: udp, id: 7, frag: 0x2000}, udpDatagram(1, 5000, 8)))
	heir := ann
	heir.eni = 300
	l.vacate(ann)
	l.move(heir, vpc, mainTable)
	l.egress(heir, anything)
	l.apply()
	l.drops(heir, heir.frame(bob, later, make([]byte, 16)), "parse", "fragment")
}

// TestPortKeepsItsTables: a port without them is not as it should be.
func TestPortKeepsItsTables(t *testing.T) {
	for _, name := range []string{"frags", "denied"} {
		l := openTown(t, progs.Config{})
		l.must(l.set.Maps[name].Delete(uint32(ann.slot)))
		l.track.ports.Dirty()
		if n := l.apply(); n != 1 {
			t.Errorf("without its table of %s %d objects were written", name, n)
		}
		l.vacate(ann)
		l.apply()
		if err := l.set.Maps[name].Delete(uint32(ann.slot)); err == nil {
			t.Errorf("a port that is gone has left its table of %s", name)
		}
	}
}

// hits are the verdicts of all rules, by owner and number.
func (l *lab) hits() map[string]uint64 {
	l.t.Helper()
	all, err := l.table.RuleHits()
	l.must(err)
	out := map[string]uint64{}
	for _, h := range all {
		name := "vpc " + text(spec.ENI(h.VPC))
		if h.ACL != 0 {
			name = map[bool]string{true: "out by ", false: "in by "}[h.Out] + text(spec.ENI(h.ACL))
		}
		out[name+" rule "+text(spec.ENI(h.ID))] = h.Verdicts
	}
	return out
}

func TestRuleHits(t *testing.T) {
	l := openTown(t, progs.Config{})
	l.aclOut(cat, denied(aclRule(50, tcp, 0, 65535, "10.0.1.11/32")), allowAll, denyRest)
	l.apply()
	demand := func(want map[string]uint64) {
		t.Helper()
		got := l.hits()
		for k, n := range want {
			if got[k] != n {
				t.Errorf("%s: %d verdicts, want %d", k, got[k], n)
			}
			delete(got, k)
		}
		for k, n := range got {
			t.Errorf("%s: %d verdicts, want none", k, n)
		}
	}
	l.handshake(web) // any packet after the first counts nothing
	demand(map[string]uint64{"vpc 7 rule 1": 1, "vpc 7 rule 2": 1})
	l.handshake(toCat)
	want := map[string]uint64{"vpc 7 rule 1": 2, "vpc 7 rule 2": 2,
		"out by 111 rule 100": 1, "in by 112 rule 100": 1, "out by 112 rule 100": 1, "in by 111 rule 100": 1}
	demand(want)
	l.touch(ann)
	l.apply()
	l.passes(ann, cat, toCat.forth(ack)) // judged again, the same flow
	demand(want)
	for range 3 { // one verdict; the others are remembered
		l.drops(cat, flow{from: cat, to: bob, proto: tcp, sport: 1, dport: 80}.forth(syn), "nacl_out", "network_acl")
	}
	want["out by 112 rule 50"] = 1
	demand(want)
	if got := l.ruled("nacl_out"); got != 50 {
		t.Errorf("rule %d is named", got)
	}
	l.must(l.table.ForgetHits(func(r flows.Rule) bool { return r.ACL == aclOf(blue) && r.Out }))
	demand(map[string]uint64{"out by 112 rule 50": 1, "out by 112 rule 100": 1})
}

// TestFirstRepliesOnTwoCPUs: a reply that comes while another CPU writes what
// the ACLs say of replies is a reply all the same.
func TestFirstRepliesOnTwoCPUs(t *testing.T) {
	const pairs = 1500
	l := openTown(t, progs.Config{Second: 10 * time.Millisecond})
	l.egress(cat)
	l.apply()
	var ready atomic.Int64
	l.gang(2, func(who int, s *shooter) error {
		defer ready.Add(2 * pairs) // whoever fails keeps nobody waiting
		for i := range pairs {
			f := flow{from: ann, to: cat, proto: udp, sport: uint16(i + 1), dport: 9}
			if who == 0 {
				if err := must(s.send(f.from, f.forth(0))); err != nil {
					return err
				}
			}
			for ready.Add(1); ready.Load() < int64(2*i+2); {
				runtime.Gosched()
			}
			if err := must(s.send(f.to, f.back(0))); err != nil {
				return fmt.Errorf("pair %d: %w", i, err)
			}
		}
		return nil
	})
}

// TestHitsNeverBlock: where a rule cannot be counted, its packets pass.
func TestHitsNeverBlock(t *testing.T) {
	l := openTown(t, progs.Config{})
	for i := range uint32(1 << 17) {
		if l.set.Maps["hits"].Put(bpf.HitKey{Owner: 1 << 30, Rule: i}, make([]bpf.HitCount, ebpf.MustPossibleCPU())) != nil {
			break
		}
	}
	l.passes(ann, bob, web.forth(syn))
	if len(l.hits()) == 0 || l.hits()["vpc 7 rule 1"] != 0 {
		t.Error("the table of hits was not full")
	}
}
