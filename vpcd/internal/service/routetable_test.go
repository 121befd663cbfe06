package service

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// tablesBy are the tables that a filter keeps.
func (b *bench) tablesBy(filter, value string) []api.RouteTable {
	b.t.Helper()
	return do[api.DescribeRouteTablesResult](b, &api.DescribeRouteTablesRequest{Filters: []api.Filter{{Name: filter, Values: []string{value}}}}).RouteTables
}

// mainTable is the main table of a VPC and the association that makes it so.
func (b *bench) mainTable(vpcID string) (table, association string) {
	b.t.Helper()
	for _, t := range b.tablesBy("vpc-id", vpcID) {
		for _, a := range t.Associations {
			if api.Val(a.Main) {
				return t.RouteTableId, a.RouteTableAssociationId
			}
		}
	}
	b.t.Fatalf("%s has no main table", vpcID)
	return "", ""
}

func (b *bench) table(vpcID string) string {
	b.t.Helper()
	return do[api.CreateRouteTableResult](b, &api.CreateRouteTableRequest{VpcId: vpcID}).RouteTable.RouteTableId
}

func (b *bench) associateTable(tableID, subnetID string) string {
	b.t.Helper()
	return do[api.AssociateRouteTableResult](b, &api.AssociateRouteTableRequest{RouteTableId: tableID, SubnetId: subnetID}).AssociationId
}

// tableOf is the table that a subnet names, "" for none.
func (b *bench) tableOf(subnetID string) string {
	b.t.Helper()
	for _, t := range b.tablesBy("association.subnet-id", subnetID) {
		return t.RouteTableId
	}
	return ""
}

func TestNewRouteTable(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	do[api.AssociateVpcCidrBlockResult](b, &api.AssociateVpcCidrBlockRequest{VpcId: vpc.VpcId, CidrBlock: "10.1.0.0/16"})
	res := do[api.CreateRouteTableResult](b, &api.CreateRouteTableRequest{VpcId: vpc.VpcId, ClientToken: "t", TagSpecifications: tagSpec("route-table", api.Tag{Key: "Name", Value: "private"})})
	table := res.RouteTable
	if table.VpcId != vpc.VpcId || table.OwnerId != alice.Account || nameTag(table.Tags) != "private" || res.ClientToken != "t" || len(table.Associations) != 0 {
		t.Errorf("created %+v", table)
	}
	local := func(cidr string) api.Route {
		return api.Route{DestinationCidrBlock: cidr, GatewayId: "local", Origin: "CreateRouteTable", State: "active"}
	}
	if want := []api.Route{local("10.1.0.0/16"), local("10.0.0.0/16")}; !slices.Equal(table.Routes, want) {
		t.Errorf("routes %+v", table.Routes)
	}
	for _, other := range b.tablesBy("vpc-id", vpc.VpcId) {
		if !slices.Equal(other.Routes, table.Routes) {
			t.Errorf("%s has other routes: %+v", other.RouteTableId, other.Routes)
		}
	}
	if tables := b.tablesBy("association.main", "false"); len(tables) != 0 {
		t.Errorf("a table without an association is one that is not main: %+v", tables)
	}
}

func TestTableLimit(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Limits = map[string]int64{string(limitTables): 3} })
	one, two := b.vpc("10.0.0.0/16"), b.vpc("10.0.0.0/16")
	b.table(one.VpcId)
	b.table(one.VpcId)
	b.table(two.VpcId)
	b.unchanged(t, func() {
		_, _, err := b.call(alice, "CreateRouteTable", &api.CreateRouteTableRequest{VpcId: one.VpcId})
		refused(t, err, "RouteTableLimitExceeded", "VpcId")
	})
	for name, value := range map[string]int64{"routes-per-table": 1001, "tables-per-vpc": -2} {
		if CheckLimit(name, value) == nil {
			t.Errorf("%s can be %d", name, value)
		}
	}
	if err := CheckLimit("routes-per-table", 1000); err != nil {
		t.Error(err)
	}
	if codeOf(CheckLimit("routes-per-table", unlimited)) != "InvalidParameterValue" {
		t.Error("a table can have any number of routes")
	}
}

func TestAssociateTables(t *testing.T) {
	b := newBench(t)
	vpc, other := b.vpc("10.0.0.0/16"), b.vpc("10.0.0.0/16")
	web, db := b.subnet(vpc.VpcId, "10.0.1.0/24").SubnetId, b.subnet(vpc.VpcId, "10.0.2.0/24").SubnetId
	one, two := b.table(vpc.VpcId), b.table(vpc.VpcId)
	main, _ := b.mainTable(vpc.VpcId)
	if b.tableOf(web) != "" {
		t.Error("a new subnet names a table")
	}
	id := b.associateTable(one, web)
	b.associateTable(one, db)
	b.unchangedButGuards(t, func() {
		if again := b.associateTable(one, web); again != id {
			t.Errorf("the same association has two ids, %s and %s", id, again)
		}
	})
	want := api.RouteTableAssociation{Main: api.Ptr(false), RouteTableAssociationId: id, RouteTableId: one, SubnetId: web, AssociationState: associated()}
	if got := b.tablesBy("association.route-table-association-id", id); len(got) != 1 || !reflect.DeepEqual(got[0].Associations[0], want) {
		t.Errorf("described as %+v", got)
	}
	b.unchanged(t, func() {
		_, _, err := b.call(alice, "AssociateRouteTable", &api.AssociateRouteTableRequest{RouteTableId: two, SubnetId: web})
		if e := refused(t, err, "Resource.AlreadyAssociated", "SubnetId"); len(e.BlockedBy) != 1 || e.BlockedBy[0].Id != one {
			t.Errorf("not by the table that it has: %+v", e)
		}
		_, _, err = b.call(alice, "AssociateRouteTable", &api.AssociateRouteTableRequest{RouteTableId: b.anyTable(other.VpcId), SubnetId: web})
		refused(t, err, "InvalidParameterValue", "SubnetId")
		_, _, err = b.call(alice, "AssociateRouteTable", &api.AssociateRouteTableRequest{RouteTableId: two})
		refused(t, err, "MissingParameter", "SubnetId")
		_, _, err = b.call(alice, "AssociateRouteTable", &api.AssociateRouteTableRequest{RouteTableId: two, GatewayId: "igw-00000000000000001"})
		refused(t, err, "UnsupportedOperation", "GatewayId")
		_, _, err = b.call(alice, "DeleteRouteTable", &api.DeleteRouteTableRequest{RouteTableId: one})
		if e := refused(t, err, "DependencyViolation", "RouteTableId"); len(e.BlockedBy) != 2 || e.BlockedBy[0].Id != web || e.BlockedBy[1].Id != db {
			t.Errorf("blocked by %+v", e.BlockedBy)
		}
		_, _, err = b.call(alice, "DeleteRouteTable", &api.DeleteRouteTableRequest{RouteTableId: main})
		refused(t, err, "DependencyViolation", "RouteTableId")
	})
	// The main table may be named like any other.
	do[api.DisassociateRouteTableResult](b, &api.DisassociateRouteTableRequest{AssociationId: id})
	b.associateTable(main, web)
	if b.tableOf(web) != main {
		t.Error("a subnet cannot name the main table")
	}
	do[api.DeleteSubnetResult](b, &api.DeleteSubnetRequest{SubnetId: db})
	do[api.DeleteRouteTableResult](b, &api.DeleteRouteTableRequest{RouteTableId: one})
	if n := b.dump()[record.TombstoneKey(one)]; n == 0 {
		t.Error("a deleted table leaves no tombstone")
	}
	checkInvariants(t, b.store.Snapshot())
}

// anyTable is the main table of a VPC.
func (b *bench) anyTable(vpcID string) string {
	id, _ := b.mainTable(vpcID)
	return id
}

// unchangedButGuards is unchanged for what serialises by a guard before it finds
// out that there is nothing to do.
func (b *bench) unchangedButGuards(t testing.TB, fn func()) {
	t.Helper()
	dump := func() map[string]int64 {
		out := b.dump()
		maps.DeleteFunc(out, func(key string, _ int64) bool { return strings.HasPrefix(key, record.Guards) })
		return out
	}
	before := dump()
	fn()
	if after := dump(); !maps.Equal(before, after) {
		t.Errorf("the store has changed:\nbefore %v\nafter  %v", before, after)
	}
}

func TestReplaceTableAssociations(t *testing.T) {
	b := newBench(t)
	vpc, other := b.vpc("10.0.0.0/16"), b.vpc("10.0.0.0/16")
	web := b.subnet(vpc.VpcId, "10.0.1.0/24").SubnetId
	one, two := b.table(vpc.VpcId), b.table(vpc.VpcId)
	replace := func(id, table string) (string, error) {
		res, _, err := b.call(alice, "ReplaceRouteTableAssociation", &api.ReplaceRouteTableAssociationRequest{AssociationId: id, RouteTableId: table})
		if err != nil {
			return "", err
		}
		return res.(*api.ReplaceRouteTableAssociationResult).NewAssociationId, nil
	}
	id := b.associateTable(one, web)
	moved, err := replace(id, two)
	if err != nil || moved == id || b.tableOf(web) != two {
		t.Errorf("replaced: %s, %v; %s has %s", moved, err, web, b.tableOf(web))
	}
	if same, err := replace(moved, two); err != nil || same != moved {
		t.Errorf("replaced by itself: %s, %v", same, err)
	}
	first, main := b.mainTable(vpc.VpcId)
	made, err := replace(main, one)
	if now, association := b.mainTable(vpc.VpcId); err != nil || now != one || association != made || made == main {
		t.Errorf("the main table is %s by %s: %v", now, association, err)
	}
	b.unchanged(t, func() {
		for _, row := range []struct{ id, table, code, field string }{
			{id, one, "InvalidAssociationID.NotFound", "AssociationId"},
			{main, one, "InvalidAssociationID.NotFound", "AssociationId"},
			{"aclassoc-00000000000000001", one, "InvalidAssociationID.Malformed", "AssociationId"},
			{"", one, "MissingParameter", "AssociationId"},
			{moved, b.anyTable(other.VpcId), "InvalidParameterValue", "RouteTableId"},
			{made, b.anyTable(other.VpcId), "InvalidParameterValue", "RouteTableId"},
		} {
			_, err := replace(row.id, row.table)
			refused(t, err, row.code, row.field)
		}
		_, _, err := b.call(alice, "DisassociateRouteTable", &api.DisassociateRouteTableRequest{AssociationId: made})
		refused(t, err, "InvalidParameterValue", "AssociationId")
		_, _, err = b.call(alice, "DisassociateRouteTable", &api.DisassociateRouteTableRequest{AssociationId: id})
		refused(t, err, "InvalidAssociationID.NotFound", "AssociationId")
		_, _, err = b.call(alice, "DeleteRouteTable", &api.DeleteRouteTableRequest{RouteTableId: one})
		refused(t, err, "DependencyViolation", "RouteTableId")
	})
	// The table that was the main one is one like others, and goes no more with
	// its VPC.
	do[api.DisassociateRouteTableResult](b, &api.DisassociateRouteTableRequest{AssociationId: moved})
	do[api.DeleteSubnetResult](b, &api.DeleteSubnetRequest{SubnetId: web})
	_, _, err = b.call(alice, "DeleteVpc", &api.DeleteVpcRequest{VpcId: vpc.VpcId})
	if e := refused(t, err, "DependencyViolation", "VpcId"); len(e.BlockedBy) != 2 {
		t.Errorf("blocked by %+v, want the two tables", e.BlockedBy)
	}
	do[api.DeleteRouteTableResult](b, &api.DeleteRouteTableRequest{RouteTableId: first})
	do[api.DeleteRouteTableResult](b, &api.DeleteRouteTableRequest{RouteTableId: two})
	do[api.DeleteVpcResult](b, &api.DeleteVpcRequest{VpcId: vpc.VpcId})
	checkInvariants(t, b.store.Snapshot())
}

// TestOneOfManyTablesWins: a subnet is in one table, whoever asks at once.
func TestOneOfManyTablesWins(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	web := b.subnet(vpc.VpcId, "10.0.1.0/24").SubnetId
	var tables []string
	for range 6 {
		tables = append(tables, b.table(vpc.VpcId))
	}
	got := together(len(tables), func(i int) error {
		_, _, err := b.call(alice, "AssociateRouteTable", &api.AssociateRouteTableRequest{RouteTableId: tables[i], SubnetId: web})
		return err
	})
	if got[""] != 1 || got["Resource.AlreadyAssociated"] != 5 {
		t.Errorf("answers %v", got)
	}
	checkInvariants(t, b.store.Snapshot())
	_, main := b.mainTable(vpc.VpcId)
	got = together(len(tables), func(i int) error {
		_, _, err := b.call(alice, "ReplaceRouteTableAssociation", &api.ReplaceRouteTableAssociationRequest{RouteTableId: tables[i], AssociationId: main})
		return err
	})
	if got[""] != 1 || got["InvalidAssociationID.NotFound"] != 5 {
		t.Errorf("answers %v", got)
	}
	checkInvariants(t, b.store.Snapshot())
}
