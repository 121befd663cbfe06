package harness

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/vpcfabric/vpc/e2e/probe"
)

// cmdSYNs sends a SYN for each of as many connections that nobody answers, and
// wants a control of others to pass all the while. What the sender's share of
// the flow table does not hold is dropped by name; nothing else is.
//
//	syns 100000 web db:80 -- tcp x y:80
func cmdSYNs(c call, args []string) error {
	if len(args) < 7 || args[3] != "--" {
		return errors.New("want N FROM TO:PORT -- PROTO FROM TO[:PORT]")
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	p := probe.Packet{Proto: "tcp", Token: probe.NewToken()}
	if p.Dst, p.DstPort, err = c.address(args[2]); err != nil {
		return err
	}
	if p.Src, _, err = c.address(args[1]); err != nil {
		return err
	}
	before, err := c.drops()
	if err != nil {
		return err
	}
	if err := c.during(args[4:], func() error { return probe.Tuples(c.full(args[1]), p, n) }); err != nil {
		return err
	}
	after, err := c.drops()
	if err != nil {
		return err
	}
	got := after.since(before)
	if k := got["half_open/flow"]; k == 0 || k >= int64(n) || len(got) != 1 {
		return fmt.Errorf("of %d SYNs were dropped: %s; want some of them, as half_open/flow, and nothing else", n, got)
	}
	fmt.Fprintf(c.ts.Stdout(), "of %d: %s\n", n, got)
	return nil
}
