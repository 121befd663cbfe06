package service

import (
	"context"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// peeringFilters has EC2's names.
var peeringFilters = map[string]func(api.VpcPeeringConnection) []string{
	"accepter-vpc-info.cidr-block":  func(p api.VpcPeeringConnection) []string { return cidrsOf(p.AccepterVpcInfo) },
	"accepter-vpc-info.owner-id":    func(p api.VpcPeeringConnection) []string { return []string{p.AccepterVpcInfo.OwnerId} },
	"accepter-vpc-info.vpc-id":      func(p api.VpcPeeringConnection) []string { return []string{p.AccepterVpcInfo.VpcId} },
	"requester-vpc-info.cidr-block": func(p api.VpcPeeringConnection) []string { return cidrsOf(p.RequesterVpcInfo) },
	"requester-vpc-info.owner-id":   func(p api.VpcPeeringConnection) []string { return []string{p.RequesterVpcInfo.OwnerId} },
	"requester-vpc-info.vpc-id":     func(p api.VpcPeeringConnection) []string { return []string{p.RequesterVpcInfo.VpcId} },
	"expiration-time": func(p api.VpcPeeringConnection) []string {
		if p.ExpirationTime == nil {
			return nil
		}
		return []string{p.ExpirationTime.Format(timeLayout)}
	},
	"status-code":               func(p api.VpcPeeringConnection) []string { return []string{p.Status.Code} },
	"status-message":            func(p api.VpcPeeringConnection) []string { return []string{p.Status.Message} },
	"vpc-peering-connection-id": func(p api.VpcPeeringConnection) []string { return []string{p.VpcPeeringConnectionId} },
}

func cidrsOf(side *api.VpcPeeringConnectionVpcInfo) []string {
	return collect(side.CidrBlockSet, func(c api.CidrBlock) string { return c.CidrBlock })
}

// describeVpcPeeringConnections lists the peerings of the caller's VPCs, whoever
// asked for them, in order of their ids. What has ended is among them for a while.
func (s *Service) describeVpcPeeringConnections(_ context.Context, caller Caller, req *api.DescribeVpcPeeringConnectionsRequest) (*api.DescribeVpcPeeringConnectionsResult, int64, error) {
	match, err := matchFilters(req.Filters, peeringFilters, func(p api.VpcPeeringConnection) []api.Tag { return p.Tags })
	if err != nil {
		return nil, 0, err
	}
	if err := checkPaging(req.VpcPeeringConnectionIds, "VpcPeeringConnectionIds", req.MaxResults); err != nil {
		return nil, 0, err
	}
	v := s.view(caller)
	for i, id := range req.VpcPeeringConnectionIds {
		if _, err := s.shownPeering(v.r, caller, id, string(place("").item("VpcPeeringConnectionIds", i))); err != nil {
			return nil, 0, err
		}
	}
	records, err := peeringKind.pick(v.r, caller, req.VpcPeeringConnectionIds, "VpcPeeringConnectionIds")
	if err != nil {
		return nil, 0, err
	}
	var out []api.VpcPeeringConnection
	for _, rec := range records {
		if shape := s.peeringShape(v.r, rec, caller); s.shownTo(rec, caller.Account) && match(*shape) {
			out = append(out, *shape)
		}
	}
	out, next, err := page(pageOf{caller, req, req.MaxResults, req.NextToken}, out, func(p api.VpcPeeringConnection) string { return p.VpcPeeringConnectionId })
	return &api.DescribeVpcPeeringConnectionsResult{VpcPeeringConnections: out, NextToken: next}, v.revision(), err
}

// Tags of a peering are its owner's on one side. What has ended takes none, and
// shows none in DescribeTags: EC2 forgets it soon.

func getTaggedPeering(r store.Reader, c Caller, id, field string) (tagged, error) {
	p, err := peeringKind.getAs(r, c, id, field)
	if err != nil {
		return tagged{}, err
	}
	if p.Ended != "" {
		return tagged{}, peeringKind.missing(id, field)
	}
	return taggedPeering(p, c), nil
}

func listTaggedPeerings(r store.Reader, c Caller) []tagged {
	var out []tagged
	for _, p := range peeringKind.list(r, c) {
		if p.Ended == "" {
			out = append(out, taggedPeering(p, c))
		}
	}
	return out
}

func taggedPeering(p *record.Peering, c Caller) tagged {
	id := p.VpcPeeringConnectionId
	return tagged{id: id, resourceType: peeringKind.resourceType, tags: sideOf(p, c).Tags, put: func(tx *store.Tx, tags []api.Tag) {
		changed := *p
		sideOf(&changed, c).Tags = tags
		tx.Put(record.Peerings+id, &changed)
	}}
}

// reapPeerings removes what nobody sees any more.
func (s *Service) reapPeerings(ctx context.Context) error {
	old := s.oldPeerings()
	if len(old) == 0 {
		return nil
	}
	_, err := s.store.Update(ctx, func(tx *store.Tx) error {
		for _, key := range old {
			tx.Delete(key)
		}
		return nil
	})
	return err
}

// oldPeerings are the keys of peerings that nobody sees any more, at most as many
// as one transaction takes.
func (s *Service) oldPeerings() []string {
	var out []string
	for key, p := range store.List[*record.Peering](s.store.Snapshot(), record.Peerings) {
		if len(out) < reapAtOnce && !s.shownTo(p, p.Requester.OwnerId) && !s.shownTo(p, p.Accepter.OwnerId) {
			out = append(out, key)
		}
	}
	return out
}
