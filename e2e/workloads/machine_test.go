package workloads

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/e2e/cloudkernel"
)

// guestBoot bounds a machine's start under emulation, guestLine one command in it.
const (
	guestBoot = 60 * time.Second
	guestLine = 30 * time.Second
)

// guestModules are what a cloud kernel needs for a paravirtual network card.
var guestModules = []string{"virtio_pci", "virtio_net"}

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

// kernelImage unpacks a kernel below dir.
func kernelImage(t *testing.T, dir string) cloudkernel.Image {
	t.Helper()
	cache, err := cloudkernel.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	deb, err := cloudkernel.Fetch("", cache)
	if err != nil {
		missing(t, "no kernel to boot: %v", err)
	}
	img, err := cloudkernel.Unpack(deb, dir)
	if err != nil {
		t.Fatal(err)
	}
	return img
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
	img := kernelImage(t, filepath.Join(dir, "package"))
	root := filepath.Join(dir, "root")
	write := func(name string, content []byte) {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	write("init", []byte(guestInit))
	write("bin/busybox", busybox)
	modules, err := img.Modules(guestModules)
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, m := range modules {
		write("modules/"+m.Name+".ko", m.ELF)
		order = append(order, m.Name)
	}
	write("modules/order", []byte(strings.Join(order, "\n")))
	initrd := filepath.Join(dir, "initrd")
	pack := exec.Command("sh", "-c", "find . | cpio -o -H newc --quiet >"+initrd)
	pack.Dir = root
	if out, err := pack.CombinedOutput(); err != nil {
		t.Fatalf("cpio: %v: %s", err, out)
	}
	return bootable{img.Kernel, initrd}
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
