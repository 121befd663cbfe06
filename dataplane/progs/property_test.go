package progs_test

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// dice makes rules and packets that meet often.
type dice struct{ *rand.Rand }

func (d dice) groups() (out []spec.Group) {
	for range d.IntN(4) {
		out = append(out, spec.Group(500+d.IntN(5)))
	}
	return out
}

func (d dice) proto() int16 { return []int16{tcp, udp, icmp, 47, 132}[d.IntN(5)] }
func (d dice) port() int    { return []int{0, 1, 79, 80, 81, 443, 65535, d.IntN(65536)}[d.IntN(8)] }
func (d dice) icmpType() int {
	return []int{echo, 13, 15, 17}[d.IntN(4)] // requests: each id is a flow of its own
}

func (d dice) rules() (out []spec.Rule) {
	n := []int{0, 1, 2, 5, 17, 40}[d.IntN(6)]
	if d.IntN(12) == 0 {
		n = []int{64, 65, 300, 1000}[d.IntN(4)] // several words, axes in chunks
	}
	for range n {
		r := spec.Rule{Protocol: d.proto(), FromPort: -1, ToPort: -1, ID: d.Uint32()}
		if d.IntN(6) == 0 {
			r.Protocol = spec.AnyProtocol
		}
		switch r.Protocol {
		case tcp, udp:
			a, b := d.port(), d.port()
			r.FromPort, r.ToPort = int32(min(a, b)), int32(max(a, b))
		case icmp:
			if d.IntN(2) == 0 {
				r.FromPort = int32(d.icmpType())
			}
			if d.IntN(3) == 0 {
				r.ToPort = int32(d.IntN(3))
			}
		}
		if d.IntN(3) == 0 {
			r.Group = spec.Group(500 + d.IntN(6))
		} else {
			near := []netip.Addr{ann.addr, bob.addr, cat.addr, second, addr("192.0.2.1")}[d.IntN(5)]
			r.Prefix = netip.PrefixFrom(near, []int{0, 8, 16, 24, 28, 31, 32, d.IntN(33)}[d.IntN(8)]).Masked()
		}
		out = append(out, r)
	}
	return out
}

// acl is one direction of a network ACL, most often with the last rule that it
// always has. No two rules have one number.
func (d dice) acl() (out []spec.Rule) {
	rules := d.rules()
	for i, n := range d.Perm(32766)[:min(len(rules), 40)] {
		r := rules[i]
		if r.Group != 0 {
			r.Group, r.Prefix = 0, netip.PrefixFrom(bob.addr, d.IntN(33)).Masked()
		}
		r.ID, r.Deny = uint32(n+1), d.IntN(2) == 0
		out = append(out, r)
	}
	if d.IntN(4) == 0 {
		out = append(out, spec.Rule{Protocol: spec.AnyProtocol, FromPort: -1, ToPort: -1, Prefix: prefix("0.0.0.0/0"), ID: 32766})
	}
	if d.IntN(8) > 0 {
		out = append(out, denyRest)
	}
	return out
}

func seed(t *testing.T) uint64 {
	s := uint64(time.Now().UnixNano())
	if text := os.Getenv("SEED"); text != "" {
		var err error
		if s, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("SEED=%d", s)
	return s
}

// forgetPortless removes flows without ports: their tuples come again in every
// round, and the clock that would expire them ticks in milliseconds.
func (l *lab) forgetPortless() {
	for _, f := range l.liveFlows() {
		if f.Protocol != 47 && f.Protocol != 132 {
			continue
		}
		k := bpf.FlowKey{Eni: uint32(f.ENI), Saddr: native(f.Source.Addr()), Daddr: native(f.Dest.Addr()), Proto: f.Protocol, Dir: 1}
		l.must(l.set.Maps["flows"].Delete(k))
	}
}

func (d dice) packet(q *asked, from, to nic, serial uint16) []byte {
	h := header{proto: uint8(q.proto)}
	switch q.proto {
	case tcp:
		q.port, q.syn = d.port(), d.IntN(3) > 0
		flags := byte(ack)
		if q.syn {
			flags = syn
		}
		return from.frame(to, h, tcpSegment(serial, uint16(q.port), flags))
	case udp:
		q.port = d.port()
		return from.frame(to, h, udpDatagram(serial, uint16(q.port), 0))
	case icmp:
		q.port, q.code = d.icmpType(), d.IntN(4)
		return from.frame(to, h, icmpMessage(byte(q.port), byte(q.code), serial, make([]byte, 12)))
	}
	return from.frame(to, h, make([]byte, 8))
}

// isRouterPing says what alone may be handed to the router.
func isRouterPing(b []byte) bool {
	if len(b) < 14+20+8 || spec.MAC(b[:6]) != ann.router || spec.MAC(b[6:12]) != ann.mac() || be.Uint16(b[12:]) != typeIPv4 {
		return false
	}
	ip := b[14:]
	ihl, total := int(ip[0]&15)*4, int(be.Uint16(ip[2:]))
	if ip[0]>>4 != 4 || ihl < 20 || total < ihl+8 || total > len(ip) || be.Uint16(ip[6:])&0x3fff != 0 || ip[9] != icmp {
		return false
	}
	src, dst := netip.AddrFrom4([4]byte(ip[12:])), netip.AddrFrom4([4]byte(ip[16:]))
	return (src == ann.addr || src == second) && dst == addr("10.0.1.1") && ip[ihl] == echo
}

// TestAnyFrame throws frames at from_eni: it hands up router pings and nothing
// else, sends or drops the rest, and counts all of them.
func TestAnyFrame(t *testing.T) {
	frames := 100000
	if testing.Short() {
		frames = 20000
	}
	l := openTown(t, progs.Config{})
	d := dice{rand.New(rand.NewPCG(seed(t), 2))}
	s := l.shooter()
	routerPing := ethernet(ann.router, ann.mac(), typeIPv4, ipv4(header{src: ann.addr, dst: addr("10.0.1.1"), proto: icmp}, icmpMessage(echo, 0, 1, make([]byte, 24))))
	good := [][]byte{routerPing, routerPing, datagram.forth(0), web.forth(syn), ping.forth(0), across.forth(0), dropRows[len(dropRows)-3].frame,
		arpFrom(1, ann.mac(), "10.0.1.10", "10.0.1.11")}
	before, want := l.counters(), map[uint32]uint64{}
	for range frames {
		frame := d.mutate(good[d.IntN(len(good))])
		asks := isRouterPing(frame)
		verdict, err := s.send(ann, bytes.Clone(frame))
		if err != nil {
			// The kernel's test run refuses what is shorter than a header.
			continue
		}
		want[verdict]++
		if (verdict == ok) != asks || (verdict != ok && verdict != sent && verdict != shot) {
			t.Fatalf("verdict %d for %x, which is a router ping: %v", verdict, frame, asks)
		}
	}
	var dropped uint64
	for name, n := range l.counters().minus(before) {
		if name[:4] == "drop" {
			dropped += n
		}
	}
	if dropped != want[shot] || want[ok] == 0 || want[sent] == 0 || want[shot] == 0 {
		t.Errorf("%d drops are counted; verdicts were %v", dropped, want)
	}
}

// mutate changes a few bytes, mostly in the headers, or the length.
func (d dice) mutate(in []byte) []byte {
	b := bytes.Clone(in)
	for range d.IntN(4) {
		b[d.IntN(len(b))] = byte(d.Uint32())
	}
	switch d.IntN(8) {
	case 0:
		b = b[:14+20+d.IntN(len(b)-33)]
	case 1:
		b = append(b, make([]byte, d.IntN(64))...)
	case 2:
		for i := 14; i < len(b); i++ {
			b[i] = byte(d.Uint32())
		}
	}
	return b
}
