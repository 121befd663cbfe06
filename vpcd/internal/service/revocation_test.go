package service

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// allowed adds rules for these ports to a group and returns their ids.
func (b *bench) allowed(group string, ports ...int32) []string {
	b.t.Helper()
	var perms []api.IpPermission
	for _, p := range ports {
		perms = append(perms, tcp(p, "0.0.0.0/0"))
	}
	rules := do[api.AuthorizeSecurityGroupIngressResult](b, &api.AuthorizeSecurityGroupIngressRequest{GroupId: group, IpPermissions: perms}).SecurityGroupRules
	return collect(rules, func(r api.SecurityGroupRule) string { return r.SecurityGroupRuleId })
}

func (b *bench) revoke(group string, cut bool, rules ...string) []string {
	b.t.Helper()
	return do[api.RevokeSecurityGroupIngressResult](b, &api.RevokeSecurityGroupIngressRequest{
		GroupId: group, SecurityGroupRuleIds: rules, CutTracked: &cut}).SecurityGroupRuleIds
}

// revocations are the records of that kind as "cut RULES" or "kept RULES".
func (b *bench) revocations() []string {
	var out []string
	for _, r := range store.List[*record.Revocation](b.store.Snapshot(), record.Revocations) {
		word := map[bool]string{true: "cut ", false: "kept "}[r.Cut]
		out = append(out, word+strings.Join(r.Rules, ","))
	}
	slices.Sort(out)
	return out
}

func (b *bench) hasRevocations(t *testing.T, want ...string) {
	t.Helper()
	slices.Sort(want)
	if have := b.revocations(); !slices.Equal(have, want) {
		t.Errorf("revocations are %q, want %q", have, want)
	}
}

// TestRevokeWithACut: the cut is part of the transaction, and one record for all
// rules of a call.
func TestRevokeWithACut(t *testing.T) {
	b := newBench(t)
	web := b.group(b.vpc("10.0.0.0/16").VpcId, "web")
	r := b.allowed(web, 1, 2, 3)
	b.unchanged(t, func() {
		_, _, err := b.call(alice, "RevokeSecurityGroupIngress", &api.RevokeSecurityGroupIngressRequest{GroupId: web,
			SecurityGroupRuleIds: []string{r[0], "sgr-00000000"}, CutTracked: api.Ptr(true)})
		refused(t, err, "InvalidSecurityGroupRuleId.NotFound", "SecurityGroupRuleIds.1")
	})
	if gone := b.revoke(web, true, r[1], r[0]); !slices.Equal(gone, r[:2]) {
		t.Errorf("the answer names %q, want %q", gone, r[:2])
	}
	b.hasRevocations(t, "cut "+r[0]+","+r[1])
	b.revoke(web, false, r[2])
	b.hasRevocations(t, "cut "+r[0]+","+r[1], "kept "+r[2])
	egress := do[api.RevokeSecurityGroupEgressResult](b, &api.RevokeSecurityGroupEgressRequest{GroupId: web, CutTracked: api.Ptr(true),
		IpPermissions: []api.IpPermission{{IpProtocol: "-1", IpRanges: []api.IpRange{{CidrIp: "0.0.0.0/0"}}}}}).SecurityGroupRuleIds
	if len(egress) != 1 {
		t.Fatalf("of egress: %q", egress)
	}
	b.hasRevocations(t, "cut "+r[0]+","+r[1], "kept "+r[2], "cut "+egress[0])
}

func TestCutFlows(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16").VpcId
	web, db := b.group(vpc, "web"), b.group(vpc, "db")
	r := b.allowed(web, 1, 2)
	b.revoke(web, false, r[0])
	type request = api.CutFlowsRequest
	for name, row := range map[string]struct {
		req         request
		code, field string
	}{
		"no group":           {request{SecurityGroupRuleIds: r[:1]}, "MissingParameter", "GroupId"},
		"no rule":            {request{GroupId: web}, "MissingParameter", "SecurityGroupRuleIds"},
		"group malformed":    {request{GroupId: "web", SecurityGroupRuleIds: r[:1]}, "InvalidGroupId.Malformed", "GroupId"},
		"rule malformed":     {request{GroupId: web, SecurityGroupRuleIds: []string{r[0], "sg-00000000"}}, "InvalidSecurityGroupRuleId.Malformed", "SecurityGroupRuleIds.1"},
		"empty rule":         {request{GroupId: web, SecurityGroupRuleIds: []string{""}}, "MissingParameter", "SecurityGroupRuleIds.0"},
		"never was":          {request{GroupId: web, SecurityGroupRuleIds: []string{"sgr-00000000"}}, "InvalidSecurityGroupRuleId.NotFound", "SecurityGroupRuleIds.0"},
		"of another group":   {request{GroupId: db, SecurityGroupRuleIds: r[:1]}, "InvalidSecurityGroupRuleId.NotFound", "SecurityGroupRuleIds.0"},
		"exists":             {request{GroupId: web, SecurityGroupRuleIds: []string{r[0], r[1]}}, "IncorrectState", "SecurityGroupRuleIds.1"},
		"exists, in another": {request{GroupId: db, SecurityGroupRuleIds: r[1:]}, "InvalidSecurityGroupRuleId.NotFound", "SecurityGroupRuleIds.0"},
	} {
		b.unchanged(t, func() {
			_, _, err := b.call(alice, "CutFlows", &row.req)
			if e := refused(t, err, row.code, row.field); name == "exists" && e.Hint != "vpc sg revoke "+r[1]+" --cut" {
				t.Errorf("the hint is %q", e.Hint)
			}
		})
	}
	b.unchanged(t, func() {
		_, _, err := b.call(bob, "CutFlows", &request{GroupId: web, SecurityGroupRuleIds: r[:1]})
		refused(t, err, "InvalidGroup.NotFound", "GroupId")
	})
	// Twice in a request, and twice at all: the number of a rule never comes back.
	do[api.CutFlowsResult](b, &request{GroupId: web, SecurityGroupRuleIds: []string{r[0], r[0]}})
	b.hasRevocations(t, "kept "+r[0], "cut "+r[0])
	do[api.CutFlowsResult](b, &request{GroupId: web, SecurityGroupRuleIds: r[:1]})
}

// TestRuleFlows: what is counted is at the caller's interfaces in the VPC of the
// group.
func TestRuleFlows(t *testing.T) {
	h := &answers{tracked: 3}
	b := newBench(t, func(c *Config) { c.Host, c.HostName = h, "h1" })
	vpc, other := b.vpc("10.0.0.0/16"), b.vpc("10.0.0.0/16")
	web := b.group(vpc.VpcId, "web")
	r := b.allowed(web, 1, 2)
	b.revoke(web, false, r[0])
	count := func() int64 {
		return *do[api.GetRuleFlowsResult](b, &api.GetRuleFlowsRequest{GroupId: web, SecurityGroupRuleIds: r}).Flows
	}
	if n := count(); n != 0 || h.asked != nil {
		t.Errorf("%d flows of nobody, asked of %v", n, h.asked)
	}
	b.eni(b.subnet(other.VpcId, "10.0.1.0/24"), "10.0.1.10", "netns:b")
	eni := b.eni(b.subnet(vpc.VpcId, "10.0.1.0/24"), "10.0.1.10", "netns:a")
	if n := count(); n != 3 || !slices.Equal(h.asked, []string{eni}) || !slices.Equal(h.rules, r) {
		t.Errorf("%d flows, asked for %v of %v", n, h.rules, h.asked)
	}
	for _, row := range []struct {
		who               Caller
		group, rule       string
		code, field, what string
	}{
		{alice, web, "sgr-00000000", "InvalidSecurityGroupRuleId.NotFound", "SecurityGroupRuleIds.0", "never was"},
		{alice, web, "x", "InvalidSecurityGroupRuleId.Malformed", "SecurityGroupRuleIds.0", "no id"},
		{bob, web, r[0], "InvalidGroup.NotFound", "GroupId", "of another account"},
	} {
		_, _, err := b.call(row.who, "GetRuleFlows", &api.GetRuleFlowsRequest{GroupId: row.group, SecurityGroupRuleIds: []string{row.rule}})
		refused(t, err, row.code, row.field)
	}
	h.err = errors.New("the kernel said no")
	_, _, err := b.call(alice, "GetRuleFlows", &api.GetRuleFlowsRequest{GroupId: web, SecurityGroupRuleIds: r})
	refused(t, err, "InternalError", "")
	// Where a VPC cuts, nothing goes on: also what the table still has.
	do[api.ModifyVpcOptionsResult](b, &api.ModifyVpcOptionsRequest{VpcId: vpc.VpcId, Revocation: "cut"})
	if n := count(); n != 0 {
		t.Errorf("%d flows go on in a VPC that cuts", n)
	}
}

// TestCutsOutliveTheirGroup: what a group remembers goes with it, but for cuts
// that a host may still have to make.
func TestCutsOutliveTheirGroup(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16").VpcId
	web, own := b.group(vpc, "web"), b.defaultGroupOf(vpc)
	r := b.allowed(web, 1, 2, 3)
	b.revoke(web, true, r[0])
	b.report("h1", b.store.Snapshot().Revision())
	b.revoke(web, false, r[1])
	b.revoke(web, true, r[2])
	last := b.allowed(own, 4)
	b.revoke(own, true, last...)
	do[api.DeleteSecurityGroupResult](b, &api.DeleteSecurityGroupRequest{GroupId: web})
	b.hasRevocations(t, "cut "+last[0])
	do[api.DeleteVpcResult](b, &api.DeleteVpcRequest{VpcId: vpc})
	b.hasRevocations(t)
	for id, want := range map[string][]string{web: r[2:], own: last} {
		if stone, _ := store.Get[*record.Tombstone](b.store.Snapshot(), record.TombstoneKey(id)); stone == nil || !slices.Equal(stone.Cut, want) {
			t.Errorf("the tombstone of %s is %+v, want cuts of %q", id, stone, want)
		}
	}
}

// TestRoomForRevocations: the oldest goes first, and never a cut that some host
// may still have to make.
func TestRoomForRevocations(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16").VpcId
	web := b.group(vpc, "web")
	r := b.allowed(web, 1, 2, 3, 4)
	fill := func(name string, n int, rec record.Revocation) {
		t.Helper()
		_, err := b.store.Update(t.Context(), func(tx *store.Tx) error {
			for i := range n {
				tx.Put(fmt.Sprintf("%s%s-%d", record.RevocationsOf(vpc, web), name, i), rec)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	fill("z", 1, record.Revocation{Rules: []string{"sgr-older"}})
	fill("y", 1, record.Revocation{Rules: []string{"sgr-done"}, Cut: true})
	b.report("h1", b.store.Snapshot().Revision())
	for n := 2; n < maxRevocations; n += 50 {
		fill(fmt.Sprint(n), min(50, maxRevocations-n), record.Revocation{Rules: []string{"sgr-pending"}, Cut: true})
	}
	left := func(rule string) bool {
		return slices.ContainsFunc(b.revocations(), func(s string) bool { return strings.HasSuffix(s, rule) })
	}
	b.revoke(web, true, r[0])
	if left("sgr-older") || !left("sgr-done") || !left(r[0]) {
		t.Error("the oldest has not made room")
	}
	b.revoke(web, true, r[1])
	if left("sgr-done") || !left(r[1]) {
		t.Error("a cut that every host has made has not made room")
	}
	b.unchanged(t, func() {
		_, _, err := b.call(alice, "RevokeSecurityGroupIngress", &api.RevokeSecurityGroupIngressRequest{GroupId: web, SecurityGroupRuleIds: r[2:3], CutTracked: api.Ptr(true)})
		refused(t, err, "ResourceLimitExceeded", "CutTracked")
		_, _, err = b.call(alice, "CutFlows", &api.CutFlowsRequest{GroupId: web, SecurityGroupRuleIds: r[:1]})
		refused(t, err, "ResourceLimitExceeded", "SecurityGroupRuleIds")
	})
	// A revocation that asks for nothing more is not held up by it.
	b.revoke(web, false, r[2])
	if n := len(b.revocations()); n != maxRevocations || left(r[2]) {
		t.Errorf("%d revocations, the last one among them: %t", n, left(r[2]))
	}
	b.report("h1", 1<<40)
	b.revoke(web, true, r[3])
	if n := len(b.revocations()); n != maxRevocations || !left(r[3]) {
		t.Errorf("%d revocations, the last one among them: %t", n, left(r[3]))
	}
}

// TestReap: time alone removes what every host has obeyed.
func TestReap(t *testing.T) {
	var later time.Duration
	b := newBench(t, func(c *Config) {
		start := c.Now()
		c.Now = func() time.Time { return start.Add(later) }
	})
	vpc := b.vpc("10.0.0.0/16").VpcId
	web := b.group(vpc, "web")
	r := b.allowed(web, 1, 2, 3)
	b.report("h1", 0)
	b.revoke(web, true, r[0])
	b.revoke(web, false, r[1])
	do[api.DeleteSecurityGroupResult](b, &api.DeleteSecurityGroupRequest{GroupId: b.group(vpc, "gone")})
	reap := func(after time.Duration) (revocations, stones int) {
		t.Helper()
		later = after
		if err := b.reap(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range store.List[*record.Tombstone](b.store.Snapshot(), record.Tombstones) {
			stones++
		}
		return len(b.revocations()), stones
	}
	if n, stones := reap(cutLife + time.Second); n != 2 || stones != 1 {
		t.Errorf("before the host has obeyed: %d revocations, %d tombstones", n, stones)
	}
	b.report("h1", b.store.Snapshot().Revision())
	if n, stones := reap(tombstoneLife); n != 2 || stones != 1 {
		t.Errorf("young: %d revocations, %d tombstones", n, stones)
	}
	if n, stones := reap(cutLife); n != 2 || stones != 0 {
		t.Errorf("a day: %d revocations, %d tombstones", n, stones)
	}
	reap(cutLife + time.Second)
	b.hasRevocations(t, "kept "+r[1])
}

func TestInterfaceStatistics(t *testing.T) {
	h := &answers{}
	b := newBench(t, func(c *Config) { c.Host, c.HostName = h, "h1" })
	if all := do[api.DescribeNetworkInterfaceStatisticsResult](b, &api.DescribeNetworkInterfaceStatisticsRequest{}).NetworkInterfaceStatistics; len(all) != 0 || h.asked != nil {
		t.Errorf("of nobody: %+v, asked of %v", all, h.asked)
	}
	sub := b.subnet(b.vpc("10.0.0.0/16").VpcId, "10.0.1.0/24")
	used, free := b.eni(sub, "10.0.1.10", "netns:a"), b.eni(sub, "10.0.1.11", "")
	four := []api.Counter{{Name: "conntrack_flows", Value: api.Ptr(int64(4))}}
	h.statistics = map[string][]api.Counter{used: four, free: nil, "eni-22222222222222222": nil}
	for _, ids := range [][]string{nil, {used}, {free, used}} {
		got := do[api.DescribeNetworkInterfaceStatisticsResult](b, &api.DescribeNetworkInterfaceStatisticsRequest{NetworkInterfaceIds: ids}).NetworkInterfaceStatistics
		if !reflect.DeepEqual(got, []api.NetworkInterfaceStatistics{{NetworkInterfaceId: used, Counters: four}}) || !slices.Equal(h.asked, []string{used}) {
			t.Errorf("of %v: %+v, asked of %v", ids, got, h.asked)
		}
	}
	if got := do[api.DescribeNetworkInterfaceStatisticsResult](b, &api.DescribeNetworkInterfaceStatisticsRequest{NetworkInterfaceIds: []string{free}}).NetworkInterfaceStatistics; len(got) != 0 {
		t.Errorf("of one that is not attached: %+v", got)
	}
	_, _, err := b.call(bob, "DescribeNetworkInterfaceStatistics", &api.DescribeNetworkInterfaceStatisticsRequest{NetworkInterfaceIds: []string{used}})
	refused(t, err, "InvalidNetworkInterfaceID.NotFound", "NetworkInterfaceIds.0")
	h.err = errors.New("the kernel said no")
	_, _, err = b.call(alice, "DescribeNetworkInterfaceStatistics", &api.DescribeNetworkInterfaceStatisticsRequest{})
	refused(t, err, "InternalError", "")
}
