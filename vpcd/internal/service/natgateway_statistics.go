package service

import (
	"context"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// describeNatGatewayStatistics lists the counters of the caller's NAT gateways, of
// all or of those named, under CloudWatch's names. A gateway that is not in the
// kernel has none.
func (s *Service) describeNatGatewayStatistics(ctx context.Context, caller Caller, req *api.DescribeNatGatewayStatisticsRequest) (*api.DescribeNatGatewayStatisticsResult, int64, error) {
	v := s.view(caller)
	records, err := natKind.pick(v.r, caller, req.NatGatewayIds, "NatGatewayIds")
	if err != nil {
		return nil, 0, err
	}
	h, err := s.hostNamed(v.r, "")
	if err != nil {
		return nil, 0, err
	}
	var ids []string
	for _, n := range records {
		ids = append(ids, n.Gateway.NatGatewayId)
	}
	out := &api.DescribeNatGatewayStatisticsResult{}
	// No name means all interfaces to a host.
	if len(ids) == 0 {
		return out, v.revision(), nil
	}
	all, err := h.Statistics(ctx, ids)
	if err != nil {
		return nil, 0, hostError(err)
	}
	for _, id := range ids {
		if counters, there := all[id]; there {
			out.NatGatewayStatistics = append(out.NatGatewayStatistics, api.NatGatewayStatistics{NatGatewayId: id, Counters: counters})
		}
	}
	return out, v.revision(), nil
}
