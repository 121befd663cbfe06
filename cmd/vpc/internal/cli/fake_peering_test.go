package cli

import (
	"slices"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// peering does the actions on peerings. A request to a VPC called overlapping fails,
// and one to another account waits for it.
func (d *daemon) peering(req any) (any, *api.Error) {
	end := func(id, code, message string) *api.VpcPeeringConnection {
		p := &d.peerings[slices.IndexFunc(d.peerings, func(p api.VpcPeeringConnection) bool { return p.VpcPeeringConnectionId == id })]
		p.Status, p.ExpirationTime = &api.VpcPeeringConnectionStateReason{Code: code, Message: message}, nil
		return p
	}
	switch r := req.(type) {
	case *api.CreateVpcPeeringConnectionRequest:
		return d.askForPeering(r), nil
	case *api.AcceptVpcPeeringConnectionRequest:
		p := end(r.VpcPeeringConnectionId, "active", "Active")
		p.AccepterVpcInfo.CidrBlockSet = []api.CidrBlock{{CidrBlock: "10.9.0.0/16"}}
		return &api.AcceptVpcPeeringConnectionResult{VpcPeeringConnection: p}, nil
	case *api.RejectVpcPeeringConnectionRequest:
		end(r.VpcPeeringConnectionId, "rejected", "Rejected by 000000000001")
		return &api.RejectVpcPeeringConnectionResult{Return: api.Ptr(true)}, nil
	case *api.DeleteVpcPeeringConnectionRequest:
		end(r.VpcPeeringConnectionId, "deleted", "Deleted by 000000000001")
		return &api.DeleteVpcPeeringConnectionResult{Return: api.Ptr(true)}, nil
	case *api.DescribeVpcPeeringConnectionsRequest:
		list, e := pick(d.peerings, r.VpcPeeringConnectionIds, r.Filters, "InvalidVpcPeeringConnectionID.NotFound", func(v *api.VpcPeeringConnection) (string, map[string]string) {
			return v.VpcPeeringConnectionId, map[string]string{"vpc-peering-connection-id": v.VpcPeeringConnectionId, "tag:Name": nameOf(v.Tags), "status-code": v.Status.Code}
		})
		return &api.DescribeVpcPeeringConnectionsResult{VpcPeeringConnections: list}, e
	case *api.DescribeStaleSecurityGroupsRequest:
		return &api.DescribeStaleSecurityGroupsResult{StaleSecurityGroupSet: d.stale}, nil
	}
	return nil, nil
}

func (d *daemon) askForPeering(r *api.CreateVpcPeeringConnectionRequest) *api.CreateVpcPeeringConnectionResult {
	if i := slices.IndexFunc(d.peerings, func(p api.VpcPeeringConnection) bool {
		return p.Status.Code == "active" && farSide(&p, r.VpcId) == r.PeerVpcId
	}); i >= 0 {
		return &api.CreateVpcPeeringConnectionResult{VpcPeeringConnection: &d.peerings[i]}
	}
	p := api.VpcPeeringConnection{VpcPeeringConnectionId: d.id("pcx-"), Tags: tagsOf(r.TagSpecifications),
		RequesterVpcInfo: &api.VpcPeeringConnectionVpcInfo{VpcId: r.VpcId, OwnerId: "000000000001", CidrBlockSet: []api.CidrBlock{{CidrBlock: "10.0.0.0/16"}}},
		AccepterVpcInfo:  &api.VpcPeeringConnectionVpcInfo{VpcId: r.PeerVpcId, OwnerId: firstOf(r.PeerOwnerId, "000000000001")},
		Status:           &api.VpcPeeringConnectionStateReason{Code: "pending-acceptance", Message: "Pending Acceptance by " + firstOf(r.PeerOwnerId, "000000000001")},
		ExpirationTime:   api.Ptr(time.Date(2026, 1, 9, 3, 4, 5, 0, time.UTC))}
	for _, v := range d.vpcs {
		if v.VpcId == r.PeerVpcId && nameOf(v.Tags) == "overlapping" {
			p.Status, p.ExpirationTime = &api.VpcPeeringConnectionStateReason{Code: "failed", Message: "Failed due to overlapping CIDR range"}, nil
		}
	}
	d.peerings = append(d.peerings, p)
	made := p
	made.Status = &api.VpcPeeringConnectionStateReason{Code: "initiating-request", Message: "Initiating Request"}
	return &api.CreateVpcPeeringConnectionResult{VpcPeeringConnection: &made}
}
