package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// mainTable is what the table is called that serves subnets without one of their
// own, where it has no name; EC2 has none for it.
const mainTable = "main"

func (s *session) rtAssociate() *cobra.Command {
	var subnets []string
	cmd := verb("associate TABLE --subnet SUBNET…", "Give subnets a route table of their own", "vpc rt associate private --subnet db --subnet cache", args(1, 1),
		func(cmd *cobra.Command, a []string) error {
			return eachSubnet(s, cmd, subnets, func(ref string) error { return s.associateTable(a[0], ref) })
		})
	s.subnetsFlag(cmd, &subnets)
	s.completeArgs(cmd, rtNoun)
	return cmd
}

func (s *session) rtDisassociate() *cobra.Command {
	var subnets []string
	cmd := verb("disassociate --subnet SUBNET…", "Give subnets back to the main route table", "vpc rt disassociate --subnet db", args(0, 0),
		func(cmd *cobra.Command, _ []string) error { return eachSubnet(s, cmd, subnets, s.disassociateTable) })
	s.subnetsFlag(cmd, &subnets)
	return cmd
}

func (s *session) rtReplace() *cobra.Command {
	var subnets []string
	var main bool
	cmd := verb("replace TABLE (--subnet SUBNET… | --main)", "Put a route table in the place of the one that subnets, or the VPC, have",
		"vpc rt replace public --subnet web\nvpc rt replace isolated --main", args(1, 1),
		func(cmd *cobra.Command, a []string) error {
			switch {
			case main && len(subnets) > 0:
				return usagef("--main and --subnet are two replacements: give one at a time")
			case main:
				return s.replaceMain(a[0])
			}
			return eachSubnet(s, cmd, subnets, func(ref string) error { return s.replaceTable(a[0], ref) })
		})
	s.subnetsFlag(cmd, &subnets)
	cmd.Flags().BoolVar(&main, "main", false, "make it the main table of its VPC")
	s.completeArgs(cmd, rtNoun)
	return cmd
}

func (s *session) subnetsFlag(cmd *cobra.Command, subnets *[]string) {
	cmd.Flags().StringArrayVar(subnets, "subnet", nil, "subnet, may be repeated")
	s.completeFlag(cmd, "subnet", subnetNoun)
}

// eachSubnet does one change for each --subnet, of which there is at least one.
func eachSubnet(s *session, cmd *cobra.Command, subnets []string, do func(ref string) error) error {
	if len(subnets) == 0 {
		return usagef("%s needs --subnet", cmd.CommandPath())
	}
	var all []func() error
	for _, ref := range subnets {
		all = append(all, func() error { return do(ref) })
	}
	return s.steps(all...)
}

// tableAndSubnet resolves a subnet, and a table in its VPC.
func (s *session) tableAndSubnet(table, subnet string) (o, n object, err error) {
	if n, err = s.scoped(subnetNoun, subnet); err != nil {
		return o, n, err
	}
	o, err = s.resolve(rtNoun, table, n.vpc)
	return o, n, err
}

func (s *session) associateTable(table, subnet string) error {
	o, n, err := s.tableAndSubnet(table, subnet)
	if err != nil {
		return err
	}
	res, err := change[api.AssociateRouteTableResult](s, "AssociateRouteTable", &api.AssociateRouteTableRequest{RouteTableId: o.id, SubnetId: n.id})
	if err != nil {
		return doing(fmt.Sprintf("give %s to %s", o, n), err)
	}
	return s.tableGiven(res, res.AssociationId, fmt.Sprintf("%s has %s", n, o))
}

func (s *session) replaceTable(table, subnet string) error {
	o, n, err := s.tableAndSubnet(table, subnet)
	if err != nil {
		return err
	}
	return s.replaceAssociation(o, n, "has", "association.subnet-id", n.id, func(a *api.RouteTableAssociation) bool { return a.SubnetId == n.id })
}

func (s *session) replaceMain(table string) error {
	o, err := s.scoped(rtNoun, table)
	if err != nil {
		return err
	}
	v, err := s.resolve(vpcNoun, o.vpc, "")
	if err != nil {
		return err
	}
	return s.replaceAssociation(o, v, "has the main", "association.main", "true", func(a *api.RouteTableAssociation) bool { return api.Val(a.Main) })
}

// replaceAssociation gives the table o to a subnet or a VPC, in the place of the
// one that it has: the association is found by a filter. has is how to say so.
func (s *session) replaceAssociation(o, to object, has, filter, value string, is func(*api.RouteTableAssociation) bool) error {
	id, err := s.tableAssociation(to, filter, value, is)
	if err != nil {
		return doing("find the rt of "+to.String(), err)
	}
	res, err := change[api.ReplaceRouteTableAssociationResult](s, "ReplaceRouteTableAssociation",
		&api.ReplaceRouteTableAssociationRequest{AssociationId: id, RouteTableId: o.id})
	if err != nil {
		return doing(fmt.Sprintf("give %s to %s", o, to), err)
	}
	return s.tableGiven(res, res.NewAssociationId, fmt.Sprintf("%s %s %s", to, has, o))
}

func (s *session) disassociateTable(subnet string) error {
	n, err := s.scoped(subnetNoun, subnet)
	if err != nil {
		return err
	}
	id, err := s.tableAssociation(n, "association.subnet-id", n.id, func(a *api.RouteTableAssociation) bool { return a.SubnetId == n.id })
	if err != nil {
		return doing("find the rt of "+n.String(), err)
	}
	res, err := change[api.DisassociateRouteTableResult](s, "DisassociateRouteTable", &api.DisassociateRouteTableRequest{AssociationId: id})
	if err != nil {
		return doing("give "+n.String()+" back to the main route table", err)
	}
	return s.tableGiven(res, n.id, n.String()+" has the main route table")
}

// tableGiven prints an association and waits until packets obey it.
func (s *session) tableGiven(res any, id, line string) error {
	if err := s.emit(res, []string{id}, func() { s.say("%s", line) }); err != nil {
		return err
	}
	return s.wait(line)
}

// tableAssociation is the id of what binds a subnet, or a VPC, to a table.
func (s *session) tableAssociation(of object, filter, value string, is func(*api.RouteTableAssociation) bool) (string, error) {
	res, err := ask[api.DescribeRouteTablesResult](s, "DescribeRouteTables", &api.DescribeRouteTablesRequest{
		Filters: append(inVpc(of.vpc), api.Filter{Name: filter, Values: []string{value}})})
	if err != nil {
		return "", err
	}
	for i := range res.RouteTables {
		for j := range res.RouteTables[i].Associations {
			if a := &res.RouteTables[i].Associations[j]; is(a) {
				return a.RouteTableAssociationId, nil
			}
		}
	}
	return "", &failure{exit: api.ExitNotFound, refusal: api.Error{Code: "InvalidAssociationID.NotFound",
		Message: of.String() + " has no route table of its own, but the main one", Hint: "vpc rt associate TABLE --subnet " + of.arg()}}
}
