package agent

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/vpcfabric/vpc/dataplane"
	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/plan"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// ruleName is what people call a rule: of a group, or of a network ACL.
type ruleName struct {
	group, rule string
	acl         string
	number      int32
	egress      bool
}

// ruleCount is what all hits of one rule come to.
type ruleCount struct {
	verdicts uint64
	idle     time.Duration
}

// RuleHits implements host.Host.
func (l *Local) RuleHits(context.Context) ([]api.RuleHit, error) {
	l.agent.mu.Lock()
	w := l.agent.world
	l.agent.mu.Unlock()
	if w == nil {
		return nil, nil
	}
	all, err := l.agent.cfg.Kernel.Read().RuleHits()
	if err != nil {
		return nil, err
	}
	names, counts := ruleNames(w), map[ruleName]ruleCount{}
	for _, h := range all {
		name, known := names[h.Rule]
		if !known {
			continue // a rule that is gone
		}
		c, again := counts[name]
		if c.verdicts += h.Verdicts; !again || h.Last < c.idle {
			c.idle = h.Last
		}
		counts[name] = c
	}
	return ruleHits(counts), nil
}

// ruleNames are the names of all rules that the records have, by what the
// programs count them under.
func ruleNames(w *record.World) map[dataplane.Rule]ruleName {
	out := map[dataplane.Rule]ruleName{}
	for id, g := range w.Groups {
		vpc, ok := w.Vpcs[g.Group.VpcId]
		if !ok {
			continue
		}
		for _, r := range g.Rules {
			at := dataplane.Rule{ID: plan.RuleIndex(r.SecurityGroupRuleId), VPC: spec.VPC(vpc.Index)}
			out[at] = ruleName{group: id, rule: r.SecurityGroupRuleId, egress: api.Val(r.IsEgress)}
		}
	}
	for _, acl := range w.Acls {
		for _, e := range acl.Acl.Entries {
			n, egress := api.Val(e.RuleNumber), api.Val(e.Egress)
			at := dataplane.Rule{ID: uint32(n), ACL: spec.ACL(acl.Index), Out: egress}
			out[at] = ruleName{acl: acl.Acl.NetworkAclId, number: n, egress: egress}
		}
	}
	return out
}

func ruleHits(counts map[ruleName]ruleCount) []api.RuleHit {
	out := make([]api.RuleHit, 0, len(counts))
	for name, c := range counts {
		h := api.RuleHit{GroupId: name.group, SecurityGroupRuleId: name.rule, NetworkAclId: name.acl, Egress: api.Ptr(name.egress),
			Hits: api.Ptr(int64(c.verdicts)), IdleSeconds: api.Ptr(int64(c.idle.Seconds()))}
		if name.acl != "" {
			h.RuleNumber = api.Ptr(name.number)
		}
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b api.RuleHit) int {
		return cmp.Or(cmp.Compare(a.GroupId, b.GroupId), cmp.Compare(a.SecurityGroupRuleId, b.SecurityGroupRuleId),
			cmp.Compare(a.NetworkAclId, b.NetworkAclId), cmp.Compare(way(a), way(b)), cmp.Compare(api.Val(a.RuleNumber), api.Val(b.RuleNumber)))
	})
	return out
}

// way orders what comes in before what goes out.
func way(h api.RuleHit) int {
	if api.Val(h.Egress) {
		return 1
	}
	return 0
}
