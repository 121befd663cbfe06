package meter

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/e2e/netns"
)

// rig is a namespace with a link in it, and a scope that sees it.
type rig struct {
	host, ns string
	scope    Scope
}

func newRig(t *testing.T) rig {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("the meter's tests make network namespaces: they need root")
	}
	b := make([]byte, 3)
	rand.Read(b)
	r := rig{host: "m" + hex.EncodeToString(b)}
	r.ns = r.host + "-a"
	r.scope = Scope{Host: r.host, Bin: t.TempDir()}
	if err := netns.Add(r.ns); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netns.Delete(r.ns); err != nil {
			t.Error(err)
		}
	})
	r.in(t, "ip link set lo up")
	r.in(t, "ip link add d0 type veth peer name d1")
	r.in(t, "ip link set d0 up")
	return r
}

// in runs a command inside the rig's namespace.
func (r rig) in(t *testing.T, line string) {
	t.Helper()
	if _, err := run(r.ns, strings.Fields(line)...); err != nil {
		t.Fatal(err)
	}
}

func take(t *testing.T, s Scope) Dump {
	t.Helper()
	d, err := Take(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// One planted object of each kind is named, and nothing is reported once it is gone.
func TestNamesEachPlantedObject(t *testing.T) {
	r := newRig(t)
	undoes := func(line string) func(*testing.T) func() {
		return func(t *testing.T) func() { return func() { r.in(t, line) } }
	}
	plant := func(do, undo string) func(*testing.T) func() {
		return func(t *testing.T) func() { r.in(t, do); return undoes(undo)(t) }
	}
	for _, c := range []struct {
		want  string // how the change must begin, behind the verb
		plant func(*testing.T) (remove func())
	}{
		{"link " + r.ns + "/x0", plant("ip link add x0 type bridge", "ip link del x0")},
		{"address " + r.ns + "/d0 192.0.2.1", plant("ip addr add 192.0.2.1/32 dev d0", "ip addr del 192.0.2.1/32 dev d0")},
		{"route " + r.ns + "/blackhole 192.0.2.0/24", plant("ip route add blackhole 192.0.2.0/24", "ip route del blackhole 192.0.2.0/24")},
		{"rule " + r.ns + "/77", plant("ip rule add pref 77 from 192.0.2.1 table 7", "ip rule del pref 77")},
		{"neighbour " + r.ns + "/d0 192.0.2.9", plant("ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev d0", "ip neigh del 192.0.2.9 dev d0")},
		{"proxy neighbour " + r.ns + "/d0 192.0.2.8", plant("ip neigh add proxy 192.0.2.8 dev d0", "ip neigh del proxy 192.0.2.8 dev d0")},
		{"fdb " + r.ns + "/d0 02:00:00:00:00:07", plant("bridge fdb add 02:00:00:00:00:07 dev d0", "bridge fdb del 02:00:00:00:00:07 dev d0")},
		{"nft table " + r.ns + "/", plant("nft add table ip planted", "nft delete table ip planted")},
		{"qdisc " + r.ns + "/d0 clsact", plant("tc qdisc add dev d0 clsact", "tc qdisc del dev d0 clsact")},
		{"sysctl " + r.ns + "/net/ipv4/conf/d0/forwarding", plant("sysctl -qw net.ipv4.conf.d0.forwarding=1", "sysctl -qw net.ipv4.conf.d0.forwarding=0")},
		{"netns vpc-" + r.host + "-x", r.plantNetns},
		{"netns " + r.host + "-name", r.plantName},
		{"mount ", r.plantMount},
		{"pin " + bpffs, r.plantPin},
		{"program at tc " + r.ns + "/d0", r.plantProgram},
		{"unix socket ", r.plantUnix},
		{"listener tcp 127.0.0.1:", r.plantListener},
		{"process sleep", r.plantProcess},
	} {
		name, _, _ := strings.Cut(c.want, " "+r.ns)
		t.Run(strings.TrimSpace(strings.ReplaceAll(name, r.host, "H")), func(t *testing.T) {
			before := take(t, r.scope)
			remove := c.plant(t)
			changes := Compare(before, take(t, r.scope))
			remove()
			found := false
			for _, ch := range changes {
				found = found || strings.HasPrefix(ch.Key.String(), c.want)
			}
			if !found {
				t.Errorf("planted %q, and the meter named %v", c.want, changes)
			}
			for _, ch := range Compare(before, take(t, r.scope)) {
				t.Errorf("removed again, and the meter says %v", ch)
			}
		})
	}
}

func (r rig) plantNetns(t *testing.T) func() {
	name := "vpc-" + r.host + "-x"
	if err := netns.Add(name); err != nil {
		t.Fatal(err)
	}
	return func() { netns.Delete(name) }
}

// A name that a crash left without a namespace.
func (r rig) plantName(t *testing.T) func() {
	path := netns.Path(r.host + "-name")
	if err := os.WriteFile(path, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	return func() { os.Remove(path) }
}

func (r rig) plantMount(t *testing.T) func() {
	dir := filepath.Join(t.TempDir(), r.host)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	return func() { unix.Unmount(dir, 0) }
}

func (r rig) plantPin(t *testing.T) func() {
	path := filepath.Join(bpffs, r.host)
	if _, err := run("", "bpftool", "map", "create", path, "type", "array", "key", "4", "value", "4", "entries", "1", "name", "planted"); err != nil {
		t.Skip(err)
	}
	return func() { os.Remove(path) }
}

func (r rig) plantProgram(t *testing.T) func() {
	r.in(t, "tc qdisc add dev d0 clsact")
	remove := func() { r.in(t, "tc qdisc del dev d0 clsact") }
	line := "tc filter add dev d0 ingress prio 1 handle 1 bpf direct-action object-file ../../bpf/fromeni_bpfel.o section tc"
	if _, err := run(r.ns, strings.Fields(line)...); err != nil {
		remove()
		t.Skip("tc cannot load a program: ", err)
	}
	return remove
}

func (r rig) plantUnix(t *testing.T) func() {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), r.host))
	if err != nil {
		t.Fatal(err)
	}
	return func() { l.Close() }
}

func (r rig) plantListener(t *testing.T) func() { return r.plantCopy(t, "nc", "-l", "127.0.0.1", "0") }

func (r rig) plantProcess(t *testing.T) func() { return r.plantCopy(t, "sleep", "60") }

// plantCopy runs a copy of a tool from the directory of our binaries, for our host.
func (r rig) plantCopy(t *testing.T, tool string, args ...string) func() {
	from, err := exec.LookPath(tool)
	if err != nil {
		t.Skip(err)
	}
	if from, err = filepath.EvalSymlinks(from); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(r.scope.Bin, tool)
	if err := os.WriteFile(to, b, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(to, args...)
	cmd.Env = append(os.Environ(), "VPC_SOCKET=/nowhere/"+r.host)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if tool == "nc" {
		eventually(t, "nc listens", func() bool {
			out, err := run("", "ss", "-H", "-l", "-n", "-t", "-p")
			return err == nil && strings.Contains(string(out), fmt.Sprintf("pid=%d,", cmd.Process.Pid))
		})
	}
	return func() { cmd.Process.Kill(); cmd.Wait() }
}

// What others do outside the scope is not reported.
func TestForeignNamespaceDoesNotCount(t *testing.T) {
	r := newRig(t)
	before := take(t, r.scope)
	foreign := "o" + r.host
	if err := netns.Add(foreign); err != nil {
		t.Fatal(err)
	}
	defer netns.Delete(foreign)
	for _, ch := range Compare(before, take(t, r.scope)) {
		t.Errorf("a foreign namespace shows: %v", ch)
	}
}

func TestCompare(t *testing.T) {
	k := func(name string) Key { return Key{"link", "n", name} }
	before := Dump{k("same"): "1", k("gone"): "2", k("changed"): "3"}
	after := Dump{k("same"): "1", k("new"): "4", k("changed"): "5"}
	var got []string
	for _, c := range Compare(before, after) {
		got = append(got, strings.SplitN(c.String(), ":", 2)[0]+" "+c.Key.Name)
	}
	if want := "changed changed, missing gone, left behind new"; strings.Join(got, ", ") != want {
		t.Errorf("have %v, want %s", got, want)
	}
}
