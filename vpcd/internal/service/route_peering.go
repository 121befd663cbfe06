package service

import (
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// checkPeeringTarget says whether a table may have a route to this peering: one of
// its VPC. As in EC2 the request may still wait for its answer, and the route is a
// black hole until then. Codes: those of the id, InvalidStateTransition for what
// has ended, InvalidParameterValue for a peering of other VPCs.
func (c *change) checkPeeringTarget(table *record.RouteTable, id string) error {
	p, err := c.shownPeering(c.tx, c.caller, id, peeringKind.field)
	if err != nil {
		return err
	}
	if _, ok := p.Other(table.Table.VpcId); !ok {
		return otherNetwork(peeringKind.field, table, "vpc peering connection", id)
	}
	switch state := c.peeringState(p); state {
	case peeringActive, peeringPending:
		return nil
	default:
		return api.Errorf("InvalidStateTransition", peeringKind.field, "%s is %s, and a route to it would lead nowhere: use one that is active", id, state)
	}
}

// peeredFrom says whether the peering with this id joins the VPC to another one: a
// route to it is active then, and a black hole otherwise.
func peeredFrom(r store.Reader, id, vpcID string) bool {
	p, ok := store.Get[*record.Peering](r, record.Peerings+id)
	if !ok || !p.Active() {
		return false
	}
	_, ok = p.Other(vpcID)
	return ok
}
