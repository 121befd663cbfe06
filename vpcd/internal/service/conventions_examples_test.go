package service

import (
	"fmt"
	"slices"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// networkExamples are those of VPCs and what is in them, of the account and of
// the host.
var networkExamples = []func(*side) any{
	func(*side) any { return &api.CreateVpcRequest{CidrBlock: "10.0.0.0/16"} },
	func(s *side) any { return &api.DeleteVpcRequest{VpcId: s.newVpc()} },
	func(s *side) any { return &api.DescribeVpcsRequest{VpcIds: []string{s.vpc}} },
	func(*side) any { return &api.DescribeVpcsRequest{} },
	func(s *side) any {
		return &api.DescribeVpcAttributeRequest{VpcId: s.vpc, Attribute: "enableDnsSupport"}
	},
	func(s *side) any {
		return &api.ModifyVpcAttributeRequest{VpcId: s.vpc, EnableDnsSupport: &api.AttributeBooleanValue{Value: api.Ptr(true)}}
	},
	func(s *side) any { return &api.ModifyVpcOptionsRequest{VpcId: s.vpc, Revocation: "cut"} },
	func(s *side) any {
		return &api.AssociateVpcCidrBlockRequest{VpcId: s.newVpc(), CidrBlock: "10.2.0.0/16"}
	},
	func(s *side) any { return &api.DisassociateVpcCidrBlockRequest{AssociationId: s.cidrAssociation} },

	func(s *side) any { return &api.CreateSubnetRequest{VpcId: s.vpc, CidrBlock: s.freeCIDR()} },
	func(s *side) any { return &api.DeleteSubnetRequest{SubnetId: s.newSubnet()} },
	func(s *side) any { return &api.DescribeSubnetsRequest{SubnetIds: []string{s.subnet}} },
	func(*side) any { return &api.DescribeSubnetsRequest{} },
	func(s *side) any {
		return &api.ModifySubnetAttributeRequest{SubnetId: s.subnet, MapPublicIpOnLaunch: &api.AttributeBooleanValue{Value: api.Ptr(true)}}
	},
	func(s *side) any {
		all := []string{s.vpc, s.subnet, s.group, s.rule, s.free, s.table, s.acl, s.list, s.instance, s.gateway, s.elastic, s.nat}
		return &api.CreateTagsRequest{Resources: all, Tags: []api.Tag{{Key: "color", Value: "blue"}}}
	},
	func(s *side) any {
		all := []string{s.vpc, s.subnet, s.group, s.rule, s.free, s.table, s.acl, s.list, s.instance, s.gateway, s.elastic, s.nat}
		return &api.DeleteTagsRequest{Resources: all}
	},
	func(*side) any { return &api.DescribeTagsRequest{} },
	func(*side) any { return &api.DescribeAvailabilityZonesRequest{} },
	func(*side) any { return &api.DescribeRegionsRequest{} },
	func(*side) any { return &api.DescribeAccountAttributesRequest{} },
	func(*side) any { return &api.DescribeLimitsRequest{} },
	func(*side) any { return &api.ModifyLimitRequest{Name: "vpcs", Value: api.Ptr(int64(unlimited))} },
	func(*side) any { return &api.DescribeHostsRequest{} },
	func(*side) any { return &api.WaitAppliedRequest{Revision: api.Ptr(int64(1))} },
	func(*side) any { return &api.VerifyHostRequest{} },
	func(*side) any { return &api.ConfirmHostRequest{} },
	func(s *side) any { return &api.DescribeDropsRequest{NetworkInterfaceIds: []string{s.used}} },
	func(*side) any { return &api.DescribeDropsRequest{} },
	func(s *side) any { return &api.DescribeRuleHitsRequest{GroupIds: []string{s.group}} },
	func(s *side) any { return &api.DescribeRuleHitsRequest{NetworkAclIds: []string{s.acl}} },
	func(*side) any { return &api.DescribeRuleHitsRequest{} },
	func(s *side) any {
		return &api.DescribeNetworkInterfaceStatisticsRequest{NetworkInterfaceIds: []string{s.used}}
	},
	func(*side) any { return &api.DescribeNetworkInterfaceStatisticsRequest{} },
	func(s *side) any { return &api.DescribeNatGatewayStatisticsRequest{NatGatewayIds: []string{s.nat}} },
	func(*side) any { return &api.DescribeNatGatewayStatisticsRequest{} },
	func(s *side) any { return &api.DescribeFlowsRequest{NetworkInterfaceIds: []string{s.used}} },
	func(*side) any { return &api.DescribeFlowsRequest{} },

	func(s *side) any {
		return &api.CreateAccessKeyRequest{Name: fmt.Sprint("example", s.next())}
	},
	func(s *side) any { return &api.DescribeAccessKeysRequest{AccessKeyIds: []string{s.key}} },
	func(*side) any { return &api.DescribeAccessKeysRequest{} },
	func(s *side) any {
		made := as[api.CreateAccessKeyResult](s, &api.CreateAccessKeyRequest{Name: fmt.Sprint("example", s.next())})
		return &api.DeleteAccessKeyRequest{AccessKeyId: made.AccessKey.AccessKeyId}
	},
	func(*side) any { return &api.GetEnvironmentRequest{} },

	func(s *side) any {
		return &api.CreateNetworkInterfaceRequest{SubnetId: s.subnet, Groups: []string{s.group, s.newGroup()}}
	},
	func(s *side) any { return &api.DeleteNetworkInterfaceRequest{NetworkInterfaceId: s.newInterface()} },
	func(s *side) any {
		return &api.DescribeNetworkInterfacesRequest{NetworkInterfaceIds: []string{s.free, s.used}}
	},
	func(*side) any { return &api.DescribeNetworkInterfacesRequest{} },
	func(s *side) any {
		return &api.DescribeNetworkInterfaceAttributeRequest{NetworkInterfaceId: s.used, Attribute: "groupSet"}
	},
	func(s *side) any {
		return &api.ModifyNetworkInterfaceAttributeRequest{NetworkInterfaceId: s.free, Groups: []string{s.group}}
	},
	func(s *side) any {
		return &api.ModifyNetworkInterfaceAttributeRequest{NetworkInterfaceId: s.second,
			Attachment: &api.NetworkInterfaceAttachmentChanges{AttachmentId: s.attachment, DeleteOnTermination: api.Ptr(false)}}
	},
	func(s *side) any {
		return &api.ResetNetworkInterfaceAttributeRequest{NetworkInterfaceId: s.free, SourceDestCheck: "true"}
	},
	func(s *side) any {
		return &api.AttachNetworkInterfaceRequest{InstanceId: s.instance, NetworkInterfaceId: s.newInterface(), DeviceIndex: api.Ptr(int32(s.next()))}
	},
	func(s *side) any {
		_, attachment := s.attachSecond()
		return &api.DetachNetworkInterfaceRequest{AttachmentId: attachment}
	},
	func(s *side) any {
		return &api.AssignPrivateIpAddressesRequest{NetworkInterfaceId: s.free, SecondaryPrivateIpAddressCount: api.Ptr(int32(1))}
	},
	func(s *side) any {
		eni := s.newInterface()
		res := as[api.AssignPrivateIpAddressesResult](s, &api.AssignPrivateIpAddressesRequest{NetworkInterfaceId: eni, SecondaryPrivateIpAddressCount: api.Ptr(int32(1))})
		return &api.UnassignPrivateIpAddressesRequest{NetworkInterfaceId: eni, PrivateIpAddresses: []string{res.AssignedPrivateIpAddresses[0].PrivateIpAddress}}
	},
	func(s *side) any {
		return &api.AttachWorkloadRequest{Target: fmt.Sprintf("netns:new-%s-%d", s.who.Account, s.next()), SubnetId: s.subnet, Groups: []string{s.group}}
	},
	func(s *side) any {
		return &api.AttachWorkloadRequest{Target: fmt.Sprintf("netns:new-%s-%d", s.who.Account, s.next()), NetworkInterfaceId: s.newInterface()}
	},
	func(s *side) any {
		eni, _ := s.attachSecond()
		return &api.DetachWorkloadRequest{NetworkInterfaceId: eni}
	},
	func(s *side) any {
		target := fmt.Sprintf("netns:old-%s-%d", s.who.Account, s.next())
		as[api.AttachWorkloadResult](s, &api.AttachWorkloadRequest{Target: target, SubnetId: s.subnet})
		return &api.DetachWorkloadRequest{Target: target}
	},
	func(s *side) any { return &api.DescribeInstancesRequest{InstanceIds: []string{s.instance}} },
	func(*side) any { return &api.DescribeInstancesRequest{} },
}

// examples are requests that succeed, at least one of each action. Together
// they use every parameter that names an object; what an example destroys it
// makes itself.
var examples = slices.Concat(networkExamples, routeExamples, policyExamples, gatewayExamples, natExamples, peeringExamples)

// TestEveryActionHasAnExample: the other tests of conventions are only as good
// as the examples they go through.
func TestEveryActionHasAnExample(t *testing.T) {
	a, _ := newSides(t)
	seen := map[string]bool{}
	for _, example := range examples {
		req := example(a)
		seen[actionOf(req)] = true
		if _, _, err := a.call(alice, actionOf(req), req); err != nil {
			t.Errorf("%s %+v: %v", actionOf(req), req, err)
		}
	}
	for name := range api.Actions {
		if !seen[name] {
			t.Errorf("add an example of %s, so that its conventions are tested", name)
		}
	}
}
