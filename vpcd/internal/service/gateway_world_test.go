package service

import (
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// gateway makes an internet gateway and, with a VPC, attaches it.
func (b *bench) gateway(vpcID string) string {
	b.t.Helper()
	return do[api.CreateInternetGatewayResult](b, &api.CreateInternetGatewayRequest{VpcId: vpcID}).InternetGateway.InternetGatewayId
}

func (b *bench) allocate() *api.AllocateAddressResult {
	b.t.Helper()
	return do[api.AllocateAddressResult](b, &api.AllocateAddressRequest{})
}

func (b *bench) mapTo(allocation, eni, private string) string {
	b.t.Helper()
	return do[api.AssociateAddressResult](b, &api.AssociateAddressRequest{AllocationId: allocation, NetworkInterfaceId: eni, PrivateIpAddress: private}).AssociationId
}

// address is an elastic address as EC2 shows it.
func (b *bench) address(allocation string) api.Address {
	b.t.Helper()
	return do[api.DescribeAddressesResult](b, &api.DescribeAddressesRequest{AllocationIds: []string{allocation}}).Addresses[0]
}

// publicOf is the public address of an interface, "" without one.
func (b *bench) publicOf(eni string) string {
	b.t.Helper()
	shown := b.shown(eni)
	return api.Val(shown.Association).PublicIp
}

// checkMapped holds both ends of every association against each other and
// against the claims, and counts the gateways of each VPC.
func checkMapped(t testingT, r store.Reader) {
	t.Helper()
	mapped := map[string]api.Address{}
	holders := map[string]string{}
	for _, eni := range store.List[*record.NetworkInterface](r, record.Interfaces) {
		for _, p := range eni.Interface.PrivateIpAddresses {
			a := p.Association
			switch {
			case a == nil:
			case a.AllocationId == "":
				holders[a.PublicIp] = eni.Interface.NetworkInterfaceId
			default:
				mapped[a.AllocationId] = api.Address{PublicIp: a.PublicIp, AssociationId: a.AssociationId, NetworkInterfaceId: eni.Interface.NetworkInterfaceId, PrivateIpAddress: p.PrivateIpAddress}
			}
		}
	}
	for _, e := range store.List[*record.Elastic](r, record.Elastics) {
		a := e.Address
		holders[a.PublicIp] = a.AllocationId
		want, have := mapped[a.AllocationId], api.Address{PublicIp: a.PublicIp, AssociationId: a.AssociationId, NetworkInterfaceId: a.NetworkInterfaceId, PrivateIpAddress: a.PrivateIpAddress}
		if a.AssociationId == "" {
			want.PublicIp = a.PublicIp
		}
		if have.AssociationId != want.AssociationId || have.NetworkInterfaceId != want.NetworkInterfaceId || have.PrivateIpAddress != want.PrivateIpAddress || have.PublicIp != want.PublicIp {
			t.Errorf("%s says %+v, the interface %+v", a.AllocationId, have, want)
		}
		delete(mapped, a.AllocationId)
	}
	if len(mapped) > 0 {
		t.Errorf("interfaces have addresses that do not exist: %v", mapped)
	}
	for key, claim := range store.List[*record.Public](r, record.Publics) {
		a, err := record.ParseAddressKey(key)
		if err != nil || holders[a.String()] != claim.Holder || (claim.Holder == "") != (claim.Released > 0) {
			t.Errorf("the claim of %s is %+v, its holder %s, %v", a, claim, holders[a.String()], err)
		}
		delete(holders, a.String())
	}
	if len(holders) > 0 {
		t.Errorf("addresses are held without a claim: %v", holders)
	}
	gateways := map[string]string{}
	for _, g := range store.List[*record.Gateway](r, record.Gateways) {
		for _, a := range g.Gateway.Attachments {
			if other, two := gateways[a.VpcId]; two {
				t.Errorf("%s has the gateways %s and %s", a.VpcId, other, g.Gateway.InternetGatewayId)
			}
			gateways[a.VpcId] = g.Gateway.InternetGatewayId
		}
	}
}
