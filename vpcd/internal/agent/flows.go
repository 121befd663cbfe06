package agent

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/vpcfabric/vpc/dataplane"
	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/host"
)

// Flows implements host.Host. The kernel's table has no order, so each part of a
// list takes all that it has of the interfaces that are left: one caller at a
// time, because that may be tens of megabytes.
func (l *Local) Flows(ctx context.Context, interfaces []string, after host.FlowID, limit int) ([]api.Flow, error) {
	select {
	case l.agent.listing <- struct{}{}:
		defer func() { <-l.agent.listing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	names, _ := l.names()
	keep := l.keep(interfaces)
	left := func(e spec.ENI) bool { return keep(e) && names[e] >= after.Interface }
	list, err := l.agent.cfg.Kernel.Read().Flows(left, math.MaxInt)
	if err != nil {
		return nil, err
	}
	first := firstFlows(list, names, after, limit)
	out := make([]api.Flow, len(first))
	for i, f := range first {
		out[i] = flow(*f.flow, f.id.Interface)
	}
	return out, nil
}

// listed is a flow with what it is known by.
type listed struct {
	id   host.FlowID
	flow *dataplane.Flow
}

// firstFlows are those after one, in order, at most limit. Of a flow that the walk
// through the table met twice it takes one.
func firstFlows(list []dataplane.Flow, names map[spec.ENI]string, after host.FlowID, limit int) []listed {
	var out []listed
	smallest := func() {
		slices.SortFunc(out, func(a, b listed) int { return a.id.Compare(b.id) })
		out = slices.CompactFunc(out, func(a, b listed) bool { return a.id == b.id })
		out = out[:min(limit, len(out))]
	}
	for i := range list {
		f := &list[i]
		id := host.FlowID{Interface: names[f.ENI], Source: f.Source, Destination: f.Dest, Protocol: protocolName(f.Protocol)}
		if id.Compare(after) <= 0 {
			continue
		}
		// Sorting now and then costs less than keeping all in order.
		if out = append(out, listed{id, f}); len(out) >= 2*limit {
			smallest()
		}
	}
	smallest()
	return out
}

func flow(f dataplane.Flow, name string) api.Flow {
	return api.Flow{
		NetworkInterfaceId: name, Direction: api.FlowDirectionEgress, Protocol: protocolName(f.Protocol),
		Source: f.Source.Addr().String(), SourcePort: api.Ptr(int32(f.Source.Port())),
		Destination: f.Dest.Addr().String(), DestinationPort: api.Ptr(int32(f.Dest.Port())),
		State: "live", Tracked: api.Ptr(f.Tracked), Packets: api.Ptr(int64(f.Packets)), Bytes: api.Ptr(int64(f.Bytes)),
		AgeSeconds: api.Ptr(int64(f.Age.Seconds())), IdleSeconds: api.Ptr(int64(f.Idle.Seconds())),
	}
}

func protocolName(p uint8) string {
	switch p {
	case 1:
		return "icmp"
	case 6:
		return "tcp"
	case 17:
		return "udp"
	}
	return fmt.Sprint(p)
}

func (l *Local) keep(interfaces []string) func(spec.ENI) bool {
	names, _ := l.names()
	wanted := set(interfaces)
	return func(e spec.ENI) bool {
		name, ok := names[e]
		return ok && (len(wanted) == 0 || wanted[name])
	}
}
