package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
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

func (p peer) attrs() []slog.Attr {
	return []slog.Attr{slog.Uint64("uid", uint64(p.UID)), slog.Uint64("gid", uint64(p.GID)), slog.Int64("pid", int64(p.PID))}
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

// gate counts the connections of a listener. Up to max are served, as many
// again are told that there are too many, and the rest are closed unheard.
type gate struct {
	net.Listener
	max int64
	// identify says who a connection is from; one of nobody is closed. Nil
	// where that only comes out from what is said on it.
	identify func(net.Conn) (peer, error)
	// crowd knows where connections come from and whose they prove to be; nil
	// where identify tells.
	crowd *crowd
	log   *slog.Logger
	open  atomic.Int64
}

func (g *gate) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		p, err := g.peer(c)
		if err != nil {
			g.log.Warn("a connection was refused: who it is from is not known", "error", err)
			c.Close()
			continue
		}
		in := &conn{Conn: c, gate: g, peer: p}
		n := g.open.Add(1)
		if g.crowd != nil {
			if out := g.crowd.enter(in, n > g.max); out != nil {
				out.Close()
				n--
			}
		}
		if n > 2*g.max {
			in.Close()
			continue
		}
		in.excess = n > g.max
		return in, nil
	}
}

func (g *gate) peer(c net.Conn) (peer, error) {
	if g.identify == nil {
		return peer{}, nil
	}
	return g.identify(c)
}

// conn is a connection that went through a gate.
type conn struct {
	net.Conn
	gate   *gate
	peer   peer
	source netip.Prefix // where there is a crowd
	excess bool         // it came when there were too many
	// account is whose it is once that is proven; the crowd's lock is for it.
	account string
	once    sync.Once
}

func (c *conn) Close() error {
	c.once.Do(func() {
		c.gate.open.Add(-1)
		if c.gate.crowd != nil {
			c.gate.crowd.leave(c)
		}
	})
	return c.Conn.Close()
}

// prove keeps c for the account of its caller, who is known now. Errors are
// *api.Error: c had to make room before, so whoever is at the other end has seen
// it closed, or the account has its share.
func (c *conn) prove(account string) error {
	if c.gate == nil || c.gate.crowd == nil {
		return nil
	}
	return c.gate.crowd.prove(c, account)
}

type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// connOf returns the connection that a request came on, nil for one that went
// through no gate.
func connOf(ctx context.Context) *conn {
	inner := ctx.Value(connKey{})
	if t, ok := inner.(*tls.Conn); ok {
		inner = t.NetConn()
	}
	c, _ := inner.(*conn)
	return c
}
