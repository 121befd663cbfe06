package parity

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
)

// mistake is one wrong request and what has to be said of it.
type mistake struct {
	what string
	form url.Values
	code string
	// says are words of which the message has one: the name of the parameter.
	says []string
}

// hostility makes mistakes for one caller.
type hostility struct {
	t           *testing.T
	codes       codes
	requests    map[string][]scriptCall
	own, others names
}

// TestBadInput makes every mistake of testdata/codes.txt with every parameter
// of every action: the code is the one of the table, the message names the
// parameter, and nothing is changed.
func TestBadInput(t *testing.T) {
	w := newWorld(t)
	h := &hostility{t: t, codes: readCodes(t), requests: requests(t)}
	h.own, h.others = w.furnish(t, alice), w.furnish(t, bob)
	made := 0
	for _, action := range ec2Actions() {
		for _, p := range paramsOf(action) {
			for _, m := range h.mistakes(p) {
				made++
				w.refuse(t, action, p, m)
			}
		}
		for _, m := range h.nonsense(action) {
			made++
			w.refuse(t, action, param{action: action}, m)
		}
	}
	t.Logf("%d mistakes", made)
	if made < 5000 {
		t.Error("the tables have lost rows")
	}
}

// TestPairs sends what testdata/pairs.txt says. The message names one of the
// parameters, or one that is missing.
func TestPairs(t *testing.T) {
	w := newWorld(t)
	n := w.furnish(t, alice)
	text, err := os.ReadFile("testdata/pairs.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		code, request, _ := strings.Cut(line, " ")
		if strings.HasPrefix(code, "#") {
			continue
		}
		c, ok := readCall(t, request)
		if !ok {
			continue
		}
		var says []string
		for _, p := range paramsOf(c.action) {
			says = append(says, p.name())
		}
		w.refuse(t, c.action, param{path: strings.Join(strings.Fields(request)[1:], " ")}, mistake{"together", c.form(t, n), code, says})
	}
}

// refuse asserts one refusal.
func (w *world) refuse(t *testing.T, action string, p param, m mistake) {
	t.Helper()
	before := w.dump()
	a := w.as(alice).call(t, action, m.form)
	at := fmt.Sprintf("%s %s, %s", action, p.path, m.what)
	switch {
	case a.code() == "":
		t.Errorf("%s: accepted; want %s", at, m.code)
	case a.code() != m.code:
		t.Errorf("%s: %s, want %s: %.200s", at, a.code(), m.code, a.message())
	case a.status < 400 || a.status > 499:
		t.Errorf("%s: status %d of %s", at, a.status, a.code())
	case len(a.message()) < 20 || len(a.message()) > 1500 || strings.ContainsAny(a.message(), "\x00\n\x1b\u202e"):
		t.Errorf("%s: the message is not fit for people: %.200q", at, a.message())
	case !mentions(a.message(), m.says):
		t.Errorf("%s: the message does not name the parameter: %s", at, a.message())
	}
	if keys := w.changed(before); len(keys) > 0 {
		t.Errorf("%s: changed %v", at, keys)
	}
}

func mentions(message string, words []string) bool {
	for _, word := range words {
		if strings.Contains(message, word) {
			return true
		}
	}
	return len(words) == 0
}

// mistakes are all that can be wrong with one parameter.
func (h *hostility) mistakes(p param) []mistake {
	form, had := requestWith(h.t, h.requests, p, h.own)
	says := []string{p.name()}
	out := h.structure(p, form, says)
	if p.required && had && !alone(form, p.at()) {
		out = append(out, mistake{"missing", without(form, strings.TrimSuffix(p.at(), ".1")), h.codes.code(h.t, "all", "missing"), says})
	}
	if p.kind == "struct" {
		return out
	}
	kinds := []string{p.kind}
	if p.enum != "" {
		kinds = append(kinds, "enum")
	}
	for _, class := range append(kinds, h.codes.classOf(h.t, p)) {
		for _, r := range h.codes.of(class) {
			// Text where a number belongs is a wrong type whatever it spells.
			if p.kind != "string" && class != p.kind && !isKind(p.kind, r.values) {
				continue
			}
			if r.mistake == "empty" && !p.mandatory() {
				continue
			}
			says := says
			if r.code == "UnsupportedOperation" || class == "no-ipv6-rule" {
				// What is refused as a whole is named as a whole.
				says = append(says, p.parent())
			}
			for _, v := range r.values {
				what := fmt.Sprintf("%s %.40q", r.mistake, v)
				out = append(out, mistake{what, with(form, p.at(), value(h.t, v, h.own, h.others)), r.code, says})
			}
		}
	}
	return out
}

// alone tells whether a parameter is all there is of the structure it is in:
// without it, nothing says that there is one.
func alone(form url.Values, name string) bool {
	dot := strings.LastIndexByte(name, '.')
	for other := range form {
		if dot > 0 && other != name && strings.HasPrefix(other, name[:dot+1]) {
			return false
		}
	}
	return dot > 0
}

// isKind tells whether values of a class can be read as a kind.
func isKind(kind string, values []string) bool {
	return kind == "int" && len(values) > 0 && strings.Trim(values[0], "-0123456789") == ""
}

// structure are mistakes in the name of a parameter rather than in its value.
func (h *hostility) structure(p param, form url.Values, says []string) []mistake {
	var out []mistake
	code := func(class, what string) string { return h.codes.code(h.t, class, what) }
	if p.kind == "struct" {
		out = append(out,
			mistake{"a value", with(without(form, p.at()), p.at(), "x"), code("struct", "scalar"), says},
			mistake{"an unknown member", with(form, p.at()+".Nonsense", "x"), code("struct", "unknown"), []string{"Nonsense"}})
	} else {
		twice := with(form, p.at(), "x")
		twice.Add(p.at(), "x")
		out = append(out,
			mistake{"twice", twice, code("all", "twice"), says},
			mistake{"something below", with(form, p.at()+".x.y", "x"), code("all", "below"), says})
	}
	if !p.list {
		return out
	}
	list := strings.TrimSuffix(p.at(), ".1")
	for _, index := range []string{"0", "-1", "01", "x", "1000001", "1x", "", "\x00"} {
		out = append(out, mistake{fmt.Sprintf("index %q", index), with(form, list+"."+index, "x"), code("list", "index"), says})
	}
	many := without(form, list)
	for i := range 10_001 {
		many.Set(fmt.Sprintf("%s.%d", list, i+1), "x")
	}
	return append(out,
		mistake{"a value for the list", with(without(form, list), list, "x"), code("list", "scalar"), says},
		mistake{"10,001 elements", many, code("list", "many"), nil})
}

// nonsense are mistakes that have nothing to do with any parameter of an action.
func (h *hostility) nonsense(action string) []mistake {
	form := h.requests[action][0].form(h.t, h.own)
	form.Del("DryRun")
	code := func(what string) string { return h.codes.code(h.t, "request", what) }
	many := with(form, "Nonsense", "x")
	for i := range 10_001 {
		many.Set(fmt.Sprintf("Nonsense.%d", i), "x")
	}
	out := []mistake{
		{"17 parts of a name", with(form, strings.Repeat("a.", 16)+"a", "x"), code("deep"), nil},
		{"a name that is no text", with(form, "\xff\xfe", "x"), code("bytes"), nil},
		{"10,001 names", many, code("many"), nil},
	}
	for _, name := range []string{"Nonsense", "Nonsense.1", "Nonsense.1.Name", "nonsense", "", ".", "..", "Nonsense.", "Non\x00sense", "Nonsense\n", "\u202eNonsense", strings.Repeat("Nonsense", 10_000)} {
		out = append(out, mistake{fmt.Sprintf("the name %.40q", name), with(form, name, "x"), code("unknown"), nil})
	}
	return out
}
