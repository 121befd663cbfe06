package service

import (
	"context"
	"maps"
	"slices"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

const (
	ruleIDPrefix     = "sgr-"
	ruleResourceType = "security-group-rule"
)

// authorizeSecurityGroupIngress adds rules for what may come in. Errors:
// InvalidPermission.Duplicate and .Malformed, RulesPerSecurityGroupLimitExceeded,
// InvalidGroup.NotFound for the group and for those that rules name.
func (s *Service) authorizeSecurityGroupIngress(ctx context.Context, who Caller, in *api.AuthorizeSecurityGroupIngressRequest) (*api.AuthorizeSecurityGroupIngressResult, int64, error) {
	rules, revision, err := s.authorize(ctx, who, in.DryRun, &ruleRequest{
		groupID: in.GroupId, groupName: in.GroupName,
		permissions: in.IpPermissions, tags: in.TagSpecifications,
		flat: flatPermission{in.IpProtocol, in.FromPort, in.ToPort, in.CidrIp, in.SourceSecurityGroupName, in.SourceSecurityGroupOwnerId},
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.AuthorizeSecurityGroupIngressResult{Return: api.Ptr(true), SecurityGroupRules: rules}, revision, nil
}

// authorizeSecurityGroupEgress is the same for what may go out. EC2 refuses the
// flat parameters here, which its clients rewrite; they are taken as they are.
func (s *Service) authorizeSecurityGroupEgress(ctx context.Context, who Caller, in *api.AuthorizeSecurityGroupEgressRequest) (*api.AuthorizeSecurityGroupEgressResult, int64, error) {
	rules, revision, err := s.authorize(ctx, who, in.DryRun, &ruleRequest{
		egress: true, groupID: in.GroupId,
		permissions: in.IpPermissions, tags: in.TagSpecifications,
		flat: flatPermission{in.IpProtocol, in.FromPort, in.ToPort, in.CidrIp, in.SourceSecurityGroupName, in.SourceSecurityGroupOwnerId},
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.AuthorizeSecurityGroupEgressResult{Return: api.Ptr(true), SecurityGroupRules: rules}, revision, nil
}

// authorize adds all rules of a request or none, and returns the new ones.
func (s *Service) authorize(ctx context.Context, who Caller, dryRun *bool, in *ruleRequest) ([]api.SecurityGroupRule, int64, error) {
	tags, err := specTags(in.tags, ruleResourceType)
	if err != nil {
		return nil, 0, err
	}
	var added []api.SecurityGroupRule
	revision, err := s.mutate(ctx, who, dryRun, func(c *change) error {
		g, err := findGroup(c.tx, who, in.groupID, in.groupName)
		if err != nil {
			return err
		}
		wanted, err := ruleReader{r: c.tx, caller: who, group: g, egress: in.egress}.wanted(in)
		if err != nil {
			return err
		}
		added = make([]api.SecurityGroupRule, len(wanted))
		for i, w := range wanted {
			added[i] = c.newRule(g, w, tags)
		}
		if err := c.putRules(g, slices.Concat(g.Rules, added), wanted); err != nil {
			return err
		}
		added = s.shownRules(c.tx.Peek(), &record.SecurityGroup{Group: g.Group, Rules: added})
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return added, revision, nil
}

// putRules stores the group with other rules, refusing two equal ones and more
// than the quota. wanted says where in the request a rule came from.
func (c *change) putRules(g *record.SecurityGroup, rules []api.SecurityGroupRule, wanted []wantedRule) error {
	// Whole lists are compared, not additions with what was there: a change of
	// several rules may have two of them trade places.
	seen := make(map[permission]string, len(rules))
	for i := range rules {
		p := permissionOf(&rules[i])
		if first, dup := seen[p]; dup {
			e := api.Errorf("InvalidPermission.Duplicate", wantedAt(wanted, p), "the specified rule %q already exists in %s", p, g.Group.GroupId)
			if slices.ContainsFunc(g.Rules, func(r api.SecurityGroupRule) bool { return r.SecurityGroupRuleId == first }) {
				e.Hint = "it is " + first
			}
			return e
		}
		seen[p] = rules[i].SecurityGroupRuleId
	}
	before := ruleWeights(c.tx, g.Rules)
	for egress, n := range ruleWeights(c.tx, rules) {
		// A quota that was lowered must not keep rules from being edited.
		if n <= before[egress] {
			continue
		}
		if err := c.checkLimit(limitRules, n); err != nil {
			return err
		}
	}
	next := *g
	next.Rules = rules
	c.tx.Put(record.Groups+g.Group.GroupId, &next)
	return nil
}

// ruleWeights is what rules of each direction (true for egress) count against
// the quota: one each, and for a prefix list as many as it may have entries.
func ruleWeights(r store.Reader, rules []api.SecurityGroupRule) map[bool]int {
	out := map[bool]int{}
	for i := range rules {
		weight := 1
		if id := rules[i].PrefixListId; id != "" {
			if list, ok := store.Get[*record.PrefixList](r, record.Lists+id); ok {
				weight = int(api.Val(list.List.MaxEntries))
			}
		}
		out[api.Val(rules[i].IsEgress)] += weight
	}
	return out
}

// wantedAt is where in the request the permission stands.
func wantedAt(wanted []wantedRule, p permission) string {
	// The last one: where a request names a rule twice, the second is at fault.
	for _, w := range slices.Backward(wanted) {
		if w.permission == p {
			return string(w.at)
		}
	}
	return ""
}

// revokeSecurityGroupIngress removes rules by id or by what they allow; their
// descriptions do not matter.
func (s *Service) revokeSecurityGroupIngress(ctx context.Context, who Caller, in *api.RevokeSecurityGroupIngressRequest) (*api.RevokeSecurityGroupIngressResult, int64, error) {
	out, revision, err := s.revoke(ctx, who, in.DryRun, &ruleRequest{
		groupID: in.GroupId, groupName: in.GroupName,
		permissions: in.IpPermissions, ruleIDs: in.SecurityGroupRuleIds, cut: api.Val(in.CutTracked),
		flat: flatPermission{in.IpProtocol, in.FromPort, in.ToPort, in.CidrIp, in.SourceSecurityGroupName, in.SourceSecurityGroupOwnerId},
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.RevokeSecurityGroupIngressResult{Return: api.Ptr(true), UnknownIpPermissions: out.unknown, SecurityGroupRuleIds: out.rules}, revision, nil
}

func (s *Service) revokeSecurityGroupEgress(ctx context.Context, who Caller, in *api.RevokeSecurityGroupEgressRequest) (*api.RevokeSecurityGroupEgressResult, int64, error) {
	out, revision, err := s.revoke(ctx, who, in.DryRun, &ruleRequest{
		egress: true, groupID: in.GroupId,
		permissions: in.IpPermissions, ruleIDs: in.SecurityGroupRuleIds, cut: api.Val(in.CutTracked),
		flat: flatPermission{in.IpProtocol, in.FromPort, in.ToPort, in.CidrIp, in.SourceSecurityGroupName, in.SourceSecurityGroupOwnerId},
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.RevokeSecurityGroupEgressResult{Return: api.Ptr(true), UnknownIpPermissions: out.unknown, SecurityGroupRuleIds: out.rules}, revision, nil
}

// revocation is what became of a request: permissions that match no rule, and
// the ids of the rules that are gone.
type revocation struct {
	unknown []api.IpPermission
	rules   []string
}

// revoke removes all rules that a request names, or none. In a default VPC EC2
// reports the permissions that match no rule instead of failing.
func (s *Service) revoke(ctx context.Context, who Caller, dryRun *bool, in *ruleRequest) (revocation, int64, error) {
	var out revocation
	revision, err := s.mutate(ctx, who, dryRun, func(c *change) error {
		out = revocation{}
		g, err := findGroup(c.tx, who, in.groupID, in.groupName)
		if err != nil {
			return err
		}
		gone, missing, err := c.named(g, in)
		if err != nil {
			return err
		}
		if len(missing) > 0 {
			vpc, err := getVpc(c.tx, who, g.Group.VpcId)
			if err != nil {
				return err
			}
			if !api.Val(vpc.Vpc.IsDefault) {
				return noSuchPermission(g, missing[0])
			}
			out.unknown = unmatched(missing)
		}
		out.rules = slices.Sorted(maps.Keys(gone))
		next := *g
		next.Rules = slices.DeleteFunc(slices.Clone(g.Rules), func(r api.SecurityGroupRule) bool { return gone[r.SecurityGroupRuleId] })
		c.tx.Put(record.Groups+g.Group.GroupId, &next)
		return c.revoked(g, out.rules, in.cut, "CutTracked")
	})
	return out, revision, err
}

// named are the rules of g that a request names, by id or by permission, and
// the permissions that match none.
func (c *change) named(g *record.SecurityGroup, in *ruleRequest) (map[string]bool, []wantedRule, error) {
	found := map[string]bool{}
	if len(in.ruleIDs) > 0 {
		if len(in.permissions) > 0 || in.flat.given() {
			return nil, nil, api.Errorf("InvalidParameterCombination", "SecurityGroupRuleIds", "SecurityGroupRuleIds cannot be combined with a permission: use one of them")
		}
		for i, id := range in.ruleIDs {
			at := place("").item("SecurityGroupRuleIds", i)
			if _, err := ruleByID(g, id, in.egress, string(at)); err != nil {
				return nil, nil, err
			}
			found[id] = true
		}
		return found, nil, nil
	}
	wanted, err := ruleReader{r: c.tx, caller: c.caller, group: g, egress: in.egress, existing: true}.wanted(in)
	if err != nil {
		return nil, nil, err
	}
	var missing []wantedRule
	for _, w := range wanted {
		if i := ruleIndex(g, w.permission); i >= 0 {
			found[g.Rules[i].SecurityGroupRuleId] = true
		} else {
			missing = append(missing, w)
		}
	}
	return found, missing, nil
}

// ruleIndex is the position of the rule with this permission in g, or -1.
func ruleIndex(g *record.SecurityGroup, p permission) int {
	return slices.IndexFunc(g.Rules, func(r api.SecurityGroupRule) bool { return permissionOf(&r) == p })
}

// ruleByID is the position in g of a rule of one direction.
func ruleByID(g *record.SecurityGroup, id string, egress bool, field string) (int, error) {
	if err := checkRuleID(id, field); err != nil {
		return 0, err
	}
	i := slices.IndexFunc(g.Rules, func(r api.SecurityGroupRule) bool { return r.SecurityGroupRuleId == id })
	switch {
	case i < 0:
		return 0, noSuchRule(id, field)
	case api.Val(g.Rules[i].IsEgress) != egress:
		e := noSuchRule(id, field)
		e.Hint = "it is a rule of the other direction of " + g.Group.GroupId
		return 0, e
	}
	return i, nil
}

func checkRuleID(id, field string) error {
	switch {
	case wellFormed(id, ruleIDPrefix):
		return nil
	case id == "":
		return api.Errorf("MissingParameter", field, "the request must contain the parameter %s: the id of a security group rule", field)
	}
	return api.Errorf("InvalidSecurityGroupRuleId.Malformed", field, "invalid id %s: the id of a security group rule is sgr- and 17 digits or letters a-f", quote(id))
}

func noSuchRule(id, field string) *api.Error {
	return api.Errorf("InvalidSecurityGroupRuleId.NotFound", field, "the security group rule ID '%s' does not exist; list those that do with DescribeSecurityGroupRules", id)
}

// noSuchPermission quotes the permission in its normal form, so that people see
// what was compared.
func noSuchPermission(g *record.SecurityGroup, w wantedRule) error {
	return api.Errorf("InvalidPermission.NotFound", string(w.at), "the specified rule %q does not exist in %s; list those that do with DescribeSecurityGroupRules", w.permission, g.Group.GroupId)
}

// unmatched is the answer for permissions that match no rule.
func unmatched(missing []wantedRule) []api.IpPermission {
	out := make([]api.IpPermission, len(missing))
	for i, w := range missing {
		var r api.SecurityGroupRule
		setPermission(&r, w)
		out[i] = newIpPermission(w.permission)
		addSource(&out[i], &r)
	}
	return out
}

// modifySecurityGroupRules replaces what rules allow; they keep their ids.
func (s *Service) modifySecurityGroupRules(ctx context.Context, who Caller, in *api.ModifySecurityGroupRulesRequest) (*api.ModifySecurityGroupRulesResult, int64, error) {
	revision, err := s.mutate(ctx, who, in.DryRun, func(c *change) error {
		g, err := getGroup(c.tx, who, in.GroupId)
		if err != nil {
			return err
		}
		rules := slices.Clone(g.Rules)
		var wanted []wantedRule
		changed := map[string]bool{}
		for i := range in.SecurityGroupRules {
			u := &in.SecurityGroupRules[i]
			at := place("").item("SecurityGroupRules", i)
			if changed[u.SecurityGroupRuleId] {
				return api.Errorf("InvalidParameterValue", at.field("SecurityGroupRuleId"), "the rule %s is named twice: change it once", quote(u.SecurityGroupRuleId))
			}
			changed[u.SecurityGroupRuleId] = true
			w, err := c.modifyRule(g, rules, u, at)
			if err != nil {
				return err
			}
			wanted = append(wanted, w)
		}
		return c.putRules(g, rules, wanted)
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.ModifySecurityGroupRulesResult{Return: api.Ptr(true)}, revision, nil
}

// modifyRule writes one update into rules, a copy of those of g. A rule keeps
// its direction.
func (c *change) modifyRule(g *record.SecurityGroup, rules []api.SecurityGroupRule, u *api.SecurityGroupRuleUpdate, at place) (wantedRule, error) {
	idField := at.field("SecurityGroupRuleId")
	if err := checkRuleID(u.SecurityGroupRuleId, idField); err != nil {
		return wantedRule{}, err
	}
	i := slices.IndexFunc(rules, func(r api.SecurityGroupRule) bool { return r.SecurityGroupRuleId == u.SecurityGroupRuleId })
	if i < 0 {
		return wantedRule{}, noSuchRule(u.SecurityGroupRuleId, idField)
	}
	at = place(at.field("SecurityGroupRule"))
	if u.SecurityGroupRule == nil {
		return wantedRule{}, api.Errorf("MissingParameter", string(at), "the request must contain the parameter %s", at)
	}
	w, err := ruleReader{r: c.tx, caller: c.caller, group: g, egress: api.Val(rules[i].IsEgress)}.single(u.SecurityGroupRule, at)
	if err != nil {
		return wantedRule{}, err
	}
	setPermission(&rules[i], w)
	rules[i].Description = w.description
	return w, nil
}

func (s *Service) updateSecurityGroupRuleDescriptionsIngress(ctx context.Context, who Caller, in *api.UpdateSecurityGroupRuleDescriptionsIngressRequest) (*api.UpdateSecurityGroupRuleDescriptionsIngressResult, int64, error) {
	revision, err := s.describeRules(ctx, who, in.DryRun, in.SecurityGroupRuleDescriptions,
		&ruleRequest{groupID: in.GroupId, groupName: in.GroupName, permissions: in.IpPermissions})
	if err != nil {
		return nil, 0, err
	}
	return &api.UpdateSecurityGroupRuleDescriptionsIngressResult{Return: api.Ptr(true)}, revision, nil
}

func (s *Service) updateSecurityGroupRuleDescriptionsEgress(ctx context.Context, who Caller, in *api.UpdateSecurityGroupRuleDescriptionsEgressRequest) (*api.UpdateSecurityGroupRuleDescriptionsEgressResult, int64, error) {
	revision, err := s.describeRules(ctx, who, in.DryRun, in.SecurityGroupRuleDescriptions,
		&ruleRequest{egress: true, groupID: in.GroupId, groupName: in.GroupName, permissions: in.IpPermissions})
	if err != nil {
		return nil, 0, err
	}
	return &api.UpdateSecurityGroupRuleDescriptionsEgressResult{Return: api.Ptr(true)}, revision, nil
}

// describeRules sets the descriptions of rules, named by id or by permission;
// an empty description removes one.
func (s *Service) describeRules(ctx context.Context, who Caller, dryRun *bool, byID []api.SecurityGroupRuleDescription, in *ruleRequest) (int64, error) {
	return s.mutate(ctx, who, dryRun, func(c *change) error {
		g, err := findGroup(c.tx, who, in.groupID, in.groupName)
		if err != nil {
			return err
		}
		next := *g
		next.Rules = slices.Clone(g.Rules)
		if len(byID) > 0 {
			err = describeByID(&next, byID, in)
		} else {
			err = c.describeByPermission(&next, in)
		}
		if err != nil {
			return err
		}
		c.tx.Put(record.Groups+g.Group.GroupId, &next)
		return nil
	})
}

func describeByID(g *record.SecurityGroup, byID []api.SecurityGroupRuleDescription, in *ruleRequest) error {
	if len(in.permissions) > 0 {
		return api.Errorf("InvalidParameterCombination", "SecurityGroupRuleDescriptions", "SecurityGroupRuleDescriptions cannot be combined with IpPermissions: use one of them")
	}
	for j, d := range byID {
		at := place("").item("SecurityGroupRuleDescriptions", j)
		i, err := ruleByID(g, d.SecurityGroupRuleId, in.egress, at.field("SecurityGroupRuleId"))
		if err != nil {
			return err
		}
		if err := checkText(d.Description, at.field("Description"), "a rule's description"); err != nil {
			return err
		}
		g.Rules[i].Description = d.Description
	}
	return nil
}

func (c *change) describeByPermission(g *record.SecurityGroup, in *ruleRequest) error {
	wanted, err := ruleReader{r: c.tx, caller: c.caller, group: g, egress: in.egress, existing: true}.wanted(in)
	if err != nil {
		return err
	}
	for _, w := range wanted {
		i := ruleIndex(g, w.permission)
		if i < 0 {
			return noSuchPermission(g, w)
		}
		g.Rules[i].Description = w.description
	}
	return nil
}
