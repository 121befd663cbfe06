package clients

import "github.com/vpcfabric/vpc/vpcd/api"

// natGateways makes a public and a private one in the first subnet; at the end
// all is as before, but for what is remembered of them.
func (s *story) natGateways() {
	subnet := s.subnets[0]
	failed := do[api.CreateNatGatewayResult](s, api.CreateNatGatewayRequest{SubnetId: subnet, AllocationId: "eipalloc-0123456789abcdef0"}).NatGateway
	s.same("a gateway without a way out", []string{failed.State, failed.FailureCode}, []string{"failed", "Gateway.NotAttached"})

	igw := do[api.CreateInternetGatewayResult](s, api.CreateInternetGatewayRequest{}).InternetGateway.InternetGatewayId
	do[struct{}](s, api.AttachInternetGatewayRequest{InternetGatewayId: igw, VpcId: s.vpc})
	first, second := s.allocation(), s.allocation()
	public := do[api.CreateNatGatewayResult](s, api.CreateNatGatewayRequest{SubnetId: subnet, AllocationId: first, TagSpecifications: named("natgateway", "egress")}).NatGateway
	id := public.NatGatewayId
	s.same("tags of the gateway", public.Tags, []api.Tag{{Key: "Name", Value: "egress"}})
	s.refused("DependencyViolation", api.DetachInternetGatewayRequest{InternetGatewayId: igw, VpcId: s.vpc})

	private := do[api.CreateNatGatewayResult](s, api.CreateNatGatewayRequest{SubnetId: subnet, ConnectivityType: "private"}).NatGateway.NatGatewayId
	if s.alias != "aws2" { // Debian's 2.9 is from before gateways had several addresses
		s.natAddresses(id, private, second)
	}
	listed := do[api.DescribeNatGatewaysResult](s, api.DescribeNatGatewaysRequest{Filter: by("connectivity-type", "private")}).NatGateways
	s.same("the private one", []string{listed[0].NatGatewayId, listed[0].SubnetId}, []string{private, subnet})

	for _, nat := range []string{id, private} {
		do[api.DeleteNatGatewayResult](s, api.DeleteNatGatewayRequest{NatGatewayId: nat})
		s.refused("NatGatewayNotFound", api.DeleteNatGatewayRequest{NatGatewayId: nat})
	}
	for _, allocation := range []string{first, second} {
		do[struct{}](s, api.ReleaseAddressRequest{AllocationId: allocation})
	}
	do[struct{}](s, api.DetachInternetGatewayRequest{InternetGatewayId: igw, VpcId: s.vpc})
	do[struct{}](s, api.DeleteInternetGatewayRequest{InternetGatewayId: igw})
}

// natAddresses gives a public and a private gateway another address, and takes it
// away.
func (s *story) natAddresses(id, private, allocation string) {
	more := do[api.AssociateNatGatewayAddressResult](s, api.AssociateNatGatewayAddressRequest{NatGatewayId: id, AllocationIds: []string{allocation}}).NatGatewayAddresses[0]
	s.refused("AuthFailure", api.DisassociateAddressRequest{AssociationId: more.AssociationId})
	s.refused("OperationNotPermitted", api.DeleteNetworkInterfaceRequest{NetworkInterfaceId: more.NetworkInterfaceId})
	gone := do[api.DisassociateNatGatewayAddressResult](s, api.DisassociateNatGatewayAddressRequest{NatGatewayId: id, AssociationIds: []string{more.AssociationId}}).NatGatewayAddresses
	s.same("the address that goes", []string{gone[0].AllocationId, gone[0].Status}, []string{allocation, "disassociating"})

	assigned := do[api.AssignPrivateNatGatewayAddressResult](s, api.AssignPrivateNatGatewayAddressRequest{NatGatewayId: private, PrivateIpAddressCount: api.Ptr[int32](1)}).NatGatewayAddresses[0]
	do[api.UnassignPrivateNatGatewayAddressResult](s, api.UnassignPrivateNatGatewayAddressRequest{NatGatewayId: private, PrivateIpAddresses: []string{assigned.PrivateIp}})
}

func (s *story) allocation() string {
	s.Helper()
	return do[api.AllocateAddressResult](s, api.AllocateAddressRequest{Domain: "vpc"}).AllocationId
}
