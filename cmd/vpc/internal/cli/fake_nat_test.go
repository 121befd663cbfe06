package cli

import (
	"slices"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// nat does the actions on NAT gateways. A subnet whose VPC has no internet gateway
// makes a public one fail.
func (d *daemon) nat(req any) (any, *api.Error) {
	at := func(id string) *api.NatGateway {
		return &d.nats[slices.IndexFunc(d.nats, func(n api.NatGateway) bool { return n.NatGatewayId == id })]
	}
	switch r := req.(type) {
	case *api.CreateNatGatewayRequest:
		return d.createNat(r)
	case *api.DeleteNatGatewayRequest:
		n := at(r.NatGatewayId)
		n.State = "deleted"
		d.enis = slices.DeleteFunc(d.enis, func(e api.NetworkInterface) bool { return e.Description == n.NatGatewayId })
		return &api.DeleteNatGatewayResult{NatGatewayId: n.NatGatewayId}, nil
	case *api.AssociateNatGatewayAddressRequest:
		n := at(r.NatGatewayId)
		for _, id := range r.AllocationIds {
			n.NatGatewayAddresses = append(slices.Clone(n.NatGatewayAddresses), d.natAddress(id, "10.0.1.21"))
		}
		return &api.AssociateNatGatewayAddressResult{NatGatewayId: n.NatGatewayId, NatGatewayAddresses: n.NatGatewayAddresses[1:]}, nil
	case *api.DisassociateNatGatewayAddressRequest:
		n := at(r.NatGatewayId)
		n.NatGatewayAddresses = n.NatGatewayAddresses[:1]
		return &api.DisassociateNatGatewayAddressResult{NatGatewayId: n.NatGatewayId}, nil
	case *api.DescribeNatGatewaysRequest:
		if d.natPending--; d.natPending < 0 {
			for i := range d.nats {
				if d.nats[i].State == "pending" {
					d.nats[i].State = "available"
				}
			}
		}
		list, e := pick(d.nats, r.NatGatewayIds, r.Filter, "NatGatewayNotFound", func(v *api.NatGateway) (string, map[string]string) {
			return v.NatGatewayId, map[string]string{"nat-gateway-id": v.NatGatewayId, "vpc-id": v.VpcId, "tag:Name": nameOf(v.Tags)}
		})
		return &api.DescribeNatGatewaysResult{NatGateways: list}, e
	}
	return nil, nil
}

func (d *daemon) createNat(r *api.CreateNatGatewayRequest) (any, *api.Error) {
	subnet := d.subnets[slices.IndexFunc(d.subnets, func(s api.Subnet) bool { return s.SubnetId == r.SubnetId })]
	n := api.NatGateway{NatGatewayId: d.id("nat-"), SubnetId: r.SubnetId, VpcId: subnet.VpcId, State: "pending", ConnectivityType: firstOf(r.ConnectivityType, "public"), Tags: tagsOf(r.TagSpecifications)}
	if api.Val(r.AllocateAddress) {
		a := api.Address{AllocationId: d.id("eipalloc-"), PublicIp: "198.18.0.9"}
		d.elastics = append(d.elastics, a)
		r.AllocationId = a.AllocationId
	}
	if n.ConnectivityType == "public" && !slices.ContainsFunc(d.gateways, func(g api.InternetGateway) bool { return attachedTo(&g) == n.VpcId }) {
		n.State, n.FailureCode, n.FailureMessage = "failed", "Gateway.NotAttached", "Network "+n.VpcId+" has no Internet gateway attached"
	} else {
		n.NatGatewayAddresses = []api.NatGatewayAddress{d.natAddress(r.AllocationId, firstOf(r.PrivateIpAddress, "10.0.1.20"))}
		n.NatGatewayAddresses[0].IsPrimary = api.Ptr(true)
		eni := n.NatGatewayAddresses[0].NetworkInterfaceId
		d.enis = append(d.enis, api.NetworkInterface{NetworkInterfaceId: eni, Description: n.NatGatewayId, SubnetId: n.SubnetId, VpcId: n.VpcId, Status: "in-use",
			RequesterManaged: api.Ptr(true), PrivateIpAddress: "10.0.1.20", Attachment: &api.NetworkInterfaceAttachment{AttachmentId: "ela-attach-1"}})
	}
	d.nats = append(d.nats, n)
	return &api.CreateNatGatewayResult{NatGateway: &n}, nil
}

// natAddress is an address with the elastic one of that id, if there is one.
func (d *daemon) natAddress(allocation, private string) api.NatGatewayAddress {
	a := api.NatGatewayAddress{PrivateIp: private, NetworkInterfaceId: "eni-0000000000000ffff", Status: "succeeded", IsPrimary: api.Ptr(false), AllocationId: allocation}
	for _, e := range d.elastics {
		if e.AllocationId == allocation && allocation != "" {
			a.PublicIp, a.AssociationId = e.PublicIp, "eipassoc-"+e.PublicIp
		}
	}
	return a
}
