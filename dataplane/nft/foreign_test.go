package nft

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"
)

// TestForwardDrops: chains that drop what is forwarded are named; those that drop
// something else, iptables' own and ours are not.
func TestForwardDrops(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil || os.Geteuid() != 0 {
		t.Skip("needs root and nft")
	}
	name := fmt.Sprintf("vfd%d", os.Getpid())
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	run("ip", "netns", "add", name)
	t.Cleanup(func() { run("ip", "netns", "del", name) })
	path := "/run/netns/" + name
	want := func(chains ...string) {
		t.Helper()
		if got, err := ForwardDrops(path); err != nil || !slices.Equal(got, chains) {
			t.Errorf("%q, %v; want %q", got, err, chains)
		}
	}
	want()
	chain := func(family, table, name, hook, policy string) {
		t.Helper()
		run("nsenter", "--net="+path, "nft", "add", "table", family, table)
		run("nsenter", "--net="+path, "nft", fmt.Sprintf("add chain %s %s %s { type filter hook %s priority 0; policy %s; }", family, table, name, hook, policy))
	}
	chain("inet", "open", "forward", "forward", "accept")
	chain("inet", "fw", "input", "input", "drop")
	chain("ip6", "six", "forward", "forward", "drop")
	chain("ip", "filter", "FORWARD", "forward", "drop")
	chain("ip", "vpc_h1", "forward", "forward", "drop")
	want()
	chain("inet", "fw", "forward", "forward", "drop")
	chain("ip", "fw", "pass", "forward", "drop")
	want("inet fw forward", "ip fw pass")
}
