package service

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// Bounds of EC2.
const (
	maxListEntries = 1000 // a list can have
	maxListChanges = 100  // entries that one request adds or removes
)

// actionCreateList is the action as client tokens know it.
const actionCreateList = "CreateManagedPrefixList"

// createManagedPrefixList makes version 1 of a list. Changes of lists are done
// when they are answered, so states are the completed ones at once. Codes:
// PrefixListLimitExceeded, PrefixListMaxEntriesExceeded, UnsupportedOperation
// for IPv6, InvalidParameterValue for name, size and CIDRs.
func (s *Service) createManagedPrefixList(ctx context.Context, caller Caller, req *api.CreateManagedPrefixListRequest) (*api.CreateManagedPrefixListResult, int64, error) {
	wanted, err := s.listOf(caller, req)
	if err != nil {
		return nil, 0, err
	}
	var made *record.PrefixList
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		id, err := c.replay(actionCreateList, req.ClientToken, req)
		if err != nil {
			return err
		}
		if id != "" {
			made, err = getList(c.tx, caller, id)
			return err
		}
		if err := c.listNameFree(req.UniqueName, req.PrefixListName, ""); err != nil {
			return err
		}
		// Listed under guard, so that the quota holds for two at once.
		if err := c.checkLimit(limitLists, len(listKind.list(c.tx, caller))+1); err != nil {
			return err
		}
		made = c.identified(wanted)
		c.putList(made)
		c.remember(actionCreateList, req.ClientToken, req, made.List.PrefixListId)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.CreateManagedPrefixListResult{PrefixList: described(made)}, revision, nil
}

// listOf is the list that a request describes, without an id.
func (s *Service) listOf(caller Caller, req *api.CreateManagedPrefixListRequest) (*record.PrefixList, error) {
	if err := checkListName(req.PrefixListName); err != nil {
		return nil, err
	}
	if err := checkFamily(req.AddressFamily); err != nil {
		return nil, err
	}
	size := api.Val(req.MaxEntries)
	if err := checkListSize(size); err != nil {
		return nil, err
	}
	tags, err := specTags(req.TagSpecifications, listKind.resourceType)
	if err != nil {
		return nil, err
	}
	entries, err := addedEntries(req.Entries, "Entries")
	if err != nil {
		return nil, err
	}
	if err := checkFits(entries, size); err != nil {
		return nil, err
	}
	return &record.PrefixList{Entries: entries, ClientToken: req.ClientToken, List: api.ManagedPrefixList{
		PrefixListName: req.PrefixListName, AddressFamily: req.AddressFamily, OwnerId: caller.Account, Tags: tags,
		MaxEntries: api.Ptr(size), Version: api.Ptr[int64](1), State: api.PrefixListStateCreateComplete,
	}}, nil
}

// identified is a copy of the list with an id of its own.
func (c *change) identified(list *record.PrefixList) *record.PrefixList {
	out := *list
	out.List.PrefixListId = c.newID(listKind.id)
	out.List.PrefixListArn = fmt.Sprintf("arn:aws:ec2:%s:%s:prefix-list/%s", c.region, c.caller.Account, out.List.PrefixListId)
	return &out
}

func (c *change) putList(list *record.PrefixList) {
	c.tx.Put(record.Lists+list.List.PrefixListId, list)
}

// described is the list as answers have it, apart from the record.
func described(list *record.PrefixList) *api.ManagedPrefixList {
	shape := list.List
	return &shape
}

func checkListName(name string) error {
	const field = "PrefixListName"
	if name == "" {
		return api.Errorf("MissingParameter", field, "the request must contain the parameter PrefixListName")
	}
	if strings.HasPrefix(name, "com.amazonaws") {
		return api.Errorf("InvalidParameterValue", field, "the name of a prefix list cannot begin with com.amazonaws: %s", quote(name))
	}
	if reason := badText(name, maxText); reason != "" {
		return api.Errorf("InvalidParameterValue", field, "the name %s %s", quote(name), reason)
	}
	return nil
}

func checkFamily(family string) error {
	const field = "AddressFamily"
	switch family {
	case "IPv4":
		return nil
	case "IPv6":
		return api.Errorf("UnsupportedOperation", field, "prefix lists of IPv6 are not built yet: use IPv4")
	}
	return api.Errorf("InvalidParameterValue", field, "invalid value %s for AddressFamily: use IPv4", quote(family))
}

func checkListSize(size int32) error {
	if size < 1 || size > maxListEntries {
		return api.Errorf("InvalidParameterValue", "MaxEntries", "a prefix list has a maximum size between 1 and %d, not %d", maxListEntries, size)
	}
	return nil
}

func checkFits(entries []api.PrefixListEntry, size int32) error {
	if len(entries) > int(size) {
		return api.Errorf("PrefixListMaxEntriesExceeded", "MaxEntries", "you've reached the maximum number of entries for the prefix list: it would have %d, and MaxEntries is %d; raise it or remove some", len(entries), size)
	}
	return nil
}

// deleteManagedPrefixList refuses while a rule or a route names the list
// (DependencyViolation). Its versions go with it.
func (s *Service) deleteManagedPrefixList(ctx context.Context, caller Caller, req *api.DeleteManagedPrefixListRequest) (*api.DeleteManagedPrefixListResult, int64, error) {
	var gone *api.ManagedPrefixList
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		list, err := getList(c.tx, caller, req.PrefixListId)
		if err != nil {
			return err
		}
		if users := listUsers(c.tx, req.PrefixListId); len(users) > 0 {
			return &api.Error{
				Code: "DependencyViolation", Field: "PrefixListId", BlockedBy: users,
				Message: fmt.Sprintf("the prefix list '%s' is in use and cannot be deleted: %s", req.PrefixListId, blockerIDs(users)),
				Hint:    "revoke the rules and delete the routes that name it first",
			}
		}
		gone = described(list)
		gone.State = api.PrefixListStateDeleteComplete
		c.forget(list.ClientToken, actionCreateList)
		c.tx.DeletePrefix(record.Revisions + req.PrefixListId + "/")
		c.tx.Delete(record.Lists + req.PrefixListId)
		// No kernel knows lists: they have no index of their own.
		c.bury(req.PrefixListId, 0)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.DeleteManagedPrefixListResult{PrefixList: gone}, revision, nil
}

// listUsers are the groups whose rules, and the tables whose routes name a list.
// Read through a transaction, the listing guards all of both: no user appears
// meanwhile.
func listUsers(r store.Reader, id string) []api.Blocker {
	var out []api.Blocker
	for _, g := range groupsWithList(r, id) {
		var rules []string
		for i := range g.Rules {
			if g.Rules[i].PrefixListId == id {
				rules = append(rules, g.Rules[i].SecurityGroupRuleId)
			}
		}
		out = append(out, api.Blocker{Kind: "sg", Id: g.Group.GroupId, Name: g.Group.GroupName, Detail: "rule " + strings.Join(rules, ", ")})
	}
	for _, table := range tablesWithList(r, id) {
		out = append(out, api.Blocker{Kind: "rt", Id: table.Table.RouteTableId, Name: nameTag(table.Table.Tags), Detail: "route"})
	}
	return out
}

// groupsWithList are the groups that have a rule for the list, in order of ids.
func groupsWithList(r store.Reader, id string) []*record.SecurityGroup {
	var out []*record.SecurityGroup
	for _, g := range store.List[*record.SecurityGroup](r, record.Groups) {
		if slices.ContainsFunc(g.Rules, func(r api.SecurityGroupRule) bool { return r.PrefixListId == id }) {
			out = append(out, g)
		}
	}
	return out
}
