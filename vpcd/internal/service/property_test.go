package service

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// TestRandomSequencesKeepTheInvariants makes random calls with random, often
// wrong, arguments: the invariants hold after each, a refused call changes
// nothing, and everything can be deleted at the end.
func TestRandomSequencesKeepTheInvariants(t *testing.T) {
	b := newBench(t)
	rapid.Check(t, func(r *rapid.T) {
		steps := rapid.IntRange(1, 15).Draw(r, "steps")
		for range steps {
			before := fmt.Sprint(b.dump())
			req := drawRequest(r, b.store.Snapshot())
			_, _, err := b.call(alice, actionOf(req), req)
			var e *api.Error
			switch {
			case err != nil && !errors.As(err, &e):
				r.Errorf("%s: %T %v", actionOf(req), err, err)
			case err != nil && (e.Code == "InternalError" || e.Code == "Unavailable" || e.Code == "ResourceLimitExceeded"):
				r.Errorf("%s %+v: %v", actionOf(req), req, err)
			case err != nil && fmt.Sprint(b.dump()) != before:
				r.Errorf("%s answered %v and changed the store", actionOf(req), err)
			}
			checkInvariants(r, b.store.Snapshot())
		}
		deleteEverything(r, b)
	})
}

// drawRequest picks an action and arguments near what exists.
func drawRequest(r *rapid.T, sn *store.Snapshot) any {
	vpcs := append(collect(vpcKind.list(sn, alice), vpcKind.idOf), "vpc-fffffffffffffffff")
	subnets := append(collect(subnetKind.list(sn, alice), subnetKind.idOf), "subnet-fffffffffffffffff")
	enis := append(collect(interfaceKind.list(sn, alice), interfaceKind.idOf), "eni-fffffffffffffffff")
	vpc := rapid.SampledFrom(vpcs).Draw(r, "vpc")
	subnet := rapid.SampledFrom(subnets).Draw(r, "subnet")
	eni := rapid.SampledFrom(enis).Draw(r, "eni")
	acl := rapid.SampledFrom(append(collect(aclKind.list(sn, alice), aclKind.idOf), "acl-fffffffffffffffff")).Draw(r, "acl")
	table := rapid.SampledFrom(append(collect(tableKind.list(sn, alice), tableKind.idOf), "rtb-fffffffffffffffff")).Draw(r, "table")
	second := rapid.IntRange(0, 2).Draw(r, "second")
	cidr := fmt.Sprintf("10.%d.%d.0/%d", second, rapid.IntRange(0, 3).Draw(r, "third"), rapid.IntRange(15, 29).Draw(r, "bits"))
	switch rapid.IntRange(0, 22).Draw(r, "action") {
	case 0:
		return &api.CreateVpcRequest{CidrBlock: fmt.Sprintf("10.%d.0.0/16", second)}
	case 1:
		return &api.DeleteVpcRequest{VpcId: vpc}
	case 2, 3:
		return &api.CreateSubnetRequest{VpcId: vpc, CidrBlock: cidr}
	case 4:
		return &api.DeleteSubnetRequest{SubnetId: subnet}
	case 5, 6:
		req := &api.CreateNetworkInterfaceRequest{SubnetId: subnet}
		if rapid.Bool().Draw(r, "explicit") {
			req.PrivateIpAddress = fmt.Sprintf("10.%d.0.%d", second, rapid.IntRange(0, 16).Draw(r, "host"))
		}
		return req
	case 7:
		return &api.DeleteNetworkInterfaceRequest{NetworkInterfaceId: eni}
	case 8:
		return &api.CreateNetworkAclRequest{VpcId: vpc}
	case 9:
		return &api.DeleteNetworkAclRequest{NetworkAclId: acl}
	case 10, 11:
		return &api.ReplaceNetworkAclAssociationRequest{AssociationId: aclAssociationOf(sn, subnet), NetworkAclId: acl}
	case 12:
		return &api.AssociateVpcCidrBlockRequest{VpcId: vpc, CidrBlock: fmt.Sprintf("10.%d.0.0/16", second)}
	case 13:
		return &api.CreateRouteTableRequest{VpcId: vpc}
	case 14:
		return &api.DeleteRouteTableRequest{RouteTableId: table}
	case 15:
		return &api.AssociateRouteTableRequest{RouteTableId: table, SubnetId: subnet}
	case 16:
		return &api.ReplaceRouteTableAssociationRequest{RouteTableId: table, AssociationId: someTableAssociation(r, sn)}
	case 17:
		return &api.CreateRouteRequest{RouteTableId: table, DestinationCidrBlock: cidr, GatewayId: someGateway(r, sn)}
	case 18, 19, 20, 21:
		return drawGateway(r, sn, vpc, eni)
	}
	association := "vpc-cidr-assoc-fffffffffffffffff"
	if v, ok := store.Get[*record.Vpc](sn, record.Vpcs+vpc); ok {
		set := v.Vpc.CidrBlockAssociationSet
		association = set[len(set)-1].AssociationId
	}
	return &api.DisassociateVpcCidrBlockRequest{AssociationId: association}
}

// drawGateway is about a way out of a VPC, or about an address of it.
func drawGateway(r *rapid.T, sn *store.Snapshot, vpc, eni string) any {
	gateway := someGateway(r, sn)
	elastics := append(elasticKind.list(sn, alice), &record.Elastic{Address: api.Address{AllocationId: "eipalloc-fffffffffffffffff", AssociationId: "eipassoc-fffffffffffffffff"}})
	address := rapid.SampledFrom(elastics).Draw(r, "elastic").Address
	switch rapid.IntRange(0, 7).Draw(r, "of gateways") {
	case 0, 1:
		return &api.CreateInternetGatewayRequest{VpcId: vpc}
	case 2:
		return &api.AttachInternetGatewayRequest{InternetGatewayId: gateway, VpcId: vpc}
	case 3:
		return &api.DetachInternetGatewayRequest{InternetGatewayId: gateway, VpcId: vpc}
	case 4:
		return &api.AllocateAddressRequest{}
	case 5:
		return &api.AssociateAddressRequest{AllocationId: address.AllocationId, NetworkInterfaceId: eni}
	case 6:
		return &api.DisassociateAddressRequest{AssociationId: address.AssociationId}
	}
	return &api.ReleaseAddressRequest{AllocationId: address.AllocationId}
}

// someGateway is one of those that there are, or none.
func someGateway(r *rapid.T, sn *store.Snapshot) string {
	ids := append(collect(gatewayKind.list(sn, alice), gatewayKind.idOf), "igw-fffffffffffffffff")
	return rapid.SampledFrom(ids).Draw(r, "gateway")
}

// aclAssociationOf is what binds a subnet to its ACL, or an id that does not exist.
func aclAssociationOf(sn *store.Snapshot, subnetID string) string {
	for _, acl := range store.List[*record.NetworkAcl](sn, record.Acls) {
		for _, a := range acl.Acl.Associations {
			if a.SubnetId == subnetID {
				return a.NetworkAclAssociationId
			}
		}
	}
	return "aclassoc-fffffffffffffffff"
}

// someTableAssociation is one of those that there are, or none.
func someTableAssociation(r *rapid.T, sn *store.Snapshot) string {
	ids := []string{"rtbassoc-fffffffffffffffff"}
	for _, table := range tableKind.list(sn, alice) {
		ids = append(ids, collect(table.Table.Associations, func(a api.RouteTableAssociation) string { return a.RouteTableAssociationId })...)
	}
	return rapid.SampledFrom(ids).Draw(r, "table association")
}

// deleteEverything asserts that what was made can be unmade, and that only
// what is meant to stay does.
func deleteEverything(r *rapid.T, b *bench) {
	must := func(req any) {
		if _, _, err := b.call(alice, actionOf(req), req); err != nil {
			r.Fatalf("%s: %v", actionOf(req), err)
		}
	}
	for _, e := range interfaceKind.list(b.store.Snapshot(), alice) {
		must(&api.DeleteNetworkInterfaceRequest{NetworkInterfaceId: e.Interface.NetworkInterfaceId})
	}
	for _, e := range elasticKind.list(b.store.Snapshot(), alice) {
		must(&api.ReleaseAddressRequest{AllocationId: e.Address.AllocationId})
	}
	for _, g := range gatewayKind.list(b.store.Snapshot(), alice) {
		for _, a := range g.Gateway.Attachments {
			must(&api.DetachInternetGatewayRequest{InternetGatewayId: g.Gateway.InternetGatewayId, VpcId: a.VpcId})
		}
		must(&api.DeleteInternetGatewayRequest{InternetGatewayId: g.Gateway.InternetGatewayId})
	}
	for _, s := range subnetKind.list(b.store.Snapshot(), alice) {
		must(&api.DeleteSubnetRequest{SubnetId: s.Subnet.SubnetId})
	}
	for _, a := range aclKind.list(b.store.Snapshot(), alice) {
		if !api.Val(a.Acl.IsDefault) {
			must(&api.DeleteNetworkAclRequest{NetworkAclId: a.Acl.NetworkAclId})
		}
	}
	for _, v := range tableKind.list(b.store.Snapshot(), alice) {
		if !isMain(v) {
			must(&api.DeleteRouteTableRequest{RouteTableId: v.Table.RouteTableId})
		}
	}
	for _, v := range vpcKind.list(b.store.Snapshot(), alice) {
		must(&api.DeleteVpcRequest{VpcId: v.Vpc.VpcId})
	}
	stays := []string{record.Tombstones, record.Counters, record.Publics}
	for key := range b.dump() {
		if !slices.ContainsFunc(stays, func(p string) bool { return len(key) > len(p) && key[:len(p)] == p }) {
			r.Errorf("left behind: %s", key)
		}
	}
}
