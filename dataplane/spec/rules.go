package spec

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
)

// RuleSet is a list of rules of which the first that matches decides. A packet
// that none matches is refused, so the empty list refuses everything.
type RuleSet struct {
	// Rules in the order of evaluation, as MakeRuleSet and MakeACL put them.
	Rules []Rule
}

// AnyProtocol in Rule.Protocol matches every protocol.
const AnyProtocol = -1

// Rule decides about what matches all of its parts.
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
	// digits of its sgr- id, or its number in a network ACL. Rules that differ
	// only in the remote may share it: together they are one, for example the
	// entries of a prefix list.
	ID uint32
	// Deny refuses instead of allowing; only network ACLs have such rules.
	Deny bool
}

// Any reports a rule for the whole world: such flows are not tracked when the
// other direction is as open.
func (r Rule) Any() bool { return r.Prefix.IsValid() && r.Prefix.Bits() == 0 }

// AllowsAll reports a rule that admits every packet.
func (r Rule) AllowsAll() bool { return r.Any() && r.Protocol == AnyProtocol && !r.Deny }

// MakeRuleSet makes the rule list of security groups: all rules allow, so their
// order only says which of several is named in a verdict.
func MakeRuleSet(in []Rule) (RuleSetID, RuleSet) { return makeSet(in, Rule.groupOrder) }

// MakeACL makes one direction of a network ACL: rules in order of their numbers,
// which are their IDs.
func MakeACL(in []Rule) (RuleSetID, RuleSet) { return makeSet(in, Rule.aclOrder) }

// makeSet puts rules into canonical order and names them by content. No rules
// have one name, whatever kind of list they are.
func makeSet(in []Rule, order func(Rule) []byte) (RuleSetID, RuleSet) {
	rules := slices.Clone(in)
	slices.SortFunc(rules, func(a, b Rule) int { return bytes.Compare(order(a), order(b)) })
	rules = slices.Compact(rules)
	h := sha256.New()
	for _, r := range rules {
		h.Write(order(r))
	}
	var id RuleSetID
	copy(id[:], h.Sum(nil))
	return id, RuleSet{Rules: rules}
}

// The first byte of a rule's order, which no two kinds of list share.
const (
	// Rules for the whole world come first: a flow that one of them admits is
	// untracked even where a narrower rule admits it too.
	orderWorld byte = iota
	orderNarrow
	orderACL
)

func (r Rule) groupOrder() []byte {
	b := append(make([]byte, 0, 40), orderNarrow)
	if r.Any() {
		b[0] = orderWorld
	}
	return r.remote(binary.BigEndian.AppendUint32(r.service(b), r.ID))
}

func (r Rule) aclOrder() []byte {
	b := append(make([]byte, 0, 40), orderACL)
	return r.remote(r.service(binary.BigEndian.AppendUint32(b, r.ID)))
}

func (r Rule) service(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(r.Protocol))
	b = binary.BigEndian.AppendUint32(b, uint32(r.FromPort))
	b = binary.BigEndian.AppendUint32(b, uint32(r.ToPort))
	if r.Deny {
		return append(b, 1)
	}
	return append(b, 0)
}

func (r Rule) remote(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(r.Group))
	if !r.Prefix.IsValid() {
		return append(b, make([]byte, 17)...)
	}
	a := r.Prefix.Addr().As16()
	return append(append(b, a[:]...), byte(r.Prefix.Bits()+1))
}

// String renders a rule for goldens and diffs.
func (r Rule) String() string {
	remote, action := r.Prefix.String(), ""
	if r.Group != 0 {
		remote = fmt.Sprintf("group %d", r.Group)
	}
	if r.Deny {
		action = "deny "
	}
	return fmt.Sprintf("%sproto %d ports %d-%d remote %s id %08x", action, r.Protocol, r.FromPort, r.ToPort, remote, r.ID)
}
