// Package nltest is a kernel in memory behind the drivers of package nl, for
// tests that need no root. It fails on demand and, like the real one, refuses
// references to what does not exist and takes dependants along on deletion.
package nltest

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"sync"

	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// Op is one call of a driver.
type Op struct {
	// Verb is "list", "put" or "delete".
	Verb string
	// Kind is the driver: "namespace", "sysctl", "link", "port", "address",
	// "up", "neighbour", "fdb", "workload", "edge", "forwarding" or "host route".
	Kind string
	// Object is the key as text; empty for a listing.
	Object string
}

// String is the call as one line of a log.
func (o Op) String() string { return o.Verb + " " + o.Kind + " " + o.Object }

// Kernel is the state. The zero value is an empty kernel.
type Kernel struct {
	mu   sync.Mutex
	fail func(Op) error
	log  []Op

	namespaces map[string]struct{}
	sysctls    map[nl.SysctlKey]string
	links      map[nl.LinkKey]nl.Link
	ports      map[nl.LinkKey]nl.BridgePort
	addresses  map[nl.AddressKey]struct{}
	ups        map[nl.LinkKey]nl.Up
	neighbours map[nl.NeighbourKey]spec.MAC
	fdb        map[nl.FDBKey]int
	workloads  map[int]nl.Workload

	edges      map[nl.LinkKey]nl.Edge
	forwarding map[string]bool
	hostRoutes map[netip.Prefix]nl.HostRoute
}

// Fail makes each call ask f first; an error of f is the call's result, and
// nothing happens. Nil ends it.
func (k *Kernel) Fail(f func(Op) error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fail = f
}

// Writes returns the puts and deletions since the last call, in order, with
// those that failed.
func (k *Kernel) Writes() []Op {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := k.log
	k.log = nil
	return out
}

// Drivers returns drivers of this kernel.
func (k *Kernel) Drivers() nl.Drivers {
	return nl.Drivers{
		Namespaces: &driver[string, struct{}]{k: k, kind: "namespace", m: &k.namespaces},
		Sysctls: &driver[nl.SysctlKey, string]{k: k, kind: "sysctl", m: &k.sysctls,
			needs: func(key nl.SysctlKey, _ string) error { return k.needsNetns(key.Netns) }},
		Links: &driver[nl.LinkKey, nl.Link]{k: k, kind: "link", m: &k.links,
			needs: func(key nl.LinkKey, _ nl.Link) error { return k.needsNetns(key.Netns) }},
		BridgePorts: &driver[nl.LinkKey, nl.BridgePort]{k: k, kind: "port", m: &k.ports, needs: k.needsMaster},
		Addresses: &driver[nl.AddressKey, struct{}]{k: k, kind: "address", m: &k.addresses,
			needs: func(key nl.AddressKey, _ struct{}) error { return k.needsLink(key.Netns, key.Index) }},
		Ups: &driver[nl.LinkKey, nl.Up]{k: k, kind: "up", m: &k.ups,
			needs: func(key nl.LinkKey, _ nl.Up) error { return k.needsLink(key.Netns, key.Index) }},
		Neighbours: &driver[nl.NeighbourKey, spec.MAC]{k: k, kind: "neighbour", m: &k.neighbours,
			needs: func(key nl.NeighbourKey, _ spec.MAC) error { return k.needsLink(key.Netns, key.Index) }},
		FDB: &driver[nl.FDBKey, int]{k: k, kind: "fdb", m: &k.fdb,
			needs: func(key nl.FDBKey, index int) error { return k.needsLink(key.Netns, index) }},
		Workloads: &driver[int, nl.Workload]{k: k, kind: "workload", m: &k.workloads, needs: k.needsPort},
	}
}

// Outside returns drivers of the host's own namespace.
func (k *Kernel) Outside() nl.OutsideDrivers {
	return nl.OutsideDrivers{
		Edges: &driver[nl.LinkKey, nl.Edge]{k: k, kind: "edge", m: &k.edges,
			needs: func(key nl.LinkKey, _ nl.Edge) error { return k.needsLink(key.Netns, key.Index) }},
		Forwarding: &driver[string, bool]{k: k, kind: "forwarding", m: &k.forwarding},
		Routes:     &driver[netip.Prefix, nl.HostRoute]{k: k, kind: "host route", m: &k.hostRoutes, needs: k.needsEdge},
	}
}

func (k *Kernel) needsEdge(_ netip.Prefix, v nl.HostRoute) error {
	for _, e := range k.edges {
		if e.Name == v.Device {
			return nil
		}
	}
	if v.Device == "" {
		return nil
	}
	return fmt.Errorf("no edge %s", v.Device)
}

func (k *Kernel) needsNetns(name string) error {
	if _, ok := k.namespaces[name]; !ok {
		return fmt.Errorf("no namespace %s", name)
	}
	return nil
}

func (k *Kernel) needsLink(netns string, index int) error {
	if _, ok := k.links[nl.LinkKey{Netns: netns, Index: index}]; ok {
		return nil
	}
	return fmt.Errorf("no link %d in %s", index, netns)
}

func (k *Kernel) needsMaster(key nl.LinkKey, v nl.BridgePort) error {
	if err := k.needsLink(key.Netns, key.Index); err != nil {
		return err
	}
	return k.needsLink(key.Netns, v.Master)
}

func (k *Kernel) needsPort(index int, _ nl.Workload) error {
	for key := range k.links {
		if key.Index == index {
			return nil
		}
	}
	return fmt.Errorf("no link %d anywhere", index)
}

// collect removes what lost what it depends on, from the top down.
func (k *Kernel) collect() {
	maps.DeleteFunc(k.sysctls, func(key nl.SysctlKey, _ string) bool { return k.needsNetns(key.Netns) != nil })
	maps.DeleteFunc(k.links, func(key nl.LinkKey, _ nl.Link) bool { return k.needsNetns(key.Netns) != nil })
	maps.DeleteFunc(k.ports, func(key nl.LinkKey, v nl.BridgePort) bool { return k.needsMaster(key, v) != nil })
	maps.DeleteFunc(k.addresses, func(key nl.AddressKey, _ struct{}) bool { return k.needsLink(key.Netns, key.Index) != nil })
	maps.DeleteFunc(k.ups, func(key nl.LinkKey, _ nl.Up) bool { return k.needsLink(key.Netns, key.Index) != nil })
	maps.DeleteFunc(k.neighbours, func(key nl.NeighbourKey, _ spec.MAC) bool { return k.needsLink(key.Netns, key.Index) != nil })
	maps.DeleteFunc(k.fdb, func(key nl.FDBKey, index int) bool { return k.needsLink(key.Netns, index) != nil })
	maps.DeleteFunc(k.workloads, func(index int, v nl.Workload) bool { return k.needsPort(index, v) != nil })
	maps.DeleteFunc(k.edges, func(key nl.LinkKey, _ nl.Edge) bool { return k.needsLink(key.Netns, key.Index) != nil })
	maps.DeleteFunc(k.hostRoutes, func(dest netip.Prefix, v nl.HostRoute) bool { return k.needsEdge(dest, v) != nil })
}

// driver is one kind: a map in the kernel and what its objects depend on.
type driver[K, V comparable] struct {
	k     *Kernel
	kind  string
	m     *map[K]V
	needs func(K, V) error
}

func (d *driver[K, V]) Observe(context.Context, map[K]V) (map[K]V, error) {
	d.k.mu.Lock()
	defer d.k.mu.Unlock()
	if d.k.fail != nil {
		if err := d.k.fail(Op{"list", d.kind, ""}); err != nil {
			return nil, err
		}
	}
	return maps.Clone(*d.m), nil
}

func (d *driver[K, V]) Put(_ context.Context, key K, v V) error {
	d.k.mu.Lock()
	defer d.k.mu.Unlock()
	if err := d.begin("put", key); err != nil {
		return err
	}
	if d.needs != nil {
		if err := d.needs(key, v); err != nil {
			return err
		}
	}
	if *d.m == nil {
		*d.m = map[K]V{}
	}
	(*d.m)[key] = v
	return nil
}

func (d *driver[K, V]) Delete(_ context.Context, key K) error {
	d.k.mu.Lock()
	defer d.k.mu.Unlock()
	if err := d.begin("delete", key); err != nil {
		return err
	}
	delete(*d.m, key)
	d.k.collect()
	return nil
}

func (d *driver[K, V]) begin(verb string, key K) error {
	op := Op{verb, d.kind, fmt.Sprint(key)}
	d.k.log = append(d.k.log, op)
	if d.k.fail == nil {
		return nil
	}
	return d.k.fail(op)
}
