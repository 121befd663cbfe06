package cli

import (
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// TestVerifyOfLongValues: a firewall is pages long; the table shows where it
// begins to differ, and JSON all of it.
func TestVerifyOfLongValues(t *testing.T) {
	b := newBench(t)
	long := strings.Repeat("x", 300)
	b.drifts = []api.Drift{
		{Kind: "firewall", Object: "vpc_h1", Want: "table\n\tone\n\ttwo\n}", Have: "table\n\tone\n\tthree\n}"},
		{Kind: "firewall", Object: "vpc_h2", Want: "table\n" + long},
		{Kind: "map", Object: "short", Want: "1", Have: long},
	}
	got := b.run("verify")
	for _, want := range []string{"line 3 of 4: two", "line 3 of 4: three", "line 1 of 2: table", strings.Repeat("x", maxCell) + " …"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("no %q in\n%s", want, got.out)
		}
	}
	if strings.Contains(got.out, `\n`) || strings.Contains(got.out, long) {
		t.Errorf("a whole value:\n%s", got.out)
	}
	if got := b.run("verify -o json"); !strings.Contains(got.out, long) {
		t.Errorf("JSON has only a part:\n%s", got.out)
	}
}
