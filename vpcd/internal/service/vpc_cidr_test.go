package service

import (
	"reflect"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

func (b *bench) destinations(vpcID string) []string {
	b.t.Helper()
	var out []string
	tables := do[api.DescribeRouteTablesResult](b, &api.DescribeRouteTablesRequest{Filters: []api.Filter{{Name: "vpc-id", Values: []string{vpcID}}}}).RouteTables
	for _, t := range tables {
		for _, r := range t.Routes {
			out = append(out, r.DestinationCidrBlock)
		}
	}
	return out
}

func TestCIDRsComeAndGoWithTheirRoutes(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	added := do[api.AssociateVpcCidrBlockResult](b, &api.AssociateVpcCidrBlockRequest{VpcId: vpc.VpcId, CidrBlock: "10.1.2.3/16"})
	if added.CidrBlockAssociation.CidrBlock != "10.1.0.0/16" || added.CidrBlockAssociation.CidrBlockState.State != "associating" {
		t.Errorf("associated %+v", added.CidrBlockAssociation)
	}
	if got := b.destinations(vpc.VpcId); !reflect.DeepEqual(got, []string{"10.1.0.0/16", "10.0.0.0/16"}) {
		t.Errorf("routes to %v", got)
	}
	id := added.CidrBlockAssociation.AssociationId
	subnet := b.subnet(vpc.VpcId, "10.1.0.0/24")
	_, _, err := b.call(alice, "DisassociateVpcCidrBlock", &api.DisassociateVpcCidrBlockRequest{AssociationId: id})
	if e := refused(t, err, "InvalidCidrBlock.InUse", "AssociationId"); len(e.BlockedBy) != 1 || e.BlockedBy[0].Id != subnet.SubnetId {
		t.Errorf("blocked by %+v", e.BlockedBy)
	}
	do[api.DeleteSubnetResult](b, &api.DeleteSubnetRequest{SubnetId: subnet.SubnetId})
	do[api.DisassociateVpcCidrBlockResult](b, &api.DisassociateVpcCidrBlockRequest{AssociationId: id})
	if got := b.destinations(vpc.VpcId); !reflect.DeepEqual(got, []string{"10.0.0.0/16"}) {
		t.Errorf("routes to %v", got)
	}
	after := do[api.DescribeVpcsResult](b, &api.DescribeVpcsRequest{}).Vpcs[0]
	if len(after.CidrBlockAssociationSet) != 1 {
		t.Errorf("CIDRs left: %+v", after.CidrBlockAssociationSet)
	}
}

func TestAssociateVpcCidrBlockRefuses(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	table := tableKind.list(b.store.Snapshot(), alice)[0]
	routed := *table
	routed.Table.Routes = append(routed.Table.Routes[:1:1], api.Route{DestinationCidrBlock: "10.5.0.0/20", NetworkInterfaceId: "eni-11111111"})
	b.put(record.Tables+table.Table.RouteTableId, &routed)
	for _, row := range []struct{ cidr, code string }{
		{"", "MissingParameter"},
		{"10.1.0.0", "InvalidParameterValue"},
		{"fd00::/56", "InvalidParameterValue"},
		{"10.1.0.0/15", "InvalidVpc.Range"},
		{"10.0.128.0/17", "InvalidVpc.Range"},
		{"10.0.0.0/16", "InvalidVpc.Range"},
		{"10.5.0.0/16", "InvalidVpc.Range"},
		{"10.5.0.0/20", "InvalidVpc.Range"},
		{"169.254.0.0/16", "InvalidVpc.Range"},
	} {
		b.unchanged(t, func() {
			_, _, err := b.call(alice, "AssociateVpcCidrBlock", &api.AssociateVpcCidrBlockRequest{VpcId: vpc.VpcId, CidrBlock: row.cidr})
			refused(t, err, row.code, "CidrBlock")
		})
	}
	// Smaller than a route's destination is allowed.
	do[api.AssociateVpcCidrBlockResult](b, &api.AssociateVpcCidrBlockRequest{VpcId: vpc.VpcId, CidrBlock: "10.5.0.0/24"})
	for _, cidr := range []string{"10.6.0.0/24", "172.16.0.0/16", "192.168.0.0/24"} {
		do[api.AssociateVpcCidrBlockResult](b, &api.AssociateVpcCidrBlockRequest{VpcId: vpc.VpcId, CidrBlock: cidr})
	}
	_, _, err := b.call(alice, "AssociateVpcCidrBlock", &api.AssociateVpcCidrBlockRequest{VpcId: vpc.VpcId, CidrBlock: "10.7.0.0/24"})
	refused(t, err, "CidrLimitExceeded", "CidrBlock")
}

func TestStrictCIDRs(t *testing.T) {
	b := newBench(t, func(c *Config) { c.StrictCIDRs = true })
	vpc := b.vpc("10.4.0.0/16")
	_, _, err := b.call(alice, "AssociateVpcCidrBlock", &api.AssociateVpcCidrBlockRequest{VpcId: vpc.VpcId, CidrBlock: "192.168.0.0/16"})
	refused(t, err, "InvalidVpc.Range", "CidrBlock")
	do[api.AssociateVpcCidrBlockResult](b, &api.AssociateVpcCidrBlockRequest{VpcId: vpc.VpcId, CidrBlock: "100.64.0.0/16"})
}

func TestDisassociateVpcCidrBlockRefuses(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	for _, row := range []struct {
		caller   Caller
		id, code string
	}{
		{alice, vpc.CidrBlockAssociationSet[0].AssociationId, "OperationNotPermitted"},
		{bob, vpc.CidrBlockAssociationSet[0].AssociationId, "InvalidVpcCidrBlockAssociationID.NotFound"},
		{alice, "vpc-cidr-assoc-fffffffffffffffff", "InvalidVpcCidrBlockAssociationID.NotFound"},
		{alice, "vpc-cidr-assoc-../x", "InvalidVpcCidrBlockAssociationID.Malformed"},
		{alice, "", "MissingParameter"},
	} {
		b.unchanged(t, func() {
			_, _, err := b.call(row.caller, "DisassociateVpcCidrBlock", &api.DisassociateVpcCidrBlockRequest{AssociationId: row.id})
			refused(t, err, row.code, "AssociationId")
		})
	}
}

func TestIPv6AndPoolsAreRefusedByName(t *testing.T) {
	b := newBench(t)
	id := b.vpc("10.0.0.0/16").VpcId
	length := api.Ptr(int32(56))
	for _, row := range []struct {
		req   any
		field string
	}{
		{&api.CreateVpcRequest{CidrBlock: "10.0.0.0/16", AmazonProvidedIpv6CidrBlock: api.Ptr(true)}, "AmazonProvidedIpv6CidrBlock"},
		{&api.CreateVpcRequest{CidrBlock: "10.0.0.0/16", Ipv6CidrBlock: "fd00::/56"}, "Ipv6CidrBlock"},
		{&api.CreateVpcRequest{CidrBlock: "10.0.0.0/16", Ipv6Pool: "p"}, "Ipv6Pool"},
		{&api.CreateVpcRequest{Ipv4IpamPoolId: "ipam-pool-1"}, "Ipv4IpamPoolId"},
		{&api.CreateVpcRequest{Ipv4NetmaskLength: length}, "Ipv4NetmaskLength"},
		{&api.CreateVpcRequest{CidrBlock: "10.0.0.0/16", Ipv6IpamPoolId: "x"}, "Ipv6IpamPoolId"},
		{&api.CreateVpcRequest{CidrBlock: "10.0.0.0/16", InstanceTenancy: "dedicated"}, "InstanceTenancy"},
		{&api.AssociateVpcCidrBlockRequest{VpcId: id, AmazonProvidedIpv6CidrBlock: api.Ptr(true)}, "AmazonProvidedIpv6CidrBlock"},
		{&api.AssociateVpcCidrBlockRequest{VpcId: id, Ipv6CidrBlock: "fd00::/56"}, "Ipv6CidrBlock"},
		{&api.CreateSubnetRequest{VpcId: id, Ipv6CidrBlock: "fd00::/64"}, "Ipv6CidrBlock"},
		{&api.CreateSubnetRequest{VpcId: id, CidrBlock: "10.0.0.0/24", Ipv6Native: api.Ptr(true)}, "Ipv6Native"},
		{&api.CreateSubnetRequest{VpcId: id, Ipv4NetmaskLength: length}, "Ipv4NetmaskLength"},
		{&api.CreateSubnetRequest{VpcId: id, CidrBlock: "10.0.0.0/24", OutpostArn: "arn"}, "OutpostArn"},
	} {
		b.unchanged(t, func() {
			_, _, err := b.call(alice, actionOf(row.req), row.req)
			refused(t, err, "UnsupportedOperation", row.field)
		})
	}
	// Asking for none of it is asking for what there is.
	do[api.CreateVpcResult](b, &api.CreateVpcRequest{CidrBlock: "10.0.0.0/16", AmazonProvidedIpv6CidrBlock: api.Ptr(false), InstanceTenancy: "default"})
}
