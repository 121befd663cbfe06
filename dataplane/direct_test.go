package dataplane

import (
	"errors"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	dmaps "github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// known is in a pool within the network of the uplink, and routed in one that the
// world leads to the host.
const (
	known  = "192.0.2.70"
	routed = "203.0.113.70"
)

// direct gives the town a pool that the world knows.
func (w *town) direct(t *testing.T, pool string, mode spec.Mode, address string) {
	t.Helper()
	p := netip.MustParsePrefix(pool)
	w.h.Pools = map[netip.Prefix]spec.Pool{p: {Host: p.Addr().Next(), Mode: mode}}
	w.h.Public = map[netip.Addr]spec.Public{netip.MustParseAddr(address): {VPC: 1, ENI: 1, Private: w.h.Ports[1].Addr.Addr()}}
	if mode == spec.PoolRouted {
		in(t, w.world, "ip route replace "+pool+" via 192.0.2.1")
	}
}

// gates are the names of the programs that are pinned for devices of the host.
func (w *town) gates(t *testing.T) (out []string) {
	t.Helper()
	for _, role := range []progs.Role{progs.FromEdge, progs.FromUplink} {
		list, err := filepath.Glob(filepath.Join(Pins(w.cfg.Name), "links", string(role)+"-*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list {
			out = append(out, filepath.Base(p))
		}
	}
	return out
}

// meets wants traffic in both directions.
func (w *town) meets(t *testing.T, when, address string) {
	t.Helper()
	if err := ping(w.h.Ports[1].Netns, "192.0.2.2"); err != nil {
		t.Errorf("%s, out: %v", when, err)
	}
	if err := ping(w.world, address); err != nil {
		t.Errorf("%s, in: %v", when, err)
	}
}

// TestDirectPools: packets pass where the host forwards nothing, and the programs
// go with the pool's mode, with the gateway, and by cleanup.
func TestDirectPools(t *testing.T) {
	for _, c := range []struct {
		pool, address string
		mode          spec.Mode
	}{{"192.0.2.64/28", known, spec.PoolARP}, {"203.0.113.64/28", routed, spec.PoolRouted}} {
		t.Run(c.mode.String(), func(t *testing.T) {
			w := newTown(t)
			nat, natPublic := w.h.Pools, w.h.Public
			before := w.look(t)
			w.settle(t)
			if got := w.gates(t); len(got) != 0 {
				t.Errorf("in mode nat: %v", got)
			}
			w.direct(t, c.pool, c.mode, c.address)
			w.settle(t)
			if got := w.gates(t); len(got) != 2 {
				t.Errorf("programs %v, want one on the uplink and one on the edge", got)
			}
			in(t, w.outside, "nft add table ip deaf")
			in(t, w.outside, "nft add chain ip deaf f { type filter hook forward priority 0; policy drop; }")
			w.meets(t, "nothing is forwarded", c.address)
			if err := ping(w.outside, c.address); err != nil {
				t.Errorf("from the host: %v", err)
			}
			in(t, w.outside, "nft flush ruleset")
			w.meets(t, "flushed", c.address)
			w.d.Dirty()
			w.settle(t)
			w.open(t)
			if rep, err := w.d.Apply(t.Context(), w.h); err != nil || rep.Writes != 0 {
				t.Errorf("the next daemon wrote %d objects, %v", rep.Writes, err)
			}

			w.h.Pools, w.h.Public = nat, natPublic
			w.settle(t)
			if got := w.gates(t); len(got) != 0 {
				t.Errorf("in mode nat again: %v", got)
			}
			w.direct(t, c.pool, c.mode, c.address)
			w.settle(t)
			w.clean(t)
			if after := w.look(t); after != before {
				t.Errorf("afterwards\n%s\nbefore\n%s", after, before)
			}
		})
	}
}

// TestUplinkGoesAndComes: programs follow the device, whatever its number.
func TestUplinkGoesAndComes(t *testing.T) {
	w := newTown(t)
	w.direct(t, "192.0.2.64/28", spec.PoolARP, known)
	w.settle(t)
	w.meets(t, "at first", known)
	in(t, w.outside, "ip link del up0")
	w.d.Dirty()
	var out outsideError
	if _, err := w.d.Apply(t.Context(), w.h); !errors.As(err, &out) || !strings.Contains(err.Error(), "mode arp") {
		t.Errorf("without the uplink: %v", err)
	}
	for _, line := range []string{
		"ip link add spare type veth peer name other", // takes the number
		"ip link add up0 type veth peer name w0 netns " + strings.TrimPrefix(w.world.Path, netnsDir),
		"ip addr add 192.0.2.1/24 dev up0", "ip link set up0 up",
	} {
		in(t, w.outside, line)
	}
	in(t, w.world, "ip addr add 192.0.2.2/24 dev w0")
	in(t, w.world, "ip link set w0 up")
	in(t, w.outside, "ip route add default via 192.0.2.2")
	w.open(t) // whose patience begins anew
	w.settle(t)
	w.meets(t, "afterwards", known)
	w.h.Edges = nil
	w.settle(t)
	if got := w.gates(t); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

// TestPoolThatIsNoSegment: the error says which pool and why, and interfaces work.
func TestPoolThatIsNoSegment(t *testing.T) {
	for pool, says := range map[string]string{
		"203.0.113.64/28": "not a part of the network",
		"192.0.2.0/24":    "192.0.2.1 in it is the host's own",
		"192.0.2.0/29":    "192.0.2.1 in it is the host's own",
	} {
		w := newTown(t)
		w.direct(t, pool, spec.PoolARP, netip.MustParsePrefix(pool).Addr().Next().Next().Next().String())
		rep, err := w.d.Apply(t.Context(), w.h)
		if err == nil || !strings.Contains(err.Error(), pool) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v does not say %q", pool, err, says)
		}
		if !rep.Isolated || !rep.Up[1] {
			t.Errorf("%s: isolated %v, up %v", pool, rep.Isolated, rep.Up)
		}
	}
}

// TestDirectAddresses: what the programs are told of addresses in pools of each
// mode, and what gateways let through.
func TestDirectAddresses(t *testing.T) {
	w := newTown(t)
	w.direct(t, "192.0.2.64/28", spec.PoolARP, known)
	w.h.Pools[netip.MustParsePrefix(poolRoute)] = spec.Pool{Host: netip.MustParseAddr("198.18.0.1")}
	w.h.Public[netip.MustParseAddr(public)] = spec.Public{VPC: 1, ENI: 2, Private: w.h.Ports[2].Addr.Addr()}
	if err := w.d.out.look(w.h, false); err != nil {
		t.Fatal(err)
	}
	x := w.d.expand(w.h, false)
	one, two := x.publics[netip.MustParseAddr(known)], x.publics[netip.MustParseAddr(public)]
	if !one.Direct || one.Segment == 0 || two.Direct || two.Segment != 0 {
		t.Errorf("known to the world %+v, hidden %+v", one, two)
	}
	if host := x.publics[netip.MustParseAddr("192.0.2.65")]; host != (dmaps.Public{Private: netip.IPv4Unspecified()}) {
		t.Errorf("the host's own: %+v", host)
	}
	for p, open := range map[string]bool{"192.0.2.0/24": true, "192.0.2.64/28": true, poolRoute: true, "192.0.2.0/25": false} {
		if _, ok := x.filters[netip.MustParsePrefix(p)]; ok != open {
			t.Errorf("%s is open: %v, want %v", p, ok, open)
		}
	}
}

// TestAnnouncements: three for each address that is new here, has moved, or whose
// uplink has another address; none for what is found in place.
func TestAnnouncements(t *testing.T) {
	a, b := netip.MustParseAddr(known), netip.MustParseAddr("192.0.2.71")
	n := newAnnouncer()
	n.publics = map[netip.Addr]dmaps.Public{a: {VPC: 1, Segment: 7}, b: {VPC: 1}}
	n.ways = map[int]dmaps.Uplink{7: {MAC: spec.MAC{2}}}
	publics := n.addresses(inMemory[netip.Addr, dmaps.Public]())
	count := func(what string, want int) {
		t.Helper()
		got := 0
		for range announcements + 1 {
			for _, c := range n.due() {
				if c != (nl.Claim{Device: 7, MAC: n.ways[7].MAC, Addr: a}) {
					t.Errorf("%s: %+v", what, c)
				}
				got++
			}
		}
		if got != want {
			t.Errorf("%s: %d announcements, want %d", what, got, want)
		}
	}
	put := func(k netip.Addr) {
		t.Helper()
		if err := publics.Put(t.Context(), k, n.publics[k]); err != nil {
			t.Fatal(err)
		}
	}
	count("nothing new", 0)
	put(a)
	put(b)
	count("two new ones, one on a segment", announcements)
	if err := n.uplinks(inMemory[int, dmaps.Uplink]()).Put(t.Context(), 7, n.ways[7]); err != nil {
		t.Fatal(err)
	}
	count("another uplink", announcements)
	put(a)
	delete(n.publics, a)
	count("gone before it was announced", 0)
}
