// Package maps writes what the programs read: ports, endpoints, routes and rule
// lists, one delta driver each. It also reads the counters.
//
// The order that keeps every moment consistent is the caller's: lists, routes,
// memberships and policies are written beside the old ones, then Publish puts
// them in force at once, and the ports they concern are written last, because
// that write counts the epoch which makes flows look again.
package maps

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"

	"github.com/cilium/ebpf"

	"github.com/vpcfabric/vpc/bpf"
)

// Maps gives typed access to the pinned maps, by name.
type Maps struct {
	m   map[string]*ebpf.Map
	gen generations
}

// New wraps the maps of one host; they stay the caller's to close.
func New(m map[string]*ebpf.Map) *Maps {
	return &Maps{m: m, gen: generations{uncounted: map[Slot]bool{}, owners: map[uint32]bpf.EndpointKey{}}}
}

// writes counts map updates and deletions.
var writes atomic.Int64

// Writes is how many map elements were written or deleted so far.
func Writes() int64 { return writes.Load() }

// words are the four network-order words of an address; IPv4 is mapped.
func words(a netip.Addr) (w [4]uint32) {
	b := a.As16()
	for i := range w {
		w[i] = binary.NativeEndian.Uint32(b[4*i:])
	}
	return w
}

func addrOf(w [4]uint32) netip.Addr {
	var b [16]byte
	for i := range w {
		binary.NativeEndian.PutUint32(b[4*i:], w[i])
	}
	return netip.AddrFrom16(b).Unmap()
}

// be32 is an IPv4 address as the programs compare it.
func be32(a netip.Addr) uint32 {
	b := a.As4()
	return binary.NativeEndian.Uint32(b[:])
}

func addr4(v uint32) netip.Addr {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], v)
	return netip.AddrFrom4(b)
}

func hostOrder(v uint32) uint32 {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], v)
	return binary.NativeEndian.Uint32(b[:])
}

// bits128 is the prefix length counted over 128 bits.
func bits128(p netip.Prefix) int {
	if p.Addr().Is4() {
		return p.Bits() + 96
	}
	return p.Bits()
}
