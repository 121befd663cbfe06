package cli

import (
	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func (s *session) sgStale() *cobra.Command {
	cmd := verb("stale", "List rules that admit nobody because what they name is gone", "vpc sg stale --vpc prod", args(0, 0),
		func(*cobra.Command, []string) error { return s.staleGroups() })
	cmd.Long = "List rules that name a group of a VPC that is peered no more, or a group there that was deleted.\n" +
		"They stay until they are revoked, and admit again once the VPCs are peered anew."
	return cmd
}

func (s *session) staleGroups() error {
	v, err := s.needScope()
	if err != nil {
		return err
	}
	res, err := ask[api.DescribeStaleSecurityGroupsResult](s, "DescribeStaleSecurityGroups", &api.DescribeStaleSecurityGroupsRequest{VpcId: v.id})
	if err != nil {
		return doing("list stale rules of "+v.String(), err)
	}
	t := &table{head: []string{"GROUP", "ID", "DIRECTION", "TRAFFIC", "PEER", "OWNER", "PEERING", "STATE"}, wide: 8}
	var ids []string
	for i := range res.StaleSecurityGroupSet {
		g := &res.StaleSecurityGroupSet[i]
		ids = append(ids, g.GroupId)
		for _, way := range []struct {
			word  string
			rules []api.StaleIpPermission
		}{{"in", g.StaleIpPermissions}, {"out", g.StaleIpPermissionsEgress}} {
			for _, p := range way.rules {
				for _, pair := range p.UserIdGroupPairs {
					t.add(g.GroupName, g.GroupId, way.word, traffic{protocol: p.IpProtocol, from: p.FromPort, to: p.ToPort}.String(),
						pair.GroupId, pair.UserId, pair.VpcPeeringConnectionId, pair.PeeringStatus)
				}
			}
		}
	}
	return s.emit(res, ids, func() { s.print(t) })
}
