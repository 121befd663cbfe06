package ipam

import (
	"fmt"
	"iter"
	"net/netip"
)

// poolRole is a pool of public addresses: neither so large that it would take
// the internet away, nor so small that nothing is left to give out.
var poolRole = role{"a public pool", "198.18.0.0/24", 8, 30, unusable}

// ParsePool parses the CIDR of a pool of public addresses: IPv4, /8 to /30, host
// bits cleared, outside the ranges no VPC can have. Errors are [*Error] of kind
// Syntax, Family or Range.
func ParsePool(s string) (netip.Prefix, error) { return poolRole.parse(s) }

// PoolHost is the pool's first address: the host's own, at the edge.
func PoolHost(p netip.Prefix) netip.Addr { return nth(p, offsetRouter) }

// CheckPool says whether address a of pool p can be anybody's: not the network,
// the first and the last one. Errors are [*Error] of kind Outside or
// ReservedAddress.
func CheckPool(p netip.Prefix, a netip.Addr) error {
	s, ok := poolRoom(p)
	switch {
	case !ok || !p.Masked().Contains(a):
		return &Error{Outside, addrText(a), fmt.Sprintf("not in the pool %s", p.Masked()), ""}
	case number(a) < s.first || number(a) > s.last:
		return &Error{ReservedAddress, a.String(), fmt.Sprintf("the first two and the last address of the pool %s are never given out", p.Masked()),
			fmt.Sprintf("use %s to %s, or leave the address out", address(s.first), address(s.last))}
	}
	return nil
}

// NextOfPool is [Next] for a pool of public addresses.
func NextOfPool(p netip.Prefix, claims iter.Seq[Claim]) (netip.Addr, error) {
	if room, ok := poolRoom(p); ok {
		if a, err := room.next(claims); err != nil || a.IsValid() {
			return a, err
		}
	}
	return netip.Addr{}, &Error{Exhausted, p.String(), "all addresses of the pool are in use", "release one, or give vpcd another pool"}
}

// poolRoom is what can be given out.
func poolRoom(p netip.Prefix) (span, bool) {
	s, ok := spanOf(p)
	if !ok || p.Bits() < poolRole.min || p.Bits() > poolRole.max {
		return span{}, false
	}
	return span{s.first + offsetDNS, s.last - 1}, true
}
