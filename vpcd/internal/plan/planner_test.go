package plan

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// mixed has each record from one of two worlds, or not at all.
func mixed[R any](t *rapid.T, a, b map[string]R) map[string]R {
	out := map[string]R{}
	all := maps.Clone(a)
	maps.Copy(all, b)
	for _, id := range slices.Sorted(maps.Keys(all)) {
		x, inA := a[id]
		y, inB := b[id]
		switch n := rapid.IntRange(0, 11).Draw(t, id); {
		case n < 9 && inA:
			out[id] = x
		case n < 11 && inB:
			out[id] = y
		}
	}
	return out
}

// follows is a world that came after another one: most of its records are the
// very ones, as the store hands them out.
func follows(t *rapid.T, before *world) *world {
	w := someWorld(t)
	next := *w
	next.World = &record.World{
		Vpcs: mixed(t, before.Vpcs, w.Vpcs), Subnets: mixed(t, before.Subnets, w.Subnets), Interfaces: mixed(t, before.Interfaces, w.Interfaces),
		Groups: mixed(t, before.Groups, w.Groups), Tables: mixed(t, before.Tables, w.Tables), Acls: mixed(t, before.Acls, w.Acls),
		Lists: mixed(t, before.Lists, w.Lists), Gateways: mixed(t, before.Gateways, w.Gateways), Nats: mixed(t, before.Nats, w.Nats),
		Peerings: mixed(t, before.Peerings, w.Peerings), Tombstones: w.Tombstones, Revocations: w.Revocations,
	}
	return &next
}

// TestPlannerForgetsWhatChanged: in any sequence of worlds a planner plans what
// one without a memory does, and what it keeps is what has stayed.
func TestPlannerForgetsWhatChanged(t *testing.T) {
	kept, changed := 0, 0
	check := func(t *rapid.T) {
		var p Planner
		w := someWorld(t)
		before := p.Build(w.World, w.facts)
		for range 4 {
			w = follows(t, w)
			have, want := p.Build(w.World, w.facts), Build(w.World, w.facts)
			if a, b := render(have), render(want); a != b {
				t.Fatalf("with a memory\n%s\nwithout\n%s", a, b)
			}
			for table, set := range have.Spec.Routes {
				switch was := before.Spec.Routes[table]; {
				case set == was:
					kept++
				case set.Equal(was):
					t.Fatalf("table %d has the same routes in another set", table)
				default:
					changed++
				}
			}
			before = have
		}
	}
	for range 4 {
		rapid.Check(t, check)
	}
	if kept < 20 || changed < 20 {
		t.Errorf("%d sets kept, %d not: these worlds show little", kept, changed)
	}
}

// TestPlannerFollowsTargets: a table is the very one, and where it leads is not.
func TestPlannerFollowsTargets(t *testing.T) {
	w := natWorld()
	w.list("far", "203.0.113.0/28")
	w.route("", api.Route{DestinationPrefixListId: "pl-far", GatewayId: "igw-a"})
	var p Planner
	var before *spec.RouteSet
	set := func() *spec.RouteSet {
		plan := p.Build(w.World, w.facts)
		return plan.Spec.Routes[w.port(t, plan, "web").Table]
	}
	for i, step := range []struct {
		change func()
		same   bool
	}{
		{func() {}, false},
		{func() {}, true},
		{func() { w.eni("other2", "a1", "10.0.1.99", "a-default") }, true},
		{func() { n := *w.Nats["nat-egress"]; n.Ended = 9; w.Nats["nat-egress"] = &n }, false},
		{func() {
			n := *w.Interfaces["eni-free"]
			n.Attached = w.Interfaces["eni-web"].Attached
			w.Interfaces["eni-free"] = &n
		}, false},
		{func() { w.list("far", "203.0.113.16/28") }, false},
		{func() { w.list("far", "203.0.113.16/28") }, true},
		{func() { delete(w.Lists, "pl-far") }, false},
		{func() { delete(w.Gateways, "igw-a") }, true}, // nothing else led there
		{func() {
			w.Tables["rtb-a-main"] = &record.RouteTable{Index: w.Tables["rtb-a-main"].Index, Table: w.Tables["rtb-a-main"].Table}
		}, true},
	} {
		step.change()
		if now := set(); (now == before) != step.same {
			t.Errorf("step %d: the same set: %t, want %t", i, now == before, step.same)
		} else {
			before = now
		}
	}
}
