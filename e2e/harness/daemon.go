package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// output is what a finished binary has said.
type output struct {
	stdout, stderr string
	exit           int
}

// run runs vpc or vpcd to its end. The error is that it did not exit with 0.
func (h *host) run(limit time.Duration, name string, args ...string) (output, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	path, words := h.binary(name, args)
	cmd := exec.CommandContext(ctx, path, words...)
	cmd.Env = append(os.Environ(), "VPC_SOCKET="+h.socket)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	out := output{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
	if ctx.Err() != nil {
		return out, fmt.Errorf("%s %s did not end within %s", name, strings.Join(args, " "), limit)
	}
	return out, err
}

// say makes the output what the script's stdout and stderr commands look at.
func (c call) say(out output) {
	fmt.Fprint(c.ts.Stdout(), out.stdout)
	fmt.Fprint(c.ts.Stderr(), out.stderr)
}

// cmdVpc runs the CLI; netns:ALIAS means the script's own namespace.
//
//	vpc attach netns:web --subnet web
func cmdVpc(c call, args []string) error {
	out, err := c.run(patience, "vpc", c.expand(args)...)
	c.say(out)
	if err == nil && c.daemon != nil {
		return c.alive()
	}
	return err
}

// cmdShows wants a line of what the CLI prints to match.
//
//	eventually 9s shows '^a +0/' eni stats
func cmdShows(c call, args []string) error {
	if len(args) < 2 {
		return errors.New("want PATTERN ARGS…")
	}
	line, err := regexp.Compile("(?m)" + args[0])
	if err != nil {
		return err
	}
	out, err := c.run(patience, "vpc", c.expand(args[1:])...)
	if err == nil && !line.MatchString(out.stdout) {
		return fmt.Errorf("no line matches %s:\n%s", args[0], out.stdout)
	}
	return err
}

// expand turns aliases of targets into names of namespaces, and pid:root into a
// process of the root namespace.
func (h *host) expand(args []string) []string {
	args = slices.Clone(args)
	for i, a := range args {
		if alias, ok := strings.CutPrefix(a, "netns:"); ok && h.spaces[alias] {
			args[i] = "netns:" + h.full(alias)
		} else if a == "pid:root" {
			args[i] = fmt.Sprintf("pid:%d", os.Getpid())
		}
	}
	return args
}

// cmdExit wants an exit code of a binary, and no crash whatever the code.
//
//	exit 4 vpc delete prod
func cmdExit(c call, args []string) error {
	if len(args) < 2 {
		return errors.New("want CODE BINARY ARGS…")
	}
	want, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	out, err := c.run(patience, args[1], c.expand(args[2:])...)
	c.say(out)
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return err
	}
	if crash.MatchString(out.stderr) {
		return errors.New("it crashed")
	}
	if out.exit != want {
		return fmt.Errorf("exit code %d, want %d", out.exit, want)
	}
	return nil
}

var crash = regexp.MustCompile(`(?m)^panic:|^goroutine \d+|runtime error`)

// cmdVpcd controls the script's own daemon.
//
//	vpcd start [FLAGS…]   returns when it is ready; later starts repeat the flags
//	vpcd launch           returns when it answers, ready or not
//	vpcd forget           removes its data, while it does not run
//	vpcd stop             SIGTERM
//	vpcd kill             SIGKILL
//	vpcd cleanup [FLAGS…] of this host
func cmdVpcd(c call, args []string) error {
	switch {
	case len(args) > 0 && args[0] == "start":
		return c.startDaemon(args[1:], 0)
	case len(args) == 1 && args[0] == "launch":
		return c.startDaemon(nil, 0, notReady)
	case len(args) == 1 && args[0] == "forget" && c.daemon == nil:
		return os.RemoveAll(c.data())
	case len(args) == 1 && args[0] == "stop":
		return c.stopDaemon(syscall.SIGTERM)
	case len(args) == 1 && args[0] == "kill":
		return c.stopDaemon(syscall.SIGKILL)
	case len(args) > 0 && args[0] == "cleanup":
		out, err := c.run(patience, "vpcd", append([]string{"cleanup", "--name", c.name, "--data-dir", c.data()}, args[1:]...)...)
		c.say(out)
		return err
	}
	return errors.New("want start, launch, forget, stop, kill or cleanup")
}

// notReady is the exit code of vpc status for a daemon that answers and is not
// well.
const notReady = 10

// startDaemon waits until vpc status ends with one of the codes.
func (h *host) startDaemon(flags []string, codes ...int) error {
	if h.daemon != nil {
		return errors.New("it runs already")
	}
	if len(flags) > 0 {
		h.flags = flags
	}
	log, err := os.OpenFile(h.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	args := append([]string{"--name", h.name, "--data-dir", h.data(), "--socket", h.socket}, h.flags...)
	path, args := h.binary("vpcd", args)
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = log, log
	// A test that is killed must not leave its daemon; kill -9 of it is part of the promises.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	h.daemon, h.exited = cmd, exited
	go func() { cmd.Wait(); close(exited) }()
	return h.answers(codes)
}

// answers waits until vpc status ends with one of the codes.
func (h *host) answers(codes []int) error {
	var out output
	var err error
	var dead error
	ready := poll(readiness, func() bool {
		if dead = h.alive(); dead != nil {
			return true
		}
		out, err = h.run(patience, "vpc", "status")
		return slices.Contains(codes, out.exit) && !strings.Contains(out.stdout, "starting")
	})
	if ready {
		return dead
	}
	return fmt.Errorf("not ready after %s: %w\n%s%s", readiness, err, out.stdout, out.stderr)
}

// alive is the error that the daemon has ended by itself.
func (h *host) alive() error {
	select {
	case <-h.exited:
		h.showLog()
		return fmt.Errorf("vpcd has ended: %v", h.daemon.ProcessState)
	default:
		return nil
	}
}

// stopDaemon signals the daemon and waits for its end; without one it does nothing.
func (h *host) stopDaemon(sig os.Signal) error {
	if h.daemon == nil {
		return nil
	}
	d := h.daemon
	h.daemon = nil
	if err := d.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-h.exited:
	case <-time.After(patience):
		d.Process.Kill()
		<-h.exited
		return fmt.Errorf("vpcd did not end within %s of %v", patience, sig)
	}
	if sig == syscall.SIGTERM && d.ProcessState.ExitCode() != 0 {
		return fmt.Errorf("vpcd ended with %v", d.ProcessState)
	}
	return nil
}

// cmdVerify wants store, plan and kernel to be equal.
func cmdVerify(c call, args []string) error {
	if len(args) != 0 {
		return errors.New("it takes no arguments")
	}
	out, err := c.run(patience, "vpc", "verify")
	if err != nil {
		return fmt.Errorf("%w\n%s%s", err, out.stdout, out.stderr)
	}
	return nil
}

// cmdEventually repeats a command until it succeeds.
//
//	eventually 5s verify
func cmdEventually(c call, args []string) error {
	if len(args) < 2 {
		return errors.New("want TIME COMMAND…")
	}
	limit, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	if !poll(limit, func() bool { err = c.do(args[1:]); return err == nil }) {
		return fmt.Errorf("not within %s: %w", limit, err)
	}
	return nil
}

// cmdRepeat runs the commands of a file a number of times.
//
//	repeat 200 cycle
func cmdRepeat(c call, args []string) error {
	if len(args) != 2 {
		return errors.New("want TIMES FILE")
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	for i := range n {
		for line := range strings.Lines(c.ts.ReadFile(args[1])) {
			words := strings.Fields(line)
			if len(words) == 0 {
				continue
			}
			if err := c.do(words); err != nil {
				return fmt.Errorf("round %d: %s: %w", i+1, strings.TrimSpace(line), err)
			}
		}
	}
	return nil
}
