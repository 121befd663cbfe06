package cli

import (
	"slices"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// fakeList is a prefix list with the entries of all its versions.
type fakeList struct {
	api.ManagedPrefixList
	versions [][]api.PrefixListEntry
}

// addDefaultAcl gives the ACL of a VPC the digits of the VPC's id.
func (d *daemon) addDefaultAcl(vpcID string) {
	d.acls = append(d.acls, api.NetworkAcl{NetworkAclId: "acl-" + strings.TrimPrefix(vpcID, "vpc-"), VpcId: vpcID, IsDefault: api.Ptr(true),
		Entries: []api.NetworkAclEntry{
			{RuleNumber: api.Ptr(int32(100)), RuleAction: "allow", Protocol: "6", CidrBlock: "0.0.0.0/0", Egress: api.Ptr(false), PortRange: &api.PortRange{From: api.Ptr(int32(8080)), To: api.Ptr(int32(8080))}},
			{RuleNumber: api.Ptr(int32(32767)), RuleAction: "deny", Protocol: "-1", CidrBlock: "0.0.0.0/0", Egress: api.Ptr(true)}}})
}

func (d *daemon) defaultAclOf(vpcID string) string {
	for _, a := range d.acls {
		if a.VpcId == vpcID && api.Val(a.IsDefault) {
			return a.NetworkAclId
		}
	}
	return ""
}

// associate moves a subnet to an ACL.
func (d *daemon) associate(subnetID, aclID, association string) {
	for i := range d.acls {
		a := &d.acls[i]
		a.Associations = slices.DeleteFunc(slices.Clone(a.Associations), func(x api.NetworkAclAssociation) bool { return x.SubnetId == subnetID })
		if a.NetworkAclId == aclID {
			a.Associations = append(a.Associations, api.NetworkAclAssociation{NetworkAclAssociationId: association, NetworkAclId: aclID, SubnetId: subnetID})
		}
	}
}

// acl does the actions on network ACLs.
func (d *daemon) acl(req any) (any, *api.Error) {
	at := func(id string) *api.NetworkAcl {
		return &d.acls[slices.IndexFunc(d.acls, func(a api.NetworkAcl) bool { return a.NetworkAclId == id })]
	}
	switch r := req.(type) {
	case *api.CreateNetworkAclRequest:
		a := api.NetworkAcl{NetworkAclId: d.id("acl-"), VpcId: r.VpcId, IsDefault: api.Ptr(false), Tags: tagsOf(r.TagSpecifications)}
		d.acls = append(d.acls, a)
		return &api.CreateNetworkAclResult{NetworkAcl: &a}, nil
	case *api.DeleteNetworkAclRequest:
		d.acls = slices.DeleteFunc(d.acls, func(a api.NetworkAcl) bool { return a.NetworkAclId == r.NetworkAclId })
	case *api.CreateNetworkAclEntryRequest:
		a := at(r.NetworkAclId)
		a.Entries = append(slices.Clone(a.Entries), api.NetworkAclEntry{RuleNumber: r.RuleNumber, RuleAction: r.RuleAction, Protocol: r.Protocol,
			Egress: r.Egress, CidrBlock: r.CidrBlock, PortRange: r.PortRange, IcmpTypeCode: r.IcmpTypeCode})
	case *api.ReplaceNetworkAclEntryRequest:
		a := at(r.NetworkAclId)
		a.Entries = slices.Clone(a.Entries)
		for i := range a.Entries {
			if e := &a.Entries[i]; *e.RuleNumber == *r.RuleNumber && *e.Egress == *r.Egress {
				*e = api.NetworkAclEntry{RuleNumber: r.RuleNumber, RuleAction: r.RuleAction, Protocol: r.Protocol,
					Egress: r.Egress, CidrBlock: r.CidrBlock, PortRange: r.PortRange, IcmpTypeCode: r.IcmpTypeCode}
			}
		}
	case *api.DeleteNetworkAclEntryRequest:
		a := at(r.NetworkAclId)
		a.Entries = slices.DeleteFunc(slices.Clone(a.Entries), func(e api.NetworkAclEntry) bool { return *e.RuleNumber == *r.RuleNumber })
	case *api.ReplaceNetworkAclAssociationRequest:
		for _, a := range slices.Clone(d.acls) {
			for _, x := range a.Associations {
				if x.NetworkAclAssociationId == r.AssociationId {
					id := d.id("aclassoc-")
					d.associate(x.SubnetId, r.NetworkAclId, id)
					return &api.ReplaceNetworkAclAssociationResult{NewAssociationId: id}, nil
				}
			}
		}
	case *api.DescribeNetworkAclsRequest:
		list, e := pick(d.acls, r.NetworkAclIds, r.Filters, "InvalidNetworkAclID.NotFound", func(v *api.NetworkAcl) (string, map[string]string) {
			f := map[string]string{"network-acl-id": v.NetworkAclId, "vpc-id": v.VpcId, "tag:Name": nameOf(v.Tags), "default": map[bool]string{true: "true", false: "false"}[api.Val(v.IsDefault)]}
			for _, filter := range r.Filters {
				if filter.Name == "association.subnet-id" && slices.ContainsFunc(v.Associations, func(x api.NetworkAclAssociation) bool { return x.SubnetId == filter.Values[0] }) {
					f[filter.Name] = filter.Values[0]
				}
			}
			return v.NetworkAclId, f
		})
		return &api.DescribeNetworkAclsResult{NetworkAcls: list}, e
	}
	return nil, nil
}

// prefixList does the actions on prefix lists.
func (d *daemon) prefixList(req any) (any, *api.Error) {
	at := func(id string) *fakeList {
		return d.lists[slices.IndexFunc(d.lists, func(l *fakeList) bool { return l.PrefixListId == id })]
	}
	switch r := req.(type) {
	case *api.CreateManagedPrefixListRequest:
		l := &fakeList{ManagedPrefixList: api.ManagedPrefixList{PrefixListId: d.id("pl-"), PrefixListName: r.PrefixListName, AddressFamily: r.AddressFamily,
			MaxEntries: r.MaxEntries, State: "create-complete", OwnerId: "000000000001", Tags: tagsOf(r.TagSpecifications)}}
		d.lists = append(d.lists, l)
		return &api.CreateManagedPrefixListResult{PrefixList: l.next(nil, r.Entries, nil)}, nil
	case *api.DeleteManagedPrefixListRequest:
		d.lists = slices.DeleteFunc(d.lists, func(l *fakeList) bool { return l.PrefixListId == r.PrefixListId })
	case *api.ModifyManagedPrefixListRequest:
		l := at(r.PrefixListId)
		if r.PrefixListName != "" {
			l.PrefixListName = r.PrefixListName
		}
		if r.MaxEntries != nil {
			l.MaxEntries = r.MaxEntries
		}
		if len(r.AddEntries)+len(r.RemoveEntries) > 0 {
			l.next(l.versions[*l.Version-1], r.AddEntries, r.RemoveEntries)
		}
		return &api.ModifyManagedPrefixListResult{PrefixList: &l.ManagedPrefixList}, nil
	case *api.RestoreManagedPrefixListVersionRequest:
		l := at(r.PrefixListId)
		return &api.RestoreManagedPrefixListVersionResult{PrefixList: l.next(l.versions[*r.PreviousVersion-1], nil, nil)}, nil
	case *api.GetManagedPrefixListEntriesRequest:
		l := at(r.PrefixListId)
		version := *l.Version
		if r.TargetVersion != nil {
			version = *r.TargetVersion
		}
		return &api.GetManagedPrefixListEntriesResult{Entries: append([]api.PrefixListEntry{}, l.versions[version-1]...)}, nil
	case *api.GetManagedPrefixListAssociationsRequest:
		res := &api.GetManagedPrefixListAssociationsResult{PrefixListAssociations: []api.PrefixListAssociation{}}
		for _, t := range d.tables {
			if slices.ContainsFunc(t.Routes, func(x api.Route) bool { return x.DestinationPrefixListId == r.PrefixListId }) {
				res.PrefixListAssociations = append(res.PrefixListAssociations, api.PrefixListAssociation{ResourceId: t.RouteTableId})
			}
		}
		for _, rule := range d.rules {
			if rule.PrefixListId == r.PrefixListId {
				res.PrefixListAssociations = append(res.PrefixListAssociations, api.PrefixListAssociation{ResourceId: rule.GroupId})
			}
		}
		return res, nil
	case *api.DescribeManagedPrefixListsRequest:
		list, e := pick(d.lists, r.PrefixListIds, r.Filters, "InvalidPrefixListID.NotFound", func(v **fakeList) (string, map[string]string) {
			return (*v).PrefixListId, map[string]string{"prefix-list-id": (*v).PrefixListId, "prefix-list-name": (*v).PrefixListName}
		})
		res := &api.DescribeManagedPrefixListsResult{PrefixLists: []api.ManagedPrefixList{}}
		for _, l := range list {
			res.PrefixLists = append(res.PrefixLists, l.ManagedPrefixList)
		}
		return res, e
	}
	return nil, nil
}

// next makes a new version of a list.
func (l *fakeList) next(entries []api.PrefixListEntry, add []api.AddPrefixListEntry, remove []api.RemovePrefixListEntry) *api.ManagedPrefixList {
	entries = slices.DeleteFunc(slices.Clone(entries), func(e api.PrefixListEntry) bool {
		return slices.ContainsFunc(remove, func(r api.RemovePrefixListEntry) bool { return r.Cidr == e.Cidr })
	})
	for _, a := range add {
		entries = append(entries, api.PrefixListEntry(a))
	}
	l.versions = append(l.versions, entries)
	l.Version = api.Ptr(int64(len(l.versions)))
	return &l.ManagedPrefixList
}
