package probe

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/e2e/netns"
)

// Closed sends a datagram from inside a namespace to a port where nobody
// listens, and wants the receiver's "port unreachable" to reach the sender.
func Closed(ns string, to netip.AddrPort) error {
	var conn net.Conn
	err := netns.Do(ns, func() (err error) {
		conn, err = net.Dial("udp4", to.String())
		return err
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	token := NewToken()
	if _, err := conn.Write(token[:]); err != nil {
		return err
	}
	conn.SetReadDeadline(time.Now().Add(answerTime))
	if _, err = conn.Read(token[:]); errors.Is(err, unix.ECONNREFUSED) {
		return nil
	}
	return fmt.Errorf("want an ICMP error, have %w", err)
}

// Reconnect opens n connections one after another from the same port. The
// server closes each of them first, so that the next SYN finds its TIME_WAIT.
func Reconnect(from, to string, sport uint16, at netip.AddrPort, n int) error {
	var l net.Listener
	err := netns.Do(to, func() (err error) {
		l, err = net.Listen("tcp4", at.String())
		return err
	})
	if err != nil {
		return err
	}
	defer l.Close()
	go closeFirst(l)
	for i := range n {
		if err := netns.Do(from, func() error { return again(sport, at) }); err != nil {
			return fmt.Errorf("connection %d: %w", i+1, err)
		}
		if err := awaitTimeWait(from, to, sport, at.Port()); err != nil {
			return err
		}
	}
	return nil
}

// closeFirst answers one word on each connection and ends it.
func closeFirst(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		var word Token
		c.SetDeadline(time.Now().Add(answerTime))
		if n, err := c.Read(word[:]); err == nil {
			c.Write(word[:n])
		}
		c.Close()
	}
}

// again is one connection until its end. A SYN that is not answered at once is
// an error, although the kernel would send it again.
func again(sport uint16, at netip.AddrPort) error {
	d := net.Dialer{Timeout: time.Second / 2, LocalAddr: &net.TCPAddr{Port: int(sport)},
		Control: func(_, _ string, c syscall.RawConn) (err error) {
			cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
			return errors.Join(err, cerr)
		}}
	conn, err := d.Dial("tcp4", at.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(answerTime))
	token := NewToken()
	if _, err := conn.Write(token[:]); err != nil {
		return err
	}
	got := make([]byte, len(token)+1)
	n, err := conn.Read(got)
	if err == nil && string(got[:n]) != string(token[:]) {
		err = fmt.Errorf("%s answered something else: %q", at, got[:n])
	}
	if err == nil {
		// Its end comes from the server.
		if n, err := conn.Read(got); n != 0 || err == nil {
			return fmt.Errorf("%d bytes instead of the end", n)
		}
	}
	return err
}

// timeWait is the kernel's number of the state.
const timeWait = "06"

// awaitTimeWait wants the server's side of a connection in TIME_WAIT, and the
// client's side gone.
func awaitTimeWait(from, to string, sport, dport uint16) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var server, client string
	for range int(answerTime / (10 * time.Millisecond)) {
		var err error
		if server, err = stateOf(to, dport, sport); err != nil {
			return err
		}
		if client, err = stateOf(from, sport, dport); err != nil {
			return err
		}
		if server == timeWait && client == "" {
			return nil
		}
		<-tick.C
	}
	return fmt.Errorf("the server's connection is in state %q and the client's in %q", server, client)
}

// stateOf is the state of a TCP connection in a namespace's kernel, "" if there
// is none.
func stateOf(ns string, local, remote uint16) (string, error) {
	var text []byte
	err := netns.Do(ns, func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/tcp")
		return err
	})
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) > 3 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", local)) && strings.HasSuffix(f[2], fmt.Sprintf(":%04X", remote)) {
			return f[3], err
		}
	}
	return "", err
}
