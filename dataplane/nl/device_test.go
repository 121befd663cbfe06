package nl

import (
	"bytes"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

// TestDevices: what is up, with the addresses of its networks, and no loopback.
func TestDevices(t *testing.T) {
	_, o, key, e := outside(t)
	must(t, o.Drivers().Edges.Put(ctx, key, e))
	c, err := o.conn()
	must(t, err)
	must(t, c.createBridge(700, "up0", mac(7)))
	must(t, c.setAddress(700, netip.MustParsePrefix("192.0.2.1/24"), 0))
	must(t, c.setAddress(700, netip.MustParsePrefix("2001:db8::1/64"), 0))
	lo, err := c.link(0, "lo")
	must(t, err)
	must(t, c.setUp(lo.index, true))
	list, err := o.Devices()
	if err != nil || len(list) != 1 || list[0].Name != e.Name {
		t.Fatalf("with up0 down: %+v, %v", list, err)
	}
	must(t, c.setUp(700, true))
	list, err = o.Devices()
	must(t, err)
	index, err := o.EdgeIndex(key)
	if err != nil || index == 0 {
		t.Fatalf("the edge has ifindex %d, %v", index, err)
	}
	for _, d := range list {
		switch {
		case d.Index == 700 && d.Name == "up0" && d.MAC == mac(7) && len(d.Addrs) == 1 && d.Addrs[0] == netip.MustParsePrefix("192.0.2.1/24"):
		case d.Index == index && d.Name == e.Name && d.MAC == e.MAC:
		default:
			t.Errorf("%+v", d)
		}
	}
	if len(list) != 2 {
		t.Errorf("%d devices", len(list))
	}
	if _, err := o.EdgeIndex(LinkKey{key.Netns, 4242}); !gone(err) {
		t.Errorf("an edge that is not there: %v", err)
	}
}

// TestAnnounce: one frame for each claim, to everybody, with the claimed address on
// both sides.
func TestAnnounce(t *testing.T) {
	k, o, key, e := outside(t)
	must(t, o.Drivers().Edges.Put(ctx, key, e)) // the pair will do for a wire
	index, err := o.EdgeIndex(key)
	must(t, err)
	inner, err := k.conn(key.Netns)
	must(t, err)
	var fd int
	must(t, inFile(inner.ns, func() (err error) {
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0x0608); err == nil {
			err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: 0x0608, Ifindex: key.Index})
		}
		return err
	}))
	f := os.NewFile(uintptr(fd), "wire")
	defer f.Close()
	must(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}))
	must(t, o.Announce(nil))
	for deadline := time.Now().Add(10 * time.Second); ; { // the link comes up in its own time
		must(t, o.Announce([]Claim{{index, spec.MAC{2, 1, 2, 3, 4, 5}, addr("192.0.2.70")}}))
		buf := make([]byte, 100)
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil && time.Now().Before(deadline) {
			continue
		}
		must(t, err)
		want := []byte{255, 255, 255, 255, 255, 255, 2, 1, 2, 3, 4, 5, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1,
			2, 1, 2, 3, 4, 5, 192, 0, 2, 70, 0, 0, 0, 0, 0, 0, 192, 0, 2, 70}
		if !bytes.Equal(buf[:n], want) {
			t.Errorf("announced %x, want %x", buf[:n], want)
		}
		return
	}
}

// TestPoolWithinANetwork: it is cut out of the network of the device that is
// named, of no other, and never is the network itself.
func TestPoolWithinANetwork(t *testing.T) {
	_, o, _, _ := outside(t)
	c, err := o.conn()
	must(t, err)
	must(t, c.createBridge(700, "up0", mac(7)))
	must(t, c.setAddress(700, netip.MustParsePrefix("192.0.2.1/24"), 0))
	must(t, c.setUp(700, true))
	d := o.Drivers().Routes
	for _, row := range []struct {
		pool, within string
		ok           bool
	}{{"192.0.2.64/28", "", false}, {"192.0.2.64/28", "up1", false}, {"192.0.2.0/24", "up0", false}, {"192.0.2.64/28", "up0", true}} {
		dest, want := netip.MustParsePrefix(row.pool), HostRoute{Within: row.within}
		if err := d.Put(ctx, dest, want); (err == nil) != row.ok {
			t.Errorf("%s within %q: %v", row.pool, row.within, err)
		}
		have, err := d.Observe(ctx, map[netip.Prefix]HostRoute{dest: want})
		if _, there := have[dest]; err != nil || there != row.ok || row.ok && have[dest] != want {
			t.Errorf("%s within %q: listed %v, %v", row.pool, row.within, have, err)
		}
	}
}
