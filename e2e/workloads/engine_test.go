package workloads

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
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

const (
	image       = "vpc-test-busybox"
	engineStart = 30 * time.Second
)

// engine is a Docker engine of the test's own: nothing of it is shared with
// one that runs on the machine.
type engine struct {
	*testing.T
	dir    string
	daemon *exec.Cmd
}

func (e *engine) socket() string { return filepath.Join(e.dir, "docker.sock") }
func (e *engine) parent() string { return filepath.Base(e.dir) }

// cgroups mounts them where a machine has none; only the engine sees it.
const cgroups = `grep -q ' /sys/fs/cgroup' /proc/self/mounts || mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec "$@"`

// newEngine starts one and imports an image that has busybox and nothing else.
// overlay may not work on the file system below; then every layer is copied.
func newEngine(t *testing.T) *engine {
	t.Helper()
	dir, err := os.MkdirTemp("", "vpcdocker")
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{T: t, dir: dir}
	t.Cleanup(e.remove)
	for _, driver := range []string{"overlay2", "vfs"} {
		if err = e.start(driver); err == nil {
			break
		}
		t.Logf("with %s: %v", driver, err)
	}
	if err != nil {
		e.showLog()
		missing(t, "the Docker engine does not start: %v", err)
	}
	e.importBusybox()
	return e
}

func (e *engine) start(driver string) error {
	log, err := os.Create(filepath.Join(e.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	at := func(name string) string { return filepath.Join(e.dir, name) }
	e.daemon = exec.Command("unshare", "--mount", "--propagation", "unchanged", "sh", "-c", cgroups, "sh", "dockerd",
		"--host", "unix://"+e.socket(), "--data-root", at("root"), "--exec-root", at("exec"), "--pidfile", at("pid"),
		"--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false",
		"--storage-driver", driver, "--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", e.parent())
	e.daemon.Stdout, e.daemon.Stderr = log, log
	// dockerd ends its containerd itself; a signal to both would race.
	e.daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	if err := e.daemon.Start(); err != nil {
		return err
	}
	exited := make(chan error, 1)
	go func() { exited <- e.daemon.Wait() }()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	limit := time.After(engineStart)
	for {
		if _, err = e.try("version"); err == nil {
			return nil
		}
		select {
		case end := <-exited:
			e.daemon = nil
			return fmt.Errorf("dockerd ended: %v", end)
		case <-limit:
			e.stop()
			return err
		case <-tick.C:
		}
	}
}

func (e *engine) stop() {
	if e.daemon == nil {
		return
	}
	e.daemon.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(patience, func() { e.daemon.Process.Kill() })
	defer kill.Stop()
	// Start's goroutine waits for the process; here its end is enough.
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for syscall.Kill(e.daemon.Process.Pid, 0) == nil {
		<-tick.C
	}
	e.daemon = nil
}

// remove ends containers, engine and what engines leave behind.
func (e *engine) remove() {
	if e.daemon != nil {
		if ids, err := e.try("ps", "-aq"); err == nil && ids != "" {
			e.try(append([]string{"rm", "-f"}, strings.Fields(ids)...)...)
		}
	}
	if e.Failed() {
		e.showLog()
	}
	e.stop()
	mounts, _ := os.ReadFile("/proc/self/mounts")
	for line := range strings.Lines(string(mounts)) {
		if at := strings.Fields(line)[1]; strings.HasPrefix(at, e.dir+"/") {
			syscall.Unmount(at, syscall.MNT_DETACH)
		}
	}
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		left, _ := filepath.Glob(pattern + e.parent())
		for _, cgroup := range left {
			if err := syscall.Rmdir(cgroup); err != nil {
				e.Errorf("cgroup %s: %v", cgroup, err)
			}
		}
	}
	if err := os.RemoveAll(e.dir); err != nil {
		e.Error(err)
	}
}

func (e *engine) showLog() {
	if b, err := os.ReadFile(filepath.Join(e.dir, "log")); err == nil {
		e.Logf("the end of dockerd's log:\n%s", b[max(0, len(b)-4000):])
	}
}

func (e *engine) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker", append([]string{"--host", "unix://" + e.socket()}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr // apart from ids: it has warnings too
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("docker %s: %w: %s%s", strings.Join(args, " "), err, out, &stderr)
	}
	return strings.TrimSpace(string(out)), err
}

func (e *engine) docker(line string) string {
	e.Helper()
	out, err := e.try(strings.Fields(line)...)
	if err != nil {
		e.Fatal(err)
	}
	return out
}

// staticBusybox is a busybox that needs no libraries.
func staticBusybox() ([]byte, error) {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return nil, err
	}
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if f.Section(".interp") != nil {
		return nil, fmt.Errorf("%s is not static", path)
	}
	return os.ReadFile(path)
}

func (e *engine) importBusybox() {
	e.Helper()
	busybox, err := staticBusybox()
	if err != nil {
		missing(e.T, "%v: make deps installs busybox-static", err)
	}
	root := filepath.Join(e.dir, "image")
	err = errors.Join(os.MkdirAll(filepath.Join(root, "bin"), 0o755), os.MkdirAll(filepath.Join(root, "www"), 0o755))
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "bin/busybox"), busybox, 0o755)
	}
	for _, applet := range []string{"sh", "httpd", "ping", "ip", "wget", "hostname", "cat"} {
		err = errors.Join(err, os.Symlink("busybox", filepath.Join(root, "bin", applet)))
	}
	if err != nil {
		e.Fatal(err)
	}
	tar := filepath.Join(e.dir, "image.tar")
	if out, err := exec.Command("tar", "-C", root, "-cf", tar, ".").CombinedOutput(); err != nil {
		e.Fatalf("tar: %v: %s", err, out)
	}
	e.docker("import " + tar + " " + image)
}

// web runs a container that serves its own name over HTTP on port 80.
func (e *engine) web(name string, flags ...string) {
	e.Helper()
	args := append([]string{"run", "-d", "--name", name, "--hostname", name}, flags...)
	if _, err := e.try(append(args, image, "/bin/sh", "-c", "hostname > /www/index.html; exec httpd -f -p 80 -h /www")...); err != nil {
		e.Fatal(err)
	}
}

// id is a container's full id.
func (e *engine) id(name string) string {
	e.Helper()
	var out []struct{ ID string }
	if err := json.Unmarshal([]byte(e.docker("inspect "+name)), &out); err != nil {
		e.Fatal(err)
	}
	return out[0].ID
}
