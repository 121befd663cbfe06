package spec

import (
	"iter"
	"maps"
	"net/netip"
	"slices"
)

// RouteSet are the routes of one table, by destination. It is made once and never
// changes, so the very set of before needs no second look, however long it is; two
// that are not the same one may be equal all the same.
type RouteSet struct {
	routes map[netip.Prefix]Route
	peers  []VPC
}

// MakeRoutes takes the map over: nobody may change it from then on.
func MakeRoutes(routes map[netip.Prefix]Route) *RouteSet {
	s := &RouteSet{routes: routes}
	for _, r := range routes {
		if r.Target == PeerVPC {
			s.peers = append(s.peers, r.Peer)
		}
	}
	slices.Sort(s.peers)
	s.peers = slices.Compact(s.peers)
	return s
}

// All yields destinations in no order.
func (s *RouteSet) All() iter.Seq2[netip.Prefix, Route] { return maps.All(s.routes) }

// Len is the number of routes.
func (s *RouteSet) Len() int { return len(s.routes) }

// Get is the route to exactly this destination.
func (s *RouteSet) Get(dest netip.Prefix) (r Route, ok bool) {
	r, ok = s.routes[dest]
	return r, ok
}

// Equal compares content. No set is equal to none.
func (s *RouteSet) Equal(o *RouteSet) bool {
	return s == o || s != nil && o != nil && maps.Equal(s.routes, o.routes)
}

// Peers are the VPCs that routes lead into, in order, each once.
func (s *RouteSet) Peers() []VPC { return s.peers }
