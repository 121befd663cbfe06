package service

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// An association without an allocation is an automatic address: it comes with
// the attachment of a workload and goes with it. The name in an association is
// computed where it is shown, as a VPC turns names on and off.

// associationAt is that of one private address, nil without one.
func associationAt(eni *record.NetworkInterface, private string) *api.NetworkInterfaceAssociation {
	for _, p := range eni.Interface.PrivateIpAddresses {
		if p.PrivateIpAddress == private {
			return p.Association
		}
	}
	return nil
}

// associationsOf are those of all addresses of an interface.
func associationsOf(eni *record.NetworkInterface) []*api.NetworkInterfaceAssociation {
	var out []*api.NetworkInterfaceAssociation
	for _, p := range eni.Interface.PrivateIpAddresses {
		if p.Association != nil {
			out = append(out, p.Association)
		}
	}
	return out
}

// withAssociation is a copy of eni in which a private address has this
// association, nil for none.
func withAssociation(eni *record.NetworkInterface, private string, a *api.NetworkInterfaceAssociation) *record.NetworkInterface {
	next := *eni
	next.Interface.PrivateIpAddresses = slices.Clone(eni.Interface.PrivateIpAddresses)
	for i := range next.Interface.PrivateIpAddresses {
		if p := &next.Interface.PrivateIpAddresses[i]; p.PrivateIpAddress == private {
			p.Association = a
		}
	}
	return &next
}

// letGo ends an association at its far end: an automatic address is given back,
// an elastic one stays its account's. The interface is the caller's matter.
func (c *change) letGo(a *api.NetworkInterfaceAssociation) {
	if a.AllocationId == "" {
		c.releasePublic(a.PublicIp)
		return
	}
	if e, ok := store.Get[*record.Elastic](c.tx, record.Elastics+a.AllocationId); ok {
		c.putElastic(freed(e))
	}
}

// carried tells an elastic address that its private one has another interface.
func (c *change) carried(a *api.NetworkInterfaceAssociation, eni string) {
	if e, ok := store.Get[*record.Elastic](c.tx, record.Elastics+a.AllocationId); ok {
		next := *e
		next.Address.NetworkInterfaceId = eni
		c.putElastic(&next)
	}
}

// wantsPublic says whether a workload that gets its interface now gets a public
// address with it: as asked, or as the subnet says. EC2 has that for the first
// interface only, and for one that is made for the occasion.
func (c *change) wantsPublic(req *attachRequest, index int32) (bool, error) {
	const field = "AssociatePublicIpAddress"
	asked := req.AssociatePublicIpAddress
	switch {
	case req.spec == nil:
		return false, nil
	case index > 0 && api.Val(asked):
		e := api.Errorf("InvalidParameterCombination", field, "%s is for the first interface of a workload, and this is its interface %d", field, index)
		e.Hint = "allocate an elastic address and associate it: vpc eip associate"
		return false, e
	case index > 0:
		return false, nil
	case asked != nil:
		return *asked, nil
	}
	subnet, err := getSubnet(c.tx, c.caller, req.SubnetId)
	if err != nil {
		return false, err
	}
	return api.Val(subnet.Subnet.MapPublicIpOnLaunch), nil
}

// automatic is a copy of eni with a public address of its own.
func (c *change) automatic(eni *record.NetworkInterface) (*record.NetworkInterface, error) {
	// Of this and a detachment of the gateway, one sees the other.
	c.guard(eni.Interface.VpcId)
	a, err := c.claimPublic(netip.Addr{}, eni.Interface.NetworkInterfaceId)
	if err != nil {
		return nil, err
	}
	return withAssociation(eni, eni.Interface.PrivateIpAddress, &api.NetworkInterfaceAssociation{IpOwnerId: ownerOfProvider, PublicIp: a.String()}), nil
}

// automaticAgain is automatic where an elastic address has gone from a workload
// that had an automatic one, and nil where it does not get one: EC2 gives it to
// a workload with one interface. A pool without a free address is no error: what
// was asked for is the end of the association.
func (c *change) automaticAgain(eni *record.NetworkInterface) *record.NetworkInterface {
	if eni.Attached == nil || !eni.Attached.Public || associationAt(eni, eni.Interface.PrivateIpAddress) != nil {
		return nil
	}
	if len(interfacesOf(c.tx.Peek(), api.Val(eni.Interface.Attachment).InstanceId)) > 1 {
		return nil
	}
	next, err := c.automatic(eni)
	if err != nil {
		return nil
	}
	return next
}

// withoutAutomatic is a copy of eni that has given its automatic address back.
func (c *change) withoutAutomatic(eni *record.NetworkInterface) *record.NetworkInterface {
	primary := eni.Interface.PrivateIpAddress
	a := associationAt(eni, primary)
	if a == nil || a.AllocationId != "" {
		next := *eni
		return &next
	}
	c.letGo(a)
	return withAssociation(eni, primary, nil)
}

// shownAssociations fills in what is not stored: the names, and the association
// of the primary address as that of the interface. out is a copy of the record's
// shape.
func (v view) shownAssociations(out *api.NetworkInterface) {
	if !slices.ContainsFunc(out.PrivateIpAddresses, func(p api.NetworkInterfacePrivateIpAddress) bool { return p.Association != nil }) {
		return
	}
	out.PrivateIpAddresses = slices.Clone(out.PrivateIpAddresses)
	vpc, ok := store.Get[*record.Vpc](v.r, record.Vpcs+out.VpcId)
	for i := range out.PrivateIpAddresses {
		p := &out.PrivateIpAddresses[i]
		if p.Association == nil {
			continue
		}
		shown := *p.Association
		if ok && vpc.EnableDnsHostnames {
			shown.PublicDnsName = v.publicDNSName(shown.PublicIp)
		}
		p.Association = &shown
		if p.PrivateIpAddress == out.PrivateIpAddress {
			out.Association = &shown
		}
	}
}

// publicDNSName is EC2's name for a public address:
// ec2-198-18-0-5.local-1.compute.amazonaws.com.
func (s *Service) publicDNSName(address string) string {
	return "ec2-" + strings.ReplaceAll(address, ".", "-") + "." + s.region + ".compute.amazonaws.com"
}

// addAssociationFilters are EC2's two families: of any address of the interface.
func addAssociationFilters(fields map[string]func(*record.NetworkInterface) []string, v view) {
	for name, of := range map[string]func(api.NetworkInterfaceAssociation) string{
		"association.allocation-id":           func(a api.NetworkInterfaceAssociation) string { return a.AllocationId },
		"association.association-id":          func(a api.NetworkInterfaceAssociation) string { return a.AssociationId },
		"association.ip-owner-id":             func(a api.NetworkInterfaceAssociation) string { return a.IpOwnerId },
		"association.public-ip":               func(a api.NetworkInterfaceAssociation) string { return a.PublicIp },
		"association.public-dns-name":         func(a api.NetworkInterfaceAssociation) string { return a.PublicDnsName },
		"addresses.association.owner-id":      func(a api.NetworkInterfaceAssociation) string { return a.IpOwnerId },
		"addresses.association.public-ip":     func(a api.NetworkInterfaceAssociation) string { return a.PublicIp },
		"addresses.association.allocation-id": func(a api.NetworkInterfaceAssociation) string { return a.AllocationId },
	} {
		fields[name] = func(eni *record.NetworkInterface) []string {
			shown := eni.Interface
			v.shownAssociations(&shown)
			var out []string
			for _, p := range shown.PrivateIpAddresses {
				out = append(out, given(of(api.Val(p.Association)))...)
			}
			return out
		}
	}
}
