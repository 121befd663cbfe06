package classify_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vpcfabric/vpc/dataplane/classify"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// canonicalRule is a rule as the planner makes it: prefixes masked, and ports
// only where the protocol has them.
func canonicalRule(t *rapid.T) spec.Rule {
	r := spec.Rule{Protocol: rapid.SampledFrom([]int16{-1, 1, 6, 17, 47, 132}).Draw(t, "proto"), FromPort: -1, ToPort: -1, ID: rapid.Uint32().Draw(t, "id")}
	switch r.Protocol {
	case 6, 17:
		r.FromPort = rapid.Int32Range(0, 65535).Draw(t, "from")
		r.ToPort = rapid.Int32Range(r.FromPort, 65535).Draw(t, "to")
	case 1:
		r.FromPort = rapid.Int32Range(-1, 255).Draw(t, "type")
		r.ToPort = rapid.Int32Range(-1, 255).Draw(t, "code")
	}
	switch rapid.IntRange(0, 2).Draw(t, "remote") {
	case 0:
		r.Group = spec.Group(rapid.Uint32Range(1, 1<<32-1).Draw(t, "group"))
	case 1:
		a := [4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "v4"))
		r.Prefix = netip.PrefixFrom(netip.AddrFrom4(a), rapid.IntRange(0, 32).Draw(t, "bits")).Masked()
	default:
		a := [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "v6"))
		a[0] |= 0x20
		r.Prefix = netip.PrefixFrom(netip.AddrFrom16(a), rapid.IntRange(8, 128).Draw(t, "bits")).Masked()
	}
	return r
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, set := spec.MakeRuleSet(rapid.SliceOfN(rapid.Custom(canonicalRule), 0, 40).Draw(t, "rules"))
		l, err := classify.Compile(set)
		if err != nil {
			t.Fatal(err)
		}
		if got := classify.Decompile(l); !slices.Equal(got.Rules, set.Rules) {
			t.Fatalf("compiled and back: %v, want %v", got.Rules, set.Rules)
		}
	})
}

func TestRefuses(t *testing.T) {
	p := netip.MustParsePrefix("10.0.0.0/8")
	for name, row := range map[string]struct {
		rules []spec.Rule
		want  string
	}{
		"no remote":       {[]spec.Rule{{Protocol: -1}}, "exactly one"},
		"two remotes":     {[]spec.Rule{{Protocol: -1, Group: 1, Prefix: p}}, "exactly one"},
		"ports backwards": {[]spec.Rule{{Protocol: 6, FromPort: 2, ToPort: 1, Prefix: p}}, "ports 2-1"},
		"port 65536":      {[]spec.Rule{{Protocol: 17, FromPort: 0, ToPort: 65536, Prefix: p}}, "ports 0-65536"},
		"port -1":         {[]spec.Rule{{Protocol: 6, FromPort: -1, ToPort: -1, Prefix: p}}, "ports -1--1"},
		"all of IPv6":     {[]spec.Rule{{Protocol: -1, Prefix: netip.MustParsePrefix("::/0")}}, "would match IPv4"},
		"too many":        {make([]spec.Rule, classify.MaxRules+1), "at most 1024"},
	} {
		l, err := classify.Compile(spec.RuleSet{Rules: row.rules})
		if err == nil || !strings.Contains(err.Error(), row.want) || len(l.Rules) != 0 {
			t.Errorf("%s: %d rules, %v; want none and %q", name, len(l.Rules), err, row.want)
		}
	}
}

func TestOpen(t *testing.T) {
	world, town := netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("10.0.0.0/8")
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
	} {
		l, err := classify.Compile(spec.RuleSet{Rules: []spec.Rule{row.rule}})
		if err != nil || l.OpenTCP != row.tcp || l.OpenUDP != row.udp {
			t.Errorf("%s: open for TCP %v, UDP %v, %v", name, l.OpenTCP, l.OpenUDP, err)
		}
	}
}
