package agent

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/vpcfabric/vpc/dataplane"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/plan"
)

// TrackedFlows implements host.Host.
func (l *Local) TrackedFlows(_ context.Context, interfaces, rules []string) (int, error) {
	numbers := map[uint32]bool{}
	for _, id := range rules {
		numbers[plan.RuleIndex(id)] = true
	}
	delete(numbers, 0) // of no rule
	return l.agent.cfg.Kernel.Read().TrackedBy(l.keep(interfaces), numbers)
}

// Statistics implements host.Host. The prefix of an id says what it names.
func (l *Local) Statistics(ctx context.Context, ids []string) (map[string][]api.Counter, error) {
	out := map[string][]api.Counter{}
	var interfaces []string
	for _, id := range ids {
		if !strings.HasPrefix(id, natPrefix) {
			interfaces = append(interfaces, id)
			continue
		}
		m, err := l.agent.cfg.Kernel.NAT(ctx, id)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out[id] = natCounters(m)
	}
	if len(interfaces) == 0 && len(ids) > 0 {
		return out, nil
	}
	return out, l.usage(interfaces, out)
}

const natPrefix = "nat-"

// usage adds what interfaces have of the flow table.
func (l *Local) usage(interfaces []string, out map[string][]api.Counter) error {
	names, _ := l.names()
	keep := l.keep(interfaces)
	usage, err := l.agent.cfg.Kernel.Read().Usage()
	if err != nil {
		return err
	}
	for eni, u := range usage {
		if keep(eni) {
			out[names[eni]] = counters(u)
		}
	}
	return nil
}

// natCounters have CloudWatch's names.
func natCounters(m dataplane.NATMetrics) []api.Counter {
	var out []api.Counter
	for _, c := range []struct {
		name  string
		value uint64
	}{
		{"ActiveConnectionCount", m.ActiveConnections},
		{"BytesInFromDestination", m.BytesInFromDestination},
		{"BytesInFromSource", m.BytesInFromSource},
		{"BytesOutToDestination", m.BytesOutToDestination},
		{"BytesOutToSource", m.BytesOutToSource},
		{"ConnectionAttemptCount", m.ConnectionAttempts},
		{"ConnectionEstablishedCount", m.ConnectionsEstablished},
		{"ErrorPortAllocation", m.ErrorPortAllocation},
		{"IdleTimeoutCount", m.IdleTimeouts},
		{"PacketsDropCount", m.PacketsDropped},
		{"PacketsInFromDestination", m.PacketsInFromDestination},
		{"PacketsInFromSource", m.PacketsInFromSource},
		{"PacketsOutToDestination", m.PacketsOutToDestination},
		{"PacketsOutToSource", m.PacketsOutToSource},
	} {
		out = append(out, api.Counter{Name: c.name, Value: api.Ptr(int64(c.value))})
	}
	return out
}

// counters have the names that `ethtool -S` shows on an EC2 instance, where it
// has such a counter; the others begin alike. What was exceeded is in packets,
// all else in connections.
func counters(u dataplane.Usage) []api.Counter {
	counter := func(name string, value int) api.Counter {
		return api.Counter{Name: name, Value: api.Ptr(int64(value))}
	}
	return []api.Counter{
		// More than the allowance is possible where the table was larger before.
		counter("conntrack_allowance_available", max(u.Allowance-u.Flows, 0)),
		{Name: "conntrack_allowance_exceeded", Value: api.Ptr(int64(u.Exceeded))},
		counter("conntrack_flows", u.Flows),
		counter("conntrack_allowance", u.Allowance),
		counter("conntrack_half_open_flows", u.HalfOpen),
		counter("conntrack_half_open_allowance", u.HalfOpenAllowance),
	}
}
