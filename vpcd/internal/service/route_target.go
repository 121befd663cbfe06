package service

import (
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// localTarget is what a route that stays inside the VPC has as its gateway.
const localTarget = "local"

// Gateways finds internet gateways: whether the caller has one with this id, and
// whether it is attached to this VPC. What it reads through r of a transaction is
// guarded.
type Gateways func(r store.Reader, caller Caller, vpcID, id string) (attached, found bool)

// gatewayOf is all that routes know of internet gateways: whether one is
// attached to a VPC. Its only error is InvalidGatewayID.NotFound, which EC2 also
// answers to ids of another form.
func (s *Service) gatewayOf(r store.Reader, caller Caller, vpcID, id string) (attached bool, err error) {
	if s.gateways != nil && wellFormed(id, "igw-") {
		if attached, found := s.gateways(r, caller, vpcID, id); found {
			return attached, nil
		}
	}
	return false, api.Errorf("InvalidGatewayID.NotFound", "GatewayId", "the gateway ID %s does not exist; a route leads to an internet gateway that is attached to its VPC", quote(id))
}

// routeState is what a route does at the moment: active, or blackhole where its
// target is gone. It is asked for whenever a route is shown, and the planner asks
// the same of its own records.
func (s *Service) routeState(r store.Reader, table *api.RouteTable, route *api.Route) string {
	if route.GatewayId == localTarget {
		return api.RouteStateActive
	}
	if attached, err := s.gatewayOf(r, Caller{Account: table.OwnerId}, table.VpcId, route.GatewayId); err == nil && attached {
		return api.RouteStateActive
	}
	return api.RouteStateBlackhole
}
