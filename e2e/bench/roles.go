package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	port = 7000
	// udpPayload makes a frame of 64 bytes: 14 Ethernet, 20 IPv4, 8 UDP.
	udpPayload = 22
	// batch is how many datagrams one system call moves.
	batch = 64
	// block is one write of a stream, in bytes.
	block = 128 << 10
	// buffer holds what a receiver that is not scheduled cannot take, in bytes.
	buffer = 16 << 20
)

// roles run until they are killed, or until they have said their result.
var roles = map[string]func(dst netip.Addr, window time.Duration) error{
	"udp-sink": udpSink, "udp-flood": udpFlood,
	"tcp-sink": tcpSink, "tcp-flood": tcpFlood,
	"tcp-answer": tcpAnswer, "tcp-ask": tcpAsk,
}

// playRole is the process in a namespace: ROLE ADDRESS WINDOW. It uses blocking
// sockets, because Go's poller would cost more than the path.
func playRole(args []string) error {
	if len(args) != 3 || roles[args[0]] == nil {
		return fmt.Errorf("want a role, an address and a duration, not %q", args)
	}
	dst, err := netip.ParseAddr(args[1])
	if err != nil {
		return err
	}
	window, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	// Whoever started it may be killed at any time: nothing lives longer.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return err
	}
	unix.Alarm(uint((window + slack).Seconds()))
	return roles[args[0]](dst, window)
}

func sockaddr(a netip.Addr) *unix.SockaddrInet4 {
	return &unix.SockaddrInet4{Port: port, Addr: a.As4()}
}

// message is the kernel's struct mmsghdr.
type message struct {
	header unix.Msghdr
	size   uint32
	_      uint32
}

// messages are a batch over buffers of one size.
func messages(size int) []message {
	out := make([]message, batch)
	for i := range out {
		b := make([]byte, size)
		v := &unix.Iovec{Base: &b[0]}
		v.SetLen(size)
		out[i].header.Iov = v
		out[i].header.SetIovlen(1)
	}
	return out
}

// many is sendmmsg or recvmmsg; it returns how many were moved.
func many(call uintptr, fd int, m []message, flags uintptr) (int, error) {
	n, _, e := unix.Syscall6(call, uintptr(fd), uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), flags, 0, 0)
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}

func udpSink(dst netip.Addr, window time.Duration) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer), unix.Bind(fd, sockaddr(dst))); err != nil {
		return err
	}
	fmt.Println(readyWord)
	m := messages(udpPayload)
	return count(window, func() (float64, error) {
		n, err := many(unix.SYS_RECVMMSG, fd, m, unix.MSG_WAITFORONE)
		return float64(n), err
	})
}

// count adds up what step returns within the window, which begins when the
// warm-up is over.
func count(window time.Duration, step func() (float64, error)) error {
	if _, err := step(); err != nil {
		return err
	}
	start := time.Now().Add(warmup)
	total := 0.0
	for {
		n, err := step()
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		now := time.Now()
		if now.Before(start) {
			continue
		}
		total += n
		if took := now.Sub(start); took >= window {
			return say(total, took)
		}
	}
}

func udpFlood(dst netip.Addr, _ time.Duration) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(fd, sockaddr(dst)); err != nil {
		return err
	}
	m := messages(udpPayload)
	for {
		_, err := many(unix.SYS_SENDMMSG, fd, m, 0)
		// A full queue is what a flood meets.
		if err != nil && err != unix.ENOBUFS && err != unix.EAGAIN && err != unix.EINTR {
			return err
		}
	}
}

// listen returns a listening socket and has said so.
func listen(dst netip.Addr) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return 0, err
	}
	err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), unix.Bind(fd, sockaddr(dst)), unix.Listen(fd, 1024))
	if err == nil {
		fmt.Println(readyWord)
	}
	return fd, err
}

func tcpSink(dst netip.Addr, window time.Duration) error {
	fd, err := listen(dst)
	if err != nil {
		return err
	}
	conn, _, err := unix.Accept(fd)
	if err != nil {
		return err
	}
	b := make([]byte, block)
	return count(window, func() (float64, error) {
		n, err := unix.Read(conn, b)
		if n == 0 && err == nil {
			return 0, errors.New("the sender has gone")
		}
		return float64(n), err
	})
}

func dial(dst netip.Addr) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return 0, err
	}
	if err := unix.Connect(fd, sockaddr(dst)); err != nil {
		unix.Close(fd)
		return 0, os.NewSyscallError("connect", err)
	}
	return fd, nil
}

func tcpFlood(dst netip.Addr, _ time.Duration) error {
	fd, err := dial(dst)
	if err != nil {
		return err
	}
	b := make([]byte, block)
	for {
		if _, err := unix.Write(fd, b); err != nil && err != unix.EINTR {
			return err
		}
	}
}

func tcpAnswer(dst netip.Addr, _ time.Duration) error {
	fd, err := listen(dst)
	if err != nil {
		return err
	}
	b := make([]byte, 1)
	for {
		conn, _, err := unix.Accept(fd)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		// The client closes first; the second read waits for that. What fails
		// here fails there as well, where it is reported.
		unix.Read(conn, b)
		unix.Write(conn, b)
		unix.Read(conn, b)
		unix.Close(conn)
	}
}

func tcpAsk(dst netip.Addr, window time.Duration) error {
	b := make([]byte, 1)
	return count(window, func() (float64, error) {
		fd, err := dial(dst)
		if err != nil {
			return 0, err
		}
		defer unix.Close(fd)
		if _, err := unix.Write(fd, b); err != nil {
			return 0, err
		}
		if n, err := unix.Read(fd, b); n != 1 {
			return 0, fmt.Errorf("no answer: %d bytes, %v", n, err)
		}
		return 1, nil
	})
}
