package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// recovery is how long a restarted daemon may take to have everything whole.
const recovery = 10 * time.Second

// daemon is one host whose vpcd can be told where to die.
type daemon struct {
	t    *testing.T
	bin  string
	name string
	dir  string
	arm  string // the file that arms the crash
	in   string // the namespace that it runs in; "" is this one
	cmd  *exec.Cmd
	log  bytes.Buffer
	done chan struct{}
}

func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, args := range [][]string{
		{"build", "-o", dir + "/vpc", "../../cmd/vpc"},
		{"build", "-tags", "failpoint", "-o", dir + "/vpcd", "../../cmd/vpcd"},
	} {
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, out)
		}
	}
	return dir
}

func newDaemon(t *testing.T, bin, kind, in string) *daemon {
	dir, err := os.MkdirTemp("", "vpcc")
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{t: t, bin: bin, name: fmt.Sprintf("tc%d%s", os.Getpid(), kind), dir: dir, arm: filepath.Join(dir, "armed"), in: in}
	t.Cleanup(func() {
		d.kill()
		if out, err := d.command(bin+"/vpcd", "cleanup", "--name", d.name, "--force").CombinedOutput(); err != nil {
			t.Errorf("cleanup: %v\n%s", err, out)
		}
		os.RemoveAll(dir)
	})
	return d
}

// command is a program where the daemon runs; nsenter becomes it.
func (d *daemon) command(name string, args ...string) *exec.Cmd {
	if d.in == "" {
		return exec.Command(name, args...)
	}
	return exec.Command("nsenter", append([]string{"--net=/run/netns/" + d.in, name}, args...)...)
}

// start runs the daemon, to die at step if that is not empty and armed.
func (d *daemon) start(step string) {
	d.t.Helper()
	args := []string{"--name", d.name, "--data-dir", d.dir + "/data", "--socket", d.dir + "/s", "--flow-table", "4096"}
	if d.in != "" {
		args = append(args, "--public-allow", "10.99.0.0/16", "--public-pool", "198.18.0.0/24", "--public-pool", routedPool+",routed")
	}
	d.cmd = d.command(d.bin+"/vpcd", args...)
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

func (d *daemon) kill() {
	if d.cmd != nil {
		_ = d.cmd.Process.Kill()
		<-d.done
	}
}

func (d *daemon) dead() bool {
	select {
	case <-d.done:
		return true
	default:
		return false
	}
}

// vpc runs one command.
func (d *daemon) vpc(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(d.t.Context(), 30*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, d.bin+"/vpc", append([]string{"--socket", d.dir + "/s", "--timeout", "10s"}, args...)...)
	out, err := c.CombinedOutput()
	return string(out), err
}

// ready waits until the daemon reports ready and the kernel is as it says.
func (d *daemon) ready() {
	d.t.Helper()
	start := time.Now()
	out, err := d.vpc("status", "--wait")
	for err != nil && exitCode(err) == 7 && time.Since(start) < recovery && !d.dead() {
		out, err = d.vpc("status", "--wait")
	}
	if err != nil {
		d.t.Fatalf("not ready %s after the restart: %v\n%s\n%s", time.Since(start), err, out, d.log.String())
	}
	if out, err := d.vpc("verify"); err != nil {
		d.t.Fatalf("verify: %v\n%s", err, out)
	}
	if took := time.Since(start); took > recovery {
		d.t.Errorf("whole only after %s", took)
	}
}

func exitCode(err error) int {
	var e *exec.ExitError
	if errors.As(err, &e) {
		return e.ExitCode()
	}
	return -1
}

// netns makes a workload's namespace.
func netns(t *testing.T, role string) string {
	name := fmt.Sprintf("tc%d-%s", os.Getpid(), role)
	for _, args := range [][]string{{"netns", "add", name}} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v\n%s", args, err, out)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "del", name).CombinedOutput(); err != nil {
			t.Errorf("ip netns del %s: %v\n%s", name, err, out)
		}
	})
	return name
}

// life is what is built and torn down around each crash.
type life struct {
	*daemon
	a, b string
	// outside says that a has a public address, and b a NAT gateway before it.
	outside bool
}

// commands of one direction; each is repeated after a crash, and then either
// does its work or finds it done.
func (l life) build() [][]string {
	out := [][]string{
		{"create", "prod", "--cidr", "10.0.0.0/16"},
		{"subnet", "add", "web", "--vpc", "prod", "--cidr", "10.0.1.0/24"},
		{"subnet", "add", "db", "--vpc", "prod", "--cidr", "10.0.2.0/24"},
		{"sg", "add", "open", "--vpc", "prod"},
		{"sg", "allow", "open", "--vpc", "prod", "--in", "all", "--from", "0.0.0.0/0"},
		{"attach", "netns:" + l.a, "--subnet", "web", "--sg", "open", "--ip", "10.0.1.10"},
		{"attach", "netns:" + l.b, "--subnet", "db", "--sg", "open", "--ip", "10.0.2.10"},
	}
	if !l.outside {
		return out
	}
	return append(out, [][]string{
		{"igw", "add", "main"},
		{"igw", "attach", "main", "--vpc", "prod"},
		{"rt", "add", "private", "--vpc", "prod"},
		{"rt", "associate", "private", "--subnet", "db"},
		{"route", "add", "main", "0.0.0.0/0", "--to", "igw:main", "--vpc", "prod"},
		{"eip", "allocate", "--address", routed},
		{"eip", "associate", routed, "--eni", "netns:" + l.a},
		{"nat", "add", "egress", "--subnet", "web"},
		{"route", "add", "private", "0.0.0.0/0", "--to", "nat:egress", "--vpc", "prod"},
	}...)
}

func (l life) tearDown() [][]string {
	var out [][]string
	if l.outside {
		out = [][]string{
			{"route", "rm", "private", "0.0.0.0/0", "--vpc", "prod"},
			{"nat", "rm", "egress"},
			{"eip", "disassociate", routed},
			{"eip", "release", routed},
			{"igw", "detach", "main"},
			{"igw", "rm", "main"},
			{"rt", "disassociate", "--subnet", "db"},
			{"rt", "rm", "private", "--vpc", "prod"},
		}
	}
	return append(out, [][]string{
		{"detach", "netns:" + l.a},
		{"detach", "netns:" + l.b},
		{"sg", "rm", "open", "--vpc", "prod"},
		{"subnet", "rm", "web", "--vpc", "prod"},
		{"subnet", "rm", "db", "--vpc", "prod"},
		{"delete", "prod"},
	}...)
}

// run makes every command succeed, across one crash. done tells whether a
// refusal means that the first try had its effect.
func (l life) run(step string, commands [][]string, done func(out string, code int) bool) (crashed bool) {
	l.t.Helper()
	for _, args := range commands {
		out, err := l.vpc(args...)
		if !crashed && l.armedAndDead() {
			crashed = true
			l.start("")
			l.ready()
			out, err = l.vpc(args...)
			if err != nil && done(out, exitCode(err)) {
				err = nil
			}
		}
		if err != nil {
			l.t.Fatalf("step %q: vpc %s: %v\n%s\n%s", step, strings.Join(args, " "), err, out, l.log.String())
		}
	}
	return crashed
}

// armedAndDead: the crash removes the file that armed it, and then dies.
func (l life) armedAndDead() bool {
	if _, err := os.Stat(l.arm); err == nil {
		return false
	}
	select {
	case <-l.done:
		return true
	case <-time.After(5 * time.Second):
		l.t.Fatal("the daemon met its crash point and still lives")
		return false
	}
}

func (l life) reach() error {
	if err := ping(l.a, "10.0.2.10"); err != nil || !l.outside {
		return err
	}
	return errors.Join(ping(l.a, world), ping(l.b, world), ping(l.in, routed))
}

func ping(from, to string) error {
	out, err := exec.Command("nsenter", "--net=/run/netns/"+from, "ping", "-c1", "-W2", to).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s to %s: %w\n%s", from, to, err, out)
	}
	return nil
}

// bare fails unless the workload has nothing of ours left.
func (l life) bare() {
	l.t.Helper()
	for _, ns := range []string{l.a, l.b} {
		out, err := exec.Command("nsenter", "--net=/run/netns/"+ns, "ip", "-o", "link").CombinedOutput()
		if err != nil || strings.Count(string(out), "\n") != 1 {
			l.t.Errorf("namespace %s should have only lo: %v\n%s", ns, err, out)
		}
	}
}

func exists(_ string, code int) bool { return code == 4 }
func missing(out string, code int) bool {
	return code == 3 || strings.Contains(out, "[Gateway.NotAttached]")
}

func TestEveryCrashLeavesObjectsWholeOrAbsent(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: runs vpcd")
	}
	bin := build(t)
	points, err := exec.Command(bin+"/vpcd", "crash-points").Output()
	if err != nil {
		t.Fatal(err)
	}
	plain := life{daemon: newDaemon(t, bin, "", ""), a: netns(t, "a"), b: netns(t, "b")}
	outer := life{daemon: newDaemon(t, bin, "o", laptop(t)), a: plain.a, b: plain.b, outside: true}
	for _, step := range strings.Split(strings.TrimSpace(string(points)), "\n") {
		t.Run(strings.ReplaceAll(step, " ", "_"), func(t *testing.T) {
			l := plain
			if ofGateways(step) {
				l = outer
			}
			l.t = t
			defer l.kill() // also where it fails
			l.start(step)
			l.ready()
			l.armNow()
			inBuild := l.run(step, l.build(), exists)
			if err := l.reach(); err != nil {
				t.Errorf("built, but no traffic: %v", err)
			}
			if inBuild {
				l.kill()
				l.start(step)
				l.ready()
				l.armNow()
			}
			inTearDown := l.run(step, l.tearDown(), missing)
			if !inBuild && !inTearDown {
				t.Errorf("no command passes the step %q: nothing was tested", step)
			}
			l.bare()
			l.kill()
			os.Remove(l.arm)
		})
	}
}

func (l life) armNow() {
	if err := os.WriteFile(l.arm, nil, 0o600); err != nil {
		l.t.Fatal(err)
	}
}
