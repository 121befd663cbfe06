package maps

import (
	"cmp"
	"context"
	"net/netip"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/delta"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// CompareRoutes orders by table, then destination.
func CompareRoutes(a, b spec.RouteKey) int {
	return cmp.Or(cmp.Compare(a.Table, b.Table), a.Dest.Addr().Compare(b.Dest.Addr()), cmp.Compare(a.Dest.Bits(), b.Dest.Bits()))
}

// Route is a route, and the link that leads to the peer's VPC.
type Route struct {
	spec.Route
	// Out is the link's slot and 1; 0 is none.
	Out Slot
}

// Routes is the driver of the routes of all tables.
func (m *Maps) Routes() delta.Driver[spec.RouteKey, Route] { return routes{m} }

type routes struct{ *Maps }

const tableBits = 32

func routeKey(k spec.RouteKey) (out bpf.RouteKey) {
	out.Prefixlen = uint32(tableBits + bits128(k.Dest))
	out.Table = hostOrder(uint32(k.Table))
	out.Addr.W = words(k.Dest.Addr())
	return out
}

// covers is the prefix as an element repeats it; IPv6 covers no IPv4 address,
// also where the prefix is that of IPv4 in IPv6.
func covers(p netip.Prefix) (net, mask uint32) {
	if !p.Addr().Is4() {
		return ^uint32(0), 0
	}
	return be32(p.Masked().Addr()), maskOf(p.Bits())
}

func (d routes) Observe(context.Context, map[spec.RouteKey]Route) (map[spec.RouteKey]Route, error) {
	out := map[spec.RouteKey]Route{}
	err := each(d.m["routes"], func(k bpf.RouteKey, v bpf.Route) {
		a, bits := addrOf(k.Addr.W), int(k.Prefixlen)-tableBits
		if a.Is4() {
			bits -= 96
		}
		key := spec.RouteKey{Table: spec.RouteTable(hostOrder(k.Table)), Dest: netip.PrefixFrom(a, bits)}
		r := Route{Route: spec.Route{Target: spec.Target(v.Target), Peer: spec.VPC(v.Peer)}, Out: Slot(v.Out)}
		if v.Via != 0 {
			r.Via = addr4(v.Via)
		}
		if net, mask := covers(key.Dest); v.Table != k.Table || v.Net != net || v.Mask != mask {
			r = Route{} // the programs do not follow it
		}
		out[key] = r
	})
	return out, err
}

func (d routes) Put(_ context.Context, k spec.RouteKey, r Route) error {
	key := routeKey(k)
	d.gen.changed = true
	writes.Add(1)
	v := bpf.Route{Target: uint32(r.Target), Table: key.Table, Peer: uint32(r.Peer), Out: uint32(r.Out)}
	v.Net, v.Mask = covers(k.Dest)
	if r.Via.IsValid() {
		v.Via = be32(r.Via)
	}
	return d.m["routes"].Put(key, v)
}

func (d routes) Delete(_ context.Context, k spec.RouteKey) error {
	d.gen.changed = true
	return remove(d.m["routes"], routeKey(k))
}
