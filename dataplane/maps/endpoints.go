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
	d.gen.owners = map[uint32]bpf.EndpointKey{}
	err = each(d.m["endpoints"], func(k bpf.EndpointKey, v bpf.Endpoint) {
		out[spec.EndpointKey{VPC: spec.VPC(k.Vpc), Addr: addrOf(k.Addr.W)}] = decodeEndpoint(k, v, now)
		if v.Public != 0 {
			d.gen.owners[v.Public] = k
		}
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
	if owner, ok := d.gen.owners[v.Public]; ok && v.Public != 0 && owner != key {
		if err := d.bereave(owner); err != nil {
			return fmt.Errorf("take %v from whom it was: %w", e.Public, err)
		}
	}
	var old bpf.Endpoint
	if d.m["endpoints"].Lookup(key, &old) == nil && old.Eni == v.Eni {
		if at, _ := newest([2]uint64{old.Member[0].Since, old.Member[1].Since}, now); at >= 0 {
			v.Member[1] = old.Member[at]
			v.Member[0].Since = now + 1
		}
	}
	return d.place(key, old, v)
}

// place replaces an endpoint. One that loses its public address is judged by that
// at once: whoever gets the address next, even after a crash, is alone with it.
func (d endpoints) place(key bpf.EndpointKey, old, v bpf.Endpoint) error {
	d.gen.changed = true
	writes.Add(1)
	if err := d.m["endpoints"].Put(key, v); err != nil {
		return err
	}
	if v.Public != 0 {
		d.gen.owners[v.Public] = key
	}
	if old.Public == 0 || old.Public == v.Public {
		return nil
	}
	if d.gen.owners[old.Public] == key {
		delete(d.gen.owners, old.Public)
	}
	return d.judge(old)
}

// bereave takes the public address from an endpoint and leaves the rest as it is.
func (d endpoints) bereave(key bpf.EndpointKey) error {
	var old bpf.Endpoint
	err := d.m["endpoints"].Lookup(key, &old)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	v := old
	v.Public = 0
	return d.place(key, old, v)
}

// judge counts the epoch of the port of an endpoint, which has all its flows look
// again. What its entry says besides, that another count is due among it, stays.
func (d endpoints) judge(e bpf.Endpoint) error {
	var v bpf.Port
	if err := d.m["ports"].Lookup(e.Slot, &v); err != nil || v.Eni != e.Eni {
		return err
	}
	v.Epoch = nextEpoch(v.Epoch)
	return ports(d).write(Slot(e.Slot), v)
}

func (d endpoints) Delete(_ context.Context, k spec.EndpointKey) error {
	d.gen.changed = true
	key := endpointKey(k)
	var old bpf.Endpoint
	if d.m["endpoints"].Lookup(key, &old) != nil || old.Public == 0 {
		return remove(d.m["endpoints"], key)
	}
	if d.gen.owners[old.Public] == key {
		delete(d.gen.owners, old.Public)
	}
	return errors.Join(remove(d.m["endpoints"], key), d.judge(old))
}

// listBatch is how many elements one system call reads.
const listBatch = 1024

// each lists a hash or trie completely, many elements at a time where the kernel
// can. Iteration over a map that others write can start over; only this process
// writes these.
func each[K comparable, V any](m *ebpf.Map, fn func(K, V)) error {
	keys, values := make([]K, listBatch), make([]V, listBatch)
	var at ebpf.MapBatchCursor
	for first := true; ; first = false {
		n, err := m.BatchLookup(&at, keys, values, nil)
		if first && errors.Is(err, ebpf.ErrNotSupported) {
			return eachAlone(m, fn)
		}
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("list %s: %w", m, err)
		}
		for i := range n {
			fn(keys[i], values[i])
		}
		if err != nil {
			return nil
		}
	}
}

// eachAlone is each with two system calls for every element.
func eachAlone[K comparable, V any](m *ebpf.Map, fn func(K, V)) error {
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
