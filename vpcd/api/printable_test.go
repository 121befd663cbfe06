package api

import (
	"strings"
	"testing"
)

func TestPrintable(t *testing.T) {
	long := strings.Repeat("a", printableMax)
	for in, want := range map[string]string{
		"":                    "",
		"web-1":               "web-1",
		"a\nb\x1b[2J\"\u202e": `a\nb\x1b[2J\"\u202e`,
		"\xff":                `\xff`,
		long:                  long,
		long + "b":            long + "...",
	} {
		if got := Printable(in); got != want {
			t.Errorf("Printable(%q) = %s, want %s", in, got, want)
		}
		want, cut := strings.CutSuffix(want, "...")
		want = `"` + want + `"`
		if cut {
			want += "..."
		}
		if got := Quote(in); got != want {
			t.Errorf("Quote(%q) = %s, want %s", in, got, want)
		}
	}
}
