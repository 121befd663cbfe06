package fuzz

import (
	"net/netip"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

func (d dice) byte() byte { return byte(d.Uint32()) }

func (d dice) fill(b []byte) []byte {
	for i := range b {
		b[i] = d.byte()
	}
	return b
}

// near is n, or a little beside it: where bounds are.
func (d dice) near(n int) int {
	if d.IntN(4) > 0 {
		return n
	}
	return max(0, n+d.IntN(5)-2)
}

func (d dice) mac(own nic) spec.MAC {
	random, router := spec.MAC(d.fill(make([]byte, 6))), own.router()
	return some(d, router, router, router, router, router, bob.mac(), bob.mac(), cat.mac(), ann.mac(), spec.MAC{255, 255, 255, 255, 255, 255}, spec.MAC{1, 0, 94}, random)
}

func (d dice) address() netip.Addr {
	random := netip.AddrFrom4([4]byte(d.fill(make([]byte, 4))))
	return some(d, ann.addr, bob.addr, bob.addr, cat.addr, dan.addr, eve.addr, routerAddr, blackholed, nobody, elsewhere, random,
		d.target(), d.target(), d.public(), d.worldly())
}

// target is an address that some route is for.
func (d dice) target() netip.Addr {
	return some(d, ip("192.0.2.1"), ip("192.0.2.65"), ip("192.0.2.129"), ip("192.0.2.193"), ip("10.0.7.1"), ip("10.7.1.1"), pia.addr, cat.addr, nat.addr)
}

func (d dice) public() netip.Addr {
	return some(d, ann.public, ann.public, eve.public, dan.public, fay.public, astray[d.IntN(len(astray))])
}

// worldly is an address at an edge of what the world has.
func (d dice) worldly() netip.Addr {
	return some(d, elsewhere, elsewhere, elsewhere, ip("203.0.113.77"), ip("203.0.113.78"), ip("192.168.7.8"), ip("192.168.7.9"), ip("192.168.8.0"),
		ip("9.255.255.255"), ip("10.255.255.255"), ip("11.0.0.0"), ip("0.255.255.255"), ip("1.0.0.0"), ip("126.1.1.1"), ip("127.0.0.1"), ip("128.0.0.0"),
		ip("100.63.255.255"), ip("100.64.0.0"), ip("100.127.255.255"), ip("100.128.0.0"), ip("169.253.1.1"), ip("169.254.0.1"), ip("169.255.0.1"),
		ip("172.15.255.255"), ip("172.16.0.0"), ip("172.31.255.255"), ip("172.32.0.0"), ip("192.167.1.1"), ip("192.169.0.0"), ip("223.255.255.255"), ip("224.0.0.0"), ip("240.0.0.1"))
}

// sender is mostly ann, or the world.
func (d dice) sender() nic {
	return some(d, ann, ann, ann, ann, ann, ann, gate, gate, gate, gate, eve, eve, cat, nat, fay, pia)
}

// frame makes one that is right in most ways, and wrong in few.
func (d dice) frame() frame {
	own := d.sender()
	f := frame{ifindex: portBase + own.slot, now: 1e18}
	switch d.IntN(16) {
	case 0:
		f.bytes = d.fill(make([]byte, d.IntN(100)))
	case 1:
		f.bytes = d.ethernet(own, 0x0806, d.arp(own))
	default:
		kind := uint16(0x0800)
		if d.IntN(16) == 0 {
			kind = some[uint16](d, 0x86dd, 0x8100, uint16(d.Uint32()))
		}
		f.bytes = d.ethernet(own, kind, d.ipv4(own, &f))
	}
	for range max(0, d.IntN(6)-3) {
		if len(f.bytes) > 0 {
			f.bytes[d.IntN(len(f.bytes))] = d.byte()
		}
	}
	d.handOver(&f)
	return f
}

func (d dice) ethernet(own nic, kind uint16, payload []byte) []byte {
	dst, src := d.mac(own), own.mac()
	if d.IntN(12) == 0 {
		src = d.mac(own)
	}
	b := be.AppendUint16(append(append([]byte{}, dst[:]...), src[:]...), kind)
	return append(b, payload...)
}

func (d dice) arp(own nic) []byte {
	b := be.AppendUint16(nil, some[uint16](d, 1, 1, 1, 1, 6))
	b = be.AppendUint16(b, some[uint16](d, 0x800, 0x800, 0x800, 0x86dd))
	b = append(b, some[byte](d, 6, 6, 6, 6, 8), some[byte](d, 4, 4, 4, 4, 16))
	b = be.AppendUint16(b, some[uint16](d, 1, 1, 1, 2))
	sender, asks, target := own.mac(), own.addr, d.address()
	if d.IntN(6) == 0 {
		sender = d.mac(own)
	}
	if !asks.IsValid() {
		asks = elsewhere
	}
	if d.IntN(4) == 0 {
		asks = some(d, netip.IPv4Unspecified(), d.address())
	}
	b = append(append(b, sender[:]...), asks.AsSlice()...)
	return append(append(b, make([]byte, 6)...), target.AsSlice()...)
}

// ipv4 makes a packet whose lengths meet, or miss each other by little.
func (d dice) ipv4(own nic, f *frame) []byte {
	header := 20
	if d.IntN(4) == 0 {
		header = 20 + 4*d.IntN(11)
	}
	proto := some[byte](d, protoTCP, protoTCP, protoUDP, protoUDP, protoICMP, protoICMP, protoICMP, 47, 132, d.byte())
	l4 := d.layer4(proto)
	if d.IntN(8) == 0 {
		l4 = l4[:d.IntN(len(l4)+1)]
	}
	total := d.near(header + len(l4))
	b := make([]byte, header)
	d.fill(b[20:])
	b[0] = 4<<4 | byte(header/4)
	if d.IntN(16) == 0 {
		b[0] = d.byte()
	}
	be.PutUint16(b[2:], uint16(total))
	be.PutUint16(b[4:], some[uint16](d, 1, 2, 0x100, uint16(d.Uint32())))
	if d.IntN(5) == 0 {
		be.PutUint16(b[6:], some[uint16](d, 0x2000, 0x2000, 1, 2, 0x2001, 0x2002, 0x1fff, 0x4000, 0x8000, uint16(d.Uint32())))
	}
	b[8], b[9] = 64, proto
	src, dst := own.addr, d.address()
	if own.flags&isEdge != 0 {
		src = d.worldly()
		dst = some(d, dst, d.public(), d.public(), d.public())
	}
	if d.IntN(6) == 0 {
		src = d.address()
	}
	copy(b[12:], src.AsSlice())
	copy(b[16:], dst.AsSlice())
	if d.IntN(12) == 0 {
		d.gso(f, b)
	}
	return append(append(b, l4...), make([]byte, some(d, 0, 0, 0, 1, 18))...)
}

// gso makes a packet longer than any on the wire, and tells so in metadata.
func (d dice) gso(f *frame, ip []byte) {
	f.gsoSegs, f.gsoSize = uint32(some(d, 0, 1, 2, 45)), uint32(some(d, 0, 1, 1380, 1440, 1446, 1448, 1460, 1472, 1473))
	f.length = some(d, 0, 2000, 65000, 70000, 200000)
	if d.IntN(3) > 0 {
		be.PutUint16(ip[2:], 0)
	} else {
		be.PutUint16(ip[2:], uint16(max(0, f.length-14)))
	}
}

func (d dice) port() uint16 { return some[uint16](d, 0, 22, 80, 443, 1024, 65535, uint16(d.Uint32())) }

func (d dice) layer4(proto byte) []byte {
	payload := make([]byte, d.IntN(40))
	switch proto {
	case protoTCP:
		b := be.AppendUint16(be.AppendUint16(nil, d.port()), d.port())
		b = append(b, d.fill(make([]byte, 8))...)
		size := some(d, 5, 5, 5, 6, 8, 15, 4, 0, d.IntN(16))
		b = append(b, byte(size)<<4, some[byte](d, 2, 16, 18, 17, 4, 1, 0, d.byte()), 1, 0, 0, 0, 0, 0)
		return append(b, make([]byte, d.near(max(0, size*4-20)))...)
	case protoUDP:
		b := be.AppendUint16(be.AppendUint16(nil, d.port()), d.port())
		b = be.AppendUint16(b, uint16(some(d, 8+len(payload), 8+len(payload), 8, 7, 9, 0, d.IntN(65536))))
		return append(be.AppendUint16(b, 0), payload...)
	case protoICMP:
		kind := some[byte](d, 8, 0, 3, 3, 3, 4, 5, 11, 12, 13, 14, 17, 18, 19, 10, d.byte())
		b := append([]byte{kind, some[byte](d, 0, 0, 1, 3, 4), 0, 0}, d.fill(make([]byte, 4))...)
		if kind == 3 || kind == 4 || kind == 11 || kind == 12 {
			return append(b, d.quoted()...)
		}
		return append(b, payload...)
	}
	return d.fill(payload)
}

// quoted is the beginning of a packet, cut anywhere.
func (d dice) quoted() []byte {
	header := some(d, 20, 20, 24, 60)
	b := make([]byte, header, header+8)
	b[0] = some(d, 4<<4|byte(header/4), 4<<4|byte(header/4), 4<<4|byte(header/4), 0x44, 0x65, d.byte())
	be.PutUint16(b[6:], some[uint16](d, 0, 0, 0, 0x2000, 1, 0x1fff))
	b[9] = some[byte](d, protoTCP, protoUDP, protoICMP, protoICMP, 47)
	copy(b[12:], d.address().AsSlice())
	copy(b[16:], d.address().AsSlice())
	if b[9] == protoICMP {
		b = append(b, some[byte](d, 8, 0, 13, 14, 15, 16, 17, 18, 3), d.byte())
	}
	b = append(b, d.fill(make([]byte, header+8-len(b)))...)
	return b[:min(len(b), d.near(len(b)))]
}

// handOver decides what the kernel does with the frame on its way.
func (d dice) handOver(f *frame) {
	if f.length < len(f.bytes) {
		f.length = len(f.bytes)
	}
	f.linear = min(f.length, 2048)
	if d.IntN(2) == 0 {
		f.linear = min(f.linear, some(d, 14, 0, 13, 33, 34, 42, 53, 54, d.IntN(120)))
		f.stuck = d.IntN(4) == 0
	}
	if d.IntN(30) == 0 {
		f.vlan = 1
	}
	if d.IntN(20) == 0 {
		f.ifindex = some[uint32](d, portBase, portBase+2, portBase+4, portBase+5, portBase+gate.slot, portBase+16383, portBase+16384, 1)
	}
}
