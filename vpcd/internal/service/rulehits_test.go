package service

import (
	"errors"
	"reflect"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func TestRuleHitsAreOfOnesOwn(t *testing.T) {
	h := &answers{}
	b := newBench(t, func(c *Config) { c.Host, c.HostName = h, "h1" })
	vpc := b.vpc("10.0.0.0/16").VpcId
	group := do[api.DescribeSecurityGroupsResult](b, &api.DescribeSecurityGroupsRequest{}).SecurityGroups[0].GroupId
	rules := do[api.DescribeSecurityGroupRulesResult](b, &api.DescribeSecurityGroupRulesRequest{}).SecurityGroupRules
	acl := do[api.DescribeNetworkAclsResult](b, &api.DescribeNetworkAclsRequest{Filters: []api.Filter{{Name: "vpc-id", Values: []string{vpc}}}}).NetworkAcls[0].NetworkAclId
	h.hits = []api.RuleHit{
		{GroupId: group, SecurityGroupRuleId: rules[0].SecurityGroupRuleId, Hits: api.Ptr(int64(3))},
		{NetworkAclId: acl, RuleNumber: api.Ptr(int32(100)), Hits: api.Ptr(int64(4))},
		{GroupId: group, SecurityGroupRuleId: "sgr-22222222222222222"}, // revoked meanwhile
		{GroupId: "sg-22222222222222222", SecurityGroupRuleId: rules[0].SecurityGroupRuleId},
		{NetworkAclId: "acl-22222222222222222", RuleNumber: api.Ptr(int32(100))},
	}
	for _, tt := range []struct {
		groups, acls []string
		want         []api.RuleHit
	}{
		{nil, nil, h.hits[:2]},
		{[]string{group}, nil, h.hits[:1]},
		{nil, []string{acl}, h.hits[1:2]},
		{[]string{group}, []string{acl}, h.hits[:2]},
	} {
		got := do[api.DescribeRuleHitsResult](b, &api.DescribeRuleHitsRequest{GroupIds: tt.groups, NetworkAclIds: tt.acls}).RuleHits
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("of %v and %v: %+v", tt.groups, tt.acls, got)
		}
	}
	res, _, err := b.call(bob, "DescribeRuleHits", &api.DescribeRuleHitsRequest{})
	if err != nil || len(res.(*api.DescribeRuleHitsResult).RuleHits) != 0 {
		t.Errorf("bob sees %+v %v", res, err)
	}
	_, _, err = b.call(bob, "DescribeRuleHits", &api.DescribeRuleHitsRequest{GroupIds: []string{group}})
	refused(t, err, "InvalidGroup.NotFound", "GroupIds.0")
	_, _, err = b.call(bob, "DescribeRuleHits", &api.DescribeRuleHitsRequest{NetworkAclIds: []string{acl}})
	refused(t, err, "InvalidNetworkAclID.NotFound", "NetworkAclIds.0")
	h.err = errors.New("the kernel said no")
	_, _, err = b.call(alice, "DescribeRuleHits", &api.DescribeRuleHitsRequest{})
	refused(t, err, "InternalError", "")
}
