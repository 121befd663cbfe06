package crash

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/e2e/meter"
	"github.com/vpcfabric/vpc/e2e/probe"
)

// ofMoving are the steps in which programs and flows move to another layout of
// the maps; no other Apply has all of them.
var ofMoving = []string{
	"before put port", "before put flow", "after put flow", "before put program",
	"after put program", "before put late-flow", "after put late-flow",
}

// startWith runs a daemon with a flow table of that size, which is a layout of its own.
func (d *daemon) startWith(table int, step string) {
	d.t.Helper()
	d.cmd = exec.Command(d.bin+"/vpcd", "--name", d.name, "--data-dir", d.dir+"/data", "--socket", d.dir+"/s", "--flow-table", fmt.Sprint(table))
	d.cmd.Env = append(os.Environ(), "VPCD_CRASH_AT="+step, "VPCD_CRASH_WHEN="+d.arm)
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	d.log.Reset()
	d.cmd.Stderr = &d.log
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.done = make(chan struct{})
	go func(c *exec.Cmd, done chan struct{}) {
		_ = c.Wait() // how it ended is what the test asks elsewhere
		close(done)
	}(d.cmd, d.done)
}

// dies waits for the crash.
func (d *daemon) dies() {
	d.t.Helper()
	select {
	case <-d.done:
	case <-time.After(recovery):
		d.t.Fatalf("it lives past the step\n%s", d.log.String())
	}
	if _, err := os.Stat(d.arm); err == nil {
		d.t.Fatalf("it died before the step\n%s", d.log.String())
	}
}

// movingWorld has a connection whose rule is gone, and a stream without loss.
type movingWorld struct {
	*daemon
	a, b string
	to   netip.Addr
}

func newMovingWorld(t *testing.T) movingWorld {
	t.Helper()
	dir, err := os.MkdirTemp("", "vpcc")
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{t: t, bin: build(t), name: fmt.Sprintf("tc%dm", os.Getpid()), dir: dir, arm: filepath.Join(dir, "armed")}
	t.Cleanup(func() {
		d.kill()
		if out, err := exec.Command(d.bin+"/vpcd", "cleanup", "--name", d.name, "--force").CombinedOutput(); err != nil {
			t.Errorf("cleanup: %v\n%s", err, out)
		}
		os.RemoveAll(dir)
	})
	w := movingWorld{daemon: d, a: netns(t, "ma"), b: netns(t, "mb"), to: netip.MustParseAddr("10.0.2.10")}
	d.startWith(4096, "")
	d.ready()
	for _, line := range []string{
		"create prod --cidr 10.0.0.0/16", "subnet add web --vpc prod --cidr 10.0.1.0/24", "subnet add db --vpc prod --cidr 10.0.2.0/24",
		"sg add some --vpc prod", "sg allow some --vpc prod --in tcp/8080-8081 --from 10.0.1.0/24", "sg allow some --vpc prod --in udp --from 10.0.1.0/24",
		"attach netns:" + w.a + " --subnet web --sg some --ip 10.0.1.10", "attach netns:" + w.b + " --subnet db --sg some --ip 10.0.2.10",
		"sg allow some --vpc prod --in tcp/9000-9003 --from 10.0.1.0/24",
	} {
		w.do(line)
	}
	return w
}

func (w movingWorld) do(line string) {
	w.t.Helper()
	if out, err := w.vpc(strings.Fields(line)...); err != nil {
		w.t.Fatalf("vpc %s: %v\n%s", line, err, out)
	}
}

func (w movingWorld) serve(port uint16) {
	w.t.Helper()
	echo, err := probe.Serve(w.b, "tcp", port)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { echo.Close() })
}

// TestFlowsOutliveACrashWhileTheyMove: whichever step of a change of layout is the
// last one of a life, the next life completes it, and nothing is lost.
func TestFlowsOutliveACrashWhileTheyMove(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: runs vpcd")
	}
	w := newMovingWorld(t)
	ports := []uint16{9000, 9001, 9002, 9003}
	for _, port := range append(ports, 8080) {
		w.serve(port)
	}
	held, err := probe.Open(w.a, netip.AddrPortFrom(w.to, 8080), 10)
	if err != nil {
		t.Fatal(err)
	}
	loss, err := meter.StartLoss(w.a, w.b, netip.AddrPortFrom(w.to, 7000), 1000)
	if err != nil {
		t.Fatal(err)
	}
	w.do("sg revoke some --vpc prod --in tcp/8080-8081 --from 10.0.1.0/24")
	for i, step := range ofMoving {
		table := []int{65536, 32768}[i%2] // with room for what the short connections leave
		served := make(chan error, 1)
		go func() {
			_, err := probe.ShortFlows(w.a, w.to, ports, 300, 200)
			served <- err
		}()
		w.kill()
		if err := os.WriteFile(w.arm, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		w.startWith(table, step)
		w.dies()
		w.startWith(table, "")
		w.ready()
		if err := <-served; err != nil {
			t.Errorf("%s: a new connection: %v", step, err)
		}
		if n, resets := held.Flowing(time.Second / 2); n != held.Size() || resets != 0 {
			t.Errorf("%s: %d of %d connections flow, %d were reset", step, n, held.Size(), resets)
		}
	}
	if got := loss.Stop(); got.Lost() != 0 {
		t.Error(got)
	}
	if got := held.Close(); got.Resets != 0 || got.Wrong != 0 {
		t.Errorf("%+v", got)
	}
}
