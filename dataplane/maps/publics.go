package maps

import (
	"context"
	"net/netip"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/delta"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// Public says whose a public address is; the interface is found by its private
// address, which names the public one in turn.
type Public struct {
	VPC     spec.VPC // 0: the host itself
	Private netip.Addr
	// Direct says that the world knows the address: its packets pass by the host's
	// forwarding.
	Direct bool
	// Segment is the ifindex of the uplink on which ARP for it is answered; 0 is
	// none.
	Segment int
}

// ComparePublics orders addresses.
func ComparePublics(a, b netip.Addr) int { return a.Compare(b) }

// Publics is the driver of public addresses.
func (m *Maps) Publics() delta.Driver[netip.Addr, Public] { return publics{m} }

type publics struct{ *Maps }

const direct = uint32(bpf.FromEniPublicFlagsPUBLIC_DIRECT)

func (d publics) Observe(context.Context, map[netip.Addr]Public) (map[netip.Addr]Public, error) {
	out := map[netip.Addr]Public{}
	err := each(d.m["publics"], func(k uint32, v bpf.PublicAddress) {
		p := Public{VPC: spec.VPC(v.Vpc), Private: addr4(v.Private), Direct: v.Flags&direct != 0, Segment: int(v.Segment)}
		if v.Addr != k {
			p = Public{} // the programs do not follow it
		}
		out[addr4(k)] = p
	})
	return out, err
}

func (d publics) Put(_ context.Context, k netip.Addr, p Public) error {
	key := be32(k)
	d.gen.changed = true
	writes.Add(1)
	v := bpf.PublicAddress{Addr: key, Vpc: uint32(p.VPC), Private: be32(p.Private), Segment: uint32(p.Segment)}
	if p.Direct {
		v.Flags = direct
	}
	return d.m["publics"].Put(key, v)
}

func (d publics) Delete(_ context.Context, k netip.Addr) error {
	d.gen.changed = true
	return remove(d.m["publics"], be32(k))
}

// Filter is an exception from what internet gateways refuse by themselves: they
// lead neither to nor from private and other addresses that no host of the world
// has.
type Filter uint32

const (
	// Refuse an address that the host itself has.
	Refuse = Filter(bpf.FromEniFilterVerdictFILTER_REFUSE)
	// Allow a private network that the operator opened.
	Allow = Filter(bpf.FromEniFilterVerdictFILTER_ALLOW)
)

// ComparePrefixes orders by address, then length.
func ComparePrefixes(a, b netip.Prefix) int {
	if c := a.Addr().Compare(b.Addr()); c != 0 {
		return c
	}
	return a.Bits() - b.Bits()
}

// Filters is the driver of these exceptions; the longest prefix counts.
func (m *Maps) Filters() delta.Driver[netip.Prefix, Filter] { return filters{m} }

type filters struct{ *Maps }

func filterKey(p netip.Prefix) bpf.FilterKey {
	return bpf.FilterKey{Prefixlen: uint32(p.Bits()), Addr: be32(p.Addr())}
}

func (d filters) Observe(context.Context, map[netip.Prefix]Filter) (map[netip.Prefix]Filter, error) {
	out := map[netip.Prefix]Filter{}
	err := each(d.m["edge_filter"], func(k bpf.FilterKey, v uint32) {
		out[netip.PrefixFrom(addr4(k.Addr), int(k.Prefixlen))] = Filter(v)
	})
	return out, err
}

func (d filters) Put(_ context.Context, k netip.Prefix, f Filter) error {
	d.gen.changed = true
	writes.Add(1)
	return d.m["edge_filter"].Put(filterKey(k), uint32(f))
}

func (d filters) Delete(_ context.Context, k netip.Prefix) error {
	d.gen.changed = true
	return remove(d.m["edge_filter"], filterKey(k))
}
