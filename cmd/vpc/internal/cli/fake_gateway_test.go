package cli

import (
	"slices"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// gateway does the actions on internet gateways and elastic addresses, and on what
// makes a subnet public.
func (d *daemon) gateway(req any) (any, *api.Error) {
	at := func(id string) *api.InternetGateway {
		return &d.gateways[slices.IndexFunc(d.gateways, func(g api.InternetGateway) bool { return g.InternetGatewayId == id })]
	}
	switch r := req.(type) {
	case *api.ModifySubnetAttributeRequest:
		for i := range d.subnets {
			if n := &d.subnets[i]; n.SubnetId == r.SubnetId {
				n.MapPublicIpOnLaunch = r.MapPublicIpOnLaunch.Value
			}
		}
	case *api.CreateInternetGatewayRequest:
		g := api.InternetGateway{InternetGatewayId: d.id("igw-"), OwnerId: "000000000001", Tags: tagsOf(r.TagSpecifications)}
		if r.VpcId != "" {
			g.Attachments = []api.InternetGatewayAttachment{{State: "available", VpcId: r.VpcId}}
		}
		d.gateways = append(d.gateways, g)
		return &api.CreateInternetGatewayResult{InternetGateway: &g}, nil
	case *api.AttachInternetGatewayRequest:
		at(r.InternetGatewayId).Attachments = []api.InternetGatewayAttachment{{State: "available", VpcId: r.VpcId}}
	case *api.DetachInternetGatewayRequest:
		at(r.InternetGatewayId).Attachments = nil
	case *api.DeleteInternetGatewayRequest:
		d.gateways = slices.DeleteFunc(d.gateways, func(g api.InternetGateway) bool { return g.InternetGatewayId == r.InternetGatewayId })
	case *api.DescribeInternetGatewaysRequest:
		list, e := pick(d.gateways, r.InternetGatewayIds, r.Filters, "InvalidInternetGatewayID.NotFound", func(v *api.InternetGateway) (string, map[string]string) {
			return v.InternetGatewayId, map[string]string{"internet-gateway-id": v.InternetGatewayId, "attachment.vpc-id": attachedTo(v), "tag:Name": nameOf(v.Tags)}
		})
		return &api.DescribeInternetGatewaysResult{InternetGateways: list}, e
	}
	return d.elastic(req)
}

func (d *daemon) elastic(req any) (any, *api.Error) {
	switch r := req.(type) {
	case *api.AllocateAddressRequest:
		a := api.Address{AllocationId: d.id("eipalloc-"), PublicIp: firstOf(r.Address, "198.18.0.2"), Domain: "vpc", Tags: tagsOf(r.TagSpecifications)}
		d.elastics = append(d.elastics, a)
		return &api.AllocateAddressResult{AllocationId: a.AllocationId, PublicIp: a.PublicIp, Domain: "vpc"}, nil
	case *api.AssociateAddressRequest:
		id := d.id("eipassoc-")
		for i := range d.elastics {
			if a := &d.elastics[i]; a.AllocationId == r.AllocationId {
				a.AssociationId, a.NetworkInterfaceId, a.PrivateIpAddress = id, r.NetworkInterfaceId, r.PrivateIpAddress
				d.mapped(a, &api.NetworkInterfaceAssociation{AllocationId: a.AllocationId, PublicIp: a.PublicIp, AssociationId: id})
			}
		}
		return &api.AssociateAddressResult{AssociationId: id}, nil
	case *api.DisassociateAddressRequest:
		for i := range d.elastics {
			if a := &d.elastics[i]; a.AssociationId == r.AssociationId {
				d.mapped(a, nil)
				a.AssociationId, a.NetworkInterfaceId, a.PrivateIpAddress = "", "", ""
			}
		}
	case *api.ReleaseAddressRequest:
		d.elastics = slices.DeleteFunc(d.elastics, func(a api.Address) bool { return a.AllocationId == r.AllocationId })
	case *api.DescribeAddressesRequest:
		list, e := pick(d.elastics, r.AllocationIds, r.Filters, "InvalidAllocationID.NotFound", func(v *api.Address) (string, map[string]string) {
			return v.AllocationId, map[string]string{"allocation-id": v.AllocationId, "public-ip": v.PublicIp, "tag:Name": nameOf(v.Tags)}
		})
		return &api.DescribeAddressesResult{Addresses: list}, e
	}
	return nil, nil
}

// mapped gives the interface of an address the association with it.
func (d *daemon) mapped(a *api.Address, with *api.NetworkInterfaceAssociation) {
	for i := range d.enis {
		if e := &d.enis[i]; e.NetworkInterfaceId == a.NetworkInterfaceId {
			a.PrivateIpAddress = firstOf(a.PrivateIpAddress, e.PrivateIpAddress)
			e.Association, e.PrivateIpAddresses[0].Association = with, with
		}
	}
}
