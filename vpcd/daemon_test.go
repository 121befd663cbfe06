package vpcd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/dataplane"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/client"
)

// The main thread's namespace is what /proc/self shows: as in the program, it
// must never visit another one.
func init() { runtime.LockOSThread() }

// patience bounds every wait; a wait that takes as long has failed.
const patience = 20 * time.Second

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: the daemon works in the kernel")
	}
}

var serial atomic.Int32

// config is of a host that nobody else has; what it leaves in the kernel is
// removed at the end.
func config(t *testing.T) Config {
	t.Helper()
	needRoot(t)
	dir := t.TempDir()
	cfg := Config{
		Name: fmt.Sprintf("t%d-%d", os.Getpid(), serial.Add(1)), DataDir: filepath.Join(dir, "data"), Socket: filepath.Join(dir, "run", "s"),
		MTU: 1450, FlowTable: 4096, DockerSocket: filepath.Join(dir, "no-docker"), Version: "test",
	}
	t.Cleanup(func() {
		if _, err := Cleanup(context.Background(), CleanupOptions{Name: cfg.Name, Force: true}); err != nil {
			t.Errorf("cleanup: %v", err)
		}
		if hosts, err := dataplane.Hosts(); err != nil || slices.Contains(hosts, cfg.Name) {
			t.Errorf("after cleanup the kernel knows %v, %v", hosts, err)
		}
	})
	return cfg
}

// daemon is one that runs in this process.
type daemon struct {
	Config
	client *client.Client
	cancel context.CancelFunc
	ended  chan error
}

// start returns when requests are answered.
func start(t *testing.T, cfg Config) *daemon {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	d := &daemon{Config: cfg, client: client.New(cfg.Socket), cancel: cancel, ended: make(chan error, 1)}
	ready := make(chan struct{})
	cfg.Ready = func() { close(ready) }
	go func() { d.ended <- Run(ctx, cfg) }()
	select {
	case <-ready:
	case err := <-d.ended:
		t.Fatalf("the daemon did not start: %v", err)
	case <-time.After(patience):
		t.Fatal("the daemon was not ready in time")
	}
	t.Cleanup(func() { d.stop(t) })
	return d
}

// stop is harmless on one that has stopped.
func (d *daemon) stop(t *testing.T) {
	t.Helper()
	d.client.Close()
	d.cancel()
	select {
	case err, running := <-d.ended:
		if running {
			close(d.ended)
		}
		if err != nil {
			t.Errorf("the daemon ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the daemon did not stop in time")
	}
}

func do[Req, Res any](t *testing.T, d *daemon, action string, req Req) *Res {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	res, _, err := client.Call[Req, Res](ctx, d.client, action, &req)
	if err != nil {
		t.Fatalf("%s: %v", action, err)
	}
	return res
}

// subnet makes a VPC with one subnet and is the subnet's id.
func (d *daemon) subnet(t *testing.T) string {
	t.Helper()
	vpc := do[api.CreateVpcRequest, api.CreateVpcResult](t, d, "CreateVpc", api.CreateVpcRequest{CidrBlock: "10.0.0.0/16"})
	return do[api.CreateSubnetRequest, api.CreateSubnetResult](t, d, "CreateSubnet",
		api.CreateSubnetRequest{VpcId: vpc.Vpc.VpcId, CidrBlock: "10.0.1.0/24"}).Subnet.SubnetId
}

// attach gives a new namespace an interface and waits until the kernel has it.
func (d *daemon) attach(t *testing.T, subnet string) {
	t.Helper()
	name := d.Name + "-web"
	netns(t, name)
	do[api.AttachWorkloadRequest, api.AttachWorkloadResult](t, d, "AttachWorkload", api.AttachWorkloadRequest{Target: "netns:" + name, SubnetId: subnet})
	d.settle(t)
}

// settle waits until the kernel has what the store has.
func (d *daemon) settle(t *testing.T) {
	t.Helper()
	h := d.host(t)
	do[api.WaitAppliedRequest, api.WaitAppliedResult](t, d, "WaitApplied", api.WaitAppliedRequest{Revision: h.StoreRevision})
}

func (d *daemon) host(t *testing.T) api.Host {
	t.Helper()
	hosts := do[api.DescribeHostsRequest, api.DescribeHostsResult](t, d, "DescribeHosts", api.DescribeHostsRequest{}).Hosts
	if len(hosts) != 1 {
		t.Fatalf("hosts %+v", hosts)
	}
	return hosts[0]
}

func netns(t *testing.T, name string) {
	t.Helper()
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "del", name).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
}

// refused asserts that a start ends with ErrRefused and words that help.
func refused(t *testing.T, cfg Config, words ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := Run(ctx, cfg)
	if !errors.Is(err, ErrRefused) {
		t.Fatalf("Run: %v, want a refusal", err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not name %q", err, w)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %q", err)
	}
}

// absent asserts that a refused start left nothing at the paths.
func absent(t *testing.T, paths ...string) {
	t.Helper()
	for _, p := range paths {
		if _, err := os.Lstat(p); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s was made (%v)", p, err)
		}
	}
}

// deadSocket is one that nobody listens on any more.
func deadSocket(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}
