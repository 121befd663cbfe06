package service

import (
	"fmt"
	"slices"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// groupOf makes a group of an account.
func (b *peerBench) groupOf(who Caller, vpc, name string) string {
	b.t.Helper()
	return by[api.CreateSecurityGroupResult](b, who, &api.CreateSecurityGroupRequest{GroupName: name, Description: name, VpcId: vpc}).GroupId
}

// permit is the permission of port 80 for a group.
func permit(pair api.UserIdGroupPair) []api.IpPermission {
	port := api.Ptr(int32(80))
	return []api.IpPermission{{IpProtocol: "tcp", FromPort: port, ToPort: port, UserIdGroupPairs: []api.UserIdGroupPair{pair}}}
}

// TestGroupsAcrossAPeering: a rule names a group of the other account's VPC while
// the two are joined; answers say where it is and what became of the peering.
func TestGroupsAcrossAPeering(t *testing.T) {
	b := newPeerBench(t)
	vpc, peer, id := b.joined(alice, bob)
	web, far := b.groupOf(alice, vpc, "web"), b.groupOf(bob, peer, "far")
	lone := b.groupOf(bob, b.vpcOf(bob, "10.20.0.0/16"), "lone")
	const at = "IpPermissions.0.UserIdGroupPairs.0."
	for _, row := range []struct {
		pair        api.UserIdGroupPair
		code, field string
	}{
		{api.UserIdGroupPair{GroupId: far}, "InvalidGroup.NotFound", at + "GroupId"},
		{api.UserIdGroupPair{GroupId: lone, UserId: bob.Account}, "InvalidGroup.NotFound", at + "UserId"},
		{api.UserIdGroupPair{GroupId: "sg-00000000", UserId: bob.Account}, "InvalidGroup.NotFound", at + "UserId"},
		{api.UserIdGroupPair{GroupId: web, UserId: bob.Account}, "InvalidGroup.NotFound", at + "UserId"},
		{api.UserIdGroupPair{GroupId: far, UserId: bob.Account, VpcId: vpc}, "InvalidGroup.NotFound", at + "VpcId"},
		{api.UserIdGroupPair{GroupId: web, VpcId: peer}, "InvalidGroup.NotFound", at + "VpcId"},
		{api.UserIdGroupPair{GroupId: web, VpcPeeringConnectionId: id}, "InvalidGroup.NotFound", at + "VpcPeeringConnectionId"},
		{api.UserIdGroupPair{GroupName: "far", UserId: bob.Account}, "InvalidGroup.NotFound", at + "UserId"},
		{api.UserIdGroupPair{GroupName: "far", VpcPeeringConnectionId: id}, "InvalidParameterCombination", at + "GroupName"},
	} {
		b.unchanged(t, func() {
			_, _, err := b.call(alice, "AuthorizeSecurityGroupIngress", &api.AuthorizeSecurityGroupIngressRequest{GroupId: web, IpPermissions: permit(row.pair)})
			refused(t, err, row.code, row.field)
		})
	}
	full := api.UserIdGroupPair{GroupId: far, UserId: bob.Account, VpcId: peer, VpcPeeringConnectionId: id}
	made := by[api.AuthorizeSecurityGroupIngressResult](b, alice, &api.AuthorizeSecurityGroupIngressRequest{GroupId: web, IpPermissions: permit(full)}).SecurityGroupRules[0]
	want := api.ReferencedSecurityGroup{GroupId: far, UserId: bob.Account, VpcId: peer, VpcPeeringConnectionId: id, PeeringStatus: "active"}
	if *made.ReferencedGroupInfo != want {
		t.Errorf("made %+v, want %+v", *made.ReferencedGroupInfo, want)
	}
	_, _, err := b.call(alice, "AuthorizeSecurityGroupIngress", &api.AuthorizeSecurityGroupIngressRequest{GroupId: web, IpPermissions: permit(api.UserIdGroupPair{GroupId: far, UserId: bob.Account})})
	refused(t, err, "InvalidPermission.Duplicate", at[:len(at)-1])
	full.PeeringStatus = "active"
	if have := b.described(web).IpPermissions[0].UserIdGroupPairs; len(have) != 1 || have[0] != full {
		t.Errorf("described as %+v, want %+v", have, full)
	}
	refs := by[api.DescribeSecurityGroupReferencesResult](b, bob, &api.DescribeSecurityGroupReferencesRequest{GroupId: []string{far, lone}}).SecurityGroupReferenceSet
	if len(refs) != 1 || refs[0] != (api.SecurityGroupReference{GroupId: far, ReferencingVpcId: vpc, VpcPeeringConnectionId: id}) {
		t.Errorf("bob's groups are referenced by %+v", refs)
	}
	if refs := by[api.DescribeSecurityGroupReferencesResult](b, alice, &api.DescribeSecurityGroupReferencesRequest{GroupId: []string{web}}).SecurityGroupReferenceSet; len(refs) != 0 {
		t.Errorf("alice's group is referenced by %+v", refs)
	}
	modify := &api.ModifySecurityGroupRulesRequest{GroupId: web, SecurityGroupRules: []api.SecurityGroupRuleUpdate{{SecurityGroupRuleId: made.SecurityGroupRuleId,
		SecurityGroupRule: &api.SecurityGroupRuleRequest{IpProtocol: "udp", FromPort: api.Ptr(int32(53)), ToPort: api.Ptr(int32(53)), ReferencedGroupId: far}}}}
	by[api.ModifySecurityGroupRulesResult](b, alice, modify)
	if have := b.rules("security-group-rule-id", made.SecurityGroupRuleId)[0]; *have.ReferencedGroupInfo != want || have.IpProtocol != "udp" {
		t.Errorf("modified to %+v, %+v", have, have.ReferencedGroupInfo)
	}
	modify.SecurityGroupRules[0].SecurityGroupRule.ReferencedGroupId = lone
	_, _, err = b.call(alice, "ModifySecurityGroupRules", modify)
	refused(t, err, "InvalidGroup.NotFound", "SecurityGroupRules.0.SecurityGroupRule.ReferencedGroupId")
}

// staleIn are the groups of a VPC with stale rules, as "name in|out group status".
func (b *peerBench) staleIn(who Caller, vpc string) []string {
	b.t.Helper()
	var out []string
	for _, g := range by[api.DescribeStaleSecurityGroupsResult](b, who, &api.DescribeStaleSecurityGroupsRequest{VpcId: vpc}).StaleSecurityGroupSet {
		for way, perms := range map[string][]api.StaleIpPermission{"in": g.StaleIpPermissions, "out": g.StaleIpPermissionsEgress} {
			for _, p := range perms {
				out = append(out, fmt.Sprint(g.GroupName, " ", way, " ", p.UserIdGroupPairs[0].GroupId, " ", p.UserIdGroupPairs[0].PeeringStatus))
			}
		}
	}
	slices.Sort(out)
	return out
}

// TestStaleRules: they stay, are listed, live again with a new peering, and can be
// revoked when all that they name is gone.
func TestStaleRules(t *testing.T) {
	b := newPeerBench(t)
	vpc, peer, id := b.joined(alice, bob)
	web, far, second := b.groupOf(alice, vpc, "web"), b.groupOf(bob, peer, "far"), b.groupOf(bob, peer, "second")
	own := b.groupOf(alice, vpc, "own")
	pairOf := func(group string) []api.IpPermission {
		return permit(api.UserIdGroupPair{GroupId: group, UserId: bob.Account})
	}
	by[api.AuthorizeSecurityGroupIngressResult](b, alice, &api.AuthorizeSecurityGroupIngressRequest{GroupId: web, IpPermissions: pairOf(far)})
	by[api.AuthorizeSecurityGroupIngressResult](b, alice, &api.AuthorizeSecurityGroupIngressRequest{GroupId: web, IpPermissions: permit(api.UserIdGroupPair{GroupId: own})})
	by[api.AuthorizeSecurityGroupEgressResult](b, alice, &api.AuthorizeSecurityGroupEgressRequest{GroupId: web, IpPermissions: pairOf(second)})
	check := func(step string, want ...string) {
		t.Helper()
		if have := b.staleIn(alice, vpc); !slices.Equal(have, want) {
			t.Errorf("%s: %q, want %q", step, have, want)
		}
	}
	check("joined")
	by[api.DeleteSecurityGroupResult](b, bob, &api.DeleteSecurityGroupRequest{GroupId: second})
	check("a group is gone", "web out "+second+" active")
	by[api.DeleteVpcPeeringConnectionResult](b, alice, &api.DeleteVpcPeeringConnectionRequest{VpcPeeringConnectionId: id})
	check("the peering is gone", "web in "+far+" deleted", "web out "+second+" deleted")
	_, _, err := b.call(alice, "AuthorizeSecurityGroupEgress", &api.AuthorizeSecurityGroupEgressRequest{GroupId: web, IpPermissions: pairOf(far)})
	refused(t, err, "InvalidGroup.NotFound", "IpPermissions.0.UserIdGroupPairs.0.UserId")
	_, _, err = b.call(alice, "DeleteSecurityGroup", &api.DeleteSecurityGroupRequest{GroupId: own})
	refused(t, err, "DependencyViolation", "GroupId")
	again := b.request(bob, peer, vpc, alice)
	check("asked anew", "web in "+far+" deleted", "web out "+second+" deleted")
	b.accept(alice, again)
	check("joined anew", "web out "+second+" active")
	if have := b.described(web).IpPermissions[0].UserIdGroupPairs[0]; have.VpcPeeringConnectionId != again || have.PeeringStatus != "active" {
		t.Errorf("joined anew it names %+v", have)
	}
	by[api.RevokeSecurityGroupEgressResult](b, alice, &api.RevokeSecurityGroupEgressRequest{GroupId: web, IpPermissions: pairOf(second)})
	check("revoked")
	by[api.RevokeSecurityGroupIngressResult](b, alice, &api.RevokeSecurityGroupIngressRequest{GroupId: web,
		IpPermissions: permit(api.UserIdGroupPair{GroupId: far, UserId: bob.Account, VpcId: peer, VpcPeeringConnectionId: id})})
	_, _, err = b.call(bob, "DescribeStaleSecurityGroups", &api.DescribeStaleSecurityGroupsRequest{VpcId: vpc})
	refused(t, err, "InvalidVpcID.NotFound", "VpcId")
}

// TestStalePages: the answer comes in parts like others.
func TestStalePages(t *testing.T) {
	b := newPeerBench(t)
	vpc, peer, id := b.joined(alice, alice)
	far := b.groupOf(alice, peer, "far")
	for i := range several {
		g := b.groupOf(alice, vpc, fmt.Sprint("g", i))
		by[api.AuthorizeSecurityGroupIngressResult](b, alice, &api.AuthorizeSecurityGroupIngressRequest{GroupId: g, IpPermissions: permit(api.UserIdGroupPair{GroupId: far})})
	}
	by[api.DeleteVpcPeeringConnectionResult](b, alice, &api.DeleteVpcPeeringConnectionRequest{VpcPeeringConnectionId: id})
	req := &api.DescribeStaleSecurityGroupsRequest{VpcId: vpc, MaxResults: api.Ptr(int32(5))}
	first := by[api.DescribeStaleSecurityGroupsResult](b, alice, req)
	req.NextToken = first.NextToken
	second := by[api.DescribeStaleSecurityGroupsResult](b, alice, req)
	if len(first.StaleSecurityGroupSet) != 5 || len(second.StaleSecurityGroupSet) != several-5 || second.NextToken != "" {
		t.Errorf("pages of %d and %d, then %q", len(first.StaleSecurityGroupSet), len(second.StaleSecurityGroupSet), second.NextToken)
	}
	for _, size := range []int32{-1, 0, 4, 256} {
		_, _, err := b.call(alice, "DescribeStaleSecurityGroups", &api.DescribeStaleSecurityGroupsRequest{VpcId: vpc, MaxResults: &size})
		if code := codeOf(err); code != "InvalidMaxResults" && code != "InvalidParameterValue" {
			t.Errorf("a page of %d: %v", size, err)
		}
	}
	_, _, err := b.call(alice, "DescribeStaleSecurityGroups", &api.DescribeStaleSecurityGroupsRequest{VpcId: vpc, NextToken: "x"})
	refused(t, err, "InvalidNextToken", "NextToken")
}
