package probe

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/e2e/netns"
)

var peerAddr = netip.MustParseAddr("192.0.2.2")

// pair makes two namespaces joined by a veth pair: 192.0.2.1 and 192.0.2.2.
func pair(t *testing.T) (a, b string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("probes are tested in network namespaces: they need root")
	}
	r := make([]byte, 3)
	rand.Read(r)
	a, b = "p"+hex.EncodeToString(r)+"-a", "p"+hex.EncodeToString(r)+"-b"
	for _, ns := range []string{a, b} {
		if err := netns.Add(ns); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { netns.Delete(ns) })
	}
	in(t, a, "ip link add v0 type veth peer name v1 netns "+b)
	in(t, a, "ip addr add 192.0.2.1/24 dev v0")
	in(t, a, "ip link set v0 up")
	in(t, b, "ip addr add 192.0.2.2/24 dev v1")
	in(t, b, "ip link set v1 up")
	return a, b
}

func in(t *testing.T, ns, line string) {
	t.Helper()
	out, err := exec.Command("nsenter", append([]string{"--net=" + netns.Path(ns), "--"}, strings.Fields(line)...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", line, err, out)
	}
}

// drop makes a namespace drop what matches an nftables expression.
func drop(t *testing.T, ns, match string) {
	t.Helper()
	in(t, ns, "nft add table ip probe")
	in(t, ns, "nft add chain ip probe in { type filter hook input priority 0 ; }")
	in(t, ns, "nft add rule ip probe in "+match)
}

func TestRoundTripAndPing(t *testing.T) {
	a, b := pair(t)
	for _, network := range []string{"tcp", "udp"} {
		e, err := Serve(b, network, 7000)
		if err != nil {
			t.Fatal(err)
		}
		if err := RoundTrip(a, network, netip.AddrPortFrom(peerAddr, 7000)); err != nil {
			t.Errorf("%s: %v", network, err)
		}
		e.Close()
		if err := RoundTrip(a, network, netip.AddrPortFrom(peerAddr, 7000)); err == nil {
			t.Errorf("%s: a closed server answers", network)
		}
	}
	if err := Ping(a, peerAddr, 0); err != nil {
		t.Error(err)
	}
	if err := Ping(a, peerAddr, 1500); err != nil {
		t.Errorf("a packet of the MTU: %v", err)
	}
	if err := Ping(a, peerAddr, 1501); err == nil {
		t.Error("a packet above the MTU passed with DF")
	}
	drop(t, b, "ip protocol icmp drop")
	if err := Ping(a, peerAddr, 0); err == nil {
		t.Error("a ping that is dropped succeeds")
	}
}

// What is sent is what arrives, of every kind: no more, no fewer.
func TestSendAndSniffAreExact(t *testing.T) {
	a, b := pair(t)
	if err := Ping(a, peerAddr, 0); err != nil { // neighbours
		t.Fatal(err)
	}
	own, link, err := Address(a)
	if err != nil {
		t.Fatal(err)
	}
	const n = 7
	base := Packet{Src: own.Addr(), Dst: peerAddr, SrcPort: 4000, DstPort: 9, ID: 1}
	sends := map[string]func(Packet) error{}
	for _, proto := range []string{"udp", "tcp", "icmp", "47"} {
		sends[proto] = func(p Packet) error { p.Proto = proto; return Send(a, p, n) }
	}
	for _, kind := range []string{"ip", "vlan", "arp-request", "arp-reply", "ipv6", "raw"} {
		sends["frame "+kind] = func(p Packet) error {
			p.Proto = "udp"
			f := Frame{Kind: kind, Src: link.HardwareAddr, Dst: net.HardwareAddr{255, 255, 255, 255, 255, 255}, Packet: p,
				SenderMAC: link.HardwareAddr, TargetMAC: make(net.HardwareAddr, 6), SenderIP: own.Addr(), TargetIP: peerAddr, EtherType: 0x88b5}
			return SendFrames(a, link.Name, f, n)
		}
	}
	for name, send := range sends {
		p := base
		p.Token = NewToken()
		sniffer, err := Sniff(b, p.Token)
		if err != nil {
			t.Fatal(err)
		}
		other, err := Sniff(b, NewToken())
		if err != nil {
			t.Fatal(err)
		}
		own, err := Sniff(a, p.Token)
		if err != nil {
			t.Fatal(err)
		}
		if err := send(p); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := Ping(a, peerAddr, 0); err != nil {
			t.Fatal(err)
		}
		if got, err := sniffer.Close(); got != n || err != nil {
			t.Errorf("%s: sent %d, saw %d (%v)", name, n, got, err)
		}
		if got, err := other.Close(); got != 0 || err != nil {
			t.Errorf("%s: %d frames with a token that nobody sent (%v)", name, got, err)
		}
		// To IP there may be answers that quote the token; to this nobody answers.
		if got, err := own.Close(); err != nil || got != 0 && name == "frame raw" {
			t.Errorf("%s: the sender's own frames count: %d (%v)", name, got, err)
		}
	}
}

func TestHoldCountsResets(t *testing.T) {
	a, b := pair(t)
	e, err := Serve(b, "tcp", 7000)
	if err != nil {
		t.Fatal(err)
	}
	to := netip.AddrPortFrom(peerAddr, 7000)
	h, err := Open(a, to, 5)
	if err != nil {
		t.Fatal(err)
	}
	awaitAll(t, h)
	h.Pause(true)
	if !poll(func() bool { n, resets := h.Flowing(100 * time.Millisecond); return n == 0 && resets == 0 }) {
		t.Error("paused connections do not fall silent")
	}
	h.Pause(false)
	awaitAll(t, h)
	if got := h.Close(); got.Resets != 0 || got.Wrong != 0 || got.Echoes < 5 {
		t.Errorf("quiet network: %+v", got)
	}
	if h, err = Open(a, to, 5); err != nil {
		t.Fatal(err)
	}
	awaitAll(t, h)
	in(t, b, "nft add table ip probe")
	in(t, b, "nft add chain ip probe in { type filter hook input priority 0 ; }")
	in(t, b, "nft add rule ip probe in tcp dport 7000 reject with tcp reset")
	poll(func() bool { _, resets := h.Flowing(time.Second); return resets == 5 })
	if got := h.Close(); got.Resets != 5 {
		t.Errorf("all were reset: %+v", got)
	}
	e.Close()
}

func awaitAll(t *testing.T, h *Hold) {
	t.Helper()
	if !poll(func() bool { n, _ := h.Flowing(100 * time.Millisecond); return n == h.Size() }) {
		t.Fatal("the connections do not flow")
	}
}

// poll asks for at most three seconds.
func poll(done func() bool) bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 300 {
		if done() {
			return true
		}
		<-tick.C
	}
	return false
}

func TestShortFlows(t *testing.T) {
	a, b := pair(t)
	ports := []uint16{7000, 7001}
	for _, port := range ports {
		e, err := Serve(b, "tcp", port)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
	}
	const n = 500
	if got, err := ShortFlows(a, peerAddr, ports, n, 5000); got != n || err != nil {
		t.Errorf("%d of %d served: %v", got, n, err)
	}
	drop(t, b, "tcp dport 7001 drop")
	if got, err := ShortFlows(a, peerAddr, ports, n, 5000); err == nil || got == n {
		t.Errorf("one port is dropped, and %d of %d were served (%v)", got, n, err)
	}
}

func TestChecksums(t *testing.T) {
	p := Packet{Proto: "udp", Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("10.0.0.2"), SrcPort: 1, DstPort: 2, Token: NewToken()}
	b, err := p.bytes()
	if err != nil {
		t.Fatal(err)
	}
	if sum(0, b[:ipHeader]) != 0xffff {
		t.Error("the IP header does not sum up")
	}
	pseudo := sum(sum(sum(0, b[12:16]), b[16:20]), []byte{0, protoUDP, 0, byte(len(b) - ipHeader)})
	if sum(pseudo, b[ipHeader:]) != 0xffff {
		t.Error("the UDP packet does not sum up")
	}
	if !bytes.Contains(b, p.Token[:]) {
		t.Error("the token is not in the packet")
	}
}
