package ipam_test

import (
	"net/netip"
	"strings"
	"testing"
	"unicode"

	"github.com/vpcfabric/vpc/ipam"
)

// FuzzParse feeds one string to every parser. What is accepted must be
// canonical, within the limits of its role and the same network the standard
// library reads; what is refused must be explained in one short printable line.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "/", "10.0.0.0/16", "100.68.0.18/18", "10.0.0.0/33", "10.0.0.0/-1", "0.0.0.0/0", "10.0.0.0/31",
		"10.0.0.0", "010.0.0.0/8", "::ffff:10.0.0.0/104", "fe80::/64", "fe80::1%eth0", "169.254.0.0/16",
		"127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/28", "10.0.0.1", " 10.0.0.1", "\u202e", "\xff\x00%00",
	} {
		f.Add(seed)
	}
	limits := map[string][2]int{"vpc": {16, 28}, "subnet": {16, 28}, "rule": {0, 32}}
	f.Fuzz(func(t *testing.T, s string) {
		accepted := map[string]bool{}
		for name, parse := range parsers() {
			p, err := parse(s)
			if err != nil {
				checkRefusal(t, s, err)
				continue
			}
			accepted[name] = true
			std, stdErr := netip.ParsePrefix(s)
			if stdErr != nil || p != std.Masked() || !p.Addr().Is4() {
				t.Errorf("%s %q: got %v, the standard library says %v, %v", name, s, p, std, stdErr)
			}
			if p.Bits() < limits[name][0] || p.Bits() > limits[name][1] {
				t.Errorf("%s %q: accepted a /%d", name, s, p.Bits())
			}
			if again, err := parse(p.String()); err != nil || again != p {
				t.Errorf("%s %q: not idempotent: %v, %v", name, s, again, err)
			}
		}
		if accepted["vpc"] && !accepted["subnet"] || accepted["subnet"] && !accepted["rule"] {
			t.Errorf("%q: a narrower role accepts what a wider one refuses: %v", s, accepted)
		}
		a, err := ipam.ParseAddr(s)
		if err != nil {
			checkRefusal(t, s, err)
		} else if ipam.Format(a) != s {
			t.Errorf("%q: address is written back as %q", s, ipam.Format(a))
		}
	})
}

func checkRefusal(t *testing.T, s string, err error) {
	e, ok := err.(*ipam.Error)
	if !ok {
		t.Fatalf("%q: error is a %T", s, err)
	}
	if e.Value != s || e.Reason == "" || e.Hint == "" {
		t.Errorf("%q: incomplete error %#v", s, e)
	}
	message := e.Error()
	if len(message) > 1024 || strings.ContainsFunc(message, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("%q: message is long or not printable: %q", s, message)
	}
}
