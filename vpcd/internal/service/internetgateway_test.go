package service

import (
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func attachTo(gateway, vpc string) *api.AttachInternetGatewayRequest {
	return &api.AttachInternetGatewayRequest{InternetGatewayId: gateway, VpcId: vpc}
}

func TestInternetGatewayLife(t *testing.T) {
	b := newBench(t)
	one, two := b.vpc("10.0.0.0/16").VpcId, b.vpc("10.0.0.0/16").VpcId
	made := do[api.CreateInternetGatewayResult](b, &api.CreateInternetGatewayRequest{TagSpecifications: tagSpec("internet-gateway", api.Tag{Key: "Name", Value: "main"})}).InternetGateway
	id := made.InternetGatewayId
	if !wellFormed(id, "igw-") || made.OwnerId != alice.Account || len(made.Attachments) != 0 || nameTag(made.Tags) != "main" {
		t.Errorf("made %+v", made)
	}
	do[api.AttachInternetGatewayResult](b, attachTo(id, one))
	shown := do[api.DescribeInternetGatewaysResult](b, &api.DescribeInternetGatewaysRequest{InternetGatewayIds: []string{id}}).InternetGateways[0]
	if len(shown.Attachments) != 1 || shown.Attachments[0] != (api.InternetGatewayAttachment{State: "available", VpcId: one}) {
		t.Errorf("attached as %+v", shown.Attachments)
	}
	if !gatewayAttached(b.store.Snapshot(), id, one) || gatewayAttached(b.store.Snapshot(), id, two) {
		t.Error("routes are told another VPC than it has")
	}
	other := b.gateway("")
	for _, row := range []struct {
		req         any
		code, field string
	}{
		{attachTo(id, two), "Resource.AlreadyAssociated", "InternetGatewayId"},
		{attachTo(id, one), "Resource.AlreadyAssociated", "InternetGatewayId"},
		{attachTo(other, one), "InvalidParameterValue", "VpcId"},
		{&api.CreateInternetGatewayRequest{VpcId: one}, "InvalidParameterValue", "VpcId"},
		{&api.DetachInternetGatewayRequest{InternetGatewayId: id, VpcId: two}, "Gateway.NotAttached", "VpcId"},
		{&api.DetachInternetGatewayRequest{InternetGatewayId: other, VpcId: one}, "Gateway.NotAttached", "VpcId"},
		{&api.DeleteInternetGatewayRequest{InternetGatewayId: id}, "DependencyViolation", "InternetGatewayId"},
		{&api.DeleteVpcRequest{VpcId: one}, "DependencyViolation", "VpcId"},
	} {
		b.unchanged(t, func() {
			_, _, err := b.call(alice, actionOf(row.req), row.req)
			e := refused(t, err, row.code, row.field)
			if row.code == "DependencyViolation" && (len(e.BlockedBy) != 1 || !strings.Contains(e.Message, e.BlockedBy[0].Id)) {
				t.Errorf("%T is blocked by %+v: %s", row.req, e.BlockedBy, e.Message)
			}
		})
	}
	do[api.DetachInternetGatewayResult](b, &api.DetachInternetGatewayRequest{InternetGatewayId: id, VpcId: one})
	do[api.AttachInternetGatewayResult](b, attachTo(id, two))
	do[api.AttachInternetGatewayResult](b, attachTo(other, one))
	do[api.DetachInternetGatewayResult](b, &api.DetachInternetGatewayRequest{InternetGatewayId: id, VpcId: two})
	do[api.DeleteInternetGatewayResult](b, &api.DeleteInternetGatewayRequest{InternetGatewayId: id})
	_, _, err := b.call(alice, "DeleteInternetGateway", &api.DeleteInternetGatewayRequest{InternetGatewayId: id})
	refused(t, err, "InvalidInternetGatewayID.NotFound", "InternetGatewayId")
	checkMapped(t, b.store.Snapshot())
}

func TestInternetGatewayFilters(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16").VpcId
	in, out := b.gateway(vpc), b.gateway("")
	for _, row := range []struct {
		name, value string
		want        string
	}{
		{"attachment.state", "available", in}, {"attachment.vpc-id", vpc, in}, {"attachment.vpc-id", "vpc-00000000", ""},
		{"internet-gateway-id", out, out}, {"owner-id", alice.Account, in + " " + out}, {"owner-id", bob.Account, ""},
	} {
		res := do[api.DescribeInternetGatewaysResult](b, &api.DescribeInternetGatewaysRequest{Filters: []api.Filter{{Name: row.name, Values: []string{row.value}}}})
		have := strings.Join(each(res.InternetGateways, func(g api.InternetGateway) string { return g.InternetGatewayId }), " ")
		if have != row.want {
			t.Errorf("%s=%s: %s, want %s", row.name, row.value, have, row.want)
		}
	}
}

func TestInternetGatewayLimit(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Limits = map[string]int64{"igws": 3} })
	codes := together(6, func(int) error {
		_, _, err := b.call(alice, "CreateInternetGateway", &api.CreateInternetGatewayRequest{})
		return err
	})
	if codes[""] != 3 || codes["InternetGatewayLimitExceeded"] != 3 {
		t.Errorf("answers %v", codes)
	}
	if _, _, err := b.call(bob, "CreateInternetGateway", &api.CreateInternetGatewayRequest{}); err != nil {
		t.Errorf("another account: %v", err)
	}
}

// TestOneOfManyGatewaysGetsTheVpc: also those that ask at the same time.
func TestOneOfManyGatewaysGetsTheVpc(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Limits = map[string]int64{"igws": unlimited} })
	vpc := b.vpc("10.0.0.0/16").VpcId
	gateways := make([]string, 6)
	for i := range gateways {
		gateways[i] = b.gateway("")
	}
	codes := together(len(gateways), func(i int) error {
		_, _, err := b.call(alice, "AttachInternetGateway", attachTo(gateways[i], vpc))
		return err
	})
	if codes[""] != 1 || codes["InvalidParameterValue"] != 5 {
		t.Errorf("answers %v", codes)
	}
	checkMapped(t, b.store.Snapshot())
}

// TestGatewayOfMappedAddresses: it cannot go while somebody is reached through it.
func TestGatewayOfMappedAddresses(t *testing.T) {
	y := newYard(t)
	id := y.gateway(y.vpc.VpcId)
	detach := &api.DetachInternetGatewayRequest{InternetGatewayId: id, VpcId: y.vpc.VpcId}
	eni := y.attached("netns:a", "").NetworkInterface.NetworkInterfaceId
	elastic := y.allocate()
	association := y.mapTo(elastic.AllocationId, eni, "")
	_, _, err := y.call(alice, "DetachInternetGateway", detach)
	e := refused(t, err, "DependencyViolation", "VpcId")
	if len(e.BlockedBy) != 1 || e.BlockedBy[0].Id != elastic.AllocationId || e.BlockedBy[0].Name != elastic.PublicIp {
		t.Errorf("blocked by %+v", e.BlockedBy)
	}
	do[api.DisassociateAddressResult](y.bench, &api.DisassociateAddressRequest{AssociationId: association})
	do[api.AttachWorkloadResult](y.bench, &api.AttachWorkloadRequest{Target: "netns:b", SubnetId: y.sub.SubnetId, AssociatePublicIpAddress: api.Ptr(true)})
	_, _, err = y.call(alice, "DetachInternetGateway", detach)
	refused(t, err, "DependencyViolation", "VpcId")
	do[api.DetachWorkloadResult](y.bench, &api.DetachWorkloadRequest{Target: "netns:b"})
	do[api.DetachInternetGatewayResult](y.bench, detach)
	checkMapped(t, y.store.Snapshot())
}

// TestDetachAndAssociateAtOnce: no address is mapped in a VPC without a gateway,
// whoever comes first.
func TestDetachAndAssociateAtOnce(t *testing.T) {
	for range 5 {
		y := newYard(t)
		id, elastic := y.gateway(y.vpc.VpcId), y.allocate()
		eni := y.attached("netns:a", "").NetworkInterface.NetworkInterfaceId
		codes := together(2, func(i int) error {
			if i == 0 {
				_, _, err := y.call(alice, "DetachInternetGateway", &api.DetachInternetGatewayRequest{InternetGatewayId: id, VpcId: y.vpc.VpcId})
				return err
			}
			_, _, err := y.call(alice, "AssociateAddress", &api.AssociateAddressRequest{AllocationId: elastic.AllocationId, NetworkInterfaceId: eni})
			return err
		})
		if codes[""] != 1 || codes["DependencyViolation"]+codes["Gateway.NotAttached"] != 1 {
			t.Errorf("answers %v", codes)
		}
	}
}
