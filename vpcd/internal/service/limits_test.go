package service

import (
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// setLimit is what an account may ask for.
func (b *bench) setLimit(name limitName, value int64) error {
	_, _, err := b.call(alice, "ModifyLimit", &api.ModifyLimitRequest{Name: string(name), Value: &value})
	return err
}

func (b *bench) mustLimit(name limitName, value int64) {
	b.t.Helper()
	if err := b.setLimit(name, value); err != nil {
		b.t.Fatalf("%s=%d: %v", name, value, err)
	}
}

// TestLimitsFitTheDataPlane: no value is taken with which an interface could
// have more rules than a list has room for.
func TestLimitsFitTheDataPlane(t *testing.T) {
	b := newBench(t)
	for _, row := range []struct {
		name  limitName
		value int64
		hint  string // "" for what is taken
	}{
		{limitRules, 201, "rules-per-sg=200"},
		{limitRules, unlimited, "rules-per-sg=1000"},
		{limitRules, 1001, "rules-per-sg=1000"},
		{limitRules, 200, ""},
		{limitGroupsOfENI, 6, "sgs-per-eni=5"},
		{limitGroupsOfENI, 17, "sgs-per-eni=16"},
		{limitGroupsOfENI, unlimited, "sgs-per-eni=16"},
		{limitGroupsOfENI, 1, ""},
		{limitRules, 1000, ""},
		{limitGroupsOfENI, 2, "sgs-per-eni=1"},
		{limitRules, 0, ""},
		{limitGroupsOfENI, 16, ""},
		{limitRules, 62, ""},
		{limitRules, 63, "rules-per-sg=62"},
		{limitAclEntries, unlimited, "rules-per-acl=1000"},
		{limitAclEntries, 1000, ""},
		{limitVpcs, unlimited, ""},
	} {
		if row.hint == "" {
			b.mustLimit(row.name, row.value)
			continue
		}
		b.unchanged(t, func() {
			if e := refused(t, b.setLimit(row.name, row.value), "InvalidParameterValue", "Value"); !strings.Contains(e.Hint, row.hint) {
				t.Errorf("%s=%d: hint %q, want %q", row.name, row.value, e.Hint, row.hint)
			}
		})
	}
}

// TestOneOfTwoRaisesWins: each alone would fit.
func TestOneOfTwoRaisesWins(t *testing.T) {
	for range 10 {
		b := newBench(t)
		got := together(2, func(i int) error {
			if i == 0 {
				return b.setLimit(limitRules, 200)
			}
			return b.setLimit(limitGroupsOfENI, 16)
		})
		if got[""] != 1 || got["InvalidParameterValue"] != 1 {
			t.Fatalf("answers %v", got)
		}
	}
}

// TestWhatExceedsALimitCounts: what stayed when one limit was lowered is not
// multiplied by raising the other.
func TestWhatExceedsALimitCounts(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	b.mustLimit(limitRules, 100)
	web := b.group(vpc.VpcId, "web")
	b.allow(web, withList(b.list(100).PrefixListId))
	b.mustLimit(limitRules, 60)
	b.mustLimit(limitGroupsOfENI, 10)
	b.unchanged(t, func() {
		e := refused(t, b.setLimit(limitGroupsOfENI, 11), "InvalidParameterValue", "Value")
		if len(e.BlockedBy) != 1 || e.BlockedBy[0] != (api.Blocker{Kind: "sg", Id: web, Name: "web", Detail: "100 rules"}) || !strings.Contains(e.Hint, "sgs-per-eni=10") {
			t.Errorf("blocked by %+v, hint %q", e.BlockedBy, e.Hint)
		}
	})
	b.mustLimit(limitRules, 100)
	var groups []string
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		groups = append(groups, b.group(vpc.VpcId, name))
	}
	eni := do[api.CreateNetworkInterfaceResult](b, &api.CreateNetworkInterfaceRequest{SubnetId: b.subnet(vpc.VpcId, "10.0.1.0/24").SubnetId, Groups: groups}).NetworkInterface.NetworkInterfaceId
	b.mustLimit(limitGroupsOfENI, 5)
	b.mustLimit(limitRules, 166)
	b.unchanged(t, func() {
		e := refused(t, b.setLimit(limitRules, 167), "InvalidParameterValue", "Value")
		if len(e.BlockedBy) != 1 || e.BlockedBy[0].Id != eni {
			t.Errorf("blocked by %+v", e.BlockedBy)
		}
	})
	// Lowering is never kept from anybody.
	b.mustLimit(limitRules, 150)
}

// TestLimitsOfTwoPlaces: those of the command line and of the store are not
// checked against each other before the daemon runs, so the status says it.
func TestLimitsOfTwoPlaces(t *testing.T) {
	b := newBench(t, func(c *Config) { c.HostName, c.Limits = "h1", map[string]int64{"rules-per-sg": 200} })
	reasons := func() string {
		return strings.Join(do[api.DescribeHostsResult](b, &api.DescribeHostsRequest{}).Hosts[0].Reasons, "\n")
	}
	if strings.Contains(reasons(), "rules-per-sg") {
		t.Errorf("reasons while all is well: %s", reasons())
	}
	b.limits["rules-per-sg"] = 201
	if !strings.Contains(reasons(), "rules-per-sg=201 and sgs-per-eni=5 allow 1005 rules") {
		t.Errorf("reasons %s", reasons())
	}
	for _, limits := range []map[string]int64{{"rules-per-sg": 201}, {"rules-per-sg": 200, "sgs-per-eni": 6}, {"sgs-per-eni": -1}, {"moons": 1}} {
		if CheckLimits(limits) == nil {
			t.Errorf("%v is taken", limits)
		}
	}
	if err := CheckLimits(map[string]int64{"rules-per-sg": 1000, "sgs-per-eni": 1}); err != nil {
		t.Error(err)
	}
}
