package parity

import (
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
)

// requests are the good requests of testdata/requests.txt, by action.
func requests(t *testing.T) map[string][]scriptCall {
	t.Helper()
	text, err := os.ReadFile("testdata/requests.txt")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]scriptCall{}
	for line := range strings.Lines(string(text)) {
		if c, ok := readCall(t, line); ok {
			out[c.action] = append(out[c.action], c)
		}
	}
	return out
}

// unfinished requests lack the parameter under test.
func (c scriptCall) unfinished() bool { return strings.HasSuffix(c.line, "=!") }

// TestRequestsAreGood: input that differs from these in one thing is refused
// for that thing.
func TestRequestsAreGood(t *testing.T) {
	w := newWorld(t)
	n := w.furnish(t, alice)
	all := requests(t)
	for _, action := range ec2Actions() {
		if len(all[action]) == 0 {
			t.Errorf("testdata/requests.txt: add a request of %s that succeeds", action)
		}
		for _, c := range all[action] {
			form := c.form(t, n)
			if c.unfinished() {
				continue
			}
			want := ""
			if form.Has("DryRun") {
				want = "DryRunOperation"
			}
			if a := w.as(alice).call(t, action, form); a.code() != want || a.code() == "" && a.status != 200 {
				t.Errorf("%s\nanswers %d %s: %s", c.line, a.status, a.code(), a.message())
			}
		}
	}
	for action := range all {
		if !slices.Contains(ec2Actions(), action) {
			t.Errorf("testdata/requests.txt: %s is no action that is served", action)
		}
	}
}

// requestWith is a good request in which p makes sense, without DryRun: what
// is wrongly accepted shows in the store. had tells whether p is in it.
func requestWith(t *testing.T, all map[string][]scriptCall, p param, n names) (form url.Values, had bool) {
	t.Helper()
	for _, c := range all[p.action] {
		form = c.form(t, n)
		for name := range form {
			if name == p.at() || strings.HasPrefix(name, p.at()+".") {
				if p.path != "DryRun" {
					form.Del("DryRun")
				}
				return form, true
			}
		}
	}
	form = all[p.action][0].form(t, n)
	form.Del("DryRun")
	return form, false
}

// without is a form that lacks a parameter and all below it.
func without(form url.Values, name string) url.Values {
	out := maps.Clone(form)
	maps.DeleteFunc(out, func(have string, _ []string) bool { return have == name || strings.HasPrefix(have, name+".") })
	return out
}

// with is a form in which a parameter has one value.
func with(form url.Values, name, value string) url.Values {
	out := maps.Clone(form)
	out[name] = []string{value}
	return out
}
