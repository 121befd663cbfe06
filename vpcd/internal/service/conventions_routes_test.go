package service

import "github.com/vpcfabric/vpc/vpcd/api"

// routeExamples are those of route tables.
var routeExamples = []func(*side) any{
	func(s *side) any { return &api.DescribeRouteTablesRequest{RouteTableIds: []string{s.table}} },
	func(*side) any { return &api.DescribeRouteTablesRequest{} },
	func(s *side) any { return &api.CreateRouteTableRequest{VpcId: s.vpc} },
	func(s *side) any {
		id := as[api.CreateRouteTableResult](s, &api.CreateRouteTableRequest{VpcId: s.vpc}).RouteTable.RouteTableId
		return &api.DeleteRouteTableRequest{RouteTableId: id}
	},
	func(s *side) any {
		return &api.AssociateRouteTableRequest{RouteTableId: s.newTable(), SubnetId: s.newSubnet()}
	},
	func(s *side) any { return &api.DisassociateRouteTableRequest{AssociationId: s.newTableAssociation()} },
	func(s *side) any {
		return &api.ReplaceRouteTableAssociationRequest{AssociationId: s.newTableAssociation(), RouteTableId: s.newTable()}
	},
	func(s *side) any {
		return &api.ReplaceRouteTableAssociationRequest{AssociationId: s.mainAssociation(), RouteTableId: s.newTable()}
	},
	func(s *side) any {
		return &api.CreateRouteRequest{RouteTableId: s.newTable(), DestinationCidrBlock: "0.0.0.0/0", GatewayId: s.gateway}
	},
	func(s *side) any {
		return &api.CreateRouteRequest{RouteTableId: s.newTable(), DestinationPrefixListId: s.newList(), GatewayId: s.gateway}
	},
	func(s *side) any {
		return &api.ReplaceRouteRequest{RouteTableId: s.newTable(), DestinationCidrBlock: "192.0.2.0/24", GatewayId: s.gateway}
	},
	func(s *side) any {
		return &api.ReplaceRouteRequest{RouteTableId: s.newTable(), DestinationPrefixListId: s.list, GatewayId: s.gateway}
	},
	func(s *side) any {
		return &api.ReplaceRouteRequest{RouteTableId: s.newTable(), DestinationCidrBlock: "10.0.0.0/16", LocalTarget: api.Ptr(true)}
	},
	func(s *side) any {
		return &api.CreateRouteRequest{RouteTableId: s.newTable(), DestinationCidrBlock: "0.0.0.0/0", NatGatewayId: s.nat}
	},
	func(s *side) any {
		return &api.CreateRouteRequest{RouteTableId: s.newTable(), DestinationCidrBlock: "10.0.240.0/20", NetworkInterfaceId: s.free}
	},
	func(s *side) any {
		return &api.CreateRouteRequest{RouteTableId: s.newTable(), DestinationCidrBlock: "10.0.240.0/20", InstanceId: s.newInstance()}
	},
	func(s *side) any {
		return &api.ReplaceRouteRequest{RouteTableId: s.newTable(), DestinationCidrBlock: "10.0.0.0/16", NatGatewayId: s.nat}
	},
	func(s *side) any {
		return &api.ReplaceRouteRequest{RouteTableId: s.newTable(), DestinationCidrBlock: "192.0.2.0/24", NetworkInterfaceId: s.free}
	},
	func(s *side) any {
		return &api.ReplaceRouteRequest{RouteTableId: s.newTable(), DestinationCidrBlock: "192.0.2.0/24", InstanceId: s.newInstance()}
	},
	func(s *side) any {
		return &api.DeleteRouteRequest{RouteTableId: s.newTable(), DestinationCidrBlock: "192.0.2.0/24"}
	},
	func(s *side) any {
		return &api.DeleteRouteRequest{RouteTableId: s.newTable(), DestinationPrefixListId: s.list}
	},
}
