package preflight

import (
	"errors"
	"os"
	"strings"
	"testing"
)

func TestJudgeKernel(t *testing.T) {
	for release, want := range map[string]string{
		"6.18.4-cloud": OK, "6.6.0": OK, "6.6": OK, "7.0.0-rc1": OK, "10.1.2": OK,
		"6.5.13": OK, "5.15.0-100-generic": Fail, "4.19.0": Fail, "6.1.0-49-amd64": OK, "6.0.9": Fail,
		"": Warn, "linux": Warn, "6": Warn, "6.x": Warn,
	} {
		c := judgeKernel(release)
		if c.Result != want || c.ID != "kernel" {
			t.Errorf("%q: %+v, want %s", release, c, want)
		}
		if want != OK && !strings.Contains(c.Detail, release) {
			t.Errorf("%q is not named in %q", release, c.Detail)
		}
	}
}

func TestJudgeForwarding(t *testing.T) {
	for _, c := range []struct {
		all      string
		writable bool
		result   string
		fix      string
	}{
		{"0", true, OK, ""}, {"1", true, OK, ""},
		{"0", false, Warn, "net.ipv4.ip_forward=1"}, {"1", false, Warn, "writable"},
	} {
		got := judgeForwarding(c.all, c.writable)
		if got.ID != "forwarding" || got.Result != c.result || (got.Fix == "") != (c.fix == "") || !strings.Contains(got.Fix, c.fix) {
			t.Errorf("%+v: %+v", c, got)
		}
	}
}

// TestWithDrops: a firewall's chain is named with what to do, and what is worse
// stays said.
func TestWithDrops(t *testing.T) {
	well := Check{ID: "forwarding", Result: OK, Detail: "on"}
	if got := withDrops(well, nil); got != well {
		t.Errorf("without a firewall: %+v", got)
	}
	got := withDrops(well, []string{"inet fw forward", "ip fw fwd"})
	if got.Result != Warn || !strings.Contains(got.Detail, "inet fw forward, ip fw fwd") || !strings.Contains(got.Fix, "nft add rule inet fw forward") {
		t.Errorf("%+v", got)
	}
	bad := judgeForwarding("0", false)
	if got := withDrops(bad, []string{"inet fw forward"}); got != bad {
		t.Errorf("%+v", got)
	}
}

// TestRun: each check is there once, with something to read, and with a way
// out where it is not well.
func TestRun(t *testing.T) {
	asked := 0
	checks := Run(t.Context(), func() error { asked++; return nil }, func() ([]string, error) { return nil, nil })
	seen := map[string]Check{}
	for _, c := range checks {
		if _, twice := seen[c.ID]; twice || c.ID == "" || c.Detail == "" {
			t.Errorf("check %+v is nameless, silent or there twice", c)
		}
		seen[c.ID] = c
		switch c.Result {
		case OK:
			if c.Fix != "" {
				t.Errorf("%s is well and has a fix: %q", c.ID, c.Fix)
			}
		case Warn, Fail:
			if c.Fix == "" {
				t.Errorf("%s is not well and names no fix: %+v", c.ID, c)
			}
		default:
			t.Errorf("%s has the result %q", c.ID, c.Result)
		}
	}
	for _, id := range []string{"privilege", "kernel", "bpf-jit", "bpffs", "btf", "unprivileged-bpf", "bpf-programs", "lockdown", "netns"} {
		if _, ok := seen[id]; !ok {
			t.Errorf("no check %s", id)
		}
	}
	if asked != 1 || seen["bpf-programs"].Result != OK {
		t.Errorf("programs were tried %d times: %+v", asked, seen["bpf-programs"])
	}
	if root := os.Geteuid() == 0; root != (seen["privilege"].Result == OK) {
		t.Errorf("root is %t: %+v", root, seen["privilege"])
	}
}

func TestProgramsRefused(t *testing.T) {
	for _, c := range Run(t.Context(), func() error { return errors.New("operation not permitted") }, func() ([]string, error) { return nil, nil }) {
		if c.ID == "bpf-programs" && (c.Result != Fail || !strings.Contains(c.Detail, "not permitted") || c.Fix == "") {
			t.Errorf("%+v", c)
		}
	}
}

func TestResult(t *testing.T) {
	if c := result("x", nil, "good", "fix"); c != (Check{ID: "x", Result: OK, Detail: "good"}) {
		t.Errorf("%+v", c)
	}
	if c := result("x", errors.New("bad"), "good", "fix"); c != (Check{ID: "x", Result: Fail, Detail: "bad", Fix: "fix"}) {
		t.Errorf("%+v", c)
	}
}
