package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func (s *session) rtCommand() *cobra.Command {
	list := verb("list", "List route tables", "vpc rt list --vpc prod", args(0, 0),
		func(*cobra.Command, []string) error { return s.listTables() })
	show := verb("show TABLE", "Show a route table and its routes", "vpc rt show private\nvpc rt show main --vpc prod", args(1, 1),
		func(_ *cobra.Command, a []string) error { return s.showTable(a[0]) })
	rm := verb("rm TABLE…", "Delete route tables", "vpc rt rm private", args(1, anyNumber),
		func(_ *cobra.Command, a []string) error { return s.remove(rtNoun, a, s.deleteTable) })
	s.completeArgs(show, rtNoun)
	s.completeArgs(rm, rtNoun)
	cmd := group("rt", "Route tables", "  vpc rt associate private --subnet db",
		s.rtAdd(), list, show, s.rtSet(), rm, s.rtAssociate(), s.rtDisassociate(), s.rtReplace())
	cmd.Long = "A route table says where packets of its subnets go: vpc route add. A subnet without a table of its own has the\n" +
		"main one of its VPC, which is called main."
	return cmd
}

func (s *session) rtAdd() *cobra.Command {
	var tags []string
	cmd := verb("add NAME", "Create a route table, with the local routes of its VPC", "vpc rt add private --vpc prod", args(1, 1),
		func(_ *cobra.Command, a []string) error {
			v, err := s.needScope()
			if err != nil {
				return err
			}
			return doing(fmt.Sprintf("create rt %s in %s", a[0], v), s.addTable(a[0], v, tags))
		})
	cmd.Flags().StringArrayVar(&tags, "tag", nil, "KEY=VALUE, may be repeated")
	return cmd
}

func (s *session) addTable(name string, v object, pairs []string) error {
	tags, err := nameTags(rtNoun, name, pairs)
	if err != nil {
		return err
	}
	if err := s.newName(rtNoun, name, v.id); err != nil {
		return err
	}
	res, err := change[api.CreateRouteTableResult](s, "CreateRouteTable", &api.CreateRouteTableRequest{VpcId: v.id, TagSpecifications: tags})
	if err != nil {
		return err
	}
	return s.done(res, tableObject(res.RouteTable), "created")
}

func (s *session) rtSet() *cobra.Command {
	var name string
	cmd := verb("set TABLE", "Change a route table", "vpc rt set private --name isolated", args(1, 1),
		func(cmd *cobra.Command, a []string) error {
			o, err := s.scoped(rtNoun, a[0])
			if err != nil {
				return err
			}
			return s.set(o, changed(cmd, map[string]func() error{
				"name": func() error { return s.rename(rtNoun, o, name) },
			}))
		})
	cmd.Flags().StringVar(&name, "name", "", "new name")
	s.completeArgs(cmd, rtNoun)
	return cmd
}

func (s *session) deleteTable(o object) (any, error) {
	return change[api.DeleteRouteTableResult](s, "DeleteRouteTable", &api.DeleteRouteTableRequest{RouteTableId: o.id})
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
		t.add(tableObject(r).name, r.RouteTableId, firstOf(vpcs[r.VpcId], r.VpcId), main, users,
			strconv.Itoa(len(r.Routes)), r.OwnerId, tagList(r.Tags))
	}
	return s.emit(res, ids, func() { s.print(t) })
}

// tableUse tells whether a table is the VPC's main one, and which subnets name it.
func tableUse(r *api.RouteTable, subnets map[string]string) (main, users string) {
	main = "no"
	if isMainTable(r) {
		main = "yes"
	}
	var out []string
	for _, a := range r.Associations {
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
	vpcs, subnets, lists, gateways := s.names(vpcNoun), s.names(subnetNoun), s.names(plNoun), s.targetNames()
	return s.emit(res, []string{o.id}, func() {
		for i := range res.RouteTables {
			r := &res.RouteTables[i]
			main, users := tableUse(r, subnets)
			s.fields("Name", tableObject(r).name, "Id", r.RouteTableId, "VPC", both(vpcs[r.VpcId], r.VpcId),
				"Main", main, "Subnets", users, "Tags", tagList(r.Tags))
			s.say("")
			t := &table{head: []string{"DESTINATION", "TARGET", "STATE"}}
			for _, route := range r.Routes {
				t.add(routeDestination(&route, lists), routeTarget(&route, gateways), route.State)
			}
			s.print(t)
		}
	})
}
