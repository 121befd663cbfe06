package service

import (
	"github.com/vpcfabric/vpc/vpcd/api"
)

// peeringExamples are those of peerings, and of rules and routes across one.
var peeringExamples = []func(*side) any{
	func(s *side) any {
		return &api.CreateVpcPeeringConnectionRequest{VpcId: s.newPeerVpc(), PeerVpcId: s.vpc}
	},
	func(s *side) any {
		return &api.AcceptVpcPeeringConnectionRequest{VpcPeeringConnectionId: s.newPeeringRequest()}
	},
	func(s *side) any {
		return &api.RejectVpcPeeringConnectionRequest{VpcPeeringConnectionId: s.newPeeringRequest()}
	},
	func(s *side) any {
		return &api.DeleteVpcPeeringConnectionRequest{VpcPeeringConnectionId: s.newPeering()}
	},
	func(s *side) any {
		return &api.DescribeVpcPeeringConnectionsRequest{VpcPeeringConnectionIds: []string{s.peering}}
	},
	func(*side) any { return &api.DescribeVpcPeeringConnectionsRequest{} },
	func(s *side) any {
		return &api.ModifyVpcPeeringConnectionOptionsRequest{VpcPeeringConnectionId: s.peering,
			RequesterPeeringConnectionOptions: &api.PeeringConnectionOptionsRequest{AllowDnsResolutionFromRemoteVpc: api.Ptr(false)}}
	},
	func(s *side) any {
		return &api.CreateTagsRequest{Resources: []string{s.peering}, Tags: []api.Tag{{Key: "color", Value: "blue"}}}
	},
	func(s *side) any { return &api.DeleteTagsRequest{Resources: []string{s.peering}} },

	func(s *side) any {
		return &api.CreateRouteRequest{RouteTableId: s.newTable(), DestinationCidrBlock: peerCIDR, VpcPeeringConnectionId: s.peering}
	},
	func(s *side) any {
		return &api.ReplaceRouteRequest{RouteTableId: s.newTable(), DestinationCidrBlock: "192.0.2.0/24", VpcPeeringConnectionId: s.peering}
	},

	func(s *side) any { return &api.DescribeSecurityGroupReferencesRequest{GroupId: []string{s.peerGroup}} },
	func(s *side) any { return &api.DescribeStaleSecurityGroupsRequest{VpcId: s.vpc} },
	func(s *side) any {
		return &api.AuthorizeSecurityGroupIngressRequest{GroupId: s.group, IpPermissions: s.peerPermission()}
	},
	func(s *side) any {
		return &api.AuthorizeSecurityGroupEgressRequest{GroupId: s.group, IpPermissions: s.peerPermission()}
	},
	func(s *side) any {
		return &api.RevokeSecurityGroupIngressRequest{GroupId: s.group, IpPermissions: s.peerRule(false)}
	},
	func(s *side) any {
		return &api.RevokeSecurityGroupEgressRequest{GroupId: s.group, IpPermissions: s.peerRule(true)}
	},
	func(s *side) any {
		return &api.UpdateSecurityGroupRuleDescriptionsIngressRequest{GroupId: s.group, IpPermissions: s.peerRule(false)}
	},
	func(s *side) any {
		return &api.UpdateSecurityGroupRuleDescriptionsEgressRequest{GroupId: s.group, IpPermissions: s.peerRule(true)}
	},
}

// peerCIDR is that of every VPC that is peered with another one here.
const peerCIDR = "10.9.0.0/16"

func (s *side) newPeerVpc() string {
	return as[api.CreateVpcResult](s, &api.CreateVpcRequest{CidrBlock: peerCIDR}).Vpc.VpcId
}

// newPeeringRequest waits for an answer of the owner of s.vpc.
func (s *side) newPeeringRequest() string {
	return as[api.CreateVpcPeeringConnectionResult](s, &api.CreateVpcPeeringConnectionRequest{VpcId: s.newPeerVpc(), PeerVpcId: s.vpc}).VpcPeeringConnection.VpcPeeringConnectionId
}

func (s *side) newPeering() string {
	id := s.newPeeringRequest()
	as[api.AcceptVpcPeeringConnectionResult](s, &api.AcceptVpcPeeringConnectionRequest{VpcPeeringConnectionId: id})
	return id
}

// buildPeerings makes several, and a group on the far side of the last one.
func (s *side) buildPeerings() {
	for range several {
		s.peering = s.newPeering()
	}
	far := as[api.DescribeVpcPeeringConnectionsResult](s, &api.DescribeVpcPeeringConnectionsRequest{VpcPeeringConnectionIds: []string{s.peering}}).VpcPeeringConnections[0]
	s.peerVpc = far.RequesterVpcInfo.VpcId
	s.peerGroup = as[api.CreateSecurityGroupResult](s, &api.CreateSecurityGroupRequest{GroupName: "far", Description: "far", VpcId: s.peerVpc}).GroupId
	s.peerRule(false)
}

// peerPermission allows what no rule allows yet, to a group across the peering.
func (s *side) peerPermission() []api.IpPermission {
	port := api.Ptr(int32(1000 + s.next()))
	return []api.IpPermission{{IpProtocol: "tcp", FromPort: port, ToPort: port, UserIdGroupPairs: []api.UserIdGroupPair{
		{GroupId: s.peerGroup, UserId: s.who.Account, VpcId: s.peerVpc, VpcPeeringConnectionId: s.peering}}}}
}

// peerRule is the permission of a new rule.
func (s *side) peerRule(egress bool) []api.IpPermission {
	p := s.peerPermission()
	if egress {
		as[api.AuthorizeSecurityGroupEgressResult](s, &api.AuthorizeSecurityGroupEgressRequest{GroupId: s.group, IpPermissions: p})
	} else {
		as[api.AuthorizeSecurityGroupIngressResult](s, &api.AuthorizeSecurityGroupIngressRequest{GroupId: s.group, IpPermissions: p})
	}
	return p
}
