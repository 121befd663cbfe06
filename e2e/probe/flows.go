package probe

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vpcfabric/vpc/e2e/netns"
)

// flowWorkers is how many short connections are open at once.
const flowWorkers = 4

// ShortFlows opens, uses and closes n TCP connections, rate of them a second,
// and counts those that were served. It takes turns among the ports, because a
// closed connection keeps its pair of ports for a minute. The first failure
// ends it.
func ShortFlows(ns string, to netip.Addr, ports []uint16, n, rate int) (served int, err error) {
	var next, done atomic.Int64
	var failed atomic.Pointer[error]
	start := time.Now()
	worker := func() error {
		for failed.Load() == nil {
			i := next.Add(1) - 1
			if i >= int64(n) {
				return nil
			}
			// The rate is the load that the test is about, not a wait for anything.
			<-time.After(time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(rate))))
			if err := shortFlow(netip.AddrPortFrom(to, ports[int(i)%len(ports)])); err != nil {
				err = fmt.Errorf("flow %d: %w", i+1, err)
				failed.CompareAndSwap(nil, &err)
				return err
			}
			done.Add(1)
		}
		return nil
	}
	var wg sync.WaitGroup
	errs := make([]error, flowWorkers)
	for w := range flowWorkers {
		wg.Go(func() { errs[w] = netns.Do(ns, worker) })
	}
	wg.Wait()
	return int(done.Load()), errors.Join(errs...)
}

// shortFlow is one connection to an echo server, closed from both sides. It
// runs on a thread inside the namespace.
func shortFlow(to netip.AddrPort) error {
	conn, err := net.DialTimeout("tcp4", to.String(), answerTime)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(answerTime))
	token := NewToken()
	if _, err := conn.Write(token[:]); err != nil {
		return err
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	got, err := io.ReadAll(conn)
	if err == nil && string(got) != string(token[:]) {
		err = fmt.Errorf("%s answered something else: %q", to, got)
	}
	return err
}
