package probe

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/e2e/netns"
)

// Pieces is one UDP datagram in fragments of the sender's MTU, to be sent in
// any order. Each of them contains the token.
type Pieces struct {
	conn   net.Conn // receives the answer
	raw    rawSocket
	to     netip.Addr
	data   []byte
	pieces [][]byte
}

// Cut makes the fragments of an IP packet of size bytes from inside a namespace.
func Cut(ns string, to netip.AddrPort, token Token, size int) (*Pieces, error) {
	p := &Pieces{to: to.Addr()}
	own, link, err := Address(ns)
	if err != nil {
		return nil, err
	}
	err = netns.Do(ns, func() (err error) {
		p.conn, err = net.Dial("udp4", to.String())
		return err
	})
	if err != nil {
		return nil, err
	}
	if p.raw, err = openRaw(ns, unix.IPPROTO_RAW); err != nil {
		p.conn.Close()
		return nil, err
	}
	port := p.conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	whole := Packet{Proto: "udp", Src: own.Addr(), Dst: to.Addr(), SrcPort: port, DstPort: to.Port(),
		Token: token, Size: size, IPID: randomID()}
	p.data = whole.body(protoUDP)[8:]
	p.pieces, err = whole.pieces(link.MTU)
	return p, err
}

// Count is the number of fragments.
func (p *Pieces) Count() int { return len(p.pieces) }

// Send sends the fragments with these numbers, in this order.
func (p *Pieces) Send(order []int) error {
	for _, i := range order {
		if i < 0 || i >= len(p.pieces) {
			return fmt.Errorf("there are %d pieces", len(p.pieces))
		}
		if err := p.raw.sendBytes(p.pieces[i], p.to); err != nil {
			return err
		}
	}
	return nil
}

// Answered waits for the echo of the whole datagram.
func (p *Pieces) Answered() error {
	p.conn.SetReadDeadline(time.Now().Add(answerTime))
	got := make([]byte, len(p.data)+1)
	n, err := p.conn.Read(got)
	if err == nil && !bytes.Equal(got[:n], p.data) {
		err = fmt.Errorf("the answer is not what was sent: %d bytes", n)
	}
	return err
}

// Silent is an error if there has been any answer so far.
func (p *Pieces) Silent() error {
	p.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	if n, err := p.conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("there is an answer: %d bytes, %w", n, err)
	}
	return nil
}

// Close gives up waiting for the answer.
func (p *Pieces) Close() {
	p.conn.Close()
	p.raw.close()
}

// Flood sends n packets from inside a namespace, each with an identification of
// its own: as fragments they belong to n datagrams.
func Flood(ns string, p Packet, n int) error {
	s, err := openRaw(ns, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	defer s.close()
	for range n {
		// The kernel would fill in 0.
		if p.IPID++; p.IPID == 0 {
			p.IPID++
		}
		if err := s.send(p); err != nil {
			return fmt.Errorf("send to %s: %w", p.Dst, err)
		}
	}
	return nil
}

// Tuples sends n packets from inside a namespace, no two with the same ports.
func Tuples(ns string, p Packet, n int) error {
	s, err := openRaw(ns, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	defer s.close()
	const perPort = 50_000
	for i := range n {
		q := p
		q.SrcPort, q.DstPort = uint16(1024+i%perPort), p.DstPort+uint16(i/perPort)
		if err := s.send(q); err != nil {
			return fmt.Errorf("send to %s: %w", p.Dst, err)
		}
	}
	return nil
}

// GivenUp is how many datagrams a namespace's kernel could not put together.
func GivenUp(ns string) (int, error) {
	var text []byte
	err := netns.Do(ns, func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/snmp")
		return err
	})
	if err != nil {
		return 0, err
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != "Ip:" {
			continue
		}
		for i, name := range names {
			if name == "ReasmFails" {
				return strconv.Atoi(words[i])
			}
		}
		names = words
	}
	return 0, errors.New("the kernel does not count reassembly")
}
