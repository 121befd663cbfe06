package service

import (
	"fmt"
	"slices"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// testGateway is an internet gateway of alice, where a test plants it.
const testGateway = "igw-00000000000000001"

// plantGateway writes testGateway: attached to these VPCs, more than one of which
// no call could reach.
func (b *bench) plantGateway(vpcs ...string) {
	b.t.Helper()
	g := api.InternetGateway{InternetGatewayId: testGateway, OwnerId: alice.Account}
	for _, id := range vpcs {
		g.Attachments = append(g.Attachments, api.InternetGatewayAttachment{State: gatewayAvailable, VpcId: id})
	}
	b.put(record.Gateways+testGateway, &record.Gateway{Gateway: g})
}

// routable is a VPC with testGateway, and a table of it.
func (b *bench) routable() (vpcID, table string) {
	b.t.Helper()
	vpcID = b.vpc("10.0.0.0/16").VpcId
	b.plantGateway(vpcID)
	return vpcID, b.table(vpcID)
}

// routesOf are the routes of a table as DESTINATION TARGET STATE.
func (b *bench) routesOf(tableID string) []string {
	b.t.Helper()
	var out []string
	for _, r := range do[api.DescribeRouteTablesResult](b, &api.DescribeRouteTablesRequest{RouteTableIds: []string{tableID}}).RouteTables[0].Routes {
		out = append(out, fmt.Sprintf("%s%s %s %s", r.DestinationCidrBlock, r.DestinationPrefixListId, r.GatewayId, r.State))
	}
	return out
}

// route is a valid request, which edit changes.
func route(table, cidr string, edit ...func(*api.CreateRouteRequest)) *api.CreateRouteRequest {
	req := &api.CreateRouteRequest{RouteTableId: table, DestinationCidrBlock: cidr, GatewayId: testGateway}
	for _, e := range edit {
		e(req)
	}
	return req
}

func listRoute(table, list string) *api.CreateRouteRequest {
	return &api.CreateRouteRequest{RouteTableId: table, DestinationPrefixListId: list, GatewayId: testGateway}
}

func TestRoutesComeAndGo(t *testing.T) {
	b := newBench(t)
	_, table := b.routable()
	const local = "10.0.0.0/16 local active"
	for _, cidr := range []string{"0.0.0.0/0", "192.0.2.77/24", "10.0.0.0/15", "203.0.113.9/32"} {
		if res := do[api.CreateRouteResult](b, route(table, cidr)); !api.Val(res.Return) {
			t.Errorf("%s: %+v", cidr, res)
		}
	}
	list := b.list(3).PrefixListId
	do[api.CreateRouteResult](b, listRoute(table, list))
	want := []string{local, "0.0.0.0/0 igw-00000000000000001 active", "192.0.2.0/24 igw-00000000000000001 active", "10.0.0.0/15 igw-00000000000000001 active",
		"203.0.113.9/32 igw-00000000000000001 active", list + " igw-00000000000000001 active"}
	if got := b.routesOf(table); !slices.Equal(got, want) {
		t.Errorf("routes %q", got)
	}
	if len(b.tablesBy("route.gateway-id", testGateway)) != 1 || len(b.tablesBy("route.destination-prefix-list-id", list)) != 1 || len(b.tablesBy("route.origin", "CreateRoute")) != 1 {
		t.Error("filters do not find the routes")
	}
	b.unchanged(t, func() {
		for _, req := range []*api.CreateRouteRequest{route(table, "0.0.0.0/0"), route(table, "192.0.2.1/24")} {
			_, _, err := b.call(alice, "CreateRoute", req)
			refused(t, err, "RouteAlreadyExists", "DestinationCidrBlock")
		}
		_, _, err := b.call(alice, "CreateRoute", listRoute(table, list))
		refused(t, err, "RouteAlreadyExists", "DestinationPrefixListId")
		_, _, err = b.call(alice, "DeleteRoute", &api.DeleteRouteRequest{RouteTableId: table, DestinationCidrBlock: "198.51.100.0/24"})
		refused(t, err, "InvalidRoute.NotFound", "DestinationCidrBlock")
		_, _, err = b.call(alice, "DeleteRoute", &api.DeleteRouteRequest{RouteTableId: table, DestinationCidrBlock: "10.0.0.0/16"})
		refused(t, err, "InvalidParameterValue", "DestinationCidrBlock")
		_, _, err = b.call(alice, "ReplaceRoute", &api.ReplaceRouteRequest{RouteTableId: table, DestinationCidrBlock: "198.51.100.0/24", GatewayId: testGateway})
		refused(t, err, "InvalidParameterValue", "DestinationCidrBlock")
	})
	for _, req := range []*api.DeleteRouteRequest{{DestinationCidrBlock: "0.0.0.0/0"}, {DestinationCidrBlock: "192.0.2.1/24"}, {DestinationPrefixListId: list},
		{DestinationCidrBlock: "10.0.0.0/15"}, {DestinationCidrBlock: "203.0.113.9/32"}} {
		req.RouteTableId = table
		do[api.DeleteRouteResult](b, req)
	}
	if got := b.routesOf(table); !slices.Equal(got, []string{local}) {
		t.Errorf("routes left: %q", got)
	}
}

// TestRouteState: it follows from the gateway, and the route stays.
func TestRouteState(t *testing.T) {
	b := newBench(t)
	vpc, table := b.routable()
	other := b.vpc("10.0.0.0/16").VpcId
	do[api.CreateRouteResult](b, route(table, "0.0.0.0/0"))
	state := func(want string) {
		t.Helper()
		have := b.routesOf(table)[1]
		if found := len(b.tablesBy("route.state", "blackhole")); have != "0.0.0.0/0 "+testGateway+" "+want || found != map[string]int{"active": 0, "blackhole": 1}[want] {
			t.Errorf("%s, %d tables with a blackhole; want %s", have, found, want)
		}
	}
	state("active")
	do[api.DetachInternetGatewayResult](b, &api.DetachInternetGatewayRequest{InternetGatewayId: testGateway, VpcId: vpc})
	state("blackhole")
	do[api.AttachInternetGatewayResult](b, &api.AttachInternetGatewayRequest{InternetGatewayId: testGateway, VpcId: other})
	state("blackhole")
	b.unchanged(t, func() {
		_, _, err := b.call(alice, "CreateRoute", route(table, "192.0.2.0/24"))
		refused(t, err, "InvalidParameterValue", "GatewayId")
	})
	do[api.DetachInternetGatewayResult](b, &api.DetachInternetGatewayRequest{InternetGatewayId: testGateway, VpcId: other})
	do[api.AttachInternetGatewayResult](b, &api.AttachInternetGatewayRequest{InternetGatewayId: testGateway, VpcId: vpc})
	state("active")
	do[api.DetachInternetGatewayResult](b, &api.DetachInternetGatewayRequest{InternetGatewayId: testGateway, VpcId: vpc})
	do[api.DeleteInternetGatewayResult](b, &api.DeleteInternetGatewayRequest{InternetGatewayId: testGateway})
	state("blackhole")
	b.unchanged(t, func() {
		_, _, err := b.call(alice, "CreateRoute", route(table, "192.0.2.0/24"))
		refused(t, err, "InvalidGatewayID.NotFound", "GatewayId")
	})
	do[api.DeleteRouteResult](b, &api.DeleteRouteRequest{RouteTableId: table, DestinationCidrBlock: "0.0.0.0/0"})
}

func TestReplaceRoutes(t *testing.T) {
	b := newBench(t)
	vpc, table := b.routable()
	do[api.CreateRouteResult](b, route(table, "0.0.0.0/0"))
	do[api.DetachInternetGatewayResult](b, &api.DetachInternetGatewayRequest{InternetGatewayId: testGateway, VpcId: vpc})
	other := b.gateway(vpc)
	do[api.ReplaceRouteResult](b, &api.ReplaceRouteRequest{RouteTableId: table, DestinationCidrBlock: "0.0.0.0/0", GatewayId: other})
	do[api.ReplaceRouteResult](b, &api.ReplaceRouteRequest{RouteTableId: table, DestinationCidrBlock: "10.0.9.9/16", LocalTarget: api.Ptr(true)})
	if got := b.routesOf(table); !slices.Equal(got, []string{"10.0.0.0/16 local active", "0.0.0.0/0 " + other + " active"}) {
		t.Errorf("routes %q", got)
	}
	b.unchanged(t, func() {
		for _, row := range []struct {
			edit  func(*api.ReplaceRouteRequest)
			code  string
			field string
		}{
			{func(r *api.ReplaceRouteRequest) { r.LocalTarget = api.Ptr(true) }, "InvalidParameterCombination", "LocalTarget"},
			{func(r *api.ReplaceRouteRequest) { r.LocalTarget, r.GatewayId = api.Ptr(true), "" }, "InvalidParameterValue", "LocalTarget"},
			{func(r *api.ReplaceRouteRequest) { r.DestinationCidrBlock = "10.0.0.0/16" }, "InvalidParameterValue", "DestinationCidrBlock"},
			{func(r *api.ReplaceRouteRequest) { r.GatewayId = "local" }, "InvalidGatewayID.NotFound", "GatewayId"},
			{func(r *api.ReplaceRouteRequest) { r.GatewayId = "" }, "MissingParameter", "GatewayId"},
			{func(r *api.ReplaceRouteRequest) { r.GatewayId, r.NatGatewayId = "", "nat-00000000000000001" }, "InvalidNatGatewayID.NotFound", "NatGatewayId"},
		} {
			req := &api.ReplaceRouteRequest{RouteTableId: table, DestinationCidrBlock: "0.0.0.0/0", GatewayId: testGateway}
			row.edit(req)
			_, _, err := b.call(alice, "ReplaceRoute", req)
			refused(t, err, row.code, row.field)
		}
	})
}

func TestRouteRefusals(t *testing.T) {
	b := newBench(t)
	vpc, table := b.routable()
	do[api.AssociateVpcCidrBlockResult](b, &api.AssociateVpcCidrBlockRequest{VpcId: vpc, CidrBlock: "10.1.0.0/16"})
	b.subnet(vpc, "10.0.1.0/24")
	cidr := func(s string) func(*api.CreateRouteRequest) {
		return func(r *api.CreateRouteRequest) { r.DestinationCidrBlock = s }
	}
	to := func(id string) func(*api.CreateRouteRequest) {
		return func(r *api.CreateRouteRequest) { r.GatewayId = id }
	}
	const dest, gateway = "DestinationCidrBlock", "GatewayId"
	b.unchanged(t, func() {
		for i, row := range []struct {
			edit        func(*api.CreateRouteRequest)
			code, field string
		}{
			{cidr(""), "MissingParameter", dest},
			{cidr("192.0.2.0"), "InvalidParameterValue", dest},
			{cidr("192.0.2.0/33"), "InvalidParameterValue", dest},
			{cidr("::/0"), "InvalidParameterValue", dest},
			{cidr("10.0.0.0/16"), "InvalidParameterValue", dest},
			{cidr("10.0.1.0/24"), "InvalidParameterValue", dest},
			{cidr("10.1.2.3/32"), "InvalidParameterValue", dest},
			{cidr("169.254.168.0/22"), "InvalidParameterValue", dest},
			{cidr("169.254.169.254/32"), "InvalidParameterValue", dest},
			{func(r *api.CreateRouteRequest) { r.DestinationIpv6CidrBlock = "::/0" }, "InvalidParameterCombination", dest},
			{func(r *api.CreateRouteRequest) { r.DestinationPrefixListId = "pl-00000000000000001" }, "InvalidParameterCombination", dest},
			{func(r *api.CreateRouteRequest) { r.DestinationCidrBlock, r.DestinationIpv6CidrBlock = "", "::/0" }, "UnsupportedOperation", "DestinationIpv6CidrBlock"},
			{func(r *api.CreateRouteRequest) {
				r.DestinationCidrBlock, r.DestinationPrefixListId = "", "pl-0123456789abcdef0"
			}, "InvalidPrefixListID.NotFound", "DestinationPrefixListId"},
			{func(r *api.CreateRouteRequest) { r.DestinationCidrBlock, r.DestinationPrefixListId = "", "office" }, "InvalidPrefixListId.Malformed", "DestinationPrefixListId"},
			{to(""), "MissingParameter", gateway},
			{to("local"), "InvalidGatewayID.NotFound", gateway},
			{to("igw-0123456789abcdef0"), "InvalidGatewayID.NotFound", gateway},
			{to("nat-0123456789abcdef0"), "InvalidGatewayID.NotFound", gateway},
			{to("x\x00"), "InvalidGatewayID.NotFound", gateway},
			{func(r *api.CreateRouteRequest) { r.NatGatewayId = "nat-0123456789abcdef0" }, "InvalidParameterCombination", "NatGatewayId"},
			{func(r *api.CreateRouteRequest) { r.NetworkInterfaceId = "eni-0123456789abcdef0" }, "InvalidParameterCombination", "NetworkInterfaceId"},
			{func(r *api.CreateRouteRequest) { r.GatewayId, r.NatGatewayId = "", "nat-0123456789abcdef0" }, "InvalidNatGatewayID.NotFound", "NatGatewayId"},
			{func(r *api.CreateRouteRequest) { r.GatewayId, r.NatGatewayId = "", "nat-1" }, "NatGatewayMalformed", "NatGatewayId"},
			{func(r *api.CreateRouteRequest) { r.GatewayId, r.NetworkInterfaceId = "", "eni-0123456789abcdef0" }, "InvalidNetworkInterfaceID.NotFound", "NetworkInterfaceId"},
			{func(r *api.CreateRouteRequest) { r.GatewayId, r.InstanceId = "", "i-0123456789abcdef0" }, "InvalidInstanceID.NotFound", "InstanceId"},
			{func(r *api.CreateRouteRequest) { r.CoreNetworkArn = "x" }, "UnsupportedOperation", "CoreNetworkArn"},
			{func(r *api.CreateRouteRequest) { r.RouteTableId = "rtb-0123456789abcdef0" }, "InvalidRouteTableID.NotFound", "RouteTableId"},
		} {
			_, _, err := b.call(alice, "CreateRoute", route(table, "192.0.2.0/24", row.edit))
			if codeOf(err) != row.code {
				t.Errorf("row %d", i)
			}
			refused(t, err, row.code, row.field)
		}
	})
	// What covers the VPC, or the reserved addresses, is a route like others.
	for _, wide := range []string{"0.0.0.0/0", "10.0.0.0/15", "169.254.0.0/16", "169.254.164.0/22"} {
		do[api.CreateRouteResult](b, route(table, wide))
	}
}

// TestRouteLimit: local routes do not count, lists count with their size.
func TestRouteLimit(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Limits = map[string]int64{string(limitRoutes): 5} })
	_, table := b.routable()
	list := b.list(3).PrefixListId
	do[api.CreateRouteResult](b, listRoute(table, list))
	do[api.CreateRouteResult](b, route(table, "192.0.2.0/24"))
	do[api.CreateRouteResult](b, route(table, "192.0.3.0/24"))
	b.unchanged(t, func() {
		_, _, err := b.call(alice, "CreateRoute", route(table, "192.0.4.0/24"))
		refused(t, err, "RouteLimitExceeded", "RouteTableId")
		_, _, err = b.call(alice, "ModifyManagedPrefixList", &api.ModifyManagedPrefixListRequest{PrefixListId: list, MaxEntries: api.Ptr[int32](4)})
		if e := refused(t, err, "RouteLimitExceeded", "MaxEntries"); len(e.BlockedBy) != 1 || e.BlockedBy[0].Id != table {
			t.Errorf("blocked by %+v", e.BlockedBy)
		}
	})
	do[api.ReplaceRouteResult](b, &api.ReplaceRouteRequest{RouteTableId: table, DestinationPrefixListId: list, GatewayId: testGateway})
	do[api.DeleteRouteResult](b, &api.DeleteRouteRequest{RouteTableId: table, DestinationCidrBlock: "192.0.3.0/24"})
	do[api.ModifyManagedPrefixListResult](b, &api.ModifyManagedPrefixListRequest{PrefixListId: list, MaxEntries: api.Ptr[int32](4)})
}

// TestRoutesNameLists: a list with a route stays, and says who names it.
func TestRoutesNameLists(t *testing.T) {
	b := newBench(t)
	_, table := b.routable()
	list := b.list(3).PrefixListId
	do[api.CreateRouteResult](b, listRoute(table, list))
	users := do[api.GetManagedPrefixListAssociationsResult](b, &api.GetManagedPrefixListAssociationsRequest{PrefixListId: list}).PrefixListAssociations
	if !slices.Equal(users, []api.PrefixListAssociation{{ResourceId: table, ResourceOwner: alice.Account}}) {
		t.Errorf("associations %+v", users)
	}
	b.unchanged(t, func() {
		_, _, err := b.call(alice, "DeleteManagedPrefixList", &api.DeleteManagedPrefixListRequest{PrefixListId: list})
		if e := refused(t, err, "DependencyViolation", "PrefixListId"); len(e.BlockedBy) != 1 || e.BlockedBy[0].Kind != "rt" || e.BlockedBy[0].Id != table {
			t.Errorf("blocked by %+v", e.BlockedBy)
		}
	})
	do[api.DeleteRouteTableResult](b, &api.DeleteRouteTableRequest{RouteTableId: table})
	do[api.DeleteManagedPrefixListResult](b, &api.DeleteManagedPrefixListRequest{PrefixListId: list})
}

// TestRoutesBetween: what changes while a route is made is seen.
func TestRoutesBetween(t *testing.T) {
	type world struct{ vpc, table, list string }
	add := func(w world) any { return route(w.table, "10.1.1.0/24") }
	follow := func(w world) any { return listRoute(w.table, w.list) }
	widen := func(w world) any { return &api.AssociateVpcCidrBlockRequest{VpcId: w.vpc, CidrBlock: "10.1.0.0/16"} }
	remove := func(w world) any { return &api.DeleteManagedPrefixListRequest{PrefixListId: w.list} }
	grow := func(w world) any {
		return &api.ModifyManagedPrefixListRequest{PrefixListId: w.list, MaxEntries: api.Ptr[int32](501)}
	}
	for _, row := range []struct {
		name         string
		outer, inner func(world) any
		code, field  string
	}{
		{"its destination becomes the VPC's", add, widen, "InvalidParameterValue", "DestinationCidrBlock"},
		{"a new CIDR gets a route", widen, add, "InvalidVpc.Range", "CidrBlock"},
		{"its list goes", follow, remove, "InvalidPrefixListID.NotFound", "DestinationPrefixListId"},
		{"a list being deleted gets a route", remove, follow, "DependencyViolation", "PrefixListId"},
		{"its list grows", follow, grow, "RouteLimitExceeded", "RouteTableId"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b, interrupt := between(t)
			vpc, table := b.routable()
			w := world{vpc, table, b.list(60).PrefixListId}
			interrupt(func() {
				if _, _, err := b.call(alice, actionOf(row.inner(w)), row.inner(w)); err != nil {
					t.Errorf("the inner call: %v", err)
				}
			})
			_, _, err := b.call(alice, actionOf(row.outer(w)), row.outer(w))
			refused(t, err, row.code, row.field)
		})
	}
}
