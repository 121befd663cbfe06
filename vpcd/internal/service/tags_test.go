package service

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func manyTags(n int) []api.Tag {
	var out []api.Tag
	for i := range n {
		out = append(out, api.Tag{Key: fmt.Sprintf("k%03d", i), Value: "v"})
	}
	return out
}

func (b *bench) tagsOf(id string) string {
	b.t.Helper()
	out := ""
	for _, t := range do[api.DescribeTagsResult](b, &api.DescribeTagsRequest{Filters: []api.Filter{{Name: "resource-id", Values: []string{id}}}}).Tags {
		out += t.Key + "=" + t.Value + " "
	}
	return out
}

func TestTagsOfEveryKind(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	subnet := b.subnet(vpc.VpcId, "10.0.1.0/24")
	sn := b.store.Snapshot()
	group := groupKind.list(sn, alice)[0]
	ids := []string{
		vpc.VpcId, subnet.SubnetId, b.eni(subnet, "10.0.1.9", ""), group.Group.GroupId,
		group.Rules[0].SecurityGroupRuleId, group.Rules[1].SecurityGroupRuleId,
		b.list(1).PrefixListId, tableKind.list(sn, alice)[0].Table.RouteTableId, aclKind.list(sn, alice)[0].Acl.NetworkAclId,
	}
	do[api.CreateTagsResult](b, &api.CreateTagsRequest{Resources: ids, Tags: []api.Tag{{Key: "Name", Value: "a/b .. émoji 💥"}, {Key: "x", Value: ""}}})
	for _, id := range ids {
		if got := b.tagsOf(id); got != "Name=a/b .. émoji 💥 x= " {
			t.Errorf("%s has %q", id, got)
		}
	}
	do[api.CreateTagsResult](b, &api.CreateTagsRequest{Resources: ids[:1], Tags: []api.Tag{{Key: "x", Value: "2"}}})
	do[api.DeleteTagsResult](b, &api.DeleteTagsRequest{Resources: ids, Tags: []api.DeletedTag{{Key: "Name"}, {Key: "x", Value: api.Ptr("")}, {Key: "absent"}}})
	if got := b.tagsOf(ids[0]); got != "x=2 " {
		t.Errorf("vpc has %q", got)
	}
	if got := b.tagsOf(ids[1]); got != "" {
		t.Errorf("a tag with an empty value is left where that one is named: %q", got)
	}
	do[api.DeleteTagsResult](b, &api.DeleteTagsRequest{Resources: ids})
	if left := do[api.DescribeTagsResult](b, &api.DescribeTagsRequest{}).Tags; len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
}

func TestTagLimitCountsWhatIsThere(t *testing.T) {
	b := newBench(t)
	id := b.vpc("10.0.0.0/16").VpcId
	do[api.CreateTagsResult](b, &api.CreateTagsRequest{Resources: []string{id}, Tags: manyTags(50)})
	do[api.CreateTagsResult](b, &api.CreateTagsRequest{Resources: []string{id}, Tags: manyTags(50)[:1]})
	_, _, err := b.call(alice, "CreateTags", &api.CreateTagsRequest{Resources: []string{id}, Tags: []api.Tag{{Key: "one more"}}})
	refused(t, err, "TagLimitExceeded", "Tags")
}

func TestTagsOfAnotherAccount(t *testing.T) {
	b := newBench(t)
	id := b.vpc("10.0.0.0/16").VpcId
	do[api.CreateTagsResult](b, &api.CreateTagsRequest{Resources: []string{id}, Tags: manyTags(1)})
	b.unchanged(t, func() {
		_, _, err := b.call(bob, "DeleteTags", &api.DeleteTagsRequest{Resources: []string{id}})
		refused(t, err, "InvalidVpcID.NotFound", "Resources.0")
	})
	res, _, err := b.call(bob, "DescribeTags", &api.DescribeTagsRequest{})
	if err != nil || len(res.(*api.DescribeTagsResult).Tags) != 0 {
		t.Errorf("bob sees %+v %v", res, err)
	}
}

func TestDescribeTagsFilters(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	subnet := b.subnet(vpc.VpcId, "10.0.1.0/24")
	do[api.CreateTagsResult](b, &api.CreateTagsRequest{Resources: []string{vpc.VpcId, subnet.SubnetId}, Tags: []api.Tag{{Key: "Name", Value: "one"}, {Key: "env", Value: "two"}}})
	for _, row := range []struct {
		name, value string
		want        int
	}{
		{"resource-type", "vpc", 2}, {"resource-type", "*", 4}, {"key", "Name", 2}, {"value", "t?o", 2}, {"resource-id", subnet.SubnetId, 2}, {"tag:env", "two", 2}, {"tag-key", "Name", 2}, {"key", "name", 0},
	} {
		got := do[api.DescribeTagsResult](b, &api.DescribeTagsRequest{Filters: []api.Filter{{Name: row.name, Values: []string{row.value}}}}).Tags
		if len(got) != row.want {
			t.Errorf("%s=%s gives %+v", row.name, row.value, got)
		}
	}
}

func TestMergeTagsLeavesItsInput(t *testing.T) {
	have := []api.Tag{{Key: "b", Value: "1"}, {Key: "a", Value: "1"}}
	got := mergeTags(have, []api.Tag{{Key: "b", Value: "2"}})
	if !reflect.DeepEqual(got, []api.Tag{{Key: "a", Value: "1"}, {Key: "b", Value: "2"}}) || have[0].Value != "1" || nameTag(got) != "" {
		t.Errorf("merged %+v, input now %+v", got, have)
	}
}
