package dataplane

import (
	"context"
	"errors"
	"time"

	"github.com/vpcfabric/vpc/dataplane/flows"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

const (
	sweepEvery = time.Second
	// The whole clock turns once in this many sweeps; sooner when it is full.
	sweepTurns = 16
	// Rules that are gone are looked for once in this many sweeps.
	rulesEvery = 60
)

// Run tidies until ctx ends: it turns the flow table's clock and forgets the
// counters of interfaces that are gone. Traffic does not need it.
func (d *Dataplane) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		d.sweep()
		if n%rulesEvery == 0 {
			d.forgetHits()
		}
	}
}

// forgetHits makes room for the counts of rules that are there. A rule that
// moved to another list keeps its own.
func (d *Dataplane) forgetHits() {
	d.mu.Lock()
	h := d.host
	d.mu.Unlock()
	if h == nil {
		return
	}
	if err := d.flows.ForgetHits(hasRule(h)); err != nil && d.cfg.Logger != nil {
		d.cfg.Logger.Warn("counts of rules that are gone are not removed", "err", err)
	}
}

// hasRule tells whether a host has a rule of that number for the owner that it
// is counted for.
func hasRule(h *spec.Host) func(flows.Rule) bool {
	vpcs, groups, acls := map[spec.VPC]bool{}, map[uint32]bool{}, map[flows.Rule]bool{}
	lists := map[spec.RuleSetID]bool{}
	for _, s := range h.Subnets {
		vpcs[s.VPC] = true
		lists[s.ACLOut], lists[s.ACLIn] = true, true
		for _, r := range h.RuleSets[s.ACLOut].Rules {
			acls[flows.Rule{ID: r.ID, ACL: s.ACL, Out: true}] = true
		}
		for _, r := range h.RuleSets[s.ACLIn].Rules {
			acls[flows.Rule{ID: r.ID, ACL: s.ACL}] = true
		}
	}
	for id, set := range h.RuleSets {
		for _, r := range set.Rules {
			groups[r.ID] = groups[r.ID] || !lists[id]
		}
	}
	return func(r flows.Rule) bool {
		if r.VPC != 0 {
			return vpcs[r.VPC] && groups[r.ID]
		}
		return acls[r]
	}
}

func (d *Dataplane) sweep() {
	n := d.flows.Slots() / sweepTurns
	got, err := d.flows.Sweep(n)
	if err == nil && got.Used > n/4 {
		got, err = d.flows.Sweep(n)
	}
	if err != nil && d.cfg.Logger != nil {
		d.cfg.Logger.Warn("the flow table is not swept", "err", err)
	}
	d.mu.Lock()
	d.announce()
	// Locked: an Apply that gives an interface its port finds its account, or
	// opens it after it was forgotten.
	defer d.mu.Unlock()
	if err := d.rules.Bury(); err != nil && d.cfg.Logger != nil {
		d.cfg.Logger.Warn("rule lists that are gone are not removed", "err", err)
	}
	if err := d.cuts.repeat(d.flows, time.Now()); err != nil && d.cfg.Logger != nil {
		d.cfg.Logger.Warn("flows of revoked rules are not looked for again", "err", err)
	}
	known := func(e spec.ENI) bool { _, ok := d.slots.port[e]; return ok }
	if err := errors.Join(d.flows.ForgetDrops(known), d.flows.ForgetUsage(known)); err != nil && d.cfg.Logger != nil {
		d.cfg.Logger.Warn("counters are not tidied", "err", err)
	}
}
