package matrix

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/e2e/netns"
)

const (
	// again is how often UDP and pings are sent that are not yet where they
	// should be, or that should get nowhere.
	again = 100 * time.Millisecond
	// silence is at least how long is listened for what should not arrive.
	silence = 300 * time.Millisecond
	// late is how long what should arrive may take; TCP's second try is after one second.
	late = 1200 * time.Millisecond
	// magic is before the number of every probe.
	magic = 0x76706370
	// ICMP types.
	echo, echoReply = 8, 0
)

// probe is one packet of one workload to another, and what became of it.
type probe struct {
	from, to int
	packet
	source int32
	want   verdict

	arrives, answered atomic.Bool
	tcp               int // a socket that connects
}

func (p *probe) String() string {
	return fmt.Sprintf("%d → %d %s %d→%d", p.from, p.to, p.proto, p.source, p.port)
}

// probes are all pairs: TCP and UDP from two ports to two, and a ping.
func (w *world) probes() (out []*probe) {
	add := func(from, to int, p packet, source int32) {
		out = append(out, &probe{from: from, to: to, packet: p, source: source,
			want: w.expect(w.endpoints[from], w.endpoints[to], p, source), tcp: -1})
	}
	for from := range w.endpoints {
		for to := range w.endpoints {
			if from == to {
				continue
			}
			for _, proto := range []string{"tcp", "udp"} {
				for _, port := range w.ports[proto] {
					for _, source := range w.sources {
						add(from, to, packet{proto, port}, source)
					}
				}
			}
			add(from, to, packet{"icmp", echo}, 0)
		}
	}
	return out
}

// sockets are those of one workload.
type sockets struct {
	icmp, tcp *os.File // raw: they see every packet of the protocol that arrives
	pings     int      // the descriptor of icmp
	clients   map[int32]net.PacketConn
	servers   []net.PacketConn
	listeners []net.Listener
}

// field is every workload's sockets and what they see.
type field struct {
	world  *world
	probes []*probe
	of     []*sockets
	syns   map[syn]*probe
	read   sync.WaitGroup
}

// syn finds the probe that a SYN belongs to.
type syn struct {
	from, to     netip.Addr
	source, port uint16
}

// listen opens the sockets of all workloads.
func listen(w *world, spaces []string) (*field, error) {
	f := &field{world: w, probes: w.probes(), syns: map[syn]*probe{}}
	for _, p := range f.probes {
		if p.proto == "tcp" {
			f.syns[syn{w.endpoints[p.from].at, w.endpoints[p.to].at, uint16(p.source), uint16(p.port)}] = p
		}
	}
	for i, space := range spaces {
		s := &sockets{clients: map[int32]net.PacketConn{}}
		f.of = append(f.of, s)
		if err := netns.Do(space, func() error { return s.open(w) }); err != nil {
			f.close()
			return nil, err
		}
		f.watch(i, s)
	}
	return f, nil
}

func (s *sockets) open(w *world) (err error) {
	if s.icmp, s.pings, err = raw(unix.IPPROTO_ICMP); err != nil {
		return err
	}
	if s.tcp, _, err = raw(unix.IPPROTO_TCP); err != nil {
		return err
	}
	for _, source := range w.sources {
		if s.clients[source], err = net.ListenPacket("udp4", fmt.Sprintf(":%d", source)); err != nil {
			return err
		}
	}
	for _, port := range w.ports["udp"] {
		conn, err := net.ListenPacket("udp4", fmt.Sprintf(":%d", port))
		if err != nil {
			return err
		}
		s.servers = append(s.servers, conn)
	}
	for _, port := range w.ports["tcp"] {
		l, err := net.Listen("tcp4", fmt.Sprintf(":%d", port))
		if err != nil {
			return err
		}
		s.listeners = append(s.listeners, l)
	}
	return nil
}

func raw(proto int) (*os.File, int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto)
	if err != nil {
		return nil, -1, err
	}
	return os.NewFile(uintptr(fd), "raw"), fd, nil
}

// watch reads all that comes to a workload until its sockets are closed.
func (f *field) watch(i int, s *sockets) {
	f.read.Go(func() { f.reading(s.icmp, func(b []byte) { f.seeICMP(i, b) }) })
	f.read.Go(func() { f.reading(s.tcp, f.seeTCP) })
	for _, c := range s.clients {
		f.read.Go(func() {
			f.receiving(c, func(p *probe, _ []byte, _ net.Addr) { p.answered.Store(true) })
		})
	}
	for _, c := range s.servers {
		f.read.Go(func() {
			f.receiving(c, func(p *probe, b []byte, from net.Addr) {
				p.arrives.Store(true)
				c.WriteTo(b, from)
			})
		})
	}
}

func (f *field) reading(from *os.File, see func([]byte)) {
	buf := make([]byte, 2048)
	for {
		n, err := from.Read(buf)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err == nil && n >= 20 && n >= int(buf[0]&15)*4 {
			see(buf[:n])
		}
	}
}

func (f *field) receiving(conn net.PacketConn, see func(*probe, []byte, net.Addr)) {
	buf := make([]byte, 2048)
	for {
		n, from, err := conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if p := f.find(buf[:n]); err == nil && p != nil {
			see(p, buf[:n], from)
		}
	}
}

// find reads the number of a probe.
func (f *field) find(b []byte) *probe {
	if len(b) < 8 || binary.BigEndian.Uint32(b) != magic {
		return nil
	}
	if n := binary.BigEndian.Uint32(b[4:]); int(n) < len(f.probes) {
		return f.probes[n]
	}
	return nil
}

func (f *field) seeICMP(i int, b []byte) {
	body := b[int(b[0]&15)*4:]
	if len(body) < 8 {
		return
	}
	switch p := f.find(body[8:]); {
	case p == nil:
	case body[0] == echo && p.to == i:
		p.arrives.Store(true)
	case body[0] == echoReply && p.from == i:
		p.answered.Store(true)
	}
}

func (f *field) seeTCP(b []byte) {
	head := b[int(b[0]&15)*4:]
	const flagSYN, flagACK = 2, 16
	if len(head) < 20 || head[13]&(flagSYN|flagACK) != flagSYN {
		return
	}
	p := f.syns[syn{netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20])), binary.BigEndian.Uint16(head), binary.BigEndian.Uint16(head[2:])}]
	if p != nil {
		p.arrives.Store(true)
	}
}

func (f *field) close() {
	for _, s := range f.of {
		for _, c := range []*os.File{s.icmp, s.tcp} {
			if c != nil {
				c.Close()
			}
		}
		for _, c := range s.clients {
			if c != nil {
				c.Close()
			}
		}
		for _, c := range s.servers {
			c.Close()
		}
		for _, l := range s.listeners {
			l.Close()
		}
	}
	for _, p := range f.probes {
		if p.tcp >= 0 {
			unix.Close(p.tcp)
		}
	}
	f.read.Wait()
}

// connect begins all TCP connections of a workload, on a thread inside it.
func (f *field) connect(from int) error {
	for _, p := range f.probes {
		if p.from != from || p.proto != "tcp" {
			continue
		}
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		p.tcp = fd
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return err
		}
		if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(p.source)}); err != nil {
			return err
		}
		err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(p.port), Addr: f.world.endpoints[p.to].at.As4()})
		if err != nil && !errors.Is(err, unix.EINPROGRESS) {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	return nil
}

// send sends a probe of UDP or a ping.
func (f *field) send(n int) error {
	p := f.probes[n]
	body := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, magic), uint32(n))
	to := f.world.endpoints[p.to].at
	if p.proto == "udp" {
		_, err := f.of[p.from].clients[p.source].WriteTo(body, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, uint16(p.port))))
		return err
	}
	ping := append([]byte{echo, 0, 0, 0, byte(n >> 8), byte(n), 0, 1}, body...)
	binary.BigEndian.PutUint16(ping[2:], checksum(ping))
	return unix.Sendto(f.of[p.from].pings, ping, 0, &unix.SockaddrInet4{Addr: to.As4()})
}

func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

func (p *probe) seen() verdict {
	if p.proto == "tcp" && p.tcp >= 0 && !p.answered.Load() {
		if _, err := unix.Getpeername(p.tcp); err == nil {
			p.answered.Store(true)
		}
	}
	return verdict{p.arrives.Load(), p.answered.Load()}
}

// fire sends everything, and listens until all has arrived that should and the
// rest has had its time. What should get nowhere is sent every time: repeating
// can show a leak, and cannot hide one. slow are those that needed a second try.
func (f *field) fire(spaces []string) (slow int, err error) {
	for i, space := range spaces {
		if err := netns.Do(space, func() error { return f.connect(i) }); err != nil {
			return 0, err
		}
	}
	tick := time.NewTicker(again)
	defer tick.Stop()
	start := time.Now()
	for {
		open := 0
		for n, p := range f.probes {
			if p.want.answered && p.seen() == p.want {
				continue
			}
			if p.seen() != p.want {
				open++
			}
			if p.proto != "tcp" {
				if err := f.send(n); err != nil {
					return slow, fmt.Errorf("%s: %w", p, err)
				}
			}
		}
		if time.Since(start) >= again && slow == 0 {
			slow = open
		}
		if past := time.Since(start); past > late || past > silence && open == 0 {
			return slow, nil
		}
		<-tick.C
	}
}
