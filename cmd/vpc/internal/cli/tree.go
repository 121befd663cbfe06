package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func (s *session) treeCommand() *cobra.Command {
	cmd := verb("tree [VPC]", "Show VPCs with all that is in them", "vpc tree\nvpc tree prod", args(0, 1),
		func(_ *cobra.Command, a []string) error {
			if len(a) == 1 {
				s.vpc = a[0]
			}
			return s.tree()
		})
	s.completeArgs(cmd, vpcNoun)
	return cmd
}

// forest is everything the tree shows, in the shapes of the Describe actions.
type forest struct {
	Vpcs              []api.Vpc
	Subnets           []api.Subnet
	SecurityGroups    []api.SecurityGroup
	NetworkInterfaces []api.NetworkInterface
	NetworkAcls       []api.NetworkAcl
	RouteTables       []api.RouteTable
	InternetGateways  []api.InternetGateway
	NatGateways       []api.NatGateway
	// VpcPeeringConnections that have not ended.
	VpcPeeringConnections []api.VpcPeeringConnection
}

func (s *session) tree() error {
	f, err := s.forest()
	if err != nil {
		return doing("list", err)
	}
	var ids []string
	for _, v := range f.Vpcs {
		ids = append(ids, v.VpcId)
	}
	workloads := s.workloads()
	return s.emit(f, ids, func() {
		for i := range f.Vpcs {
			s.printBranch("", f.branch(&f.Vpcs[i], workloads))
		}
		for i := range f.InternetGateways {
			if g := &f.InternetGateways[i]; attachedTo(g) == "" {
				s.say("%s in no VPC", gatewayObject(g))
			}
		}
	})
}

// forest reads the VPC of --vpc, or all.
func (s *session) forest() (*forest, error) {
	filters, err := s.scopeFilters()
	if err != nil {
		return nil, err
	}
	vpcs, err := ask[api.DescribeVpcsResult](s, "DescribeVpcs", &api.DescribeVpcsRequest{Filters: filters})
	if err != nil {
		return nil, err
	}
	subnets, err := ask[api.DescribeSubnetsResult](s, "DescribeSubnets", &api.DescribeSubnetsRequest{Filters: filters})
	if err != nil {
		return nil, err
	}
	groups, err := ask[api.DescribeSecurityGroupsResult](s, "DescribeSecurityGroups", &api.DescribeSecurityGroupsRequest{Filters: filters})
	if err != nil {
		return nil, err
	}
	enis, err := ask[api.DescribeNetworkInterfacesResult](s, "DescribeNetworkInterfaces", &api.DescribeNetworkInterfacesRequest{Filters: filters})
	if err != nil {
		return nil, err
	}
	acls, err := ask[api.DescribeNetworkAclsResult](s, "DescribeNetworkAcls", &api.DescribeNetworkAclsRequest{Filters: filters})
	if err != nil {
		return nil, err
	}
	tables, err := ask[api.DescribeRouteTablesResult](s, "DescribeRouteTables", &api.DescribeRouteTablesRequest{Filters: filters})
	if err != nil {
		return nil, err
	}
	attached, err := s.gatewayScope()
	if err != nil {
		return nil, err
	}
	gateways, err := ask[api.DescribeInternetGatewaysResult](s, "DescribeInternetGateways", &api.DescribeInternetGatewaysRequest{Filters: attached})
	if err != nil {
		return nil, err
	}
	peerings, err := s.peerings(alive)
	if err != nil {
		return nil, err
	}
	nats, err := ask[api.DescribeNatGatewaysResult](s, "DescribeNatGateways", &api.DescribeNatGatewaysRequest{Filter: filters})
	if err != nil {
		return nil, err
	}
	return &forest{vpcs.Vpcs, subnets.Subnets, groups.SecurityGroups, enis.NetworkInterfaces, acls.NetworkAcls, tables.RouteTables, gateways.InternetGateways, nats.NatGateways, peerings.VpcPeeringConnections}, nil
}

// branch is a line of the tree with what hangs on it.
type branch struct {
	text string
	sub  []branch
}

func (f *forest) branch(v *api.Vpc, workloads map[string]string) branch {
	top := branch{text: vpcObject(v).String() + " " + vpcCidrs(v)}
	for i := range f.InternetGateways {
		if g := &f.InternetGateways[i]; attachedTo(g) == v.VpcId {
			top.sub = append(top.sub, branch{text: gatewayObject(g).String()})
		}
	}
	for i := range f.VpcPeeringConnections {
		p := &f.VpcPeeringConnections[i]
		if far := farSide(p, v.VpcId); far != "" {
			top.sub = append(top.sub, branch{text: fmt.Sprintf("%s with %s %s", peeringObject(p), firstOf(f.vpcName(far), far), p.Status.Code)})
		}
	}
	for i := range f.Subnets {
		n := &f.Subnets[i]
		if n.VpcId != v.VpcId {
			continue
		}
		b := branch{text: subnetObject(n).String() + " " + n.CidrBlock + f.reach(n)}
		for j := range f.NetworkInterfaces {
			if e := &f.NetworkInterfaces[j]; e.SubnetId == n.SubnetId && !api.Val(e.RequesterManaged) {
				b.sub = append(b.sub, eniBranch(e, workloads))
			}
		}
		for j := range f.NatGateways {
			if g := &f.NatGateways[j]; g.SubnetId == n.SubnetId && natLives(g) {
				b.sub = append(b.sub, branch{text: strings.Join([]string{natObject(g).String(), g.ConnectivityType, g.State, natAddresses(g)}, " ")})
			}
		}
		top.sub = append(top.sub, b)
	}
	for i := range f.SecurityGroups {
		if g := &f.SecurityGroups[i]; g.VpcId == v.VpcId {
			top.sub = append(top.sub, branch{text: fmt.Sprintf("%s %s in, %s out",
				groupObject(g), countRules(g.IpPermissions), countRules(g.IpPermissionsEgress))})
		}
	}
	for i := range f.NetworkAcls {
		if a := &f.NetworkAcls[i]; a.VpcId == v.VpcId && !api.Val(a.IsDefault) {
			top.sub = append(top.sub, branch{text: fmt.Sprintf("%s %d in, %d out", aclObject(a), countEntries(a, false), countEntries(a, true))})
		}
	}
	for i := range f.RouteTables {
		if r := &f.RouteTables[i]; r.VpcId == v.VpcId {
			top.sub = append(top.sub, f.tableBranch(r)...)
		}
	}
	return top
}

// vpcName is the name of a VPC of the forest, "" for others.
func (f *forest) vpcName(id string) string {
	for i := range f.Vpcs {
		if f.Vpcs[i].VpcId == id {
			return nameOf(f.Vpcs[i].Tags)
		}
	}
	return ""
}

// tableBranch is a route table with its subnets and the routes that leave the
// VPC: none for a main table without such a route, which says nothing.
func (f *forest) tableBranch(r *api.RouteTable) []branch {
	names := map[string]string{}
	for i := range f.Subnets {
		names[f.Subnets[i].SubnetId] = nameOf(f.Subnets[i].Tags)
	}
	_, users := tableUse(r, names)
	b := branch{text: tableObject(r).String()}
	switch main := isMainTable(r); {
	case main && users != "":
		b.text += " main, and of " + users
	case main:
		b.text += " main"
	default:
		b.text += " of " + firstOf(users, "no subnet")
	}
	for j := range r.Routes {
		if route := &r.Routes[j]; route.GatewayId != toLocal {
			b.sub = append(b.sub, branch{text: fmt.Sprintf("%s to %s %s", routeDestination(route, nil), routeTarget(route, f.targetNames()), route.State)})
		}
	}
	if isMainTable(r) && len(r.Tags) == 0 && len(b.sub) == 0 && users == "" {
		return nil
	}
	return []branch{b}
}

func eniBranch(e *api.NetworkInterface, workloads map[string]string) branch {
	at := addresses(e)
	if public := publicAddresses(e); public != "" {
		at += " public " + public
	}
	return branch{text: strings.Join([]string{eniObject(e).String(), at,
		firstOf(workloadOf(e, workloads), e.Status) + downMark(e), "[" + groupNames(e.Groups) + "]"}, " ")}
}

func (s *session) printBranch(indent string, b branch) {
	s.say("%s", indent+b.text)
	// The children's indent replaces the joint that led to this line.
	below := strings.NewReplacer("├── ", "│   ", "└── ", "    ").Replace(indent)
	for i, sub := range b.sub {
		joint := "├── "
		if i == len(b.sub)-1 {
			joint = "└── "
		}
		s.printBranch(below+joint, sub)
	}
}

func downMark(e *api.NetworkInterface) string {
	if isDown(e) {
		return " (down)"
	}
	return ""
}
