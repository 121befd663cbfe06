package nl

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	vnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

// crowd adds n host routes of the owner's own.
func crowd(t testing.TB, ns spec.Netns, index, n int) {
	t.Helper()
	by(t, ns.Path, func(c *conn) error {
		for i := range n {
			var dst [4]byte
			binary.BigEndian.PutUint32(dst[:], 11<<24+uint32(i))
			if err := c.addRoute(index, netip.PrefixFrom(netip.AddrFrom4(dst), 32), 0); err != nil {
				return err
			}
		}
		return nil
	})
}

// addRoute is a route of somebody else's.
func (c *conn) addRoute(index int, dst netip.Prefix, metric uint32) error {
	msg := foreignRoute()
	msg.Table, msg.Protocol, msg.Type, msg.Scope = unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RTN_UNICAST, unix.RT_SCOPE_LINK
	msg.Dst_len = uint8(dst.Bits())
	return c.write(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, msg,
		vnl.NewRtAttr(unix.RTA_DST, dst.Addr().AsSlice()), vnl.NewRtAttr(unix.RTA_OIF, vnl.Uint32Attr(uint32(index))),
		vnl.NewRtAttr(unix.RTA_PRIORITY, vnl.Uint32Attr(metric)))
}

// crowded is a workload as it should be, with many routes of its owner's.
func crowded(t testing.TB, routes int) (Drivers, map[int]Workload, int) {
	t.Helper()
	k := testHost(t)
	n := stranger(t)
	d, key := k.Drivers(), LinkKey{k.make(t, 1), 100002}
	must(t, d.Links.Put(ctx, key, port(n, 2)))
	must(t, d.Ups.Put(ctx, key, Up{}))
	want := map[int]Workload{key.Index: {
		Netns: n, Name: "eth0", MAC: mac(102), MTU: 1450, Addr: prefix("10.0.1.10/24"), Gateway: addr("10.0.1.1"),
	}}
	must(t, d.Workloads.Put(ctx, key.Index, want[key.Index]))
	facts, err := LinkByName(n.Path, "eth0")
	must(t, err)
	crowd(t, n, facts.Index, routes)
	return d, want, facts.Index
}

// TestManyRoutesAreNotRead: what is read of a table does not grow with it.
func TestManyRoutesAreNotRead(t *testing.T) {
	d, want, index := crowded(t, 5000)
	converge(t, "workload", d.Workloads, byIndex, want)
	for _, w := range want {
		by(t, w.Netns.Path, func(c *conn) error {
			msgs, err := c.mainRoutes(unix.AF_INET)
			if len(msgs) != 1 {
				t.Errorf("%d routes were read of 5,002, want the default route", len(msgs))
			}
			// Other lengths of the same address come in between.
			if err := c.addRoute(index, prefix("0.0.0.0/8"), 5); err != nil {
				return err
			}
			list, listErr := c.defaultRoutes(unix.AF_INET)
			if len(list) != 1 || list[0].gateway != w.Gateway || listErr != nil {
				t.Errorf("default routes %v, %v", list, listErr)
			}
			if err := c.addRoute(index, prefix("0.0.0.0/0"), 7); err != nil {
				return err
			}
			if list, _ := c.defaultRoutes(unix.AF_INET); len(list) != 2 {
				t.Errorf("with another default route: %v", list)
			}
			return err
		})
	}
}

// TestTooManyRoutesToZero: whoever hides the default route among thousands is
// told so, and hurts nobody else.
func TestTooManyRoutesToZero(t *testing.T) {
	d, want, index := crowded(t, 0)
	for key, w := range want {
		by(t, w.Netns.Path, func(c *conn) error {
			for metric := range uint32(maxHead + 1) {
				// Descending, so that each is put at the front of its list.
				if err := c.addRoute(index, prefix("0.0.0.0/8"), 2*maxHead-metric); err != nil {
					return err
				}
			}
			return nil
		})
		if err := d.Workloads.Put(ctx, key, w); err == nil || !strings.Contains(err.Error(), "routes to 0.0.0.0") {
			t.Errorf("Put says %v", err)
		}
		if got, err := d.Workloads.Observe(ctx, want); len(got) != 0 || err != nil {
			t.Errorf("listed %v, %v", got, err)
		}
	}
}

func TestRoutesOfEmptyNamespace(t *testing.T) {
	n := stranger(t)
	by(t, n.Path, func(c *conn) error {
		for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
			if list, err := c.defaultRoutes(family); len(list) != 0 || err != nil {
				t.Errorf("family %d: %v, %v", family, list, err)
			}
		}
		return nil
	})
}

// BenchmarkCrowdedWorkload is one listing beside 100,000 routes.
func BenchmarkCrowdedWorkload(b *testing.B) {
	d, want, _ := crowded(b, 100_000)
	for b.Loop() {
		if got, err := d.Workloads.Observe(ctx, want); len(got) != 1 || err != nil {
			b.Fatal(got, err)
		}
	}
}
