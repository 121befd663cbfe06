package dataplane

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/gateways"
)

const icmpUnreachable, codePort, codeFragmentation = 3, 3, 4

// listenICMP sees what the kernel of a namespace gets.
func listenICMP(t *testing.T, path string) *net.IPConn {
	t.Helper()
	var c *net.IPConn
	enter(t, path, func() (err error) {
		c, err = net.ListenIP("ip4:icmp", nil)
		return err
	})
	t.Cleanup(func() { c.Close() })
	return c
}

// icmpError is an ICMP error and what it says of the packet that caused it.
type icmpError struct {
	from           string
	code           byte
	mtu            uint16
	source, target netip.AddrPort
}

// unreachable waits for a destination unreachable and checks its checksum and that
// of the header inside.
func unreachable(t *testing.T, c *net.IPConn) icmpError {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for {
		b := make([]byte, 1500)
		n, from, err := c.ReadFromIP(b)
		if err != nil {
			t.Fatal(err)
		}
		if b = b[:n]; n < 8+20+8 || b[0] != icmpUnreachable {
			continue
		}
		inner := b[8:]
		if checksum(b) != 0 || checksum(inner[:20]) != 0 {
			t.Errorf("wrong checksums of % x", b)
		}
		return icmpError{
			from: from.String(), code: b[1], mtu: binary.BigEndian.Uint16(b[6:]),
			source: netip.AddrPortFrom(netip.AddrFrom4([4]byte(inner[12:])), binary.BigEndian.Uint16(inner[20:])),
			target: netip.AddrPortFrom(netip.AddrFrom4([4]byte(inner[16:])), binary.BigEndian.Uint16(inner[22:])),
		}
	}
}

// TestNATErrors: an ICMP error speaks to each side of that side's own addresses.
func TestNATErrors(t *testing.T) {
	l := newNATLab(t, gateways.NATConfig{}, natIP)
	inside, outside := listenICMP(t, l.inside), listenICMP(t, l.outside)
	server, client := udp(t, l.outside, outsideIP+":53"), udp(t, l.inside, insideIP+":5353")
	at := func(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

	send(t, client, "nobody there", at(outsideIP+":9"))
	if got, want := unreachable(t, inside), (icmpError{outsideIP, codePort, 0, at(insideIP + ":5353"), at(outsideIP + ":9")}); got != want {
		t.Errorf("from outside: %+v, want %+v", got, want)
	}

	send(t, client, "hello", at(outsideIP+":53"))
	_, as, err := receive(server, patience)
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
	send(t, server, "gone", as)
	if got, want := unreachable(t, outside), (icmpError{natIP, codePort, 0, at(outsideIP + ":53"), as}); got != want {
		t.Errorf("from inside: %+v, want %+v", got, want)
	}

	// The way to outside becomes narrow behind the gateway, whose router says so.
	inNetns(t, l.router, "ip link set out0 mtu 1300")
	client = udp(t, l.inside, insideIP+":5354")
	setsockopt(t, client, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
	send(t, client, strings.Repeat("x", 1400), at(outsideIP+":53"))
	want := icmpError{"10.0.2.1", codeFragmentation, 1300, at(insideIP + ":5354"), at(outsideIP + ":53")}
	if got := unreachable(t, inside); got != want {
		t.Errorf("too big: %+v, want %+v", got, want)
	}
	if _, err := client.WriteToUDPAddrPort(make([]byte, 1400), want.target); !errors.Is(err, unix.EMSGSIZE) {
		t.Errorf("inside did not learn: %v", err)
	}
	if m := l.metrics(t); m.PacketsDropped != 0 {
		t.Errorf("%+v", m)
	}
}

// TestNATErrorsOfNothing: an error about no connection of the gateway's is nobody's.
func TestNATErrorsOfNothing(t *testing.T) {
	l := newNATLab(t, gateways.NATConfig{}, natIP)
	inside := listenICMP(t, l.inside)
	server, client := udp(t, l.outside, outsideIP+":53"), udp(t, l.inside, insideIP+":5353")
	send(t, client, "hello", netip.MustParseAddrPort(outsideIP+":53"))
	_, as, err := receive(server, patience)
	if err != nil {
		t.Fatal(err)
	}
	forge := func(source netip.AddrPort) {
		target := netip.MustParseAddrPort(outsideIP + ":53")
		packet := []byte{icmpUnreachable, codePort, 0, 0, 0, 0, 0, 0, 0x45, 0, 0, 33, 0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0}
		packet = append(append(packet, source.Addr().AsSlice()...), target.Addr().AsSlice()...)
		binary.BigEndian.PutUint16(packet[18:], checksum(packet[8:28]))
		for _, n := range []uint16{source.Port(), target.Port(), 13, 0} {
			packet = binary.BigEndian.AppendUint16(packet, n)
		}
		binary.BigEndian.PutUint16(packet[2:], checksum(packet))
		enter(t, l.outside, func() error {
			c, err := net.Dial("ip4:icmp", natIP)
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = c.Write(packet)
			return err
		})
	}
	forge(netip.AddrPortFrom(as.Addr(), as.Port()^1))
	forge(as)
	if got := unreachable(t, inside); got.source != netip.MustParseAddrPort(insideIP+":5353") {
		t.Errorf("inside got %+v", got)
	}
	if m := l.metrics(t); m.PacketsDropped != 1 {
		t.Errorf("%+v", m)
	}
}

func setsockopt(t *testing.T, c *net.UDPConn, level, option, value int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = unix.SetsockoptInt(int(fd), level, option, value) }); err != nil || inner != nil {
		t.Fatal(err, inner)
	}
}

// TestNATNarrowTCP: a connection goes on where its segments do not fit, and two
// sources may ping with the same number.
func TestNATNarrowTCP(t *testing.T) {
	l := newNATLab(t, gateways.NATConfig{}, natIP)
	l.serve(t, 80)
	c, as := l.seen(t, insideIP, 80)
	inNetns(t, l.router, "ip link set out0 mtu 1300")
	if _, err := c.Write(make([]byte, 60000)); err != nil {
		t.Fatal(err)
	}
	if again, err := talk(c); err != nil || again != as {
		t.Errorf("seen as %v, %v", again, err)
	}
	inNetns(t, l.inside, "ip addr add 10.0.1.11/24 dev eth0")
	for _, from := range []string{insideIP, "10.0.1.11"} {
		if err := pings(l.inside, fmt.Sprintf("-e 77 -I %s", from), outsideIP); err != nil {
			t.Error(err)
		}
	}
}
