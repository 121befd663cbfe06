package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"

	"golang.org/x/sys/unix"
)

// report is what the JSON has.
type report struct {
	Machine hardware
	Rows    []row
	// NAT are the ways out of a VPC, beside routers that translate.
	NAT []row
	// Attach is from the API's answer to the first packet, Answer from the call
	// to that answer, Start from exec to ready; all in milliseconds.
	Attach, Answer, Start summary
	// Rules is from the call by which an interface joins groups of 1,000 rules
	// to its effect on packets, OneRule the same for one rule added to them.
	Rules, OneRule summary
	// Wire is what calls of EC2's protocol cost.
	Wire  []wireRow
	Goals []goal
	// Drops are what our data plane refused while it was measured.
	Drops []string
}

// hardware is what a reader must know to compare.
type hardware struct {
	Kernel, CPU string
	Cores       int
	MTU         int
	// Filter is how the opponent's rules see connections.
	Filter string
	NIC    string
}

// row is one metric over one path.
type row struct {
	Path, Metric, Unit string
	Raw                []float64
	// Spread is a part of the median; the ratios are of medians.
	Median, Spread, PerBare, PerBridge float64
	// PerSNAT and PerSNATTwice are of ways out only.
	PerSNAT, PerSNATTwice float64
}

// summary of times in milliseconds.
type summary struct {
	Raw      []float64
	P50, P99 float64
}

func summarise(raw []float64) summary {
	s := summary{Raw: raw}
	if len(raw) > 0 {
		s.P50, s.P99 = median(raw), quantile(raw, 0.99)
	}
	return s
}

// goal is one promise. Verdict is "met", "missed" or "not measured".
type goal struct {
	Name    string
	Want    string
	Got     float64
	Verdict string
}

func (r *report) raw(path, metric string) []float64 {
	for _, x := range slices.Concat(r.Rows, r.NAT) {
		if x.Path == path && x.Metric == metric {
			return x.Raw
		}
	}
	return nil
}

// judge fills in what follows from the raw data and compares with the goals.
func (r *report) judge() {
	for i := range r.Rows {
		x := &r.Rows[i]
		x.Median, x.Spread = known(median(x.Raw)), known(spread(x.Raw))
		x.PerBare, x.PerBridge = known(ratio(x.Raw, r.raw(bare, x.Metric))), known(ratio(x.Raw, r.raw(bridge, x.Metric)))
	}
	for i := range r.NAT {
		x := &r.NAT[i]
		x.Median, x.Spread = known(median(x.Raw)), known(spread(x.Raw))
		x.PerSNAT, x.PerSNATTwice = known(ratio(x.Raw, r.raw(snat, x.Metric))), known(ratio(x.Raw, r.raw(snatTwice, x.Metric)))
	}
	udp := func(path, base string) float64 { return ratio(r.raw(path, udpName), r.raw(base, udpName)) }
	r.Goals = []goal{
		atLeast("UDP same subnet / bare veth", udp(same, bare), 0.9),
		atLeast("UDP across subnets / bare veth", udp(cross, bare), 0.85),
		atLeast("UDP same subnet / bridge", udp(same, bridge), 1),
		atLeast("UDP across subnets / bridge", udp(cross, bridge), 1),
		atMost("attach p50, ms", median(r.Attach.Raw), 30),
		atMost("start p50, ms", median(r.Start.Raw), 1000),
		atMost("1,000-rule group applied p50, ms", median(r.Rules.Raw), 50),
		atMost("one rule of it changed p50, ms", median(r.OneRule.Raw), 10),
	}
	for _, m := range metrics {
		for _, x := range [][2]string{{natInside, snat}, {natOut, snatTwice}, {elastic, snat}} {
			r.Goals = append(r.Goals, atLeast(fmt.Sprintf("%s %s / %s", m.name, x[0], x[1]), ratio(r.raw(x[0], m.name), r.raw(x[1], m.name)), 0.9))
		}
	}
}

// known is zero for what was not measured: JSON has no NaN.
func known(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return v
}

func atLeast(name string, got, want float64) goal {
	return verdict(goal{Name: name, Want: fmt.Sprintf(">= %g", want), Got: got}, got >= want)
}

func atMost(name string, got, want float64) goal {
	return verdict(goal{Name: name, Want: fmt.Sprintf("<= %g", want), Got: got}, got <= want)
}

func verdict(g goal, met bool) goal {
	switch {
	case math.IsNaN(g.Got):
		g.Got, g.Verdict = known(g.Got), "not measured"
	case met:
		g.Verdict = "met"
	default:
		g.Verdict = "missed"
	}
	return g
}

func (r *report) print(w io.Writer) {
	m := r.Machine
	fmt.Fprintf(w, "Linux %s, %s, %d cores, MTU %d, %s; rules of the opponent: %s\n\n", m.Kernel, m.CPU, m.Cores, m.MTU, m.NIC, m.Filter)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "metric\tpath\tmedian\tunit\tspread\t/ bare veth\t/ bridge\t")
	for _, x := range r.Rows {
		fmt.Fprintf(t, "%s\t%s\t%.4g\t%s\t%.1f %%\t%.2f\t%.2f\t\n", x.Metric, x.Path, x.Median, x.Unit, 100*x.Spread, x.PerBare, x.PerBridge)
	}
	t.Flush()
	if len(r.NAT) > 0 {
		fmt.Fprintln(w)
		fmt.Fprintf(t, "metric\tway out\tmedian\tunit\tspread\t/ %s\t/ %s\t\n", snat, snatTwice)
	}
	for _, x := range r.NAT {
		fmt.Fprintf(t, "%s\t%s\t%.4g\t%s\t%.1f %%\t%.2f\t%.2f\t\n", x.Metric, x.Path, x.Median, x.Unit, 100*x.Spread, x.PerSNAT, x.PerSNATTwice)
	}
	t.Flush()
	fmt.Fprintln(w)
	for _, s := range []struct {
		name string
		summary
	}{{"attach: answer to first packet", r.Attach}, {"attach: call to answer", r.Answer}, {"first start to ready", r.Start},
		{"1,000-rule group applied", r.Rules}, {"one rule of it changed", r.OneRule}} {
		fmt.Fprintf(w, "%-31s p50 %7.1f ms, p99 %7.1f ms, %d times\n", s.name, s.P50, s.P99, len(s.Raw))
	}
	fmt.Fprintf(w, "\nEC2 calls with %d subnets in place, one after the other:\n", wireSubnets)
	for _, x := range r.Wire {
		fmt.Fprintf(w, "%-31s p50 %7.1f ms, p99 %7.1f ms, %.4g/s, spread %.1f %%\n", x.Server+" "+x.Action, x.Latency.P50, x.Latency.P99,
			median(x.PerSecond), 100*spread(x.PerSecond))
	}
	for _, d := range r.Drops {
		fmt.Fprintf(w, "dropped by ours: %s\n", d)
	}
	fmt.Fprintln(w)
	for _, g := range r.Goals {
		fmt.Fprintf(w, "%-12s  %s: %.3g, goal %s\n", g.Verdict, g.Name, g.Got, g.Want)
	}
}

// machine reads what the kernel says about itself.
func machine() hardware {
	h := hardware{Cores: runtime.NumCPU(), NIC: "no NIC in the path", CPU: "unknown CPU"}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		h.Kernel = string(bytes.TrimRight(name.Release[:], "\x00"))
	}
	info, _ := os.ReadFile("/proc/cpuinfo") // absent: unknown
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			h.CPU = strings.TrimSpace(value)
			break
		}
	}
	return h
}
