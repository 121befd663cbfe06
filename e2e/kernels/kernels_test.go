package kernels

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/e2e/cloudkernel"
)

// bootTime bounds one machine with all its tests, under emulation.
const bootTime = 15 * time.Minute

var series = []string{"6.1", "6.12"}

// TestKernels boots every supported kernel. VPC_KERNELS=1 wants all of them,
// VPC_KERNELS=6.1 that one; VPC_KERNELS_TESTS limits the packages and
// VPC_KERNELS_RUN, like -run, the tests.
func TestKernels(t *testing.T) {
	which := os.Getenv("VPC_KERNELS")
	if which == "" {
		t.Skip("boots whole kernels, which takes minutes: VPC_KERNELS=1, or make kernels")
	}
	if runtime.GOARCH != "amd64" {
		t.Skip("the kernels are amd64")
	}
	cache, err := cloudkernel.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	root, built, tests := binaries(t)
	for _, s := range series {
		if which != "1" && which != s {
			continue
		}
		t.Run(s, func(t *testing.T) {
			deb, err := cloudkernel.Fetch(s, cache)
			if errors.Is(err, cloudkernel.ErrNotOffered) && os.Getenv("CI") == "" {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			run(t, deb, root, built, tests)
		})
	}
}

// binaries compiles every package of the programs and the data plane that has
// tests, and the scripts. bpf/fuzz asks no kernel.
func binaries(t *testing.T) (root, built string, tests []binary) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	list := exec.Command("go", "list", "-f", "{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}", "./bpf", "./dataplane/...")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	var packages []string
	only := strings.Fields(os.Getenv("VPC_KERNELS_TESTS"))
	for _, p := range append(strings.Fields(string(out)), "e2e") {
		p = strings.TrimPrefix(p, "github.com/vpcfabric/vpc/")
		if len(only) == 0 || slices.Contains(only, p) {
			packages = append(packages, p)
		}
	}
	built = t.TempDir()
	tests, err = build(t.Context(), root, built, packages)
	if err != nil {
		t.Fatal(err)
	}
	if run := os.Getenv("VPC_KERNELS_RUN"); run != "" {
		for i := range tests {
			tests[i].run = run
		}
	}
	return root, built, tests
}

func run(t *testing.T, deb, root, built string, tests []binary) {
	t.Helper()
	dir := t.TempDir()
	img, err := cloudkernel.Unpack(deb, dir)
	if err != nil {
		t.Fatal(err)
	}
	mods, err := img.Modules(wanted)
	if err != nil {
		t.Fatal(err)
	}
	var ram bytes.Buffer
	if err := initramfs(&ram, root, built, mods, tests); err != nil {
		t.Fatal(err)
	}
	initrd := filepath.Join(dir, "initrd")
	if err := os.WriteFile(initrd, ram.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), bootTime)
	defer cancel()
	r, err := boot(ctx, img.Kernel, initrd)
	for _, o := range r.tests {
		t.Logf("Linux %s: %-22s %3d passed, %d failed, %d skipped in %s", r.release, o.name, o.pass, len(o.failed), o.skip, o.took)
		for _, s := range o.skipped {
			t.Logf("  skipped %s", s)
		}
		if o.end != "ok" {
			t.Logf("%s", o.log)
		}
	}
	if err := errors.Join(err, r.err()); err != nil {
		if r.end == "" {
			t.Logf("console:\n%s", r.console[max(0, len(r.console)-8000):])
		}
		t.Fatal(err)
	}
}
