package service

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// nats is a yard whose VPC has an internet gateway, and a clock to turn.
type nats struct {
	*yard
	igw   string
	clock time.Time
}

func newNats(t *testing.T) *nats {
	n := &nats{yard: newYard(t), clock: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	n.now = func() time.Time { return n.clock }
	n.igw = n.gateway(n.vpc.VpcId)
	return n
}

// applied has the host report that it has done everything, and which interfaces
// are ready.
func (n *nats) applied(up ...string) {
	status := &record.HostStatus{Host: api.Host{HostName: "h1", AppliedRevision: api.Ptr(n.store.Snapshot().Revision() + 1)}, Up: map[string]bool{}}
	for _, id := range up {
		status.Up[id] = true
	}
	n.put(record.Statuses+"h1", status)
}

func (n *nats) create(req api.CreateNatGatewayRequest) *api.NatGateway {
	n.t.Helper()
	req.SubnetId = n.sub.SubnetId
	return do[api.CreateNatGatewayResult](n.bench, &req).NatGateway
}

func (n *nats) private() *api.NatGateway {
	n.t.Helper()
	return n.create(api.CreateNatGatewayRequest{ConnectivityType: "private"})
}

// nat is a gateway as it is shown now.
func (n *nats) nat(id string) api.NatGateway {
	n.t.Helper()
	return do[api.DescribeNatGatewaysResult](n.bench, &api.DescribeNatGatewaysRequest{NatGatewayIds: []string{id}}).NatGateways[0]
}

// natLines are lines PRIVATE PUBLIC STATUS of a gateway, the primary marked.
func natLines(g api.NatGateway) string {
	var out []string
	for _, a := range g.NatGatewayAddresses {
		line := strings.Join(slices.DeleteFunc([]string{a.PrivateIp, a.PublicIp, a.Status}, func(s string) bool { return s == "" }), " ")
		if api.Val(a.IsPrimary) {
			line = "*" + line
		}
		out = append(out, line)
	}
	return strings.Join(out, ", ")
}

// TestNatGatewayLives: from pending to forgotten.
func TestNatGatewayLives(t *testing.T) {
	n := newNats(t)
	eip := n.allocate()
	req := &api.CreateNatGatewayRequest{SubnetId: n.sub.SubnetId, AllocationId: eip.AllocationId, ClientToken: "once"}
	made := do[api.CreateNatGatewayResult](n.bench, req)
	g := *made.NatGateway
	if g.State != "pending" || g.VpcId != n.vpc.VpcId || g.SubnetId != n.sub.SubnetId || g.ConnectivityType != "public" || g.CreateTime == nil || made.ClientToken != "once" ||
		natLines(g) != "*10.0.1.4 198.18.0.2 associating" {
		t.Errorf("made %+v", g)
	}
	if again := do[api.CreateNatGatewayResult](n.bench, req).NatGateway; again.NatGatewayId != g.NatGatewayId {
		t.Errorf("the same call made %s and %s", g.NatGatewayId, again.NatGatewayId)
	}
	eni := g.NatGatewayAddresses[0].NetworkInterfaceId
	n.applied()
	if s := n.nat(g.NatGatewayId).State; s != "pending" {
		t.Errorf("%s although its interface is not ready", s)
	}
	n.applied(eni)
	if now := n.nat(g.NatGatewayId); now.State != "available" || natLines(now) != "*10.0.1.4 198.18.0.2 succeeded" {
		t.Errorf("%s: %s", now.State, natLines(now))
	}
	i := n.shown(eni)
	if i.InterfaceType != "nat_gateway" || i.Description != "Interface for NAT Gateway "+g.NatGatewayId || !api.Val(i.RequesterManaged) || api.Val(i.SourceDestCheck) ||
		len(i.Groups) != 0 || i.Status != "in-use" || i.Attachment.Status != "attached" || !strings.HasPrefix(i.Attachment.AttachmentId, "ela-attach-") {
		t.Errorf("its interface is %+v", i)
	}
	if a := n.address(eip.AllocationId); a.AssociationId == "" || a.NetworkInterfaceId != eni || a.PrivateIpAddress != "10.0.1.4" {
		t.Errorf("its address is %+v", a)
	}
	checkInvariants(t, n.store.Snapshot())

	do[api.DeleteNatGatewayResult](n.bench, &api.DeleteNatGatewayRequest{NatGatewayId: g.NatGatewayId})
	if now := n.nat(g.NatGatewayId); now.State != "deleting" || now.DeleteTime == nil || natLines(now) != "*10.0.1.4 198.18.0.2 succeeded" {
		t.Errorf("after its deletion: %+v", now)
	}
	if a := n.address(eip.AllocationId); a.AssociationId != "" {
		t.Errorf("its address is still associated: %+v", a)
	}
	if _, buried := store.Get[*record.Tombstone](n.store.Snapshot(), record.TombstoneKey(eni)); !buried {
		t.Error("its interface has no tombstone")
	}
	n.applied()
	if s := n.nat(g.NatGatewayId).State; s != "deleted" {
		t.Errorf("%s after the host has followed", s)
	}
	_, _, err := n.call(alice, "DeleteNatGateway", &api.DeleteNatGatewayRequest{NatGatewayId: g.NatGatewayId})
	refused(t, err, "NatGatewayNotFound", "NatGatewayId")
	n.forgets(t, g.NatGatewayId)
	checkInvariants(t, n.store.Snapshot())
}

// forgets: a gateway is listed for an hour, and not longer.
func (n *nats) forgets(t *testing.T, id string) {
	t.Helper()
	for _, step := range []struct {
		after time.Duration
		left  int
	}{{natMemory, 1}, {time.Second, 0}} {
		n.clock = n.clock.Add(step.after)
		if err := n.reap(t.Context()); err != nil {
			t.Fatal(err)
		}
		all := do[api.DescribeNatGatewaysResult](n.bench, &api.DescribeNatGatewaysRequest{Filter: []api.Filter{{Name: "nat-gateway-id", Values: []string{id}}}})
		if len(all.NatGateways) != step.left {
			t.Errorf("%d are listed %s later, want %d", len(all.NatGateways), step.after, step.left)
		}
	}
}

// TestNatGatewayFails: what EC2 notices late is told by the gateway.
func TestNatGatewayFails(t *testing.T) {
	n := newNats(t)
	full := n.subnet(n.vpc.VpcId, "10.0.2.0/28")
	for i := range 11 {
		n.eni(full, fmt.Sprintf("10.0.2.%d", 4+i), "")
	}
	closed := n.subnet(n.vpcWithout(), "10.0.1.0/24")
	used := n.allocate().AllocationId
	n.mapTo(used, n.plain(n.sub.SubnetId).NetworkInterfaceId, "")
	foreign, _, err := n.call(bob, "AllocateAddress", &api.AllocateAddressRequest{})
	if err != nil {
		t.Fatal(err)
	}
	free := n.allocate().AllocationId
	for _, row := range []struct {
		subnet, allocation, code string
	}{
		{full.SubnetId, free, "InsufficientFreeAddressesInSubnet"},
		{closed.SubnetId, free, "Gateway.NotAttached"},
		{n.sub.SubnetId, used, "Resource.AlreadyAssociated"},
		{n.sub.SubnetId, "eipalloc-0123456789abcdef0", "InvalidAllocationID.NotFound"},
		{n.sub.SubnetId, foreign.(*api.AllocateAddressResult).AllocationId, "InvalidAllocationID.NotFound"},
	} {
		enis := len(interfaceKind.list(n.store.Snapshot(), alice))
		made := do[api.CreateNatGatewayResult](n.bench, &api.CreateNatGatewayRequest{SubnetId: row.subnet, AllocationId: row.allocation}).NatGateway
		g := n.nat(made.NatGatewayId)
		if g.State != "failed" || g.FailureCode != row.code || g.FailureMessage == "" || g.NatGatewayAddresses[0].Status != "failed" || g.NatGatewayAddresses[0].AllocationId != row.allocation {
			t.Errorf("%s: %+v", row.code, g)
		}
		if left := len(interfaceKind.list(n.store.Snapshot(), alice)); left != enis {
			t.Errorf("%s: a failed gateway has an interface", row.code)
		}
	}
	// Where the address is to be allocated, nothing may be left: the call fails.
	n.unchanged(t, func() {
		_, _, err := n.call(alice, "CreateNatGateway", &api.CreateNatGatewayRequest{SubnetId: closed.SubnetId, AllocateAddress: api.Ptr(true)})
		refused(t, err, "Gateway.NotAttached", "SubnetId")
	})
	n.applied()
	n.forgets(t, natKind.list(n.store.Snapshot(), alice)[0].Gateway.NatGatewayId)
}

// vpcWithout has no internet gateway.
func (n *nats) vpcWithout() string { return n.bench.vpc("10.0.0.0/16").VpcId }

func TestNatGatewayRefusals(t *testing.T) {
	n := newNats(t)
	taken := n.plain(n.sub.SubnetId).PrivateIpAddress
	const eip = "eipalloc-0123456789abcdef0"
	type request = api.CreateNatGatewayRequest
	n.unchanged(t, func() {
		for i, row := range []struct {
			req         request
			code, field string
		}{
			{request{}, "MissingParameter", "AllocationId"},
			{request{AllocationId: "eip"}, "InvalidAllocationID.NotFound", "AllocationId"},
			{request{AllocationId: eip, SecondaryAllocationIds: []string{"eip"}}, "InvalidAllocationID.NotFound", "SecondaryAllocationIds"},
			{request{AllocationId: eip, SecondaryAllocationIds: []string{eip}}, "InvalidParameterValue", "SecondaryAllocationIds"},
			{request{AllocationId: eip, AllocateAddress: api.Ptr(true)}, "InvalidParameterCombination", "AllocateAddress"},
			{request{AllocationId: eip, SecondaryPrivateIpAddresses: []string{"10.0.1.9"}}, "InvalidParameterCombination", "SecondaryPrivateIpAddresses"},
			{request{AllocationId: eip, SecondaryPrivateIpAddressCount: api.Ptr[int32](1)}, "InvalidParameterCombination", "SecondaryPrivateIpAddressCount"},
			{request{ConnectivityType: "private", AllocationId: eip}, "InvalidParameterCombination", "AllocationId"},
			{request{ConnectivityType: "private", SecondaryAllocationIds: []string{eip}}, "InvalidParameterCombination", "SecondaryAllocationIds"},
			{request{ConnectivityType: "private", SecondaryPrivateIpAddresses: []string{"10.0.1.9"}, SecondaryPrivateIpAddressCount: api.Ptr[int32](1)}, "InvalidParameterCombination", "SecondaryPrivateIpAddressCount"},
			{request{ConnectivityType: "private", PrivateIpAddress: "10.0.1.9", SecondaryPrivateIpAddresses: []string{"10.0.1.9"}}, "InvalidParameterValue", "SecondaryPrivateIpAddresses.0"},
			{request{ConnectivityType: "private", PrivateIpAddress: "10.0.9.9"}, "InvalidParameterValue", "PrivateIpAddress"},
			{request{ConnectivityType: "private", PrivateIpAddress: taken}, "InvalidIPAddress.InUse", "PrivateIpAddress"},
			{request{ConnectivityType: "private", PrivateIpAddress: "x"}, "InvalidParameterValue", "PrivateIpAddress"},
			{request{ConnectivityType: "private", SecondaryPrivateIpAddressCount: api.Ptr[int32](8)}, "PrivateIpAddressLimitExceeded", "PrivateIpAddresses"},
			{request{ConnectivityType: "both"}, "InvalidParameterValue", "ConnectivityType"},
			{request{ConnectivityType: "private", SubnetId: "subnet-0123456789abcdef0"}, "InvalidSubnetID.NotFound", "SubnetId"},
			{request{AllocationId: eip, SecondaryAllocationIds: []string{"eipalloc-0123456789abcdef1", "eipalloc-0123456789abcdef2"}}, "AddressLimitExceeded", "AllocationIds"},
		} {
			if row.req.SubnetId == "" {
				row.req.SubnetId = n.sub.SubnetId
			}
			_, _, err := n.call(alice, "CreateNatGateway", &row.req)
			if codeOf(err) != row.code {
				t.Errorf("row %d", i)
			}
			refused(t, err, row.code, row.field)
		}
	})
}

// TestNatGatewayQuota counts a gateway until its host has let it go, and one
// that failed not at all.
func TestNatGatewayQuota(t *testing.T) {
	n := newNats(t)
	n.create(api.CreateNatGatewayRequest{AllocationId: "eipalloc-0123456789abcdef0"})
	var last string
	for range 5 {
		last = n.private().NatGatewayId
	}
	over := func() string {
		_, _, err := n.call(alice, "CreateNatGateway", &api.CreateNatGatewayRequest{SubnetId: n.sub.SubnetId, ConnectivityType: "private"})
		return codeOf(err)
	}
	if code := over(); code != "NatGatewayLimitExceeded" {
		t.Errorf("a sixth: %q", code)
	}
	n.applied()
	do[api.DeleteNatGatewayResult](n.bench, &api.DeleteNatGatewayRequest{NatGatewayId: last})
	if code := over(); code != "NatGatewayLimitExceeded" {
		t.Errorf("while one is deleting: %q", code)
	}
	n.applied()
	if code := over(); code != "" {
		t.Errorf("when one is gone: %q", code)
	}
}

// TestNobodyTouchesTheInterfaceOfANatGateway, nor its address.
func TestNobodyTouchesTheInterfaceOfANatGateway(t *testing.T) {
	n := newNats(t)
	eip, spare := n.allocate(), n.allocate()
	g := n.create(api.CreateNatGatewayRequest{AllocationId: eip.AllocationId})
	eni := g.NatGatewayAddresses[0].NetworkInterfaceId
	own := n.plain(n.sub.SubnetId).NetworkInterfaceId
	n.unchanged(t, func() {
		for _, row := range []struct {
			req         any
			code, field string
		}{
			{&api.DeleteNetworkInterfaceRequest{NetworkInterfaceId: eni}, "OperationNotPermitted", "NetworkInterfaceId"},
			{&api.DetachNetworkInterfaceRequest{AttachmentId: n.shown(eni).Attachment.AttachmentId}, "OperationNotPermitted", "NetworkInterfaceId"},
			{&api.DetachWorkloadRequest{NetworkInterfaceId: eni}, "OperationNotPermitted", "NetworkInterfaceId"},
			{&api.AttachWorkloadRequest{Target: "netns:x", NetworkInterfaceId: eni}, "OperationNotPermitted", "NetworkInterfaceId"},
			{&api.ModifyNetworkInterfaceAttributeRequest{NetworkInterfaceId: eni, SourceDestCheck: &api.AttributeBooleanValue{Value: api.Ptr(true)}}, "OperationNotPermitted", "NetworkInterfaceId"},
			{&api.ResetNetworkInterfaceAttributeRequest{NetworkInterfaceId: eni, SourceDestCheck: "x"}, "OperationNotPermitted", "NetworkInterfaceId"},
			{&api.AssignPrivateIpAddressesRequest{NetworkInterfaceId: eni, SecondaryPrivateIpAddressCount: api.Ptr[int32](1)}, "OperationNotPermitted", "NetworkInterfaceId"},
			{&api.UnassignPrivateIpAddressesRequest{NetworkInterfaceId: eni, PrivateIpAddresses: []string{"10.0.1.4"}}, "OperationNotPermitted", "NetworkInterfaceId"},
			{&api.AssignPrivateIpAddressesRequest{NetworkInterfaceId: own, PrivateIpAddresses: []string{"10.0.1.4"}, AllowReassignment: api.Ptr(true)}, "InvalidIPAddress.InUse", "PrivateIpAddresses.0"},
			{&api.AssociateAddressRequest{AllocationId: spare.AllocationId, NetworkInterfaceId: eni}, "OperationNotPermitted", "NetworkInterfaceId"},
			{&api.AssociateAddressRequest{AllocationId: eip.AllocationId, NetworkInterfaceId: own}, "Resource.AlreadyAssociated", "AllocationId"},
			{&api.DisassociateAddressRequest{AssociationId: g.NatGatewayAddresses[0].AssociationId}, "AuthFailure", "AssociationId"},
			{&api.ReleaseAddressRequest{AllocationId: eip.AllocationId}, "InvalidIPAddress.InUse", "AllocationId"},
			{&api.DeleteSubnetRequest{SubnetId: n.sub.SubnetId}, "DependencyViolation", "SubnetId"},
			{&api.DeleteVpcRequest{VpcId: n.vpc.VpcId}, "DependencyViolation", "VpcId"},
			{&api.DetachInternetGatewayRequest{InternetGatewayId: n.igw, VpcId: n.vpc.VpcId}, "DependencyViolation", "VpcId"},
		} {
			_, _, err := n.call(alice, actionOf(row.req), row.req)
			e := refused(t, err, row.code, row.field)
			if row.code == "DependencyViolation" && !strings.Contains(fmt.Sprint(e.BlockedBy), g.NatGatewayId) {
				t.Errorf("%s does not name the gateway: %v", actionOf(row.req), e.BlockedBy)
			}
		}
	})
}

// TestAddressesOfANatGateway come and go; the primary one stays.
func TestAddressesOfANatGateway(t *testing.T) {
	n := newNats(t)
	n.mustLimit(limitNatElastics, 3)
	g := n.create(api.CreateNatGatewayRequest{AllocationId: n.allocate().AllocationId, PrivateIpAddress: "10.0.1.50", SecondaryAllocationIds: []string{n.allocate().AllocationId}, SecondaryPrivateIpAddresses: []string{"10.0.1.60"}})
	id, eni := g.NatGatewayId, g.NatGatewayAddresses[0].NetworkInterfaceId
	n.applied(eni)
	more := do[api.AssociateNatGatewayAddressResult](n.bench, &api.AssociateNatGatewayAddressRequest{NatGatewayId: id, AllocationIds: []string{n.allocate().AllocationId}, PrivateIpAddresses: []string{"10.0.1.40"}})
	if have := natLines(api.NatGateway{NatGatewayAddresses: more.NatGatewayAddresses}); have != "10.0.1.40 198.18.0.4 associating" {
		t.Errorf("associated %s", have)
	}
	const before = "*10.0.1.50 198.18.0.2 succeeded, 10.0.1.60 198.18.0.3 succeeded"
	if have := natLines(n.nat(id)); have != before+", 10.0.1.40 198.18.0.4 associating" {
		t.Errorf("before the host has it: %s", have)
	}
	n.applied(eni)
	if have := natLines(n.nat(id)); have != before+", 10.0.1.40 198.18.0.4 succeeded" {
		t.Errorf("then: %s", have)
	}
	checkInvariants(t, n.store.Snapshot())
	type disassociate = api.DisassociateNatGatewayAddressRequest
	n.unchanged(t, func() {
		for _, row := range []struct {
			req         any
			code, field string
		}{
			{&disassociate{NatGatewayId: id, AssociationIds: []string{g.NatGatewayAddresses[0].AssociationId}}, "InvalidParameterValue", "AssociationIds"},
			{&disassociate{NatGatewayId: id, AssociationIds: []string{"eipassoc-0123456789abcdef0"}}, "InvalidAssociationID.NotFound", "AssociationIds"},
			{&disassociate{NatGatewayId: id, AssociationIds: []string{"x"}}, "InvalidAssociationID.Malformed", "AssociationIds"},
			{&api.AssociateNatGatewayAddressRequest{NatGatewayId: id, AllocationIds: []string{n.address(g.NatGatewayAddresses[0].AllocationId).AllocationId}}, "AddressLimitExceeded", "AllocationIds"},
			{&api.AssignPrivateNatGatewayAddressRequest{NatGatewayId: id, PrivateIpAddressCount: api.Ptr[int32](1)}, "InvalidParameterValue", "NatGatewayId"},
			{&api.UnassignPrivateNatGatewayAddressRequest{NatGatewayId: id, PrivateIpAddresses: []string{"10.0.1.60"}}, "InvalidParameterValue", "NatGatewayId"},
		} {
			_, _, err := n.call(alice, actionOf(row.req), row.req)
			refused(t, err, row.code, row.field)
		}
	})
	gone := do[api.DisassociateNatGatewayAddressResult](n.bench, &disassociate{NatGatewayId: id, AssociationIds: []string{g.NatGatewayAddresses[1].AssociationId}, MaxDrainDurationSeconds: api.Ptr[int32](60)})
	if have := natLines(api.NatGateway{NatGatewayAddresses: gone.NatGatewayAddresses}); have != "10.0.1.60 198.18.0.3 disassociating" {
		t.Errorf("disassociated %s", have)
	}
	if have := natLines(n.nat(id)); have != "*10.0.1.50 198.18.0.2 succeeded, 10.0.1.40 198.18.0.4 succeeded" {
		t.Errorf("after it %s", have)
	}
	checkInvariants(t, n.store.Snapshot())
}

// TestAddressesOfAPrivateNatGateway: as many as the quota says, and no elastic one.
func TestAddressesOfAPrivateNatGateway(t *testing.T) {
	n := newNats(t)
	g := n.create(api.CreateNatGatewayRequest{ConnectivityType: "private", SecondaryPrivateIpAddressCount: api.Ptr[int32](6)})
	if len(g.NatGatewayAddresses) != 7 || g.NatGatewayAddresses[0].Status != "assigning" || g.NatGatewayAddresses[0].AllocationId != "" {
		t.Errorf("made %s", natLines(*g))
	}
	got := do[api.AssignPrivateNatGatewayAddressResult](n.bench, &api.AssignPrivateNatGatewayAddressRequest{NatGatewayId: g.NatGatewayId, PrivateIpAddresses: []string{"10.0.1.200"}})
	if have := natLines(api.NatGateway{NatGatewayAddresses: got.NatGatewayAddresses}); have != "10.0.1.200 assigning" {
		t.Errorf("assigned %s", have)
	}
	_, _, err := n.call(alice, "AssignPrivateNatGatewayAddress", &api.AssignPrivateNatGatewayAddressRequest{NatGatewayId: g.NatGatewayId, PrivateIpAddressCount: api.Ptr[int32](1)})
	refused(t, err, "PrivateIpAddressLimitExceeded", "PrivateIpAddresses")
	_, _, err = n.call(alice, "AssociateNatGatewayAddress", &api.AssociateNatGatewayAddressRequest{NatGatewayId: g.NatGatewayId, AllocationIds: []string{n.allocate().AllocationId}})
	refused(t, err, "InvalidParameterValue", "NatGatewayId")
	for _, a := range []string{g.NatGatewayAddresses[0].PrivateIp, "10.0.1.222"} {
		_, _, err = n.call(alice, "UnassignPrivateNatGatewayAddress", &api.UnassignPrivateNatGatewayAddressRequest{NatGatewayId: g.NatGatewayId, PrivateIpAddresses: []string{a}})
		refused(t, err, "InvalidParameterValue", "PrivateIpAddresses.0")
	}
	gone := do[api.UnassignPrivateNatGatewayAddressResult](n.bench, &api.UnassignPrivateNatGatewayAddressRequest{NatGatewayId: g.NatGatewayId, PrivateIpAddresses: []string{"10.0.1.200"}})
	if have := natLines(api.NatGateway{NatGatewayAddresses: gone.NatGatewayAddresses}); have != "10.0.1.200 unassigning" || len(n.nat(g.NatGatewayId).NatGatewayAddresses) != 7 {
		t.Errorf("unassigned %s", have)
	}
	checkInvariants(t, n.store.Snapshot())
}

// TestAllocatedForANatGateway: the address that came with a gateway goes with it,
// and no other does.
func TestAllocatedForANatGateway(t *testing.T) {
	n := newNats(t)
	g := n.create(api.CreateNatGatewayRequest{AllocateAddress: api.Ptr(true)})
	second := n.allocate().AllocationId
	do[api.AssociateNatGatewayAddressResult](n.bench, &api.AssociateNatGatewayAddressRequest{NatGatewayId: g.NatGatewayId, AllocationIds: []string{second}})
	do[api.DeleteNatGatewayResult](n.bench, &api.DeleteNatGatewayRequest{NatGatewayId: g.NatGatewayId})
	left := do[api.DescribeAddressesResult](n.bench, &api.DescribeAddressesRequest{}).Addresses
	if len(left) != 1 || left[0].AllocationId != second || left[0].AssociationId != "" {
		t.Errorf("left are %+v", left)
	}
	checkInvariants(t, n.store.Snapshot())
}

// TestNatGatewayWithoutAHost stays pending.
func TestNatGatewayWithoutAHost(t *testing.T) {
	n := newNats(t)
	n.host, n.Service.host = nil, nil
	g := n.private()
	n.applied(g.NatGatewayAddresses[0].NetworkInterfaceId)
	if s := n.nat(g.NatGatewayId).State; s != "pending" {
		t.Errorf("no host carries it, and it is %s", s)
	}
}
