package cli

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func (s *session) sgCommand() *cobra.Command {
	list := verb("list", "List security groups", "vpc sg list --vpc prod", args(0, 0),
		func(*cobra.Command, []string) error { return s.listGroups() })
	show := verb("show GROUP", "Show a security group and its rules", "vpc sg show web", args(1, 1),
		func(_ *cobra.Command, a []string) error { return s.showGroup(a[0]) })
	show.Long = "Show a security group and its rules.\n\n" + hitsHelp
	rm := verb("rm GROUP…", "Delete security groups", "vpc sg rm web", args(1, anyNumber),
		func(_ *cobra.Command, a []string) error { return s.remove(sgNoun, a, s.deleteGroup) })
	s.completeArgs(show, sgNoun)
	s.completeArgs(rm, sgNoun)
	return group("sg", "Security groups", "  vpc sg allow web --in tcp/443 --from 0.0.0.0/0",
		s.sgAdd(), list, show, s.sgSet(), rm, s.sgAllow(), s.sgRevoke(), s.sgCut(), s.sgStale())
}

func (s *session) sgAdd() *cobra.Command {
	var description string
	var tags []string
	cmd := verb("add NAME", "Create a security group", "vpc sg add web --vpc prod --description \"web servers\"", args(1, 1),
		func(_ *cobra.Command, a []string) error {
			v, err := s.needScope()
			if err != nil {
				return err
			}
			return doing(fmt.Sprintf("create sg %s in %s", a[0], v), s.addGroup(a[0], description, v, tags))
		})
	cmd.Flags().StringVar(&description, "description", "", "description (default: the name)")
	cmd.Flags().StringArrayVar(&tags, "tag", nil, "KEY=VALUE, may be repeated")
	return cmd
}

func (s *session) addGroup(name, description string, v object, pairs []string) error {
	// EC2 wants a description, and the group's name is its own attribute.
	tags, err := nameTags(sgNoun, "", pairs)
	if err != nil {
		return err
	}
	// The daemon has a better answer for the one that every VPC has.
	if name != "default" {
		if err := s.newName(sgNoun, name, v.id); err != nil {
			return err
		}
	}
	res, err := change[api.CreateSecurityGroupResult](s, "CreateSecurityGroup", &api.CreateSecurityGroupRequest{
		GroupName: name, Description: firstOf(description, name), VpcId: v.id, TagSpecifications: tags})
	if err != nil {
		return err
	}
	return s.done(res, object{kind: "sg", id: res.GroupId, name: name, vpc: v.id}, "created")
}

func (s *session) listGroups() error {
	filters, err := s.scopeFilters()
	if err != nil {
		return err
	}
	res, err := ask[api.DescribeSecurityGroupsResult](s, "DescribeSecurityGroups", &api.DescribeSecurityGroupsRequest{Filters: filters})
	if err != nil {
		return doing("list security groups", err)
	}
	vpcs := s.names(vpcNoun)
	t := &table{head: []string{"NAME", "ID", "VPC", "IN", "OUT", "DESCRIPTION", "OWNER", "TAGS"}, wide: 6}
	var ids []string
	for i := range res.SecurityGroups {
		g := &res.SecurityGroups[i]
		ids = append(ids, g.GroupId)
		t.add(g.GroupName, g.GroupId, firstOf(vpcs[g.VpcId], g.VpcId), countRules(g.IpPermissions), countRules(g.IpPermissionsEgress),
			g.Description, g.OwnerId, tagList(g.Tags))
	}
	return s.emit(res, ids, func() { s.print(t) })
}

// countRules counts as EC2's quota does: one rule for each other end.
func countRules(all []api.IpPermission) string {
	n := 0
	for _, p := range all {
		n += len(p.IpRanges) + len(p.Ipv6Ranges) + len(p.UserIdGroupPairs) + len(p.PrefixListIds)
	}
	return strconv.Itoa(n)
}

// showGroup prints rules with their ids for people. Programs get the group as
// EC2 describes it, with rules merged and without ids, and the hits by id.
func (s *session) showGroup(ref string) error {
	o, err := s.scoped(sgNoun, ref)
	if err != nil {
		return err
	}
	res, err := ask[api.DescribeSecurityGroupsResult](s, "DescribeSecurityGroups", &api.DescribeSecurityGroupsRequest{GroupIds: []string{o.id}})
	if err != nil {
		return doing("show "+o.String(), err)
	}
	hits, err := s.hits(o)
	if err != nil {
		return err
	}
	if !s.human() {
		return s.emit(groupResult{res, hits}, []string{o.id}, nil)
	}
	rules, err := s.rulesOf(o.id)
	if err != nil {
		return doing("show "+o.String(), err)
	}
	vpcs := s.names(vpcNoun)
	for _, g := range res.SecurityGroups {
		s.fields("Name", g.GroupName, "Id", g.GroupId, "VPC", both(vpcs[g.VpcId], g.VpcId),
			"Description", g.Description, "Owner", g.OwnerId, "Tags", tagList(g.Tags))
	}
	fmt.Fprintln(s.Stdout)
	s.printRules(rules, byRule(hits))
	return nil
}

// groupResult is a group for programs, with the hits of its rules if known.
type groupResult struct {
	*api.DescribeSecurityGroupsResult
	RuleHits []api.RuleHit `json:",omitzero"`
}

// rulesOf reads the rules of a group one by one, with ids and descriptions.
func (s *session) rulesOf(groupID string) ([]api.SecurityGroupRule, error) {
	res, err := ask[api.DescribeSecurityGroupRulesResult](s, "DescribeSecurityGroupRules", &api.DescribeSecurityGroupRulesRequest{
		Filters: []api.Filter{{Name: "group-id", Values: []string{groupID}}}})
	if err != nil {
		return nil, err
	}
	return res.SecurityGroupRules, nil
}

func (s *session) printRules(rules []api.SecurityGroupRule, hits ruleHits) {
	names := s.peerNames()
	t := &table{head: slices.Concat([]string{"RULE", "DIRECTION", "TRAFFIC", "PEER"}, hitsHead, []string{"DESCRIPTION", "TAGS"}), wide: 7}
	for i := range rules {
		r := &rules[i]
		way := "in"
		if api.Val(r.IsEgress) {
			way = "out"
		}
		t.add(slices.Concat([]string{r.SecurityGroupRuleId, way, trafficOf(r).String(), rulePeer(r, names)},
			s.hitCells(hits, ofRule(r)), []string{r.Description, tagList(r.Tags)})...)
	}
	s.print(t)
}

func (s *session) deleteGroup(o object) (any, error) {
	return change[api.DeleteSecurityGroupResult](s, "DeleteSecurityGroup", &api.DeleteSecurityGroupRequest{GroupId: o.id})
}
