package service

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

func TestCreateSubnet(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	s := b.subnet(vpc.VpcId, "10.0.1.77/24")
	if s.CidrBlock != "10.0.1.0/24" || *s.AvailableIpAddressCount != 251 || s.AvailabilityZone != "local-1a" || s.AvailabilityZoneId != "local-1-az1" ||
		s.SubnetArn != "arn:aws:ec2:local-1:000000000001:subnet/"+s.SubnetId {
		t.Errorf("subnet %+v", s)
	}
	other := do[api.CreateSubnetResult](b, &api.CreateSubnetRequest{VpcId: vpc.VpcId, CidrBlock: "10.0.2.0/28", AvailabilityZoneId: "local-1-az3"}).Subnet
	if *other.AvailableIpAddressCount != 11 || other.AvailabilityZone != "local-1c" {
		t.Errorf("subnet %+v", other)
	}
	sn := b.store.Snapshot()
	one, _ := store.Get[*record.Subnet](sn, record.Subnets+s.SubnetId)
	two, _ := store.Get[*record.Subnet](sn, record.Subnets+other.SubnetId)
	if one.VNI != 4096 || two.VNI != 4097 || one.Index == two.Index {
		t.Errorf("VNIs %d and %d, indices %d and %d", one.VNI, two.VNI, one.Index, two.Index)
	}
	acl := do[api.DescribeNetworkAclsResult](b, &api.DescribeNetworkAclsRequest{Filters: []api.Filter{{Name: "association.subnet-id", Values: []string{s.SubnetId}}}}).NetworkAcls
	if len(acl) != 1 || len(acl[0].Associations) != 2 {
		t.Errorf("ACLs of the subnet: %+v", acl)
	}
}

func TestNumbersAreNotReused(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	last := uint32(0)
	for range 3 {
		s := b.subnet(vpc.VpcId, "10.0.1.0/24")
		rec, _ := store.Get[*record.Subnet](b.store.Snapshot(), record.Subnets+s.SubnetId)
		if rec.VNI <= last {
			t.Errorf("VNI %d after %d", rec.VNI, last)
		}
		last = rec.VNI
		do[api.DeleteSubnetResult](b, &api.DeleteSubnetRequest{SubnetId: s.SubnetId})
	}
	b.put(record.Counters+"vni", record.Counter{Next: lastVNI + 1})
	b.unchanged(t, func() {
		_, _, err := b.call(alice, "CreateSubnet", &api.CreateSubnetRequest{VpcId: vpc.VpcId, CidrBlock: "10.0.1.0/24"})
		refused(t, err, "InsufficientCapacity", "")
	})
}

func TestCreateSubnetRefuses(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Limits = map[string]int64{"subnets-per-vpc": 2} })
	vpc := b.vpc("10.0.0.0/16")
	taken := b.subnet(vpc.VpcId, "10.0.1.0/24")
	for _, row := range []struct {
		req         api.CreateSubnetRequest
		code, field string
	}{
		{api.CreateSubnetRequest{}, "MissingParameter", "CidrBlock"},
		{api.CreateSubnetRequest{CidrBlock: "10.1.0.0/24"}, "InvalidSubnet.Range", "CidrBlock"},
		{api.CreateSubnetRequest{CidrBlock: "10.0.0.0/15"}, "InvalidSubnet.Range", "CidrBlock"},
		{api.CreateSubnetRequest{CidrBlock: "10.0.9.0/29"}, "InvalidSubnet.Range", "CidrBlock"},
		{api.CreateSubnetRequest{CidrBlock: "10.0.1.0/24"}, "InvalidSubnet.Conflict", "CidrBlock"},
		{api.CreateSubnetRequest{CidrBlock: "10.0.1.128/25"}, "InvalidSubnet.Conflict", "CidrBlock"},
		{api.CreateSubnetRequest{CidrBlock: "10.0.0.0/16"}, "InvalidSubnet.Conflict", "CidrBlock"},
		{api.CreateSubnetRequest{CidrBlock: "10.0.2.0/24", AvailabilityZone: "local-1d"}, "InvalidParameterValue", "AvailabilityZone"},
		{api.CreateSubnetRequest{CidrBlock: "10.0.2.0/24", AvailabilityZoneId: "x"}, "InvalidParameterValue", "AvailabilityZoneId"},
		{api.CreateSubnetRequest{CidrBlock: "10.0.2.0/24", AvailabilityZone: "local-1a", AvailabilityZoneId: "local-1-az1"}, "InvalidParameterCombination", "AvailabilityZoneId"},
		{api.CreateSubnetRequest{CidrBlock: "10.0.2.0/24", TagSpecifications: tagSpec("vpc", api.Tag{Key: "a"})}, "InvalidParameterValue", "TagSpecifications.0.ResourceType"},
	} {
		row.req.VpcId = vpc.VpcId
		b.unchanged(t, func() {
			_, _, err := b.call(alice, "CreateSubnet", &row.req)
			e := refused(t, err, row.code, row.field)
			if row.code == "InvalidSubnet.Conflict" && !strings.Contains(e.Message, taken.SubnetId) {
				t.Errorf("message does not name the other subnet: %s", e.Message)
			}
		})
	}
	b.subnet(vpc.VpcId, "10.0.2.0/24")
	_, _, err := b.call(alice, "CreateSubnet", &api.CreateSubnetRequest{VpcId: vpc.VpcId, CidrBlock: "10.0.3.0/24"})
	refused(t, err, "SubnetLimitExceeded", "VpcId")
}

func TestDeleteSubnet(t *testing.T) {
	b := newBench(t)
	s := b.subnet(b.vpc("10.0.0.0/16").VpcId, "10.0.1.0/24")
	id := b.eni(s, "10.0.1.4", "netns:a")
	b.unchanged(t, func() {
		_, _, err := b.call(alice, "DeleteSubnet", &api.DeleteSubnetRequest{SubnetId: s.SubnetId})
		e := refused(t, err, "DependencyViolation", "SubnetId")
		if want := []api.Blocker{{Kind: "eni", Id: id, Detail: "netns:a"}}; !reflect.DeepEqual(e.BlockedBy, want) {
			t.Errorf("blocked by %+v", e.BlockedBy)
		}
	})
	_, err := b.store.Update(t.Context(), func(tx *store.Tx) error {
		tx.Delete(record.Interfaces + id)
		tx.Put(record.AddressKey(s.SubnetId, netip.MustParseAddr("10.0.1.4")), record.Address{Released: 1})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	do[api.DeleteSubnetResult](b, &api.DeleteSubnetRequest{SubnetId: s.SubnetId})
	for key := range b.dump() {
		if strings.Contains(key, s.SubnetId) && key != record.TombstoneKey(s.SubnetId) {
			t.Errorf("left behind: %s", key)
		}
	}
	for _, acl := range aclKind.list(b.store.Snapshot(), alice) {
		if len(acl.Acl.Associations) != 0 {
			t.Errorf("the ACL keeps %+v", acl.Acl.Associations)
		}
	}
	for _, bad := range []struct{ id, code string }{{s.SubnetId, "InvalidSubnetID.NotFound"}, {"subnet-xyz", "InvalidSubnetID.Malformed"}, {"", "MissingParameter"}} {
		_, _, err := b.call(alice, "DeleteSubnet", &api.DeleteSubnetRequest{SubnetId: bad.id})
		refused(t, err, bad.code, "SubnetId")
	}
}

func TestDescribeSubnetsCountsFreeAddresses(t *testing.T) {
	b := newBench(t)
	s := b.subnet(b.vpc("10.0.0.0/16").VpcId, "10.0.1.0/28")
	b.eni(s, "10.0.1.4", "")
	b.put(record.AddressKey(s.SubnetId, netip.MustParseAddr("10.0.1.5")), record.Address{Released: 3})
	got := do[api.DescribeSubnetsResult](b, &api.DescribeSubnetsRequest{SubnetIds: []string{s.SubnetId}}).Subnets
	if len(got) != 1 || *got[0].AvailableIpAddressCount != 10 {
		t.Errorf("subnets %+v", got)
	}
	by := do[api.DescribeSubnetsResult](b, &api.DescribeSubnetsRequest{Filters: []api.Filter{{Name: "available-ip-address-count", Values: []string{"10"}}}}).Subnets
	if len(by) != 1 {
		t.Errorf("the filter finds %+v", by)
	}
}

func TestModifySubnetAttribute(t *testing.T) {
	b := newBench(t)
	id := b.subnet(b.vpc("10.0.0.0/16").VpcId, "10.0.1.0/24").SubnetId
	do[api.ModifySubnetAttributeResult](b, &api.ModifySubnetAttributeRequest{SubnetId: id, MapPublicIpOnLaunch: flag(true)})
	do[api.ModifySubnetAttributeResult](b, &api.ModifySubnetAttributeRequest{SubnetId: id, PrivateDnsHostnameTypeOnLaunch: "resource-name"})
	do[api.ModifySubnetAttributeResult](b, &api.ModifySubnetAttributeRequest{SubnetId: id, EnableResourceNameDnsARecordOnLaunch: flag(true)})
	do[api.ModifySubnetAttributeResult](b, &api.ModifySubnetAttributeRequest{SubnetId: id, EnableDns64: flag(false)})
	s := do[api.DescribeSubnetsResult](b, &api.DescribeSubnetsRequest{Filters: []api.Filter{{Name: "map-public-ip-on-launch", Values: []string{"true"}}}}).Subnets[0]
	if o := s.PrivateDnsNameOptionsOnLaunch; o.HostnameType != "resource-name" || !*o.EnableResourceNameDnsARecord || *o.EnableResourceNameDnsAAAARecord {
		t.Errorf("options %+v", o)
	}
	for _, row := range []struct {
		req         api.ModifySubnetAttributeRequest
		code, field string
	}{
		{api.ModifySubnetAttributeRequest{}, "MissingParameter", ""},
		{api.ModifySubnetAttributeRequest{MapPublicIpOnLaunch: flag(true), EnableDns64: flag(false)}, "InvalidParameterCombination", "EnableDns64"},
		{api.ModifySubnetAttributeRequest{MapPublicIpOnLaunch: &api.AttributeBooleanValue{}}, "MissingParameter", "MapPublicIpOnLaunch.Value"},
		{api.ModifySubnetAttributeRequest{AssignIpv6AddressOnCreation: flag(true)}, "UnsupportedOperation", "AssignIpv6AddressOnCreation"},
		{api.ModifySubnetAttributeRequest{EnableDns64: flag(true)}, "UnsupportedOperation", "EnableDns64"},
		{api.ModifySubnetAttributeRequest{CustomerOwnedIpv4Pool: "p"}, "UnsupportedOperation", "CustomerOwnedIpv4Pool"},
		{api.ModifySubnetAttributeRequest{EnableLniAtDeviceIndex: api.Ptr(int32(1))}, "UnsupportedOperation", "EnableLniAtDeviceIndex"},
		{api.ModifySubnetAttributeRequest{PrivateDnsHostnameTypeOnLaunch: "x"}, "InvalidParameterValue", "PrivateDnsHostnameTypeOnLaunch"},
	} {
		row.req.SubnetId = id
		b.unchanged(t, func() {
			_, _, err := b.call(alice, "ModifySubnetAttribute", &row.req)
			refused(t, err, row.code, row.field)
		})
	}
}
