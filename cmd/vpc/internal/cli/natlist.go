package cli

import (
	"slices"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// findNats leaves out what is only remembered, unless an id names it: the name of
// a gateway that is gone is free for another one.
func findNats(s *session, ids []string, filters []api.Filter) ([]object, error) {
	res, err := ask[api.DescribeNatGatewaysResult](s, "DescribeNatGateways", &api.DescribeNatGatewaysRequest{NatGatewayIds: ids, Filter: filters})
	if err != nil {
		return nil, err
	}
	return objects(slices.DeleteFunc(res.NatGateways, func(n api.NatGateway) bool { return len(ids) == 0 && !natLives(&n) }), natObject), nil
}

func natObject(v *api.NatGateway) object {
	return object{kind: "nat", id: v.NatGatewayId, name: nameOf(v.Tags), vpc: v.VpcId}
}

// natLives is false for a gateway that has failed, or that somebody has deleted.
func natLives(n *api.NatGateway) bool {
	return n.State == api.NatGatewayStatePending || n.State == api.NatGatewayStateAvailable
}

// natAddresses are the addresses of a gateway, each public one with its private one.
func natAddresses(n *api.NatGateway) string {
	var out []string
	for _, a := range n.NatGatewayAddresses {
		switch {
		case a.PublicIp != "":
			out = append(out, a.PublicIp+"="+a.PrivateIp)
		case a.PrivateIp != "":
			out = append(out, a.PrivateIp)
		}
	}
	return strings.Join(out, ",")
}

func (s *session) listNats() error {
	filters, err := s.scopeFilters()
	if err != nil {
		return err
	}
	res, err := ask[api.DescribeNatGatewaysResult](s, "DescribeNatGateways", &api.DescribeNatGatewaysRequest{Filter: filters})
	if err != nil {
		return doing("list NAT gateways", err)
	}
	vpcs, subnets := s.names(vpcNoun), s.names(subnetNoun)
	t := &table{head: []string{"NAME", "ID", "VPC", "SUBNET", "STATE", "TYPE", "ADDRESSES", "FAILURE", "TAGS"}, wide: 7}
	var ids []string
	for i := range res.NatGateways {
		n := &res.NatGateways[i]
		ids = append(ids, n.NatGatewayId)
		t.add(nameOf(n.Tags), n.NatGatewayId, firstOf(vpcs[n.VpcId], n.VpcId), firstOf(subnets[n.SubnetId], n.SubnetId), n.State, n.ConnectivityType,
			natAddresses(n), n.FailureCode, tagList(n.Tags))
	}
	return s.emit(res, ids, func() { s.print(t) })
}

func (s *session) showNat(ref string) error {
	o, err := s.scoped(natNoun, ref)
	if err != nil {
		return err
	}
	res, err := ask[api.DescribeNatGatewaysResult](s, "DescribeNatGateways", &api.DescribeNatGatewaysRequest{NatGatewayIds: []string{o.id}})
	if err != nil {
		return doing("show "+o.String(), err)
	}
	vpcs, subnets := s.names(vpcNoun), s.names(subnetNoun)
	return s.emit(res, []string{o.id}, func() {
		for i := range res.NatGateways {
			n := &res.NatGateways[i]
			s.fields("Name", nameOf(n.Tags), "Id", n.NatGatewayId, "VPC", both(vpcs[n.VpcId], n.VpcId), "Subnet", both(subnets[n.SubnetId], n.SubnetId),
				"State", n.State, "Type", n.ConnectivityType, "Failure", strings.TrimSpace(n.FailureMessage+" "+bracketed(n.FailureCode)), "Tags", tagList(n.Tags))
			s.say("")
			t := &table{head: []string{"PRIVATE", "PUBLIC", "STATUS", "PRIMARY", "ENI", "ALLOCATION"}, wide: 4}
			for _, a := range n.NatGatewayAddresses {
				t.add(a.PrivateIp, a.PublicIp, a.Status, yesNo(a.IsPrimary), a.NetworkInterfaceId, a.AllocationId)
			}
			s.print(t)
		}
	})
}

// bracketed is a code as errors show it, "" for none.
func bracketed(code string) string {
	if code == "" {
		return ""
	}
	return "[" + code + "]"
}

// warnNoWayOut tells people that a public NAT gateway, which was just made, has no
// internet gateway to send to. It is best effort.
func (s *session) warnNoWayOut(subnet object) {
	tables, err := ask[api.DescribeRouteTablesResult](s, "DescribeRouteTables", &api.DescribeRouteTablesRequest{Filters: inVpc(subnet.vpc)})
	if err != nil {
		return
	}
	if t := tableFor(tables.RouteTables, &api.Subnet{SubnetId: subnet.id, VpcId: subnet.vpc}); t != nil && wayOut(t) == "" {
		o := tableObject(t)
		s.warn("subnet %s has no route to an internet gateway, so the NAT gateway reaches nothing: vpc route add %s 0.0.0.0/0 --to igw:NAME", subnet.short(), o.arg())
	}
}

// warnOwnSubnet tells people that the default route of a NAT gateway's own subnet
// leads back to it. It is best effort.
func (s *session) warnOwnSubnet(table object, nat string) {
	res, err := ask[api.DescribeNatGatewaysResult](s, "DescribeNatGateways", &api.DescribeNatGatewaysRequest{NatGatewayIds: []string{nat}})
	if err != nil || len(res.NatGateways) == 0 {
		return
	}
	n := &res.NatGateways[0]
	tables, err := ask[api.DescribeRouteTablesResult](s, "DescribeRouteTables", &api.DescribeRouteTablesRequest{Filters: inVpc(n.VpcId)})
	if err != nil {
		return
	}
	t := tableFor(tables.RouteTables, &api.Subnet{SubnetId: n.SubnetId, VpcId: n.VpcId})
	if t != nil && t.RouteTableId == table.id {
		s.warn("%s stands in a subnet with %s itself, and what it sends comes back to it: give the subnets behind it a table of their own", natObject(n), table)
	}
}
