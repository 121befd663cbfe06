package service

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vpcfabric/vpc/ipam"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// destination is where a route leads to: exactly one is set, a CIDR in canonical
// form or the id of a prefix list.
type destination struct{ cidr, list string }

// parseDestination reads the three members of which a request has one.
func parseDestination(cidr, cidr6, list string) (destination, error) {
	given := 0
	for _, text := range []string{cidr, cidr6, list} {
		if text != "" {
			given++
		}
	}
	switch {
	case given == 0:
		return destination{}, api.Errorf("MissingParameter", "DestinationCidrBlock", "the request must contain the parameter DestinationCidrBlock, 0.0.0.0/0 for all, or DestinationPrefixListId")
	case given > 1:
		return destination{}, api.Errorf("InvalidParameterCombination", "DestinationCidrBlock", "a route has one destination: set DestinationCidrBlock, DestinationIpv6CidrBlock or DestinationPrefixListId")
	case cidr6 != "":
		return destination{}, api.Errorf("UnsupportedOperation", "DestinationIpv6CidrBlock", "routes for IPv6 are not built yet: leave DestinationIpv6CidrBlock out")
	case list != "":
		return destination{list: list}, nil
	}
	canonical, err := parseRuleSource(cidr, "DestinationCidrBlock")
	return destination{cidr: canonical}, err
}

// field is the request member that names the destination.
func (d destination) field() string {
	if d.list != "" {
		return "DestinationPrefixListId"
	}
	return "DestinationCidrBlock"
}

func (d destination) String() string { return d.cidr + d.list }

// of says whether a route is the one to this destination.
func (d destination) of(r api.Route) bool {
	return r.DestinationCidrBlock == d.cidr && r.DestinationPrefixListId == d.list
}

// find is the place of the route in a table, -1 where there is none.
func (d destination) find(table *record.RouteTable) int {
	return slices.IndexFunc(table.Table.Routes, d.of)
}

// createRoute adds a route to a gateway or an interface. Codes:
// RouteAlreadyExists, RouteLimitExceeded, those of the ids, InvalidParameterValue
// for a destination inside the VPC that the target cannot have and for a target
// in another one, UnsupportedOperation for other targets.
func (s *Service) createRoute(ctx context.Context, caller Caller, req *api.CreateRouteRequest) (*api.CreateRouteResult, int64, error) {
	same := api.ReplaceRouteRequest{VpcEndpointId: req.VpcEndpointId, EgressOnlyInternetGatewayId: req.EgressOnlyInternetGatewayId, InstanceId: req.InstanceId,
		NatGatewayId: req.NatGatewayId, TransitGatewayId: req.TransitGatewayId, LocalGatewayId: req.LocalGatewayId, CarrierGatewayId: req.CarrierGatewayId,
		NetworkInterfaceId: req.NetworkInterfaceId, VpcPeeringConnectionId: req.VpcPeeringConnectionId, CoreNetworkArn: req.CoreNetworkArn, GatewayId: req.GatewayId}
	t, err := checkTarget(&same)
	if err != nil {
		return nil, 0, err
	}
	to, err := parseDestination(req.DestinationCidrBlock, req.DestinationIpv6CidrBlock, req.DestinationPrefixListId)
	if err != nil {
		return nil, 0, err
	}
	revision, err := s.editRoutes(ctx, caller, req.DryRun, req.RouteTableId, to, func(c *change, table *record.RouteTable) ([]api.Route, error) {
		t, err := c.checkRoute(table, to, t)
		if err != nil {
			return nil, err
		}
		if to.find(table) >= 0 {
			e := api.Errorf("RouteAlreadyExists", to.field(), "the route identified by %s already exists in %s: replace it, or choose another destination", to, req.RouteTableId)
			return nil, hinted(e, "vpc route set %s %s --to TARGET", req.RouteTableId, to)
		}
		made := api.Route{DestinationCidrBlock: to.cidr, DestinationPrefixListId: to.list, Origin: api.RouteOriginCreateRoute}
		t.into(&made)
		routes := slices.Concat(table.Table.Routes, []api.Route{made})
		return routes, c.checkLimit(limitRoutes, routeWeight(c.tx, routes))
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.CreateRouteResult{Return: api.Ptr(true)}, revision, nil
}

// replaceRoute gives a route another target in one step. LocalTarget brings a
// local route back to what it was made with. Codes: those of createRoute for the
// target, InvalidParameterValue where there is no such route, which is EC2's
// code as well.
func (s *Service) replaceRoute(ctx context.Context, caller Caller, req *api.ReplaceRouteRequest) (*api.ReplaceRouteResult, int64, error) {
	t, err := checkTarget(req)
	if err != nil {
		return nil, 0, err
	}
	to, err := parseDestination(req.DestinationCidrBlock, req.DestinationIpv6CidrBlock, req.DestinationPrefixListId)
	if err != nil {
		return nil, 0, err
	}
	revision, err := s.editRoutes(ctx, caller, req.DryRun, req.RouteTableId, to, func(c *change, table *record.RouteTable) ([]api.Route, error) {
		t, err := c.checkRoute(table, to, t)
		if err != nil {
			return nil, err
		}
		i := to.find(table)
		if i < 0 {
			e := api.Errorf("InvalidParameterValue", to.field(), "there is no route defined for '%s' in the route table %s: use CreateRoute instead", to, req.RouteTableId)
			return nil, hinted(e, "vpc route add %s %s --to TARGET; vpc rt show %s", req.RouteTableId, to, req.RouteTableId)
		}
		routes := slices.Clone(table.Table.Routes)
		if t.local && routes[i].Origin != api.RouteOriginCreateRouteTable {
			return nil, api.Errorf("InvalidParameterValue", "LocalTarget", "the route to %s has not been a local one: local is the target of routes to the CIDRs of %s only", to, table.Table.VpcId)
		}
		t.into(&routes[i])
		return routes, nil
	})
	return &api.ReplaceRouteResult{}, revision, err
}

// deleteRoute removes a route; those to the CIDRs of the VPC stay. Codes:
// InvalidRoute.NotFound, InvalidParameterValue for a local route.
func (s *Service) deleteRoute(ctx context.Context, caller Caller, req *api.DeleteRouteRequest) (*api.DeleteRouteResult, int64, error) {
	to, err := parseDestination(req.DestinationCidrBlock, req.DestinationIpv6CidrBlock, req.DestinationPrefixListId)
	if err != nil {
		return nil, 0, err
	}
	revision, err := s.editRoutes(ctx, caller, req.DryRun, req.RouteTableId, to, func(c *change, table *record.RouteTable) ([]api.Route, error) {
		i := to.find(table)
		if i < 0 {
			e := api.Errorf("InvalidRoute.NotFound", to.field(), "no route with destination %s in route table %s; DescribeRouteTables lists those that there are", to, req.RouteTableId)
			return nil, hinted(e, "vpc rt show %s", req.RouteTableId)
		}
		if table.Table.Routes[i].Origin == api.RouteOriginCreateRouteTable {
			e := api.Errorf("InvalidParameterValue", to.field(), "cannot remove local route %s in route table %s: it stays as long as its CIDR is one of %s", to, req.RouteTableId, table.Table.VpcId)
			return nil, hinted(e, "vpc route set %s %s --to local, if it has another target", req.RouteTableId, to)
		}
		return slices.Delete(slices.Clone(table.Table.Routes), i, i+1), nil
	})
	return &api.DeleteRouteResult{}, revision, err
}

// editRoutes writes the routes of a table that edit makes of those it has. edit
// returns a new slice. A list that is the destination is read under guard: who
// deletes it has to see the route.
func (s *Service) editRoutes(ctx context.Context, caller Caller, dryRun *bool, tableID string, to destination, edit func(*change, *record.RouteTable) ([]api.Route, error)) (int64, error) {
	return s.mutate(ctx, caller, dryRun, func(c *change) error {
		table, err := getTable(c.tx, caller, tableID)
		if err != nil {
			return err
		}
		if to.list != "" {
			if _, err := listKind.getAs(c.tx, caller, to.list, to.field()); err != nil {
				return err
			}
		}
		changed := *table
		if changed.Table.Routes, err = edit(c, table); err != nil {
			return err
		}
		c.putTable(&changed)
		return nil
	})
}

// ownLinkLocal is where AWS has services of its own; no route may lead there.
var ownLinkLocal = netip.MustParsePrefix("169.254.168.0/22")

// checkRoute says whether a table may have a route to this target, and answers
// the target as the table has it. It does not look at the routes that the table
// has.
func (c *change) checkRoute(table *record.RouteTable, to destination, t target) (target, error) {
	if to.cidr != "" && !t.local {
		if err := c.checkDestination(table, netip.MustParsePrefix(to.cidr), t); err != nil {
			return t, err
		}
	}
	return c.resolveTarget(table, t)
}

// checkDestination refuses AWS's own addresses, and parts of the VPC: only an
// interface or a NAT gateway may take one, and only a CIDR of the VPC or of one of
// its subnets as a whole. A new CIDR of the VPC changes its record, and so makes
// this run again; a subnet that goes leaves its route without traffic.
func (c *change) checkDestination(table *record.RouteTable, cidr netip.Prefix, t target) error {
	const field = "DestinationCidrBlock"
	if ipam.Covers(ownLinkLocal, cidr) {
		return api.Errorf("InvalidParameterValue", field, "the destination %s lies in %s, which is reserved: use another one", cidr, ownLinkLocal)
	}
	vpc, err := getVpc(c.tx, c.caller, table.Table.VpcId)
	if err != nil {
		return err
	}
	for _, own := range vpcPrefixes(vpc) {
		if !ipam.Covers(own, cidr) {
			continue
		}
		if !t.inside() {
			e := api.Errorf("InvalidParameterValue", field, "route target is not supported: the destination CIDR block %s is equal to or more specific than %s of %s, and such a route can target only an interface, an instance or a NAT gateway", cidr, own, table.Table.VpcId)
			return hinted(e, "a destination outside %s, or --to eni:NAME or nat:NAME", own)
		}
		if cidr != own && !isSubnet(c.tx.Peek(), table.Table.VpcId, cidr) {
			e := api.Errorf("InvalidParameterValue", field, "the destination CIDR block %s is more specific than %s of %s and is not the CIDR of a subnet: such a route has to take a subnet as a whole", cidr, own, table.Table.VpcId)
			return hinted(e, "vpc subnet list --vpc %s shows their CIDRs", table.Table.VpcId)
		}
	}
	return nil
}

// hinted is the error with something to try.
func hinted(e *api.Error, format string, args ...any) error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// isSubnet says whether a VPC has a subnet of exactly that CIDR.
func isSubnet(r store.Reader, vpcID string, cidr netip.Prefix) bool {
	return slices.ContainsFunc(inVpc(r, record.Subnets, vpcID, func(v *record.Subnet) string { return v.Subnet.VpcId }), func(v *record.Subnet) bool {
		return v.Subnet.CidrBlock == cidr.String()
	})
}

// routeWeight counts routes as the quota does: a prefix list as many times as it
// may have entries. Local routes are EC2's own and do not count.
func routeWeight(r store.Reader, routes []api.Route) int {
	n := 0
	for i := range routes {
		switch list := routes[i].DestinationPrefixListId; {
		case routes[i].Origin == api.RouteOriginCreateRouteTable:
		case list == "":
			n++
		default:
			if l, ok := store.Get[*record.PrefixList](r, record.Lists+list); ok {
				n += int(api.Val(l.List.MaxEntries))
			}
		}
	}
	return n
}

// tablesWithList are the tables that have a route for the list, in order of ids.
func tablesWithList(r store.Reader, id string) []*record.RouteTable {
	to := destination{list: id}
	var out []*record.RouteTable
	for _, table := range store.List[*record.RouteTable](r, record.Tables) {
		if to.find(table) >= 0 {
			out = append(out, table)
		}
	}
	return out
}

// checkRouteQuota names the tables in which a list has become too large.
func (c *change) checkRouteQuota(listID string) error {
	limit := c.limit(c.tx.Peek(), limitRoutes)
	var over []api.Blocker
	for _, table := range tablesWithList(c.tx, listID) {
		if n := routeWeight(c.tx, table.Table.Routes); int64(n) > limit {
			over = append(over, api.Blocker{Kind: "rt", Id: table.Table.RouteTableId, Name: nameTag(table.Table.Tags), Detail: fmt.Sprintf("%d routes", n)})
		}
	}
	if len(over) == 0 {
		return nil
	}
	return &api.Error{
		Code: quotas[limitRoutes].code, Field: "MaxEntries", BlockedBy: over,
		Message: fmt.Sprintf("the limit %s is %d, and with that size of the list these route tables would have more: %s", limitRoutes, limit, blockerIDs(over)),
		Hint:    "a smaller size, or a higher limit: vpc limits",
	}
}
