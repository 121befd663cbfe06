package service

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

func TestCreateVpcMakesWhatEveryVpcHas(t *testing.T) {
	b := newBench(t)
	res := do[api.CreateVpcResult](b, &api.CreateVpcRequest{CidrBlock: "10.0.7.9/16", TagSpecifications: tagSpec("vpc", api.Tag{Key: "Name", Value: "prod"})})
	if res.Vpc.CidrBlock != "10.0.0.0/16" || res.Vpc.State != "pending" || nameTag(res.Vpc.Tags) != "prod" || res.Vpc.OwnerId != alice.Account {
		t.Errorf("vpc %+v", res.Vpc)
	}
	id := res.Vpc.VpcId
	byVpc := []api.Filter{{Name: "vpc-id", Values: []string{id}}}

	tables := do[api.DescribeRouteTablesResult](b, &api.DescribeRouteTablesRequest{Filters: append(byVpc, api.Filter{Name: "association.main", Values: []string{"true"}})}).RouteTables
	if len(tables) != 1 || len(tables[0].Routes) != 1 || !reflect.DeepEqual(tables[0].Routes[0], api.Route{
		DestinationCidrBlock: "10.0.0.0/16", GatewayId: "local", Origin: "CreateRouteTable", State: "active",
	}) {
		t.Errorf("main table %+v", tables)
	}
	acls := do[api.DescribeNetworkAclsResult](b, &api.DescribeNetworkAclsRequest{Filters: append(byVpc, api.Filter{Name: "default", Values: []string{"true"}})}).NetworkAcls
	var entries []string
	for _, e := range acls[0].Entries {
		entries = append(entries, fmt.Sprintf("%v %d %s %s %s", *e.Egress, *e.RuleNumber, e.RuleAction, e.Protocol, e.CidrBlock))
	}
	want := []string{"true 100 allow -1 0.0.0.0/0", "true 32767 deny -1 0.0.0.0/0", "false 100 allow -1 0.0.0.0/0", "false 32767 deny -1 0.0.0.0/0"}
	if !reflect.DeepEqual(entries, want) {
		t.Errorf("default ACL has %q", entries)
	}
	groups := groupKind.list(b.store.Snapshot(), alice)
	if len(groups) != 1 || groups[0].Group.GroupName != "default" || len(groups[0].Rules) != 2 {
		t.Errorf("default group %+v", groups)
	}
}

func TestDeleteVpcTakesItsDefaultsAndLeavesTombstones(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	do[api.DeleteVpcResult](b, &api.DeleteVpcRequest{VpcId: vpc.VpcId})
	tombs := 0
	for key := range b.dump() {
		switch {
		case strings.HasPrefix(key, record.Tombstones):
			tombs++
		case strings.HasPrefix(key, record.Counters):
		default:
			t.Errorf("left behind: %s", key)
		}
	}
	if tombs != 4 {
		t.Errorf("%d tombstones, want those of vpc, table, ACL and group", tombs)
	}
	_, _, err := b.call(alice, "DeleteVpc", &api.DeleteVpcRequest{VpcId: vpc.VpcId})
	refused(t, err, "InvalidVpcID.NotFound", "VpcId")
}

func TestDeleteVpcNamesEveryDependant(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	web := do[api.CreateSubnetResult](b, &api.CreateSubnetRequest{VpcId: vpc.VpcId, CidrBlock: "10.0.1.0/24",
		TagSpecifications: tagSpec("subnet", api.Tag{Key: "Name", Value: "web"})}).Subnet
	b.eni(web, "10.0.1.4", "docker:web1")
	b.eni(web, "10.0.1.5", "docker:web2")
	group := do[api.CreateSecurityGroupResult](b, &api.CreateSecurityGroupRequest{VpcId: vpc.VpcId, GroupName: "g", Description: "d"}).GroupId
	b.put(record.Tables+"rtb-11111111", &record.RouteTable{Table: api.RouteTable{RouteTableId: "rtb-11111111", VpcId: vpc.VpcId, OwnerId: alice.Account}})
	b.put(record.Acls+"acl-11111111", &record.NetworkAcl{Acl: api.NetworkAcl{NetworkAclId: "acl-11111111", VpcId: vpc.VpcId, OwnerId: alice.Account}})
	b.unchanged(t, func() {
		_, _, err := b.call(alice, "DeleteVpc", &api.DeleteVpcRequest{VpcId: vpc.VpcId})
		e := refused(t, err, "DependencyViolation", "VpcId")
		want := []api.Blocker{
			{Kind: "subnet", Id: web.SubnetId, Name: "web", Detail: "2 endpoints: docker:web1, docker:web2"},
			{Kind: "sg", Id: group, Name: "g"},
			{Kind: "rt", Id: "rtb-11111111"},
			{Kind: "acl", Id: "acl-11111111"},
		}
		if !reflect.DeepEqual(e.BlockedBy, want) {
			t.Errorf("blocked by %+v", e.BlockedBy)
		}
	})
}

func TestVpcLimit(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Limits = map[string]int64{"vpcs": 2} })
	b.vpc("10.0.0.0/16")
	b.vpc("10.0.0.0/16")
	_, _, err := b.call(alice, "CreateVpc", &api.CreateVpcRequest{CidrBlock: "10.0.0.0/16"})
	if e := refused(t, err, "VpcLimitExceeded", ""); e.Hint != "vpc limits vpcs=3" {
		t.Errorf("hint %q", e.Hint)
	}
	// Limits are per account, a call can raise them, and -1 lifts them.
	if _, _, err := b.call(bob, "CreateVpc", &api.CreateVpcRequest{CidrBlock: "10.0.0.0/16"}); err != nil {
		t.Error(err)
	}
	do[api.ModifyLimitResult](b, &api.ModifyLimitRequest{Name: "vpcs", Value: api.Ptr(int64(-1))})
	for range 5 {
		b.vpc("10.0.0.0/16")
	}
	for _, l := range do[api.DescribeLimitsResult](b, &api.DescribeLimitsRequest{}).Limits {
		if l.Name == "vpcs" && (*l.Value != -1 || *l.Default != 2) {
			t.Errorf("limit %s is %d, default %d", l.Name, *l.Value, *l.Default)
		}
	}
}

func TestModifyLimitRefuses(t *testing.T) {
	b := newBench(t)
	for _, row := range []struct {
		name  string
		value int64
		field string
	}{{"vpc", 3, "Name"}, {"../vpcs", 3, "Name"}, {"vpcs", -2, "Value"}} {
		b.unchanged(t, func() {
			_, _, err := b.call(alice, "ModifyLimit", &api.ModifyLimitRequest{Name: row.name, Value: api.Ptr(row.value)})
			refused(t, err, "InvalidParameterValue", row.field)
		})
	}
}

func TestVpcAttributes(t *testing.T) {
	b := newBench(t)
	id := b.vpc("10.0.0.0/16").VpcId
	show := func() string {
		get := func(name string) *api.DescribeVpcAttributeResult {
			return do[api.DescribeVpcAttributeResult](b, &api.DescribeVpcAttributeRequest{VpcId: id, Attribute: name})
		}
		return fmt.Sprint(*get("enableDnsSupport").EnableDnsSupport.Value, *get("enableDnsHostnames").EnableDnsHostnames.Value,
			*get("enableNetworkAddressUsageMetrics").EnableNetworkAddressUsageMetrics.Value)
	}
	if got := show(); got != "true false false" {
		t.Errorf("new VPC: %s", got)
	}
	do[api.ModifyVpcAttributeResult](b, &api.ModifyVpcAttributeRequest{VpcId: id, EnableDnsHostnames: flag(true)})
	do[api.ModifyVpcAttributeResult](b, &api.ModifyVpcAttributeRequest{VpcId: id, EnableNetworkAddressUsageMetrics: flag(true)})
	do[api.ModifyVpcAttributeResult](b, &api.ModifyVpcAttributeRequest{VpcId: id, EnableDnsHostnames: flag(false)})
	do[api.ModifyVpcAttributeResult](b, &api.ModifyVpcAttributeRequest{VpcId: id, EnableDnsSupport: flag(false)})
	if got := show(); got != "false false true" {
		t.Errorf("after the changes: %s", got)
	}
	for _, row := range []struct {
		req         api.ModifyVpcAttributeRequest
		code, field string
	}{
		{api.ModifyVpcAttributeRequest{}, "MissingParameter", ""},
		{api.ModifyVpcAttributeRequest{EnableDnsSupport: flag(true), EnableDnsHostnames: flag(true)}, "InvalidParameterCombination", "EnableDnsHostnames"},
		{api.ModifyVpcAttributeRequest{EnableDnsSupport: &api.AttributeBooleanValue{}}, "MissingParameter", "EnableDnsSupport.Value"},
		{api.ModifyVpcAttributeRequest{EnableDnsHostnames: flag(true)}, "InvalidParameterCombination", "EnableDnsHostnames"},
	} {
		row.req.VpcId = id
		b.unchanged(t, func() {
			_, _, err := b.call(alice, "ModifyVpcAttribute", &row.req)
			refused(t, err, row.code, row.field)
		})
	}
}

func TestVpcOptions(t *testing.T) {
	b := newBench(t)
	id := b.vpc("10.0.0.0/16").VpcId
	do[api.ModifyVpcOptionsResult](b, &api.ModifyVpcOptionsRequest{VpcId: id, Revocation: "cut"})
	if v, _ := store.Get[*record.Vpc](b.store.Snapshot(), record.Vpcs+id); v.Revocation != "cut" {
		t.Errorf("revocation is %q", v.Revocation)
	}
	_, _, err := b.call(alice, "ModifyVpcOptions", &api.ModifyVpcOptionsRequest{VpcId: id, Revocation: "maybe"})
	refused(t, err, "InvalidParameterValue", "Revocation")
	_, _, err = b.call(alice, "ModifyVpcOptions", &api.ModifyVpcOptionsRequest{VpcId: id})
	refused(t, err, "MissingParameter", "Revocation")
}

func TestVpcIsPendingUntilHostsKnowIt(t *testing.T) {
	b := newBench(t)
	report := func(applied int64) {
		b.put(record.Statuses+"h1", &record.HostStatus{Host: api.Host{HostName: "h1", AppliedRevision: &applied}})
	}
	report(0)
	res, revision, err := b.call(alice, "CreateVpc", &api.CreateVpcRequest{CidrBlock: "10.0.0.0/16"})
	if err != nil {
		t.Fatal(err)
	}
	state := func() string {
		return do[api.DescribeVpcsResult](b, &api.DescribeVpcsRequest{VpcIds: []string{res.(*api.CreateVpcResult).Vpc.VpcId}}).Vpcs[0].State
	}
	if state() != "pending" {
		t.Errorf("state is %s before any host has it", state())
	}
	report(revision)
	if state() != "available" {
		t.Errorf("state is %s when all hosts have it", state())
	}
}

func TestDescribeVpcs(t *testing.T) {
	b := newBench(t)
	one := do[api.CreateVpcResult](b, &api.CreateVpcRequest{CidrBlock: "10.0.0.0/16", TagSpecifications: tagSpec("vpc", api.Tag{Key: "Name", Value: "prod"}, api.Tag{Key: "team", Value: "a"})}).Vpc
	two := do[api.CreateVpcResult](b, &api.CreateVpcRequest{CidrBlock: "10.1.0.0/16", TagSpecifications: tagSpec("vpc", api.Tag{Key: "Name", Value: "dev"})}).Vpc
	association := one.CidrBlockAssociationSet[0].AssociationId
	both := []string{one.VpcId, two.VpcId}
	filter := func(pairs ...string) []api.Filter {
		var out []api.Filter
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, api.Filter{Name: pairs[i], Values: strings.Split(pairs[i+1], ",")})
		}
		return out
	}
	for _, row := range []struct {
		filters []api.Filter
		want    []string
	}{
		{nil, both},
		{filter("vpc-id", one.VpcId), both[:1]},
		{filter("cidr", "10.1.0.0/16"), both[1:]},
		{filter("cidr", "10.?.0.0/16"), both},
		{filter("cidr-block-association.cidr-block", "10.0*"), both[:1]},
		{filter("cidr-block-association.association-id", association), both[:1]},
		{filter("cidr-block-association.state", "associated"), both},
		{filter("state", "available"), both},
		{filter("state", "pending"), nil},
		{filter("is-default", "false"), both},
		{filter("isDefault", "true"), nil},
		{filter("owner-id", alice.Account), both},
		{filter("dhcp-options-id", "default"), both},
		{filter("tag:Name", "prod,dev"), both},
		{filter("tag:Name", "p*", "tag-key", "team"), both[:1]},
		{filter("tag:Name", "dev", "tag-key", "team"), nil},
		{filter("tag:name", "prod"), nil},
		{filter("ipv6-cidr-block-association.state", "*"), nil},
	} {
		var got []string
		for _, v := range do[api.DescribeVpcsResult](b, &api.DescribeVpcsRequest{Filters: row.filters}).Vpcs {
			got = append(got, v.VpcId)
		}
		if !reflect.DeepEqual(got, row.want) {
			t.Errorf("filters %+v give %v, want %v", row.filters, got, row.want)
		}
	}
}

// Another account's objects must not even be told from ones that never were.
func TestAnotherAccountsVpcIsNotFound(t *testing.T) {
	b := newBench(t)
	id := b.vpc("10.0.0.0/16").VpcId
	unknown := "vpc-fffffffffffffffff"
	for _, request := range []func(id string) any{
		func(id string) any { return &api.DeleteVpcRequest{VpcId: id} },
		func(id string) any { return &api.CreateSubnetRequest{VpcId: id, CidrBlock: "10.0.0.0/24"} },
		func(id string) any { return &api.AssociateVpcCidrBlockRequest{VpcId: id, CidrBlock: "10.9.0.0/16"} },
		func(id string) any { return &api.ModifyVpcAttributeRequest{VpcId: id, EnableDnsSupport: flag(false)} },
		func(id string) any {
			return &api.DescribeVpcAttributeRequest{VpcId: id, Attribute: "enableDnsSupport"}
		},
		func(id string) any { return &api.ModifyVpcOptionsRequest{VpcId: id, Revocation: "cut"} },
	} {
		b.unchanged(t, func() {
			_, _, err := b.call(bob, actionOf(request(id)), request(id))
			_, _, absent := b.call(bob, actionOf(request(unknown)), request(unknown))
			refused(t, err, "InvalidVpcID.NotFound", "VpcId")
			if got := strings.ReplaceAll(err.Error(), id, unknown); got != absent.Error() {
				t.Errorf("%s answers %q for another account's, %q for none", actionOf(request(id)), got, absent)
			}
		})
	}
	res, _, err := b.call(bob, "DescribeVpcs", &api.DescribeVpcsRequest{})
	if err != nil || len(res.(*api.DescribeVpcsResult).Vpcs) != 0 {
		t.Errorf("bob sees %+v, %v", res, err)
	}
}
