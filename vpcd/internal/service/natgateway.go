package service

import (
	"context"
	"net/netip"
	"slices"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

const actionCreateNat = "CreateNatGateway"

// newNat is what a request asks for: a private address for each elastic one, in
// the same order, or private ones alone. The zero Addr stands for any.
type newNat struct {
	public      bool
	addresses   []plannedAddress
	allocations []string // ids; with allocate the first is still to come
	allocate    bool
}

// createNatGateway answers pending: no host carries the gateway yet. What EC2
// notices only while it builds one is no error of the call: the gateway is
// failed, with a FailureCode, and is forgotten an hour later. Those are
// Gateway.NotAttached, InvalidAllocationID.NotFound, Resource.AlreadyAssociated and
// InsufficientFreeAddressesInSubnet. With AllocateAddress, which is ours, they
// are errors, as nothing shall be left of an address that nobody named. Codes
// beside those: of the subnet's id, NatGatewayLimitExceeded,
// InvalidIPAddress.InUse, InvalidParameterValue, InvalidParameterCombination.
func (s *Service) createNatGateway(ctx context.Context, caller Caller, req *api.CreateNatGatewayRequest) (*api.CreateNatGatewayResult, int64, error) {
	want, err := natWanted(req)
	if err != nil {
		return nil, 0, err
	}
	tags, err := specTags(req.TagSpecifications, natKind.resourceType)
	if err != nil {
		return nil, 0, err
	}
	var made *record.NatGateway
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		id, err := c.replay(actionCreateNat, req.ClientToken, req)
		if err != nil {
			return err
		}
		if id != "" {
			made, err = getNat(c.tx, caller, id)
			return err
		}
		subnet, err := getSubnet(c.tx, caller, req.SubnetId)
		if err != nil {
			return err
		}
		if err := nameFree(c, natKind, uniqueName(req.TagSpecifications, tags), "", natsOfVpc(subnet.Subnet.VpcId)); err != nil {
			return err
		}
		if made, err = c.newNat(subnet, want, tags); err != nil {
			return err
		}
		made.ClientToken = req.ClientToken
		c.putNat(made)
		c.remember(actionCreateNat, req.ClientToken, req, made.Gateway.NatGatewayId)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.CreateNatGatewayResult{ClientToken: req.ClientToken, NatGateway: api.Ptr(s.view(caller).describedNat(made))}, revision, nil
}

// natWanted reads the part of a request that needs no knowledge of objects.
func natWanted(req *api.CreateNatGatewayRequest) (newNat, error) {
	want := newNat{public: req.ConnectivityType != api.ConnectivityTypePrivate, allocate: api.Val(req.AllocateAddress)}
	if err := natCombination(req, want.public, want.allocate); err != nil {
		return want, err
	}
	var primary plannedAddress
	if req.PrivateIpAddress != "" {
		a, err := parseAddress(req.PrivateIpAddress, "PrivateIpAddress")
		if err != nil {
			return want, err
		}
		primary = plannedAddress{a, "PrivateIpAddress"}
	}
	more, err := parseAddresses(req.SecondaryPrivateIpAddresses, "SecondaryPrivateIpAddresses")
	if err != nil {
		return want, err
	}
	if want.public {
		want.allocations = append([]string{req.AllocationId}, req.SecondaryAllocationIds...)
		if len(more) == 0 {
			more = make([]plannedAddress, len(req.SecondaryAllocationIds))
		}
	}
	if n := api.Val(req.SecondaryPrivateIpAddressCount); n > 0 {
		more = make([]plannedAddress, n)
	}
	want.addresses = append([]plannedAddress{primary}, more...)
	return want, noAddressTwice(want.addresses)
}

// natCombination refuses parameters that contradict each other.
func natCombination(req *api.CreateNatGatewayRequest, public, allocate bool) error {
	const first, list, private, count = "AllocationId", "SecondaryAllocationIds", "SecondaryPrivateIpAddresses", "SecondaryPrivateIpAddressCount"
	both := func(field, other string) error {
		return api.Errorf("InvalidParameterCombination", field, "%s cannot be combined with %s: use one of them", field, other)
	}
	switch {
	case !public && (req.AllocationId != "" || allocate):
		return api.Errorf("InvalidParameterCombination", first, "a private NAT gateway has no elastic address: leave %s out", first)
	case !public && len(req.SecondaryAllocationIds) > 0:
		return api.Errorf("InvalidParameterCombination", list, "a private NAT gateway has no elastic addresses: leave %s out", list)
	case !public && len(req.SecondaryPrivateIpAddresses) > 0 && req.SecondaryPrivateIpAddressCount != nil:
		return both(count, private)
	case !public:
		return nil
	case req.SecondaryPrivateIpAddressCount != nil:
		return api.Errorf("InvalidParameterCombination", count, "%s is for private NAT gateways: of a public one each secondary address has an elastic one, see %s", count, list)
	case allocate && req.AllocationId != "":
		return both("AllocateAddress", first)
	case !allocate && req.AllocationId == "":
		e := api.Errorf("MissingParameter", first, "the request must contain the parameter %s, the elastic address of a public NAT gateway", first)
		e.Hint = "allocate one, or set ConnectivityType to private"
		return e
	case len(req.SecondaryPrivateIpAddresses) > 0 && len(req.SecondaryPrivateIpAddresses) != len(req.SecondaryAllocationIds):
		return api.Errorf("InvalidParameterCombination", private, "there are %d secondary private addresses and %d elastic ones: name as many, or no private ones", len(req.SecondaryPrivateIpAddresses), len(req.SecondaryAllocationIds))
	}
	if req.AllocationId != "" {
		if err := elasticKind.checkID(req.AllocationId, first); err != nil {
			return err
		}
	}
	return allocationsOnce(req.SecondaryAllocationIds, list, req.AllocationId)
}

// allocationsOnce refuses what cannot be the id of an allocation, and one that
// is named twice, there or before.
func allocationsOnce(ids []string, field string, before ...string) error {
	for i, id := range ids {
		if err := elasticKind.checkID(id, field); err != nil {
			return err
		}
		if slices.Contains(ids[:i], id) || slices.Contains(before, id) {
			return api.Errorf("InvalidParameterValue", field, "the allocation %s is given twice: give it once", id)
		}
	}
	return nil
}

// newNat makes the record of a gateway and, unless it has failed, its interface.
func (c *change) newNat(subnet *record.Subnet, want newNat, tags []api.Tag) (*record.NatGateway, error) {
	i, now := &subnet.Subnet, c.now().UTC()
	// Listed under guard, so that the quota holds for two at once.
	if err := c.checkLimit(limitNats, c.natsInZone(i.AvailabilityZone)+1); err != nil {
		return nil, err
	}
	if err := c.checkNatSize(want.public, len(want.addresses)); err != nil {
		return nil, err
	}
	n := &record.NatGateway{OwnerId: c.caller.Account, Zone: i.AvailabilityZone, Allocated: want.allocate, Gateway: api.NatGateway{
		NatGatewayId: c.newID(natKind.id), SubnetId: i.SubnetId, VpcId: i.VpcId, CreateTime: &now, Tags: tags,
		ConnectivityType: api.ConnectivityTypePrivate,
	}}
	if c.host != nil {
		n.Host = c.hostName
	}
	if want.public {
		n.Gateway.ConnectivityType = api.ConnectivityTypePublic
	}
	if why := c.cannotBuild(subnet, want); why != nil {
		if want.allocate {
			return nil, why
		}
		return failedNat(n, want, why), nil
	}
	return n, c.buildNat(n, subnet, want)
}

// buildNat gives a gateway its interface with all its addresses.
func (c *change) buildNat(n *record.NatGateway, subnet *record.Subnet, want newNat) error {
	if want.allocate {
		e, err := c.newElastic(netip.Addr{}, nil)
		if err != nil {
			return err
		}
		want.allocations[0] = e.Address.AllocationId
	}
	eni, err := c.natInterface(n.Gateway.NatGatewayId, subnet, want.addresses)
	if err != nil {
		return err
	}
	n.Interface = eni.Interface.NetworkInterfaceId
	got := each(eni.Interface.PrivateIpAddresses, func(p api.NetworkInterfacePrivateIpAddress) string { return p.PrivateIpAddress })
	n.Since = since(nil, got, c.tx.Revision())
	return c.pairAddresses(n.Interface, got, want.allocations)
}

// pairAddresses associates each elastic address with the private one beside it.
func (c *change) pairAddresses(eniID string, private, allocations []string) error {
	for i, id := range allocations {
		e, err := getElastic(c.tx, c.caller, id)
		if err != nil {
			return err
		}
		eni, err := getInterface(c.tx, c.caller, eniID)
		if err != nil {
			return err
		}
		if _, err := c.associate(e, eni, private[i], api.Ptr(false)); err != nil {
			return err
		}
	}
	return nil
}

// since is a copy of a gateway's Since with more addresses.
func since(before map[string]int64, more []string, revision int64) map[string]int64 {
	out := map[string]int64{}
	for a, r := range before {
		out[a] = r
	}
	for _, a := range more {
		out[a] = revision
	}
	return out
}

// cannotBuild is why a gateway fails: what EC2 reports in the gateway itself.
func (c *change) cannotBuild(subnet *record.Subnet, want newNat) *api.Error {
	i := &subnet.Subnet
	if want.public {
		// Of this and a detachment of the gateway, one sees the other.
		c.guard(i.VpcId)
		if _, ok := gatewayOf(c.tx.Peek(), i.VpcId); !ok {
			e := api.Errorf("Gateway.NotAttached", "SubnetId", "Network %s has no Internet gateway attached", i.VpcId)
			e.Hint = "vpc igw add NAME --vpc " + i.VpcId
			return e
		}
	}
	for _, id := range want.allocations {
		if id == "" {
			continue
		}
		e, err := getElastic(c.tx, c.caller, id)
		if err != nil {
			return api.Errorf("InvalidAllocationID.NotFound", "AllocationId", "Elastic IP address %s could not be found", id)
		}
		if e.Address.AssociationId != "" {
			return api.Errorf("Resource.AlreadyAssociated", "AllocationId", "Elastic IP address %s is already associated", id)
		}
	}
	if int(freeAddresses(c.tx.Peek(), subnet)) < len(want.addresses) {
		return api.Errorf("InsufficientFreeAddressesInSubnet", "SubnetId", "Subnet %s has insufficient free addresses to create this NAT gateway", i.SubnetId)
	}
	return nil
}

// failedNat is the gateway that could not be built: it has nothing.
func failedNat(n *record.NatGateway, want newNat, why *api.Error) *record.NatGateway {
	g := &n.Gateway
	g.FailureCode, g.FailureMessage, g.DeleteTime = why.Code, why.Message, g.CreateTime
	n.Host = ""
	for i, id := range want.allocations {
		g.NatGatewayAddresses = append(g.NatGatewayAddresses, api.NatGatewayAddress{
			AllocationId: id, IsPrimary: api.Ptr(i == 0), Status: api.NatGatewayAddressStatusFailed, FailureMessage: why.Message,
		})
	}
	return n
}

func (c *change) putNat(n *record.NatGateway) {
	c.tx.Put(record.Nats+n.Gateway.NatGatewayId, n)
}

// natsInZone counts for the quota, which EC2 sets per zone: those that are
// pending, available or on their way out.
func (c *change) natsInZone(zone string) int {
	known, count := knownEverywhere(c.tx.Peek()), 0
	for _, n := range natKind.list(c.tx, c.caller) {
		if n.Zone == zone && (n.Alive() || n.Ended >= known) {
			count++
		}
	}
	return count
}

// checkNatSize is about how many addresses a gateway would have.
func (c *change) checkNatSize(public bool, total int) error {
	if public {
		if err := c.checkLimit(limitNatElastics, total); err != nil {
			return err
		}
	}
	return c.checkLimit(limitNatPrivate, total)
}

// natsOf are the gateways of a VPC, or of a subnet, that have not ended.
func natsOf(r store.Reader, id string) []*record.NatGateway {
	var out []*record.NatGateway
	for _, n := range store.List[*record.NatGateway](r, record.Nats) {
		if n.Alive() && (n.Gateway.VpcId == id || n.Gateway.SubnetId == id) {
			out = append(out, n)
		}
	}
	return out
}

func natsOfVpc(vpcID string) func(*record.NatGateway) bool {
	return func(n *record.NatGateway) bool { return n.Alive() && n.Gateway.VpcId == vpcID }
}

func natBlocker(n *record.NatGateway) api.Blocker {
	return api.Blocker{Kind: "nat", Id: n.Gateway.NatGatewayId, Name: nameTag(n.Gateway.Tags)}
}

// deleteNatGateway ends a gateway: its interface goes, its elastic addresses are
// free again and stay the account's, and routes to it are black holes. It answers
// at once; deleting is its state until its host has followed. NatGatewayNotFound
// for one that is deleted already.
func (s *Service) deleteNatGateway(ctx context.Context, caller Caller, req *api.DeleteNatGatewayRequest) (*api.DeleteNatGatewayResult, int64, error) {
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		n, err := getNat(c.tx, caller, req.NatGatewayId)
		if err != nil {
			return err
		}
		if n.Ended != 0 {
			return api.Errorf(natKind.notFound, natKind.field, "NAT gateway %s was not found: it has been deleted", req.NatGatewayId)
		}
		return c.endNat(n)
	})
	return &api.DeleteNatGatewayResult{NatGatewayId: req.NatGatewayId}, revision, err
}

func (c *change) endNat(n *record.NatGateway) error {
	next, now := *n, c.now().UTC()
	next.Ended, next.Gateway.DeleteTime = c.tx.Revision(), &now
	c.forget(n.ClientToken, actionCreateNat)
	if n.Interface != "" {
		eni, err := getInterface(c.tx, c.caller, n.Interface)
		if err != nil {
			return err
		}
		next.Gateway.NatGatewayAddresses = natAddresses(eni, func(string) string { return api.NatGatewayAddressStatusSucceeded })
		next.Interface, next.Since = "", nil
		c.removeInterface(eni)
		if a := associationAt(eni, eni.Interface.PrivateIpAddress); n.Allocated && a != nil {
			c.releasePublic(a.PublicIp)
			c.drop(record.Elastics, a.AllocationId, 0)
		}
	}
	c.putNat(&next)
	return nil
}
