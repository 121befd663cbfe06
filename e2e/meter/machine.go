package meter

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/vpcfabric/vpc/e2e/netns"
)

const bpffs = "/sys/fs/bpf"

func pins(d Dump, s Scope) error {
	err := filepath.WalkDir(bpffs, func(p string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if p != bpffs && s.path(p) {
			d[Key{"pin", "", p}] = e.Type().String()
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", bpffs, err)
	}
	return nil
}

// bpfObjects counts what is loaded. Programs, maps and links have no owner, so
// they say something only when nothing else loads any; objects in a scope are
// seen by their pins and their devices.
func bpfObjects(d Dump, s Scope) error {
	if !s.Alone {
		return nil
	}
	for _, kind := range []string{"prog", "map", "link"} {
		list, err := objects("", []string{"id", "prog_id", "ifindex", "map_ids", "btf_id", "loaded_at", "pids", "frozen",
			"devname", "jited", "tag", "bytes_memlock", "run_time_ns", "run_cnt", "pinned"}, "bpftool", "-j", kind, "show")
		if err != nil {
			return err
		}
		d.each("bpf "+kind, "", list, "type", "name")
	}
	return nil
}

// mounts of namespaces are the namespaces' own matter, but stacked or stray
// ones are not.
func mounts(d Dump, s Scope) error {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 10 {
			continue
		}
		at := f[4]
		if inside, ok := strings.CutPrefix(at, netns.Dir+"/"); ok && !s.Netns(inside) {
			continue
		}
		if !strings.HasPrefix(at, netns.Dir) && !strings.HasPrefix(at, bpffs) && !s.path(at) {
			continue
		}
		d.add(Key{"mount", "", at}, strings.Join(f[8:], " "))
	}
	return nil
}

func unixSockets(d Dump, s Scope) error {
	// Not /proc/net: that is the main thread's namespace, which may be entering another.
	b, err := os.ReadFile("/proc/thread-self/net/unix")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		const withPath = 8
		if len(f) == withPath && f[7] != "Path" && s.path(f[7]) {
			d[Key{"unix socket", "", f[7]}] = "type " + f[4]
		}
	}
	return nil
}

// listeners are the listening sockets of the processes in scope, alone those of everyone.
func listeners(d Dump, s Scope) error {
	out, err := run("", "ss", "-H", "-l", "-n", "-t", "-u", "-w", "-p")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 5 {
			continue
		}
		owner := ""
		if len(f) > 6 {
			owner = f[6]
		}
		if s.Alone || s.owns(owner) {
			name, _, _ := strings.Cut(strings.TrimPrefix(owner, `users:(("`), `"`)
			d.add(Key{"listener", "", f[0] + " " + f[4]}, name)
		}
	}
	return nil
}

// owns reads pids out of ss's users:(("vpcd",pid=42,fd=7)).
func (s Scope) owns(users string) bool {
	for _, part := range strings.Split(users, "pid=")[1:] {
		pid, _, _ := strings.Cut(part, ",")
		if _, ok := s.process("/proc/" + pid); ok {
			return true
		}
	}
	return false
}

// process reads the name of a process that runs a binary under test for this
// host: its arguments or its environment say so.
func (s Scope) process(dir string) (name string, ok bool) {
	exe, err := os.Readlink(dir + "/exe")
	exe = strings.TrimSuffix(exe, " (deleted)")
	if err != nil || s.Bin == "" || filepath.Dir(exe) != s.Bin {
		return "", false
	}
	if s.Alone {
		return filepath.Base(exe), true
	}
	for _, file := range []string{"/cmdline", "/environ"} {
		if b, err := os.ReadFile(dir + file); err == nil && s.path(string(b)) {
			return filepath.Base(exe), true
		}
	}
	return "", false
}

// processes are those that run a binary under test.
func processes(d Dump, s Scope) error {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return err
	}
	for _, p := range dirs {
		name, ok := s.process(p)
		if !ok {
			continue
		}
		args, err := os.ReadFile(p + "/cmdline")
		// A process without arguments is a zombie or has just ended.
		if err == nil && len(args) > 0 {
			d.add(Key{"process", "", name}, strings.ReplaceAll(strings.TrimRight(string(args), "\x00"), "\x00", " "))
		}
	}
	return nil
}
