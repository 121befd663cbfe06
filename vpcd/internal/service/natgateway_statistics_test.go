package service

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// TestNatGatewayStatistics: the host is asked about the caller's gateways by name,
// and what it does not have is left out.
func TestNatGatewayStatistics(t *testing.T) {
	h := &answers{}
	b := newBench(t, func(c *Config) { c.Host, c.HostName = h, "h1" })
	stats := func(ids ...string) []api.NatGatewayStatistics {
		return do[api.DescribeNatGatewayStatisticsResult](b, &api.DescribeNatGatewayStatisticsRequest{NatGatewayIds: ids}).NatGatewayStatistics
	}
	if all := stats(); len(all) != 0 || h.asked != nil {
		t.Errorf("of nobody: %+v, asked of %v", all, h.asked)
	}
	sub := b.subnet(b.vpc("10.0.0.0/16").VpcId, "10.0.1.0/24").SubnetId
	var ids []string
	for range 2 {
		req := &api.CreateNatGatewayRequest{SubnetId: sub, ConnectivityType: "private"}
		ids = append(ids, do[api.CreateNatGatewayResult](b, req).NatGateway.NatGatewayId)
	}
	three := []api.Counter{{Name: "ErrorPortAllocation", Value: api.Ptr(int64(3))}}
	h.statistics = map[string][]api.Counter{ids[0]: three, "nat-22222222222222222": nil}
	for _, named := range [][]string{nil, ids[:1], {ids[1], ids[0]}} {
		got := stats(named...)
		if !reflect.DeepEqual(got, []api.NatGatewayStatistics{{NatGatewayId: ids[0], Counters: three}}) || !slices.Contains(h.asked, ids[0]) {
			t.Errorf("of %v: %+v, asked of %v", named, got, h.asked)
		}
	}
	_, _, err := b.call(bob, "DescribeNatGatewayStatistics", &api.DescribeNatGatewayStatisticsRequest{NatGatewayIds: ids[:1]})
	refused(t, err, "NatGatewayNotFound", "NatGatewayIds.0")
	h.err = errors.New("the kernel said no")
	_, _, err = b.call(alice, "DescribeNatGatewayStatistics", &api.DescribeNatGatewayStatisticsRequest{})
	refused(t, err, "InternalError", "")
}
