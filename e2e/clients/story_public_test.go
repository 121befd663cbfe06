package clients

import "github.com/vpcfabric/vpc/vpcd/api"

// publicAddresses gives the interface one for a while; at the end all is as
// before.
func (s *story) publicAddresses() {
	gateway := do[api.CreateInternetGatewayResult](s, api.CreateInternetGatewayRequest{TagSpecifications: named("internet-gateway", "main")}).InternetGateway
	id := gateway.InternetGatewayId
	s.same("tags of the gateway", gateway.Tags, []api.Tag{{Key: "Name", Value: "main"}})
	elastic := do[api.AllocateAddressResult](s, api.AllocateAddressRequest{Domain: "vpc", TagSpecifications: named("elastic-ip", "www")})
	associate := api.AssociateAddressRequest{AllocationId: elastic.AllocationId, NetworkInterfaceId: s.eni}
	s.refused("Gateway.NotAttached", associate)
	do[struct{}](s, api.AttachInternetGatewayRequest{InternetGatewayId: id, VpcId: s.vpc})
	s.refused("Resource.AlreadyAssociated", api.AttachInternetGatewayRequest{InternetGatewayId: id, VpcId: s.vpc})
	association := do[api.AssociateAddressResult](s, associate).AssociationId
	s.same("the association of the same request", do[api.AssociateAddressResult](s, associate).AssociationId, association)

	shown := api.Val(s.show().Association)
	s.same("the interface's", []string{shown.PublicIp, shown.AllocationId, shown.AssociationId, shown.IpOwnerId}, []string{elastic.PublicIp, elastic.AllocationId, association, s.account})
	address := do[api.DescribeAddressesResult](s, api.DescribeAddressesRequest{Filters: by("association-id", association)}).Addresses[0]
	s.same("the address", []string{address.PublicIp, address.NetworkInterfaceId, address.PrivateIpAddress}, []string{elastic.PublicIp, s.eni, s.show().PrivateIpAddress})
	attribute := do[api.DescribeAddressesAttributeResult](s, api.DescribeAddressesAttributeRequest{AllocationIds: []string{elastic.AllocationId}, Attribute: "domain-name"}).Addresses
	s.same("its name", attribute[0].PtrRecord, "")
	agree[api.DescribeInternetGatewaysResult](s, api.DescribeInternetGatewaysRequest{}, "igw", "list")
	agree[api.DescribeAddressesResult](s, api.DescribeAddressesRequest{}, "eip", "list")

	s.refused("InvalidIPAddress.InUse", api.ReleaseAddressRequest{AllocationId: elastic.AllocationId})
	s.refused("DependencyViolation", api.DetachInternetGatewayRequest{InternetGatewayId: id, VpcId: s.vpc})
	do[struct{}](s, api.DisassociateAddressRequest{AssociationId: association})
	do[struct{}](s, api.ReleaseAddressRequest{AllocationId: elastic.AllocationId})
	s.refused("InvalidAllocationID.NotFound", api.DescribeAddressesRequest{AllocationIds: []string{elastic.AllocationId}})
	s.refused("DependencyViolation", api.DeleteInternetGatewayRequest{InternetGatewayId: id})
	do[struct{}](s, api.DetachInternetGatewayRequest{InternetGatewayId: id, VpcId: s.vpc})
	do[struct{}](s, api.DeleteInternetGatewayRequest{InternetGatewayId: id})
}
