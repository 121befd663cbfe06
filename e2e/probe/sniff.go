package probe

import (
	"bytes"
	"errors"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/e2e/netns"
)

// Sniffer counts the frames that arrive on any interface of a namespace.
type Sniffer struct {
	fd   int
	stop int // an eventfd that wakes the reader
	done chan struct{}
	err  error

	token  []byte // nil: count everything
	frames atomic.Int64
}

// Sniff starts to count frames that contain the token; with an empty token it
// counts every frame. The namespace's own outgoing frames do not count. It sees
// everything that arrives after Sniff has returned.
func Sniff(ns string, token Token) (*Sniffer, error) {
	s := &Sniffer{fd: -1, stop: -1, done: make(chan struct{})}
	if token != (Token{}) {
		s.token = token[:]
	}
	err := netns.Do(ns, func() (err error) {
		s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, htons(unix.ETH_P_ALL))
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20); err != nil {
		unix.Close(s.fd)
		return nil, err
	}
	if s.stop, err = unix.Eventfd(0, unix.EFD_CLOEXEC); err != nil {
		unix.Close(s.fd)
		return nil, err
	}
	go s.run()
	return s, nil
}

func htons(v uint16) int { return int(v<<8 | v>>8) }

func (s *Sniffer) run() {
	defer close(s.done)
	fds := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}, {Fd: int32(s.stop), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			s.err = err
			return
		}
		stopping := fds[1].Revents != 0
		s.drain()
		if stopping {
			return
		}
	}
}

func (s *Sniffer) drain() {
	var buf [1 << 16]byte
	for {
		n, from, err := unix.Recvfrom(s.fd, buf[:], 0)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENETDOWN) {
			continue
		}
		if err != nil {
			return
		}
		ll, ok := from.(*unix.SockaddrLinklayer)
		if ok && ll.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		if s.token == nil || bytes.Contains(buf[:n], s.token) {
			s.frames.Add(1)
		}
	}
}

// Count is the number of frames so far.
func (s *Sniffer) Count() int { return int(s.frames.Load()) }

// Close reads what has arrived, stops and returns the count. A sniffer that
// the kernel could not keep up with is an error: its count proves nothing.
func (s *Sniffer) Close() (int, error) {
	unix.Write(s.stop, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	<-s.done
	stats, err := unix.GetsockoptTpacketStats(s.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	unix.Close(s.fd)
	unix.Close(s.stop)
	if s.err != nil {
		return s.Count(), s.err
	}
	if err == nil && stats.Drops > 0 {
		return s.Count(), errors.New("the sniffer lost frames")
	}
	return s.Count(), err
}
