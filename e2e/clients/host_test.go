package clients

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/e2e/clients/query"
	"github.com/vpcfabric/vpc/e2e/harness"
	"github.com/vpcfabric/vpc/e2e/meter"
	"github.com/vpcfabric/vpc/e2e/netns"
)

const (
	patience = 30 * time.Second      // one run of a binary
	soon     = 10 * time.Second      // what must happen by itself
	pause    = 50 * time.Millisecond // between two looks
	loopback = "127.0.0.1:0"
	account  = "000000000001" // of what comes over the socket
)

// bin has the binaries under test: VPC_BIN, or built once from this checkout.
var bin string

func TestMain(m *testing.M) { os.Exit(harness.Main(m, &bin)) }

// host is a vpcd of the test's own and the namespaces around it.
type host struct {
	*testing.T
	name, dir, socket string
	// home is the namespace that the daemon runs in, "" the machine's first.
	home   string
	daemon *exec.Cmd
}

// newHost prepares a host without a daemon; the leak meter runs when the test
// has ended and everything of the host is gone.
func newHost(t *testing.T) *host {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("vpcd works in the kernel: this needs root")
	}
	b := make([]byte, 2)
	rand.Read(b)
	h := &host{T: t, name: "c" + hex.EncodeToString(b)}
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
	return h
}

// startHost is newHost with a daemon that serves EC2's clients.
func startHost(t *testing.T, flags ...string) *host {
	t.Helper()
	h := newHost(t)
	h.start(append(flags, "--ec2-listen", loopback)...)
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
func (h *host) at(ctx context.Context, name string, args ...string) *exec.Cmd {
	if h.home == "" {
		return exec.CommandContext(ctx, name, args...)
	}
	return exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + netns.Path(h.home), "--", name}, args...)...)
}

// pool is one that the stories beside this one do not have: they share a network.
func (h *host) pool() string {
	sum := fnv.New32a()
	sum.Write([]byte(h.name))
	n := sum.Sum32() % (1 << 13) // the networks of 16 in 198.18.0.0/15
	return fmt.Sprintf("198.%d.%d.%d/28", 18+n>>12, n>>4&255, n&15*16)
}

// vpcd is the daemon as a command, with the flags that keep it to this host.
func (h *host) vpcd(ctx context.Context, flags ...string) *exec.Cmd {
	own := []string{"--name", h.name, "--data-dir", filepath.Join(h.dir, "data"), "--socket", h.socket, "--public-pool", h.pool()}
	cmd := h.at(ctx, filepath.Join(bin, "vpcd"), append(own, flags...)...)
	// A test that is killed must not leave its daemon.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	return cmd
}

func (h *host) start(flags ...string) {
	h.Helper()
	log, err := os.OpenFile(filepath.Join(h.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	h.must(err)
	defer log.Close()
	h.daemon = h.vpcd(context.Background(), flags...)
	h.daemon.Stdout, h.daemon.Stderr = log, log
	h.must(h.daemon.Start())
	h.Cleanup(h.remove)
	h.eventually("vpcd is ready", func() error { _, err := h.try("status"); return err })
}

func (h *host) stop() {
	h.daemon.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(patience, func() { h.daemon.Process.Kill() })
	defer kill.Stop()
	h.daemon.Wait()
}

// remove takes everything of the host away.
func (h *host) remove() {
	h.stop()
	args := []string{"cleanup", "--name", h.name, "--data-dir", filepath.Join(h.dir, "data"), "--purge-data", "--force"}
	if out, err := h.at(context.Background(), filepath.Join(bin, "vpcd"), args...).CombinedOutput(); err != nil {
		h.Errorf("vpcd cleanup: %v\n%s", err, out)
	}
	if h.Failed() {
		h.tail()
	}
}

// tail shows the end of the daemon's log.
func (h *host) tail() {
	const lines = 40
	b, err := os.ReadFile(filepath.Join(h.dir, "log"))
	if err != nil {
		return
	}
	all := strings.Split(strings.TrimSpace(string(b)), "\n")
	h.Logf("the end of vpcd's log:\n%s", strings.Join(all[max(0, len(all)-lines):], "\n"))
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
	tick := time.NewTicker(pause)
	defer tick.Stop()
	end := time.Now().Add(soon)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			// Not Fatal: clean-up uses it too, and must go on.
			h.Errorf("not within %s: %s: %v", soon, what, err)
			return
		}
		<-tick.C
	}
}

// try runs vpc and returns what it has printed; the error has the rest.
func (h *host) try(args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "vpc"), args...)
	cmd.Env = append(os.Environ(), "VPC_SOCKET="+h.socket)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.Bytes(), fmt.Errorf("vpc %s: %w: %s%s", strings.Join(args, " "), err, &stdout, &stderr)
	}
	return stdout.Bytes(), nil
}

// vpc runs a command that must succeed.
func (h *host) vpc(args ...string) []byte {
	h.Helper()
	out, err := h.try(args...)
	h.must(err)
	return out
}

// ask runs a command of an account with -o json and reads its answer.
func ask[Res any](h *host, account string, args ...string) *Res {
	h.Helper()
	out := h.vpc(append([]string{"--account", account, "-o", "json"}, args...)...)
	res := new(Res)
	if err := json.Unmarshal(out, res); err != nil {
		h.Fatalf("vpc %v: %v: %s", args, err, out)
	}
	return res
}

// verify wants store, plan and kernel to agree soon.
func (h *host) verify() {
	h.Helper()
	h.eventually("verify is clean", func() error { _, err := h.try("verify"); return err })
}

// environment is what `vpc env` gives an account's clients.
type environment map[string]string

func (h *host) env(account string) environment {
	h.Helper()
	var env environment
	h.must(json.Unmarshal(h.vpc("--account", account, "env", "--shell", "json"), &env))
	return env
}

// client signs by itself with what the environment has.
func (e environment) client() *query.Client {
	return &query.Client{URL: e["AWS_ENDPOINT_URL"], Region: e["AWS_REGION"], ID: e["AWS_ACCESS_KEY_ID"], Secret: e["AWS_SECRET_ACCESS_KEY"]}
}

// list is the environment for a program: this, and of the test's own what finds
// programs. Settings of whoever runs the test must not decide about it.
func (e environment) list(dir string) []string {
	out := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C.UTF-8",
		"AWS_CONFIG_FILE=" + filepath.Join(dir, "none"), "AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(dir, "none")}
	for name, value := range e {
		out = append(out, name+"="+value)
	}
	return out
}
