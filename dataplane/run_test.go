package dataplane

import (
	"testing"

	"github.com/vpcfabric/vpc/dataplane/flows"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// TestHasRule: counts are kept for rules that this host has, whichever list they
// are in, and for nobody else's of the same number.
func TestHasRule(t *testing.T) {
	h := twoSubnetsWithoutWorkloads()
	group, rules := spec.MakeRuleSet([]spec.Rule{{Protocol: spec.AnyProtocol, Group: 1, ID: 0xabc}})
	out, outRules := spec.MakeACL([]spec.Rule{{Protocol: spec.AnyProtocol, Group: 1, ID: 100}})
	in, inRules := spec.MakeACL([]spec.Rule{{Protocol: spec.AnyProtocol, Group: 1, ID: 200}})
	h.RuleSets = map[spec.RuleSetID]spec.RuleSet{group: rules, out: outRules, in: inRules}
	s := h.Subnets[1]
	s.ACLOut, s.ACLIn, s.ACL = out, in, 31
	h.Subnets[1] = s
	has := hasRule(h)
	for r, want := range map[flows.Rule]bool{
		{ID: 0xabc, VPC: 1}:           true,
		{ID: 0xabc, VPC: 2}:           false,
		{ID: 100, VPC: 1}:             false,
		{ID: 100, ACL: 31, Out: true}: true,
		{ID: 100, ACL: 31}:            false,
		{ID: 200, ACL: 31}:            true,
		{ID: 100, ACL: 1, Out: true}:  false,
		{ID: 100, ACL: 9, Out: true}:  false,
	} {
		if has(r) != want {
			t.Errorf("%+v is kept: %v, want %v", r, !want, want)
		}
	}
}

func twoSubnetsWithoutWorkloads() *spec.Host {
	return &spec.Host{Subnets: map[spec.SubnetID]spec.Subnet{1: {VPC: 1}, 2: {VPC: 1}}}
}
