package harness

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/e2e/netns"
	"github.com/vpcfabric/vpc/vpcd/client"
)

// Host is what a script has, for a test that is written in Go: a name, a vpcd,
// workload namespaces, and the same end. What goes wrong fails the test, so its
// methods belong to the test's own goroutine.
type Host struct {
	*testing.T
	host *host
}

// NewHost has no daemon yet. It skips the test without root. When the test has
// ended, everything of the host is removed and the leak meter judges the rest.
func NewHost(t *testing.T, bin string) *Host {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("vpcd works in the kernel: this needs root")
	}
	h, err := newHost(t, Config{Bin: bin, Alone: os.Getenv("VPC_ALONE") == "1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.finish)
	return &Host{t, h}
}

// Start returns when vpcd is ready. Without flags it repeats those of the last start.
func (h *Host) Start(flags ...string) {
	h.Helper()
	if err := h.host.startDaemon(flags, 0); err != nil {
		h.host.showLog()
		h.Fatal(err)
	}
}

// KillAfter sends SIGKILL to vpcd when the time is over, in the middle of
// whatever happens then. dead is closed when it has ended; Buried must follow.
func (h *Host) KillAfter(d time.Duration) (dead <-chan struct{}) {
	p := h.host.daemon.Process
	time.AfterFunc(d, func() { p.Signal(syscall.SIGKILL) })
	return h.host.exited
}

// Buried waits for the end of a vpcd that has been killed: the next one can start.
func (h *Host) Buried() {
	h.Helper()
	<-h.host.exited
	h.host.api.Close() // its connections are nobody's now
	if err := h.host.stopDaemon(syscall.SIGKILL); err != nil {
		h.Fatal(err)
	}
}

// Client speaks to whichever vpcd of this host runs.
func (h *Host) Client() *client.Client { return h.host.api }

// Space makes a workload namespace and returns its full name.
func (h *Host) Space(alias string) string {
	h.Helper()
	if err := netns.Add(h.host.full(alias)); err != nil {
		h.Fatal(err)
	}
	h.host.spaces[alias] = true
	return h.host.full(alias)
}

// Vpc runs the command line.
func (h *Host) Vpc(args ...string) {
	h.Helper()
	if out, err := h.host.run(patience, "vpc", args...); err != nil {
		h.Fatalf("vpc %v: %v\n%s%s", args, err, out.stdout, out.stderr)
	}
}
