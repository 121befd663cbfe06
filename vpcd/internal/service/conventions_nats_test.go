package service

import (
	"fmt"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// natExamples are those of NAT gateways.
var natExamples = []func(*side) any{
	func(s *side) any {
		return &api.CreateNatGatewayRequest{SubnetId: s.subnet, AllocationId: s.newElastic(), SecondaryAllocationIds: []string{s.newElastic()}}
	},
	func(s *side) any {
		return &api.CreateNatGatewayRequest{SubnetId: s.subnet, AllocateAddress: api.Ptr(true)}
	},
	func(s *side) any {
		return &api.CreateNatGatewayRequest{SubnetId: s.subnet, ConnectivityType: "private", SecondaryPrivateIpAddressCount: api.Ptr[int32](2)}
	},
	func(s *side) any {
		return &api.DeleteNatGatewayRequest{NatGatewayId: s.newPublicNat().NatGatewayId}
	},
	func(s *side) any { return &api.DescribeNatGatewaysRequest{NatGatewayIds: []string{s.nat}} },
	func(*side) any { return &api.DescribeNatGatewaysRequest{} },
	func(s *side) any {
		return &api.AssociateNatGatewayAddressRequest{NatGatewayId: s.newPublicNat().NatGatewayId, AllocationIds: []string{s.newElastic()}}
	},
	func(s *side) any {
		nat := s.newPublicNat().NatGatewayId
		got := as[api.AssociateNatGatewayAddressResult](s, &api.AssociateNatGatewayAddressRequest{NatGatewayId: nat, AllocationIds: []string{s.newElastic()}})
		return &api.DisassociateNatGatewayAddressRequest{NatGatewayId: nat, AssociationIds: []string{got.NatGatewayAddresses[0].AssociationId}}
	},
	func(s *side) any {
		return &api.AssignPrivateNatGatewayAddressRequest{NatGatewayId: s.newPrivateNat().NatGatewayId, PrivateIpAddressCount: api.Ptr[int32](2)}
	},
	func(s *side) any {
		n := s.newPrivateNat()
		return &api.UnassignPrivateNatGatewayAddressRequest{NatGatewayId: n.NatGatewayId, PrivateIpAddresses: []string{n.NatGatewayAddresses[1].PrivateIp}}
	},
}

// newNat is in subnet.
func (s *side) newNat(req api.CreateNatGatewayRequest) *api.NatGateway {
	s.t.Helper()
	req.SubnetId = s.subnet
	return as[api.CreateNatGatewayResult](s, &req).NatGateway
}

func (s *side) newPublicNat() *api.NatGateway {
	return s.newNat(api.CreateNatGatewayRequest{AllocationId: s.newElastic()})
}

func (s *side) newPrivateNat() *api.NatGateway {
	return s.newNat(api.CreateNatGatewayRequest{ConnectivityType: "private", SecondaryPrivateIpAddressCount: api.Ptr[int32](1)})
}

// newInstance has one interface.
func (s *side) newInstance() string {
	target := fmt.Sprintf("netns:routed-%s-%d", s.who.Account, s.next())
	return as[api.AttachWorkloadResult](s, &api.AttachWorkloadRequest{Target: target, SubnetId: s.subnet}).InstanceId
}
