package dataplane

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"strings"
	"testing"

	dmaps "github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// memory is a driver that fails on demand and counts what was put.
type memory[K, V comparable] struct {
	m    map[K]V
	puts int
	fail error
}

func (d *memory[K, V]) Observe(context.Context, map[K]V) (map[K]V, error) {
	return maps.Clone(d.m), nil
}

func (d *memory[K, V]) Put(_ context.Context, k K, v V) error {
	if d.fail != nil {
		return d.fail
	}
	d.puts++
	d.m[k] = v
	return nil
}

func (d *memory[K, V]) Delete(_ context.Context, k K) error {
	if d.fail == nil {
		delete(d.m, k)
	}
	return d.fail
}

func inMemory[K, V comparable]() *memory[K, V] { return &memory[K, V]{m: map[K]V{}} }

// TestLateEndpointCountsAnEpoch: where an endpoint could be written only after
// the port, verdicts of between rest on the old one. Only another write of the
// port makes flows look again.
func TestLateEndpointCountsAnEpoch(t *testing.T) {
	for _, end := range []string{"retry", "restart"} {
		t.Run(end, func(t *testing.T) { lateEndpoint(t, end == "restart") })
	}
}

func lateEndpoint(t *testing.T, restart bool) {
	endpoints, ports := inMemory[spec.EndpointKey, dmaps.Endpoint](), inMemory[dmaps.Slot, dmaps.Port]()
	life := func() *phases {
		return inMemoryPhases(inMemory[spec.RouteKey, dmaps.Route](), endpoints, inMemory[dmaps.Slot, dmaps.Policy](), ports)
	}
	key := spec.EndpointKey{VPC: 1, Addr: netip.MustParseAddr("10.0.1.10")}
	member := func(g spec.Group) world {
		groups, err := spec.MakeGroups([]spec.Group{g})
		if err != nil {
			t.Fatal(err)
		}
		return world{
			endpoints: map[spec.EndpointKey]dmaps.Endpoint{key: {Endpoint: spec.Endpoint{ENI: 1, Groups: groups}}},
			ports:     map[dmaps.Slot]dmaps.Port{0: {ENI: 1, Version: uint32(g)}},
		}
	}
	p, lists := life(), dmaps.New(nil).Rules()
	apply := func(w world) error {
		p.want(w, lists)
		_, err := p.run(t.Context(), true)
		return err
	}
	if err := apply(member(7)); err != nil {
		t.Fatal(err)
	}
	endpoints.fail = errors.New("no memory")
	for range 3 {
		if err := apply(member(8)); err == nil || !strings.Contains(err.Error(), "no memory") {
			t.Fatalf("got %v", err)
		}
	}
	if ports.puts != 2 {
		t.Errorf("the port was written %d times, want once before and once after the failure", ports.puts)
	}
	endpoints.fail = nil
	if restart {
		p = life()
	}
	for range 2 {
		if err := apply(member(8)); err != nil {
			t.Fatal(err)
		}
	}
	if want := member(8); ports.puts != 3 || !maps.Equal(ports.m, want.ports) || !maps.Equal(endpoints.m, want.endpoints) {
		t.Errorf("the port was written %d times, want once more behind the endpoint; ports %v", ports.puts, ports.m)
	}
}
