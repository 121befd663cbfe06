package service

import (
	"context"
	"fmt"
	"slices"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// modifyManagedPrefixList changes name, size or entries; other entries are a
// new version. Codes: PrefixListVersionMismatch, PrefixListMaxEntriesExceeded,
// RulesPerSecurityGroupLimitExceeded and RouteLimitExceeded naming the groups and
// the tables that a larger list would overfill, InvalidParameterCombination for size and entries at once,
// InvalidParameterValue for an entry that is there already, or is not there.
func (s *Service) modifyManagedPrefixList(ctx context.Context, caller Caller, req *api.ModifyManagedPrefixListRequest) (*api.ModifyManagedPrefixListResult, int64, error) {
	edit, err := listEditOf(req)
	if err != nil {
		return nil, 0, err
	}
	changed, revision, err := s.editList(ctx, caller, req.DryRun, req.PrefixListId, req.CurrentVersion, func(c *change, list *record.PrefixList) error {
		list.List.State = api.PrefixListStateModifyComplete
		if req.PrefixListName != "" {
			if err := c.listNameFree(req.UniqueName, req.PrefixListName, req.PrefixListId); err != nil {
				return err
			}
			list.List.PrefixListName = req.PrefixListName
		}
		if req.MaxEntries != nil {
			return c.resize(list, *req.MaxEntries)
		}
		if !edit.given() {
			return nil
		}
		entries, err := edit.apply(list.Entries)
		if err != nil {
			return err
		}
		return c.nextVersion(list, entries)
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.ModifyManagedPrefixListResult{PrefixList: changed}, revision, nil
}

// listEditOf reads the part of a request that needs no knowledge of the list.
func listEditOf(req *api.ModifyManagedPrefixListRequest) (edit listEdit, err error) {
	if req.PrefixListName != "" {
		if err := checkListName(req.PrefixListName); err != nil {
			return edit, err
		}
	}
	if req.MaxEntries != nil {
		if err := checkListSize(*req.MaxEntries); err != nil {
			return edit, err
		}
	}
	if edit.add, err = addedEntries(req.AddEntries, "AddEntries"); err != nil {
		return edit, err
	}
	if edit.remove, err = removedEntries(req.RemoveEntries, edit.add); err != nil {
		return edit, err
	}
	switch {
	case req.MaxEntries != nil && edit.given():
		return edit, api.Errorf("InvalidParameterCombination", "MaxEntries", "the size and the entries of a prefix list cannot be changed in one request: make two")
	case req.MaxEntries == nil && !edit.given() && req.PrefixListName == "":
		return edit, api.Errorf("MissingParameter", "", "the request must contain a change: PrefixListName, MaxEntries, AddEntries or RemoveEntries")
	}
	return edit, nil
}

// restoreManagedPrefixListVersion makes a new version with the entries of an
// older one. Codes: PrefixListVersionMismatch, InvalidParameterValue for a
// version that is not kept, PrefixListMaxEntriesExceeded.
func (s *Service) restoreManagedPrefixListVersion(ctx context.Context, caller Caller, req *api.RestoreManagedPrefixListVersionRequest) (*api.RestoreManagedPrefixListVersionResult, int64, error) {
	changed, revision, err := s.editList(ctx, caller, req.DryRun, req.PrefixListId, req.CurrentVersion, func(c *change, list *record.PrefixList) error {
		const field = "PreviousVersion"
		previous := api.Val(req.PreviousVersion)
		if previous == api.Val(list.List.Version) {
			return api.Errorf("InvalidParameterValue", field, "version %d is the current one: there is nothing to restore", previous)
		}
		// The list was read guarded, and whoever adds a version writes it.
		entries, err := entriesAt(c.tx.Peek(), list, previous, field)
		if err != nil {
			return err
		}
		list.List.State = api.PrefixListStateRestoreComplete
		return c.nextVersion(list, entries)
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.RestoreManagedPrefixListVersionResult{PrefixList: changed}, revision, nil
}

// editList writes what edit makes of a copy of the list. current is the
// version the caller has seen; nil does not compare.
func (s *Service) editList(ctx context.Context, caller Caller, dryRun *bool, id string, current *int64, edit func(*change, *record.PrefixList) error) (*api.ManagedPrefixList, int64, error) {
	var shape *api.ManagedPrefixList
	revision, err := s.mutate(ctx, caller, dryRun, func(c *change) error {
		list, err := getList(c.tx, caller, id)
		if err != nil {
			return err
		}
		if have := api.Val(list.List.Version); current != nil && *current != have {
			return api.Errorf("PrefixListVersionMismatch", "CurrentVersion", "the prefix list has the incorrect version number: %s is at version %d, not %d; look at it again", id, have, *current)
		}
		changed := *list
		if err := edit(c, &changed); err != nil {
			return err
		}
		c.putList(&changed)
		shape = described(&changed)
		return nil
	})
	return shape, revision, err
}

// resize changes how many entries a list may have, which is what each rule and
// each route that names it counts.
func (c *change) resize(list *record.PrefixList, size int32) error {
	if err := checkFits(list.Entries, size); err != nil {
		return err
	}
	grown := size > api.Val(list.List.MaxEntries)
	list.List.MaxEntries = api.Ptr(size)
	if !grown {
		return nil
	}
	// The weights of groups and tables are computed from what is stored.
	c.putList(list)
	if err := c.checkRuleQuota(list.List.PrefixListId); err != nil {
		return err
	}
	return c.checkRouteQuota(list.List.PrefixListId)
}

// checkRuleQuota names the groups in which a list has become too large.
func (c *change) checkRuleQuota(listID string) error {
	limit := c.limit(c.tx.Peek(), limitRules)
	if limit == unlimited {
		return nil
	}
	var over []api.Blocker
	for _, g := range groupsWithList(c.tx, listID) {
		weights := ruleWeights(c.tx, rulesOfWaysWith(g.Rules, listID))
		if n := max(weights[true], weights[false]); int64(n) > limit {
			over = append(over, api.Blocker{Kind: "sg", Id: g.Group.GroupId, Name: g.Group.GroupName, Detail: fmt.Sprintf("%d rules", n)})
		}
	}
	if len(over) == 0 {
		return nil
	}
	return &api.Error{
		Code: quotas[limitRules].code, Field: "MaxEntries", BlockedBy: over,
		Message: fmt.Sprintf("the limit %s is %d, and with that size of the list these groups would have more: %s", limitRules, limit, blockerIDs(over)),
		Hint:    "a smaller size, or a higher limit: vpc limits",
	}
}

// rulesOfWaysWith are the rules of the directions in which the list occurs: the
// other direction does not change.
func rulesOfWaysWith(rules []api.SecurityGroupRule, listID string) []api.SecurityGroupRule {
	ways := map[bool]bool{}
	for i := range rules {
		if rules[i].PrefixListId == listID {
			ways[api.Val(rules[i].IsEgress)] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(rules), func(r api.SecurityGroupRule) bool { return !ways[api.Val(r.IsEgress)] })
}
