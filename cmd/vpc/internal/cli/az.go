package cli

import (
	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func (s *session) azCommand() *cobra.Command {
	return verb("az", "List availability zones", "vpc az", args(0, 0), func(*cobra.Command, []string) error {
		res, err := ask[api.DescribeAvailabilityZonesResult](s, "DescribeAvailabilityZones", &api.DescribeAvailabilityZonesRequest{})
		if err != nil {
			return doing("list availability zones", err)
		}
		t := &table{head: []string{"NAME", "ID", "REGION", "STATE"}}
		var ids []string
		for _, z := range res.AvailabilityZones {
			ids = append(ids, z.ZoneName)
			t.add(z.ZoneName, z.ZoneId, z.RegionName, z.State)
		}
		return s.emit(res, ids, func() { s.print(t) })
	})
}
