package service

import (
	"slices"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// pair finds the group that p names: one of the same VPC, or of one that is
// peered with it at the moment.
func (rr ruleReader) pair(p *api.UserIdGroupPair, at place) (*api.ReferencedSecurityGroup, error) {
	if ref := rr.known(p); ref != nil {
		return ref, nil
	}
	if p.VpcPeeringConnectionId != "" {
		if _, err := peeringKind.getAs(rr.r, rr.caller, p.VpcPeeringConnectionId, at.field("VpcPeeringConnectionId")); err != nil {
			return nil, err
		}
	}
	switch {
	case p.GroupId != "":
		return rr.paired(p, at)
	case p.GroupName == "":
		return nil, api.Errorf("MissingParameter", at.field("GroupId"), "the request must contain the parameter GroupId or GroupName")
	case p.VpcPeeringConnectionId != "":
		return nil, api.Errorf("InvalidParameterCombination", at.field("GroupName"), "a group of a peered VPC is named by GroupId: a name is one of %s", rr.group.Group.VpcId)
	case p.VpcId != "" && p.VpcId != rr.group.Group.VpcId:
		return nil, rr.otherNetwork(at.field("VpcId"))
	}
	if err := rr.ownedBy(p.UserId, at.field("UserId")); err != nil {
		return nil, err
	}
	id, err := rr.named(p.GroupName, at.field("GroupName"))
	return rr.own(id), err
}

// paired is pair for a group that is named by its id.
func (rr ruleReader) paired(p *api.UserIdGroupPair, at place) (*api.ReferencedSecurityGroup, error) {
	ref, err := rr.referenced(p.GroupId, p.UserId, at.field("GroupId"), at.field("UserId"))
	switch {
	case err != nil:
		return nil, err
	case p.VpcId != "" && p.VpcId != rr.group.Group.VpcId && p.VpcId != ref.VpcId,
		p.VpcId == rr.group.Group.VpcId && ref.VpcId != "":
		return nil, rr.otherNetwork(at.field("VpcId"))
	case p.VpcPeeringConnectionId != "" && p.VpcPeeringConnectionId != ref.VpcPeeringConnectionId:
		return nil, rr.otherNetwork(at.field("VpcPeeringConnectionId"))
	}
	return ref, nil
}

// own is a reference to a group of the rule's own VPC, which says no more than
// whose it is.
func (rr ruleReader) own(id string) *api.ReferencedSecurityGroup {
	return &api.ReferencedSecurityGroup{GroupId: id, UserId: rr.group.Group.OwnerId}
}

// known is what a rule that is there already names: a stale one is found, and can
// be revoked, although its group or the peering is gone.
func (rr ruleReader) known(p *api.UserIdGroupPair) *api.ReferencedSecurityGroup {
	same := func(asked, have string) bool { return asked == "" || asked == have }
	i := slices.IndexFunc(rr.group.Rules, func(r api.SecurityGroupRule) bool {
		ref := r.ReferencedGroupInfo
		return ref != nil && ref.VpcId != "" && ref.GroupId == p.GroupId && same(p.UserId, ref.UserId) &&
			same(p.VpcId, ref.VpcId) && same(p.VpcPeeringConnectionId, ref.VpcPeeringConnectionId)
	})
	if !rr.existing || i < 0 {
		return nil
	}
	return rr.group.Rules[i].ReferencedGroupInfo
}

// referenced checks that the group id, of the account owner or else the caller's,
// can stand in a rule of rr.group. The fields are where both stand in the request.
func (rr ruleReader) referenced(id, owner, field, ownerField string) (*api.ReferencedSecurityGroup, error) {
	who := rr.caller
	if owner != "" {
		who = Caller{Account: owner}
	}
	g, err := groupKind.getAs(rr.r, who, id, field)
	if err != nil {
		return nil, rr.unlessForeign(owner, ownerField, err)
	}
	if g.Group.VpcId == rr.group.Group.VpcId {
		return rr.own(id), nil
	}
	p := rr.peering(g)
	if p == nil {
		return nil, rr.unlessForeign(owner, ownerField, rr.otherNetwork(field))
	}
	return &api.ReferencedSecurityGroup{GroupId: id, UserId: g.Group.OwnerId, VpcId: g.Group.VpcId, VpcPeeringConnectionId: p.VpcPeeringConnectionId}, nil
}

// peering joins the VPC of the rule with that of a group, nil where none does. It
// is read under guard: the rule is not made while the peering is deleted.
func (rr ruleReader) peering(g *record.SecurityGroup) *record.Peering {
	seen := activePeering(rr.r.Peek(), rr.group.Group.VpcId, g.Group.VpcId)
	if seen == nil {
		return nil
	}
	p, ok := store.Get[*record.Peering](rr.r, record.Peerings+seen.VpcPeeringConnectionId)
	if !ok || !p.Active() {
		return nil
	}
	return p
}

// unlessForeign is err, but of another account's groups nothing is told.
func (rr ruleReader) unlessForeign(owner, field string, err error) error {
	if foreign := rr.ownedBy(owner, field); foreign != nil {
		return foreign
	}
	return err
}

// ownerOf is the account of a group that a request names without it: the caller's,
// or the one of a peered VPC that has the group.
func (rr ruleReader) ownerOf(id string) string {
	g, ok := store.Get[*record.SecurityGroup](rr.r, record.Groups+id)
	if !ok || rr.peering(g) == nil {
		return ""
	}
	return g.Group.OwnerId
}

// shownRules are the rules of a group as answers have them: references to groups
// of other VPCs say what has become of the peering.
func (s *Service) shownRules(r store.Reader, g *record.SecurityGroup) []api.SecurityGroupRule {
	across := func(rule api.SecurityGroupRule) bool {
		return rule.ReferencedGroupInfo != nil && rule.ReferencedGroupInfo.VpcId != ""
	}
	if !slices.ContainsFunc(g.Rules, across) {
		return g.Rules
	}
	out := slices.Clone(g.Rules)
	for i := range out {
		if across(out[i]) {
			out[i].ReferencedGroupInfo = s.shownReference(r, g.Group.VpcId, out[i].ReferencedGroupInfo)
		}
	}
	return out
}

// shownReference names the peering that is in force now, which may be a later one
// than the rule was made with.
func (s *Service) shownReference(r store.Reader, vpcID string, ref *api.ReferencedSecurityGroup) *api.ReferencedSecurityGroup {
	next := *ref
	next.PeeringStatus = peeringDeleted
	if p, ok := store.Get[*record.Peering](r, record.Peerings+ref.VpcPeeringConnectionId); ok {
		next.PeeringStatus = s.peeringState(p)
	}
	if p := activePeering(r, vpcID, ref.VpcId); p != nil {
		next.VpcPeeringConnectionId, next.PeeringStatus = p.VpcPeeringConnectionId, peeringActive
	}
	return &next
}

// stale says whether a rule admits nobody any more: the group that it names is
// gone, or the peering with its VPC.
func stale(r store.Reader, vpcID string, rule *api.SecurityGroupRule) bool {
	ref := rule.ReferencedGroupInfo
	if ref == nil {
		return false
	}
	g, ok := store.Get[*record.SecurityGroup](r, record.Groups+ref.GroupId)
	return !ok || g.Group.VpcId != vpcID && activePeering(r, vpcID, g.Group.VpcId) == nil
}
