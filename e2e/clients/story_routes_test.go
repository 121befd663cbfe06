package clients

import (
	"github.com/vpcfabric/vpc/vpcd/api"
)

// routes gives the last subnet a table of its own, and the VPC another main
// table; at the end all is as before.
func (s *story) routes() {
	const local = "10.0.0.0/16"
	table := do[api.CreateRouteTableResult](s, api.CreateRouteTableRequest{VpcId: s.vpc, TagSpecifications: named("route-table", "private")}).RouteTable
	id := table.RouteTableId
	s.same("tags of the table", table.Tags, []api.Tag{{Key: "Name", Value: "private"}})
	s.same("its routes", len(table.Routes), 2)

	subnet := s.subnets[len(s.subnets)-1]
	associate := api.AssociateRouteTableRequest{RouteTableId: id, SubnetId: subnet}
	association := do[api.AssociateRouteTableResult](s, associate)
	s.same("the state of the association", association.AssociationState.State, "associated")
	s.same("the same association again", do[api.AssociateRouteTableResult](s, associate).AssociationId, association.AssociationId)
	s.refused("Resource.AlreadyAssociated", api.AssociateRouteTableRequest{RouteTableId: s.table, SubnetId: subnet})
	s.same("the table of the subnet", s.tablesBy("association.subnet-id", subnet), []string{id})
	s.refused("DependencyViolation", api.DeleteRouteTableRequest{RouteTableId: id})

	s.refused("InvalidGatewayID.NotFound", api.CreateRouteRequest{RouteTableId: id, DestinationCidrBlock: "0.0.0.0/0", GatewayId: "igw-0123456789abcdef0"})
	s.refused("InvalidNatGatewayID.NotFound", api.CreateRouteRequest{RouteTableId: id, DestinationCidrBlock: "0.0.0.0/0", NatGatewayId: "nat-0123456789abcdef0"})
	do[struct{}](s, api.ReplaceRouteRequest{RouteTableId: id, DestinationCidrBlock: local, LocalTarget: api.Ptr(true)})
	s.refused("InvalidParameterValue", api.DeleteRouteRequest{RouteTableId: id, DestinationCidrBlock: local})
	s.refused("InvalidRoute.NotFound", api.DeleteRouteRequest{RouteTableId: id, DestinationCidrBlock: "0.0.0.0/0"})
	agree[api.DescribeRouteTablesResult](s, api.DescribeRouteTablesRequest{}, "rt", "list")

	moved := do[api.ReplaceRouteTableAssociationResult](s, api.ReplaceRouteTableAssociationRequest{AssociationId: association.AssociationId, RouteTableId: s.table}).NewAssociationId
	s.same("the table of the subnet then", s.tablesBy("association.subnet-id", subnet), []string{s.table})
	do[struct{}](s, api.DisassociateRouteTableRequest{AssociationId: moved})
	s.refused("InvalidAssociationID.NotFound", api.DisassociateRouteTableRequest{AssociationId: moved})
	s.same("the table of the subnet at last", len(s.tablesBy("association.subnet-id", subnet)), 0)

	s.replaceMain(id)
	s.refused("DependencyViolation", api.DeleteRouteTableRequest{RouteTableId: id})
	s.replaceMain(s.table)
	do[struct{}](s, api.DeleteRouteTableRequest{RouteTableId: id})
	s.refused("InvalidRouteTableID.NotFound", api.DescribeRouteTablesRequest{RouteTableIds: []string{id}})
}

// tablesBy are the ids of the tables that a filter keeps.
func (s *story) tablesBy(filter, value string) (ids []string) {
	s.Helper()
	for _, t := range do[api.DescribeRouteTablesResult](s, api.DescribeRouteTablesRequest{Filters: by("vpc-id", s.vpc, filter, value)}).RouteTables {
		ids = append(ids, t.RouteTableId)
	}
	return ids
}

// replaceMain makes a table the main one.
func (s *story) replaceMain(table string) {
	s.Helper()
	main := do[api.DescribeRouteTablesResult](s, api.DescribeRouteTablesRequest{Filters: by("vpc-id", s.vpc, "association.main", "true")}).RouteTables[0]
	for _, a := range main.Associations {
		if api.Val(a.Main) {
			do[api.ReplaceRouteTableAssociationResult](s, api.ReplaceRouteTableAssociationRequest{AssociationId: a.RouteTableAssociationId, RouteTableId: table})
		}
	}
	s.same("the main table", s.tablesBy("association.main", "true"), []string{table})
}
