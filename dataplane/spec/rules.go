package spec

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
)

// RuleSet is an allow list: a packet that no rule matches is refused, so the
// empty list refuses everything.
type RuleSet struct {
	Rules []Rule
}

// AnyProtocol in Rule.Protocol matches every protocol.
const AnyProtocol = -1

// Rule allows what matches all of its parts.
type Rule struct {
	// Protocol is an IP protocol number or AnyProtocol.
	Protocol int16
	// FromPort and ToPort bound the destination port, inclusive. For ICMP
	// they are type and code, -1 for any.
	FromPort, ToPort int32
	// Exactly one of Prefix (valid) and Group (non-zero) names the remote.
	Prefix netip.Prefix
	Group  Group
	// ID is the rule's own index, shown in verdicts: the first eight hex
	// digits of its sgr- id.
	ID uint32
}

// Any reports a rule for the whole world: such flows are not tracked when the
// other direction is as open.
func (r Rule) Any() bool { return r.Prefix.IsValid() && r.Prefix.Bits() == 0 }

// AllowsAll reports a rule that admits every packet.
func (r Rule) AllowsAll() bool { return r.Any() && r.Protocol == AnyProtocol }

// MakeRuleSet puts rules into canonical order and names them by content.
func MakeRuleSet(in []Rule) (RuleSetID, RuleSet) {
	rules := slices.Clone(in)
	slices.SortFunc(rules, compareRules)
	rules = slices.Compact(rules)
	h := sha256.New()
	for _, r := range rules {
		h.Write(r.bytes())
	}
	var id RuleSetID
	copy(id[:], h.Sum(nil))
	return id, RuleSet{Rules: rules}
}

func compareRules(a, b Rule) int { return slices.Compare(a.bytes(), b.bytes()) }

func (r Rule) bytes() []byte {
	b := make([]byte, 1, 40)
	if !r.Any() {
		// Rules for the whole world come first: a flow that one of them
		// admits is untracked even where a narrower rule admits it too.
		b[0] = 1
	}
	b = binary.BigEndian.AppendUint16(b, uint16(r.Protocol))
	b = binary.BigEndian.AppendUint32(b, uint32(r.FromPort))
	b = binary.BigEndian.AppendUint32(b, uint32(r.ToPort))
	b = binary.BigEndian.AppendUint32(b, uint32(r.Group))
	if r.Prefix.IsValid() {
		a := r.Prefix.Addr().As16()
		b = append(append(b, a[:]...), byte(r.Prefix.Bits()+1))
	} else {
		b = append(b, make([]byte, 17)...)
	}
	return binary.BigEndian.AppendUint32(b, r.ID)
}

// String renders a rule for goldens and diffs.
func (r Rule) String() string {
	remote := r.Prefix.String()
	if r.Group != 0 {
		remote = fmt.Sprintf("group %d", r.Group)
	}
	return fmt.Sprintf("proto %d ports %d-%d remote %s id %08x", r.Protocol, r.FromPort, r.ToPort, remote, r.ID)
}
