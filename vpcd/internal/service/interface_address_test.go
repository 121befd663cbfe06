package service

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func TestAssignAddresses(t *testing.T) {
	b := newBench(t)
	sub := b.subnet(b.vpc("10.0.0.0/16").VpcId, "10.0.1.0/24")
	one, two := b.plain(sub.SubnetId), b.plain(sub.SubnetId) // .4 and .5
	assign := func(eni string, reassign bool, addresses ...string) *api.AssignPrivateIpAddressesRequest {
		return &api.AssignPrivateIpAddressesRequest{NetworkInterfaceId: eni, AllowReassignment: &reassign, PrivateIpAddresses: addresses}
	}
	res := do[api.AssignPrivateIpAddressesResult](b, assign(one.NetworkInterfaceId, false, "10.0.1.20", "10.0.1.21"))
	if len(res.AssignedPrivateIpAddresses) != 2 || res.AssignedPrivateIpAddresses[1].PrivateIpAddress != "10.0.1.21" {
		t.Errorf("assigned %+v", res)
	}
	do[api.AssignPrivateIpAddressesResult](b, &api.AssignPrivateIpAddressesRequest{NetworkInterfaceId: one.NetworkInterfaceId, SecondaryPrivateIpAddressCount: api.Ptr[int32](1)})
	has := func(eni, want string) {
		t.Helper()
		i := b.shown(eni)
		if got := strings.Join(addressesOf(&i), " "); got != want {
			t.Errorf("%s has %s, want %s", eni, got, want)
		}
	}
	has(one.NetworkInterfaceId, "10.0.1.4 10.0.1.20 10.0.1.21 10.0.1.6")
	type request = api.AssignPrivateIpAddressesRequest
	for name, row := range map[string]struct {
		req         *request
		code, field string
	}{
		"in use":          {assign(two.NetworkInterfaceId, false, "10.0.1.22", "10.0.1.20"), "InvalidIPAddress.InUse", "PrivateIpAddresses.1"},
		"own":             {assign(one.NetworkInterfaceId, false, "10.0.1.20"), "InvalidIPAddress.InUse", "PrivateIpAddresses.0"},
		"primary":         {assign(two.NetworkInterfaceId, true, "10.0.1.4"), "InvalidIPAddress.InUse", "PrivateIpAddresses.0"},
		"outside":         {assign(two.NetworkInterfaceId, true, "10.0.2.20"), "InvalidParameterValue", "PrivateIpAddresses.0"},
		"reserved":        {assign(two.NetworkInterfaceId, true, "10.0.1.1"), "InvalidParameterValue", "PrivateIpAddresses.0"},
		"not an address":  {assign(two.NetworkInterfaceId, true, "x"), "InvalidParameterValue", "PrivateIpAddresses.0"},
		"twice":           {assign(two.NetworkInterfaceId, true, "10.0.1.30", "10.0.1.30"), "InvalidParameterValue", "PrivateIpAddresses.1"},
		"none":            {assign(two.NetworkInterfaceId, true), "MissingParameter", "PrivateIpAddresses"},
		"zero":            {&request{NetworkInterfaceId: two.NetworkInterfaceId, SecondaryPrivateIpAddressCount: api.Ptr[int32](0)}, "InvalidParameterValue", "SecondaryPrivateIpAddressCount"},
		"too many":        {&request{NetworkInterfaceId: two.NetworkInterfaceId, SecondaryPrivateIpAddressCount: api.Ptr[int32](50)}, "PrivateIpAddressLimitExceeded", "PrivateIpAddresses"},
		"list and number": {&request{NetworkInterfaceId: two.NetworkInterfaceId, PrivateIpAddresses: []string{"10.0.1.30"}, SecondaryPrivateIpAddressCount: api.Ptr[int32](1)}, "InvalidParameterCombination", "SecondaryPrivateIpAddressCount"},
		"prefix":          {&request{NetworkInterfaceId: two.NetworkInterfaceId, Ipv4Prefixes: []string{"10.0.1.16/28"}}, "UnsupportedOperation", "Ipv4Prefixes"},
		"unknown":         {assign("eni-00000000", true, "10.0.1.30"), "InvalidNetworkInterfaceID.NotFound", "NetworkInterfaceId"},
	} {
		t.Run(name, func(t *testing.T) {
			b.unchanged(t, func() {
				_, _, err := b.call(alice, "AssignPrivateIpAddresses", row.req)
				refused(t, err, row.code, row.field)
			})
		})
	}
	do[api.AssignPrivateIpAddressesResult](b, assign(two.NetworkInterfaceId, true, "10.0.1.20"))
	do[api.AssignPrivateIpAddressesResult](b, assign(two.NetworkInterfaceId, true, "10.0.1.20", "10.0.1.30"))
	has(one.NetworkInterfaceId, "10.0.1.4 10.0.1.21 10.0.1.6")
	has(two.NetworkInterfaceId, "10.0.1.5 10.0.1.20 10.0.1.30")
}

func TestUnassignAddresses(t *testing.T) {
	b := newBench(t)
	sub := b.subnet(b.vpc("10.0.0.0/16").VpcId, "10.0.1.0/24")
	id := do[api.CreateNetworkInterfaceResult](b, &api.CreateNetworkInterfaceRequest{SubnetId: sub.SubnetId, SecondaryPrivateIpAddressCount: api.Ptr[int32](2)}).NetworkInterface.NetworkInterfaceId
	for _, row := range []struct {
		addresses   []string
		code, field string
	}{
		{[]string{"10.0.1.5", "10.0.1.4"}, "InvalidParameterValue", "PrivateIpAddresses.1"}, // the primary one
		{[]string{"10.0.1.50"}, "InvalidParameterValue", "PrivateIpAddresses.0"},
		{[]string{"10.0.1.5", "10.0.1.5"}, "InvalidParameterValue", "PrivateIpAddresses.1"},
		{[]string{""}, "InvalidParameterValue", "PrivateIpAddresses.0"},
		{nil, "MissingParameter", "PrivateIpAddresses"},
	} {
		b.unchanged(t, func() {
			_, _, err := b.call(alice, "UnassignPrivateIpAddresses", &api.UnassignPrivateIpAddressesRequest{NetworkInterfaceId: id, PrivateIpAddresses: row.addresses})
			refused(t, err, row.code, row.field)
		})
	}
	do[api.UnassignPrivateIpAddressesResult](b, &api.UnassignPrivateIpAddressesRequest{NetworkInterfaceId: id, PrivateIpAddresses: []string{"10.0.1.5"}})
	i := b.shown(id)
	if got := addressesOf(&i); !slices.Equal(got, []string{"10.0.1.4", "10.0.1.6"}) {
		t.Errorf("addresses are %v", got)
	}
	do[api.CreateNetworkInterfaceResult](b, &api.CreateNetworkInterfaceRequest{SubnetId: sub.SubnetId, PrivateIpAddress: "10.0.1.5"})
}

// Of sixteen who claim one address at once, one gets it.
func TestAddressRace(t *testing.T) {
	b := newBench(t)
	sub := b.subnet(b.vpc("10.0.0.0/16").VpcId, "10.0.1.0/24")
	errs := make([]error, 16)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			_, _, errs[i] = b.call(alice, "CreateNetworkInterface", &api.CreateNetworkInterfaceRequest{SubnetId: sub.SubnetId, PrivateIpAddress: "10.0.1.77"})
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		refused(t, err, "InvalidIPAddress.InUse", "PrivateIpAddress")
	}
	if n := len(do[api.DescribeNetworkInterfacesResult](b, &api.DescribeNetworkInterfacesRequest{}).NetworkInterfaces); won != 1 || n != 1 {
		t.Errorf("%d calls succeeded, %d interfaces are there, want 1 and 1", won, n)
	}
}

// A group that is being deleted and an interface that is being given it: never
// an interface with a group that is gone.
func TestGroupDeletionRace(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	sub := b.subnet(vpc.VpcId, "10.0.1.0/24")
	for range 10 {
		id := b.group(vpc.VpcId, "web")
		var created, deleted error
		var eni any
		var wg sync.WaitGroup
		wg.Go(func() {
			eni, _, created = b.call(alice, "CreateNetworkInterface", &api.CreateNetworkInterfaceRequest{SubnetId: sub.SubnetId, Groups: []string{id}})
		})
		wg.Go(func() {
			_, _, deleted = b.call(alice, "DeleteSecurityGroup", &api.DeleteSecurityGroupRequest{GroupId: id})
		})
		wg.Wait()
		if (created == nil) == (deleted == nil) {
			t.Fatalf("create answered %v, delete %v: exactly one must win", created, deleted)
		}
		if created != nil {
			refused(t, created, "InvalidGroup.NotFound", "Groups.0")
			continue
		}
		refused(t, deleted, "DependencyViolation", "GroupId")
		do[api.DeleteNetworkInterfaceResult](b, &api.DeleteNetworkInterfaceRequest{NetworkInterfaceId: eni.(*api.CreateNetworkInterfaceResult).NetworkInterface.NetworkInterfaceId})
		do[api.DeleteSecurityGroupResult](b, &api.DeleteSecurityGroupRequest{GroupId: id})
	}
}
