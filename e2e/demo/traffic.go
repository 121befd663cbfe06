package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/vpcfabric/vpc/e2e/netns"
	"github.com/vpcfabric/vpc/e2e/probe"
)

const (
	passes  = "passes"
	blocked = "blocked"

	// answerTime is long for a machine that talks to itself, and short to watch.
	answerTime = 1500 * time.Millisecond

	watched = 5 // packets of one send whose receivers are watched
	arrival = 2 * time.Second
)

// outcome is one try at traffic: what it was and whether it passed.
type outcome struct{ what, actual string }

// echoed makes a TCP connection and wants back what it sends.
func echoed(to string) error {
	c, err := net.DialTimeout("tcp4", to, answerTime)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(answerTime))
	word := []byte("hello")
	if _, err := c.Write(word); err != nil {
		return err
	}
	got := make([]byte, len(word))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if !bytes.Equal(got, word) {
		return fmt.Errorf("%s answers %q", to, got)
	}
	return nil
}

// result is an outcome beside what was expected of it.
type result struct {
	why, expected string
	outcome
}

func (r result) ok() bool { return r.expected == r.actual }

func (w *world) expect(why, expected string, got outcome) {
	r := result{why, expected, got}
	w.results = append(w.results, r)
	verdict := "ok"
	if !r.ok() {
		verdict = "FAILED"
	}
	w.say(fmt.Sprintf("%-43s expected %-8s actual %-8s %s", r.what, expected, r.actual, verdict))
}

func verdict(err error) string {
	if err == nil {
		return passes
	}
	return blocked
}

// ping sends one echo request and wants the answer.
func (w *world) ping(from, to workload) outcome {
	o := outcome{what: fmt.Sprintf("%s > %s (%s) icmp", from.name, to.name, to.addr)}
	if from.container {
		o.actual = verdict(w.fromContainer(from, "icmp", to.addr))
	} else {
		o.actual = verdict(probe.Ping(w.name(from), netip.MustParseAddr(to.addr), 0))
	}
	return o
}

// connect makes a TCP connection and wants an echo.
func (w *world) connect(from, to workload) outcome {
	o := outcome{what: fmt.Sprintf("%s > %s (%s) tcp/%d", from.name, to.name, to.addr, port)}
	at := netip.AddrPortFrom(netip.MustParseAddr(to.addr), port)
	if from.container {
		o.actual = verdict(w.fromContainer(from, "tcp", at.String()))
	} else {
		o.actual = verdict(netns.Do(w.name(from), func() error { return echoed(at.String()) }))
	}
	return o
}

// sendWatched sends packets and returns how many of them every namespace but
// the sender's saw. The sender must reach control, within its VPC.
func (w *world) sendWatched(p probe.Packet, from, to, control workload, enough func(map[string]int) bool) (map[string]int, error) {
	p.Token, p.ID, p.SrcPort = probe.NewToken(), 1, 40000
	p.Src, p.Dst = netip.MustParseAddr(from.addr), netip.MustParseAddr(to.addr)
	sniffers := map[string]*probe.Sniffer{}
	defer func() {
		for _, s := range sniffers {
			s.Close()
		}
	}()
	for _, ns := range w.spaces {
		if ns == w.name(from) {
			continue
		}
		s, err := probe.Sniff(ns, p.Token)
		if err != nil {
			return nil, err
		}
		sniffers[ns] = s
	}
	if err := probe.Send(w.name(from), p, watched); err != nil {
		return nil, err
	}
	// What is sent last arrives last: with its answer nothing is on its way any more.
	if err := probe.Ping(w.name(from), netip.MustParseAddr(control.addr), 0); err != nil {
		return nil, fmt.Errorf("the control from %s to %s: %w", from.name, control.name, err)
	}
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for end := time.Now().Add(arrival); ; <-tick.C {
		seen := map[string]int{}
		for ns, s := range sniffers {
			seen[ns] = s.Count()
		}
		if enough(seen) || time.Now().After(end) {
			return seen, nil
		}
	}
}

// discard is a packet that nobody has to answer.
var discard = probe.Packet{Proto: "udp", DstPort: 9}

// overhear sends into the void: no namespace at all may see a packet.
func (w *world) overhear(from, to, control workload) (outcome, error) {
	return w.unheard(discard, from, to, control)
}

// refused asks for connections that nobody may see, but for those on the way to
// where the packets are dropped.
func (w *world) refused(from, to, control workload, way ...workload) (outcome, error) {
	return w.unheard(probe.Packet{Proto: "tcp", DstPort: port}, from, to, control, way...)
}

func (w *world) unheard(p probe.Packet, from, to, control workload, way ...workload) (outcome, error) {
	seen, err := w.sendWatched(p, from, to, control, func(map[string]int) bool { return true })
	for _, l := range way {
		delete(seen, w.name(l))
	}
	o := outcome{fmt.Sprintf("%s > %s (%s) %s, %d packets", from.name, to.name, to.addr, p.Proto, watched), blocked}
	for _, n := range seen {
		if n != 0 {
			o.actual = passes
		}
	}
	return o, err
}

// seenAs is the address that a server sees a connection come from.
func (w *world) seenAs(from, to workload) outcome {
	o := outcome{what: fmt.Sprintf("%s > %s (%s) tcp/%d, seen as", from.name, to.name, to.addr, freePort), actual: blocked}
	if addr, err := probe.SeenAsBy(w.name(from), w.name(to), netip.AddrPortFrom(netip.MustParseAddr(to.addr), freePort)); err == nil {
		o.actual = addr.String()
	}
	return o
}

// arrivesOnlyAt sends to an address that two workloads have.
func (w *world) arrivesOnlyAt(from, to, not workload) (outcome, error) {
	seen, err := w.sendWatched(discard, from, to, to, func(seen map[string]int) bool { return seen[w.name(to)] >= watched })
	o := outcome{fmt.Sprintf("%s > %s, never %s (%s)", from.name, to.name, not.name, to.addr), passes}
	for ns, n := range seen {
		if (ns == w.name(to)) != (n == watched) || ns != w.name(to) && n != 0 {
			o.actual = fmt.Sprintf("%d at %s", n, strings.TrimPrefix(ns, w.host+"-"))
		}
	}
	return o, err
}

// summary prints the table and fails if anything was not as expected.
func (w *world) summary() error {
	w.title("Summary")
	t := tabwriter.NewWriter(w.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "TRAFFIC\tBECAUSE\tEXPECTED\tACTUAL\t")
	wrong := 0
	for _, r := range w.results {
		mark := "ok"
		if !r.ok() {
			mark, wrong = "FAILED", wrong+1
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", r.what, r.why, r.expected, r.actual, mark)
	}
	t.Flush()
	fmt.Fprintf(w.out, "\n%d of %d as expected\n", len(w.results)-wrong, len(w.results))
	if wrong > 0 {
		return fmt.Errorf("%d of %d were not as expected", wrong, len(w.results))
	}
	return nil
}
