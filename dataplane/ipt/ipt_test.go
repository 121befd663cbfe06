package ipt

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vpcfabric/vpc/dataplane/delta"
	"github.com/vpcfabric/vpc/dataplane/nl"
)

var (
	ctx   = context.Background()
	hosts atomic.Int64
)

// namespace makes an empty namespace of the test's.
func namespace(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	if _, err := exec.LookPath("iptables"); err != nil {
		t.Skip("no iptables here")
	}
	k := nl.Open(fmt.Sprintf("ipt%d.%d", os.Getpid(), hosts.Add(1)))
	name := k.Netns("vpc-00000000000000001")
	d := k.Drivers().Namespaces
	t.Cleanup(func() {
		if err := d.Delete(ctx, name); err != nil {
			t.Error(err)
		}
		k.Close()
	})
	if err := d.Put(ctx, name, struct{}{}); err != nil {
		t.Fatal(err)
	}
	return "/run/netns/" + name
}

// in runs a program in a namespace.
func in(t *testing.T, path, line string) string {
	t.Helper()
	out, err := exec.Command("nsenter", append([]string{"--net=" + path}, strings.Fields(line)...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", line, err, out)
	}
	return string(out)
}

// converge puts, and shows that nothing is left to do.
func converge(t *testing.T, d *Driver, devices ...string) {
	t.Helper()
	want := map[Rule]struct{}{}
	for _, device := range devices {
		for _, r := range []Rule{{device, "vpc-+"}, {device, "up0"}, {"up0", device}} {
			want[r] = struct{}{}
		}
	}
	tr := delta.New[Rule, struct{}]("accept", d, Rule.Compare)
	tr.Want(want)
	for range 2 {
		if _, err := tr.Put(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := tr.Prune(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if drift, err := tr.Diff(ctx); err != nil || len(drift) != 0 {
		t.Fatalf("drift %v, %v", drift, err)
	}
}

// TestNothingWhereNothingIsDropped: a host without such rules is not touched.
func TestNothingWhereNothingIsDropped(t *testing.T) {
	path := namespace(t)
	before := in(t, path, "nft list ruleset")
	d := Open(path, "a.b")
	converge(t, d, "vpc-1")
	if after := in(t, path, "nft list ruleset"); after != before {
		t.Errorf("it has now\n%s", after)
	}
	err := nl.In(path, func() error {
		if mine, _ := os.ReadFile("/proc/thread-self/net/ip_tables_names"); len(mine) != 0 {
			t.Errorf("it has now the tables %s", mine)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestAcceptsWhatOthersDrop: in front of others' rules, where Docker keeps a place
// for it, and gone afterwards.
func TestAcceptsWhatOthersDrop(t *testing.T) {
	for name, c := range map[string]struct {
		make  []string
		chain string
	}{
		"policy": {[]string{"iptables -P FORWARD DROP", "iptables -A FORWARD -i eth0 -j ACCEPT"}, forward},
		"reject": {[]string{"iptables -A FORWARD -j REJECT"}, forward},
		"docker": {[]string{"iptables -P FORWARD DROP", "iptables -N DOCKER-USER", "iptables -A FORWARD -j DOCKER-USER", "iptables -A DOCKER-USER -j RETURN"}, docker},
	} {
		t.Run(name, func(t *testing.T) {
			path := namespace(t)
			for _, line := range c.make {
				in(t, path, line)
			}
			before := in(t, path, "iptables -S")
			d, other := Open(path, "a.b"), Open(path, "a")
			converge(t, d, "vpc-1", "vpc-2")
			converge(t, other, "vpc-3")
			rules := strings.Split(in(t, path, "iptables -S "+c.chain), "\n")
			for _, device := range []string{"-i vpc-1 -o up0", "-i up0 -o vpc-1", "-i vpc-1 -o vpc-+", "-i vpc-2 -o up0", "-i up0 -o vpc-2", "-i vpc-3 -o up0"} {
				n, last := 0, 0
				for i, line := range rules {
					if strings.Contains(line, device+" ") && strings.Contains(line, "-j ACCEPT") {
						n, last = n+1, i
					}
				}
				if n != 1 || last > 9 {
					t.Errorf("%s: %d rules, the last is number %d of\n%s", device, n, last, strings.Join(rules, "\n"))
				}
			}
			// Somebody's flush, and somebody's doubling.
			in(t, path, "iptables -D "+c.chain+" 1")
			in(t, path, "iptables -A "+c.chain+" -i vpc-1 -m comment --comment vpc_a.b -j ACCEPT")
			converge(t, d, "vpc-1")
			converge(t, other, "vpc-3")
			for _, host := range []string{"a.b", "a"} {
				if err := Cleanup(ctx, path, host); err != nil {
					t.Error(err)
				}
			}
			if after := in(t, path, "iptables -S"); after != before {
				t.Errorf("afterwards\n%s\nbefore\n%s", after, before)
			}
		})
	}
}

// TestBrokenIptables: who has no gateway does not hear of them; who has one, and
// who cleans up, does.
func TestBrokenIptables(t *testing.T) {
	path := namespace(t)
	d := Open(path, "lab")
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/iptables", []byte("#!/bin/sh\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	if got, err := d.Observe(ctx, nil); err != nil || len(got) != 0 {
		t.Errorf("nothing is wanted: %v, %v", got, err)
	}
	want := map[Rule]struct{}{{"vpc-1", "up0"}: {}}
	if _, err := d.Observe(ctx, want); err == nil {
		t.Error("a rule is wanted, and iptables do not work")
	}
	if err := Cleanup(ctx, path, "lab"); err == nil {
		t.Error("cleaned up without iptables that work")
	}
	t.Setenv("PATH", t.TempDir())
	if got, err := d.Observe(ctx, want); err != nil || len(got) != 1 {
		t.Errorf("without iptables nobody drops: %v, %v", got, err)
	}
	if err := Cleanup(ctx, path, "lab"); err != nil {
		t.Error(err)
	}
}

// TestDockerComesLater: rules move to the chain that is kept for them.
func TestDockerComesLater(t *testing.T) {
	path := namespace(t)
	d := Open(path, "lab")
	in(t, path, "iptables -P FORWARD DROP")
	converge(t, d, "vpc-1")
	in(t, path, "iptables -N DOCKER-USER")
	converge(t, d, "vpc-1")
	if got := in(t, path, "iptables -S DOCKER-USER"); strings.Count(got, "vpc-1 ") != 3 {
		t.Errorf("not there:\n%s", got)
	}
	if err := Cleanup(ctx, path, "lab"); err != nil {
		t.Error(err)
	}
	if got := in(t, path, "iptables -S"); strings.Contains(got, "vpc-1 ") {
		t.Errorf("left behind:\n%s", got)
	}
}
