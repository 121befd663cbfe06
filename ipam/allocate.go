package ipam

import (
	"iter"
	"net/netip"
	"strconv"
)

// Claim is the trace of an address that is or was somebody's. An address without
// a claim was never used.
type Claim struct {
	Addr  netip.Addr
	InUse bool
	// Released is when the address was last given back: any number that grows
	// with time, such as a store revision or a Unix time. Ignored while InUse.
	Released int64
}

// Next returns the address to hand out next in subnet p: the lowest one that was
// never used, or else the one released longest ago (the lowest of equals).
// Reserved addresses are never returned.
//
// claims come in strictly ascending order of address. Those outside p and those
// of reserved addresses are skipped, so the claims of a whole VPC will do.
// Reading stops at the first gap.
//
// Errors are [*Error] of kind Exhausted (errors.Is [ErrExhausted]) when every
// address is in use, or Unsorted when the claims read are out of order: going on
// could give one address to two owners.
func Next(p netip.Prefix, claims iter.Seq[Claim]) (netip.Addr, error) {
	room, ok := usable(p)
	if !ok {
		return netip.Addr{}, exhausted(p)
	}
	a, err := room.next(claims)
	if err != nil || a.IsValid() {
		return a, err
	}
	return netip.Addr{}, exhausted(p)
}

// next is the address of the span to hand out next, the zero Addr for none.
func (room span) next(claims iter.Seq[Claim]) (netip.Addr, error) {
	var previous netip.Addr
	var oldest Claim
	fresh := room.first // every usable address below it has a claim
	for c := range claims {
		if previous.IsValid() && !previous.Less(c.Addr) {
			return netip.Addr{}, unsorted(previous, c.Addr)
		}
		previous = c.Addr
		if !c.Addr.Is4() || number(c.Addr) < room.first {
			continue
		}
		if number(c.Addr) > fresh || number(c.Addr) > room.last {
			break
		}
		fresh++
		if !c.InUse && (!oldest.Addr.IsValid() || c.Released < oldest.Released) {
			oldest = c
		}
	}
	if fresh <= room.last {
		return address(fresh), nil
	}
	return oldest.Addr, nil
}

func exhausted(p netip.Prefix) *Error {
	return &Error{
		Kind:   Exhausted,
		Value:  p.String(),
		Reason: "all " + strconv.Itoa(Capacity(p)) + " addresses are in use",
		Hint:   "release one or use another subnet",
	}
}

func unsorted(before, after netip.Addr) *Error {
	return &Error{
		Kind:   Unsorted,
		Value:  after.String(),
		Reason: "claim follows that of " + quote(before.String()) + ": claims must ascend",
	}
}
