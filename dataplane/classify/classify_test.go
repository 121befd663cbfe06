package classify_test

import (
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vpcfabric/vpc/dataplane/classify"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

var update = flag.Bool("update", false, "write testdata instead of comparing with it")

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func rule(id uint32, proto int16, from, to int32, remote string) spec.Rule {
	return spec.Rule{ID: id, Protocol: proto, FromPort: from, ToPort: to, Prefix: prefix(remote)}
}

func deny(r spec.Rule) spec.Rule {
	r.Deny = true
	return r
}

// golden are lists whose compiled form is worth reading.
var golden = map[string]func() spec.RuleSet{
	"nothing": func() spec.RuleSet { return set(spec.MakeRuleSet(nil)) },
	"web_and_members": func() spec.RuleSet {
		return set(spec.MakeRuleSet([]spec.Rule{
			rule(1, 6, 443, 443, "0.0.0.0/0"), rule(2, 6, 80, 443, "10.0.0.0/8"), rule(3, 1, 8, -1, "10.0.1.0/24"),
			{ID: 4, Protocol: -1, FromPort: -1, ToPort: -1, Group: 7}, {ID: 5, Protocol: 17, FromPort: 53, ToPort: 53, Group: 7},
		}))
	},
	"prefix_list_is_one_bit": func() spec.RuleSet {
		return set(spec.MakeRuleSet([]spec.Rule{
			rule(9, 6, 22, 22, "10.0.1.0/24"), rule(9, 6, 22, 22, "10.0.0.0/24"), rule(9, 6, 22, 22, "10.0.1.128/25"),
			rule(9, 6, 22, 22, "0.0.0.0/0"), rule(8, 6, 22, 22, "10.0.1.1/32"),
		}))
	},
	"network_acl": func() spec.RuleSet {
		return set(spec.MakeACL([]spec.Rule{
			deny(rule(32767, -1, -1, -1, "0.0.0.0/0")), rule(100, 6, 80, 80, "0.0.0.0/0"), deny(rule(90, -1, -1, -1, "203.0.113.0/24")),
			rule(200, 1, -1, -1, "0.0.0.0/0"), rule(300, 47, -1, -1, "10.0.0.0/8"),
		}))
	},
}

func set(_ spec.RuleSetID, s spec.RuleSet) spec.RuleSet { return s }

func TestGolden(t *testing.T) {
	for name, make := range golden {
		t.Run(name, func(t *testing.T) {
			l, err := classify.Compile(make())
			if err != nil {
				t.Fatal(err)
			}
			have, file := render(l), filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(have), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil || have != string(want) {
				t.Errorf("compiled differently from %s (%v); review, then -update\n%s", file, err, have)
			}
		})
	}
}

// render is a list for reading: rules by bit, and what matches from where on.
func render(l classify.List) string {
	var b strings.Builder
	fmt.Fprintf(&b, "words %d open-tcp %v open-udp %v\nrules\n", l.Words(), l.OpenTCP, l.OpenUDP)
	for i, r := range l.Rules {
		fmt.Fprintf(&b, "  bit %d id %d any %v deny %v\n", i, r.ID, r.Any, r.Deny)
	}
	b.WriteString("addresses from\n")
	for _, s := range l.Addrs {
		fmt.Fprintf(&b, "  %-16s %s\n", address(s.Start), bitList(s.Bits))
	}
	b.WriteString("services from\n")
	for _, s := range l.Services {
		fmt.Fprintf(&b, "  %-3d %-5d         %s\n", s.Start>>16, s.Start&0xffff, bitList(s.Bits))
	}
	for _, g := range slices.Sorted(maps.Keys(l.Groups)) {
		fmt.Fprintf(&b, "group %d %s\n", g, bitList(l.Groups[g]))
	}
	return b.String()
}

func address(a classify.Addr) netip.Addr {
	var b [16]byte
	for i := range 8 {
		b[i], b[8+i] = byte(a.Hi>>(56-8*i)), byte(a.Lo>>(56-8*i))
	}
	return netip.AddrFrom16(b).Unmap()
}

func bitList(b classify.Bits) string {
	var out []string
	for i, w := range b {
		for j := range 64 {
			if w>>j&1 != 0 {
				out = append(out, fmt.Sprint(64*i+j))
			}
		}
	}
	if out == nil {
		return "-"
	}
	return strings.Join(out, " ")
}

// Few values, so that rules and questions meet.
var (
	someProto = rapid.SampledFrom([]int16{-1, 0, 1, 6, 17, 47, 58, 255})
	somePort  = rapid.OneOf(rapid.SampledFrom([]int32{0, 1, 22, 80, 443, 65534, 65535}), rapid.Int32Range(0, 65535))
	someByte  = rapid.SampledFrom([]int32{-1, 0, 3, 4, 8, 255})
	someAddr  = rapid.Custom(func(t *rapid.T) netip.Addr {
		a := rapid.SampledFrom([]string{"0.0.0.0", "10.0.0.0", "10.0.1.255", "10.0.2.0", "255.255.255.255", "192.0.2.1", "fd00::1", "fd00::ffff:ffff:ffff:ffff", "2001:db8::"}).Draw(t, "addr")
		return netip.MustParseAddr(a)
	})
)

func someRule(t *rapid.T) spec.Rule {
	r := spec.Rule{Protocol: someProto.Draw(t, "proto"), FromPort: -1, ToPort: -1, ID: rapid.Uint32Range(1, 5).Draw(t, "id")}
	switch r.Protocol {
	case 6, 17:
		a, b := somePort.Draw(t, "from"), somePort.Draw(t, "to")
		r.FromPort, r.ToPort = min(a, b), max(a, b)
	case 1:
		r.FromPort, r.ToPort = someByte.Draw(t, "type"), someByte.Draw(t, "code")
	}
	if rapid.IntRange(0, 3).Draw(t, "refers") == 0 {
		r.Group = spec.Group(rapid.Uint32Range(1, 4).Draw(t, "group"))
		return r
	}
	a := someAddr.Draw(t, "remote")
	least := 0
	if a.Is6() {
		least = 8 // shorter ones would hold the mapped IPv4 addresses
	}
	r.Prefix = netip.PrefixFrom(a, rapid.IntRange(least, a.BitLen()).Draw(t, "bits")).Masked()
	return r
}

// first is the reference: the rules one after another.
func first(rules []spec.Rule, proto uint8, port uint16, q classify.Question) (spec.Rule, bool) {
	for _, r := range rules {
		if r.Protocol != -1 && r.Protocol != int16(proto) {
			continue
		}
		switch r.Protocol {
		case 6, 17:
			if int32(port) < r.FromPort || int32(port) > r.ToPort {
				continue
			}
		case 1:
			if r.FromPort >= 0 && r.FromPort != int32(port>>8) || r.ToPort >= 0 && r.ToPort != int32(port&255) {
				continue
			}
		}
		if r.Group != 0 && slices.Contains(q.Groups, r.Group) || r.Group == 0 && r.Prefix.Contains(q.Remote) {
			return r, true
		}
	}
	return spec.Rule{}, false
}

// TestAnswers: the compiled list answers as its rules do, one after another.
func TestAnswers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := rapid.SliceOfN(rapid.Custom(someRule), 0, 90).Draw(t, "rules")
		kind := spec.MakeRuleSet
		if rapid.Bool().Draw(t, "acl") {
			kind = spec.MakeACL
			for i := range rules {
				rules[i].Deny = rapid.Bool().Draw(t, "deny")
			}
		}
		s := set(kind(rules))
		l, err := classify.Compile(s)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			proto := uint8(max(0, someProto.Draw(t, "packet")))
			port := uint16(0)
			switch proto {
			case 6, 17:
				port = uint16(somePort.Draw(t, "port"))
			case 1:
				port = classify.ICMP(uint8(someByte.Draw(t, "type")), uint8(someByte.Draw(t, "code")))
			}
			near := someAddr.Draw(t, "remote")
			if rapid.Bool().Draw(t, "beside") && near.Next().IsValid() {
				near = near.Next()
			}
			q := classify.Question{Remote: near, Service: classify.Service(proto, port), Groups: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) spec.Group {
				return spec.Group(rapid.Uint32Range(1, 5).Draw(t, "group"))
			}), 0, 3).Draw(t, "groups")}
			want, matches := first(s.Rules, proto, port, q)
			have, ok := l.Answer(q)
			if ok != matches || have.ID != want.ID || have.Deny != want.Deny || have.Any != (matches && want.Any()) {
				t.Fatalf("%d/%d %+v: %+v %v, want %v %v of\n%v", proto, port, q, have, ok, want, matches, s.Rules)
			}
		}
	})
}

// TestSegmentsAreShort: neighbours differ, both axes ascend from 0, and no bit
// stands for nothing.
func TestSegmentsAreShort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, err := classify.Compile(set(spec.MakeRuleSet(rapid.SliceOfN(rapid.Custom(someRule), 0, 40).Draw(t, "rules"))))
		if err != nil {
			t.Fatal(err)
		}
		if l.Addrs[0].Start != (classify.Addr{}) || l.Services[0].Start != 0 {
			t.Fatal("an axis does not begin at 0")
		}
		for i := range l.Addrs[1:] {
			a, b := l.Addrs[i], l.Addrs[i+1]
			if a.Bits == b.Bits || a.Start.Hi > b.Start.Hi || a.Start.Hi == b.Start.Hi && a.Start.Lo >= b.Start.Lo {
				t.Fatalf("addresses %v and %v", a, b)
			}
		}
		for i := range l.Services[1:] {
			if a, b := l.Services[i], l.Services[i+1]; a.Bits == b.Bits || a.Start >= b.Start {
				t.Fatalf("services %v and %v", a, b)
			}
		}
	})
}

// TestLimits: what AWS allows fits, and what does not fit is refused.
func TestLimits(t *testing.T) {
	var list, rules, ranges []spec.Rule
	for i := range 1000 {
		a := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 7), byte(i << 1), 0}), 24)
		list = append(list, spec.Rule{Protocol: 6, FromPort: 22, ToPort: 22, Prefix: a, ID: 7})
		rules = append(rules, spec.Rule{Protocol: 6, FromPort: int32(i * 60), ToPort: int32(i*60 + 30), Prefix: a, ID: uint32(i)})
	}
	for i := range 70 {
		ranges = append(ranges, rule(uint32(i), 1, -1, int32(2*i), "0.0.0.0/0"))
	}
	for name, row := range map[string]struct {
		rules []spec.Rule
		bits  int
		err   string
	}{
		"a prefix list of 1000": {list, 1, ""},
		"1000 rules":            {rules, 1000, ""},
		"both":                  {slices.Concat(rules, list), 1001, ""},
		"1025 rules":            {slices.Concat(rules, list, ranges[:24]), 0, "more than 1024 rules"},
		"too many ranges":       {ranges, 0, "distinct ranges on one axis"},
	} {
		l, err := classify.Compile(set(spec.MakeRuleSet(row.rules)))
		if row.err != "" && (err == nil || !strings.Contains(err.Error(), row.err)) || row.err == "" && err != nil || len(l.Rules) != row.bits {
			t.Errorf("%s: %d bits, %v; want %d and %q", name, len(l.Rules), err, row.bits, row.err)
		}
	}
}

func TestRefuses(t *testing.T) {
	p := prefix("10.0.0.0/8")
	for name, row := range map[string]struct {
		rule spec.Rule
		want string
	}{
		"no remote":       {spec.Rule{Protocol: -1}, "exactly one"},
		"two remotes":     {spec.Rule{Protocol: -1, Group: 1, Prefix: p}, "exactly one"},
		"ports backwards": {spec.Rule{Protocol: 6, FromPort: 2, ToPort: 1, Prefix: p}, "ports 2-1"},
		"port 65536":      {spec.Rule{Protocol: 17, FromPort: 0, ToPort: 65536, Prefix: p}, "ports 0-65536"},
		"port -1":         {spec.Rule{Protocol: 6, FromPort: -1, ToPort: -1, Prefix: p}, "ports -1--1"},
		"protocol 256":    {spec.Rule{Protocol: 256, Prefix: p}, "protocol 256"},
		"protocol -2":     {spec.Rule{Protocol: -2, Prefix: p}, "protocol -2"},
		"ICMP type 256":   {spec.Rule{Protocol: 1, FromPort: 256, ToPort: -1, Prefix: p}, "ICMP type 256"},
		"ICMP code -2":    {spec.Rule{Protocol: 1, FromPort: 3, ToPort: -2, Prefix: p}, "code -2"},
		"all of IPv6":     {spec.Rule{Protocol: -1, Prefix: prefix("::/0")}, "would match IPv4"},
	} {
		l, err := classify.Compile(spec.RuleSet{Rules: []spec.Rule{row.rule}})
		if err == nil || !strings.Contains(err.Error(), row.want) || len(l.Rules) != 0 {
			t.Errorf("%s: %d rules, %v; want none and %q", name, len(l.Rules), err, row.want)
		}
	}
}

func TestOpen(t *testing.T) {
	world, town := prefix("0.0.0.0/0"), prefix("10.0.0.0/8")
	for name, row := range map[string]struct {
		rule     spec.Rule
		tcp, udp bool
	}{
		"everything":      {spec.Rule{Protocol: -1, FromPort: -1, ToPort: -1, Prefix: world}, true, true},
		"all TCP":         {spec.Rule{Protocol: 6, ToPort: 65535, Prefix: world}, true, false},
		"all UDP":         {spec.Rule{Protocol: 17, ToPort: 65535, Prefix: world}, false, true},
		"one port less":   {spec.Rule{Protocol: 6, ToPort: 65534, Prefix: world}, false, false},
		"not the world":   {spec.Rule{Protocol: -1, FromPort: -1, ToPort: -1, Prefix: town}, false, false},
		"another's group": {spec.Rule{Protocol: -1, FromPort: -1, ToPort: -1, Group: 3}, false, false},
		"denied":          {spec.Rule{Protocol: -1, FromPort: -1, ToPort: -1, Prefix: world, Deny: true}, false, false},
	} {
		l, err := classify.Compile(spec.RuleSet{Rules: []spec.Rule{row.rule}})
		if err != nil || l.OpenTCP != row.tcp || l.OpenUDP != row.udp {
			t.Errorf("%s: open for TCP %v, UDP %v, %v", name, l.OpenTCP, l.OpenUDP, err)
		}
	}
}

// BenchmarkCompile is 1,000 rules with as many prefixes and port ranges.
func BenchmarkCompile(b *testing.B) {
	var rules []spec.Rule
	for i := range 1000 {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0})
		rules = append(rules, spec.Rule{Protocol: 6, FromPort: int32(i), ToPort: int32(i * 50), Prefix: netip.PrefixFrom(a, 24), ID: uint32(i)})
	}
	s := set(spec.MakeRuleSet(rules))
	for b.Loop() {
		if _, err := classify.Compile(s); err != nil {
			b.Fatal(err)
		}
	}
}
