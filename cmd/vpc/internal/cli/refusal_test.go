package cli

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// TestCommandLines is the table of what cannot be parsed, or is refused before
// the daemon is asked to change anything.
func TestCommandLines(t *testing.T) {
	refuseLines(t, []badLine{
		{[]string{"frobnicate"}, 2, `unknown command "frobnicate" for "vpc"`},
		{[]string{"vpn", "add", "main"}, 2, "unknown command"},
		{[]string{"subnte"}, 2, "Try: vpc subnet"},
		{[]string{"subnet"}, 2, "which command?"},
		{[]string{"subnet", "adn"}, 2, "unknown command"},
		{[]string{"create", "-rf"}, 2, "unknown shorthand flag"},
		{[]string{"create", "--", "-rf", "--cidr"}, 2, "does not take"},
		{[]string{"create"}, 2, "NAME"},
		{[]string{"create", "x"}, 2, "--cidr"},
		{[]string{"list", "-o", "xml"}, 2, "-o xml"},
		{[]string{"list", "--timeout", "soon"}, 2, "timeout"},
		{[]string{"list", "--timeout", "0s"}, 2, "timeout"},
		{[]string{"list", "--account", "1\n2"}, 8, "--account"},
		{[]string{"subnet", "add", "x", "--cidr", "10.0.2.0/24"}, 2, "--vpc"},
		{[]string{"subnet", "add", "x", "--vpc", "prod"}, 2, "--size"},
		{[]string{"subnet", "add", "x", "--vpc", "prod", "--cidr", "10.0.2.0/24", "--size", "24"}, 2, "--size"},
		{[]string{"subnet", "add", "x", "--vpc", "prod", "--size", "many"}, 2, "size"},
		{[]string{"subnet", "add", "x", "--vpc", "prod", "--size", "33"}, 8, "--size"},
		{[]string{"subnet", "add", "x", "--vpc", "prod", "--size", "15"}, 8, "--size"},
		{[]string{"attach", "netns:a"}, 2, "--subnet"},
		{[]string{"sg", "allow", "web"}, 2, "direction"},
		{[]string{"sg", "allow", "web", "--in", "tcp/443"}, 2, "--from"},
		{[]string{"sg", "allow", "web", "--in", "tcp/443", "--to", "0.0.0.0/0"}, 2, "--from"},
		{[]string{"sg", "allow", "web", "--in", "tcpp", "--from", "0.0.0.0/0"}, 2, "PROTO"},
		{[]string{"sg", "allow", "web", "--in", "47/80", "--from", "0.0.0.0/0"}, 8, "IpProtocol"},
		{[]string{"sg", "allow", "web", "--in", "tcp", "--from", "everybody"}, 2, "CIDR"},
		{[]string{"sg", "allow", "web", "--in", "tcp", "--from", "pl:office"}, 3, "InvalidPrefixListID.NotFound"},
		{[]string{"sg", "allow", "web", "--in", "tcp", "--from", "pl:"}, 2, "pl: needs"},
		{[]string{"sg", "allow", "web", "--in", "tcp", "--from", "sg:nobody"}, 3, "InvalidGroup.NotFound"},
		{[]string{"sg", "set", "web"}, 2, "--rule"},
		{[]string{"sg", "set", "web", "--rule", "sgr-00000000000000008", "--description", "x"}, 3, "InvalidSecurityGroupRuleId.NotFound"},
		{[]string{"sg", "set", "web", "--rule", "sgr-00000000000000007"}, 2, "nothing to set"},
		{[]string{"sg", "set", "web", "--rule", "sgr-00000000000000007", "--out", "all", "--to", "::/0"}, 2, "direction"},
		{[]string{"sg", "set", "web", "--rule", "sgr-00000000000000007", "--in", "tcp", "--in", "udp", "--from", "::/0"}, 2, "one protocol"},
		{[]string{"sg", "revoke", "web", "db", "--in", "all", "--from", "::/0"}, 2, "one group"},
		{[]string{"sg", "allow", "web", "--in", "all", "--out", "all", "--to", "::/0"}, 2, "--in and --out"},
		{[]string{"sg", "allow", "web", "--out", "all", "--from", "::/0"}, 2, "--to"},
		{[]string{"eni", "add-ip", "spare"}, 2, "--count"},
		{[]string{"eni", "add", "x"}, 2, "--subnet"},
		{[]string{"subnet", "set", "web", "--name", "a:b"}, 8, "NAME"},
		{[]string{"eni", "set", "spare", "--name", "web1"}, 4, "eni web1"},
		{[]string{"set", "prod", "--name", ""}, 8, "NAME"},
		{[]string{"eni", "set", "spare", "--sg", ""}, 8, "SG"},
		{[]string{"subnet", "set", "web"}, 2, "nothing to set"},
		{[]string{"set", "prod", "--revocation", "maybe"}, 8, "Revocation"},
		{[]string{"tag", "add", "web", "a=b"}, 2, "NOUN:NAME"},
		{[]string{"tag", "add", "subnet:web", "ab"}, 2, "KEY=VALUE"},
		{[]string{"limits", "vpcs=many"}, 2, "NAME=VALUE"},
		{[]string{"completion", "tcsh"}, 2, "tcsh"},
		{[]string{"cidr", "rm", "prod", "10.0.0.0/33"}, 8, "CidrBlock"},
		{[]string{"cidr", "rm", "prod", "10.9.0.0/16"}, 3, "NotFound"},
		{[]string{"cidr", "add", "prod", "10.9.0.0/16", "--dry-run"}, 8, "UnsupportedOperation"},
		{[]string{"show", ""}, 8, "empty"},
		{[]string{"show", "*"}, 3, "InvalidVpcID.NotFound"},
		{[]string{"show", "pro?"}, 3, "InvalidVpcID.NotFound"},
		{[]string{"show", "vpc-fff"}, 3, "InvalidVpcID.NotFound"},
		{[]string{"show", "vpc-fffffffffffffffff"}, 3, "InvalidVpcID.NotFound"},
		{[]string{"show", "\x1b[2J\u202e"}, 3, `\x1b[2J\u202e`},
		{[]string{"eni", "show", "docker:nobody"}, 3, "InvalidNetworkInterfaceID.NotFound"},
		{[]string{"detach", "docker:nobody"}, 3, "InvalidTarget.NotFound"},
		{[]string{"sg", "revoke", "sgr-fffffffffffffffff"}, 3, "InvalidSecurityGroupRuleId.NotFound"},
		{[]string{"host", "show", "h9"}, 3, "h9"},
		{[]string{"create", "prod", "--cidr", "10.9.0.0/16"}, 4, "vpc prod"},
		{[]string{"subnet", "add", "web", "--vpc", "prod", "--cidr", "10.0.2.0/24"}, 4, "subnet web"},
		{[]string{"delete", "prod", "--cascade"}, 8, "--yes"},
	})
}

// badLine is a command line with the exit code and the part of stderr it gets.
type badLine struct {
	args []string
	code int
	want string
}

// refuseLines runs each line in a world of its own and wants that it changes
// nothing there.
func refuseLines(t *testing.T, lines []badLine) {
	t.Helper()
	for _, c := range lines {
		b := newBench(t)
		b.world()
		got := b.runContext(t.Context(), c.args...)
		if got.code != c.code || !strings.Contains(got.errOut, c.want) || !strings.HasPrefix(got.errOut, "Error: ") {
			t.Errorf("vpc %q: exit %d, want %d with %q\n%s", c.args, got.code, c.code, c.want, got.errOut)
		}
		if strings.ContainsAny(got.errOut, "\x1b\u202e") || strings.Contains(got.errOut, "goroutine") {
			t.Errorf("vpc %q: %q", c.args, got.errOut)
		}
		for _, call := range b.calls {
			if !strings.HasPrefix(call, "Detach") && !strings.HasPrefix(call, "ModifyVpcOptions") {
				t.Errorf("vpc %q called %s", c.args, call)
			}
		}
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{"", "a\nb", "a\x00b", "a\x1bb", "a\u202eb", "a:b", "a,b", " a", "a ", "-rf", "vpc-0a1", "subnet-0123456789abcdef0", "eni-add", "10.0.0.1", "10.0.0.0/8", "\xff", "\u200b", "a\u00a0b"} {
		b := newBench(t)
		got := b.runContext(t.Context(), "create", "--cidr", "10.0.0.0/16", "--", name)
		if got.code != 8 || !strings.Contains(got.errOut, "NAME") || len(b.calls) != 0 {
			t.Errorf("%q: exit %d, calls %v\n%s", name, got.code, b.calls, got.errOut)
		}
	}
	for _, name := range []string{"a b", "..", "../x", "a/b", "1web", "Web", "all", "emoji😀", "%00", "$(id)", "'; DROP", "%s%n", "prod-web", "vpc-prod", strings.Repeat("x", 255)} {
		b := newBench(t)
		if got := b.runContext(t.Context(), "create", name, "--cidr", "10.0.0.0/16"); got.code != 0 {
			t.Errorf("%q: exit %d\n%s", name, got.code, got.errOut)
			continue
		}
		if got := b.runContext(t.Context(), "show", name, "-q"); got.out != "vpc-00000000000000001\n" {
			t.Errorf("%q is not found again: %q %s", name, got.out, got.errOut)
		}
	}
}

// TestAmbiguous: two hits are refused and the ids named.
func TestAmbiguous(t *testing.T) {
	b := newBench(t)
	b.world()
	b.ok("create other --cidr 10.0.0.0/16")
	b.ok("subnet add web --vpc other --cidr 10.0.1.0/24")
	b.ok("sg add web --vpc other")
	golden(t, "ambiguous", b.story("subnet show web", "subnet rm subnet-0", "subnet rm web", "subnet show web --vpc other -q",
		"attach netns:x --subnet web --vpc other --sg web -q", "sg allow web --vpc prod --in tcp/1 --from sg:web"))
	groups := b.calls[len(b.calls)-2]
	if !strings.Contains(groups, b.groups[len(b.groups)-1].GroupId) {
		t.Errorf("attach took the group of another VPC: %s", groups)
	}
}

func TestRefusals(t *testing.T) {
	b := newBench(t)
	b.world()
	b.refuse["DeleteVpc"] = &api.Error{Code: "DependencyViolation", Message: "The vpc has dependencies.", Field: "VpcId",
		BlockedBy: []api.Blocker{{Kind: "subnet", Id: "subnet-1", Name: "web", Detail: "2 endpoints: docker:web1, docker:web2"},
			{Kind: "sg", Id: "sg-1", Name: "a\x1b\u202e"}, {Kind: "eni", Id: "eni-1"}}}
	b.refuse["CreateSubnet"] = api.Errorf("InvalidSubnet.Range", "CidrBlock", "The CIDR '10.9.0.0/24' is invalid.")
	b.refuse["DeleteSecurityGroup"] = api.Errorf("CannotDelete", "", "the group is the default one")
	b.refuse["CreateNetworkInterface"] = api.Errorf("InternalError", "", "out of cheese")
	golden(t, "refusals", b.story("delete prod", "delete prod -o json", "subnet add x --vpc prod --cidr 10.9.0.0/24", "sg rm web",
		"eni add x --subnet web", "list -o xml", "list --bad -o json"))
}

func TestExitCodes(t *testing.T) {
	for code, want := range map[string]int{"InvalidVpcID.NotFound": 3, "InvalidSubnet.Conflict": 4, "DependencyViolation": 4,
		"UnauthorizedOperation": 6, "InvalidParameterValue": 8, "UnsupportedOperation": 8, "InternalError": 1, "RequestTimeout": 5} {
		b := newBench(t)
		b.refuse["CreateVpc"] = api.Errorf(code, "", "no")
		if got := b.run("create x --cidr 10.0.0.0/16"); got.code != want {
			t.Errorf("%s: exit %d, want %d", code, got.code, want)
		}
	}
}

func TestNoDaemon(t *testing.T) {
	b := newBench(t)
	missing := filepath.Join(t.TempDir(), "nobody")
	for _, line := range []string{"list", "status", "create x --cidr 10.0.0.0/16", "verify", "drops --follow", "tree", "delete x --cascade"} {
		got := b.run(line + " --socket " + missing)
		if got.code != 7 || !strings.Contains(got.errOut, missing) || !strings.Contains(got.errOut, "Try: ") {
			t.Errorf("vpc %s: exit %d\n%s", line, got.code, got.errOut)
		}
	}
	got := b.run("list -o json --socket " + missing)
	var e struct{ Error api.Error }
	if err := json.Unmarshal([]byte(got.errOut), &e); err != nil || !strings.Contains(e.Error.Message, missing) {
		t.Errorf("as JSON: %v\n%s", err, got.errOut)
	}
}

func TestWait(t *testing.T) {
	b := newBench(t)
	b.unapplied = 2
	b.tty = "err"
	got := b.run("create a --cidr 10.0.0.0/16")
	if got.code != 0 || !strings.HasPrefix(got.errOut, "waiting for the kernel") || !strings.HasSuffix(got.errOut, "\r\x1b[K") {
		t.Errorf("exit %d, %q", got.code, got.errOut)
	}
	if b.unapplied >= 0 {
		t.Errorf("it did not ask until the answer was yes")
	}
	b.tty = ""
	reads := b.reads
	b.ok("create b --cidr 10.0.0.0/16 --no-wait")
	if b.reads-reads != 1 { // the look for another of that name
		t.Errorf("--no-wait asked %d times", b.reads-reads)
	}
}

// TestTimeout: the object stays, and the message says so.
func TestTimeout(t *testing.T) {
	b := newBench(t)
	b.unapplied = -1000
	b.after = func(time.Duration) <-chan time.Time { return nil } // until the deadline
	got := b.run("create a --cidr 10.0.0.0/16 --timeout 50ms")
	if got.code != 5 || !strings.Contains(got.out, "vpc a (vpc-00000000000000001) created") || len(b.vpcs) != 1 {
		t.Errorf("exit %d, out %q", got.code, got.out)
	}
	if want := "Error: vpc a (vpc-00000000000000001) created, but the kernel has not followed within 50ms [Timeout]\nTry: vpc status\n"; got.errOut != want {
		t.Errorf("have %q\nwant %q", got.errOut, want)
	}
	// The daemon itself may hang.
	release := make(chan struct{})
	b.before = func(string) { <-release }
	got = b.run("list --timeout 50ms")
	close(release)
	if got.code != 5 {
		t.Errorf("a daemon that hangs: exit %d\n%s", got.code, got.errOut)
	}
}

func TestDryRun(t *testing.T) {
	b := newBench(t)
	b.world()
	b.ok("pl add x --max 1")
	for _, line := range []string{"create x --cidr 10.9.0.0/16", "sg rm web db", "attach netns:a --subnet web", "detach web1", "sg revoke sgr-00000000000000007",
		"sg allow web --in all --from 0.0.0.0/0", "set prod --revocation cut --name new", "eni set spare --description x --source-dest-check=false", "delete prod",
		"acl add x --vpc prod", "acl rule add default --in 1 allow all --from 0.0.0.0/0", "acl rule set default --in 1 allow all --from 0.0.0.0/0", "acl rule rm default --in 1",
		"acl associate default --subnet web", "acl rm default", "pl add y --max 1", "pl set x --max 2", "pl entry add x 10.0.0.0/8", "pl restore x --version 1", "pl rm x"} {
		before := len(b.calls)
		if out := b.ok(line + " --dry-run"); !strings.HasPrefix(out, "dry run: ") {
			t.Errorf("vpc %s --dry-run: %q", line, out)
		}
		for _, call := range b.calls[before:] {
			if !strings.Contains(call, `"DryRun":true`) {
				t.Errorf("vpc %s --dry-run did %s", line, call)
			}
		}
		if before == len(b.calls) {
			t.Errorf("vpc %s --dry-run asked nothing", line)
		}
	}
	b.refuse["DeleteSubnet"] = api.Errorf("DependencyViolation", "", "in use")
	if got := b.run("subnet rm web --dry-run"); got.code != 4 {
		t.Errorf("a dry run that would fail: exit %d", got.code)
	}
}

// TestSizeMeetsOthers: a CIDR that somebody takes between the look and the
// call is no failure, but looking again has an end.
func TestSizeMeetsOthers(t *testing.T) {
	b := newBench(t)
	b.world()
	calls := 0
	conflict := api.Errorf("InvalidSubnet.Conflict", "CidrBlock", "taken")
	b.before = func(action string) {
		if action != "CreateSubnet" {
			return
		}
		if calls++; calls == 1 {
			b.refuse[action] = conflict
			b.subnets = append(b.subnets, api.Subnet{SubnetId: "subnet-x", VpcId: "vpc-00000000000000001", CidrBlock: "10.0.0.0/24"})
			return
		}
		delete(b.refuse, action)
	}
	if out := b.ok("subnet add x --vpc prod --size 24"); !strings.Contains(out, "with 10.0.2.0/24") {
		t.Error(out)
	}
	calls, b.before = 0, nil
	b.refuse["CreateSubnet"] = conflict
	b.calls = nil
	if got := b.run("subnet add y --vpc prod --size 24"); got.code != 4 || len(b.calls) != sizeAttempts {
		t.Errorf("exit %d after %d calls\n%s", got.code, len(b.calls), got.errOut)
	}
	b.subnets = append(b.subnets, api.Subnet{VpcId: "vpc-00000000000000001", CidrBlock: "10.0.0.0/16"})
	if got := b.run("subnet add z --vpc prod --size 28"); got.code != 8 || !strings.Contains(got.errOut, "no /28 is free") {
		t.Errorf("exit %d\n%s", got.code, got.errOut)
	}
}

// TestLosesDaemonWhileWaiting: the message must not read as if nothing was done.
func TestLosesDaemonWhileWaiting(t *testing.T) {
	b := newBench(t)
	b.refuse["WaitApplied"] = api.Errorf("Unavailable", "", "the store is away")
	got := b.run("create a --cidr 10.0.0.0/16")
	if got.code != 1 || !strings.HasPrefix(got.errOut, "Error: vpc a (vpc-00000000000000001) created; waiting for the kernel: the store is away") {
		t.Errorf("exit %d\n%s", got.code, got.errOut)
	}
}

func TestStatus(t *testing.T) {
	b := newBench(t)
	for state, want := range map[string]int{"ready": 0, "starting": 10, "degraded": 10, "braked": 10} {
		b.hosts = []api.Host{{HostName: "h1", State: state, Ready: api.Ptr(state == "ready"), Reasons: []string{"because"}}}
		if got := b.run("status"); got.code != want || !strings.Contains(got.out, "because") || got.errOut != "" {
			t.Errorf("%s: exit %d\n%s%s", state, got.code, got.out, got.errOut)
		}
	}
	b.hosts = nil
	if got := b.run("status -o json"); got.code != 10 || got.out != "{\n  \"Hosts\": null\n}\n" && got.out != "{\n  \"Hosts\": []\n}\n" {
		t.Errorf("no host: exit %d %q", got.code, got.out)
	}
	b.hosts = []api.Host{{HostName: "h1", State: "starting"}}
	asked := 0
	b.before = func(string) {
		if asked++; asked == 3 {
			b.hosts = []api.Host{{HostName: "h1", State: "ready", Ready: api.Ptr(true)}}
		}
	}
	b.ok("status --wait")
	b.before = nil
	b.hosts[0].State = "degraded"
	b.after = func(time.Duration) <-chan time.Time { return nil }
	if got := b.run("status --wait --timeout 50ms"); got.code != 10 || !strings.Contains(got.out, "degraded") {
		t.Errorf("a host that stays degraded: exit %d\n%s%s", got.code, got.out, got.errOut)
	}
}

func TestVerify(t *testing.T) {
	b := newBench(t)
	b.drifts = []api.Drift{{Kind: "link", Object: "vpc-0a\x1b", Want: "up", Have: "down"}}
	got := b.run("verify")
	if got.code != 10 || got.errOut != "" || got.out != "KIND  OBJECT      WANT  HAVE\nlink  vpc-0a\\x1b  up    down\n" {
		t.Errorf("exit %d\n%q\n%s", got.code, got.out, got.errOut)
	}
	if got := b.run("verify -o json"); got.code != 10 || !strings.Contains(got.out, `"Clean": false`) {
		t.Errorf("exit %d\n%s", got.code, got.out)
	}
}

func TestFollowDrops(t *testing.T) {
	b := newBench(t)
	b.world()
	drop := func(packets int64) []api.Drop {
		return []api.Drop{{NetworkInterfaceId: "eni-00000000000000009", Stage: "sg", Reason: "NO_RULE", Packets: &packets, Bytes: api.Ptr(packets * 64)}}
	}
	ctx, cancel := context.WithCancel(t.Context())
	rounds := 0
	// Five packets before, three more, none, a counter made anew with two.
	counts := []int64{5, 8, 8, 2}
	b.before = func(action string) {
		if action != "DescribeDrops" {
			return
		}
		if rounds == len(counts) {
			cancel()
			return
		}
		b.drops = drop(counts[rounds])
		rounds++
	}
	got := b.runContext(ctx, "drops", "--eni", "web1", "--follow")
	const want = "ENI   STAGE  REASON   RULE  PACKETS  BYTES\nweb1  sg     NO_RULE  -     3        192\n" +
		"ENI   STAGE  REASON   RULE  PACKETS  BYTES\nweb1  sg     NO_RULE  -     2        128\n"
	if got.code != 0 || got.out != want {
		t.Errorf("exit %d\n%s%s", got.code, got.out, got.errOut)
	}
}

func TestDoctor(t *testing.T) {
	b := newBench(t)
	var ran []string
	code, fail := 10, error(nil)
	b.beside = func(program string, args []string) (int, error) {
		ran = append([]string{program}, args...)
		return code, fail
	}
	if got := b.run("doctor --fix bpffs"); got.code != 10 || got.errOut != "" || strings.Join(ran, " ") != "vpcd doctor --fix bpffs" {
		t.Errorf("exit %d, ran %v\n%s", got.code, ran, got.errOut)
	}
	code, fail = 0, errors.New("no such file")
	if got := b.run("doctor"); got.code != 1 || !strings.Contains(got.errOut, "Try: install vpcd") {
		t.Errorf("exit %d\n%s", got.code, got.errOut)
	}
}
