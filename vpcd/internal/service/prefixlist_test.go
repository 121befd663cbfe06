package service

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

func adds(cidrs ...string) []api.AddPrefixListEntry {
	var out []api.AddPrefixListEntry
	for _, c := range cidrs {
		cidr, description, _ := strings.Cut(c, "=")
		out = append(out, api.AddPrefixListEntry{Cidr: cidr, Description: description})
	}
	return out
}

func removes(cidrs ...string) []api.RemovePrefixListEntry {
	var out []api.RemovePrefixListEntry
	for _, c := range cidrs {
		out = append(out, api.RemovePrefixListEntry{Cidr: c})
	}
	return out
}

func (b *bench) list(size int32, cidrs ...string) *api.ManagedPrefixList {
	b.t.Helper()
	return do[api.CreateManagedPrefixListResult](b, &api.CreateManagedPrefixListRequest{
		PrefixListName: "office", AddressFamily: "IPv4", MaxEntries: &size, Entries: adds(cidrs...)}).PrefixList
}

// listed are the entries of a version, 0 for the current one: CIDR=DESCRIPTION.
func (b *bench) listed(id string, version int64) []string {
	b.t.Helper()
	req := &api.GetManagedPrefixListEntriesRequest{PrefixListId: id}
	if version > 0 {
		req.TargetVersion = &version
	}
	out := []string{}
	for _, e := range do[api.GetManagedPrefixListEntriesResult](b, req).Entries {
		out = append(out, strings.TrimSuffix(e.Cidr+"="+e.Description, "="))
	}
	return out
}

func withList(id string) api.IpPermission {
	return api.IpPermission{IpProtocol: "tcp", FromPort: api.Ptr[int32](443), ToPort: api.Ptr[int32](443), PrefixListIds: []api.PrefixListId{{PrefixListId: id, Description: "d"}}}
}

func (b *bench) allow(group string, p ...api.IpPermission) []api.SecurityGroupRule {
	b.t.Helper()
	return do[api.AuthorizeSecurityGroupIngressResult](b, &api.AuthorizeSecurityGroupIngressRequest{GroupId: group, IpPermissions: p}).SecurityGroupRules
}

func TestVersionsOfAList(t *testing.T) {
	b := newBench(t)
	req := &api.CreateManagedPrefixListRequest{
		PrefixListName: "head office", AddressFamily: "IPv4", MaxEntries: api.Ptr[int32](3), ClientToken: "t",
		Entries: adds("203.0.113.9/24=b", "10.0.0.0/8", "10.0.0.0/16=c"), TagSpecifications: tagSpec("prefix-list", api.Tag{Key: "k", Value: "v"}),
	}
	made := do[api.CreateManagedPrefixListResult](b, req).PrefixList
	id := made.PrefixListId
	if made.State != "create-complete" || *made.Version != 1 || *made.MaxEntries != 3 || made.PrefixListName != "head office" || made.OwnerId != alice.Account ||
		made.PrefixListArn != "arn:aws:ec2:local-1:"+alice.Account+":prefix-list/"+id || len(made.Tags) != 1 || !wellFormed(id, "pl-") {
		t.Errorf("created %+v", made)
	}
	first := []string{"10.0.0.0/8", "10.0.0.0/16=c", "203.0.113.0/24=b"}
	if got := b.listed(id, 0); !slices.Equal(got, first) {
		t.Errorf("entries %q", got)
	}
	b.unchanged(t, func() {
		if again := do[api.CreateManagedPrefixListResult](b, req).PrefixList.PrefixListId; again != id {
			t.Errorf("the same token made %s and %s", id, again)
		}
	})
	two := do[api.ModifyManagedPrefixListResult](b, &api.ModifyManagedPrefixListRequest{PrefixListId: id, CurrentVersion: api.Ptr[int64](1),
		RemoveEntries: removes("10.9.9.9/8", "10.0.0.0/16"), AddEntries: adds("192.0.2.0/24=new")}).PrefixList
	if two.State != "modify-complete" || *two.Version != 2 {
		t.Errorf("modified %+v", two)
	}
	named := do[api.ModifyManagedPrefixListResult](b, &api.ModifyManagedPrefixListRequest{PrefixListId: id, PrefixListName: "branch"}).PrefixList
	sized := do[api.ModifyManagedPrefixListResult](b, &api.ModifyManagedPrefixListRequest{PrefixListId: id, MaxEntries: api.Ptr[int32](4)}).PrefixList
	if named.PrefixListName != "branch" || *named.Version != 2 || *sized.Version != 2 || *sized.MaxEntries != 4 {
		t.Errorf("renamed %+v, resized %+v", named, sized)
	}
	back := do[api.RestoreManagedPrefixListVersionResult](b, &api.RestoreManagedPrefixListVersionRequest{PrefixListId: id, PreviousVersion: api.Ptr[int64](1), CurrentVersion: api.Ptr[int64](2)}).PrefixList
	if back.State != "restore-complete" || *back.Version != 3 {
		t.Errorf("restored %+v", back)
	}
	for version, want := range [][]string{first, first, {"192.0.2.0/24=new", "203.0.113.0/24=b"}, first} {
		if got := b.listed(id, int64(version)); !slices.Equal(got, want) {
			t.Errorf("version %d has %q, want %q", version, got, want)
		}
	}
	gone := do[api.DeleteManagedPrefixListResult](b, &api.DeleteManagedPrefixListRequest{PrefixListId: id}).PrefixList
	if gone.State != "delete-complete" || gone.PrefixListId != id {
		t.Errorf("deleted %+v", gone)
	}
	for key := range b.dump() {
		if !strings.HasPrefix(key, record.Tombstones) {
			t.Errorf("left behind: %s", key)
		}
	}
}

func TestListRefusals(t *testing.T) {
	b := newBench(t)
	id := b.list(2, "10.0.0.0/8", "192.0.2.0/24").PrefixListId
	do[api.ModifyManagedPrefixListResult](b, &api.ModifyManagedPrefixListRequest{PrefixListId: id, RemoveEntries: removes("192.0.2.0/24")})
	type create = api.CreateManagedPrefixListRequest
	type modify = api.ModifyManagedPrefixListRequest
	n := api.Ptr[int32]
	v := api.Ptr[int64]
	fresh := func(edit func(*create)) *create {
		req := &create{PrefixListName: "n", AddressFamily: "IPv4", MaxEntries: n(2)}
		edit(req)
		return req
	}
	var many []string
	for i := range 101 {
		many = append(many, fmt.Sprintf("10.0.%d.0/24", i))
	}
	for name, row := range map[string]struct {
		req         any
		code, field string
	}{
		"no name":            {fresh(func(r *create) { r.PrefixListName = "" }), "MissingParameter", "PrefixListName"},
		"reserved name":      {fresh(func(r *create) { r.PrefixListName = "com.amazonaws.s3" }), "InvalidParameterValue", "PrefixListName"},
		"name":               {fresh(func(r *create) { r.PrefixListName = "a\x1b[0m" }), "InvalidParameterValue", "PrefixListName"},
		"long name":          {fresh(func(r *create) { r.PrefixListName = strings.Repeat("x", 256) }), "InvalidParameterValue", "PrefixListName"},
		"no family":          {fresh(func(r *create) { r.AddressFamily = "" }), "MissingParameter", "AddressFamily"},
		"IPv6":               {fresh(func(r *create) { r.AddressFamily = "IPv6" }), "UnsupportedOperation", "AddressFamily"},
		"family":             {fresh(func(r *create) { r.AddressFamily = "ipv4" }), "InvalidParameterValue", "AddressFamily"},
		"no size":            {fresh(func(r *create) { r.MaxEntries = nil }), "MissingParameter", "MaxEntries"},
		"size 0":             {fresh(func(r *create) { r.MaxEntries = n(0) }), "InvalidParameterValue", "MaxEntries"},
		"size 1001":          {fresh(func(r *create) { r.MaxEntries = n(1001) }), "InvalidParameterValue", "MaxEntries"},
		"too many":           {fresh(func(r *create) { r.Entries = adds(many[:3]...) }), "PrefixListMaxEntriesExceeded", "MaxEntries"},
		"too many at once":   {fresh(func(r *create) { r.MaxEntries, r.Entries = n(1000), adds(many...) }), "InvalidParameterValue", "Entries"},
		"CIDR":               {fresh(func(r *create) { r.Entries = adds("10.0.0.0/8", "10.0.0.0/33") }), "InvalidParameterValue", "Entries.1.Cidr"},
		"IPv6 CIDR":          {fresh(func(r *create) { r.Entries = adds("fd00::/8") }), "InvalidParameterValue", "Entries.0.Cidr"},
		"no CIDR":            {fresh(func(r *create) { r.Entries = adds("") }), "MissingParameter", "Entries.0.Cidr"},
		"twice":              {fresh(func(r *create) { r.Entries = adds("10.0.0.0/8", "10.1.0.0/8") }), "InvalidParameterValue", "Entries.1.Cidr"},
		"description":        {fresh(func(r *create) { r.Entries = adds("10.0.0.0/8=a\nb") }), "InvalidParameterValue", "Entries.0.Description"},
		"tags":               {fresh(func(r *create) { r.TagSpecifications = tagSpec("vpc", api.Tag{Key: "k"}) }), "InvalidParameterValue", "TagSpecifications.0.ResourceType"},
		"token":              {fresh(func(r *create) { r.ClientToken = "a b" }), "InvalidParameterValue", "ClientToken"},
		"dry run":            {fresh(func(r *create) { r.DryRun = api.Ptr(true) }), "DryRunOperation", ""},
		"no change":          {&modify{PrefixListId: id}, "MissingParameter", ""},
		"version only":       {&modify{PrefixListId: id, CurrentVersion: v(2)}, "MissingParameter", ""},
		"old version":        {&modify{PrefixListId: id, CurrentVersion: v(1), AddEntries: adds("10.1.0.0/16")}, "PrefixListVersionMismatch", "CurrentVersion"},
		"old version, name":  {&modify{PrefixListId: id, CurrentVersion: v(1), PrefixListName: "x"}, "PrefixListVersionMismatch", "CurrentVersion"},
		"size and entries":   {&modify{PrefixListId: id, MaxEntries: n(9), AddEntries: adds("10.1.0.0/16")}, "InvalidParameterCombination", "MaxEntries"},
		"grows over size":    {&modify{PrefixListId: id, AddEntries: adds("10.1.0.0/16", "10.2.0.0/16")}, "PrefixListMaxEntriesExceeded", "MaxEntries"},
		"there already":      {&modify{PrefixListId: id, AddEntries: adds("10.2.3.4/8=other")}, "InvalidParameterValue", "AddEntries"},
		"not there":          {&modify{PrefixListId: id, RemoveEntries: removes("10.0.0.0/8", "10.0.0.0/9")}, "InvalidParameterValue", "RemoveEntries.1.Cidr"},
		"removed twice":      {&modify{PrefixListId: id, RemoveEntries: removes("10.0.0.0/8", "10.1.0.0/8")}, "InvalidParameterValue", "RemoveEntries.1.Cidr"},
		"added and removed":  {&modify{PrefixListId: id, AddEntries: adds("10.0.0.0/8=x"), RemoveEntries: removes("10.0.0.0/8")}, "InvalidParameterValue", "RemoveEntries.0.Cidr"},
		"too many removed":   {&modify{PrefixListId: id, RemoveEntries: removes(many...)}, "InvalidParameterValue", "RemoveEntries"},
		"bad removal":        {&modify{PrefixListId: id, RemoveEntries: removes("x")}, "InvalidParameterValue", "RemoveEntries.0.Cidr"},
		"new name":           {&modify{PrefixListId: id, PrefixListName: "\u202e"}, "InvalidParameterValue", "PrefixListName"},
		"new size":           {&modify{PrefixListId: id, MaxEntries: n(-1)}, "InvalidParameterValue", "MaxEntries"},
		"unknown":            {&modify{PrefixListId: "pl-00000000", PrefixListName: "x"}, "InvalidPrefixListID.NotFound", "PrefixListId"},
		"malformed":          {&api.DeleteManagedPrefixListRequest{PrefixListId: "pl"}, "InvalidPrefixListId.Malformed", "PrefixListId"},
		"restore current":    {&api.RestoreManagedPrefixListVersionRequest{PrefixListId: id, PreviousVersion: v(2), CurrentVersion: v(2)}, "InvalidParameterValue", "PreviousVersion"},
		"restore 0":          {&api.RestoreManagedPrefixListVersionRequest{PrefixListId: id, PreviousVersion: v(0), CurrentVersion: v(2)}, "InvalidParameterValue", "PreviousVersion"},
		"restore old":        {&api.RestoreManagedPrefixListVersionRequest{PrefixListId: id, PreviousVersion: v(1), CurrentVersion: v(1)}, "PrefixListVersionMismatch", "CurrentVersion"},
		"entries of 3":       {&api.GetManagedPrefixListEntriesRequest{PrefixListId: id, TargetVersion: v(3)}, "InvalidParameterValue", "TargetVersion"},
		"entries of -1":      {&api.GetManagedPrefixListEntriesRequest{PrefixListId: id, TargetVersion: v(-1)}, "InvalidParameterValue", "TargetVersion"},
		"page":               {&api.GetManagedPrefixListEntriesRequest{PrefixListId: id, MaxResults: n(101)}, "InvalidParameterValue", "MaxResults"},
		"page token":         {&api.GetManagedPrefixListEntriesRequest{PrefixListId: id, NextToken: "x"}, "InvalidNextToken", "NextToken"},
		"associations page":  {&api.GetManagedPrefixListAssociationsRequest{PrefixListId: id, MaxResults: n(4)}, "InvalidParameterValue", "MaxResults"},
		"associations of no": {&api.GetManagedPrefixListAssociationsRequest{PrefixListId: "pl-00000000"}, "InvalidPrefixListID.NotFound", "PrefixListId"},
		"describe unknown":   {&api.DescribeManagedPrefixListsRequest{PrefixListIds: []string{id, "pl-00000000"}}, "InvalidPrefixListID.NotFound", "PrefixListIds.1"},
		"filter":             {&api.DescribeManagedPrefixListsRequest{Filters: []api.Filter{{Name: "vpc-id", Values: []string{"x"}}}}, "InvalidParameterValue", "Filters.0.Name"},
		"no service's":       {&api.DescribePrefixListsRequest{PrefixListIds: []string{id}}, "InvalidPrefixListID.NotFound", "PrefixListIds.0"},
		"services malformed": {&api.DescribePrefixListsRequest{PrefixListIds: []string{"x"}}, "InvalidPrefixListId.Malformed", "PrefixListIds.0"},
		"services filter":    {&api.DescribePrefixListsRequest{Filters: []api.Filter{{Name: "x", Values: []string{"x"}}}}, "InvalidParameterValue", "Filters.0.Name"},
	} {
		t.Run(name, func(t *testing.T) {
			b.unchanged(t, func() {
				_, _, err := b.call(alice, actionOf(row.req), row.req)
				refused(t, err, row.code, row.field)
			})
		})
	}
	// As small as what it holds, and no smaller.
	do[api.ModifyManagedPrefixListResult](b, &modify{PrefixListId: id, AddEntries: adds("192.0.2.0/24")})
	b.unchanged(t, func() {
		_, _, err := b.call(alice, "ModifyManagedPrefixList", &modify{PrefixListId: id, MaxEntries: n(1)})
		refused(t, err, "PrefixListMaxEntriesExceeded", "MaxEntries")
	})
	do[api.ModifyManagedPrefixListResult](b, &modify{PrefixListId: id, MaxEntries: n(2)})
}

func TestDescribeLists(t *testing.T) {
	b := newBench(t)
	one, two := b.list(1).PrefixListId, b.list(3, "10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16").PrefixListId
	do[api.ModifyManagedPrefixListResult](b, &api.ModifyManagedPrefixListRequest{PrefixListId: two, PrefixListName: "branch"})
	do[api.CreateTagsResult](b, &api.CreateTagsRequest{Resources: []string{two}, Tags: []api.Tag{{Key: "k", Value: "v"}}})
	for filter, value := range map[string]string{"prefix-list-name": "bra*", "prefix-list-id": two, "tag:k": "v"} {
		got := do[api.DescribeManagedPrefixListsResult](b, &api.DescribeManagedPrefixListsRequest{Filters: []api.Filter{{Name: filter, Values: []string{value}}}}).PrefixLists
		if len(got) != 1 || got[0].PrefixListId != two {
			t.Errorf("%s=%s gives %+v", filter, value, got)
		}
	}
	page := do[api.DescribeManagedPrefixListsResult](b, &api.DescribeManagedPrefixListsRequest{MaxResults: api.Ptr[int32](1)})
	rest := do[api.DescribeManagedPrefixListsResult](b, &api.DescribeManagedPrefixListsRequest{MaxResults: api.Ptr[int32](1), NextToken: page.NextToken})
	if len(page.PrefixLists) != 1 || len(rest.PrefixLists) != 1 || page.PrefixLists[0].PrefixListId != one || rest.PrefixLists[0].PrefixListId != two || rest.NextToken != "" {
		t.Errorf("pages %+v and %+v", page, rest)
	}
	entries := do[api.GetManagedPrefixListEntriesResult](b, &api.GetManagedPrefixListEntriesRequest{PrefixListId: two, MaxResults: api.Ptr[int32](2)})
	if len(entries.Entries) != 2 || entries.NextToken == "" {
		t.Errorf("a page of entries: %+v", entries)
	}
	if services := do[api.DescribePrefixListsResult](b, &api.DescribePrefixListsRequest{}); services.PrefixLists == nil || len(services.PrefixLists) != 0 {
		t.Errorf("lists of services: %+v", services)
	}
	for _, req := range []any{&api.DeleteManagedPrefixListRequest{PrefixListId: one}, &api.GetManagedPrefixListEntriesRequest{PrefixListId: one}} {
		_, _, err := b.call(bob, actionOf(req), req)
		refused(t, err, "InvalidPrefixListID.NotFound", "PrefixListId")
	}
	if res, _, err := b.call(bob, "DescribeManagedPrefixLists", &api.DescribeManagedPrefixListsRequest{}); err != nil || len(res.(*api.DescribeManagedPrefixListsResult).PrefixLists) != 0 {
		t.Errorf("bob sees %+v %v", res, err)
	}
}

// A rule can name a list of the own account, and the list then stays.
func TestRulesNameLists(t *testing.T) {
	b := newBench(t)
	web := b.group(b.vpc("10.0.0.0/16").VpcId, "web")
	id, other := b.list(2, "203.0.113.0/24").PrefixListId, b.list(1).PrefixListId
	rule := b.allow(web, withList(id))[0]
	if rule.PrefixListId != id || rule.CidrIpv4 != "" || rule.Description != "d" || !wellFormed(rule.SecurityGroupRuleId, "sgr-") {
		t.Errorf("rule is %+v", rule)
	}
	if p := b.described(web).IpPermissions; len(p) != 1 || len(p[0].IpRanges) != 0 || len(p[0].PrefixListIds) != 1 || p[0].PrefixListIds[0] != (api.PrefixListId{PrefixListId: id, Description: "d"}) {
		t.Errorf("described as %+v", p)
	}
	if got := do[api.DescribeSecurityGroupsResult](b, &api.DescribeSecurityGroupsRequest{Filters: []api.Filter{{Name: "ip-permission.prefix-list-id", Values: []string{id}}}}).SecurityGroups; len(got) != 1 {
		t.Errorf("found by list: %+v", got)
	}
	users := do[api.GetManagedPrefixListAssociationsResult](b, &api.GetManagedPrefixListAssociationsRequest{PrefixListId: id}).PrefixListAssociations
	if len(users) != 1 || users[0] != (api.PrefixListAssociation{ResourceId: web, ResourceOwner: alice.Account}) {
		t.Errorf("associations %+v", users)
	}
	b.unchanged(t, func() {
		_, _, err := b.call(alice, "AuthorizeSecurityGroupIngress", &api.AuthorizeSecurityGroupIngressRequest{GroupId: web, IpPermissions: []api.IpPermission{withList(id)}})
		refused(t, err, "InvalidPermission.Duplicate", "IpPermissions.0.PrefixListIds.0")
		_, _, err = b.call(alice, "DeleteManagedPrefixList", &api.DeleteManagedPrefixListRequest{PrefixListId: id})
		e := refused(t, err, "DependencyViolation", "PrefixListId")
		if len(e.BlockedBy) != 1 || e.BlockedBy[0] != (api.Blocker{Kind: "sg", Id: web, Name: "web", Detail: "rule " + rule.SecurityGroupRuleId}) {
			t.Errorf("blocked by %+v", e.BlockedBy)
		}
	})
	do[api.ModifySecurityGroupRulesResult](b, &api.ModifySecurityGroupRulesRequest{GroupId: web, SecurityGroupRules: []api.SecurityGroupRuleUpdate{
		{SecurityGroupRuleId: rule.SecurityGroupRuleId, SecurityGroupRule: &api.SecurityGroupRuleRequest{IpProtocol: "-1", PrefixListId: other}}}})
	do[api.DeleteManagedPrefixListResult](b, &api.DeleteManagedPrefixListRequest{PrefixListId: id})
	do[api.RevokeSecurityGroupIngressResult](b, &api.RevokeSecurityGroupIngressRequest{GroupId: web, IpPermissions: []api.IpPermission{{IpProtocol: "-1", PrefixListIds: []api.PrefixListId{{PrefixListId: other}}}}})
	do[api.DeleteManagedPrefixListResult](b, &api.DeleteManagedPrefixListRequest{PrefixListId: other})
}

func TestAnotherAccountsList(t *testing.T) {
	b := newBench(t)
	web := b.group(b.vpc("10.0.0.0/16").VpcId, "web")
	res, _, err := b.call(bob, "CreateManagedPrefixList", &api.CreateManagedPrefixListRequest{PrefixListName: "x", AddressFamily: "IPv4", MaxEntries: api.Ptr[int32](1)})
	if err != nil {
		t.Fatal(err)
	}
	foreign := res.(*api.CreateManagedPrefixListResult).PrefixList.PrefixListId
	_, _, err = b.call(alice, "AuthorizeSecurityGroupIngress", &api.AuthorizeSecurityGroupIngressRequest{GroupId: web, IpPermissions: []api.IpPermission{withList(foreign)}})
	refused(t, err, "InvalidPrefixListID.NotFound", "IpPermissions.0.PrefixListIds.0.PrefixListId")
}

// A list counts as many rules as it may have entries, whether it has them or not.
func TestListsCountTheirSize(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	web, db := b.group(vpc.VpcId, "web"), b.group(vpc.VpcId, "db")
	large, small := b.list(58).PrefixListId, b.list(2).PrefixListId
	b.allow(web, withList(large), withList(small))
	b.allow(db, withList(small))
	b.unchanged(t, func() {
		_, _, err := b.call(alice, "AuthorizeSecurityGroupIngress", &api.AuthorizeSecurityGroupIngressRequest{GroupId: web, IpPermissions: []api.IpPermission{tcp(1, "0.0.0.0/0")}})
		refused(t, err, "RulesPerSecurityGroupLimitExceeded", "IpPermissions")
		_, _, err = b.call(alice, "ModifyManagedPrefixList", &api.ModifyManagedPrefixListRequest{PrefixListId: small, MaxEntries: api.Ptr[int32](3)})
		e := refused(t, err, "RulesPerSecurityGroupLimitExceeded", "MaxEntries")
		if len(e.BlockedBy) != 1 || e.BlockedBy[0] != (api.Blocker{Kind: "sg", Id: web, Name: "web", Detail: "61 rules"}) {
			t.Errorf("blocked by %+v", e.BlockedBy)
		}
	})
	// The other direction has room of its own.
	do[api.AuthorizeSecurityGroupEgressResult](b, &api.AuthorizeSecurityGroupEgressRequest{GroupId: web, IpPermissions: []api.IpPermission{withList(large)}})
	// What is over a quota that was lowered can shrink, and be edited.
	do[api.ModifyLimitResult](b, &api.ModifyLimitRequest{Name: "rules-per-sg", Value: api.Ptr[int64](10)})
	do[api.ModifyManagedPrefixListResult](b, &api.ModifyManagedPrefixListRequest{PrefixListId: small, MaxEntries: api.Ptr[int32](1)})
	do[api.RevokeSecurityGroupIngressResult](b, &api.RevokeSecurityGroupIngressRequest{GroupId: web, IpPermissions: []api.IpPermission{withList(large)}})
	b.allow(web, tcp(1, "0.0.0.0/0"))
	b.mustLimit(limitGroupsOfENI, 1)
	b.mustLimit(limitRules, 1000)
	do[api.ModifyManagedPrefixListResult](b, &api.ModifyManagedPrefixListRequest{PrefixListId: small, MaxEntries: api.Ptr[int32](999)})
}

// A rule without a list still counts beside those with one: the list grows
// between the look at the quota and the commit.
func TestAListGrowsUnderAGroup(t *testing.T) {
	b, interrupt := between(t)
	web, id := b.group(b.vpc("10.0.0.0/16").VpcId, "web"), b.list(59).PrefixListId
	b.allow(web, withList(id))
	interrupt(func() {
		do[api.ModifyManagedPrefixListResult](b, &api.ModifyManagedPrefixListRequest{PrefixListId: id, MaxEntries: api.Ptr[int32](60)})
	})
	_, _, err := b.call(alice, "AuthorizeSecurityGroupIngress", &api.AuthorizeSecurityGroupIngressRequest{GroupId: web, IpPermissions: []api.IpPermission{tcp(1, "0.0.0.0/0")}})
	refused(t, err, "RulesPerSecurityGroupLimitExceeded", "IpPermissions")
}

func TestOldVersionsAreDropped(t *testing.T) {
	b := newBench(t)
	id := b.list(2, "10.0.0.0/8").PrefixListId
	// 999 versions later, without making them all.
	b.put(record.Lists+id, &record.PrefixList{List: api.ManagedPrefixList{PrefixListId: id, OwnerId: alice.Account, MaxEntries: api.Ptr[int32](2), Version: api.Ptr[int64](1000)}})
	for v := int64(1); v < 1000; v += 100 {
		b.put(record.RevisionKey(id, v), &record.PrefixListRevision{})
	}
	do[api.ModifyManagedPrefixListResult](b, &api.ModifyManagedPrefixListRequest{PrefixListId: id, AddEntries: adds("192.0.2.0/24")})
	if _, left := b.dump()[record.RevisionKey(id, 1)]; left {
		t.Error("version 1 of 1001 is still there")
	}
	for version, code := range map[int64]string{1: "InvalidParameterValue", 1000: "", 1001: "", 1002: "InvalidParameterValue"} {
		_, _, err := b.call(alice, "GetManagedPrefixListEntries", &api.GetManagedPrefixListEntriesRequest{PrefixListId: id, TargetVersion: &version})
		if have := codeOf(err); have != code {
			t.Errorf("version %d: %q, want %q", version, have, code)
		}
	}
}

func TestOneOfManyModificationsWins(t *testing.T) {
	b := newBench(t)
	id := b.list(100).PrefixListId
	got := together(6, func(i int) error {
		_, _, err := b.call(alice, "ModifyManagedPrefixList", &api.ModifyManagedPrefixListRequest{
			PrefixListId: id, CurrentVersion: api.Ptr[int64](1), AddEntries: adds(fmt.Sprintf("10.%d.0.0/16", i))})
		return err
	})
	if got[""] != 1 || got["PrefixListVersionMismatch"] != 5 || len(b.listed(id, 0)) != 1 {
		t.Errorf("answers %v, entries %q", got, b.listed(id, 0))
	}
	// Without a version all of them have their way, one after another.
	got = together(6, func(i int) error {
		_, _, err := b.call(alice, "ModifyManagedPrefixList", &api.ModifyManagedPrefixListRequest{PrefixListId: id, AddEntries: adds(fmt.Sprintf("192.%d.0.0/16", i))})
		return err
	})
	if got[""] != 6 || len(b.listed(id, 0)) != 7 || len(b.listed(id, 3)) != 2 {
		t.Errorf("answers %v, entries %q", got, b.listed(id, 0))
	}
}

func TestListQuotaHoldsUnderConcurrency(t *testing.T) {
	b := newBench(t)
	do[api.ModifyLimitResult](b, &api.ModifyLimitRequest{Name: "prefix-lists", Value: api.Ptr[int64](2)})
	got := together(6, func(int) error {
		_, _, err := b.call(alice, "CreateManagedPrefixList", &api.CreateManagedPrefixListRequest{PrefixListName: "n", AddressFamily: "IPv4", MaxEntries: api.Ptr[int32](1)})
		return err
	})
	if got[""] != 2 || got["PrefixListLimitExceeded"] != 4 {
		t.Errorf("answers %v", got)
	}
}

// A list never goes under a rule that names it, and never grows past the quota
// of one, whatever happens in between.
func TestListsMeetRules(t *testing.T) {
	type world struct{ group, list string }
	allow := func(w world) any {
		return &api.AuthorizeSecurityGroupIngressRequest{GroupId: w.group, IpPermissions: []api.IpPermission{withList(w.list)}}
	}
	remove := func(w world) any { return &api.DeleteManagedPrefixListRequest{PrefixListId: w.list} }
	grow := func(w world) any {
		return &api.ModifyManagedPrefixListRequest{PrefixListId: w.list, MaxEntries: api.Ptr[int32](61)}
	}
	for _, row := range []struct {
		name         string
		outer, inner func(world) any
		code, field  string
	}{
		{"the list of a new rule goes", allow, remove, "InvalidPrefixListID.NotFound", "IpPermissions.0.PrefixListIds.0.PrefixListId"},
		{"a list being deleted gets a rule", remove, allow, "DependencyViolation", "PrefixListId"},
		{"the list of a new rule grows", allow, grow, "RulesPerSecurityGroupLimitExceeded", "IpPermissions"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b, interrupt := between(t)
			w := world{group: b.group(b.vpc("10.0.0.0/16").VpcId, "web"), list: b.list(60).PrefixListId}
			interrupt(func() {
				if _, _, err := b.call(alice, actionOf(row.inner(w)), row.inner(w)); err != nil {
					t.Errorf("the inner call: %v", err)
				}
			})
			_, _, err := b.call(alice, actionOf(row.outer(w)), row.outer(w))
			refused(t, err, row.code, row.field)
		})
	}
}

// TestVersionsAreTheModel: after any changes every version has the entries that
// it had when it was the current one.
func TestVersionsAreTheModel(t *testing.T) {
	b := newBench(t)
	cidrs := []string{"10.0.0.0/8", "10.0.0.0/16", "10.1.0.0/16", "192.0.2.0/24", "0.0.0.0/0"}
	rapid.Check(t, func(r *rapid.T) {
		id := b.list(4).PrefixListId
		versions := []map[string]string{nil, {}}
		for range rapid.IntRange(1, 12).Draw(r, "steps") {
			current := versions[len(versions)-1]
			next := map[string]string{}
			var req any
			if rapid.IntRange(0, 4).Draw(r, "restore") == 0 && len(versions) > 2 {
				back := rapid.IntRange(1, len(versions)-2).Draw(r, "version")
				next = versions[back]
				req = &api.RestoreManagedPrefixListVersionRequest{PrefixListId: id, PreviousVersion: api.Ptr(int64(back)), CurrentVersion: api.Ptr(int64(len(versions) - 1))}
			} else {
				edit := &api.ModifyManagedPrefixListRequest{PrefixListId: id}
				for _, c := range cidrs {
					description, has := current[c]
					switch touched := rapid.IntRange(0, 2).Draw(r, "touch "+c) == 0; {
					case touched && has:
						edit.RemoveEntries = append(edit.RemoveEntries, removes(c)...)
					case touched:
						next[c] = rapid.SampledFrom([]string{"", "a", "b"}).Draw(r, "description")
						edit.AddEntries = append(edit.AddEntries, api.AddPrefixListEntry{Cidr: c, Description: next[c]})
					case has:
						next[c] = description
					}
				}
				if len(edit.AddEntries)+len(edit.RemoveEntries) == 0 {
					continue
				}
				req = edit
			}
			want := ""
			if len(next) > 4 {
				want = "PrefixListMaxEntriesExceeded"
			}
			_, _, err := b.call(alice, actionOf(req), req)
			if have := codeOf(err); have != want {
				r.Fatalf("%s: %q, want %q", actionOf(req), have, want)
			}
			if want == "" {
				versions = append(versions, next)
			}
		}
		for v := 1; v < len(versions); v++ {
			have := map[string]string{}
			for _, line := range b.listed(id, int64(v)) {
				cidr, description, _ := strings.Cut(line, "=")
				have[cidr] = description
			}
			if fmt.Sprint(have) != fmt.Sprint(versions[v]) {
				r.Fatalf("version %d of %d has %v, want %v", v, len(versions)-1, have, versions[v])
			}
		}
		do[api.DeleteManagedPrefixListResult](b, &api.DeleteManagedPrefixListRequest{PrefixListId: id})
	})
}
