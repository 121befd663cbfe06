package service

import (
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// group makes a security group and returns its id.
func (b *bench) group(vpcID, name string) string {
	b.t.Helper()
	return do[api.CreateSecurityGroupResult](b, &api.CreateSecurityGroupRequest{GroupName: name, Description: "d", VpcId: vpcID}).GroupId
}

func (b *bench) described(groupID string) api.SecurityGroup {
	b.t.Helper()
	return do[api.DescribeSecurityGroupsResult](b, &api.DescribeSecurityGroupsRequest{GroupIds: []string{groupID}}).SecurityGroups[0]
}

// defaultGroupOf is the id of the group that came with a VPC.
func (b *bench) defaultGroupOf(vpcID string) string {
	b.t.Helper()
	groups := do[api.DescribeSecurityGroupsResult](b, &api.DescribeSecurityGroupsRequest{Filters: []api.Filter{
		{Name: "vpc-id", Values: []string{vpcID}}, {Name: "group-name", Values: []string{"default"}},
	}}).SecurityGroups
	if len(groups) != 1 {
		b.t.Fatalf("%d default groups in %s", len(groups), vpcID)
	}
	return groups[0].GroupId
}

// tcp is one permission for one port.
func tcp(port int32, cidrs ...string) api.IpPermission {
	p := api.IpPermission{IpProtocol: "tcp", FromPort: &port, ToPort: &port}
	for _, c := range cidrs {
		p.IpRanges = append(p.IpRanges, api.IpRange{CidrIp: c})
	}
	return p
}

func fromGroups(ids ...string) api.IpPermission {
	p := api.IpPermission{IpProtocol: "-1"}
	for _, id := range ids {
		p.UserIdGroupPairs = append(p.UserIdGroupPairs, api.UserIdGroupPair{GroupId: id})
	}
	return p
}

func TestNewGroup(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	res := do[api.CreateSecurityGroupResult](b, &api.CreateSecurityGroupRequest{
		GroupName: "web  ", Description: "web servers", VpcId: vpc.VpcId,
		TagSpecifications: tagSpec("security-group", api.Tag{Key: "k", Value: "v"}),
	})
	g := b.described(res.GroupId)
	if g.GroupName != "web" || g.Description != "web servers" || g.VpcId != vpc.VpcId || g.OwnerId != alice.Account || len(g.Tags) != 1 || len(res.Tags) != 1 {
		t.Errorf("group is %+v", g)
	}
	if len(g.IpPermissions) != 0 || len(g.IpPermissionsEgress) != 1 || g.IpPermissionsEgress[0].IpProtocol != "-1" ||
		g.IpPermissionsEgress[0].FromPort != nil || g.IpPermissionsEgress[0].IpRanges[0].CidrIp != "0.0.0.0/0" {
		t.Errorf("a new group has ingress %+v, egress %+v", g.IpPermissions, g.IpPermissionsEgress)
	}
	other := b.group(vpc.VpcId, "db")
	first, ok := store.Get[*record.SecurityGroup](b.store.Snapshot(), record.Groups+res.GroupId)
	second, ok2 := store.Get[*record.SecurityGroup](b.store.Snapshot(), record.Groups+other)
	if !ok || !ok2 || first.Index == 0 || first.Index == second.Index {
		t.Errorf("indices %+v %+v", first, second)
	}
}

func TestDefaultGroup(t *testing.T) {
	b := newBench(t)
	id := b.defaultGroupOf(b.vpc("10.0.0.0/16").VpcId)
	g := b.described(id)
	in, out := g.IpPermissions, g.IpPermissionsEgress
	if len(in) != 1 || in[0].IpProtocol != "-1" || len(in[0].UserIdGroupPairs) != 1 || in[0].UserIdGroupPairs[0].GroupId != id || len(in[0].IpRanges) != 0 {
		t.Errorf("ingress is %+v", in)
	}
	if len(out) != 1 || out[0].IpProtocol != "-1" || len(out[0].IpRanges) != 1 || out[0].IpRanges[0].CidrIp != "0.0.0.0/0" {
		t.Errorf("egress is %+v", out)
	}
	_, _, err := b.call(alice, "DeleteSecurityGroup", &api.DeleteSecurityGroupRequest{GroupId: id})
	refused(t, err, "CannotDelete", "GroupId")
	do[api.RevokeSecurityGroupIngressResult](b, &api.RevokeSecurityGroupIngressRequest{GroupId: id, IpPermissions: in})
	if left := b.described(id).IpPermissions; len(left) != 0 {
		t.Errorf("the default group cannot be edited: %+v", left)
	}
}

func TestCreateGroupRefusals(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Limits = map[string]int64{"sgs": 3} })
	vpc := b.vpc("10.0.0.0/16")
	b.group(vpc.VpcId, "web")
	for _, row := range []struct {
		name, description, vpc string
		code, field            string
	}{
		{"default", "d", vpc.VpcId, "InvalidGroup.Reserved", "GroupName"},
		{"default  ", "d", vpc.VpcId, "InvalidGroup.Reserved", "GroupName"},
		{"", "d", vpc.VpcId, "MissingParameter", "GroupName"},
		{"   ", "d", vpc.VpcId, "MissingParameter", "GroupName"},
		{"x", "", vpc.VpcId, "MissingParameter", "Description"},
		{"sg-web", "d", vpc.VpcId, "InvalidParameterValue", "GroupName"},
		{"a\nb", "d", vpc.VpcId, "InvalidParameterValue", "GroupName"},
		{"a\x00", "d", vpc.VpcId, "InvalidParameterValue", "GroupName"},
		{"\u202eweb", "d", vpc.VpcId, "InvalidParameterValue", "GroupName"},
		{"é", "d", vpc.VpcId, "InvalidParameterValue", "GroupName"},
		{"%00", "d", vpc.VpcId, "InvalidParameterValue", "GroupName"},
		{strings.Repeat("x", 256), "d", vpc.VpcId, "InvalidParameterValue", "GroupName"},
		{"x", strings.Repeat("d", 256), vpc.VpcId, "InvalidParameterValue", "Description"},
		{"x", "d\x1b[31m", vpc.VpcId, "InvalidParameterValue", "Description"},
		{"web", "d", vpc.VpcId, "InvalidGroup.Duplicate", "GroupName"},
		{"web ", "d", vpc.VpcId, "InvalidGroup.Duplicate", "GroupName"},
		{"x", "d", "", "VPCIdNotSpecified", "VpcId"},
		{"x", "d", "vpc-1", "InvalidVpcID.Malformed", "VpcId"},
		{"x", "d", "vpc-00000000", "InvalidVpcID.NotFound", "VpcId"},
	} {
		b.unchanged(t, func() {
			_, _, err := b.call(alice, "CreateSecurityGroup", &api.CreateSecurityGroupRequest{GroupName: row.name, Description: row.description, VpcId: row.vpc})
			refused(t, err, row.code, row.field)
		})
	}
	for _, name := range []string{"..", "../x", "a/b", "-rf", "$(id)", "0x"} {
		id := b.group(vpc.VpcId, name)
		do[api.DeleteSecurityGroupResult](b, &api.DeleteSecurityGroupRequest{GroupId: id})
	}
	b.group(vpc.VpcId, "third")
	b.unchanged(t, func() {
		_, _, err := b.call(alice, "CreateSecurityGroup", &api.CreateSecurityGroupRequest{GroupName: "fourth", Description: "d", VpcId: vpc.VpcId})
		refused(t, err, "SecurityGroupLimitExceeded", "")
		_, _, err = b.call(bob, "CreateSecurityGroup", &api.CreateSecurityGroupRequest{GroupName: "x", Description: "d", VpcId: vpc.VpcId})
		refused(t, err, "InvalidVpcID.NotFound", "VpcId")
		_, _, err = b.call(alice, "CreateSecurityGroup", &api.CreateSecurityGroupRequest{GroupName: "x", Description: "d", VpcId: vpc.VpcId, TagSpecifications: tagSpec("vpc", api.Tag{Key: "k"})})
		refused(t, err, "InvalidParameterValue", "TagSpecifications.0.ResourceType")
	})
}

func TestGroupDryRun(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	id := b.group(vpc.VpcId, "web")
	dry := api.Ptr(true)
	b.unchanged(t, func() {
		for name, req := range map[string]any{
			"CreateSecurityGroup":           &api.CreateSecurityGroupRequest{GroupName: "x", Description: "d", VpcId: vpc.VpcId, DryRun: dry},
			"DeleteSecurityGroup":           &api.DeleteSecurityGroupRequest{GroupId: id, DryRun: dry},
			"AuthorizeSecurityGroupIngress": &api.AuthorizeSecurityGroupIngressRequest{GroupId: id, IpPermissions: []api.IpPermission{tcp(80, "0.0.0.0/0")}, DryRun: dry},
			"AuthorizeSecurityGroupEgress":  &api.AuthorizeSecurityGroupEgressRequest{GroupId: id, IpPermissions: []api.IpPermission{tcp(80, "0.0.0.0/0")}, DryRun: dry},
			"RevokeSecurityGroupEgress":     &api.RevokeSecurityGroupEgressRequest{GroupId: id, IpPermissions: b.described(id).IpPermissionsEgress, DryRun: dry},
			"DescribeSecurityGroups":        &api.DescribeSecurityGroupsRequest{DryRun: dry},
			"DescribeSecurityGroupRules":    &api.DescribeSecurityGroupRulesRequest{DryRun: dry},
		} {
			_, _, err := b.call(alice, name, req)
			refused(t, err, "DryRunOperation", "")
		}
	})
}

func TestDeleteGroup(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	sub := b.subnet(vpc.VpcId, "10.0.1.0/24")
	web, db := b.group(vpc.VpcId, "web"), b.group(vpc.VpcId, "db")
	eni := do[api.CreateNetworkInterfaceResult](b, &api.CreateNetworkInterfaceRequest{SubnetId: sub.SubnetId, Groups: []string{web}}).NetworkInterface
	do[api.AuthorizeSecurityGroupIngressResult](b, &api.AuthorizeSecurityGroupIngressRequest{GroupId: db, IpPermissions: []api.IpPermission{fromGroups(web)}})
	// A rule about the group itself does not keep it.
	do[api.AuthorizeSecurityGroupIngressResult](b, &api.AuthorizeSecurityGroupIngressRequest{GroupId: web, IpPermissions: []api.IpPermission{fromGroups(web)}})
	b.unchanged(t, func() {
		_, _, err := b.call(alice, "DeleteSecurityGroup", &api.DeleteSecurityGroupRequest{GroupId: web, GroupName: "db"})
		refused(t, err, "InvalidParameterCombination", "GroupName")
		_, _, err = b.call(alice, "DeleteSecurityGroup", &api.DeleteSecurityGroupRequest{GroupId: web})
		e := refused(t, err, "DependencyViolation", "GroupId")
		if len(e.BlockedBy) != 2 || e.BlockedBy[0].Id != eni.NetworkInterfaceId || e.BlockedBy[1].Id != db || e.BlockedBy[1].Name != "db" || e.Hint == "" {
			t.Errorf("blocked by %+v, hint %q", e.BlockedBy, e.Hint)
		}
		_, _, err = b.call(bob, "DeleteSecurityGroup", &api.DeleteSecurityGroupRequest{GroupId: web})
		refused(t, err, "InvalidGroup.NotFound", "GroupId")
		_, _, err = b.call(alice, "DeleteSecurityGroup", &api.DeleteSecurityGroupRequest{})
		refused(t, err, "MissingParameter", "GroupId")
		_, _, err = b.call(alice, "DeleteSecurityGroup", &api.DeleteSecurityGroupRequest{GroupId: "sg-x"})
		refused(t, err, "InvalidGroupId.Malformed", "GroupId")
		_, _, err = b.call(alice, "DeleteSecurityGroup", &api.DeleteSecurityGroupRequest{GroupName: "web"})
		refused(t, err, "InvalidGroup.NotFound", "GroupName")
	})
	do[api.DeleteNetworkInterfaceResult](b, &api.DeleteNetworkInterfaceRequest{NetworkInterfaceId: eni.NetworkInterfaceId})
	do[api.RevokeSecurityGroupIngressResult](b, &api.RevokeSecurityGroupIngressRequest{GroupId: db, IpPermissions: []api.IpPermission{fromGroups(web)}})
	do[api.DeleteSecurityGroupResult](b, &api.DeleteSecurityGroupRequest{GroupId: web})
	if _, ok := store.Get[*record.Tombstone](b.store.Snapshot(), record.TombstoneKey(web)); !ok {
		t.Error("no tombstone")
	}
	b.group(vpc.VpcId, "web") // the name of a deleted group is free
}

func TestDescribeGroups(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	web, db := b.group(vpc.VpcId, "web"), b.group(vpc.VpcId, "db")
	do[api.AuthorizeSecurityGroupIngressResult](b, &api.AuthorizeSecurityGroupIngressRequest{GroupId: db, IpPermissions: []api.IpPermission{fromGroups(web), tcp(5432, "10.0.0.0/8")}})
	for filter, value := range map[string]string{
		"group-id": db, "group-name": "d?", "ip-permission.cidr": "10.*", "ip-permission.from-port": "5432", "ip-permission.to-port": "5432",
		"ip-permission.protocol": "tcp", "ip-permission.group-id": web, "ip-permission.group-name": "web", "ip-permission.user-id": alice.Account,
	} {
		got := do[api.DescribeSecurityGroupsResult](b, &api.DescribeSecurityGroupsRequest{Filters: []api.Filter{
			{Name: filter, Values: []string{value}}, {Name: "vpc-id", Values: []string{vpc.VpcId}}, {Name: "group-id", Values: []string{db, web}},
		}}).SecurityGroups
		if len(got) != 1 || got[0].GroupId != db {
			t.Errorf("%s=%s: %+v", filter, value, got)
		}
	}
	if n := len(do[api.DescribeSecurityGroupsResult](b, &api.DescribeSecurityGroupsRequest{Filters: []api.Filter{{Name: "egress.ip-permission.cidr", Values: []string{"0.0.0.0/0"}}}}).SecurityGroups); n != 3 {
		t.Errorf("%d groups let everything out, want 3", n)
	}
	if got := do[api.DescribeSecurityGroupsResult](b, &api.DescribeSecurityGroupsRequest{GroupNames: []string{"web"}}).SecurityGroups; len(got) != 1 {
		t.Errorf("by name: %+v", got)
	}
	for _, row := range []struct {
		req         *api.DescribeSecurityGroupsRequest
		code, field string
	}{
		{&api.DescribeSecurityGroupsRequest{GroupNames: []string{"nope"}}, "InvalidGroup.NotFound", "GroupNames.0"},
		{&api.DescribeSecurityGroupsRequest{GroupIds: []string{web, "sg-00000000"}}, "InvalidGroup.NotFound", "GroupIds.1"},
		{&api.DescribeSecurityGroupsRequest{Filters: []api.Filter{{Name: "nope", Values: []string{"x"}}}}, "InvalidParameterValue", "Filters.0.Name"},
		{&api.DescribeSecurityGroupsRequest{NextToken: "x"}, "InvalidNextToken", "NextToken"},
	} {
		_, _, err := b.call(alice, "DescribeSecurityGroups", row.req)
		refused(t, err, row.code, row.field)
	}
	if got, _, err := b.call(bob, "DescribeSecurityGroups", &api.DescribeSecurityGroupsRequest{}); err != nil || len(got.(*api.DescribeSecurityGroupsResult).SecurityGroups) != 0 {
		t.Errorf("another account sees %+v, %v", got, err)
	}
}
