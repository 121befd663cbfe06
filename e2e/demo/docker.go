package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/vpcfabric/vpc/e2e/probe"
)

// inside is the first argument of this program where it runs in a container.
const inside = "inside-a-container"

// runInside serves, or tries the network from there.
func runInside(args []string) error {
	if len(args) == 1 && args[0] == "serve" {
		if _, err := probe.Serve("", "tcp", port); err != nil {
			return err
		}
		select {}
	}
	if len(args) != 2 {
		return errors.New("want serve, tcp ADDR:PORT or icmp ADDR")
	}
	if args[0] == "tcp" {
		return echoed(args[1])
	}
	addr, err := netip.ParseAddr(args[1])
	if err != nil {
		return err
	}
	return probe.Ping("", addr, 0)
}

// dockerSocket is where an engine would listen; empty for the default place.
func dockerSocket() string {
	socket, _ := strings.CutPrefix(os.Getenv("DOCKER_HOST"), "unix://")
	return socket
}

// image is this demo's own; it holds this program and nothing else.
func (w *world) image() string { return "vpc-" + w.host }

// prepareDocker makes the image, or says why containers are left out.
func (w *world) prepareDocker() string {
	if w.quiet("info") != nil {
		return "no Docker engine runs here"
	}
	self, err := os.Executable()
	if err != nil {
		return err.Error()
	}
	if f, err := elf.Open(self); err != nil || f.Section(".interp") != nil {
		return "this program needs libraries that an empty image lacks: build it with CGO_ENABLED=0"
	}
	program, err := os.ReadFile(self)
	if err != nil {
		return err.Error()
	}
	var archive bytes.Buffer
	t := tar.NewWriter(&archive)
	t.WriteHeader(&tar.Header{Name: "demo", Mode: 0o755, Size: int64(len(program))})
	t.Write(program)
	if err := t.Close(); err != nil {
		return err.Error()
	}
	w.docker = w.image()
	load := w.dockerCommand("import", "-", w.image())
	load.Stdin = &archive
	if out, err := load.CombinedOutput(); err != nil {
		w.docker = ""
		return fmt.Sprintf("docker import: %v: %s", err, bytes.TrimSpace(out))
	}
	return ""
}

func (w *world) dockerCommand(args ...string) *exec.Cmd {
	cmd := exec.Command("docker", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

func (w *world) quiet(args ...string) error {
	if out, err := w.dockerCommand(args...).CombinedOutput(); err != nil {
		return fmt.Errorf("docker %s: %w: %s", args[0], err, bytes.TrimSpace(out))
	}
	return nil
}

func (w *world) startContainer(l workload) error {
	return w.run("docker", "run", "-d", "--network", "none", "--name", w.name(l), w.image(), "/demo", inside, "serve")
}

// fromContainer runs a probe inside a container.
func (w *world) fromContainer(l workload, proto, to string) error {
	return w.quiet("exec", w.name(l), "/demo", inside, proto, to)
}

// removeContainers takes containers and image away, also those of a run that
// was interrupted while it made them.
func (w *world) removeContainers() error {
	if w.docker == "" {
		return nil
	}
	var errs []error
	for _, name := range w.containers() {
		errs = append(errs, w.quiet("rm", "-f", name))
	}
	return errors.Join(append(errs, w.quiet("rmi", "-f", w.image()))...)
}

func (w *world) containers() []string {
	out, _ := w.dockerCommand("ps", "-a", "--filter", "name="+w.host+"-", "--format", "{{.Names}}").Output()
	return strings.Fields(string(out))
}
