package clients

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// TestOneStory tells one story through every client at the same time, each for
// an account of its own: the same names and CIDRs are three worlds.
func TestOneStory(t *testing.T) {
	h := startHost(t)
	t.Run("of", func(t *testing.T) {
		for i, name := range toolNames {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				mine := *h
				mine.T = t
				s := &story{host: &mine, account: "00000000010" + string(rune('0'+i)), alias: name}
				s.tool = mine.tool(name, mine.env(s.account))
				s.tell()
			})
		}
	})
	h.verify()
}

// story is one account's world as it grows.
type story struct {
	*host
	tool
	account, alias    string
	vpc, table, acl   string
	subnets           []string
	web, client, rule string // groups, and a rule of web
	eni               string
}

// tell goes through all of it. Chapters build on those before.
func (s *story) tell() {
	account, err := s.identity()
	s.must(err)
	if account != s.account {
		s.Fatalf("the account is %s, want %s", account, s.account)
	}
	s.beginVpc()
	s.beginSubnets()
	s.lists()
	s.beginGroups()
	s.changeRules()
	s.policies()
	s.routes()
	s.beginInterface()
	s.changeInterface()
	s.publicAddresses()
	s.peerings()
	s.natGateways()
	s.tagsAndFilters()
	s.workloads()
	s.refusals()
	s.bothWiresAgree()
	s.end()
}

// do is an action that must succeed; its name is that of the request.
func do[Res any](s *story, request any) *Res {
	s.Helper()
	res := new(Res)
	if err := s.call(actionOf(request), request, res); err != nil {
		s.Fatalf("%s: %v", actionOf(request), err)
	}
	return res
}

func actionOf(request any) string {
	return strings.TrimSuffix(reflect.TypeOf(request).Name(), "Request")
}

// refused wants an action to fail with a code.
func (s *story) refused(code string, request any) {
	s.Helper()
	if err := s.call(actionOf(request), request, nil); codeOf(err) != code {
		s.Errorf("%s %+v: %v, want %s", actionOf(request), request, err, code)
	}
}

// same is an assertion on values that print well.
func (s *story) same(what string, got, want any) {
	s.Helper()
	a, _ := json.Marshal(got) // plain values always encode
	b, _ := json.Marshal(want)
	if string(a) != string(b) {
		s.Errorf("%s:\n got %s\nwant %s", what, a, b)
	}
}

func named(kind, name string) []api.TagSpecification {
	return []api.TagSpecification{{ResourceType: kind, Tags: []api.Tag{{Key: "Name", Value: name}}}}
}

func by(pairs ...string) (out []api.Filter) {
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, api.Filter{Name: pairs[i], Values: strings.Split(pairs[i+1], ",")})
	}
	return out
}

func flag(v bool) *api.AttributeBooleanValue { return &api.AttributeBooleanValue{Value: &v} }

func (s *story) beginVpc() {
	create := api.CreateVpcRequest{CidrBlock: "10.0.0.0/16", TagSpecifications: named("vpc", "prod")}
	dry := create
	dry.DryRun = api.Ptr(true)
	s.refused("DryRunOperation", dry)
	s.same("VPCs after a dry run", len(do[api.DescribeVpcsResult](s, api.DescribeVpcsRequest{}).Vpcs), 0)

	vpc := do[api.CreateVpcResult](s, create).Vpc
	s.vpc = vpc.VpcId
	s.must(s.wait("vpc_exists", "VpcIds", s.vpc))
	s.must(s.wait("vpc_available", "VpcIds", s.vpc))
	s.same("tags of the VPC", vpc.Tags, []api.Tag{{Key: "Name", Value: "prod"}})

	groups := do[api.DescribeSecurityGroupsResult](s, api.DescribeSecurityGroupsRequest{Filters: by("vpc-id", s.vpc, "group-name", "default")}).SecurityGroups
	tables := do[api.DescribeRouteTablesResult](s, api.DescribeRouteTablesRequest{Filters: by("vpc-id", s.vpc, "association.main", "true")}).RouteTables
	acls := do[api.DescribeNetworkAclsResult](s, api.DescribeNetworkAclsRequest{Filters: by("vpc-id", s.vpc, "default", "true")}).NetworkAcls
	s.same("default group, main table, default ACL", []int{len(groups), len(tables), len(acls)}, []int{1, 1, 1})
	s.table, s.acl = tables[0].RouteTableId, acls[0].NetworkAclId
	s.same("the main table's route", tables[0].Routes[0].DestinationCidrBlock, "10.0.0.0/16")

	hostnames := api.DescribeVpcAttributeRequest{VpcId: s.vpc, Attribute: "enableDnsHostnames"}
	s.same("DNS host names at first", api.Val(do[api.DescribeVpcAttributeResult](s, hostnames).EnableDnsHostnames.Value), false)
	do[struct{}](s, api.ModifyVpcAttributeRequest{VpcId: s.vpc, EnableDnsHostnames: flag(true)})
	s.same("DNS host names then", api.Val(do[api.DescribeVpcAttributeResult](s, hostnames).EnableDnsHostnames.Value), true)
	more := do[api.AssociateVpcCidrBlockResult](s, api.AssociateVpcCidrBlockRequest{VpcId: s.vpc, CidrBlock: "10.1.0.0/16"})
	s.same("the second CIDR", more.CidrBlockAssociation.CidrBlock, "10.1.0.0/16")
}

func (s *story) beginSubnets() {
	for _, at := range []string{"a 10.0.1.0/24", "b 10.0.2.0/24", "c 10.0.3.0/24", "d 10.0.4.0/24", "web1 10.0.5.0/24", "web2 10.1.0.0/24"} {
		name, cidr, _ := strings.Cut(at, " ")
		subnet := do[api.CreateSubnetResult](s, api.CreateSubnetRequest{VpcId: s.vpc, CidrBlock: cidr, TagSpecifications: named("subnet", name)}).Subnet
		s.subnets = append(s.subnets, subnet.SubnetId)
	}
	s.must(s.wait("subnet_available", "SubnetIds", s.subnets...))
	s.refused("InvalidSubnet.Conflict", api.CreateSubnetRequest{VpcId: s.vpc, CidrBlock: "10.0.1.128/25"})
	s.refused("InvalidSubnet.Range", api.CreateSubnetRequest{VpcId: s.vpc, CidrBlock: "10.0.0.0/8"})
	do[struct{}](s, api.ModifySubnetAttributeRequest{SubnetId: s.subnets[0], MapPublicIpOnLaunch: flag(true)})
	first := do[api.DescribeSubnetsResult](s, api.DescribeSubnetsRequest{SubnetIds: s.subnets[:1]}).Subnets[0]
	s.same("public addresses of the first subnet", api.Val(first.MapPublicIpOnLaunch), true)
	s.same("free addresses of a /24", api.Val(first.AvailableIpAddressCount), 251)
}

// lists reads more than one page, and filters with wildcards: AND across
// filters, OR across values.
func (s *story) lists() {
	items, rounds, err := s.list("DescribeSubnets", "Subnets", api.DescribeSubnetsRequest{Filters: by("vpc-id", s.vpc)}, 5)
	s.must(err)
	var ids []string
	for _, item := range items {
		var subnet api.Subnet
		s.must(json.Unmarshal(item, &subnet))
		ids = append(ids, subnet.SubnetId)
	}
	want := slices.Sorted(slices.Values(s.subnets))
	s.same("subnets of all pages", slices.Sorted(slices.Values(ids)), want)
	if rounds < s.roundsOf(len(ids)) {
		s.Errorf("%d subnets came in %d rounds", len(ids), rounds)
	}
	for _, row := range []struct {
		filters []api.Filter
		count   int
	}{
		{by("tag:Name", "web*"), 2},
		{by("tag:Name", "web?,a"), 3},
		{by("tag:Name", "web*", "cidr-block", "10.1.0.0/24"), 1},
		{by("tag-key", "Name", "vpc-id", s.vpc), len(s.subnets)},
		{by("tag:Name", "WEB*"), 0},
		{by("vpc-id", "vpc-00000000"), 0},
	} {
		got := do[api.DescribeSubnetsResult](s, api.DescribeSubnetsRequest{Filters: row.filters}).Subnets
		if len(got) != row.count {
			s.Errorf("%+v: %d subnets, want %d", row.filters, len(got), row.count)
		}
	}
	s.refused("InvalidParameterValue", api.DescribeSubnetsRequest{Filters: by("no-such-filter", "x")})
}

// roundsOf is how often a client asks for so many items in pages of five: the
// CLI's rounds are longer than its pages.
func (s *story) roundsOf(items int) int {
	if _, ok := s.tool.(cli); ok {
		return (items + 6) / 7
	}
	return (items + 4) / 5
}

// bothWiresAgree compares what the client shows with what vpc shows.
func (s *story) bothWiresAgree() {
	agree[api.DescribeVpcsResult](s, api.DescribeVpcsRequest{}, "list")
	agree[api.DescribeSubnetsResult](s, api.DescribeSubnetsRequest{}, "subnet", "list")
	agree[api.DescribeSecurityGroupsResult](s, api.DescribeSecurityGroupsRequest{}, "sg", "list")
	agree[api.DescribeNetworkInterfacesResult](s, api.DescribeNetworkInterfacesRequest{}, "eni", "list")
	agree[api.DescribeRouteTablesResult](s, api.DescribeRouteTablesRequest{}, "rt", "list")
	agree[api.DescribeNetworkAclsResult](s, api.DescribeNetworkAclsRequest{}, "acl", "list")
	agree[api.DescribeManagedPrefixListsResult](s, api.DescribeManagedPrefixListsRequest{}, "pl", "list")
	agree[api.DescribeInternetGatewaysResult](s, api.DescribeInternetGatewaysRequest{}, "igw", "list")
	agree[api.DescribeAddressesResult](s, api.DescribeAddressesRequest{}, "eip", "list")
}

// agree wants every value that a client shows to be vpc's as well. Old clients
// leave out what they do not know yet, so the other direction does not hold.
func agree[Res any](s *story, request any, args ...string) {
	s.Helper()
	var mine, own any
	s.must(s.call(actionOf(request), request, &mine))
	s.must(json.Unmarshal(s.host.vpc(append([]string{"--account", s.account, "-o", "json"}, args...)...), &own))
	if diff := within(mine, own, actionOf(request)); diff != "" {
		s.Error(diff)
	}
	// And what is shown is what package api knows.
	var typed Res
	text, _ := json.Marshal(mine) // it has been JSON
	s.must(json.Unmarshal(text, &typed))
}

// within says where part is not within whole, "" when it is. Lists have the
// same length and order; what is empty may be absent.
func within(part, whole any, at string) string {
	switch p := part.(type) {
	case map[string]any:
		w, _ := whole.(map[string]any)
		for name, value := range p {
			if diff := within(value, w[name], at+"."+name); diff != "" {
				return diff
			}
		}
		return ""
	case []any:
		w, _ := whole.([]any)
		if len(p) != len(w) {
			return at + ": the lists have different lengths"
		}
		for i := range p {
			if diff := within(p[i], w[i], at+"[]"); diff != "" {
				return diff
			}
		}
		return ""
	}
	if part == whole || part == "" && whole == nil || sameTime(part, whole) {
		return ""
	}
	a, _ := json.Marshal([]any{part, whole}) // both have been JSON
	return at + ": client and vpc: " + string(a)
}

// sameTime compares to the second, because that is what XML has.
func sameTime(a, b any) bool {
	var x, y api.InstanceNetworkInterfaceAttachment
	one, _ := json.Marshal(map[string]any{"AttachTime": a})
	two, _ := json.Marshal(map[string]any{"AttachTime": b})
	if json.Unmarshal(one, &x) != nil || json.Unmarshal(two, &y) != nil || x.AttachTime == nil || y.AttachTime == nil {
		return false
	}
	return x.AttachTime.Unix() == y.AttachTime.Unix()
}

// address is that of an interface.
func address(n *api.NetworkInterface) netip.Addr { return netip.MustParseAddr(n.PrivateIpAddress) }
