package cli

import (
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// TestNatGateways is a day with NAT gateways, to be read.
func TestNatGateways(t *testing.T) {
	b := newBench(t)
	b.world()
	golden(t, "nat_gateways", b.story(
		"eip allocate www",
		"nat add early --subnet web --eip www",
		"nat list",
		"nat rm early",
		"igw add main --vpc prod",
		"nat add egress --subnet web --eip www --tag env=live",
		"nat add egress --subnet web",
		"nat add inner --subnet web --private --ip 10.0.1.30",
		"route add main 0.0.0.0/0 --to nat:egress --vpc prod",
		"route add main 192.0.2.0/24 --to eni:spare --vpc prod",
		"route set main 192.0.2.0/24 --to nat:inner --vpc prod",
		"rt show main --vpc prod",
		"nat list",
		"nat list -o wide",
		"nat show egress",
		"eip allocate --address 198.18.0.7",
		"nat associate egress 198.18.0.7",
		"nat show egress",
		"nat disassociate egress 198.18.0.7",
		"nat disassociate egress 198.18.0.7",
		"nat set egress --name out",
		"tree prod",
		"delete prod --cascade --dry-run",
		"nat rm inner",
		"nat show inner",
		"nat list -q",
		"delete prod --cascade --yes",
	))
}

// TestNatRequests: what each command asks of the daemon.
func TestNatRequests(t *testing.T) {
	const tags = `"TagSpecifications":[{"ResourceType":"natgateway","Tags":[{"Key":"Name","Value":"x"}],"UniqueName":true}]`
	for line, want := range map[string]string{
		"nat add x --subnet web":                                           `CreateNatGateway {"SubnetId":"subnet-00000000000000004",` + tags + `,"AllocateAddress":true}`,
		"nat add x --subnet web --eip www":                                 `CreateNatGateway {"AllocationId":"eipalloc-0000000000000000e","SubnetId":"subnet-00000000000000004",` + tags + `}`,
		"nat add x --subnet web --private":                                 `CreateNatGateway {"SubnetId":"subnet-00000000000000004",` + tags + `,"ConnectivityType":"private"}`,
		"nat rm egress":                                                    `DeleteNatGateway {"NatGatewayId":"nat-0000000000000000f"}`,
		"nat associate egress www":                                         `AssociateNatGatewayAddress {"NatGatewayId":"nat-0000000000000000f","AllocationIds":["eipalloc-0000000000000000e"]}`,
		"route add main 0.0.0.0/0 --to nat:egress --vpc prod":              `CreateRoute {"DestinationCidrBlock":"0.0.0.0/0","NatGatewayId":"nat-0000000000000000f","RouteTableId":"rtb-00000000000000001"}`,
		"route add main 0.0.0.0/0 --to eni:docker:web1 --vpc prod":         `CreateRoute {"DestinationCidrBlock":"0.0.0.0/0","NetworkInterfaceId":"eni-00000000000000009","RouteTableId":"rtb-00000000000000001"}`,
		"route set main 0.0.0.0/0 --to i-0123456789abcdef0 --vpc prod":     `ReplaceRoute {"DestinationCidrBlock":"0.0.0.0/0","InstanceId":"i-0123456789abcdef0","RouteTableId":"rtb-00000000000000001"}`,
		"route set main 10.0.0.0/16 --to nat-0000000000000000f --vpc prod": `ReplaceRoute {"DestinationCidrBlock":"10.0.0.0/16","NatGatewayId":"nat-0000000000000000f","RouteTableId":"rtb-00000000000000001"}`,
	} {
		b := newBench(t)
		b.world()
		b.ok("igw add main --vpc prod")
		b.ok("eip allocate www")
		b.ok("nat add egress --subnet web --private")
		b.calls = nil
		if got := b.run(line); got.code != api.ExitOK {
			t.Errorf("vpc %s: %s", line, got.errOut)
		}
		if have := strings.Join(b.calls, "\n"); have != want {
			t.Errorf("vpc %s\nhave %s\nwant %s", line, have, want)
		}
	}
}

// TestNatCommandLines is TestCommandLines for NAT gateways.
func TestNatCommandLines(t *testing.T) {
	refuseLines(t, []badLine{
		{[]string{"nat", "add", "a:b", "--subnet", "web"}, 8, "NAME"},
		{[]string{"nat", "add", "nat-1", "--subnet", "web"}, 8, "looks like an id"},
		{[]string{"nat", "add", "x"}, 2, "--subnet"},
		{[]string{"nat", "add", "x", "--subnet", "web", "--private", "--eip", "www"}, 2, "not both"},
		{[]string{"nat", "add", "x", "--subnet", "nobody"}, 3, "InvalidSubnetID.NotFound"},
		{[]string{"nat", "add", "x", "--subnet", "web", "--eip", "nobody"}, 3, "InvalidAllocationID.NotFound"},
		{[]string{"nat", "show", "nobody"}, 3, "InvalidNatGatewayID.NotFound"},
		{[]string{"nat", "rm"}, 2, "needs"},
		{[]string{"nat", "associate", "x"}, 2, "EIP"},
		{[]string{"nat"}, 2, "which command?"},
		{[]string{"route", "add", "main", "0.0.0.0/0", "--to", "nat:x"}, 3, "InvalidNatGatewayID.NotFound"},
		{[]string{"route", "add", "main", "0.0.0.0/0", "--to", "eni:x"}, 3, "InvalidNetworkInterfaceID.NotFound"},
	})
}

// TestNatPending: a command waits for its gateway, but not longer than it may.
func TestNatPending(t *testing.T) {
	b := newBench(t)
	b.world()
	b.natPending = 4
	b.ok("nat add slow --subnet web --private")
	if b.nats[0].State != "available" {
		t.Errorf("nat add returned while the gateway was %s", b.nats[0].State)
	}
	b.natPending = 1 << 20
	if got := b.run("nat add never --subnet web --private --timeout 1s"); got.code != api.ExitTimeout || !strings.Contains(got.errOut, "is not available within 1s") {
		t.Errorf("exit %d: %s", got.code, got.errOut)
	}
	if got := b.run("nat add unwatched --subnet web --private --no-wait"); got.code != api.ExitOK {
		t.Errorf("exit %d: %s", got.code, got.errOut)
	}
}
