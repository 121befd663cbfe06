package cli

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// lastEntry is the number of the rule that refuses what no other rule matched.
const lastEntry = 32767

func (s *session) aclCommand() *cobra.Command {
	list := verb("list", "List network ACLs", "vpc acl list --vpc prod", args(0, 0),
		func(*cobra.Command, []string) error { return s.listAcls() })
	show := verb("show ACL", "Show a network ACL and its entries", "vpc acl show acl-0123456789abcdef0", args(1, 1),
		func(_ *cobra.Command, a []string) error { return s.showAcl(a[0]) })
	s.completeArgs(show, aclNoun)
	return group("acl", "Network ACLs", "  vpc acl list --vpc prod", list, show)
}

func (s *session) listAcls() error {
	filters, err := s.scopeFilters()
	if err != nil {
		return err
	}
	res, err := ask[api.DescribeNetworkAclsResult](s, "DescribeNetworkAcls", &api.DescribeNetworkAclsRequest{Filters: filters})
	if err != nil {
		return doing("list network ACLs", err)
	}
	vpcs, subnets := s.names(vpcNoun), s.names(subnetNoun)
	t := &table{head: []string{"NAME", "ID", "VPC", "DEFAULT", "SUBNETS", "ENTRIES", "OWNER", "TAGS"}, wide: 6}
	var ids []string
	for i := range res.NetworkAcls {
		a := &res.NetworkAcls[i]
		ids = append(ids, a.NetworkAclId)
		t.add(nameOf(a.Tags), a.NetworkAclId, firstOf(vpcs[a.VpcId], a.VpcId), yesNo(a.IsDefault), aclSubnets(a, subnets),
			strconv.Itoa(len(a.Entries)), a.OwnerId, tagList(a.Tags))
	}
	return s.emit(res, ids, func() { s.print(t) })
}

func aclSubnets(a *api.NetworkAcl, subnets map[string]string) string {
	var out []string
	for _, assoc := range a.Associations {
		out = append(out, firstOf(subnets[assoc.SubnetId], assoc.SubnetId))
	}
	return strings.Join(out, ",")
}

func (s *session) showAcl(ref string) error {
	o, err := s.scoped(aclNoun, ref)
	if err != nil {
		return err
	}
	res, err := ask[api.DescribeNetworkAclsResult](s, "DescribeNetworkAcls", &api.DescribeNetworkAclsRequest{NetworkAclIds: []string{o.id}})
	if err != nil {
		return doing("show "+o.String(), err)
	}
	vpcs, subnets := s.names(vpcNoun), s.names(subnetNoun)
	return s.emit(res, []string{o.id}, func() {
		for i := range res.NetworkAcls {
			a := &res.NetworkAcls[i]
			s.fields("Name", nameOf(a.Tags), "Id", a.NetworkAclId, "VPC", both(vpcs[a.VpcId], a.VpcId),
				"Default", yesNo(a.IsDefault), "Subnets", aclSubnets(a, subnets), "Tags", tagList(a.Tags))
			s.say("")
			t := &table{head: []string{"DIRECTION", "NUMBER", "ACTION", "TRAFFIC", "PEER"}}
			for _, e := range a.Entries {
				t.add(aclCells(&e)...)
			}
			s.print(t)
		}
	})
}

func aclCells(e *api.NetworkAclEntry) []string {
	way := "in"
	if api.Val(e.Egress) {
		way = "out"
	}
	number := number(e.RuleNumber)
	if api.Val(e.RuleNumber) == lastEntry {
		number = "*"
	}
	return []string{way, number, e.RuleAction, aclTraffic(e).String(), firstOf(e.CidrBlock, e.Ipv6CidrBlock)}
}

// aclTraffic reads an entry, where EC2 writes protocols as numbers.
func aclTraffic(e *api.NetworkAclEntry) traffic {
	t := traffic{protocol: firstOf(protocolNames[e.Protocol], e.Protocol)}
	switch {
	case e.IcmpTypeCode != nil:
		t.from, t.to = e.IcmpTypeCode.Type, e.IcmpTypeCode.Code
	case e.PortRange != nil:
		t.from, t.to = e.PortRange.From, e.PortRange.To
	}
	return t
}
