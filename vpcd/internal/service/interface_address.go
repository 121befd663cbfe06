package service

import (
	"context"
	"net/netip"
	"slices"

	"github.com/vpcfabric/vpc/ipam"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// addressPlan is which addresses a new interface asks for. The zero Addr
// stands for any.
type addressPlan struct {
	primary   plannedAddress
	secondary []plannedAddress
}

// plannedAddress remembers where in the request it came from.
type plannedAddress struct {
	addr  netip.Addr
	field string
}

// planAddresses reads EC2's three ways to ask for addresses: the primary one
// alone, a list with one primary, and a number of secondary ones.
func planAddresses(primary string, list []api.PrivateIpAddressSpecification, more *int32) (addressPlan, error) {
	var plan addressPlan
	const single, count = "PrivateIpAddress", "SecondaryPrivateIpAddressCount"
	if primary != "" {
		a, err := parseAddress(primary, single)
		if err != nil {
			return plan, err
		}
		plan.primary = plannedAddress{a, single}
	}
	for i, spec := range list {
		at := place("").item("PrivateIpAddresses", i)
		a, err := parseAddress(spec.PrivateIpAddress, at.field(single))
		if err != nil {
			return plan, err
		}
		planned := plannedAddress{a, at.field(single)}
		switch {
		case !api.Val(spec.Primary):
			plan.secondary = append(plan.secondary, planned)
		case plan.primary.addr.IsValid():
			return plan, api.Errorf("InvalidParameterCombination", at.field("Primary"), "an interface has one primary address: mark one in PrivateIpAddresses, or set PrivateIpAddress")
		default:
			plan.primary = planned
		}
	}
	if len(list) > 0 && !plan.primary.addr.IsValid() {
		return plan, api.Errorf("InvalidParameterCombination", "PrivateIpAddresses", "no address is primary: set Primary on one, or set PrivateIpAddress")
	}
	if n := api.Val(more); n != 0 {
		if len(plan.secondary) > 0 {
			return plan, api.Errorf("InvalidParameterCombination", count, "secondary addresses are given both as a list and as a number: use one of them")
		}
		anonymous, err := anyAddresses(n, count)
		if err != nil {
			return plan, err
		}
		plan.secondary = anonymous
	}
	return plan, noAddressTwice(append([]plannedAddress{plan.primary}, plan.secondary...))
}

// maxAddressCount bounds what one call asks for before any quota is read.
const maxAddressCount = 1 << 16

// anyAddresses are n addresses of no matter what value.
func anyAddresses(n int32, field string) ([]plannedAddress, error) {
	if n < 1 || n > maxAddressCount {
		return nil, api.Errorf("InvalidParameterValue", field, "value (%d) for parameter %s is invalid: use a number from 1 to the quota ips-per-eni", n, field)
	}
	return make([]plannedAddress, n), nil
}

func parseAddress(s, field string) (netip.Addr, error) {
	a, err := ipam.ParseAddr(s)
	if err != nil {
		return a, api.Errorf("InvalidParameterValue", field, "address %v", err)
	}
	return a, nil
}

func noAddressTwice(planned []plannedAddress) error {
	seen := map[netip.Addr]bool{}
	for _, p := range planned {
		if p.addr.IsValid() && seen[p.addr] {
			return api.Errorf("InvalidParameterValue", p.field, "the address %s is given twice: give it once", p.addr)
		}
		seen[p.addr] = true
	}
	return nil
}

// claimPlan claims all addresses of a new interface. The named ones go first,
// so that an anonymous one is never given what another part of the same
// request names.
func (c *change) claimPlan(subnet *record.Subnet, eni *record.NetworkInterface, plan addressPlan) error {
	all := append([]plannedAddress{plan.primary}, plan.secondary...)
	got, err := c.claimAll(subnet, eni.Interface.NetworkInterfaceId, 0, all)
	if err != nil {
		return err
	}
	for i, a := range got {
		eni.Interface.PrivateIpAddresses = append(eni.Interface.PrivateIpAddresses, c.addressEntry(a, i == 0))
	}
	eni.Interface.PrivateIpAddress = got[0].String()
	eni.Interface.PrivateDnsName = c.privateDNSName(got[0])
	return nil
}

// addressEntry is an address as the interface lists it.
func (s *Service) addressEntry(a netip.Addr, primary bool) api.NetworkInterfacePrivateIpAddress {
	return api.NetworkInterfacePrivateIpAddress{
		PrivateIpAddress: a.String(), Primary: api.Ptr(primary), PrivateDnsName: s.privateDNSName(a),
	}
}

// claimAll claims what is planned for an interface that already has some
// addresses, and returns them in the order of the plan.
func (c *change) claimAll(subnet *record.Subnet, eni string, has int, planned []plannedAddress) ([]netip.Addr, error) {
	if err := c.checkLimit(limitAddresses, has+len(planned)); err != nil {
		return nil, err
	}
	got := make([]netip.Addr, len(planned))
	for _, named := range []bool{true, false} {
		for i, p := range planned {
			if p.addr.IsValid() != named {
				continue
			}
			a, err := c.claimAddress(subnet, p.addr, eni)
			if err != nil {
				return nil, atField(err, p.field)
			}
			got[i] = a
		}
	}
	return got, nil
}

// atField says where in this request an address came from.
func atField(err error, field string) error {
	known, ok := err.(*api.Error)
	if !ok || field == "" || known.Field != "PrivateIpAddress" {
		return err
	}
	moved := *known
	moved.Field = field
	return &moved
}

// assignPrivateIpAddresses adds secondary addresses, named or counted.
func (s *Service) assignPrivateIpAddresses(ctx context.Context, who Caller, in *api.AssignPrivateIpAddressesRequest) (*api.AssignPrivateIpAddressesResult, int64, error) {
	planned, err := plannedSecondary(in)
	if err != nil {
		return nil, 0, err
	}
	var res *api.AssignPrivateIpAddressesResult
	revision, err := s.mutate(ctx, who, nil, func(c *change) error {
		eni, err := ownInterface(c.tx, who, in.NetworkInterfaceId)
		if err != nil {
			return err
		}
		subnet, err := getSubnet(c.tx, who, eni.Interface.SubnetId)
		if err != nil {
			return err
		}
		// First all are freed, then all are claimed: the claim is what checks
		// that an address is in the subnet and not reserved.
		moved := map[netip.Addr]*api.NetworkInterfaceAssociation{}
		if api.Val(in.AllowReassignment) {
			for _, p := range planned {
				if eni, moved[p.addr], err = c.takeOver(subnet, eni, p); err != nil {
					return err
				}
			}
		}
		got, err := c.claimAll(subnet, in.NetworkInterfaceId, len(eni.Interface.PrivateIpAddresses), planned)
		if err != nil {
			return err
		}
		next := *eni
		next.Interface.PrivateIpAddresses = slices.Clone(eni.Interface.PrivateIpAddresses)
		res = &api.AssignPrivateIpAddressesResult{NetworkInterfaceId: in.NetworkInterfaceId}
		for _, a := range got {
			next.Interface.PrivateIpAddresses = append(next.Interface.PrivateIpAddresses, c.movedEntry(a, moved[a], in.NetworkInterfaceId))
			res.AssignedPrivateIpAddresses = append(res.AssignedPrivateIpAddresses, api.AssignedPrivateIpAddress{PrivateIpAddress: a.String()})
		}
		c.putInterface(&next)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return res, revision, nil
}

// plannedSecondary reads the two ways to ask for more addresses.
func plannedSecondary(in *api.AssignPrivateIpAddressesRequest) ([]plannedAddress, error) {
	const list, count = "PrivateIpAddresses", "SecondaryPrivateIpAddressCount"
	if err := unsupported(param{"Ipv4Prefixes", len(in.Ipv4Prefixes) > 0}, param{"Ipv4PrefixCount", api.Val(in.Ipv4PrefixCount) != 0}); err != nil {
		return nil, err
	}
	switch {
	case len(in.PrivateIpAddresses) > 0 && in.SecondaryPrivateIpAddressCount != nil:
		return nil, api.Errorf("InvalidParameterCombination", count, "PrivateIpAddresses cannot be combined with SecondaryPrivateIpAddressCount: use one of them")
	case len(in.PrivateIpAddresses) > 0:
		planned, err := parseAddresses(in.PrivateIpAddresses, list)
		if err != nil {
			return nil, err
		}
		return planned, noAddressTwice(planned)
	case in.SecondaryPrivateIpAddressCount != nil:
		return anyAddresses(*in.SecondaryPrivateIpAddressCount, count)
	}
	return nil, api.Errorf("MissingParameter", list, "the request must contain the parameter PrivateIpAddresses or SecondaryPrivateIpAddressCount")
}

func parseAddresses(texts []string, list string) ([]plannedAddress, error) {
	out := make([]plannedAddress, len(texts))
	for i, text := range texts {
		at := string(place("").item(list, i))
		a, err := parseAddress(text, at)
		if err != nil {
			return nil, err
		}
		out[i] = plannedAddress{a, at}
	}
	return out, nil
}

// movedEntry is a secondary address with the elastic one that moves along.
func (c *change) movedEntry(a netip.Addr, with *api.NetworkInterfaceAssociation, eni string) api.NetworkInterfacePrivateIpAddress {
	entry := c.addressEntry(a, false)
	if with != nil {
		entry.Association = with
		c.carried(with, eni)
	}
	return entry
}

// takeOver frees a secondary address that another interface, or eni itself,
// holds, and returns eni as it is then and what the address was associated with.
// A primary address never moves.
func (c *change) takeOver(subnet *record.Subnet, eni *record.NetworkInterface, p plannedAddress) (*record.NetworkInterface, *api.NetworkInterfaceAssociation, error) {
	if !p.addr.IsValid() {
		return eni, nil, nil
	}
	held, ok := store.Get[*record.Address](c.tx, record.AddressKey(subnet.Subnet.SubnetId, p.addr))
	if !ok || held.Interface == "" {
		return eni, nil, nil
	}
	holder := eni
	if held.Interface != eni.Interface.NetworkInterfaceId {
		other, err := getInterface(c.tx, c.caller, held.Interface)
		if err != nil || other.Nat != "" {
			return nil, nil, api.Errorf("InvalidIPAddress.InUse", p.field, "the address %s is in use; choose another one", p.addr)
		}
		holder = other
	}
	if holder.Interface.PrivateIpAddress == p.addr.String() {
		return nil, nil, api.Errorf("InvalidIPAddress.InUse", p.field, "the address %s is the primary address of %s and cannot be reassigned; choose another one", p.addr, held.Interface)
	}
	next, with := withoutAddress(holder, p.addr), associationAt(holder, p.addr.String())
	c.releaseAddress(subnet.Subnet.SubnetId, p.addr)
	if holder == eni {
		return next, with, nil
	}
	c.putInterface(next)
	return eni, with, nil
}

// withoutAddress is a copy of eni that lacks a.
func withoutAddress(eni *record.NetworkInterface, a netip.Addr) *record.NetworkInterface {
	next := *eni
	next.Interface.PrivateIpAddresses = slices.DeleteFunc(slices.Clone(eni.Interface.PrivateIpAddresses),
		func(p api.NetworkInterfacePrivateIpAddress) bool { return p.PrivateIpAddress == a.String() })
	return &next
}

// withoutSecondary is a copy of eni that has given a back, and the elastic address
// that a had.
func (c *change) withoutSecondary(eni *record.NetworkInterface, a netip.Addr) *record.NetworkInterface {
	if with := associationAt(eni, a.String()); with != nil {
		c.letGo(with)
	}
	c.releaseAddress(eni.Interface.SubnetId, a)
	return withoutAddress(eni, a)
}

// unassignPrivateIpAddresses gives secondary addresses back, all or none.
func (s *Service) unassignPrivateIpAddresses(ctx context.Context, who Caller, in *api.UnassignPrivateIpAddressesRequest) (*api.UnassignPrivateIpAddressesResult, int64, error) {
	const list = "PrivateIpAddresses"
	if err := unsupported(param{"Ipv4Prefixes", len(in.Ipv4Prefixes) > 0}); err != nil {
		return nil, 0, err
	}
	if len(in.PrivateIpAddresses) == 0 {
		return nil, 0, api.Errorf("MissingParameter", list, "the request must contain the parameter PrivateIpAddresses")
	}
	planned, err := parseAddresses(in.PrivateIpAddresses, list)
	if err != nil {
		return nil, 0, err
	}
	if err := noAddressTwice(planned); err != nil {
		return nil, 0, err
	}
	revision, err := s.mutate(ctx, who, nil, func(c *change) error {
		eni, err := ownInterface(c.tx, who, in.NetworkInterfaceId)
		if err != nil {
			return err
		}
		for _, p := range planned {
			if err := removable(eni, p); err != nil {
				return err
			}
			eni = c.withoutSecondary(eni, p.addr)
		}
		c.putInterface(eni)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.UnassignPrivateIpAddressesResult{}, revision, nil
}

// removable tests that p is a secondary address of eni.
func removable(eni *record.NetworkInterface, p plannedAddress) error {
	text, id := p.addr.String(), eni.Interface.NetworkInterfaceId
	if text == eni.Interface.PrivateIpAddress {
		return api.Errorf("InvalidParameterValue", p.field, "the address %s is the primary address of %s and stays as long as the interface: name secondary addresses", text, id)
	}
	if !slices.ContainsFunc(eni.Interface.PrivateIpAddresses, func(a api.NetworkInterfacePrivateIpAddress) bool { return a.PrivateIpAddress == text }) {
		return api.Errorf("InvalidParameterValue", p.field, "the address %s is not assigned to interface %s: DescribeNetworkInterfaces lists those that are", text, id)
	}
	return nil
}
