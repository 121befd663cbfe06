package service

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// withoutDryRun are the mutations for which EC2 has no DryRun.
var withoutDryRun = []string{
	"AssignPrivateIpAddresses", "AssociateVpcCidrBlock", "DisassociateVpcCidrBlock", "ModifySubnetAttribute", "ModifyVpcAttribute", "UnassignPrivateIpAddresses",
}

// TestDryRun: every action that has it says that it would have succeeded, and
// changes nothing; then it does succeed.
func TestDryRun(t *testing.T) {
	a, _ := newSides(t)
	for _, example := range examples {
		req := example(a)
		name := actionOf(req)
		dry := copyOf(t, req)
		if f := member(dry, "DryRun"); f.IsValid() {
			f.Set(reflect.ValueOf(api.Ptr(true)))
			a.unchanged(t, func() {
				_, revision, err := a.call(alice, name, dry)
				if e := codeOf(err); e != "DryRunOperation" || revision != 0 {
					t.Errorf("%s: a dry run answers %v at %d", name, err, revision)
				}
			})
		} else if api.Actions[name].Mutates != slices.Contains(withoutDryRun, name) {
			t.Errorf("%s has no DryRun", name)
		}
		if _, _, err := a.call(alice, name, req); err != nil {
			t.Errorf("%s: after its dry run: %v", name, err)
		}
	}
}

// TestDryRunRefusesWhatWouldFail: a dry run of something that is done already,
// or whose object is gone, fails like the thing itself.
func TestDryRunRefusesWhatWouldFail(t *testing.T) {
	a, _ := newSides(t)
	refusals := 0
	for _, example := range examples {
		req := example(a)
		f := member(req, "DryRun")
		if !f.IsValid() {
			continue
		}
		if _, _, err := a.call(alice, actionOf(req), req); err != nil {
			t.Fatalf("%s: %v", actionOf(req), err)
		}
		_, _, twice := a.call(alice, actionOf(req), copyOf(t, req))
		if twice == nil {
			continue
		}
		// Only if nothing that matters has changed between the two.
		f.Set(reflect.ValueOf(api.Ptr(true)))
		refusals++
		if _, _, err := a.call(alice, actionOf(req), req); codeOf(err) != codeOf(twice) {
			t.Errorf("%s fails with %v, its dry run with %v", actionOf(req), twice, err)
		}
	}
	if refusals < 15 {
		t.Errorf("only %d examples cannot be done twice", refusals)
	}
}

// otherParameters changes a request with a client token into another one.
var otherParameters = map[string]func(req any){
	"CreateNetworkInterface": func(req any) { req.(*api.CreateNetworkInterfaceRequest).Description = "other" },
	"CreateNetworkAcl": func(req any) {
		req.(*api.CreateNetworkAclRequest).TagSpecifications = tagSpec("network-acl", api.Tag{Key: "other"})
	},
	"CreateRouteTable": func(req any) {
		req.(*api.CreateRouteTableRequest).TagSpecifications = tagSpec("route-table", api.Tag{Key: "other"})
	},
	"CreateNatGateway": func(req any) {
		req.(*api.CreateNatGatewayRequest).TagSpecifications = tagSpec("natgateway", api.Tag{Key: "other"})
	},
	"CreateManagedPrefixList": func(req any) { req.(*api.CreateManagedPrefixListRequest).MaxEntries = api.Ptr(int32(9)) },
	"AttachWorkload":          func(req any) { req.(*api.AttachWorkloadRequest).InterfaceName = "other0" },
}

// TestClientToken: the same request with the same token has one effect and one
// answer, another request with it is refused, and accounts and actions have
// tokens of their own.
func TestClientToken(t *testing.T) {
	a, b := newSides(t)
	for _, s := range []*side{a, b} {
		for i, example := range examples {
			req := example(s)
			name := actionOf(req)
			token := member(req, "ClientToken")
			if !token.IsValid() {
				continue
			}
			// One token for both accounts and for both actions.
			token.SetString(fmt.Sprint("token-", i))
			testToken(t, s, name, req)
		}
	}
}

func testToken(t *testing.T, s *side, name string, req any) {
	t.Helper()
	first, _, err := s.call(s.who, name, req)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	s.unchanged(t, func() {
		again, _, err := s.call(s.who, name, copyOf(t, req))
		if err != nil || !reflect.DeepEqual(again, first) {
			t.Errorf("%s: again it answers %+v, %v; first it was %+v", name, again, err, first)
		}
		dry := copyOf(t, req)
		member(dry, "DryRun").Set(reflect.ValueOf(api.Ptr(true)))
		if _, _, err := s.call(s.who, name, dry); codeOf(err) != "DryRunOperation" {
			t.Errorf("%s: a dry run of it answers %v", name, err)
		}
		change, ok := otherParameters[name]
		if !ok {
			t.Fatalf("say in otherParameters how a request of %s can differ", name)
		}
		other := copyOf(t, req)
		change(other)
		_, _, err = s.call(s.who, name, other)
		refused(t, err, "IdempotentParameterMismatch", "ClientToken")
		for _, bad := range []string{strings.Repeat("x", 65), "a b", "a\nb", "é", "\x00"} {
			wrong := copyOf(t, req)
			member(wrong, "ClientToken").SetString(bad)
			_, _, err := s.call(s.who, name, wrong)
			refused(t, err, "InvalidParameterValue", "ClientToken")
		}
	})
}

// taggedAs is the type of what an action makes, where it can be given tags.
var taggedAs = map[string]string{
	"CreateVpc": "vpc", "CreateSubnet": "subnet", "CreateNetworkInterface": "network-interface", "CreateSecurityGroup": "security-group",
	"AuthorizeSecurityGroupIngress": "security-group-rule", "AuthorizeSecurityGroupEgress": "security-group-rule",
	"CreateNetworkAcl": "network-acl", "CreateManagedPrefixList": "prefix-list", "CreateRouteTable": "route-table",
	"CreateInternetGateway": "internet-gateway", "AllocateAddress": "elastic-ip", "CreateNatGateway": "natgateway",
	"CreateVpcPeeringConnection": "vpc-peering-connection",
}

// withoutTags make something that has no tags in EC2 either.
var withoutTags = []string{"CreateTags", "CreateNetworkAclEntry", "CreateRoute"}

// TestTagSpecifications: whatever is made can be tagged in the same call, by
// the rules for tags and with nothing made where one is broken.
func TestTagSpecifications(t *testing.T) {
	a, _ := newSides(t)
	for i, example := range examples {
		req := example(a)
		name := actionOf(req)
		if !member(req, "TagSpecifications").IsValid() {
			if strings.HasPrefix(name, "Create") && !slices.Contains(withoutTags, name) && !api.Actions[name].Own {
				t.Errorf("%s makes something that cannot be tagged", name)
			}
			continue
		}
		kind, ok := taggedAs[name]
		if !ok {
			t.Errorf("say in taggedAs what %s makes", name)
			continue
		}
		with := func(specs []api.TagSpecification) any {
			tagged := copyOf(t, req)
			member(tagged, "TagSpecifications").Set(reflect.ValueOf(specs))
			return tagged
		}
		a.unchanged(t, func() { refusedTags(t, a, name, kind, with) })

		mark := fmt.Sprint(name, i)
		if _, _, err := a.call(alice, name, with(tagSpec(kind, api.Tag{Key: "made-by", Value: mark}, api.Tag{Key: "empty"}))); err != nil {
			t.Errorf("%s with tags: %v", name, err)
		}
		res := as[api.DescribeTagsResult](a, &api.DescribeTagsRequest{Filters: []api.Filter{{Name: "tag:made-by", Values: []string{mark}}}})
		if len(res.Tags) != 1 || res.Tags[0].ResourceType != kind {
			t.Errorf("%s: its tag is on %+v, want one %s", name, res.Tags, kind)
		}
	}
}

func refusedTags(t *testing.T, s *side, name, kind string, with func([]api.TagSpecification) any) {
	t.Helper()
	good := api.Tag{Key: "a", Value: "b"}
	for _, tt := range []struct {
		specs       []api.TagSpecification
		code, field string
	}{
		{tagSpec("volume", good), "InvalidParameterValue", "0.ResourceType"},
		{tagSpec("no-such-type", good), "InvalidParameterValue", "0.ResourceType"},
		{tagSpec("", good), "InvalidParameterValue", "0.ResourceType"},
		{append(tagSpec(kind, good), tagSpec(kind, api.Tag{Key: "c"})...), "InvalidParameterValue", "1.ResourceType"},
		{tagSpec(kind), "InvalidParameterValue", "0.Tags"},
		{tagSpec(kind, good, good), "InvalidParameterValue", "0.Tags.1.Key"},
		{tagSpec(kind, api.Tag{Value: "b"}), "InvalidParameterValue", "0.Tags.0.Key"},
		{tagSpec(kind, api.Tag{Key: "aws:x"}), "InvalidParameterValue", "0.Tags.0.Key"},
		{tagSpec(kind, api.Tag{Key: "AWS:x"}), "InvalidParameterValue", "0.Tags.0.Key"},
		{tagSpec(kind, api.Tag{Key: strings.Repeat("k", maxTagKey+1)}), "InvalidParameterValue", "0.Tags.0.Key"},
		{tagSpec(kind, api.Tag{Key: "k", Value: strings.Repeat("v", maxTagValue+1)}), "InvalidParameterValue", "0.Tags.0.Value"},
		{tagSpec(kind, manyTags(maxTags+1)...), "TagLimitExceeded", "0.Tags"},
	} {
		_, _, err := s.call(s.who, name, with(tt.specs))
		var e *api.Error
		if !errors.As(err, &e) || e.Code != tt.code || e.Field != "TagSpecifications."+tt.field {
			t.Errorf("%s with %+v: %v, want %s at TagSpecifications.%s", name, tt.specs[:1], err, tt.code, tt.field)
		}
	}
}
