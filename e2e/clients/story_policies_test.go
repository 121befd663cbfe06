package clients

import (
	"fmt"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// policies gives the last subnet an ACL of its own, and web a rule for a
// prefix list; at the end all is as before.
func (s *story) policies() {
	s.acls()
	s.prefixLists()
}

// entries of an ACL as NUMBER DIRECTION ACTION PROTOCOL CIDR FROM-TO TYPE/CODE.
func (s *story) entries(id string) (out []string) {
	for _, e := range do[api.DescribeNetworkAclsResult](s, api.DescribeNetworkAclsRequest{NetworkAclIds: []string{id}}).NetworkAcls[0].Entries {
		way := map[bool]string{true: "out", false: "in"}[api.Val(e.Egress)]
		line := fmt.Sprintf("%d %s %s %s %s", api.Val(e.RuleNumber), way, e.RuleAction, e.Protocol, e.CidrBlock)
		if p := e.PortRange; p != nil {
			line += fmt.Sprintf(" %d-%d", api.Val(p.From), api.Val(p.To))
		}
		if i := e.IcmpTypeCode; i != nil {
			line += fmt.Sprintf(" %d/%d", api.Val(i.Type), api.Val(i.Code))
		}
		out = append(out, line)
	}
	return out
}

func (s *story) acls() {
	acl := do[api.CreateNetworkAclResult](s, api.CreateNetworkAclRequest{VpcId: s.vpc, TagSpecifications: named("network-acl", "strict")}).NetworkAcl
	s.same("tags of the ACL", acl.Tags, []api.Tag{{Key: "Name", Value: "strict"}})
	id := acl.NetworkAclId
	bare := do[api.DescribeNetworkAclsResult](s, api.DescribeNetworkAclsRequest{NetworkAclIds: []string{id}}).NetworkAcls[0]
	s.same("associations of an ACL without any", bare.Associations, []api.NetworkAclAssociation{})
	web := api.CreateNetworkAclEntryRequest{NetworkAclId: id, RuleNumber: api.Ptr[int32](100), Egress: api.Ptr(false), RuleAction: "allow", Protocol: "6",
		CidrBlock: "10.9.9.9/8", PortRange: &api.PortRange{From: api.Ptr[int32](80), To: api.Ptr[int32](81)}}
	do[struct{}](s, web)
	s.refused("NetworkAclEntryAlreadyExists", web)
	do[struct{}](s, api.CreateNetworkAclEntryRequest{NetworkAclId: id, RuleNumber: api.Ptr[int32](90), Egress: api.Ptr(true), RuleAction: "deny", Protocol: "1",
		CidrBlock: "0.0.0.0/0", IcmpTypeCode: &api.IcmpTypeCode{Type: api.Ptr[int32](8), Code: api.Ptr[int32](-1)}})
	s.same("entries", s.entries(id), []string{
		"90 out deny 1 0.0.0.0/0 8/-1", "32767 out deny -1 0.0.0.0/0", "100 in allow 6 10.0.0.0/8 80-81", "32767 in deny -1 0.0.0.0/0",
	})
	do[struct{}](s, api.ReplaceNetworkAclEntryRequest{NetworkAclId: id, RuleNumber: api.Ptr[int32](100), Egress: api.Ptr(false), RuleAction: "deny", Protocol: "-1", CidrBlock: "192.0.2.0/24"})
	do[struct{}](s, api.DeleteNetworkAclEntryRequest{NetworkAclId: id, RuleNumber: api.Ptr[int32](90), Egress: api.Ptr(true)})
	s.same("entries after changes", s.entries(id), []string{"32767 out deny -1 0.0.0.0/0", "100 in deny -1 192.0.2.0/24", "32767 in deny -1 0.0.0.0/0"})
	s.refused("InvalidNetworkAclEntry.NotFound", api.DeleteNetworkAclEntryRequest{NetworkAclId: id, RuleNumber: api.Ptr[int32](90), Egress: api.Ptr(true)})

	subnet := s.subnets[len(s.subnets)-1]
	moved := do[api.ReplaceNetworkAclAssociationResult](s, api.ReplaceNetworkAclAssociationRequest{AssociationId: s.association(subnet, s.acl), NetworkAclId: id}).NewAssociationId
	s.same("the association", s.association(subnet, id), moved)
	s.refused("DependencyViolation", api.DeleteNetworkAclRequest{NetworkAclId: id})
	do[struct{}](s, api.ReplaceNetworkAclAssociationRequest{AssociationId: moved, NetworkAclId: s.acl})
	do[struct{}](s, api.DeleteNetworkAclRequest{NetworkAclId: id})
	s.refused("InvalidNetworkAclID.NotFound", api.DescribeNetworkAclsRequest{NetworkAclIds: []string{id}})
}

// association is that of a subnet, which has to be with this ACL.
func (s *story) association(subnet, acl string) string {
	s.Helper()
	found := do[api.DescribeNetworkAclsResult](s, api.DescribeNetworkAclsRequest{Filters: by("association.subnet-id", subnet)}).NetworkAcls
	if len(found) != 1 || found[0].NetworkAclId != acl {
		s.Fatalf("the ACLs of %s are %+v, want %s", subnet, found, acl)
	}
	for _, a := range found[0].Associations {
		if a.SubnetId == subnet {
			return a.NetworkAclAssociationId
		}
	}
	s.Fatalf("%s does not list %s", acl, subnet)
	return ""
}

func (s *story) prefixLists() {
	add := func(cidrs ...string) (out []api.AddPrefixListEntry) {
		for _, cidr := range cidrs {
			out = append(out, api.AddPrefixListEntry{Cidr: cidr, Description: "of " + cidr})
		}
		return out
	}
	list := do[api.CreateManagedPrefixListResult](s, api.CreateManagedPrefixListRequest{PrefixListName: "office", AddressFamily: "IPv4",
		MaxEntries: api.Ptr[int32](3), Entries: add("203.0.113.0/24"), TagSpecifications: named("prefix-list", "office")}).PrefixList
	id := list.PrefixListId
	s.same("the list", []any{list.PrefixListName, list.Version, list.State, list.OwnerId}, []any{"office", 1, "create-complete", s.account})
	changed := do[api.ModifyManagedPrefixListResult](s, api.ModifyManagedPrefixListRequest{PrefixListId: id, CurrentVersion: api.Ptr[int64](1),
		AddEntries: add("192.0.2.0/24"), RemoveEntries: []api.RemovePrefixListEntry{{Cidr: "203.0.113.0/24"}}}).PrefixList
	s.same("its version", api.Val(changed.Version), 2)
	s.refused("PrefixListVersionMismatch", api.ModifyManagedPrefixListRequest{PrefixListId: id, CurrentVersion: api.Ptr[int64](1), AddEntries: add("198.51.100.0/24")})
	for version, cidr := range map[int64]string{1: "203.0.113.0/24", 2: "192.0.2.0/24"} {
		got := do[api.GetManagedPrefixListEntriesResult](s, api.GetManagedPrefixListEntriesRequest{PrefixListId: id, TargetVersion: &version}).Entries
		s.same("entries of a version", got, []api.PrefixListEntry{{Cidr: cidr, Description: "of " + cidr}})
	}
	back := do[api.RestoreManagedPrefixListVersionResult](s, api.RestoreManagedPrefixListVersionRequest{PrefixListId: id, PreviousVersion: api.Ptr[int64](1), CurrentVersion: api.Ptr[int64](2)}).PrefixList
	s.same("its version when restored", api.Val(back.Version), 3)

	rule := []api.IpPermission{{IpProtocol: "tcp", FromPort: api.Ptr[int32](7009), ToPort: api.Ptr[int32](7009), PrefixListIds: []api.PrefixListId{{PrefixListId: id, Description: "list"}}}}
	do[struct{}](s, api.AuthorizeSecurityGroupIngressRequest{GroupId: s.web, IpPermissions: rule})
	users := do[api.GetManagedPrefixListAssociationsResult](s, api.GetManagedPrefixListAssociationsRequest{PrefixListId: id}).PrefixListAssociations
	s.same("who has a rule for it", users, []api.PrefixListAssociation{{ResourceId: s.web, ResourceOwner: s.account}})
	s.refused("DependencyViolation", api.DeleteManagedPrefixListRequest{PrefixListId: id})
	agree[api.DescribeManagedPrefixListsResult](s, api.DescribeManagedPrefixListsRequest{}, "pl", "list")
	do[struct{}](s, api.RevokeSecurityGroupIngressRequest{GroupId: s.web, IpPermissions: rule})
	do[struct{}](s, api.DeleteManagedPrefixListRequest{PrefixListId: id})
	s.same("lists of AWS's services", len(do[api.DescribePrefixListsResult](s, api.DescribePrefixListsRequest{}).PrefixLists), 0)
}
