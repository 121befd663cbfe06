package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// peer is the process that opened a connection, as the kernel knows it. The
// process may have ended since, and its number may be another's by now.
type peer struct {
	UID, GID uint32
	PID      int32
}

// peerOf asks the kernel who is at the other end (SO_PEERCRED).
func peerOf(c net.Conn) (peer, error) {
	// The kernel answers for TCP as well, and then with nobody.
	u, ok := c.(*net.UnixConn)
	if !ok {
		return peer{}, fmt.Errorf("a %T has no credentials", c)
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return peer{}, err
	}
	var cred *syscall.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err := errors.Join(err, credErr); err != nil {
		return peer{}, err
	}
	return peer{UID: cred.Uid, GID: cred.Gid, PID: cred.Pid}, nil
}

// gate counts the connections of a listener and knows who each is from. Up to
// max are served, as many again are told that there are too many, and the rest
// are closed unheard.
type gate struct {
	net.Listener
	max  int64
	log  *slog.Logger
	open atomic.Int64
}

func (g *gate) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		p, err := peerOf(c)
		if err != nil {
			g.log.Warn("a connection was refused: who it is from is not known", "error", err)
			c.Close()
			continue
		}
		n := g.open.Add(1)
		if n > 2*g.max {
			g.open.Add(-1)
			c.Close()
			continue
		}
		return &conn{Conn: c, gate: g, peer: p, excess: n > g.max}, nil
	}
}

// conn is a connection that went through a gate.
type conn struct {
	net.Conn
	gate   *gate
	peer   peer
	excess bool // it came when there were too many
	once   sync.Once
}

func (c *conn) Close() error {
	c.once.Do(func() { c.gate.open.Add(-1) })
	return c.Conn.Close()
}

type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// connOf returns the connection that a request came on.
func connOf(ctx context.Context) *conn {
	c, _ := ctx.Value(connKey{}).(*conn)
	return c
}
