package main

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestStatistics(t *testing.T) {
	odd, even := []float64{9, 1, 5}, []float64{4, 1, 3, 2}
	for _, c := range []struct {
		what      string
		got, want float64
	}{
		{"median of three", median(odd), 5},
		{"median of four", median(even), 2.5},
		{"one value is every quantile", quantile([]float64{7}, 0.99), 7},
		{"lowest", quantile(odd, 0), 1},
		{"highest", quantile(odd, 1), 9},
		{"first quarter", quantile(even, 0.25), 1.75},
		{"spread", spread([]float64{8, 9, 10, 11, 12}), 0.2},
		{"ratio of medians, not of means", ratio([]float64{1, 2, 1000}, []float64{4, 4, 4}), 0.5},
	} {
		if math.Abs(c.got-c.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", c.what, c.got, c.want)
		}
	}
	if !math.IsNaN(median(nil)) || !math.IsNaN(ratio(nil, odd)) {
		t.Error("nothing measured has a value")
	}
	if odd[0] != 9 {
		t.Error("the raw data were sorted in place")
	}
}

// TestQuantilesAreOrdered: between the extremes, and never falling.
func TestQuantilesAreOrdered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SliceOfN(rapid.Float64Range(0, 1e9), 1, 50).Draw(t, "values")
		last := quantile(v, 0)
		for q := 0.0; q <= 1; q += 0.05 {
			now := quantile(v, q)
			if now < last-1e-6 {
				t.Fatalf("quantile %v is %v after %v", q, now, last)
			}
			last = now
		}
		if median(v) < quantile(v, 0) || median(v) > quantile(v, 1) {
			t.Fatal("the median is outside")
		}
	})
}

// TestGoals: met, missed and not measured are told apart.
func TestGoals(t *testing.T) {
	values := func(v float64) []float64 { return []float64{v} }
	rep := report{
		Rows: []row{
			{Path: bare, Metric: udpName, Raw: values(100)}, {Path: bridge, Metric: udpName, Raw: values(75)},
			{Path: same, Metric: udpName, Raw: values(91)}, {Path: cross, Metric: udpName, Raw: values(84)},
		},
		NAT: []row{
			{Path: snat, Metric: udpName, Raw: values(100)}, {Path: snatTwice, Metric: udpName, Raw: values(50)},
			{Path: elastic, Metric: udpName, Raw: values(89)}, {Path: natInside, Metric: udpName, Raw: values(90)}, {Path: natOut, Metric: udpName, Raw: values(46)},
		},
		Attach: summarise(values(31)), Rules: summarise(values(49)), OneRule: summarise(values(11)),
	}
	rep.judge()
	var b bytes.Buffer
	rep.print(&b)
	for _, want := range []string{
		"met           UDP same subnet / bare veth", "missed        UDP across subnets / bare veth", "met           UDP across subnets / bridge",
		"missed        attach p50", "not measured  start p50",
		"missed        UDP 64 B EIP / nft SNAT", "met           UDP 64 B NAT gateway / nft SNAT, twice", "met           UDP 64 B NAT gateway, private / nft SNAT",
		"not measured  TCP stream NAT gateway / nft SNAT, twice",
		"met           1,000-rule group applied p50", "missed        one rule of it changed p50",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in:\n%s", want, &b)
		}
	}
}
