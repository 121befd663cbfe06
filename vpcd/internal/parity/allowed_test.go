package parity

import (
	"os"
	"path"
	"strings"
	"testing"
)

// allowed are the differences of testdata/differences.txt.
type allowed struct {
	patterns []string
	used     map[string]bool
}

// readAllowed reads lines of the form PATTERN :: REASON. A * in a pattern is
// any text.
func readAllowed(t *testing.T) *allowed {
	t.Helper()
	text, err := os.ReadFile("testdata/differences.txt")
	if err != nil {
		t.Fatal(err)
	}
	a := &allowed{used: map[string]bool{}}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		pattern, reason, _ := strings.Cut(line, " :: ")
		if !strings.Contains(reason, "https://docs.aws.amazon.com/") {
			t.Errorf("testdata/differences.txt: %q names no page of AWS as its reason", pattern)
		}
		a.patterns = append(a.patterns, pattern)
	}
	if len(a.patterns) > differencesMax {
		t.Errorf("testdata/differences.txt: %d differences, at most %d are intended", len(a.patterns), differencesMax)
	}
	return a
}

func (a *allowed) has(difference string) bool {
	// A slash ends what * stands for, so there must be none.
	flat := strings.ReplaceAll(difference, "/", "|")
	for _, p := range a.patterns {
		if ok, _ := path.Match(strings.ReplaceAll(p, "/", "|"), flat); ok {
			a.used[p] = true
			return true
		}
	}
	return false
}

func (a *allowed) unused() map[string]bool {
	out := map[string]bool{}
	for _, p := range a.patterns {
		if !a.used[p] {
			out[p] = true
		}
	}
	return out
}
