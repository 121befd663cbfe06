package service

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// unlimited lifts a quota.
const unlimited = -1

// limitName is the name of a quota as users write it.
type limitName string

const (
	limitVpcs        limitName = "vpcs"
	limitCIDRs       limitName = "cidrs-per-vpc"
	limitSubnets     limitName = "subnets-per-vpc"
	limitInterfaces  limitName = "enis" // per zone
	limitAddresses   limitName = "ips-per-eni"
	limitGroups      limitName = "sgs"
	limitRules       limitName = "rules-per-sg" // per direction
	limitGroupsOfENI limitName = "sgs-per-eni"
	limitTables      limitName = "tables-per-vpc"
	limitRoutes      limitName = "routes-per-table"
	limitAcls        limitName = "acls-per-vpc"
	limitAclEntries  limitName = "rules-per-acl" // per direction
	limitAccessKeys  limitName = "access-keys"
	limitLists       limitName = "prefix-lists"
	limitGateways    limitName = "igws"
	limitElastics    limitName = "eips"
	limitPeerings    limitName = "peerings-per-vpc" // that are active
	limitRequests    limitName = "peering-requests" // that wait for an answer
	limitNats        limitName = "nat-gateways-per-zone"
	limitNatElastics limitName = "eips-per-nat"
	limitNatPrivate  limitName = "ips-per-nat"
)

// quota is a limit's default and the error that exceeding it gives.
type quota struct {
	value int64
	code  string
	field string
	most  int64 // it can be raised to; 0 for any value, and none
}

// quotas are those of the page "Amazon VPC quotas", per account unless the
// name says otherwise. AWS bounds the addresses of an interface by instance
// type; 50 is what its larger ones have. It bounds access keys by user, and
// there are no users here.
//
// What a packet is compared with has a size, so some limits cannot be raised
// further: see also checkProduct.
var quotas = map[limitName]quota{
	limitVpcs:        {5, "VpcLimitExceeded", "", 0},
	limitCIDRs:       {5, "CidrLimitExceeded", "CidrBlock", 0},
	limitSubnets:     {200, "SubnetLimitExceeded", "VpcId", 0},
	limitInterfaces:  {5000, "NetworkInterfaceLimitExceeded", "", 0},
	limitAddresses:   {50, "PrivateIpAddressLimitExceeded", "PrivateIpAddresses", 0},
	limitGroups:      {2500, "SecurityGroupLimitExceeded", "", 0},
	limitRules:       {60, "RulesPerSecurityGroupLimitExceeded", "IpPermissions", maxRulesOfENI},
	limitGroupsOfENI: {5, "SecurityGroupsPerInterfaceLimitExceeded", "Groups", maxGroupsOfENI},
	limitTables:      {200, "RouteTableLimitExceeded", "VpcId", 0},
	limitRoutes:      {500, "RouteLimitExceeded", "RouteTableId", maxRoutesOfTable},
	limitAcls:        {200, "NetworkAclLimitExceeded", "VpcId", 0},
	limitAclEntries:  {20, "NetworkAclEntryLimitExceeded", "NetworkAclId", maxEntriesOfAcl},
	limitAccessKeys:  {20, "AccessKeyLimitExceeded", "", 0},
	limitLists:       {100, "PrefixListLimitExceeded", "", 0},
	limitGateways:    {5, "InternetGatewayLimitExceeded", "", 0},
	limitElastics:    {5, "AddressLimitExceeded", "", 0},
	limitPeerings:    {50, "ActiveVpcPeeringConnectionPerVpcLimitExceeded", "", 0},
	limitRequests:    {25, "OutstandingVpcPeeringConnectionLimitExceeded", "VpcId", 0},
	limitNats:        {5, "NatGatewayLimitExceeded", "SubnetId", 0},
	limitNatElastics: {2, "AddressLimitExceeded", "AllocationIds", maxAddressesOfNat},
	limitNatPrivate:  {8, "PrivateIpAddressLimitExceeded", "PrivateIpAddresses", maxAddressesOfNat},
}

// How far limits can be raised: for groups and tables as far as EC2's, for ACLs to what a
// list of the data plane holds, which EC2 stays far below.
const (
	maxRulesOfENI   = 1000 // of all groups of an interface, in one direction
	maxGroupsOfENI  = 16
	maxEntriesOfAcl = 1000
	// Prefix lists count with the most that they can have.
	maxRoutesOfTable = 1000
	// Each brings 55,000 connections to one destination.
	maxAddressesOfNat = 8
)

// CheckLimit says whether a quota of that name can have that value: 0 or more,
// or -1 for none, where the data plane sets no bound. The error is an *api.Error
// that lists the names.
func CheckLimit(name string, value int64) error {
	if _, ok := quotas[limitName(name)]; !ok {
		return api.Errorf("InvalidParameterValue", "Name", "there is no limit %s; there are %s", quote(name), strings.Join(limitNames(), ", "))
	}
	if value < unlimited {
		return api.Errorf("InvalidParameterValue", "Value", "the limit %s cannot be %d; it is 0 or more, or -1 for no limit", name, value)
	}
	if most := quotas[limitName(name)].most; most > 0 && (value == unlimited || value > most) {
		e := api.Errorf("InvalidParameterValue", "Value", "the limit %s cannot be %d; it is between 0 and %d", name, value, most)
		e.Hint = fmt.Sprintf("vpc limits %s=%d", name, most)
		return e
	}
	return nil
}

// limitNames are all names, sorted: the choice that messages offer.
func limitNames() []string {
	var names []string
	for name := range quotas {
		names = append(names, string(name))
	}
	slices.Sort(names)
	return names
}

// limit returns the quota in force, unlimited (-1) for none: what a call set,
// else what the command line set, else AWS's default.
func (s *Service) limit(r store.Reader, name limitName) int64 {
	if l, ok := store.Get[*record.Limit](r, record.Limits+string(name)); ok {
		return l.Value
	}
	return s.baseLimit(name)
}

func (s *Service) baseLimit(name limitName) int64 {
	if value, ok := s.limits[string(name)]; ok {
		return value
	}
	return quotas[name].value
}

// checkLimit reads without guard: quotas bound carelessness, and one that
// changes in the same instant need not be obeyed. It refuses if total, the number there would be, is over the quota.
func (c *change) checkLimit(name limitName, total int) error {
	limit := c.limit(c.tx.Peek(), name)
	if limit == unlimited || int64(total) <= limit {
		return nil
	}
	return &api.Error{
		Code:    quotas[name].code,
		Field:   quotas[name].field,
		Message: fmt.Sprintf("the limit %s is %d, and this would make %d; delete some or raise the limit", name, limit, total),
		Hint:    fmt.Sprintf("vpc limits %s=%d", name, total),
	}
}

// describeLimits lists all quotas; Default is what removing an override of the
// API would leave.
func (s *Service) describeLimits(_ context.Context, caller Caller, _ *api.DescribeLimitsRequest) (*api.DescribeLimitsResult, int64, error) {
	v := s.view(caller)
	var out []api.Limit
	for _, name := range limitNames() {
		out = append(out, api.Limit{Name: name, Value: api.Ptr(s.limit(v.r, limitName(name))), Default: api.Ptr(s.baseLimit(limitName(name)))})
	}
	return &api.DescribeLimitsResult{Limits: out}, v.revision(), nil
}

// modifyLimit changes a quota for everybody; what exceeds it already stays. See
// CheckLimit and checkProduct for what is refused.
func (s *Service) modifyLimit(ctx context.Context, caller Caller, req *api.ModifyLimitRequest) (*api.ModifyLimitResult, int64, error) {
	value := api.Val(req.Value)
	if err := CheckLimit(req.Name, value); err != nil {
		return nil, 0, err
	}
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		if err := c.checkProduct(limitName(req.Name), value); err != nil {
			return err
		}
		c.tx.Put(record.Limits+req.Name, record.Limit{Value: value})
		return nil
	})
	return &api.ModifyLimitResult{}, revision, err
}
