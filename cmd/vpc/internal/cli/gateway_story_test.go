package cli

import (
	"strings"
	"testing"
)

// TestGatewaysAndElastics is a day with both, to be read.
func TestGatewaysAndElastics(t *testing.T) {
	b := newBench(t)
	b.world()
	golden(t, "gateways_and_elastics", b.story(
		"igw add main --vpc prod --tag env=live",
		"igw add spare",
		"igw list",
		"igw list --vpc prod -q",
		"igw show main",
		"igw detach main",
		"igw attach main --vpc prod",
		"igw set spare --name reserve",
		"eip allocate www",
		"eip create --address 198.18.0.7",
		"eip list",
		"eip associate www --eni docker:web1",
		"eip associate 198.18.0.7 --eni spare --no-move",
		"eip list",
		"eip list -o wide",
		"eip show 198.18.0.2",
		"eni list",
		"eni show web1",
		"attach docker:web2 --subnet web --public --name web2",
		"tree prod",
		"tree",
		"eip disassociate www",
		"eip set 198.18.0.7 --name mail",
		"eip release www",
		"eip rm eipalloc-0",
		"igw rm spare",
		"delete prod --cascade --dry-run",
		"delete prod --cascade --yes",
	))
}

// TestGatewayRequests: what each command asks of the daemon.
func TestGatewayRequests(t *testing.T) {
	for line, want := range map[string]string{
		"igw add x --vpc prod": `CreateInternetGateway {"TagSpecifications":[{"ResourceType":"internet-gateway","Tags":[{"Key":"Name","Value":"x"}],"UniqueName":true}],"VpcId":"vpc-00000000000000001"}`,
		"igw detach main":      `DetachInternetGateway {"InternetGatewayId":"igw-0000000000000000d","VpcId":"vpc-00000000000000001"}`,
		"igw rm main":          `DeleteInternetGateway {"InternetGatewayId":"igw-0000000000000000d"}`,
		"eip allocate":         `AllocateAddress {}`,
		"eip allocate x":       `AllocateAddress {"TagSpecifications":[{"ResourceType":"elastic-ip","Tags":[{"Key":"Name","Value":"x"}],"UniqueName":true}]}`,
		"eip associate www --eni docker:web1 --no-move":       `AssociateAddress {"AllocationId":"eipalloc-0000000000000000e","AllowReassociation":false,"NetworkInterfaceId":"eni-00000000000000009"}`,
		"eip associate www --eni web1 --ip 10.0.1.11":         `AssociateAddress {"AllocationId":"eipalloc-0000000000000000e","NetworkInterfaceId":"eni-00000000000000009","PrivateIpAddress":"10.0.1.11"}`,
		"eip release 198.18.0.2":                              `ReleaseAddress {"AllocationId":"eipalloc-0000000000000000e"}`,
		"attach netns:a --subnet web --public":                `AttachWorkload {"Target":"netns:a","SubnetId":"subnet-00000000000000004","AssociatePublicIpAddress":true}`,
		"attach netns:a --subnet web --public=false":          `AttachWorkload {"Target":"netns:a","SubnetId":"subnet-00000000000000004","AssociatePublicIpAddress":false}`,
		"subnet add x --vpc prod --cidr 10.0.9.0/24 --public": `CreateSubnet {"TagSpecifications":[{"ResourceType":"subnet","Tags":[{"Key":"Name","Value":"x"}],"UniqueName":true}],"CidrBlock":"10.0.9.0/24","VpcId":"vpc-00000000000000001","MapPublicIpOnLaunch":true}`,
	} {
		b := newBench(t)
		b.world()
		b.ok("igw add main --vpc prod")
		b.ok("eip allocate www")
		b.calls = nil
		b.ok(line)
		if have := strings.Join(b.calls, "\n"); have != want {
			t.Errorf("vpc %s\nhave %s\nwant %s", line, have, want)
		}
	}
}

// TestAssociateInPlaceOf: who had the interface's public address hears of it.
func TestAssociateInPlaceOf(t *testing.T) {
	b := newBench(t)
	b.world()
	b.ok("igw add main --vpc prod")
	b.ok("eip allocate www")
	b.ok("eip allocate mail --address 198.18.0.7")
	first, again, other := b.ok("eip associate www --eni web1"), b.ok("eip associate www --eni web1"), b.ok("eip associate mail --eni web1")
	if strings.Contains(first+again, "in place of") || !strings.Contains(other, "in place of eip 198.18.0.2, which is associated with nothing now") {
		t.Errorf("%s%s%s", first, again, other)
	}
	if out := b.ok("eip associate www --eni web1 -q"); strings.Contains(out, "place") {
		t.Errorf("programs are told: %s", out)
	}
}

// TestGatewayCommandLines is TestCommandLines for gateways and elastic IPs.
func TestGatewayCommandLines(t *testing.T) {
	refuseLines(t, []badLine{
		{[]string{"igw", "add", "a:b"}, 8, "NAME"},
		{[]string{"igw", "add", "igw-1"}, 8, "looks like an id"},
		{[]string{"igw", "attach", "main"}, 2, "--vpc"},
		{[]string{"igw", "attach", "nobody", "--vpc", "prod"}, 3, "InvalidInternetGatewayID.NotFound"},
		{[]string{"igw", "detach", "nobody"}, 3, "InvalidInternetGatewayID.NotFound"},
		{[]string{"igw", "set", "nobody"}, 3, "InvalidInternetGatewayID.NotFound"},
		{[]string{"igw"}, 2, "which command?"},
		{[]string{"eip", "associate", "www"}, 2, "--eni"},
		{[]string{"eip", "associate", "www", "--eni", "web1"}, 3, "there is no eip www [InvalidAllocationID.NotFound]"},
		{[]string{"eip", "show", "198.18.0.9"}, 3, "InvalidAllocationID.NotFound"},
		{[]string{"eip", "allocate", "eipalloc-1"}, 8, "looks like an id"},
		{[]string{"eip", "allocate", "198.18.0.60"}, 8, "--address"},
		{[]string{"eip", "allocate", "2001:db8::1"}, 8, "NAME"},
		{[]string{"igw", "add", "10.0.0.0/8"}, 8, "is an address"},
		{[]string{"eip", "allocate", "a", "b"}, 2, "does not take"},
		{[]string{"eip", "release"}, 2, "needs"},
		{[]string{"eip"}, 2, "which command?"},
	})
}

// TestDetachNothing: a gateway without a VPC and an address without an interface
// have nothing to end.
func TestDetachNothing(t *testing.T) {
	b := newBench(t)
	b.ok("igw add spare")
	b.ok("eip allocate www")
	for line, exit := range map[string]int{"igw detach spare": 8, "eip disassociate www": 3} {
		if got := b.run(line); got.code != exit {
			t.Errorf("vpc %s: exit %d, want %d: %s", line, got.code, exit, got.errOut)
		}
	}
}
