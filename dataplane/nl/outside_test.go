package nl

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	vnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

// outside makes a host with one VPC whose edge is in a namespace that stands for
// the host's, and returns the edge as it should be.
func outside(t *testing.T) (*Kernel, *Outside, LinkKey, Edge) {
	t.Helper()
	k := testHost(t)
	inside := k.make(t, 1)
	root := stranger(t)
	o := k.Outside(root.Path, filepath.Join(t.TempDir(), "records"))
	t.Cleanup(o.Close)
	key := LinkKey{inside, 100009}
	return k, o, key, edgeOf(t, k, key, root, "vpc-0000002a")
}

func edgeOf(t *testing.T, k *Kernel, key LinkKey, root spec.Netns, name string) Edge {
	t.Helper()
	e := Edge{Name: name, Alias: "vpc-1 igw-1", MAC: mac(42), MTU: 1400, Addr: addr("198.18.0.1")}
	must(t, k.Drivers().Links.Put(ctx, key, Link{
		Kind: Veth, Name: fmt.Sprintf("edge%d", key.Index), Alias: EdgeAlias + "vpc-1 1", MAC: mac(42), MTU: e.MTU, Peer: root, PeerName: e.Name, PeerMAC: e.MAC,
	}))
	must(t, k.Drivers().Ups.Put(ctx, key, Up{}))
	return e
}

func TestEdgeIsConfiguredAndHealed(t *testing.T) {
	k, o, key, e := outside(t)
	d := o.Drivers().Edges
	want := map[LinkKey]Edge{key: e}
	converge(t, "edge", d, LinkKey.Compare, want)
	facts, err := LinkByName(o.path, e.Name)
	if err != nil || !facts.Up || facts.MAC != e.MAC || facts.MTU != e.MTU {
		t.Fatalf("%+v, %v", facts, err)
	}
	sysctl := func(name, value string) func(*conn) error {
		return func(c *conn) error {
			return inFile(c.ns, func() error {
				return os.WriteFile("/proc/sys/net/"+strings.ReplaceAll(name, "DEV", e.Name), []byte(value), 0)
			})
		}
	}
	for name, tamper := range map[string]func(c *conn) error{
		"mtu":        func(c *conn) error { return c.setLink(facts.Index, attrMTU(1300)) },
		"mac":        func(c *conn) error { return c.setLink(facts.Index, attrMAC(mac(9))) },
		"alias":      func(c *conn) error { return c.setLink(facts.Index, attrAlias("x")) },
		"down":       func(c *conn) error { return c.setUp(facts.Index, false) },
		"arp":        func(c *conn) error { return c.setFlag(facts.Index, unix.IFF_NOARP, false) },
		"address":    func(c *conn) error { return c.deleteAddress(facts.Index, host(e.Addr)) },
		"another":    func(c *conn) error { return c.setAddress(facts.Index, prefix("192.0.2.1/24"), 0) },
		"forwarding": sysctl("ipv4/conf/DEV/forwarding", "0"),
		"ip_forward": sysctl("ipv4/ip_forward", "0"),
		"rp_filter":  sysctl("ipv4/conf/DEV/rp_filter", "0"),
		"ipv6":       sysctl("ipv6/conf/DEV/disable_ipv6", "0"),
	} {
		if name == "ip_forward" {
			by(t, o.path, sysctl("ipv4/ip_forward", "1")) // only a change turns all devices
		}
		by(t, o.path, tamper)
		if got := have(t, d, want); got[key] == e {
			t.Errorf("%s: not seen", name)
		}
		converge(t, "edge after "+name, d, LinkKey.Compare, want)
	}
	// The outer end takes the pair with it; links bring it back.
	by(t, o.path, func(c *conn) error { return c.deleteLink(facts.Index) })
	if got := have(t, d, want); len(got) != 0 {
		t.Fatalf("deleted, and listed: %v", got)
	}
	must(t, d.Delete(ctx, key))
	root, err := Identify(o.path)
	must(t, err)
	edgeOf(t, k, key, root, e.Name)
	converge(t, "edge made again", d, LinkKey.Compare, want)
	must(t, d.Delete(ctx, key))
	if facts, err := LinkByName(o.path, e.Name); err != nil || facts.Up {
		t.Fatalf("after deletion %+v, %v", facts, err)
	}
}

// TestEdgeOfNeighbour: another daemon's edge, whose inner end has our number, is
// neither taken for ours nor touched.
func TestEdgeOfNeighbour(t *testing.T) {
	_, o, key, e := outside(t)
	root, err := Identify(o.path)
	must(t, err)
	other := testHost(t)
	otherKey := LinkKey{other.make(t, 1), key.Index}
	edgeOf(t, other, otherKey, root, "vpc-0000002b")
	must(t, o.k.Drivers().Links.Delete(ctx, key))
	if got := have(t, o.Drivers().Edges, map[LinkKey]Edge{key: e}); len(got) != 0 {
		t.Fatalf("took the neighbour's: %v", got)
	}
	if err := o.Drivers().Edges.Put(ctx, key, e); err == nil {
		t.Fatal("configured an edge that is not there")
	}
	if facts, err := LinkByName(o.path, "vpc-0000002b"); err != nil || facts.Up {
		t.Fatalf("%+v, %v", facts, err)
	}
}

// TestEdgeThatLeadsAway: a pair whose other end somebody took out of the host's
// namespace is no edge, whatever has its number there now.
func TestEdgeThatLeadsAway(t *testing.T) {
	_, o, key, e := outside(t)
	converge(t, "edge", o.Drivers().Edges, LinkKey.Compare, map[LinkKey]Edge{key: e})
	facts, err := LinkByName(o.path, e.Name)
	must(t, err)
	away, err := os.Open(stranger(t).Path)
	must(t, err)
	defer away.Close()
	by(t, o.path, func(c *conn) error {
		if err := c.setLink(facts.Index, attrNetns(uint32(away.Fd()))); err != nil {
			return err
		}
		return c.createBridge(facts.Index, "innocent", mac(7))
	})
	if got := have(t, o.Drivers().Edges, map[LinkKey]Edge{key: e}); len(got) != 0 {
		t.Fatalf("listed %v", got)
	}
	if err := o.Drivers().Edges.Put(ctx, key, e); err == nil {
		t.Fatal("configured somebody else's device")
	}
	must(t, o.Drivers().Edges.Delete(ctx, key))
	if facts, err := LinkByName(o.path, "innocent"); err != nil || facts.Up || facts.MAC != mac(7) {
		t.Errorf("%+v, %v", facts, err)
	}
}

// TestFramesIntoEdge: without ARP the host addresses its frames to the device
// itself.
func TestFramesIntoEdge(t *testing.T) {
	_, o, key, e := outside(t)
	converge(t, "edge", o.Drivers().Edges, LinkKey.Compare, map[LinkKey]Edge{key: e})
	must(t, o.Drivers().Routes.Put(ctx, prefix("198.18.0.7/32"), HostRoute{Device: e.Name}))
	var fd int
	must(t, In(pathOf(key.Netns), func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, unix.ETH_P_IP>>8) // in network order
		return err
	}))
	defer unix.Close(fd)
	tv := unix.NsecToTimeval((5 * time.Second).Nanoseconds())
	must(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv))
	must(t, In(o.path, func() error {
		c, err := net.Dial("udp4", "198.18.0.7:9")
		if err == nil {
			defer c.Close()
			_, err = c.Write([]byte("x"))
		}
		return err
	}))
	frame := make([]byte, 128)
	n, _, err := unix.Recvfrom(fd, frame, 0)
	must(t, err)
	if n < 34 || spec.MAC(frame[0:6]) != e.MAC || spec.MAC(frame[6:12]) != e.MAC || netip.AddrFrom4([4]byte(frame[26:30])) != e.Addr {
		t.Fatalf("% x", frame[:n])
	}
}

func comparePrefixes(a, b netip.Prefix) int { return a.Compare(b) }

// lookup asks the namespace's kernel for the way to an address.
func lookup(t *testing.T, path, to string) string {
	t.Helper()
	var out string
	by(t, path, func(c *conn) error {
		msg := &vnl.RtMsg{}
		msg.Family, msg.Dst_len = unix.AF_INET, 32
		msgs, err := c.get(unix.RTM_GETROUTE, msg, vnl.NewRtAttr(unix.RTA_DST, addr(to).AsSlice()))
		if err != nil {
			out = err.Error()
			return nil
		}
		devices, err := routeDevices(msgs[0])
		if err != nil {
			return err
		}
		s, err := c.link(devices[0], "")
		out = s.name
		return err
	})
	return out
}

func TestHostRoutes(t *testing.T) {
	k, o, key, e := outside(t)
	root, err := Identify(o.path)
	must(t, err)
	second := LinkKey{key.Netns, 100010}
	e2 := edgeOf(t, k, second, root, "vpc-0000002b")
	converge(t, "edge", o.Drivers().Edges, LinkKey.Compare, map[LinkKey]Edge{key: e, second: e2})
	d := o.Drivers().Routes
	want := map[netip.Prefix]HostRoute{
		prefix("198.18.0.0/24"): {}, prefix("198.18.0.7/32"): {Device: e.Name}, prefix("198.18.0.8/32"): {Device: e2.Name},
	}
	converge(t, "route", d, comparePrefixes, want)
	for to, way := range map[string]string{
		"198.18.0.7": e.Name, "198.18.0.8": e2.Name, "198.18.0.9": unix.EHOSTUNREACH.Error(), "198.18.0.1": "lo",
	} {
		if got := lookup(t, o.path, to); got != way {
			t.Errorf("to %s: %s, want %s", to, got, way)
		}
	}
	// Others' routes stay what they are: without our number, or with another mark.
	foreign := func(c *conn) error {
		for i, proto := range []byte{4, protocol} {
			msg := foreignRoute()
			msg.Protocol, msg.Dst_len, msg.Scope = proto, 24, unix.RT_SCOPE_LINK
			err := c.write(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, msg,
				vnl.NewRtAttr(unix.RTA_DST, []byte{203, 0, 113, 0}), vnl.NewRtAttr(unix.RTA_PRIORITY, vnl.Uint32Attr(uint32(i+7))),
				vnl.NewRtAttr(unix.RTA_OIF, vnl.Uint32Attr(uint32(loIndex))))
			if err != nil {
				return err
			}
		}
		return nil
	}
	by(t, o.path, func(c *conn) error { return c.setUp(loIndex, true) })
	by(t, o.path, foreign)
	want[prefix("198.18.0.7/32")] = HostRoute{Device: e2.Name}
	want[prefix("198.18.0.8/32")] = HostRoute{}
	converge(t, "route moved", d, comparePrefixes, want)
	if got := lookup(t, o.path, "198.18.0.7"); got != e2.Name {
		t.Errorf("moved: %s", got)
	}
	// Removed behind our back, one by one and with the device.
	must(t, k.Outside(o.path, o.records).Drivers().Routes.Delete(ctx, prefix("198.18.0.0/24")))
	must(t, k.Drivers().Links.Delete(ctx, second))
	got := have(t, d, want)
	if len(got) != 1 || got[prefix("198.18.0.8/32")] != (HostRoute{}) {
		t.Fatalf("%v", got)
	}
	if got := lookup(t, o.path, "198.18.0.1"); got != "lo" {
		t.Errorf("with one edge less the host has lost its address in the pool: %s", got)
	}
	must(t, d.Delete(ctx, prefix("198.18.0.7/32")))
	must(t, o.Cleanup(ctx))
	if got := have(t, d, nil); len(got) != 0 {
		t.Fatalf("after cleanup %v", got)
	}
	if got := lookup(t, o.path, "203.0.113.5"); got != "lo" {
		t.Errorf("somebody else's route: %s", got)
	}
}

// TestOthersRoutesAreNotRead: what is read does not grow with what a routing
// daemon puts into the table.
func TestOthersRoutesAreNotRead(t *testing.T) {
	_, o, key, e := outside(t)
	converge(t, "edge", o.Drivers().Edges, LinkKey.Compare, map[LinkKey]Edge{key: e})
	root, err := Identify(o.path)
	must(t, err)
	facts, err := LinkByName(o.path, e.Name)
	must(t, err)
	crowd(t, root, facts.Index, 3000)
	converge(t, "route", o.Drivers().Routes, comparePrefixes, map[netip.Prefix]HostRoute{
		prefix("198.18.0.0/24"): {}, prefix("198.18.0.7/32"): {Device: e.Name},
	})
	by(t, o.path, func(c *conn) error {
		msgs, err := c.ourRoutes()
		if len(msgs) != 2 {
			t.Errorf("%d routes were read of 3,002", len(msgs))
		}
		return err
	})
}

// TestMovingLosesNothing sends without a pause while the address moves to and
// fro: the host never says unreachable.
func TestMovingLosesNothing(t *testing.T) {
	k, o, key, e := outside(t)
	root, err := Identify(o.path)
	must(t, err)
	second := LinkKey{key.Netns, 100010}
	e2 := edgeOf(t, k, second, root, "vpc-0000002b")
	converge(t, "edge", o.Drivers().Edges, LinkKey.Compare, map[LinkKey]Edge{key: e, second: e2})
	d := o.Drivers().Routes
	to := prefix("198.18.0.7/32")
	must(t, d.Put(ctx, prefix("198.18.0.0/24"), HostRoute{}))
	must(t, d.Put(ctx, to, HostRoute{Device: e.Name}))
	stop, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		failed <- at(o.path, func(c *conn) error {
			msg := &vnl.RtMsg{}
			msg.Family, msg.Dst_len = unix.AF_INET, 32
			for {
				select {
				case <-stop:
					return nil
				default:
				}
				if _, err := c.get(unix.RTM_GETROUTE, msg, vnl.NewRtAttr(unix.RTA_DST, to.Addr().AsSlice())); err != nil {
					return err
				}
			}
		})
	}()
	for i := range 200 {
		must(t, d.Put(ctx, to, HostRoute{Device: []string{e2.Name, e.Name}[i%2]}))
	}
	close(stop)
	if err := <-failed; err != nil {
		t.Fatalf("while it moved: %v", err)
	}
}

// uplink makes a device with a default route in the host's namespace.
func uplink(t *testing.T, o *Outside, name string, metric uint32) {
	t.Helper()
	by(t, o.path, func(c *conn) error {
		if err := c.createBridge(0, name, spec.MAC{}); err != nil {
			return err
		}
		s, err := c.link(0, name)
		if err != nil {
			return err
		}
		if err := c.setUp(s.index, true); err != nil {
			return err
		}
		msg := foreignRoute()
		msg.Scope = unix.RT_SCOPE_LINK
		return c.write(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, msg,
			vnl.NewRtAttr(unix.RTA_PRIORITY, vnl.Uint32Attr(metric)), vnl.NewRtAttr(unix.RTA_OIF, vnl.Uint32Attr(uint32(s.index))))
	})
}

func sysctlIn(t *testing.T, o *Outside, name, value string) string {
	t.Helper()
	var v string
	must(t, In(o.path, func() (err error) {
		if value != "" {
			if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0); err != nil {
				return err
			}
		}
		v, err = readSysctl(name, "")
		return err
	}))
	return v
}

func TestUplinks(t *testing.T) {
	_, o, _, _ := outside(t)
	uplink(t, o, "up1", 5)
	uplink(t, o, "up0", 7)
	// One default route with two next hops.
	uplink(t, o, "up2", 8)
	uplink(t, o, "up3", 9)
	by(t, o.path, func(c *conn) error {
		var hops []byte
		for _, name := range []string{"up2", "up3"} {
			s, err := c.link(0, name)
			if err != nil {
				return err
			}
			hop := make([]byte, unix.SizeofRtNexthop)
			hop[0] = unix.SizeofRtNexthop
			binary.NativeEndian.PutUint32(hop[4:], uint32(s.index))
			hops = append(hops, hop...)
			msg := foreignRoute()
			msg.Scope = unix.RT_SCOPE_NOWHERE
			if err := c.write(unix.RTM_DELROUTE, 0, msg, vnl.NewRtAttr(unix.RTA_OIF, vnl.Uint32Attr(uint32(s.index)))); err != nil {
				return err
			}
		}
		msg := foreignRoute()
		msg.Scope = unix.RT_SCOPE_LINK
		return c.write(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, msg,
			vnl.NewRtAttr(unix.RTA_PRIORITY, vnl.Uint32Attr(10)), vnl.NewRtAttr(unix.RTA_MULTIPATH, hops))
	})
	got, err := o.Uplinks()
	if err != nil || !slices.Equal(got, []string{"up0", "up1", "up2", "up3"}) {
		t.Fatalf("%v, %v", got, err)
	}
}

func TestForwardingIsGivenBack(t *testing.T) {
	k, o, _, _ := outside(t)
	uplink(t, o, "up0", 1)
	sysctlIn(t, o, forwardAll, "1")
	sysctlIn(t, o, forwardAll, "0")
	name := sysctlOf("up0")
	want := map[string]bool{"up0": true}
	converge(t, "forwarding", o.Drivers().Forwarding, cmp.Compare[string], want)
	if v := sysctlIn(t, o, name, ""); v != "1" {
		t.Fatalf("forwarding %s", v)
	}
	if v := sysctlIn(t, o, forwardAll, ""); v != "0" {
		t.Errorf("the whole machine forwards: %s", v)
	}
	sysctlIn(t, o, name, "0")
	if got := have(t, o.Drivers().Forwarding, want); got["up0"] {
		t.Error("turned off, and not seen")
	}
	converge(t, "forwarding", o.Drivers().Forwarding, cmp.Compare[string], want)
	// Another host needs it too, and goes last.
	other := testHost(t).Outside(o.path, o.records)
	t.Cleanup(other.Close)
	converge(t, "forwarding of another", other.Drivers().Forwarding, cmp.Compare[string], want)
	// Whoever cleans up knows nothing but the name.
	again := k.Outside(o.path, o.records)
	t.Cleanup(again.Close)
	must(t, again.Cleanup(ctx))
	must(t, again.Cleanup(ctx))
	if v := sysctlIn(t, o, name, ""); v != "1" {
		t.Fatalf("taken from another host that needs it: %s", v)
	}
	must(t, other.Cleanup(ctx))
	if v := sysctlIn(t, o, name, ""); v != "0" {
		t.Fatalf("not given back: %s", v)
	}
	if left, err := os.ReadDir(o.records); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// TestForwardingOfOthersStays: what forwarded before, what somebody turned off or
// on for everything meanwhile, and a device that was made anew.
func TestForwardingOfOthersStays(t *testing.T) {
	for name, c := range map[string]struct {
		before, meanwhile func(o *Outside)
		after             string
	}{
		"forwarded before": {func(o *Outside) { sysctlIn(t, o, sysctlOf("up0"), "1") }, func(*Outside) {}, "1"},
		"turned off":       {func(*Outside) {}, func(o *Outside) { sysctlIn(t, o, sysctlOf("up0"), "0") }, "0"},
		"turned on for all": {func(*Outside) {}, func(o *Outside) {
			sysctlIn(t, o, forwardAll, "1")
		}, "1"},
		"made anew": {func(*Outside) {}, func(o *Outside) {
			by(t, o.path, func(c *conn) error {
				s, err := c.link(0, "up0")
				if err != nil {
					return err
				}
				return c.deleteLink(s.index)
			})
			uplink(t, o, "up0", 1)
			sysctlIn(t, o, sysctlOf("up0"), "1")
		}, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, o, _, _ := outside(t)
			sysctlIn(t, o, forwardAll, "1")
			sysctlIn(t, o, forwardAll, "0")
			uplink(t, o, "up0", 1)
			c.before(o)
			must(t, o.Drivers().Forwarding.Put(ctx, "up0", true))
			c.meanwhile(o)
			must(t, o.Cleanup(ctx))
			if v := sysctlIn(t, o, sysctlOf("up0"), ""); v != c.after {
				t.Errorf("forwarding %s, want %s", v, c.after)
			}
			if got := have(t, o.Drivers().Forwarding, nil); !maps.Equal(got, map[string]bool{}) {
				t.Errorf("still recorded: %v", got)
			}
		})
	}
}

// TestReadOnlySysctls: the error is an instruction.
func TestReadOnlySysctls(t *testing.T) {
	_, o, _, _ := outside(t)
	uplink(t, o, "up0", 1)
	sysctlIn(t, o, sysctlOf("up0"), "0")
	o.writeSysctl = func(path, _ string) error { return &os.PathError{Op: "open", Path: path, Err: unix.EROFS} }
	err := o.Drivers().Forwarding.Put(ctx, "up0", true)
	if err == nil || !strings.Contains(err.Error(), "write 1 to /proc/sys/net/ipv4/conf/up0/forwarding on the host") {
		t.Fatalf("%v", err)
	}
	for _, device := range []string{"all", "default", "../all"} {
		if err := o.Drivers().Forwarding.Put(ctx, device, true); err == nil {
			t.Errorf("%s: turned on", device)
		}
	}
	if got := fmt.Sprint(have(t, o.Drivers().Forwarding, map[string]bool{"up0": true, "nosuch": true})); got != "map[up0:false]" {
		t.Errorf("%s", got)
	}
}

// TestPoolThatIsTaken: what somebody else reaches on the host is not taken from
// him, and the error says who has it.
func TestPoolThatIsTaken(t *testing.T) {
	_, o, key, e := outside(t)
	converge(t, "edge", o.Drivers().Edges, LinkKey.Compare, map[LinkKey]Edge{key: e})
	uplink(t, o, "up0", 5)
	add := func(to netip.Prefix, more ...vnl.NetlinkRequestData) func(c *conn) error {
		return func(c *conn) error {
			s, err := c.link(0, "up0")
			if err != nil {
				return err
			}
			msg := foreignRoute()
			msg.Protocol, msg.Dst_len, msg.Scope = 4, uint8(to.Bits()), unix.RT_SCOPE_LINK
			parts := []vnl.NetlinkRequestData{msg, vnl.NewRtAttr(unix.RTA_DST, to.Addr().AsSlice()), vnl.NewRtAttr(unix.RTA_OIF, vnl.Uint32Attr(uint32(s.index)))}
			return c.write(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, append(parts, more...)...)
		}
	}
	via := func(c *conn) error {
		s, err := c.link(0, "up0")
		if err != nil {
			return err
		}
		msg := foreignRoute()
		msg.Protocol, msg.Dst_len = 4, 16
		return c.write(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, msg, vnl.NewRtAttr(unix.RTA_DST, []byte{198, 22, 0, 0}),
			vnl.NewRtAttr(unix.RTA_GATEWAY, []byte{192, 0, 2, 1}), vnl.NewRtAttr(unix.RTA_OIF, vnl.Uint32Attr(uint32(s.index))))
	}
	by(t, o.path, add(prefix("128.0.0.0/1")))
	by(t, o.path, add(prefix("198.19.0.0/16")))
	by(t, o.path, add(prefix("198.20.0.0/24")))
	by(t, o.path, add(prefix("198.21.0.7/32")))
	by(t, o.path, add(prefix("192.0.2.0/24")))
	by(t, o.path, via)
	other := testHost(t).Outside(o.path, o.records)
	t.Cleanup(other.Close)
	must(t, other.Drivers().Routes.Put(ctx, prefix("198.23.0.0/24"), HostRoute{}))
	d := o.Drivers().Routes
	for to, taken := range map[string]bool{
		"198.18.0.0/24": false, // only the default route, and a tunnel for everything
		"198.19.5.0/24": true,  // within a network that the host is in
		"198.19.5.7/32": true,
		"198.20.0.0/24": true, // the same route
		"198.21.0.7/32": true,
		"198.21.0.8/32": false,
		"198.22.0.0/24": false, // cut out of what a router has
		"198.23.0.0/24": true,  // another daemon's
		"198.23.0.7/32": true,
	} {
		if err := d.Put(ctx, prefix(to), HostRoute{}); errors.Is(err, ErrTaken) != taken || err != nil && !taken {
			t.Errorf("%s: %v, want taken %v", to, err, taken)
		}
	}
	by(t, o.path, func(c *conn) error {
		return errors.Join(c.setUp(loIndex, true), c.setAddress(loIndex, prefix("198.24.0.1/24"), 0))
	})
	if err := d.Put(ctx, prefix("198.24.0.0/24"), HostRoute{}); !errors.Is(err, ErrTaken) {
		t.Errorf("the host's own address: %v", err)
	}
}

// TestWorkloadBesideTheEdge: a workload that lives in the host's namespace is none
// of the edges that nobody wants any more.
func TestWorkloadBesideTheEdge(t *testing.T) {
	k, o, key, e := outside(t)
	root, err := Identify(o.path)
	must(t, err)
	d := o.Drivers().Edges
	converge(t, "edge", d, LinkKey.Compare, map[LinkKey]Edge{key: e})
	must(t, k.Drivers().Links.Put(ctx, LinkKey{key.Netns, 100010}, Link{
		Kind: Veth, Name: "port", Alias: "eni-1 1", MAC: mac(1), MTU: 1400, Peer: root, PeerName: "eth0", PeerMAC: mac(2),
	}))
	by(t, o.path, func(c *conn) error {
		s, err := c.link(0, "eth0")
		if err != nil {
			return err
		}
		return c.setUp(s.index, true)
	})
	if got := have(t, d, nil); len(got) != 1 || got[key].Name != e.Name {
		t.Fatalf("nobody wants %v", got)
	}
	must(t, d.Delete(ctx, key))
	if got := have(t, d, nil); len(got) != 0 {
		t.Errorf("closed, and still listed: %v", got)
	}
}
