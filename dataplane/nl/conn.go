package nl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	vnl "github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

// dumpTries bounds how often an interrupted dump is repeated.
const dumpTries = 5

// answerTimeout is how long the kernel may take for one request. The routing
// lock can be held for seconds while many namespaces are torn down.
const answerTimeout = 30 * time.Second

// conn is a routing socket inside one namespace, and the namespace itself as an
// open file for requests that name it.
type conn struct {
	name string // as shown in errors
	ns   *os.File
	id   nsID

	mu   sync.Mutex
	sock *vnl.NetlinkSocket
	req  map[int]*vnl.SocketHandle
}

// dial opens a routing socket in an open namespace and takes over the file.
func dial(name string, ns *os.File) (*conn, error) {
	id, err := identifyFile(ns)
	if err != nil {
		ns.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	sock, err := routingSocket(ns)
	if err != nil {
		ns.Close()
		return nil, fmt.Errorf("%s: routing socket: %w", name, err)
	}
	return &conn{
		name: name, ns: ns, id: id, sock: sock,
		req: map[int]*vnl.SocketHandle{unix.NETLINK_ROUTE: {Socket: sock}},
	}, nil
}

// routingSocket opens a routing socket in an open namespace.
func routingSocket(ns *os.File) (sock *vnl.NetlinkSocket, err error) {
	err = inFile(ns, func() error {
		var err error
		sock, err = vnl.GetNetlinkSocketAt(netns.None(), netns.None(), unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		return nil, err
	}
	tv := unix.NsecToTimeval(answerTimeout.Nanoseconds())
	if err := errors.Join(sock.SetReceiveTimeout(&tv), sock.SetExtAck(true)); err != nil {
		sock.Close()
		return nil, err
	}
	return sock, nil
}

// close may be called while others use the socket; their next request fails
// as if the namespace were gone.
func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sock != nil {
		c.sock.Close()
		c.ns.Close()
		c.sock = nil
	}
}

// fd names the namespace in requests of this process.
func (c *conn) fd() uint32 { return uint32(c.ns.Fd()) }

// conn returns the socket of one of our namespaces. The name is looked up each
// time: a namespace deleted and made again behind our back is another one.
func (k *Kernel) conn(name string) (*conn, error) {
	if !k.owns(name) {
		return nil, fmt.Errorf("namespace %q is not one of ours (%s…)", name, k.prefix)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	path := filepath.Join(runDir, name)
	id, err := identify(path)
	if c := k.conns[name]; c != nil {
		if err == nil && c.id == id {
			return c, nil
		}
		c.close()
		delete(k.conns, name)
	}
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	c, err := dial(name, f)
	if err != nil {
		return nil, err
	}
	k.conns[name] = c
	return c, nil
}

// drop closes the socket of a namespace: as long as it is open the namespace
// lives on without a name.
func (k *Kernel) drop(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c := k.conns[name]; c != nil {
		c.close()
		delete(k.conns, name)
	}
}

// foreign opens anyone's namespace for one operation; the caller closes it. A
// namespace that is not the one meant is refused: the path of a dead process
// may lead to a stranger.
func foreign(n spec.Netns) (*conn, error) {
	f, _, err := openForeign(n)
	if err != nil {
		return nil, err
	}
	return dial(n.Path, f)
}

// ErrReplaced says that a path leads to another namespace than the one meant.
var ErrReplaced = errors.New("another network namespace")

// write sends one request that changes something and waits for its answer.
func (c *conn) write(kind, flags int, parts ...vnl.NetlinkRequestData) error {
	writes.Add(1)
	_, err := c.exec(kind, unix.NLM_F_ACK|flags, parts)
	return err
}

// get asks for one object.
func (c *conn) get(kind int, parts ...vnl.NetlinkRequestData) ([][]byte, error) {
	return c.exec(kind, 0, parts)
}

// dump lists all objects of a kind, or fails.
func (c *conn) dump(kind int, parts ...vnl.NetlinkRequestData) ([][]byte, error) {
	msgs, err := whole(func() ([][]byte, error) { return c.exec(kind, unix.NLM_F_DUMP, parts) })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	return msgs, nil
}

// whole repeats a dump until nothing changed while it ran. What an interrupted
// one brought is thrown away: it may lack objects that exist.
func whole(dump func() ([][]byte, error)) ([][]byte, error) {
	var err error
	for range dumpTries {
		var msgs [][]byte
		msgs, err = dump()
		if err == nil {
			return msgs, nil
		}
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%d listings in a row: %w", dumpTries, err)
}

// exec holds the socket for one request and its answers.
func (c *conn) exec(kind, flags int, parts []vnl.NetlinkRequestData) ([][]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sock == nil {
		return nil, fmt.Errorf("%s: namespace was closed: %w", c.name, fs.ErrNotExist)
	}
	req := vnl.NewNetlinkRequest(kind, flags)
	req.Sockets = c.req
	for _, p := range parts {
		req.AddData(p)
	}
	return req.Execute(unix.NETLINK_ROUTE, 0)
}

// each calls fn for every namespace of a VPC that is there, in order. One that
// vanishes meanwhile has nothing to list. What is in the namespace of a NAT
// gateway is a workload's end or goes with the namespace: nothing there is listed.
func (k *Kernel) each(ctx context.Context, fn func(c *conn) error) error {
	names, err := k.names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if isNAT(name) {
			continue
		}
		c, err := k.conn(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = fn(c)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// in calls fn with the socket of one namespace, or returns nil where it is
// gone: deletions use it.
func (k *Kernel) in(name string, fn func(c *conn) error) error {
	c, err := k.conn(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return fn(c)
}

// gone reports errors that mean: the object of the request is not there.
func gone(err error) bool {
	return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) ||
		errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, fs.ErrNotExist)
}
