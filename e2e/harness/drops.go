package harness

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/client"
)

// drops are counted packets by reason/stage, over all interfaces. What NAT gateways
// drop inside is dropped/nat.
type drops map[string]int64

func (d drops) String() string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(d)) {
		out = append(out, fmt.Sprintf("%s %d", k, d[k]))
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}

func (h *host) drops() (drops, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	res, _, err := client.Call[api.DescribeDropsRequest, api.DescribeDropsResult](ctx, h.api, "DescribeDrops", &api.DescribeDropsRequest{})
	if err != nil {
		return nil, err
	}
	out := drops{}
	for _, d := range res.Drops {
		out[d.Reason+"/"+d.Stage] += api.Val(d.Packets)
	}
	nats, _, err := client.Call[api.DescribeNatGatewayStatisticsRequest, api.DescribeNatGatewayStatisticsResult](ctx, h.api, "DescribeNatGatewayStatistics", &api.DescribeNatGatewayStatisticsRequest{})
	if err != nil {
		return nil, err
	}
	for _, n := range nats.NatGatewayStatistics {
		for _, counter := range n.Counters {
			if counter.Name == "PacketsDropCount" {
				out["dropped/nat"] += api.Val(counter.Value)
			}
		}
	}
	return out, nil
}

// since is what has been dropped after an earlier look.
func (d drops) since(before drops) drops {
	out := drops{}
	for k, n := range d {
		if n != before[k] {
			out[k] = n - before[k]
		}
	}
	return out
}

// awaitDrops wants exactly these drops since an earlier look, no more and no
// others. Once the total is reached it looks a second time: what comes late counts.
func (h *host) awaitDrops(before, want drops) error {
	var got drops
	total := func(d drops) (n int64) {
		for _, v := range d {
			n += v
		}
		return n
	}
	var err error
	poll(arrival, func() bool {
		var now drops
		if now, err = h.drops(); err != nil {
			return true
		}
		equal := got != nil && maps.Equal(got, want)
		got = now.since(before)
		return equal && maps.Equal(got, want) || total(got) > total(want)
	})
	if err == nil && !maps.Equal(got, want) {
		err = fmt.Errorf("drops rose by %v, want %v", got, want)
	}
	return err
}
