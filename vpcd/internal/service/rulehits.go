package service

import (
	"context"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// describeRuleHits says how often the rules of the caller's security groups and
// the entries of their network ACLs have decided: of all, or of the groups and
// ACLs that are named. A rule that never has is left out. Errors:
// InvalidGroup.NotFound, InvalidNetworkAclID.NotFound.
func (s *Service) describeRuleHits(ctx context.Context, caller Caller, req *api.DescribeRuleHitsRequest) (*api.DescribeRuleHitsResult, int64, error) {
	v := s.view(caller)
	own, err := v.ownRules(req)
	if err != nil {
		return nil, 0, err
	}
	h, err := s.hostNamed(v.r, "")
	if err != nil {
		return nil, 0, err
	}
	hits, err := h.RuleHits(ctx)
	if err != nil {
		return nil, 0, hostError(err)
	}
	var out []api.RuleHit
	for _, hit := range hits {
		if own[ruleKey{hit.GroupId, hit.SecurityGroupRuleId}] || own[ruleKey{hit.NetworkAclId, ""}] {
			out = append(out, hit)
		}
	}
	return &api.DescribeRuleHitsResult{RuleHits: out}, v.revision(), nil
}

// ruleKey is a rule of a group, or all entries of a network ACL.
type ruleKey struct{ owner, rule string }

// ownRules are the rules that a question about hits is for. Groups leave out
// the ACLs where only groups are named, and the other way round.
func (v view) ownRules(req *api.DescribeRuleHitsRequest) (map[ruleKey]bool, error) {
	everything := len(req.GroupIds)+len(req.NetworkAclIds) == 0
	var groups []*record.SecurityGroup
	var acls []*record.NetworkAcl
	var err error
	if everything || len(req.GroupIds) > 0 {
		if groups, err = groupKind.pick(v.r, v.caller, req.GroupIds, "GroupIds"); err != nil {
			return nil, err
		}
	}
	if everything || len(req.NetworkAclIds) > 0 {
		if acls, err = aclKind.pick(v.r, v.caller, req.NetworkAclIds, "NetworkAclIds"); err != nil {
			return nil, err
		}
	}
	own := map[ruleKey]bool{}
	for _, g := range groups {
		for _, r := range g.Rules {
			own[ruleKey{g.Group.GroupId, r.SecurityGroupRuleId}] = true
		}
	}
	for _, a := range acls {
		own[ruleKey{a.Acl.NetworkAclId, ""}] = true
	}
	return own, nil
}
