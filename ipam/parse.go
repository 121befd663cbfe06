package ipam

import (
	"fmt"
	"net/netip"
	"strings"
)

// role is what a CIDR is meant for; it decides size, range and the advice given.
type role struct {
	noun     string
	example  string
	min, max int     // accepted prefix lengths, inclusive
	never    []block // ranges refused whole
}

type block struct {
	prefix netip.Prefix
	name   string
}

// unusable lists the ranges no VPC can have: a workload's own kernel treats
// their addresses specially, so packets would never reach the VPC.
var unusable = []block{
	{netip.MustParsePrefix("0.0.0.0/8"), `"this network"`},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},
}

var (
	vpcRole    = role{"a VPC CIDR", "10.0.0.0/16", 16, 28, unusable}
	subnetRole = role{"a subnet CIDR", "10.0.1.0/24", 16, 28, nil}
	reachRole  = role{"a CIDR to allow", "10.0.0.0/8", 1, 32, unusable}
	ruleRole   = role{"a CIDR", "203.0.113.7/32", 0, 32, nil}
)

const addrExample = "10.0.1.10"

// ParseVpcCIDR parses the CIDR of a VPC: IPv4, /16 to /28, host bits cleared
// (100.68.0.18/18 gives 100.68.0.0/18), outside the ranges no VPC can have:
// 0.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16, 224.0.0.0/4 and 240.0.0.0/4. Public
// ranges are accepted. Errors are [*Error] of kind Syntax, Family or Range.
func ParseVpcCIDR(s string) (netip.Prefix, error) { return vpcRole.parse(s) }

// ParseSubnetCIDR parses the CIDR of a subnet: IPv4, /16 to /28, host bits
// cleared. That it lies in its VPC is for the caller to check, with [Parent];
// this also keeps it out of the ranges no VPC can have.
// Errors are [*Error] of kind Syntax, Family or Range.
func ParseSubnetCIDR(s string) (netip.Prefix, error) { return subnetRole.parse(s) }

// ParseRuleCIDR parses the CIDR of a security group rule, network ACL entry or
// route: IPv4, /0 to /32, host bits cleared. Errors are [*Error] of kind Syntax
// or Family.
func ParseRuleCIDR(s string) (netip.Prefix, error) { return ruleRole.parse(s) }

// ParseReachableCIDR parses the CIDR of a network that others can be in: IPv4, /1 to
// /32, host bits cleared, outside the ranges no VPC can have. Errors are [*Error] of
// kind Syntax, Family or Range.
func ParseReachableCIDR(s string) (netip.Prefix, error) { return reachRole.parse(s) }

// ParseAddr parses one plain IPv4 address. Errors are [*Error] of kind Syntax or
// Family.
func ParseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return netip.Addr{}, refuseAddr(s)
	}
	return a, nil
}

// Format returns a as a dotted quad, the form [ParseAddr] reads, and "" for
// anything that is not a plain IPv4 address: absent values stay absent.
func Format(a netip.Addr) string {
	if !a.Is4() {
		return ""
	}
	return a.String()
}

func (r role) parse(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil || !p.Addr().Is4() {
		return netip.Prefix{}, r.refuse(s)
	}
	p = p.Masked()
	if p.Bits() < r.min || p.Bits() > r.max {
		reason := fmt.Sprintf("%s is /%d to /%d, this is /%d", r.noun, r.min, r.max, p.Bits())
		return netip.Prefix{}, &Error{Range, s, reason, "use " + r.nearest(p)}
	}
	if b, ok := r.forbidden(p); ok {
		reason := fmt.Sprintf("%s cannot lie in %s (%s)", r.noun, b.prefix, b.name)
		return netip.Prefix{}, &Error{Range, s, reason, "use another range, as in " + r.example}
	}
	return p, nil
}

func (r role) forbidden(p netip.Prefix) (block, bool) {
	for _, b := range r.never {
		if b.prefix.Overlaps(p) {
			return b, true
		}
	}
	return block{}, false
}

// nearest is the CIDR closest to p that the role accepts: advice that would be
// refused in its turn is worse than none.
func (r role) nearest(p netip.Prefix) string {
	q := netip.PrefixFrom(p.Addr(), min(max(p.Bits(), r.min), r.max)).Masked()
	if _, bad := r.forbidden(q); bad {
		return "another range, as in " + r.example
	}
	return q.String()
}

// refuse explains a string that is not an IPv4 CIDR.
func (r role) refuse(s string) *Error {
	if p, err := netip.ParsePrefix(s); err == nil && !p.Addr().Is4In6() {
		return &Error{Family, s, "IPv6, but " + r.noun + " must be IPv4", "write it as in " + r.example}
	}
	addr, bits, slash := strings.Cut(s, "/")
	reason := malformed(s, addr)
	if reason == "" && !slash {
		reason = "no prefix length"
	}
	if reason == "" {
		if _, err := netip.ParseAddr(addr); err == nil {
			reason = "prefix length " + quote(bits) + " is not a number from 0 to 32"
		}
	}
	if reason == "" {
		reason = "not an IPv4 CIDR"
	}
	return &Error{Syntax, s, reason, "write it as in " + r.example}
}

// refuseAddr explains a string that is not an IPv4 address.
func refuseAddr(s string) *Error {
	hint := "write it as in " + addrExample
	if a, err := netip.ParseAddr(s); err == nil && !a.Is4In6() && a.Zone() == "" {
		return &Error{Family, s, "IPv6, but the address must be IPv4", hint}
	}
	addr, _, slash := strings.Cut(s, "/")
	reason := malformed(s, addr)
	if reason == "" && slash {
		reason = "an address has no prefix length"
	}
	if reason == "" {
		reason = "not an IPv4 address"
	}
	return &Error{Syntax, s, reason, hint}
}

// malformed names the mistakes that addresses and CIDRs share, "" if there is
// none of them. addr is s up to the slash.
func malformed(s, addr string) string {
	switch {
	case s == "":
		return "empty"
	case strings.TrimSpace(s) != s:
		return "spaces around the value"
	case strings.Contains(s, "%"):
		return `"%" found: an IPv4 value has no zone`
	}
	if a, err := netip.ParseAddr(addr); err == nil && a.Is4In6() {
		return "IPv4 written as IPv6"
	}
	for octet := range strings.SplitSeq(addr, ".") {
		// Some programs read 010 as 8, others as 10: refuse to guess.
		if len(octet) > 1 && octet[0] == '0' && strings.Trim(octet, "0123456789") == "" {
			return "octet " + quote(octet) + " has a leading zero"
		}
	}
	return ""
}
