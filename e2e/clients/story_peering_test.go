package clients

import "github.com/vpcfabric/vpc/vpcd/api"

// peerings joins the VPC with another one for a while; at the end all is as
// before.
func (s *story) peerings() {
	peer := do[api.CreateVpcResult](s, api.CreateVpcRequest{CidrBlock: "10.9.0.0/16"}).Vpc.VpcId
	request := api.CreateVpcPeeringConnectionRequest{VpcId: s.vpc, PeerVpcId: peer, TagSpecifications: named("vpc-peering-connection", "joint")}
	made := do[api.CreateVpcPeeringConnectionResult](s, request).VpcPeeringConnection
	id := made.VpcPeeringConnectionId
	s.same("the state of the request", made.Status.Code, "initiating-request")
	s.same("its tags", made.Tags, []api.Tag{{Key: "Name", Value: "joint"}})
	s.same("the peering of the same request", do[api.CreateVpcPeeringConnectionResult](s, request).VpcPeeringConnection.VpcPeeringConnectionId, id)
	s.refused("OperationNotPermitted", api.ModifyVpcPeeringConnectionOptionsRequest{VpcPeeringConnectionId: id,
		AccepterPeeringConnectionOptions: &api.PeeringConnectionOptionsRequest{AllowDnsResolutionFromRemoteVpc: api.Ptr(false)}})
	s.same("its state then", do[api.AcceptVpcPeeringConnectionResult](s, api.AcceptVpcPeeringConnectionRequest{VpcPeeringConnectionId: id}).VpcPeeringConnection.Status.Code, "active")
	s.refused("InvalidStateTransition", api.RejectVpcPeeringConnectionRequest{VpcPeeringConnectionId: id})
	s.refused("InvalidVpc.Range", api.AssociateVpcCidrBlockRequest{VpcId: peer, CidrBlock: "10.0.0.0/20"})
	do[struct{}](s, api.ModifyVpcPeeringConnectionOptionsRequest{VpcPeeringConnectionId: id,
		AccepterPeeringConnectionOptions: &api.PeeringConnectionOptionsRequest{AllowDnsResolutionFromRemoteVpc: api.Ptr(false)}})

	far := do[api.CreateSecurityGroupResult](s, api.CreateSecurityGroupRequest{GroupName: "far", Description: "far", VpcId: peer}).GroupId
	near := do[api.CreateSecurityGroupResult](s, api.CreateSecurityGroupRequest{GroupName: "near", Description: "near", VpcId: s.vpc}).GroupId
	port := api.Ptr(int32(80))
	do[struct{}](s, api.AuthorizeSecurityGroupIngressRequest{GroupId: near, IpPermissions: []api.IpPermission{{
		IpProtocol: "tcp", FromPort: port, ToPort: port, UserIdGroupPairs: []api.UserIdGroupPair{{GroupId: far, VpcPeeringConnectionId: id}}}}})
	refs := do[api.DescribeSecurityGroupReferencesResult](s, api.DescribeSecurityGroupReferencesRequest{GroupId: []string{far}}).SecurityGroupReferenceSet
	s.same("who names the group", refs, []api.SecurityGroupReference{{GroupId: far, ReferencingVpcId: s.vpc, VpcPeeringConnectionId: id}})
	stale := api.DescribeStaleSecurityGroupsRequest{VpcId: s.vpc}
	s.same("stale rules", len(do[api.DescribeStaleSecurityGroupsResult](s, stale).StaleSecurityGroupSet), 0)
	agree[api.DescribeVpcPeeringConnectionsResult](s, api.DescribeVpcPeeringConnectionsRequest{}, "peering", "list")

	do[struct{}](s, api.DeleteVpcPeeringConnectionRequest{VpcPeeringConnectionId: id})
	s.same("stale rules then", len(do[api.DescribeStaleSecurityGroupsResult](s, stale).StaleSecurityGroupSet), 1)
	second := do[api.CreateVpcPeeringConnectionResult](s, api.CreateVpcPeeringConnectionRequest{VpcId: peer, PeerVpcId: s.vpc}).VpcPeeringConnection.VpcPeeringConnectionId
	do[struct{}](s, api.RejectVpcPeeringConnectionRequest{VpcPeeringConnectionId: second})
	for _, group := range []string{near, far} {
		do[struct{}](s, api.DeleteSecurityGroupRequest{GroupId: group})
	}
	do[struct{}](s, api.DeleteVpcRequest{VpcId: peer})
}
