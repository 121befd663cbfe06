// Package classify compiles rule sets into the tables that the programs
// evaluate. It is pure: what it returns is the whole truth of a list, and
// Decompile reads it back.
package classify

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

// MaxRules is how many rules one list can have.
const MaxRules = 1024

// mapped4 is where IPv4 addresses are among the 128-bit ones.
var mapped4 = netip.MustParsePrefix("::ffff:0:0/96")

const (
	protoICMP = 1
	protoTCP  = 6
	protoUDP  = 17
)

// List is one compiled list: rules in the order of evaluation.
type List struct {
	Rules []Rule
	// OpenTCP and OpenUDP say that everyone may use every port: replies need
	// no tracking.
	OpenTCP, OpenUDP bool
}

// Rule is one rule as ranges and masks. Addresses are 128 bits, IPv4 mapped.
type Rule struct {
	Addr, Mask                         [16]byte
	Group                              uint32
	Proto                              int32
	PortMin, PortMax, CodeMin, CodeMax uint16
	ID                                 uint32
	Any                                bool
}

// Compile turns a rule set into a list; a set that the programs could not hold
// is an error, never a shorter list.
func Compile(set spec.RuleSet) (List, error) {
	if len(set.Rules) > MaxRules {
		return List{}, fmt.Errorf("%d rules in one list, at most %d", len(set.Rules), MaxRules)
	}
	var l List
	for _, r := range set.Rules {
		c, err := compileRule(r)
		if err != nil {
			return List{}, fmt.Errorf("rule %08x: %w", r.ID, err)
		}
		l.Rules = append(l.Rules, c)
		l.OpenTCP = l.OpenTCP || opens(r, protoTCP)
		l.OpenUDP = l.OpenUDP || opens(r, protoUDP)
	}
	return l, nil
}

func opens(r spec.Rule, proto int16) bool {
	if !r.Any() {
		return false
	}
	return r.Protocol == spec.AnyProtocol || r.Protocol == proto && r.FromPort == 0 && r.ToPort == 65535
}

func compileRule(r spec.Rule) (Rule, error) {
	c := Rule{Proto: int32(r.Protocol), Group: uint32(r.Group), ID: r.ID, Any: r.Any(), PortMax: 65535, CodeMax: 65535}
	if (r.Group != 0) == r.Prefix.IsValid() {
		return Rule{}, fmt.Errorf("exactly one of group and prefix names the remote")
	}
	if p := r.Prefix; p.IsValid() && p.Addr().Is6() && p.Overlaps(mapped4) {
		return Rule{}, fmt.Errorf("%s would match IPv4 as well", p)
	}
	if r.Prefix.IsValid() {
		c.Addr, c.Mask = addrMask(r.Prefix)
	}
	switch r.Protocol {
	case protoTCP, protoUDP:
		if r.FromPort < 0 || r.FromPort > r.ToPort || r.ToPort > 65535 {
			return Rule{}, fmt.Errorf("ports %d-%d", r.FromPort, r.ToPort)
		}
		c.PortMin, c.PortMax = uint16(r.FromPort), uint16(r.ToPort)
	case protoICMP:
		if r.FromPort >= 0 {
			c.PortMin, c.PortMax = uint16(r.FromPort), uint16(r.FromPort)
		}
		if r.ToPort >= 0 {
			c.CodeMin, c.CodeMax = uint16(r.ToPort), uint16(r.ToPort)
		}
	}
	return c, nil
}

func addrMask(p netip.Prefix) (addr, mask [16]byte) {
	p = p.Masked()
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	for i := range bits {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return p.Addr().As16(), mask
}

// Decompile is the rule set that compiles to l.
func Decompile(l List) spec.RuleSet {
	set := spec.RuleSet{Rules: make([]spec.Rule, len(l.Rules))}
	for i, c := range l.Rules {
		set.Rules[i] = decompileRule(c)
	}
	return set
}

func decompileRule(c Rule) spec.Rule {
	r := spec.Rule{Protocol: int16(c.Proto), Group: spec.Group(c.Group), ID: c.ID}
	if c.Group == 0 {
		r.Prefix = prefixOf(c.Addr, c.Mask)
	}
	switch r.Protocol {
	case protoTCP, protoUDP:
		r.FromPort, r.ToPort = int32(c.PortMin), int32(c.PortMax)
	case protoICMP:
		r.FromPort, r.ToPort = -1, -1
		if c.PortMin == c.PortMax {
			r.FromPort = int32(c.PortMin)
		}
		if c.CodeMin == c.CodeMax {
			r.ToPort = int32(c.CodeMin)
		}
	default:
		r.FromPort, r.ToPort = -1, -1
	}
	return r
}

func prefixOf(addr, mask [16]byte) netip.Prefix {
	bits := 0
	for _, half := range []uint64{binary.BigEndian.Uint64(mask[:8]), binary.BigEndian.Uint64(mask[8:])} {
		for ; half&(1<<63) != 0; half <<= 1 {
			bits++
		}
	}
	a := netip.AddrFrom16(addr)
	if a.Is4In6() && bits >= 96 {
		return netip.PrefixFrom(a.Unmap(), bits-96)
	}
	return netip.PrefixFrom(a, bits)
}
