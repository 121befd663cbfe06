package service

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func TestEveryActionHasAHandler(t *testing.T) {
	handlers := newBench(t).handlers
	for name := range api.Actions {
		if handlers[name] == nil {
			t.Errorf("action %s has no handler", name)
		}
	}
	for name := range handlers {
		if _, ok := api.Actions[name]; !ok {
			t.Errorf("handler %s has no action", name)
		}
	}
}

// An empty request, and one where every pointer and list has one zero
// element, must be answered by any action, and only with errors of ours.
func TestNoActionFailsOnHollowRequests(t *testing.T) {
	b := newBench(t)
	for name, action := range api.Actions {
		for _, fill := range []bool{false, true} {
			req := action.NewRequest()
			if fill {
				hollow(reflect.ValueOf(req).Elem(), 4)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // an action that waits must not wait for this
			_, _, err := b.handlers[name](ctx, alice, req)
			var known *api.Error
			if err != nil && !errors.As(err, &known) {
				t.Errorf("%s: error %v is a %T", name, err, err)
			}
			if known != nil && known.Code == "InternalError" {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// hollow sets each pointer to a zero value and each list to one zero element.
func hollow(v reflect.Value, depth int) {
	switch {
	case depth == 0:
	case v.Kind() == reflect.Pointer && v.Type().Elem().Kind() != reflect.Bool:
		v.Set(reflect.New(v.Type().Elem()))
		hollow(v.Elem(), depth-1)
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		hollow(v.Index(0), depth-1)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				hollow(v.Field(i), depth)
			}
		}
	}
}

func TestAFaultOfOneCallIsContained(t *testing.T) {
	h := contain("CreateVpc", func(context.Context, Caller, any) (any, int64, error) {
		var none *api.Vpc
		return none.VpcId, 1, nil
	})
	result, revision, err := h(t.Context(), alice, nil)
	refused(t, err, "InternalError", "")
	if result != nil || revision != 0 {
		t.Errorf("got %v at %d beside the error", result, revision)
	}
}

func TestRequestOfAnotherType(t *testing.T) {
	b := newBench(t)
	_, _, err := b.call(alice, "CreateVpc", &api.DeleteVpcRequest{})
	refused(t, err, "InternalError", "")
	_, _, err = b.call(alice, "CreateVpc", nil)
	refused(t, err, "InternalError", "")
}

func TestDryRunOfReads(t *testing.T) {
	b := newBench(t)
	_, _, err := b.call(alice, "DescribeVpcs", &api.DescribeVpcsRequest{DryRun: api.Ptr(true)})
	refused(t, err, "DryRunOperation", "")
}

func TestDryRunWritesNothing(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	subnet := b.subnet(vpc.VpcId, "10.0.1.0/24")
	yes := api.Ptr(true)
	acl, list := b.acl(vpc.VpcId), b.list(1).PrefixListId
	rule := entry(acl, 1, false)
	rule.DryRun = yes
	for _, req := range []any{
		&api.CreateVpcRequest{CidrBlock: "10.0.0.0/16", DryRun: yes},
		&api.CreateSubnetRequest{VpcId: vpc.VpcId, CidrBlock: "10.0.2.0/24", DryRun: yes},
		&api.DeleteSubnetRequest{SubnetId: subnet.SubnetId, DryRun: yes},
		&api.CreateTagsRequest{Resources: []string{vpc.VpcId}, Tags: []api.Tag{{Key: "a", Value: "b"}}, DryRun: yes},
		&api.DeleteTagsRequest{Resources: []string{vpc.VpcId}, DryRun: yes},
		&api.ModifyVpcOptionsRequest{VpcId: vpc.VpcId, Revocation: "cut", DryRun: yes},
		&api.ModifyLimitRequest{Name: "vpcs", Value: api.Ptr(int64(9)), DryRun: yes},
		rule,
		&api.DeleteNetworkAclRequest{NetworkAclId: acl, DryRun: yes},
		&api.ReplaceNetworkAclAssociationRequest{AssociationId: b.association(subnet.SubnetId).NetworkAclAssociationId, NetworkAclId: acl, DryRun: yes},
		&api.ModifyManagedPrefixListRequest{PrefixListId: list, AddEntries: adds("10.0.0.0/8"), DryRun: yes},
		&api.DeleteManagedPrefixListRequest{PrefixListId: list, DryRun: yes},
	} {
		b.unchanged(t, func() {
			_, _, err := b.call(alice, actionOf(req), req)
			refused(t, err, "DryRunOperation", "")
		})
	}
	// What would fail says so instead.
	_, _, err := b.call(alice, "DeleteVpc", &api.DeleteVpcRequest{VpcId: vpc.VpcId, DryRun: yes})
	refused(t, err, "DependencyViolation", "VpcId")
}
