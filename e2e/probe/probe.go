// Package probe sends and watches traffic inside network namespaces: round
// trips, exact numbers of packets and of forged frames, long-lived TCP
// connections, and sniffers that count what a receiver's side saw.
//
// Everything runs in this process; only sockets are made inside namespaces, so
// nothing stays behind when a test is killed. Packets that must not arrive
// carry a Token, and a sniffer counts exactly the frames that contain it.
package probe

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/vpcfabric/vpc/e2e/netns"
)

// answerTime bounds one round trip that is expected to succeed.
const answerTime = 3 * time.Second

// Token marks the packets of one send.
type Token [18]byte

// NewToken is unique: it starts with a fixed word, the rest is random.
func NewToken() Token {
	var t Token
	var r [5]byte
	rand.Read(r[:])
	copy(t[:], "vpcprobe"+hex.EncodeToString(r[:]))
	return t
}

// Address returns the first IPv4 prefix of an interface other than loopback in
// a namespace, and the interface's name and MAC.
func Address(ns string) (netip.Prefix, net.Interface, error) {
	var found netip.Prefix
	var link net.Interface
	err := netns.Do(ns, func() error {
		list, err := net.Interfaces()
		if err != nil {
			return err
		}
		for _, i := range list {
			if i.Flags&net.FlagLoopback != 0 {
				continue
			}
			addrs, err := i.Addrs()
			if err != nil {
				return err
			}
			for _, a := range addrs {
				p, err := netip.ParsePrefix(a.String())
				if err == nil && p.Addr().Is4() && !found.IsValid() {
					found, link = p, i
				}
			}
		}
		if !found.IsValid() {
			return fmt.Errorf("namespace %s has no IPv4 address", ns)
		}
		return nil
	})
	return found, link, err
}

// RoundTrip sends a word over "udp" or "tcp" from inside a namespace and wants
// it back. It tries once; the error says what happened instead.
func RoundTrip(ns, network string, to netip.AddrPort) error {
	return RoundTripSize(ns, network, to, 0)
}

// RoundTripSize is a RoundTrip of so many bytes, at least those of a word. A
// datagram that is longer than the way's MTU travels in fragments.
func RoundTripSize(ns, network string, to netip.AddrPort, size int) error {
	var conn net.Conn
	err := netns.Do(ns, func() (err error) {
		conn, err = net.DialTimeout(network+"4", to.String(), answerTime)
		return err
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	token := NewToken()
	word := bytes.Repeat(token[:], max(size, 1)/len(token)+1)[:max(size, len(token))]
	conn.SetDeadline(time.Now().Add(answerTime))
	if _, err := conn.Write(word); err != nil {
		return err
	}
	got := make([]byte, len(word)+1)
	n, err := io.ReadAtLeast(conn, got, len(word))
	if err != nil && n == 0 {
		return err
	}
	if !bytes.Equal(got[:n], word) {
		return fmt.Errorf("%s answered something else: %d bytes, %.40q…", to, n, got[:n])
	}
	return nil
}

// Ping sends one ICMP echo of size bytes (IP header included) with DF set and
// wants the answer.
func Ping(ns string, to netip.Addr, size int) error {
	s, err := openRaw(ns, protoICMP)
	if err != nil {
		return err
	}
	defer s.close()
	token := NewToken()
	p := Packet{Proto: "icmp", Src: netip.IPv4Unspecified(), Dst: to, Token: token, Size: size, ID: randomID(), DontFragment: true}
	if err := s.send(p); err != nil {
		return err
	}
	return s.await(token, time.Now().Add(answerTime))
}
