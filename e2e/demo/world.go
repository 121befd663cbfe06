package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/vpcfabric/vpc/e2e/netns"
	"github.com/vpcfabric/vpc/e2e/probe"
)

const (
	readiness = 20 * time.Second
	pause     = 20 * time.Millisecond
	port      = 8080
	freePort  = 8081 // nobody listens there all the time
)

// workload is an endpoint of the story: a namespace, or a container.
type workload struct {
	name, vpc, subnet, addr string
	flags                   string // more of attach
	container               bool
}

// at is the same workload by another of its addresses.
func (l workload) at(addr string) workload { l.addr = addr; return l }

// world is everything the demo makes, and what it has found out.
type world struct {
	ctx  context.Context
	out  io.Writer
	host string // name of the vpcd, and the beginning of every name
	dir  string
	bin  string

	daemon  *exec.Cmd
	exited  chan struct{}
	docker  string // the engine's socket, empty without one
	spaces  []string
	servers []*probe.Echo
	links   map[string][]string // before, by namespace; "" is this machine's
	results []result
}

func newWorld(ctx context.Context, out io.Writer) (*world, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	b := make([]byte, 2)
	rand.Read(b)
	w := &world{ctx: ctx, out: out, host: "demo" + hex.EncodeToString(b), bin: bin, links: map[string][]string{}}
	if w.links[""], err = linkNames(); err != nil {
		return nil, err
	}
	if err := netns.Prepare(); err != nil {
		return nil, err
	}
	w.dir, err = os.MkdirTemp("", w.host+"-")
	return w, err
}

// binaries is the directory of vpc and vpcd.
func binaries() (string, error) {
	for _, dir := range []string{os.Getenv("VPC_BIN"), "bin"} {
		if _, err := os.Stat(filepath.Join(dir, "vpcd")); dir != "" && err == nil {
			return filepath.Abs(dir)
		}
	}
	path, err := exec.LookPath("vpcd")
	if err != nil {
		return "", errors.New("there is no vpcd in VPC_BIN, ./bin or the PATH: run make build")
	}
	return filepath.Dir(path), nil
}

func linkNames() ([]string, error) {
	list, err := net.Interfaces()
	var names []string
	for _, l := range list {
		names = append(names, l.Name)
	}
	slices.Sort(names)
	return names, err
}

func (w *world) name(l workload) string { return w.host + "-" + l.name }
func (w *world) socket() string         { return filepath.Join(w.dir, "vpcd.sock") }
func (w *world) data() string           { return filepath.Join(w.dir, "data") }

func (w *world) title(text string) { fmt.Fprintf(w.out, "\n== %s\n", text) }

// say prints an indented text, a command's output for instance.
func (w *world) say(text string) {
	for line := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
		fmt.Fprint(w.out, "    ", line)
	}
}

// run prints a command as it is typed, runs it, and prints what it says.
func (w *world) run(name string, args ...string) error {
	fmt.Fprintln(w.out, "$", name, strings.Join(args, " "))
	cmd := exec.CommandContext(w.ctx, w.find(name), args...)
	cmd.Env = append(os.Environ(), "VPC_SOCKET="+w.socket())
	// Ctrl-C is for the demo, which then ends what it started in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.CombinedOutput()
	w.say(string(out))
	if err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return nil
}

// find prefers the binaries that are shown.
func (w *world) find(name string) string {
	if strings.HasPrefix(name, "vpc") {
		return filepath.Join(w.bin, name)
	}
	return name
}

func (w *world) vpc(lines ...string) error {
	for _, line := range lines {
		if err := w.run("vpc", strings.Fields(line)...); err != nil {
			return err
		}
	}
	return nil
}

// enter is the command that goes where vpcd runs.
func (w *world) enter() string { return "nsenter --net=" + netns.Path(w.name(laptop)) }

// vpcd is its command, on the laptop.
func (w *world) vpcd(args ...string) *exec.Cmd {
	words := append(strings.Fields(w.enter()), w.find("vpcd"))
	return exec.Command(words[0], append(words[1:], args...)...)
}

func (w *world) startDaemon() error {
	args := []string{"--name", w.host, "--data-dir", w.data(), "--socket", w.socket()}
	if socket := dockerSocket(); socket != "" {
		args = append(args, "--docker-socket", socket)
	}
	fmt.Fprintf(w.out, "$ export PATH=%s:$PATH VPC_SOCKET=%s\n", w.bin, w.socket())
	fmt.Fprintln(w.out, "$", w.enter(), "vpcd", strings.Join(args, " "), "&")
	log, err := os.Create(filepath.Join(w.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	w.daemon, w.exited = w.vpcd(args...), make(chan struct{})
	w.daemon.Stdout, w.daemon.Stderr = log, log
	w.daemon.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := w.daemon.Start(); err != nil {
		w.daemon = nil
		return err
	}
	go func() { w.daemon.Wait(); close(w.exited) }()
	if err := w.ready(); err != nil {
		text, _ := os.ReadFile(log.Name())
		w.say(string(text))
		return err
	}
	return w.vpc("status")
}

func (w *world) ready() error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	limit := time.After(readiness)
	for {
		status := exec.CommandContext(w.ctx, w.find("vpc"), "--socket", w.socket(), "status")
		if status.Run() == nil {
			return nil
		}
		select {
		case <-w.exited:
			return errors.New("vpcd has ended")
		case <-limit:
			return fmt.Errorf("vpcd is not ready after %s", readiness)
		case <-w.ctx.Done():
			return w.ctx.Err()
		case <-tick.C:
		}
	}
}

// attach makes a workload with an echo server on tcp/8080 and plugs it in.
func (w *world) attach(l workload) error {
	target := "netns:" + w.name(l)
	if l.container {
		target = "docker:" + w.name(l)
		if err := w.startContainer(l); err != nil {
			return err
		}
	} else {
		fmt.Fprintln(w.out, "$ ip netns add", w.name(l))
		if err := w.addSpace(l); err != nil {
			return err
		}
	}
	return w.vpc(fmt.Sprintf("attach %s --vpc %s --subnet %s --ip %s %s", target, l.vpc, l.subnet, l.addr, l.flags))
}

// addSpace makes a namespace with an echo server on tcp/8080.
func (w *world) addSpace(l workload) error {
	if err := netns.Add(w.name(l)); err != nil {
		return err
	}
	w.spaces = append(w.spaces, w.name(l))
	server, err := probe.Serve(w.name(l), "tcp", port)
	if err != nil {
		return err
	}
	w.servers = append(w.servers, server)
	return nil
}
