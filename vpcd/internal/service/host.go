package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/host"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// knownEverywhere is the revision that every host has applied: records created
// at or after it are not in some kernel yet.
func (v view) knownEverywhere() int64 { return knownEverywhere(v.r) }

func knownEverywhere(r store.Reader) int64 {
	known := int64(math.MaxInt64)
	for _, status := range store.List[*record.HostStatus](r, record.Statuses) {
		known = min(known, api.Val(status.Host.AppliedRevision))
	}
	return known
}

// describeHosts lists what hosts reported last. The local host is listed also
// before its first report, so that there is something to wait for.
func (s *Service) describeHosts(ctx context.Context, caller Caller, _ *api.DescribeHostsRequest) (*api.DescribeHostsResult, int64, error) {
	v := s.view(caller)
	var out []api.Host
	reported := false
	for _, status := range store.List[*record.HostStatus](v.r, record.Statuses) {
		h := status.Host
		if h.HostName == s.hostName {
			reported = true
			s.addStoreHealth(ctx, &h)
		}
		out = append(out, h)
	}
	if !reported && s.hostName != "" {
		h := api.Host{HostName: s.hostName, State: api.HostStateStarting, Ready: api.Ptr(false), Reasons: []string{"the host has not reported yet"}}
		s.addStoreHealth(ctx, &h)
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b api.Host) int { return strings.Compare(a.HostName, b.HostName) })
	return &api.DescribeHostsResult{Hosts: out}, v.revision(), nil
}

// addStoreHealth adds what only the process with the store knows. A store that
// refuses writes makes its host degraded: nothing can be changed any more.
func (s *Service) addStoreHealth(ctx context.Context, h *api.Host) {
	health := s.store.Health(ctx)
	h.StoreRevision = api.Ptr(s.newestToApply(h.HostName))
	h.StoreSizeBytes = api.Ptr(health.SizeBytes)
	h.StoreAlarm = api.Ptr(health.Alarm)
	if lost := s.LostKeys(); lost > 0 {
		// Nothing that the host does depends on it, so it is as ready as before.
		h.Reasons = append(slices.Clone(h.Reasons), fmt.Sprintf("the secrets of %d access keys cannot be read with this seal.key; `vpc access-key list` marks them", lost))
	}
	if s.warnings != nil && NeedsPools(s.store) {
		h.Reasons = append(slices.Clone(h.Reasons), s.warnings()...)
	}
	if excess := s.excessOfLimits(s.store.Snapshot()); excess != "" {
		h.Reasons = append(slices.Clone(h.Reasons), excess)
	}
	var reasons []string
	if health.Alarm {
		reasons = append(reasons, "the store refuses writes: "+health.Reason)
	}
	if health.Quarantined > 0 {
		reasons = append(reasons, fmt.Sprintf("%d records of the store cannot be read", health.Quarantined))
	}
	if len(reasons) == 0 {
		return
	}
	h.Reasons = slices.Concat(h.Reasons, reasons)
	h.Ready = api.Ptr(false)
	if h.State == api.HostStateReady {
		h.State = api.HostStateDegraded
	}
}

// newestToApply is the store's revision without the host's own report of what it
// has applied, which would leave it one behind for ever.
func (s *Service) newestToApply(host string) int64 {
	sn := s.store.Snapshot()
	if report, ok := sn.ModRevision(record.Statuses + host); ok && report == sn.Revision() {
		return report - 1
	}
	return sn.Revision()
}

// waitApplied returns when every host has applied the revision. When ctx ends
// first the answer is RequestTimeout naming the hosts that have not.
func (s *Service) waitApplied(ctx context.Context, _ Caller, req *api.WaitAppliedRequest) (*api.WaitAppliedResult, int64, error) {
	want := api.Val(req.Revision)
	if want < 0 {
		return nil, 0, api.Errorf("InvalidParameterValue", "Revision", "value (%d) for Revision is invalid: it is that of an earlier answer", want)
	}
	var late []string
	var revision int64
	err := s.store.Wait(ctx, func(sn *store.Snapshot) bool {
		revision = sn.Revision()
		late = s.lateHosts(sn, want)
		return len(late) == 0 && revision >= want
	})
	switch {
	case err == nil:
		return &api.WaitAppliedResult{Applied: api.Ptr(true)}, revision, nil
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return nil, 0, api.Errorf("RequestTimeout", "Revision", "revision %d is not applied yet; the store is at %d, waiting for %s; see `vpc status`", want, revision, strings.Join(late, ", "))
	}
	return nil, 0, err
}

// lateHosts are those that have not applied the revision. The local host
// counts also before its first report.
func (s *Service) lateHosts(r store.Reader, revision int64) []string {
	var late []string
	reported := false
	for _, status := range store.List[*record.HostStatus](r, record.Statuses) {
		reported = reported || status.Host.HostName == s.hostName
		if applied := api.Val(status.Host.AppliedRevision); applied < revision {
			late = append(late, fmt.Sprintf("host %s (at revision %d)", status.Host.HostName, applied))
		}
	}
	if !reported && s.hostName != "" {
		late = append(late, fmt.Sprintf("host %s (no report yet)", s.hostName))
	}
	return late
}

// hostNamed is the host that a question goes to; the local one by default.
func (s *Service) hostNamed(r store.Reader, name string) (host.Host, error) {
	if name != "" && name != s.hostName {
		for _, status := range store.List[*record.HostStatus](r, record.Statuses) {
			if status.Host.HostName == name {
				return nil, api.Errorf("UnsupportedOperation", "HostName", "the host %s cannot be asked from here; ask on that host", quote(name))
			}
		}
		return nil, api.Errorf("InvalidHostID.NotFound", "HostName", "the host %s does not exist; `vpc status` shows those that do", quote(name))
	}
	if s.host == nil {
		return nil, api.Errorf("UnsupportedOperation", "HostName", "this vpcd has no data plane to ask")
	}
	return s.host, nil
}

// verifyHost compares records, plan and kernel of a host. A difference is an
// answer, not an error.
func (s *Service) verifyHost(ctx context.Context, caller Caller, req *api.VerifyHostRequest) (*api.VerifyHostResult, int64, error) {
	v := s.view(caller)
	h, err := s.hostNamed(v.r, req.HostName)
	if err != nil {
		return nil, 0, err
	}
	drifts, err := h.Verify(ctx)
	if err != nil {
		return nil, 0, hostError(err)
	}
	return &api.VerifyHostResult{Clean: api.Ptr(len(drifts) == 0), Drifts: drifts}, v.revision(), nil
}

// confirmHost lets a host delete what its brake kept.
func (s *Service) confirmHost(ctx context.Context, caller Caller, req *api.ConfirmHostRequest) (*api.ConfirmHostResult, int64, error) {
	v := s.view(caller)
	h, err := s.hostNamed(v.r, req.HostName)
	if err != nil {
		return nil, 0, err
	}
	if api.Val(req.DryRun) {
		return nil, 0, dryRunOperation()
	}
	released, err := h.Confirm(ctx)
	if err != nil {
		return nil, 0, hostError(err)
	}
	return &api.ConfirmHostResult{Confirmed: api.Ptr(int32(min(released, math.MaxInt32)))}, v.revision(), nil
}

// ownInterfaces are the ids that a question about interfaces is for: those
// given, which must be the caller's, or all of the caller's.
func (v view) ownInterfaces(ids []string) ([]string, error) {
	records, err := interfaceKind.pick(v.r, v.caller, ids, "NetworkInterfaceIds")
	if err != nil {
		return nil, err
	}
	return collect(records, interfaceKind.idOf), nil
}

// describeDrops lists counters of the caller's interfaces and, when none is named,
// of its internet gateways, and those of the host that belong to neither.
func (s *Service) describeDrops(ctx context.Context, caller Caller, req *api.DescribeDropsRequest) (*api.DescribeDropsResult, int64, error) {
	v := s.view(caller)
	own, err := v.ownInterfaces(req.NetworkInterfaceIds)
	if err != nil {
		return nil, 0, err
	}
	h, err := s.hostNamed(v.r, "")
	if err != nil {
		return nil, 0, err
	}
	drops, err := h.Drops(ctx, req.NetworkInterfaceIds)
	if err != nil {
		return nil, 0, hostError(err)
	}
	named := len(req.NetworkInterfaceIds) > 0
	if !named {
		own = append(own, collect(gatewayKind.list(v.r, caller), gatewayKind.idOf)...)
	}
	visible := keep(drops, own, func(d api.Drop) string { return cmp.Or(d.NetworkInterfaceId, d.InternetGatewayId) }, !named)
	return &api.DescribeDropsResult{Drops: visible}, v.revision(), nil
}

// describeFlows lists live flows of the caller's interfaces in order of their
// ids. There may be millions, so also without MaxResults an answer has at most
// maxPage: NextToken says whether there are more. A flow that begins between two
// answers is listed if its place was not passed yet.
func (s *Service) describeFlows(ctx context.Context, caller Caller, req *api.DescribeFlowsRequest) (*api.DescribeFlowsResult, int64, error) {
	limit := maxPage
	if req.MaxResults != nil {
		limit = int(*req.MaxResults)
	}
	if err := checkPageSize(int32(limit)); err != nil {
		return nil, 0, err
	}
	part := pageOf{caller, req, req.MaxResults, req.NextToken}
	after, err := flowBefore(part)
	if err != nil {
		return nil, 0, err
	}
	v := s.view(caller)
	own, err := v.ownInterfaces(req.NetworkInterfaceIds)
	if err != nil {
		return nil, 0, err
	}
	h, err := s.hostNamed(v.r, "")
	if err != nil {
		return nil, 0, err
	}
	// No interface means all to a host, and here it means that there is none.
	if len(own) == 0 {
		return &api.DescribeFlowsResult{}, v.revision(), nil
	}
	// One more than is wanted tells whether there is a next part.
	flows, err := h.Flows(ctx, own, after, limit+1)
	if err != nil {
		return nil, 0, hostError(err)
	}
	res := &api.DescribeFlowsResult{Flows: keep(flows, own, func(f api.Flow) string { return f.NetworkInterfaceId }, false)}
	if len(res.Flows) > limit {
		res.Flows = res.Flows[:limit]
		res.NextToken = part.next(host.FlowIDOf(res.Flows[limit-1]).String())
	}
	return res, v.revision(), nil
}

// flowBefore is the last flow of the part before the one that is asked for.
func flowBefore(part pageOf) (host.FlowID, error) {
	last, err := part.last()
	if err != nil {
		return host.FlowID{}, err
	}
	after, err := host.ParseFlowID(last)
	if err != nil {
		return host.FlowID{}, part.notOurs()
	}
	return after, nil
}

// keep is the items of the interfaces ids, and those of none if unowned.
func keep[T any](items []T, ids []string, idOf func(T) string, unowned bool) []T {
	own := make(map[string]bool, len(ids))
	for _, id := range ids {
		own[id] = true
	}
	var out []T
	for _, item := range items {
		if id := idOf(item); own[id] || id == "" && unowned {
			out = append(out, item)
		}
	}
	return out
}

// hostError passes a host's own api.Error on and names anything else.
func hostError(err error) error {
	var known *api.Error
	if errors.As(err, &known) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return publicError(err)
	}
	return api.Errorf("InternalError", "", "the host could not answer: %v; see its log", err)
}
