package progs_test

import (
	"cmp"
	gomaps "maps"
	"net/netip"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/dataplane/delta"
	"github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

const (
	eipBudget               = 180 // ns, of a hit that is translated
	manyTables, tableRoutes = 1000, 500
	manyPublics             = 10_000
	// changeBudget is for one changed route among all of these: to write it, and to
	// find and write it.
	changeBudget = 50 * time.Millisecond
)

var bobPublic = addr("198.18.0.11")

// wayOutRows are about what leaves the VPC's subnets: bob is the sender, whose
// account the other rows do not use.
func wayOutRows() []benchRow {
	datagram := udpDatagram(40000, 5000, 4)
	outward := summed(bob.frame(out, header{proto: udp}, datagram), true)
	inward := summed(fromWorld(out.addr, bobPublic, header{proto: udp}, udpDatagram(5000, 40000, 4)), true)
	through := bob.frame(nic{addr: addr("192.0.2.1")}, header{proto: udp}, datagram)
	peer := nic{eni: dan.eni, slot: dan.slot, addr: addr("10.7.0.5"), router: dan.router, subnet: foreign}
	across := bob.frame(peer, header{proto: udp}, datagram)
	toGate, toBob := "rx "+text(gate.eni), "rx "+text(bob.eni)
	return []benchRow{
		{name: "hit, out through the gateway", at: bob.slot, frame: outward, times: manyTimes, moves: toGate, budget: eipBudget, ready: func(l *lab) {
			l.public(bobPublic, bob)
			l.egress(bob, anything)
			l.ingress(bob, anything)
			l.apply()
			l.send(bob, outward)
		}},
		{name: "hit, in through the gateway", at: gate.slot, frame: inward, times: manyTimes, moves: toBob, budget: eipBudget, ready: func(l *lab) { l.send(gate, inward) }},
		{name: "hit, through an interface route", at: bob.slot, frame: through, times: manyTimes, moves: "rx " + text(cat.eni), ready: func(l *lab) {
			l.route("192.0.2.0/24", spec.Route{Target: spec.Interface, Via: cat.addr})
			l.change(cat, func(p *maps.Port) { p.SourceDestCheck = false })
			l.aclIn(cat, allowAll)
			l.ingress(cat, anything)
			l.apply()
			l.send(bob, through)
		}},
		{name: "hit, to a peer", at: bob.slot, frame: across, times: manyTimes, moves: "rx " + text(dan.eni), ready: func(l *lab) {
			l.peering(peer)
			l.send(bob, across)
		}},
		{name: "hit, a peering's other end", at: dan.slot, handed: dan.slot, frame: across, times: manyTimes},
		{name: "miss, out through the gateway", at: bob.slot, frame: outward, fresh: true, times: missTimes, moves: toGate},
		{name: "miss, in through the gateway", at: gate.slot, frame: inward, fresh: true, times: missTimes, moves: toBob},
		{name: "miss, in through the gateway, 10,000 public addresses", at: gate.slot, frame: inward, fresh: true, times: missTimes, moves: toBob,
			ready: func(l *lab) { l.crowdPublics() }},
		{name: "miss, out through the gateway, 1,000 tables of 500 routes", at: bob.slot, frame: outward, fresh: true, times: missTimes, moves: toGate,
			ready: func(l *lab) { l.crowdRoutes() }},
	}
}

// peering leads to an interface of the other VPC.
func (l *lab) peering(to nic) {
	l.t.Helper()
	l.endpoint(otherVPC, to.addr, to)
	l.ingress(to, anything)
	l.routes[spec.RouteKey{Table: mainTable, Dest: prefix("10.7.0.0/16")}] = maps.Route{Route: spec.Route{Target: spec.PeerVPC, Peer: otherVPC}, Out: 601}
	l.touch(bob)
	l.apply()
}

// manyRoutes are tables full of routes, the main one among them.
func manyRoutes() map[spec.RouteKey]maps.Route {
	out := map[spec.RouteKey]maps.Route{}
	for t := range manyTables {
		for i := range tableRoutes {
			dest := netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(100 + i>>8), byte(i), byte(t), 0}), 24)
			out[spec.RouteKey{Table: mainTable + spec.RouteTable(2*t), Dest: dest}] = maps.Route{Route: spec.Route{Target: spec.Blackhole}}
		}
	}
	return out
}

// crowdRoutes and crowdPublics write beside what the lab knows of.
func (l *lab) crowdRoutes() {
	l.t.Helper()
	d := l.maps.Routes()
	for k, r := range manyRoutes() {
		l.must(d.Put(ctx, k, r))
	}
}

func (l *lab) crowdPublics() {
	l.t.Helper()
	d := l.maps.Publics()
	for i := range manyPublics {
		a := netip.AddrFrom4([4]byte{198, 19, byte(i >> 8), byte(i)})
		l.must(d.Put(ctx, a, maps.Public{VPC: vpc, Private: cat.addr}))
	}
}

// TestOneRouteOfMany reports how long it takes until one changed route among half
// a million is in force: what the drivers write, and the whole pass.
func TestOneRouteOfMany(t *testing.T) {
	if testing.Short() {
		t.Skip("writes half a million routes")
	}
	l := openGate(t, progs.Config{})
	all := manyRoutes()
	gomaps.Copy(all, l.routes)
	sets := delta.NewSets("routes", l.maps.Routes(), tableOf, cmp.Compare[spec.RouteTable], maps.CompareRoutes)
	want := map[spec.RouteTable]*delta.Set[spec.RouteKey, maps.Route]{}
	for table, routes := range byTable(all) {
		want[table] = delta.MakeSet(routes)
	}
	sets.Want(want)
	if n, err := sets.Put(ctx); err != nil || n != manyTables*tableRoutes {
		t.Fatalf("%d routes written, want %d: %v", n, manyTables*tableRoutes, err)
	}
	_, err := sets.Prune(ctx)
	l.must(err)
	changed := spec.RouteKey{Table: mainTable, Dest: prefix("100.7.0.0/24")}
	write, pass := time.Duration(1<<62), time.Duration(1<<62)
	for i := range 5 {
		r := maps.Route{Route: spec.Route{Target: spec.Interface, Via: []netip.Addr{bob.addr, cat.addr}[i%2]}}
		l.touch(ann)
		start := time.Now()
		l.must(l.maps.Routes().Put(ctx, changed, r))
		l.must(l.maps.Ports().Put(ctx, maps.Slot(ann.slot), l.ports[maps.Slot(ann.slot)]))
		write = min(write, time.Since(start))
		l.touch(ann)
		start = time.Now()
		next := byTable(map[spec.RouteKey]maps.Route{changed: r})[mainTable]
		for k, r := range all {
			if k.Table == mainTable && k != changed {
				next[k] = r
			}
		}
		now := gomaps.Clone(want)
		now[mainTable] = delta.MakeSet(next)
		sets.Want(now)
		l.one(sets)
		pass = min(pass, time.Since(start))
	}
	t.Logf("one of %d routes: written in %v, found and written in %v", len(all), write, pass)
	if max(write, pass) > changeBudget {
		t.Errorf("one of %d routes takes %v, to find and write %v: more than %v", len(all), write, pass, changeBudget)
	}
	l.drops(ann, ann.frame(nic{addr: addr("100.7.0.1")}, header{proto: udp}, udpDatagram(1, 2, 3)), "route", "source_dest_check")
}

func tableOf(k spec.RouteKey) spec.RouteTable { return k.Table }

func byTable(routes map[spec.RouteKey]maps.Route) map[spec.RouteTable]map[spec.RouteKey]maps.Route {
	out := map[spec.RouteTable]map[spec.RouteKey]maps.Route{}
	for k, r := range routes {
		if out[k.Table] == nil {
			out[k.Table] = map[spec.RouteKey]maps.Route{}
		}
		out[k.Table][k] = r
	}
	return out
}

// one applies a change of one route, and of the ports that have it.
func (l *lab) one(routes delta.Phase) {
	l.t.Helper()
	writes := 0
	step := func(n int, err error) {
		l.must(err)
		writes += n
	}
	l.track.ports.Want(gomaps.Clone(l.ports))
	step(routes.Put(ctx))
	step(routes.Prune(ctx))
	for _, p := range []delta.Phase{l.track.policies, l.track.ports} {
		step(p.Put(ctx))
	}
	step(l.maps.Publish())
	step(l.maps.CountEpochs())
	if writes > 8 {
		l.t.Errorf("%d writes for one route", writes)
	}
}
