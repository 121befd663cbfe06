package cli

import (
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// TestPeerings is a day with them, to be read.
func TestPeerings(t *testing.T) {
	b := newBench(t)
	b.world()
	b.stale = []api.StaleSecurityGroup{{GroupName: "web", GroupId: "sg-00000000000000005", StaleIpPermissions: []api.StaleIpPermission{{
		IpProtocol: "tcp", FromPort: api.Ptr(int32(443)), ToPort: api.Ptr(int32(443)),
		UserIdGroupPairs: []api.UserIdGroupPair{{GroupId: "sg-000000000000000aa", UserId: "000000000002", VpcPeeringConnectionId: "pcx-000000000000000bb", PeeringStatus: "deleted"}}}}}}
	golden(t, "peerings", b.story(
		"create dev --cidr 10.9.0.0/16",
		"create overlapping --cidr 10.0.0.0/16",
		"peering add prod-dev --vpc prod --peer dev --tag env=live",
		"peering add broken --vpc prod --peer overlapping",
		"peering add partner --vpc prod --peer vpc-0123456789abcdef0 --peer-account 000000000002",
		"peering list",
		"peering list --vpc dev -q",
		"peering accept prod-dev",
		"peering add again --vpc dev --peer prod",
		"peering show prod-dev",
		"peering list -o wide",
		"peering set prod-dev --accepter-dns",
		"route add main 10.9.0.0/16 --to pcx:prod-dev --vpc prod",
		"rt show main --vpc prod",
		"tree prod",
		"sg allow web --in tcp/443 --from sg:000000000002/sg-0123456789abcdef0 --vpc prod",
		"sg stale --vpc prod",
		"sg stale --vpc prod -q",
		"peering rm partner",
		"peering list -q",
		"delete prod --cascade --dry-run",
		"delete prod --cascade --yes",
	))
}

// TestPeeringRequests: what each command asks of the daemon.
func TestPeeringRequests(t *testing.T) {
	for line, want := range map[string]string{
		"peering accept joint":                               `AcceptVpcPeeringConnection {"VpcPeeringConnectionId":"PCX"}`,
		"peering reject joint":                               `RejectVpcPeeringConnection {"VpcPeeringConnectionId":"PCX"}`,
		"peering rm joint":                                   `DeleteVpcPeeringConnection {"VpcPeeringConnectionId":"PCX"}`,
		"peering set joint --requester-dns":                  `ModifyVpcPeeringConnectionOptions {"RequesterPeeringConnectionOptions":{"AllowDnsResolutionFromRemoteVpc":true},"VpcPeeringConnectionId":"PCX"}`,
		"peering set joint --accepter-dns=false":             `ModifyVpcPeeringConnectionOptions {"AccepterPeeringConnectionOptions":{"AllowDnsResolutionFromRemoteVpc":false},"VpcPeeringConnectionId":"PCX"}`,
		"peering set joint --name other":                     `CreateTags {"Resources":["PCX"],"Tags":[{"Key":"Name","Value":"other"}],"UniqueName":true}`,
		"route set main 10.9.0.0/16 --to pcx:joint":          `ReplaceRoute {"DestinationCidrBlock":"10.9.0.0/16","RouteTableId":"rtb-00000000000000001","VpcPeeringConnectionId":"PCX"}`,
		"route add main 10.9.0.0/16 --to PCX":                `CreateRoute {"DestinationCidrBlock":"10.9.0.0/16","RouteTableId":"rtb-00000000000000001","VpcPeeringConnectionId":"PCX"}`,
		"peering add two --peer vpc-12 --peer-account other": `CreateVpcPeeringConnection {"PeerOwnerId":"other","PeerVpcId":"vpc-12","VpcId":"vpc-00000000000000001","TagSpecifications":[{"ResourceType":"vpc-peering-connection","Tags":[{"Key":"Name","Value":"two"}],"UniqueName":true}]}`,
	} {
		b := newBench(t)
		b.world()
		b.ok("create dev --cidr 10.9.0.0/16")
		b.ok("peering add joint --vpc prod --peer dev")
		b.calls = nil
		id := b.peerings[0].VpcPeeringConnectionId
		b.ok(strings.ReplaceAll(line, "PCX", id) + " --vpc prod")
		if have := strings.Join(b.calls, "\n"); have != strings.ReplaceAll(want, "PCX", id) {
			t.Errorf("vpc %s\nhave %s\nwant %s", line, have, want)
		}
	}
}

// TestPeeringCommandLines is TestCommandLines for peerings.
func TestPeeringCommandLines(t *testing.T) {
	refuseLines(t, []badLine{
		{[]string{"peering", "add", "x", "--peer", "dev"}, 2, "--vpc"},
		{[]string{"peering", "add", "x", "--vpc", "prod"}, 2, "--peer"},
		{[]string{"peering", "add", "x", "--vpc", "prod", "--peer", "nobody"}, 3, "InvalidVpcID.NotFound"},
		{[]string{"peering", "add", "pcx-1", "--vpc", "prod", "--peer", "prod"}, 8, "looks like an id"},
		{[]string{"peering", "accept", "nobody"}, 3, "InvalidVpcPeeringConnectionID.NotFound"},
		{[]string{"peering", "set", "nobody"}, 3, "InvalidVpcPeeringConnectionID.NotFound"},
		{[]string{"peering", "reject"}, 2, "needs"},
		{[]string{"peering"}, 2, "which command?"},
		{[]string{"sg", "stale"}, 2, "--vpc"},
		{[]string{"route", "add", "main", "10.9.0.0/16", "--to", "pcx:nobody", "--vpc", "prod"}, 3, "InvalidVpcPeeringConnectionID.NotFound"},
	})
}

// TestPeersRequestInTheWay: what another account asks for is declined before its
// VPC is deleted.
func TestPeersRequestInTheWay(t *testing.T) {
	b := newBench(t)
	b.world()
	b.ok("create dev --cidr 10.9.0.0/16")
	b.ok("peering add theirs --vpc dev --peer prod")
	b.peerings[0].RequesterVpcInfo.OwnerId = "000000000002"
	if got := b.ok("delete prod --cascade --dry-run"); !strings.Contains(got, "would reject peering theirs") {
		t.Errorf("the steps are %s", got)
	}
}
