package progs_test

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// asked is what a security group is asked about one packet.
type asked struct {
	proto      int16
	port, code int // destination port; ICMP: type and code
	remote     netip.Addr
	groups     []spec.Group // of the interface that has the remote address
}

// allows is the reference: a packet may pass if any rule of any group allows
// it. Written from AWS's description of security groups, for reading.
func allows(rules []spec.Rule, q asked) bool {
	for _, r := range rules {
		if r.Protocol != -1 && r.Protocol != q.proto {
			continue
		}
		switch r.Protocol {
		case tcp, udp:
			if q.port < int(r.FromPort) || q.port > int(r.ToPort) {
				continue
			}
		case icmp:
			if r.FromPort != -1 && q.port != int(r.FromPort) || r.ToPort != -1 && q.code != int(r.ToPort) {
				continue
			}
		}
		if r.Group != 0 && slices.Contains(q.groups, r.Group) || r.Group == 0 && r.Prefix.Contains(q.remote) {
			return true
		}
	}
	return false
}

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
	for range []int{0, 1, 2, 5, 17, 40}[d.IntN(6)] {
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

// TestRulesAgainstReference sends packets through the compiled rules and the
// reference: no difference in verdict, nor in which side refused.
func TestRulesAgainstReference(t *testing.T) {
	sets := 500
	if testing.Short() {
		sets = 50
	}
	const packetsPerSet = 200
	// Flows expire at once: each packet is judged by the rules alone.
	l := openTown(t, progs.Config{Second: time.Microsecond})
	d := dice{rand.New(rand.NewPCG(seed(t), 1))}
	s := l.shooter()
	for round := range sets {
		groups := map[spec.ENI][]spec.Group{}
		egress, ingress := d.rules(), map[spec.ENI][]spec.Rule{bob.eni: d.rules(), cat.eni: d.rules()}
		for _, n := range []nic{ann, bob, cat} {
			groups[n.eni] = d.groups()
			l.endpoint(vpc, n.addr, n, groups[n.eni]...)
		}
		l.endpoint(vpc, second, ann, groups[ann.eni]...)
		l.egress(ann, egress...)
		l.ingress(bob, ingress[bob.eni]...)
		l.ingress(cat, ingress[cat.eni]...)
		l.apply()
		l.forgetPortless()
		before, want := l.counters(), counters{}
		for i := range packetsPerSet {
			to := []nic{bob, cat}[d.IntN(2)]
			from := ann
			if d.IntN(3) == 0 {
				from.addr = second
			}
			q := asked{proto: d.proto(), remote: to.addr, groups: groups[to.eni]}
			frame := d.packet(&q, from, to, uint16(round*packetsPerSet+i))
			verdict := uint32(sent)
			if !allows(egress, q) {
				verdict = shot
				want["drop 101 egress/security_group"]++
			} else if q.remote, q.groups = from.addr, groups[ann.eni]; !allows(ingress[to.eni], q) {
				verdict = shot
				want["drop 101 ingress/security_group"]++
			} else {
				want["tx 101"]++
				want["rx "+text(to.eni)]++
			}
			if got, err := s.send(ann, frame); err != nil || got != verdict {
				t.Fatalf("round %d: %+v to %s: verdict %d, want %d, %v\negress %v\ningress %v", round, q, to.addr, got, verdict, err, egress, ingress[to.eni])
			}
		}
		if moved := l.counters().minus(before); moved.String() != want.String() {
			t.Fatalf("round %d: counters [%s], want [%s]", round, moved, want)
		}
	}
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
		q.port = d.port()
		return from.frame(to, h, tcpSegment(serial, uint16(q.port), syn))
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
