package service

import (
	"context"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// describeVpcAttribute answers with the one attribute that was asked for.
func (s *Service) describeVpcAttribute(_ context.Context, caller Caller, req *api.DescribeVpcAttributeRequest) (*api.DescribeVpcAttributeResult, int64, error) {
	v := s.view(caller)
	vpc, err := getVpc(v.r, caller, req.VpcId)
	if err != nil {
		return nil, 0, err
	}
	res := &api.DescribeVpcAttributeResult{VpcId: req.VpcId}
	switch req.Attribute {
	case api.VpcAttributeNameEnableDnsSupport:
		res.EnableDnsSupport = flag(vpc.EnableDnsSupport)
	case api.VpcAttributeNameEnableDnsHostnames:
		res.EnableDnsHostnames = flag(vpc.EnableDnsHostnames)
	case api.VpcAttributeNameEnableNetworkAddressUsageMetrics:
		res.EnableNetworkAddressUsageMetrics = flag(vpc.EnableNetworkAddressUsageMetrics)
	default:
		return nil, 0, api.Errorf("InvalidParameterValue", "Attribute", "there is no VPC attribute %s", quote(req.Attribute))
	}
	return res, v.revision(), nil
}

func flag(v bool) *api.AttributeBooleanValue { return &api.AttributeBooleanValue{Value: api.Ptr(v)} }

// attribute is one member of a Modify…Attribute request.
type attribute struct {
	name string
	set  bool
}

// oneAttribute returns the attribute that a request changes: exactly one.
func oneAttribute(attributes []attribute) (string, error) {
	var all, set []string
	for _, a := range attributes {
		all = append(all, a.name)
		if a.set {
			set = append(set, a.name)
		}
	}
	switch len(set) {
	case 0:
		return "", api.Errorf("MissingParameter", "", "the request names no attribute; give one of %s", strings.Join(all, ", "))
	case 1:
		return set[0], nil
	}
	return "", api.Errorf("InvalidParameterCombination", set[1], "%s cannot be changed in the same call; make one call for each", strings.Join(set, " and "))
}

// flagValue is the value of a boolean attribute that is given.
func flagValue(v *api.AttributeBooleanValue, name string) (bool, error) {
	if v == nil || v.Value == nil {
		return false, api.Errorf("MissingParameter", name+".Value", "the parameter %s needs a Value, true or false", name)
	}
	return *v.Value, nil
}

// modifyVpcAttribute changes exactly one attribute; EC2 has no DryRun here.
// Turning DNS support off leaves the hostnames setting as it is, so that
// clients may send the two in either order.
func (s *Service) modifyVpcAttribute(ctx context.Context, caller Caller, req *api.ModifyVpcAttributeRequest) (*api.ModifyVpcAttributeResult, int64, error) {
	name, err := oneAttribute([]attribute{
		{"EnableDnsSupport", req.EnableDnsSupport != nil},
		{"EnableDnsHostnames", req.EnableDnsHostnames != nil},
		{"EnableNetworkAddressUsageMetrics", req.EnableNetworkAddressUsageMetrics != nil},
	})
	if err != nil {
		return nil, 0, err
	}
	given := map[string]*api.AttributeBooleanValue{
		"EnableDnsSupport":                 req.EnableDnsSupport,
		"EnableDnsHostnames":               req.EnableDnsHostnames,
		"EnableNetworkAddressUsageMetrics": req.EnableNetworkAddressUsageMetrics,
	}[name]
	value, err := flagValue(given, name)
	if err != nil {
		return nil, 0, err
	}
	revision, err := s.editVpc(ctx, caller, req.VpcId, nil, func(vpc *record.Vpc) error {
		switch name {
		case "EnableDnsSupport":
			vpc.EnableDnsSupport = value
		case "EnableDnsHostnames":
			if value && !vpc.EnableDnsSupport {
				return api.Errorf("InvalidParameterCombination", name, "DNS hostnames need DNS support, which %s has off; set EnableDnsSupport first", req.VpcId)
			}
			vpc.EnableDnsHostnames = value
		default:
			vpc.EnableNetworkAddressUsageMetrics = value
		}
		return nil
	})
	return &api.ModifyVpcAttributeResult{}, revision, err
}

// modifyVpcOptions sets what EC2 has no attribute for.
func (s *Service) modifyVpcOptions(ctx context.Context, caller Caller, req *api.ModifyVpcOptionsRequest) (*api.ModifyVpcOptionsResult, int64, error) {
	if req.Revocation == "" {
		return nil, 0, api.Errorf("MissingParameter", "Revocation", "the request names no option; give Revocation, keep or cut")
	}
	revision, err := s.editVpc(ctx, caller, req.VpcId, req.DryRun, func(vpc *record.Vpc) error {
		vpc.Revocation = req.Revocation
		return nil
	})
	return &api.ModifyVpcOptionsResult{}, revision, err
}

// editVpc changes a copy of a VPC and stores it.
func (s *Service) editVpc(ctx context.Context, caller Caller, id string, dryRun *bool, edit func(*record.Vpc) error) (int64, error) {
	return s.mutate(ctx, caller, dryRun, func(c *change) error {
		vpc, err := getVpc(c.tx, c.caller, id)
		if err != nil {
			return err
		}
		changed := *vpc
		if err := edit(&changed); err != nil {
			return err
		}
		c.putVpc(&changed)
		return nil
	})
}
