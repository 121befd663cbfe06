package service

import (
	"context"
	"strconv"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// subnetFilters has beside EC2's names their documented older spellings.
var subnetFilters = map[string]func(api.Subnet) []string{
	"availability-zone":          func(v api.Subnet) []string { return []string{v.AvailabilityZone} },
	"availabilityZone":           func(v api.Subnet) []string { return []string{v.AvailabilityZone} },
	"availability-zone-id":       func(v api.Subnet) []string { return []string{v.AvailabilityZoneId} },
	"availabilityZoneId":         func(v api.Subnet) []string { return []string{v.AvailabilityZoneId} },
	"available-ip-address-count": func(v api.Subnet) []string { return intText(v.AvailableIpAddressCount) },
	"cidr":                       func(v api.Subnet) []string { return []string{v.CidrBlock} },
	"cidr-block":                 func(v api.Subnet) []string { return []string{v.CidrBlock} },
	"cidrBlock":                  func(v api.Subnet) []string { return []string{v.CidrBlock} },
	"customer-owned-ipv4-pool":   func(v api.Subnet) []string { return []string{v.CustomerOwnedIpv4Pool} },
	"default-for-az":             func(v api.Subnet) []string { return boolText(v.DefaultForAz) },
	"defaultForAz":               func(v api.Subnet) []string { return boolText(v.DefaultForAz) },
	"enable-dns64":               func(v api.Subnet) []string { return boolText(v.EnableDns64) },
	"enable-lni-at-device-index": func(v api.Subnet) []string { return intText(v.EnableLniAtDeviceIndex) },
	"ipv6-native":                func(v api.Subnet) []string { return boolText(v.Ipv6Native) },
	"map-customer-owned-ip-on-launch": func(v api.Subnet) []string {
		return boolText(v.MapCustomerOwnedIpOnLaunch)
	},
	"map-public-ip-on-launch": func(v api.Subnet) []string { return boolText(v.MapPublicIpOnLaunch) },
	"outpost-arn":             func(v api.Subnet) []string { return []string{v.OutpostArn} },
	"owner-id":                func(v api.Subnet) []string { return []string{v.OwnerId} },
	"state":                   func(v api.Subnet) []string { return []string{v.State} },
	"subnet-arn":              func(v api.Subnet) []string { return []string{v.SubnetArn} },
	"subnet-id":               func(v api.Subnet) []string { return []string{v.SubnetId} },
	"vpc-id":                  func(v api.Subnet) []string { return []string{v.VpcId} },
	"private-dns-name-options-on-launch.hostname-type": func(v api.Subnet) []string {
		return []string{api.Val(v.PrivateDnsNameOptionsOnLaunch).HostnameType}
	},
	"private-dns-name-options-on-launch.enable-resource-name-dns-a-record": func(v api.Subnet) []string {
		return boolText(api.Val(v.PrivateDnsNameOptionsOnLaunch).EnableResourceNameDnsARecord)
	},
	"private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record": func(v api.Subnet) []string {
		return boolText(api.Val(v.PrivateDnsNameOptionsOnLaunch).EnableResourceNameDnsAAAARecord)
	},
	"ipv6-cidr-block-association.association-id": func(v api.Subnet) []string {
		return collect(v.Ipv6CidrBlockAssociationSet, func(a api.SubnetIpv6CidrBlockAssociation) string { return a.AssociationId })
	},
	"ipv6-cidr-block-association.ipv6-cidr-block": func(v api.Subnet) []string {
		return collect(v.Ipv6CidrBlockAssociationSet, func(a api.SubnetIpv6CidrBlockAssociation) string { return a.Ipv6CidrBlock })
	},
	"ipv6-cidr-block-association.state": func(v api.Subnet) []string {
		return collect(v.Ipv6CidrBlockAssociationSet, func(a api.SubnetIpv6CidrBlockAssociation) string { return api.Val(a.Ipv6CidrBlockState).State })
	},
}

// intText is how filters spell a number; an absent one matches nothing.
func intText(p *int32) []string {
	if p == nil {
		return nil
	}
	return []string{strconv.Itoa(int(*p))}
}

// describeSubnets lists the caller's subnets in order of their ids. State and
// AvailableIpAddressCount are computed before the filters see them.
func (s *Service) describeSubnets(_ context.Context, caller Caller, req *api.DescribeSubnetsRequest) (*api.DescribeSubnetsResult, int64, error) {
	match, err := matchFilters(req.Filters, subnetFilters, func(v api.Subnet) []api.Tag { return v.Tags })
	if err != nil {
		return nil, 0, err
	}
	if err := checkPaging(req.SubnetIds, "SubnetIds", req.MaxResults); err != nil {
		return nil, 0, err
	}
	v := s.view(caller)
	records, err := subnetKind.pick(v.r, caller, req.SubnetIds, "SubnetIds")
	if err != nil {
		return nil, 0, err
	}
	var out []api.Subnet
	known := v.knownEverywhere()
	for _, rec := range records {
		shape := rec.Subnet
		shape.AvailableIpAddressCount = api.Ptr(freeAddresses(v.r, rec))
		if rec.Created >= known {
			shape.State = api.SubnetStatePending
		}
		if match(shape) {
			out = append(out, shape)
		}
	}
	out, next, err := page(pageOf{caller, req, req.MaxResults, req.NextToken}, out, func(n api.Subnet) string { return n.SubnetId })
	return &api.DescribeSubnetsResult{Subnets: out, NextToken: next}, v.revision(), err
}
