package service

import (
	"fmt"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// routeTo is the route of a table to a destination as it is shown now.
func (b *bench) routeTo(table, cidr string) api.Route {
	b.t.Helper()
	for _, r := range do[api.DescribeRouteTablesResult](b, &api.DescribeRouteTablesRequest{RouteTableIds: []string{table}}).RouteTables[0].Routes {
		if r.DestinationCidrBlock == cidr {
			return r
		}
	}
	b.t.Fatalf("%s has no route to %s", table, cidr)
	return api.Route{}
}

// TestRouteToAnInterface: what it shows follows the workload of the interface.
func TestRouteToAnInterface(t *testing.T) {
	y := newYard(t)
	table := y.table(y.vpc.VpcId)
	eni := y.plain(y.sub.SubnetId).NetworkInterfaceId
	do[api.CreateRouteResult](y.bench, &api.CreateRouteRequest{RouteTableId: table, DestinationCidrBlock: "0.0.0.0/0", NetworkInterfaceId: eni})
	if r := y.routeTo(table, "0.0.0.0/0"); r.State != "blackhole" || r.NetworkInterfaceId != eni || r.InstanceId != "" || r.GatewayId != "" {
		t.Errorf("to an interface that nobody has: %+v", r)
	}
	got := do[api.AttachWorkloadResult](y.bench, &api.AttachWorkloadRequest{Target: "netns:fw", NetworkInterfaceId: eni})
	if r := y.routeTo(table, "0.0.0.0/0"); r.State != "active" || r.InstanceId != got.InstanceId || r.InstanceOwnerId != alice.Account {
		t.Errorf("to one of a workload: %+v", r)
	}
	if len(y.tablesBy("route.instance-id", got.InstanceId)) != 1 {
		t.Error("the filter for the instance does not find the table")
	}
	do[api.CreateRouteResult](y.bench, &api.CreateRouteRequest{RouteTableId: table, DestinationCidrBlock: "192.0.2.0/24", InstanceId: got.InstanceId})
	if r := y.routeTo(table, "192.0.2.0/24"); r.State != "active" || r.NetworkInterfaceId != eni || r.InstanceId != got.InstanceId {
		t.Errorf("to an instance: %+v", r)
	}
	do[api.DetachWorkloadResult](y.bench, &api.DetachWorkloadRequest{NetworkInterfaceId: eni})
	do[api.DeleteNetworkInterfaceResult](y.bench, &api.DeleteNetworkInterfaceRequest{NetworkInterfaceId: eni})
	if r := y.routeTo(table, "192.0.2.0/24"); r.State != "blackhole" || r.NetworkInterfaceId != eni || r.InstanceId != "" {
		t.Errorf("to one that is gone: %+v", r)
	}

	both := y.attached("docker:web", "")
	y.attached("docker:web", "eth1")
	_, _, err := y.call(alice, "CreateRoute", &api.CreateRouteRequest{RouteTableId: table, DestinationCidrBlock: "198.51.100.0/24", InstanceId: both.InstanceId})
	refused(t, err, "InvalidInstanceID", "InstanceId")
	far := y.plain(y.subnet(y.bench.vpc("10.0.0.0/16").VpcId, "10.0.1.0/24").SubnetId).NetworkInterfaceId
	_, _, err = y.call(alice, "CreateRoute", &api.CreateRouteRequest{RouteTableId: table, DestinationCidrBlock: "198.51.100.0/24", NetworkInterfaceId: far})
	refused(t, err, "InvalidParameterValue", "NetworkInterfaceId")
}

// TestRouteToANatGateway is active from the start, and a black hole for ever once
// the gateway is deleted.
func TestRouteToANatGateway(t *testing.T) {
	n := newNats(t)
	table, g := n.table(n.vpc.VpcId), n.private().NatGatewayId
	do[api.CreateRouteResult](n.bench, &api.CreateRouteRequest{RouteTableId: table, DestinationCidrBlock: "0.0.0.0/0", NatGatewayId: g})
	if r := n.routeTo(table, "0.0.0.0/0"); r.State != "active" || r.NatGatewayId != g || r.NetworkInterfaceId != "" {
		t.Errorf("to a living gateway: %+v", r)
	}
	if len(n.tablesBy("route.nat-gateway-id", g)) != 1 {
		t.Error("the filter for the gateway does not find the table")
	}
	do[api.DeleteNatGatewayResult](n.bench, &api.DeleteNatGatewayRequest{NatGatewayId: g})
	if r := n.routeTo(table, "0.0.0.0/0"); r.State != "blackhole" || r.NatGatewayId != g {
		t.Errorf("to a deleted one: %+v", r)
	}
	_, _, err := n.call(alice, "CreateRoute", &api.CreateRouteRequest{RouteTableId: table, DestinationCidrBlock: "192.0.2.0/24", NatGatewayId: g})
	refused(t, err, "InvalidNatGatewayID.NotFound", "NatGatewayId")
	other := n.table(n.vpcWithout())
	_, _, err = n.call(alice, "CreateRoute", &api.CreateRouteRequest{RouteTableId: other, DestinationCidrBlock: "192.0.2.0/24", NatGatewayId: n.private().NatGatewayId})
	refused(t, err, "InvalidParameterValue", "NatGatewayId")
}

// TestRoutesInsideTheVpc: an interface may take a whole subnet or a whole CIDR of
// the VPC, and nothing else in it.
func TestRoutesInsideTheVpc(t *testing.T) {
	n := newNats(t)
	table, eni, g := n.table(n.vpc.VpcId), n.plain(n.sub.SubnetId).NetworkInterfaceId, n.private().NatGatewayId
	for _, row := range []struct{ cidr, code string }{
		{"10.0.1.0/24", ""}, {"10.0.0.0/16", "RouteAlreadyExists"}, {"10.0.1.0/25", "InvalidParameterValue"}, {"10.0.0.0/23", "InvalidParameterValue"},
		{"10.0.1.9/32", "InvalidParameterValue"}, {"169.254.169.254/32", "InvalidParameterValue"}, {"10.0.0.0/15", ""},
	} {
		_, _, err := n.call(alice, "CreateRoute", &api.CreateRouteRequest{RouteTableId: table, DestinationCidrBlock: row.cidr, NetworkInterfaceId: eni})
		if codeOf(err) != row.code {
			t.Errorf("%s: %v, want %q", row.cidr, err, row.code)
		}
	}
	whole := func(edit func(*api.ReplaceRouteRequest)) string {
		req := &api.ReplaceRouteRequest{RouteTableId: table, DestinationCidrBlock: "10.0.0.0/16"}
		edit(req)
		do[api.ReplaceRouteResult](n.bench, req)
		r := n.routeTo(table, "10.0.0.0/16")
		return fmt.Sprint(r.GatewayId, r.NatGatewayId, r.NetworkInterfaceId, " ", r.State, " ", r.Origin)
	}
	if have := whole(func(r *api.ReplaceRouteRequest) { r.NetworkInterfaceId = eni }); have != eni+" blackhole CreateRouteTable" {
		t.Errorf("the local route leads to an interface: %s", have)
	}
	if have := whole(func(r *api.ReplaceRouteRequest) { r.NatGatewayId = g }); have != g+" active CreateRouteTable" {
		t.Errorf("the local route leads to a gateway: %s", have)
	}
	_, _, err := n.call(alice, "DeleteRoute", &api.DeleteRouteRequest{RouteTableId: table, DestinationCidrBlock: "10.0.0.0/16"})
	refused(t, err, "InvalidParameterValue", "DestinationCidrBlock")
	if have := whole(func(r *api.ReplaceRouteRequest) { r.LocalTarget = api.Ptr(true) }); have != "local active CreateRouteTable" {
		t.Errorf("the local route again: %s", have)
	}
	checkInvariants(t, n.store.Snapshot())
}
