package agent

import (
	"context"
	"maps"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// quietReport is how long an unchanged status may stay unwritten: a report
// costs a commit, and most passes change nothing.
const quietReport = 30 * time.Second

// report stores the status when it says something new.
func (a *Agent) report(ctx context.Context, s record.HostStatus, reasons []string) {
	a.mu.Lock()
	braked, before := len(a.braked) > 0, a.reported
	a.mu.Unlock()

	h := &s.Host
	h.HostName, h.Version, h.KernelRelease = a.cfg.Host, a.cfg.Version, kernelRelease()
	h.Reasons = reasons
	h.State = api.HostStateReady
	switch {
	case braked:
		h.State = api.HostStateBraked
	case len(reasons) > 0:
		h.State = api.HostStateDegraded
	}
	h.Ready = api.Ptr(h.State == api.HostStateReady)
	now := a.cfg.Now()
	if same(before, s) && before.Host.LastPassTime != nil && now.Sub(*before.Host.LastPassTime) < quietReport {
		return
	}
	h.LastPassTime = &now
	if err := a.cfg.Source.Report(ctx, s); err != nil {
		if ctx.Err() == nil {
			a.cfg.Logger.Error("cannot report", "err", err)
		}
		return
	}
	a.mu.Lock()
	a.reported = s
	a.mu.Unlock()
}

// before is what was reported last.
func (a *Agent) before() record.HostStatus {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reported
}

// same ignores the time.
func same(a, b record.HostStatus) bool {
	return api.Val(a.Host.AppliedRevision) == api.Val(b.Host.AppliedRevision) &&
		a.Host.State == b.Host.State && slices.Equal(a.Host.Reasons, b.Host.Reasons) && maps.Equal(a.Up, b.Up) &&
		api.Val(a.Host.Workloads) == api.Val(b.Host.Workloads) && api.Val(a.Host.Subnets) == api.Val(b.Host.Subnets)
}

func kernelRelease() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}
