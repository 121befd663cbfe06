package service

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// listing is a Describe action that lists items of one kind.
type listing struct {
	action string
	items  string // the result's member with the list
}

// ofNobody lists AWS's own services, of which there are none here.
const ofNobody = "DescribePrefixLists"

// ofOneVpc lists nothing without a VPC: TestStaleRules goes through its pages.
const ofOneVpc = "DescribeStaleSecurityGroups"

// listings are the actions whose result is a list and whose request has the
// named member.
func listings(t *testing.T, with string) []listing {
	t.Helper()
	var out []listing
	for name, action := range api.Actions {
		if !member(action.NewRequest(), with).IsValid() || !strings.HasPrefix(name, "Describe") || name == ofNobody || name == ofOneVpc {
			continue
		}
		res := reflect.TypeOf(action.NewResult()).Elem()
		for i := range res.NumField() {
			if res.Field(i).Type.Kind() == reflect.Slice {
				out = append(out, listing{name, res.Field(i).Name})
			}
		}
	}
	if len(out) < 5 {
		t.Fatalf("only %d actions have %s", len(out), with)
	}
	return out
}

// request is an empty one with one member set.
func (l listing) request(name string, value any) any {
	req := api.Actions[l.action].NewRequest()
	member(req, name).Set(reflect.ValueOf(value))
	return req
}

// list calls with a request and returns the items as JSON, one each.
func (l listing) list(s *side, req any) ([]string, error) {
	res, _, err := s.call(s.who, l.action, req)
	if err != nil {
		return nil, err
	}
	items := member(res, l.items)
	out := make([]string, items.Len())
	for i := range out {
		text, err := json.Marshal(items.Index(i).Interface())
		if err != nil {
			s.t.Fatal(err)
		}
		out[i] = string(text)
	}
	return out, nil
}

// besideIDs take MaxResults together with ids, as they do in EC2, or because the
// ids do not bound the answer.
var besideIDs = []string{"DescribeFlows", "DescribeSecurityGroups", "DescribeSecurityGroupRules", "GetManagedPrefixListEntries", "GetManagedPrefixListAssociations", ofOneVpc}

// noPage are sizes that no page can have, noPageOf those of actions whose
// bounds are their own in EC2.
var (
	noPage   = []int32{-1, 0, 1, 4, 1001}
	noPageOf = map[string][]int32{"DescribeManagedPrefixLists": {-1, 0, 101}, "DescribeAddressesAttribute": {-1, 0, 1001}}
)

// TestPaging: the pages together are the list, in its order; sizes and tokens
// that cannot be are refused.
func TestPaging(t *testing.T) {
	a, _ := newSides(t)
	as[api.CreateTagsResult](a, &api.CreateTagsRequest{Resources: []string{a.vpc, a.subnet, a.group, a.rule}, Tags: manyTags(2)})
	for _, l := range listings(t, "MaxResults") {
		if !member(api.Actions[l.action].NewRequest(), "NextToken").IsValid() {
			t.Errorf("%s has MaxResults and no NextToken", l.action)
			continue
		}
		testPages(t, l, a)
		wrong, ok := noPageOf[l.action]
		if !ok {
			wrong = noPage
		}
		for _, size := range wrong {
			_, err := l.list(a, l.request("MaxResults", &size))
			if code := codeOf(err); code != "InvalidMaxResults" && code != "InvalidParameterValue" {
				t.Errorf("%s with MaxResults %d: %v", l.action, size, err)
			}
		}
		for _, token := range []string{"x", "1", "\x00", "cGFnZTE6", "cGFnZTE6LTE", "cGFnZTE6NQ", "cGFnZTI6", strings.Repeat("A", 1<<16)} {
			_, err := l.list(a, l.request("NextToken", token))
			if codeOf(err) != "InvalidNextToken" {
				t.Errorf("%s with the token %.20q: %v", l.action, token, err)
			}
		}
	}
	for _, example := range examples {
		req := example(a)
		size, ids := member(req, "MaxResults"), idsOf(req)
		if !size.IsValid() || ids == 0 || slices.Contains(besideIDs, actionOf(req)) {
			continue
		}
		size.Set(reflect.ValueOf(api.Ptr(int32(5))))
		if _, _, err := a.call(alice, actionOf(req), req); codeOf(err) != "InvalidParameterCombination" {
			t.Errorf("%s with ids and MaxResults: %v", actionOf(req), err)
		}
	}
}

// TestTokensAreBound: the token of one request is no other's, whether another
// action's, another account's, or that of other filters; the size may change.
func TestTokensAreBound(t *testing.T) {
	a, b := newSides(t)
	for _, s := range []*side{a, b} {
		as[api.CreateTagsResult](s, &api.CreateTagsRequest{Resources: []string{s.vpc, s.subnet, s.group, s.rule}, Tags: manyTags(2)})
	}
	tokens := map[string]string{}
	paged := slices.DeleteFunc(listings(t, "NextToken"), func(l listing) bool { return !member(api.Actions[l.action].NewRequest(), "MaxResults").IsValid() })
	for _, l := range paged {
		res, _, err := a.call(a.who, l.action, l.request("MaxResults", api.Ptr(int32(5))))
		if err != nil || member(res, "NextToken").String() == "" {
			t.Fatalf("%s: no second page: %v", l.action, err)
		}
		tokens[l.action] = member(res, "NextToken").String()
	}
	for _, l := range paged {
		for from, token := range tokens {
			_, err := l.list(a, l.request("NextToken", token))
			if from == l.action && err != nil || from != l.action && codeOf(err) != "InvalidNextToken" {
				t.Errorf("%s with the token of %s: %v", l.action, from, err)
			}
		}
		if _, err := l.list(b, l.request("NextToken", tokens[l.action])); codeOf(err) != "InvalidNextToken" {
			t.Errorf("%s with another account's token: %v", l.action, err)
		}
		req := l.request("NextToken", tokens[l.action])
		if filters := member(req, "Filters"); filters.IsValid() {
			filters.Set(reflect.ValueOf([]api.Filter{{Name: filterNames(t, l, a)[0], Values: []string{"*"}}}))
			if _, err := l.list(a, req); codeOf(err) != "InvalidNextToken" {
				t.Errorf("%s with the token of other filters: %v", l.action, err)
			}
		}
	}
}

// idsOf counts the ids in a request.
func idsOf(req any) int {
	n := 0
	walk(reflect.ValueOf(req), "", func(_ string, v reflect.Value) {
		if v.Kind() == reflect.String && idText.MatchString(v.String()) {
			n++
		}
	})
	return n
}

func testPages(t *testing.T, l listing, s *side) {
	t.Helper()
	all, err := l.list(s, api.Actions[l.action].NewRequest())
	if err != nil || len(all) < several {
		t.Errorf("%s lists %d items, %v: too few to show anything", l.action, len(all), err)
		return
	}
	var paged []string
	req := l.request("MaxResults", api.Ptr(int32(5)))
	for range len(all) {
		res, _, err := s.call(s.who, l.action, req)
		if err != nil {
			t.Errorf("%s: %v", l.action, err)
			return
		}
		part, err := l.list(s, req)
		if err != nil || len(part) > 5 || len(part) == 0 {
			t.Errorf("%s: a page of five has %d items, %v", l.action, len(part), err)
		}
		paged = append(paged, part...)
		token := member(res, "NextToken").String()
		if token == "" {
			break
		}
		member(req, "NextToken").SetString(token)
	}
	if !slices.Equal(paged, all) {
		t.Errorf("%s: the pages have %d items, the list has %d, or in another order", l.action, len(paged), len(all))
	}
}

// TestFilters: what cannot be a filter is refused by every action that takes
// filters, and those over tags mean the same everywhere.
func TestFilters(t *testing.T) {
	a, _ := newSides(t)
	for _, l := range listings(t, "Filters") {
		many := slices.Repeat([]string{"x"}, maxFilterValues+1)
		for _, name := range []string{"no-such-filter", "", "tag", "no\x1b[31m\nfilter"} {
			_, err := l.list(a, l.request("Filters", []api.Filter{{Name: name, Values: []string{"x"}}}))
			if e := refused(t, err, "InvalidParameterValue", "Filters.0.Name"); !strings.Contains(e.Message, "there are") {
				t.Errorf("%s does not say which filters there are: %s", l.action, e.Message)
			}
		}
		name := filterNames(t, l, a)[0]
		_, err := l.list(a, l.request("Filters", []api.Filter{{Name: name}}))
		refused(t, err, "InvalidParameterValue", "Filters.0.Values")
		_, err = l.list(a, l.request("Filters", []api.Filter{{Name: name, Values: many}}))
		refused(t, err, "FilterLimitExceeded", "Filters.0.Values")
		if hasTags(l) {
			testTagFilters(t, l, a)
		}
	}
}

// filterNames are the filters that the action itself says it has.
func filterNames(t *testing.T, l listing, s *side) []string {
	t.Helper()
	_, err := l.list(s, l.request("Filters", []api.Filter{{Name: "no-such-filter", Values: []string{"x"}}}))
	_, names, _ := strings.Cut(refused(t, err, "InvalidParameterValue", "Filters.0.Name").Message, "there are ")
	return strings.Split(names, ", ")
}

// TestEveryFilterNameWorks: each name that an action gives is one it takes, *
// takes in what has any value, and the value of another account matches nothing.
func TestEveryFilterNameWorks(t *testing.T) {
	a, b := newSides(t)
	_, foreign := b.allIDs()
	values := []string{b.who.Account, b.target}
	for _, id := range foreign {
		values = append(values, id)
	}
	for _, l := range listings(t, "Filters") {
		all, err := l.list(a, api.Actions[l.action].NewRequest())
		if err != nil || len(all) == 0 {
			t.Fatalf("%s lists %v, %v", l.action, all, err)
		}
		for _, name := range filterNames(t, l, a) {
			some, err := l.list(a, l.request("Filters", []api.Filter{{Name: name, Values: []string{"*"}}}))
			if err != nil || len(some) > len(all) {
				t.Errorf("%s by %s: %d of %d, %v", l.action, name, len(some), len(all), err)
			}
			none, err := l.list(a, l.request("Filters", []api.Filter{{Name: name, Values: values}}))
			if err != nil || len(none) > 0 {
				t.Errorf("%s by %s shows what is another account's: %v, %v", l.action, name, none, err)
			}
		}
	}
}

// hasTags says whether the items carry tags. A reservation carries none, but
// its instances do.
func hasTags(l listing) bool {
	item := reflect.TypeOf(api.Actions[l.action].NewResult()).Elem()
	list, _ := item.FieldByName(l.items)
	_, tags := list.Type.Elem().FieldByName("Tags")
	_, tagSet := list.Type.Elem().FieldByName("TagSet")
	return tags || tagSet || l.action == "DescribeInstances"
}

// testTagFilters tags two items of a list in all the ways a filter could
// confuse.
func testTagFilters(t *testing.T, l listing, s *side) {
	t.Helper()
	all, err := l.list(s, api.Actions[l.action].NewRequest())
	if err != nil || len(all) < 3 {
		t.Fatalf("%s lists %d items, %v", l.action, len(all), err)
	}
	one, two := ownID(l, all[0]), ownID(l, all[1])
	tag := func(id string, tags ...api.Tag) {
		as[api.CreateTagsResult](s, &api.CreateTagsRequest{Resources: []string{id}, Tags: tags})
	}
	tag(one, api.Tag{Key: "team", Value: "blue"}, api.Tag{Key: "odd*key", Value: "a*b"}, api.Tag{Key: "only-one"})
	tag(two, api.Tag{Key: "team", Value: "blues"}, api.Tag{Key: "odd*key", Value: "axb"})
	f := func(name string, values ...string) api.Filter { return api.Filter{Name: name, Values: values} }
	for _, tt := range []struct {
		filters []api.Filter
		want    []string
	}{
		{[]api.Filter{f("tag:team", "blue")}, []string{one}},
		{[]api.Filter{f("tag:team", "blue", "blues")}, []string{one, two}},
		{[]api.Filter{f("tag:team", "blue", "red")}, []string{one}},
		{[]api.Filter{f("tag:team", "Blue")}, nil},
		{[]api.Filter{f("tag:Team", "blue")}, nil},
		{[]api.Filter{f("tag:team", "blue*")}, []string{one, two}},
		{[]api.Filter{f("tag:team", "blue?")}, []string{two}},
		{[]api.Filter{f("tag:team", "bl??")}, []string{one}},
		{[]api.Filter{f("tag:odd*key", "a*b")}, []string{one, two}},
		{[]api.Filter{f("tag:odd*key", `a\*b`)}, []string{one}},
		{[]api.Filter{f("tag:odd*key", `a\?b`)}, nil},
		{[]api.Filter{f("tag-key", "team")}, []string{one, two}},
		{[]api.Filter{f("tag-key", "only-*")}, []string{one}},
		{[]api.Filter{f("tag-key", "only-one"), f("tag:team", "blues")}, nil},
		{[]api.Filter{f("tag-key", "only-one"), f("tag:team", "blue")}, []string{one}},
		{[]api.Filter{f("tag:only-one", "")}, []string{one}},
		{[]api.Filter{f("tag:only-one", "*")}, []string{one}},
	} {
		items, err := l.list(s, l.request("Filters", tt.filters))
		var have []string
		for _, item := range items {
			have = append(have, ownID(l, item))
		}
		if err != nil || !slices.Equal(have, tt.want) {
			t.Errorf("%s by %+v: %v, %v; want %v", l.action, tt.filters, have, err, tt.want)
		}
	}
}

// ownIDs is the member with the id of an item, where it is not the first of
// its kind in the item.
var ownIDs = map[string]string{
	"DescribeVpcs": "VpcId", "DescribeSubnets": "SubnetId", "DescribeRouteTables": "RouteTableId", "DescribeNetworkAcls": "NetworkAclId",
	"DescribeNetworkInterfaces": "NetworkInterfaceId", "DescribeSecurityGroups": "GroupId", "DescribeSecurityGroupRules": "SecurityGroupRuleId",
	"DescribeManagedPrefixLists": "PrefixListId", "DescribeInternetGateways": "InternetGatewayId", "DescribeNatGateways": "NatGatewayId", "DescribeAddresses": "AllocationId",
	"DescribeVpcPeeringConnections": "VpcPeeringConnectionId",
}

func ownID(l listing, item string) string {
	var members struct {
		Instances []struct{ InstanceId string }
	}
	var flat map[string]any
	if json.Unmarshal([]byte(item), &members) == nil && len(members.Instances) == 1 {
		return members.Instances[0].InstanceId
	}
	if json.Unmarshal([]byte(item), &flat) == nil {
		if id, ok := flat[ownIDs[l.action]].(string); ok {
			return id
		}
	}
	return "say in ownIDs where " + l.action + " has its id"
}
