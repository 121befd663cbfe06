package dataplane

import (
	"context"
	"errors"
	"time"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

const (
	sweepEvery = time.Second
	// The whole clock turns once in this many sweeps; sooner when it is full.
	sweepTurns = 16
)

// Run tidies until ctx ends: it turns the flow table's clock and forgets the
// counters of interfaces that are gone. Traffic does not need it.
func (d *Dataplane) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		d.sweep()
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
	// Locked: an Apply that gives an interface its port finds its account, or
	// opens it after it was forgotten.
	defer d.mu.Unlock()
	known := func(e spec.ENI) bool { _, ok := d.slots.port[e]; return ok }
	if err := errors.Join(d.flows.ForgetDrops(known), d.flows.ForgetUsage(known)); err != nil && d.cfg.Logger != nil {
		d.cfg.Logger.Warn("counters are not tidied", "err", err)
	}
}
