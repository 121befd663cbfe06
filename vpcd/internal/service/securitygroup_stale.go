package service

import (
	"context"
	"slices"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// describeSecurityGroupReferences lists the peered VPCs whose rules name groups of
// the caller: what would become stale with the peering or the group.
func (s *Service) describeSecurityGroupReferences(_ context.Context, who Caller, in *api.DescribeSecurityGroupReferencesRequest) (*api.DescribeSecurityGroupReferencesResult, int64, error) {
	v := s.view(who)
	groups, err := groupKind.pick(v.r, who, in.GroupId, "GroupId")
	if err != nil {
		return nil, 0, err
	}
	if len(in.GroupId) == 0 {
		return nil, 0, api.Errorf("MissingParameter", "GroupId", "the request must contain the parameter GroupId: the ids of security groups")
	}
	res := &api.DescribeSecurityGroupReferencesResult{}
	for _, g := range groups {
		res.SecurityGroupReferenceSet = append(res.SecurityGroupReferenceSet, referencesTo(v.r, g)...)
	}
	return res, v.revision(), nil
}

// referencesTo are the VPCs that are peered with that of g and have rules that
// name it, each once, in order of their ids.
func referencesTo(r store.Reader, g *record.SecurityGroup) []api.SecurityGroupReference {
	from := map[string]bool{}
	for _, other := range store.List[*record.SecurityGroup](r, record.Groups) {
		if other.Group.VpcId != g.Group.VpcId && len(rulesNaming(other, g.Group.GroupId)) > 0 {
			from[other.Group.VpcId] = true
		}
	}
	var out []api.SecurityGroupReference
	for vpcID := range from {
		if p := activePeering(r, g.Group.VpcId, vpcID); p != nil {
			out = append(out, api.SecurityGroupReference{GroupId: g.Group.GroupId, ReferencingVpcId: vpcID, VpcPeeringConnectionId: p.VpcPeeringConnectionId})
		}
	}
	slices.SortFunc(out, func(a, b api.SecurityGroupReference) int {
		return strings.Compare(a.ReferencingVpcId, b.ReferencingVpcId)
	})
	return out
}

// describeStaleSecurityGroups lists the groups of a VPC with the rules that admit
// nobody, because the group that they name, or the peering with its VPC, is gone.
// They admit again once the VPCs are peered anew.
func (s *Service) describeStaleSecurityGroups(_ context.Context, who Caller, in *api.DescribeStaleSecurityGroupsRequest) (*api.DescribeStaleSecurityGroupsResult, int64, error) {
	v := s.view(who)
	if _, err := getVpc(v.r, who, in.VpcId); err != nil {
		return nil, 0, err
	}
	var out []api.StaleSecurityGroup
	for _, g := range contentOf(v.r, in.VpcId).groups {
		left := &record.SecurityGroup{Group: g.Group, Rules: slices.DeleteFunc(slices.Clone(g.Rules), func(r api.SecurityGroupRule) bool { return !stale(v.r, in.VpcId, &r) })}
		if len(left.Rules) == 0 {
			continue
		}
		rules := s.shownRules(v.r, left)
		out = append(out, api.StaleSecurityGroup{
			GroupId: g.Group.GroupId, GroupName: g.Group.GroupName, Description: g.Group.Description, VpcId: in.VpcId,
			StaleIpPermissions: stalePermissions(rules, false), StaleIpPermissionsEgress: stalePermissions(rules, true),
		})
	}
	out, next, err := pageAsModelled(pageOf{who, in, in.MaxResults, in.NextToken}, out, func(g api.StaleSecurityGroup) string { return g.GroupId })
	return &api.DescribeStaleSecurityGroupsResult{StaleSecurityGroupSet: out, NextToken: next}, v.revision(), err
}

func stalePermissions(rules []api.SecurityGroupRule, egress bool) []api.StaleIpPermission {
	var out []api.StaleIpPermission
	for _, p := range permissionsOf(rules, egress) {
		out = append(out, api.StaleIpPermission{IpProtocol: p.IpProtocol, FromPort: p.FromPort, ToPort: p.ToPort, UserIdGroupPairs: p.UserIdGroupPairs})
	}
	return out
}
