package ipam

import (
	"fmt"
	"net/netip"
)

// Offsets from the start of a subnet; the last address is reserved as well.
const (
	offsetNetwork = iota
	offsetRouter
	offsetDNS
	offsetFuture
	firstUsable // lowest offset an interface may have
)

// reservedCount is the number of addresses no interface of a subnet may have.
const reservedCount = firstUsable + 1

// reservedNames is parallel to the result of Reserved.
var reservedNames = [reservedCount]string{
	"network address", "VPC router", "DNS resolver", "address kept for future use", "broadcast address",
}

// Network returns the first address of p.
func Network(p netip.Prefix) netip.Addr { return nth(p, offsetNetwork) }

// Router returns base+1, the address of the VPC router.
func Router(p netip.Prefix) netip.Addr { return nth(p, offsetRouter) }

// DNS returns base+2. The resolver itself answers on base+2 of the primary CIDR
// of the VPC, so pass that to find it; base+2 of every subnet stays reserved.
func DNS(p netip.Prefix) netip.Addr { return nth(p, offsetDNS) }

// Future returns base+3.
func Future(p netip.Prefix) netip.Addr { return nth(p, offsetFuture) }

// Broadcast returns the last address of p. There is no broadcast in a VPC; the
// address is reserved because the stacks of workloads treat it as one.
func Broadcast(p netip.Prefix) netip.Addr {
	s, ok := spanOf(p)
	if !ok {
		return netip.Addr{}
	}
	return address(s.last)
}

// Reserved returns the five addresses of p that no interface may have: network,
// router, DNS, future, broadcast. Host bits of p do not matter. Each is the zero
// Addr where p is not IPv4 or, longer than /30, has no such address.
func Reserved(p netip.Prefix) [5]netip.Addr {
	return [...]netip.Addr{Network(p), Router(p), DNS(p), Future(p), Broadcast(p)}
}

// IsReserved reports whether a is one of the reserved addresses of p, and which,
// in words: "VPC router".
func IsReserved(p netip.Prefix, a netip.Addr) (bool, string) {
	if !a.IsValid() {
		return false, ""
	}
	for i, r := range Reserved(p) {
		if a == r {
			return true, reservedNames[i]
		}
	}
	return false, ""
}

// Capacity returns how many interface addresses p has, 2^(32-bits) - 5; a /28
// has 11. It is 0 for prefixes too small to hold any and for what is not IPv4.
func Capacity(p netip.Prefix) int {
	s, ok := usable(p)
	if !ok {
		return 0
	}
	return int(s.last - s.first + 1)
}

// CheckAddress says whether an interface in subnet p may ask for address a. It
// does not know which addresses are in use. Errors are [*Error] of kind Syntax
// (the zero Addr), Family, Outside, or ReservedAddress naming which one it is.
func CheckAddress(p netip.Prefix, a netip.Addr) error {
	if !a.Is4() {
		return refuseAddr(addrText(a))
	}
	if !p.Masked().Contains(a) {
		return &Error{Outside, a.String(), fmt.Sprintf("not in the subnet's CIDR %s", p.Masked()), advice(p)}
	}
	if reserved, name := IsReserved(p, a); reserved {
		return &Error{ReservedAddress, a.String(), fmt.Sprintf("reserved: the %s of %s", name, p.Masked()), advice(p)}
	}
	return nil
}

// addrText keeps the zero Addr from being reported as the text "invalid IP",
// which nobody typed.
func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func advice(p netip.Prefix) string {
	s, ok := usable(p)
	if !ok {
		return ""
	}
	return fmt.Sprintf("use %s to %s, or leave the address out", address(s.first), address(s.last))
}

// usable is what lies between the reserved addresses, false if nothing does.
func usable(p netip.Prefix) (span, bool) {
	s, ok := spanOf(p)
	if !ok || s.last-s.first < reservedCount {
		return span{}, false
	}
	return span{s.first + firstUsable, s.last - 1}, true
}

// nth is the address offset places into p, the zero Addr if that is past its end.
func nth(p netip.Prefix, offset uint64) netip.Addr {
	s, ok := spanOf(p)
	if !ok || s.first+offset > s.last {
		return netip.Addr{}
	}
	return address(s.first + offset)
}
