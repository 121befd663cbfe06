// Command bench measures what a packet, an attachment and a start cost, beside
// what the kernel offers by itself.
//
//	go run ./e2e/bench -quick            under six minutes
//	go run ./e2e/bench -json out.json    the raw data as well
//
// It needs root, nft, ip and the binaries (bin/, or -bin). Everything is
// built at once and stays: a bare veth pair, a Linux bridge, a bridge with
// stateful nftables rules, and a private vpcd with two interfaces in one subnet
// and one in another, security groups on. Then the rows take turns (A B C A B
// C …), because absolute numbers drift on shared machines; what counts are the
// ratios of medians. The sender has the first core, the receiver the last. The
// spread is the interquartile range in percent of the median.
//
// UDP packets are 64 bytes on the wire without the checksum, sent as fast as
// possible, counted where they arrive. A TCP connection is connect, one byte
// there and back, close, one after the other. An attachment is timed from the
// API's answer to the first echo of a UDP packet that is sent every half a
// millisecond; a start from exec to a host that is ready.
//
// Rules are timed from the call to the first echo as well, on an interface with
// 1,000 of them in five groups: once when it joins the groups, once when a rule
// is added to one of them.
//
// Calls over EC2's wire are timed one after the other with 1,000 subnets in
// place: all subnets in one answer, and one more subnet. moto's server gets the
// same calls in turn, where it is installed (VPC_MOTO names it); it has no kernel
// to keep up with and no disk.
//
// Ways out of a VPC, NAT gateways and elastic addresses, are compared with routers
// that forward and have one rule that translates. What a NAT gateway sends to the
// world the host translates once more, so two of them in a row do the same work; one
// that leads to another subnet, and an elastic address, are one router's work.
//
// There is no NIC in any path. The MTU is that of our interfaces, everywhere.
// The opponent with rules does connection tracking and one verdict map; it
// checks no source addresses and counts nothing, ours does both. Where the
// kernel has no connection tracking of bridges, the rules run behind
// br_netfilter; the output says which.
//
// The exit code is 0 when everything was measured, 1 otherwise: a goal that is
// missed is printed, not asserted. Nothing is left, also after Ctrl-C.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// plan is how much is measured.
type plan struct {
	rounds   int
	window   time.Duration // of one measurement
	attaches int
	starts   int
	rules    int
	only     string
}

// wants says whether something of that name is to be measured.
func (p plan) wants(name string) bool { return strings.Contains(name, p.only) }

var (
	quick = plan{rounds: 5, window: 1500 * time.Millisecond, attaches: 20, starts: 5, rules: 20}
	full  = plan{rounds: 11, window: 5 * time.Second, attaches: 100, starts: 15, rules: 100}
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == roleWord {
		if err := playRole(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	isQuick := flag.Bool("quick", false, "few and short rounds")
	file := flag.String("json", "", "write raw data and results to this file")
	only := flag.String("only", "", "measure only what has this in its name: UDP, TCP stream, NAT, rules, wire, attach, start")
	bin := flag.String("bin", "bin", "directory of vpc and vpcd")
	flag.Parse()
	p := full
	if *isQuick {
		p = quick
	}
	p.only = *only
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := bench(ctx, p, *bin, *file); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench builds, measures, prints and removes. What could be measured is
// printed even when something could not.
func bench(ctx context.Context, p plan, bin, file string) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("it makes network namespaces and loads programs: run it as root")
	}
	w, err := newWorld(bin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.remove()) }()
	rep := report{Machine: machine()}
	if err := rep.measureCalls(ctx, w, p); err != nil {
		return err
	}
	if err := w.build(ctx); err != nil {
		return err
	}
	if err := w.buildNAT(ctx); err != nil {
		return fmt.Errorf("ways out: %w", err)
	}
	rep.Machine.MTU, rep.Machine.Filter = w.mtu, w.filter
	if p.wants("attach") {
		answers, firsts, err := measureAttaches(ctx, w, p.attaches)
		if err != nil {
			return fmt.Errorf("attach: %w", err)
		}
		rep.Answer, rep.Attach = summarise(answers), summarise(firsts)
	}
	rep.Rows, err = measurePaths(ctx, "", w.paths, p)
	if err == nil {
		rep.NAT, err = measurePaths(ctx, natGroup, w.ways, p)
	}
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	for _, d := range []*daemon{w.daemon, w.gateway} {
		drops, dropsErr := d.drops(context.WithoutCancel(ctx))
		rep.Drops, err = append(rep.Drops, drops...), errors.Join(err, dropsErr)
	}
	rep.judge()
	rep.print(os.Stdout)
	if file != "" {
		text, jsonErr := json.MarshalIndent(rep, "", "  ")
		err = errors.Join(err, jsonErr)
		if jsonErr == nil {
			err = errors.Join(err, os.WriteFile(file, append(text, '\n'), 0o644))
		}
	}
	return err
}

// measureCalls times what needs no traffic.
func (r *report) measureCalls(ctx context.Context, w *world, p plan) error {
	if p.wants("start") {
		starts, err := measureStarts(ctx, w, p.starts)
		if err != nil {
			return fmt.Errorf("starts: %w", err)
		}
		r.Start = summarise(starts)
	}
	if p.wants("rules") {
		all, one, err := measureRules(ctx, w, p.rules)
		if err != nil {
			return fmt.Errorf("rules: %w", err)
		}
		r.Rules, r.OneRule = summarise(all), summarise(one)
	}
	if p.wants("wire") {
		var err error
		if r.Wire, err = measureWire(ctx, w, p.rounds); err != nil {
			return fmt.Errorf("wire: %w", err)
		}
	}
	return nil
}

// measurePaths lets the rows of a group take turns.
func measurePaths(ctx context.Context, group string, paths []path, p plan) ([]row, error) {
	var rows []row
	for _, m := range metrics {
		if !p.wants(group + " " + m.name) {
			continue
		}
		first := len(rows)
		for _, x := range paths {
			rows = append(rows, row{Path: x.name, Metric: m.name, Unit: m.unit})
		}
		for round := range p.rounds {
			for i, x := range paths {
				v, err := measure(ctx, m, x, p.window)
				if err != nil {
					return rows, fmt.Errorf("%s over %s, round %d: %w", m.name, x.name, round+1, err)
				}
				rows[first+i].Raw = append(rows[first+i].Raw, v)
			}
			fmt.Fprintf(os.Stderr, "\r%s: round %d of %d ", m.name, round+1, p.rounds)
		}
	}
	fmt.Fprintln(os.Stderr)
	return rows, nil
}
