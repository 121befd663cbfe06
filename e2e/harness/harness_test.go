package harness

import (
	"slices"
	"strings"
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
		{[]string{"src=10.0.0.9", "anti_spoof/spoof", "--", "udp", "a", "b:53", "size=8000"}, true},
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

func TestTCPFlags(t *testing.T) {
	for text, want := range map[string]uint8{"syn": 2, "syn,ack": 18, "fin,psh,rst": 13} {
		if got, err := tcpFlags(text); got != want || err != nil {
			t.Errorf("%s: have %d (%v), want %d", text, got, err, want)
		}
	}
	if _, err := tcpFlags("syn,"); err == nil {
		t.Error("a flag without a name is accepted")
	}
}

func TestQuote(t *testing.T) {
	c := call{host: &host{}}
	got, err := c.quote("udp,10.0.0.1:40000,10.0.0.2:53")
	if err != nil || len(got) != 28 {
		t.Fatalf("quoted as %x (%v)", got, err)
	}
	ports := []byte{40000 >> 8, 40000 & 0xff, 0, 53}
	if got[9] != 17 || got[15] != 1 || got[19] != 2 || !slices.Equal(got[20:24], ports) {
		t.Errorf("quoted as %x", got)
	}
	if _, err := c.quote("udp,10.0.0.1:40000"); err == nil {
		t.Error("half a flow is accepted")
	}
}

func TestFloodWantsAControl(t *testing.T) {
	c := call{host: &host{}}
	for _, line := range []string{"5 a b:9 8192", "5 a b:9 8192 -- udp c", "x a b:9 8192 -- udp c d:53"} {
		if err := cmdFlood(c, strings.Fields(line)); err == nil {
			t.Errorf("%q is accepted", line)
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
