package probe

import (
	"context"
	"sync/atomic"
	"time"
)

// streamPeriod is how often a Stream sends.
const streamPeriod = time.Millisecond

// Stream sends a packet with a token a thousand times a second, each from
// another port: a flow that must never come about gets many chances.
type Stream struct {
	stop context.CancelFunc
	done chan struct{}
	sent atomic.Int64
}

// StartStream starts to send from inside a namespace. Packets that the
// namespace's kernel cannot send, because its interface is away, do not count.
func StartStream(ns string, p Packet) (*Stream, error) {
	s, err := openRaw(ns, protoUDP)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	st := &Stream{stop: stop, done: make(chan struct{})}
	go func() {
		defer close(st.done)
		defer s.close()
		tick := time.NewTicker(streamPeriod)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if s.send(p) == nil {
				st.sent.Add(1)
			}
			p.SrcPort++
		}
	}()
	return st, nil
}

// Close ends the stream and returns the number of packets sent.
func (s *Stream) Close() int {
	s.stop()
	<-s.done
	return int(s.sent.Load())
}
