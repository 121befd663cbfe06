package cli

import (
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

const webRule, dbRule = "sgr-00000000000000007", "sgr-00000000000000008"

// with runs a story while rules have that many flows.
func (b *bench) with(flows int64, lines ...string) string {
	b.t.Helper()
	b.flows = flows
	return b.story(lines...)
}

// TestFlowsOfRevokedRules: what is said of connections that outlive a rule.
func TestFlowsOfRevokedRules(t *testing.T) {
	b := newBench(t)
	b.world()
	out := b.with(3, "sg revoke web --in tcp/443 --from 0.0.0.0/0", "sg cut web "+webRule) +
		b.with(1, "sg revoke "+webRule+" "+dbRule, "sg revoke web --vpc prod --in tcp/443 --from 0.0.0.0/0") +
		b.with(0, "sg revoke web --in tcp/443 --from 0.0.0.0/0", "sg cut web "+webRule+" "+dbRule,
			"sg cut web "+webRule+" "+dbRule+" "+webRule+" "+webRule) +
		b.with(3, "sg revoke web --in tcp/443 --from 0.0.0.0/0 --cut") +
		b.with(1, "sg revoke db --in 6/5432 --from sg:web --cut") +
		b.with(2, "sg revoke "+webRule+" --cut") +
		b.with(4, "sg revoke web --in udp/53 --from 0.0.0.0/0 --cut") +
		b.with(3, "sg revoke "+webRule+" --no-wait", "sg revoke "+webRule+" --dry-run", "sg cut web "+webRule+" --dry-run",
			"sg revoke web --in tcp/443 --from 0.0.0.0/0 -o json", "sg revoke "+webRule+" -q", "sg cut web "+webRule+" -o json")
	b.refuse["GetRuleFlows"] = api.Errorf("UnsupportedOperation", "", "this vpcd has no data plane to ask")
	out += b.with(3, "sg revoke web --in tcp/443 --from 0.0.0.0/0", "sg revoke "+webRule+" --cut", "sg cut web "+webRule)
	b.refuse["CutFlows"] = &api.Error{Code: "IncorrectState", Field: "SecurityGroupRuleIds.0",
		Message: "the rule " + webRule + " still exists", Hint: "vpc sg revoke " + webRule + " --cut"}
	golden(t, "revoked_flows", out+b.story("sg cut web "+webRule, "sg cut web", "sg cut nobody "+webRule))
}

// TestCountsAfterTheKernelObeys: before that a rule lets in more.
func TestCountsAfterTheKernelObeys(t *testing.T) {
	b := newBench(t)
	b.world()
	b.flows, b.unapplied = 3, 2
	var order []string
	b.before = func(action string) { order = append(order, action) }
	b.ok("sg revoke " + webRule)
	if got := strings.Join(order, " "); !strings.HasSuffix(got, "RevokeSecurityGroupIngress WaitApplied WaitApplied WaitApplied GetRuleFlows") {
		t.Errorf("asked for %s", got)
	}
	order, b.flows = nil, 3
	b.ok("sg revoke " + webRule + " --cut")
	if got := strings.Join(order, " "); !strings.HasSuffix(got, "GetRuleFlows RevokeSecurityGroupIngress WaitApplied") {
		t.Errorf("with a cut asked for %s", got)
	}
}

func TestStatistics(t *testing.T) {
	b := newBench(t)
	b.world()
	b.ok("create other --cidr 10.0.0.0/16")
	count := func(name string, n int64) api.Counter { return api.Counter{Name: name, Value: &n} }
	b.statistics = []api.NetworkInterfaceStatistics{
		{NetworkInterfaceId: "eni-00000000000000009", Counters: []api.Counter{
			count("conntrack_allowance_available", 65531), count("conntrack_allowance_exceeded", 12), count("conntrack_flows", 5),
			count("conntrack_allowance", 65536), count("conntrack_half_open_flows", 2), count("conntrack_half_open_allowance", 1024)}},
		{NetworkInterfaceId: "eni-0000000000000000c", Counters: []api.Counter{count("conntrack_flows", 0)}},
	}
	golden(t, "stats", b.story("eni stats", "eni stats web1", "eni stats docker:web1 -o json", "eni stats -q", "eni stats --vpc prod",
		"eni stats --vpc other", "eni stats --vpc other -o json", "eni stats nobody"))
}

// TestNatStatistics: one line for each counter.
func TestNatStatistics(t *testing.T) {
	b := newBench(t)
	b.world()
	b.ok("create other --cidr 10.0.0.0/16")
	b.ok("nat add egress --subnet web --private")
	count := func(name string, n int64) api.Counter { return api.Counter{Name: name, Value: &n} }
	b.natStatistics = []api.NatGatewayStatistics{
		{NatGatewayId: b.nats[0].NatGatewayId, Counters: []api.Counter{count("ActiveConnectionCount", 16), count("ErrorPortAllocation", 3)}},
		{NatGatewayId: "nat-0000000000000000c", Counters: []api.Counter{count("ActiveConnectionCount", 0)}},
	}
	golden(t, "nat_stats", b.story("nat stats", "nat stats egress", "nat stats egress -o json", "nat stats -q", "nat stats --vpc prod",
		"nat stats --vpc other", "nat stats --vpc other -o json", "nat stats nobody"))
}
