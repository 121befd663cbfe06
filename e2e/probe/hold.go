package probe

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vpcfabric/vpc/e2e/netns"
)

// holdPeriod is how often a held connection sends.
const holdPeriod = 10 * time.Millisecond

// Held is what became of the connections of a Hold.
type Held struct {
	Connections int
	Resets      int // ended by the other side or the network
	Wrong       int // echoes that were not what had been sent
	Echoes      int
	MaxGap      time.Duration // longest time between two echoes of one connection
}

// Hold is a number of TCP connections to an echo server that send all the time.
type Hold struct {
	stop  context.CancelFunc
	wg    sync.WaitGroup
	conns []*heldConn
	idle  atomic.Bool
}

type heldConn struct {
	conn          net.Conn
	echoes, wrong int
	gap           atomic.Int64
	last          atomic.Int64 // unix ns of the newest echo, 0 before the first
	reset         atomic.Bool
}

// Open opens n connections; all of them are established when it returns.
func Open(ns string, to netip.AddrPort, n int) (*Hold, error) {
	ctx, stop := context.WithCancel(context.Background())
	h := &Hold{stop: stop}
	for range n {
		var c net.Conn
		err := netns.Do(ns, func() (err error) {
			// Without keepalives: only what is asked for is sent.
			d := net.Dialer{Timeout: answerTime, KeepAlive: -1}
			c, err = d.Dial("tcp4", to.String())
			return err
		})
		if err != nil {
			h.Close()
			return nil, err
		}
		hc := &heldConn{conn: c}
		h.conns = append(h.conns, hc)
		h.wg.Go(func() { hc.send(ctx, &h.idle) })
		h.wg.Go(hc.receive)
	}
	return h, nil
}

// Pause keeps all connections open and silent, until it is called with false.
func (h *Hold) Pause(idle bool) { h.idle.Store(idle) }

func (c *heldConn) send(ctx context.Context, idle *atomic.Bool) {
	tick := time.NewTicker(holdPeriod)
	defer tick.Stop()
	for n := uint64(0); ; {
		select {
		case <-ctx.Done():
			c.conn.(*net.TCPConn).CloseWrite()
			return
		case <-tick.C:
		}
		if idle.Load() {
			continue
		}
		if _, err := c.conn.Write(binary.BigEndian.AppendUint64(nil, n)); err != nil {
			if ctx.Err() == nil {
				c.reset.Store(true)
			}
			return
		}
		n++
	}
}

// receive ends when the server has echoed everything and closes, or too early.
func (c *heldConn) receive() {
	r := bufio.NewReader(c.conn)
	var word [8]byte
	for want := uint64(0); ; want++ {
		if _, err := io.ReadFull(r, word[:]); err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				c.reset.Store(true)
			}
			return
		}
		if binary.BigEndian.Uint64(word[:]) != want {
			c.wrong++
		}
		c.echoes++
		now := time.Now().UnixNano()
		if last := c.last.Swap(now); last != 0 && now-last > c.gap.Load() {
			c.gap.Store(now - last)
		}
	}
}

// Size is the number of connections.
func (h *Hold) Size() int { return len(h.conns) }

// Flowing reports how many connections have had an echo in the last d and how
// many have been reset.
func (h *Hold) Flowing(d time.Duration) (flowing, resets int) {
	since := time.Now().Add(-d).UnixNano()
	for _, c := range h.conns {
		if c.reset.Load() {
			resets++
		} else if c.last.Load() >= since {
			flowing++
		}
	}
	return flowing, resets
}

// Close lets every connection finish and reports; those that do not finish in
// time count as reset.
func (h *Hold) Close() Held {
	h.stop()
	for _, c := range h.conns {
		c.conn.SetReadDeadline(time.Now().Add(answerTime))
	}
	h.wg.Wait()
	out := Held{Connections: len(h.conns)}
	for _, c := range h.conns {
		c.conn.Close()
		if c.reset.Load() {
			out.Resets++
		}
		out.Wrong += c.wrong
		out.Echoes += c.echoes
		out.MaxGap = max(out.MaxGap, time.Duration(c.gap.Load()))
	}
	return out
}
