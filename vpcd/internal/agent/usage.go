package agent

import (
	"context"
	"maps"
	"slices"

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

// Statistics implements host.Host.
func (l *Local) Statistics(_ context.Context, interfaces []string) ([]api.NetworkInterfaceStatistics, error) {
	names, _ := l.names()
	keep := l.keep(interfaces)
	usage, err := l.agent.cfg.Kernel.Read().Usage()
	if err != nil {
		return nil, err
	}
	var out []api.NetworkInterfaceStatistics
	for _, eni := range slices.Sorted(maps.Keys(usage)) {
		if keep(eni) {
			out = append(out, api.NetworkInterfaceStatistics{NetworkInterfaceId: names[eni], Counters: counters(usage[eni])})
		}
	}
	return out, nil
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
