package harness

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vpcfabric/vpc/e2e/meter"
	"github.com/vpcfabric/vpc/e2e/probe"
)

const (
	// flowing is within what time every connection of a hold must have had an
	// echo; it sends a hundred times a second.
	flowing = time.Second
	// killWait is how long vpcd runs between two kills, in packets of the loss meter.
	killWait = 4 // parts of a second
	// healed is the time in which verify must be clean after a start.
	healed = 5 * time.Second
)

// cmdHold keeps TCP connections open.
//
//	hold start web db:5432 50
//	hold flows             every connection has had an echo within the last second
//	hold cut               within a second none has any more
//	hold pause             they stay open and silent until hold resume
//	hold end               all of them, no reset, nothing wrong
//	hold drop              whatever became of them
func cmdHold(c call, args []string) (err error) {
	if len(args) == 0 || (c.hold == nil) != (args[0] == "start") {
		return errors.New("want start first, then flows, cut, pause, resume, end or drop")
	}
	switch args[0] {
	case "start":
		if len(args) != 4 {
			return errors.New("want start FROM TO:PORT N")
		}
		to, port, err := c.address(args[2])
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(args[3])
		if err != nil {
			return err
		}
		c.hold, err = probe.Open(c.full(args[1]), netip.AddrPortFrom(to, port), n)
		return err
	case "flows", "cut":
		return awaitFlowing(c.hold, args[0] == "flows")
	case "pause", "resume":
		c.hold.Pause(args[0] == "pause")
		return nil
	case "end", "drop":
		got := c.hold.Close()
		c.hold = nil
		fmt.Fprintf(c.ts.Stdout(), "%+v\n", got)
		if args[0] == "end" && (got.Resets != 0 || got.Wrong != 0 || got.Echoes < got.Connections) {
			return fmt.Errorf("%+v", got)
		}
		return nil
	}
	return fmt.Errorf("no %q", args[0])
}

func awaitFlowing(h *probe.Hold, want bool) error {
	const silence = flowing / 3 // at the end of a second, or of what TCP takes to send again
	limit := flowing + silence
	if want {
		limit = 2 * flowing
	}
	var live, resets int
	if !poll(limit, func() bool {
		live, resets = h.Flowing(silence)
		return want && live == h.Size() || !want && live == 0 && resets == 0
	}) {
		return fmt.Errorf("of %d connections %d flow, %d were reset", h.Size(), live, resets)
	}
	return nil
}

// cmdLoss measures a stream of numbered packets.
//
//	loss start web db:7000 10000 [at=ALIAS]    ALIAS has the address
//	loss end               no packet was lost
func cmdLoss(c call, args []string) error {
	switch {
	case (len(args) == 4 || len(args) == 5) && args[0] == "start" && c.loss == nil:
		to, port, err := c.address(args[2])
		if err != nil {
			return err
		}
		pps, err := strconv.Atoi(args[3])
		if err != nil {
			return err
		}
		name, _, _ := strings.Cut(args[2], ":")
		if len(args) == 5 {
			name = strings.TrimPrefix(args[4], "at=")
		}
		c.loss, err = meter.StartLoss(c.full(args[1]), c.full(name), netip.AddrPortFrom(to, port), pps)
		return err
	case len(args) == 1 && args[0] == "end" && c.loss != nil:
		got := c.loss.Stop()
		c.loss = nil
		fmt.Fprintln(c.ts.Stdout(), got)
		if got.Lost() != 0 || got.Duplicates != 0 || got.Received == 0 {
			return errors.New(got.String())
		}
		return nil
	}
	return errors.New("want start FROM TO:PORT PPS, then end")
}

// awaitPackets waits until the loss meter has sent some more packets.
func (h *host) awaitPackets(n int) error {
	want := h.loss.Sent() + n
	if !poll(patience, func() bool { return h.loss.Sent() >= want }) {
		return errors.New("the loss meter sends nothing")
	}
	return nil
}

// cmdKills kills vpcd and starts it again, n times, each time in another phase
// of its work, and wants verify to be clean soon after every start.
//
//	kills 20 10000         the loss meter's packets a second
func cmdKills(c call, args []string) error {
	if len(args) != 2 || c.loss == nil {
		return errors.New("want TIMES PPS, with a loss meter running")
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	pps, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	for i := range n {
		if err := c.awaitPackets(pps/killWait + i*pps/50); err != nil {
			return err
		}
		if err := c.stopDaemon(syscall.SIGKILL); err != nil {
			return err
		}
		if err := c.awaitPackets(pps / killWait); err != nil {
			return err
		}
		if err := c.startDaemon(nil, 0); err != nil {
			return fmt.Errorf("start %d: %w", i+1, err)
		}
		if err := cmdEventually(c, []string{healed.String(), "verify"}); err != nil {
			return fmt.Errorf("start %d: %w", i+1, err)
		}
	}
	return nil
}

// cmdFlows makes short TCP connections and wants every one to be served.
//
//	flows web db:7000,7001 200000 1000      so many, so many a second
func cmdFlows(c call, args []string) error {
	if len(args) != 4 {
		return errors.New("want FROM TO:PORT,PORT… N RATE")
	}
	name, list, _ := strings.Cut(args[1], ":")
	to, _, err := c.address(name)
	if err != nil {
		return err
	}
	var ports []uint16
	for _, text := range strings.Split(list, ",") {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return err
		}
		ports = append(ports, uint16(port))
	}
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	rate, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	if got, err := probe.ShortFlows(c.full(args[0]), to, ports, n, rate); err != nil || got != n {
		return fmt.Errorf("%d of %d connections were served: %w", got, n, err)
	}
	return nil
}

// cmdBringUp attaches and detaches a fresh workload while another sends to its
// address and listens: the newcomer sees no frame before it is ready, and
// nobody sees one of its own frames before attach has answered.
//
//	bringup 200 FILE WATCHER
//
// FILE has the attach command of the namespace "new". The port is sniffed from
// the moment the namespace exists, before it has an interface.
func cmdBringUp(c call, args []string) error {
	if len(args) != 3 {
		return errors.New("want TIMES FILE WATCHER")
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	attach := strings.Fields(c.ts.ReadFile(args[1]))
	for i := range n {
		if err := c.bringUp(attach, args[2]); err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
	}
	return nil
}

func (c call) bringUp(attach []string, watcher string) error {
	if err := cmdNs(c, []string{"add", "new"}); err != nil {
		return err
	}
	incoming, err := probe.Sniff(c.full("new"), probe.Token{})
	if err != nil {
		return err
	}
	defer incoming.Close()
	if err := c.do(attach); err != nil {
		return err
	}
	if seen := incoming.Count(); seen != 0 {
		return fmt.Errorf("the new workload saw %d frames before anybody had sent it any", seen)
	}
	// The watcher remembers the MAC of the last one that had the address.
	if err := cmdIn(c, []string{watcher, "ip", "neigh", "flush", "all"}); err != nil {
		return err
	}
	if err := cmdOK(c, []string{"icmp", watcher, "new"}); err != nil {
		return err
	}
	if err := c.do([]string{"vpc", "detach", "netns:new"}); err != nil {
		return err
	}
	return cmdNs(c, []string{"del", "new"})
}

// cmdClosed wants a closed UDP port to be reported by its own host.
//
//	closed web db:9
func cmdClosed(c call, args []string) error {
	if len(args) != 2 {
		return errors.New("want FROM TO:PORT")
	}
	to, port, err := c.address(args[1])
	if err != nil {
		return err
	}
	return probe.Closed(c.full(args[0]), netip.AddrPortFrom(to, port))
}

// cmdReconnect opens TCP connections one after another from the same port, each
// while the one before is in TIME_WAIT at the destination.
//
//	reconnect web:40000 db:80 3
func cmdReconnect(c call, args []string) error {
	if len(args) != 3 {
		return errors.New("want FROM:PORT TO:PORT N")
	}
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	_, sport, err := c.address(args[0])
	if err != nil {
		return err
	}
	to, port, err := c.address(args[1])
	if err != nil {
		return err
	}
	from, _, _ := strings.Cut(args[0], ":")
	name, _, _ := strings.Cut(args[1], ":")
	return probe.Reconnect(c.full(from), c.full(name), sport, netip.AddrPortFrom(to, port), n)
}
