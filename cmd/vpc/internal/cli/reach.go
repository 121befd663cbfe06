package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// tableFor is the route table of a subnet: its own, or the main one of its VPC.
func tableFor(tables []api.RouteTable, n *api.Subnet) *api.RouteTable {
	var main *api.RouteTable
	for i := range tables {
		t := &tables[i]
		if slices.ContainsFunc(t.Associations, func(a api.RouteTableAssociation) bool { return a.SubnetId == n.SubnetId }) {
			return t
		}
		if t.VpcId == n.VpcId && isMainTable(t) {
			main = t
		}
	}
	return main
}

// wayOut is the internet gateway that a table has an active route to, "" for none:
// what makes a subnet public.
func wayOut(t *api.RouteTable) string {
	for i := range t.Routes {
		if r := &t.Routes[i]; strings.HasPrefix(r.GatewayId, igwNoun.prefix) && r.State == api.RouteStateActive {
			return r.GatewayId
		}
	}
	return ""
}

// targetNames maps what routes can lead to in the forest, by id.
func (f *forest) targetNames() map[string]string {
	out := map[string]string{}
	for i := range f.InternetGateways {
		g := &f.InternetGateways[i]
		out[g.InternetGatewayId] = nameOf(g.Tags)
	}
	for i := range f.VpcPeeringConnections {
		p := &f.VpcPeeringConnections[i]
		out[p.VpcPeeringConnectionId] = nameOf(p.Tags)
	}
	for i := range f.NatGateways {
		out[f.NatGateways[i].NatGatewayId] = nameOf(f.NatGateways[i].Tags)
	}
	for i := range f.NetworkInterfaces {
		out[f.NetworkInterfaces[i].NetworkInterfaceId] = nameOf(f.NetworkInterfaces[i].TagSet)
	}
	return out
}

// reach is " public" or " private" with what makes the subnet so.
func (f *forest) reach(n *api.Subnet) string {
	t := tableFor(f.RouteTables, n)
	if t == nil {
		return ""
	}
	name := tableObject(t).short()
	if id := wayOut(t); id != "" {
		return fmt.Sprintf(" public (rt %s, igw %s)", name, firstOf(f.targetNames()[id], id))
	}
	return fmt.Sprintf(" private (rt %s)", name)
}

// warnUnreachable tells people that a default route by a gateway, which was just
// made, is of no use yet: a gateway passes only what has a public address. It is
// best effort, as the route is there in any case.
func (s *session) warnUnreachable(table object) {
	filters := inVpc(table.vpc)
	tables, err := ask[api.DescribeRouteTablesResult](s, "DescribeRouteTables", &api.DescribeRouteTablesRequest{Filters: filters})
	if err != nil {
		return
	}
	subnets, err := ask[api.DescribeSubnetsResult](s, "DescribeSubnets", &api.DescribeSubnetsRequest{Filters: filters})
	if err != nil {
		return
	}
	enis, err := ask[api.DescribeNetworkInterfacesResult](s, "DescribeNetworkInterfaces", &api.DescribeNetworkInterfacesRequest{Filters: filters})
	if err != nil {
		return
	}
	var names []string
	for i := range subnets.Subnets {
		n := &subnets.Subnets[i]
		if t := tableFor(tables.RouteTables, n); t == nil || t.RouteTableId != table.id || api.Val(n.MapPublicIpOnLaunch) || hasPublic(enis.NetworkInterfaces, n.SubnetId) {
			continue
		}
		names = append(names, subnetObject(n).short())
	}
	if len(names) > 0 {
		s.warn("nothing in subnet %s has a public address, and the gateway passes nothing else: vpc eip associate, or vpc attach --public", strings.Join(names, ", "))
	}
}

// hasPublic says whether an interface in the subnet has a public address.
func hasPublic(enis []api.NetworkInterface, subnetID string) bool {
	return slices.ContainsFunc(enis, func(e api.NetworkInterface) bool { return e.SubnetId == subnetID && publicAddresses(&e) != "" })
}

// warn writes a line that changes neither the result nor the exit code.
func (s *session) warn(format string, args ...any) {
	fmt.Fprintln(s.Stderr, safe("warning: "+fmt.Sprintf(format, args...)))
}
