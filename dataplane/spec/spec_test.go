package spec

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var someRule = rapid.Custom(func(t *rapid.T) Rule {
	r := Rule{
		Protocol: rapid.SampledFrom([]int16{AnyProtocol, 1, 6, 17, 255}).Draw(t, "proto"),
		FromPort: rapid.SampledFrom([]int32{-1, 0, 80}).Draw(t, "from"), ToPort: rapid.SampledFrom([]int32{-1, 80, 65535}).Draw(t, "to"),
		ID: rapid.Uint32Range(0, 2).Draw(t, "id"),
	}
	if rapid.Bool().Draw(t, "refers") {
		r.Group = Group(rapid.Uint32Range(1, 3).Draw(t, "group"))
	} else {
		r.Prefix = rapid.SampledFrom([]netip.Prefix{
			netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8"),
			netip.MustParsePrefix("10.0.0.0/16"), netip.MustParsePrefix("10.0.0.1/32"),
		}).Draw(t, "prefix")
	}
	return r
})

// TestRuleSetIsCanonical: two lists are one exactly when they hold the same
// rules, in whatever order and however often.
func TestRuleSetIsCanonical(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SliceOfN(someRule, 0, 6).Draw(t, "a")
		shuffled := append(rapid.Permutation(a).Draw(t, "shuffled"), a...)
		before := slices.Clone(shuffled)
		idA, setA := MakeRuleSet(a)
		idS, setS := MakeRuleSet(shuffled)
		if idA != idS || !slices.Equal(setA.Rules, setS.Rules) {
			t.Fatalf("order or repetition counts:\n%v\n%v", setA, setS)
		}
		if !slices.Equal(before, shuffled) {
			t.Fatal("the argument was changed")
		}
		b := rapid.SliceOfN(someRule, 0, 6).Draw(t, "b")
		idB, _ := MakeRuleSet(b)
		if same := maps.Equal(content(a), content(b)); same != (idA == idB) {
			t.Fatalf("same content %t, same id %t:\n%v\n%v", same, idA == idB, a, b)
		}
	})
}

func content(rules []Rule) map[Rule]bool {
	out := map[Rule]bool{}
	for _, r := range rules {
		out[r] = true
	}
	return out
}

// TestEveryFieldCounts: a change of any field makes another list.
func TestEveryFieldCounts(t *testing.T) {
	base := Rule{Protocol: 6, FromPort: 1, ToPort: 2, Prefix: netip.MustParsePrefix("10.0.0.0/8"), ID: 3}
	variants := []Rule{base, base, base, base, base, base, base, base}
	variants[1].Protocol = AnyProtocol
	variants[2].FromPort = -1
	variants[3].ToPort = 65535
	variants[4].Prefix = netip.MustParsePrefix("10.0.0.0/9")
	variants[5].Prefix, variants[5].Group = netip.Prefix{}, 1
	variants[6].ID = math.MaxUint32
	variants[7].Deny = true
	ids := map[RuleSetID]Rule{}
	for _, r := range variants {
		id, _ := MakeRuleSet([]Rule{r})
		if other, taken := ids[id]; taken {
			t.Errorf("%v and %v are one list", other, r)
		}
		ids[id] = r
	}
}

// TestWorldFirst: rules for the whole world lead, because they decide whether a
// flow is tracked.
func TestWorldFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, set := MakeRuleSet(rapid.SliceOfN(someRule, 0, 8).Draw(t, "rules"))
		narrow := false
		for _, r := range set.Rules {
			if r.Any() && narrow {
				t.Fatalf("a narrow rule comes before one for the world: %v", set.Rules)
			}
			narrow = narrow || !r.Any()
		}
	})
}

// TestACLOrder: numbers alone order an ACL, and one with the rules of a group is
// another list, because its order means something.
func TestACLOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := rapid.SliceOfNDistinct(someRule, 1, 3, func(r Rule) uint32 { return r.ID }).Draw(t, "rules")
		id, set := MakeACL(rules)
		if again, _ := MakeACL(rapid.Permutation(rules).Draw(t, "shuffled")); again != id {
			t.Fatal("order counts")
		}
		if !slices.IsSortedFunc(set.Rules, func(a, b Rule) int { return int(int64(a.ID) - int64(b.ID)) }) {
			t.Fatalf("not by number: %v", set.Rules)
		}
		if group, _ := MakeRuleSet(rules); group == id {
			t.Fatalf("an ACL and a group share the name of %v", set.Rules)
		}
	})
	none, _ := MakeRuleSet(nil)
	if empty, _ := MakeACL(nil); empty != none {
		t.Error("no rules have two names")
	}
}

func TestRulePredicates(t *testing.T) {
	world, narrow := netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("0.0.0.0/1")
	for _, tt := range []struct {
		r        Rule
		any, all bool
		text     string
	}{
		{Rule{Protocol: AnyProtocol, FromPort: -1, ToPort: -1, Prefix: world}, true, true, "proto -1 ports -1--1 remote 0.0.0.0/0 id 00000000"},
		{Rule{Protocol: 6, FromPort: 80, ToPort: 81, Prefix: world, ID: 0xab}, true, false, "proto 6 ports 80-81 remote 0.0.0.0/0 id 000000ab"},
		{Rule{Protocol: AnyProtocol, Prefix: narrow}, false, false, "proto -1 ports 0-0 remote 0.0.0.0/1 id 00000000"},
		{Rule{Protocol: AnyProtocol, Group: 7}, false, false, "proto -1 ports 0-0 remote group 7 id 00000000"},
	} {
		if tt.r.Any() != tt.any || tt.r.AllowsAll() != tt.all || tt.r.String() != tt.text {
			t.Errorf("any %t, all %t, %q; want %+v", tt.r.Any(), tt.r.AllowsAll(), tt.r, tt)
		}
	}
}

// TestMACs: no two roles and no two indices share an address, and each is
// unicast and locally administered.
func TestMACs(t *testing.T) {
	seen := map[MAC]string{}
	for _, n := range []uint32{0, 1, 2, 255, 256, 1 << 16, 1 << 24, math.MaxUint32} {
		for role, m := range map[string]MAC{"eni": MACOf(ENI(n)), "router": RouterMAC(SubnetID(n)), "port": PortMAC(ENI(n))} {
			name := fmt.Sprintf("%s %d", role, n)
			if other, taken := seen[m]; taken {
				t.Errorf("%s is %s and %s", m, other, name)
			}
			seen[m] = name
			if m[0]&1 != 0 || m[0]&2 == 0 {
				t.Errorf("%s of %s is not a unicast, locally administered address", m, name)
			}
			if back, err := ParseMAC(m.String()); err != nil || back != m {
				t.Errorf("%s leads back to %s, %v", m, back, err)
			}
		}
	}
	for _, bad := range []string{"", "02:0e:00:00:00", "02:0e:00:00:00:zz", "02:00:5e:10:00:00:00:01"} {
		if m, err := ParseMAC(bad); err == nil {
			t.Errorf("%q is %s", bad, m)
		}
	}
}

func TestAddrs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		addr := rapid.Custom(func(t *rapid.T) netip.Addr {
			n := rapid.SampledFrom([]int{4, 16}).Draw(t, "size")
			a, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "bytes"))
			return a
		})
		list := rapid.SliceOfN(addr, 0, 5).Draw(t, "addresses")
		sorted := slices.Clone(list)
		slices.SortFunc(sorted, netip.Addr.Compare)
		have := MakeAddrs(list)
		if !slices.Equal(have.List(), sorted) || MakeAddrs(sorted) != have {
			t.Fatalf("%v became %v", list, have.List())
		}
	})
	if MakeAddrs(nil) != "" || Addrs("").List() != nil {
		t.Error("no addresses are not the empty value")
	}
}

func TestGroups(t *testing.T) {
	g, err := MakeGroups([]Group{9, 3, 9, 1})
	if err != nil || g.String() != "1,3,9" {
		t.Errorf("%s, %v", g, err)
	}
	if other, _ := MakeGroups([]Group{1, 9, 3}); other != g {
		t.Error("order counts")
	}
	full := make([]Group, MaxGroups)
	for i := range full {
		full[i] = Group(i + 1)
	}
	if g, err = MakeGroups(full); err != nil || strings.Count(g.String(), ",") != MaxGroups-1 {
		t.Errorf("%d groups: %s, %v", MaxGroups, g, err)
	}
	if _, err = MakeGroups(append(full, 99)); err == nil || !strings.Contains(err.Error(), "17 security groups") {
		t.Errorf("one more: %v", err)
	}
	if _, err = MakeGroups(append(full, 1)); err != nil {
		t.Errorf("a repeated one counts twice: %v", err)
	}
	if (Groups{}).String() != "" {
		t.Error("no groups are not the empty text")
	}
}
