package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd"
)

// outcome is what a user sees of one command, and what the daemon would run with.
type outcome struct {
	code           int
	stdout, stderr string
	ran            bool
	cfg            vpcd.Config
}

// run executes a command line in this process; the daemon itself does not start.
func run(t *testing.T, fail error, args ...string) outcome {
	t.Helper()
	var o outcome
	var out, errs bytes.Buffer
	cmd := root(func(_ context.Context, cfg vpcd.Config) error {
		o.ran, o.cfg = true, cfg
		return fail
	})
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs(args)
	o.code = report(&errs, cmd.ExecuteContext(t.Context()))
	o.stdout, o.stderr = out.String(), errs.String()
	return o
}

// config writes a YAML file and is its path.
func config(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vpcd.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	o := run(t, nil)
	c := o.cfg
	if o.code != 0 || c.DataDir != "/var/lib/vpcd" || c.Socket != "/run/vpcd/vpcd.sock" || c.SocketGroup != "vpc" || c.Account != "000000000001" ||
		c.MTU != 0 || c.FlowTable != 262144 || c.StrictCIDRs || c.DockerSocket != "/var/run/docker.sock" || len(c.Limits) != 0 {
		t.Errorf("%d %+v", o.code, c)
	}
	if c.Logger == nil || c.Ready == nil || c.Alive == nil || c.Version != version {
		t.Errorf("%+v", c)
	}
	// No port is open unless somebody asks for it.
	if c.EC2Listen != "" || c.EC2TLSCert != "" || c.EC2TLSKey != "" {
		t.Errorf("%+v", c)
	}
	if err := vpcd.CheckName(c.Name); err != nil {
		t.Errorf("the default name: %v", err)
	}
}

func TestEC2Flags(t *testing.T) {
	file := config(t, "ec2-listen: '127.0.0.1:8773'\nec2-tls-cert: cert.pem\n")
	o := run(t, nil, "--config", file, "--ec2-tls-key", "key.pem")
	if c := o.cfg; o.code != 0 || c.EC2Listen != "127.0.0.1:8773" || c.EC2TLSCert != "cert.pem" || c.EC2TLSKey != "key.pem" {
		t.Errorf("%d %q %+v", o.code, o.stderr, c)
	}
}

func TestPoolFlags(t *testing.T) {
	// One that was named is refused sooner than one that was not.
	if o := run(t, nil); len(o.cfg.PublicPools) != 0 {
		t.Errorf("without the flag %v counts as named", o.cfg.PublicPools)
	}
	if o := run(t, nil, "--help"); !strings.Contains(o.stdout, vpcd.DefaultPool) {
		t.Errorf("the default is not said: %s", o.stdout)
	}
	file := config(t, "public-pool: [203.0.113.0/24, '192.0.2.0/24,nat']\n")
	if o := run(t, nil, "--config", file); !slices.Equal(o.cfg.PublicPools, []string{"203.0.113.0/24", "192.0.2.0/24,nat"}) {
		t.Errorf("the file gives %v", o.cfg.PublicPools)
	}
	if o := run(t, nil, "--config", file, "--public-pool", "198.51.100.0/24"); !slices.Equal(o.cfg.PublicPools, []string{"198.51.100.0/24"}) {
		t.Errorf("the flag gives %v", o.cfg.PublicPools)
	}
	file = config(t, "public-allow: 192.168.0.0/16\n")
	if o := run(t, nil, "--config", file); !slices.Equal(o.cfg.PublicAllow, []string{"192.168.0.0/16"}) {
		t.Errorf("the file allows %v", o.cfg.PublicAllow)
	}
	if o := run(t, nil, "--public-allow", "192.168.0.0/16", "--public-allow", "10.9.0.0/16"); !slices.Equal(o.cfg.PublicAllow, []string{"192.168.0.0/16", "10.9.0.0/16"}) {
		t.Errorf("the flags allow %v", o.cfg.PublicAllow)
	}
}

// TestPrecedence: the command line wins over the environment, and that over the
// file, flag by flag.
func TestPrecedence(t *testing.T) {
	file := config(t, "name: from-file\nmtu: 1400\nflow-table: 1048576\nstrict-cidrs: true\naccount: '000000000009'\nlimit:\n- vpcs=7\n- subnets-per-vpc=8\n")
	t.Setenv("VPCD_NAME", "from-env")
	t.Setenv("VPCD_MTU", "1401")
	t.Setenv("VPCD_STRICT_CIDRS", "false")
	o := run(t, nil, "--config", file, "--name", "from-flag")
	if o.code != 0 {
		t.Fatal(o.stderr)
	}
	c := o.cfg
	if c.Name != "from-flag" || c.MTU != 1401 || c.FlowTable != 1048576 || c.StrictCIDRs || c.Account != "000000000009" {
		t.Errorf("%+v", c)
	}
	if c.Limits["vpcs"] != 7 || c.Limits["subnets-per-vpc"] != 8 || len(c.Limits) != 2 {
		t.Errorf("limits %v", c.Limits)
	}
	if o = run(t, nil, "--config", file, "--limit", "vpcs=9"); o.cfg.Limits["vpcs"] != 9 || len(o.cfg.Limits) != 1 {
		t.Errorf("limits of the command line and the file are mixed: %v", o.cfg.Limits)
	}
}

func TestConfigFromEnvironment(t *testing.T) {
	t.Setenv("VPCD_CONFIG", config(t, "name: from-file\n"))
	// Names that are nobody's setting do no harm.
	t.Setenv("VPCD_VERSION", "2")
	t.Setenv("VPCD_HELP", "please")
	if o := run(t, nil); o.code != 0 || o.cfg.Name != "from-file" {
		t.Errorf("%d %s %q", o.code, o.cfg.Name, o.stderr)
	}
}

func TestEmptyConfig(t *testing.T) {
	if o := run(t, nil, "--config", config(t, "# nothing yet\n")); o.code != 0 || !o.ran {
		t.Errorf("%d %q", o.code, o.stderr)
	}
}

// TestConfigRefused: one line that names the file and the key, exit code 8, and
// the daemon does not run.
func TestConfigRefused(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"unknown key":          {"flow_table: 4096", `unknown key "flow_table"`},
		"a flag of cobra's":    {"help: true", `unknown key "help"`},
		"a file in the file":   {"config: /other", `unknown key "config"`},
		"key twice":            {"mtu: 1400\nmtu: 1500", `"mtu" already set`},
		"no YAML":              {"{", "did not find expected"},
		"a list":               {"- mtu", "cannot unmarshal array"},
		"text for a number":    {"mtu: wide", "mtu: wide: want a number"},
		"quoted number":        {"mtu: '1400'", "mtu: 1400: want a number"},
		"fraction":             {"mtu: 1400.5", "mtu: "},
		"negative size":        {"flow-table: -1", "flow-table: "},
		"too large":            {"flow-table: 4294967296", "flow-table: "},
		"nothing":              {"data-dir:", "data-dir: "},
		"number for a name":    {"name: 17", "name: 17: want text"},
		"lost zeros":           {"account: 000000000001", "account: "},
		"truth for a name":     {"name: yes", "name: true: want text"},
		"text for a truth":     {"strict-cidrs: please", "strict-cidrs: please: want true or false"},
		"list for a name":      {"name: [a, b]", "name: "},
		"map for a limit":      {"limit: {vpcs: 7}", "limit: "},
		"numbers for limits":   {"limit: [7]", "limit: 7: want a list of texts"},
		"unknown limit":        {"limit: [moons=7]", "moons"},
		"limit without number": {"limit: [vpcs=many]", "vpcs=many"},
	} {
		t.Run(name, func(t *testing.T) {
			o := run(t, nil, "--config", config(t, tt.text))
			if o.code != exitRefused || o.ran || !strings.Contains(o.stderr, tt.want) {
				t.Errorf("exit %d, ran %t, %q; want 8 and %q", o.code, o.ran, o.stderr, tt.want)
			}
		})
	}
	if o := run(t, nil, "--config", "/does/not/exist"); o.code != exitRefused || !strings.Contains(o.stderr, "/does/not/exist") {
		t.Errorf("missing file: %d %q", o.code, o.stderr)
	}
	// An override does not hide a mistake.
	if o := run(t, nil, "--config", config(t, "mtu: wide"), "--mtu", "1400"); o.code != exitRefused {
		t.Errorf("overridden mistake: %d %q", o.code, o.stderr)
	}
}

func TestEnvironmentRefused(t *testing.T) {
	t.Setenv("VPCD_FLOW_TABLE", "many")
	o := run(t, nil)
	if o.code != exitRefused || o.ran || !strings.Contains(o.stderr, "environment VPCD_FLOW_TABLE") {
		t.Errorf("%d %q", o.code, o.stderr)
	}
	if o := run(t, nil, "--flow-table", "4096"); o.code != 0 {
		t.Errorf("the command line does not win over it: %d %q", o.code, o.stderr)
	}
}

func TestExitCodes(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		fail error
		code int
		want string
	}{
		"well":                {nil, nil, 0, ""},
		"failed":              {nil, errors.New("disk on fire"), exitOther, "Error: disk on fire\n"},
		"refused":             {nil, vpcd.ErrRefused, exitRefused, "refused"},
		"unknown flag":        {[]string{"--colour"}, nil, exitUsage, "--colour"},
		"flag without value":  {[]string{"--mtu"}, nil, exitUsage, "--mtu"},
		"flag of wrong type":  {[]string{"--mtu", "wide"}, nil, exitUsage, "wide"},
		"unknown command":     {[]string{"clean"}, nil, exitUsage, `"clean"`},
		"argument":            {[]string{"cleanup", "lab"}, nil, exitUsage, `"lab"`},
		"flag of a command":   {[]string{"cleanup", "--everything"}, nil, exitUsage, "--everything"},
		"backup where":        {[]string{"backup"}, nil, exitUsage, "FILE"},
		"restore twice":       {[]string{"restore", "a", "b"}, nil, exitUsage, "FILE"},
		"format":              {[]string{"doctor", "-o", "xml"}, nil, exitUsage, "xml"},
		"unknown limit":       {[]string{"--limit", "moons=7"}, nil, exitRefused, "moons"},
		"limit without value": {[]string{"--limit", "vpcs"}, nil, exitRefused, "NAME=NUMBER"},
		"impossible limit":    {[]string{"--limit", "vpcs=-2"}, nil, exitRefused, "vpcs"},
		"too many rules":      {[]string{"--limit", "rules-per-sg=200", "--limit", "sgs-per-eni=6"}, nil, exitRefused, "1200"},
		"backup of nothing":   {[]string{"backup", "--data-dir", "/does/not/exist", filepath.Join(t.TempDir(), "copy")}, nil, exitRefused, "/does/not/exist"},
		"bad name":            {[]string{"cleanup", "--name", "../etc"}, nil, exitRefused, "--name"},
	} {
		t.Run(name, func(t *testing.T) {
			o := run(t, tt.fail, tt.args...)
			if o.code != tt.code || !strings.Contains(o.stderr, tt.want) || o.stdout != "" {
				t.Errorf("exit %d, stdout %q, stderr %q; want %d and %q", o.code, o.stdout, o.stderr, tt.code, tt.want)
			}
			if lines := strings.Count(o.stderr, "\n"); lines > 1 {
				t.Errorf("%d lines of error: %q", lines, o.stderr)
			}
		})
	}
}

// TestDoctor: the report has one shape, whatever this machine is like, and the
// exit code follows it.
func TestDoctor(t *testing.T) {
	o := run(t, nil, "doctor", "-o", "json")
	var got struct{ Checks []map[string]string }
	dec := json.NewDecoder(strings.NewReader(o.stdout))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&got); err != nil {
		t.Fatalf("%v in %q", err, o.stdout)
	}
	failed := false
	for _, c := range got.Checks {
		if len(c) != 4 || c["ID"] == "" || c["Detail"] == "" || !strings.Contains("ok warn fail", c["Result"]) {
			t.Errorf("check %v", c)
		}
		failed = failed || c["Result"] == "fail"
	}
	if len(got.Checks) < 5 || failed != (o.code == exitAnswer) || !failed && o.code != 0 || o.stderr != "" {
		t.Errorf("%d checks, failed %t, exit %d, stderr %q", len(got.Checks), failed, o.code, o.stderr)
	}
	table := run(t, nil, "doctor")
	if lines := strings.Split(strings.TrimSpace(table.stdout), "\n"); len(lines) != len(got.Checks)+1 || !strings.HasPrefix(lines[0], "CHECK") || table.code != o.code {
		t.Errorf("exit %d\n%s", table.code, table.stdout)
	}
}

// TestHelp: every command says what it is for and shows how it is typed.
func TestHelp(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" || !strings.HasPrefix(c.Example, "  "+c.CommandPath()) {
			t.Errorf("%s: short %q, example %q", c.CommandPath(), c.Short, c.Example)
		}
		args := append(strings.Fields(c.CommandPath())[1:], "--help")
		if o := run(t, nil, args...); o.code != 0 || o.ran || !strings.Contains(o.stdout, c.Example) {
			t.Errorf("%v: exit %d, %q", args, o.code, o.stdout)
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root(nil))
	if o := run(t, nil, "--version"); o.code != 0 || !strings.Contains(o.stdout, version) {
		t.Errorf("--version: %d %q", o.code, o.stdout)
	}
}

func TestNameOf(t *testing.T) {
	for hostname, want := range map[string]string{
		"web": "web", "Web1.example.com": "web1", "a_b c": "a-b-c", "": "host", "...": "host", "---": "host", "über": "ber",
		"-x-": "x", strings.Repeat("a", 30): strings.Repeat("a", 24), strings.Repeat("a", 23) + "-b": strings.Repeat("a", 23),
	} {
		have := nameOf(hostname)
		if have != want {
			t.Errorf("%q is %q, want %q", hostname, have, want)
		}
		if err := vpcd.CheckName(have); err != nil {
			t.Errorf("%q: %v", hostname, err)
		}
	}
}

// TestNotify: one datagram per message, and silence where nobody listens.
func TestNotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	for _, addr := range []string{path, "@vpcd-test-" + strings.ReplaceAll(path, "/", "-")} {
		manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: addr, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { manager.Close() })
		t.Setenv("NOTIFY_SOCKET", addr)
		c := run(t, nil).cfg
		c.Ready()
		c.Alive()
		for _, want := range []string{"READY=1", "WATCHDOG=1"} {
			b := make([]byte, 100)
			if err := manager.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
				t.Fatal(err)
			}
			n, err := manager.Read(b)
			if err != nil || string(b[:n]) != want {
				t.Errorf("%s: %q, %v; want %q", addr, b[:n], err, want)
			}
		}
	}
	t.Setenv("NOTIFY_SOCKET", path+"-nobody")
	run(t, nil).cfg.Ready()
	t.Setenv("NOTIFY_SOCKET", "")
	run(t, nil).cfg.Ready()
}
