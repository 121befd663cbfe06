package service

import (
	"context"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// describeNetworkInterfaceStatistics lists the counters of the caller's attached
// interfaces, of all or of those named: under the names that AWS's driver shows
// them by, where AWS has them. An interface that is not in the kernel has none.
func (s *Service) describeNetworkInterfaceStatistics(ctx context.Context, caller Caller, req *api.DescribeNetworkInterfaceStatisticsRequest) (*api.DescribeNetworkInterfaceStatisticsResult, int64, error) {
	v := s.view(caller)
	records, err := interfaceKind.pick(v.r, caller, req.NetworkInterfaceIds, "NetworkInterfaceIds")
	if err != nil {
		return nil, 0, err
	}
	h, err := s.hostNamed(v.r, "")
	if err != nil {
		return nil, 0, err
	}
	var attached []string
	for _, eni := range records {
		if eni.Attached != nil {
			attached = append(attached, eni.Interface.NetworkInterfaceId)
		}
	}
	out := &api.DescribeNetworkInterfaceStatisticsResult{}
	// No interface means all to a host.
	if len(attached) == 0 {
		return out, v.revision(), nil
	}
	all, err := h.Statistics(ctx, attached)
	if err != nil {
		return nil, 0, hostError(err)
	}
	for _, id := range attached {
		if counters, there := all[id]; there {
			out.NetworkInterfaceStatistics = append(out.NetworkInterfaceStatistics, api.NetworkInterfaceStatistics{NetworkInterfaceId: id, Counters: counters})
		}
	}
	return out, v.revision(), nil
}
