package probe

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/vpcfabric/vpc/e2e/netns"
)

// Echo is a server that sends back what it gets.
type Echo struct {
	close func() error
	wg    sync.WaitGroup
	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

// Serve starts an echo server for "udp" or "tcp" on a port inside a namespace.
// It listens when Serve returns.
func Serve(ns, network string, port uint16) (*Echo, error) {
	e := &Echo{conns: map[net.Conn]struct{}{}}
	at := fmt.Sprintf("0.0.0.0:%d", port)
	err := netns.Do(ns, func() error {
		if network == "udp" {
			conn, err := net.ListenPacket("udp4", at)
			if err == nil {
				e.close = conn.Close
				e.wg.Go(func() { echoPackets(conn) })
			}
			return err
		}
		// Without keepalives: an idle connection is one that nobody uses.
		quiet := net.ListenConfig{KeepAlive: -1}
		l, err := quiet.Listen(context.Background(), "tcp4", at)
		if err == nil {
			e.close = l.Close
			e.wg.Go(func() { e.accept(l) })
		}
		return err
	})
	return e, err
}

func echoPackets(conn net.PacketConn) {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		conn.WriteTo(buf[:n], from)
	}
}

func (e *Echo) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		e.mu.Lock()
		e.conns[c] = struct{}{}
		e.mu.Unlock()
		e.wg.Go(func() {
			io.Copy(c, c)
			c.Close()
			e.mu.Lock()
			delete(e.conns, c)
			e.mu.Unlock()
		})
	}
}

// Close ends the server and its connections.
func (e *Echo) Close() error {
	e.close()
	e.mu.Lock()
	for c := range e.conns {
		c.Close()
	}
	e.mu.Unlock()
	e.wg.Wait()
	return nil
}
