package meter

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

// Loss counts what a stream of numbered UDP packets loses on its way from one
// namespace to another.
type Loss struct {
	out, in net.PacketConn
	to      *net.UDPAddr
	pps     int
	stop    chan struct{}
	wg      sync.WaitGroup

	sent   atomic.Uint64
	seen   []uint64 // a bit for each number
	report Losses
}

// Losses is a Loss meter's result.
type Losses struct {
	Sent, Received, Duplicates int
	// Unsent are packets that the sender's kernel refused.
	Unsent int
	// MaxGap is the longest time between two arrivals.
	MaxGap time.Duration
}

// Lost is what was sent and did not arrive.
func (l Losses) Lost() int { return l.Sent - l.Received }

func (l Losses) String() string {
	return fmt.Sprintf("%d sent, %d received, %d lost, %d duplicates, %d not sent, longest gap %s",
		l.Sent, l.Received, l.Lost(), l.Duplicates, l.Unsent, l.MaxGap.Round(time.Millisecond))
}

const (
	// pace is how often the sender sends a burst.
	pace = time.Millisecond
	// settle is how long after the last arrival the stream counts as over.
	settle = 300 * time.Millisecond
	// lossMax bounds one run: 28 minutes at 10,000 a second.
	lossMax = 1 << 24
)

// StartLoss starts a stream of pps packets a second. The destination is an
// address of the receiving namespace.
func StartLoss(from, to string, dst netip.AddrPort, pps int) (*Loss, error) {
	l := &Loss{to: net.UDPAddrFromAddrPort(dst), pps: pps, stop: make(chan struct{}), seen: make([]uint64, lossMax/64)}
	listen := func(ns, at string, conn *net.PacketConn) error {
		return netns.Do(ns, func() (err error) {
			*conn, err = net.ListenPacket("udp4", at)
			return err
		})
	}
	if err := listen(to, fmt.Sprintf("0.0.0.0:%d", dst.Port()), &l.in); err != nil {
		return nil, err
	}
	if err := listen(from, "0.0.0.0:0", &l.out); err != nil {
		l.in.Close()
		return nil, err
	}
	if err := bigBuffer(l.in); err != nil {
		l.in.Close()
		l.out.Close()
		return nil, err
	}
	l.wg.Go(l.receive)
	l.wg.Go(l.send)
	return l, nil
}

// bigBuffer holds seconds of the stream: a receiver that is not scheduled must
// not look like a network that loses.
func bigBuffer(c net.PacketConn) error {
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Control(func(fd uintptr) {
		inner = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20)
	})
	return errors.Join(err, inner)
}

func (l *Loss) send() {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	start := time.Now()
	for n := uint64(0); ; {
		select {
		case <-l.stop:
			return
		case <-tick.C:
		}
		due := min(uint64(time.Since(start).Seconds()*float64(l.pps)), lossMax)
		for ; n < due; n++ {
			if _, err := l.out.WriteTo(binary.BigEndian.AppendUint64(nil, n), l.to); err != nil {
				l.report.Unsent++
			}
			l.sent.Add(1)
		}
	}
}

func (l *Loss) receive() {
	buf := make([]byte, 64)
	last := time.Time{}
	for {
		n, _, err := l.in.ReadFrom(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n != 8 {
			continue
		}
		now := time.Now()
		if !last.IsZero() {
			l.report.MaxGap = max(l.report.MaxGap, now.Sub(last))
		}
		last = now
		seq := binary.BigEndian.Uint64(buf)
		if seq >= lossMax {
			continue
		}
		if bit := uint64(1) << (seq % 64); l.seen[seq/64]&bit != 0 {
			l.report.Duplicates++
		} else {
			l.seen[seq/64] |= bit
			l.report.Received++
		}
		select {
		case <-l.stop:
			l.in.SetReadDeadline(now.Add(settle))
		default:
		}
	}
}

// Sent is the number of packets so far.
func (l *Loss) Sent() int { return int(l.sent.Load()) }

// Stop ends the stream, waits for what is on its way and reports.
func (l *Loss) Stop() Losses {
	close(l.stop)
	l.in.SetReadDeadline(time.Now().Add(settle))
	l.wg.Wait()
	l.in.Close()
	l.out.Close()
	l.report.Sent = int(l.sent.Load())
	return l.report
}
