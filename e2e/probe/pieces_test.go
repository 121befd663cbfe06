package probe

import (
	"net/netip"
	"testing"
)

// Every piece contains the token, arrives, and only all of them make a datagram.
func TestPieces(t *testing.T) {
	a, b := pair(t)
	e, err := Serve(b, "udp", 7000)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	to := netip.AddrPortFrom(peerAddr, 7000)
	if err := RoundTripSize(a, "udp", to, 8000); err != nil {
		t.Error(err)
	}
	in(t, b, "sysctl -qw net.ipv4.ipfrag_time=1")
	for _, c := range []struct {
		order []int
		lost  bool
	}{
		{[]int{0, 1, 2}, false},
		{[]int{2, 0, 1}, false},
		{[]int{0, 2}, true},
	} {
		token := NewToken()
		p, err := Cut(a, to, token, 4000)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if p.Count() != 3 {
			t.Fatalf("%d pieces", p.Count())
		}
		sniffer, err := Sniff(b, token)
		if err != nil {
			t.Fatal(err)
		}
		before, err := GivenUp(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Send(c.order); err != nil {
			t.Fatal(err)
		}
		if c.lost {
			if !poll(func() bool { n, err := GivenUp(b); return err != nil || n == before+1 }) {
				t.Errorf("%v: the receiver has not given up", c.order)
			}
			err = p.Silent()
		} else {
			err = p.Answered()
		}
		if err != nil {
			t.Errorf("%v: %v", c.order, err)
		}
		if n, err := sniffer.Close(); n != len(c.order) || err != nil {
			t.Errorf("%v: saw %d pieces (%v)", c.order, n, err)
		}
		if !c.lost && p.Silent() != nil {
			t.Errorf("%v: answered twice", c.order)
		}
	}
}

func TestSilentHears(t *testing.T) {
	a, b := pair(t)
	e, err := Serve(b, "udp", 7000)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	p, err := Cut(a, netip.AddrPortFrom(peerAddr, 7000), NewToken(), 4000)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Send([]int{0, 1, 2}); err != nil {
		t.Fatal(err)
	}
	if !poll(func() bool { return p.Silent() != nil }) {
		t.Error("the answer is not heard")
	}
	if err := p.Send([]int{3}); err == nil {
		t.Error("there is a fourth piece")
	}
}

func TestFlood(t *testing.T) {
	a, b := pair(t)
	if err := Ping(a, peerAddr, 0); err != nil { // neighbours
		t.Fatal(err)
	}
	const n = 100
	p := Packet{Proto: "udp", Src: netip.MustParseAddr("192.0.2.1"), Dst: peerAddr, SrcPort: 4000, DstPort: 9,
		Token: NewToken(), Fragment: moreFragments, IPID: 65500}
	in(t, b, "sysctl -qw net.ipv4.ipfrag_time=1")
	before, err := GivenUp(b)
	if err != nil {
		t.Fatal(err)
	}
	sniffer, err := Sniff(b, p.Token)
	if err != nil {
		t.Fatal(err)
	}
	if err := Flood(a, p, n); err != nil {
		t.Fatal(err)
	}
	if err := Ping(a, peerAddr, 0); err != nil {
		t.Fatal(err)
	}
	if got, err := sniffer.Close(); got != n || err != nil {
		t.Errorf("sent %d, saw %d (%v)", n, got, err)
	}
	// As many datagrams as packets: each has an identification of its own.
	if !poll(func() bool { now, err := GivenUp(b); return err != nil || now == before+n }) {
		t.Error("they were not that many datagrams")
	}
}

func TestClosed(t *testing.T) {
	a, b := pair(t)
	to := netip.AddrPortFrom(peerAddr, 7000)
	if err := Closed(a, to); err != nil {
		t.Error(err)
	}
	e, err := Serve(b, "udp", 7000)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if Closed(a, to) == nil {
		t.Error("an open port is closed")
	}
}

func TestReconnect(t *testing.T) {
	a, b := pair(t)
	at := netip.AddrPortFrom(peerAddr, 7000)
	if err := Ping(a, peerAddr, 0); err != nil { // neighbours
		t.Fatal(err)
	}
	if err := Reconnect(a, b, 4000, at, 3); err != nil {
		t.Error(err)
	}
	if s, err := stateOf(b, 7000, 4000); s != timeWait || err != nil {
		t.Errorf("the server's connection is in state %q (%v)", s, err)
	}
	drop(t, b, "tcp flags & (syn | ack) == syn drop")
	if Reconnect(a, b, 4000, at, 1) == nil {
		t.Error("it connects although SYNs are dropped")
	}
}

func TestQuotedAndFlags(t *testing.T) {
	asked := Packet{Proto: "tcp", Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("10.0.0.2"), SrcPort: 1, DstPort: 2, TCPFlags: 0x12}
	quote, err := asked.Quoted()
	if err != nil || len(quote) != ipHeader+8 || quote[23] != 2 {
		t.Fatalf("quoted as %x (%v)", quote, err)
	}
	whole, err := asked.bytes()
	if err != nil || whole[ipHeader+13] != 0x12 {
		t.Errorf("flags of %x (%v)", whole, err)
	}
	answer := Packet{Proto: "icmp", ICMPType: 3, ICMPCode: 3, Src: asked.Dst, Dst: asked.Src, ID: 7, Quote: quote, Token: NewToken()}
	b, err := answer.bytes()
	if err != nil || b[ipHeader] != 3 || b[ipHeader+5] != 0 || string(b[ipHeader+8:ipHeader+36]) != string(quote) {
		t.Errorf("the error is %x (%v)", b, err)
	}
	if sum(0, b[ipHeader:]) != 0xffff {
		t.Error("its checksum is wrong")
	}
}
