package service

import (
	"context"
	"slices"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// tableShape is a table as answers have it. The states of routes follow from
// their targets at the moment and are stored nowhere.
func (s *Service) tableShape(r store.Reader, table *record.RouteTable) *api.RouteTable {
	shape := table.Table
	shape.Routes = slices.Clone(table.Table.Routes)
	for i := range shape.Routes {
		shownRoute(r, &shape, &shape.Routes[i])
	}
	return &shape
}

// routeText and associationText give a filter one text of each route or
// association; absent members match nothing.
func routeText(text func(api.Route) string) func(api.RouteTable) []string {
	return func(t api.RouteTable) []string { return present(collect(t.Routes, text)) }
}

func associationText(text func(api.RouteTableAssociation) string) func(api.RouteTable) []string {
	return func(t api.RouteTable) []string { return present(collect(t.Associations, text)) }
}

// present leaves absent members out, so that the filter value * means "has one".
func present(texts []string) []string {
	return slices.DeleteFunc(texts, func(s string) bool { return s == "" })
}

// tableFilters ask routes and associations one by one: two filters may be met by
// two different routes, as in EC2.
var tableFilters = map[string]func(api.RouteTable) []string{
	"association.gateway-id":                 associationText(func(a api.RouteTableAssociation) string { return a.GatewayId }),
	"association.main":                       associationText(func(a api.RouteTableAssociation) string { return boolText(a.Main)[0] }),
	"association.route-table-association-id": associationText(func(a api.RouteTableAssociation) string { return a.RouteTableAssociationId }),
	"association.route-table-id":             associationText(func(a api.RouteTableAssociation) string { return a.RouteTableId }),
	"association.subnet-id":                  associationText(func(a api.RouteTableAssociation) string { return a.SubnetId }),
	"owner-id":                               func(t api.RouteTable) []string { return []string{t.OwnerId} },
	"route-table-id":                         func(t api.RouteTable) []string { return []string{t.RouteTableId} },
	"vpc-id":                                 func(t api.RouteTable) []string { return []string{t.VpcId} },
	"route.destination-cidr-block":           routeText(func(r api.Route) string { return r.DestinationCidrBlock }),
	"route.destination-ipv6-cidr-block":      routeText(func(r api.Route) string { return r.DestinationIpv6CidrBlock }),
	"route.destination-prefix-list-id":       routeText(func(r api.Route) string { return r.DestinationPrefixListId }),
	"route.egress-only-internet-gateway-id":  routeText(func(r api.Route) string { return r.EgressOnlyInternetGatewayId }),
	"route.gateway-id":                       routeText(func(r api.Route) string { return r.GatewayId }),
	"route.instance-id":                      routeText(func(r api.Route) string { return r.InstanceId }),
	"route.nat-gateway-id":                   routeText(func(r api.Route) string { return r.NatGatewayId }),
	"route.transit-gateway-id":               routeText(func(r api.Route) string { return r.TransitGatewayId }),
	"route.origin":                           routeText(func(r api.Route) string { return r.Origin }),
	"route.state":                            routeText(func(r api.Route) string { return r.State }),
	"route.vpc-peering-connection-id":        routeText(func(r api.Route) string { return r.VpcPeeringConnectionId }),
}

// describeRouteTables lists the caller's tables. A subnet without association
// of its own is in none of them: EC2 shows the main table for the VPC only.
func (s *Service) describeRouteTables(_ context.Context, caller Caller, req *api.DescribeRouteTablesRequest) (*api.DescribeRouteTablesResult, int64, error) {
	match, err := matchFilters(req.Filters, tableFilters, func(v api.RouteTable) []api.Tag { return v.Tags })
	if err != nil {
		return nil, 0, err
	}
	if err := checkPaging(req.RouteTableIds, "RouteTableIds", req.MaxResults); err != nil {
		return nil, 0, err
	}
	v := s.view(caller)
	records, err := tableKind.pick(v.r, caller, req.RouteTableIds, "RouteTableIds")
	if err != nil {
		return nil, 0, err
	}
	var out []api.RouteTable
	for _, rec := range records {
		if shape := s.tableShape(v.r, rec); match(*shape) {
			out = append(out, *shape)
		}
	}
	out, next, err := page(pageOf{caller, req, req.MaxResults, req.NextToken}, out, func(t api.RouteTable) string { return t.RouteTableId })
	return &api.DescribeRouteTablesResult{RouteTables: out, NextToken: next}, v.revision(), err
}
