package ipam

import (
	"cmp"
	"encoding/binary"
	"iter"
	"net/netip"
	"slices"
)

// span is a closed interval of IPv4 addresses as numbers. 64 bits leave room
// for the number after 255.255.255.255.
type span struct{ first, last uint64 }

// spanOf is false for anything but a valid IPv4 prefix.
func spanOf(p netip.Prefix) (span, bool) {
	if !p.IsValid() || !p.Addr().Is4() {
		return span{}, false
	}
	first := number(p.Masked().Addr())
	return span{first, first + size(p.Bits()) - 1}, true
}

func size(bits int) uint64 { return 1 << (32 - bits) }

// number is the value of an IPv4 address, network byte order.
func number(a netip.Addr) uint64 {
	b := a.As4()
	return uint64(binary.BigEndian.Uint32(b[:]))
}

func address(n uint64) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(n))
	return netip.AddrFrom4(b)
}

// Overlaps reports whether a and b have an address in common. Host bits do not
// matter; an invalid prefix and prefixes of two families never overlap.
func Overlaps(a, b netip.Prefix) bool { return a.Overlaps(b) }

// Covers reports whether a is the same as b or larger and holds all of it. With
// a the CIDR to add and b the destination of a route of the VPC, true means that
// the CIDR cannot be added.
func Covers(a, b netip.Prefix) bool { return a.Overlaps(b) && a.Bits() <= b.Bits() }

// FirstOverlap returns the first of others that overlaps p, and whether there
// is one.
func FirstOverlap(p netip.Prefix, others iter.Seq[netip.Prefix]) (netip.Prefix, bool) {
	for other := range others {
		if Overlaps(p, other) {
			return other, true
		}
	}
	return netip.Prefix{}, false
}

// Parent returns the first of parents that holds all of p, and whether there is
// one: a subnet lies in exactly one CIDR of its VPC, never across two.
func Parent(p netip.Prefix, parents iter.Seq[netip.Prefix]) (netip.Prefix, bool) {
	for parent := range parents {
		if Covers(parent, p) {
			return parent, true
		}
	}
	return netip.Prefix{}, false
}

// FreePrefix returns the numerically lowest prefix of length bits that lies in
// one of parents and overlaps none of used, and false if there is none or bits
// is not in 0..32. The arguments may be in any order and overlap; what is not
// IPv4 is ignored.
func FreePrefix(parents []netip.Prefix, bits int, used []netip.Prefix) (netip.Prefix, bool) {
	if bits < 0 || bits > 32 {
		return netip.Prefix{}, false
	}
	taken := spans(used)
	for _, parent := range spans(parents) {
		if first, ok := lowestFree(parent, size(bits), taken); ok {
			return netip.PrefixFrom(address(first), bits), true
		}
	}
	return netip.Prefix{}, false
}

// spans returns the IPv4 prefixes in ascending order of their first address.
func spans(prefixes []netip.Prefix) []span {
	out := make([]span, 0, len(prefixes))
	for _, p := range prefixes {
		if s, ok := spanOf(p); ok {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	return out
}

// lowestFree moves a window of n addresses, n a power of two, over parent.
// The window is always aligned to n: parent starts at a multiple of its own
// size, and a jump rounds up.
func lowestFree(parent span, n uint64, taken []span) (uint64, bool) {
	at := parent.first
	if parent.last-parent.first+1 < n {
		return 0, false
	}
	for _, t := range taken {
		if t.last < at {
			continue
		}
		if t.first >= at+n {
			break // sorted: no later one reaches back into the window
		}
		at = (t.last + n) / n * n
	}
	return at, at+n-1 <= parent.last
}
