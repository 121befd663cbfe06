package service

import (
	"slices"
	"strconv"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// kind describes one kind of record: where it lies and how EC2 spells what can
// be wrong with its id. The spellings differ from kind to kind and clients
// match them exactly.
type kind[T any] struct {
	keys         string // key prefix
	id           string // id prefix with its dash
	resourceType string // as in tag specifications
	noun         string // as in sentences
	field        string // the request member that usually carries the id
	notFound     string
	malformed    string
	owner        func(T) string
	// mine replaces owner for what has more than one.
	mine func(T, Caller) bool
	idOf func(T) string
	tags func(T) []api.Tag
	// ownName is the name of what has one of its own, nil where a tag has it.
	ownName func(T) string
}

// name is what people call a record, "" without a name.
func (k kind[T]) name(v T) string {
	if k.ownName != nil {
		return k.ownName(v)
	}
	return nameTag(k.tags(v))
}

var (
	vpcKind = kind[*record.Vpc]{
		keys: record.Vpcs, id: "vpc-", resourceType: "vpc", noun: "VPC", field: "VpcId",
		notFound: "InvalidVpcID.NotFound", malformed: "InvalidVpcID.Malformed",
		owner: func(v *record.Vpc) string { return v.Vpc.OwnerId },
		idOf:  func(v *record.Vpc) string { return v.Vpc.VpcId },
		tags:  func(v *record.Vpc) []api.Tag { return v.Vpc.Tags },
	}
	subnetKind = kind[*record.Subnet]{
		keys: record.Subnets, id: "subnet-", resourceType: "subnet", noun: "subnet", field: "SubnetId",
		notFound: "InvalidSubnetID.NotFound", malformed: "InvalidSubnetID.Malformed",
		owner: func(v *record.Subnet) string { return v.Subnet.OwnerId },
		idOf:  func(v *record.Subnet) string { return v.Subnet.SubnetId },
		tags:  func(v *record.Subnet) []api.Tag { return v.Subnet.Tags },
	}
	interfaceKind = kind[*record.NetworkInterface]{
		keys: record.Interfaces, id: "eni-", resourceType: "network-interface", noun: "network interface", field: "NetworkInterfaceId",
		notFound: "InvalidNetworkInterfaceID.NotFound", malformed: "InvalidNetworkInterfaceId.Malformed",
		owner: func(v *record.NetworkInterface) string { return v.Interface.OwnerId },
		idOf:  func(v *record.NetworkInterface) string { return v.Interface.NetworkInterfaceId },
		tags:  func(v *record.NetworkInterface) []api.Tag { return v.Interface.TagSet },
	}
	groupKind = kind[*record.SecurityGroup]{
		keys: record.Groups, id: "sg-", resourceType: "security-group", noun: "security group", field: "GroupId",
		notFound: "InvalidGroup.NotFound", malformed: "InvalidGroupId.Malformed",
		owner: func(v *record.SecurityGroup) string { return v.Group.OwnerId },
		idOf:  func(v *record.SecurityGroup) string { return v.Group.GroupId },
		tags:  func(v *record.SecurityGroup) []api.Tag { return v.Group.Tags },
	}
	tableKind = kind[*record.RouteTable]{
		keys: record.Tables, id: "rtb-", resourceType: "route-table", noun: "route table", field: "RouteTableId",
		notFound: "InvalidRouteTableID.NotFound", malformed: "InvalidRouteTableId.Malformed",
		owner: func(v *record.RouteTable) string { return v.Table.OwnerId },
		idOf:  func(v *record.RouteTable) string { return v.Table.RouteTableId },
		tags:  func(v *record.RouteTable) []api.Tag { return v.Table.Tags },
	}
	aclKind = kind[*record.NetworkAcl]{
		keys: record.Acls, id: "acl-", resourceType: "network-acl", noun: "network ACL", field: "NetworkAclId",
		notFound: "InvalidNetworkAclID.NotFound", malformed: "InvalidNetworkAclId.Malformed",
		owner: func(v *record.NetworkAcl) string { return v.Acl.OwnerId },
		idOf:  func(v *record.NetworkAcl) string { return v.Acl.NetworkAclId },
		tags:  func(v *record.NetworkAcl) []api.Tag { return v.Acl.Tags },
	}
	listKind = kind[*record.PrefixList]{
		keys: record.Lists, id: "pl-", resourceType: "prefix-list", noun: "prefix list", field: "PrefixListId",
		notFound: "InvalidPrefixListID.NotFound", malformed: "InvalidPrefixListId.Malformed",
		owner: func(v *record.PrefixList) string { return v.List.OwnerId },
		idOf:  func(v *record.PrefixList) string { return v.List.PrefixListId },
		tags:  func(v *record.PrefixList) []api.Tag { return v.List.Tags },

		ownName: func(v *record.PrefixList) string { return v.List.PrefixListName },
	}
	gatewayKind = kind[*record.Gateway]{
		keys: record.Gateways, id: "igw-", resourceType: "internet-gateway", noun: "internet gateway", field: "InternetGatewayId",
		notFound: "InvalidInternetGatewayID.NotFound", malformed: "InvalidInternetGatewayId.Malformed",
		owner: func(v *record.Gateway) string { return v.Gateway.OwnerId },
		idOf:  func(v *record.Gateway) string { return v.Gateway.InternetGatewayId },
		tags:  func(v *record.Gateway) []api.Tag { return v.Gateway.Tags },
	}
	natKind = kind[*record.NatGateway]{
		keys: record.Nats, id: "nat-", resourceType: "natgateway", noun: "NAT gateway", field: "NatGatewayId",
		notFound: "NatGatewayNotFound", malformed: "NatGatewayMalformed",
		owner: func(v *record.NatGateway) string { return v.OwnerId },
		idOf:  func(v *record.NatGateway) string { return v.Gateway.NatGatewayId },
		tags:  func(v *record.NatGateway) []api.Tag { return v.Gateway.Tags },
	}
	elasticKind = kind[*record.Elastic]{
		keys: record.Elastics, id: "eipalloc-", resourceType: "elastic-ip", noun: "allocation", field: "AllocationId",
		// EC2 knows no other code for what cannot be an id here.
		notFound: "InvalidAllocationID.NotFound", malformed: "InvalidAllocationID.NotFound",
		owner: func(v *record.Elastic) string { return v.OwnerId },
		idOf:  func(v *record.Elastic) string { return v.Address.AllocationId },
		tags:  func(v *record.Elastic) []api.Tag { return v.Address.Tags },
	}
	instanceKind = kind[*record.Instance]{
		keys: record.Instances, id: "i-", resourceType: "instance", noun: "instance", field: "InstanceId",
		notFound: "InvalidInstanceID.NotFound", malformed: "InvalidInstanceID.Malformed",
		owner: func(v *record.Instance) string { return v.OwnerId },
		idOf:  func(v *record.Instance) string { return v.InstanceId },
		tags:  func(v *record.Instance) []api.Tag { return v.Tags },
	}
)

// get returns the caller's record with this id. A record of another account is
// not found, in the same words as one that never was.
func (k kind[T]) get(r store.Reader, c Caller, id string) (T, error) {
	return k.getAs(r, c, id, k.field)
}

// getAs is get for an id that arrived in another request member.
func (k kind[T]) getAs(r store.Reader, c Caller, id, field string) (T, error) {
	var none T
	if err := k.checkID(id, field); err != nil {
		return none, err
	}
	v, ok := store.Get[T](r, k.keys+id)
	if !ok || !k.belongs(v, c) {
		return none, k.missing(id, field)
	}
	return v, nil
}

func (k kind[T]) missing(id, field string) error {
	return api.Errorf(k.notFound, field, "the %s ID '%s' does not exist; list those that do with the Describe action of its kind", k.noun, id)
}

func (k kind[T]) belongs(v T, c Caller) bool {
	if k.mine != nil {
		return k.mine(v, c)
	}
	return k.owner(v) == c.Account
}

func (k kind[T]) checkID(id, field string) error {
	switch {
	case id == "":
		return api.Errorf("MissingParameter", field, "the request must contain the parameter %s: the id of %s", field, withArticle(k.noun))
	case !wellFormed(id, k.id):
		return api.Errorf(k.malformed, field, "invalid id %s: the id of %s is %s and 17 digits or letters a-f", quote(id), withArticle(k.noun), k.id)
	}
	return nil
}

// withArticle is a noun of a sentence: an instance, a VPC.
func withArticle(noun string) string {
	if strings.ContainsAny(noun[:1], "aeio") {
		return "an " + noun
	}
	return "a " + noun
}

// list returns the caller's records in order of their ids.
func (k kind[T]) list(r store.Reader, c Caller) []T {
	var out []T
	for _, v := range store.List[T](r, k.keys) {
		if k.belongs(v, c) {
			out = append(out, v)
		}
	}
	return out
}

// pick returns the caller's records with these ids, each once and in order of
// the ids, or all records where no id is given. field is the request member
// that carries the list.
func (k kind[T]) pick(r store.Reader, c Caller, ids []string, field string) ([]T, error) {
	if len(ids) == 0 {
		return k.list(r, c), nil
	}
	var out []T
	for i, id := range ids {
		v, err := k.getAs(r, c, id, field+"."+strconv.Itoa(i))
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b T) int { return strings.Compare(k.idOf(a), k.idOf(b)) })
	return slices.CompactFunc(out, func(a, b T) bool { return k.idOf(a) == k.idOf(b) }), nil
}

// wellFormed says whether id is prefix and 8 (as ids once were) or 17 lower
// case hex digits.
func wellFormed(id, prefix string) bool {
	digits, ok := strings.CutPrefix(id, prefix)
	if !ok || len(digits) != 8 && len(digits) != 17 {
		return false
	}
	return strings.Trim(digits, "0123456789abcdef") == ""
}

// quote is api.Quote; it stands in most messages of this package.
func quote(s string) string { return api.Quote(s) }

func getVpc(r store.Reader, c Caller, id string) (*record.Vpc, error) {
	return vpcKind.get(r, c, id)
}

func getSubnet(r store.Reader, c Caller, id string) (*record.Subnet, error) {
	return subnetKind.get(r, c, id)
}

func getInterface(r store.Reader, c Caller, id string) (*record.NetworkInterface, error) {
	return interfaceKind.get(r, c, id)
}

func getGroup(r store.Reader, c Caller, id string) (*record.SecurityGroup, error) {
	return groupKind.get(r, c, id)
}

func getTable(r store.Reader, c Caller, id string) (*record.RouteTable, error) {
	return tableKind.get(r, c, id)
}

func getAcl(r store.Reader, c Caller, id string) (*record.NetworkAcl, error) {
	return aclKind.get(r, c, id)
}

func getList(r store.Reader, c Caller, id string) (*record.PrefixList, error) {
	return listKind.get(r, c, id)
}

func getGateway(r store.Reader, c Caller, id string) (*record.Gateway, error) {
	return gatewayKind.get(r, c, id)
}

func getNat(r store.Reader, c Caller, id string) (*record.NatGateway, error) {
	return natKind.get(r, c, id)
}

func getElastic(r store.Reader, c Caller, id string) (*record.Elastic, error) {
	return elasticKind.get(r, c, id)
}

func getInstance(r store.Reader, c Caller, id string) (*record.Instance, error) {
	return instanceKind.get(r, c, id)
}
