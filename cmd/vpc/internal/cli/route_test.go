package cli

import (
	"strings"
	"testing"
)

// TestRoutes: what is said of route tables and routes.
func TestRoutes(t *testing.T) {
	b := newBench(t)
	b.world()
	b.ok("igw add main --vpc prod")
	b.ok("pl add office --max 3 --entry 203.0.113.0/24")
	golden(t, "routes", b.story(
		"rt add public --vpc prod --tag env=live",
		"rt add public --vpc prod",
		"rt add main --vpc prod",
		"route add public 0.0.0.0/0 --to igw:main",
		"route add public pl:office --to igw-0000000000000000d",
		"route set public 10.0.0.0/16 --to local",
		"rt show public",
		"pl show office",
		"rt associate public --subnet web",
		"rt list --vpc prod",
		"tree prod",
		"delete prod --cascade --dry-run",
		"rt replace main --subnet web -q",
		"rt disassociate --subnet web",
		"rt disassociate --subnet web",
		"route rm public 0.0.0.0/0 pl:office",
		"rt replace public --main --vpc prod",
		"rt show public",
		"rt set public --name outer",
		"rt set main --name x --vpc prod",
		"rt list -o wide",
		"rt rm rtb-00000000000000001",
	))
}

// TestRouteCommandLines is TestCommandLines for route tables.
func TestRouteCommandLines(t *testing.T) {
	refuseLines(t, []badLine{
		{[]string{"rt", "add", "x"}, 2, "--vpc"},
		{[]string{"rt", "add", "a:b", "--vpc", "prod"}, 8, "NAME"},
		{[]string{"rt", "set", "main"}, 2, "nothing to set"},
		{[]string{"rt", "rm", "nobody"}, 3, "InvalidRouteTableID.NotFound"},
		{[]string{"rt", "associate", "main"}, 2, "--subnet"},
		{[]string{"rt", "associate", "nobody", "--subnet", "web"}, 3, "InvalidRouteTableID.NotFound"},
		{[]string{"rt", "associate", "main", "--subnet", "nobody"}, 3, "InvalidSubnetID.NotFound"},
		{[]string{"rt", "disassociate"}, 2, "--subnet"},
		{[]string{"rt", "disassociate", "--subnet", "web"}, 3, "rt associate TABLE --subnet web"},
		{[]string{"rt", "replace", "main"}, 2, "--subnet"},
		{[]string{"rt", "replace", "main", "--main", "--subnet", "web"}, 2, "one at a time"},
		{[]string{"rt", "replace", "main", "--subnet", "web"}, 3, "InvalidAssociationID.NotFound"},
		{[]string{"route"}, 2, "which command?"},
		{[]string{"route", "add", "main", "0.0.0.0/0"}, 2, "--to what?"},
		{[]string{"route", "add", "main", "--to", "igw:x"}, 2, "DESTINATION"},
		{[]string{"route", "add", "main", "0.0.0.0/0", "--to", "x"}, 2, "want igw:NAME"},
		{[]string{"route", "add", "main", "0.0.0.0/0", "--to", "igw:"}, 2, "want igw:NAME"},
		{[]string{"route", "add", "main", "0.0.0.0/0", "--to", "igw:x"}, 3, "InvalidGatewayID.NotFound"},
		{[]string{"route", "add", "main", "0.0.0.0/0", "--to", "igw-fffffffffffffffff"}, 3, "(--to) [InvalidGatewayID.NotFound]\nTry: vpc igw list"},
		{[]string{"route", "add", "main", "0.0.0.0/0", "--to", "nat:x"}, 3, "(--to) [InvalidNatGatewayID.NotFound]"},
		{[]string{"route", "add", "main", "0.0.0.0/0", "--to", "tgw-x"}, 8, "transit gateways are not built yet"},
		{[]string{"route", "add", "main", "0.0.0.0/0", "--to", "blackhole"}, 8, "vpc acl rule add"},
		{[]string{"route", "add", "main", "10.9.0.0/16", "--to", "local"}, 8, "from the start"},
		{[]string{"route", "add", "main", "sg:web", "--to", "local"}, 8, "not to a group"},
		{[]string{"route", "add", "main", "pl:nobody", "--to", "local"}, 3, "InvalidPrefixListID.NotFound"},
		{[]string{"route", "rm", "main"}, 2, "DESTINATION"},
		{[]string{"route", "rm", "nobody", "0.0.0.0/0"}, 3, "InvalidRouteTableID.NotFound"},
	})
}

// TestTargetsOffered: what add refuses it does not offer.
func TestTargetsOffered(t *testing.T) {
	b := newBench(t)
	for line, local := range map[string]bool{"route add --help": false, "route set --help": true} {
		out := b.ok(line)
		if _, flags, _ := strings.Cut(out, "--to string"); strings.Contains(strings.SplitN(flags, "\n", 2)[0], "local") != local || flags == "" {
			t.Errorf("vpc %s offers local: want %t\n%s", line, local, out)
		}
	}
}
