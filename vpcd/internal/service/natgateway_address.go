package service

import (
	"context"
	"slices"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// associateNatGatewayAddress gives a public gateway more elastic addresses, each
// with a private one. Here a fault is one of the call: those of CreateNatGateway,
// and AddressLimitExceeded.
func (s *Service) associateNatGatewayAddress(ctx context.Context, caller Caller, req *api.AssociateNatGatewayAddressRequest) (*api.AssociateNatGatewayAddressResult, int64, error) {
	if len(req.PrivateIpAddresses) > 0 && len(req.PrivateIpAddresses) != len(req.AllocationIds) {
		return nil, 0, api.Errorf("InvalidParameterCombination", "PrivateIpAddresses", "there are %d private addresses and %d elastic ones: name as many, or no private ones", len(req.PrivateIpAddresses), len(req.AllocationIds))
	}
	if err := allocationsOnce(req.AllocationIds, "AllocationIds"); err != nil {
		return nil, 0, err
	}
	planned, err := parseAddresses(req.PrivateIpAddresses, "PrivateIpAddresses")
	if err != nil {
		return nil, 0, err
	}
	if len(planned) == 0 {
		planned = make([]plannedAddress, len(req.AllocationIds))
	}
	got, revision, err := s.addToNat(ctx, caller, req.DryRun, req.NatGatewayId, api.ConnectivityTypePublic, planned, req.AllocationIds)
	if err != nil {
		return nil, 0, err
	}
	return &api.AssociateNatGatewayAddressResult{NatGatewayId: req.NatGatewayId, NatGatewayAddresses: got}, revision, nil
}

// assignPrivateNatGatewayAddress gives a private gateway more addresses, named or
// counted. Codes: those of the addresses, PrivateIpAddressLimitExceeded.
func (s *Service) assignPrivateNatGatewayAddress(ctx context.Context, caller Caller, req *api.AssignPrivateNatGatewayAddressRequest) (*api.AssignPrivateNatGatewayAddressResult, int64, error) {
	planned, err := plannedSecondary(&api.AssignPrivateIpAddressesRequest{PrivateIpAddresses: req.PrivateIpAddresses, SecondaryPrivateIpAddressCount: req.PrivateIpAddressCount})
	if err != nil {
		return nil, 0, err
	}
	got, revision, err := s.addToNat(ctx, caller, req.DryRun, req.NatGatewayId, api.ConnectivityTypePrivate, planned, nil)
	if err != nil {
		return nil, 0, err
	}
	return &api.AssignPrivateNatGatewayAddressResult{NatGatewayId: req.NatGatewayId, NatGatewayAddresses: got}, revision, nil
}

// addToNat adds addresses to a gateway of that type and returns those.
func (s *Service) addToNat(ctx context.Context, caller Caller, dryRun *bool, id, connectivity string, planned []plannedAddress, allocations []string) ([]api.NatGatewayAddress, int64, error) {
	if err := noAddressTwice(planned); err != nil {
		return nil, 0, err
	}
	var n *record.NatGateway
	var added []string
	revision, err := s.mutate(ctx, caller, dryRun, func(c *change) error {
		var err error
		var eni *record.NetworkInterface
		if n, eni, err = c.natToChange(id, connectivity); err != nil {
			return err
		}
		if err := c.checkNatSize(connectivity == api.ConnectivityTypePublic, len(eni.Interface.PrivateIpAddresses)+len(planned)); err != nil {
			return err
		}
		subnet, err := getSubnet(c.tx, caller, n.Gateway.SubnetId)
		if err != nil {
			return err
		}
		got, err := c.claimAll(subnet, n.Interface, len(eni.Interface.PrivateIpAddresses), planned)
		if err != nil {
			return err
		}
		next := *eni
		next.Interface.PrivateIpAddresses = slices.Clone(eni.Interface.PrivateIpAddresses)
		added = nil
		for _, a := range got {
			added = append(added, a.String())
			next.Interface.PrivateIpAddresses = append(next.Interface.PrivateIpAddresses, c.addressEntry(a, false))
		}
		c.putInterface(&next)
		changed := *n
		changed.Since = since(n.Since, added, c.tx.Revision())
		n = &changed
		c.putNat(n)
		return c.pairAddresses(n.Interface, added, allocations)
	})
	if err != nil {
		return nil, 0, err
	}
	return slices.DeleteFunc(s.view(caller).describedNat(n).NatGatewayAddresses, func(a api.NatGatewayAddress) bool {
		return !slices.Contains(added, a.PrivateIp)
	}), revision, nil
}

// natToChange is a living gateway of that connectivity, with its interface.
func (c *change) natToChange(id, connectivity string) (*record.NatGateway, *record.NetworkInterface, error) {
	n, err := getNat(c.tx, c.caller, id)
	switch {
	case err != nil:
		return nil, nil, err
	case !n.Alive():
		return nil, nil, api.Errorf(natKind.notFound, natKind.field, "NAT gateway %s was not found: it has failed or has been deleted", id)
	case n.Gateway.ConnectivityType != connectivity:
		return nil, nil, api.Errorf("InvalidParameterValue", natKind.field, "NAT gateway %s is %s, and this is for gateways that are %s", id, n.Gateway.ConnectivityType, connectivity)
	}
	eni, err := getInterface(c.tx, c.caller, n.Interface)
	return n, eni, err
}

// disassociateNatGatewayAddress takes secondary elastic addresses off a gateway,
// with their private ones. Its connections through them end: nothing drains, so
// MaxDrainDurationSeconds is a bound that is always kept. Codes:
// InvalidAssociationID.NotFound, InvalidParameterValue for the primary address.
func (s *Service) disassociateNatGatewayAddress(ctx context.Context, caller Caller, req *api.DisassociateNatGatewayAddressRequest) (*api.DisassociateNatGatewayAddressResult, int64, error) {
	const field = "AssociationIds"
	find := func(eni *record.NetworkInterface) ([]string, error) {
		var out []string
		for _, id := range req.AssociationIds {
			i := slices.IndexFunc(eni.Interface.PrivateIpAddresses, func(p api.NetworkInterfacePrivateIpAddress) bool {
				return p.Association != nil && p.Association.AssociationId == id
			})
			switch {
			case !wellFormed(id, elasticAssociationPrefix):
				return nil, api.Errorf("InvalidAssociationID.Malformed", field, "invalid id %s: the id of an association is %s and 17 digits or letters a-f", quote(id), elasticAssociationPrefix)
			case i < 0:
				return nil, api.Errorf("InvalidAssociationID.NotFound", field, "the association ID '%s' does not exist: DescribeNatGateways shows those that do", id)
			}
			out = append(out, eni.Interface.PrivateIpAddresses[i].PrivateIpAddress)
		}
		return out, nil
	}
	gone, revision, err := s.takeFromNat(ctx, caller, req.DryRun, req.NatGatewayId, api.ConnectivityTypePublic, field, find)
	if err != nil {
		return nil, 0, err
	}
	return &api.DisassociateNatGatewayAddressResult{NatGatewayId: req.NatGatewayId, NatGatewayAddresses: gone}, revision, nil
}

// unassignPrivateNatGatewayAddress takes secondary addresses off a private
// gateway. Nothing drains: see disassociateNatGatewayAddress. InvalidParameterValue
// for the primary address, and for one that is not the gateway's.
func (s *Service) unassignPrivateNatGatewayAddress(ctx context.Context, caller Caller, req *api.UnassignPrivateNatGatewayAddressRequest) (*api.UnassignPrivateNatGatewayAddressResult, int64, error) {
	const field = "PrivateIpAddresses"
	planned, err := parseAddresses(req.PrivateIpAddresses, field)
	if err != nil {
		return nil, 0, err
	}
	find := func(eni *record.NetworkInterface) ([]string, error) {
		var out []string
		for _, p := range planned {
			if err := removable(eni, p); err != nil {
				return nil, err
			}
			out = append(out, p.addr.String())
		}
		return out, nil
	}
	gone, revision, err := s.takeFromNat(ctx, caller, req.DryRun, req.NatGatewayId, api.ConnectivityTypePrivate, field, find)
	if err != nil {
		return nil, 0, err
	}
	return &api.UnassignPrivateNatGatewayAddressResult{NatGatewayId: req.NatGatewayId, NatGatewayAddresses: gone}, revision, nil
}

// takeFromNat takes the private addresses that find names off a gateway of that
// connectivity, with the elastic ones that they have, and returns what there was.
func (s *Service) takeFromNat(ctx context.Context, caller Caller, dryRun *bool, id, connectivity, field string, find func(*record.NetworkInterface) ([]string, error)) ([]api.NatGatewayAddress, int64, error) {
	status := api.NatGatewayAddressStatusUnassigning
	if connectivity == api.ConnectivityTypePublic {
		status = api.NatGatewayAddressStatusDisassociating
	}
	var gone []api.NatGatewayAddress
	revision, err := s.mutate(ctx, caller, dryRun, func(c *change) error {
		n, eni, err := c.natToChange(id, connectivity)
		if err != nil {
			return err
		}
		private, err := find(eni)
		if err != nil {
			return err
		}
		gone = slices.DeleteFunc(natAddresses(eni, func(string) string { return status }), func(a api.NatGatewayAddress) bool {
			return !slices.Contains(private, a.PrivateIp)
		})
		changed := *n
		changed.Since = since(n.Since, nil, 0)
		for _, a := range gone {
			if api.Val(a.IsPrimary) {
				return api.Errorf("InvalidParameterValue", field, "the primary address %s of NAT gateway %s stays as long as the gateway: name secondary addresses", a.PrivateIp, id)
			}
			private, err := parseAddress(a.PrivateIp, field)
			if err != nil {
				return err
			}
			eni = c.withoutSecondary(eni, private)
			delete(changed.Since, a.PrivateIp)
		}
		c.putInterface(eni)
		c.putNat(&changed)
		return nil
	})
	return gone, revision, err
}
