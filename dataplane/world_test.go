package dataplane

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// openUDP opens a socket in a namespace.
func openUDP(t *testing.T, n spec.Netns, at string) *net.UDPConn {
	t.Helper()
	var c *net.UDPConn
	err := nl.In(n.Path, func() (err error) {
		c, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(at)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// say sends a word and fails if the kernel does not take it.
func say(t *testing.T, c *net.UDPConn, word, to string) {
	t.Helper()
	if _, err := c.WriteToUDPAddrPort([]byte(word), netip.MustParseAddrPort(to)); err != nil {
		t.Fatal(err)
	}
}

// hear is the next word and who said it; "" is nobody for so long.
func hear(t *testing.T, c *net.UDPConn, limit time.Duration) (string, netip.AddrPort) {
	t.Helper()
	b := make([]byte, 64)
	if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	n, from, err := c.ReadFromUDPAddrPort(b)
	if err != nil {
		return "", from
	}
	return string(b[:n]), from
}

const (
	patient = 5 * time.Second
	silence = 300 * time.Millisecond
)

// TestTenantIsNotTheHost: who speaks to the world with the port of a service of the
// host does not get what the world says to that service, from wherever it was spoken
// to.
func TestTenantIsNotTheHost(t *testing.T) {
	w := newTown(t)
	for _, port := range []int{5300, 51820} { // below and within what tenants leave with
		host := openUDP(t, w.outside, fmt.Sprintf("192.0.2.1:%d", port))
		w.settle(t)
		client := openUDP(t, w.world, fmt.Sprintf("192.0.2.2:%d", 40000+port%100))
		tenant := openUDP(t, w.h.Ports[1].Netns, fmt.Sprintf("0.0.0.0:%d", port))
		say(t, tenant, "hello", client.LocalAddr().String())
		word, from := hear(t, client, patient)
		if word != "hello" || from.Addr().String() != "192.0.2.1" || int(from.Port()) == port {
			t.Errorf("the world heard %q from %v", word, from)
		}
		say(t, client, "secret", host.LocalAddr().String())
		if word, _ := hear(t, host, patient); word != "secret" {
			t.Errorf("port %d of the host was told %q", port, word)
		}
		say(t, client, "answer", from.String())
		if word, _ := hear(t, tenant, patient); word != "answer" {
			t.Errorf("the tenant got %q", word)
		}
	}
	first, last, err := w.d.out.FreePorts()
	if err != nil || first <= 51820 && 51820 <= last || last-first < 9000 {
		t.Errorf("ports %d to %d are free, %v", first, last, err)
	}
}

// TestPublicSourcesAreBehindEdges: the world cannot send as a public address.
func TestPublicSourcesAreBehindEdges(t *testing.T) {
	w := newTown(t)
	const forged = "198.18.0.20"
	in(t, w.outside, "sysctl -qw net.ipv4.conf.up0.rp_filter=0")
	in(t, w.world, "ip addr add "+forged+"/32 dev lo")
	in(t, w.world, "ip route add "+public+"/32 via 192.0.2.1")
	w.settle(t)
	host := openUDP(t, w.outside, "192.0.2.1:5300")
	liar, honest := openUDP(t, w.world, forged+":9"), openUDP(t, w.world, "192.0.2.2:9")
	say(t, liar, "lie", "192.0.2.1:5300")
	say(t, honest, "truth", "192.0.2.1:5300")
	if word, from := hear(t, host, patient); word != "truth" {
		t.Errorf("the host heard %q from %v", word, from)
	}
}

// TestHostIsRefusedInside: a VPC does not reach the host even while somebody's flush
// has taken the firewall away, and nobody speaks as the host.
func TestHostIsRefusedInside(t *testing.T) {
	w := newTown(t)
	in(t, w.outside, "ip addr add 203.0.113.1/32 dev lo")
	w.settle(t)
	in(t, w.outside, "nft flush ruleset")
	for _, to := range []string{"192.0.2.1", "203.0.113.1"} {
		if err := ping(w.h.Ports[1].Netns, to); err == nil {
			t.Errorf("%s answers", to)
		}
	}
	if err := ping(w.outside, public); err != nil {
		t.Errorf("the host reaches nobody: %v", err)
	}
	in(t, w.outside, "ip addr del 203.0.113.1/32 dev lo")
	w.d.Dirty()
	w.settle(t)
}

// TestOthersRulesCountForGateways: what somebody's rules forbid towards a network of
// his stays forbidden, though gateways were let through to the world.
func TestOthersRulesCountForGateways(t *testing.T) {
	if _, err := exec.LookPath("iptables"); err != nil {
		t.Skip("no iptables here")
	}
	w := newTown(t)
	inner := workloadNetns(t, w.cfg.Name+"-inner")
	in(t, w.outside, "ip link add virbr0 type veth peer name p0 netns "+strings.TrimPrefix(inner.Path, netnsDir))
	for _, line := range []string{
		"ip addr add 192.168.122.1/24 dev virbr0", "ip link set virbr0 up",
		"iptables -A FORWARD -i virbr0 -j ACCEPT", "iptables -A FORWARD -o virbr0 -j REJECT", "iptables -P FORWARD DROP",
	} {
		in(t, w.outside, line)
	}
	for _, line := range []string{"ip addr add 192.168.122.2/24 dev p0", "ip link set p0 up", "ip route add default via 192.168.122.1"} {
		in(t, inner, line)
	}
	in(t, w.outside, "sysctl -qw net.ipv4.ip_forward=1")
	w.h.Allowed = map[netip.Prefix]bool{netip.MustParsePrefix("192.168.0.0/16"): true}
	w.settle(t)
	if err := ping(w.h.Ports[1].Netns, "192.0.2.2"); err != nil {
		t.Error(err)
	}
	if err := ping(w.h.Ports[1].Netns, "192.168.122.2"); err == nil {
		t.Error("a network that the host's rules protect answers")
	}
	in(t, w.outside, "iptables -D FORWARD -o virbr0 -j REJECT")
	in(t, w.outside, "iptables -A FORWARD -o virbr0 -j ACCEPT")
	if err := ping(w.h.Ports[1].Netns, "192.168.122.2"); err != nil {
		t.Errorf("its owner lets it through: %v", err)
	}
}

// TestForwardsForGatewaysOnly: a machine that forwards nothing does not become its
// neighbours' router by having a gateway, unless somebody else makes it one.
func TestForwardsForGatewaysOnly(t *testing.T) {
	w := newTown(t)
	inner := workloadNetns(t, w.cfg.Name+"-inner")
	in(t, w.outside, "ip link add lan0 type veth peer name p0 netns "+strings.TrimPrefix(inner.Path, netnsDir))
	for _, line := range []string{"ip addr add 172.20.0.1/24 dev lan0", "ip link set lan0 up"} {
		in(t, w.outside, line)
	}
	for _, line := range []string{"ip addr add 172.20.0.2/24 dev p0", "ip link set p0 up", "ip route add default via 172.20.0.1"} {
		in(t, inner, line)
	}
	in(t, w.world, "ip route add 172.20.0.0/24 via 192.0.2.1")
	w.settle(t)
	client, server := openUDP(t, w.world, "192.0.2.2:9"), openUDP(t, inner, "172.20.0.2:9")
	say(t, client, "hello", "172.20.0.2:9")
	if word, _ := hear(t, server, silence); word != "" {
		t.Errorf("the network behind the machine got %q", word)
	}
	if err := ping(w.h.Ports[1].Netns, "192.0.2.2"); err != nil {
		t.Error(err)
	}
	in(t, w.outside, "sysctl -qw net.ipv4.ip_forward=1")
	w.settle(t)
	say(t, client, "hello", "172.20.0.2:9")
	if word, _ := hear(t, server, patient); word != "hello" {
		t.Error("the machine is a router by now, and a gateway is in its way")
	}
	if _, err := os.Stat(w.cfg.Outside.Records); err != nil {
		t.Error(err)
	}
}

// TestPublicAddressHasOneOwner: from the moment on at which somebody else gets it,
// even if the process ends right then, nobody sends with it but him.
func TestPublicAddressHasOneOwner(t *testing.T) {
	w := newTown(t)
	world := openUDP(t, w.world, "192.0.2.2:9")
	one := openUDP(t, w.h.Ports[1].Netns, "0.0.0.0:7001")
	a := netip.MustParseAddr(public)
	for _, last := range []string{"before put public", "before put port"} {
		w.h.Public = map[netip.Addr]spec.Public{a: {VPC: 1, ENI: 1, Private: w.h.Ports[1].Addr.Addr()}}
		w.settle(t)
		for range 2 { // the second one goes by the flow
			say(t, one, "mine", "192.0.2.2:9")
			if word, _ := hear(t, world, patient); word != "mine" {
				t.Fatalf("the owner is heard as %q", word)
			}
		}
		w.h.Public = map[netip.Addr]spec.Public{a: {VPC: 1, ENI: 2, Private: w.h.Ports[2].Addr.Addr()}}
		w.applyUntil(t, last)
		say(t, one, "still mine", "192.0.2.2:9")
		if word, from := hear(t, world, silence); word != "" {
			t.Errorf("%s: %q from %v", last, word, from)
		}
		w.open(t)
		w.settle(t)
	}
	if err := ping(w.h.Ports[2].Netns, "192.0.2.2"); err != nil {
		t.Error(err)
	}
}

// TestCleanupComesBackForIptables: where they do not work, every attempt says so, and
// the last one still finds what is left.
func TestCleanupComesBackForIptables(t *testing.T) {
	if _, err := exec.LookPath("iptables"); err != nil {
		t.Skip("no iptables here")
	}
	w := newTown(t)
	in(t, w.outside, "iptables -P FORWARD DROP")
	w.settle(t)
	path, dir := os.Getenv("PATH"), t.TempDir()
	if err := os.WriteFile(dir+"/iptables", []byte("#!/bin/sh\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+path)
	for range 2 {
		if err := Cleanup(t.Context(), w.cfg.Name, w.cfg.Outside); err == nil {
			t.Error("cleaned up without iptables that work")
		}
	}
	t.Setenv("PATH", path)
	w.clean(t)
	if got := in(t, w.outside, "iptables -S FORWARD") + in(t, w.outside, "nft list tables"); strings.Contains(got, w.cfg.Name) {
		t.Errorf("left behind:\n%s", got)
	}
}
