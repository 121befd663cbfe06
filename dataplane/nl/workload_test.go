package nl

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	vnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }

// attached makes a subnet with one port and returns the workload that the port
// leads to, as it should be.
func attached(t *testing.T) (*Kernel, Drivers, LinkKey, Workload) {
	t.Helper()
	k := testHost(t)
	s := k.make(t, 1)
	n := stranger(t)
	d := k.Drivers()
	key := LinkKey{s, 100002}
	must(t, d.Links.Put(ctx, key, port(n, 2)))
	must(t, d.Ups.Put(ctx, key, Up{}))
	return k, d, key, Workload{
		Netns: n, Name: "eth0", MAC: mac(102), MTU: 1450, Addr: prefix("10.0.1.10/24"),
		Extra:   spec.MakeAddrs([]netip.Addr{addr("10.0.1.20"), addr("10.0.1.21")}),
		Gateway: addr("10.0.1.1"),
	}
}

func byIndex(a, b int) int { return a - b }

func prefixes(t *testing.T, n spec.Netns) []string {
	t.Helper()
	var out []string
	by(t, n.Path, func(c *conn) error {
		list, err := c.addresses()
		for _, a := range list {
			if !a.prefix.Addr().IsLoopback() {
				out = append(out, a.prefix.String())
			}
		}
		return err
	})
	slices.Sort(out)
	return out
}

func gateways(t *testing.T, n spec.Netns) []string {
	t.Helper()
	var out []string
	by(t, n.Path, func(c *conn) error {
		list, err := c.defaultRoutes(unix.AF_INET)
		for _, r := range list {
			out = append(out, fmt.Sprintf("%s metric %d", r.gateway, r.metric))
		}
		return err
	})
	return out
}

func TestWorkloadIsConfigured(t *testing.T) {
	_, d, key, w := attached(t)
	want := map[int]Workload{key.Index: w}
	converge(t, "workload", d.Workloads, byIndex, want)
	if got := prefixes(t, w.Netns); !slices.Equal(got, []string{"10.0.1.10/24", "10.0.1.20/32", "10.0.1.21/32"}) {
		t.Fatalf("addresses %v", got)
	}
	if got := gateways(t, w.Netns); !slices.Equal(got, []string{"10.0.1.1 metric 0"}) {
		t.Fatalf("default routes %v", got)
	}
	facts, err := LinkByName(w.Netns.Path, "eth0")
	if err != nil || !facts.Up {
		t.Fatalf("%+v, %v", facts, err)
	}
	for name, tamper := range map[string]func(c *conn) error{
		"mtu":     func(c *conn) error { return c.setLink(facts.Index, attrMTU(1300)) },
		"mac":     func(c *conn) error { return c.setLink(facts.Index, attrMAC(mac(9))) },
		"address": func(c *conn) error { return c.deleteAddress(facts.Index, prefix("10.0.1.20/32")) },
		"primary": func(c *conn) error { return c.deleteAddress(facts.Index, w.Addr) },
		"route":   func(c *conn) error { return c.deleteDefaultRoute(route{index: facts.Index, gateway: w.Gateway}) },
		"down":    func(c *conn) error { return c.setUp(facts.Index, false) },
		"lo":      func(c *conn) error { return c.setUp(loIndex, false) },
	} {
		by(t, w.Netns.Path, tamper)
		if got := have(t, d.Workloads, want); got[key.Index] == w {
			t.Errorf("%s: not seen", name)
		}
		converge(t, "workload after "+name, d.Workloads, byIndex, want)
	}
}

// TestWorkloadKeepsWhatIsItsOwn: addresses, routes and the name that the
// workload chose survive changes of ours.
func TestWorkloadKeepsWhatIsItsOwn(t *testing.T) {
	_, d, key, w := attached(t)
	converge(t, "workload", d.Workloads, byIndex, map[int]Workload{key.Index: w})
	facts, err := LinkByName(w.Netns.Path, "eth0")
	must(t, err)
	by(t, w.Netns.Path, func(c *conn) error {
		if err := c.setAddress(facts.Index, prefix("192.168.7.7/24"), 0); err != nil {
			return err
		}
		err := c.setLink(facts.Index, attrName("lan0"))
		if errors.Is(err, unix.EBUSY) { // before Linux 6.2, because it is up
			return nil
		}
		return err
	})
	w.Addr, w.Gateway = prefix("10.0.1.11/24"), addr("10.0.1.2")
	w.Extra = spec.MakeAddrs([]netip.Addr{addr("10.0.1.21")})
	converge(t, "workload", d.Workloads, byIndex, map[int]Workload{key.Index: w})
	if got := prefixes(t, w.Netns); !slices.Equal(got, []string{"10.0.1.11/24", "10.0.1.21/32", "192.168.7.7/24"}) {
		t.Fatalf("addresses %v", got)
	}
	if got := gateways(t, w.Netns); !slices.Equal(got, []string{"10.0.1.2 metric 0"}) {
		t.Fatalf("default routes %v", got)
	}
	// Its own default route takes the place of ours.
	by(t, w.Netns.Path, func(c *conn) error {
		if err := c.deleteDefaultRoute(route{index: facts.Index, gateway: w.Gateway}); err != nil {
			return err
		}
		parts := routeParts(facts.Index, addr("192.168.7.1"), false)
		parts[0] = foreignRoute()
		return c.write(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, parts...)
	})
	converge(t, "workload", d.Workloads, byIndex, map[int]Workload{key.Index: w})
	w.Gateway = netip.Addr{}
	must(t, d.Workloads.Put(ctx, key.Index, w))
	must(t, d.Workloads.Delete(ctx, key.Index))
	if got := prefixes(t, w.Netns); !slices.Equal(got, []string{"192.168.7.7/24"}) {
		t.Fatalf("after deletion %v", got)
	}
	if got := gateways(t, w.Netns); !slices.Equal(got, []string{"192.168.7.1 metric 0"}) {
		t.Fatalf("after deletion %v", got)
	}
}

func TestWorkloadWithoutGatewayLosesOurRoute(t *testing.T) {
	_, d, key, w := attached(t)
	converge(t, "workload", d.Workloads, byIndex, map[int]Workload{key.Index: w})
	w.Gateway = netip.Addr{}
	converge(t, "workload", d.Workloads, byIndex, map[int]Workload{key.Index: w})
	if got := gateways(t, w.Netns); len(got) != 0 {
		t.Fatalf("default routes %v", got)
	}
}

// TestOnlyAddressChanges: with its last address a link loses its routes, and
// the same gateway must be set again.
func TestOnlyAddressChanges(t *testing.T) {
	_, d, key, w := attached(t)
	w.Extra = ""
	converge(t, "workload", d.Workloads, byIndex, map[int]Workload{key.Index: w})
	w.Addr = prefix("10.0.1.11/24")
	converge(t, "workload", d.Workloads, byIndex, map[int]Workload{key.Index: w})
	if got := gateways(t, w.Netns); !slices.Equal(got, []string{"10.0.1.1 metric 0"}) {
		t.Fatalf("default routes %v", got)
	}
}

func TestWorkloadGone(t *testing.T) {
	k, d, key, w := attached(t)
	want := map[int]Workload{key.Index: w}
	converge(t, "workload", d.Workloads, byIndex, want)
	must(t, d.Links.Delete(ctx, key))
	if got := have(t, d.Workloads, want); len(got) != 0 {
		t.Fatalf("%v", got)
	}
	if err := d.Workloads.Put(ctx, key.Index, w); err == nil {
		t.Fatal("configured a link that is not there")
	}
	must(t, d.Workloads.Delete(ctx, key.Index))
	must(t, k.Drivers().Workloads.Delete(ctx, key.Index))
}

// TestLookalikeIsNotConfigured: a workload may make a pair of its own whose
// other end has our number; only the one that leads to us is touched.
func TestLookalikeIsNotConfigured(t *testing.T) {
	_, d, key, w := attached(t)
	away := stranger(t)
	must(t, d.Links.Delete(ctx, key))
	by(t, away.Path, func(c *conn) error {
		peer, err := foreign(w.Netns)
		if err != nil {
			return err
		}
		defer peer.close()
		return c.createVeth(key.Index, Link{Name: "x", MTU: 1500, PeerName: "fake0"}, peer)
	})
	// The real one is made later and comes later in every listing.
	must(t, d.Links.Put(ctx, key, port(w.Netns, 2)))
	converge(t, "workload", d.Workloads, byIndex, map[int]Workload{key.Index: w})
	if facts, err := LinkByName(w.Netns.Path, "fake0"); err != nil || facts.Up || facts.MTU != 1500 {
		t.Fatalf("%+v, %v", facts, err)
	}
}

// TestServicesAnswerBehindClosedPorts sends a question through a closed port to
// an address on the bridge: static entries alone carry the answer back.
func TestServicesAnswerBehindClosedPorts(t *testing.T) {
	_, d, key, w := attached(t)
	br := LinkKey{key.Netns, 100001}
	must(t, d.Links.Put(ctx, br, Link{Kind: Bridge, Name: "br0", Alias: "subnet", MAC: mac(7), MTU: 1450}))
	must(t, d.BridgePorts.Put(ctx, key, BridgePort{Master: br.Index}))
	must(t, d.Addresses.Put(ctx, AddressKey{br.Netns, br.Index, prefix("10.0.1.1/24")}, struct{}{}))
	must(t, d.Ups.Put(ctx, br, Up{}))
	must(t, d.Neighbours.Put(ctx, NeighbourKey{br.Netns, br.Index, w.Addr.Addr()}, w.MAC))
	must(t, d.FDB.Put(ctx, FDBKey{br.Netns, w.MAC}, key.Index))
	must(t, d.Workloads.Put(ctx, key.Index, w))

	var server, client *net.UDPConn
	must(t, In(pathOf(br.Netns), func() (err error) {
		server, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("10.0.1.1:5300")))
		return err
	}))
	defer server.Close()
	must(t, In(w.Netns.Path, func() (err error) {
		client, err = net.DialUDP("udp4", nil, server.LocalAddr().(*net.UDPAddr))
		return err
	}))
	defer client.Close()
	deadline := time.Now().Add(5 * time.Second)
	must(t, server.SetDeadline(deadline))
	must(t, client.SetDeadline(deadline))
	_, err := client.Write([]byte("ask"))
	must(t, err)
	buf := make([]byte, 16)
	n, from, err := server.ReadFromUDPAddrPort(buf)
	must(t, err)
	if string(buf[:n]) != "ask" || from.Addr() != w.Addr.Addr() {
		t.Fatalf("%q from %v", buf[:n], from)
	}
	_, err = server.WriteToUDPAddrPort([]byte("answer"), from)
	must(t, err)
	n, err = client.Read(buf)
	must(t, err)
	if string(buf[:n]) != "answer" {
		t.Fatalf("%q", buf[:n])
	}
}

// foreignRoute is the head of a route that some other program made.
func foreignRoute() *vnl.RtMsg {
	msg := vnl.NewRtMsg()
	msg.Family = unix.AF_INET
	return msg
}
