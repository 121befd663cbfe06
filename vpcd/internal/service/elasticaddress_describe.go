package service

import (
	"context"
	"fmt"
	"slices"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

var elasticFilters = map[string]func(api.Address) []string{
	"allocation-id":              func(a api.Address) []string { return given(a.AllocationId) },
	"association-id":             func(a api.Address) []string { return given(a.AssociationId) },
	"domain":                     func(a api.Address) []string { return given(a.Domain) },
	"instance-id":                func(a api.Address) []string { return given(a.InstanceId) },
	"network-border-group":       func(a api.Address) []string { return given(a.NetworkBorderGroup) },
	"network-interface-id":       func(a api.Address) []string { return given(a.NetworkInterfaceId) },
	"network-interface-owner-id": func(a api.Address) []string { return given(a.NetworkInterfaceOwnerId) },
	"private-ip-address":         func(a api.Address) []string { return given(a.PrivateIpAddress) },
	"public-ip":                  func(a api.Address) []string { return given(a.PublicIp) },
}

// given is a value that may be absent: an absent one matches nothing.
func given(s string) []string {
	return present([]string{s})
}

// describeAddresses lists the caller's elastic addresses in order of their ids;
// EC2 has no pages here. Ids and addresses together must both fit.
func (s *Service) describeAddresses(_ context.Context, caller Caller, req *api.DescribeAddressesRequest) (*api.DescribeAddressesResult, int64, error) {
	match, err := matchFilters(req.Filters, elasticFilters, func(a api.Address) []api.Tag { return a.Tags })
	if err != nil {
		return nil, 0, err
	}
	v := s.view(caller)
	records, err := elasticKind.pick(v.r, caller, req.AllocationIds, "AllocationIds")
	if err != nil {
		return nil, 0, err
	}
	for i, text := range req.PublicIps {
		if _, err := elasticAt(v.r, caller, text, fmt.Sprint("PublicIps.", i)); err != nil {
			return nil, 0, err
		}
	}
	var out []api.Address
	for _, rec := range records {
		shape := v.describedAddress(rec)
		if match(shape) && (len(req.PublicIps) == 0 || slices.Contains(req.PublicIps, shape.PublicIp)) {
			out = append(out, shape)
		}
	}
	return &api.DescribeAddressesResult{Addresses: out}, v.revision(), nil
}

// describedAddress adds whose the interface is and which workload has it now.
func (v view) describedAddress(e *record.Elastic) api.Address {
	out := e.Address
	if out.NetworkInterfaceId == "" {
		return out
	}
	if eni, ok := store.Get[*record.NetworkInterface](v.r, record.Interfaces+out.NetworkInterfaceId); ok {
		out.NetworkInterfaceOwnerId = eni.Interface.OwnerId
		out.InstanceId = api.Val(eni.Interface.Attachment).InstanceId
	}
	return out
}

// describeAddressesAttribute lists the domain name of each address, of which
// none has one: who sets it, ModifyAddressAttribute, is not built.
func (s *Service) describeAddressesAttribute(_ context.Context, caller Caller, req *api.DescribeAddressesAttributeRequest) (*api.DescribeAddressesAttributeResult, int64, error) {
	if err := checkPaging(req.AllocationIds, "AllocationIds", req.MaxResults); err != nil {
		return nil, 0, err
	}
	v := s.view(caller)
	records, err := elasticKind.pick(v.r, caller, req.AllocationIds, "AllocationIds")
	if err != nil {
		return nil, 0, err
	}
	var out []api.AddressAttribute
	for _, rec := range records {
		out = append(out, api.AddressAttribute{AllocationId: rec.Address.AllocationId, PublicIp: rec.Address.PublicIp})
	}
	out, next, err := pageAsModelled(pageOf{caller, req, req.MaxResults, req.NextToken}, out, func(a api.AddressAttribute) string { return a.AllocationId })
	return &api.DescribeAddressesAttributeResult{Addresses: out, NextToken: next}, v.revision(), err
}
