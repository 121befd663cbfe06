package service

import (
	"fmt"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// gatewayExamples are those of internet gateways and elastic addresses.
var gatewayExamples = []func(*side) any{
	func(*side) any { return &api.CreateInternetGatewayRequest{} },
	func(s *side) any { return &api.CreateInternetGatewayRequest{VpcId: s.newVpc()} },
	func(s *side) any { return &api.DeleteInternetGatewayRequest{InternetGatewayId: s.newGateway("")} },
	func(s *side) any {
		return &api.AttachInternetGatewayRequest{InternetGatewayId: s.newGateway(""), VpcId: s.newVpc()}
	},
	func(s *side) any {
		vpc := s.newVpc()
		return &api.DetachInternetGatewayRequest{InternetGatewayId: s.newGateway(vpc), VpcId: vpc}
	},
	func(s *side) any {
		return &api.DescribeInternetGatewaysRequest{InternetGatewayIds: []string{s.gateway}}
	},
	func(*side) any { return &api.DescribeInternetGatewaysRequest{} },

	func(*side) any { return &api.AllocateAddressRequest{} },
	func(s *side) any { return &api.ReleaseAddressRequest{AllocationId: s.newElastic()} },
	func(s *side) any {
		return &api.AssociateAddressRequest{AllocationId: s.newElastic(), NetworkInterfaceId: s.newInterface()}
	},
	func(s *side) any {
		target := fmt.Sprintf("netns:public-%s-%d", s.who.Account, s.next())
		made := as[api.AttachWorkloadResult](s, &api.AttachWorkloadRequest{Target: target, SubnetId: s.subnet})
		return &api.AssociateAddressRequest{AllocationId: s.newElastic(), InstanceId: made.InstanceId}
	},
	func(s *side) any {
		return &api.DisassociateAddressRequest{AssociationId: s.newMapped(s.newInterface())}
	},
	func(s *side) any { return &api.DescribeAddressesRequest{AllocationIds: []string{s.elastic}} },
	func(*side) any { return &api.DescribeAddressesRequest{} },
	func(s *side) any {
		return &api.DescribeAddressesAttributeRequest{AllocationIds: []string{s.elastic}, Attribute: "domain-name"}
	},
	func(*side) any { return &api.DescribeAddressesAttributeRequest{} },
}

// newGateway is attached to a VPC, where one is given.
func (s *side) newGateway(vpc string) string {
	return as[api.CreateInternetGatewayResult](s, &api.CreateInternetGatewayRequest{VpcId: vpc}).InternetGateway.InternetGatewayId
}
