package service

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/vpcfabric/vpc/vpcd/api"
)

var listFilters = map[string]func(api.ManagedPrefixList) []string{
	"owner-id":         func(l api.ManagedPrefixList) []string { return []string{l.OwnerId} },
	"prefix-list-id":   func(l api.ManagedPrefixList) []string { return []string{l.PrefixListId} },
	"prefix-list-name": func(l api.ManagedPrefixList) []string { return []string{l.PrefixListName} },
}

// describeManagedPrefixLists lists the caller's lists in order of their ids.
func (s *Service) describeManagedPrefixLists(_ context.Context, caller Caller, req *api.DescribeManagedPrefixListsRequest) (*api.DescribeManagedPrefixListsResult, int64, error) {
	match, err := matchFilters(req.Filters, listFilters, func(l api.ManagedPrefixList) []api.Tag { return l.Tags })
	if err != nil {
		return nil, 0, err
	}
	if err := checkPaging(req.PrefixListIds, "PrefixListIds", req.MaxResults); err != nil {
		return nil, 0, err
	}
	v := s.view(caller)
	records, err := listKind.pick(v.r, caller, req.PrefixListIds, "PrefixListIds")
	if err != nil {
		return nil, 0, err
	}
	var out []api.ManagedPrefixList
	for _, rec := range records {
		if match(rec.List) {
			out = append(out, rec.List)
		}
	}
	out, next, err := pageAsModelled(pageOf{caller, req, req.MaxResults, req.NextToken}, out, func(l api.ManagedPrefixList) string { return l.PrefixListId })
	return &api.DescribeManagedPrefixListsResult{PrefixLists: out, NextToken: next}, v.revision(), err
}

// getManagedPrefixListEntries lists the entries of one version, the current one
// where none is named, in order of their CIDRs. InvalidParameterValue for a
// version that is forgotten, or is yet to come, says which there are.
func (s *Service) getManagedPrefixListEntries(_ context.Context, caller Caller, req *api.GetManagedPrefixListEntriesRequest) (*api.GetManagedPrefixListEntriesResult, int64, error) {
	v := s.view(caller)
	list, err := getList(v.r, caller, req.PrefixListId)
	if err != nil {
		return nil, 0, err
	}
	entries := list.Entries
	if req.TargetVersion != nil {
		if entries, err = entriesAt(v.r, list, *req.TargetVersion, "TargetVersion"); err != nil {
			return nil, 0, err
		}
	}
	entries, next, err := pageAsModelled(pageOf{caller, req, req.MaxResults, req.NextToken}, entries, func(e api.PrefixListEntry) string { return cidrOrder(e.Cidr) })
	return &api.GetManagedPrefixListEntriesResult{Entries: entries, NextToken: next}, v.revision(), err
}

// cidrOrder is a text that sorts as canonical CIDRs do: by address, then length.
func cidrOrder(cidr string) string {
	p, err := netip.ParsePrefix(cidr)
	if err != nil {
		return cidr
	}
	return fmt.Sprintf("%x/%03d", p.Addr().As16(), p.Bits())
}

// getManagedPrefixListAssociations lists the route tables whose routes, and the
// security groups whose rules name the list.
func (s *Service) getManagedPrefixListAssociations(_ context.Context, caller Caller, req *api.GetManagedPrefixListAssociationsRequest) (*api.GetManagedPrefixListAssociationsResult, int64, error) {
	v := s.view(caller)
	if _, err := getList(v.r, caller, req.PrefixListId); err != nil {
		return nil, 0, err
	}
	var out []api.PrefixListAssociation
	// In the order of ids: rtb-… before sg-….
	for _, table := range tablesWithList(v.r, req.PrefixListId) {
		out = append(out, api.PrefixListAssociation{ResourceId: table.Table.RouteTableId, ResourceOwner: table.Table.OwnerId})
	}
	for _, g := range groupsWithList(v.r, req.PrefixListId) {
		out = append(out, api.PrefixListAssociation{ResourceId: g.Group.GroupId, ResourceOwner: g.Group.OwnerId})
	}
	out, next, err := pageAsModelled(pageOf{caller, req, req.MaxResults, req.NextToken}, out, func(a api.PrefixListAssociation) string { return a.ResourceId })
	return &api.GetManagedPrefixListAssociationsResult{PrefixListAssociations: out, NextToken: next}, v.revision(), err
}

// describePrefixLists is about the lists of AWS's own services, of which there
// are none here: lists of users are for describeManagedPrefixLists, as in EC2.
func (s *Service) describePrefixLists(_ context.Context, caller Caller, req *api.DescribePrefixListsRequest) (*api.DescribePrefixListsResult, int64, error) {
	if _, err := matchFilters(req.Filters, servicesFilters, nil); err != nil {
		return nil, 0, err
	}
	if len(req.PrefixListIds) > 0 {
		id, at := req.PrefixListIds[0], string(place("").item("PrefixListIds", 0))
		if err := listKind.checkID(id, at); err != nil {
			return nil, 0, err
		}
		return nil, 0, api.Errorf(listKind.notFound, at, "the prefix list ID '%s' is not that of a service; see DescribeManagedPrefixLists for others", id)
	}
	none, next, err := page(pageOf{caller, req, req.MaxResults, req.NextToken}, []api.PrefixList{}, func(l api.PrefixList) string { return l.PrefixListId })
	return &api.DescribePrefixListsResult{PrefixLists: none, NextToken: next}, s.view(caller).revision(), err
}

var servicesFilters = map[string]func(api.PrefixList) []string{
	"prefix-list-id":   func(l api.PrefixList) []string { return []string{l.PrefixListId} },
	"prefix-list-name": func(l api.PrefixList) []string { return []string{l.PrefixListName} },
}
