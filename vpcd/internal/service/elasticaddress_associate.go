package service

import (
	"context"
	"fmt"
	"slices"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

const elasticAssociationPrefix = "eipassoc-"

// associateAddress pairs an elastic address with a private one. One that is
// associated elsewhere moves, unless AllowReassociation is false
// (Resource.AlreadyAssociated); what the private address had before makes room.
// Doing it again changes nothing and answers the same id. Codes beside those of
// the ids: Gateway.NotAttached while the VPC has no internet gateway,
// InvalidInstanceID for an instance of several interfaces, InvalidParameterValue
// for a private address that is not the interface's.
func (s *Service) associateAddress(ctx context.Context, caller Caller, req *api.AssociateAddressRequest) (*api.AssociateAddressResult, int64, error) {
	if req.InstanceId != "" && req.NetworkInterfaceId != "" {
		return nil, 0, api.Errorf("InvalidParameterCombination", "NetworkInterfaceId", "InstanceId cannot be combined with NetworkInterfaceId: use one of them")
	}
	var id string
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		e, err := c.allocation(req.AllocationId, req.PublicIp, "mapping")
		if err != nil {
			return err
		}
		if nat := managedBy(c.tx, &e.Address); nat != "" {
			return alreadyOfNat(&e.Address, nat)
		}
		eni, err := c.interfaceToMap(req)
		if err != nil {
			return err
		}
		private, err := privateToMap(eni, req.PrivateIpAddress)
		if err != nil {
			return err
		}
		id, err = c.associate(e, eni, private, req.AllowReassociation)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.AssociateAddressResult{AssociationId: id}, revision, nil
}

// interfaceToMap is the interface that a request names, or that of its instance.
func (c *change) interfaceToMap(req *api.AssociateAddressRequest) (*record.NetworkInterface, error) {
	switch {
	case req.NetworkInterfaceId != "":
		return ownInterface(c.tx, c.caller, req.NetworkInterfaceId)
	case req.InstanceId == "":
		return nil, api.Errorf("MissingParameter", "NetworkInterfaceId", "either instance ID or network interface id must be specified")
	}
	instance, err := getInstance(c.tx, c.caller, req.InstanceId)
	if err != nil {
		return nil, err
	}
	enis := interfacesOf(c.tx.Peek(), instance.InstanceId)
	if len(enis) != 1 {
		return nil, api.Errorf("InvalidInstanceID", "InstanceId", "there are %d interfaces attached to instance '%s': specify an interface ID for the operation instead", len(enis), instance.InstanceId)
	}
	// Read again, guarded: its addresses may be changing.
	return getInterface(c.tx, c.caller, enis[0].Interface.NetworkInterfaceId)
}

// privateToMap is the private address that a request names, or the primary one.
func privateToMap(eni *record.NetworkInterface, want string) (string, error) {
	const field = "PrivateIpAddress"
	if want == "" {
		return eni.Interface.PrivateIpAddress, nil
	}
	a, err := parseAddress(want, field)
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(eni.Interface.PrivateIpAddresses, func(p api.NetworkInterfacePrivateIpAddress) bool { return p.PrivateIpAddress == a.String() }) {
		return "", api.Errorf("InvalidParameterValue", field, "the address %s is not assigned to interface %s: DescribeNetworkInterfaces lists those that are", a, eni.Interface.NetworkInterfaceId)
	}
	return a.String(), nil
}

// associate returns the id of the association.
func (c *change) associate(e *record.Elastic, eni *record.NetworkInterface, private string, move *bool) (string, error) {
	id, a := eni.Interface.NetworkInterfaceId, e.Address
	if a.NetworkInterfaceId == id && a.PrivateIpAddress == private {
		return a.AssociationId, nil
	}
	// Of this and a detachment of the gateway, one sees the other.
	c.guard(eni.Interface.VpcId)
	if _, ok := gatewayOf(c.tx.Peek(), eni.Interface.VpcId); !ok {
		e := api.Errorf("Gateway.NotAttached", "NetworkInterfaceId", "network %s is not attached to any internet gateway", eni.Interface.VpcId)
		e.Hint = "vpc igw add NAME --vpc " + eni.Interface.VpcId
		return "", e
	}
	if a.AssociationId != "" {
		if move != nil && !*move {
			return "", &api.Error{
				Code: "Resource.AlreadyAssociated", Field: "AllowReassociation", BlockedBy: []api.Blocker{{Kind: "eni", Id: a.NetworkInterfaceId, Detail: "at " + a.PrivateIpAddress}},
				Message: fmt.Sprintf("resource %s is already associated with associate-id %s", a.AllocationId, a.AssociationId),
				Hint:    "vpc eip disassociate " + a.AllocationId,
			}
		}
		if err := c.unmapElastic(e); err != nil {
			return "", err
		}
	}
	// Both may just have been written.
	eni, err := getInterface(c.tx, c.caller, id)
	if err != nil {
		return "", err
	}
	if before := associationAt(eni, private); before != nil {
		c.letGo(before)
	}
	next := *e
	if a.AssociationId != "" {
		next.Former = a.AssociationId
	}
	next.Address.AssociationId = c.newID(elasticAssociationPrefix)
	next.Address.NetworkInterfaceId, next.Address.PrivateIpAddress = id, private
	c.putElastic(&next)
	c.putInterface(withAssociation(eni, private, &api.NetworkInterfaceAssociation{
		AllocationId: a.AllocationId, AssociationId: next.Address.AssociationId, IpOwnerId: e.OwnerId, PublicIp: a.PublicIp,
	}))
	return next.Address.AssociationId, nil
}

// unmapElastic ends the association of an address at both its ends, and gives
// the workload there its automatic one back.
func (c *change) unmapElastic(e *record.Elastic) error {
	eni, err := getInterface(c.tx, c.caller, e.Address.NetworkInterfaceId)
	if err != nil {
		return err
	}
	c.putElastic(freed(e))
	eni = withAssociation(eni, e.Address.PrivateIpAddress, nil)
	if again := c.automaticAgain(eni); again != nil {
		eni = again
	}
	c.putInterface(eni)
	return nil
}

// freed is a copy of an address that is associated with nothing.
func freed(e *record.Elastic) *record.Elastic {
	next := *e
	next.Former = e.Address.AssociationId
	next.Address.AssociationId, next.Address.NetworkInterfaceId, next.Address.PrivateIpAddress = "", "", ""
	return &next
}

// disassociateAddress ends an association; the address stays the account's. As in
// EC2 it succeeds again for one that has ended, as far as that is remembered: the
// last one of each address. InvalidAssociationID.NotFound for any other.
func (s *Service) disassociateAddress(ctx context.Context, caller Caller, req *api.DisassociateAddressRequest) (*api.DisassociateAddressResult, int64, error) {
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		e, err := c.associated(req)
		if err != nil || e == nil {
			return err
		}
		if nat := managedBy(c.tx, &e.Address); nat != "" {
			return notOfNat(&e.Address, nat)
		}
		return c.unmapElastic(e)
	})
	return &api.DisassociateAddressResult{}, revision, err
}

// associated finds the address whose association a request names, nil where that
// has ended already.
func (c *change) associated(req *api.DisassociateAddressRequest) (*record.Elastic, error) {
	const field = "AssociationId"
	id := req.AssociationId
	switch {
	case id == "" && req.PublicIp == "":
		return nil, api.Errorf("MissingParameter", field, "the request must contain the parameter AssociationId")
	case id == "":
		if _, err := elasticAt(c.tx, c.caller, req.PublicIp, "PublicIp"); err != nil {
			return nil, err
		}
		return nil, api.Errorf("InvalidParameterValue", "PublicIp", "you must specify an association id when unmapping an address from a VPC instance")
	case req.PublicIp != "":
		return nil, api.Errorf("InvalidParameterCombination", "PublicIp", "you may specify public IP or association id, but not both in the same call")
	case !wellFormed(id, elasticAssociationPrefix):
		return nil, api.Errorf("InvalidAssociationID.Malformed", field, "invalid id %s: the id of an association is %s and 17 digits or letters a-f", quote(id), elasticAssociationPrefix)
	}
	ended := false
	for _, seen := range elasticKind.list(c.tx.Peek(), c.caller) {
		if seen.Address.AssociationId != id {
			ended = ended || seen.Former == id
			continue
		}
		if e, ok := store.Get[*record.Elastic](c.tx, record.Elastics+seen.Address.AllocationId); ok {
			return e, nil
		}
	}
	if ended {
		return nil, nil
	}
	return nil, api.Errorf("InvalidAssociationID.NotFound", field, "the association ID '%s' does not exist: DescribeAddresses shows those that do", id)
}

// notOfNat answers as EC2 does to whoever takes an address off a gateway.
func notOfNat(a *api.Address, nat string) error {
	return &api.Error{
		Code: "AuthFailure", Field: "AssociationId", BlockedBy: []api.Blocker{{Kind: "nat", Id: nat, Detail: "has " + a.PublicIp}},
		Message: fmt.Sprintf("you do not have permission to access the specified resource: %s belongs to the NAT gateway %s", a.PublicIp, nat),
		Hint:    "vpc nat disassociate " + nat + " " + a.PublicIp + " for a secondary address; the primary one stays as long as the gateway",
	}
}

// alreadyOfNat: an address does not move away from a gateway.
func alreadyOfNat(a *api.Address, nat string) error {
	return &api.Error{
		Code: "Resource.AlreadyAssociated", Field: "AllocationId", BlockedBy: []api.Blocker{{Kind: "nat", Id: nat, Detail: "has " + a.PublicIp}},
		Message: fmt.Sprintf("resource %s is already associated with associate-id %s of the NAT gateway %s", a.AllocationId, a.AssociationId, nat),
		Hint:    "allocate another address: vpc eip allocate",
	}
}
