package service

import (
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// localTarget is what a route that stays inside the VPC has as its gateway.
const localTarget = "local"

// routeGateway says whether the internet gateway that a route names is attached to
// the table's VPC. Its only error is InvalidGatewayID.NotFound, which EC2 also
// answers to ids of another form.
func routeGateway(r store.Reader, caller Caller, vpcID, id string) (attached bool, err error) {
	if wellFormed(id, "igw-") {
		if g, err := getGateway(r, caller, id); err == nil {
			return g.AttachedTo(vpcID), nil
		}
	}
	return false, api.Errorf("InvalidGatewayID.NotFound", "GatewayId", "the gateway ID %s does not exist; a route leads to an internet gateway that is attached to its VPC", quote(id))
}

// routeState is what a route does at the moment: active, or blackhole where its
// target is gone. It is asked for whenever a route is shown, and the planner asks
// the same of its own records.
func routeState(r store.Reader, table *api.RouteTable, route *api.Route) string {
	if route.GatewayId == localTarget || gatewayAttached(r, route.GatewayId, table.VpcId) {
		return api.RouteStateActive
	}
	return api.RouteStateBlackhole
}
