package cli

import (
	"slices"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// addMainTable gives the main table of a VPC the digits of the VPC's id.
func (d *daemon) addMainTable(v api.Vpc) {
	digits := strings.TrimPrefix(v.VpcId, "vpc-")
	d.tables = append(d.tables, api.RouteTable{RouteTableId: "rtb-" + digits, VpcId: v.VpcId,
		Associations: []api.RouteTableAssociation{{Main: api.Ptr(true), RouteTableAssociationId: "rtbassoc-" + digits}},
		Routes:       []api.Route{{DestinationCidrBlock: v.CidrBlock, GatewayId: "local", State: "active"}}})
}

// giveTable moves a subnet, or a VPC for "", to a table.
func (d *daemon) giveTable(subnetID, tableID string) string {
	at := slices.IndexFunc(d.tables, func(t api.RouteTable) bool { return t.RouteTableId == tableID })
	id := d.id("rtbassoc-")
	for i := range d.tables {
		if t := &d.tables[i]; t.VpcId == d.tables[at].VpcId {
			t.Associations = slices.DeleteFunc(slices.Clone(t.Associations), func(x api.RouteTableAssociation) bool { return x.SubnetId == subnetID })
		}
	}
	t := &d.tables[at]
	t.Associations = append(t.Associations, api.RouteTableAssociation{RouteTableAssociationId: id, SubnetId: subnetID, Main: api.Ptr(subnetID == "")})
	return id
}

// ofTable finds a table and one of its associations.
func (d *daemon) ofTable(association string) (t *api.RouteTable, a int) {
	for i := range d.tables {
		t = &d.tables[i]
		if a = slices.IndexFunc(t.Associations, func(x api.RouteTableAssociation) bool { return x.RouteTableAssociationId == association }); a >= 0 {
			return t, a
		}
	}
	return nil, -1
}

// routes does the actions on route tables.
func (d *daemon) routes(req any) (any, *api.Error) {
	at := func(id string) *api.RouteTable {
		return &d.tables[slices.IndexFunc(d.tables, func(t api.RouteTable) bool { return t.RouteTableId == id })]
	}
	switch r := req.(type) {
	case *api.CreateRouteTableRequest:
		t := api.RouteTable{RouteTableId: d.id("rtb-"), VpcId: r.VpcId, Tags: tagsOf(r.TagSpecifications),
			Routes: []api.Route{{DestinationCidrBlock: "10.0.0.0/16", GatewayId: "local", State: "active"}}}
		d.tables = append(d.tables, t)
		return &api.CreateRouteTableResult{RouteTable: &t}, nil
	case *api.DeleteRouteTableRequest:
		d.tables = slices.DeleteFunc(d.tables, func(t api.RouteTable) bool { return t.RouteTableId == r.RouteTableId })
	case *api.AssociateRouteTableRequest:
		return &api.AssociateRouteTableResult{AssociationId: d.giveTable(r.SubnetId, r.RouteTableId)}, nil
	case *api.DisassociateRouteTableRequest:
		t, i := d.ofTable(r.AssociationId)
		t.Associations = slices.Delete(slices.Clone(t.Associations), i, i+1)
	case *api.ReplaceRouteTableAssociationRequest:
		t, i := d.ofTable(r.AssociationId)
		return &api.ReplaceRouteTableAssociationResult{NewAssociationId: d.giveTable(t.Associations[i].SubnetId, r.RouteTableId)}, nil
	case *api.CreateRouteRequest:
		t := at(r.RouteTableId)
		t.Routes = append(slices.Clone(t.Routes), api.Route{DestinationCidrBlock: r.DestinationCidrBlock,
			DestinationPrefixListId: r.DestinationPrefixListId, GatewayId: r.GatewayId, NatGatewayId: r.NatGatewayId, NetworkInterfaceId: r.NetworkInterfaceId, InstanceId: r.InstanceId, VpcPeeringConnectionId: r.VpcPeeringConnectionId, State: "active"})
		return &api.CreateRouteResult{Return: api.Ptr(true)}, nil
	case *api.DeleteRouteRequest:
		t := at(r.RouteTableId)
		t.Routes = slices.DeleteFunc(slices.Clone(t.Routes), func(x api.Route) bool {
			return x.DestinationCidrBlock == r.DestinationCidrBlock && x.DestinationPrefixListId == r.DestinationPrefixListId
		})
	case *api.DescribeRouteTablesRequest:
		list, e := pick(d.tables, r.RouteTableIds, r.Filters, "InvalidRouteTableID.NotFound", func(v *api.RouteTable) (string, map[string]string) {
			f := map[string]string{"route-table-id": v.RouteTableId, "vpc-id": v.VpcId, "tag:Name": nameOf(v.Tags)}
			for _, a := range v.Associations {
				if api.Val(a.Main) {
					f["association.main"] = "true"
				}
				for _, filter := range r.Filters {
					if filter.Name == "association.subnet-id" && a.SubnetId == filter.Values[0] {
						f[filter.Name] = a.SubnetId
					}
				}
			}
			return v.RouteTableId, f
		})
		return &api.DescribeRouteTablesResult{RouteTables: list}, e
	}
	return nil, nil
}
