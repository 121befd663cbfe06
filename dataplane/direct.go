package dataplane

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/vpcfabric/vpc/dataplane/delta"
	dmaps "github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// direct is what pools need that the world knows: their packets pass by the host's
// forwarding, from program to program. Without such a pool it is empty.
type direct struct {
	// inner are the ports at the inner ends of edges.
	inner map[spec.VPC]nl.LinkKey
	// doors are the ifindexes of the outer ends.
	doors map[spec.VPC]int
	ways  map[int]dmaps.Uplink
	// gates are the programs on uplinks and on outer ends.
	gates map[progs.Attachment]progs.Attached
}

func newDirect() direct {
	return direct{
		inner: map[spec.VPC]nl.LinkKey{}, doors: map[spec.VPC]int{}, ways: map[int]dmaps.Uplink{}, gates: map[progs.Attachment]progs.Attached{},
	}
}

// isDirect reports whether the world knows a public address of the host.
func isDirect(h *spec.Host) bool {
	for _, p := range h.Pools {
		if p.Mode != spec.PoolNAT {
			return len(h.Edges) > 0
		}
	}
	return false
}

// poolOf is the pool of a public address.
func poolOf(h *spec.Host, a netip.Addr) (netip.Prefix, spec.Pool) {
	for prefix, p := range h.Pools {
		if prefix.Contains(a) {
			return prefix, p
		}
	}
	return netip.Prefix{}, spec.Pool{}
}

// segment finds the device in whose network a pool lies, and that network.
func segment(h *spec.Host, pool netip.Prefix, devices []nl.Device) (at nl.Device, network netip.Prefix, err error) {
	for _, d := range devices {
		for _, a := range d.Addrs {
			if pool.Contains(a.Addr()) && a != netip.PrefixFrom(h.Pools[pool].Host, 32) { // which edges have
				return nl.Device{}, netip.Prefix{}, fmt.Errorf("public pool %s, mode arp: %s in it is the host's own, on %s; choose a range that nobody has", pool, a.Addr(), d.Name)
			}
			longer := !network.IsValid() || a.Bits() > network.Bits()
			if d.MAC != (spec.MAC{}) && a.Bits() < pool.Bits() && a.Contains(pool.Addr()) && longer {
				at, network = d, a.Masked()
			}
		}
	}
	if !network.IsValid() {
		err = fmt.Errorf("public pool %s, mode arp: it is not a part of the network of any of the host's devices; nobody is answered about it. Use a part of one, or mode routed", pool)
	}
	return at, network, err
}

// misplaced names the pools of mode arp that no device of the host has room for.
func misplaced(h *spec.Host, devices []nl.Device) error {
	var errs []error
	for _, pool := range sortedPools(h) {
		if h.Pools[pool].Mode != spec.PoolARP {
			continue
		}
		if _, _, err := segment(h, pool, devices); err != nil {
			errs = append(errs, outsideError{err})
		}
	}
	return errors.Join(errs...)
}

// directly fills in what is known before there are links.
func (x *expander) directly() {
	if !isDirect(x.h) {
		return
	}
	for _, vpc := range sorted(edgesOf(x.h)) {
		x.inner[vpc] = nl.LinkKey{Netns: x.netns(x.h.Edges[vpc].VPCID), Index: x.slots.port[spec.EdgeOf(vpc)].Index()}
	}
	towards := slices.Clone(x.uplinks)
	for pool, p := range x.h.Pools {
		// Nobody outside can be the host, or who has another public address.
		x.publics[p.Host] = dmaps.Public{Private: netip.IPv4Unspecified()}
		if p.Mode == spec.PoolARP {
			at, _, _ := segment(x.h, pool, x.devices)
			towards = append(towards, at.Name)
		}
	}
	for _, d := range x.devices {
		if !slices.Contains(towards, d.Name) {
			continue
		}
		x.forwarding[d.Name] = true
		x.ways[d.Index] = dmaps.Uplink{MAC: d.MAC}
		if d.MAC != (spec.MAC{}) { // without Ethernet, what comes in takes the kernel's way
			x.gates[progs.Attachment{Index: d.Index, Netns: x.outsidePath}] = x.current(progs.FromUplink)
		}
	}
}

// publicEntry is what programs know of a public address.
func (x *expander) publicEntry(a netip.Addr, key spec.EndpointKey) dmaps.Public {
	entry := dmaps.Public{VPC: key.VPC, Private: key.Addr}
	pool, p := poolOf(x.h, a)
	entry.Direct = p.Mode != spec.PoolNAT
	if p.Mode == spec.PoolARP {
		at, _, _ := segment(x.h, pool, x.devices)
		entry.Segment = at.Index
	}
	return entry
}

// opened are the networks that pools open by themselves: who shares a segment with
// public addresses is reached from them, and they reach each other.
func (x *expander) opened() (out []netip.Prefix) {
	for pool, p := range x.h.Pools {
		if p.Mode == spec.PoolNAT {
			continue
		}
		out = append(out, pool)
		if _, network, err := segment(x.h, pool, x.devices); p.Mode == spec.PoolARP && err == nil {
			out = append(out, network)
		}
	}
	return out
}

// opening finds the outer ends of edges, which have their numbers once they are
// made; one that is missing is the business of links and edges.
func (d *Dataplane) opening(w world) (doors map[spec.VPC]int, gates map[progs.Attachment]progs.Attached) {
	doors, gates = maps.Clone(w.doors), maps.Clone(w.gates)
	for vpc, key := range w.inner {
		index, err := d.out.EdgeIndex(key)
		if err != nil {
			continue
		}
		doors[vpc] = index
		gates[progs.Attachment{Index: index, Netns: d.out.path}] = d.progs.Current(progs.FromEdge)
	}
	return doors, gates
}

// announcer owes the neighbours at uplinks news of addresses. It learns of them
// from what is written: what a restart finds in place is no news.
type announcer struct {
	publics map[netip.Addr]dmaps.Public
	ways    map[int]dmaps.Uplink
	owed    map[netip.Addr]int
}

// announcements is how often an address is announced: the first may be lost.
const announcements = 3

func newAnnouncer() *announcer { return &announcer{owed: map[netip.Addr]int{}} }

// due are the announcements of now, and takes them off what is owed.
func (a *announcer) due() (out []nl.Claim) {
	for addr, n := range a.owed {
		p, there := a.publics[addr]
		way, up := a.ways[p.Segment]
		if n--; n == 0 || !there {
			delete(a.owed, addr)
		} else {
			a.owed[addr] = n
		}
		if there && up {
			out = append(out, nl.Claim{Device: p.Segment, MAC: way.MAC, Addr: addr})
		}
	}
	slices.SortFunc(out, func(a, b nl.Claim) int { return a.Addr.Compare(b.Addr) })
	return out
}

// news passes writes on and has them announced.
type news[K, V comparable] struct {
	delta.Driver[K, V]
	of func(K, V)
}

// Put implements delta.Driver.
func (n news[K, V]) Put(ctx context.Context, k K, v V) error {
	err := n.Driver.Put(ctx, k, v)
	if err == nil {
		n.of(k, v)
	}
	return err
}

func (a *announcer) addresses(d delta.Driver[netip.Addr, dmaps.Public]) delta.Driver[netip.Addr, dmaps.Public] {
	return news[netip.Addr, dmaps.Public]{d, func(k netip.Addr, v dmaps.Public) {
		if v.Segment != 0 {
			a.owed[k] = announcements
		}
	}}
}

// uplinks has all addresses of an uplink announced that is new or has another MAC.
func (a *announcer) uplinks(d delta.Driver[int, dmaps.Uplink]) delta.Driver[int, dmaps.Uplink] {
	return news[int, dmaps.Uplink]{d, func(k int, _ dmaps.Uplink) {
		for addr, p := range a.publics {
			if p.Segment == k {
				a.owed[addr] = announcements
			}
		}
	}}
}

// announce is best effort: there are more announcements, and ARP is answered.
func (d *Dataplane) announce() {
	if err := d.out.Announce(d.news.due()); err != nil && d.cfg.Logger != nil {
		d.cfg.Logger.Warn("public addresses are not announced", "err", err)
	}
}

func newDirectPhases(m *dmaps.Maps, set *progs.Set, a *announcer) directPhases {
	return directPhases{
		doors: delta.New("door", m.Doors(), cmp.Compare[spec.VPC]),
		ways:  delta.New("uplink", a.uplinks(m.Uplinks()), cmp.Compare[int]),
		gates: delta.New("gate", set.Gates(), progs.Attachment.Compare),
	}
}

// directPhases come last: until then packets take the kernel's way.
type directPhases struct {
	doors *delta.Tracker[spec.VPC, int]
	ways  *delta.Tracker[int, dmaps.Uplink]
	gates *delta.Tracker[progs.Attachment, progs.Attached]
	// opening is called when links are in place.
	opening func() (map[spec.VPC]int, map[progs.Attachment]progs.Attached)
}

func (p *directPhases) list() []delta.Phase { return []delta.Phase{p.doors, p.ways, p.gates} }

// open wants what is known now.
func (p *directPhases) open() {
	if p.opening == nil {
		return
	}
	doors, gates := p.opening()
	p.doors.Want(doors)
	p.gates.Want(gates)
}
