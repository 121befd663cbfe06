package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/e2e/netns"
)

// metric is a kind of traffic: a server's role and a client's, one of which
// reports a rate.
type metric struct {
	name, unit     string
	server, client string
	counts         string // the role whose result counts
	scale          float64
}

const udpName = "UDP 64 B"

var metrics = []metric{
	{udpName, "kpps", "udp-sink", "udp-flood", "udp-sink", 1e-3},
	{"TCP stream", "Gbit/s", "tcp-sink", "tcp-flood", "tcp-sink", 8e-9},
	{"TCP connections", "1/s", "tcp-answer", "tcp-ask", "tcp-ask", 1},
}

const (
	roleWord = "role"
	// warmup is traffic before the window in which it counts.
	warmup = 200 * time.Millisecond
	// slack is how much longer than the window a role may take to begin and end.
	slack = 10 * time.Second
)

// result is what a role prints when it ends.
type result struct {
	Count   float64
	Seconds float64
}

// measure runs both roles of a metric over a path and returns the rate.
func measure(ctx context.Context, m metric, p path, window time.Duration) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, window+slack)
	defer cancel()
	server, err := startRole(ctx, p.to, runtime.NumCPU()-1, m.server, p, window)
	if err != nil {
		return 0, err
	}
	defer server.stop()
	if err := server.ready(); err != nil {
		return 0, err
	}
	flow, err := startRole(ctx, p.from, 0, m.client, p, window)
	if err != nil {
		return 0, err
	}
	defer flow.stop()
	counter := server
	if m.counts == m.client {
		counter = flow
	}
	r, err := counter.result()
	if err != nil {
		return 0, errors.Join(err, flow.said(), server.said(), ctx.Err())
	}
	if r.Count == 0 || r.Seconds == 0 {
		return 0, errors.New("nothing arrived")
	}
	return r.Count / r.Seconds * m.scale, nil
}

// actor is this binary in a role, inside a namespace.
type actor struct {
	role   string
	cmd    *exec.Cmd
	out    *bufio.Reader
	stderr bytes.Buffer
}

func startRole(ctx context.Context, ns string, core int, role string, p path, window time.Duration) (*actor, error) {
	a := &actor{role: role, cmd: exec.CommandContext(ctx, "/proc/self/exe", roleWord, role, p.dst.String(), window.String())}
	a.cmd.Stderr = &a.stderr
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	a.out = bufio.NewReader(out)
	// A child inherits the namespace and the cores of the thread that forks it.
	return a, netns.Do(ns, func() error {
		var before, only unix.CPUSet
		if err := unix.SchedGetaffinity(0, &before); err != nil {
			return err
		}
		only.Set(core)
		if err := unix.SchedSetaffinity(0, &only); err != nil {
			return err
		}
		return errors.Join(a.cmd.Start(), unix.SchedSetaffinity(0, &before))
	})
}

// readyWord is a server's first line.
const readyWord = "ready"

func (a *actor) ready() error {
	line, err := a.out.ReadString('\n')
	if err != nil || strings.TrimSpace(line) != readyWord {
		return errors.Join(fmt.Errorf("%s said %q: %w", a.role, line, err), a.said())
	}
	return nil
}

func (a *actor) result() (r result, err error) {
	line, err := a.out.ReadString('\n')
	if err == nil {
		err = json.Unmarshal([]byte(line), &r)
	}
	if err != nil {
		return r, fmt.Errorf("%s said %q: %w", a.role, line, err)
	}
	return r, nil
}

// stop ends a role that goes on for ever.
func (a *actor) stop() {
	a.cmd.Process.Kill()
	io.Copy(io.Discard, a.out)
	a.cmd.Wait()
}

// said is what a role complained about; it ends the role first.
func (a *actor) said() error {
	a.stop()
	if a.stderr.Len() == 0 {
		return nil
	}
	return fmt.Errorf("%s: %s", a.role, bytes.TrimSpace(a.stderr.Bytes()))
}

// say prints a role's result.
func say(count float64, took time.Duration) error {
	return json.NewEncoder(os.Stdout).Encode(result{count, took.Seconds()})
}
