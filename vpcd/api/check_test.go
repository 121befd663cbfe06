package api

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name        string
		req         any
		code, field string
	}{
		{"nothing required", &DescribeVpcsRequest{}, "", ""},
		{"required", &DeleteVpcRequest{}, "MissingParameter", "VpcId"},
		{"required present", &DeleteVpcRequest{VpcId: "vpc-1"}, "", ""},
		{"required of ours", &ModifyLimitRequest{Name: "vpcs"}, "MissingParameter", "Value"},
		{"zero is present", &ModifyLimitRequest{Name: "vpcs", Value: Ptr(int64(0))}, "", ""},
		{"enum", &CreateVpcRequest{InstanceTenancy: "shared"}, "InvalidParameterValue", "InstanceTenancy"},
		{"enum in range", &CreateVpcRequest{InstanceTenancy: TenancyDefault}, "", ""},
		{"enum, nested", &CreateVpcRequest{TagSpecifications: []TagSpecification{{ResourceType: ResourceTypeVpc}, {ResourceType: "cat"}}},
			"InvalidParameterValue", "TagSpecifications.1.ResourceType"},
		{"too small", &DescribeVpcsRequest{MaxResults: Ptr(int32(4))}, "InvalidParameterValue", "MaxResults"},
		{"smallest", &DescribeVpcsRequest{MaxResults: Ptr(int32(5))}, "", ""},
		{"largest", &DescribeVpcsRequest{MaxResults: Ptr(int32(1000))}, "", ""},
		{"too large", &DescribeVpcsRequest{MaxResults: Ptr(int32(1001))}, "InvalidParameterValue", "MaxResults"},
	} {
		err := Check(c.req)
		var e *Error
		if !errors.As(err, &e) {
			e = &Error{}
		}
		if e.Code != c.code || e.Field != c.field {
			t.Errorf("%s: have %v (field %q), want code %q, field %q", c.name, err, e.Field, c.code, c.field)
		}
	}
}

// A bound the generator wrote must be a number: Check panics otherwise.
// A message is for people, whatever was asked for and however long the list of
// what could have been.
func TestCheckMessages(t *testing.T) {
	for _, c := range []struct {
		req  any
		want string
	}{
		{&CreateVpcRequest{InstanceTenancy: "a\x1b\u202e"}, `InvalidParameterValue: value (a\x1b\u202e) for parameter InstanceTenancy is invalid: it must be one of default, dedicated, host`},
		{&CreateVpcRequest{InstanceTenancy: strings.Repeat("x", 300)}, "InvalidParameterValue: value (" + strings.Repeat("x", printableMax) + "...) for parameter InstanceTenancy is invalid: it must be one of default, dedicated, host"},
		{&CreateVpcRequest{TagSpecifications: []TagSpecification{{ResourceType: "cat"}}}, "InvalidParameterValue: value (cat) for parameter TagSpecifications.0.ResourceType is invalid: it must be one of " +
			strconv.Itoa(len(Enums["ResourceType"])) + " values, such as " + strings.Join(Enums["ResourceType"][:3], ", ")},
	} {
		if err := Check(c.req); err == nil || err.Error() != c.want {
			t.Errorf("have %v\nwant %s", err, c.want)
		}
	}
}

func TestCheckEveryFullRequest(t *testing.T) {
	for name, a := range Actions {
		req := a.NewRequest()
		fill(req)
		err := Check(req)
		var e *Error
		if err != nil && (!errors.As(err, &e) || e.Code != "InvalidParameterValue") {
			t.Errorf("%s: full request: %v", name, err)
		}
	}
}

func TestFillLists(t *testing.T) {
	for _, c := range []struct {
		result any
		want   string
	}{
		{&DescribeVpcsResult{}, `{"Vpcs":[]}`},
		{&DescribeVpcsResult{Vpcs: []Vpc{{VpcId: "vpc-1"}}}, `{"Vpcs":[{"VpcId":"vpc-1"}]}`},
		{&DescribeDropsResult{}, `{"Drops":[]}`},
		{&DescribeNetworkInterfaceAttributeResult{}, `{}`},
		{&DeleteVpcResult{}, `{}`},
		{&CreateVpcResult{}, `{}`},
	} {
		b, err := json.Marshal(FillLists(c.result))
		if err != nil || string(b) != c.want {
			t.Errorf("%T: have %s (%v), want %s", c.result, b, err, c.want)
		}
	}
}

func TestEveryDescribePrintsItsList(t *testing.T) {
	for name, a := range Actions {
		if !strings.HasPrefix(name, "Describe") || strings.HasSuffix(name, "Attribute") {
			continue
		}
		b, err := json.Marshal(FillLists(a.NewResult()))
		if err != nil || !strings.Contains(string(b), "[]") || strings.Contains(string(b), "null") {
			t.Errorf("%s: an empty result reads %s (%v)", name, b, err)
		}
	}
}
