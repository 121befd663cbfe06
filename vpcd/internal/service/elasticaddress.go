package service

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/vpcfabric/vpc/ipam"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// What EC2 calls the pool of those who bring no addresses of their own, and the
// owner of addresses that come with a workload.
const (
	poolOfProvider  = "amazon"
	ownerOfProvider = "amazon"
)

// allocateAddress gives the account an address of the public pools: Address, or
// the one that rests longest. Codes: AddressLimitExceeded,
// InsufficientAddressCapacity, and for a given one InvalidAddress.NotFound,
// InvalidAddress.Malformed or InvalidIPAddress.InUse.
func (s *Service) allocateAddress(ctx context.Context, caller Caller, req *api.AllocateAddressRequest) (*api.AllocateAddressResult, int64, error) {
	want, err := s.addressWanted(req)
	if err != nil {
		return nil, 0, err
	}
	tags, err := specTags(req.TagSpecifications, elasticKind.resourceType)
	if err != nil {
		return nil, 0, err
	}
	var made *record.Elastic
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		if err := nameFree(c, elasticKind, uniqueName(req.TagSpecifications, tags), "", anyOf); err != nil {
			return err
		}
		made, err = c.newElastic(want, tags)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	a := made.Address
	return &api.AllocateAddressResult{
		PublicIp: a.PublicIp, AllocationId: a.AllocationId, PublicIpv4Pool: a.PublicIpv4Pool, NetworkBorderGroup: a.NetworkBorderGroup, Domain: a.Domain,
	}, revision, nil
}

// newElastic is an address that is the caller's from now on.
func (c *change) newElastic(want netip.Addr, tags []api.Tag) (*record.Elastic, error) {
	// Listed under guard, so that the quota holds for two at once.
	if err := c.checkLimit(limitElastics, len(elasticKind.list(c.tx, c.caller))+1); err != nil {
		return nil, err
	}
	id := c.newID(elasticKind.id)
	got, err := c.claimPublic(want, id)
	if err != nil {
		return nil, err
	}
	made := &record.Elastic{OwnerId: c.caller.Account, Address: api.Address{
		AllocationId: id, PublicIp: got.String(), Domain: api.DomainTypeVpc, Tags: tags,
		PublicIpv4Pool: poolOfProvider, NetworkBorderGroup: c.region,
	}}
	c.putElastic(made)
	return made, nil
}

// addressWanted reads the part of a request that needs no knowledge of objects;
// the zero Addr is any address.
func (s *Service) addressWanted(req *api.AllocateAddressRequest) (netip.Addr, error) {
	if req.Domain == api.DomainTypeStandard {
		return netip.Addr{}, api.Errorf("UnsupportedOperation", "Domain", "the Domain %s is not supported: every address is for VPCs; use %s or leave it out", req.Domain, api.DomainTypeVpc)
	}
	if err := unsupported(param{"CustomerOwnedIpv4Pool", req.CustomerOwnedIpv4Pool != ""}); err != nil {
		return netip.Addr{}, err
	}
	if req.PublicIpv4Pool != "" && req.PublicIpv4Pool != poolOfProvider {
		return netip.Addr{}, api.Errorf("InvalidPublicIpv4PoolID.NotFound", "PublicIpv4Pool", "the public IPv4 pool %s does not exist: leave the parameter out", quote(req.PublicIpv4Pool))
	}
	if err := s.checkBorderGroup(req.NetworkBorderGroup); err != nil || req.Address == "" {
		return netip.Addr{}, err
	}
	return publicAddress(req.Address, "Address")
}

// checkBorderGroup: the only place that addresses are announced from is the region.
func (s *Service) checkBorderGroup(group string) error {
	if group != "" && group != s.region {
		return api.Errorf("InvalidParameterValue", "NetworkBorderGroup", "invalid value %s for NetworkBorderGroup: there is %s", quote(group), s.region)
	}
	return nil
}

func publicAddress(text, field string) (netip.Addr, error) {
	a, err := ipam.ParseAddr(text)
	if err != nil {
		return a, api.Errorf("InvalidAddress.Malformed", field, "address %v", err)
	}
	return a, nil
}

func (c *change) putElastic(e *record.Elastic) {
	c.tx.Put(record.Elastics+e.Address.AllocationId, e)
}

// releaseElastic gives an address back to the pool, where it rests. An
// associated one is refused with InvalidIPAddress.InUse: DisassociateAddress
// comes first. AuthFailure answers whoever released it last, while another account
// has it.
func (s *Service) releaseElastic(ctx context.Context, caller Caller, req *api.ReleaseAddressRequest) (*api.ReleaseAddressResult, int64, error) {
	if err := s.checkBorderGroup(req.NetworkBorderGroup); err != nil {
		return nil, 0, err
	}
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		e, err := c.allocation(req.AllocationId, req.PublicIp, "releasing")
		if err != nil {
			return c.lostAddress(req, err)
		}
		a := e.Address
		if a.AssociationId != "" {
			return &api.Error{
				Code: "InvalidIPAddress.InUse", Field: "AllocationId",
				Message:   fmt.Sprintf("address %s is in use: it is associated with %s", a.PublicIp, a.NetworkInterfaceId),
				BlockedBy: []api.Blocker{{Kind: "eni", Id: a.NetworkInterfaceId, Detail: "at " + a.PrivateIpAddress}},
				Hint:      "vpc eip disassociate " + a.AllocationId,
			}
		}
		c.releaseAllocation(e)
		// No kernel knows allocations: they have no index of their own.
		c.drop(record.Elastics, a.AllocationId, 0)
		return nil
	})
	return &api.ReleaseAddressResult{}, revision, err
}

// lostAddress answers a release that found nothing, for which the error is
// notFound. Whoever released the address last learns that it is another's by now,
// as in EC2. To everybody else what others have is not there.
func (c *change) lostAddress(req *api.ReleaseAddressRequest, notFound error) error {
	r := c.tx.Peek()
	for key, claim := range store.List[*record.Public](r, record.Publics) {
		a, err := record.ParseAddressKey(key)
		if err != nil || claim.Before.Account != c.caller.Account || claim.Before.AllocationId != req.AllocationId && a.String() != req.PublicIp {
			continue
		}
		if e, ok := store.Get[*record.Elastic](r, record.Elastics+claim.Holder); ok && e.OwnerId != c.caller.Account {
			return api.Errorf("AuthFailure", "", "you have released the address %s, and it belongs to another account now", a)
		}
	}
	return notFound
}

// allocation finds the caller's address that a request means. EC2 still has the
// parameter PublicIp, from a network without VPCs, and answers that an address
// of a VPC is named by its id; doing is the word for what it was named for.
func (c *change) allocation(id, publicIP, doing string) (*record.Elastic, error) {
	switch {
	case id != "" && publicIP != "":
		return nil, api.Errorf("InvalidParameterCombination", "PublicIp", "you may specify public IP or allocation id, but not both in the same call")
	case id != "":
		return getElastic(c.tx, c.caller, id)
	case publicIP == "":
		return nil, api.Errorf("MissingParameter", "AllocationId", "the request must contain the parameter AllocationId")
	}
	e, err := elasticAt(c.tx, c.caller, publicIP, "PublicIp")
	if err != nil {
		return nil, err
	}
	return nil, api.Errorf("InvalidParameterValue", "PublicIp", "you must specify an allocation id when %s a VPC elastic IP address: it is %s", doing, e.Address.AllocationId)
}

// elasticAt is the caller's elastic address of this value. One of another
// account is not found, nor is one that a workload has by itself.
func elasticAt(r store.Reader, caller Caller, text, field string) (*record.Elastic, error) {
	a, err := publicAddress(text, field)
	if err != nil {
		return nil, err
	}
	claim, ok := store.Get[*record.Public](r, record.PublicKey(a))
	if ok && claim.Holder != "" {
		e, ok := store.Get[*record.Elastic](r, record.Elastics+claim.Holder)
		if ok && e.OwnerId == caller.Account {
			return e, nil
		}
	}
	return nil, api.Errorf("InvalidAddress.NotFound", field, "address '%s' not found: DescribeAddresses lists those that there are", a)
}
