package cli

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// daemon answers the actions on a unix socket from memory. It knows as much of
// their meaning as the commands need, and nothing of validation: a test that
// wants a refusal puts it into refuse.
type daemon struct {
	socket string

	mu       sync.Mutex
	calls    []string // "Action {request}", reads left out
	reads    int
	accounts []string
	next     int
	// refuse answers an action with an error; dry runs come after it.
	refuse map[string]*api.Error
	// before runs before each answer, without the lock.
	before func(action string)
	// unapplied is how many times WaitApplied says no; below zero, always.
	unapplied int

	vpcs      []api.Vpc
	subnets   []api.Subnet
	groups    []api.SecurityGroup
	rules     []api.SecurityGroupRule
	enis      []api.NetworkInterface
	instances []api.Instance
	acls      []api.NetworkAcl
	lists     []*fakeList
	tables    []api.RouteTable
	gateways  []api.InternetGateway
	elastics  []api.Address
	peerings  []api.VpcPeeringConnection
	stale     []api.StaleSecurityGroup
	nats      []api.NatGateway
	// natPending is how many times a NAT gateway says that it is pending.
	natPending int
	tags       []api.TagDescription
	hosts      []api.Host
	drifts     []api.Drift
	drops      []api.Drop
	hits       []api.RuleHit
	// flows is how many tracked flows any rules have; a cut ends them.
	flows         int64
	statistics    []api.NetworkInterfaceStatistics
	natStatistics []api.NatGatewayStatistics
	keys          []api.AccessKey
	// environment answers GetEnvironment.
	environment api.GetEnvironmentResult
}

func newDaemon(t *testing.T) *daemon {
	t.Helper()
	d := &daemon{socket: filepath.Join(t.TempDir(), "s"), refuse: map[string]*api.Error{}}
	d.hosts = []api.Host{{HostName: "h1", State: api.HostStateReady, Ready: api.Ptr(true), Workloads: api.Ptr(int32(2)),
		Subnets: api.Ptr(int32(1)), AppliedRevision: api.Ptr(int64(7)), StoreRevision: api.Ptr(int64(7))}}
	l, err := net.Listen("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(d)
	srv.Listener.Close()
	srv.Listener = l
	srv.Start()
	t.Cleanup(srv.Close)
	return d
}

func (d *daemon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := path.Base(r.URL.Path)
	action, ok := api.Actions[name]
	if !ok {
		http.Error(w, "no such action", http.StatusNotFound)
		return
	}
	req := action.NewRequest()
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(req); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if d.before != nil {
		d.before(name)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.accounts = append(d.accounts, r.Header.Get(api.AccountHeader))
	if action.Mutates {
		text, _ := json.Marshal(req)
		d.calls = append(d.calls, name+" "+string(text))
	} else {
		d.reads++
	}
	res, refused := d.answer(name, req)
	if refused != nil {
		w.WriteHeader(api.HTTPStatus(refused.Code))
		_ = json.NewEncoder(w).Encode(map[string]any{"Error": refused})
		return
	}
	w.Header().Set(api.RevisionHeader, strconv.Itoa(7+len(d.calls)))
	_ = json.NewEncoder(w).Encode(res)
}

func (d *daemon) answer(name string, req any) (any, *api.Error) {
	if e := d.refuse[name]; e != nil {
		return nil, e
	}
	if e := api.Check(req); e != nil {
		return nil, e.(*api.Error)
	}
	if api.Actions[name].Mutates && dryRun(req) {
		return nil, api.Errorf("DryRunOperation", "", "it would have succeeded")
	}
	if res, refused := d.acl(req); res != nil || refused != nil {
		return res, refused
	}
	if res, refused := d.routes(req); res != nil || refused != nil {
		return res, refused
	}
	if res, refused := d.gateway(req); res != nil || refused != nil {
		return res, refused
	}
	if res, refused := d.peering(req); res != nil || refused != nil {
		return res, refused
	}
	if res, refused := d.nat(req); res != nil || refused != nil {
		return res, refused
	}
	if res, refused := d.prefixList(req); res != nil || refused != nil {
		return res, refused
	}
	if res, refused := d.change(req); res != nil || refused != nil {
		return res, refused
	}
	if res, refused := d.read(req); res != nil || refused != nil {
		return res, refused
	}
	return api.Actions[name].NewResult(), nil
}

func dryRun(req any) bool {
	var members struct{ DryRun bool }
	text, _ := json.Marshal(req)
	return json.Unmarshal(text, &members) == nil && members.DryRun
}

// id makes the next id: prefix and 17 digits that count up.
func (d *daemon) id(prefix string) string {
	d.next++
	return fmt.Sprintf("%s%017x", prefix, d.next)
}

func tagsOf(specs []api.TagSpecification) []api.Tag {
	if len(specs) == 0 {
		return nil
	}
	return specs[0].Tags
}

// change does the mutating actions that leave something behind.
func (d *daemon) change(req any) (any, *api.Error) {
	switch r := req.(type) {
	case *api.CreateVpcRequest:
		v := api.Vpc{VpcId: d.id("vpc-"), CidrBlock: r.CidrBlock, State: "available", OwnerId: "000000000001",
			IsDefault: api.Ptr(false), Tags: tagsOf(r.TagSpecifications)}
		v.CidrBlockAssociationSet = []api.VpcCidrBlockAssociation{{AssociationId: d.id("vpc-cidr-assoc-"), CidrBlock: r.CidrBlock}}
		d.vpcs = append(d.vpcs, v)
		d.addGroup("default", "default VPC security group", v.VpcId)
		d.addDefaultAcl(v.VpcId)
		d.addMainTable(v)
		return &api.CreateVpcResult{Vpc: &v}, nil
	case *api.DeleteVpcRequest:
		d.vpcs = slices.DeleteFunc(d.vpcs, func(v api.Vpc) bool { return v.VpcId == r.VpcId })
		d.groups = slices.DeleteFunc(d.groups, func(g api.SecurityGroup) bool { return g.VpcId == r.VpcId })
	case *api.CreateSubnetRequest:
		n := api.Subnet{SubnetId: d.id("subnet-"), VpcId: r.VpcId, CidrBlock: r.CidrBlock, State: "available",
			AvailabilityZone: "local-1a", AvailableIpAddressCount: api.Ptr(int32(251)), MapPublicIpOnLaunch: api.Ptr(api.Val(r.MapPublicIpOnLaunch)),
			OwnerId: "000000000001", Tags: tagsOf(r.TagSpecifications)}
		d.subnets = append(d.subnets, n)
		d.associate(n.SubnetId, d.defaultAclOf(n.VpcId), "aclassoc-"+strings.TrimPrefix(n.SubnetId, "subnet-"))
		return &api.CreateSubnetResult{Subnet: &n}, nil
	case *api.DeleteSubnetRequest:
		d.subnets = slices.DeleteFunc(d.subnets, func(n api.Subnet) bool { return n.SubnetId == r.SubnetId })
	case *api.CreateSecurityGroupRequest:
		return &api.CreateSecurityGroupResult{GroupId: d.addGroup(r.GroupName, r.Description, r.VpcId)}, nil
	case *api.DeleteSecurityGroupRequest:
		d.groups = slices.DeleteFunc(d.groups, func(g api.SecurityGroup) bool { return g.GroupId == r.GroupId })
	case *api.AuthorizeSecurityGroupIngressRequest:
		return &api.AuthorizeSecurityGroupIngressResult{SecurityGroupRules: d.addRules(r.GroupId, false, r.IpPermissions)}, nil
	case *api.AuthorizeSecurityGroupEgressRequest:
		return &api.AuthorizeSecurityGroupEgressResult{SecurityGroupRules: d.addRules(r.GroupId, true, r.IpPermissions)}, nil
	case *api.RevokeSecurityGroupIngressRequest:
		return &api.RevokeSecurityGroupIngressResult{SecurityGroupRuleIds: d.revoked(r.GroupId, r.SecurityGroupRuleIds, api.Val(r.CutTracked))}, nil
	case *api.RevokeSecurityGroupEgressRequest:
		return &api.RevokeSecurityGroupEgressResult{SecurityGroupRuleIds: d.revoked(r.GroupId, r.SecurityGroupRuleIds, api.Val(r.CutTracked))}, nil
	case *api.CutFlowsRequest:
		d.flows = 0
	case *api.CreateNetworkInterfaceRequest:
		e := d.addInterface(r.SubnetId, r.PrivateIpAddress, tagsOf(r.TagSpecifications))
		return &api.CreateNetworkInterfaceResult{NetworkInterface: &e}, nil
	case *api.DeleteNetworkInterfaceRequest:
		d.dropInterface(r.NetworkInterfaceId)
	case *api.AttachWorkloadRequest:
		return d.attach(r), nil
	case *api.DetachWorkloadRequest:
		return d.detach(r)
	case *api.AssignPrivateIpAddressesRequest:
		var got []api.AssignedPrivateIpAddress
		for _, a := range r.PrivateIpAddresses {
			got = append(got, api.AssignedPrivateIpAddress{PrivateIpAddress: a})
		}
		return &api.AssignPrivateIpAddressesResult{AssignedPrivateIpAddresses: got}, nil
	case *api.CreateTagsRequest:
		for i := range d.subnets {
			if slices.Contains(r.Resources, d.subnets[i].SubnetId) {
				d.subnets[i].Tags = slices.Clone(r.Tags)
			}
		}
	case *api.CreateAccessKeyRequest:
		d.next++
		k := api.AccessKey{AccessKeyId: fmt.Sprintf("AKIA%016d", d.next), Name: r.Name, AccountId: "000000000001",
			CreateTime: api.Ptr(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))}
		d.keys = append(d.keys, k)
		k.SecretAccessKey = strings.Repeat("s", 40)
		return &api.CreateAccessKeyResult{AccessKey: &k}, nil
	case *api.DeleteAccessKeyRequest:
		d.keys = slices.DeleteFunc(d.keys, func(k api.AccessKey) bool { return k.AccessKeyId == r.AccessKeyId })
	case *api.GetEnvironmentRequest:
		return &d.environment, nil
	case *api.ConfirmHostRequest:
		return &api.ConfirmHostResult{Confirmed: api.Ptr(int32(3))}, nil
	}
	return nil, nil
}

func (d *daemon) addGroup(name, description, vpcID string) string {
	g := api.SecurityGroup{GroupId: d.id("sg-"), GroupName: name, Description: description, VpcId: vpcID, OwnerId: "000000000001"}
	d.groups = append(d.groups, g)
	return g.GroupId
}

func (d *daemon) addRules(groupID string, egress bool, all []api.IpPermission) (out []api.SecurityGroupRule) {
	for _, p := range all {
		rule := api.SecurityGroupRule{GroupId: groupID, IsEgress: api.Ptr(egress), IpProtocol: p.IpProtocol, FromPort: p.FromPort, ToPort: p.ToPort}
		for _, r := range p.IpRanges {
			rule.SecurityGroupRuleId, rule.CidrIpv4, rule.Description = d.id("sgr-"), r.CidrIp, r.Description
			out = append(out, rule)
		}
		for _, l := range p.PrefixListIds {
			rule.SecurityGroupRuleId, rule.CidrIpv4, rule.PrefixListId = d.id("sgr-"), "", l.PrefixListId
			out = append(out, rule)
		}
		rule.PrefixListId = ""
		for _, g := range p.UserIdGroupPairs {
			rule.SecurityGroupRuleId, rule.CidrIpv4 = d.id("sgr-"), ""
			rule.ReferencedGroupInfo = &api.ReferencedSecurityGroup{GroupId: g.GroupId, UserId: g.UserId}
			if g.UserId != "" {
				rule.GroupOwnerId = "000000000001"
			}
			out = append(out, rule)
		}
	}
	d.rules = append(d.rules, out...)
	return out
}

// revoked names the rules of a group that a call takes away: those that it
// names, or its first. They stay.
func (d *daemon) revoked(groupID string, ids []string, cut bool) []string {
	if cut {
		d.flows = 0
	}
	for _, r := range d.rules {
		if r.GroupId == groupID && len(ids) == 0 {
			ids = append(ids, r.SecurityGroupRuleId)
			break
		}
	}
	return ids
}

func (d *daemon) addInterface(subnetID, address string, tags []api.Tag) api.NetworkInterface {
	e := api.NetworkInterface{NetworkInterfaceId: d.id("eni-"), SubnetId: subnetID, PrivateIpAddress: address, Status: "available",
		MacAddress: "02:00:00:00:00:01", SourceDestCheck: api.Ptr(true), TagSet: tags}
	if address == "" {
		e.PrivateIpAddress = "10.0.1.4"
	}
	e.PrivateIpAddresses = []api.NetworkInterfacePrivateIpAddress{{Primary: api.Ptr(true), PrivateIpAddress: e.PrivateIpAddress}}
	for _, n := range d.subnets {
		if n.SubnetId == subnetID {
			e.VpcId = n.VpcId
		}
	}
	for _, g := range d.groups {
		if g.VpcId == e.VpcId && g.GroupName == "default" {
			e.Groups = []api.GroupIdentifier{{GroupId: g.GroupId, GroupName: g.GroupName}}
		}
	}
	d.enis = append(d.enis, e)
	return e
}

func (d *daemon) dropInterface(id string) {
	d.enis = slices.DeleteFunc(d.enis, func(e api.NetworkInterface) bool { return e.NetworkInterfaceId == id })
}

func (d *daemon) attach(r *api.AttachWorkloadRequest) *api.AttachWorkloadResult {
	var tags []api.Tag
	if r.Name != "" {
		tags = []api.Tag{{Key: "Name", Value: r.Name}}
	}
	if r.NetworkInterfaceId == "" {
		d.addInterface(r.SubnetId, r.PrivateIpAddress, tags)
		r.NetworkInterfaceId = d.enis[len(d.enis)-1].NetworkInterfaceId
	}
	e := &d.enis[slices.IndexFunc(d.enis, func(e api.NetworkInterface) bool { return e.NetworkInterfaceId == r.NetworkInterfaceId })]
	i := api.Instance{InstanceId: d.id("i-"), Tags: []api.Tag{{Key: "Name", Value: r.Target}}}
	d.instances = append(d.instances, i)
	if api.Val(r.AssociatePublicIpAddress) {
		e.PrivateIpAddresses[0].Association = &api.NetworkInterfaceAssociation{IpOwnerId: "amazon", PublicIp: "198.18.0.99"}
	}
	e.Status = "in-use"
	e.Attachment = &api.NetworkInterfaceAttachment{AttachmentId: d.id("eni-attach-"), InstanceId: i.InstanceId,
		DeleteOnTermination: api.Ptr(!api.Val(r.Keep)), Status: "attached"}
	return &api.AttachWorkloadResult{NetworkInterface: e, InstanceId: i.InstanceId, AttachmentId: e.Attachment.AttachmentId}
}

func (d *daemon) detach(r *api.DetachWorkloadRequest) (any, *api.Error) {
	res := &api.DetachWorkloadResult{NetworkInterfaceIds: []string{}}
	for _, e := range slices.Clone(d.enis) {
		if e.Attachment == nil || e.NetworkInterfaceId != r.NetworkInterfaceId && d.target(e.Attachment.InstanceId) != r.Target {
			continue
		}
		res.NetworkInterfaceIds = append(res.NetworkInterfaceIds, e.NetworkInterfaceId)
		if api.Val(e.Attachment.DeleteOnTermination) {
			d.dropInterface(e.NetworkInterfaceId)
		} else {
			at := slices.IndexFunc(d.enis, func(o api.NetworkInterface) bool { return o.NetworkInterfaceId == e.NetworkInterfaceId })
			d.enis[at].Attachment, d.enis[at].Status = nil, "available"
		}
	}
	if len(res.NetworkInterfaceIds) == 0 {
		return nil, api.Errorf("InvalidTarget.NotFound", "Target", "nothing is attached to %s", r.Target)
	}
	return res, nil
}

func (d *daemon) target(instanceID string) string {
	for _, i := range d.instances {
		if i.InstanceId == instanceID {
			return nameOf(i.Tags)
		}
	}
	return ""
}

// read does the actions that only read.
func (d *daemon) read(req any) (any, *api.Error) {
	switch r := req.(type) {
	case *api.DescribeVpcsRequest:
		list, e := pick(d.vpcs, r.VpcIds, r.Filters, "InvalidVpcID.NotFound", func(v *api.Vpc) (string, map[string]string) {
			return v.VpcId, map[string]string{"vpc-id": v.VpcId, "tag:Name": nameOf(v.Tags)}
		})
		return &api.DescribeVpcsResult{Vpcs: list}, e
	case *api.DescribeSubnetsRequest:
		list, e := pick(d.subnets, r.SubnetIds, r.Filters, "InvalidSubnetID.NotFound", func(v *api.Subnet) (string, map[string]string) {
			return v.SubnetId, map[string]string{"subnet-id": v.SubnetId, "vpc-id": v.VpcId, "tag:Name": nameOf(v.Tags)}
		})
		return &api.DescribeSubnetsResult{Subnets: list}, e
	case *api.DescribeSecurityGroupsRequest:
		list, e := pick(d.groups, r.GroupIds, r.Filters, "InvalidGroup.NotFound", func(v *api.SecurityGroup) (string, map[string]string) {
			return v.GroupId, map[string]string{"group-id": v.GroupId, "vpc-id": v.VpcId, "group-name": v.GroupName}
		})
		return &api.DescribeSecurityGroupsResult{SecurityGroups: list}, e
	case *api.DescribeSecurityGroupRulesRequest:
		list, e := pick(d.rules, r.SecurityGroupRuleIds, r.Filters, "InvalidSecurityGroupRuleId.NotFound", func(v *api.SecurityGroupRule) (string, map[string]string) {
			return v.SecurityGroupRuleId, map[string]string{"group-id": v.GroupId}
		})
		return &api.DescribeSecurityGroupRulesResult{SecurityGroupRules: list}, e
	case *api.DescribeNetworkInterfacesRequest:
		list, e := pick(d.enis, r.NetworkInterfaceIds, r.Filters, "InvalidNetworkInterfaceID.NotFound", func(v *api.NetworkInterface) (string, map[string]string) {
			f := map[string]string{"network-interface-id": v.NetworkInterfaceId, "vpc-id": v.VpcId, "tag:Name": nameOf(v.TagSet)}
			if v.Attachment != nil {
				f["attachment.instance-id"] = v.Attachment.InstanceId
			}
			return v.NetworkInterfaceId, f
		})
		return &api.DescribeNetworkInterfacesResult{NetworkInterfaces: list}, e
	case *api.DescribeInstancesRequest:
		list, e := pick(d.instances, r.InstanceIds, r.Filters, "InvalidInstanceID.NotFound", func(v *api.Instance) (string, map[string]string) {
			return v.InstanceId, map[string]string{"target": nameOf(v.Tags)}
		})
		return &api.DescribeInstancesResult{Reservations: []api.Reservation{{Instances: list}}}, e
	case *api.DescribeTagsRequest:
		return &api.DescribeTagsResult{Tags: d.tags}, nil
	case *api.DescribeAccessKeysRequest:
		return &api.DescribeAccessKeysResult{AccessKeys: append([]api.AccessKey{}, d.keys...)}, nil
	case *api.DescribeHostsRequest:
		return &api.DescribeHostsResult{Hosts: d.hosts}, nil
	case *api.DescribeDropsRequest:
		return &api.DescribeDropsResult{Drops: d.drops}, nil
	case *api.DescribeRuleHitsRequest:
		return &api.DescribeRuleHitsResult{RuleHits: slices.DeleteFunc(slices.Clone(d.hits), func(h api.RuleHit) bool {
			return !slices.Contains(r.GroupIds, h.GroupId) && !slices.Contains(r.NetworkAclIds, h.NetworkAclId)
		})}, nil
	case *api.GetRuleFlowsRequest:
		return &api.GetRuleFlowsResult{Flows: &d.flows}, nil
	case *api.DescribeNetworkInterfaceStatisticsRequest:
		return &api.DescribeNetworkInterfaceStatisticsResult{NetworkInterfaceStatistics: slices.DeleteFunc(slices.Clone(d.statistics), func(n api.NetworkInterfaceStatistics) bool {
			return len(r.NetworkInterfaceIds) > 0 && !slices.Contains(r.NetworkInterfaceIds, n.NetworkInterfaceId)
		})}, nil
	case *api.DescribeNatGatewayStatisticsRequest:
		return &api.DescribeNatGatewayStatisticsResult{NatGatewayStatistics: slices.DeleteFunc(slices.Clone(d.natStatistics), func(n api.NatGatewayStatistics) bool {
			return len(r.NatGatewayIds) > 0 && !slices.Contains(r.NatGatewayIds, n.NatGatewayId)
		})}, nil
	case *api.VerifyHostRequest:
		return &api.VerifyHostResult{Clean: api.Ptr(len(d.drifts) == 0), Drifts: append([]api.Drift{}, d.drifts...)}, nil
	case *api.WaitAppliedRequest:
		d.unapplied--
		return &api.WaitAppliedResult{Applied: api.Ptr(d.unapplied < 0 && d.unapplied > -1000)}, nil
	case *api.DescribeAvailabilityZonesRequest:
		return &api.DescribeAvailabilityZonesResult{AvailabilityZones: []api.AvailabilityZone{{ZoneName: "local-1a", ZoneId: "loc1-az1", RegionName: "local-1", State: "available"}}}, nil
	case *api.DescribeLimitsRequest:
		return &api.DescribeLimitsResult{Limits: []api.Limit{{Name: "vpcs", Value: api.Ptr(int64(5)), Default: api.Ptr(int64(5))}}}, nil
	}
	return nil, nil
}

// pick is a Describe's choice by ids and filters; filter values are globs.
func pick[T any](all []T, ids []string, filters []api.Filter, missing string, of func(*T) (string, map[string]string)) ([]T, *api.Error) {
	out := []T{}
	for _, id := range ids {
		if !slices.ContainsFunc(all, func(v T) bool { have, _ := of(&v); return have == id }) {
			return nil, api.Errorf(missing, "", "the id '%s' does not exist", id)
		}
	}
	for i := range all {
		id, fields := of(&all[i])
		if len(ids) > 0 && !slices.Contains(ids, id) {
			continue
		}
		if !slices.ContainsFunc(filters, func(f api.Filter) bool { return !matches(f, fields[f.Name]) }) {
			out = append(out, all[i])
		}
	}
	return out, nil
}

func matches(f api.Filter, have string) bool {
	return slices.ContainsFunc(f.Values, func(want string) bool {
		// Brackets mean nothing to EC2; slashes nothing special.
		want = strings.NewReplacer("[", `\[`, "/", "\x00").Replace(want)
		ok, _ := path.Match(want, strings.ReplaceAll(have, "/", "\x00"))
		return ok
	})
}
