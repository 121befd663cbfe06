package nft

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/dataplane/delta"
	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/gateways"
)

var ctx = context.Background()

var hosts atomic.Int64

// namespace makes an empty namespace of the test's and returns its path.
func namespace(t *testing.T) string {
	t.Helper()
	_, name := kernel(t)
	return "/run/netns/" + name
}

// kernel makes a host of the test's with one namespace.
func kernel(t *testing.T) (*nl.Kernel, string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	k := nl.Open(fmt.Sprintf("nft%d.%d", os.Getpid(), hosts.Add(1)))
	name := k.Netns("vpc-00000000000000001")
	d := k.Drivers().Namespaces
	t.Cleanup(func() {
		if err := d.Delete(ctx, name); err != nil {
			t.Error(err)
		}
		k.Close()
	})
	must(t, d.Put(ctx, name, struct{}{}))
	return k, name
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// nft runs nft(8) in a namespace.
func nft(t *testing.T, path, script string) string {
	t.Helper()
	out, err := exec.Command("nsenter", "--net="+path, "nft", script).CombinedOutput()
	if err != nil {
		t.Fatalf("nft %s: %v: %s", script, err, out)
	}
	return string(out)
}

// place is a machine that forwarded nothing before.
var place = gateways.Host{FirstPort: 61000, LastPort: 65535, Quiet: []string{"up0"}}

func firewall(host string, edges ...string) map[string]spec.Firewall {
	return gateways.Firewall(host, []netip.Prefix{netip.MustParsePrefix("198.18.0.0/24")}, edges, place)
}

// converge puts, and shows that nothing is left to do.
func converge(t *testing.T, d *Driver, want map[string]spec.Firewall) {
	t.Helper()
	tr := delta.New[string, spec.Firewall]("firewall", d, strings.Compare)
	tr.Want(want)
	_, err := tr.Put(ctx)
	must(t, err)
	tr.Dirty()
	n, err := tr.Put(ctx)
	drift, err2 := tr.Diff(ctx)
	if n != 0 || err != nil || err2 != nil || len(drift) != 0 {
		t.Fatalf("second time: %d objects, %v, %v; drift %v", n, err, err2, drift)
	}
}

// TestSaysWhatNftSays: the words mean to the kernel what nft(8) shows of them.
func TestSaysWhatNftSays(t *testing.T) {
	path := namespace(t)
	for _, pool := range []string{"198.18.0.0/24", "198.18.4.0/22", "198.18.0.240/28"} {
		p := netip.MustParsePrefix(pool)
		saysWhatNftSays(t, path, gateways.Firewall("t-1", []netip.Prefix{p}, []string{"vpc-0000002a"}, place))
		saysWhatNftSays(t, path, gateways.Firewall("t-1", nil, []string{"vpc-0000002a"}, place, p))
	}
}

func saysWhatNftSays(t *testing.T, path string, want map[string]spec.Firewall) {
	t.Helper()
	d := Open(path, "t-1")
	converge(t, d, want)
	if got := nft(t, path, "list table ip vpc_t-1"); got != string(want["vpc_t-1"]) {
		t.Errorf("nft lists\n%s\nwant\n%s", got, want["vpc_t-1"])
	}
	nft(t, path, "flush ruleset")
	file := t.TempDir() + "/table.nft"
	must(t, os.WriteFile(file, []byte(want["vpc_t-1"]), 0o600))
	nft(t, path, "include \""+file+"\"")
	got, err := d.Observe(ctx, want)
	must(t, err)
	if got["vpc_t-1"] != want["vpc_t-1"] {
		t.Errorf("what nft wrote reads as\n%s", got["vpc_t-1"])
	}
}

// TestTampering: whatever somebody does to the table is drift, and healed.
func TestTampering(t *testing.T) {
	path := namespace(t)
	d := Open(path, "t")
	want := firewall("t", "vpc-0000002a", "vpc-0000002b")
	converge(t, d, want)
	for name, script := range map[string]string{
		"everything":      "flush ruleset",
		"table":           "delete table ip vpc_t",
		"rules":           "flush chain ip vpc_t input",
		"a rule more":     "add rule ip vpc_t input counter accept",
		"a rule before":   `insert rule ip vpc_t input iifname @edges accept comment "answers to the host"`,
		"rule twice":      `add rule ip vpc_t input iifname @edges drop comment "the host itself, by broadcast or multicast"`,
		"without comment": "flush chain ip vpc_t input; add rule ip vpc_t input iifname @edges ct state established,related accept; add rule ip vpc_t input iifname @edges drop",
		"ports kept":      "flush chain ip vpc_t postrouting; add rule ip vpc_t postrouting ip saddr 198.18.0.0/24 oifname != \"lo\" oifname != \"vpc-*\" ip protocol tcp masquerade to :61000-65535",
		"element more":    "add element ip vpc_t edges { \"eth0\" }",
		"element less":    "delete element ip vpc_t edges { \"vpc-0000002b\" }",
		"set more":        "add set ip vpc_t more { type ipv4_addr; }",
		"map more":        "add map ip vpc_t more { type ipv4_addr : verdict; }",
		"chain more":      "add chain ip vpc_t more",
		"policy":          "chain ip vpc_t input { policy drop; }",
		"dormant":         "add table ip vpc_t { flags dormant; }",
		"object":          "add counter ip vpc_t seen",
		"unknown":         `flush chain ip vpc_t input; add rule ip vpc_t input iifname @edges ip dscp 4 drop comment "x"`,
	} {
		nft(t, path, script)
		got, err := d.Observe(ctx, want)
		must(t, err)
		if got["vpc_t"] == want["vpc_t"] {
			t.Errorf("%s: not seen", name)
		}
		converge(t, d, want)
	}
}

// TestOthersStay: tables of others, of another family, and of another host.
func TestOthersStay(t *testing.T) {
	path := namespace(t)
	const others = "table ip filter { chain INPUT { type filter hook input priority 0; policy drop; }; }; table ip6 vpc_t { chain c { }; }; table ip vpc_tt { chain c { }; }"
	nft(t, path, others)
	before := nft(t, path, "list ruleset")
	d := Open(path, "t")
	converge(t, d, firewall("t", "vpc-0000002a"))
	neighbour := Open(path, "other")
	converge(t, neighbour, firewall("other", "vpc-0000002b"))
	converge(t, d, firewall("t", "vpc-0000002c"))
	if got, err := neighbour.Observe(ctx, firewall("other", "vpc-0000002b")); err != nil || got["vpc_other"] != firewall("other", "vpc-0000002b")["vpc_other"] {
		t.Errorf("the neighbour's table: %v, %v", got, err)
	}
	must(t, Cleanup(ctx, path, "t"))
	must(t, Cleanup(ctx, path, "t"))
	must(t, neighbour.Delete(ctx, "vpc_other"))
	if got := nft(t, path, "list ruleset"); got != before {
		t.Errorf("after cleanup\n%s\nbefore\n%s", got, before)
	}
	if err := d.Put(ctx, "vpc_tt", firewall("tt", "x")["vpc_tt"]); err == nil {
		t.Error("wrote another host's table")
	}
	if err := d.Delete(ctx, "vpc_tt"); err == nil {
		t.Error("deleted another host's table")
	}
}

// TestForeignTable: a table that only bears our name is neither replaced nor
// removed, and the error says so. An empty one is nobody's.
func TestForeignTable(t *testing.T) {
	path := namespace(t)
	d := Open(path, "t")
	nft(t, path, "add table ip vpc_t")
	converge(t, d, firewall("t", "vpc-0000002a"))
	must(t, Cleanup(ctx, path, "t"))
	nft(t, path, "table ip vpc_t { chain input { type filter hook input priority 0; policy accept; }; }")
	before := nft(t, path, "list ruleset")
	if err := d.Put(ctx, "vpc_t", firewall("t", "vpc-0000002a")["vpc_t"]); !errors.Is(err, ErrForeign) {
		t.Errorf("replaced: %v", err)
	}
	if got, err := d.Observe(ctx, nil); err != nil || len(got) != 0 {
		t.Errorf("listed as ours: %v, %v", got, err)
	}
	must(t, Cleanup(ctx, path, "t"))
	if got := nft(t, path, "list ruleset"); got != before {
		t.Errorf("it became\n%s", got)
	}
}

// TestManyEdges: more names than one message carries.
func TestManyEdges(t *testing.T) {
	var edges []string
	for i := range 2*perMessage + 1 {
		edges = append(edges, fmt.Sprintf("vpc-%08x", i))
	}
	converge(t, Open(namespace(t), "t"), firewall("t", edges...))
}

// TestWithoutNftables: a kernel that lacks the subsystem answers like this.
func TestWithoutNftables(t *testing.T) {
	refuse := func(errno unix.Errno) *Driver {
		d := Open("/proc/thread-self/ns/net", "t")
		d.dial = []nftables.ConnOption{nftables.WithTestDial(func([]netlink.Message) ([]netlink.Message, error) { return nil, errno })}
		return d
	}
	d := refuse(unix.EINVAL)
	if got, err := d.Observe(ctx, nil); err != nil || len(got) != 0 {
		t.Errorf("nothing wanted: %v, %v", got, err)
	}
	if _, err := d.Observe(ctx, firewall("t", "x")); !errors.Is(err, ErrUnsupported) {
		t.Errorf("listing: %v", err)
	}
	if err := d.Delete(ctx, "vpc_t"); err != nil {
		t.Errorf("deletion: %v", err)
	}
	if err := d.Put(ctx, "vpc_t", firewall("t", "x")["vpc_t"]); err == nil {
		t.Error("wrote nothing and is content")
	}
	if _, err := refuse(unix.EPERM).Observe(ctx, nil); err == nil || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
		t.Errorf("not permitted: %v", err)
	}
}

func TestTextsThatAreRefused(t *testing.T) {
	good := string(firewall("t", "vpc-0000002a")["vpc_t"])
	if _, err := parse(spec.Firewall(good)); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"end":        {"}\n", ""},
		"family":     {"table ip ", "table inet "},
		"layout":     {"\t\ttype ifname", "\ttype ifname"},
		"statement":  {" drop", " log drop"},
		"set":        {"iifname @edges", "iifname @nosuch"},
		"set type":   {"type ifname", "type ipv4_addr"},
		"no element": {`{ "vpc-0000002a" }`, "{ }"},
		"long name":  {`"lo"`, `"abcdefghijklmnop"`},
		"pattern":    {`"vpc-*"`, `"v*-*"`},
		"all names":  {`"vpc-*"`, `"*"`},
		"one port":   {":61000-65535", ":61000"},
		"no colon":   {":61000-65535", "61000-65535"},
		"not random": {"fully-random", "random"},
		"prefix":     {"198.18.0.0/24", "198.18.0.1/24"},
		"all":        {"198.18.0.0/24", "0.0.0.0/0"},
		"field":      {"ip saddr", "ip length"},
		"state":      {"established,related", "established,old"},
		"ct":         {"ct state", "ct mark"},
		"fib":        {"type local", "type unicast"},
		"hook":       {"hook input", "hook ingress"},
		"priority":   {"priority mangle", "priority -42"},
		"comment":    {`drop comment "without`, `drop comment "a" comment "without`},
		"block":      {"chain input {", "map input {"},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if bad == good {
			t.Fatalf("%s changes nothing", name)
		}
		if name == "end" {
			bad = strings.TrimSuffix(good, "}\n")
		}
		if _, err := parse(spec.Firewall(bad)); err == nil {
			t.Errorf("%s: accepted\n%s", name, bad)
		}
	}
}
