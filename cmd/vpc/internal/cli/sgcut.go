package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

const cutHelp = "A connection that a group tracks outlives the rule that let it in, as with AWS, until it ends or is idle for too long."

func (s *session) sgCut() *cobra.Command {
	cmd := verb("cut GROUP RULE…", "End the tracked flows of rules that are revoked",
		"vpc sg cut web sgr-0123456789abcdef0", args(2, anyNumber),
		func(_ *cobra.Command, a []string) error {
			o, err := s.scoped(sgNoun, a[0])
			if err != nil {
				return err
			}
			return s.cut(o, a[1:])
		})
	cmd.Long = "End the tracked flows of rules that were revoked without --cut.\n\n" + cutHelp
	s.completeArgs(cmd, sgNoun)
	return cmd
}

func (s *session) cut(o object, given []string) error {
	var rules []string
	for _, id := range given {
		if !slices.Contains(rules, id) {
			rules = append(rules, id)
		}
	}
	n, _ := s.trackedFlows(o.id, rules)
	res, err := change[api.CutFlowsResult](s, "CutFlows", &api.CutFlowsRequest{GroupId: o.id, SecurityGroupRuleIds: rules})
	if err != nil {
		return doing("cut flows of "+o.String(), err)
	}
	outcome := "has no tracked flows of " + strings.Join(rules, ", ") + " any more"
	if n > 0 {
		outcome += ": " + flows(n) + " cut"
	}
	return s.done(res, o, outcome)
}

// trackedFlows counts the live flows that rules of a group have let in. A host
// that cannot count must not keep anybody from revoking.
func (s *session) trackedFlows(group string, rules []string) (n int64, known bool) {
	if len(rules) == 0 || !s.human() || s.dryRun {
		return 0, false
	}
	res, err := ask[api.GetRuleFlowsResult](s, "GetRuleFlows", &api.GetRuleFlowsRequest{GroupId: group, SecurityGroupRuleIds: rules})
	if err != nil {
		return 0, false
	}
	return api.Val(res.Flows), true
}

// revocation is one call that takes rules out of a group, with what it left.
type revocation struct {
	group object
	cut   bool
	// before is how many flows the rules had before they were cut.
	before int64
	gone   []string
}

// flowsBefore is asked before a cut, after which nothing is left to count.
func (s *session) flowsBefore(r *revocation, rules []string) {
	if r.cut {
		r.before, _ = s.trackedFlows(r.group.id, rules)
	}
}

// sayFlows tells what goes on without the rules, or has gone with them. It comes
// after the wait: before the kernel obeys, a rule lets in more.
func (s *session) sayFlows(r revocation) {
	if s.noWait || len(r.gone) == 0 {
		return
	}
	if r.cut {
		if r.before > 0 {
			s.say("%s cut", flows(r.before))
		}
		return
	}
	n, known := s.trackedFlows(r.group.id, r.gone)
	// A name that --vpc made clear may mean another group without it.
	ref := r.group.arg()
	if s.vpc != "" {
		ref = r.group.id
	}
	command := fmt.Sprintf("vpc sg cut %s %s", ref, strings.Join(r.gone, " "))
	switch {
	case !known:
		s.say("whether tracked flows go on could not be found out")
	case n == 0:
	case n == 1:
		s.say("1 tracked flow goes on until it ends; to end it now: %s", command)
	default:
		s.say("%s go on until they end; to end them now: %s", flows(n), command)
	}
}

func flows(n int64) string {
	if n == 1 {
		return "1 tracked flow"
	}
	return fmt.Sprintf("%d tracked flows", n)
}

// rulesLike are the ids of the rules of a group that flags describe, as far as
// they are spelt as the daemon spells them: enough to count before a cut.
func (s *session) rulesLike(group string, egress bool, all []traffic, peers []peer) []string {
	found, err := ask[api.DescribeSecurityGroupRulesResult](s, "DescribeSecurityGroupRules",
		&api.DescribeSecurityGroupRulesRequest{Filters: []api.Filter{{Name: "group-id", Values: []string{group}}}})
	if err != nil {
		return nil
	}
	var out []string
	for i := range found.SecurityGroupRules {
		r := &found.SecurityGroupRules[i]
		end := peer{cidr4: r.CidrIpv4, cidr6: r.CidrIpv6, list: r.PrefixListId}
		if r.ReferencedGroupInfo != nil {
			end.group = r.ReferencedGroupInfo.GroupId
		}
		same := func(t traffic) bool { return t.String() == trafficOf(r).String() }
		if api.Val(r.IsEgress) == egress && slices.ContainsFunc(all, same) && slices.Contains(peers, end) {
			out = append(out, r.SecurityGroupRuleId)
		}
	}
	return out
}
