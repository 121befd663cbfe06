package maps

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/delta"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// Endpoint is an endpoint and the slot of its port.
type Endpoint struct {
	spec.Endpoint
	Slot Slot
	// Public is the address that stands for this one at the VPC's internet
	// gateway; invalid: none does.
	Public netip.Addr
}

// CompareEndpoints orders by VPC, then address.
func CompareEndpoints(a, b spec.EndpointKey) int {
	if a.VPC != b.VPC {
		return int(int64(a.VPC) - int64(b.VPC))
	}
	return a.Addr.Compare(b.Addr)
}

// Endpoints is the driver of the endpoint table.
func (m *Maps) Endpoints() delta.Driver[spec.EndpointKey, Endpoint] { return endpoints{m} }

type endpoints struct{ *Maps }

func (d endpoints) Observe(context.Context, map[spec.EndpointKey]Endpoint) (map[spec.EndpointKey]Endpoint, error) {
	d.gen.known = false
	now, err := d.present()
	if err != nil {
		return nil, err
	}
	out := map[spec.EndpointKey]Endpoint{}
	err = each(d.m["endpoints"], func(k bpf.EndpointKey, v bpf.Endpoint) {
		out[spec.EndpointKey{VPC: spec.VPC(k.Vpc), Addr: addrOf(k.Addr.W)}] = decodeEndpoint(k, v, now)
	})
	return out, err
}

func decodeEndpoint(k bpf.EndpointKey, v bpf.Endpoint, now uint64) Endpoint {
	at, waits := newest([2]uint64{v.Member[0].Since, v.Member[1].Since}, now)
	if at < 0 || waits || v.Key != k {
		return Endpoint{} // half written: differs from whatever is wanted
	}
	e := Endpoint{Slot: Slot(v.Slot), Endpoint: spec.Endpoint{ENI: spec.ENI(v.Eni), Subnet: spec.SubnetID(v.Subnet), MAC: v.Mac}}
	if v.Public != 0 {
		e.Public = addr4(v.Public)
	}
	for i, g := range v.Member[at].Groups {
		e.Groups[i] = spec.Group(g)
	}
	return e
}

func endpointKey(k spec.EndpointKey) (out bpf.EndpointKey) {
	out.Vpc = uint32(k.VPC)
	out.Addr.W = words(k.Addr)
	return out
}

// Put writes the endpoint. Its place counts at once; its groups, if the address
// stays with its interface, count when they are published.
func (d endpoints) Put(_ context.Context, k spec.EndpointKey, e Endpoint) error {
	now, err := d.present()
	if err != nil {
		return err
	}
	key := endpointKey(k)
	v := bpf.Endpoint{Key: key, Eni: uint32(e.ENI), Slot: uint32(e.Slot), Subnet: uint32(e.Subnet), Mac: e.MAC}
	if e.Public.IsValid() {
		v.Public = be32(e.Public)
	}
	for i, g := range e.Groups {
		v.Member[0].Groups[i] = uint32(g)
	}
	var old bpf.Endpoint
	if d.m["endpoints"].Lookup(key, &old) == nil && old.Eni == v.Eni {
		if at, _ := newest([2]uint64{old.Member[0].Since, old.Member[1].Since}, now); at >= 0 {
			v.Member[1] = old.Member[at]
			v.Member[0].Since = now + 1
		}
	}
	d.gen.changed = true
	writes.Add(1)
	return d.m["endpoints"].Put(key, v)
}

func (d endpoints) Delete(_ context.Context, k spec.EndpointKey) error {
	d.gen.changed = true
	return remove(d.m["endpoints"], endpointKey(k))
}

// each lists a hash or trie completely. Iteration over a map that others write
// can start over; only this process writes these.
func each[K comparable, V any](m *ebpf.Map, fn func(K, V)) error {
	var (
		k K
		v V
	)
	it := m.Iterate()
	for it.Next(&k, &v) {
		fn(k, v)
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("list %s: %w", m, err)
	}
	return nil
}

func remove[K any](m *ebpf.Map, k K) error {
	writes.Add(1)
	if err := m.Delete(k); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return err
	}
	return nil
}
