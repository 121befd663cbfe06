package service

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

const (
	// maxRevocations bounds how many calls that took rules away a VPC remembers.
	maxRevocations = 1000
	// A cut outlives the last host that could still have to make it by far.
	cutLife = 24 * time.Hour
)

// revoked remembers what a call has taken out of a group, or cuts it: then it
// must not be lost before every host has obeyed, and the call fails where there
// is no room for it. field is the member that asks for the cut.
func (c *change) revoked(g *record.SecurityGroup, rules []string, cut bool, field string) error {
	if len(rules) == 0 {
		return nil
	}
	if room := c.forgetRevocations(g.Group.VpcId); !room {
		if !cut {
			return nil
		}
		return api.Errorf("ResourceLimitExceeded", field,
			"%d cuts in %s wait for a host that has not applied them, and no more are taken; see `vpc status`, and ask again once it is ready", maxRevocations, g.Group.VpcId)
	}
	key := record.RevocationsOf(g.Group.VpcId, g.Group.GroupId) + c.newID("revocation-")
	c.tx.Put(key, record.Revocation{Rules: rules, Cut: cut, Time: c.now().UTC().Format(timeLayout)})
	return nil
}

// forgetRevocations makes room for one more in a VPC, oldest first, and reports
// whether there is any. It reads without guard: of two at once both may find
// the last place, and one more than the bound does no harm.
func (c *change) forgetRevocations(vpcID string) (room bool) {
	sn := c.store.Snapshot()
	n, known := 0, knownEverywhere(sn)
	idle := map[int64]string{} // by revision; a call makes one
	for key, r := range store.List[*record.Revocation](sn, record.Revocations+vpcID+"/") {
		n++
		if made, _ := sn.ModRevision(key); !r.Cut || made <= known {
			idle[made] = key
		}
	}
	excess := n + 1 - maxRevocations
	if excess <= 0 {
		return true
	}
	if len(idle) < excess {
		return false
	}
	for _, made := range slices.Sorted(maps.Keys(idle))[:min(excess, reapAtOnce)] {
		c.tx.Delete(idle[made])
	}
	return true
}

// dropGroup deletes a group with what it remembers of rules. Cuts that a host
// may not have made stay with the tombstone, which no host misses.
func (c *change) dropGroup(g *record.SecurityGroup) {
	prefix := record.RevocationsOf(g.Group.VpcId, g.Group.GroupId)
	known := knownEverywhere(c.tx.Peek())
	var cut []string
	some := false
	// Under guard: a cut that is asked for meanwhile must not be lost.
	for key, r := range store.List[*record.Revocation](c.tx, prefix) {
		some = true
		if made, _ := c.tx.ModRevision(key); r.Cut && made > known {
			cut = append(cut, r.Rules...)
		}
	}
	if some {
		c.tx.DeletePrefix(prefix)
	}
	c.tx.Delete(record.Groups + g.Group.GroupId)
	c.tx.Put(record.TombstoneKey(g.Group.GroupId), record.Tombstone{Index: g.Index, Time: c.now().UTC().Format(timeLayout), Cut: cut})
}

// oldCuts are the keys of cuts that every host has made long ago, at most as
// many as one transaction takes. What was not cut stays as long as there is
// room, so that it can be.
func (s *Service) oldCuts() []string {
	sn := s.store.Snapshot()
	known := knownEverywhere(sn)
	var out []string
	for key, r := range store.List[*record.Revocation](sn, record.Revocations) {
		asked, err := time.Parse(time.RFC3339, r.Time)
		made, _ := sn.ModRevision(key)
		if r.Cut && made <= known && err == nil && s.now().Sub(asked) > cutLife && len(out) < reapAtOnce {
			out = append(out, key)
		}
	}
	return out
}

// cutFlows ends the tracked flows of rules that were revoked without. Errors:
// those of the group's id, InvalidSecurityGroupRuleId.Malformed, .NotFound for
// what the group has never had or has revoked too long ago, IncorrectState for
// a rule that still exists, ResourceLimitExceeded.
func (s *Service) cutFlows(ctx context.Context, who Caller, in *api.CutFlowsRequest) (*api.CutFlowsResult, int64, error) {
	revision, err := s.mutate(ctx, who, in.DryRun, func(c *change) error {
		// A group that is read here is not deleted meanwhile.
		g, err := getGroup(c.tx, who, in.GroupId)
		if err != nil {
			return err
		}
		if err := checkRevoked(c.tx.Peek(), g, in.SecurityGroupRuleIds, false); err != nil {
			return err
		}
		return c.revoked(g, slices.Compact(slices.Sorted(slices.Values(in.SecurityGroupRuleIds))), true, "SecurityGroupRuleIds")
	})
	return &api.CutFlowsResult{}, revision, err
}

// checkRevoked refuses ids that are not of rules that g has had. One that g
// still has is fine with living, and else has to be revoked first.
func checkRevoked(r store.Reader, g *record.SecurityGroup, ids []string, living bool) error {
	gone := map[string]bool{}
	for _, rev := range store.List[*record.Revocation](r, record.RevocationsOf(g.Group.VpcId, g.Group.GroupId)) {
		for _, id := range rev.Rules {
			gone[id] = true
		}
	}
	for i, id := range ids {
		field := string(place("").item("SecurityGroupRuleIds", i))
		if err := checkRuleID(id, field); err != nil {
			return err
		}
		lives := slices.ContainsFunc(g.Rules, func(r api.SecurityGroupRule) bool { return r.SecurityGroupRuleId == id })
		switch {
		case lives && !living:
			e := api.Errorf("IncorrectState", field, "the rule %s still exists, and new flows would come about: revoke it, with CutTracked to end its flows at once", id)
			e.Hint = "vpc sg revoke " + id + " --cut"
			return e
		case !lives && !gone[id]:
			return api.Errorf("InvalidSecurityGroupRuleId.NotFound", field,
				"the security group rule ID '%s' is not that of a rule that %s has or has lost of late: the answer to its revocation names it", id, g.Group.GroupId)
		}
	}
	return nil
}

// getRuleFlows counts live tracked flows of the caller's interfaces that
// rules of one group have let in, whether the rules are there or revoked: those
// that go on without them. Errors are those of cutFlows.
func (s *Service) getRuleFlows(ctx context.Context, who Caller, in *api.GetRuleFlowsRequest) (*api.GetRuleFlowsResult, int64, error) {
	v := s.view(who)
	g, err := getGroup(v.r, who, in.GroupId)
	if err != nil {
		return nil, 0, err
	}
	if err := checkRevoked(v.r, g, in.SecurityGroupRuleIds, true); err != nil {
		return nil, 0, err
	}
	h, err := s.hostNamed(v.r, "")
	if err != nil {
		return nil, 0, err
	}
	vpc, err := getVpc(v.r, who, g.Group.VpcId)
	if err != nil {
		return nil, 0, err
	}
	var own []string
	for _, eni := range interfaceKind.list(v.r, who) {
		if eni.Interface.VpcId == g.Group.VpcId {
			own = append(own, eni.Interface.NetworkInterfaceId)
		}
	}
	n := 0
	// No interface means all to a host. In a VPC that cuts, no flow outlives its
	// rule: those that are still in the table end with their next packet.
	if len(own) > 0 && vpc.Revocation != api.RevocationCut {
		if n, err = h.TrackedFlows(ctx, own, in.SecurityGroupRuleIds); err != nil {
			return nil, 0, hostError(err)
		}
	}
	return &api.GetRuleFlowsResult{Flows: api.Ptr(int64(n))}, v.revision(), nil
}
