package kernels

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/vpcfabric/vpc/e2e/cloudkernel"
)

// testTime bounds one test binary inside a machine.
const testTime = 8 * time.Minute

// wanted are the modules that a kernel would load by itself on a system with
// modprobe.
var wanted = []string{"veth", "bridge", "vxlan", "tun", "dummy", "sch_ingress", "cls_bpf", "nf_tables"}

// mark begins what the guest's init says itself.
const mark = "@@guest "

// binary is a test binary and the folder of its package.
type binary struct {
	name string // of the package in the module: dataplane/nl
	file string
	run  string // what of it runs, as -test.run wants it; empty is all
}

// tooFast are tests that an emulated machine does not keep up with: one ages
// flows in milliseconds, the other wants two CPUs to meet within nanoseconds.
const tooFast = "^(TestTimeouts|TestConcurrentCreation)$"

// scripts are the ones that show the whole product on a kernel: from the
// command line to packets, policy, and programs that are replaced under load.
const scripts = "TestScripts/(two_namespaces_in_one_subnet_reach_each_other|cross_subnet_traffic_of_a_vpc_passes|" +
	"revoke_closes_new_connections_and_tracked_ones_live_on|kill9_loses_no_packet_and_no_connection|cleanup_leaves_other_hosts_alone)$"

// build compiles the tests of packages, the scripts with the commands that they
// drive, and the guest's init, into dir.
func build(ctx context.Context, root, dir string, packages []string) (tests []binary, err error) {
	for _, p := range packages {
		b := binary{name: p, file: filepath.Join(dir, strings.ReplaceAll(p, "/", "_")+".test")}
		if p == "e2e" {
			b.run = scripts
		}
		if err := goTool(ctx, root, "test", "-c", "-ldflags=-s -w", "-o", b.file, "./"+p); err != nil {
			return nil, err
		}
		if _, err := os.Stat(b.file); err == nil { // none without tests
			tests = append(tests, b)
		}
	}
	return tests, goTool(ctx, root, "build", "-ldflags=-s -w", "-o", dir, "./e2e/kernels/guest", "./cmd/vpc", "./cmd/vpcd")
}

func goTool(ctx context.Context, root string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// initramfs writes init, commands, modules, tests and their test data; built is
// the folder that build has filled.
func initramfs(w io.Writer, root, built string, mods []cloudkernel.Module, tests []binary) error {
	a := newArchive(w)
	a.Dir("/dev")
	a.Copy("/init", filepath.Join(built, "guest"))
	for _, name := range []string{"vpc", "vpcd"} {
		a.Copy("/bin/"+name, filepath.Join(built, name))
	}
	for i, m := range mods {
		a.File(fmt.Sprintf("/modules/%03d-%s.ko", i, m.Name), m.ELF)
	}
	files, err := toolFiles()
	if err != nil {
		return err
	}
	for _, f := range files {
		a.Copy(f, f)
	}
	var list strings.Builder
	for _, t := range tests {
		dir := path.Join("/src", t.name)
		a.Copy(dir, filepath.Join(root, t.name)) // tests read their own folder
		file := path.Join("/bin", path.Base(t.file))
		a.Copy(file, t.file)
		fmt.Fprintf(&list, "%s %s %s -test.v -test.short -test.timeout=%s -test.skip=%s -test.run=%s\n", t.name, dir, file, testTime, tooFast, t.run)
	}
	a.File("/tests", []byte(list.String()))
	return a.Close()
}

// outcome is what one test binary said on one kernel.
type outcome struct {
	name            string
	pass, skip      int
	failed, skipped []string
	took, end       string // "3.1s", "ok" or the error
	log             string
}

// results is the whole console of one kernel, read.
type results struct {
	release string
	tests   []outcome
	end     string // "ok" or why the init gave up; "" when it died
	console string
}

// boot runs a machine until it resets itself and reads its console.
func boot(ctx context.Context, kernel, initrd string) (results, error) {
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64",
		"-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "2048",
		"-kernel", kernel, "-initrd", initrd, "-append", "console=ttyS0 quiet panic=-1 random.trust_cpu=on",
		"-no-reboot", "-display", "none", "-monitor", "none", "-nic", "none", "-serial", "stdio")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	console, err := cmd.Output()
	if ctx.Err() != nil {
		err = fmt.Errorf("it ran for too long: %w", ctx.Err())
	}
	r := read(string(console))
	if err != nil {
		err = fmt.Errorf("qemu: %w %s", err, stderr.Bytes())
	}
	return r, err
}

// read splits a console into what each test said.
func read(console string) results {
	r := results{console: console}
	var current *outcome
	lines := bufio.NewScanner(strings.NewReader(console))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), "\r")
		words := strings.Fields(strings.TrimPrefix(line, mark))
		said := strings.HasPrefix(line, mark) && len(words) > 1
		switch {
		case said && words[0] == "kernel":
			r.release = words[1]
		case said && words[0] == "run":
			r.tests = append(r.tests, outcome{name: words[1]})
			current = &r.tests[len(r.tests)-1]
		case said && words[0] == "done" && current != nil && len(words) > 3:
			current.took, current.end = words[2], strings.Join(words[3:], " ")
			current = nil
		case said && words[0] == "end":
			r.end = strings.Join(words[1:], " ")
		case current != nil:
			current.line(line)
		}
	}
	return r
}

// line counts top-level and sub tests alike.
func (o *outcome) line(line string) {
	o.log += line + "\n"
	rest, ok := strings.CutPrefix(strings.TrimLeft(line, " "), "--- ")
	if !ok {
		return
	}
	verdict, name, _ := strings.Cut(rest, ": ")
	name, _, _ = strings.Cut(name, " ")
	switch verdict {
	case "PASS":
		o.pass++
	case "FAIL":
		o.failed = append(o.failed, name)
	case "SKIP":
		o.skip++
		o.skipped = append(o.skipped, name)
	}
}

// err is why this is not a success, or nil.
func (r results) err() error {
	var errs []error
	for _, o := range r.tests {
		if o.end != "ok" {
			errs = append(errs, fmt.Errorf("%s: %s; failed: %s", o.name, o.end, strings.Join(slices.Compact(o.failed), ", ")))
		}
	}
	if r.end != "ok" {
		errs = append(errs, fmt.Errorf("the machine did not come to its end: %q", r.end))
	}
	if len(r.tests) == 0 {
		errs = append(errs, errors.New("no test ran"))
	}
	return errors.Join(errs...)
}
