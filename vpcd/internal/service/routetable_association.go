package service

import (
	"context"
	"slices"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// tableAssociationPrefix starts the id of what binds a table to a subnet or,
// for the main table, to the VPC.
const tableAssociationPrefix = "rtbassoc-"

// newAssociation binds a table to a subnet, or to its VPC where that is "".
func (c *change) newAssociation(table *record.RouteTable, subnetID string) api.RouteTableAssociation {
	return api.RouteTableAssociation{
		Main:                    api.Ptr(subnetID == ""),
		RouteTableAssociationId: c.newID(tableAssociationPrefix),
		RouteTableId:            table.Table.RouteTableId,
		SubnetId:                subnetID,
		AssociationState:        associated(),
	}
}

// associated is the state of every association: there is nothing to wait for.
func associated() *api.RouteTableAssociationState {
	return &api.RouteTableAssociationState{State: api.RouteTableAssociationStateCodeAssociated}
}

// isMain says whether the table serves subnets without one of their own. Main
// is a property of an association, because another table can become main.
func isMain(table *record.RouteTable) bool {
	return slices.ContainsFunc(table.Table.Associations, func(a api.RouteTableAssociation) bool { return api.Val(a.Main) })
}

// associateRouteTable gives a subnet a table of its own. A second call for the
// same two answers with the association that there is. Codes: those of the ids,
// Resource.AlreadyAssociated for a subnet that has another table,
// InvalidParameterValue for one of another VPC, UnsupportedOperation for gateways.
func (s *Service) associateRouteTable(ctx context.Context, caller Caller, req *api.AssociateRouteTableRequest) (*api.AssociateRouteTableResult, int64, error) {
	if err := unsupported(param{"GatewayId", req.GatewayId != ""}); err != nil {
		return nil, 0, err
	}
	var id string
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		table, err := getTable(c.tx, caller, req.RouteTableId)
		if err != nil {
			return err
		}
		subnet, err := getSubnet(c.tx, caller, req.SubnetId)
		if err != nil {
			return err
		}
		if subnet.Subnet.VpcId != table.Table.VpcId {
			return otherNetwork("SubnetId", table, "subnet", req.SubnetId)
		}
		// Of two tables for one subnet at once, one comes too late.
		c.guard(table.Table.VpcId)
		had, association := associationOf(c.tx.Peek(), table.Table.VpcId, func(a api.RouteTableAssociation) bool { return a.SubnetId == req.SubnetId })
		switch {
		case had == nil:
			id = c.join(table, req.SubnetId)
		case had.Table.RouteTableId == req.RouteTableId:
			id = association.RouteTableAssociationId
		default:
			return alreadyAssociated(had, association, req)
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.AssociateRouteTableResult{AssociationId: id, AssociationState: associated()}, revision, nil
}

func alreadyAssociated(had *record.RouteTable, a api.RouteTableAssociation, req *api.AssociateRouteTableRequest) error {
	e := api.Errorf("Resource.AlreadyAssociated", "SubnetId", "the specified association for route table %s conflicts with an existing association: %s has %s by %s, which can be replaced",
		req.RouteTableId, req.SubnetId, had.Table.RouteTableId, a.RouteTableAssociationId)
	e.BlockedBy = []api.Blocker{{Kind: "rt", Id: had.Table.RouteTableId, Name: nameTag(had.Table.Tags)}}
	e.Hint = "vpc rt replace " + req.RouteTableId + " --subnet " + req.SubnetId
	return e
}

// otherNetwork refuses to bring a table together with what is not in its VPC.
func otherNetwork(field string, table *record.RouteTable, noun, id string) error {
	return api.Errorf("InvalidParameterValue", field, "route table %s and %s %s belong to different networks: both have to be of %s",
		table.Table.RouteTableId, noun, id, table.Table.VpcId)
}

// disassociateRouteTable gives a subnet back to the main table. Codes:
// InvalidAssociationID.NotFound, InvalidParameterValue for the association of
// the main table, which can only be replaced.
func (s *Service) disassociateRouteTable(ctx context.Context, caller Caller, req *api.DisassociateRouteTableRequest) (*api.DisassociateRouteTableResult, int64, error) {
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		_, gone, err := c.leave(req.AssociationId)
		if err == nil && api.Val(gone.Main) {
			return api.Errorf("InvalidParameterValue", "AssociationId", "cannot disassociate the main route table association %s: a VPC always has one; replace it instead", req.AssociationId)
		}
		return err
	})
	return &api.DisassociateRouteTableResult{}, revision, err
}

// replaceRouteTableAssociation gives a subnet another table, or a VPC another
// main table, in one step: it is never without one. The association gets a new
// id, but for a replacement by itself. Codes: InvalidAssociationID.NotFound,
// those of the table's id, InvalidParameterValue for a table of another VPC.
func (s *Service) replaceRouteTableAssociation(ctx context.Context, caller Caller, req *api.ReplaceRouteTableAssociationRequest) (*api.ReplaceRouteTableAssociationResult, int64, error) {
	var id string
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		to, err := getTable(c.tx, caller, req.RouteTableId)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(to.Table.Associations, hasID(req.AssociationId)) {
			id = req.AssociationId
			return nil
		}
		from, gone, err := c.leave(req.AssociationId)
		if err != nil {
			return err
		}
		if to.Table.VpcId != from.Table.VpcId {
			return otherNetwork("RouteTableId", from, "route table", req.RouteTableId)
		}
		id = c.join(to, gone.SubnetId)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.ReplaceRouteTableAssociationResult{NewAssociationId: id, AssociationState: associated()}, revision, nil
}

func hasID(id string) func(api.RouteTableAssociation) bool {
	return func(a api.RouteTableAssociation) bool { return a.RouteTableAssociationId == id }
}

// join associates a table with a subnet, or with its VPC where that is "", and
// returns the association's id.
func (c *change) join(table *record.RouteTable, subnetID string) string {
	association := c.newAssociation(table, subnetID)
	changed := *table
	changed.Table.Associations = slices.Concat(table.Table.Associations, []api.RouteTableAssociation{association})
	c.putTable(&changed)
	return association.RouteTableAssociationId
}

// leave ends the association with this id and returns it with the table it was
// of.
func (c *change) leave(id string) (*record.RouteTable, api.RouteTableAssociation, error) {
	const field = "AssociationId"
	var none api.RouteTableAssociation
	switch {
	case id == "":
		return nil, none, api.Errorf("MissingParameter", field, "the request must contain the parameter %s: the id of a route table association", field)
	case !wellFormed(id, tableAssociationPrefix):
		return nil, none, api.Errorf("InvalidAssociationID.Malformed", field, "invalid id %s: the id of a route table association is %s and 17 digits or letters a-f", quote(id), tableAssociationPrefix)
	}
	for _, seen := range tableKind.list(c.tx.Peek(), c.caller) {
		if !slices.ContainsFunc(seen.Table.Associations, hasID(id)) {
			continue
		}
		// The search was not guarded; this read is.
		table, err := getTable(c.tx, c.caller, seen.Table.RouteTableId)
		if err != nil {
			return nil, none, err
		}
		c.guard(table.Table.VpcId)
		i := slices.IndexFunc(table.Table.Associations, hasID(id))
		gone := table.Table.Associations[i]
		changed := *table
		changed.Table.Associations = slices.Delete(slices.Clone(table.Table.Associations), i, i+1)
		c.putTable(&changed)
		return table, gone, nil
	}
	return nil, none, api.Errorf("InvalidAssociationID.NotFound", field, "the association ID '%s' does not exist: it changes with every replacement; look it up again with DescribeRouteTables", id)
}

// associationOf finds an association of a VPC's tables, nil where there is none.
func associationOf(r store.Reader, vpcID string, is func(api.RouteTableAssociation) bool) (*record.RouteTable, api.RouteTableAssociation) {
	for _, table := range contentOf(r, vpcID).tables {
		if i := slices.IndexFunc(table.Table.Associations, is); i >= 0 {
			return table, table.Table.Associations[i]
		}
	}
	return nil, api.RouteTableAssociation{}
}

// leaveTables takes a subnet out of the table it was associated with.
func (c *change) leaveTables(vpcID, subnetID string) {
	ofSubnet := func(a api.RouteTableAssociation) bool { return a.SubnetId == subnetID }
	for _, table := range contentOf(c.tx.Peek(), vpcID).tables {
		if !slices.ContainsFunc(table.Table.Associations, ofSubnet) {
			continue
		}
		key := record.Tables + table.Table.RouteTableId
		c.tx.ModRevision(key)
		changed := *table
		changed.Table.Associations = slices.DeleteFunc(slices.Clone(table.Table.Associations), ofSubnet)
		c.tx.Put(key, &changed)
	}
}
