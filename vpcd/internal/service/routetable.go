package service

import (
	"context"
	"net/netip"
	"slices"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// tableAssociationPrefix starts the id of what binds a table to a subnet or,
// for the main table, to the VPC.
const tableAssociationPrefix = "rtbassoc-"

// newMainTable makes the table that serves every subnet without one of its own.
func (c *change) newMainTable(vpc *record.Vpc, cidr netip.Prefix) error {
	index, err := c.nextIndex("rtb")
	if err != nil {
		return err
	}
	id := c.newID(tableKind.id)
	c.tx.Put(record.Tables+id, &record.RouteTable{
		Index: index,
		Table: api.RouteTable{
			RouteTableId: id,
			VpcId:        vpc.Vpc.VpcId,
			OwnerId:      vpc.Vpc.OwnerId,
			Routes:       []api.Route{localRoute(cidr)},
			Associations: []api.RouteTableAssociation{{
				Main:                    api.Ptr(true),
				RouteTableAssociationId: c.newID(tableAssociationPrefix),
				RouteTableId:            id,
				AssociationState:        &api.RouteTableAssociationState{State: api.RouteTableAssociationStateCodeAssociated},
			}},
		},
	})
	return nil
}

// localRoute keeps a CIDR of the VPC inside it; every table has one for each.
func localRoute(cidr netip.Prefix) api.Route {
	return api.Route{
		DestinationCidrBlock: cidr.String(),
		GatewayId:            "local",
		Origin:               api.RouteOriginCreateRouteTable,
		State:                api.RouteStateActive,
	}
}

// isMain says whether the table serves subnets without one of their own. Main
// is a property of an association, because another table can become main.
func isMain(table *record.RouteTable) bool {
	return slices.ContainsFunc(table.Table.Associations, func(a api.RouteTableAssociation) bool { return api.Val(a.Main) })
}

// leaveTables takes a subnet out of the table it was associated with.
func (c *change) leaveTables(vpcID, subnetID string) {
	ofSubnet := func(a api.RouteTableAssociation) bool { return a.SubnetId == subnetID }
	for _, table := range contentOf(c.tx.Peek(), vpcID).tables {
		if !slices.ContainsFunc(table.Table.Associations, ofSubnet) {
			continue
		}
		key := record.Tables + table.Table.RouteTableId
		c.tx.ModRevision(key)
		changed := *table
		changed.Table.Associations = slices.DeleteFunc(slices.Clone(table.Table.Associations), ofSubnet)
		c.tx.Put(key, &changed)
	}
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
		if match(rec.Table) {
			out = append(out, rec.Table)
		}
	}
	out, next, err := page(pageOf{caller, req, req.MaxResults, req.NextToken}, out, func(t api.RouteTable) string { return t.RouteTableId })
	return &api.DescribeRouteTablesResult{RouteTables: out, NextToken: next}, v.revision(), err
}
