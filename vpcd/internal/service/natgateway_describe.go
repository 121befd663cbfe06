package service

import (
	"context"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// describedNat is a gateway as EC2 shows it. It is available once its host
// reports its interface as ready, and deleted once every host has applied a
// revision after the deletion.
func (v view) describedNat(n *record.NatGateway) api.NatGateway {
	out := n.Gateway
	switch {
	case n.Ended != 0 && n.Ended >= v.knownEverywhere():
		out.State = api.NatGatewayStateDeleting
	case n.Ended != 0:
		out.State = api.NatGatewayStateDeleted
	case n.Gateway.FailureCode != "":
		out.State = api.NatGatewayStateFailed
	default:
		out.State = api.NatGatewayStatePending
		if eni, ok := store.Get[*record.NetworkInterface](v.r, record.Interfaces+n.Interface); ok {
			if reported(v.r, eni) {
				out.State = api.NatGatewayStateAvailable
			}
			out.NatGatewayAddresses = v.liveAddresses(n, eni, out.State)
		}
	}
	return out
}

// liveAddresses are those of a living gateway: each has succeeded once the
// gateway is available and its host has applied what gave it the address.
func (v view) liveAddresses(n *record.NatGateway, eni *record.NetworkInterface, state string) []api.NatGatewayAddress {
	known := v.knownEverywhere()
	return natAddresses(eni, func(private string) string {
		switch {
		case state == api.NatGatewayStateAvailable && n.Since[private] < known:
			return api.NatGatewayAddressStatusSucceeded
		case n.Gateway.ConnectivityType == api.ConnectivityTypePublic:
			return api.NatGatewayAddressStatusAssociating
		}
		return api.NatGatewayAddressStatusAssigning
	})
}

// natAddresses are the addresses of an interface as its gateway lists them, the
// primary one first.
func natAddresses(eni *record.NetworkInterface, status func(private string) string) []api.NatGatewayAddress {
	var out []api.NatGatewayAddress
	for _, p := range eni.Interface.PrivateIpAddresses {
		a := api.Val(p.Association)
		out = append(out, api.NatGatewayAddress{
			AllocationId: a.AllocationId, AssociationId: a.AssociationId, PublicIp: a.PublicIp, PrivateIp: p.PrivateIpAddress,
			NetworkInterfaceId: eni.Interface.NetworkInterfaceId, IsPrimary: api.Ptr(api.Val(p.Primary)), Status: status(p.PrivateIpAddress),
		})
	}
	return out
}

var natFilters = map[string]func(api.NatGateway) []string{
	"nat-gateway-id":    func(n api.NatGateway) []string { return []string{n.NatGatewayId} },
	"state":             func(n api.NatGateway) []string { return []string{n.State} },
	"subnet-id":         func(n api.NatGateway) []string { return []string{n.SubnetId} },
	"vpc-id":            func(n api.NatGateway) []string { return []string{n.VpcId} },
	"connectivity-type": func(n api.NatGateway) []string { return []string{n.ConnectivityType} },
}

// describeNatGateways lists the caller's gateways in order of their ids, those
// that are deleted or failed for an hour.
func (s *Service) describeNatGateways(_ context.Context, caller Caller, req *api.DescribeNatGatewaysRequest) (*api.DescribeNatGatewaysResult, int64, error) {
	match, err := matchFilters(req.Filter, natFilters, func(n api.NatGateway) []api.Tag { return n.Tags })
	if err != nil {
		return nil, 0, err
	}
	if err := checkPaging(req.NatGatewayIds, "NatGatewayIds", req.MaxResults); err != nil {
		return nil, 0, err
	}
	v := s.view(caller)
	records, err := natKind.pick(v.r, caller, req.NatGatewayIds, "NatGatewayIds")
	if err != nil {
		return nil, 0, err
	}
	var out []api.NatGateway
	for _, rec := range records {
		if shape := v.describedNat(rec); match(shape) {
			out = append(out, shape)
		}
	}
	out, next, err := page(pageOf{caller, req, req.MaxResults, req.NextToken}, out, func(n api.NatGateway) string { return n.NatGatewayId })
	return &api.DescribeNatGatewaysResult{NatGateways: out, NextToken: next}, v.revision(), err
}

// reapNats forgets gateways that ended or failed long ago. One that a host may
// still carry stays.
func (s *Service) reapNats(ctx context.Context) error {
	known := s.view(Caller{}).knownEverywhere()
	for id, owner := range s.oldNats(known) {
		_, err := s.mutate(ctx, Caller{Account: owner}, nil, func(c *change) error {
			n, err := getNat(c.tx, c.caller, id)
			if err != nil {
				return nil
			}
			c.forget(n.ClientToken, actionCreateNat)
			// No kernel knows gateways by a number: their interfaces have one.
			c.drop(record.Nats, id, 0)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// oldNats are the ids of what reapNats forgets in one round, with their owners.
func (s *Service) oldNats(known int64) map[string]string {
	out := map[string]string{}
	for _, n := range store.List[*record.NatGateway](s.store.Snapshot(), record.Nats) {
		ended := n.Gateway.DeleteTime
		if !n.Alive() && n.Ended < known && ended != nil && s.now().Sub(*ended) > natMemory && len(out) < reapAtOnce {
			out[n.Gateway.NatGatewayId] = n.OwnerId
		}
	}
	return out
}
