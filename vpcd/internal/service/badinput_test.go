package service

import (
	"slices"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// Whatever is typed where a CIDR, an id or a tag belongs is refused with the
// code and the field, and changes nothing.
func TestBadInput(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	b.subnet(vpc.VpcId, "10.0.1.0/24")
	refuse := func(req any, code, field string) {
		t.Helper()
		b.unchanged(t, func() {
			t.Helper()
			_, _, err := b.call(alice, actionOf(req), req)
			refused(t, err, code, field)
		})
	}

	for _, cidr := range []string{
		"10.0.0.0/33", "10.0.0.0/-1", "/-1", "/", "10.0.0.0", "010.0.0.0/8", "10.0.0.0/016", "::ffff:10.0.0.0/104",
		"fe80::/64", "ff00::/8", "fe80::1%eth0/64", "fd00::/56", "10.0.0/16", "10.0.0.0.0/16", "256.0.0.0/16", " 10.0.0.0/16",
		"10.0.0.0/16\n", "10.0.0.0/16\x00", "10.0.0.0/+16", "0x0a.0.0.0/16", "１０.0.0.0/16", "\u202e10.0.0.0/16", "$(id)", "../../etc/passwd",
		"%s%n", "' OR 1=1 --", strings.Repeat("1", 1<<20),
	} {
		refuse(&api.CreateVpcRequest{CidrBlock: cidr}, "InvalidParameterValue", "CidrBlock")
		refuse(&api.CreateSubnetRequest{VpcId: vpc.VpcId, CidrBlock: cidr}, "InvalidParameterValue", "CidrBlock")
		refuse(&api.AssociateVpcCidrBlockRequest{VpcId: vpc.VpcId, CidrBlock: cidr}, "InvalidParameterValue", "CidrBlock")
	}
	for _, cidr := range []string{
		"0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/15", "10.0.0.0/29", "10.0.0.0/31", "10.0.0.0/32",
		"127.0.0.0/8", "127.0.0.0/16", "169.254.0.0/16", "169.254.169.0/24", "224.0.0.0/4", "224.0.0.0/16", "240.0.0.0/4", "255.255.255.240/28", "0.0.0.0/16",
	} {
		refuse(&api.CreateVpcRequest{CidrBlock: cidr}, "InvalidVpc.Range", "CidrBlock")
		refuse(&api.AssociateVpcCidrBlockRequest{VpcId: vpc.VpcId, CidrBlock: cidr}, "InvalidVpc.Range", "CidrBlock")
		refuse(&api.CreateSubnetRequest{VpcId: vpc.VpcId, CidrBlock: cidr}, "InvalidSubnet.Range", "CidrBlock")
	}
	refuse(&api.CreateVpcRequest{}, "MissingParameter", "CidrBlock")

	for _, id := range []string{
		"..", ".", "../x", "a/b", "-rf", "a b", "vpc", "vpc-", "vpc-xyz", "VPC-00000000000000001", "vpc-0000000000000000g", "vpc-000000000000000010",
		"vpc-0000000000000001", "vpc-ABCDEF01234567890", "subnet-00000000000000001", "vpc-../../../1", "vpc-00000000\n", "vpc-00000000\x00", "%00", "\u202evpc-00000000", "💥", "$(id)",
		vpc.VpcId + "/", vpc.VpcId + " ", strings.Repeat("a", 1<<20),
	} {
		refuse(&api.DeleteVpcRequest{VpcId: id}, "InvalidVpcID.Malformed", "VpcId")
		refuse(&api.CreateSubnetRequest{VpcId: id, CidrBlock: "10.0.9.0/24"}, "InvalidVpcID.Malformed", "VpcId")
		refuse(&api.DescribeVpcsRequest{VpcIds: []string{vpc.VpcId, id}}, "InvalidVpcID.Malformed", "VpcIds.1")
	}
	refuse(&api.DescribeVpcsRequest{VpcIds: []string{""}}, "MissingParameter", "VpcIds.0")
	refuse(&api.DescribeRouteTablesRequest{RouteTableIds: []string{"rtb-x"}}, "InvalidRouteTableId.Malformed", "RouteTableIds.0")
	refuse(&api.DescribeRouteTablesRequest{RouteTableIds: []string{"rtb-ffffffff"}}, "InvalidRouteTableID.NotFound", "RouteTableIds.0")
	refuse(&api.DescribeNetworkAclsRequest{NetworkAclIds: []string{"acl-x"}}, "InvalidNetworkAclId.Malformed", "NetworkAclIds.0")
	refuse(&api.DescribeNetworkAclsRequest{NetworkAclIds: []string{"acl-ffffffff"}}, "InvalidNetworkAclID.NotFound", "NetworkAclIds.0")
	refuse(&api.DescribeSubnetsRequest{SubnetIds: []string{"subnet-x"}}, "InvalidSubnetID.Malformed", "SubnetIds.0")

	badTags(t, vpc.VpcId, refuse)
}

func badTags(t *testing.T, id string, refuse func(req any, code, field string)) {
	t.Helper()
	for _, value := range []string{
		"a\nb", "a\x00b", "a\x1b[31m", "\u202egnp.exe", "\u2066x", "a\u2028b", "\xff\xfe", strings.Repeat("x", 256), strings.Repeat("é", 256), strings.Repeat("x", 10<<20),
	} {
		tag := api.Tag{Key: "Name", Value: value}
		refuse(&api.CreateVpcRequest{CidrBlock: "10.1.0.0/16", TagSpecifications: tagSpec("vpc", tag)}, "InvalidParameterValue", "TagSpecifications.0.Tags.0.Value")
		refuse(&api.CreateTagsRequest{Resources: []string{id}, Tags: []api.Tag{{Key: "ok"}, tag}}, "InvalidParameterValue", "Tags.1.Value")
	}
	for _, key := range []string{"", "aws:x", "AWS:x", "a\nb", "\x00", "\u202ex", strings.Repeat("k", 128)} {
		refuse(&api.CreateTagsRequest{Resources: []string{id}, Tags: []api.Tag{{Key: key, Value: "v"}}}, "InvalidParameterValue", "Tags.0.Key")
	}
	refuse(&api.DeleteTagsRequest{Resources: []string{id}, Tags: []api.DeletedTag{{Key: "a"}, {Key: "aws:x"}}}, "InvalidParameterValue", "Tags.1.Key")
	refuse(&api.CreateTagsRequest{Resources: []string{id}, Tags: []api.Tag{{Key: "a"}, {Key: "a"}}}, "InvalidParameterValue", "Tags.1.Key")
	refuse(&api.CreateTagsRequest{Resources: []string{id}, Tags: manyTags(51)}, "TagLimitExceeded", "Tags")
	refuse(&api.CreateTagsRequest{Resources: []string{id}}, "MissingParameter", "Tags")
	refuse(&api.CreateTagsRequest{Tags: manyTags(1)}, "MissingParameter", "Resources")
	for _, bad := range []string{"", "..", "igw", "vp", "\x00"} {
		refuse(&api.CreateTagsRequest{Resources: []string{id, bad}, Tags: manyTags(1)}, "InvalidID", "Resources.1")
	}
	refuse(&api.CreateTagsRequest{Resources: []string{id, "vpc-ffffffff"}, Tags: manyTags(1)}, "InvalidVpcID.NotFound", "Resources.1")
	refuse(&api.CreateTagsRequest{Resources: []string{"sgr-ffffffff"}, Tags: manyTags(1)}, "InvalidSecurityGroupRuleId.NotFound", "Resources.0")
	refuse(&api.CreateTagsRequest{Resources: []string{"sgr-x"}, Tags: manyTags(1)}, "InvalidSecurityGroupRuleId.Malformed", "Resources.0")
	refuse(&api.CreateTagsRequest{Resources: slices.Repeat([]string{id}, 91), Tags: manyTags(1)}, "InvalidParameterValue", "Resources")
	refuse(&api.CreateVpcRequest{CidrBlock: "10.1.0.0/16", TagSpecifications: append(tagSpec("vpc", api.Tag{Key: "a"}), tagSpec("vpc", api.Tag{Key: "b"})...)},
		"InvalidParameterValue", "TagSpecifications.1.ResourceType")
	refuse(&api.CreateVpcRequest{CidrBlock: "10.1.0.0/16", TagSpecifications: tagSpec("vpc")}, "InvalidParameterValue", "TagSpecifications.0.Tags")
}
