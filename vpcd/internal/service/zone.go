package service

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// zone is a label: any host serves any zone.
type zone struct{ name, id string }

// zoneList numbers the zones in the order of the configuration.
func (s *Service) zoneList() []zone {
	out := make([]zone, 0, len(s.zones))
	for i, name := range s.zones {
		out = append(out, zone{name: name, id: s.region + "-az" + strconv.Itoa(i+1)})
	}
	return out
}

// subnetZone is the zone a request asks for, the first one if it asks for none.
func (s *Service) subnetZone(req *api.CreateSubnetRequest) (zone, error) {
	zones := s.zoneList()
	if req.AvailabilityZone != "" && req.AvailabilityZoneId != "" {
		return zone{}, api.Errorf("InvalidParameterCombination", "AvailabilityZoneId", "AvailabilityZone and AvailabilityZoneId name the same thing; give one of them")
	}
	for _, z := range zones {
		if req.AvailabilityZone == z.name || req.AvailabilityZoneId == z.id {
			return z, nil
		}
	}
	switch {
	case req.AvailabilityZone != "":
		return zone{}, api.Errorf("InvalidParameterValue", "AvailabilityZone", "value (%s) for parameter availabilityZone is invalid: subnets can only be created in %s",
			quote(req.AvailabilityZone), strings.Join(s.zones, ", "))
	case req.AvailabilityZoneId != "":
		ids := collect(zones, func(z zone) string { return z.id })
		return zone{}, api.Errorf("InvalidParameterValue", "AvailabilityZoneId", "value (%s) for parameter availabilityZoneId is invalid: subnets can only be created in %s",
			quote(req.AvailabilityZoneId), strings.Join(ids, ", "))
	}
	return zones[0], nil
}

var zoneFilters = map[string]func(api.AvailabilityZone) []string{
	"group-name":       func(z api.AvailabilityZone) []string { return []string{z.GroupName} },
	"message":          func(api.AvailabilityZone) []string { return nil },
	"opt-in-status":    func(z api.AvailabilityZone) []string { return []string{z.OptInStatus} },
	"parent-zone-id":   func(z api.AvailabilityZone) []string { return present([]string{z.ParentZoneId}) },
	"parent-zone-name": func(z api.AvailabilityZone) []string { return present([]string{z.ParentZoneName}) },
	"region-name":      func(z api.AvailabilityZone) []string { return []string{z.RegionName} },
	"state":            func(z api.AvailabilityZone) []string { return []string{z.State} },
	"zone-id":          func(z api.AvailabilityZone) []string { return []string{z.ZoneId} },
	"zone-name":        func(z api.AvailabilityZone) []string { return []string{z.ZoneName} },
	"zone-type":        func(z api.AvailabilityZone) []string { return []string{z.ZoneType} },
}

// describeAvailabilityZones lists all zones as available: a zone is no place
// that could fail.
func (s *Service) describeAvailabilityZones(_ context.Context, caller Caller, req *api.DescribeAvailabilityZonesRequest) (*api.DescribeAvailabilityZonesResult, int64, error) {
	match, err := matchFilters(req.Filters, zoneFilters, nil)
	if err != nil {
		return nil, 0, err
	}
	zones := s.zoneList()
	if err := allKnown(req.ZoneNames, collect(zones, func(z zone) string { return z.name }), "ZoneNames"); err != nil {
		return nil, 0, err
	}
	if err := allKnown(req.ZoneIds, collect(zones, func(z zone) string { return z.id }), "ZoneIds"); err != nil {
		return nil, 0, err
	}
	var out []api.AvailabilityZone
	for _, z := range zones {
		shape := api.AvailabilityZone{
			ZoneName: z.name, ZoneId: z.id, ZoneType: "availability-zone",
			State:      api.AvailabilityZoneStateAvailable,
			RegionName: s.region, GroupName: s.region, NetworkBorderGroup: s.region,
			OptInStatus: api.AvailabilityZoneOptInStatusOptInNotRequired,
		}
		if wanted(req.ZoneNames, z.name) && wanted(req.ZoneIds, z.id) && match(shape) {
			out = append(out, shape)
		}
	}
	return &api.DescribeAvailabilityZonesResult{AvailabilityZones: out}, s.view(caller).revision(), nil
}

// wanted says whether a list of names, where it is given, has this one.
func wanted(names []string, name string) bool {
	return len(names) == 0 || slices.Contains(names, name)
}

// allKnown refuses the first name that is none of known.
func allKnown(names, known []string, field string) error {
	for i, name := range names {
		if !slices.Contains(known, name) {
			return api.Errorf("InvalidParameterValue", field+"."+strconv.Itoa(i), "invalid value %s; there are %s", quote(name), strings.Join(known, ", "))
		}
	}
	return nil
}

var regionFilters = map[string]func(api.Region) []string{
	"endpoint":      func(r api.Region) []string { return []string{r.Endpoint} },
	"opt-in-status": func(r api.Region) []string { return []string{r.OptInStatus} },
	"region-name":   func(r api.Region) []string { return []string{r.RegionName} },
}

// describeRegions knows one region. Its endpoint is a name for display: clients
// are told the real address by their configuration.
func (s *Service) describeRegions(_ context.Context, caller Caller, req *api.DescribeRegionsRequest) (*api.DescribeRegionsResult, int64, error) {
	match, err := matchFilters(req.Filters, regionFilters, nil)
	if err != nil {
		return nil, 0, err
	}
	if err := allKnown(req.RegionNames, []string{s.region}, "RegionNames"); err != nil {
		return nil, 0, err
	}
	var out []api.Region
	region := api.Region{
		RegionName:  s.region,
		Endpoint:    "ec2." + s.region + ".internal",
		OptInStatus: api.AvailabilityZoneOptInStatusOptInNotRequired,
	}
	if match(region) {
		out = append(out, region)
	}
	return &api.DescribeRegionsResult{Regions: out}, s.view(caller).revision(), nil
}

// describeAccountAttributes has the attributes that are about networks.
func (s *Service) describeAccountAttributes(_ context.Context, caller Caller, req *api.DescribeAccountAttributesRequest) (*api.DescribeAccountAttributesResult, int64, error) {
	const perInterface = "vpc-max-security-groups-per-interface"
	const elastic = "vpc-max-elastic-ips"
	known := []string{"supported-platforms", "default-vpc", perInterface, elastic}
	if err := allKnown(req.AttributeNames, known, "AttributeNames"); err != nil {
		return nil, 0, err
	}
	v := s.view(caller)
	// "none" is what EC2 answers for an account without a default VPC.
	values := map[string]string{"supported-platforms": "VPC", "default-vpc": "none"}
	if vpc, ok := defaultVpc(v.r, caller); ok {
		values["default-vpc"] = vpc.Vpc.VpcId
	}
	for name, limit := range map[string]limitName{perInterface: limitGroupsOfENI, elastic: limitElastics} {
		most := s.limit(v.r, limit)
		if most == unlimited {
			most = math.MaxInt32
		}
		values[name] = strconv.FormatInt(most, 10)
	}
	var out []api.AccountAttribute
	for _, name := range known {
		if wanted(req.AttributeNames, name) {
			out = append(out, api.AccountAttribute{
				AttributeName:   name,
				AttributeValues: []api.AccountAttributeValue{{AttributeValue: values[name]}},
			})
		}
	}
	return &api.DescribeAccountAttributesResult{AccountAttributes: out}, v.revision(), nil
}
