package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

const rulePrefix = "sgr-"

// add puts the flags of a rule on a command.
func (f *ruleFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.in, "in", nil, "incoming PROTO[/PORTS]: tcp/443, udp/53, icmp/8/0, 47, all; may be repeated")
	cmd.Flags().StringArrayVar(&f.out, "out", nil, "outgoing PROTO[/PORTS]")
	cmd.Flags().StringArrayVar(&f.from, "from", nil, "CIDR, sg:NAME or pl:NAME, with --in; may be repeated; a group of a peered VPC by its id, sg:ACCOUNT/ID in another account")
	cmd.Flags().StringArrayVar(&f.to, "to", nil, "CIDR, sg:NAME or pl:NAME, with --out")
}

func (s *session) sgAllow() *cobra.Command {
	var f ruleFlags
	cmd := verb("allow GROUP (--in PROTO --from PEER | --out PROTO --to PEER)", "Allow traffic",
		"vpc sg allow web --in tcp/443 --from 0.0.0.0/0\nvpc sg allow db --in tcp/5432 --from sg:web\nvpc sg allow web --in tcp/22 --from pl:office\nvpc sg allow web --out all --to 10.0.0.0/8", args(1, 1),
		func(_ *cobra.Command, a []string) error {
			egress, all, peers, err := f.parse()
			if err != nil {
				return err
			}
			o, err := s.scoped(sgNoun, a[0])
			if err != nil {
				return err
			}
			if peers, err = s.resolvePeers(peers, o.vpc); err != nil {
				return err
			}
			return doing("add a rule to "+o.String(), s.allow(o, egress, permissions(all, peers, f.description)))
		})
	f.add(cmd)
	cmd.Flags().StringVar(&f.description, "description", "", "description of the rule")
	s.completeArgs(cmd, sgNoun)
	return cmd
}

// allow adds all rules of one command in one call: all or none.
func (s *session) allow(o object, egress bool, rules []api.IpPermission) error {
	if egress {
		res, err := change[api.AuthorizeSecurityGroupEgressResult](s, "AuthorizeSecurityGroupEgress",
			&api.AuthorizeSecurityGroupEgressRequest{GroupId: o.id, IpPermissions: rules})
		if err != nil {
			return err
		}
		return s.allowed(res, o, res.SecurityGroupRules)
	}
	res, err := change[api.AuthorizeSecurityGroupIngressResult](s, "AuthorizeSecurityGroupIngress",
		&api.AuthorizeSecurityGroupIngressRequest{GroupId: o.id, IpPermissions: rules})
	if err != nil {
		return err
	}
	return s.allowed(res, o, res.SecurityGroupRules)
}

// allowed prints the new rules, a line each, and waits.
func (s *session) allowed(res any, o object, rules []api.SecurityGroupRule) error {
	names := s.peerNames()
	var ids, lines []string
	for i := range rules {
		ids = append(ids, rules[i].SecurityGroupRuleId)
		lines = append(lines, fmt.Sprintf("%s allows %s (%s)", o, ruleText(&rules[i], names), rules[i].SecurityGroupRuleId))
	}
	if err := s.emit(res, ids, func() {
		for _, line := range lines {
			s.say("%s", line)
		}
	}); err != nil {
		return err
	}
	return s.wait(strings.Join(lines, "; "))
}

func (s *session) sgRevoke() *cobra.Command {
	var f ruleFlags
	var cut bool
	cmd := verb("revoke GROUP (--in PROTO --from PEER | --out PROTO --to PEER) | revoke RULE…", "Remove rules",
		"vpc sg revoke web --in tcp/443 --from 0.0.0.0/0\nvpc sg revoke sgr-0123456789abcdef0 --cut", args(1, anyNumber),
		func(_ *cobra.Command, a []string) error {
			if strings.HasPrefix(a[0], rulePrefix) {
				return s.revokeIDs(a, cut)
			}
			return s.revokeLike(a, &f, cut)
		})
	cmd.Long = "Remove rules, by what they say or by their ids.\n\n" + cutHelp +
		" The command says how many go on; --cut ends them with the rule."
	f.add(cmd)
	cmd.Flags().BoolVar(&cut, "cut", false, "end the tracked flows that the rules have let in")
	s.completeArgs(cmd, sgNoun)
	return cmd
}

// revokeLike removes the rules that the flags describe.
func (s *session) revokeLike(a []string, f *ruleFlags, cut bool) error {
	if len(a) > 1 {
		return usagef("give one group, or rules by id")
	}
	egress, all, peers, err := f.parse()
	if err != nil {
		return err
	}
	o, err := s.scoped(sgNoun, a[0])
	if err != nil {
		return err
	}
	if peers, err = s.resolvePeers(peers, o.vpc); err != nil {
		return err
	}
	r := revocation{group: o, cut: cut}
	if cut {
		s.flowsBefore(&r, s.rulesLike(o.id, egress, all, peers))
	}
	res, err := s.revoke(&r, egress, permissions(all, peers, ""), nil)
	if err != nil {
		return doing("remove a rule from "+o.String(), err)
	}
	way, word, ends := "in", "from", f.from
	protocols := f.in
	if egress {
		way, word, ends, protocols = "out", "to", f.to, f.out
	}
	if err := s.done(res, o, fmt.Sprintf("no longer allows %s %s %s %s", way, strings.Join(protocols, ", "), word, strings.Join(ends, ", "))); err != nil {
		return err
	}
	s.sayFlows(r)
	return nil
}

// revoke removes rules by what they say or by their ids, not both.
func (s *session) revoke(r *revocation, egress bool, rules []api.IpPermission, ids []string) (any, error) {
	// What is not asked for is left out: EC2 has no such parameter.
	var cut *bool
	if r.cut {
		cut = &r.cut
	}
	if egress {
		res, err := change[api.RevokeSecurityGroupEgressResult](s, "RevokeSecurityGroupEgress",
			&api.RevokeSecurityGroupEgressRequest{GroupId: r.group.id, IpPermissions: rules, SecurityGroupRuleIds: ids, CutTracked: cut})
		if err != nil {
			return nil, err
		}
		r.gone = res.SecurityGroupRuleIds
		return res, nil
	}
	res, err := change[api.RevokeSecurityGroupIngressResult](s, "RevokeSecurityGroupIngress",
		&api.RevokeSecurityGroupIngressRequest{GroupId: r.group.id, IpPermissions: rules, SecurityGroupRuleIds: ids, CutTracked: cut})
	if err != nil {
		return nil, err
	}
	r.gone = res.SecurityGroupRuleIds
	return res, nil
}

// revokeIDs removes rules by their ids, wherever they are.
func (s *session) revokeIDs(ids []string, cut bool) error {
	found, err := ask[api.DescribeSecurityGroupRulesResult](s, "DescribeSecurityGroupRules",
		&api.DescribeSecurityGroupRulesRequest{SecurityGroupRuleIds: ids})
	if err != nil {
		return doing("find rule "+strings.Join(ids, ", "), err)
	}
	var all []func() error
	for i := range found.SecurityGroupRules {
		all = append(all, func() error { return s.revokeID(&found.SecurityGroupRules[i], cut) })
	}
	return s.steps(all...)
}

func (s *session) revokeID(rule *api.SecurityGroupRule, cut bool) error {
	o, ids := object{kind: "rule", id: rule.SecurityGroupRuleId}, []string{rule.SecurityGroupRuleId}
	r := revocation{group: object{kind: sgNoun.word, id: rule.GroupId}, cut: cut}
	s.flowsBefore(&r, ids)
	res, err := s.revoke(&r, api.Val(rule.IsEgress), nil, ids)
	if err != nil {
		return doing("remove "+o.String(), err)
	}
	if err := s.done(res, o, "removed from sg "+rule.GroupId); err != nil {
		return err
	}
	s.sayFlows(r)
	return nil
}

func (s *session) sgSet() *cobra.Command {
	var f ruleFlags
	var rule string
	cmd := verb("set GROUP --rule RULE", "Change a rule of a security group",
		"vpc sg set web --rule sgr-0123456789abcdef0 --in tcp/8443 --from 0.0.0.0/0\nvpc sg set web --rule sgr-0123456789abcdef0 --description \"public\"", args(1, 1),
		func(cmd *cobra.Command, a []string) error {
			if rule == "" {
				return usagef("vpc sg set needs --rule: a group's name and description stay as they were made")
			}
			o, err := s.scoped(sgNoun, a[0])
			if err != nil {
				return err
			}
			return s.setRule(cmd, o, rule, &f)
		})
	f.add(cmd)
	cmd.Flags().StringVar(&f.description, "description", "", "description of the rule")
	cmd.Flags().StringVar(&rule, "rule", "", "id of the rule, sgr-…")
	s.completeArgs(cmd, sgNoun)
	return cmd
}

// setRule replaces the whole rule, which is what EC2 offers: what the flags do
// not name is carried over from the old one.
func (s *session) setRule(cmd *cobra.Command, o object, rule string, f *ruleFlags) error {
	found, err := ask[api.DescribeSecurityGroupRulesResult](s, "DescribeSecurityGroupRules",
		&api.DescribeSecurityGroupRulesRequest{SecurityGroupRuleIds: []string{rule}})
	if err != nil {
		return doing("find rule "+rule, err)
	}
	if len(found.SecurityGroupRules) != 1 || found.SecurityGroupRules[0].GroupId != o.id {
		return &failure{exit: api.ExitNotFound, refusal: api.Error{Code: "InvalidSecurityGroupRuleId.NotFound",
			Message: fmt.Sprintf("%s has no rule %s", o, rule), Hint: "vpc sg show " + o.arg()}}
	}
	old := found.SecurityGroupRules[0]
	update := api.SecurityGroupRuleRequest{IpProtocol: old.IpProtocol, FromPort: old.FromPort, ToPort: old.ToPort,
		CidrIpv4: old.CidrIpv4, CidrIpv6: old.CidrIpv6, PrefixListId: old.PrefixListId, Description: old.Description}
	if old.ReferencedGroupInfo != nil {
		update.ReferencedGroupId = old.ReferencedGroupInfo.GroupId
	}
	if len(f.in)+len(f.out)+len(f.from)+len(f.to) > 0 {
		if err := s.updateRule(&update, o, api.Val(old.IsEgress), f); err != nil {
			return err
		}
	} else if !cmd.Flags().Changed("description") {
		return usagef("nothing to set on rule %s: name what should change", rule)
	}
	if cmd.Flags().Changed("description") {
		update.Description = f.description
	}
	res, err := change[api.ModifySecurityGroupRulesResult](s, "ModifySecurityGroupRules", &api.ModifySecurityGroupRulesRequest{
		GroupId: o.id, SecurityGroupRules: []api.SecurityGroupRuleUpdate{{SecurityGroupRuleId: rule, SecurityGroupRule: &update}}})
	if err != nil {
		return doing("set rule "+rule, err)
	}
	return s.done(res, object{kind: "rule", id: rule}, "of "+o.String()+" changed")
}

// updateRule puts the one protocol and the one peer of the flags into a rule.
func (s *session) updateRule(update *api.SecurityGroupRuleRequest, o object, egress bool, f *ruleFlags) error {
	out, all, peers, err := f.parse()
	if err != nil {
		return err
	}
	if len(all) != 1 || len(peers) != 1 {
		return usagef("a rule has one protocol and one peer")
	}
	if out != egress {
		return usagef("a rule keeps its direction: revoke it and allow another")
	}
	if peers, err = s.resolvePeers(peers, o.vpc); err != nil {
		return err
	}
	*update = api.SecurityGroupRuleRequest{IpProtocol: all[0].protocol, FromPort: all[0].from, ToPort: all[0].to,
		CidrIpv4: peers[0].cidr4, CidrIpv6: peers[0].cidr6, ReferencedGroupId: peers[0].group, PrefixListId: peers[0].list, Description: update.Description}
	return nil
}
