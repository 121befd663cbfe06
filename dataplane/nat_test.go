package dataplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/gateways"
)

func TestNATTranslates(t *testing.T) {
	l := newNATLab(t, gateways.NATConfig{}, natIP)
	l.serve(t, 80)
	if _, as := l.seen(t, insideIP, 80); as.Addr().String() != natIP || as.Port() < 1024 {
		t.Errorf("TCP is seen as %v", as)
	}
	server, client := udp(t, l.outside, outsideIP+":53"), udp(t, l.inside, insideIP+":5353")
	for _, size := range []int{100, 4000} { // whole and in fragments
		send(t, client, strings.Repeat("x", size), netip.MustParseAddrPort(outsideIP+":53"))
		text, as, err := receive(server, patience)
		if err != nil || len(text) != size || as.Addr().String() != natIP || as.Port() < 1024 {
			t.Fatalf("%d bytes of UDP: %d are seen as %v, %v", size, len(text), as, err)
		}
		send(t, server, text, as)
		if back, from, err := receive(client, patience); err != nil || back != text || from.Addr().String() != outsideIP {
			t.Fatalf("%d bytes back from %v, %v", len(back), from, err)
		}
	}
	if err := pings(l.inside, "", outsideIP); err != nil {
		t.Error(err)
	}
	m := l.metrics(t)
	if m.ActiveConnections < 3 || m.ConnectionAttempts != 1 || m.ConnectionsEstablished == 0 || m.ErrorPortAllocation != 0 || m.IdleTimeouts != 0 || m.PacketsDropped != 0 {
		t.Errorf("%+v", m)
	}
	if m.BytesInFromSource != m.BytesOutToDestination || m.PacketsInFromSource != m.PacketsOutToDestination || m.BytesInFromSource < 4000 ||
		m.BytesInFromDestination != m.BytesOutToSource || m.PacketsInFromDestination != m.PacketsOutToSource || m.BytesOutToSource < 4000 {
		t.Errorf("%+v", m)
	}
	if drift := l.apply(t); len(drift) != 0 {
		t.Errorf("drift from traffic: %v", drift)
	}
}

// TestNATRefuses: nobody reaches inside or the gateway itself unasked, and what it
// does not translate does not pass.
func TestNATRefuses(t *testing.T) {
	l := newNATLab(t, gateways.NATConfig{}, natIP)
	server, client := udp(t, l.outside, outsideIP+":53"), udp(t, l.inside, insideIP+":5353")
	send(t, client, "hello", netip.MustParseAddrPort(outsideIP+":53"))
	_, as, err := receive(server, patience)
	if err != nil {
		t.Fatal(err)
	}
	stranger := udp(t, l.outside, outsideIP+":54")
	before := l.metrics(t).PacketsDropped
	send(t, stranger, "stranger", as)
	send(t, server, "friend", as)
	if text, _, err := receive(client, patience); err != nil || text != "friend" {
		t.Errorf("inside got %q, %v", text, err)
	}
	if _, _, err := receive(client, refusal); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("inside got another one: %v", err)
	}
	for _, path := range []string{l.inside, l.outside} {
		if pings(path, "", natIP) == nil {
			t.Errorf("the gateway answers a ping of %s", path)
		}
	}
	if pings(l.inside, "-s 3000", outsideIP) == nil {
		t.Error("fragments of ICMP pass")
	}
	// A first fragment of TCP, and a protocol that has no ports.
	l.raw(t, unix.IPPROTO_TCP, 0x2000)
	l.raw(t, unix.IPPROTO_SCTP, 0)
	if dropped := l.metrics(t).PacketsDropped - before; dropped < 7 {
		t.Errorf("%d packets counted as dropped", dropped)
	}
	counted, err := l.driver.tables(l.kernel.Netns(l.host.NATs[7].ID)).Counters(context.Background())
	if err != nil || counted[gateways.Fragments].Packets < 4 || counted[gateways.Refused].Packets != 1 || counted[gateways.Untranslated].Packets != 0 {
		t.Errorf("counted %+v, %v", counted, err)
	}
}

// raw sends an IPv4 packet from inside to outside.
func (l *natLab) raw(t *testing.T, protocol byte, fragment uint16) {
	t.Helper()
	packet := make([]byte, 20+32)
	packet[0], packet[8], packet[9] = 0x45, 64, protocol
	packet[6], packet[7] = byte(fragment>>8), byte(fragment)
	src, dst := netip.MustParseAddr(insideIP).As4(), netip.MustParseAddr(outsideIP).As4()
	copy(packet[12:], src[:])
	copy(packet[16:], dst[:])
	enter(t, l.inside, func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, packet, 0, &unix.SockaddrInet4{Addr: dst})
	})
}

// TestNATChecksums: a datagram without a checksum stays so, one with has a right
// one.
func TestNATChecksums(t *testing.T) {
	l := newNATLab(t, gateways.NATConfig{}, natIP)
	var sniffer *net.IPConn
	enter(t, l.outside, func() (err error) {
		sniffer, err = net.ListenIP("ip4:udp", &net.IPAddr{IP: net.ParseIP(outsideIP)})
		return err
	})
	defer sniffer.Close()
	inNetns(t, l.inside, "ethtool -K eth0 tx off") // or the checksum is left to hardware that nobody has
	client := udp(t, l.inside, insideIP+":5353")
	for _, without := range []int{0, 1} {
		setsockopt(t, client, unix.SOL_SOCKET, unix.SO_NO_CHECK, without)
		send(t, client, "data", netip.MustParseAddrPort(outsideIP+":53"))
		b := make([]byte, 1500)
		if err := sniffer.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		n, from, err := sniffer.ReadFromIP(b)
		if err != nil || n != 8+4 || from.String() != natIP {
			t.Fatalf("%d bytes from %v, %v", n, from, err)
		}
		zero := b[6] == 0 && b[7] == 0
		if zero != (without == 1) {
			t.Errorf("checksum %x, without %d", b[6:8], without)
		}
		if sum := checksum(append(pseudo(natIP, outsideIP, unix.IPPROTO_UDP, n), b[:n]...)); !zero && sum != 0 {
			t.Errorf("the checksum of % x is off by %#x", b[:n], sum)
		}
	}
}

// checksum is the Internet's; 0 over data that holds a right one.
func checksum(b []byte) uint16 {
	var sum uint32
	for i, x := range b {
		sum += uint32(x) << (8 * (1 - i%2))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

func pseudo(src, dst string, protocol byte, size int) []byte {
	b := append(netip.MustParseAddr(src).AsSlice(), netip.MustParseAddr(dst).AsSlice()...)
	return append(b, 0, protocol, byte(size>>8), byte(size))
}

// TestNATPorts: when all ports to one destination are taken, the next connection
// fails and is counted; others go on.
func TestNATPorts(t *testing.T) {
	config := gateways.DefaultNAT()
	config.FirstPort, config.LastPort = 40000, 40015
	l := newNATLab(t, config, natIP)
	l.serve(t, 80)
	l.serve(t, 81)
	ports, open := map[uint16]bool{}, []net.Conn{}
	for range 16 {
		c, as := l.seen(t, insideIP, 80)
		ports[as.Port()] = true
		open = append(open, c)
	}
	if len(ports) != 16 || ports[39999] || ports[40016] {
		t.Errorf("16 connections have the ports %v", ports)
	}
	if m := l.metrics(t); m.ErrorPortAllocation != 0 {
		t.Errorf("%d of 16 connections had no port", m.ErrorPortAllocation)
	}
	if c, err := l.dial(t, insideIP, 80, refusal); err == nil {
		t.Errorf("the 17th is %v", c.LocalAddr())
	}
	if m := l.metrics(t); m.ErrorPortAllocation == 0 || m.ErrorPortAllocation > 3 || m.PacketsDropped < m.ErrorPortAllocation {
		t.Errorf("%+v", m)
	}
	l.seen(t, insideIP, 81)
	for _, c := range open {
		if _, err := talk(c); err != nil {
			t.Error(err)
		}
	}
}

// TestNATIdle: a connection that was forgotten is reset towards inside, at its
// next packet, and only there.
func TestNATIdle(t *testing.T) {
	config := gateways.DefaultNAT()
	config.Idle = 1
	l := newNATLab(t, config, natIP)
	var server net.Listener
	enter(t, l.outside, func() (err error) {
		server, err = net.Listen("tcp4", outsideIP+":80")
		return err
	})
	defer server.Close()
	c, err := l.dial(t, insideIP, 80, patience)
	if err != nil {
		t.Fatal(err)
	}
	other, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	b := make([]byte, 16)
	other.SetReadDeadline(time.Now().Add(time.Duration(config.Idle)*time.Second + refusal))
	if _, err := other.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "too late"); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(patience))
	if _, err := c.Read(b); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("inside: %v, want a reset", err)
	}
	other.SetReadDeadline(time.Now().Add(refusal))
	if n, err := other.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("outside got %d bytes, %v", n, err)
	}
	if m := l.metrics(t); m.IdleTimeouts == 0 || m.ConnectionAttempts != 1 {
		t.Errorf("%+v", m)
	}
}

// TestNATAddresses: every source keeps to one of several addresses; connections
// of one that goes end, those of one that stays go on.
func TestNATAddresses(t *testing.T) {
	l := newNATLab(t, gateways.NATConfig{}, natIP+","+secondIP)
	l.serve(t, 80)
	as := map[string]string{}
	open := map[string][]net.Conn{}
	for i := range 12 {
		from := fmt.Sprintf("10.0.1.%d", 100+i)
		inNetns(t, l.inside, "ip addr add "+from+"/24 dev eth0")
		for range 2 {
			c, seen := l.seen(t, from, 80)
			if was := as[from]; was != "" && was != seen.Addr().String() {
				t.Errorf("%s is seen as %s and as %v", from, was, seen)
			}
			as[from] = seen.Addr().String()
			open[as[from]] = append(open[as[from]], c)
		}
	}
	if len(open) != 2 || open[natIP] == nil || open[secondIP] == nil {
		t.Fatalf("seen as %v", as)
	}
	before := l.metrics(t)
	gateway := l.host.NATs[7]
	gateway.Addrs = natIP
	l.host.NATs[7] = gateway
	l.apply(t)
	if drift := l.apply(t); len(drift) != 0 {
		t.Errorf("drift: %v", drift)
	}
	after := l.metrics(t)
	if after.ActiveConnections != before.ActiveConnections-uint64(len(open[secondIP])) || after.BytesInFromSource < before.BytesInFromSource {
		t.Errorf("%+v after %+v; %d connections should go", after, before, len(open[secondIP]))
	}
	for _, c := range open[natIP] {
		if _, err := talk(c); err != nil {
			t.Errorf("one that stays: %v", err)
		}
	}
	for _, c := range open[secondIP] {
		if _, err := talk(c); !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("one that goes: %v", err)
		}
	}
	for from := range as {
		if _, seen := l.seen(t, from, 80); seen.Addr().String() != natIP {
			t.Errorf("%s is seen as %v", from, seen)
		}
	}
}

// TestNATGoneAddress: even while a connection is still remembered, nothing leaves
// with an address that is no longer the gateway's.
func TestNATGoneAddress(t *testing.T) {
	l := newNATLab(t, gateways.NATConfig{}, natIP)
	server, client := udp(t, l.outside, outsideIP+":53"), udp(t, l.inside, insideIP+":5353")
	send(t, client, "before", netip.MustParseAddrPort(outsideIP+":53"))
	if _, _, err := receive(server, patience); err != nil {
		t.Fatal(err)
	}
	gateway := nat{netns: l.kernel.Netns(l.host.NATs[7].ID), addrs: secondIP}
	if err := l.driver.translate(context.Background(), gateway); err != nil {
		t.Fatal(err)
	}
	send(t, client, "after", netip.MustParseAddrPort(outsideIP+":53"))
	if text, from, err := receive(server, refusal); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("outside got %q from %v, %v", text, from, err)
	}
	if m := l.metrics(t); m.PacketsDropped != 1 || m.ActiveConnections != 1 {
		t.Errorf("%+v", m)
	}
}

// TestNATSurvives: a restart of the daemon writes nothing, and somebody's change is
// seen and healed; connections know of neither.
func TestNATSurvives(t *testing.T) {
	l := newNATLab(t, gateways.NATConfig{}, natIP)
	l.serve(t, 80)
	c, as := l.seen(t, insideIP, 80)
	l.restart(t)
	before := nl.Writes()
	if drift := l.apply(t); len(drift) != 0 || nl.Writes() != before {
		t.Errorf("restart: drift %v, %d writes", drift, nl.Writes()-before)
	}
	for _, harm := range []string{
		"nft flush ruleset", "nft delete chain ip vpc_" + l.name + " leave", "nft flush set ip vpc_" + l.name + " addresses",
		"sysctl -qw net.ipv4.ip_forward=0", "sysctl -qw net.netfilter.nf_conntrack_tcp_loose=1", "sysctl -qw net.ipv4.conf.eth0.rp_filter=1",
		"ip route del default", "ip link set eth0 mtu 1400",
	} {
		inNetns(t, l.nat, harm)
		if drift := l.apply(t); len(drift) == 0 {
			t.Errorf("%s: not seen", harm)
		}
		if again, err := talk(c); err != nil || again != as {
			t.Errorf("%s: seen as %v, %v", harm, again, err)
		}
	}
	// Without the table nothing leaves with the gateway's address, but with the
	// sender's, which the program at its port knows is not the gateway's own.
	inNetns(t, l.nat, "nft flush ruleset")
	server, client := udp(t, l.outside, outsideIP+":53"), udp(t, l.inside, insideIP+":5353")
	send(t, client, "bare", netip.MustParseAddrPort(outsideIP+":53"))
	if _, from, err := receive(server, patience); err != nil || from.Addr().String() != insideIP {
		t.Errorf("without a table: seen as %v, %v", from, err)
	}
}

// TestNATGoesWithEverything: cleanup knows the namespace by its name.
func TestNATGoesWithEverything(t *testing.T) {
	l := newNATLab(t, gateways.NATConfig{}, natIP)
	other := nl.Open(l.name + "b")
	defer other.Close()
	kept := other.Netns("nat-00000000000000001")
	if err := other.Drivers().Namespaces.Put(context.Background(), kept, struct{}{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Drivers().Namespaces.Delete(context.Background(), kept) })
	if err := Cleanup(context.Background(), l.name, Outside{}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{l.nat, l.router} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := os.Stat(netnsDir + kept); err != nil {
		t.Error(err)
	}
}

// TestNATWithoutTableIsClosed: a gateway that cannot get its table forwards
// nothing, whatever its namespace was born with.
func TestNATWithoutTableIsClosed(t *testing.T) {
	l := newNATLab(t, gateways.NATConfig{}, natIP)
	inNetns(t, l.nat, "nft flush ruleset")
	bad := gateways.DefaultNAT()
	bad.LastPort = bad.FirstPort - 1 // no range: the table is refused
	d := newNATs(l.kernel, l.name, bad)
	if err := d.Put(context.Background(), 7, nat{netns: l.kernel.Netns(l.host.NATs[7].ID), addrs: natIP}); err == nil {
		t.Fatal("accepted")
	}
	l.serve(t, 80)
	if _, err := l.dial(t, insideIP, 80, refusal); err == nil {
		t.Error("it forwards")
	}
	if drift := l.apply(t); !slices.ContainsFunc(drift, func(s string) bool { return strings.Contains(s, "ip_forward 0") }) {
		t.Errorf("drift %v", drift)
	}
	l.seen(t, insideIP, 80)
}
