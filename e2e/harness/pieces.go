package harness

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/vpcfabric/vpc/e2e/probe"
)

// cmdPieces sends one UDP datagram in fragments of the sender's MTU, in an
// order, and wants its echo. Each fragment that is not dropped by name arrives
// at the destination once, and at no other namespace.
//
//	pieces web db:53 4000 0,2,1
//	pieces web db:53 4000 1,0,1 fragment/parse=1
//	pieces web db:53 4000 0,1 lost     the destination gives up on it
func cmdPieces(c call, args []string) error {
	if len(args) < 4 {
		return errors.New("want FROM TO:PORT SIZE ORDER [REASON/STAGE=N] [lost]")
	}
	w, err := c.cut(args)
	if err != nil {
		return err
	}
	defer w.close()
	before, err := c.drops()
	if err != nil {
		return err
	}
	if err := w.pieces.Send(w.order); err != nil {
		return err
	}
	if err := w.outcome(); err != nil {
		return err
	}
	if err := c.awaitDrops(before, w.drops); err != nil {
		return err
	}
	return w.arrived()
}

// datagram is a UDP datagram on its way in pieces.
type datagram struct {
	pieces *probe.Pieces
	order  []int
	drops  drops
	lost   bool
	// to is the destination's namespace, and given up what its kernel had by then.
	to       string
	givenUp  int
	sniffers map[string]*probe.Sniffer
}

// cut reads the words of cmdPieces and makes everything ready to be sent.
func (c call) cut(args []string) (w *datagram, err error) {
	w = &datagram{drops: drops{}, sniffers: map[string]*probe.Sniffer{}}
	for _, word := range strings.Split(args[3], ",") {
		n, err := strconv.Atoi(word)
		if err != nil {
			return nil, err
		}
		w.order = append(w.order, n)
	}
	for _, a := range args[4:] {
		name, number, counted := strings.Cut(a, "=")
		if w.lost = w.lost || a == "lost"; a == "lost" {
			continue
		}
		n, err := strconv.ParseInt(number, 10, 64)
		if !counted || err != nil {
			return nil, fmt.Errorf("want REASON/STAGE=N, have %s", a)
		}
		w.drops[name] = n
	}
	to, port, err := c.address(args[1])
	if err != nil {
		return nil, err
	}
	size, err := strconv.Atoi(args[2])
	if err != nil {
		return nil, err
	}
	alias, _, _ := strings.Cut(args[1], ":")
	w.to = c.full(alias)
	if w.givenUp, err = probe.GivenUp(w.to); err != nil {
		return nil, err
	}
	token := probe.NewToken()
	if w.pieces, err = probe.Cut(c.full(args[0]), netip.AddrPortFrom(to, port), token, size); err != nil {
		return nil, err
	}
	for name := range c.spaces {
		// The echo comes in pieces with the token as well.
		if name == args[0] {
			continue
		}
		if w.sniffers[c.full(name)], err = probe.Sniff(c.full(name), token); err != nil {
			w.close()
			return nil, err
		}
	}
	return w, nil
}

// outcome waits until the destination has answered, or has given up.
func (w *datagram) outcome() error {
	if !w.lost {
		return w.pieces.Answered()
	}
	var n int
	var err error
	if !poll(arrival, func() bool {
		n, err = probe.GivenUp(w.to)
		return err != nil || n > w.givenUp
	}) {
		return errors.New("the destination has not given up")
	}
	if err == nil {
		err = w.pieces.Silent()
	}
	return err
}

// arrived counts the pieces.
func (w *datagram) arrived() error {
	for name, s := range w.sniffers {
		want := 0
		if name == w.to {
			want = len(w.order)
			for _, n := range w.drops {
				want -= int(n)
			}
		}
		delete(w.sniffers, name)
		got, err := s.Close()
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("%s saw %d pieces, want %d", name, got, want)
		}
	}
	return nil
}

func (w *datagram) close() {
	w.pieces.Close()
	for _, s := range w.sniffers {
		if s != nil {
			s.Close()
		}
	}
}

// cmdFlood sends fragments of as many different datagrams, and wants a control
// of others to pass all the while. FIELD is that of the IP header: 8192 begins a
// datagram, 185 continues one at byte 1480.
//
//	flood 50000 web db:9 8192 -- udp x y:53 size=8000
//	flood 50000 web db:9 185 fragment/parse -- udp x y:53 size=8000
func cmdFlood(c call, args []string) error {
	if len(args) < 8 {
		return errors.New("want N FROM TO:PORT FIELD [REASON/STAGE] -- CONTROL")
	}
	// Where no drop is named, none may be counted.
	words, passes := args[4:], args[4] == "--"
	if passes {
		words = append([]string{"none/none"}, words...)
	}
	neg, err := parseNegative(args[0], words)
	if err != nil {
		return err
	}
	p := probe.Packet{Proto: "udp", Token: probe.NewToken(), SrcPort: 40000}
	if p.Dst, p.DstPort, err = c.address(args[2]); err != nil {
		return err
	}
	if p.Src, _, err = c.address(args[1]); err != nil {
		return err
	}
	if _, err := fmt.Sscan(args[3], &p.Fragment); err != nil {
		return err
	}
	send := func() error {
		return c.during(neg.control, func() error { return probe.Flood(c.full(args[1]), p, neg.n) })
	}
	if !passes {
		return c.prove(neg, args[1], p.Token, send)
	}
	before, err := c.drops()
	if err != nil {
		return err
	}
	if err := send(); err != nil {
		return err
	}
	return c.awaitDrops(before, drops{})
}

// during repeats a control while something is sent, and wants several to have
// passed and none to have failed.
func (c call) during(control []string, send func() error) error {
	const least = 3
	sent := make(chan error, 1)
	go func() { sent <- send() }()
	for rounds := 1; ; rounds++ {
		if err := cmdOK(c, control); err != nil {
			<-sent
			return fmt.Errorf("control: %w", err)
		}
		select {
		case err := <-sent:
			if err == nil && rounds < least {
				err = fmt.Errorf("the control passed %d times while it was sent, want %d", rounds, least)
			}
			return err
		default:
		}
	}
}
