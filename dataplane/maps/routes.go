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

// Routes is the driver of the routes of all tables.
func (m *Maps) Routes() delta.Driver[spec.RouteKey, spec.Route] { return routes{m} }

type routes struct{ *Maps }

const tableBits = 32

func routeKey(k spec.RouteKey) (out bpf.RouteKey) {
	out.Prefixlen = uint32(tableBits + bits128(k.Dest))
	out.Table = hostOrder(uint32(k.Table))
	out.Addr.W = words(k.Dest.Addr())
	return out
}

func (d routes) Observe(context.Context, map[spec.RouteKey]spec.Route) (map[spec.RouteKey]spec.Route, error) {
	out := map[spec.RouteKey]spec.Route{}
	err := each(d.m["routes"], func(k bpf.RouteKey, v bpf.Route) {
		a, bits := addrOf(k.Addr.W), int(k.Prefixlen)-tableBits
		if a.Is4() {
			bits -= 96
		}
		key := spec.RouteKey{Table: spec.RouteTable(hostOrder(k.Table)), Dest: netip.PrefixFrom(a, bits)}
		r := spec.Route{Target: spec.Target(v.Target)}
		if v.Table != k.Table {
			r = spec.Route{} // the programs do not follow it
		}
		out[key] = r
	})
	return out, err
}

func (d routes) Put(_ context.Context, k spec.RouteKey, r spec.Route) error {
	key := routeKey(k)
	d.gen.changed = true
	writes.Add(1)
	return d.m["routes"].Put(key, bpf.Route{Target: uint32(r.Target), Table: key.Table})
}

func (d routes) Delete(_ context.Context, k spec.RouteKey) error {
	d.gen.changed = true
	return remove(d.m["routes"], routeKey(k))
}
