package probe

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/e2e/netns"
)

// Frame is an Ethernet frame that a workload forges.
type Frame struct {
	// Kind is ip, arp-request, arp-reply, vlan (a tagged ip), ipv6 or raw.
	Kind     string
	Src, Dst net.HardwareAddr
	// Packet is the content of ip and vlan, and holds the token of every kind.
	Packet Packet
	// ARP fields.
	SenderMAC, TargetMAC net.HardwareAddr
	SenderIP, TargetIP   netip.Addr
	// ICMPv6Type of an ipv6 frame: 134 router advertisement, 135 and 136 for
	// neighbours, 137 redirect; 0 is UDP.
	ICMPv6Type uint8
	// EtherType of a raw frame.
	EtherType uint16
}

const vlanID = 5

func (f Frame) bytes() ([]byte, error) {
	head := append(append([]byte{}, f.Dst...), f.Src...)
	typed := func(t uint16, body []byte) []byte {
		b := append(binary.BigEndian.AppendUint16(head, t), body...)
		for len(b) < 60 {
			b = append(b, 0)
		}
		return b
	}
	switch f.Kind {
	case "ip", "vlan":
		body, err := f.Packet.bytes()
		if err != nil {
			return nil, err
		}
		if f.Kind == "vlan" {
			body = append([]byte{0, vlanID, 0x08, 0x00}, body...)
			return typed(unix.ETH_P_8021Q, body), nil
		}
		return typed(unix.ETH_P_IP, body), nil
	case "arp-request", "arp-reply":
		return typed(unix.ETH_P_ARP, f.arp()), nil
	case "ipv6":
		return typed(unix.ETH_P_IPV6, f.ipv6()), nil
	case "raw":
		return typed(f.EtherType, f.Packet.Token[:]), nil
	}
	return nil, fmt.Errorf("no frame of kind %q", f.Kind)
}

// arp carries the token in the padding behind the 28 bytes of ARP.
func (f Frame) arp() []byte {
	op := byte(1)
	if f.Kind == "arp-reply" {
		op = 2
	}
	b := []byte{0, 1, 8, 0, 6, 4, 0, op}
	b = append(b, f.SenderMAC...)
	b = append(b, f.SenderIP.AsSlice()...)
	b = append(b, f.TargetMAC...)
	b = append(b, f.TargetIP.AsSlice()...)
	return append(b, f.Packet.Token[:]...)
}

func (f Frame) ipv6() []byte {
	body := append([]byte{f.ICMPv6Type, 0, 0, 0, 64, 0, 0, 30, 0, 0, 0, 0, 0, 0, 0, 0}, f.Packet.Token[:]...)
	next := byte(58)
	if f.ICMPv6Type == 0 {
		next = protoUDP
	}
	src := netip.MustParseAddr("fe80::1").As16()
	dst := netip.MustParseAddr("ff02::1").As16()
	b := []byte{0x60, 0, 0, 0, byte(len(body) >> 8), byte(len(body)), next, 255}
	b = append(append(b, src[:]...), dst[:]...)
	check := sum(sum(0, b[8:40]), []byte{0, byte(len(body)), 0, next})
	if next == 58 {
		binary.BigEndian.PutUint16(body[2:], ^sum(check, body))
	}
	return append(b, body...)
}

// SendFrames sends n equal frames out of an interface, as they are.
func SendFrames(ns, ifname string, f Frame, n int) error {
	b, err := f.bytes()
	if err != nil {
		return err
	}
	return netns.Do(ns, func() error {
		link, err := net.InterfaceByName(ifname)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		to := &unix.SockaddrLinklayer{Ifindex: link.Index, Halen: 6}
		copy(to.Addr[:], f.Dst)
		for range n {
			if err := unix.Sendto(fd, b, 0, to); err != nil {
				return fmt.Errorf("send a %s frame on %s: %w", f.Kind, ifname, err)
			}
		}
		return nil
	})
}
