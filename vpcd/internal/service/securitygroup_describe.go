package service

import (
	"context"
	"slices"
	"strconv"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// describeSecurityGroups answers in order of ids. Names and filters narrow the
// ids down further.
func (s *Service) describeSecurityGroups(_ context.Context, who Caller, in *api.DescribeSecurityGroupsRequest) (*api.DescribeSecurityGroupsResult, int64, error) {
	v := s.view(who)
	groups, err := groupKind.pick(v.r, who, in.GroupIds, "GroupIds")
	if err != nil {
		return nil, 0, err
	}
	if groups, err = groupsNamed(groups, in.GroupNames); err != nil {
		return nil, 0, err
	}
	match, err := matchFilters(in.Filters, groupFilters(v), groupKind.tags)
	if err != nil {
		return nil, 0, err
	}
	groups = slices.DeleteFunc(groups, func(g *record.SecurityGroup) bool { return !match(g) })
	groups, next, err := page(pageOf{who, in, in.MaxResults, in.NextToken}, groups, groupKind.idOf)
	if err != nil {
		return nil, 0, err
	}
	res := &api.DescribeSecurityGroupsResult{NextToken: next}
	for _, g := range groups {
		res.SecurityGroups = append(res.SecurityGroups, s.describedGroup(v.r, g))
	}
	return res, v.revision(), nil
}

// groupsNamed keeps the groups with one of names, and misses each name that no
// group has. EC2 looks in the default VPC only; here any VPC will do.
func groupsNamed(groups []*record.SecurityGroup, names []string) ([]*record.SecurityGroup, error) {
	if len(names) == 0 {
		return groups, nil
	}
	for i, name := range names {
		if !slices.ContainsFunc(groups, func(g *record.SecurityGroup) bool { return g.Group.GroupName == name }) {
			return nil, api.Errorf("InvalidGroup.NotFound", string(place("").item("GroupNames", i)), "the security group %s does not exist", quote(name))
		}
	}
	return slices.DeleteFunc(groups, func(g *record.SecurityGroup) bool { return !slices.Contains(names, g.Group.GroupName) }), nil
}

// describedGroup is the group with its rules in EC2's grouped form.
func (s *Service) describedGroup(r store.Reader, g *record.SecurityGroup) api.SecurityGroup {
	out := g.Group
	rules := s.shownRules(r, g)
	out.IpPermissions = permissionsOf(rules, false)
	out.IpPermissionsEgress = permissionsOf(rules, true)
	return out
}

// groupFilters has EC2's names. A filter on rules holds if any rule of that
// direction has the value; two of them need not be about the same rule.
func groupFilters(v view) map[string]func(*record.SecurityGroup) []string {
	fields := map[string]func(*record.SecurityGroup) []string{
		"description": func(g *record.SecurityGroup) []string { return []string{g.Group.Description} },
		"group-id":    func(g *record.SecurityGroup) []string { return []string{g.Group.GroupId} },
		"group-name":  func(g *record.SecurityGroup) []string { return []string{g.Group.GroupName} },
		"owner-id":    func(g *record.SecurityGroup) []string { return []string{g.Group.OwnerId} },
		"vpc-id":      func(g *record.SecurityGroup) []string { return []string{g.Group.VpcId} },
	}
	for name, of := range ruleFields(v) {
		fields["ip-permission."+name] = eachRule(false, of)
		fields["egress.ip-permission."+name] = eachRule(true, of)
	}
	return fields
}

// ruleFields are the values of one rule that a filter on groups can name.
func ruleFields(v view) map[string]func(*api.SecurityGroupRule) string {
	port := func(p *int32) string {
		if p == nil {
			return ""
		}
		return strconv.Itoa(int(*p))
	}
	referenced := func(r *api.SecurityGroupRule) string {
		if r.ReferencedGroupInfo == nil {
			return ""
		}
		return r.ReferencedGroupInfo.GroupId
	}
	return map[string]func(*api.SecurityGroupRule) string{
		"cidr":           func(r *api.SecurityGroupRule) string { return r.CidrIpv4 },
		"prefix-list-id": func(r *api.SecurityGroupRule) string { return r.PrefixListId },
		"from-port":      func(r *api.SecurityGroupRule) string { return port(r.FromPort) },
		"to-port":        func(r *api.SecurityGroupRule) string { return port(r.ToPort) },
		"protocol":       func(r *api.SecurityGroupRule) string { return r.IpProtocol },
		"group-id":       referenced,
		"group-name": func(r *api.SecurityGroupRule) string {
			g, err := getGroup(v.r, v.caller, referenced(r))
			if err != nil {
				return ""
			}
			return g.Group.GroupName
		},
		"user-id": func(r *api.SecurityGroupRule) string {
			if r.ReferencedGroupInfo == nil {
				return ""
			}
			return r.ReferencedGroupInfo.UserId
		},
	}
}

// eachRule collects one value of all rules of one direction.
func eachRule(egress bool, of func(*api.SecurityGroupRule) string) func(*record.SecurityGroup) []string {
	return func(g *record.SecurityGroup) []string {
		var out []string
		for i := range g.Rules {
			if api.Val(g.Rules[i].IsEgress) == egress {
				if value := of(&g.Rules[i]); value != "" {
					out = append(out, value)
				}
			}
		}
		return out
	}
}

// describeSecurityGroupRules lists rules one by one, in order of their ids.
func (s *Service) describeSecurityGroupRules(_ context.Context, who Caller, in *api.DescribeSecurityGroupRulesRequest) (*api.DescribeSecurityGroupRulesResult, int64, error) {
	v := s.view(who)
	var rules []*api.SecurityGroupRule
	for _, g := range groupKind.list(v.r, who) {
		shown := s.shownRules(v.r, g)
		for i := range shown {
			rules = append(rules, &shown[i])
		}
	}
	rules, err := rulesWithIDs(rules, in.SecurityGroupRuleIds)
	if err != nil {
		return nil, 0, err
	}
	match, err := matchFilters(in.Filters, map[string]func(*api.SecurityGroupRule) []string{
		"group-id":               func(r *api.SecurityGroupRule) []string { return []string{r.GroupId} },
		"security-group-rule-id": func(r *api.SecurityGroupRule) []string { return []string{r.SecurityGroupRuleId} },
	}, func(r *api.SecurityGroupRule) []api.Tag { return r.Tags })
	if err != nil {
		return nil, 0, err
	}
	rules = slices.DeleteFunc(rules, func(r *api.SecurityGroupRule) bool { return !match(r) })
	rules, next, err := page(pageOf{who, in, in.MaxResults, in.NextToken}, rules, func(r *api.SecurityGroupRule) string { return r.SecurityGroupRuleId })
	if err != nil {
		return nil, 0, err
	}
	res := &api.DescribeSecurityGroupRulesResult{NextToken: next}
	for _, r := range rules {
		res.SecurityGroupRules = append(res.SecurityGroupRules, *r)
	}
	return res, v.revision(), nil
}

// rulesWithIDs keeps the rules that ids name, or all where there are none.
func rulesWithIDs(rules []*api.SecurityGroupRule, ids []string) ([]*api.SecurityGroupRule, error) {
	if len(ids) == 0 {
		return rules, nil
	}
	for i, id := range ids {
		at := string(place("").item("SecurityGroupRuleIds", i))
		if err := checkRuleID(id, at); err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(rules, func(r *api.SecurityGroupRule) bool { return r.SecurityGroupRuleId == id }) {
			return nil, noSuchRule(id, at)
		}
	}
	return slices.DeleteFunc(rules, func(r *api.SecurityGroupRule) bool { return !slices.Contains(ids, r.SecurityGroupRuleId) }), nil
}
