package matrix

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// remote is who a rule is about: a prefix, a group or a prefix list by number.
type remote struct {
	prefix netip.Prefix
	group  int // -1: not a group
	list   int // -1: not a list
}

// match is what a rule says of a packet's protocol. For ICMP lo and hi are the
// type and the code, -1 for any; for "-1" they mean nothing.
type match struct {
	proto  string // -1, tcp, udp, icmp
	lo, hi int32
}

// rule is one rule of a security group.
type rule struct {
	match
	remote
	egress bool
}

// entry is one entry of a network ACL.
type entry struct {
	match
	number int32
	prefix netip.Prefix
	egress bool
	allow  bool
}

// endpoint is one workload.
type endpoint struct {
	at     netip.Addr
	subnet int
	groups []int
}

// rules is everything that decides about a packet of a world.
type rules struct {
	subnets   []netip.Prefix
	acls      [][]entry // of each subnet; nil is the one that lets everything pass
	lists     [][]netip.Prefix
	groups    [][]rule
	endpoints []endpoint
}

// packet is what is asked. For ICMP, port is the type.
type packet struct {
	proto string
	port  int32
}

func (m match) covers(p packet) bool {
	switch {
	case m.proto == "-1":
		return true
	case m.proto != p.proto:
		return false
	case m.proto == "icmp":
		const code = 0
		return (m.lo == -1 || m.lo == p.port) && (m.hi == -1 || m.hi == code)
	}
	return m.lo <= p.port && p.port <= m.hi
}

func (w *rules) names(r remote, peer endpoint) bool {
	switch {
	case r.group >= 0:
		return slices.Contains(peer.groups, r.group)
	case r.list >= 0:
		return slices.ContainsFunc(w.lists[r.list], func(p netip.Prefix) bool { return p.Contains(peer.at) })
	}
	return r.prefix.Contains(peer.at)
}

// grouped tells whether some rule of some group of an endpoint allows it.
func (w *rules) grouped(of, peer endpoint, egress bool, p packet) bool {
	for _, g := range of.groups {
		for _, r := range w.groups[g] {
			if r.egress == egress && r.covers(p) && w.names(r.remote, peer) {
				return true
			}
		}
	}
	return false
}

// listed asks one direction of a subnet's ACL: the lowest number that matches.
func (w *rules) listed(subnet int, peer netip.Addr, egress bool, p packet) bool {
	if w.acls[subnet] == nil {
		return true
	}
	lowest, allowed := int32(1<<15), false
	for _, e := range w.acls[subnet] {
		if e.egress == egress && e.number < lowest && e.covers(p) && e.prefix.Contains(peer) {
			lowest, allowed = e.number, e.allow
		}
	}
	return allowed
}

// crosses asks both subnets' edges, if there are any on the way.
func (w *rules) crosses(from, to endpoint, p packet) bool {
	return from.subnet == to.subnet ||
		w.listed(from.subnet, to.at, true, p) && w.listed(to.subnet, from.at, false, p)
}

// verdict is how far a packet and the answer to it come.
type verdict struct{ arrives, answered bool }

// expect says what becomes of a packet from a source port.
func (w *rules) expect(from, to endpoint, p packet, source int32) (v verdict) {
	v.arrives = w.grouped(from, to, true, p) && w.crosses(from, to, p) && w.grouped(to, from, false, p)
	back := packet{p.proto, source}
	if p.proto == "icmp" {
		back.port = 0 // echo reply
	}
	v.answered = v.arrives && w.crosses(to, from, back)
	return v
}

func (w *rules) String() string {
	var b strings.Builder
	for i, s := range w.subnets {
		fmt.Fprintf(&b, "subnet %d %s\n", i, s)
		for _, e := range w.acls[i] {
			fmt.Fprintf(&b, "  acl %d egress=%t allow=%t %s %d-%d %s\n", e.number, e.egress, e.allow, e.proto, e.lo, e.hi, e.prefix)
		}
	}
	for i, l := range w.lists {
		fmt.Fprintf(&b, "list %d %v\n", i, l)
	}
	for i, g := range w.groups {
		fmt.Fprintf(&b, "group %d\n", i)
		for _, r := range g {
			fmt.Fprintf(&b, "  egress=%t %s %d-%d ", r.egress, r.proto, r.lo, r.hi)
			switch {
			case r.group >= 0:
				fmt.Fprintf(&b, "group %d\n", r.group)
			case r.list >= 0:
				fmt.Fprintf(&b, "list %d\n", r.list)
			default:
				fmt.Fprintln(&b, r.prefix)
			}
		}
	}
	for i, e := range w.endpoints {
		fmt.Fprintf(&b, "endpoint %d %s subnet %d groups %v\n", i, e.at, e.subnet, e.groups)
	}
	return b.String()
}

// TestModel holds the model to what EC2 documents, case by case.
func TestModel(t *testing.T) {
	prefix := netip.MustParsePrefix
	world, ssh := prefix("0.0.0.0/0"), packet{"tcp", 22}
	open := rule{match{"-1", 0, 0}, remote{world, -1, -1}, true}
	in := func(m match, r remote) rule { return rule{m, r, false} }
	tcp, any := match{"tcp", 20, 22}, remote{world, -1, -1}
	pass := []entry{{match{"-1", 0, 0}, 100, world, true, true}, {match{"-1", 0, 0}, 100, world, false, true}}
	deny := func(n int32, egress bool, m match) entry { return entry{m, n, world, egress, false} }
	both, gone, oneWay := verdict{true, true}, verdict{}, verdict{arrives: true}

	for name, c := range map[string]struct {
		receiver []rule
		acls     [2][]entry
		p        packet
		want     verdict
	}{
		"nothing allows":            {nil, [2][]entry{}, ssh, gone},
		"a port at the range's end": {[]rule{in(tcp, any)}, [2][]entry{}, ssh, both},
		"a port behind it":          {[]rule{in(tcp, any)}, [2][]entry{}, packet{"tcp", 23}, gone},
		"another protocol":          {[]rule{in(tcp, any)}, [2][]entry{}, packet{"udp", 22}, gone},
		"its group":                 {[]rule{in(tcp, remote{netip.Prefix{}, 0, -1})}, [2][]entry{}, ssh, both},
		"the receiver's own group":  {[]rule{in(tcp, remote{netip.Prefix{}, 1, -1})}, [2][]entry{}, ssh, gone},
		"a list with it":            {[]rule{in(tcp, remote{netip.Prefix{}, -1, 0})}, [2][]entry{}, ssh, both},
		"a list without it":         {[]rule{in(tcp, remote{netip.Prefix{}, -1, 1})}, [2][]entry{}, ssh, gone},
		"echo of any code":          {[]rule{in(match{"icmp", 8, -1}, any)}, [2][]entry{}, packet{"icmp", 8}, both},
		"another type":              {[]rule{in(match{"icmp", 0, -1}, any)}, [2][]entry{}, packet{"icmp", 8}, gone},
		"an empty ACL":              {[]rule{in(tcp, any)}, [2][]entry{{}, nil}, ssh, gone},
		"ACLs that pass":            {[]rule{in(tcp, any)}, [2][]entry{pass, pass}, ssh, both},
		"the lower number":          {[]rule{in(tcp, any)}, [2][]entry{pass, append(slices.Clone(pass), deny(99, false, tcp))}, ssh, gone},
		"the higher number":         {[]rule{in(tcp, any)}, [2][]entry{pass, append(slices.Clone(pass), deny(101, false, tcp))}, ssh, both},
		"its answer's port":         {[]rule{in(tcp, any)}, [2][]entry{append(slices.Clone(pass), deny(1, false, match{"tcp", 5000, 5000})), nil}, ssh, oneWay},
		"its answer's type":         {[]rule{in(match{"-1", 0, 0}, any)}, [2][]entry{pass, append(slices.Clone(pass), deny(1, true, match{"icmp", 0, -1}))}, packet{"icmp", 8}, oneWay},
	} {
		w := &rules{acls: c.acls[:], lists: [][]netip.Prefix{{prefix("10.0.1.0/24")}, {prefix("10.0.2.0/24")}}, groups: [][]rule{{open}, c.receiver}}
		from := endpoint{netip.MustParseAddr("10.0.1.10"), 0, []int{0}}
		to := endpoint{netip.MustParseAddr("10.0.2.10"), 1, []int{1}}
		if got := w.expect(from, to, c.p, 5000); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		to.subnet = from.subnet
		if got := w.expect(from, to, c.p, 5000); c.acls[0] != nil && len(c.receiver) > 0 && got != both {
			t.Errorf("%s: within a subnet no ACL is asked, and it is %+v", name, got)
		}
	}
}
