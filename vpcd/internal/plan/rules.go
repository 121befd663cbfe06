package plan

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

func (b *builder) groups(n *record.NetworkInterface) ([]*record.SecurityGroup, error) {
	var out []*record.SecurityGroup
	for _, g := range n.Interface.Groups {
		r, ok := b.w.Groups[g.GroupId]
		if !ok {
			return nil, fmt.Errorf("its security group %s has no record", g.GroupId)
		}
		if r.Group.VpcId != n.Interface.VpcId {
			return nil, fmt.Errorf("its security group %s belongs to another VPC", g.GroupId)
		}
		if err := b.doubtful[g.GroupId]; err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// indices are the groups as the data plane compares them.
func indices(groups []*record.SecurityGroup) (spec.Groups, error) {
	members := make([]spec.Group, len(groups))
	for i, g := range groups {
		members[i] = spec.Group(g.Index)
	}
	return spec.MakeGroups(members)
}

// merged are the rules of some groups together.
type merged struct {
	egress, ingress spec.RuleSetID
	sets            map[spec.RuleSetID]spec.RuleSet // the one or two of them
}

// rules merges the groups of one interface, the union of all that allow. members
// are the same groups as the data plane compares them.
func (b *builder) rules(members spec.Groups, groups []*record.SecurityGroup) (merged, error) {
	if m, ok := b.merged[members]; ok {
		return m, nil
	}
	var out, in []spec.Rule
	for _, g := range groups {
		for _, r := range g.Rules {
			rules, err := b.rule(g, r)
			if err != nil {
				return merged{}, fmt.Errorf("rule %s: %w", r.SecurityGroupRuleId, err)
			}
			if api.Val(r.IsEgress) {
				out = append(out, rules...)
			} else {
				in = append(in, rules...)
			}
		}
	}
	m := merged{sets: map[spec.RuleSetID]spec.RuleSet{}}
	m.egress, m.ingress = addRuleSet(m.sets, out), addRuleSet(m.sets, in)
	b.merged[members] = m
	return m, nil
}

func addRuleSet(sets map[spec.RuleSetID]spec.RuleSet, rules []spec.Rule) spec.RuleSetID {
	id, set := spec.MakeRuleSet(rules)
	sets[id] = set
	return id
}

// rule compiles one rule: into none where it matches nobody, such as a
// reference to a group that is gone, or of a VPC that is peered no more, and for a prefix list into one for each
// entry.
func (b *builder) rule(g *record.SecurityGroup, r api.SecurityGroupRule) ([]spec.Rule, error) {
	proto, err := protocol(r.IpProtocol)
	if err != nil {
		return nil, err
	}
	rule := spec.Rule{Protocol: proto, ID: RuleIndex(r.SecurityGroupRuleId)}
	if rule.FromPort, rule.ToPort, err = ports(proto, r.FromPort, r.ToPort); err != nil {
		return nil, err
	}
	switch {
	case r.CidrIpv4 != "":
		if rule.Prefix, err = prefix(r.CidrIpv4); err != nil {
			return nil, err
		}
	case r.PrefixListId != "":
		return b.listed(g, rule, r.PrefixListId)
	case r.ReferencedGroupInfo != nil:
		ref, ok := b.w.Groups[r.ReferencedGroupInfo.GroupId]
		if !ok || ref.Group.VpcId != g.Group.VpcId && !b.peers[[2]string{ref.Group.VpcId, g.Group.VpcId}] {
			return nil, nil
		}
		if err := b.doubtful[r.ReferencedGroupInfo.GroupId]; err != nil {
			return nil, err
		}
		rule.Group = spec.Group(ref.Index)
	default:
		return nil, fmt.Errorf("names no source that is known here")
	}
	return []spec.Rule{rule}, nil
}

// listed repeats a rule for every entry of a prefix list. The copies differ in
// nothing but the prefix: they are one rule to whoever counts or names rules. A
// list that is gone, or is not of the group's account, admits nobody.
func (b *builder) listed(g *record.SecurityGroup, rule spec.Rule, listID string) ([]spec.Rule, error) {
	list, ok := b.w.Lists[listID]
	if !ok || list.List.OwnerId != g.Group.OwnerId {
		return nil, nil
	}
	out := make([]spec.Rule, len(list.Entries))
	for i, e := range list.Entries {
		out[i] = rule
		var err error
		if out[i].Prefix, err = prefix(e.Cidr); err != nil {
			return nil, fmt.Errorf("prefix list %s: %w", listID, err)
		}
	}
	return out, nil
}

const (
	icmp    = 1
	tcp     = 6
	udp     = 17
	maxPort = 65535
	maxICMP = 255
)

// ports are the bounds of a rule, for ICMP type and code. A range that is not
// whole is an error: reading it as "all" would open what nobody asked for.
func ports(proto int16, from, to *int32) (int32, int32, error) {
	if proto != tcp && proto != udp && proto != icmp {
		return -1, -1, nil
	}
	if (from == nil) != (to == nil) {
		return 0, 0, errors.New("only one end of its port range is there")
	}
	f, t := int32(-1), int32(-1)
	if from != nil {
		f, t = *from, *to
	}
	switch {
	case proto == icmp:
		if f < -1 || t < -1 || f > maxICMP || t > maxICMP {
			return 0, 0, fmt.Errorf("ICMP type %d, code %d", f, t)
		}
	case f == -1 && t == -1:
		return 0, maxPort, nil
	case f < 0 || t < f || t > maxPort:
		return 0, 0, fmt.Errorf("ports %d to %d", f, t)
	}
	return f, t, nil
}

func protocol(s string) (int16, error) {
	switch s {
	case "-1":
		return spec.AnyProtocol, nil
	case "icmp":
		return icmp, nil
	case "tcp":
		return tcp, nil
	case "udp":
		return udp, nil
	}
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil {
		return 0, fmt.Errorf("protocol %q", s)
	}
	return int16(n), nil
}

// RuleIndex is the number that stands for a rule in verdicts: the first eight
// hex digits of its id.
func RuleIndex(id string) uint32 {
	hex := strings.TrimPrefix(id, "sgr-")
	n, err := strconv.ParseUint(hex[:min(8, len(hex))], 16, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}
