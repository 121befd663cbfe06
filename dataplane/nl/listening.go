package nl

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// lowestFree is where ports begin that no service is given by custom: programs
// get them from the kernel.
const lowestFree = 32768

const lastPort = 65535

// FreePorts is the longest run of ports from 32768, or from where the host takes
// its own, at none of which the host waits for packets: neither a socket of TCP that
// listens nor one of UDP that takes packets from everybody.
func (o *Outside) FreePorts() (first, last uint16, err error) {
	c, err := o.conn()
	if err != nil {
		return 0, 0, err
	}
	waiting := map[int]bool{}
	low := lowestFree
	err = inFile(c.ns, func() error {
		own, err := readSysctl("net/ipv4/ip_local_port_range", "")
		if err == nil {
			if words := strings.Fields(own); len(words) == 2 {
				n, _ := strconv.Atoi(words[0])
				low = max(low, min(n, lastPort-1))
			}
		}
		errs := []error{err}
		for _, name := range []string{"tcp", "tcp6", "udp", "udp6"} {
			errs = append(errs, eachWaiting(name, func(port int) { waiting[port] = true }))
		}
		return errors.Join(errs...)
	})
	a, b := longestRun(low, lastPort, waiting)
	if err == nil && a >= b {
		err = fmt.Errorf("the host waits for packets at all ports from %d", low)
	}
	return uint16(a), uint16(b), err
}

// longestRun is the first one of the longest between low and high, both included.
func longestRun(low, high int, taken map[int]bool) (first, last int) {
	first, last = low, low-1
	for start, p := low, low; p <= high+1; p++ {
		if p <= high && !taken[p] {
			continue
		}
		if p-start > last-first+1 {
			first, last = start, p-1
		}
		start = p + 1
	}
	return first, last
}

// States of sockets, as the kernel lists them. An unconnected one of UDP is closed.
var waitingState = map[string]string{"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}

// eachWaiting goes through a list of sockets of the thread's namespace. Of TCP the
// kernel lists those that listen first, so that the others, which may be many, are
// not read.
func eachWaiting(name string, fn func(port int)) error {
	f, err := os.Open("/proc/thread-self/net/" + name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a kernel without IPv6
	}
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Scan() // the heading
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 4 {
			return fmt.Errorf("%s: %q is no socket", name, lines.Text())
		}
		if words[3] != waitingState[name] {
			if strings.HasPrefix(name, "tcp") {
				break
			}
			continue
		}
		_, hex, _ := strings.Cut(words[1], ":")
		port, err := strconv.ParseUint(hex, 16, 16)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fn(int(port))
	}
	return lines.Err()
}
