package parity

import (
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

var statuses = []string{"enforced", "recorded", "obeyed", "ignored", "refused"}

// statusTable is testdata/status.txt.
type statusTable struct {
	lines []*statusLine
	via   map[string]string   // action: how a script spells it
	rows  map[string][]status // by action, in the order of the model
}

// statusLine is one line, with the patterns of it that were of use.
type statusLine struct {
	action, status, test string
	paths                []string
	used                 map[string]bool
}

// status is what becomes of one parameter.
type status struct {
	param
	status, test string
}

// readStatus gives every parameter its status, and fails for one that has none
// and for a line that no parameter needs.
func readStatus(t *testing.T) *statusTable {
	t.Helper()
	text, err := os.ReadFile("testdata/status.txt")
	if err != nil {
		t.Fatal(err)
	}
	s := &statusTable{via: map[string]string{}, rows: map[string][]status{}}
	for line := range strings.Lines(string(text)) {
		s.read(t, strings.TrimSpace(line))
	}
	for _, action := range ec2Actions() {
		for _, p := range leaves(paramsOf(action)) {
			line := s.lineOf(p)
			if line == nil {
				t.Errorf("testdata/status.txt: no line for %s of %s", p.path, action)
				continue
			}
			s.rows[action] = append(s.rows[action], status{p, line.status, line.test})
		}
	}
	for _, l := range s.lines {
		for _, p := range l.paths {
			if !l.used[p] {
				t.Errorf("testdata/status.txt: no parameter needs %s %s %s", l.action, l.status, p)
			}
		}
	}
	return s
}

func (s *statusTable) read(t *testing.T, line string) {
	t.Helper()
	words := strings.Fields(line)
	switch {
	case len(words) == 0 || strings.HasPrefix(line, "#"):
	case words[0] == "via" && len(words) > 2:
		s.via[words[1]] = strings.Join(words[2:], " ")
	case len(words) < 4 || !slices.Contains(statuses, words[1]):
		t.Errorf("testdata/status.txt: %q is not ACTION STATUS TEST PATH...", line)
	default:
		s.lines = append(s.lines, &statusLine{words[0], words[1], words[2], words[3:], map[string]bool{}})
	}
}

func (s *statusTable) lineOf(p param) *statusLine {
	for _, l := range s.lines {
		if ok, _ := path.Match(l.action, p.action); !ok {
			continue
		}
		for _, pattern := range l.paths {
			if ok, _ := path.Match(pattern, p.path); ok {
				l.used[pattern] = true
				return l
			}
		}
	}
	return nil
}
