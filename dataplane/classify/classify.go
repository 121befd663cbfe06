// Package classify compiles rule lists into the bit vectors that the programs
// evaluate, for security groups and network ACLs alike. It is pure: what it
// returns is the whole truth of a list.
//
// Bit n stands for rule n in the order of evaluation. A packet has two
// coordinates, the address of its remote and its service (protocol and port, or
// ICMP type and code). Each axis is cut into segments within which the same
// rules match; the rules that match a packet are those of its address, or of a
// group that its remote is in, and of its service. The first of them decides.
package classify

import (
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"sort"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

const (
	// MaxRules is how many rules one list can have; rules that differ only in
	// the remote and share an ID count once.
	MaxRules = 1024
	// MaxSegments is how many segments each axis can have. A range takes two
	// at most; 1,000 rules and a prefix list of 1,000 entries fit.
	MaxSegments = 4096

	wordBits = 64
	maxWords = MaxRules / wordBits
)

const (
	protoICMP = 1
	protoTCP  = 6
	protoUDP  = 17
)

// Bits is a set of rules.
type Bits [maxWords]uint64

// First is the lowest rule that both sets have.
func (b Bits) First(other Bits) (int, bool) {
	for i := range b {
		if w := b[i] & other[i]; w != 0 {
			return i*wordBits + bits.TrailingZeros64(w), true
		}
	}
	return 0, false
}

func (b *Bits) set(n int)   { b[n/wordBits] |= 1 << (n % wordBits) }
func (b *Bits) clear(n int) { b[n/wordBits] &^= 1 << (n % wordBits) }

// Verdict is what one rule says.
type Verdict struct {
	ID        uint32
	Any, Deny bool // Any: the rule is for the whole world
}

// Addr is an address as a number; IPv4 is mapped into 128 bits.
type Addr struct{ Hi, Lo uint64 }

// AddrSegment is the addresses from Start up to the next segment.
type AddrSegment struct {
	Start Addr
	Bits  Bits
}

// ServiceSegment is the services from Start up to the next segment.
type ServiceSegment struct {
	Start uint32
	Bits  Bits
}

// List is one compiled list. Both axes begin at 0 and ascend.
type List struct {
	Rules    []Verdict
	Addrs    []AddrSegment
	Services []ServiceSegment
	Groups   map[spec.Group]Bits
	// OpenTCP and OpenUDP say that everyone may use every port: replies need
	// no tracking.
	OpenTCP, OpenUDP bool
}

// Words is how many words the list's bit vectors take.
func (l List) Words() int { return max(1, (len(l.Rules)+wordBits-1)/wordBits) }

// Compile turns a rule set into a list; a set that the programs could not hold
// is an error, never a shorter list.
func Compile(set spec.RuleSet) (List, error) {
	l := List{Groups: map[spec.Group]Bits{}}
	var addrs, services []edge
	for i, r := range set.Rules {
		if err := check(r); err != nil {
			return List{}, fmt.Errorf("rule %08x: %w", r.ID, err)
		}
		if i == 0 || !oneRule(set.Rules[i-1], r) {
			if len(l.Rules) == MaxRules {
				return List{}, fmt.Errorf("more than %d rules in one list", MaxRules)
			}
			l.Rules = append(l.Rules, Verdict{ID: r.ID, Any: r.Any(), Deny: r.Deny})
			services = append(services, serviceEdges(r, len(l.Rules)-1)...)
		}
		bit := len(l.Rules) - 1
		if r.Group != 0 {
			g := l.Groups[r.Group]
			g.set(bit)
			l.Groups[r.Group] = g
		} else {
			addrs = append(addrs, addrEdges(r.Prefix, bit)...)
		}
		l.OpenTCP = l.OpenTCP || opens(r, protoTCP)
		l.OpenUDP = l.OpenUDP || opens(r, protoUDP)
	}
	for _, s := range cut(addrs) {
		l.Addrs = append(l.Addrs, AddrSegment{s.at, s.bits})
	}
	for _, s := range cut(services) {
		l.Services = append(l.Services, ServiceSegment{uint32(s.at.Lo), s.bits})
	}
	if n := max(len(l.Addrs), len(l.Services)); n > MaxSegments {
		return List{}, fmt.Errorf("the list has %d distinct ranges on one axis, more than %d", n, MaxSegments)
	}
	return l, nil
}

// oneRule reports whether two rules, neighbours in their list, differ only in
// the remote. One for the whole world stays apart: it says so of its flows.
func oneRule(a, b spec.Rule) bool {
	if a.Any() != b.Any() {
		return false
	}
	a.Prefix, a.Group, b.Prefix, b.Group = netip.Prefix{}, 0, netip.Prefix{}, 0
	return a == b
}

func opens(r spec.Rule, proto int16) bool {
	if !r.Any() || r.Deny {
		return false
	}
	return r.Protocol == spec.AnyProtocol || r.Protocol == proto && r.FromPort == 0 && r.ToPort == 65535
}

// mapped4 is where IPv4 addresses are among the 128-bit ones.
var mapped4 = netip.MustParsePrefix("::ffff:0:0/96")

func check(r spec.Rule) error {
	if (r.Group != 0) == r.Prefix.IsValid() {
		return fmt.Errorf("exactly one of group and prefix names the remote")
	}
	if p := r.Prefix; p.IsValid() && p.Addr().Is6() && p.Overlaps(mapped4) {
		return fmt.Errorf("%s would match IPv4 as well", p)
	}
	if r.Protocol < spec.AnyProtocol || r.Protocol > 255 {
		return fmt.Errorf("protocol %d", r.Protocol)
	}
	switch r.Protocol {
	case protoTCP, protoUDP:
		if r.FromPort < 0 || r.FromPort > r.ToPort || r.ToPort > 65535 {
			return fmt.Errorf("ports %d-%d", r.FromPort, r.ToPort)
		}
	case protoICMP:
		if r.FromPort < -1 || r.FromPort > 255 || r.ToPort < -1 || r.ToPort > 255 {
			return fmt.Errorf("ICMP type %d, code %d", r.FromPort, r.ToPort)
		}
	}
	return nil
}

// edge is where a rule begins to match on an axis, or ends.
type edge struct {
	at    Addr
	bit   int
	delta int
}

func span(from, to Addr, bit int) []edge {
	out := []edge{{from, bit, 1}}
	if after := to.next(); after != (Addr{}) {
		out = append(out, edge{after, bit, -1})
	}
	return out
}

func (a Addr) next() Addr {
	lo, carry := bits.Add64(a.Lo, 1, 0)
	return Addr{a.Hi + carry, lo}
}

func (a Addr) compare(b Addr) int {
	if a.Hi != b.Hi {
		return compare(a.Hi, b.Hi)
	}
	return compare(a.Lo, b.Lo)
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// part is a segment of either axis.
type part struct {
	at   Addr
	bits Bits
}

// cut walks along an axis and notes what matches from each edge on. A rule may
// match by several of its prefixes at once, so they are counted.
func cut(edges []edge) []part {
	slices.SortStableFunc(edges, func(a, b edge) int { return a.at.compare(b.at) })
	out := []part{{}}
	depth := make([]int, MaxRules)
	var now Bits
	for i, e := range edges {
		depth[e.bit] += e.delta
		if depth[e.bit] > 0 {
			now.set(e.bit)
		} else {
			now.clear(e.bit)
		}
		if i+1 < len(edges) && edges[i+1].at == e.at {
			continue
		}
		switch last := &out[len(out)-1]; {
		case last.at == e.at:
			last.bits = now
		case last.bits != now:
			out = append(out, part{e.at, now})
		}
	}
	return out
}

func addrEdges(p netip.Prefix, bit int) []edge {
	first, host := number(p.Masked().Addr()), 128-p.Bits()
	if p.Addr().Is4() {
		host = 32 - p.Bits()
	}
	last := first
	switch {
	case host >= 64:
		last.Lo = ^uint64(0)
		last.Hi |= 1<<(host-64) - 1
	default:
		last.Lo |= 1<<host - 1
	}
	return span(first, last, bit)
}

func number(a netip.Addr) (out Addr) {
	b := a.As16()
	for i := range 8 {
		out.Hi = out.Hi<<8 | uint64(b[i])
		out.Lo = out.Lo<<8 | uint64(b[8+i])
	}
	return out
}

// Service is where a packet is on the axis of services: port is the destination
// port, or ICMP's type and code; other protocols have none.
func Service(proto uint8, port uint16) uint32 { return uint32(proto)<<16 | uint32(port) }

// ICMP is the port of an ICMP message.
func ICMP(kind, code uint8) uint16 { return uint16(kind)<<8 | uint16(code) }

const lastService = 255<<16 | 65535

func serviceEdges(r spec.Rule, bit int) []edge {
	if r.Protocol == spec.AnyProtocol {
		return serviceSpan(0, lastService, bit)
	}
	proto := uint8(r.Protocol)
	from, to := Service(proto, 0), Service(proto, 65535)
	switch {
	case proto == protoTCP || proto == protoUDP:
		from, to = Service(proto, uint16(r.FromPort)), Service(proto, uint16(r.ToPort))
	case proto == protoICMP && r.FromPort >= 0 && r.ToPort >= 0:
		from = Service(proto, ICMP(uint8(r.FromPort), uint8(r.ToPort)))
		to = from
	case proto == protoICMP && r.FromPort >= 0:
		from, to = Service(proto, ICMP(uint8(r.FromPort), 0)), Service(proto, ICMP(uint8(r.FromPort), 255))
	case proto == protoICMP && r.ToPort >= 0:
		return everyType(uint8(r.ToPort), bit)
	}
	return serviceSpan(from, to, bit)
}

func serviceSpan(from, to uint32, bit int) []edge {
	return span(Addr{Lo: uint64(from)}, Addr{Lo: uint64(to)}, bit)
}

// everyType is one code of all ICMP types, which is not one span but 256.
func everyType(code uint8, bit int) (out []edge) {
	for kind := range 256 {
		at := Service(protoICMP, ICMP(uint8(kind), code))
		out = append(out, serviceSpan(at, at, bit)...)
	}
	return out
}

// Question is what a list is asked about one packet.
type Question struct {
	Remote  netip.Addr
	Groups  []spec.Group // of the interface that has the remote address
	Service uint32
}

// Answer is the rule that decides; without one the packet is refused.
func (l List) Answer(q Question) (Verdict, bool) {
	at := number(q.Remote)
	i := sort.Search(len(l.Addrs), func(i int) bool { return l.Addrs[i].Start.compare(at) > 0 }) - 1
	j := sort.Search(len(l.Services), func(i int) bool { return l.Services[i].Start > q.Service }) - 1
	remote := l.Addrs[i].Bits
	for _, g := range q.Groups {
		for w, x := range l.Groups[g] {
			remote[w] |= x
		}
	}
	n, ok := remote.First(l.Services[j].Bits)
	if !ok {
		return Verdict{}, false
	}
	return l.Rules[n], true
}
