package service

import (
	"context"
	"strconv"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// entryText and aclAssociationText give a filter one text of each entry or
// association.
func entryText(text func(api.NetworkAclEntry) string) func(api.NetworkAcl) []string {
	return func(a api.NetworkAcl) []string { return present(collect(a.Entries, text)) }
}

func aclAssociationText(text func(api.NetworkAclAssociation) string) func(api.NetworkAcl) []string {
	return func(a api.NetworkAcl) []string { return present(collect(a.Associations, text)) }
}

// entryProtocols are both spellings of each protocol, as EC2 takes either.
func entryProtocols(a api.NetworkAcl) []string {
	var out []string
	for _, e := range a.Entries {
		out = append(out, e.Protocol, protocolNames[e.Protocol])
	}
	return present(out)
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
	"entry.protocol":             entryProtocols,
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
	out, next, err := page(pageOf{caller, req, req.MaxResults, req.NextToken}, out, func(a api.NetworkAcl) string { return a.NetworkAclId })
	return &api.DescribeNetworkAclsResult{NetworkAcls: out, NextToken: next}, v.revision(), err
}
