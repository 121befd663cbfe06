package progs_test

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/vpcfabric/vpc/bpf"
	dmaps "github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// city fills a lab with random values of every kind.
func (l *lab) city(d dice) {
	for range 20 {
		id, set := spec.MakeRuleSet(d.rules())
		l.sets[id] = set
		id, set = spec.MakeACL(d.acl())
		l.sets[id] = set
	}
	id, set := spec.MakeRuleSet(manyRules(300))
	l.sets[id] = set
	ids := sortedIDs(l.sets)
	anyMAC := func() (m spec.MAC) {
		ne.PutUint32(m[:], d.Uint32())
		return m
	}
	v4 := func() netip.Addr {
		return netip.AddrFrom4([4]byte{10, byte(d.Uint32()), byte(d.Uint32()), byte(d.Uint32())})
	}
	for range 50 {
		n := 1 + d.IntN(1<<31)
		l.ports[dmaps.Slot(d.IntN(bpf.MaxPorts))] = dmaps.Port{
			ENI: spec.ENI(n), VPC: spec.VPC(d.Uint32()), Subnet: spec.SubnetID(d.Uint32()), Table: spec.RouteTable(d.Uint32()),
			ACL:    spec.ACL(d.Uint32()),
			Egress: ids[d.IntN(len(ids))], Ingress: ids[d.IntN(len(ids))],
			ACLOut: ids[d.IntN(len(ids))], ACLIn: ids[d.IntN(len(ids))],
			MAC: anyMAC(), RouterMAC: anyMAC(), Router: v4(), CIDR: netip.PrefixFrom(v4(), d.IntN(33)).Masked(), MTU: 1 + d.IntN(1<<16),
			Tap: d.IntN(2) == 0, SourceDestCheck: d.IntN(2) == 0, Cut: d.IntN(2) == 0, Version: d.Uint32(),
		}
		groups, err := spec.MakeGroups(d.groups())
		l.must(err)
		l.endpoints[spec.EndpointKey{VPC: spec.VPC(d.Uint32()), Addr: v4()}] = dmaps.Endpoint{Slot: dmaps.Slot(d.IntN(bpf.MaxPorts)),
			Endpoint: spec.Endpoint{ENI: spec.ENI(n), Subnet: spec.SubnetID(d.Uint32()), MAC: anyMAC(), Groups: groups}}
		l.routes[spec.RouteKey{Table: spec.RouteTable(d.Uint32()), Dest: netip.PrefixFrom(v4(), d.IntN(33)).Masked()}] =
			dmaps.Route{Route: spec.Route{Target: spec.Target(1 + d.IntN(2))}}
	}
}

func sortedIDs(m map[spec.RuleSetID]spec.RuleSet) (out []spec.RuleSetID) {
	for id := range m {
		out = append(out, id)
	}
	return out
}

// TestMapsRoundTrip: what the drivers read is what they wrote, also for one
// that has just started; and the second time nothing is written.
func TestMapsRoundTrip(t *testing.T) {
	l := openLab(t, progs.Config{FlowTable: progs.MinFlowTable})
	d := dice{rand.New(rand.NewPCG(seed(t), 3))}
	for range 5 {
		l.city(d)
		l.apply()
		if n := l.apply(); n != 0 {
			t.Fatalf("the second time wrote %d objects", n)
		}
		l.trackers() // a new process
		before := dmaps.Writes()
		if n := l.apply(); n != 0 || dmaps.Writes() != before {
			t.Fatalf("a new process wrote %d objects, %d elements", n, dmaps.Writes()-before)
		}
		have, err := dmaps.New(l.set.Maps).Routes().Observe(ctx, nil)
		l.must(err)
		if !maps.Equal(have, l.routes) {
			t.Fatalf("routes %v, want %v", have, l.routes)
		}
		// Half of it goes.
		for _, k := range sortedIDs(l.sets) {
			if !l.usedSet(k) {
				delete(l.sets, k)
			}
		}
		for k := range l.endpoints {
			if d.IntN(2) == 0 {
				delete(l.endpoints, k)
			}
		}
	}
	clear(l.ports)
	clear(l.endpoints)
	clear(l.routes)
	clear(l.sets)
	l.apply()
	for _, name := range []string{"endpoints", "routes", "lists", "rule_words", "addr_chunks", "service_chunks", "members", "bitmaps", "frags", "denied"} {
		var k, v []byte
		it := l.set.Maps[name].Iterate()
		if it.Next(&k, &v) {
			t.Errorf("%s is not empty: %x", name, k)
		}
	}
}

func (l *lab) usedSet(id spec.RuleSetID) bool {
	for _, p := range l.ports {
		if p.Egress == id || p.Ingress == id || p.ACLOut == id || p.ACLIn == id {
			return true
		}
	}
	return false
}

// TestDriftIsNamed changes one element of each map behind the drivers' back.
func TestDriftIsNamed(t *testing.T) {
	for _, row := range []struct{ name, kind, object string }{
		{"endpoints", "endpoints", "10.0."}, {"routes", "routes", "10.0."}, {"lists", "rules", ""}, {"ports", "ports", "0"},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := openTown(t, progs.Config{})
			m := l.set.Maps[row.name]
			var k, v []byte
			if !m.Iterate().Next(&k, &v) {
				t.Fatal("empty")
			}
			at := 0 // the first word says whom an endpoint or a route leads to
			switch row.name {
			case "lists":
				at = 40 + 16 // the first rule's number
			case "ports":
				at = 28 // the router's MAC or its neighbour
			}
			v[at] ^= 3
			l.must(m.Update(k, v, ebpf.UpdateExist))
			var found []string
			for _, p := range l.phases {
				drift, err := p.Diff(ctx)
				l.must(err)
				for _, x := range drift {
					found = append(found, x.String())
				}
				p.Dirty()
			}
			text := strings.Join(found, "\n")
			if !strings.Contains(text, row.kind+" ") || !strings.Contains(text, row.object) {
				t.Errorf("drift: %q", text)
			}
			if row.name != "lists" && len(found) != 1 {
				t.Errorf("%d objects differ, one was changed:\n%s", len(found), text)
			}
			if n := l.apply(); n == 0 {
				t.Error("nothing was repaired")
			}
			for _, p := range l.phases {
				if drift, err := p.Diff(ctx); err != nil || len(drift) != 0 {
					t.Errorf("after the repair: %v, %v", drift, err)
				}
			}
			l.passes(ann, bob, datagram.forth(0))
		})
	}
}

// TestEpochsOnlyGrow: no port ever has an epoch again that a flow may remember.
func TestEpochsOnlyGrow(t *testing.T) {
	l := openTown(t, progs.Config{})
	epoch := func() (p bpf.Port) {
		l.must(l.set.Maps["ports"].Lookup(uint32(bob.slot), &p))
		return p
	}
	last := epoch().Epoch
	for i, change := range []func(){
		func() { l.touch(bob) },
		func() { l.vacate(bob) },
		func() { l.move(bob, vpc, mainTable) },
		func() { l.vacate(bob); heir := bob; heir.eni = 300; l.move(heir, otherVPC, otherRoutes) },
	} {
		change()
		l.apply()
		if now := epoch().Epoch; now <= last {
			t.Errorf("change %d: epoch %d after %d", i, now, last)
		} else {
			last = now
		}
	}
	p := epoch()
	p.Epoch = 1<<32 - 1
	l.must(l.set.Maps["ports"].Put(uint32(bob.slot), p))
	l.vacate(nic{eni: 300, slot: bob.slot})
	l.apply()
	if got := epoch().Epoch; got == 0 {
		t.Error("the epoch wrapped to 0, which marks what is being written")
	}
}
