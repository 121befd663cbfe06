package workloads

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// guestBoot bounds a machine's start under emulation, guestLine one command in it.
const (
	guestBoot = 60 * time.Second
	guestLine = 30 * time.Second
)

// guestModules are what a cloud kernel needs for a paravirtual network card, in
// an order in which they load. Kernels that have one built in lack its file.
var guestModules = []string{"virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci",
	"failover", "net_failover", "virtio_net"}

// guestInit configures eth0 from the kernel's command line (ip=ADDR/LEN gw=ADDR)
// and runs the lines that come over the serial console; after each it prints
// its exit code behind a mark.
const guestInit = `#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /www
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
for m in $(cat /modules/order); do insmod /modules/$m.ko; done
for word in $(cat /proc/cmdline); do case $word in ip=*) ip=${word#ip=};; gw=*) gw=${word#gw=};; esac; done
ip link set lo up
ip addr add $ip dev eth0
ip link set eth0 up
ip route add default via $gw
httpd -p 80 -h /www
exec </dev/ttyS0 >/dev/ttyS0 2>&1
stty raw -echo
echo @@ready
while read -r line; do eval "$line"; echo "@@exit $?"; done
poweroff -f
`

// kernelImage unpacks a Debian cloud kernel below dir. Packages are kept in
// $XDG_CACHE_HOME/vpc-test, or /var/cache/vpc-test; one is fetched when there is
// none.
func kernelImage(t *testing.T, dir string) (kernel, modules string) {
	t.Helper()
	cache := filepath.Join(os.Getenv("XDG_CACHE_HOME"), "vpc-test")
	if os.Getenv("XDG_CACHE_HOME") == "" {
		cache = "/var/cache/vpc-test"
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	deb, err := kernelPackage(cache)
	if err != nil {
		missing(t, "no kernel to boot: %v", err)
	}
	if out, err := exec.Command("dpkg-deb", "-x", deb, dir).CombinedOutput(); err != nil {
		t.Fatalf("unpack %s: %v: %s", deb, err, out)
	}
	kernels, _ := filepath.Glob(filepath.Join(dir, "boot/vmlinuz-*"))
	if len(kernels) != 1 {
		t.Fatalf("%s has %d kernels", deb, len(kernels))
	}
	return kernels[0], dir
}

var cloudKernel = regexp.MustCompile(`^linux-image-[0-9][^_]*-cloud-amd64`)

func kernelPackage(cache string) (string, error) {
	cached := func() []string {
		found, _ := filepath.Glob(filepath.Join(cache, "linux-image-*.deb"))
		return slices.DeleteFunc(found, func(f string) bool { return !cloudKernel.MatchString(filepath.Base(f)) })
	}
	if found := cached(); len(found) > 0 {
		return found[0], nil
	}
	name := offeredKernel()
	if name == "" {
		// A machine on which nothing was missing may have no lists yet.
		if out, err := exec.Command("apt-get", "-q", "update").CombinedOutput(); err != nil {
			return "", fmt.Errorf("apt-get update: %w: %s", err, out)
		}
		if name = offeredKernel(); name == "" {
			return "", errors.New("the configured apt sources have no linux-image-cloud-amd64")
		}
	}
	get := exec.Command("apt-get", "-q", "download", name)
	get.Dir = cache
	if out, err := get.CombinedOutput(); err != nil {
		return "", fmt.Errorf("apt-get download: %w: %s", err, out)
	}
	if found := cached(); len(found) > 0 {
		return found[0], nil
	}
	return "", fmt.Errorf("apt-get left no kernel in %s", cache)
}

// offeredKernel is the package that the newest cloud kernel is in, if apt knows one.
func offeredKernel() string {
	out, err := exec.Command("apt-cache", "depends", "--important", "linux-image-cloud-amd64").Output()
	_, after, ok := strings.Cut(string(out), "Depends: ")
	if err != nil || !ok || !cloudKernel.MatchString(after) {
		return ""
	}
	return strings.Fields(after)[0]
}

// bootable is a kernel and an initramfs that every machine of a test boots.
type bootable struct{ kernel, initrd string }

func newBootable(t *testing.T) bootable {
	t.Helper()
	need(t, "qemu-system-x86_64", "cpio", "dpkg-deb")
	busybox, err := staticBusybox()
	if err != nil {
		missing(t, "%v: make deps installs busybox-static", err)
	}
	dir := t.TempDir()
	kernel, tree := kernelImage(t, filepath.Join(dir, "package"))
	root := filepath.Join(dir, "root")
	write := func(name string, content []byte) {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	write("init", []byte(guestInit))
	write("bin/busybox", busybox)
	files := moduleFiles(t, tree)
	var order []string
	for _, m := range guestModules {
		if path, ok := files[m]; ok {
			write("modules/"+m+".ko", readModule(t, path))
			order = append(order, m)
		}
	}
	write("modules/order", []byte(strings.Join(order, "\n")))
	initrd := filepath.Join(dir, "initrd")
	pack := exec.Command("sh", "-c", "find . | cpio -o -H newc --quiet >"+initrd)
	pack.Dir = root
	if out, err := pack.CombinedOutput(); err != nil {
		t.Fatalf("cpio: %v: %s", err, out)
	}
	return bootable{kernel, initrd}
}

func moduleFiles(t *testing.T, tree string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(tree, func(path string, _ os.DirEntry, err error) error {
		if name, _, ok := strings.Cut(filepath.Base(path), ".ko"); ok {
			files[strings.ReplaceAll(name, "-", "_")] = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func readModule(t *testing.T, path string) []byte {
	t.Helper()
	read := exec.Command("cat", path)
	if strings.HasSuffix(path, ".xz") {
		read = exec.Command("xz", "-dc", path)
	}
	b, err := read.Output()
	if err != nil {
		t.Fatalf("module %s: %v", path, err)
	}
	return b
}

// machine is a virtual machine that runs one line at a time.
type machine struct {
	*testing.T
	qemu  *exec.Cmd
	in    io.WriteCloser
	lines chan string // what the guest says; closed when it ended
	said  []string
}

// newMachine boots a machine with its card on a tap of this name, which QEMU
// makes in the namespace of the host. It returns before the guest is ready.
func newMachine(h *host, b bootable, tap, mac, addr, gateway string) *machine {
	h.Helper()
	args := []string{"-accel", "tcg", "-cpu", "max", "-m", "256", "-display", "none", "-nodefaults", "-no-user-config", "-no-reboot",
		"-kernel", b.kernel, "-initrd", b.initrd,
		"-append", fmt.Sprintf("console=ttyS0 quiet loglevel=0 panic=-1 ip=%s gw=%s", addr, gateway), "-serial", "stdio",
		"-netdev", "tap,id=n0,ifname=" + tap + ",script=no,downscript=no",
		"-device", "virtio-net-pci,netdev=n0,romfile=,mac=" + mac}
	m := &machine{T: h.T, qemu: h.at("qemu-system-x86_64", args...), lines: make(chan string, 4096)}
	var err error
	m.in, err = m.qemu.StdinPipe()
	h.must(err)
	out, err := m.qemu.StdoutPipe()
	h.must(err)
	m.qemu.Stderr = m.qemu.Stdout
	h.must(m.qemu.Start())
	h.Cleanup(m.kill)
	go func() {
		defer close(m.lines)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			m.lines <- strings.TrimRight(scan.Text(), "\r")
		}
	}()
	return m
}

// await reads until a line begins with the mark; it returns what came before
// and the rest of that line.
func (m *machine) await(mark string, limit time.Duration) (before []string, rest string, err error) {
	timer := time.After(limit)
	for {
		select {
		case line, ok := <-m.lines:
			if !ok {
				return before, "", fmt.Errorf("the machine has ended; it said %q", m.said)
			}
			m.said = append(m.said, line)
			if _, rest, ok := strings.Cut(line, mark); ok {
				return before, rest, nil
			}
			before = append(before, line)
		case <-timer:
			return before, "", fmt.Errorf("the machine says nothing more within %s; it said %q", limit, m.said)
		}
	}
}

// ready waits until the guest reads commands.
func (m *machine) ready() {
	m.Helper()
	if _, _, err := m.await("@@ready", guestBoot); err != nil {
		m.Fatal(err)
	}
}

// try runs a line in the guest; the error is that it did not exit with 0.
func (m *machine) try(line string) (string, error) {
	if _, err := io.WriteString(m.in, line+"\n"); err != nil {
		return "", err
	}
	out, code, err := m.await("@@exit ", guestLine)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(strings.Join(out, "\n"))
	if n, err := strconv.Atoi(strings.TrimSpace(code)); err != nil || n != 0 {
		return text, fmt.Errorf("in the machine: %s: exit %s: %s", line, code, text)
	}
	return text, nil
}

func (m *machine) run(line string) string {
	m.Helper()
	out, err := m.try(line)
	if err != nil {
		m.Fatal(err)
	}
	return out
}

// kill ends the machine as a power cut does.
func (m *machine) kill() {
	m.qemu.Process.Kill()
	for range m.lines { // the reader must not hang on a full channel
	}
	m.qemu.Wait()
}
