package agent

import (
	"context"
	"errors"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/host"
)

// Target checks targets for the API; attach.Resolver does it.
type Target interface {
	Resolve(ctx context.Context, target, ifname string, defaultRoute bool) (host.Workload, error)
}

// Local answers for this machine.
type Local struct {
	agent   *Agent
	targets Target
}

var _ host.Host = (*Local)(nil)

// Local returns the host's own answers.
func (a *Agent) Local(targets Target) *Local { return &Local{agent: a, targets: targets} }

// Resolve implements host.Host. What is in the way may be what a detachment has
// not taken yet: then the kernel follows first.
func (l *Local) Resolve(ctx context.Context, target, ifname string, defaultRoute bool) (host.Workload, error) {
	w, err := l.targets.Resolve(ctx, target, ifname, defaultRoute)
	var refused *api.Error
	if !errors.As(err, &refused) || refused.Code != "Resource.AlreadyAssociated" || !l.agent.catchUp(ctx) {
		return w, err
	}
	return l.targets.Resolve(ctx, target, ifname, defaultRoute)
}

// catchUp passes if the records have changed since the last pass, and reports
// whether it did.
func (a *Agent) catchUp(ctx context.Context) bool {
	w, err := a.cfg.Source.Snapshot(ctx)
	if err != nil {
		return false
	}
	a.mu.Lock()
	behind := a.world == nil || a.world.Revision < w.Revision
	a.mu.Unlock()
	if behind {
		// A caller that hangs up must not leave half of it.
		a.Pass(a.life)
	}
	return behind
}

// Verify compares records, plan and kernel as they are now.
func (l *Local) Verify(ctx context.Context) ([]api.Drift, error) {
	a := l.agent
	defer a.turn()()
	if err := a.life.Err(); err != nil {
		return nil, err
	}
	w, err := a.cfg.Source.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	facts, _ := a.facts(ctx, w)
	p := a.planner.Build(w, facts)
	drifts, err := a.cfg.Kernel.Verify(ctx, p.Spec)
	if err != nil {
		return nil, err
	}
	out := make([]api.Drift, 0, len(drifts)+len(p.Problems))
	for _, d := range drifts {
		out = append(out, api.Drift{Kind: d.Kind, Object: d.Object, Want: d.Want, Have: d.Have})
	}
	for _, problem := range p.Problems {
		out = append(out, api.Drift{Kind: "record", Object: problem})
	}
	return out, nil
}

// Confirm lifts the brake for what it holds back now and passes at once.
func (l *Local) Confirm(context.Context) (int, error) {
	l.agent.mu.Lock()
	held := l.agent.braked
	l.agent.mu.Unlock()
	if len(held) == 0 {
		return 0, nil
	}
	l.agent.cfg.Logger.Warn("the brake is lifted", "interfaces", strings.Join(held, ", "))
	l.agent.cfg.Kernel.Lift(held)
	// A caller that hangs up must not leave half of it.
	l.agent.Pass(l.agent.life)
	return len(held), nil
}

func set(names []string) map[string]bool {
	out := map[string]bool{}
	for _, n := range names {
		out[n] = true
	}
	return out
}
