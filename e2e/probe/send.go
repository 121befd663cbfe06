package probe

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/e2e/netns"
)

const (
	protoICMP = 1
	protoTCP  = 6
	protoUDP  = 17

	ipHeader = 20

	moreFragments = 0x2000
)

// Packet is an IPv4 packet to be built. Nothing is retransmitted: a send of n
// packets is n packets on the wire.
type Packet struct {
	Proto            string // udp, tcp, icmp or a protocol number
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16
	ID               uint16 // ICMP identifier
	Token            Token
	Size             int // of the whole packet in bytes; 0 is the smallest
	DontFragment     bool
	TCPFlags         uint8 // 0: SYN
	ICMPType         uint8 // 0: echo request
	ICMPCode         uint8
	// Quote is what an ICMP error says of the packet it is about.
	Quote []byte
	// IPID and Fragment make a fragment: offset in units of 8 bytes, and flags.
	IPID     uint16
	Fragment uint16
}

func randomID() uint16 {
	var b [2]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint16(b[:]) | 1
}

func (p Packet) number() (uint8, error) {
	switch p.Proto {
	case "icmp":
		return protoICMP, nil
	case "tcp":
		return protoTCP, nil
	case "udp":
		return protoUDP, nil
	}
	var n uint8
	if _, err := fmt.Sscan(p.Proto, &n); err != nil {
		return 0, fmt.Errorf("protocol %q: %w", p.Proto, err)
	}
	return n, nil
}

// header returns the transport header, checksum still missing.
func (p Packet) header(proto uint8) []byte {
	switch proto {
	case protoUDP:
		h := make([]byte, 8)
		binary.BigEndian.PutUint16(h, p.SrcPort)
		binary.BigEndian.PutUint16(h[2:], p.DstPort)
		return h
	case protoTCP:
		h := make([]byte, 20)
		binary.BigEndian.PutUint16(h, p.SrcPort)
		binary.BigEndian.PutUint16(h[2:], p.DstPort)
		rand.Read(h[4:8])
		h[12], h[13] = 5<<4, cmp.Or(p.TCPFlags, 2)
		binary.BigEndian.PutUint16(h[14:], 65535)
		return h
	case protoICMP:
		h := make([]byte, 8)
		h[0], h[1] = p.ICMPType, p.ICMPCode
		if h[0] == 0 {
			h[0] = 8
		}
		// An error has a length here.
		if p.Quote == nil {
			binary.BigEndian.PutUint16(h[4:], p.ID)
		}
		return h
	}
	return nil
}

// bytes builds the packet with right checksums.
func (p Packet) bytes() ([]byte, error) {
	proto, err := p.number()
	if err != nil {
		return nil, err
	}
	return p.wrap(proto, p.body(proto)), nil
}

// Quoted is the part of the packet that an ICMP error repeats: the IP header
// and 8 bytes.
func (p Packet) Quoted() ([]byte, error) {
	b, err := p.bytes()
	if err != nil {
		return nil, err
	}
	return b[:ipHeader+8], nil
}

// pieces builds the packet in fragments no longer than an MTU.
func (p Packet) pieces(mtu int) (out [][]byte, err error) {
	proto, err := p.number()
	if err != nil {
		return nil, err
	}
	body := p.body(proto)
	step := (mtu - ipHeader) &^ 7
	for at := 0; at < len(body); at += step {
		end := min(at+step, len(body))
		p.Fragment = uint16(at / 8)
		if end < len(body) {
			p.Fragment |= moreFragments
		}
		out = append(out, p.wrap(proto, body[at:end]))
	}
	return out, nil
}

// body is the packet behind the IP header. It is filled up with the token, so
// that a fragment from its middle can be recognised as well.
func (p Packet) body(proto uint8) []byte {
	body := append(append(p.header(proto), p.Quote...), p.Token[:]...)
	if pad := p.Size - ipHeader - len(body); pad > 0 {
		body = append(body, bytes.Repeat(p.Token[:], pad/len(p.Token)+1)[:pad]...)
	}
	p.checksum(proto, body)
	return body
}

// wrap puts the IP header before a body.
func (p Packet) wrap(proto uint8, body []byte) []byte {
	ip := make([]byte, ipHeader)
	ip[0], ip[8], ip[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(ip[2:], uint16(ipHeader+len(body)))
	binary.BigEndian.PutUint16(ip[4:], p.IPID)
	frag := p.Fragment
	if p.DontFragment {
		frag |= 0x4000
	}
	binary.BigEndian.PutUint16(ip[6:], frag)
	copy(ip[12:], p.Src.AsSlice())
	copy(ip[16:], p.Dst.AsSlice())
	binary.BigEndian.PutUint16(ip[10:], ^sum(0, ip))
	return append(ip, body...)
}

func (p Packet) checksum(proto uint8, body []byte) {
	pseudo := sum(0, p.Src.AsSlice())
	pseudo = sum(pseudo, p.Dst.AsSlice())
	pseudo = sum(pseudo, []byte{0, proto, byte(len(body) >> 8), byte(len(body))})
	switch proto {
	case protoUDP:
		binary.BigEndian.PutUint16(body[4:], uint16(len(body)))
		// A source that the kernel fills in leaves no sum to compute; 0 is "none".
		if !p.Src.IsUnspecified() {
			binary.BigEndian.PutUint16(body[6:], ^sum(pseudo, body))
		}
	case protoTCP:
		binary.BigEndian.PutUint16(body[16:], ^sum(pseudo, body))
	case protoICMP:
		binary.BigEndian.PutUint16(body[2:], ^sum(0, body))
	}
}

// sum adds to a ones' complement sum.
func sum(start uint16, b []byte) uint16 {
	s := uint32(start)
	for i := 0; i+1 < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		s += uint32(b[len(b)-1]) << 8
	}
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

// rawSocket sends whole IPv4 packets that the namespace's kernel routes, and
// receives those of one protocol.
type rawSocket struct{ fd int }

func openRaw(ns string, receive int) (rawSocket, error) {
	s := rawSocket{-1}
	err := netns.Do(ns, func() (err error) {
		if s.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, receive); err != nil {
			return err
		}
		return unix.SetsockoptInt(s.fd, unix.IPPROTO_IP, unix.IP_HDRINCL, 1)
	})
	if err != nil && s.fd >= 0 {
		unix.Close(s.fd)
	}
	return s, err
}

func (s rawSocket) close() { unix.Close(s.fd) }

func (s rawSocket) send(p Packet) error {
	b, err := p.bytes()
	if err != nil {
		return err
	}
	return s.sendBytes(b, p.Dst)
}

func (s rawSocket) sendBytes(b []byte, to netip.Addr) error {
	return unix.Sendto(s.fd, b, 0, &unix.SockaddrInet4{Addr: to.As4()})
}

// await waits for an ICMP packet with the token that is not our own request.
func (s rawSocket) await(token Token, until time.Time) error {
	buf := make([]byte, 1<<16)
	for left := time.Until(until); left > 0; left = time.Until(until) {
		tv := unix.NsecToTimeval(left.Nanoseconds())
		if err := unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
			return err
		}
		n, _, err := unix.Recvfrom(s.fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			break
		}
		b := buf[:n]
		if n < ipHeader+8 {
			continue
		}
		if kind := b[ipHeader]; kind == 3 && bytes.Contains(b, token[:8]) {
			return fmt.Errorf("destination unreachable, code %d, mtu %d", b[ipHeader+1], binary.BigEndian.Uint16(b[ipHeader+6:]))
		} else if kind == 0 && bytes.Contains(b, token[:]) {
			return nil
		}
	}
	return errors.New("no answer to ping")
}

// Send sends n packets from inside a namespace; its kernel finds the way and
// resolves the next hop. Source ports count up from SrcPort.
func Send(ns string, p Packet, n int) error {
	s, err := openRaw(ns, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	defer s.close()
	for range n {
		if err := s.send(p); err != nil {
			return fmt.Errorf("send to %s: %w", p.Dst, err)
		}
		p.SrcPort++
		p.ID++
	}
	return nil
}
