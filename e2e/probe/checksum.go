package probe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/e2e/netns"
)

// Checksums sends two datagrams to a server in another namespace, of which the
// second has no checksum, and checks what arrives: the whole packets, headers and
// all, as the server's kernel got them.
func Checksums(from, server string, to netip.AddrPort) error {
	var raw *net.IPConn
	err := netns.Do(server, func() (err error) {
		raw, err = net.ListenIP("ip4:udp", nil)
		return err
	})
	if err != nil {
		return err
	}
	defer raw.Close()
	for _, without := range []int{0, 1} {
		token := NewToken()
		if err := sendDatagram(from, to, token[:], without); err != nil {
			return err
		}
		d, source, err := datagramWith(raw, token[:])
		if err != nil {
			return err
		}
		have := binary.BigEndian.Uint16(d[6:])
		pseudo := sum(sum(0, source.AsSlice()), to.Addr().AsSlice())
		pseudo = sum(pseudo, []byte{0, protoUDP, byte(len(d) >> 8), byte(len(d))})
		switch whole := sum(pseudo, d); {
		case without == 1 && have != 0:
			return fmt.Errorf("what had no checksum arrived with %#x", have)
		case without == 0 && (have == 0 || whole != 0xffff):
			return fmt.Errorf("the checksum %#x is wrong: the sum is %#x", have, whole)
		}
	}
	return nil
}

func sendDatagram(from string, to netip.AddrPort, data []byte, without int) error {
	var conn net.Conn
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if e := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_NO_CHECK, without) }); e != nil {
			return e
		}
		return err
	}}
	err := netns.Do(from, func() (err error) {
		conn, err = dialer.Dial("udp4", to.String())
		return err
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write(data)
	return err
}

// datagramWith is the next datagram with this in it, and who sent it.
func datagramWith(raw *net.IPConn, data []byte) (d []byte, source netip.Addr, err error) {
	if err := raw.SetReadDeadline(time.Now().Add(answerTime)); err != nil {
		return nil, source, err
	}
	buf := make([]byte, 1<<16)
	for {
		n, addr, err := raw.ReadFromIP(buf)
		if err != nil {
			return nil, source, errors.Join(errors.New("no datagram arrived"), err)
		}
		if n > 8 && bytes.Contains(buf[:n], data) {
			source, _ = netip.AddrFromSlice(addr.IP.To4())
			return buf[:n], source, nil
		}
	}
}
