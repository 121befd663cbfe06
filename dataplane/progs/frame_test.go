package progs_test

import (
	"encoding/binary"
	"net/netip"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

const (
	typeIPv4 = 0x0800
	typeARP  = 0x0806
	typeVLAN = 0x8100
	typeIPv6 = 0x86dd

	icmp = 1
	tcp  = 6
	udp  = 17

	fin, syn, rst, ack = 1, 2, 4, 16

	echoReply, unreachable, redirect, echo = 0, 3, 5, 8
)

var be = binary.BigEndian

func ethernet(dst, src spec.MAC, kind uint16, payload []byte) []byte {
	b := append(append(make([]byte, 0, 14+len(payload)), dst[:]...), src[:]...)
	return append(be.AppendUint16(b, kind), payload...)
}

// header is what a test wants to say of an IPv4 header; zero means the usual.
type header struct {
	src, dst netip.Addr
	proto    uint8
	id       uint16
	frag     uint16 // flags and offset as on the wire
	ihl      int    // words
	total    int    // bytes
	version  int
}

func ipv4(h header, payload []byte) []byte {
	ihl := h.ihl
	if ihl == 0 {
		ihl = 5
	}
	b := make([]byte, max(ihl, 5)*4, max(ihl, 5)*4+len(payload))
	version := h.version
	if version == 0 {
		version = 4
	}
	total := h.total
	if total == 0 {
		total = len(b) + len(payload)
	}
	b[0] = byte(version<<4 | ihl)
	be.PutUint16(b[2:], uint16(total))
	be.PutUint16(b[4:], h.id)
	be.PutUint16(b[6:], h.frag)
	b[8], b[9] = 64, h.proto
	src, dst := h.src.As4(), h.dst.As4()
	copy(b[12:], src[:])
	copy(b[16:], dst[:])
	return append(b, payload...)
}

func tcpSegment(sport, dport uint16, flags byte) []byte {
	b := make([]byte, 20)
	be.PutUint16(b, sport)
	be.PutUint16(b[2:], dport)
	b[12], b[13] = 5<<4, flags
	return b
}

func udpDatagram(sport, dport uint16, data int) []byte {
	b := make([]byte, 8+data)
	be.PutUint16(b, sport)
	be.PutUint16(b[2:], dport)
	be.PutUint16(b[4:], uint16(8+data))
	return b
}

func icmpMessage(kind, code byte, id uint16, quote []byte) []byte {
	b := make([]byte, 8, 8+len(quote))
	b[0], b[1] = kind, code
	be.PutUint16(b[4:], id)
	return append(b, quote...)
}

// arpPacket is an ARP packet with the sender and the target that it names.
func arpPacket(op uint16, sha spec.MAC, spa netip.Addr, tha spec.MAC, tpa netip.Addr) []byte {
	b := []byte{0, 1, 8, 0, 6, 4, 0, byte(op)}
	s, t := spa.As4(), tpa.As4()
	b = append(append(b, sha[:]...), s[:]...)
	return append(append(b, tha[:]...), t[:]...)
}

var broadcast = spec.MAC{255, 255, 255, 255, 255, 255}

// flow names the packets of one conversation between two interfaces.
type flow struct {
	from, to     nic
	proto        uint8
	sport, dport uint16 // ICMP: id, and the type in kind
}

// nic is an interface as its own workload knows it.
type nic struct {
	eni    spec.ENI
	slot   int
	addr   netip.Addr
	router spec.MAC
	subnet spec.SubnetID
}

func (n nic) mac() spec.MAC { return spec.MACOf(n.eni) }

// frame is what n sends to another interface: to its MAC inside a subnet, to
// the router otherwise.
func (n nic) frame(to nic, h header, l4 []byte) []byte {
	dst := n.router
	if n.subnet == to.subnet {
		dst = to.mac()
	}
	if !h.src.IsValid() {
		h.src = n.addr
	}
	if !h.dst.IsValid() {
		h.dst = to.addr
	}
	return ethernet(dst, n.mac(), typeIPv4, ipv4(h, l4))
}

// forth and back are one packet in either direction.
func (f flow) forth(flags byte) []byte { return f.packet(f.from, f.to, f.sport, f.dport, flags, echo) }
func (f flow) back(flags byte) []byte {
	return f.packet(f.to, f.from, f.dport, f.sport, flags, echoReply)
}

func (f flow) packet(a, b nic, sport, dport uint16, flags, kind byte) []byte {
	h := header{proto: f.proto}
	switch f.proto {
	case tcp:
		return a.frame(b, h, tcpSegment(sport, dport, flags))
	case udp:
		return a.frame(b, h, udpDatagram(sport, dport, 4))
	case icmp:
		return a.frame(b, h, icmpMessage(kind, 0, f.sport, nil))
	}
	return a.frame(b, h, make([]byte, 8))
}
