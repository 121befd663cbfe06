package nl

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"syscall"

	"github.com/vishvananda/netlink"
	vnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// maxHead bounds the routes to 0.0.0.0 of any length, of which a default route
// is one. Nobody needs many, and their owner alone is hurt by the refusal.
const maxHead = 4096

// maxDrain is how many buffers of a listing (32 KiB each) are read only to have
// the socket free again: one holds the end of all but crowded tables, and a new
// socket is cheaper than more.
const maxDrain = 1

// mainRoutes reads the main table; of IPv4 until the first route that is to
// another address than 0.0.0.0. The kernel keeps that table as a trie and lists
// it in the order of addresses, so the default routes come first. It has no
// filter for the length of a prefix, and none is needed then: a listing that
// nobody reads on is not made. The answer may be netlink.ErrDumpInterrupted.
func (c *conn) mainRoutes(family int) ([][]byte, error) {
	return c.listRoutes(family, listing{head: family == unix.AF_INET})
}

// ourRoutes reads the routes of the main table that carry our protocol number,
// of IPv4. The kernel picks them, so a host that has all routes of the internet
// sends none of them here.
func (c *conn) ourRoutes() ([][]byte, error) {
	return whole(func() ([][]byte, error) { return c.listRoutes(unix.AF_INET, listing{protocol: protocol}) })
}

func (c *conn) listRoutes(family int, l listing) ([][]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sock == nil {
		return nil, fmt.Errorf("namespace was closed: %w", fs.ErrNotExist)
	}
	l.sock = c.sock
	err := l.routes(family, atomic.AddUint32(&c.req[unix.NETLINK_ROUTE].Seq, 1))
	if !l.done {
		err = errors.Join(err, c.renew())
	}
	if errors.Is(err, unix.ENOENT) {
		return nil, nil // a new namespace has no table yet
	}
	return l.out, err
}

// renew replaces the socket by one on which nothing is under way. c.mu is held.
func (c *conn) renew() error {
	c.sock.Close()
	sock, err := routingSocket(c.ns)
	if err != nil {
		c.sock = nil
		return errors.Join(fmt.Errorf("routing socket: %w", err), c.ns.Close())
	}
	c.sock, c.req = sock, map[int]*vnl.SocketHandle{unix.NETLINK_ROUTE: {Socket: sock}}
	return nil
}

// listing is one dump of a route table.
type listing struct {
	sock *vnl.NetlinkSocket
	head bool // only routes to 0.0.0.0 are wanted
	// protocol, if not zero, is the only one wanted
	protocol byte
	out      [][]byte
	// done: nothing more of it will come. past: what comes is of no interest.
	done, past bool
}

// routes asks for the main table and reads as much of it as is wanted.
func (l *listing) routes(family int, seq uint32) error {
	// Without strict checking the kernel ignores the table in the request.
	strict := func(on int) error {
		return unix.SetsockoptInt(l.sock.GetFd(), unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, on)
	}
	req := vnl.NewNetlinkRequest(unix.RTM_GETROUTE, unix.NLM_F_DUMP)
	req.Seq = seq
	msg := &vnl.RtMsg{}
	msg.Family, msg.Table, msg.Protocol = uint8(family), unix.RT_TABLE_MAIN, l.protocol
	req.AddData(msg)
	if err := strict(1); err != nil {
		return err
	}
	if err := errors.Join(l.sock.Send(req), strict(0)); err != nil {
		return err
	}
	for drained := 0; !l.done && drained < maxDrain; {
		msgs, from, err := l.sock.Receive()
		if err != nil {
			return err
		}
		if l.past {
			drained++
		}
		for _, m := range msgs {
			if from.Pid != 0 || m.Header.Seq != seq {
				continue // not the kernel, or an answer that nobody waits for
			}
			if err := l.take(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// take keeps one message of the answer if it is wanted.
func (l *listing) take(m syscall.NetlinkMessage) error {
	switch {
	case m.Header.Type == unix.NLMSG_DONE || m.Header.Type == unix.NLMSG_ERROR:
		l.done = true
		return answered(m.Data)
	case l.past:
		return nil
	case m.Header.Flags&unix.NLM_F_DUMP_INTR != 0:
		return netlink.ErrDumpInterrupted
	case l.head && !toZero(m.Data):
		l.past = true
		return nil
	case l.head && len(l.out) == maxHead:
		return fmt.Errorf("more than %d routes to 0.0.0.0: the default route cannot be told from them", maxHead)
	}
	l.out = append(l.out, m.Data)
	return nil
}

// answered is the error at the end of a listing, nil where all went well.
func answered(payload []byte) error {
	if len(payload) < 4 {
		return nil
	}
	if errno := int32(binary.NativeEndian.Uint32(payload)); errno != 0 {
		return unix.Errno(-errno)
	}
	return nil
}

// toZero reports whether the route is to 0.0.0.0, of whatever length. A message
// that cannot be read counts: whoever parses it says so.
func toZero(m []byte) bool {
	if len(m) < unix.SizeofRtMsg {
		return true
	}
	zero := true
	_ = parseAttrs(m[unix.SizeofRtMsg:], func(kind uint16, v []byte) {
		if kind == unix.RTA_DST {
			zero = len(bytes.Trim(v, "\x00")) == 0
		}
	})
	return zero
}
