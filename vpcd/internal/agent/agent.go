// Package agent keeps one host's kernel as the records want it.
//
// The loop is level-triggered: a wake says "look again" and carries nothing.
// Each pass reads a snapshot, finds out where the workloads are, plans, applies
// and reports. Every few seconds a pass reads the whole kernel first, so that
// what somebody else changed is healed.
//
// Reviewers check: no decision rests on an event's content; a pass that hangs
// ends the process and not the traffic; the brake is only lifted by Confirm.
package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vpcfabric/vpc/dataplane"
	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/attach"
	"github.com/vpcfabric/vpc/vpcd/internal/plan"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// Source is where the agent reads records and writes its status.
type Source interface {
	// Snapshot is every record the planner needs, at one revision.
	Snapshot(ctx context.Context) (*record.World, error)
	// Wake is ready when records may have changed.
	Wake() <-chan struct{}
	// Report stores what this host is doing.
	Report(ctx context.Context, s record.HostStatus) error
	// Release records that these targets of this host will never be there
	// again: their interfaces become available.
	Release(ctx context.Context, targets []string) error
}

// Kernel is the data plane as the agent uses it.
type Kernel interface {
	Apply(ctx context.Context, h *spec.Host) (dataplane.Report, error)
	Verify(ctx context.Context, h *spec.Host) ([]dataplane.Drift, error)
	Dirty()
	// Disturbed reports whether others changed the tables that packets meet since
	// it was last asked; the next Apply then looks at what is ours among them.
	Disturbed() bool
	Lift(names []string)
	Read() dataplane.Reader
	// NAT are the metrics of a NAT gateway; one that is not here is fs.ErrNotExist.
	NAT(ctx context.Context, id string) (dataplane.NATMetrics, error)
}

// Resolver finds workloads.
type Resolver interface {
	Locate(ctx context.Context, target, engine string) (attach.Place, error)
	Watch(ctx context.Context) <-chan struct{}
}

// Config of one agent.
type Config struct {
	Host string
	MTU  int
	// PublicPools, PoolModes and PublicAllow are for the planner: see plan.Facts.
	PublicPools, PublicAllow []netip.Prefix
	PoolModes                map[netip.Prefix]spec.Mode

	Version  string
	Kernel   Kernel
	Source   Source
	Resolver Resolver
	Logger   *slog.Logger
	// Alive is called after each pass: the watchdog's sign of life.
	Alive func()
	// Resync is how often the whole kernel is read; PassLimit how long one
	// pass may take before the process gives up. Zero means the defaults.
	Resync, PassLimit time.Duration
	Now               func() time.Time
}

const (
	defaultResync    = 5 * time.Second
	defaultPassLimit = 60 * time.Second
	// pollPlaces is how often workloads are looked for that no event tells of.
	pollPlaces = time.Second
	// pollTables is how often others' changes of packet filters are looked for: a
	// flushed one is to be back within a second.
	pollTables = 250 * time.Millisecond
)

// Agent runs one host.
type Agent struct {
	cfg Config

	// pass serialises passes and questions that need a plan: whose turn it is
	// has put something in.
	pass chan struct{}
	// planner remembers what stays the same from plan to plan.
	planner plan.Planner
	// listing serialises lists of flows, which take memory.
	listing chan struct{}
	// life ends with Run. What a caller asks for goes on when he hangs up, but
	// not longer than that: then the kernel's handles are closed.
	life context.Context
	end  context.CancelFunc

	mu       sync.Mutex
	last     plan.Plan
	braked   []string
	reported record.HostStatus
	world    *record.World
	places   map[string]plan.Place
	// doubts are why workloads could not be looked for, by target: an engine
	// that is another one for days is worth one line, not one a second.
	doubts map[string]string
	// failingSince is when the passes that fail in a row began, zero when the
	// last one reached what it wanted; retryAt is when to try again.
	failingSince, retryAt time.Time
	// wrote: the last pass changed the kernel.
	wrote bool
}

// New makes an agent; Run starts it.
func New(cfg Config) *Agent {
	if cfg.Resync == 0 {
		cfg.Resync = defaultResync
	}
	if cfg.PassLimit == 0 {
		cfg.PassLimit = defaultPassLimit
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Alive == nil {
		cfg.Alive = func() {}
	}
	a := &Agent{cfg: cfg, pass: make(chan struct{}, 1), listing: make(chan struct{}, 1)}
	a.life, a.end = context.WithCancel(context.Background())
	return a
}

// ErrStuck ends an agent whose pass did not come back.
var ErrStuck = errors.New("a pass over the kernel did not come back")

// Run passes until ctx ends, once in an agent's life. When it returns nothing of
// the agent's touches the kernel any more, unless the error is ErrStuck.
func (a *Agent) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, a.end)
	defer stop()
	err := a.loop(ctx)
	a.end()
	if errors.Is(err, ErrStuck) {
		return err
	}
	return cmp.Or(a.settled(), err)
}

// settled waits for a pass or question that a caller has under way; none begins
// after the end of life.
func (a *Agent) settled() error {
	done := make(chan struct{})
	go func() {
		a.turn()()
		close(done)
	}()
	return a.within(done)
}

// turn waits for everybody who touches the kernel and gives back how to let the
// next one.
func (a *Agent) turn() (done func()) {
	a.pass <- struct{}{}
	return func() { <-a.pass }
}

func (a *Agent) loop(ctx context.Context) error {
	resync := time.NewTicker(a.cfg.Resync)
	defer resync.Stop()
	poll := time.NewTicker(pollPlaces)
	defer poll.Stop()
	tables := time.NewTicker(pollTables)
	defer tables.Stop()
	moved := a.cfg.Resolver.Watch(ctx)
	wake := a.cfg.Source.Wake()
	look := a.guarded
	for {
		if err := look(ctx); err != nil {
			return err
		}
		full, err := a.wait(ctx, wake, moved, ticks{resync.C, poll.C, tables.C})
		if err != nil {
			return err
		}
		look = a.guarded
		if full {
			look = a.heal
		}
	}
}

// ticks are what the loop does at intervals: a pass over everything, a look for
// workloads, and one for tables that others changed.
type ticks struct{ resync, places, tables <-chan time.Time }

// heal is a pass that reads the whole kernel before it compares. A repair can
// undo what was right when it was read, as forwarding does with the redirects
// that a namespace accepts; so after one it is all read once more.
func (a *Agent) heal(ctx context.Context) error {
	a.cfg.Kernel.Dirty()
	if err := a.guarded(ctx); err != nil || !a.hasWritten() {
		return err
	}
	a.cfg.Kernel.Dirty()
	return a.guarded(ctx)
}

// wait returns when another pass is due; after one that failed that is soon,
// and less soon the longer it fails. full says that it is time to read the whole
// kernel.
func (a *Agent) wait(ctx context.Context, wake, moved <-chan struct{}, every ticks) (full bool, err error) {
	for {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-wake:
			return false, nil
		case <-moved:
			return false, nil
		case <-every.resync:
			return true, nil
		case <-every.tables:
			if a.cfg.Kernel.Disturbed() {
				return false, nil
			}
		case <-every.places:
			if a.retryDue() || a.placesChanged(ctx) {
				return false, nil
			}
			a.cfg.Alive()
		}
	}
}

// guarded runs one pass and gives up on one that hangs: the goroutine may sit
// in the kernel for ever. A pass that is only cancelled is waited for, because
// whoever cancels closes the kernel's handles next.
func (a *Agent) guarded(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.Pass(ctx)
	}()
	if err := a.within(done); err != nil {
		return err
	}
	a.cfg.Alive()
	return ctx.Err()
}

// within waits for done, as long as a pass may take.
func (a *Agent) within(done <-chan struct{}) error {
	limit := time.NewTimer(a.cfg.PassLimit)
	defer limit.Stop()
	select {
	case <-done:
		return nil
	case <-limit.C:
		return fmt.Errorf("%w within %s", ErrStuck, a.cfg.PassLimit)
	}
}

// Pass looks once at everything and makes the kernel follow.
func (a *Agent) Pass(ctx context.Context) {
	defer a.turn()()
	if a.life.Err() != nil {
		return
	}
	w, err := a.cfg.Source.Snapshot(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		a.cfg.Logger.Error("cannot read the records; the kernel stays as it is", "err", err)
		a.setFailed()
		a.report(ctx, a.before(), []string{"the records cannot be read: " + err.Error()})
		return
	}
	facts, removed := a.facts(ctx, w)
	p := a.planner.Build(w, facts)
	rep, err := a.cfg.Kernel.Apply(ctx, p.Spec)
	if ctx.Err() != nil {
		return // stopping is no failure to report
	}
	a.remember(w, p, rep, err)
	a.report(ctx, a.status(p, rep, err), a.reasons(p, rep, err))
	if len(removed) == 0 {
		return
	}
	if err := a.cfg.Source.Release(ctx, removed); err != nil && ctx.Err() == nil {
		a.cfg.Logger.Error("cannot release the interfaces of removed workloads", "targets", removed, "err", err)
	}
}

func (a *Agent) remember(w *record.World, p plan.Plan, rep dataplane.Report, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.world, a.last, a.braked, a.wrote = w, p, rep.Braked, rep.Writes > 0
	a.noteOutcome(err != nil)
}

func (a *Agent) setFailed() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.noteOutcome(true)
}

// noteOutcome spaces the next try by how long it has failed, up to the resync,
// which tries again in any case. A pass that something else causes is not held
// up: only the retries are.
func (a *Agent) noteOutcome(failed bool) {
	now := a.cfg.Now()
	switch {
	case !failed:
		a.failingSince = time.Time{}
		return
	case a.failingSince.IsZero():
		a.failingSince = now
	}
	a.retryAt = now.Add(min(now.Sub(a.failingSince), a.cfg.Resync))
}

func (a *Agent) hasWritten() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.wrote
}

// retryDue reports whether a failed pass should be repeated now.
func (a *Agent) retryDue() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.failingSince.IsZero() && !a.cfg.Now().Before(a.retryAt)
}

// facts asks where every workload of this host is now. Where nobody knows, it
// is taken to be where it was: an engine that does not answer must not cost its
// containers their network. removed are targets that will never be there again.
func (a *Agent) facts(ctx context.Context, w *record.World) (f plan.Facts, removed []string) {
	a.mu.Lock()
	before, doubts := a.places, a.doubts
	a.mu.Unlock()
	lost := map[string]string{}
	f = plan.Facts{Host: a.cfg.Host, MTU: a.cfg.MTU, PublicPools: a.cfg.PublicPools, PoolModes: a.cfg.PoolModes, PublicAllow: a.cfg.PublicAllow, Places: map[string]plan.Place{}}
	engines := targets(w, a.cfg.Host)
	for _, target := range slices.Sorted(maps.Keys(engines)) {
		p, err := a.cfg.Resolver.Locate(ctx, target, engines[target])
		if err == nil {
			f.Places[target] = plan.Place{Netns: p.Netns, Device: p.Device}
			continue
		}
		if errors.Is(err, attach.ErrRemoved) {
			removed = append(removed, target)
		}
		if errors.Is(err, attach.ErrGone) {
			continue
		}
		lost[target] = err.Error()
		if doubts[target] != lost[target] {
			a.cfg.Logger.Warn("cannot find a workload", "target", target, "err", err)
		}
		if was, ok := before[target]; ok {
			f.Places[target] = was
		} else if !strings.HasPrefix(target, attach.KindTap+":") {
			// Nothing is known since the start: what an earlier life has
			// attached stays as it is.
			f.Places[target] = plan.Place{}
		}
	}
	a.mu.Lock()
	a.places, a.doubts = f.Places, lost
	a.mu.Unlock()
	return f, removed
}

// targets are those of this host, with the engine that each was attached with,
// "" where the interfaces of one do not say or do not agree.
func targets(w *record.World, host string) map[string]string {
	engines := map[string]string{}
	for _, n := range w.Interfaces {
		if n.Attached == nil || n.Attached.Host != host {
			continue
		}
		t := n.Attached.Target
		if engine, seen := engines[t]; seen && engine != n.Attached.Engine {
			engines[t] = ""
			continue
		}
		engines[t] = n.Attached.Engine
	}
	return engines
}

// placesChanged reports whether a workload has come, gone or moved since the
// last pass.
func (a *Agent) placesChanged(ctx context.Context) bool {
	a.mu.Lock()
	w, last := a.world, a.last
	a.mu.Unlock()
	if w == nil {
		return true
	}
	facts, removed := a.facts(ctx, w)
	now := a.planner.Build(w, facts)
	return len(removed) > 0 || !maps.Equal(now.Spec.Ports, last.Spec.Ports)
}

// status is what there is to report. A kernel that did not follow has not
// applied this revision: the one before stands. Where only single interfaces
// failed, the revision is applied but for them: nobody else shall wait for a
// workload that has broken its own namespace.
func (a *Agent) status(p plan.Plan, rep dataplane.Report, err error) record.HostStatus {
	up := map[string]bool{}
	for eni, ok := range rep.Up {
		if ok {
			up[p.Names[eni]] = true
		}
	}
	s := record.HostStatus{Up: up, Host: api.Host{
		AppliedRevision: api.Ptr(p.Spec.Revision), Mtu: api.Ptr(int32(a.cfg.MTU)),
		Workloads: api.Ptr(int32(len(p.Spec.Ports) - len(p.Spec.NATs))), Subnets: api.Ptr(int32(len(p.Spec.Subnets))),
	}}
	if err != nil && !rep.Isolated {
		s.Host.AppliedRevision = a.before().Host.AppliedRevision
	}
	return s
}

// reasons say why this host is not simply ready.
func (a *Agent) reasons(p plan.Plan, rep dataplane.Report, err error) []string {
	var out []string
	if err != nil {
		a.cfg.Logger.Error("the kernel does not follow everywhere", "err", err)
		out = append(out, "the kernel does not follow: "+err.Error())
	}
	if len(rep.Braked) > 0 {
		out = append(out, fmt.Sprintf("brake: %d interfaces are in the kernel that no record and no tombstone names (%s); nothing is removed until `vpc host confirm`",
			len(rep.Braked), slices.Min(rep.Braked)))
	}
	return append(out, p.Problems...)
}
