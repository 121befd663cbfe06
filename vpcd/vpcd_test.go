package vpcd

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/client"
)

func TestRun(t *testing.T) {
	d := start(t, config(t))
	d.settle(t)
	h := d.host(t)
	if h.HostName != d.Name || h.State != api.HostStateReady || !api.Val(h.Ready) || len(h.Reasons) != 0 || h.Version != "test" || api.Val(h.Mtu) != 1450 {
		t.Errorf("host %+v", h)
	}
	d.attach(t, d.subnet(t))
	if h = d.host(t); api.Val(h.Workloads) != 1 || api.Val(h.Subnets) != 1 || h.State != api.HostStateReady {
		t.Errorf("host %+v", h)
	}
	v := do[api.VerifyHostRequest, api.VerifyHostResult](t, d, "VerifyHost", api.VerifyHostRequest{})
	if len(v.Drifts) != 0 {
		t.Errorf("drift right after an attachment: %+v", v.Drifts)
	}
}

// TestSurvives: stopping leaves the data plane, and the next daemon finds it.
func TestSurvives(t *testing.T) {
	cfg := config(t)
	d := start(t, cfg)
	d.attach(t, d.subnet(t))
	d.stop(t)
	d = start(t, cfg)
	d.settle(t)
	if h := d.host(t); api.Val(h.Workloads) != 1 || h.State != api.HostStateReady {
		t.Errorf("host %+v", h)
	}
}

// TestBrake: a daemon whose store has lost its records removes nothing until it
// is told to.
func TestBrake(t *testing.T) {
	cfg := config(t)
	d := start(t, cfg)
	d.attach(t, d.subnet(t))
	d.stop(t)
	cfg.DataDir += "-empty"
	d = start(t, cfg)
	d.settle(t)
	if h := d.host(t); h.State != api.HostStateBraked || len(h.Reasons) != 1 {
		t.Fatalf("host %+v", h)
	}
	do[api.ConfirmHostRequest, api.ConfirmHostResult](t, d, "ConfirmHost", api.ConfirmHostRequest{})
	if h := d.host(t); h.State != api.HostStateReady {
		t.Errorf("after the confirmation: %+v", h)
	}
}

func TestSecondOfTheName(t *testing.T) {
	d := start(t, config(t))
	other := d.Config
	other.DataDir, other.Socket = d.DataDir+"-2", d.Socket+"-2"
	refused(t, other, d.Name, d.DataDir, "--name", "pid ")
	absent(t, other.DataDir, other.Socket)
	d.host(t)
}

func TestSecondOnTheDataDir(t *testing.T) {
	d := start(t, config(t))
	other := config(t)
	other.DataDir = d.DataDir
	refused(t, other, "--data-dir", d.DataDir)
	absent(t, other.Socket)
	d.host(t)
}

func TestSecondOnTheSocket(t *testing.T) {
	d := start(t, config(t))
	other := config(t)
	other.Socket = d.Socket
	refused(t, other, "--socket", d.Socket)
	absent(t, other.DataDir)
	d.host(t)
}

func TestStaleSocket(t *testing.T) {
	cfg := config(t)
	deadSocket(t, cfg.Socket)
	start(t, cfg).host(t)
}

func TestSomethingElseAtTheSocket(t *testing.T) {
	cfg := config(t)
	cfg.Socket = filepath.Join(t.TempDir(), "notes")
	if err := os.WriteFile(cfg.Socket, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, cfg, "--socket", cfg.Socket)
	if text, err := os.ReadFile(cfg.Socket); string(text) != "mine" {
		t.Errorf("the file is %q, %v", text, err)
	}
}

// TestDeepDataDir: a directory deeper than a socket's path can be.
func TestDeepDataDir(t *testing.T) {
	cfg := config(t)
	cfg.DataDir = filepath.Join(cfg.DataDir, strings.Repeat("deep/", 30))
	d := start(t, cfg)
	d.subnet(t)
	if err := Backup(t.Context(), cfg.DataDir, filepath.Join(t.TempDir(), "copy")); err != nil {
		t.Error(err)
	}
}

// TestBadConfig needs no root: what is wrong is found before anything is done.
func TestBadConfig(t *testing.T) {
	dir := t.TempDir()
	good := Config{Name: "t-never", DataDir: filepath.Join(dir, "data"), Socket: filepath.Join(dir, "s"), MTU: 1450}
	for name, tt := range map[string]struct {
		edit func(*Config)
		want string
	}{
		"no name":          {func(c *Config) { c.Name = "" }, "--name"},
		"name with dot":    {func(c *Config) { c.Name = "a.b" }, "--name"},
		"name with slash":  {func(c *Config) { c.Name = "../a" }, "--name"},
		"name too long":    {func(c *Config) { c.Name = strings.Repeat("a", 25) }, "--name"},
		"tiny MTU":         {func(c *Config) { c.MTU = 575 }, "--mtu 575"},
		"huge MTU":         {func(c *Config) { c.MTU = 9002 }, "--mtu 9002"},
		"negative MTU":     {func(c *Config) { c.MTU = -1 }, "--mtu -1"},
		"tiny flow table":  {func(c *Config) { c.FlowTable = 1023 }, "--flow-table 1023"},
		"large flow table": {func(c *Config) { c.FlowTable = 1<<24 + 1 }, "--flow-table 16777217"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			tt.edit(&cfg)
			refused(t, cfg, tt.want)
			absent(t, cfg.DataDir, cfg.Socket)
		})
	}
}

// TestBadPaths are refused by the system, in one line.
func TestBadPaths(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*Config) string{
		"relative socket":       func(c *Config) string { c.Socket = "s"; return "--socket" },
		"no socket":             func(c *Config) string { c.Socket = ""; return "--socket" },
		"socket path too long":  func(c *Config) string { c.Socket = "/tmp/" + strings.Repeat("s", 120); return "--socket" },
		"data directory a file": func(c *Config) string { c.DataDir = file; return "--data-dir" },
		"below a file":          func(c *Config) string { c.DataDir = file + "/data"; return "--data-dir" },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t)
			word := edit(&cfg)
			refused(t, cfg, word)
			absent(t, cfg.Socket)
		})
	}
}

func TestCheckName(t *testing.T) {
	for _, good := range []string{"a", "7", "web-1", "a--b", strings.Repeat("a", 24)} {
		if err := CheckName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "-a", "a-", "A", "a_b", "a b", "a\n", "ä", ".", "..", "a/b", strings.Repeat("a", 25)} {
		if err := CheckName(bad); !errors.Is(err, ErrRefused) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestStops: a daemon that is told to stop does so at once, also with a caller
// that waits for something, and leaves neither goroutine nor descriptor.
func TestStops(t *testing.T) {
	cfg := config(t)
	// What a process makes once and keeps is not a leak.
	start(t, cfg).stop(t)
	goroutines, files := runtime.NumGoroutine(), descriptors(t)

	d := start(t, cfg)
	d.settle(t)
	waiting, hung := make(chan struct{}), make(chan error, 1)
	go func() {
		close(waiting)
		_, _, err := client.Call[api.WaitAppliedRequest, api.WaitAppliedResult](context.Background(), d.client, "WaitApplied",
			&api.WaitAppliedRequest{Revision: api.Ptr(int64(1) << 60)})
		hung <- err
	}()
	<-waiting
	d.host(t)
	began := time.Now()
	d.stop(t)
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("stopping took %s", took)
	}
	if err := <-hung; err == nil {
		t.Error("a revision of the far future was applied")
	}
	absent(t, cfg.Socket, filepath.Join(cfg.DataDir, backupSocket))

	deadline := time.After(5 * time.Second)
	for runtime.NumGoroutine() > goroutines || descriptors(t) > files {
		select {
		case <-deadline:
			var b strings.Builder
			_ = pprof.Lookup("goroutine").WriteTo(&b, 1)
			t.Fatalf("%d goroutines, %d before; %d descriptors, %d before\n%s", runtime.NumGoroutine(), goroutines, descriptors(t), files, b.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
