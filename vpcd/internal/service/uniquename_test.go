package service

import (
	"fmt"
	"maps"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// unique asks for a name that nothing else of the kind has.
func unique(resourceType, name string) []api.TagSpecification {
	return []api.TagSpecification{{ResourceType: resourceType, Tags: []api.Tag{{Key: "Name", Value: name}}, UniqueName: api.Ptr(true)}}
}

// makers makes one object of each kind that can be asked for a unique name, in
// one VPC; i tells calls apart.
func makers(b *bench) map[string]func(c Caller, i int, specs []api.TagSpecification) error {
	vpc := b.vpc("10.0.0.0/16")
	subnet := b.subnet(vpc.VpcId, "10.0.255.0/24")
	call := func(c Caller, name string, req any) error {
		_, _, err := b.call(c, name, req)
		return err
	}
	return map[string]func(Caller, int, []api.TagSpecification) error{
		"vpc": func(c Caller, _ int, specs []api.TagSpecification) error {
			return call(c, "CreateVpc", &api.CreateVpcRequest{CidrBlock: "10.1.0.0/16", TagSpecifications: specs})
		},
		"subnet": func(c Caller, i int, specs []api.TagSpecification) error {
			return call(c, "CreateSubnet", &api.CreateSubnetRequest{VpcId: vpc.VpcId, CidrBlock: fmt.Sprintf("10.0.%d.0/24", i), TagSpecifications: specs})
		},
		"network-interface": func(c Caller, _ int, specs []api.TagSpecification) error {
			return call(c, "CreateNetworkInterface", &api.CreateNetworkInterfaceRequest{SubnetId: subnet.SubnetId, TagSpecifications: specs})
		},
		"network-acl": func(c Caller, _ int, specs []api.TagSpecification) error {
			return call(c, "CreateNetworkAcl", &api.CreateNetworkAclRequest{VpcId: vpc.VpcId, TagSpecifications: specs})
		},
		"route-table": func(c Caller, _ int, specs []api.TagSpecification) error {
			return call(c, "CreateRouteTable", &api.CreateRouteTableRequest{VpcId: vpc.VpcId, TagSpecifications: specs})
		},
		// Its name is no tag, and the demand is beside it.
		"prefix-list": func(c Caller, _ int, specs []api.TagSpecification) error {
			return call(c, "CreateManagedPrefixList", &api.CreateManagedPrefixListRequest{AddressFamily: "IPv4", MaxEntries: api.Ptr(int32(1)),
				PrefixListName: nameTag(specs[0].Tags), UniqueName: specs[0].UniqueName})
		},
	}
}

var duplicate = map[string]string{
	"vpc": "InvalidVpcID.Duplicate", "subnet": "InvalidSubnetID.Duplicate", "network-interface": "InvalidNetworkInterfaceID.Duplicate",
	"network-acl": "InvalidNetworkAclID.Duplicate", "route-table": "InvalidRouteTableID.Duplicate", "prefix-list": "InvalidPrefixListID.Duplicate",
}

// roomForMany lifts the limits that a test of many would meet.
func roomForMany(c *Config) {
	c.Limits = map[string]int64{string(limitVpcs): 100, string(limitSubnets): 100}
}

// TestOneOfManyOfOneNameWins: who looks before it writes cannot see this.
func TestOneOfManyOfOneNameWins(t *testing.T) {
	for kind, code := range duplicate {
		b := newBench(t, roomForMany)
		create := makers(b)[kind]
		got := together(20, func(i int) error { return create(alice, i, unique(kind, "x")) })
		if want := map[string]int{"": 1, code: 19}; !maps.Equal(got, want) {
			t.Errorf("%s: answers %v, want %v", kind, got, want)
		}
	}
}

// TestEqualNamesWithoutTheDemand: EC2's own clients see EC2's rule.
func TestEqualNamesWithoutTheDemand(t *testing.T) {
	b := newBench(t, roomForMany)
	for kind, create := range makers(b) {
		plain := tagSpec(kind, api.Tag{Key: "Name", Value: "x"})
		for i := range 2 {
			if err := create(alice, i, plain); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		}
		b.unchanged(t, func() {
			e := refused(t, create(alice, 3, unique(kind, "x")), duplicate[kind], "Name")
			if len(e.BlockedBy) != 1 || e.BlockedBy[0].Id == "" || api.ExitCode(e.Code) != api.ExitConflict {
				t.Errorf("%s: %+v does not name who has it", kind, e)
			}
		})
		if err := create(alice, 4, unique(kind, "y")); err != nil {
			t.Errorf("%s: a free name: %v", kind, err)
		}
	}
	if _, _, err := b.call(bob, "CreateVpc", &api.CreateVpcRequest{CidrBlock: "10.0.0.0/16", TagSpecifications: unique("vpc", "x")}); err != nil {
		t.Errorf("another account's name: %v", err)
	}
}

// TestNamesOfAnotherVpc: a name is looked up in its VPC.
func TestNamesOfAnotherVpc(t *testing.T) {
	b := newBench(t)
	for range 2 {
		vpc := b.vpc("10.0.0.0/16")
		s := do[api.CreateSubnetResult](b, &api.CreateSubnetRequest{VpcId: vpc.VpcId, CidrBlock: "10.0.1.0/24", TagSpecifications: unique("subnet", "web")}).Subnet
		do[api.CreateNetworkInterfaceResult](b, &api.CreateNetworkInterfaceRequest{SubnetId: s.SubnetId, TagSpecifications: unique("network-interface", "web")})
		do[api.CreateNetworkAclResult](b, &api.CreateNetworkAclRequest{VpcId: vpc.VpcId, TagSpecifications: unique("network-acl", "web")})
	}
}

func TestUniqueRename(t *testing.T) {
	b := newBench(t, roomForMany)
	ids := []string{}
	for range 12 {
		ids = append(ids, b.vpc("10.0.0.0/16").VpcId)
	}
	rename := func(resources ...string) error {
		_, _, err := b.call(alice, "CreateTags", &api.CreateTagsRequest{Resources: resources, Tags: []api.Tag{{Key: "Name", Value: "x"}}, UniqueName: api.Ptr(true)})
		return err
	}
	refused(t, rename(ids[0], ids[1]), "InvalidParameterCombination", "UniqueName")
	got := together(2*len(ids), func(i int) error {
		if i < len(ids) {
			return rename(ids[i])
		}
		_, _, err := b.call(alice, "CreateVpc", &api.CreateVpcRequest{CidrBlock: "10.0.0.0/16", TagSpecifications: unique("vpc", "x")})
		return err
	})
	if got[""] != 1 || got["InvalidVpcID.Duplicate"] != 2*len(ids)-1 {
		t.Errorf("answers %v, want one success", got)
	}
	for _, v := range do[api.DescribeVpcsResult](b, &api.DescribeVpcsRequest{}).Vpcs {
		if nameTag(v.Tags) == "x" {
			if err := rename(v.VpcId); err != nil {
				t.Errorf("its own name: %v", err)
			}
		}
	}
}

// TestUniqueRenameOfPolicies: ACLs by their tag, within their VPC; prefix lists
// by the name that is a part of them, within the account.
func TestUniqueRenameOfPolicies(t *testing.T) {
	b := newBench(t)
	one, other := b.vpc("10.0.0.0/16").VpcId, b.vpc("10.0.0.0/16").VpcId
	acl := func(vpc, name string) string {
		return do[api.CreateNetworkAclResult](b, &api.CreateNetworkAclRequest{VpcId: vpc, TagSpecifications: unique("network-acl", name)}).NetworkAcl.NetworkAclId
	}
	x, y, elsewhere := acl(one, "x"), acl(one, "y"), acl(other, "z")
	name := func(id, name string) error {
		_, _, err := b.call(alice, "CreateTags", &api.CreateTagsRequest{Resources: []string{id}, Tags: []api.Tag{{Key: "Name", Value: name}}, UniqueName: api.Ptr(true)})
		return err
	}
	refused(t, name(y, "x"), "InvalidNetworkAclID.Duplicate", "Name")
	for id, free := range map[string]string{x: "x", elsewhere: "x", y: "z"} {
		if err := name(id, free); err != nil {
			t.Errorf("%s as %s: %v", id, free, err)
		}
	}

	list := func(name string) string {
		return do[api.CreateManagedPrefixListResult](b, &api.CreateManagedPrefixListRequest{PrefixListName: name, AddressFamily: "IPv4", MaxEntries: api.Ptr(int32(1))}).PrefixList.PrefixListId
	}
	office, branch := list("office"), list("branch")
	rename := func(id, name string, unique *bool) error {
		_, _, err := b.call(alice, "ModifyManagedPrefixList", &api.ModifyManagedPrefixListRequest{PrefixListId: id, PrefixListName: name, UniqueName: unique})
		return err
	}
	b.unchanged(t, func() { refused(t, rename(branch, "office", api.Ptr(true)), "InvalidPrefixListID.Duplicate", "Name") })
	for _, err := range []error{rename(office, "office", api.Ptr(true)), rename(branch, "home", api.Ptr(true)), rename(branch, "office", nil)} {
		if err != nil {
			t.Error(err)
		}
	}
}

// TestUniqueNameWhereItMeansNothing is not passed over.
func TestUniqueNameWhereItMeansNothing(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	_, _, err := b.call(alice, "CreateSecurityGroup", &api.CreateSecurityGroupRequest{VpcId: vpc.VpcId, GroupName: "g", Description: "g", TagSpecifications: unique("security-group", "x")})
	refused(t, err, "UnsupportedOperation", "TagSpecifications.0.UniqueName")
	group := b.group(vpc.VpcId, "h")
	_, _, err = b.call(alice, "CreateTags", &api.CreateTagsRequest{Resources: []string{group}, Tags: []api.Tag{{Key: "Name", Value: "x"}}, UniqueName: api.Ptr(true)})
	refused(t, err, "UnsupportedOperation", "Tags.UniqueName")
}
