package service

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/vpcfabric/vpc/ipam"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// param is a request member that asks for something that is not built.
type param struct {
	name string
	set  bool
}

// unsupported refuses the first member that is set: what is not built does
// not pretend.
func unsupported(params ...param) error {
	for _, p := range params {
		if p.set {
			return api.Errorf("UnsupportedOperation", p.name, "the parameter %s is not supported; leave it out", p.name)
		}
	}
	return nil
}

// createVpc answers pending: no kernel has the VPC yet. Codes: MissingParameter,
// InvalidParameterValue for what is no IPv4 CIDR, InvalidVpc.Range for one of a
// size or in a range no VPC can have, VpcLimitExceeded, UnsupportedOperation.
func (s *Service) createVpc(ctx context.Context, caller Caller, req *api.CreateVpcRequest) (*api.CreateVpcResult, int64, error) {
	if err := unsupported(
		param{"AmazonProvidedIpv6CidrBlock", api.Val(req.AmazonProvidedIpv6CidrBlock)},
		param{"Ipv6Pool", req.Ipv6Pool != ""},
		param{"Ipv6CidrBlock", req.Ipv6CidrBlock != ""},
		param{"Ipv6CidrBlockNetworkBorderGroup", req.Ipv6CidrBlockNetworkBorderGroup != ""},
		param{"Ipv6IpamPoolId", req.Ipv6IpamPoolId != ""},
		param{"Ipv6NetmaskLength", req.Ipv6NetmaskLength != nil},
		param{"Ipv4IpamPoolId", req.Ipv4IpamPoolId != ""},
		param{"Ipv4NetmaskLength", req.Ipv4NetmaskLength != nil},
		param{"InstanceTenancy", req.InstanceTenancy != "" && req.InstanceTenancy != api.TenancyDefault},
	); err != nil {
		return nil, 0, err
	}
	cidr, err := parseVpcCIDR(req.CidrBlock)
	if err != nil {
		return nil, 0, err
	}
	tags, err := specTags(req.TagSpecifications, vpcKind.resourceType)
	if err != nil {
		return nil, 0, err
	}
	var vpc *record.Vpc
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) (err error) {
		if err := nameFree(c, vpcKind, uniqueName(req.TagSpecifications, tags), "", anyOf); err != nil {
			return err
		}
		vpc, err = c.newVpc(cidr, tags)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	shape := vpc.Vpc
	shape.State = api.VpcStatePending
	return &api.CreateVpcResult{Vpc: &shape}, revision, nil
}

// parseVpcCIDR clears host bits, as EC2 does, and answers with the code of the
// rule that is broken.
func parseVpcCIDR(text string) (netip.Prefix, error) {
	if text == "" {
		return netip.Prefix{}, api.Errorf("MissingParameter", "CidrBlock", "the request must contain the parameter CidrBlock, such as 10.0.0.0/16")
	}
	cidr, err := ipam.ParseVpcCIDR(text)
	return cidr, cidrError(err, "InvalidVpc.Range")
}

// cidrError gives a refused CIDR its EC2 code: rangeCode for one that is well
// formed but of a size or in a range that cannot be used.
func cidrError(err error, rangeCode string) error {
	if err == nil {
		return nil
	}
	code := "InvalidParameterValue"
	var refused *ipam.Error
	if errors.As(err, &refused) && (refused.Kind == ipam.Range || refused.Kind == ipam.Restricted) {
		code = rangeCode
	}
	return api.Errorf(code, "CidrBlock", "the CIDR %v", err)
}

// newVpc makes a VPC and what every VPC has: a main route table, a default
// network ACL and a default security group.
func (c *change) newVpc(cidr netip.Prefix, tags []api.Tag) (*record.Vpc, error) {
	if err := c.checkLimit(limitVpcs, len(vpcKind.list(c.tx.Peek(), c.caller))+1); err != nil {
		return nil, err
	}
	// Every creation of a VPC takes an index: of two at once, one runs again,
	// so the limit holds without listing under guard.
	index, err := c.nextIndex("vpc")
	if err != nil {
		return nil, err
	}
	vpc := &record.Vpc{
		Index:            index,
		EnableDnsSupport: true,
		Revocation:       api.RevocationKeep,
		Created:          c.tx.Revision(),
		Vpc: api.Vpc{
			VpcId:           c.newID(vpcKind.id),
			OwnerId:         c.caller.Account,
			CidrBlock:       cidr.String(),
			DhcpOptionsId:   "default",
			State:           api.VpcStateAvailable,
			InstanceTenancy: api.TenancyDefault,
			IsDefault:       api.Ptr(false),
			Tags:            tags,
			CidrBlockAssociationSet: []api.VpcCidrBlockAssociation{
				c.newCIDRAssociation(cidr),
			},
		},
	}
	if err := c.newMainTable(vpc); err != nil {
		return nil, err
	}
	if err := c.newDefaultAcl(vpc); err != nil {
		return nil, err
	}
	if _, err := c.newDefaultGroup(vpc); err != nil {
		return nil, err
	}
	c.putVpc(vpc)
	return vpc, nil
}

func (c *change) putVpc(vpc *record.Vpc) { c.tx.Put(record.Vpcs+vpc.Vpc.VpcId, vpc) }

// deleteVpc removes a VPC with what newVpc made beside it, and refuses while
// anything else is left in it.
func (s *Service) deleteVpc(ctx context.Context, caller Caller, req *api.DeleteVpcRequest) (*api.DeleteVpcResult, int64, error) {
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		vpc, err := getVpc(c.tx, c.caller, req.VpcId)
		if err != nil {
			return err
		}
		c.guard(req.VpcId)
		inside := contentOf(c.tx.Peek(), req.VpcId)
		if blockers := inside.blockers(c.tx.Peek()); len(blockers) > 0 {
			return &api.Error{
				Code: "DependencyViolation", Field: "VpcId", BlockedBy: blockers,
				Message: fmt.Sprintf("the vpc '%s' has dependencies and cannot be deleted: %s", req.VpcId, blockerIDs(blockers)),
				Hint:    "vpc delete " + req.VpcId + " --cascade --dry-run",
			}
		}
		if err := c.unpeer(req.VpcId); err != nil {
			return err
		}
		inside.remove(c)
		c.tx.Delete(record.Vpcs + req.VpcId)
		c.tx.Delete(record.Guards + req.VpcId)
		c.bury(req.VpcId, vpc.Index)
		return nil
	})
	return &api.DeleteVpcResult{}, revision, err
}

// content is what lies directly in a VPC.
type content struct {
	// interfaces are not here: each lies in a subnet
	subnets []*record.Subnet
	groups  []*record.SecurityGroup
	tables  []*record.RouteTable
	acls    []*record.NetworkAcl
	nats    []*record.NatGateway // alive
	// gateway is nil for none.
	gateway *record.Gateway
}

func contentOf(r store.Reader, vpcID string) content {
	gateway, _ := gatewayOf(r, vpcID)
	return content{
		gateway: gateway, nats: natsOf(r, vpcID),
		subnets: inVpc(r, record.Subnets, vpcID, func(v *record.Subnet) string { return v.Subnet.VpcId }),
		groups:  inVpc(r, record.Groups, vpcID, func(v *record.SecurityGroup) string { return v.Group.VpcId }),
		tables:  inVpc(r, record.Tables, vpcID, func(v *record.RouteTable) string { return v.Table.VpcId }),
		acls:    inVpc(r, record.Acls, vpcID, func(v *record.NetworkAcl) string { return v.Acl.VpcId }),
	}
}

func inVpc[T any](r store.Reader, prefix, vpcID string, vpcOf func(T) string) []T {
	var out []T
	for _, v := range store.List[T](r, prefix) {
		if vpcOf(v) == vpcID {
			out = append(out, v)
		}
	}
	return out
}

// blockers are the objects that somebody made on purpose.
func (in content) blockers(r store.Reader) []api.Blocker {
	var out []api.Blocker
	for _, v := range in.subnets {
		out = append(out, subnetBlocker(r, v))
	}
	for _, v := range in.nats {
		out = append(out, natBlocker(v))
	}
	for _, v := range in.groups {
		if v.Group.GroupName != defaultGroupName {
			out = append(out, api.Blocker{Kind: "sg", Id: v.Group.GroupId, Name: v.Group.GroupName})
		}
	}
	for _, v := range in.tables {
		if !isMain(v) {
			out = append(out, api.Blocker{Kind: "rt", Id: v.Table.RouteTableId, Name: nameTag(v.Table.Tags)})
		}
	}
	for _, v := range in.acls {
		if !api.Val(v.Acl.IsDefault) {
			out = append(out, api.Blocker{Kind: "acl", Id: v.Acl.NetworkAclId, Name: nameTag(v.Acl.Tags)})
		}
	}
	if in.gateway != nil {
		out = append(out, gatewayBlocker(in.gateway))
	}
	return out
}

// subnetBlocker says who still lives in a subnet.
func subnetBlocker(r store.Reader, subnet *record.Subnet) api.Blocker {
	b := api.Blocker{Kind: "subnet", Id: subnet.Subnet.SubnetId, Name: nameTag(subnet.Subnet.Tags)}
	var names []string
	for _, eni := range interfacesIn(r, subnet.Subnet.SubnetId) {
		e := interfaceBlocker(eni)
		switch {
		case e.Detail != "":
			names = append(names, e.Detail)
		case e.Name != "":
			names = append(names, e.Name)
		default:
			names = append(names, e.Id)
		}
	}
	switch len(names) {
	case 0:
	case 1:
		b.Detail = "1 endpoint: " + names[0]
	default:
		b.Detail = fmt.Sprintf("%d endpoints: %s", len(names), strings.Join(names, ", "))
	}
	return b
}

func interfacesIn(r store.Reader, subnetID string) []*record.NetworkInterface {
	return inVpc(r, record.Interfaces, subnetID, func(v *record.NetworkInterface) string { return v.Interface.SubnetId })
}

// remove deletes what goes with the VPC. The guard of the VPC keeps siblings
// from appearing meanwhile; one that only changes, such as its tags, goes
// either way, and its own action then finds it gone.
func (in content) remove(c *change) {
	for _, v := range in.groups {
		c.dropGroup(v)
	}
	for _, v := range in.tables {
		c.drop(record.Tables, v.Table.RouteTableId, v.Index)
	}
	for _, v := range in.acls {
		c.drop(record.Acls, v.Acl.NetworkAclId, v.Index)
	}
}

// drop deletes one record and confirms it.
func (c *change) drop(prefix, id string, index uint32) {
	c.tx.Delete(prefix + id)
	c.bury(id, index)
}

// vpcFilters has EC2's names, and those of the camel case that it still takes.
var vpcFilters = map[string]func(api.Vpc) []string{
	"cidr":            func(v api.Vpc) []string { return []string{v.CidrBlock} },
	"cidr-block":      func(v api.Vpc) []string { return []string{v.CidrBlock} },
	"dhcp-options-id": func(v api.Vpc) []string { return []string{v.DhcpOptionsId} },
	"is-default":      func(v api.Vpc) []string { return boolText(v.IsDefault) },
	"isDefault":       func(v api.Vpc) []string { return boolText(v.IsDefault) },
	"owner-id":        func(v api.Vpc) []string { return []string{v.OwnerId} },
	"state":           func(v api.Vpc) []string { return []string{v.State} },
	"vpc-id":          func(v api.Vpc) []string { return []string{v.VpcId} },
	"cidr-block-association.association-id": func(v api.Vpc) []string {
		return collect(v.CidrBlockAssociationSet, func(a api.VpcCidrBlockAssociation) string { return a.AssociationId })
	},
	"cidr-block-association.cidr-block": func(v api.Vpc) []string {
		return collect(v.CidrBlockAssociationSet, func(a api.VpcCidrBlockAssociation) string { return a.CidrBlock })
	},
	"cidr-block-association.state": func(v api.Vpc) []string {
		return collect(v.CidrBlockAssociationSet, func(a api.VpcCidrBlockAssociation) string { return api.Val(a.CidrBlockState).State })
	},
	"ipv6-cidr-block-association.association-id": func(v api.Vpc) []string {
		return collect(v.Ipv6CidrBlockAssociationSet, func(a api.VpcIpv6CidrBlockAssociation) string { return a.AssociationId })
	},
	"ipv6-cidr-block-association.ipv6-cidr-block": func(v api.Vpc) []string {
		return collect(v.Ipv6CidrBlockAssociationSet, func(a api.VpcIpv6CidrBlockAssociation) string { return a.Ipv6CidrBlock })
	},
	"ipv6-cidr-block-association.ipv6-pool": func(v api.Vpc) []string {
		return collect(v.Ipv6CidrBlockAssociationSet, func(a api.VpcIpv6CidrBlockAssociation) string { return a.Ipv6Pool })
	},
	"ipv6-cidr-block-association.state": func(v api.Vpc) []string {
		return collect(v.Ipv6CidrBlockAssociationSet, func(a api.VpcIpv6CidrBlockAssociation) string { return api.Val(a.Ipv6CidrBlockState).State })
	},
}

// collect maps a list to the texts that filters compare.
func collect[T any](items []T, text func(T) string) []string {
	out := make([]string, 0, len(items))
	for _, item := range items {
		out = append(out, text(item))
	}
	return out
}

// describeVpcs lists the caller's VPCs in order of their ids. The state is
// computed from what hosts report and can be filtered by like the others.
func (s *Service) describeVpcs(_ context.Context, caller Caller, req *api.DescribeVpcsRequest) (*api.DescribeVpcsResult, int64, error) {
	match, err := matchFilters(req.Filters, vpcFilters, func(v api.Vpc) []api.Tag { return v.Tags })
	if err != nil {
		return nil, 0, err
	}
	if err := checkPaging(req.VpcIds, "VpcIds", req.MaxResults); err != nil {
		return nil, 0, err
	}
	v := s.view(caller)
	records, err := vpcKind.pick(v.r, caller, req.VpcIds, "VpcIds")
	if err != nil {
		return nil, 0, err
	}
	var out []api.Vpc
	known := v.knownEverywhere()
	for _, rec := range records {
		shape := rec.Vpc
		if rec.Created >= known {
			shape.State = api.VpcStatePending
		}
		if match(shape) {
			out = append(out, shape)
		}
	}
	out, next, err := page(pageOf{caller, req, req.MaxResults, req.NextToken}, out, func(v api.Vpc) string { return v.VpcId })
	return &api.DescribeVpcsResult{Vpcs: out, NextToken: next}, v.revision(), err
}
