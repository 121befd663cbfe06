package maps

import (
	"context"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/delta"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// Endpoint is an endpoint and the slot of its port.
type Endpoint struct {
	spec.Endpoint
	Slot Slot
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
	out := map[spec.EndpointKey]Endpoint{}
	err := each(d.m["endpoints"], func(k bpf.EndpointKey, v bpf.Endpoint) {
		e := Endpoint{Slot: Slot(v.Slot), Endpoint: spec.Endpoint{ENI: spec.ENI(v.Eni), Subnet: spec.SubnetID(v.Subnet), MAC: v.Mac}}
		for i, g := range v.Groups {
			e.Groups[i] = spec.Group(g)
		}
		out[spec.EndpointKey{VPC: spec.VPC(k.Vpc), Addr: addrOf(k.Addr.W)}] = e
	})
	return out, err
}

func endpointKey(k spec.EndpointKey) (out bpf.EndpointKey) {
	out.Vpc = uint32(k.VPC)
	out.Addr.W = words(k.Addr)
	return out
}

func (d endpoints) Put(_ context.Context, k spec.EndpointKey, e Endpoint) error {
	v := bpf.Endpoint{Eni: uint32(e.ENI), Slot: uint32(e.Slot), Subnet: uint32(e.Subnet), Mac: e.MAC}
	for i, g := range e.Groups {
		v.Groups[i] = uint32(g)
	}
	writes.Add(1)
	return d.m["endpoints"].Put(endpointKey(k), v)
}

func (d endpoints) Delete(_ context.Context, k spec.EndpointKey) error {
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
