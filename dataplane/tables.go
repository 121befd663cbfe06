package dataplane

import (
	"fmt"
	"hash/fnv"
	gomaps "maps"
	"net/netip"
	"slices"

	"github.com/vpcfabric/vpc/dataplane/delta"
	"github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// routeSet are the routes of a table as the programs have them.
type routeSet = delta.Set[spec.RouteKey, maps.Route]

// table is what one route table is made into, and what of: a table that would be
// made of the same is not made again.
type table struct {
	from *spec.RouteSet
	out  map[spec.VPC]maps.Slot
	set  *routeSet
	// version digests the routes.
	version uint32
}

// routeTables gives each route to another VPC the way out of the VPC whose ports
// use the table.
func (x *expander) routeTables() {
	of := map[spec.RouteTable]spec.VPC{}
	for _, p := range x.h.Ports {
		of[p.Table] = p.VPC
	}
	for id, set := range x.h.Routes {
		out := x.waysOut(of[id], set.Peers())
		made, known := x.before[id]
		if !known || made.from != set || !gomaps.Equal(made.out, out) {
			made = makeTable(id, set, out)
		}
		x.tables[id], x.routes[id] = made, made.set
	}
}

func makeTable(id spec.RouteTable, from *spec.RouteSet, out map[spec.VPC]maps.Slot) table {
	objects := make(map[spec.RouteKey]maps.Route, from.Len())
	dests := make([]netip.Prefix, 0, from.Len())
	for dest, r := range from.All() {
		made := maps.Route{Route: r}
		if r.Target == spec.PeerVPC {
			made.Out = out[r.Peer]
		}
		objects[spec.RouteKey{Table: id, Dest: dest}] = made
		dests = append(dests, dest)
	}
	slices.SortFunc(dests, maps.ComparePrefixes)
	h := fnv.New32a()
	for _, dest := range dests {
		fmt.Fprintln(h, dest, objects[spec.RouteKey{Table: id, Dest: dest}])
	}
	return table{from, out, delta.MakeSet(objects), h.Sum32()}
}
