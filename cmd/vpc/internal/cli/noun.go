package cli

import (
	"regexp"
	"slices"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// object is one resource as references and messages need it.
type object struct {
	kind string // the noun as typed: subnet
	id   string
	name string // Name tag or GroupName, may be empty
	vpc  string // id of the VPC it is in; its own for a VPC
}

// String is "subnet web (subnet-0…)", or "subnet subnet-0…" without a name.
func (o object) String() string {
	if o.name == "" || o.name == o.id {
		return o.kind + " " + o.id
	}
	return o.kind + " " + o.name + " (" + o.id + ")"
}

// short is the name where there is one.
func (o object) short() string { return firstOf(o.name, o.id) }

// plainWord is what a shell takes as one word.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// arg is the object as an argument of a command to copy.
func (o object) arg() string {
	if plainWord.MatchString(o.name) {
		return o.name
	}
	return o.id
}

// noun is a kind of resource that references can name.
type noun struct {
	word     string // as typed: subnet
	prefix   string // of ids: subnet-
	resource string // EC2's resource type
	code     string // stem of error codes: InvalidSubnetID
	list     string // the command that lists them
	idFilter string
	// nameFilter is tag:Name, or the attribute that is the name.
	nameFilter string
	// anywhere: these are in no VPC.
	anywhere bool
	find     func(s *session, ids []string, filters []api.Filter) ([]object, error)
}

var (
	vpcNoun = &noun{word: "vpc", prefix: "vpc-", resource: "vpc", code: "InvalidVpcID",
		list: "vpc list", idFilter: "vpc-id", nameFilter: "tag:Name", anywhere: true, find: findVpcs}
	subnetNoun = &noun{word: "subnet", prefix: "subnet-", resource: "subnet", code: "InvalidSubnetID",
		list: "vpc subnet list", idFilter: "subnet-id", nameFilter: "tag:Name", find: findSubnets}
	eniNoun = &noun{word: "eni", prefix: "eni-", resource: "network-interface", code: "InvalidNetworkInterfaceID",
		list: "vpc eni list", idFilter: "network-interface-id", nameFilter: "tag:Name", find: findInterfaces}
	sgNoun = &noun{word: "sg", prefix: "sg-", resource: "security-group", code: "InvalidGroup",
		list: "vpc sg list", idFilter: "group-id", nameFilter: "group-name", find: findGroups}
	rtNoun = &noun{word: "rt", prefix: "rtb-", resource: "route-table", code: "InvalidRouteTableID",
		list: "vpc rt list", idFilter: "route-table-id", nameFilter: "tag:Name", find: findTables}
	aclNoun = &noun{word: "acl", prefix: "acl-", resource: "network-acl", code: "InvalidNetworkAclID",
		list: "vpc acl list", idFilter: "network-acl-id", nameFilter: "tag:Name", find: findAcls}
	plNoun = &noun{word: "pl", prefix: "pl-", resource: "prefix-list", code: "InvalidPrefixListID",
		list: "vpc pl list", idFilter: "prefix-list-id", nameFilter: "prefix-list-name", anywhere: true, find: findLists}
	igwNoun = &noun{word: "igw", prefix: "igw-", resource: "internet-gateway", code: "InvalidInternetGatewayID",
		list: "vpc igw list", idFilter: "internet-gateway-id", nameFilter: "tag:Name", anywhere: true, find: findGateways}
	natNoun = &noun{word: "nat", prefix: "nat-", resource: "natgateway", code: "InvalidNatGatewayID",
		list: "vpc nat list", idFilter: "nat-gateway-id", nameFilter: "tag:Name", find: findNats}
	eipNoun = &noun{word: "eip", prefix: "eipalloc-", resource: "elastic-ip", code: "InvalidAllocationID",
		list: "vpc eip list", idFilter: "allocation-id", nameFilter: "tag:Name", anywhere: true, find: findElastics}
	pcxNoun = &noun{word: pcxWord, prefix: "pcx-", resource: "vpc-peering-connection", code: "InvalidVpcPeeringConnectionID",
		list: "vpc peering list", idFilter: "vpc-peering-connection-id", nameFilter: "tag:Name", anywhere: true, find: findPeerings}
)

// pcxWord is what a peering is called; routes say pcx, as EC2's ids do.
const pcxWord = "peering"

// nouns is every noun a tag can sit on.
var nouns = []*noun{vpcNoun, subnetNoun, eniNoun, sgNoun, rtNoun, aclNoun, plNoun, igwNoun, natNoun, eipNoun, pcxNoun}

// objects makes the objects of a Describe's list.
func objects[T any](items []T, of func(*T) object) []object {
	var out []object
	for i := range items {
		out = append(out, of(&items[i]))
	}
	return out
}

func findVpcs(s *session, ids []string, filters []api.Filter) ([]object, error) {
	res, err := ask[api.DescribeVpcsResult](s, "DescribeVpcs", &api.DescribeVpcsRequest{VpcIds: ids, Filters: filters})
	if err != nil {
		return nil, err
	}
	return objects(res.Vpcs, vpcObject), nil
}

func vpcObject(v *api.Vpc) object {
	return object{kind: "vpc", id: v.VpcId, name: nameOf(v.Tags), vpc: v.VpcId}
}

func findSubnets(s *session, ids []string, filters []api.Filter) ([]object, error) {
	res, err := ask[api.DescribeSubnetsResult](s, "DescribeSubnets", &api.DescribeSubnetsRequest{SubnetIds: ids, Filters: filters})
	if err != nil {
		return nil, err
	}
	return objects(res.Subnets, subnetObject), nil
}

func subnetObject(v *api.Subnet) object {
	return object{kind: "subnet", id: v.SubnetId, name: nameOf(v.Tags), vpc: v.VpcId}
}

func findInterfaces(s *session, ids []string, filters []api.Filter) ([]object, error) {
	res, err := ask[api.DescribeNetworkInterfacesResult](s, "DescribeNetworkInterfaces",
		&api.DescribeNetworkInterfacesRequest{NetworkInterfaceIds: ids, Filters: filters})
	if err != nil {
		return nil, err
	}
	return objects(res.NetworkInterfaces, eniObject), nil
}

func eniObject(v *api.NetworkInterface) object {
	return object{kind: "eni", id: v.NetworkInterfaceId, name: nameOf(v.TagSet), vpc: v.VpcId}
}

func findGroups(s *session, ids []string, filters []api.Filter) ([]object, error) {
	res, err := ask[api.DescribeSecurityGroupsResult](s, "DescribeSecurityGroups",
		&api.DescribeSecurityGroupsRequest{GroupIds: ids, Filters: filters})
	if err != nil {
		return nil, err
	}
	return objects(res.SecurityGroups, groupObject), nil
}

func groupObject(v *api.SecurityGroup) object {
	return object{kind: "sg", id: v.GroupId, name: v.GroupName, vpc: v.VpcId}
}

func findTables(s *session, ids []string, filters []api.Filter) ([]object, error) {
	res, err := ask[api.DescribeRouteTablesResult](s, "DescribeRouteTables",
		&api.DescribeRouteTablesRequest{RouteTableIds: ids, Filters: filters})
	if err != nil {
		return nil, err
	}
	return objects(res.RouteTables, tableObject), nil
}

// tableObject gives the main table the name it has for people.
func tableObject(v *api.RouteTable) object {
	o := object{kind: "rt", id: v.RouteTableId, name: nameOf(v.Tags), vpc: v.VpcId}
	if o.name == "" && isMainTable(v) {
		o.name = mainTable
	}
	return o
}

func isMainTable(v *api.RouteTable) bool {
	return slices.ContainsFunc(v.Associations, func(a api.RouteTableAssociation) bool { return api.Val(a.Main) })
}

func findAcls(s *session, ids []string, filters []api.Filter) ([]object, error) {
	res, err := ask[api.DescribeNetworkAclsResult](s, "DescribeNetworkAcls",
		&api.DescribeNetworkAclsRequest{NetworkAclIds: ids, Filters: filters})
	if err != nil {
		return nil, err
	}
	return objects(res.NetworkAcls, aclObject), nil
}

// aclObject gives the ACL that comes with a VPC the name it has for people.
func aclObject(v *api.NetworkAcl) object {
	o := object{kind: "acl", id: v.NetworkAclId, name: nameOf(v.Tags), vpc: v.VpcId}
	if o.name == "" && api.Val(v.IsDefault) {
		o.name = defaultAcl
	}
	return o
}

func findLists(s *session, ids []string, filters []api.Filter) ([]object, error) {
	res, err := ask[api.DescribeManagedPrefixListsResult](s, "DescribeManagedPrefixLists",
		&api.DescribeManagedPrefixListsRequest{PrefixListIds: ids, Filters: filters})
	if err != nil {
		return nil, err
	}
	return objects(res.PrefixLists, listObject), nil
}

func listObject(v *api.ManagedPrefixList) object {
	return object{kind: "pl", id: v.PrefixListId, name: v.PrefixListName}
}
