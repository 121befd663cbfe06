package dataplane

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/dataplane/delta"
	"github.com/vpcfabric/vpc/dataplane/ipt"
	dmaps "github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/nl/nltest"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// inMemoryOutside are phases of which only those outside matter.
func inMemoryOutside(firewall delta.Driver[string, spec.Firewall]) *phases {
	p := inMemoryPhases(inMemory[spec.RouteKey, dmaps.Route](), inMemory[spec.EndpointKey, dmaps.Endpoint](), inMemory[dmaps.Slot, dmaps.Policy](), inMemory[dmaps.Slot, dmaps.Port]())
	p.firewall = delta.New("firewall", firewall, strings.Compare)
	return p
}

// inMemoryPhases are phases whose maps are drivers in memory.
func inMemoryPhases(routes delta.Driver[spec.RouteKey, dmaps.Route], endpoints delta.Driver[spec.EndpointKey, dmaps.Endpoint],
	policies delta.Driver[dmaps.Slot, dmaps.Policy], ports delta.Driver[dmaps.Slot, dmaps.Port]) *phases {
	k := &nltest.Kernel{}
	p := newPhases(kernelDrivers{k.Drivers(), k.Outside(), inMemory[string, spec.Firewall](), inMemory[ipt.Rule, struct{}](), &nats{}, nil}, dmaps.New(nil), nil, &progs.Set{})
	p.rules = delta.New("rules", inMemory[spec.RuleSetID, struct{}](), dmaps.CompareRuleSets)
	p.attachments = delta.New("program", inMemory[progs.Attachment, progs.Attached](), progs.Attachment.Compare)
	p.routes = newRoutes(routes)
	p.endpoints = delta.New("endpoint", endpoints, dmaps.CompareEndpoints)
	p.publics = delta.New("public", inMemory[netip.Addr, dmaps.Public](), dmaps.ComparePublics)
	p.filters = delta.New("filter", inMemory[netip.Prefix, dmaps.Filter](), dmaps.ComparePrefixes)
	p.policies = delta.New("policy", policies, dmaps.CompareSlots)
	p.ports = delta.New("port", ports, dmaps.CompareSlots)
	p.direct = directPhases{
		doors: delta.New("door", inMemory[spec.VPC, int](), cmp.Compare[spec.VPC]),
		ways:  delta.New("uplink", inMemory[int, dmaps.Uplink](), cmp.Compare[int]),
		gates: delta.New("gate", inMemory[progs.Attachment, progs.Attached](), progs.Attachment.Compare),
	}
	nothing := func() (int, error) { return 0, nil }
	p.published.do, p.count = nothing, nothing
	return &p
}

// interrupted ends a context with its first write, or cannot be listed.
type interrupted struct {
	*memory[dmaps.Slot, dmaps.Policy]
	stop   func()
	listed error
}

func (d interrupted) Observe(ctx context.Context, want map[dmaps.Slot]dmaps.Policy) (map[dmaps.Slot]dmaps.Policy, error) {
	if d.listed != nil {
		return nil, d.listed
	}
	return d.memory.Observe(ctx, want)
}

func (d interrupted) Put(ctx context.Context, k dmaps.Slot, v dmaps.Policy) error {
	d.stop()
	return d.memory.Put(ctx, k, v)
}

// TestHalfAChangeIsNotPutInForce: what was written of a change waits where the
// rest could not be, because the process ends or the kernel cannot be read.
func TestHalfAChangeIsNotPutInForce(t *testing.T) {
	for name, listed := range map[string]error{"the process ends": nil, "no listing": errors.New("interrupted dump")} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			policies := interrupted{inMemory[dmaps.Slot, dmaps.Policy](), stop, listed}
			p := inMemoryPhases(inMemory[spec.RouteKey, dmaps.Route](), inMemory[spec.EndpointKey, dmaps.Endpoint](), policies, inMemory[dmaps.Slot, dmaps.Port]())
			published := 0
			p.published.do = func() (int, error) { published++; return 1, nil }
			p.want(world{
				policies: map[dmaps.Slot]dmaps.Policy{0: {ENI: 1}, 1: {ENI: 2}},
				ports:    map[dmaps.Slot]dmaps.Port{0: {ENI: 1}, 1: {ENI: 2}},
			}, dmaps.New(nil).Rules())
			if _, err := p.run(ctx, true); err == nil || policies.puts > 1 || published != 0 {
				t.Errorf("%v: %d of 2 policies written, put in force %d times", err, policies.puts, published)
			}
		})
	}
}

// choosy refuses some endpoints.
type choosy struct {
	*memory[spec.EndpointKey, dmaps.Endpoint]
	refused map[spec.EndpointKey]bool
}

func (d choosy) Put(ctx context.Context, k spec.EndpointKey, v dmaps.Endpoint) error {
	if d.refused[k] {
		return errors.New("no memory")
	}
	return d.memory.Put(ctx, k, v)
}

// TestEachLateEndpointCountsAnEpoch: of two that could not be written, one can be
// later. Verdicts that rest on it are made anew, though the other still fails.
func TestEachLateEndpointCountsAnEpoch(t *testing.T) {
	a, b := spec.EndpointKey{VPC: 1, Addr: netip.MustParseAddr("10.0.1.10")}, spec.EndpointKey{VPC: 2, Addr: netip.MustParseAddr("10.0.1.11")}
	endpoints := choosy{inMemory[spec.EndpointKey, dmaps.Endpoint](), map[spec.EndpointKey]bool{a: true, b: true}}
	ports := inMemory[dmaps.Slot, dmaps.Port]()
	p, lists := inMemoryPhases(inMemory[spec.RouteKey, dmaps.Route](), endpoints, inMemory[dmaps.Slot, dmaps.Policy](), ports), dmaps.New(nil).Rules()
	apply := func() (int, error) {
		before := ports.puts
		p.want(world{
			endpoints: map[spec.EndpointKey]dmaps.Endpoint{a: {Endpoint: spec.Endpoint{ENI: 1}}, b: {Endpoint: spec.Endpoint{ENI: 2}}},
			ports:     map[dmaps.Slot]dmaps.Port{0: {ENI: 1, Version: 8}},
		}, lists)
		_, err := p.run(t.Context(), true)
		return ports.puts - before, err
	}
	if n, err := apply(); err == nil || n != 1 {
		t.Fatalf("%v: the port was written %d times", err, n)
	}
	if n, err := apply(); err == nil || n != 0 {
		t.Errorf("%v: nothing changed, and the port was written %d times", err, n)
	}
	delete(endpoints.refused, a)
	if n, err := apply(); err == nil || endpoints.m[a].ENI != 1 || n != 1 {
		t.Errorf("%v: one endpoint was written, %+v, and the port %d times", err, endpoints.m[a], n)
	}
}
