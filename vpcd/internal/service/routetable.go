package service

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// newTable is a table with the local routes of its VPC, not stored yet.
func (c *change) newTable(vpc *record.Vpc) (*record.RouteTable, error) {
	index, err := c.nextIndex("rtb")
	if err != nil {
		return nil, err
	}
	table := &record.RouteTable{Index: index, Table: api.RouteTable{
		RouteTableId: c.newID(tableKind.id), VpcId: vpc.Vpc.VpcId, OwnerId: vpc.Vpc.OwnerId,
	}}
	// The same order in all tables: a CIDR that comes later goes to the front.
	for _, cidr := range slices.Backward(vpcPrefixes(vpc)) {
		table.Table.Routes = append(table.Table.Routes, localRoute(cidr))
	}
	return table, nil
}

// newMainTable makes the table that serves every subnet without one of its own.
func (c *change) newMainTable(vpc *record.Vpc) error {
	table, err := c.newTable(vpc)
	if err != nil {
		return err
	}
	table.Table.Associations = []api.RouteTableAssociation{c.newAssociation(table, "")}
	c.putTable(table)
	return nil
}

func (c *change) putTable(table *record.RouteTable) {
	c.tx.Put(record.Tables+table.Table.RouteTableId, table)
}

// localRoute keeps a CIDR of the VPC inside it; every table has one for each.
func localRoute(cidr netip.Prefix) api.Route {
	return api.Route{DestinationCidrBlock: cidr.String(), GatewayId: localTarget, Origin: api.RouteOriginCreateRouteTable}
}

// actionCreateTable is the action as client tokens know it.
const actionCreateTable = "CreateRouteTable"

// createRouteTable makes a table with the local routes of its VPC, which serves
// no subnet. Codes: those of the VPC's id, RouteTableLimitExceeded.
func (s *Service) createRouteTable(ctx context.Context, caller Caller, req *api.CreateRouteTableRequest) (*api.CreateRouteTableResult, int64, error) {
	tags, err := specTags(req.TagSpecifications, tableKind.resourceType)
	if err != nil {
		return nil, 0, err
	}
	var made *api.RouteTable
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		id, err := c.replay(actionCreateTable, req.ClientToken, req)
		if err != nil {
			return err
		}
		if id != "" {
			table, err := getTable(c.tx, caller, id)
			if err != nil {
				return err
			}
			made = s.tableShape(c.tx.Peek(), table)
			return nil
		}
		if err := nameFree(c, tableKind, uniqueName(req.TagSpecifications, tags), "", tablesOf(req.VpcId)); err != nil {
			return err
		}
		table, err := c.addTable(req.VpcId, tags, req.ClientToken)
		if err != nil {
			return err
		}
		made = s.tableShape(c.tx.Peek(), table)
		c.remember(actionCreateTable, req.ClientToken, req, made.RouteTableId)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.CreateRouteTableResult{RouteTable: made, ClientToken: req.ClientToken}, revision, nil
}

func (c *change) addTable(vpcID string, tags []api.Tag, token string) (*record.RouteTable, error) {
	// A new CIDR changes the VPC, so that its local route is in this table too.
	vpc, err := getVpc(c.tx, c.caller, vpcID)
	if err != nil {
		return nil, err
	}
	c.guard(vpcID)
	if err := c.checkLimit(limitTables, len(contentOf(c.tx.Peek(), vpcID).tables)+1); err != nil {
		return nil, err
	}
	table, err := c.newTable(vpc)
	if err != nil {
		return nil, err
	}
	table.Table.Tags, table.ClientToken = tags, token
	c.putTable(table)
	return table, nil
}

// deleteRouteTable refuses for the main table and while a subnet has the table
// (DependencyViolation). Its routes go with it.
func (s *Service) deleteRouteTable(ctx context.Context, caller Caller, req *api.DeleteRouteTableRequest) (*api.DeleteRouteTableResult, int64, error) {
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		table, err := getTable(c.tx, caller, req.RouteTableId)
		if err != nil {
			return err
		}
		if err := tableUnused(c.tx.Peek(), table); err != nil {
			return err
		}
		c.guard(table.Table.VpcId)
		c.forget(table.ClientToken, actionCreateTable)
		c.drop(record.Tables, req.RouteTableId, table.Index)
		return nil
	})
	return &api.DeleteRouteTableResult{}, revision, err
}

// tableUnused names what a table serves. Who that is stands in the table, which
// the caller has read guarded; r only gives the names.
func tableUnused(r store.Reader, table *record.RouteTable) error {
	const field = "RouteTableId"
	id, vpcID := table.Table.RouteTableId, table.Table.VpcId
	if isMain(table) {
		return &api.Error{
			Code: "DependencyViolation", Field: field, BlockedBy: []api.Blocker{{Kind: "vpc", Id: vpcID}},
			Message: fmt.Sprintf("the routeTable '%s' has dependencies and cannot be deleted: it is the main route table of %s", id, vpcID),
			Hint:    "make another table the main one first: vpc rt replace TABLE --main",
		}
	}
	users := tableUsers(r, table)
	if len(users) == 0 {
		return nil
	}
	return &api.Error{
		Code: "DependencyViolation", Field: field, BlockedBy: users,
		Message: fmt.Sprintf("the routeTable '%s' has dependencies and cannot be deleted: %s", id, blockerIDs(users)),
		Hint:    "vpc rt disassociate --subnet " + users[0].Id,
	}
}

// tableUsers are the subnets that name a table.
func tableUsers(r store.Reader, table *record.RouteTable) []api.Blocker {
	var out []api.Blocker
	for _, a := range table.Table.Associations {
		if a.SubnetId == "" {
			continue
		}
		b := api.Blocker{Kind: "subnet", Id: a.SubnetId}
		if subnet, ok := store.Get[*record.Subnet](r, record.Subnets+a.SubnetId); ok {
			b.Name = nameTag(subnet.Subnet.Tags)
		}
		out = append(out, b)
	}
	return out
}
