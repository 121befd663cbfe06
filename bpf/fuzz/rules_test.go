package fuzz

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/classify"
	"github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// ruleList is one list with what made it, as the harness holds it.
type ruleList struct {
	number   uint32
	rules    []spec.Rule // in the order of evaluation
	words    int
	elements []maps.Element
}

// question is what a list is asked about one packet.
type question struct {
	remote     netip.Addr
	known      bool // somebody has the address, and is in these groups
	groups     []uint32
	proto      uint8
	port       uint16
	kind, code uint8 // of ICMP
}

// matches is one rule, read as AWS's user guide reads it.
func matches(r spec.Rule, q question) bool {
	if r.Protocol != spec.AnyProtocol && int(r.Protocol) != int(q.proto) {
		return false
	}
	switch r.Protocol {
	case protoTCP, protoUDP:
		if int32(q.port) < r.FromPort || int32(q.port) > r.ToPort {
			return false
		}
	case protoICMP:
		if r.FromPort >= 0 && int32(q.kind) != r.FromPort || r.ToPort >= 0 && int32(q.code) != r.ToPort {
			return false
		}
	}
	if r.Group != 0 {
		return q.known && slices.Contains(q.groups, uint32(r.Group))
	}
	return r.Prefix.Contains(q.remote)
}

// expect is the first rule that matches; without one the packet is refused.
func (l ruleList) expect(q question) (a questionAnswer) {
	a.Flags = l.flags()
	i := slices.IndexFunc(l.rules, func(r spec.Rule) bool { return matches(r, q) })
	if i < 0 {
		return a
	}
	r := l.rules[i]
	a.Rule = r.ID
	a.Allowed, a.Returned = uint32(flag(!r.Deny)), uint32(flag(!r.Deny))
	a.Any = uint32(flag(r.Group == 0 && r.Prefix.Bits() == 0))
	return a
}

// flags: open is a list that lets everyone use every port, by one rule.
func (l ruleList) flags() (f uint32) {
	for _, r := range l.rules {
		if r.Group != 0 {
			f |= uint32(bpf.FromEniListFlagsLIST_GROUPS)
			continue
		}
		all := r.FromPort == 0 && r.ToPort == 65535
		for proto, open := range map[int16]bpf.FromEniListFlags{protoTCP: bpf.FromEniListFlagsLIST_OPEN_TCP, protoUDP: bpf.FromEniListFlagsLIST_OPEN_UDP} {
			if r.Prefix.Bits() == 0 && !r.Deny && (r.Protocol == spec.AnyProtocol || r.Protocol == proto && all) {
				f |= uint32(open)
			}
		}
	}
	return f
}

// someProto has many of the protocols that rules treat differently.
func (d dice) proto() uint8 {
	return some[uint8](d, protoTCP, protoTCP, protoUDP, protoUDP, protoICMP, protoICMP, 0, 2, 7, 16, 18, 47, 254, 255, d.byte())
}

// places are the addresses that one list is about, so that its rules overlap
// and questions come close to their edges.
type places []netip.Addr

func (d dice) places() (out places) {
	for _, a := range []string{"0.0.0.0", "255.255.255.255", "10.0.1.10", "10.0.1.255", "127.255.255.255", "128.0.0.0",
		"fd00::1", "2001:db8::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", "::fffe:ffff:ffff", "::1:0:0:0", "::"} {
		out = append(out, netip.MustParseAddr(a))
	}
	for range d.IntN(400) {
		b := d.fill(make([]byte, 16))
		if d.IntN(3) > 0 {
			out = append(out, netip.AddrFrom4([4]byte(b)))
			continue
		}
		b[0] = some[byte](d, 0x20, 0x20, 0xfd)
		copy(b[1:], make([]byte, d.IntN(8)))
		out = append(out, netip.AddrFrom16([16]byte(b)))
	}
	return out
}

// lastAddress is not asked for: nobody has it, and it marks the end of an axis
// in chunks, where nothing matches it.
var lastAddress = netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")

var mapped4 = netip.MustParsePrefix("::ffff:0:0/96")

// prefix is any that a rule can have: an IPv6 one never holds the mapped IPv4.
func (d dice) prefix(near places) netip.Prefix {
	a := near[d.IntN(len(near))]
	bits := some(d, 0, 8, 16, 24, 31, 32, d.IntN(33), d.IntN(33))
	if a.Is6() {
		bits = some(d, 3, 7, 63, 64, 65, 127, 128, 128, 1+d.IntN(128))
	}
	p := netip.PrefixFrom(a, bits).Masked()
	if a.Is6() && p.Overlaps(mapped4) {
		return netip.PrefixFrom(a, 128)
	}
	return p
}

const someGroups = 24

func (d dice) rule(near places, id uint32, acl bool) spec.Rule {
	r := spec.Rule{ID: id, Protocol: int16(d.proto()), FromPort: -1, ToPort: -1}
	if d.IntN(6) == 0 {
		r.Protocol = spec.AnyProtocol
	}
	switch r.Protocol {
	case protoTCP, protoUDP:
		a, b := d.port(), d.port()
		if d.IntN(3) == 0 {
			b = a
		}
		r.FromPort, r.ToPort = int32(min(a, b)), int32(max(a, b))
		if d.IntN(12) == 0 {
			r.FromPort, r.ToPort = 0, 65535
		}
	case protoICMP:
		r.FromPort, r.ToPort = some[int32](d, -1, 0, 3, 8, 255, int32(d.byte())), some[int32](d, -1, -1, 0, 4, 255)
	}
	if acl {
		r.Deny = d.IntN(2) == 0
	}
	if !acl && d.IntN(3) == 0 {
		r.Group = spec.Group(100 + d.IntN(someGroups))
	} else {
		r.Prefix = d.prefix(near)
	}
	return r
}

// narrow makes a rule match little, so that in a long list the late ones have
// something to say.
func (d dice) narrow(r spec.Rule) spec.Rule {
	if r.Protocol == spec.AnyProtocol {
		r.Protocol = 47
	}
	if r.Protocol == protoTCP || r.Protocol == protoUDP {
		r.FromPort = r.ToPort
	}
	if a := r.Prefix.Addr(); r.Group == 0 && r.Prefix.Bits() < 24 {
		r.Prefix = netip.PrefixFrom(a, a.BitLen()-d.IntN(4)).Masked()
	}
	return r
}

// list makes rules of a security group, or of a network ACL. What the compiler
// refuses, because an axis has too many segments, is made again smaller.
func (d dice) list(number uint32, near places, vector func(classify.Bits) (uint32, error)) (ruleList, error) {
	n, acl := some(d, 0, 1, 2, 3, 5, 17, 31, 32, 33, 40, 63, 64, 65), d.IntN(2) == 0
	if d.IntN(4) == 0 {
		n = some(d, 127, 128, 129, 300, 1000, 1000, 1024)
	}
	for narrow := d.IntN(2) == 0; ; {
		var rules []spec.Rule
		for i := range n {
			id := uint32(i + 1)
			if !acl {
				id = 1 + d.Uint32N(uint32(2*n)) // some have one id, as a prefix list's have
			}
			r := d.rule(near, id, acl)
			if narrow {
				r = d.narrow(r)
			}
			rules = append(rules, r)
		}
		make := spec.MakeRuleSet
		if acl {
			make = spec.MakeACL
		}
		id, set := make(rules)
		compiled, err := classify.Compile(set)
		if err != nil && n > 1 {
			n /= 2
			continue
		}
		if err != nil {
			return ruleList{}, err
		}
		elements, err := maps.Elements(number, id, compiled, vector)
		return ruleList{number: number, rules: set.Rules, words: compiled.Words(), elements: elements}, err
	}
}

// question comes close to what some rule of the list says.
func (d dice) question(l ruleList, near places) question {
	q := question{proto: d.proto(), port: d.port(), kind: some[uint8](d, 0, 3, 8, 255, d.byte()), code: some[uint8](d, 0, 4, 255, d.byte())}
	q.remote = near[d.IntN(len(near))]
	if len(l.rules) > 0 && d.IntN(4) > 0 {
		d.approach(l.rules[d.IntN(len(l.rules))], &q)
	}
	if q.known = d.IntN(3) > 0; q.known {
		for range d.IntN(spec.MaxGroups + 1) {
			q.groups = append(q.groups, uint32(98+d.IntN(someGroups+4)))
		}
	}
	return q
}

// approach asks at an edge of the rule, on its inside or outside.
func (d dice) approach(r spec.Rule, q *question) {
	if r.Protocol >= 0 && d.IntN(8) > 0 {
		q.proto = uint8(r.Protocol)
	}
	if r.Protocol == protoTCP || r.Protocol == protoUDP {
		q.port = uint16(some(d, r.FromPort, r.ToPort, r.FromPort-1, r.ToPort+1, (r.FromPort+r.ToPort)/2))
	}
	if r.Protocol == protoICMP && d.IntN(4) > 0 {
		q.kind, q.code = uint8(max(r.FromPort, 0)), uint8(max(r.ToPort, 0))
	}
	if r.Group == 0 {
		first, last := ends(r.Prefix)
		q.remote = some(d, first, last, first.Prev(), last.Next(), r.Prefix.Addr())
		if q.remote = q.remote.Unmap(); !q.remote.IsValid() || q.remote == lastAddress {
			q.remote = first
		}
	}
}

func ends(p netip.Prefix) (first, last netip.Addr) {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	last, _ = netip.AddrFromSlice(b)
	return p.Masked().Addr(), last
}

// questionRequest is struct question_request.
type questionRequest struct {
	List    uint32
	Addr    [4]uint32
	Service uint32
	Member  uint32
	Groups  [spec.MaxGroups]uint32
}

// questionAnswer is struct question_answer.
type questionAnswer struct {
	Returned, Allowed, Rule, Any, Flags uint32
}

func (h *harness) question(list uint32, q question) {
	r := questionRequest{List: list, Addr: words(q.remote), Service: uint32(q.proto) << 16, Member: uint32(flag(q.known))}
	switch q.proto {
	case protoICMP:
		r.Service |= uint32(q.kind)<<8 | uint32(q.code)
	case protoTCP, protoUDP:
		r.Service |= uint32(q.port)
	}
	copy(r.Groups[:], q.groups)
	h.ask(opQuestion, r)
}

// vectors numbers bit vectors and puts them into the harness, as the data
// plane's driver does with the kernel's.
type vectors struct {
	h      *harness
	number map[classify.Bits]uint32
}

func (v vectors) intern(b classify.Bits) (uint32, error) {
	n, ok := v.number[b]
	if !ok {
		n = uint32(len(v.number) + 1)
		v.number[b] = n
		v.h.put("bitmaps", n, bpf.Bitmap{W: b})
	}
	return n, nil
}

func (h *harness) load(l ruleList) {
	for _, e := range l.elements {
		h.put(e.Map, e.Key, e.Value)
	}
}

// bytesOf is a value as the maps hold it.
func bytesOf(v any) []byte {
	b, err := binary.Append(nil, ne, v)
	if err != nil {
		panic(err) // a type without a fixed size, which no map has
	}
	return b
}
