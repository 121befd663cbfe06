package workloads

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// process is one that sleeps in a network namespace of its own, in which
// nobody else is.
type process struct {
	*testing.T
	cmd *exec.Cmd
}

func newProcess(t *testing.T) *process {
	t.Helper()
	cmd := exec.Command("sleep", "infinity")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{t, cmd}
	t.Cleanup(p.kill)
	return p
}

func (p *process) pid() int       { return p.cmd.Process.Pid }
func (p *process) target() string { return fmt.Sprintf("pid:%d", p.pid()) }

func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// in runs a program in the namespace of the process.
func (p *process) in(line string) (string, error) {
	out, err := exec.Command("nsenter", append([]string{"--net=/proc/" + strconv.Itoa(p.pid()) + "/ns/net", "--"}, strings.Fields(line)...)...).CombinedOutput()
	return string(out), err
}

func processHost(t *testing.T) (h *host, peer string) {
	t.Helper()
	need(t, "nsenter", "ip", "ping")
	h = newHost(t, false)
	peer = h.space("peer")
	h.vpc("create prod --cidr 10.0.0.0/16")
	h.vpc("subnet add web --vpc prod --cidr 10.0.1.0/24")
	h.vpc("attach netns:" + peer + " --subnet web --ip 10.0.1.20")
	return h, peer
}

func TestProcess(t *testing.T) {
	h, peer := processHost(t)
	p := newProcess(t)
	h.vpc("attach " + p.target() + " --subnet web --ip 10.0.1.10")
	h.ping(peer, "10.0.1.10")
	if out, err := p.in("ping -c 1 -W 3 10.0.1.20"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	h.refused(4, "--ifname", "attach "+p.target()+" --subnet web")
	h.verify()

	eni := h.attached(p.target(), true).NetworkInterfaceId
	p.kill()
	h.released(eni)
	h.verify()
	h.refused(3, "has ended", "attach "+p.target()+" --subnet web")
	h.vpc("eni rm " + eni)
	h.refused(3, eni, "eni show "+eni)
	h.verify()
}

// The host's own processes are refused, whatever their number.
func TestProcessRefused(t *testing.T) {
	h, _ := processHost(t)
	for _, c := range []struct {
		exit        int
		words, line string
	}{
		{8, "never attached", fmt.Sprintf("attach pid:%d --subnet web", os.Getpid())},
		{8, "never attached", fmt.Sprintf("attach pid:%d --subnet web", h.daemon.Process.Pid)},
		{3, "no process", "attach pid:4194304 --subnet web"},
		{8, "pid:", "attach pid:0 --subnet web"},
		{8, "pid:", "attach pid:abc --subnet web"},
	} {
		h.refused(c.exit, c.words, c.line)
	}
	h.verify()
}

// A number that is used again is another process: it gets nothing.
func TestProcessNumberIsUsedAgain(t *testing.T) {
	h, peer := processHost(t)
	p := newProcess(t)
	h.vpc("attach " + p.target() + " --subnet web --ip 10.0.1.10")
	h.ping(peer, "10.0.1.10")
	eni := h.attached(p.target(), true)
	number := p.pid()
	var again *process
	// Without an agent that looks in between, only the start time tells.
	h.daemonAway(func() {
		p.kill()
		again = withNumber(t, number)
	})
	h.released(eni.NetworkInterfaceId)
	if out, err := again.in("ip -4 addr show"); err != nil || strings.Contains(out, "10.0.1.10") {
		t.Errorf("%v: the new process has the address of the old one:\n%s", err, out)
	}
	h.verify()
	h.vpc("attach " + again.target() + " --subnet web --ip 10.0.1.11")
	if n := h.attached(again.target(), true); n.NetworkInterfaceId == eni.NetworkInterfaceId || n.Status != api.NetworkInterfaceStatusInUse {
		t.Errorf("the new process has %+v", n)
	}
	h.ping(peer, "10.0.1.11")
	h.verify()
}

// withNumber starts a process with a given, free number: the kernel takes the
// next one after the last, which it lets be set.
func withNumber(t *testing.T, number int) *process {
	t.Helper()
	const last = "/proc/sys/kernel/ns_last_pid"
	for range 200 {
		if err := os.WriteFile(last, []byte(strconv.Itoa(number-1)), 0); err != nil {
			missing(t, "numbers cannot be chosen here: %v", err)
		}
		cmd := exec.Command("sleep", "infinity")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		p := &process{t, cmd}
		if p.pid() == number {
			t.Cleanup(p.kill)
			return p
		}
		p.kill() // somebody was faster
		var st unix.Stat_t
		if unix.Stat(filepath.Join("/proc", strconv.Itoa(number)), &st) == nil {
			t.Skipf("somebody else has the number %d now", number)
		}
	}
	t.Skip("the machine is too busy for a number to be chosen")
	return nil
}
