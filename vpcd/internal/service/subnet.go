package service

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vpcfabric/vpc/ipam"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// createSubnet answers pending: no kernel has the subnet yet. Codes:
// InvalidSubnet.Range for a CIDR outside the VPC or of a wrong size,
// InvalidSubnet.Conflict naming the other subnet, InvalidParameterValue for
// what is no IPv4 CIDR or no zone, SubnetLimitExceeded, InvalidVpcID.NotFound.
func (s *Service) createSubnet(ctx context.Context, caller Caller, req *api.CreateSubnetRequest) (*api.CreateSubnetResult, int64, error) {
	if err := unsupported(
		param{"Ipv6Native", api.Val(req.Ipv6Native)},
		param{"Ipv6CidrBlock", req.Ipv6CidrBlock != ""},
		param{"Ipv4IpamPoolId", req.Ipv4IpamPoolId != ""},
		param{"Ipv4NetmaskLength", req.Ipv4NetmaskLength != nil},
		param{"Ipv6IpamPoolId", req.Ipv6IpamPoolId != ""},
		param{"Ipv6NetmaskLength", req.Ipv6NetmaskLength != nil},
		param{"OutpostArn", req.OutpostArn != ""},
	); err != nil {
		return nil, 0, err
	}
	zone, err := s.subnetZone(req)
	if err != nil {
		return nil, 0, err
	}
	cidr, err := parseSubnetCIDR(req.CidrBlock)
	if err != nil {
		return nil, 0, err
	}
	tags, err := specTags(req.TagSpecifications, subnetKind.resourceType)
	if err != nil {
		return nil, 0, err
	}
	var subnet *record.Subnet
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		vpc, err := getVpc(c.tx, c.caller, req.VpcId)
		if err != nil {
			return err
		}
		if err := nameFree(c, subnetKind, uniqueName(req.TagSpecifications, tags), "", subnetsOf(req.VpcId)); err != nil {
			return err
		}
		subnet, err = c.newSubnet(vpc, cidr, zone, tags, api.Val(req.MapPublicIpOnLaunch))
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	shape := subnet.Subnet
	shape.State = api.SubnetStatePending
	shape.AvailableIpAddressCount = api.Ptr(int32(ipam.Capacity(cidr)))
	return &api.CreateSubnetResult{Subnet: &shape}, revision, nil
}

// parseSubnetCIDR clears host bits; where the CIDR lies is checked later.
func parseSubnetCIDR(text string) (netip.Prefix, error) {
	if text == "" {
		return netip.Prefix{}, api.Errorf("MissingParameter", "CidrBlock", "the request must contain the parameter CidrBlock, such as 10.0.1.0/24")
	}
	cidr, err := ipam.ParseSubnetCIDR(text)
	return cidr, cidrError(err, "InvalidSubnet.Range")
}

// newSubnet makes a subnet in the default network ACL and, having no
// association of its own, the main route table.
func (c *change) newSubnet(vpc *record.Vpc, cidr netip.Prefix, z zone, tags []api.Tag, public bool) (*record.Subnet, error) {
	vpcID := vpc.Vpc.VpcId
	c.guard(vpcID)
	siblings := contentOf(c.tx.Peek(), vpcID).subnets
	if err := checkSubnetCIDR(vpc, siblings, cidr); err != nil {
		return nil, err
	}
	if err := c.checkLimit(limitSubnets, len(siblings)+1); err != nil {
		return nil, err
	}
	index, err := c.nextIndex("subnet")
	if err != nil {
		return nil, err
	}
	vni, err := c.nextVNI()
	if err != nil {
		return nil, err
	}
	id := c.newID(subnetKind.id)
	subnet := &record.Subnet{
		Index:   index,
		VNI:     vni,
		Created: c.tx.Revision(),
		Subnet: api.Subnet{
			SubnetId:                    id,
			VpcId:                       vpcID,
			OwnerId:                     c.caller.Account,
			CidrBlock:                   cidr.String(),
			AvailabilityZone:            z.name,
			AvailabilityZoneId:          z.id,
			State:                       api.SubnetStateAvailable,
			SubnetArn:                   fmt.Sprintf("arn:aws:ec2:%s:%s:subnet/%s", c.region, c.caller.Account, id),
			Tags:                        tags,
			DefaultForAz:                api.Ptr(false),
			MapPublicIpOnLaunch:         api.Ptr(public),
			MapCustomerOwnedIpOnLaunch:  api.Ptr(false),
			AssignIpv6AddressOnCreation: api.Ptr(false),
			EnableDns64:                 api.Ptr(false),
			Ipv6Native:                  api.Ptr(false),
			PrivateDnsNameOptionsOnLaunch: &api.PrivateDnsNameOptionsOnLaunch{
				HostnameType:                    api.HostnameTypeIpName,
				EnableResourceNameDnsARecord:    api.Ptr(false),
				EnableResourceNameDnsAAAARecord: api.Ptr(false),
			},
		},
	}
	// This ACL is written by every creation and deletion in the VPC; the guard
	// has made them take turns already.
	if err := c.joinDefaultAcl(vpcID, id); err != nil {
		return nil, err
	}
	c.tx.Put(record.Subnets+id, subnet)
	return subnet, nil
}

// checkSubnetCIDR wants cidr inside one CIDR of the VPC and clear of all other
// subnets.
func checkSubnetCIDR(vpc *record.Vpc, siblings []*record.Subnet, cidr netip.Prefix) error {
	parents := vpcPrefixes(vpc)
	if _, ok := ipam.Parent(cidr, slices.Values(parents)); !ok {
		return api.Errorf("InvalidSubnet.Range", "CidrBlock", "the CIDR '%s' is invalid: it does not lie in a CIDR of %s, which has %v", cidr, vpc.Vpc.VpcId, parents)
	}
	for _, other := range siblings {
		if p, err := netip.ParsePrefix(other.Subnet.CidrBlock); err == nil && ipam.Overlaps(cidr, p) {
			return api.Errorf("InvalidSubnet.Conflict", "CidrBlock", "the CIDR '%s' conflicts with another subnet: %s has %s; use a free range", cidr, other.Subnet.SubnetId, p)
		}
	}
	return nil
}

// deleteSubnet removes a subnet that has no interface left.
func (s *Service) deleteSubnet(ctx context.Context, caller Caller, req *api.DeleteSubnetRequest) (*api.DeleteSubnetResult, int64, error) {
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		subnet, err := getSubnet(c.tx, c.caller, req.SubnetId)
		if err != nil {
			return err
		}
		c.guard(subnet.Subnet.VpcId)
		// Every interface claims an address. Listing the claims guards them:
		// an interface that is being created makes this run again.
		for range claims(c.tx, req.SubnetId) {
			break
		}
		var blockers []api.Blocker
		for _, eni := range interfacesIn(c.tx.Peek(), req.SubnetId) {
			blockers = append(blockers, interfaceBlocker(eni))
		}
		if len(blockers) > 0 {
			return &api.Error{
				Code: "DependencyViolation", Field: "SubnetId", BlockedBy: blockers,
				Message: fmt.Sprintf("the subnet '%s' has dependencies and cannot be deleted: %s", req.SubnetId, blockerIDs(blockers)),
				Hint:    "detach the workloads and delete the interfaces first",
			}
		}
		c.leaveAcls(subnet.Subnet.VpcId, req.SubnetId)
		c.leaveTables(subnet.Subnet.VpcId, req.SubnetId)
		c.tx.DeletePrefix(record.Addresses + req.SubnetId + "/")
		c.tx.Delete(record.Subnets + req.SubnetId)
		c.tx.Delete(record.Guards + req.SubnetId)
		c.bury(req.SubnetId, subnet.Index)
		return nil
	})
	return &api.DeleteSubnetResult{}, revision, err
}

// modifySubnetAttribute changes exactly one attribute; EC2 has no DryRun here.
// Turning off what is not built is allowed: Terraform sends the defaults.
func (s *Service) modifySubnetAttribute(ctx context.Context, caller Caller, req *api.ModifySubnetAttributeRequest) (*api.ModifySubnetAttributeResult, int64, error) {
	if err := unsupported(
		param{"AssignIpv6AddressOnCreation", req.AssignIpv6AddressOnCreation != nil && api.Val(req.AssignIpv6AddressOnCreation.Value)},
		param{"EnableDns64", req.EnableDns64 != nil && api.Val(req.EnableDns64.Value)},
		param{"MapCustomerOwnedIpOnLaunch", req.MapCustomerOwnedIpOnLaunch != nil && api.Val(req.MapCustomerOwnedIpOnLaunch.Value)},
		param{"CustomerOwnedIpv4Pool", req.CustomerOwnedIpv4Pool != ""},
		param{"EnableLniAtDeviceIndex", req.EnableLniAtDeviceIndex != nil},
		param{"DisableLniAtDeviceIndex", req.DisableLniAtDeviceIndex != nil},
	); err != nil {
		return nil, 0, err
	}
	name, err := oneAttribute([]attribute{
		{"MapPublicIpOnLaunch", req.MapPublicIpOnLaunch != nil},
		{"PrivateDnsHostnameTypeOnLaunch", req.PrivateDnsHostnameTypeOnLaunch != ""},
		{"EnableResourceNameDnsARecordOnLaunch", req.EnableResourceNameDnsARecordOnLaunch != nil},
		{"EnableResourceNameDnsAAAARecordOnLaunch", req.EnableResourceNameDnsAAAARecordOnLaunch != nil},
		{"AssignIpv6AddressOnCreation", req.AssignIpv6AddressOnCreation != nil},
		{"EnableDns64", req.EnableDns64 != nil},
		{"MapCustomerOwnedIpOnLaunch", req.MapCustomerOwnedIpOnLaunch != nil},
	})
	if err != nil {
		return nil, 0, err
	}
	revision, err := s.mutate(ctx, caller, nil, func(c *change) error {
		subnet, err := getSubnet(c.tx, c.caller, req.SubnetId)
		if err != nil {
			return err
		}
		changed := *subnet
		if err := setSubnetAttribute(&changed.Subnet, name, req); err != nil {
			return err
		}
		c.tx.Put(record.Subnets+req.SubnetId, &changed)
		return nil
	})
	return &api.ModifySubnetAttributeResult{}, revision, err
}

// setSubnetAttribute writes to a subnet that the caller has copied. What lies
// behind pointers in it is still shared and is replaced.
func setSubnetAttribute(subnet *api.Subnet, name string, req *api.ModifySubnetAttributeRequest) error {
	options := api.Val(subnet.PrivateDnsNameOptionsOnLaunch)
	subnet.PrivateDnsNameOptionsOnLaunch = &options
	if name == "PrivateDnsHostnameTypeOnLaunch" {
		options.HostnameType = req.PrivateDnsHostnameTypeOnLaunch
		return nil
	}
	target := map[string]struct {
		given *api.AttributeBooleanValue
		set   **bool
	}{
		"MapPublicIpOnLaunch":                     {req.MapPublicIpOnLaunch, &subnet.MapPublicIpOnLaunch},
		"EnableResourceNameDnsARecordOnLaunch":    {req.EnableResourceNameDnsARecordOnLaunch, &options.EnableResourceNameDnsARecord},
		"EnableResourceNameDnsAAAARecordOnLaunch": {req.EnableResourceNameDnsAAAARecordOnLaunch, &options.EnableResourceNameDnsAAAARecord},
		"AssignIpv6AddressOnCreation":             {req.AssignIpv6AddressOnCreation, &subnet.AssignIpv6AddressOnCreation},
		"EnableDns64":                             {req.EnableDns64, &subnet.EnableDns64},
		"MapCustomerOwnedIpOnLaunch":              {req.MapCustomerOwnedIpOnLaunch, &subnet.MapCustomerOwnedIpOnLaunch},
	}[name]
	value, err := flagValue(target.given, name)
	if err != nil {
		return err
	}
	*target.set = api.Ptr(value)
	return nil
}

// freeAddresses is how many interfaces still fit into a subnet.
func freeAddresses(r store.Reader, subnet *record.Subnet) int32 {
	cidr, err := netip.ParsePrefix(subnet.Subnet.CidrBlock)
	if err != nil {
		return 0
	}
	free := ipam.Capacity(cidr)
	for _, claim := range store.List[*record.Address](r, record.Addresses+subnet.Subnet.SubnetId+"/") {
		if claim.Interface != "" {
			free--
		}
	}
	return int32(max(free, 0))
}
