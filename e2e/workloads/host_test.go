package workloads

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/e2e/harness"
	"github.com/vpcfabric/vpc/e2e/meter"
	"github.com/vpcfabric/vpc/e2e/netns"
	"github.com/vpcfabric/vpc/e2e/probe"
	"github.com/vpcfabric/vpc/vpcd/api"
)

const (
	patience = 20 * time.Second      // one run of a binary
	soon     = 10 * time.Second      // what must happen by itself
	pause    = 50 * time.Millisecond // between two looks
)

// bin has the binaries under test: VPC_BIN, or built once from this checkout.
var bin string

func TestMain(m *testing.M) { os.Exit(harness.Main(m, &bin)) }

// need skips a test without root or one of the tools; with CI=true a missing
// tool is a failure.
func need(t *testing.T, tools ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("workloads are attached in the kernel: this needs root")
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			missing(t, "%s is missing: make deps installs it", tool)
		}
	}
}

func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// host is a vpcd of the test's own and the namespaces around it.
type host struct {
	*testing.T
	name, dir, socket string
	// home is the namespace that the daemon runs in, "" the machine's first.
	home   string
	flags  []string
	daemon *exec.Cmd
}

// newHost starts a vpcd; flags are added to those every test needs. home true
// runs it in a namespace of its own, which stands for a machine.
func newHost(t *testing.T, home bool, flags ...string) *host {
	t.Helper()
	b := make([]byte, 2)
	rand.Read(b)
	h := &host{T: t, name: "w" + hex.EncodeToString(b)}
	dir, err := os.MkdirTemp("", h.name)
	h.must(err)
	h.dir, h.socket = dir, filepath.Join(dir, "vpcd.sock")
	h.must(netns.Prepare())
	scope := meter.Scope{Host: h.name, Bin: bin}
	before, err := meter.Take(scope)
	h.must(err)
	t.Cleanup(func() {
		os.RemoveAll(dir)
		h.noLeaks(scope, before)
	})
	if home {
		h.home = h.space("home")
	}
	h.flags = flags
	h.start()
	t.Cleanup(h.remove)
	return h
}

func (h *host) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// space makes a named namespace that goes with the test.
func (h *host) space(alias string) string {
	h.Helper()
	name := h.name + "-" + alias
	h.must(netns.Add(name))
	h.Cleanup(func() {
		if err := netns.Delete(name); err != nil {
			h.Error(err)
		}
	})
	return name
}

// at makes a command run in the daemon's namespace.
func (h *host) at(name string, args ...string) *exec.Cmd {
	if h.home == "" {
		return exec.Command(name, args...)
	}
	return exec.Command("nsenter", append([]string{"--net=" + netns.Path(h.home), "--", name}, args...)...)
}

func (h *host) start() {
	h.Helper()
	log, err := os.OpenFile(filepath.Join(h.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	h.must(err)
	defer log.Close()
	d := h.at(filepath.Join(bin, "vpcd"), append([]string{"--name", h.name, "--data-dir", filepath.Join(h.dir, "data"), "--socket", h.socket}, h.flags...)...)
	d.Stdout, d.Stderr = log, log
	// A test that is killed must not leave its daemon.
	d.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	h.must(d.Start())
	h.daemon = d
	h.eventually("vpcd is ready", func() error { _, err := h.try("status"); return err })
}

func (h *host) stop() {
	h.daemon.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(patience, func() { h.daemon.Process.Kill() })
	defer kill.Stop()
	h.daemon.Wait()
}

// daemonAway does something while no daemon runs.
func (h *host) daemonAway(f func()) {
	h.Helper()
	h.stop()
	f()
	h.start()
}

// remove takes everything of the host away.
func (h *host) remove() {
	h.stop()
	args := []string{"cleanup", "--name", h.name, "--data-dir", filepath.Join(h.dir, "data"), "--purge-data", "--force"}
	if out, err := h.at(filepath.Join(bin, "vpcd"), args...).CombinedOutput(); err != nil {
		h.Errorf("vpcd cleanup: %v\n%s", err, out)
	}
	if h.Failed() {
		h.tail("log")
	}
}

// tail shows the end of a file of the test's directory.
func (h *host) tail(file string) {
	const lines = 40
	b, err := os.ReadFile(filepath.Join(h.dir, file))
	if err != nil {
		return
	}
	all := strings.Split(strings.TrimSpace(string(b)), "\n")
	h.Logf("the end of %s:\n%s", file, strings.Join(all[max(0, len(all)-lines):], "\n"))
}

// noLeaks compares with the dump from before the test; the kernel ends
// namespaces in the background, so a difference is looked at again.
func (h *host) noLeaks(scope meter.Scope, before meter.Dump) {
	h.eventually("nothing is left", func() error {
		after, err := meter.Take(scope)
		if err != nil {
			return err
		}
		var errs []error
		for _, ch := range meter.Compare(before, after) {
			errs = append(errs, errors.New(ch.String()))
		}
		return errors.Join(errs...)
	})
}

// eventually looks until f succeeds.
func (h *host) eventually(what string, f func() error) {
	h.Helper()
	h.within(soon, what, f)
}

func (h *host) within(limit time.Duration, what string, f func() error) {
	h.Helper()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	end := time.Now().Add(limit)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			// Not Fatal: clean-up uses it too, and must go on.
			h.Errorf("not within %s: %s: %v", limit, what, err)
			return
		}
		<-tick.C
	}
}

// answer is what a finished vpc has said.
type answer struct {
	stdout, stderr string
	exit           int
}

func (h *host) try(args ...string) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "vpc"), args...)
	cmd.Env = append(os.Environ(), "VPC_SOCKET="+h.socket)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	a := answer{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
	if err != nil {
		err = fmt.Errorf("vpc %s: %w: %s%s", strings.Join(args, " "), err, a.stdout, a.stderr)
	}
	return a, err
}

// vpc runs a command that must succeed.
func (h *host) vpc(line string) string {
	h.Helper()
	a, err := h.try(strings.Fields(line)...)
	h.must(err)
	return a.stdout
}

// refused runs a command that must fail with this exit code and words.
func (h *host) refused(exit int, words, line string) {
	h.Helper()
	a, _ := h.try(strings.Fields(line)...)
	if a.exit != exit || !strings.Contains(a.stderr, words) {
		h.Errorf("vpc %s: exit code %d, want %d and %q: %s%s", line, a.exit, exit, words, a.stdout, a.stderr)
	}
}

// eni is one interface as `vpc eni show` has it.
func (h *host) eni(ref string) (api.NetworkInterface, error) {
	a, err := h.try("eni", "show", ref, "-o", "json")
	if err != nil {
		return api.NetworkInterface{}, err
	}
	var out api.DescribeNetworkInterfacesResult
	if err := json.Unmarshal([]byte(a.stdout), &out); err != nil {
		return api.NetworkInterface{}, err
	}
	if len(out.NetworkInterfaces) != 1 {
		return api.NetworkInterface{}, fmt.Errorf("%d interfaces are %s", len(out.NetworkInterfaces), ref)
	}
	return out.NetworkInterfaces[0], nil
}

// attached waits until the kernel has an interface's port, or has it no more.
func (h *host) attached(ref string, want bool) api.NetworkInterface {
	h.Helper()
	var n api.NetworkInterface
	h.eventually(fmt.Sprintf("%s attached: %t", ref, want), func() (err error) {
		if n, err = h.eni(ref); err != nil {
			return err
		}
		if have := up(n); have != want {
			return fmt.Errorf("it is %t: %+v", have, n.Attachment)
		}
		return nil
	})
	return n
}

func up(n api.NetworkInterface) bool {
	return n.Attachment != nil && n.Attachment.Status == api.AttachmentStatusAttached
}

// released waits until the interface is available: its workload will never be
// back, and nobody has asked for its deletion.
func (h *host) released(ref string) {
	h.Helper()
	h.eventually(ref+" is available", func() error {
		n, err := h.eni(ref)
		if err == nil && (n.Status != api.NetworkInterfaceStatusAvailable || n.Attachment != nil) {
			err = fmt.Errorf("it is %s: %+v", n.Status, n.Attachment)
		}
		return err
	})
}

// verify wants store, plan and kernel to agree soon.
func (h *host) verify() {
	h.Helper()
	h.eventually("verify is clean", func() error { _, err := h.try("verify"); return err })
}

// drops counts packets by reason/stage over all interfaces.
func (h *host) drops() map[string]int64 {
	h.Helper()
	var res api.DescribeDropsResult
	h.must(json.Unmarshal([]byte(h.vpc("drops -o json")), &res))
	out := map[string]int64{}
	for _, d := range res.Drops {
		out[d.Reason+"/"+d.Stage] += api.Val(d.Packets)
	}
	return out
}

// ping wants one answer, at the first try.
func (h *host) ping(from, to string) {
	h.Helper()
	if err := probe.Ping(from, netip.MustParseAddr(to), 0); err != nil {
		drops, _ := h.try("drops")
		drift, _ := h.try("verify")
		h.Errorf("ping from %s to %s: %v\n%s%s", from, to, err, drops.stdout, drift.stdout)
	}
}
