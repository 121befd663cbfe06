// Command guest is the init of the machines that package kernels boots: it
// mounts what a system has, loads the modules in /modules in their order, runs
// the test binaries that /tests lists and resets the machine. What it has to
// say goes to the console in lines that begin with Mark.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Mark begins the lines that the host reads.
const Mark = "@@guest "

func main() {
	err := run()
	say("end %s", outcome(err))
	unix.Sync()
	unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
}

// console is where the host listens.
var console io.Writer = os.Stdout

func say(format string, args ...any) { fmt.Fprintf(console, "\n"+Mark+format+"\n", args...) }

func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}

func run() error {
	if err := mounts(); err != nil {
		return err
	}
	if err := modules(); err != nil {
		return err
	}
	if err := loopback(); err != nil {
		return err
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return err
	}
	say("kernel %s", bytes.TrimRight(name.Release[:], "\x00"))
	list, err := os.ReadFile("/tests")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(list)) {
		test(strings.Fields(line))
	}
	return nil
}

func mounts() error {
	for _, m := range []struct{ path, kind, options string }{
		{"/proc", "proc", ""}, {"/sys", "sysfs", ""}, {"/dev", "devtmpfs", ""},
		{"/sys/fs/bpf", "bpf", "mode=0700"}, {"/sys/fs/cgroup", "cgroup2", ""},
		{"/run", "tmpfs", "mode=0755"}, {"/tmp", "tmpfs", "mode=1777"},
	} {
		err := os.MkdirAll(m.path, 0o755)
		if err == nil {
			err = unix.Mount(m.kind, m.path, m.kind, 0, m.options)
		}
		// The kernel may have mounted devtmpfs itself.
		if err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s: %w", m.path, err)
		}
	}
	return nil
}

func modules() error {
	files, err := filepath.Glob("/modules/*")
	if err != nil {
		return err
	}
	for _, path := range files { // sorted, and so numbered
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		f.Close()
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("load %s: %w", path, err)
		}
	}
	return nil
}

// loopback brings lo up: tests listen on it.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// test runs one line of the list: name, folder, binary, arguments.
func test(words []string) {
	name, dir, argv := words[0], words[1], words[2:]
	say("run %s", name)
	start := time.Now()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = console, console
	cmd.Env = []string{"PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/", "TMPDIR=/tmp", "VPC_BIN=/bin", "CI="}
	err := cmd.Run()
	say("done %s %.1fs %s", name, time.Since(start).Seconds(), outcome(err))
}
