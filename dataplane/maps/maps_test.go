package maps_test

import (
	"context"
	"fmt"
	gomaps "maps"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/delta"
	"github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

var ctx = context.Background()

func open(t *testing.T) *maps.Maps {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: makes eBPF maps")
	}
	parent := filepath.Join(progs.Root, "vpc")
	dir := filepath.Join(parent, fmt.Sprintf("test-maps-%d", os.Getpid()))
	t.Cleanup(func() {
		if err := progs.Remove(dir); err != nil {
			t.Error(err)
		}
		_ = os.Remove(parent) // unless another test is using it
	})
	set, err := progs.Open(progs.Config{Dir: dir, FlowTable: progs.MinFlowTable})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close() })
	return maps.New(set.Maps)
}

// lives tells the life of some objects: written, read back, written again
// without a change, removed, removed once more.
func lives[K, V comparable](t *testing.T, d delta.Driver[K, V], want map[K]V) {
	t.Helper()
	check := func(want map[K]V) {
		t.Helper()
		have, err := d.Observe(ctx, want)
		if err != nil || !gomaps.Equal(have, want) {
			t.Fatalf("have %v, %v; want %v", have, err, want)
		}
	}
	for range 2 {
		for k, v := range want {
			if err := d.Put(ctx, k, v); err != nil {
				t.Fatal(err)
			}
		}
		check(want)
	}
	for range 2 {
		for k := range want {
			if err := d.Delete(ctx, k); err != nil {
				t.Fatal(err)
			}
		}
		check(map[K]V{})
	}
}

func TestEndpoints(t *testing.T) {
	groups, err := spec.MakeGroups([]spec.Group{9, 3})
	if err != nil {
		t.Fatal(err)
	}
	e := maps.Endpoint{Slot: 4, Endpoint: spec.Endpoint{ENI: 1, Subnet: 2, MAC: spec.MACOf(1), Groups: groups}}
	lives(t, open(t).Endpoints(), map[spec.EndpointKey]maps.Endpoint{
		{VPC: 1, Addr: netip.MustParseAddr("10.0.0.1")}:  e,
		{VPC: 2, Addr: netip.MustParseAddr("10.0.0.1")}:  e,
		{VPC: 1, Addr: netip.MustParseAddr("fd00::1:1")}: {},
	})
}

func TestRoutes(t *testing.T) {
	lives(t, open(t).Routes(), map[spec.RouteKey]spec.Route{
		{Table: 1, Dest: netip.MustParsePrefix("0.0.0.0/0")}:   {Target: spec.Blackhole},
		{Table: 1, Dest: netip.MustParsePrefix("10.0.0.0/16")}: {Target: spec.Local},
		{Table: 2, Dest: netip.MustParsePrefix("10.0.0.1/32")}: {Target: spec.Local},
		{Table: 1, Dest: netip.MustParsePrefix("::/0")}:        {Target: spec.Local},
	})
}

func TestRulesAndPorts(t *testing.T) {
	m := open(t)
	rules := m.Rules()
	var many []spec.Rule
	for i := range 3*bpf.RulesPerChunk + 1 {
		many = append(many, spec.Rule{Protocol: 6, FromPort: int32(i), ToPort: int32(i), Group: 7, ID: uint32(i)})
	}
	sets := map[spec.RuleSetID]spec.RuleSet{}
	want := map[spec.RuleSetID]struct{}{}
	var ids []spec.RuleSetID
	for _, list := range [][]spec.Rule{many[:1], many[:bpf.RulesPerChunk], many} {
		id, set := spec.MakeRuleSet(list)
		sets[id], want[id], ids = set, struct{}{}, append(ids, id)
	}
	ports := m.Ports(rules)
	port := maps.Port{ENI: 5, Egress: ids[0], Ingress: ids[2], Router: netip.MustParseAddr("10.0.0.1"),
		CIDR: netip.MustParsePrefix("10.0.0.0/24"), MTU: 1500, MAC: spec.MACOf(5)}
	if err := ports.Put(ctx, 1, port); err == nil {
		t.Error("a port was opened with rules that are not there")
	}
	if err := ports.Put(ctx, bpf.MaxPorts, port); err == nil {
		t.Error("a slot beyond the table was written")
	}
	rules.Content(sets)
	for id := range want {
		if err := rules.Put(ctx, id, struct{}{}); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := rules.Observe(ctx, want); err != nil || !gomaps.Equal(have, want) {
		t.Fatalf("lists %v, %v; want %v", have, err, want)
	}
	empty, _ := spec.MakeRuleSet(nil)
	closed := port
	closed.ENI, closed.Egress, closed.Ingress, closed.Cut, closed.Tap = 6, empty, empty, true, true
	lives(t, ports, map[maps.Slot]maps.Port{1: port, bpf.MaxPorts - 1: closed})
	if err := rules.Put(ctx, spec.RuleSetID{1}, struct{}{}); err == nil {
		t.Error("a list without content was written")
	}
	for id := range want {
		if err := rules.Delete(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := rules.Observe(ctx, want); err != nil || len(have) != 0 {
		t.Errorf("left: %v, %v", have, err)
	}
}
