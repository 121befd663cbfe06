package service

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

func TestAllocateAndRelease(t *testing.T) {
	b := newBench(t)
	one := do[api.AllocateAddressResult](b, &api.AllocateAddressRequest{Domain: "vpc", TagSpecifications: tagSpec("elastic-ip", api.Tag{Key: "Name", Value: "www"})})
	if want := (api.AllocateAddressResult{PublicIp: "198.18.0.2", AllocationId: one.AllocationId, PublicIpv4Pool: "amazon", NetworkBorderGroup: "local-1", Domain: "vpc"}); *one != want || !wellFormed(one.AllocationId, "eipalloc-") {
		t.Errorf("allocated %+v, want %+v", one, want)
	}
	if a := b.address(one.AllocationId); a.PublicIp != "198.18.0.2" || a.Domain != "vpc" || a.AssociationId != "" || nameTag(a.Tags) != "www" {
		t.Errorf("shown as %+v", a)
	}
	if two := do[api.AllocateAddressResult](b, &api.AllocateAddressRequest{Address: "198.18.0.200"}); two.PublicIp != "198.18.0.200" {
		t.Errorf("asked for .200, got %s", two.PublicIp)
	}
	do[api.ReleaseAddressResult](b, &api.ReleaseAddressRequest{AllocationId: one.AllocationId})
	_, _, err := b.call(alice, "ReleaseAddress", &api.ReleaseAddressRequest{AllocationId: one.AllocationId})
	refused(t, err, "InvalidAllocationID.NotFound", "AllocationId")
	checkMapped(t, b.store.Snapshot())
}

// TestAddressesRest: an address that was released is not the next one that
// somebody gets, and of those that rest the one that does longest is.
func TestAddressesRest(t *testing.T) {
	b := newBench(t, func(c *Config) {
		c.PublicPools = []netip.Prefix{netip.MustParsePrefix("198.18.0.0/29"), netip.MustParsePrefix("203.0.113.0/30")}
		c.Limits = map[string]int64{"eips": unlimited}
	})
	ids := map[string]string{}
	take := func(want string) {
		t.Helper()
		res, _, err := b.call(alice, "AllocateAddress", &api.AllocateAddressRequest{})
		if want == "" {
			refused(t, err, "InsufficientAddressCapacity", "")
			return
		}
		if err != nil || res.(*api.AllocateAddressResult).PublicIp != want {
			t.Fatalf("got %+v, %v; want %s", res, err, want)
		}
		ids[want] = res.(*api.AllocateAddressResult).AllocationId
	}
	give := func(a string) {
		do[api.ReleaseAddressResult](b, &api.ReleaseAddressRequest{AllocationId: ids[a]})
	}
	take("198.18.0.2")
	take("198.18.0.3")
	give("198.18.0.3")
	take("198.18.0.4")
	take("198.18.0.5")
	give("198.18.0.2")
	take("198.18.0.6")
	take("198.18.0.3")
	take("198.18.0.2")
	take("203.0.113.2")
	take("")
	checkMapped(t, b.store.Snapshot())
}

func TestAllocateRefusals(t *testing.T) {
	b := newBench(t)
	taken := b.allocate()
	for _, row := range []struct {
		req         api.AllocateAddressRequest
		code, field string
	}{
		{api.AllocateAddressRequest{Address: taken.PublicIp}, "InvalidIPAddress.InUse", "Address"},
		{api.AllocateAddressRequest{Address: "198.18.0.0"}, "InvalidAddress.NotFound", "Address"},
		{api.AllocateAddressRequest{Address: "198.18.0.1"}, "InvalidAddress.NotFound", "Address"},
		{api.AllocateAddressRequest{Address: "198.18.0.255"}, "InvalidAddress.NotFound", "Address"},
		{api.AllocateAddressRequest{Address: "192.0.2.1"}, "InvalidAddress.NotFound", "Address"},
		{api.AllocateAddressRequest{Address: "2001:db8::1"}, "InvalidAddress.Malformed", "Address"},
		{api.AllocateAddressRequest{Address: "198.18.0"}, "InvalidAddress.Malformed", "Address"},
		{api.AllocateAddressRequest{Domain: "standard"}, "UnsupportedOperation", "Domain"},
		{api.AllocateAddressRequest{Domain: "x"}, "InvalidParameterValue", "Domain"},
		{api.AllocateAddressRequest{CustomerOwnedIpv4Pool: "x"}, "UnsupportedOperation", "CustomerOwnedIpv4Pool"},
		{api.AllocateAddressRequest{PublicIpv4Pool: "ipv4pool-ec2-1"}, "InvalidPublicIpv4PoolID.NotFound", "PublicIpv4Pool"},
		{api.AllocateAddressRequest{NetworkBorderGroup: "us-east-1"}, "InvalidParameterValue", "NetworkBorderGroup"},
	} {
		b.unchanged(t, func() {
			_, _, err := b.call(bob, "AllocateAddress", &row.req)
			if e := refused(t, err, row.code, row.field); row.req.Domain == "standard" && !strings.Contains(e.Message, "use vpc") {
				t.Errorf("what to use in place of standard is not said: %s", e.Message)
			}
		})
	}
	none := newBench(t, func(c *Config) { c.PublicPools = nil })
	_, _, err := none.call(alice, "AllocateAddress", &api.AllocateAddressRequest{})
	refused(t, err, "InsufficientAddressCapacity", "")
	_, _, err = none.call(alice, "AllocateAddress", &api.AllocateAddressRequest{Address: "198.18.0.2"})
	refused(t, err, "InvalidAddress.NotFound", "Address")
}

// TestAddressLimit: five for each account, also of those who ask at once.
func TestAddressLimit(t *testing.T) {
	b := newBench(t)
	codes := together(8, func(int) error {
		_, _, err := b.call(alice, "AllocateAddress", &api.AllocateAddressRequest{})
		return err
	})
	if codes[""] != 5 || codes["AddressLimitExceeded"] != 3 {
		t.Errorf("answers %v", codes)
	}
	if _, _, err := b.call(bob, "AllocateAddress", &api.AllocateAddressRequest{}); err != nil {
		t.Errorf("another account: %v", err)
	}
	checkMapped(t, b.store.Snapshot())
}

// TestReleaseOfWhatOthersHave: who released an address and is late learns that it
// is another's; to those who never had it, it is not there.
func TestReleaseOfWhatOthersHave(t *testing.T) {
	b := newBench(t)
	had := b.allocate()
	release := func(who Caller, id, ip string) error {
		_, _, err := b.call(who, "ReleaseAddress", &api.ReleaseAddressRequest{AllocationId: id, PublicIp: ip})
		return err
	}
	if err := release(alice, had.AllocationId, ""); err != nil {
		t.Fatal(err)
	}
	refused(t, release(alice, had.AllocationId, ""), "InvalidAllocationID.NotFound", "AllocationId")
	refused(t, release(alice, "", had.PublicIp), "InvalidAddress.NotFound", "PublicIp")
	_, _, err := b.call(bob, "AllocateAddress", &api.AllocateAddressRequest{Address: had.PublicIp})
	if err != nil {
		t.Fatal(err)
	}
	refused(t, release(alice, had.AllocationId, ""), "AuthFailure", "")
	refused(t, release(alice, "", had.PublicIp), "AuthFailure", "")
	carol := Caller{Account: "000000000009"}
	refused(t, release(carol, had.AllocationId, ""), "InvalidAllocationID.NotFound", "AllocationId")
	refused(t, release(carol, "", had.PublicIp), "InvalidAddress.NotFound", "PublicIp")
}

// open is a yard with an internet gateway and two workloads of one interface.
func open(t *testing.T) (y *yard, a, b *api.NetworkInterface) {
	t.Helper()
	y = newYard(t)
	y.gateway(y.vpc.VpcId)
	return y, y.attached("netns:a", "").NetworkInterface, y.attached("netns:b", "").NetworkInterface
}

func TestAssociate(t *testing.T) {
	y, a, _ := open(t)
	elastic := y.allocate()
	do[api.ModifyVpcAttributeResult](y.bench, &api.ModifyVpcAttributeRequest{VpcId: y.vpc.VpcId, EnableDnsHostnames: &api.AttributeBooleanValue{Value: api.Ptr(true)}})
	id := y.mapTo(elastic.AllocationId, a.NetworkInterfaceId, "")
	if !wellFormed(id, "eipassoc-") {
		t.Errorf("the association is %s", id)
	}
	i := y.shown(a.NetworkInterfaceId)
	want := api.NetworkInterfaceAssociation{AllocationId: elastic.AllocationId, AssociationId: id, IpOwnerId: alice.Account, PublicIp: elastic.PublicIp,
		PublicDnsName: "ec2-198-18-0-2.local-1.compute.amazonaws.com"}
	if api.Val(i.Association) != want || api.Val(i.PrivateIpAddresses[0].Association) != want {
		t.Errorf("the interface shows %+v, want %+v", i.Association, want)
	}
	instance := y.instances()[slices.IndexFunc(y.instances(), func(r api.Reservation) bool { return r.Instances[0].InstanceId == i.Attachment.InstanceId })].Instances[0]
	shown := api.InstanceNetworkInterfaceAssociation{IpOwnerId: alice.Account, PublicIp: elastic.PublicIp, PublicDnsName: want.PublicDnsName}
	if n := instance.NetworkInterfaces[0]; instance.PublicIpAddress != elastic.PublicIp || instance.PublicDnsName != want.PublicDnsName ||
		api.Val(n.Association) != shown || api.Val(n.PrivateIpAddresses[0].Association) != shown {
		t.Errorf("the instance shows %+v", instance)
	}
	address := y.address(elastic.AllocationId)
	if address.AssociationId != id || address.NetworkInterfaceId != a.NetworkInterfaceId || address.InstanceId != i.Attachment.InstanceId ||
		address.PrivateIpAddress != a.PrivateIpAddress || address.NetworkInterfaceOwnerId != alice.Account {
		t.Errorf("the address shows %+v", address)
	}
	// Once more: nothing happens, whatever is said about moving.
	y.unchanged(t, func() {
		res, _, err := y.call(alice, "AssociateAddress", &api.AssociateAddressRequest{AllocationId: elastic.AllocationId, InstanceId: instance.InstanceId, AllowReassociation: api.Ptr(false)})
		if err == nil && res.(*api.AssociateAddressResult).AssociationId != id || err != nil {
			t.Errorf("again: %+v, %v", res, err)
		}
	})
	_, _, err := y.call(alice, "ReleaseAddress", &api.ReleaseAddressRequest{AllocationId: elastic.AllocationId})
	if e := refused(t, err, "InvalidIPAddress.InUse", "AllocationId"); e.BlockedBy[0].Id != a.NetworkInterfaceId {
		t.Errorf("blocked by %+v", e.BlockedBy)
	}
	do[api.DisassociateAddressResult](y.bench, &api.DisassociateAddressRequest{AssociationId: id})
	if have := y.publicOf(a.NetworkInterfaceId); have != "" || y.address(elastic.AllocationId).AssociationId != "" {
		t.Errorf("still %s", have)
	}
	// It has ended, and ends once more for its owner alone.
	y.unchanged(t, func() { do[api.DisassociateAddressResult](y.bench, &api.DisassociateAddressRequest{AssociationId: id}) })
	_, _, err = y.call(bob, "DisassociateAddress", &api.DisassociateAddressRequest{AssociationId: id})
	refused(t, err, "InvalidAssociationID.NotFound", "AssociationId")
	checkMapped(t, y.store.Snapshot())
}

// TestReassociate: an address moves unless that is forbidden, and what its new
// place had before makes room and stays allocated.
func TestReassociate(t *testing.T) {
	y, a, b := open(t)
	one, two := y.allocate(), y.allocate()
	first := y.mapTo(one.AllocationId, a.NetworkInterfaceId, "")
	y.mapTo(two.AllocationId, b.NetworkInterfaceId, "")
	y.unchanged(t, func() {
		_, _, err := y.call(alice, "AssociateAddress", &api.AssociateAddressRequest{AllocationId: one.AllocationId, NetworkInterfaceId: b.NetworkInterfaceId, AllowReassociation: api.Ptr(false)})
		refused(t, err, "Resource.AlreadyAssociated", "AllowReassociation")
	})
	second := y.mapTo(one.AllocationId, b.NetworkInterfaceId, "")
	y.unchanged(t, func() {
		do[api.DisassociateAddressResult](y.bench, &api.DisassociateAddressRequest{AssociationId: first})
	})
	if second == first || y.publicOf(a.NetworkInterfaceId) != "" || y.publicOf(b.NetworkInterfaceId) != one.PublicIp || y.address(two.AllocationId).AssociationId != "" {
		t.Errorf("a has %s, b has %s, and %s is %+v", y.publicOf(a.NetworkInterfaceId), y.publicOf(b.NetworkInterfaceId), two.PublicIp, y.address(two.AllocationId))
	}
	// Within one interface, from the primary to a secondary address.
	do[api.AssignPrivateIpAddressesResult](y.bench, &api.AssignPrivateIpAddressesRequest{NetworkInterfaceId: b.NetworkInterfaceId, PrivateIpAddresses: []string{"10.0.1.20"}})
	y.mapTo(one.AllocationId, b.NetworkInterfaceId, "10.0.1.20")
	y.mapTo(two.AllocationId, b.NetworkInterfaceId, "")
	i := y.shown(b.NetworkInterfaceId)
	if api.Val(i.Association).PublicIp != two.PublicIp || api.Val(i.PrivateIpAddresses[1].Association).PublicIp != one.PublicIp {
		t.Errorf("the interface shows %+v", i.PrivateIpAddresses)
	}
	checkMapped(t, y.store.Snapshot())
}

func TestAssociateRefusals(t *testing.T) {
	y, a, _ := open(t)
	both := y.attached("netns:both", "")
	y.attached("netns:both", "eth1")
	closed := y.subnet(y.bench.vpc("10.0.0.0/16").VpcId, "10.0.1.0/24")
	inside := do[api.CreateNetworkInterfaceResult](y.bench, &api.CreateNetworkInterfaceRequest{SubnetId: closed.SubnetId}).NetworkInterface.NetworkInterfaceId
	own := y.allocate()
	res, _, err := y.call(bob, "AllocateAddress", &api.AllocateAddressRequest{})
	if err != nil {
		t.Fatal(err)
	}
	bobs := res.(*api.AllocateAddressResult)
	id, eni := own.AllocationId, a.NetworkInterfaceId
	type request = api.AssociateAddressRequest
	for name, row := range map[string]struct {
		req         any
		code, field string
	}{
		"no gateway":         {&request{AllocationId: id, NetworkInterfaceId: inside}, "Gateway.NotAttached", "NetworkInterfaceId"},
		"several interfaces": {&request{AllocationId: id, InstanceId: both.InstanceId}, "InvalidInstanceID", "InstanceId"},
		"no target":          {&request{AllocationId: id}, "MissingParameter", "NetworkInterfaceId"},
		"two targets":        {&request{AllocationId: id, InstanceId: both.InstanceId, NetworkInterfaceId: eni}, "InvalidParameterCombination", "NetworkInterfaceId"},
		"no address":         {&request{NetworkInterfaceId: eni}, "MissingParameter", "AllocationId"},
		"two addresses":      {&request{AllocationId: id, PublicIp: own.PublicIp, NetworkInterfaceId: eni}, "InvalidParameterCombination", "PublicIp"},
		"by address":         {&request{PublicIp: own.PublicIp, NetworkInterfaceId: eni}, "InvalidParameterValue", "PublicIp"},
		"unknown address":    {&request{PublicIp: "198.18.0.99", NetworkInterfaceId: eni}, "InvalidAddress.NotFound", "PublicIp"},
		"bob's address":      {&request{PublicIp: bobs.PublicIp, NetworkInterfaceId: eni}, "InvalidAddress.NotFound", "PublicIp"},
		"bob's allocation":   {&request{AllocationId: bobs.AllocationId, NetworkInterfaceId: eni}, "InvalidAllocationID.NotFound", "AllocationId"},
		"no allocation":      {&request{AllocationId: "eipalloc-00000000", NetworkInterfaceId: eni}, "InvalidAllocationID.NotFound", "AllocationId"},
		"not an allocation":  {&request{AllocationId: "x", NetworkInterfaceId: eni}, "InvalidAllocationID.NotFound", "AllocationId"},
		"not its address":    {&request{AllocationId: id, NetworkInterfaceId: eni, PrivateIpAddress: "10.0.1.99"}, "InvalidParameterValue", "PrivateIpAddress"},
		"no private address": {&request{AllocationId: id, NetworkInterfaceId: eni, PrivateIpAddress: "x"}, "InvalidParameterValue", "PrivateIpAddress"},

		"disassociate nothing":      {&api.DisassociateAddressRequest{}, "MissingParameter", "AssociationId"},
		"disassociate both":         {&api.DisassociateAddressRequest{AssociationId: "eipassoc-00000000", PublicIp: own.PublicIp}, "InvalidParameterCombination", "PublicIp"},
		"disassociate by address":   {&api.DisassociateAddressRequest{PublicIp: own.PublicIp}, "InvalidParameterValue", "PublicIp"},
		"disassociate bob's":        {&api.DisassociateAddressRequest{PublicIp: bobs.PublicIp}, "InvalidAddress.NotFound", "PublicIp"},
		"not an association":        {&api.DisassociateAddressRequest{AssociationId: "x"}, "InvalidAssociationID.Malformed", "AssociationId"},
		"no association":            {&api.DisassociateAddressRequest{AssociationId: "eipassoc-00000000"}, "InvalidAssociationID.NotFound", "AssociationId"},
		"release by address":        {&api.ReleaseAddressRequest{PublicIp: own.PublicIp}, "InvalidParameterValue", "PublicIp"},
		"release elsewhere":         {&api.ReleaseAddressRequest{AllocationId: id, NetworkBorderGroup: "x"}, "InvalidParameterValue", "NetworkBorderGroup"},
		"release bob's":             {&api.ReleaseAddressRequest{AllocationId: bobs.AllocationId}, "InvalidAllocationID.NotFound", "AllocationId"},
		"describe bob's":            {&api.DescribeAddressesRequest{PublicIps: []string{bobs.PublicIp}}, "InvalidAddress.NotFound", "PublicIps.0"},
		"describe what is no value": {&api.DescribeAddressesRequest{PublicIps: []string{own.PublicIp, "x"}}, "InvalidAddress.Malformed", "PublicIps.1"},
	} {
		t.Run(name, func(t *testing.T) {
			y.unchanged(t, func() {
				_, _, err := y.call(alice, actionOf(row.req), row.req)
				refused(t, err, row.code, row.field)
			})
		})
	}
}

func TestAddressFilters(t *testing.T) {
	y, a, _ := open(t)
	one, two := y.allocate(), y.allocate()
	association := y.mapTo(one.AllocationId, a.NetworkInterfaceId, "")
	for _, row := range []struct{ name, value, want string }{
		{"allocation-id", two.AllocationId, two.PublicIp}, {"association-id", association, one.PublicIp}, {"association-id", "*", one.PublicIp},
		{"domain", "vpc", one.PublicIp + " " + two.PublicIp}, {"instance-id", a.Attachment.InstanceId, one.PublicIp},
		{"network-border-group", "local-1", one.PublicIp + " " + two.PublicIp}, {"network-interface-id", a.NetworkInterfaceId, one.PublicIp},
		{"network-interface-owner-id", alice.Account, one.PublicIp}, {"private-ip-address", a.PrivateIpAddress, one.PublicIp}, {"public-ip", "*.3", two.PublicIp},
	} {
		res := do[api.DescribeAddressesResult](y.bench, &api.DescribeAddressesRequest{Filters: []api.Filter{{Name: row.name, Values: []string{row.value}}}})
		have := strings.Join(each(res.Addresses, func(a api.Address) string { return a.PublicIp }), " ")
		if have != row.want {
			t.Errorf("%s=%s: %s, want %s", row.name, row.value, have, row.want)
		}
	}
	for name, value := range map[string]string{
		"association.allocation-id": one.AllocationId, "association.association-id": association, "association.ip-owner-id": alice.Account,
		"association.public-ip": one.PublicIp, "addresses.association.public-ip": one.PublicIp, "addresses.association.owner-id": alice.Account,
	} {
		res := do[api.DescribeNetworkInterfacesResult](y.bench, &api.DescribeNetworkInterfacesRequest{Filters: []api.Filter{{Name: name, Values: []string{value}}}})
		if len(res.NetworkInterfaces) != 1 || res.NetworkInterfaces[0].NetworkInterfaceId != a.NetworkInterfaceId {
			t.Errorf("%s=%s finds %d interfaces", name, value, len(res.NetworkInterfaces))
		}
	}
	both := do[api.DescribeAddressesResult](y.bench, &api.DescribeAddressesRequest{AllocationIds: []string{one.AllocationId}, PublicIps: []string{two.PublicIp}}).Addresses
	attribute := do[api.DescribeAddressesAttributeResult](y.bench, &api.DescribeAddressesAttributeRequest{AllocationIds: []string{two.AllocationId}, Attribute: "domain-name"}).Addresses
	if len(both) != 0 || len(attribute) != 1 || attribute[0] != (api.AddressAttribute{AllocationId: two.AllocationId, PublicIp: two.PublicIp}) {
		t.Errorf("two conditions find %+v, the attribute is %+v", both, attribute)
	}
}

// TestAddressesFollowTheirPrivateOnes: with an interface that is kept, with an
// address that is reassigned; and they are free when that is gone.
func TestAddressesFollowTheirPrivateOnes(t *testing.T) {
	y, a, b := open(t)
	one, two := y.allocate(), y.allocate()
	do[api.AssignPrivateIpAddressesResult](y.bench, &api.AssignPrivateIpAddressesRequest{NetworkInterfaceId: a.NetworkInterfaceId, PrivateIpAddresses: []string{"10.0.1.20"}})
	association := y.mapTo(one.AllocationId, a.NetworkInterfaceId, "10.0.1.20")
	do[api.AssignPrivateIpAddressesResult](y.bench, &api.AssignPrivateIpAddressesRequest{
		NetworkInterfaceId: b.NetworkInterfaceId, PrivateIpAddresses: []string{"10.0.1.20"}, AllowReassignment: api.Ptr(true)})
	if e := y.address(one.AllocationId); e.NetworkInterfaceId != b.NetworkInterfaceId || e.AssociationId != association || len(associationsOf(y.record(a))) != 0 {
		t.Errorf("after a reassignment the address is %+v", e)
	}
	checkMapped(t, y.store.Snapshot())
	do[api.UnassignPrivateIpAddressesResult](y.bench, &api.UnassignPrivateIpAddressesRequest{NetworkInterfaceId: b.NetworkInterfaceId, PrivateIpAddresses: []string{"10.0.1.20"}})
	if e := y.address(one.AllocationId); e.AssociationId != "" {
		t.Errorf("after its private one is gone the address is %+v", e)
	}
	kept := do[api.AttachWorkloadResult](y.bench, &api.AttachWorkloadRequest{Target: "netns:kept", SubnetId: y.sub.SubnetId, Keep: api.Ptr(true)}).NetworkInterface
	y.mapTo(two.AllocationId, kept.NetworkInterfaceId, "")
	y.mapTo(one.AllocationId, a.NetworkInterfaceId, "")
	for _, target := range []string{"netns:kept", "netns:a"} {
		do[api.DetachWorkloadResult](y.bench, &api.DetachWorkloadRequest{Target: target})
	}
	if e := y.address(two.AllocationId); e.NetworkInterfaceId != kept.NetworkInterfaceId || e.InstanceId != "" || y.address(one.AllocationId).AssociationId != "" {
		t.Errorf("after a detachment the addresses are %+v and %+v", e, y.address(one.AllocationId))
	}
	do[api.DeleteNetworkInterfaceResult](y.bench, &api.DeleteNetworkInterfaceRequest{NetworkInterfaceId: kept.NetworkInterfaceId})
	if e := y.address(two.AllocationId); e.AssociationId != "" || e.NetworkInterfaceId != "" || e.PrivateIpAddress != "" {
		t.Errorf("after the interface is gone the address is %+v", e)
	}
	checkMapped(t, y.store.Snapshot())
}

func (b *bench) record(i *api.NetworkInterface) *record.NetworkInterface {
	eni, _ := store.Get[*record.NetworkInterface](b.store.Snapshot(), record.Interfaces+i.NetworkInterfaceId)
	return eni
}
