package clients

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vpcfabric/vpc/e2e/probe"
	"github.com/vpcfabric/vpc/vpcd/api"
)

func tcp(port int32, cidr, description string) api.IpPermission {
	return api.IpPermission{IpProtocol: "tcp", FromPort: &port, ToPort: &port, IpRanges: []api.IpRange{{CidrIp: cidr, Description: description}}}
}

// beginGroups makes two groups: web is opened by CIDR and for members of client.
func (s *story) beginGroups() {
	group := func(name string) string {
		id := do[api.CreateSecurityGroupResult](s, api.CreateSecurityGroupRequest{VpcId: s.vpc, GroupName: name, Description: "of " + name}).GroupId
		s.must(s.wait("security_group_exists", "GroupIds", id))
		return id
	}
	s.web, s.client = group("web"), group("client")
	bare := do[api.DescribeSecurityGroupsResult](s, api.DescribeSecurityGroupsRequest{GroupIds: []string{s.web}}).SecurityGroups[0]
	s.same("ingress of a group without any", bare.IpPermissions, []api.IpPermission{})
	s.refused("InvalidGroup.Duplicate", api.CreateSecurityGroupRequest{VpcId: s.vpc, GroupName: "web", Description: "again"})

	added := do[api.AuthorizeSecurityGroupIngressResult](s, api.AuthorizeSecurityGroupIngressRequest{
		GroupId: s.web, IpPermissions: []api.IpPermission{tcp(7001, "10.0.0.0/8", "first")},
		TagSpecifications: named("security-group-rule", "open"),
	}).SecurityGroupRules
	s.same("rules added", len(added), 1)
	s.rule = added[0].SecurityGroupRuleId
	pair := api.IpPermission{IpProtocol: "udp", FromPort: api.Ptr[int32](7000), ToPort: api.Ptr[int32](7009),
		UserIdGroupPairs: []api.UserIdGroupPair{{GroupId: s.client, Description: "by group"}}}
	do[api.AuthorizeSecurityGroupIngressResult](s, api.AuthorizeSecurityGroupIngressRequest{GroupId: s.web, IpPermissions: []api.IpPermission{pair}})
	do[api.AuthorizeSecurityGroupEgressResult](s, api.AuthorizeSecurityGroupEgressRequest{GroupId: s.web, IpPermissions: []api.IpPermission{tcp(443, "203.0.113.0/24", "")}})
	s.refused("InvalidPermission.Duplicate", api.AuthorizeSecurityGroupIngressRequest{GroupId: s.web, IpPermissions: []api.IpPermission{tcp(7001, "10.0.0.0/8", "")}})
}

// rules of web, as PROTO FROM-TO PEER DESCRIPTION, sorted.
func (s *story) rules() (out []string) {
	for _, r := range do[api.DescribeSecurityGroupRulesResult](s, api.DescribeSecurityGroupRulesRequest{Filters: by("group-id", s.web)}).SecurityGroupRules {
		peer := r.CidrIpv4
		if r.ReferencedGroupInfo != nil {
			peer = r.ReferencedGroupInfo.GroupId
		}
		out = append(out, fmt.Sprintf("%t %s %d-%d %s %s", api.Val(r.IsEgress), r.IpProtocol, api.Val(r.FromPort), api.Val(r.ToPort), peer, r.Description))
	}
	slices.Sort(out)
	return out
}

// changeRules changes descriptions, whole rules, and takes some away.
func (s *story) changeRules() {
	do[struct{}](s, api.UpdateSecurityGroupRuleDescriptionsIngressRequest{GroupId: s.web, IpPermissions: []api.IpPermission{tcp(7001, "10.0.0.0/8", "second")}})
	s.same("rules", s.rules(), []string{
		"false tcp 7001-7001 10.0.0.0/8 second", "false udp 7000-7009 " + s.client + " by group",
		"true -1 -1--1 0.0.0.0/0 ", "true tcp 443-443 203.0.113.0/24 ",
	})
	do[struct{}](s, api.ModifySecurityGroupRulesRequest{GroupId: s.web, SecurityGroupRules: []api.SecurityGroupRuleUpdate{{
		SecurityGroupRuleId: s.rule,
		SecurityGroupRule:   &api.SecurityGroupRuleRequest{IpProtocol: "tcp", FromPort: api.Ptr[int32](7002), ToPort: api.Ptr[int32](7002), CidrIpv4: "10.0.0.0/8", Description: "third"},
	}}})
	do[struct{}](s, api.RevokeSecurityGroupEgressRequest{GroupId: s.web, IpPermissions: []api.IpPermission{tcp(443, "203.0.113.0/24", "")}})
	s.refused("InvalidPermission.NotFound", api.RevokeSecurityGroupEgressRequest{GroupId: s.web, IpPermissions: []api.IpPermission{tcp(443, "203.0.113.0/24", "")}})
	s.same("rules after changes", s.rules(), []string{
		"false tcp 7002-7002 10.0.0.0/8 third", "false udp 7000-7009 " + s.client + " by group", "true -1 -1--1 0.0.0.0/0 ",
	})
}

// workloads attaches two namespaces, shows them as instances, and sends packets
// that the rules allow and forbid.
func (s *story) workloads() {
	attach := func(alias, subnet, group string) (string, *api.AttachWorkloadResult) {
		ns := s.space(s.alias + alias)
		return ns, ask[api.AttachWorkloadResult](s.host, s.account, "attach", "netns:"+ns, "--subnet", subnet, "--sg", group, "--name", alias)
	}
	server, at := attach("server", s.subnets[0], s.web)
	sender, _ := attach("sender", s.subnets[1], s.client)
	s.reaches(server, sender, netip.AddrPortFrom(address(at.NetworkInterface), 7002))

	found := do[api.DescribeInstancesResult](s, api.DescribeInstancesRequest{Filters: by("vpc-id", s.vpc, "private-ip-address", at.NetworkInterface.PrivateIpAddress)}).Reservations
	s.same("instances", len(found), 1)
	instance := found[0].Instances[0]
	s.same("the instance", []string{instance.InstanceId, instance.SubnetId, instance.State.Name, instance.SecurityGroups[0].GroupId, instance.NetworkInterfaces[0].NetworkInterfaceId},
		[]string{at.InstanceId, s.subnets[0], "running", s.web, at.NetworkInterface.NetworkInterfaceId})

	s.refused("DependencyViolation", api.DeleteSubnetRequest{SubnetId: s.subnets[0]})
	s.refused("DependencyViolation", api.DeleteSecurityGroupRequest{GroupId: s.client})
	for _, ns := range []string{server, sender} {
		s.host.vpc("--account", s.account, "detach", "netns:"+ns)
	}
	s.same("instances when detached", len(do[api.DescribeInstancesResult](s, api.DescribeInstancesRequest{}).Reservations), 0)
}

// reaches sends from one namespace to a port that is open, to one that only the
// rule's first form opened, and then closes the first.
func (s *story) reaches(server, sender string, to netip.AddrPort) {
	closed := netip.AddrPortFrom(to.Addr(), 7001)
	for _, port := range []uint16{to.Port(), closed.Port()} {
		echo, err := probe.Serve(server, "tcp", port)
		s.must(err)
		defer echo.Close()
	}
	s.must(probe.RoundTrip(sender, "tcp", to))
	s.blocked(sender, server, closed, "security_group/ingress")
	s.must(probe.RoundTrip(sender, "tcp", to))
	do[struct{}](s, api.RevokeSecurityGroupIngressRequest{GroupId: s.web, SecurityGroupRuleIds: []string{s.rule}})
	s.host.vpc("status") // the client's answer does not wait for the kernel
	s.settled()
	s.blocked(sender, server, to, "security_group/ingress")
}
