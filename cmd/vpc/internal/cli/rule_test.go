package cli

import (
	"fmt"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// span writes a traffic as EC2 has it: protocol, from, to.
func span(t traffic) string {
	if t.from == nil {
		return t.protocol
	}
	return fmt.Sprintf("%s %d %d", t.protocol, *t.from, *t.to)
}

func TestParseTraffic(t *testing.T) {
	for text, want := range map[string]string{
		"tcp/443": "tcp 443 443", "tcp/8000-8100": "tcp 8000 8100", "udp/53": "udp 53 53", "tcp": "tcp 0 65535",
		"udp": "udp 0 65535", "6/22": "tcp 22 22", "17": "udp 0 65535", "icmp": "icmp -1 -1", "icmp/8": "icmp 8 -1",
		"icmp/8/0": "icmp 8 0", "1/3/4": "icmp 3 4", "icmpv6/128": "icmpv6 128 -1", "47": "47", "0": "0", "256": "256", "all": "-1", "-1": "-1",
		// The daemon refuses these with EC2's code.
		"tcp/65536": "tcp 65536 65536", "tcp/9-8": "tcp 9 8", "icmp/256": "icmp 256 -1",
	} {
		have, err := parseTraffic(text)
		if err != nil || span(have) != want {
			t.Errorf("%s: %s, %v; want %s", text, span(have), err, want)
		}
	}
	for text, want := range map[string]int{
		"": 2, "tcpp": 2, "TCP/80": 2, "tcp/": 2, "tcp/-1": 2, "tcp/1-": 2, "tcp/-": 2, "tcp/http": 2, "tcp/+1": 2, "tcp/0443": 2, "tcp/1-2-3": 2,
		"tcp/1/2": 2, "tcp/ 1": 2, "tcp/99999999999": 2, "icmp/": 2, "icmp//0": 2, "icmp/8/": 2, "icmp/8-9": 2, "icmp/8/0/1": 2, "all/1": 8, "47/80": 8, "-2": 2, "tcp\n": 2,
	} {
		if _, err := parseTraffic(text); err == nil || explain(err).exit != want {
			t.Errorf("%q: %v, want exit %d", text, err, want)
		}
	}
}

func TestParsePeer(t *testing.T) {
	for text, want := range map[string]peer{
		"10.0.0.0/8": {cidr4: "10.0.0.0/8"}, "0.0.0.0/0": {cidr4: "0.0.0.0/0"}, "::/0": {cidr6: "::/0"}, "sg:web": {group: "web"}, "pl:office": {list: "office"}, "pl-0a1": {list: "pl-0a1"},
		"sg-0a1": {group: "sg-0a1"}, "sg:sg-0a1": {group: "sg-0a1"},
		// The daemon refuses these with EC2's code.
		"10.0.0.0": {cidr4: "10.0.0.0"}, "10.0.0.0/33": {cidr4: "10.0.0.0/33"}, "010.0.0.0/8": {cidr4: "010.0.0.0/8"}, "10.0.0.0/-1": {cidr4: "10.0.0.0/-1"},
		"::ffff:10.0.0.0/104": {cidr6: "::ffff:10.0.0.0/104"},
	} {
		if have, err := parsePeer(text); err != nil || have != want {
			t.Errorf("%s: %+v, %v", text, have, err)
		}
	}
	for text, want := range map[string]int{"": 2, "web": 2, "sg:": 2, "pl:": 2, "10.0.0.0/8 ": 2, "fe80::1%eth0/64": 2, "cafe": 2} {
		if _, err := parsePeer(text); err == nil || explain(err).exit != want {
			t.Errorf("%q: %v, want exit %d", text, err, want)
		}
	}
}

// FuzzParseTraffic: no panic, and what is read and written again means the same.
func FuzzParseTraffic(f *testing.F) {
	for _, seed := range []string{"tcp/443", "tcp/1-2", "icmp/8/0", "icmp", "47", "all", "-1", "tcp/65536", "6/22", "58/1", "tcp/0-65535", "icmp/0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once, err := parseTraffic(text)
		if err != nil {
			if code := explain(err).exit; code != exitUsage && code != api.ExitRefused {
				t.Fatalf("%q: exit %d", text, code)
			}
			return
		}
		again, err := parseTraffic(once.String())
		if err != nil || span(again) != span(once) {
			t.Fatalf("%q is %s, written %s, read again %s: %v", text, span(once), once, span(again), err)
		}
	})
}

func FuzzSafe(f *testing.F) {
	for _, seed := range []string{"web", "a\x1b[0m", "\u202e", "\xff\xfe", "\U000e0001", "\ufffd"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if out := safe(text); safe(out) != out {
			t.Fatalf("%q is shown as %q", text, out)
		}
	})
}
