package fuzz

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"github.com/vpcfabric/vpc/bpf"
)

// The reference of what is sent: the frame that came, but for MAC addresses, the
// one address that a gateway changes, the other one in what an ICMP error quotes,
// and checksums. Those are compared by what they are for: what was right stays
// right, and what was wrong stays wrong by as much.

// moved is a frame that was sent on, before and after.
type moved struct {
	own     nic
	way     way
	p       parsed
	was, is []byte
}

// checksum is where one lies, and what it covers, itself included.
type checksum struct {
	at     int
	covers [][2]int
	udp    bool // 0 says that there is none
}

const (
	ipSource, ipDest, ipSum = 12, 16, 10
	icmpHeader              = 8
)

// sumOf is where a protocol has its checksum over addresses; 0: it has none.
var sumOf = map[byte]int{protoTCP: 16, protoUDP: 6}

func (m moved) judge() error {
	want := bytes.Clone(m.was)
	m.ethernet(want)
	var sums []checksum
	if m.way.nat.IsValid() {
		sums = m.translate(want)
	}
	if len(want) != len(m.is) {
		return fmt.Errorf("%d bytes became %d", len(want), len(m.is))
	}
	for _, s := range sums {
		if err := m.compare(s); err != nil {
			return err
		}
		copy(want[s.at:s.at+2], m.is[s.at:])
	}
	if !bytes.Equal(want, m.is) {
		return fmt.Errorf("sent\n%x, want\n%x, of\n%x", m.is, want, m.was)
	}
	return nil
}

// ethernet: within a subnet only the receiver is named; else its router sends.
func (m moved) ethernet(want []byte) {
	mac, router := m.way.to.mac(), m.way.to.router()
	copy(want, mac[:])
	if m.own.subnet != m.way.to.subnet {
		copy(want[6:], router[:])
	}
}

// translate changes addresses, and says which checksums follow.
func (m moved) translate(want []byte) (sums []checksum) {
	own, quoted := 14+ipSource, ipDest
	if m.own.flags&isEdge != 0 {
		own, quoted = 14+ipDest, ipSource
	}
	copy(want[own:own+4], m.way.nat.AsSlice())
	l4, end := int(m.p.L4), 14+int(m.p.Len)
	sums = append(sums, checksum{at: 14 + ipSum, covers: [][2]int{{14, l4}}})
	if at := sumOf[m.p.Proto]; at > 0 && m.p.Fragment == 0 {
		sums = append(sums, checksum{l4 + at, [][2]int{{14 + ipSource, 14 + ipSource + 8}, {l4, end}}, m.p.Proto == protoUDP})
	}
	if m.p.Err == 0 {
		return sums
	}
	ip := l4 + icmpHeader
	inner := ip + int(want[ip]&15)*4
	copy(want[ip+quoted:ip+quoted+4], m.way.nat.AsSlice())
	sums = append(sums, checksum{at: l4 + 2, covers: [][2]int{{l4, end}}}, checksum{at: ip + ipSum, covers: [][2]int{{ip, inner}}})
	if at := sumOf[want[ip+9]]; at > 0 && inner+at+2 <= end {
		at += inner
		sums = append(sums, checksum{at, [][2]int{{ip + ipSource, ip + ipSource + 8}, {at, at + 2}}, want[ip+9] == protoUDP})
	}
	return sums
}

// compare demands the same Internet checksum of what is covered.
func (m moved) compare(s checksum) error {
	was, is := be.Uint16(m.was[s.at:]), be.Uint16(m.is[s.at:])
	if s.udp && (was == 0 || is == 0) {
		if was != is {
			return fmt.Errorf("UDP's checksum at %d: %#x became %#x", s.at, was, is)
		}
		return nil
	}
	var before, after uint64
	for _, c := range s.covers {
		before, after = before+sum(m.was[c[0]:c[1]]), after+sum(m.is[c[0]:c[1]])
	}
	if before%65535 != after%65535 {
		return fmt.Errorf("the checksum at %d was %#x and is %#x: sent\n%x, of\n%x", s.at, was, is, m.is, m.was)
	}
	return nil
}

// sum is that of 16-bit words; modulo 65535 it is the Internet checksum's
// complement. An odd byte is an upper half.
func sum(b []byte) (total uint64) {
	for i, x := range b {
		total += uint64(x) << (8 * (1 - i%2))
	}
	return total
}

// exchange sends one frame and reads what it was made.
func (h *harness) exchange(f frame) (frameAnswer, []byte) {
	h.t.Helper()
	h.send(f, wantFrame)
	h.flush()
	var a frameAnswer
	h.answer(&a)
	left := make([]byte, a.Left)
	h.answer(left)
	return a, left
}

// handedOver marks what goes to another VPC, as deliver.h has it.
const handedOver = 0x76706331

// talk is one flow between an interface and somebody it reaches.
type talk struct {
	dice
	h          *harness
	w          world
	own        nic
	far        netip.Addr // of the other side, as own knows it
	proto      byte
	near, away uint16 // ports; an ICMP id
	visited    bool   // the other side has begun
}

// passes demands that a packet is sent where its flow goes, and is what it was
// but for addresses. For an error that is the way of what it answers. It returns
// what was sent.
func (c *talk) passes(from nic, packet []byte) ([]byte, error) {
	src, dst := c.own.addr, c.far
	if from.flags&isEdge != 0 {
		src, dst = c.far, c.own.public
	} else if from.eni != c.own.eni {
		src, dst = c.far, c.own.addr
	}
	goes, drop := c.w.locate(from, src, dst)
	if drop != "" {
		return nil, fmt.Errorf("the test is wrong: %s", drop)
	}
	f := c.frame(from, packet)
	p, drop := f.parse()
	if drop != "" {
		return nil, fmt.Errorf("the test is wrong: %s", drop)
	}
	a, left := c.h.exchange(f)
	to, cb := portBase+goes.to.slot, [2]uint32{}
	if goes.out > 0 {
		to, cb = portBase+goes.out-1, [2]uint32{handedOver, goes.to.slot}
	}
	if a.Verdict != sent || a.SentTo != to || a.CB != cb {
		return nil, fmt.Errorf("from %d: verdict %d to %#x with %x, want it at %#x\n%+v\n%v", from.eni, a.Verdict, a.SentTo, a.CB, to, a, f)
	}
	if err := a.consistent(); err != nil {
		return nil, err
	}
	return left[14 : 14+p.Len], moved{from, goes, p, f.bytes, left}.judge()
}

// frame puts a packet into one, some of which is linear, with a trailer that is
// nobody's.
func (c *talk) frame(from nic, packet []byte) frame {
	router, mac := from.router(), from.mac()
	b := append(append(append(router[:], mac[:]...), 8, 0), packet...)
	b = append(b, c.fill(make([]byte, some(c.dice, 0, 0, 0, 1, 6, 18)))...)
	f := frame{ifindex: portBase + from.slot, now: 1e18, bytes: b, length: len(b), linear: len(b)}
	if c.IntN(2) == 0 {
		f.linear = min(f.linear, some(c.dice, 14, 34, 42, 54, c.IntN(120)))
	}
	return f
}

// segment is a packet's layer 4 from own, or back, with its checksum still 0.
func (c *talk) segment(back bool, flags byte) []byte {
	near, away, kind := c.near, c.away, byte(0)
	if back {
		near, away = away, near
	}
	if back == c.visited {
		kind = 8
	}
	payload := c.fill(make([]byte, c.IntN(60)))
	b := be.AppendUint16(be.AppendUint16(nil, near), away)
	switch c.proto {
	case protoTCP:
		b = append(b, c.fill(make([]byte, 8))...)
		b = append(b, 5<<4, flags, 1, 0, 0, 0, 0, 0)
	case protoUDP:
		b = append(be.AppendUint16(b, uint16(8+len(payload))), 0, 0)
	case protoICMP:
		b = be.AppendUint16([]byte{kind, 0, 0, 0}, c.near)
		b = append(b, c.byte(), c.byte())
	}
	return append(b, payload...)
}

// packet gives a segment its header, and both their checksums: most are right.
func (c *talk) packet(src, dst netip.Addr, proto byte, l4 []byte, id, place uint16) []byte {
	header := 20 + 4*some(c.dice, 0, 0, 0, 1, 10)
	b := make([]byte, header, header+len(l4))
	c.fill(b[20:])
	b[0], b[8], b[9] = 4<<4|byte(header/4), 64, proto
	be.PutUint16(b[2:], uint16(header+len(l4)))
	be.PutUint16(b[4:], id)
	be.PutUint16(b[6:], place)
	copy(b[ipSource:], src.AsSlice())
	copy(b[ipDest:], dst.AsSlice())
	be.PutUint16(b[ipSum:], c.checksum(sum(b)))
	covered := sum(l4) + sum(b[ipSource:ipSource+8]) + uint64(proto) + uint64(len(l4))
	at := sumOf[proto]
	if proto == protoICMP {
		at, covered = 2, sum(l4)
	}
	if at > 0 && place&0x1fff == 0 {
		be.PutUint16(l4[at:], c.checksum(covered))
	}
	return append(b, l4...)
}

// checksum is that of a sum, or wrong: 0, what becomes 0 when ann's addresses are
// exchanged, or any.
func (c *talk) checksum(covered uint64) uint16 {
	right := uint16(65535 - covered%65535)
	there := sum(ann.public.AsSlice()) + 65535*2 - sum(ann.addr.AsSlice())
	return some(c.dice, right, right, right, 0, 0xffff, uint16(there%65535), uint16(65535-there%65535), uint16(c.Uint32()))
}

// sides are whom packets from own, and back, are from and for, before any change.
func (c *talk) sides(back bool) (from nic, src, dst netip.Addr) {
	goes, _ := c.w.locate(c.own, c.own.addr, c.far)
	switch {
	case !back:
		return c.own, c.own.addr, c.far
	case goes.to.flags&isEdge != 0:
		return gate, c.far, c.own.public
	}
	return goes.to, c.far, c.own.addr
}

// say sends one packet of the flow, or its fragments; what its receiver got of
// the first is returned.
func (c *talk) say(back bool, flags byte) ([]byte, error) {
	from, src, dst := c.sides(back)
	l4 := c.segment(back, flags)
	id := uint16(c.Uint32())
	if c.IntN(3) > 0 {
		return c.passes(from, c.packet(src, dst, c.proto, l4, id, 0))
	}
	got, err := c.passes(from, c.packet(src, dst, c.proto, l4, id, 0x2000))
	for n := c.IntN(3); n >= 0 && err == nil; n-- {
		_, err = c.passes(from, c.packet(src, dst, c.proto, c.fill(make([]byte, 1+c.IntN(60))), id, uint16(8+c.IntN(100))))
	}
	return got, err
}

// complain sends the error that answers a packet which was delivered, from there
// or from a router on its way; quotes end anywhere.
func (c *talk) complain(back bool, about []byte) error {
	from, _, _ := c.sides(back)
	src := addrOf(ne.Uint32(about[ipDest:]))
	if from.flags&checked == 0 {
		src = some(c.dice, src, ip("192.168.1.1"), ip("10.0.0.1"), elsewhere)
	}
	q := bytes.Clone(about)
	header := int(q[0]&15) * 4
	if c.IntN(2) == 0 { // a router has looked at it
		q[8] -= 9
		be.PutUint16(q[ipSum:], some(c.dice, 0, 0xffff, uint16(c.Uint32())))
	}
	q = q[:min(len(q), some(c.dice, header+8, header+8, len(q), len(q), header+17, header+18, 8+c.IntN(len(q))))]
	msg := append([]byte{some[byte](c.dice, 3, 4, 11, 12), c.byte() % 6, 0, 0, 0, 0, 5, 0}, q...)
	packet := c.packet(src, addrOf(ne.Uint32(about[ipSource:])), protoICMP, msg, uint16(c.Uint32()), 0)
	if len(q) >= header+8 {
		_, err := c.passes(from, packet)
		return err
	}
	f := c.frame(from, packet)
	a, _ := c.h.exchange(f)
	if a.Verdict != shot || bpf.ReasonName(uint8(a.DropReason)) != "stray" {
		return fmt.Errorf("quotes %d bytes of a header of %d: %+v\n%v", len(q), header, a, f)
	}
	return nil
}

// hold is a whole flow: its beginning from either side, answers, and errors about
// what either side got.
func (c *talk) hold() error {
	for i, flags := range []byte{2, 18, 16, 16, 24} {
		back := c.visited == (i%2 == 0)
		got, err := c.say(back, flags)
		if err == nil && c.IntN(2) == 0 {
			err = c.complain(!back, got)
		}
		if err != nil {
			return fmt.Errorf("packet %d of %d %s %d, back %v: %w", i, c.own.eni, c.far, c.proto, back, err)
		}
	}
	return nil
}

// TestTranslation: what leaves through a gateway, enters by it, or goes through
// an interface or to a peer is, byte by byte, what the reference makes of it.
func TestTranslation(t *testing.T) {
	h, d := start(t), roll(t, 6)
	w := world{list: 1, gated: true}
	for n := range count(20000) {
		if n%1000 == 0 {
			h.found(w)
			everything(t, h, 1)
			h.furnish()
		}
		c := talk{dice: d, h: h, w: w, own: some(d, ann, ann, eve), far: some(d, elsewhere, ip("192.168.7.1"), ip("1.1.1.1"), bob.addr, cat.addr, ip("192.0.2.1"), pia.addr),
			proto: some[byte](d, protoTCP, protoTCP, protoUDP, protoUDP, protoICMP, 47), near: uint16(n + 1000), away: d.port() | 1, visited: d.IntN(2) == 0}
		if err := c.hold(); err != nil {
			t.Fatal(err)
		}
	}
}
