package nl

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	vnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

func mac(n byte) spec.MAC { return spec.MAC{2, 0x0e, 0, 0, 0, n} }

func port(n spec.Netns, i int) Link {
	return Link{
		Kind: Veth, Name: fmt.Sprintf("p%d", i), Alias: fmt.Sprintf("eni-%d", i), MAC: mac(byte(i)), MTU: 1450,
		Peer: n, PeerName: "eth0", PeerMAC: mac(byte(i + 100)),
	}
}

func genMode(mode byte) *vnl.RtAttr {
	families := vnl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	families.AddRtAttr(unix.AF_INET6, nil).AddRtAttr(unix.IFLA_INET6_ADDR_GEN_MODE, []byte{mode})
	return families
}

func TestPortIntoWorkload(t *testing.T) {
	k := testHost(t)
	s := k.make(t, 1)
	n := stranger(t)
	d := k.Drivers().Links
	key := LinkKey{s, 100002}
	want := map[LinkKey]Link{key: port(n, 2)}
	converge(t, "link", d, LinkKey.Compare, want)
	facts, err := LinkByName(n.Path, "eth0")
	if err != nil || facts.MAC != want[key].PeerMAC || facts.MTU != 1450 || facts.Up {
		t.Fatalf("%+v, %v", facts, err)
	}
	by(t, pathOf(s), func(c *conn) error {
		l, err := c.link(key.Index, "")
		if err == nil && (l.up || l.genMode == 0) {
			err = fmt.Errorf("created up or with a link-local address: %+v", l)
		}
		return err
	})
	for name, tamper := range map[string]func(c *conn) error{
		"name":       func(c *conn) error { return c.setLink(key.Index, attrName("renamed")) },
		"alias":      func(c *conn) error { return c.setLink(key.Index, attrAlias("")) },
		"mac":        func(c *conn) error { return c.setLink(key.Index, attrMAC(mac(99))) },
		"mtu":        func(c *conn) error { return c.setLink(key.Index, attrMTU(1300)) },
		"deletion":   func(c *conn) error { return c.deleteLink(key.Index) },
		"link-local": func(c *conn) error { return c.setLink(key.Index, genMode(0)) },
	} {
		by(t, pathOf(s), tamper)
		if got := have(t, d, want); got[key] == want[key] {
			t.Errorf("%s not seen: %+v", name, got)
		}
		converge(t, "link after "+name, d, LinkKey.Compare, want)
	}
	if facts, err = LinkByName(n.Path, "eth0"); err != nil {
		t.Fatal(err)
	}
	// The workload may rename its end; it may not give it away.
	by(t, n.Path, func(c *conn) error { return c.setLink(facts.Index, attrName("lan0")) })
	if got := have(t, d, want); got[key] != want[key] {
		t.Fatalf("%+v", got[key])
	}
	other := stranger(t)
	f, err := os.Open(other.Path)
	must(t, err)
	defer f.Close()
	by(t, n.Path, func(c *conn) error { return c.setLink(facts.Index, attrNetns(uint32(f.Fd()))) })
	if got := have(t, d, want); got[key] == want[key] {
		t.Fatal("the other end is elsewhere and nobody noticed")
	}
	converge(t, "link", d, LinkKey.Compare, want)
	if _, err := LinkByName(other.Path, "lan0"); err == nil {
		t.Fatal("the old pair is still there")
	}
	for range 2 {
		must(t, d.Delete(ctx, key))
	}
	if got := have(t, d, nil); len(got) != 0 {
		t.Fatalf("left: %+v", got)
	}
}

func TestReplacedWorkloadIsRefused(t *testing.T) {
	k := testHost(t)
	s := k.make(t, 1)
	n := stranger(t)
	n.Inode++
	d := k.Drivers()
	if err := d.Links.Put(ctx, LinkKey{s, 100003}, port(n, 3)); !errors.Is(err, ErrReplaced) {
		t.Fatalf("link: %v", err)
	}
	if err := d.Workloads.Put(ctx, 100003, Workload{Netns: n}); !errors.Is(err, ErrReplaced) {
		t.Fatalf("workload: %v", err)
	}
	n.Inode = 0
	if err := d.Links.Put(ctx, LinkKey{s, 100003}, port(n, 3)); !errors.Is(err, ErrReplaced) {
		t.Fatalf("a namespace without identity: %v", err)
	}
	if got := have(t, d.Links, nil); len(got) != 0 {
		t.Fatalf("made %v", got)
	}
}

func TestBridgeAndOccupants(t *testing.T) {
	k := testHost(t)
	s := k.make(t, 1)
	d := k.Drivers().Links
	// A pair sits on the bridge's index and another bridge on its name.
	must(t, d.Put(ctx, LinkKey{s, 100001}, port(stranger(t), 1)))
	must(t, d.Put(ctx, LinkKey{s, 100009}, Link{Kind: Bridge, Name: "br0", Alias: "old", MTU: 1500}))
	key := LinkKey{s, 100001}
	want := map[LinkKey]Link{key: {Kind: Bridge, Name: "br0", Alias: "subnet", MAC: mac(7), MTU: 9000}}
	converge(t, "link", d, LinkKey.Compare, want)
	if got := have(t, d, want); len(got) != 1 {
		t.Fatalf("%+v", got)
	}
	by(t, pathOf(s), func(c *conn) error {
		l, err := c.link(100001, "")
		if pvid, ok := l.bridge[vnl.IFLA_BR_VLAN_DEFAULT_PVID]; ok && pvid != 0 {
			return fmt.Errorf("default VLAN %d", pvid)
		}
		if err != nil {
			return err
		}
		msg := vnl.NewIfInfomsg(unix.AF_UNSPEC)
		msg.Index = 100001
		info := vnl.NewRtAttr(unix.IFLA_LINKINFO, nil)
		info.AddRtAttr(vnl.IFLA_INFO_KIND, vnl.NonZeroTerminated("bridge"))
		info.AddRtAttr(vnl.IFLA_INFO_DATA, nil).AddRtAttr(vnl.IFLA_BR_STP_STATE, vnl.Uint32Attr(1))
		return c.write(unix.RTM_NEWLINK, 0, msg, info)
	})
	if got := have(t, d, want)[key].Wrong; got != "stp on" {
		t.Fatalf("wrong: %q", got)
	}
	converge(t, "link", d, LinkKey.Compare, want)
}

func TestLinkThatCannotBe(t *testing.T) {
	good := port(spec.Netns{Path: "/x", Inode: 1}, 1)
	for name, change := range map[string]func(k *LinkKey, v *Link){
		"loopback's index": func(k *LinkKey, _ *Link) { k.Index = 1 },
		"long name":        func(_ *LinkKey, v *Link) { v.Name = strings.Repeat("x", 16) },
		"no name":          func(_ *LinkKey, v *Link) { v.Name = "" },
		"no alias":         func(_ *LinkKey, v *Link) { v.Alias = "" },
		"two lines":        func(_ *LinkKey, v *Link) { v.Alias = "a\nb" },
		"other kind":       func(_ *LinkKey, v *Link) { v.Kind = "dummy" },
		"no peer":          func(_ *LinkKey, v *Link) { v.Peer = spec.Netns{} },
		"unknown place":    func(_ *LinkKey, v *Link) { v.Peer, v.PeerName = spec.Netns{}, "" },
		"no peer name":     func(_ *LinkKey, v *Link) { v.PeerName = "" },
	} {
		key, v := LinkKey{"vpc-x-s", 7}, good
		if err := check(key, v); err != nil {
			t.Fatal(err)
		}
		if change(&key, &v); check(key, v) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	k := Open("x")
	if err := k.Drivers().Links.Put(ctx, LinkKey{"other", 7}, good); err == nil {
		t.Error("a namespace that is not ours was accepted")
	}
}

func TestBridgePorts(t *testing.T) {
	k := testHost(t)
	s := k.make(t, 1)
	d := k.Drivers()
	br, p := LinkKey{s, 100001}, LinkKey{s, 100002}
	must(t, d.Links.Put(ctx, br, Link{Kind: Bridge, Name: "br0", Alias: "subnet", MAC: mac(7), MTU: 1450}))
	must(t, d.Links.Put(ctx, p, port(stranger(t), 2)))
	want := map[LinkKey]BridgePort{p: {Master: br.Index}}
	converge(t, "port", d.BridgePorts, LinkKey.Compare, want)
	by(t, pathOf(s), func(c *conn) error {
		l, err := c.link(p.Index, "")
		for attr, value := range map[uint16]byte{
			vnl.IFLA_BRPORT_ISOLATED: 1, vnl.IFLA_BRPORT_LEARNING: 0, vnl.IFLA_BRPORT_UNICAST_FLOOD: 0,
			vnl.IFLA_BRPORT_MCAST_FLOOD: 0, vnl.IFLA_BRPORT_BCAST_FLOOD: 0, vnl.IFLA_BRPORT_NEIGH_SUPPRESS: 1,
		} {
			if have, ok := l.port[attr]; !ok || have != value {
				t.Errorf("bridge port attribute %d is %d (%v), want %d", attr, have, ok, value)
			}
		}
		return err
	})
	for _, f := range portFlags {
		by(t, pathOf(s), func(c *conn) error {
			msg := vnl.NewIfInfomsg(unix.AF_BRIDGE)
			msg.Index = int32(p.Index)
			info := vnl.NewRtAttr(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, nil)
			info.AddRtAttr(int(f.attr), []byte{1 - f.value})
			return c.write(unix.RTM_SETLINK, 0, msg, info)
		})
		if got := have(t, d.BridgePorts, want)[p].Wrong; got != fmt.Sprintf("%s %d", f.name, 1-f.value) {
			t.Errorf("%s: seen as %q", f.name, got)
		}
		converge(t, "port", d.BridgePorts, LinkKey.Compare, want)
	}
	must(t, d.BridgePorts.Delete(ctx, p))
	must(t, d.BridgePorts.Delete(ctx, LinkKey{s, 9}))
	must(t, d.BridgePorts.Delete(ctx, LinkKey{k.Netns(vpc(9)), 9}))
	if got := have(t, d.BridgePorts, want); len(got) != 0 {
		t.Fatalf("%v", got)
	}
}

func TestUpsAddressesNeighboursForwarding(t *testing.T) {
	k := testHost(t)
	s := k.make(t, 1)
	d := k.Drivers()
	br, p := LinkKey{s, 100001}, LinkKey{s, 100002}
	must(t, d.Links.Put(ctx, br, Link{Kind: Bridge, Name: "br0", Alias: "subnet", MAC: mac(7), MTU: 1450}))
	must(t, d.Links.Put(ctx, p, port(stranger(t), 2)))
	must(t, d.BridgePorts.Put(ctx, p, BridgePort{Master: br.Index}))

	converge(t, "up", d.Ups, LinkKey.Compare, map[LinkKey]Up{br: {}, p: {}})
	addrs := map[AddressKey]struct{}{
		{s, br.Index, netip.MustParsePrefix("10.0.1.1/24")}:        {},
		{s, br.Index, netip.MustParsePrefix("169.254.169.253/32")}: {},
		{s, br.Index, netip.MustParsePrefix("fd00::1/64")}:         {},
	}
	converge(t, "address", d.Addresses, AddressKey.Compare, addrs)
	neighs := map[NeighbourKey]spec.MAC{
		{s, br.Index, netip.MustParseAddr("10.0.1.10")}: mac(102),
		{s, br.Index, netip.MustParseAddr("fd00::10")}:  mac(102),
	}
	converge(t, "neighbour", d.Neighbours, NeighbourKey.Compare, neighs)
	macs := map[FDBKey]int{{s, mac(102)}: p.Index, {s, mac(104)}: p.Index}
	converge(t, "fdb", d.FDB, FDBKey.Compare, macs)
	if got := have(t, d.FDB, nil); len(got) != len(macs) {
		t.Fatalf("entries that nobody made: %v", got)
	}
	moved := NeighbourKey{s, br.Index, netip.MustParseAddr("10.0.1.10")}
	neighs[moved] = mac(103)
	converge(t, "neighbour", d.Neighbours, NeighbourKey.Compare, neighs)

	for range 2 {
		for key := range macs {
			must(t, d.FDB.Delete(ctx, key))
		}
		for key := range neighs {
			must(t, d.Neighbours.Delete(ctx, key))
		}
		for key := range addrs {
			must(t, d.Addresses.Delete(ctx, key))
		}
		must(t, d.Ups.Delete(ctx, p))
		must(t, d.Ups.Delete(ctx, LinkKey{s, 77}))
	}
	left := len(have(t, d.FDB, nil)) + len(have(t, d.Neighbours, nil)) + len(have(t, d.Addresses, nil)) + len(have(t, d.Ups, nil))
	if left != 1 {
		t.Fatalf("%d objects left, want the bridge's own state", left)
	}
}

// openTap makes a tap the way a virtual machine monitor does; a persistent one
// outlives its monitor.
func openTap(t *testing.T, n spec.Netns, name string, persistent bool) (close func()) {
	t.Helper()
	var fd int
	must(t, In(n.Path, func() error {
		var err error
		if fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
			return err
		}
		req, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil || !persistent {
			return err
		}
		return unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1)
	}))
	done := false
	close = func() {
		if !done {
			done = true
			unix.Close(fd)
		}
	}
	t.Cleanup(close)
	return close
}

func adopted(t *testing.T) (d links, key LinkKey, n spec.Netns, want map[LinkKey]Link) {
	t.Helper()
	k := testHost(t)
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skip("no /dev/net/tun here")
	}
	key, n = LinkKey{k.make(t, 1), 100004}, stranger(t)
	return links{k}, key, n, map[LinkKey]Link{key: {
		Kind: Tap, Name: "p4", Alias: "eni-4", MAC: mac(4), MTU: 1450, Peer: n, PeerName: "tap0",
	}}
}

func TestTapIsAdoptedAndGivenBack(t *testing.T) {
	d, key, n, want := adopted(t)
	if err := d.Put(ctx, key, want[key]); err == nil {
		t.Fatal("took a device that is not there")
	}
	openTap(t, n, "tap0", false)
	for _, up := range []bool{false, true} {
		facts, err := LinkByName(n.Path, "tap0")
		must(t, err)
		by(t, n.Path, func(c *conn) error { return c.setUp(facts.Index, up) })
		converge(t, "tap", d, LinkKey.Compare, want)
		if got := have(t, d, nil); got[key] != want[key] {
			t.Fatalf("without a hint: %+v", got)
		}
		if _, err := LinkByName(n.Path, "tap0"); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("still where it was: %v", err)
		}
		must(t, d.Delete(ctx, key))
		if facts, err := LinkByName(n.Path, "tap0"); err != nil || facts.Kind != "tun" || facts.Up != up {
			t.Fatalf("not given back as it was: %+v, %v", facts, err)
		}
		by(t, n.Path, func(c *conn) error {
			s, err := c.link(0, "tap0")
			if s.alias != "" {
				return fmt.Errorf("alias %q is left", s.alias)
			}
			return err
		})
	}
}

func TestTapOfRestartedMonitor(t *testing.T) {
	for _, persistent := range []bool{false, true} {
		t.Run(fmt.Sprintf("persistent=%v", persistent), func(t *testing.T) {
			d, key, n, want := adopted(t)
			closeFirst := openTap(t, n, "tap0", persistent)
			converge(t, "tap", d, LinkKey.Compare, want)
			closeFirst()
			closeSecond := openTap(t, n, "tap0", false)
			if got := have(t, d, want); got[key] == want[key] {
				t.Fatal("a new device waits and nobody noticed")
			}
			converge(t, "tap", d, LinkKey.Compare, want)
			closeSecond()
			if got := have(t, d, want); len(got) != 0 {
				t.Fatalf("holds another device than the new one: %v", got)
			}
		})
	}
}

func TestTapsOfTwoMonitors(t *testing.T) {
	d, key, n, want := adopted(t)
	openTap(t, n, "tap0", false)
	converge(t, "tap", d, LinkKey.Compare, want)
	openTap(t, n, "tap0", false)
	if got := have(t, d, want); got[key] != want[key] {
		t.Fatalf("gives up a device in use: %+v", got)
	}
}

// TestTapWhoseNameIsTaken: whether the other link was there before or came at
// the last moment, the device goes back without our alias, and it is said where
// it is.
func TestTapWhoseNameIsTaken(t *testing.T) {
	for _, moment := range []string{"before", "during"} {
		t.Run(moment, func(t *testing.T) {
			d, key, n, want := adopted(t)
			openTap(t, n, "tap0", false)
			converge(t, "tap", d, LinkKey.Compare, want)
			openTap(t, n, "tap0", false)
			var err error
			if moment == "before" {
				err = d.Delete(ctx, key)
			} else {
				err = d.lateRelease(t, key)
			}
			if err == nil || !strings.Contains(err.Error(), "tap0") || !strings.Contains(err.Error(), n.Path+" as p4") {
				t.Errorf("the error %v does not say where the device is", err)
			}
			by(t, n.Path, func(c *conn) error {
				s, err := c.link(0, "p4")
				if err == nil && (s.alias != "" || s.kind != "tun") {
					return fmt.Errorf("it is a %q with the alias %q", s.kind, s.alias)
				}
				return err
			})
			must(t, d.Delete(ctx, key)) // said once; it is gone from here
			if got := have(t, d, nil); len(got) != 0 {
				t.Errorf("left with us: %v", got)
			}
		})
	}
}

// lateRelease moves the device as release does after it has found the name free.
func (d links) lateRelease(t *testing.T, key LinkKey) error {
	c, err := d.k.conn(key.Netns)
	must(t, err)
	have, err := c.link(key.Index, "")
	must(t, err)
	_, o, _ := parseOrigin(have.alias)
	owner, err := foreign(o.netns)
	must(t, err)
	defer owner.close()
	cause := c.setLink(have.index, attrNetns(owner.fd()), attrName(o.name), attrAlias(""))
	if cause == nil {
		t.Fatal("the kernel gave two links one name")
	}
	name, err := o.stranded(owner, have, cause)
	must(t, err)
	return o.settle(owner, name)
}

// TestTapWithoutRoom: with both names taken the device stays with us, marked.
func TestTapWithoutRoom(t *testing.T) {
	d, key, n, want := adopted(t)
	openTap(t, n, "tap0", false)
	converge(t, "tap", d, LinkKey.Compare, want)
	for _, name := range []string{"tap0", "p4"} {
		openTap(t, n, name, false)
	}
	if err := d.Delete(ctx, key); err == nil || !strings.Contains(err.Error(), "stays in "+key.Netns) {
		t.Errorf("the error %v does not say where the device is", err)
	}
	if got := have(t, d, want); got[key] != want[key] {
		t.Errorf("it is not ours any more: %v", got)
	}
	// Nor does it end with its namespace.
	err := namespaces(d).Delete(ctx, key.Netns)
	held := (*AdoptedError)(nil)
	if !errors.As(err, &held) || held.Index != key.Index || !strings.Contains(err.Error(), "tap0 of "+n.Path) {
		t.Errorf("the namespace's deletion: %v", err)
	}
	if got := have(t, d, want); got[key] != want[key] {
		t.Errorf("it was lost: %v", got)
	}
}

func TestTapWhoseOriginIsGone(t *testing.T) {
	d, key, n, want := adopted(t)
	openTap(t, n, "tap0", false)
	must(t, d.Put(ctx, key, want[key]))
	name := filepath.Base(n.Path)
	must(t, namespaces{&Kernel{prefix: strings.TrimSuffix(name, vpc(1)), conns: map[string]*conn{}}}.Delete(ctx, name))
	must(t, d.Delete(ctx, key))
	if got := have(t, d, nil); len(got) != 0 {
		t.Fatalf("%v", got)
	}
}

func TestLatencyOfOnePort(t *testing.T) {
	k := testHost(t)
	s := k.make(t, 1)
	d := k.Drivers()
	must(t, d.Links.Put(ctx, LinkKey{s, 100001}, Link{Kind: Bridge, Name: "br0", Alias: "subnet", MTU: 1450}))
	n := stranger(t)
	key := LinkKey{s, 100002}
	w := Workload{
		Netns: n, Name: "eth0", MAC: mac(102), MTU: 1450,
		Addr: netip.MustParsePrefix("10.0.1.10/24"), Gateway: netip.MustParseAddr("10.0.1.1"),
	}
	step := func(name string, err error, start time.Time) {
		must(t, err)
		t.Logf("%-12s %v", name, time.Since(start))
	}
	for range 2 {
		start := time.Now()
		step("link", d.Links.Put(ctx, key, port(n, 2)), start)
		now := time.Now()
		step("bridge port", d.BridgePorts.Put(ctx, key, BridgePort{100001, ""}), now)
		now = time.Now()
		step("up", d.Ups.Put(ctx, key, Up{}), now)
		now = time.Now()
		step("sysctl", d.Sysctls.Put(ctx, SysctlKey{s, "net/ipv4/conf/p2/send_redirects"}, "0"), now)
		now = time.Now()
		step("workload", d.Workloads.Put(ctx, key.Index, w), now)
		step("all", nil, start)
		now = time.Now()
		step("delete", d.Links.Delete(ctx, key), now)
	}
}

// TestListingManyNamespaces prints, and does not judge, what a full reading
// costs.
func TestListingManyNamespaces(t *testing.T) {
	k := testHost(t)
	d := k.Drivers()
	const count = 100
	n := stranger(t)
	want := map[LinkKey]Link{}
	start := time.Now()
	for i := range count {
		v := port(n, i)
		v.PeerName = fmt.Sprintf("s-%d", i)
		want[LinkKey{k.make(t, i), 100000 + i}] = v
	}
	t.Logf("%d namespaces made in %v", count, time.Since(start))
	start = time.Now()
	converge(t, "link", d.Links, LinkKey.Compare, want)
	t.Logf("%d pairs made and read twice in %v", count, time.Since(start))
	start = time.Now()
	have(t, d.Namespaces, nil)
	t.Logf("namespaces listed in %v", time.Since(start))
	start = time.Now()
	if got := have(t, d.Links, want); len(got) != count {
		t.Fatalf("%d pairs", len(got))
	}
	t.Logf("links listed in %v", time.Since(start))
}

// TestNameTakenInWorkload: what a workload has keeps its name, and the error
// says which name it is.
func TestNameTakenInWorkload(t *testing.T) {
	k := testHost(t)
	s := k.make(t, 1)
	n := stranger(t)
	by(t, n.Path, func(c *conn) error { return c.createBridge(5, "eth0", mac(5)) })
	d := k.Drivers().Links
	err := d.Put(ctx, LinkKey{s, 100002}, port(n, 2))
	if !errors.Is(err, unix.EEXIST) || !strings.Contains(err.Error(), "eth0") {
		t.Fatalf("%v", err)
	}
	if facts, err := LinkByName(n.Path, "eth0"); err != nil || facts.Kind != "bridge" {
		t.Fatalf("%+v, %v", facts, err)
	}
	if got := have(t, d, nil); len(got) != 0 {
		t.Fatalf("half a pair: %+v", got)
	}
}
