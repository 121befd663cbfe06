package service

import (
	"fmt"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// policyExamples are those of security groups, network ACLs and prefix lists.
var policyExamples = []func(*side) any{
	func(s *side) any {
		return &api.CreateSecurityGroupRequest{VpcId: s.vpc, GroupName: fmt.Sprint("example", s.next()), Description: "an example"}
	},
	func(s *side) any { return &api.DeleteSecurityGroupRequest{GroupId: s.newGroup()} },
	func(s *side) any { return &api.DescribeSecurityGroupsRequest{GroupIds: []string{s.group}} },
	func(*side) any { return &api.DescribeSecurityGroupsRequest{} },
	func(s *side) any {
		return &api.DescribeSecurityGroupRulesRequest{SecurityGroupRuleIds: []string{s.rule}}
	},
	func(*side) any { return &api.DescribeSecurityGroupRulesRequest{} },
	func(s *side) any {
		return &api.AuthorizeSecurityGroupIngressRequest{GroupId: s.group, IpPermissions: s.freePermission(s.newGroup())}
	},
	func(s *side) any {
		return &api.AuthorizeSecurityGroupEgressRequest{GroupId: s.group, IpPermissions: s.freePermission(s.newGroup())}
	},
	func(s *side) any {
		in, _ := s.newRule(s.group)
		return &api.RevokeSecurityGroupIngressRequest{GroupId: s.group, SecurityGroupRuleIds: []string{in}}
	},
	func(s *side) any {
		in, _ := s.newRule(s.group)
		return &api.RevokeSecurityGroupIngressRequest{GroupId: s.group, SecurityGroupRuleIds: []string{in}, CutTracked: api.Ptr(true)}
	},
	func(s *side) any {
		return &api.CutFlowsRequest{GroupId: s.group, SecurityGroupRuleIds: []string{s.newRevoked()}}
	},
	func(s *side) any {
		return &api.GetRuleFlowsRequest{GroupId: s.group, SecurityGroupRuleIds: []string{s.rule, s.newRevoked()}}
	},
	func(s *side) any {
		perms := s.freePermission(s.newGroup())
		as[api.AuthorizeSecurityGroupIngressResult](s, &api.AuthorizeSecurityGroupIngressRequest{GroupId: s.group, IpPermissions: perms})
		return &api.RevokeSecurityGroupIngressRequest{GroupId: s.group, IpPermissions: perms}
	},
	func(s *side) any {
		_, out := s.newRule(s.group)
		return &api.RevokeSecurityGroupEgressRequest{GroupId: s.group, SecurityGroupRuleIds: []string{out}}
	},
	func(s *side) any {
		perms := s.freePermission(s.newGroup())
		as[api.AuthorizeSecurityGroupEgressResult](s, &api.AuthorizeSecurityGroupEgressRequest{GroupId: s.group, IpPermissions: perms})
		return &api.RevokeSecurityGroupEgressRequest{GroupId: s.group, IpPermissions: perms}
	},
	func(s *side) any {
		change := &api.SecurityGroupRuleRequest{IpProtocol: "udp", FromPort: api.Ptr(int32(s.next())), ToPort: api.Ptr(int32(9999)), ReferencedGroupId: s.newGroup()}
		return &api.ModifySecurityGroupRulesRequest{GroupId: s.group, SecurityGroupRules: []api.SecurityGroupRuleUpdate{{SecurityGroupRuleId: s.rule, SecurityGroupRule: change}}}
	},
	func(s *side) any {
		return &api.UpdateSecurityGroupRuleDescriptionsIngressRequest{GroupId: s.group,
			SecurityGroupRuleDescriptions: []api.SecurityGroupRuleDescription{{SecurityGroupRuleId: s.rule, Description: "x"}}}
	},
	func(s *side) any {
		perms := s.freePermission(s.newGroup())
		as[api.AuthorizeSecurityGroupIngressResult](s, &api.AuthorizeSecurityGroupIngressRequest{GroupId: s.group, IpPermissions: perms})
		return &api.UpdateSecurityGroupRuleDescriptionsIngressRequest{GroupId: s.group, IpPermissions: perms}
	},
	func(s *side) any {
		return &api.UpdateSecurityGroupRuleDescriptionsEgressRequest{GroupId: s.group,
			SecurityGroupRuleDescriptions: []api.SecurityGroupRuleDescription{{SecurityGroupRuleId: s.egressRule, Description: "x"}}}
	},
	func(s *side) any {
		perms := s.freePermission(s.newGroup())
		as[api.AuthorizeSecurityGroupEgressResult](s, &api.AuthorizeSecurityGroupEgressRequest{GroupId: s.group, IpPermissions: perms})
		return &api.UpdateSecurityGroupRuleDescriptionsEgressRequest{GroupId: s.group, IpPermissions: perms}
	},
	func(s *side) any {
		return &api.AuthorizeSecurityGroupIngressRequest{GroupId: s.group, IpPermissions: s.freeListPermission(s.newList())}
	},
	func(s *side) any {
		return &api.AuthorizeSecurityGroupEgressRequest{GroupId: s.group, IpPermissions: s.freeListPermission(s.newList())}
	},
	func(s *side) any {
		perms := s.freeListPermission(s.list)
		as[api.AuthorizeSecurityGroupIngressResult](s, &api.AuthorizeSecurityGroupIngressRequest{GroupId: s.group, IpPermissions: perms})
		return &api.RevokeSecurityGroupIngressRequest{GroupId: s.group, IpPermissions: perms}
	},
	func(s *side) any {
		perms := s.freeListPermission(s.list)
		as[api.AuthorizeSecurityGroupEgressResult](s, &api.AuthorizeSecurityGroupEgressRequest{GroupId: s.group, IpPermissions: perms})
		return &api.RevokeSecurityGroupEgressRequest{GroupId: s.group, IpPermissions: perms}
	},
	func(s *side) any {
		change := &api.SecurityGroupRuleRequest{IpProtocol: "udp", FromPort: api.Ptr(int32(s.next())), ToPort: api.Ptr(int32(9999)), PrefixListId: s.newList()}
		return &api.ModifySecurityGroupRulesRequest{GroupId: s.group, SecurityGroupRules: []api.SecurityGroupRuleUpdate{{SecurityGroupRuleId: s.rule, SecurityGroupRule: change}}}
	},
	func(s *side) any {
		perms := s.freeListPermission(s.list)
		as[api.AuthorizeSecurityGroupIngressResult](s, &api.AuthorizeSecurityGroupIngressRequest{GroupId: s.group, IpPermissions: perms})
		return &api.UpdateSecurityGroupRuleDescriptionsIngressRequest{GroupId: s.group, IpPermissions: perms}
	},
	func(s *side) any {
		perms := s.freeListPermission(s.list)
		as[api.AuthorizeSecurityGroupEgressResult](s, &api.AuthorizeSecurityGroupEgressRequest{GroupId: s.group, IpPermissions: perms})
		return &api.UpdateSecurityGroupRuleDescriptionsEgressRequest{GroupId: s.group, IpPermissions: perms}
	},

	func(s *side) any { return &api.CreateNetworkAclRequest{VpcId: s.vpc} },
	func(s *side) any { return &api.DeleteNetworkAclRequest{NetworkAclId: s.newAcl()} },
	func(s *side) any { return &api.DescribeNetworkAclsRequest{NetworkAclIds: []string{s.acl}} },
	func(*side) any { return &api.DescribeNetworkAclsRequest{} },
	func(s *side) any {
		return &api.CreateNetworkAclEntryRequest{NetworkAclId: s.newAcl(), RuleNumber: api.Ptr(int32(90)), Egress: api.Ptr(false), RuleAction: "deny", Protocol: "47", CidrBlock: "10.0.0.0/8"}
	},
	func(s *side) any {
		return &api.ReplaceNetworkAclEntryRequest{NetworkAclId: s.newAcl(), RuleNumber: api.Ptr(int32(100)), Egress: api.Ptr(false), RuleAction: "deny", Protocol: "47", CidrBlock: "10.0.0.0/8"}
	},
	func(s *side) any {
		return &api.DeleteNetworkAclEntryRequest{NetworkAclId: s.newAcl(), RuleNumber: api.Ptr(int32(100)), Egress: api.Ptr(false)}
	},
	func(s *side) any {
		return &api.ReplaceNetworkAclAssociationRequest{AssociationId: s.aclAssociationOf(s.subnet), NetworkAclId: s.newAcl()}
	},

	func(s *side) any {
		return &api.CreateManagedPrefixListRequest{PrefixListName: fmt.Sprint("example", s.next()), AddressFamily: "IPv4", MaxEntries: api.Ptr(int32(1))}
	},
	func(s *side) any { return &api.DeleteManagedPrefixListRequest{PrefixListId: s.newList()} },
	func(s *side) any { return &api.DescribeManagedPrefixListsRequest{PrefixListIds: []string{s.list}} },
	func(*side) any { return &api.DescribeManagedPrefixListsRequest{} },
	func(s *side) any {
		return &api.ModifyManagedPrefixListRequest{PrefixListId: s.newList(), RemoveEntries: []api.RemovePrefixListEntry{{Cidr: "192.0.2.0/24"}}}
	},
	func(s *side) any {
		return &api.RestoreManagedPrefixListVersionRequest{PrefixListId: s.newList(), PreviousVersion: api.Ptr(int64(1)), CurrentVersion: api.Ptr(int64(2))}
	},
	func(s *side) any { return &api.GetManagedPrefixListEntriesRequest{PrefixListId: s.list} },
	func(s *side) any { return &api.GetManagedPrefixListAssociationsRequest{PrefixListId: s.list} },
	func(*side) any { return &api.DescribePrefixListsRequest{} },
}
