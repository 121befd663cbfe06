package service

import (
	"errors"
	"slices"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// localTarget is what a route that stays inside the VPC has as its gateway.
const localTarget = "local"

// target is where a route leads: exactly one is set.
type target struct {
	gateway, nat, eni, instance, peering string
	local                                bool
}

// checkTarget wants exactly one target, of a kind that is built.
func checkTarget(req *api.ReplaceRouteRequest) (target, error) {
	t := target{gateway: req.GatewayId, nat: req.NatGatewayId, eni: req.NetworkInterfaceId, instance: req.InstanceId, peering: req.VpcPeeringConnectionId, local: api.Val(req.LocalTarget)}
	if err := unsupported(
		param{"VpcEndpointId", req.VpcEndpointId != ""},
		param{"EgressOnlyInternetGatewayId", req.EgressOnlyInternetGatewayId != ""},
		param{"TransitGatewayId", req.TransitGatewayId != ""},
		param{"LocalGatewayId", req.LocalGatewayId != ""},
		param{"CarrierGatewayId", req.CarrierGatewayId != ""},
		param{"CoreNetworkArn", req.CoreNetworkArn != ""},
	); err != nil {
		return t, err
	}
	given := []param{
		{"GatewayId", t.gateway != ""}, {"NatGatewayId", t.nat != ""}, {"NetworkInterfaceId", t.eni != ""}, {"InstanceId", t.instance != ""}, {"VpcPeeringConnectionId", t.peering != ""}, {"LocalTarget", t.local},
	}
	given = slices.DeleteFunc(given, func(p param) bool { return !p.set })
	switch {
	case len(given) == 0:
		return t, api.Errorf("MissingParameter", "GatewayId", "the request must contain exactly one target: GatewayId, the id of an internet gateway, NatGatewayId, NetworkInterfaceId, InstanceId or VpcPeeringConnectionId")
	case len(given) > 1:
		last := given[len(given)-1].name
		return t, api.Errorf("InvalidParameterCombination", last, "a route has one target: set %s or %s", given[0].name, last)
	}
	return t, nil
}

// into writes the target into a route.
func (t target) into(r *api.Route) {
	r.GatewayId, r.NatGatewayId, r.NetworkInterfaceId, r.VpcPeeringConnectionId = t.gateway, t.nat, t.eni, t.peering
	if t.local {
		r.GatewayId = localTarget
	}
}

// inside says whether a route to a part of the VPC may have the target.
func (t target) inside() bool { return t.gateway == "" && t.peering == "" && !t.local }

// resolveTarget says whether a table may have a route to the target, and what
// the table then has: of an instance it is its only interface. Codes beside
// those of the ids: InvalidParameterValue for what is in another VPC,
// InvalidInstanceID for an instance of several interfaces.
func (c *change) resolveTarget(table *record.RouteTable, t target) (target, error) {
	vpcID := table.Table.VpcId
	switch {
	case t.local:
		return t, nil
	case t.peering != "":
		return t, c.checkPeeringTarget(table, t.peering)
	case t.nat != "":
		n, err := routeNat(c.tx, c.caller, t.nat)
		if err != nil {
			return t, err
		}
		if n.Gateway.VpcId != vpcID {
			return t, otherNetwork("NatGatewayId", table, "NAT gateway", t.nat)
		}
		return t, nil
	case t.gateway != "":
		attached, err := routeGateway(c.tx, c.caller, vpcID, t.gateway)
		if err == nil && !attached {
			err = otherNetwork("GatewayId", table, "network gateway", t.gateway)
		}
		return t, err
	case t.instance != "":
		eni, err := c.onlyInterface(t.instance)
		if err != nil {
			return t, err
		}
		t = target{eni: eni.Interface.NetworkInterfaceId}
	}
	eni, err := getInterface(c.tx, c.caller, t.eni)
	if err == nil && eni.Interface.VpcId != vpcID {
		err = otherNetwork("NetworkInterfaceId", table, "interface", t.eni)
	}
	return t, err
}

// onlyInterface is that of an instance which has one.
func (c *change) onlyInterface(instanceID string) (*record.NetworkInterface, error) {
	instance, err := getInstance(c.tx, c.caller, instanceID)
	if err != nil {
		return nil, err
	}
	enis := interfacesOf(c.tx.Peek(), instance.InstanceId)
	if len(enis) != 1 {
		return nil, api.Errorf("InvalidInstanceID", "InstanceId", "there are %d interfaces attached to instance '%s': specify an interface ID for the operation instead", len(enis), instance.InstanceId)
	}
	return enis[0], nil
}

// routeNat is the living NAT gateway that a route names. For routes EC2 has a
// code of its own for one that is not there.
func routeNat(r store.Reader, caller Caller, id string) (*record.NatGateway, error) {
	n, err := getNat(r, caller, id)
	var known *api.Error
	if errors.As(err, &known) && known.Code != natKind.notFound {
		return nil, err
	}
	if err != nil || !n.Alive() {
		return nil, api.Errorf("InvalidNatGatewayID.NotFound", "NatGatewayId", "the natGateway ID '%s' does not exist; DescribeNatGateways lists those that are pending or available", id)
	}
	return n, nil
}

// routeGateway says whether the internet gateway that a route names is attached to
// the table's VPC. Its only error is InvalidGatewayID.NotFound, which EC2 also
// answers to ids of another form.
func routeGateway(r store.Reader, caller Caller, vpcID, id string) (attached bool, err error) {
	if wellFormed(id, "igw-") {
		if g, err := getGateway(r, caller, id); err == nil {
			return g.AttachedTo(vpcID), nil
		}
	}
	e := api.Errorf("InvalidGatewayID.NotFound", "GatewayId", "the gateway ID %s does not exist; a route leads to an internet gateway that is attached to its VPC", quote(id))
	return false, hinted(e, "vpc igw list")
}

// routeState is what a route does at the moment: active, or blackhole where its
// target is gone. It is asked for whenever a route is shown, and the planner asks
// the same of its own records.
func routeState(r store.Reader, table *api.RouteTable, route *api.Route) string {
	active := false
	switch {
	case route.VpcPeeringConnectionId != "":
		active = peeredFrom(r, route.VpcPeeringConnectionId, table.VpcId)
	case route.NatGatewayId != "":
		n, _ := store.Get[*record.NatGateway](r, record.Nats+route.NatGatewayId)
		active = n.Alive() && n.Gateway.VpcId == table.VpcId
	case route.NetworkInterfaceId != "":
		eni, ok := store.Get[*record.NetworkInterface](r, record.Interfaces+route.NetworkInterfaceId)
		active = ok && eni.InUse() && eni.Interface.VpcId == table.VpcId
	default:
		active = route.GatewayId == localTarget || gatewayAttached(r, route.GatewayId, table.VpcId)
	}
	if active {
		return api.RouteStateActive
	}
	return api.RouteStateBlackhole
}

// shownRoute adds to a route what follows from its target at the moment: its
// state, and the workload that has the interface it leads to.
func shownRoute(r store.Reader, table *api.RouteTable, route *api.Route) {
	route.State = routeState(r, table, route)
	if eni, ok := store.Get[*record.NetworkInterface](r, record.Interfaces+route.NetworkInterfaceId); ok && eni.Attached != nil {
		a := api.Val(eni.Interface.Attachment)
		route.InstanceId, route.InstanceOwnerId = a.InstanceId, a.InstanceOwnerId
	}
}
