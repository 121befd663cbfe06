package clients

import (
	"slices"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// beginInterface makes an interface, twice with one token.
func (s *story) beginInterface() {
	create := api.CreateNetworkInterfaceRequest{SubnetId: s.subnets[2], PrivateIpAddress: "10.0.3.10", Groups: []string{s.web},
		Description: "spare", ClientToken: "token-of-" + s.alias, TagSpecifications: named("network-interface", "spare")}
	s.eni = do[api.CreateNetworkInterfaceResult](s, create).NetworkInterface.NetworkInterfaceId
	again := do[api.CreateNetworkInterfaceResult](s, create).NetworkInterface.NetworkInterfaceId
	s.same("the interface of the same token", again, s.eni)
	other := create
	other.PrivateIpAddress = "10.0.3.11"
	s.refused("IdempotentParameterMismatch", other)
	s.must(s.wait("network_interface_available", "NetworkInterfaceIds", s.eni))
}

func (s *story) show() api.NetworkInterface {
	s.Helper()
	found := do[api.DescribeNetworkInterfacesResult](s, api.DescribeNetworkInterfacesRequest{NetworkInterfaceIds: []string{s.eni}}).NetworkInterfaces
	if len(found) != 1 {
		s.Fatalf("%d interfaces are %s", len(found), s.eni)
	}
	return found[0]
}

func (s *story) addresses() (out []string) {
	for _, a := range s.show().PrivateIpAddresses {
		out = append(out, a.PrivateIpAddress)
	}
	return out
}

// changeInterface changes everything of it that can change.
func (s *story) changeInterface() {
	given := do[api.AssignPrivateIpAddressesResult](s, api.AssignPrivateIpAddressesRequest{NetworkInterfaceId: s.eni, SecondaryPrivateIpAddressCount: api.Ptr[int32](2)})
	s.same("addresses given", len(given.AssignedPrivateIpAddresses), 2)
	do[struct{}](s, api.AssignPrivateIpAddressesRequest{NetworkInterfaceId: s.eni, PrivateIpAddresses: []string{"10.0.3.20"}})
	all := s.addresses()
	s.same("the named address is there", slices.Contains(all, "10.0.3.20"), true)
	s.same("addresses", len(all), 4)
	s.refused("InvalidParameterValue", api.AssignPrivateIpAddressesRequest{NetworkInterfaceId: s.eni, PrivateIpAddresses: []string{"10.9.9.9"}})
	for _, a := range given.AssignedPrivateIpAddresses {
		do[struct{}](s, api.UnassignPrivateIpAddressesRequest{NetworkInterfaceId: s.eni, PrivateIpAddresses: []string{a.PrivateIpAddress}})
	}
	s.same("addresses then", s.addresses(), []string{"10.0.3.10", "10.0.3.20"})

	// One attribute per call, as EC2 wants it.
	do[struct{}](s, api.ModifyNetworkInterfaceAttributeRequest{NetworkInterfaceId: s.eni, Description: &api.AttributeValue{Value: "changed"}})
	do[struct{}](s, api.ModifyNetworkInterfaceAttributeRequest{NetworkInterfaceId: s.eni, SourceDestCheck: flag(false)})
	do[struct{}](s, api.ModifyNetworkInterfaceAttributeRequest{NetworkInterfaceId: s.eni, Groups: []string{s.web, s.client}})
	n := s.show()
	s.same("the interface", []any{n.Description, api.Val(n.SourceDestCheck), len(n.Groups)}, []any{"changed", false, 2})
	attribute := do[api.DescribeNetworkInterfaceAttributeResult](s, api.DescribeNetworkInterfaceAttributeRequest{NetworkInterfaceId: s.eni, Attribute: "description"})
	s.same("its description", attribute.Description.Value, "changed")
}

// tagsAndFilters sets, finds and removes tags.
func (s *story) tagsAndFilters() {
	do[struct{}](s, api.CreateTagsRequest{Resources: []string{s.vpc, s.subnets[0], s.eni}, Tags: []api.Tag{{Key: "team", Value: "blue & green"}, {Key: "empty"}}})
	tags := do[api.DescribeTagsResult](s, api.DescribeTagsRequest{Filters: by("key", "team")}).Tags
	var kinds []string
	for _, t := range tags {
		s.same("the tag's value", t.Value, "blue & green")
		kinds = append(kinds, t.ResourceType)
	}
	s.same("what has the tag", slices.Sorted(slices.Values(kinds)), []string{"network-interface", "subnet", "vpc"})
	found := do[api.DescribeNetworkInterfacesResult](s, api.DescribeNetworkInterfacesRequest{Filters: by("tag:team", "*green", "status", "available")}).NetworkInterfaces
	s.same("interfaces by tag", len(found), 1)
	do[struct{}](s, api.DeleteTagsRequest{Resources: []string{s.vpc, s.subnets[0], s.eni}, Tags: []api.DeletedTag{{Key: "team"}, {Key: "empty"}}})
	s.same("tags left", len(do[api.DescribeTagsResult](s, api.DescribeTagsRequest{Filters: by("key", "team,empty")}).Tags), 0)
}

// refusals are the codes that clients branch on.
func (s *story) refusals() {
	s.refused("InvalidVpcID.NotFound", api.DescribeVpcsRequest{VpcIds: []string{"vpc-00000000"}})
	s.refused("InvalidSubnetID.NotFound", api.DescribeSubnetsRequest{SubnetIds: []string{"subnet-00000000"}})
	s.refused("InvalidGroup.NotFound", api.DescribeSecurityGroupsRequest{GroupIds: []string{"sg-00000000"}})
	s.refused("InvalidNetworkInterfaceID.NotFound", api.DescribeNetworkInterfacesRequest{NetworkInterfaceIds: []string{"eni-00000000"}})
	s.refused("InvalidVpc.Range", api.CreateVpcRequest{CidrBlock: "10.0.0.0/8"})
	s.refused("InvalidParameterValue", api.CreateVpcRequest{CidrBlock: "nonsense"})
	s.refused("DependencyViolation", api.DeleteVpcRequest{VpcId: s.vpc})
	s.refused("CannotDelete", api.DeleteSecurityGroupRequest{GroupId: s.defaultGroup()})
	// Built in EC2, not here: refused at once and by name.
	if err := s.call("DescribeDhcpOptions", struct{}{}, nil); !slices.Contains([]string{"InvalidAction", "UnsupportedOperation"}, codeOf(err)) {
		s.Errorf("DescribeDhcpOptions: %v", err)
	}
}

func (s *story) defaultGroup() string {
	return do[api.DescribeSecurityGroupsResult](s, api.DescribeSecurityGroupsRequest{Filters: by("vpc-id", s.vpc, "group-name", "default")}).SecurityGroups[0].GroupId
}

// end takes everything away, and finds none of it afterwards.
func (s *story) end() {
	do[struct{}](s, api.DeleteNetworkInterfaceRequest{NetworkInterfaceId: s.eni})
	do[struct{}](s, api.DeleteSecurityGroupRequest{GroupId: s.web})
	do[struct{}](s, api.DeleteSecurityGroupRequest{GroupId: s.client})
	for _, id := range s.subnets {
		do[struct{}](s, api.DeleteSubnetRequest{SubnetId: id})
	}
	do[struct{}](s, api.DeleteVpcRequest{VpcId: s.vpc})
	s.refused("InvalidVpcID.NotFound", api.DeleteVpcRequest{VpcId: s.vpc})
	s.same("VPCs", len(do[api.DescribeVpcsResult](s, api.DescribeVpcsRequest{}).Vpcs), 0)
	s.same("interfaces", len(do[api.DescribeNetworkInterfacesResult](s, api.DescribeNetworkInterfacesRequest{}).NetworkInterfaces), 0)
	s.same("groups", len(do[api.DescribeSecurityGroupsResult](s, api.DescribeSecurityGroupsRequest{}).SecurityGroups), 0)
	s.same("vpc's VPCs", len(ask[api.DescribeVpcsResult](s.host, s.account, "list").Vpcs), 0)
}
