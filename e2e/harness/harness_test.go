package harness

import (
	"slices"
	"testing"
)

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		line string
		want []string
	}{
		{`create  prod --cidr 10.0.0.0/16`, []string{"create", "prod", "--cidr", "10.0.0.0/16"}},
		{`create "" x`, []string{"create", "", "x"}},
		{`create "a\nb\u202e" --cidr "1 2"`, []string{"create", "a\nb\u202e", "--cidr", "1 2"}},
	} {
		got, err := split(c.line)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: have %q (%v), want %q", c.line, got, err, c.want)
		}
	}
	if _, err := split(`a "b`); err == nil {
		t.Error("an open quote is accepted")
	}
}

func TestNegativeNeedsControlAndReason(t *testing.T) {
	for _, c := range []struct {
		args []string
		ok   bool
	}{
		{[]string{"src=10.0.0.9", "anti_spoof/spoof", "--", "icmp", "a", "b"}, true},
		{[]string{"anti_spoof/spoof"}, false},
		{[]string{"anti_spoof/spoof", "--"}, false},
		{[]string{"--", "icmp", "a", "b"}, false},
		{[]string{"anti_spoof/spoof", "vlan/parse", "--", "icmp", "a", "b"}, false},
	} {
		n, err := parseNegative("5", c.args)
		if (err == nil) != c.ok {
			t.Errorf("%v: error %v", c.args, err)
		}
		if c.ok && (n.want["anti_spoof/spoof"] != 5 || n.opts["src"] != "10.0.0.9") {
			t.Errorf("%v: read as %+v", c.args, n)
		}
	}
}

func TestDropsSince(t *testing.T) {
	before := drops{"vlan/parse": 3, "stray/flow": 1}
	after := drops{"vlan/parse": 8, "stray/flow": 1, "no_route/route": 2}
	if got := after.since(before).String(); got != "no_route/route 2, vlan/parse 5" {
		t.Errorf("have %s", got)
	}
}

func TestTargetsOfAliases(t *testing.T) {
	h := &host{name: "t1234", spaces: map[string]bool{"web": true}}
	got := h.expand([]string{"attach", "netns:web", "netns:other", "web"})
	if want := []string{"attach", "netns:t1234-web", "netns:other", "web"}; !slices.Equal(got, want) {
		t.Errorf("have %v, want %v", got, want)
	}
}

func TestCrashIsSeen(t *testing.T) {
	for text, want := range map[string]bool{
		"panic: boom\n\ngoroutine 1 [running]:": true,
		"x\nruntime error: index out of range":  true,
		"Error: the name panic is taken":        false,
	} {
		if crash.MatchString(text) != want {
			t.Errorf("%q: crash %v", text, !want)
		}
	}
}
