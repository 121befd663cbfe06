package service

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/host"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// several is how many objects of each kind an account has: more than one page.
const several = 7

// side is one account's half of a world in which every account has the same.
type side struct {
	*bench
	who Caller
	// The first of each kind; subnet, group and interfaces are in vpc.
	vpc, subnet, group, rule, egressRule string
	cidrAssociation, table, acl, key     string
	list                                 string // named by a rule of group
	// gateway is attached to vpc, elastic free, and mapped associated with used.
	gateway, elastic, mapped string
	nat                      string // private, and the NAT gateway in subnet
	// peering joins vpc with peerVpc, in which peerGroup is.
	peering, peerVpc, peerGroup string
	// free is available, used has a workload, and second is its other one.
	free, used, second, instance, attachment string
	target                                   string
	made                                     int
}

// everything is a host that resolves every target and answers every question.
type everything struct {
	*answers
	targets *workloads
}

func (e everything) Resolve(ctx context.Context, target, ifname string, route bool) (host.Workload, error) {
	return e.targets.Resolve(ctx, target, ifname, route)
}

// newSides makes a world of two accounts and returns alice's and bob's half.
func newSides(t *testing.T) (a, b *side) {
	t.Helper()
	h := everything{&answers{confirmed: 1, statistics: map[string][]api.Counter{}}, &workloads{missing: map[string]bool{}}}
	bench := newSealedBench(t, func(c *Config) {
		c.Host, c.HostName = h, "h1"
		c.PublicPools = []netip.Prefix{netip.MustParsePrefix("198.18.0.0/20")}
		c.Limits = map[string]int64{"vpcs": unlimited, "subnets-per-vpc": unlimited, "sgs-per-eni": unlimited, "rules-per-sg": unlimited, "access-keys": unlimited, "igws": unlimited, string(limitNats): unlimited, "peerings-per-vpc": unlimited, "peering-requests": unlimited, "eips": unlimited, string(limitLists): unlimited, string(limitTables): unlimited}
	})
	bench.put(record.Statuses+"h1", &record.HostStatus{Host: api.Host{HostName: "h1", AppliedRevision: api.Ptr(int64(math.MaxInt64))}})
	a, b = &side{bench: bench, who: alice}, &side{bench: bench, who: bob}
	for _, s := range []*side{a, b} {
		s.build()
		for _, eni := range interfaceKind.list(bench.store.Snapshot(), s.who) {
			id := eni.Interface.NetworkInterfaceId
			h.drops = append(h.drops, api.Drop{NetworkInterfaceId: id})
			h.flows = append(h.flows, api.Flow{NetworkInterfaceId: id})
			h.statistics[id] = nil
		}
		for _, n := range natKind.list(bench.store.Snapshot(), s.who) {
			h.statistics[n.Gateway.NatGatewayId] = nil
		}
		h.hits = append(h.hits, api.RuleHit{GroupId: s.group, SecurityGroupRuleId: s.rule}, api.RuleHit{NetworkAclId: s.acl, RuleNumber: api.Ptr(int32(100))})
	}
	return a, b
}

// as is a call of one account that must succeed.
func as[Res any](s *side, req any) *Res {
	s.t.Helper()
	res, _, err := s.call(s.who, actionOf(req), req)
	if err != nil {
		s.t.Fatalf("%s of %s: %v", actionOf(req), s.who.Account, err)
	}
	return res.(*Res)
}

// next is a number that no call of this side has used.
func (s *side) next() int {
	s.made++
	return s.made
}

func (s *side) build() {
	s.t.Helper()
	for range several {
		s.vpc = s.newVpc()
		s.key = as[api.CreateAccessKeyResult](s, &api.CreateAccessKeyRequest{Name: fmt.Sprint("key", s.next())}).AccessKey.AccessKeyId
	}
	vpc := as[api.DescribeVpcsResult](s, &api.DescribeVpcsRequest{VpcIds: []string{s.vpc}}).Vpcs[0]
	s.cidrAssociation = vpc.CidrBlockAssociationSet[1].AssociationId
	for range several {
		s.newSubnet()
		s.group = s.newGroup()
		s.list = s.newList()
		s.gateway = as[api.CreateInternetGatewayResult](s, &api.CreateInternetGatewayRequest{}).InternetGateway.InternetGatewayId
		s.elastic = s.newElastic()
	}
	as[api.AttachInternetGatewayResult](s, &api.AttachInternetGatewayRequest{InternetGatewayId: s.gateway, VpcId: s.vpc})
	s.subnet = as[api.CreateSubnetResult](s, &api.CreateSubnetRequest{VpcId: s.vpc, CidrBlock: "10.0.240.0/20"}).Subnet.SubnetId
	s.rule, s.egressRule = s.newRule(s.group)
	as[api.AuthorizeSecurityGroupIngressResult](s, &api.AuthorizeSecurityGroupIngressRequest{GroupId: s.group, IpPermissions: s.freeListPermission(s.list)})
	s.buildPeerings()
	for range several {
		s.free = s.newInterface()
		s.target = fmt.Sprintf("netns:%s-%d", s.who.Account, s.next())
		res := as[api.AttachWorkloadResult](s, &api.AttachWorkloadRequest{Target: s.target, SubnetId: s.subnet, Groups: []string{s.group}})
		s.used, s.instance = res.NetworkInterface.NetworkInterfaceId, res.InstanceId
	}
	s.second, s.attachment = s.attachSecond()
	s.mapped = s.newMapped(s.used)
	for range several {
		s.nat = s.newNat(api.CreateNatGatewayRequest{ConnectivityType: "private", SecondaryPrivateIpAddressCount: api.Ptr[int32](1)}).NatGatewayId
	}
	inVpc := []api.Filter{{Name: "vpc-id", Values: []string{s.vpc}}}
	s.table = as[api.DescribeRouteTablesResult](s, &api.DescribeRouteTablesRequest{Filters: inVpc}).RouteTables[0].RouteTableId
	s.newTable()
	s.acl = as[api.DescribeNetworkAclsResult](s, &api.DescribeNetworkAclsRequest{Filters: inVpc}).NetworkAcls[0].NetworkAclId
}

// newVpc has a second CIDR that nothing is in.
func (s *side) newVpc() string {
	id := as[api.CreateVpcResult](s, &api.CreateVpcRequest{CidrBlock: "10.0.0.0/16"}).Vpc.VpcId
	as[api.AssociateVpcCidrBlockResult](s, &api.AssociateVpcCidrBlockRequest{VpcId: id, CidrBlock: "10.1.0.0/16"})
	return id
}

func (s *side) newSubnet() string {
	return as[api.CreateSubnetResult](s, &api.CreateSubnetRequest{VpcId: s.vpc, CidrBlock: s.freeCIDR()}).Subnet.SubnetId
}

// freeCIDR stays below the range of s.subnet.
func (s *side) freeCIDR() string {
	n := s.next()
	return fmt.Sprintf("10.0.%d.%d/28", n/16, n%16*16)
}

func (s *side) newGroup() string {
	name := fmt.Sprint("group", s.next())
	return as[api.CreateSecurityGroupResult](s, &api.CreateSecurityGroupRequest{GroupName: name, Description: name, VpcId: s.vpc}).GroupId
}

// newRule adds a rule of each direction, neither of which was there before.
func (s *side) newRule(group string) (ingress, egress string) {
	in := as[api.AuthorizeSecurityGroupIngressResult](s, &api.AuthorizeSecurityGroupIngressRequest{GroupId: group, IpPermissions: s.freePermission(group)})
	out := as[api.AuthorizeSecurityGroupEgressResult](s, &api.AuthorizeSecurityGroupEgressRequest{GroupId: group, IpPermissions: s.freePermission(group)})
	return in.SecurityGroupRules[0].SecurityGroupRuleId, out.SecurityGroupRules[0].SecurityGroupRuleId
}

// newRevoked is a rule of s.group that is revoked already.
func (s *side) newRevoked() string {
	in, _ := s.newRule(s.group)
	as[api.RevokeSecurityGroupIngressResult](s, &api.RevokeSecurityGroupIngressRequest{GroupId: s.group, SecurityGroupRuleIds: []string{in}})
	return in
}

// freePermission allows what no rule allows yet, to the group from.
func (s *side) freePermission(from string) []api.IpPermission {
	port := api.Ptr(int32(1000 + s.next()))
	return []api.IpPermission{{IpProtocol: "tcp", FromPort: port, ToPort: port,
		UserIdGroupPairs: []api.UserIdGroupPair{{GroupId: from, UserId: s.who.Account, VpcId: s.vpc}}}}
}

// freeListPermission allows what no rule allows yet, to the CIDRs of a list.
func (s *side) freeListPermission(list string) []api.IpPermission {
	port := api.Ptr(int32(1000 + s.next()))
	return []api.IpPermission{{IpProtocol: "tcp", FromPort: port, ToPort: port, PrefixListIds: []api.PrefixListId{{PrefixListId: list}}}}
}

// newList has one entry in its first version and two in its second.
func (s *side) newList() string {
	id := as[api.CreateManagedPrefixListResult](s, &api.CreateManagedPrefixListRequest{
		PrefixListName: fmt.Sprint("list", s.next()), AddressFamily: "IPv4", MaxEntries: api.Ptr(int32(2)), Entries: []api.AddPrefixListEntry{{Cidr: "192.0.2.0/24"}},
	}).PrefixList.PrefixListId
	as[api.ModifyManagedPrefixListResult](s, &api.ModifyManagedPrefixListRequest{PrefixListId: id, AddEntries: []api.AddPrefixListEntry{{Cidr: "203.0.113.0/24"}}})
	return id
}

func (s *side) newElastic() string {
	return as[api.AllocateAddressResult](s, &api.AllocateAddressRequest{}).AllocationId
}

// newMapped is the association of a new elastic address with an interface.
func (s *side) newMapped(eni string) string {
	return as[api.AssociateAddressResult](s, &api.AssociateAddressRequest{AllocationId: s.newElastic(), NetworkInterfaceId: eni}).AssociationId
}

// newAcl has a rule 100 of ingress.
func (s *side) newAcl() string {
	id := as[api.CreateNetworkAclResult](s, &api.CreateNetworkAclRequest{VpcId: s.vpc}).NetworkAcl.NetworkAclId
	as[api.CreateNetworkAclEntryResult](s, &api.CreateNetworkAclEntryRequest{NetworkAclId: id, RuleNumber: api.Ptr(int32(100)),
		Egress: api.Ptr(false), RuleAction: "allow", Protocol: "-1", CidrBlock: "0.0.0.0/0"})
	return id
}

// aclAssociationOf is the association of a subnet with its ACL.
func (s *side) aclAssociationOf(subnet string) string {
	acl := as[api.DescribeNetworkAclsResult](s, &api.DescribeNetworkAclsRequest{
		Filters: []api.Filter{{Name: "association.subnet-id", Values: []string{subnet}}}}).NetworkAcls[0]
	i := slices.IndexFunc(acl.Associations, func(a api.NetworkAclAssociation) bool { return a.SubnetId == subnet })
	return acl.Associations[i].NetworkAclAssociationId
}

// newTable has a route to a CIDR and one to a list.
func (s *side) newTable() string {
	id := as[api.CreateRouteTableResult](s, &api.CreateRouteTableRequest{VpcId: s.vpc}).RouteTable.RouteTableId
	as[api.CreateRouteResult](s, &api.CreateRouteRequest{RouteTableId: id, DestinationCidrBlock: "192.0.2.0/24", GatewayId: s.gateway})
	as[api.CreateRouteResult](s, &api.CreateRouteRequest{RouteTableId: id, DestinationPrefixListId: s.list, GatewayId: s.gateway})
	return id
}

// newTableAssociation is that of a new subnet with a new table.
func (s *side) newTableAssociation() string {
	return as[api.AssociateRouteTableResult](s, &api.AssociateRouteTableRequest{RouteTableId: s.newTable(), SubnetId: s.newSubnet()}).AssociationId
}

// mainAssociation is that of the VPC with its main table.
func (s *side) mainAssociation() string {
	tables := as[api.DescribeRouteTablesResult](s, &api.DescribeRouteTablesRequest{Filters: []api.Filter{
		{Name: "association.main", Values: []string{"true"}}, {Name: "vpc-id", Values: []string{s.vpc}}}}).RouteTables
	i := slices.IndexFunc(tables[0].Associations, func(a api.RouteTableAssociation) bool { return api.Val(a.Main) })
	return tables[0].Associations[i].RouteTableAssociationId
}

func (s *side) newInterface() string {
	return as[api.CreateNetworkInterfaceResult](s, &api.CreateNetworkInterfaceRequest{SubnetId: s.subnet}).NetworkInterface.NetworkInterfaceId
}

// attachSecond gives the workload of s.instance one more interface.
func (s *side) attachSecond() (eni, attachment string) {
	eni = s.newInterface()
	res := as[api.AttachNetworkInterfaceResult](s, &api.AttachNetworkInterfaceRequest{
		InstanceId: s.instance, NetworkInterfaceId: eni, DeviceIndex: api.Ptr(int32(s.next()))})
	return eni, res.AttachmentId
}

// idText is an id of anything that belongs to an account.
var idText = regexp.MustCompile(`\b(vpc-cidr-assoc|eni-attach|eipalloc|eipassoc|igw|nat|pcx|rtbassoc|aclassoc|vpc|subnet|eni|sgr|sg|rtb|acl|pl|i)-[0-9a-f]{17}\b|\bAKIA[A-Z2-7]{16}\b`)

// kindOf is the part of an id that says what it is the id of.
func kindOf(id string) string {
	if strings.HasPrefix(id, keyIDPrefix) {
		return keyIDPrefix
	}
	return id[:strings.LastIndexByte(id, '-')+1]
}

// allIDs are the ids in the records of one account: every id and, by kind, one.
func (s *side) allIDs() (all map[string]bool, one map[string]string) {
	all, one = map[string]bool{}, map[string]string{}
	for _, rec := range store.List[any](s.store.Snapshot(), record.Root) {
		text, err := json.Marshal(rec)
		if err != nil {
			s.t.Fatal(err)
		}
		if !strings.Contains(string(text), `"OwnerId":"`+s.who.Account+`"`) {
			continue
		}
		for _, id := range idText.FindAllString(string(text), -1) {
			all[id] = true
			one[kindOf(id)] = id
		}
	}
	return all, one
}

// walk visits every value below v, with its path: members joined by dots,
// positions in lists left out.
func walk(v reflect.Value, path string, visit func(path string, v reflect.Value)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			walk(v.Elem(), path, visit)
		}
		return
	case reflect.Slice:
		for i := range v.Len() {
			walk(v.Index(i), path, visit)
		}
		return
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				walk(v.Field(i), strings.TrimPrefix(path+"."+f.Name, "."), visit)
			}
		}
		return
	}
	visit(path, v)
}

// member is a member of a request or result, invalid where there is none.
func member(v any, name string) reflect.Value {
	return reflect.ValueOf(v).Elem().FieldByName(name)
}

// copyOf is a deep copy of a request.
func copyOf(t testing.TB, req any) any {
	t.Helper()
	out := reflect.New(reflect.TypeOf(req).Elem()).Interface()
	text, err := json.Marshal(req)
	if err == nil {
		err = json.Unmarshal(text, out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}
