package plan

import (
	"sync"

	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// Planner plans one host again and again. Tables whose routes stay are made once:
// their sets in one plan are the very sets of the next. The zero value has planned
// nothing. Calls wait for each other.
type Planner struct {
	mu     sync.Mutex
	routed map[string]*routed
	led    map[reach]*led
}

// reach is a target as tables of one VPC have it.
type reach struct {
	vpc string
	routeTarget
}

// led is where it led, and how many tables have it: each target is looked at once
// for a plan, however many routes lead there.
type led struct {
	to     spec.Route
	tables int
}

// Build plans one host.
func (p *Planner) Build(w *record.World, f Facts) Plan {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := newBuilder(w, f)
	b.before, b.moved = p.routed, p.moved(b)
	b.build()
	p.keep(b.routed)
	return b.Plan
}

// Build plans one host without a memory.
func Build(w *record.World, f Facts) Plan { return new(Planner).Build(w, f) }

// moved are the targets that lead elsewhere now.
func (p *Planner) moved(b *builder) map[reach]bool {
	out := map[reach]bool{}
	for r, l := range p.led {
		if to := b.target(r.vpc, r.routeTarget); to != l.to {
			l.to, out[r] = to, true
		}
	}
	return out
}

// keep remembers the tables of a plan in place of those before.
func (p *Planner) keep(now map[string]*routed) {
	if p.led == nil {
		p.led = map[reach]*led{}
	}
	for id, x := range now {
		if p.routed[id] != x {
			p.count(x, 1)
		}
	}
	for id, x := range p.routed {
		if now[id] != x {
			p.count(x, -1)
		}
	}
	p.routed = now
}

// count adds to the tables that have the targets of x.
func (p *Planner) count(x *routed, n int) {
	for target, to := range x.targets {
		r := reach{x.record.Table.VpcId, target}
		l := p.led[r]
		if l == nil {
			l = &led{to: to}
			p.led[r] = l
		}
		if l.tables += n; l.tables == 0 {
			delete(p.led, r)
		}
	}
}

// holds says whether a table would be made of the same now. Records are replaced
// and never changed, so one is the same if it is the very one.
func (x *routed) holds(b *builder, t *record.RouteTable) bool {
	if x == nil || x.record != t {
		return false
	}
	for id, list := range x.lists {
		if b.w.Lists[id] != list {
			return false
		}
	}
	if len(x.targets) < len(b.moved) {
		for target := range x.targets {
			if b.moved[reach{t.Table.VpcId, target}] {
				return false
			}
		}
		return true
	}
	for r := range b.moved {
		if _, mine := x.targets[r.routeTarget]; mine && r.vpc == t.Table.VpcId {
			return false
		}
	}
	return true
}
