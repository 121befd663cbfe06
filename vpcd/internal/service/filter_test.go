package service

import (
	"path"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func TestGlob(t *testing.T) {
	for _, row := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"?", "", false}, {"?", "é", true},
		{"a*c", "abbbc", true}, {"a*c", "abbb", false}, {"*a*b*", "xxaxxbxx", true}, {"a?c", "abc", true},
		{`a\*c`, "a*c", true}, {`a\*c`, "abc", false}, {`a\?`, "a?", true}, {`a\\`, `a\`, true}, {`a\`, `a\`, true},
		{"Web", "web", false}, {"[a]", "[a]", true},
		// Naive backtracking does not end in a lifetime here.
		{strings.Repeat("*a", 60) + "b", strings.Repeat("a", 3000), false},
	} {
		if got := glob(row.pattern, row.s); got != row.want {
			t.Errorf("glob(%q, %q) is %v", row.pattern, row.s, got)
		}
	}
}

// path.Match agrees for patterns without classes on texts without slashes.
func TestGlobAgreesWithPathMatch(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		pattern := rapid.StringOfN(rapid.SampledFrom([]rune("ab*?é")), 0, 8, -1).Draw(r, "pattern")
		s := rapid.StringOfN(rapid.SampledFrom([]rune("abé")), 0, 8, -1).Draw(r, "s")
		want, err := path.Match(pattern, s)
		if err != nil {
			r.Fatal(err)
		}
		if got := glob(pattern, s); got != want {
			r.Errorf("glob(%q, %q) is %v", pattern, s, got)
		}
	})
}

func TestFiltersRefuse(t *testing.T) {
	b := newBench(t)
	many := make([]string, 201)
	for _, row := range []struct {
		filter      api.Filter
		code, field string
	}{
		{api.Filter{Name: "nope", Values: []string{"x"}}, "InvalidParameterValue", "Filters.1.Name"},
		{api.Filter{Name: "", Values: []string{"x"}}, "InvalidParameterValue", "Filters.1.Name"},
		{api.Filter{Name: "VPC-ID", Values: []string{"x"}}, "InvalidParameterValue", "Filters.1.Name"},
		{api.Filter{Name: "\x00\u202e", Values: []string{"x"}}, "InvalidParameterValue", "Filters.1.Name"},
		{api.Filter{Name: "vpc-id"}, "InvalidParameterValue", "Filters.1.Values"},
		{api.Filter{Name: "vpc-id", Values: many}, "FilterLimitExceeded", "Filters.1.Values"},
	} {
		filters := []api.Filter{{Name: "vpc-id", Values: []string{"*"}}, row.filter}
		for _, req := range []any{
			&api.DescribeVpcsRequest{Filters: filters}, &api.DescribeSubnetsRequest{Filters: filters},
			&api.DescribeRouteTablesRequest{Filters: filters}, &api.DescribeNetworkAclsRequest{Filters: filters},
		} {
			_, _, err := b.call(alice, actionOf(req), req)
			refused(t, err, row.code, row.field)
		}
	}
	// Zones have no tags.
	_, _, err := b.call(alice, "DescribeAvailabilityZones", &api.DescribeAvailabilityZonesRequest{Filters: []api.Filter{{Name: "tag:a", Values: []string{"b"}}}})
	refused(t, err, "InvalidParameterValue", "Filters.0.Name")
}

// Every documented filter name can be asked, also of shapes whose optional
// parts are absent.
func TestFilterFieldsOfHollowShapes(t *testing.T) {
	for name, f := range vpcFilters {
		_ = f(api.Vpc{})
		_ = name
	}
	for _, f := range subnetFilters {
		_ = f(api.Subnet{})
	}
	for _, f := range tableFilters {
		_ = f(api.RouteTable{Routes: make([]api.Route, 1), Associations: make([]api.RouteTableAssociation, 1)})
	}
	for _, f := range aclFilters {
		_ = f(api.NetworkAcl{Entries: make([]api.NetworkAclEntry, 1), Associations: make([]api.NetworkAclAssociation, 1)})
	}
}

// TestDeletingPages: who deletes what each page lists has deleted all in the end.
func TestDeletingPages(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Limits = map[string]int64{"vpcs": -1} })
	for range 12 {
		b.vpc("10.0.0.0/16")
	}
	token := ""
	for range 3 {
		res := do[api.DescribeVpcsResult](b, &api.DescribeVpcsRequest{MaxResults: api.Ptr(int32(5)), NextToken: token})
		for _, v := range res.Vpcs {
			do[api.DeleteVpcResult](b, &api.DeleteVpcRequest{VpcId: v.VpcId})
		}
		token = res.NextToken
	}
	if left := do[api.DescribeVpcsResult](b, &api.DescribeVpcsRequest{}).Vpcs; len(left) != 0 || token != "" {
		t.Errorf("%d VPCs were on no page; token %q", len(left), token)
	}
}

func TestPages(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Limits = map[string]int64{"vpcs": -1} })
	for range 12 {
		b.vpc("10.0.0.0/16")
	}
	var seen []string
	token := ""
	for range 3 {
		res := do[api.DescribeVpcsResult](b, &api.DescribeVpcsRequest{MaxResults: api.Ptr(int32(5)), NextToken: token})
		for _, v := range res.Vpcs {
			seen = append(seen, v.VpcId)
		}
		token = res.NextToken
	}
	if len(seen) != 12 || token != "" || seen[0] >= seen[11] {
		t.Errorf("saw %v, token %q", seen, token)
	}
	for _, bad := range []string{"x", "cGFnZTE6LTE", "cGFnZTE6OTk5OTk5OTk5OTk5OTk5", "\x00", strings.Repeat("a", 1000)} {
		_, _, err := b.call(alice, "DescribeVpcs", &api.DescribeVpcsRequest{NextToken: bad})
		refused(t, err, "InvalidNextToken", "NextToken")
	}
	for _, bad := range []int32{-1, 0, 4, 1001} {
		_, _, err := b.call(alice, "DescribeVpcs", &api.DescribeVpcsRequest{MaxResults: &bad})
		refused(t, err, "InvalidParameterValue", "MaxResults")
		_, _, err = b.call(alice, "DescribeTags", &api.DescribeTagsRequest{MaxResults: &bad})
		refused(t, err, "InvalidParameterValue", "MaxResults")
	}
	_, _, err := b.call(alice, "DescribeVpcs", &api.DescribeVpcsRequest{MaxResults: api.Ptr(int32(5)), VpcIds: seen[:1]})
	refused(t, err, "InvalidParameterCombination", "MaxResults")
}
