package vpcd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"testing"
)

// TestKernel asks about a namespace that the test made.
func TestKernel(t *testing.T) {
	needRoot(t)
	name := fmt.Sprintf("t%d-kernel", os.Getpid())
	netns(t, name)
	path := "/run/netns/" + name
	for _, args := range [][]string{
		{"-n", name, "tuntap", "add", "mode", "tap", "name", "tap0"}, {"-n", name, "tuntap", "add", "mode", "tun", "name", "tun0"},
		{"-n", name, "link", "set", "lo", "up"},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v\n%s", args, err, out)
		}
	}
	var k kernel
	if n, err := k.Identify(path); err != nil || n.Inode == 0 || n.Path != path {
		t.Errorf("%+v, %v", n, err)
	}
	if _, err := k.Identify(path + "-missing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a namespace that is missing: %v", err)
	}
	for _, tt := range []struct {
		link      string
		has, taps bool
	}{{"lo", true, false}, {"tap0", true, true}, {"tun0", true, false}, {"eth0", false, false}} {
		has, err1 := k.HasLink(path, tt.link)
		tap, err2 := k.TapExists(path, tt.link)
		if has != tt.has || tap != tt.taps || err1 != nil || err2 != nil {
			t.Errorf("%s: link %t (%v), tap %t (%v); want %t, %t", tt.link, has, err1, tap, err2, tt.has, tt.taps)
		}
	}
	routed := func(want bool) {
		t.Helper()
		if have, err := k.HasDefaultRoute(path); have != want || err != nil {
			t.Errorf("default route %t, %v; want %t", have, err, want)
		}
	}
	routed(false)
	if out, err := exec.Command("ip", "-n", name, "route", "add", "default", "dev", "lo").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	routed(true)
}
