package dataplane

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// someTables are route tables of VPCs 1 and 2, which may be joined, some of them
// those of before.
func someTables(t *rapid.T, before *spec.Host) *spec.Host {
	h := &spec.Host{Routes: map[spec.RouteTable]*spec.RouteSet{}, Ports: map[spec.ENI]spec.Port{}, Peerings: map[spec.VPCPair]spec.Peering{}}
	if rapid.Bool().Draw(t, "joined") {
		h.Peerings[spec.VPCPair{A: 1, B: 2}] = spec.Peering{A: "vpc-a", B: "vpc-b"}
	}
	for table := range spec.RouteTable(3) {
		h.Ports[spec.ENI(table+1)] = spec.Port{VPC: rapid.SampledFrom([]spec.VPC{1, 2}).Draw(t, "vpc"), Table: table}
		if set := before.Routes[table]; set != nil && rapid.Bool().Draw(t, "stays") {
			h.Routes[table] = set
			continue
		}
		routes := map[netip.Prefix]spec.Route{}
		for i := range rapid.IntRange(0, 3).Draw(t, "routes") {
			r := rapid.SampledFrom([]spec.Route{{Target: spec.Local}, {Target: spec.Blackhole}, {Target: spec.PeerVPC, Peer: 1}, {Target: spec.PeerVPC, Peer: 2}}).Draw(t, "route")
			routes[netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i)}), 16)] = r
		}
		h.Routes[table] = spec.MakeRoutes(routes)
	}
	return h
}

// TestTablesAreMadeOnce: what was made before counts if it would be made again, and
// then it is the very set.
func TestTablesAreMadeOnce(t *testing.T) {
	kept := 0
	rapid.Check(t, func(t *rapid.T) {
		a := around{netns: func(role string) string { return role }, current: func(progs.Role) progs.Attached { return progs.Attached{} }, slots: newSlots()}
		h := &spec.Host{}
		for range 4 {
			h = someTables(t, h)
			fresh := a
			fresh.before = nil
			want, have := expand(h, fresh), expand(h, a)
			if len(have.tables) != len(h.Routes) || len(have.routes) != len(h.Routes) {
				t.Fatalf("%d tables, %d sets, want %d", len(have.tables), len(have.routes), len(h.Routes))
			}
			for id, made := range have.tables {
				if made.version != want.tables[id].version || made.from != h.Routes[id] || made.set != have.routes[id] {
					t.Fatalf("table %d is %+v, want %+v", id, made, want.tables[id])
				}
				if was, ok := a.before[id]; ok && was.set == made.set {
					kept++
				}
			}
			a.before = have.tables
		}
	})
	if kept < 20 {
		t.Errorf("%d sets kept: these tables show little", kept)
	}
}
