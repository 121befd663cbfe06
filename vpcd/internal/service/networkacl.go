package service

import (
	"context"
	"slices"
	"strconv"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

const (
	aclAssociationPrefix = "aclassoc-"
	// allowAllRule is the number of the one rule of a new default ACL.
	allowAllRule = 100
	// lastRule denies what no other rule matched; it cannot be changed.
	lastRule = 32767
)

// newDefaultAcl makes the network ACL that every new subnet joins. It lets
// everything pass both ways until its rules are changed.
func (c *change) newDefaultAcl(vpc *record.Vpc) error {
	index, err := c.nextIndex("acl")
	if err != nil {
		return err
	}
	id := c.newID(aclKind.id)
	c.tx.Put(record.Acls+id, &record.NetworkAcl{
		Index: index,
		Acl: api.NetworkAcl{
			NetworkAclId: id,
			VpcId:        vpc.Vpc.VpcId,
			OwnerId:      vpc.Vpc.OwnerId,
			IsDefault:    api.Ptr(true),
			Entries: []api.NetworkAclEntry{
				entryForAll(allowAllRule, api.RuleActionAllow, true),
				entryForAll(lastRule, api.RuleActionDeny, true),
				entryForAll(allowAllRule, api.RuleActionAllow, false),
				entryForAll(lastRule, api.RuleActionDeny, false),
			},
		},
	})
	return nil
}

// entryForAll matches every packet of one direction.
func entryForAll(number int32, action string, egress bool) api.NetworkAclEntry {
	return api.NetworkAclEntry{
		RuleNumber: api.Ptr(number), RuleAction: action, Egress: api.Ptr(egress),
		Protocol: anyProtocol, CidrBlock: allIPv4,
	}
}

// joinDefaultAcl associates a new subnet with its VPC's default ACL.
func (c *change) joinDefaultAcl(vpcID, subnetID string) error {
	for _, seen := range contentOf(c.tx.Peek(), vpcID).acls {
		if !api.Val(seen.Acl.IsDefault) {
			continue
		}
		acl, err := getAcl(c.tx, c.caller, seen.Acl.NetworkAclId)
		if err != nil {
			return err
		}
		changed := *acl
		changed.Acl.Associations = slices.Concat(acl.Acl.Associations, []api.NetworkAclAssociation{{
			NetworkAclAssociationId: c.newID(aclAssociationPrefix),
			NetworkAclId:            acl.Acl.NetworkAclId,
			SubnetId:                subnetID,
		}})
		c.tx.Put(record.Acls+acl.Acl.NetworkAclId, &changed)
		return nil
	}
	return api.Errorf("InternalError", "", "%s has no default network ACL; its record is damaged, restore a backup", vpcID)
}

// leaveAcls takes a subnet out of its ACL.
func (c *change) leaveAcls(vpcID, subnetID string) {
	ofSubnet := func(a api.NetworkAclAssociation) bool { return a.SubnetId == subnetID }
	for _, acl := range contentOf(c.tx.Peek(), vpcID).acls {
		if !slices.ContainsFunc(acl.Acl.Associations, ofSubnet) {
			continue
		}
		key := record.Acls + acl.Acl.NetworkAclId
		c.tx.ModRevision(key)
		changed := *acl
		changed.Acl.Associations = slices.DeleteFunc(slices.Clone(acl.Acl.Associations), ofSubnet)
		c.tx.Put(key, &changed)
	}
}

// entryText and aclAssociationText give a filter one text of each entry or
// association.
func entryText(text func(api.NetworkAclEntry) string) func(api.NetworkAcl) []string {
	return func(a api.NetworkAcl) []string { return present(collect(a.Entries, text)) }
}

func aclAssociationText(text func(api.NetworkAclAssociation) string) func(api.NetworkAcl) []string {
	return func(a api.NetworkAcl) []string { return present(collect(a.Associations, text)) }
}

// numberText is "" for an absent number.
func numberText(p *int32) string {
	if p == nil {
		return ""
	}
	return strconv.Itoa(int(*p))
}

// aclFilters ask entries one by one: two filters may be met by two different
// entries, as in EC2.
var aclFilters = map[string]func(api.NetworkAcl) []string{
	"association.association-id": aclAssociationText(func(a api.NetworkAclAssociation) string { return a.NetworkAclAssociationId }),
	"association.network-acl-id": aclAssociationText(func(a api.NetworkAclAssociation) string { return a.NetworkAclId }),
	"association.subnet-id":      aclAssociationText(func(a api.NetworkAclAssociation) string { return a.SubnetId }),
	"default":                    func(a api.NetworkAcl) []string { return boolText(a.IsDefault) },
	"network-acl-id":             func(a api.NetworkAcl) []string { return []string{a.NetworkAclId} },
	"owner-id":                   func(a api.NetworkAcl) []string { return []string{a.OwnerId} },
	"vpc-id":                     func(a api.NetworkAcl) []string { return []string{a.VpcId} },
	"entry.cidr":                 entryText(func(e api.NetworkAclEntry) string { return e.CidrBlock }),
	"entry.ipv6-cidr":            entryText(func(e api.NetworkAclEntry) string { return e.Ipv6CidrBlock }),
	"entry.icmp.code":            entryText(func(e api.NetworkAclEntry) string { return numberText(api.Val(e.IcmpTypeCode).Code) }),
	"entry.icmp.type":            entryText(func(e api.NetworkAclEntry) string { return numberText(api.Val(e.IcmpTypeCode).Type) }),
	"entry.port-range.from":      entryText(func(e api.NetworkAclEntry) string { return numberText(api.Val(e.PortRange).From) }),
	"entry.port-range.to":        entryText(func(e api.NetworkAclEntry) string { return numberText(api.Val(e.PortRange).To) }),
	"entry.protocol":             entryText(func(e api.NetworkAclEntry) string { return e.Protocol }),
	"entry.rule-action":          entryText(func(e api.NetworkAclEntry) string { return e.RuleAction }),
	"entry.egress":               entryText(func(e api.NetworkAclEntry) string { return boolText(e.Egress)[0] }),
	"entry.rule-number":          entryText(func(e api.NetworkAclEntry) string { return numberText(e.RuleNumber) }),
}

// describeNetworkAcls lists the caller's ACLs with their closing deny entries,
// which EC2 shows as entries like the others.
func (s *Service) describeNetworkAcls(_ context.Context, caller Caller, req *api.DescribeNetworkAclsRequest) (*api.DescribeNetworkAclsResult, int64, error) {
	match, err := matchFilters(req.Filters, aclFilters, func(v api.NetworkAcl) []api.Tag { return v.Tags })
	if err != nil {
		return nil, 0, err
	}
	if err := checkPaging(req.NetworkAclIds, "NetworkAclIds", req.MaxResults); err != nil {
		return nil, 0, err
	}
	v := s.view(caller)
	records, err := aclKind.pick(v.r, caller, req.NetworkAclIds, "NetworkAclIds")
	if err != nil {
		return nil, 0, err
	}
	var out []api.NetworkAcl
	for _, rec := range records {
		if match(rec.Acl) {
			out = append(out, rec.Acl)
		}
	}
	out, next, err := page(out, req.MaxResults, req.NextToken)
	return &api.DescribeNetworkAclsResult{NetworkAcls: out, NextToken: next}, v.revision(), err
}
