package plan

import (
	"errors"
	"fmt"

	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

const (
	firstACLRule = 1
	// lastACLRule is the number of the rule "*": it denies what no other rule
	// matched, and no ACL is without it.
	lastACLRule = 32767
)

// acls finds the network ACL of a subnet: the one that it is associated with, or
// its VPC's default one.
type acls struct {
	main map[string]string    // VPC → key of its default ACL
	of   map[[2]string]string // VPC and subnet → key of the subnet's own ACL
}

func aclsOf(w *record.World) acls {
	a := acls{main: map[string]string{}, of: map[[2]string]string{}}
	for _, key := range sortedKeys(w.Acls) {
		acl := &w.Acls[key].Acl
		if _, taken := a.main[acl.VpcId]; !taken && api.Val(acl.IsDefault) {
			a.main[acl.VpcId] = key
		}
		for _, x := range acl.Associations {
			subnet := [2]string{acl.VpcId, x.SubnetId}
			if _, taken := a.of[subnet]; !taken {
				a.of[subnet] = key
			}
		}
	}
	return a
}

func (a acls) find(s *api.Subnet) (key string, ok bool) {
	if key, ok = a.of[[2]string{s.VpcId, s.SubnetId}]; !ok {
		key, ok = a.main[s.VpcId]
	}
	return key, ok
}

// acl gives a segment the subnet's network ACL, and adds both its directions to
// sets. Two ACLs with one index, or one without, are no reason to doubt them:
// only their counts could be mistaken for each other's.
func (b *builder) acl(segment *spec.Subnet, sets map[spec.RuleSetID]spec.RuleSet, s *record.Subnet) error {
	key, ok := b.acls.find(&s.Subnet)
	if !ok {
		return fmt.Errorf("VPC %s has no default network ACL", segment.VPCID)
	}
	segment.ACL = spec.ACL(b.w.Acls[key].Index)
	acl := &b.w.Acls[key].Acl
	everywhere := spec.Rule{Protocol: spec.AnyProtocol, FromPort: -1, ToPort: -1, Prefix: allIPv4, ID: lastACLRule, Deny: true}
	rules := map[bool][]spec.Rule{true: {everywhere}, false: {everywhere}}
	taken := map[bool]map[uint32]bool{true: {lastACLRule: true}, false: {lastACLRule: true}}
	for _, e := range acl.Entries {
		if api.Val(e.RuleNumber) == lastACLRule || e.CidrBlock == "" && e.Ipv6CidrBlock != "" {
			continue // it is there already, or for IPv6
		}
		r, err := aclRule(e)
		if err == nil && taken[api.Val(e.Egress)][r.ID] {
			err = errors.New("another has its number")
		}
		if err != nil {
			return fmt.Errorf("network ACL %s: rule %d: %w", acl.NetworkAclId, api.Val(e.RuleNumber), err)
		}
		taken[api.Val(e.Egress)][r.ID] = true
		rules[api.Val(e.Egress)] = append(rules[api.Val(e.Egress)], r)
	}
	segment.ACLOut, segment.ACLIn = addACL(sets, rules[true]), addACL(sets, rules[false])
	return nil
}

func addACL(sets map[spec.RuleSetID]spec.RuleSet, rules []spec.Rule) spec.RuleSetID {
	id, set := spec.MakeACL(rules)
	sets[id] = set
	return id
}

func aclRule(e api.NetworkAclEntry) (spec.Rule, error) {
	n := api.Val(e.RuleNumber)
	if n < firstACLRule || n >= lastACLRule {
		return spec.Rule{}, fmt.Errorf("not from %d to %d", firstACLRule, lastACLRule-1)
	}
	proto, err := protocol(e.Protocol)
	if err != nil {
		return spec.Rule{}, err
	}
	r := spec.Rule{Protocol: proto, ID: uint32(n), Deny: e.RuleAction == api.RuleActionDeny}
	if !r.Deny && e.RuleAction != api.RuleActionAllow {
		return spec.Rule{}, fmt.Errorf("action %q", e.RuleAction)
	}
	var from, to *int32
	switch {
	case proto == icmp && e.IcmpTypeCode != nil:
		from, to = e.IcmpTypeCode.Type, e.IcmpTypeCode.Code
	case (proto == tcp || proto == udp) && e.PortRange != nil:
		from, to = e.PortRange.From, e.PortRange.To
	}
	if (proto == icmp || proto == tcp || proto == udp) && (from == nil || to == nil) {
		return spec.Rule{}, errors.New("its range of ports, or type and code, is not there")
	}
	if r.FromPort, r.ToPort, err = ports(proto, from, to); err != nil {
		return spec.Rule{}, err
	}
	r.Prefix, err = prefix(e.CidrBlock)
	return r, err
}
