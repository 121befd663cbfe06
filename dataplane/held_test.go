package dataplane

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// openTap makes a device that lives until it is closed.
func openTap(t *testing.T, n spec.Netns, name string) *os.File {
	t.Helper()
	var f *os.File
	err := nl.In(n.Path, func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		f = os.NewFile(uintptr(fd), name)
		req, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		return unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestTapThatCannotGoBack: a device whose owner has no room for it is not
// destroyed with the namespace that it is in, by no pass and no Cleanup; it goes
// back when there is room.
func TestTapThatCannotGoBack(t *testing.T) {
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skip("no /dev/net/tun here")
	}
	d, name := openTest(t)
	h := twoSubnets(t, name)
	owner := h.Ports[3].Netns
	openTap(t, owner, "tap0")
	p := h.Ports[3]
	p.Kind, p.Name = spec.Tap, "tap0"
	h.Ports[3] = p
	if _, err := d.Apply(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	inside := netnsDir + d.kernel.Netns(h.Subnets[1].VPCID)
	ours := openTap(t, owner, "vpc-00000003")
	openTap(t, owner, "tap0")
	holds := func(step string, err error) {
		t.Helper()
		held := (*nl.AdoptedError)(nil)
		if !errors.As(err, &held) || !strings.Contains(err.Error(), "tap0 of "+owner.Path) {
			t.Errorf("%s: the error %v does not say what stays", step, err)
		}
		if facts, err := nl.LinkByName(inside, "vpc-00000003"); err != nil || facts.Kind != "tun" {
			t.Errorf("%s: the device is a %q, %v", step, facts.Kind, err)
		}
	}
	rep, err := d.Apply(t.Context(), &spec.Host{Name: name, MTU: 1450, Known: h.Known})
	holds("a pass", err)
	if !rep.Isolated {
		t.Error("one interface's tap holds up everybody")
	}
	holds("Cleanup", Cleanup(t.Context(), name, Outside{}))
	ours.Close()
	// Back it goes, under our name: that is done and an error.
	if err := Cleanup(t.Context(), name, Outside{}); err == nil || !strings.Contains(err.Error(), "as vpc-00000003") {
		t.Errorf("Cleanup with room: %v", err)
	}
	if facts, err := nl.LinkByName(owner.Path, "vpc-00000003"); err != nil || facts.Kind != "tun" {
		t.Errorf("given back is a %q, %v", facts.Kind, err)
	}
	if _, err := os.Stat(inside); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the namespace is still there: %v", err)
	}
}
