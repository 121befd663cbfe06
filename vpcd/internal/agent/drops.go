package agent

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/vpcfabric/vpc/dataplane"
	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/plan"
)

// reasonACL is the drop reason whose rules are numbers of a network ACL. They
// and those of security groups are one range to the counters.
const reasonACL = "network_acl"

// dropName is what people call a drop counter.
type dropName struct{ eni, stage, reason, rule string }

// dropCount is what all counters of one name come to.
type dropCount struct {
	// number orders entries of an ACL; 0 where the rule is none of one.
	number         uint32
	packets, bytes uint64
}

// Drops implements host.Host. Counters that differ only in rules that are gone
// have one name, and are one.
func (l *Local) Drops(_ context.Context, interfaces []string) ([]api.Drop, error) {
	names, rules := l.names()
	wanted := set(interfaces)
	all, err := l.agent.cfg.Kernel.Read().Drops()
	if err != nil {
		return nil, err
	}
	counts := map[dropName]dropCount{}
	for _, d := range all {
		name := names[d.ENI]
		if d.ENI != 0 && name == "" {
			continue // an interface that is gone
		}
		if len(wanted) > 0 && !wanted[name] {
			continue
		}
		rule, number := nameOfRule(d, rules)
		at := dropName{name, d.Stage, d.Reason, rule}
		c := counts[at]
		counts[at] = dropCount{number, c.packets + d.Packets, c.bytes + d.Bytes}
	}
	return drops(counts), nil
}

// names are the interfaces and gateways of this host by index, and the rules of security
// groups by number.
func (l *Local) names() (map[spec.ENI]string, map[uint32]string) {
	l.agent.mu.Lock()
	defer l.agent.mu.Unlock()
	rules := map[uint32]string{}
	if w := l.agent.world; w != nil {
		for _, g := range w.Groups {
			for _, r := range g.Rules {
				rules[plan.RuleIndex(r.SecurityGroupRuleId)] = r.SecurityGroupRuleId
			}
		}
	}
	return l.agent.last.Names, rules
}

// nameOfRule is the id of a security group's rule or the number of an ACL's
// entry, whose direction the stage tells; "" where none is to blame.
func nameOfRule(d dataplane.Drop, rules map[uint32]string) (string, uint32) {
	if d.Reason == reasonACL && d.Rule != 0 {
		return strconv.FormatUint(uint64(d.Rule), 10), d.Rule
	}
	if d.Reason == reasonACL {
		return "", 0
	}
	return rules[d.Rule], 0
}

// drops lists counters by interface, stage, reason and rule, entries of an ACL
// in the order in which they are tried. What belongs to no interface is last.
func drops(counts map[dropName]dropCount) []api.Drop {
	var out []api.Drop
	for _, at := range slices.SortedFunc(maps.Keys(counts), func(a, b dropName) int {
		return cmp.Or(lastEmpty(a.eni, b.eni), cmp.Compare(a.eni, b.eni), cmp.Compare(a.stage, b.stage), cmp.Compare(a.reason, b.reason),
			cmp.Compare(counts[a].number, counts[b].number), cmp.Compare(a.rule, b.rule))
	}) {
		c := counts[at]
		d := api.Drop{Stage: at.stage, Reason: at.reason, RuleId: at.rule, Packets: api.Ptr(int64(c.packets)), Bytes: api.Ptr(int64(c.bytes))}
		if strings.HasPrefix(at.eni, "igw-") {
			d.InternetGatewayId = at.eni
		} else {
			d.NetworkInterfaceId = at.eni
		}
		out = append(out, d)
	}
	return out
}

func lastEmpty(a, b string) int {
	switch {
	case a == "" && b != "":
		return 1
	case a != "" && b == "":
		return -1
	}
	return 0
}
