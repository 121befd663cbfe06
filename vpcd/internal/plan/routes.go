package plan

import (
	"fmt"
	"net/netip"

	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// routed are the routes of one table, and all that they were made of: where each
// target led, and what each list was. As long as these are the same, so are the
// routes.
type routed struct {
	table   spec.RouteTable
	set     *spec.RouteSet
	record  *record.RouteTable
	targets map[routeTarget]spec.Route
	lists   map[string]*record.PrefixList
}

// routeTarget is what a route says of where it leads.
type routeTarget struct{ gateway, nat, eni, peering string }

func targetOf(r api.Route) routeTarget {
	return routeTarget{r.GatewayId, r.NatGatewayId, r.NetworkInterfaceId, r.VpcPeeringConnectionId}
}

// target is where a route leads, and is remembered.
func (x *routed) target(b *builder, r api.Route) spec.Route {
	to, known := x.targets[targetOf(r)]
	if !known {
		to = b.target(x.record.Table.VpcId, targetOf(r))
		x.targets[targetOf(r)] = to
	}
	return to
}

// ownLinkLocal is where AWS has services of its own.
var ownLinkLocal = netip.MustParsePrefix("169.254.168.0/22")

// routes are those of the subnet's table: its own, or the main one.
func (b *builder) routes(vpc *record.Vpc, s *record.Subnet) (*routed, error) {
	t, err := b.tableOf(vpc, s)
	if err != nil {
		return nil, err
	}
	id := t.Table.RouteTableId
	if out, ok := b.routed[id]; ok {
		return out, nil
	}
	out := b.before[id]
	if !out.holds(b, t) {
		if out, err = b.route(t, out); err != nil {
			return nil, fmt.Errorf("route table %s: %w", id, err)
		}
	}
	b.routed[id] = out
	return out, nil
}

// route makes the routes of a table. They are the very set of before where that
// has the same.
func (b *builder) route(t *record.RouteTable, before *routed) (*routed, error) {
	out := &routed{table: spec.RouteTable(t.Index), record: t, targets: map[routeTarget]spec.Route{}, lists: map[string]*record.PrefixList{}}
	dests := map[netip.Prefix]spec.Route{}
	for _, add := range []func(*routed, map[netip.Prefix]spec.Route) error{b.static, b.followed} {
		if err := add(out, dests); err != nil {
			return nil, err
		}
	}
	reserve(dests)
	out.set = spec.MakeRoutes(dests)
	if before != nil && out.set.Equal(before.set) {
		out.set = before.set
	}
	return out, nil
}

// static adds the routes to CIDRs.
func (b *builder) static(x *routed, dests map[netip.Prefix]spec.Route) error {
	for _, r := range x.record.Table.Routes {
		if r.DestinationPrefixListId != "" {
			continue
		}
		dest, err := prefix(r.DestinationCidrBlock)
		if err != nil {
			return err
		}
		dests[dest] = x.target(b, r)
	}
	return nil
}

// followed adds the routes to prefix lists, one for each entry. Where several
// have one destination, a CIDR wins, then the list whose route is older. What is
// local stays local: no entry of a list takes a part out of the VPC. A list that
// is gone, or is not of the table's account, leads nowhere.
func (b *builder) followed(x *routed, dests map[netip.Prefix]spec.Route) error {
	t := x.record
	var local []netip.Prefix
	for _, r := range t.Table.Routes {
		if own, err := prefix(r.DestinationCidrBlock); err == nil && r.Origin == api.RouteOriginCreateRouteTable {
			local = append(local, own)
		}
	}
	for dest, r := range dests {
		if r.Target == spec.Local {
			local = append(local, dest)
		}
	}
	for _, r := range t.Table.Routes {
		if r.DestinationPrefixListId == "" {
			continue
		}
		list, ok := b.w.Lists[r.DestinationPrefixListId]
		x.lists[r.DestinationPrefixListId] = list
		if !ok || list.List.OwnerId != t.Table.OwnerId {
			continue
		}
		target := x.target(b, r)
		for _, e := range list.Entries {
			dest, err := prefix(e.Cidr)
			if err != nil {
				return fmt.Errorf("prefix list %s: %w", r.DestinationPrefixListId, err)
			}
			if _, taken := dests[dest]; !taken && !within(dest, local...) {
				dests[dest] = target
			}
		}
	}
	return nil
}

// reserve keeps gateways and interfaces from AWS's own addresses: a route to a part of them is
// none, and one that covers them does not take what goes there.
func reserve(dests map[netip.Prefix]spec.Route) {
	covered := false
	for dest, r := range dests {
		switch {
		case r.Target == spec.Local || r.Target == spec.Blackhole:
		case within(dest, ownLinkLocal):
			delete(dests, dest)
		case dest.Contains(ownLinkLocal.Addr()):
			covered = true
		}
	}
	if covered {
		dests[ownLinkLocal] = spec.Route{Target: spec.Blackhole}
	}
}

// within says whether p is one of these, or a part of one.
func within(p netip.Prefix, all ...netip.Prefix) bool {
	for _, q := range all {
		if q.Overlaps(p) && q.Bits() <= p.Bits() {
			return true
		}
	}
	return false
}

// target is where a route leads. Whatever leads nowhere, or nowhere that is
// built, still wins its destination, and drops.
func (b *builder) target(vpc string, r routeTarget) spec.Route {
	eni := r.eni
	switch {
	case r.gateway == "local":
		return spec.Route{Target: spec.Local}
	case b.w.GatewayAttached(r.gateway, vpc):
		return spec.Route{Target: spec.InternetGateway}
	case r.nat != "":
		eni = b.w.NatInterface(r.nat)
	}
	if peer, ok := b.across(r.peering, vpc); ok {
		return spec.Route{Target: spec.PeerVPC, Peer: peer}
	}
	if via, ok := b.via(eni, vpc); ok {
		return spec.Route{Target: spec.Interface, Via: via}
	}
	return spec.Route{Target: spec.Blackhole}
}

// via is the address of an interface that something uses, in this VPC.
func (b *builder) via(eni, vpcID string) (netip.Addr, bool) {
	n := b.w.Interfaces[eni]
	if !n.InUse() || n.Interface.VpcId != vpcID || b.doubtful[eni] != nil {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(n.Interface.PrivateIpAddress)
	return a, err == nil
}

// tables finds the route table of a subnet without a look at all of them: a
// plan asks once for each interface.
type tables struct {
	main map[string]string    // VPC → key of its main table
	of   map[[2]string]string // VPC and subnet → key of the subnet's own table
}

func tablesOf(w *record.World) tables {
	t := tables{main: map[string]string{}, of: map[[2]string]string{}}
	for _, key := range sortedKeys(w.Tables) {
		table := &w.Tables[key].Table
		for _, a := range table.Associations {
			subnet := [2]string{table.VpcId, a.SubnetId}
			if _, taken := t.of[subnet]; !taken {
				t.of[subnet] = key
			}
			if a.Main != nil && *a.Main {
				t.main[table.VpcId] = key
			}
		}
	}
	return t
}

func (b *builder) tableOf(vpc *record.Vpc, s *record.Subnet) (*record.RouteTable, error) {
	key, own := b.tables.of[[2]string{vpc.Vpc.VpcId, s.Subnet.SubnetId}]
	if !own {
		var ok bool
		if key, ok = b.tables.main[vpc.Vpc.VpcId]; !ok {
			return nil, fmt.Errorf("VPC %s has no main route table", vpc.Vpc.VpcId)
		}
	}
	return b.w.Tables[key], b.doubtful[key]
}
