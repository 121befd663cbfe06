package service

import (
	"context"
	"net/netip"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// attach is a workload with a new interface in the yard's subnet.
func (y *yard) attach(target string, public *bool) *api.NetworkInterface {
	y.t.Helper()
	return do[api.AttachWorkloadResult](y.bench, &api.AttachWorkloadRequest{Target: target, SubnetId: y.sub.SubnetId, AssociatePublicIpAddress: public}).NetworkInterface
}

// TestPublicOnAttach: as asked, or else as the subnet says; only the first
// interface, and only a new one.
func TestPublicOnAttach(t *testing.T) {
	y := newYard(t)
	yes, no := api.Ptr(true), api.Ptr(false)
	plain, asked := y.attach("netns:plain", nil), y.attach("netns:asked", yes)
	if plain.Association != nil || api.Val(asked.Association) != (api.NetworkInterfaceAssociation{IpOwnerId: "amazon", PublicIp: "198.18.0.2"}) {
		t.Errorf("plain has %+v, asked has %+v", plain.Association, asked.Association)
	}
	do[api.ModifySubnetAttributeResult](y.bench, &api.ModifySubnetAttributeRequest{SubnetId: y.sub.SubnetId, MapPublicIpOnLaunch: &api.AttributeBooleanValue{Value: yes}})
	if mapped, refused := y.attach("netns:mapped", nil), y.attach("netns:refused", no); mapped.Association == nil || refused.Association != nil {
		t.Errorf("mapped has %+v, refused has %+v", mapped.Association, refused.Association)
	}
	if second := y.attached("netns:plain", "eth1").NetworkInterface; second.Association != nil {
		t.Errorf("a second interface has %+v", second.Association)
	}
	public := do[api.CreateSubnetResult](y.bench, &api.CreateSubnetRequest{VpcId: y.vpc.VpcId, CidrBlock: "10.0.2.0/24", MapPublicIpOnLaunch: yes}).Subnet
	if !api.Val(public.MapPublicIpOnLaunch) {
		t.Error("a subnet that was made public is not")
	}
	free := do[api.CreateNetworkInterfaceResult](y.bench, &api.CreateNetworkInterfaceRequest{SubnetId: public.SubnetId}).NetworkInterface
	for _, req := range []api.AttachWorkloadRequest{
		{Target: "netns:asked", SubnetId: y.sub.SubnetId, InterfaceName: "eth1", NoDefaultRoute: yes, AssociatePublicIpAddress: yes},
		{Target: "netns:free", NetworkInterfaceId: free.NetworkInterfaceId, AssociatePublicIpAddress: no},
	} {
		y.unchanged(t, func() {
			_, _, err := y.call(alice, "AttachWorkload", &req)
			refused(t, err, "InvalidParameterCombination", "AssociatePublicIpAddress")
		})
	}
	if existing := do[api.AttachWorkloadResult](y.bench, &api.AttachWorkloadRequest{Target: "netns:free", NetworkInterfaceId: free.NetworkInterfaceId}); existing.NetworkInterface.Association != nil {
		t.Errorf("an existing interface gets %+v", existing.NetworkInterface.Association)
	}
	checkMapped(t, y.store.Snapshot())
}

// TestAutomaticAddressEnds: with the attachment, however that ends, and nobody
// gets it at once.
func TestAutomaticAddressEnds(t *testing.T) {
	y := newYard(t)
	yes := api.Ptr(true)
	gone := y.attach("netns:gone", yes)
	kept := do[api.AttachWorkloadResult](y.bench, &api.AttachWorkloadRequest{Target: "netns:kept", SubnetId: y.sub.SubnetId, Keep: yes, AssociatePublicIpAddress: yes}).NetworkInterface
	lost := y.attach("netns:lost", yes)
	for _, target := range []string{"netns:gone", "netns:kept"} {
		do[api.DetachWorkloadResult](y.bench, &api.DetachWorkloadRequest{Target: target})
	}
	if err := y.Release(context.Background(), []string{"netns:lost"}); err != nil {
		t.Fatal(err)
	}
	for _, eni := range []string{kept.NetworkInterfaceId, lost.NetworkInterfaceId} {
		if have := y.publicOf(eni); have != "" {
			t.Errorf("%s still has %s", eni, have)
		}
	}
	checkMapped(t, y.store.Snapshot())
	if next := y.attach("netns:next", yes); next.Association.PublicIp == gone.Association.PublicIp {
		t.Errorf("the next one gets %s at once", next.Association.PublicIp)
	}
}

// TestElasticInPlaceOfAutomatic: it takes its place, and when it goes, the
// workload gets an automatic one again, unless it has several interfaces.
func TestElasticInPlaceOfAutomatic(t *testing.T) {
	y := newYard(t)
	y.gateway(y.vpc.VpcId)
	eni := y.attach("netns:a", api.Ptr(true)).NetworkInterfaceId
	automatic, elastic := y.publicOf(eni), y.allocate()
	id := y.mapTo(elastic.AllocationId, eni, "")
	if have := y.publicOf(eni); have != elastic.PublicIp {
		t.Errorf("it has %s", have)
	}
	checkMapped(t, y.store.Snapshot())
	do[api.DisassociateAddressResult](y.bench, &api.DisassociateAddressRequest{AssociationId: id})
	if have := y.publicOf(eni); have == "" || have == automatic || have == elastic.PublicIp {
		t.Errorf("afterwards it has %q", have)
	}
	checkMapped(t, y.store.Snapshot())
	id = y.mapTo(elastic.AllocationId, eni, "")
	y.attached("netns:a", "eth1")
	do[api.DisassociateAddressResult](y.bench, &api.DisassociateAddressRequest{AssociationId: id})
	if have := y.publicOf(eni); have != "" {
		t.Errorf("with two interfaces it has %s", have)
	}
	checkMapped(t, y.store.Snapshot())
}

// TestPoolWithoutRoom: a workload that must have an address is refused, and an
// association ends all the same.
func TestPoolWithoutRoom(t *testing.T) {
	h := &workloads{missing: map[string]bool{}}
	b := newBench(t, func(c *Config) {
		c.Host, c.HostName, c.PublicPools = h, "h1", []netip.Prefix{netip.MustParsePrefix("198.18.0.0/30")}
	})
	vpc := b.vpc("10.0.0.0/16")
	y := &yard{bench: b, host: h, vpc: vpc, sub: b.subnet(vpc.VpcId, "10.0.1.0/24")}
	y.attach("netns:a", api.Ptr(true))
	b.unchanged(t, func() {
		_, _, err := b.call(alice, "AttachWorkload", &api.AttachWorkloadRequest{Target: "netns:b", SubnetId: y.sub.SubnetId, AssociatePublicIpAddress: api.Ptr(true)})
		refused(t, err, "InsufficientAddressCapacity", "")
	})
}

func TestOutsidePools(t *testing.T) {
	b := newBench(t)
	b.allocate()
	gone := do[api.AllocateAddressResult](b, &api.AllocateAddressRequest{Address: "198.18.0.77"})
	do[api.AllocateAddressResult](b, &api.AllocateAddressRequest{Address: "198.18.0.200"})
	do[api.ReleaseAddressResult](b, &api.ReleaseAddressRequest{AllocationId: gone.AllocationId})
	for text, want := range map[string]int{"198.18.0.0/24": 0, "198.18.0.0/25": 1, "198.18.0.128/25": 1, "203.0.113.0/24": 2, "198.18.0.0/29": 1, "198.18.0.200/29": 2} {
		if have := OutsidePools(b.store, []netip.Prefix{netip.MustParsePrefix(text)}); len(have) != want {
			t.Errorf("without %s there are %v outside, want %d", text, have, want)
		}
	}
}
