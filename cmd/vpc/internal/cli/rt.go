package cli

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func (s *session) rtCommand() *cobra.Command {
	list := verb("list", "List route tables", "vpc rt list --vpc prod", args(0, 0),
		func(*cobra.Command, []string) error { return s.listTables() })
	show := verb("show TABLE", "Show a route table and its routes", "vpc rt show rtb-0123456789abcdef0", args(1, 1),
		func(_ *cobra.Command, a []string) error { return s.showTable(a[0]) })
	s.completeArgs(show, rtNoun)
	return group("rt", "Route tables", "  vpc rt list --vpc prod", list, show)
}

func (s *session) listTables() error {
	filters, err := s.scopeFilters()
	if err != nil {
		return err
	}
	res, err := ask[api.DescribeRouteTablesResult](s, "DescribeRouteTables", &api.DescribeRouteTablesRequest{Filters: filters})
	if err != nil {
		return doing("list route tables", err)
	}
	vpcs, subnets := s.names(vpcNoun), s.names(subnetNoun)
	t := &table{head: []string{"NAME", "ID", "VPC", "MAIN", "SUBNETS", "ROUTES", "OWNER", "TAGS"}, wide: 6}
	var ids []string
	for i := range res.RouteTables {
		r := &res.RouteTables[i]
		ids = append(ids, r.RouteTableId)
		main, users := tableUse(r, subnets)
		t.add(nameOf(r.Tags), r.RouteTableId, firstOf(vpcs[r.VpcId], r.VpcId), main, users,
			strconv.Itoa(len(r.Routes)), r.OwnerId, tagList(r.Tags))
	}
	return s.emit(res, ids, func() { s.print(t) })
}

// tableUse tells whether a table is the VPC's main one, and which subnets name it.
func tableUse(r *api.RouteTable, subnets map[string]string) (main, users string) {
	main = "no"
	var out []string
	for _, a := range r.Associations {
		if api.Val(a.Main) {
			main = "yes"
		}
		if a.SubnetId != "" {
			out = append(out, firstOf(subnets[a.SubnetId], a.SubnetId))
		}
	}
	return main, strings.Join(out, ",")
}

func (s *session) showTable(ref string) error {
	o, err := s.scoped(rtNoun, ref)
	if err != nil {
		return err
	}
	res, err := ask[api.DescribeRouteTablesResult](s, "DescribeRouteTables", &api.DescribeRouteTablesRequest{RouteTableIds: []string{o.id}})
	if err != nil {
		return doing("show "+o.String(), err)
	}
	vpcs, subnets := s.names(vpcNoun), s.names(subnetNoun)
	return s.emit(res, []string{o.id}, func() {
		for i := range res.RouteTables {
			r := &res.RouteTables[i]
			main, users := tableUse(r, subnets)
			s.fields("Name", nameOf(r.Tags), "Id", r.RouteTableId, "VPC", both(vpcs[r.VpcId], r.VpcId),
				"Main", main, "Subnets", users, "Tags", tagList(r.Tags))
			s.say("")
			t := &table{head: []string{"DESTINATION", "TARGET", "STATE"}}
			for _, route := range r.Routes {
				t.add(firstOf(route.DestinationCidrBlock, route.DestinationIpv6CidrBlock, route.DestinationPrefixListId),
					firstOf(route.GatewayId, route.NatGatewayId, route.NetworkInterfaceId, route.InstanceId,
						route.VpcPeeringConnectionId, route.EgressOnlyInternetGatewayId), route.State)
			}
			s.print(t)
		}
	})
}
