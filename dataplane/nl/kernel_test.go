package nl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/dataplane/delta"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

var ctx = context.Background()

var hosts atomic.Int64

// testHost gives a kernel with a prefix of its own, and removes what it holds
// at the end.
func testHost(t testing.TB) *Kernel {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	k := Open(fmt.Sprintf("nlt%d.%d", os.Getpid(), hosts.Add(1)))
	t.Cleanup(func() {
		d := k.Drivers().Namespaces
		have, err := d.Observe(ctx, nil)
		if err != nil {
			t.Error(err)
		}
		for name := range have {
			if err := d.Delete(ctx, name); err != nil {
				t.Error(err)
			}
		}
		k.Close()
	})
	return k
}

// vpc is the id of a VPC of the test's.
func vpc(n int) string { return fmt.Sprintf("vpc-%017x", n) }

func (k *Kernel) make(t testing.TB, n int) string {
	t.Helper()
	name := k.Netns(vpc(n))
	if err := k.Drivers().Namespaces.Put(ctx, name, struct{}{}); err != nil {
		t.Fatal(err)
	}
	return name
}

func pathOf(name string) string { return filepath.Join(runDir, name) }

// stranger makes a namespace that is not ours: another host's.
func stranger(t testing.TB) spec.Netns {
	t.Helper()
	n, err := Identify(pathOf(testHost(t).make(t, 1)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// converge puts, and shows that nothing is left to do: the second time writes
// nothing even after reading everything again.
func converge[K, V comparable](t testing.TB, name string, d delta.Driver[K, V], order func(a, b K) int, want map[K]V) {
	t.Helper()
	tr := delta.New(name, d, order)
	tr.Want(want)
	if _, err := tr.Put(ctx); err != nil {
		t.Fatal(err)
	}
	tr.Dirty()
	before := Writes()
	if n, err := tr.Put(ctx); n != 0 || err != nil || Writes() != before {
		drift, _ := tr.Diff(ctx)
		t.Fatalf("second time: %d objects, %d kernel writes, %v; drift %v", n, Writes()-before, err, drift)
	}
	drift, err := tr.Diff(ctx)
	if err != nil || len(drift) != 0 {
		t.Fatalf("drift %v, %v", drift, err)
	}
}

func have[K, V comparable](t testing.TB, d delta.Driver[K, V], want map[K]V) map[K]V {
	t.Helper()
	out, err := d.Observe(ctx, want)
	must(t, err)
	return out
}

// by runs fn with a socket of the test's own in a namespace.
func by(t testing.TB, path string, fn func(c *conn) error) {
	t.Helper()
	must(t, at(path, fn))
}

func TestNamespaces(t *testing.T) {
	k := testHost(t)
	d := k.Drivers().Namespaces
	a, b := k.Netns(vpc(1)), k.Netns(vpc(2))
	want := map[string]struct{}{a: {}, b: {}}
	home, err := Identify("/proc/thread-self/ns/net")
	must(t, err)
	converge(t, "namespace", d, cmp.Compare[string], want)
	idA, err := Identify(pathOf(a))
	must(t, err)
	idB, err := Identify(pathOf(b))
	must(t, err)
	if idA.Inode == idB.Inode || idA.Inode == home.Inode {
		t.Fatalf("not namespaces of their own: %v %v %v", home, idA, idB)
	}
	must(t, In(pathOf(a), func() error {
		inside, err := Identify("/proc/thread-self/ns/net")
		if inside.Inode != idA.Inode {
			return fmt.Errorf("inside is %d, want %d, %v", inside.Inode, idA.Inode, err)
		}
		return nil
	}))
	must(t, d.Delete(ctx, a))
	must(t, d.Delete(ctx, a))
	if got := have(t, d, want); !maps.Equal(got, map[string]struct{}{b: {}}) {
		t.Fatalf("after deletion %v", got)
	}
	if err := d.Put(ctx, "foreign", struct{}{}); err == nil {
		t.Fatal("made a namespace that is not ours")
	}
}

// TestThreadsComeBack enters many namespaces at once; afterwards no goroutine
// finds itself elsewhere.
func TestThreadsComeBack(t *testing.T) {
	k := testHost(t)
	path := pathOf(k.make(t, 1))
	home, err := Identify("/proc/thread-self/ns/net")
	must(t, err)
	errs := make(chan error)
	const visitors = 50
	for range visitors {
		go func() {
			err := In(path, func() error { return errors.New("from inside") })
			if err == nil || err.Error() != "from inside" {
				errs <- fmt.Errorf("lost the error: %v", err)
				return
			}
			here, err := Identify("/proc/thread-self/ns/net")
			if here.Inode != home.Inode {
				err = fmt.Errorf("a thread stayed in %d", here.Inode)
			}
			errs <- err
		}()
	}
	for range visitors {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestHalfMadeNamespace(t *testing.T) {
	k := testHost(t)
	d := k.Drivers().Namespaces
	k.make(t, 2) // makes the directory
	name := k.Netns(vpc(1))
	must(t, os.WriteFile(pathOf(name), nil, 0o444))
	want := map[string]struct{}{name: {}}
	if _, ok := have(t, d, want)[name]; ok {
		t.Fatal("a name without a namespace counts as wanted")
	}
	if _, ok := have(t, d, nil)[name]; !ok {
		t.Fatal("a name without a namespace is not listed for deletion")
	}
	if _, err := Identify(pathOf(name)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("identify: %v", err)
	}
	must(t, d.Put(ctx, name, struct{}{}))
	if _, ok := have(t, d, want)[name]; !ok {
		t.Fatal("not repaired")
	}
	// A second mount on the same name is undone as well.
	must(t, unix.Mount(pathOf(k.Netns(vpc(2))), pathOf(name), "none", unix.MS_BIND, ""))
	must(t, d.Delete(ctx, name))
	if _, err := os.Stat(pathOf(name)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("left behind: %v", err)
	}
}

// TestReplacedNamespace deletes and makes a namespace behind our back: the
// socket into the old one is not used again.
func TestReplacedNamespace(t *testing.T) {
	k := testHost(t)
	name := k.make(t, 1)
	d := k.Drivers().Links
	key := LinkKey{name, 4001}
	br := Link{Kind: Bridge, Name: "br0", Alias: "test", MAC: spec.MAC{2, 1, 0, 0, 0, 1}, MTU: 1400}
	must(t, d.Put(ctx, key, br))
	other := &Kernel{prefix: k.prefix, conns: map[string]*conn{}}
	must(t, other.Drivers().Namespaces.Delete(ctx, name))
	must(t, other.Drivers().Namespaces.Put(ctx, name, struct{}{}))
	if got := have(t, d, nil); len(got) != 0 {
		t.Fatalf("still sees the old namespace: %v", got)
	}
	must(t, d.Put(ctx, key, br))
	if got := have(t, d, nil); got[key] != br {
		t.Fatalf("%+v", got)
	}
}

func TestSysctls(t *testing.T) {
	k := testHost(t)
	a, b := k.make(t, 1), k.make(t, 2)
	d := k.Drivers().Sysctls
	want := map[SysctlKey]string{
		{a, "net/ipv4/ip_forward"}:                    "0",
		{b, "net/ipv4/ip_forward"}:                    "1",
		{a, "net/ipv4/conf/all/send_redirects"}:       "0",
		{a, "net/ipv4/ip_local_port_range"}:           "20000 30000",
		{a, "net/not_in_this_kernel/anything"}:        "7",
		{k.Netns(vpc(9)), "net/ipv4/ip_forward"}:      "0",
		{b, "net/ipv4/conf/default/send_redirects"}:   "0",
		{b, "net/ipv4/conf/lo/arp_announce"}:          "2",
		{b, "net/ipv4/conf/default/accept_redirects"}: "0",
	}
	if got := have(t, d, want); got[SysctlKey{k.Netns(vpc(9)), "net/ipv4/ip_forward"}] != "" {
		t.Fatalf("read from a missing namespace: %v", got)
	}
	delete(want, SysctlKey{k.Netns(vpc(9)), "net/ipv4/ip_forward"})
	converge(t, "sysctl", d, SysctlKey.Compare, want)
	must(t, In(pathOf(a), func() error {
		v, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
		if strings.Fields(string(v))[1] != "30000" {
			return fmt.Errorf("range is %q, %v", v, err)
		}
		return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
	}))
	if got := have(t, d, want)[SysctlKey{a, "net/ipv4/ip_forward"}]; got != "1" {
		t.Fatalf("tampering not seen: %q", got)
	}
	if err := d.Put(ctx, SysctlKey{a, "net/ipv4/no_such_thing"}, "1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a name that the kernel does not have: %v", err)
	}
}

// TestSysctlPathStaysInNet asks for paths only: a value outside net belongs to
// the machine the test runs on.
func TestSysctlPathStaysInNet(t *testing.T) {
	if path, err := sysctlPath("net/ipv4/conf/eth0.5/forwarding"); path != "/proc/sys/net/ipv4/conf/eth0.5/forwarding" || err != nil {
		t.Errorf("%q, %v", path, err)
	}
	for _, bad := range []string{
		"", "net", "net/", "/net/ipv4/ip_forward", "network/x", "vm/x",
		"net/../vm/x", "net/ipv4/../../vm/x", "net//x", "net/./x", "../net/x", "net/..",
	} {
		if path, err := sysctlPath(bad); err == nil {
			t.Errorf("%q leads to %s", bad, path)
		}
	}
}

func TestQueries(t *testing.T) {
	k := testHost(t)
	name := k.make(t, 1)
	links := k.Drivers().Links
	must(t, links.Put(ctx, LinkKey{name, 4100}, Link{Kind: Bridge, Name: "br0", Alias: "test", MTU: 1400}))
	got, err := LinkByName(pathOf(name), "br0")
	if err != nil || got.Index != 4100 || got.Kind != "bridge" || got.MTU != 1400 || got.Up {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := LinkByName(pathOf(name), "eth9"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("missing link: %v", err)
	}
	if _, err := routeMTU(pathOf(name)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("MTU without a route: %v", err)
	}
	if ok, err := HasDefaultRoute(pathOf(name)); ok || err != nil {
		t.Fatalf("%v, %v", ok, err)
	}
	must(t, k.Drivers().Ups.Put(ctx, LinkKey{name, 4100}, Up{}))
	by(t, pathOf(name), func(c *conn) error {
		if err := c.setAddress(4100, netip.MustParsePrefix("10.0.0.2/24"), 0); err != nil {
			return err
		}
		return c.addDefaultRoute(4100, netip.MustParseAddr("10.0.0.1"), false)
	})
	if ok, err := HasDefaultRoute(pathOf(name)); !ok || err != nil {
		t.Fatalf("%v, %v", ok, err)
	}
	if mtu, err := routeMTU(pathOf(name)); mtu != 1400 || err != nil {
		t.Fatalf("%d, %v", mtu, err)
	}
	if _, err := Identify("/proc/self/ns/mnt"); err == nil {
		t.Fatal("a mount namespace is no network namespace")
	}
}
