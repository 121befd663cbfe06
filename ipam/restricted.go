package ipam

import (
	"fmt"
	"net/netip"
	"slices"
)

// restriction: beside a CIDR that lies in existing, none may be added that
// touches one of cannot.
type restriction struct {
	existing netip.Prefix
	cannot   []netip.Prefix
}

var (
	net10     = netip.MustParsePrefix("10.0.0.0/8")
	net10low  = netip.MustParsePrefix("10.0.0.0/15")
	net10zero = netip.MustParsePrefix("10.0.0.0/16")
	net172    = netip.MustParsePrefix("172.16.0.0/12")
	net172def = netip.MustParsePrefix("172.31.0.0/16")
	net192    = netip.MustParsePrefix("192.168.0.0/16")
	net198    = netip.MustParsePrefix("198.19.0.0/16")
	netAll    = netip.MustParsePrefix("0.0.0.0/0")
)

// restrictions is the table "IPv4 CIDR block association restrictions" of the
// VPC User Guide. The first row that holds the existing CIDR counts, so
// 10.0.0.0/15 stands before 10.0.0.0/8, and the last row is the rest: public
// ranges and 100.64.0.0/10.
var restrictions = []restriction{
	{net10low, []netip.Prefix{net172, net192, net198, net10zero}},
	{net10, []netip.Prefix{net172, net192, net198}},
	{net172, []netip.Prefix{net10, net192, net172def, net198}},
	{net192, []netip.Prefix{net10, net172, net198}},
	{net198, []netip.Prefix{net10, net172, net192}},
	{netAll, []netip.Prefix{net10, net172, net192, net198}},
}

// RestrictedAssociation says whether the strict table lets add join a VPC that
// has the CIDRs existing, in any order; every one of them is asked. It does not
// check overlap. The error is an [*Error] of kind Restricted that names the
// range and the existing CIDR.
//
// The table protects AWS's own plumbing, not networking: apply it only where
// strict CIDRs are asked for. Because each existing CIDR counts, the order of
// additions matters: 10.5.0.0/16 then 100.64.0.0/16 may join 10.0.0.0/16, the
// reverse may not.
func RestrictedAssociation(existing []netip.Prefix, add netip.Prefix) error {
	for _, e := range existing {
		if r, ok := restrictedBy(e, add); ok {
			return &Error{
				Kind:   Restricted,
				Value:  add.String(),
				Reason: fmt.Sprintf("a CIDR from %s cannot join a VPC that has %s", r, e),
				Hint:   "use a CIDR outside " + r.String() + ", or turn strict CIDRs off",
			}
		}
	}
	return nil
}

func restrictedBy(existing, add netip.Prefix) (netip.Prefix, bool) {
	for _, row := range restrictions {
		if !Covers(row.existing, existing) {
			continue
		}
		return FirstOverlap(add, slices.Values(row.cannot))
	}
	return netip.Prefix{}, false
}
