package parity

import (
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"
)

// codes is testdata/codes.txt.
type codes struct {
	classes [][2]string // pattern of ACTION:PATH or PATH, class
	rows    []row
}

// row is a mistake of a class, its code, and values that are that mistake.
type row struct {
	class, mistake, code string
	values               []string
}

func readCodes(t *testing.T) codes {
	t.Helper()
	text, err := os.ReadFile("testdata/codes.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out codes
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] == "#" || strings.HasPrefix(words[0], "#"):
		case len(words) < 3:
			t.Fatalf("testdata/codes.txt: %q has less than three words", line)
		case words[0] == "is":
			for _, pattern := range words[2:] {
				out.classes = append(out.classes, [2]string{pattern, words[1]})
			}
		default:
			out.rows = append(out.rows, row{words[0], words[1], words[2], words[3:]})
		}
	}
	return out
}

// classOf is the class of a parameter by the first pattern that fits.
func (c codes) classOf(t *testing.T, p param) string {
	t.Helper()
	for _, is := range c.classes {
		name := p.path
		if strings.Contains(is[0], ":") {
			name = p.action + ":" + p.path
		}
		// Without a slash in it, * is any text.
		if ok, err := path.Match(is[0], name); err != nil {
			t.Fatalf("testdata/codes.txt: %s: %v", is[0], err)
		} else if ok {
			return is[1]
		}
	}
	t.Fatalf("testdata/codes.txt: no class for %s of %s", p.path, p.action)
	return ""
}

// of are the rows of a class.
func (c codes) of(class string) []row {
	var out []row
	for _, r := range c.rows {
		if r.class == class {
			out = append(out, r)
		}
	}
	return out
}

// code is the one code of a mistake that has no values of its own.
func (c codes) code(t *testing.T, class, mistake string) string {
	t.Helper()
	for _, r := range c.of(class) {
		if r.mistake == mistake {
			return r.code
		}
	}
	t.Fatalf("testdata/codes.txt: no code for %s %s", class, mistake)
	return ""
}

// value reads a value of the table: own are the names of the caller, others
// those of another account.
func value(t *testing.T, text string, own, others names) string {
	t.Helper()
	if text == `""` {
		return ""
	}
	if id, ok := strings.CutPrefix(text, "@"); ok {
		return expand(t, "$"+id, others)
	}
	if what, times, ok := strings.Cut(text, "*"); ok {
		n, err := strconv.Atoi(times)
		if err != nil {
			t.Fatalf("testdata/codes.txt: %q: %v", text, err)
		}
		return strings.Repeat(what, n)
	}
	s, err := url.QueryUnescape(expand(t, text, own))
	if err != nil {
		t.Fatalf("testdata/codes.txt: %q: %v", text, err)
	}
	return s
}
