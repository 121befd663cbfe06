package ipam_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vpcfabric/vpc/ipam"
)

type parser func(string) (netip.Prefix, error)

func parsers() map[string]parser {
	return map[string]parser{
		"vpc": ipam.ParseVpcCIDR, "subnet": ipam.ParseSubnetCIDR, "rule": ipam.ParseRuleCIDR,
	}
}

// wantError fails unless err is an *ipam.Error of the kind.
func wantError(t *testing.T, err error, kind ipam.Kind) *ipam.Error {
	t.Helper()
	var e *ipam.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v (%T), want *ipam.Error of kind %s", err, err, kind)
	}
	if e.Kind != kind {
		t.Fatalf("%v: kind %s, want %s", e, e.Kind, kind)
	}
	return e
}

func TestParseAccepts(t *testing.T) {
	tests := []struct{ in, vpc, subnet, rule string }{ // "" where it is refused
		{"10.0.0.0/16", "10.0.0.0/16", "10.0.0.0/16", "10.0.0.0/16"},
		{"10.0.0.0/28", "10.0.0.0/28", "10.0.0.0/28", "10.0.0.0/28"},
		{"100.68.0.18/18", "100.68.0.0/18", "100.68.0.0/18", "100.68.0.0/18"},
		{"10.0.0.5/24", "10.0.0.0/24", "10.0.0.0/24", "10.0.0.0/24"},
		{"8.8.8.0/24", "8.8.8.0/24", "8.8.8.0/24", "8.8.8.0/24"},
		{"100.64.0.0/16", "100.64.0.0/16", "100.64.0.0/16", "100.64.0.0/16"},
		{"198.19.0.0/16", "198.19.0.0/16", "198.19.0.0/16", "198.19.0.0/16"},
		{"1.0.0.0/16", "1.0.0.0/16", "1.0.0.0/16", "1.0.0.0/16"},
		{"126.255.0.0/16", "126.255.0.0/16", "126.255.0.0/16", "126.255.0.0/16"},
		{"128.0.0.0/16", "128.0.0.0/16", "128.0.0.0/16", "128.0.0.0/16"},
		{"169.253.0.0/16", "169.253.0.0/16", "169.253.0.0/16", "169.253.0.0/16"},
		{"169.255.0.0/16", "169.255.0.0/16", "169.255.0.0/16", "169.255.0.0/16"},
		{"223.255.0.0/16", "223.255.0.0/16", "223.255.0.0/16", "223.255.0.0/16"},
		{"10.0.0.0/15", "", "", "10.0.0.0/15"},
		{"10.0.0.0/29", "", "", "10.0.0.0/29"},
		{"10.0.0.0/31", "", "", "10.0.0.0/31"},
		{"10.0.0.7/32", "", "", "10.0.0.7/32"},
		{"0.0.0.0/0", "", "", "0.0.0.0/0"},
		{"10.1.2.3/0", "", "", "0.0.0.0/0"},
		{"255.255.255.255/32", "", "", "255.255.255.255/32"},
		{"169.254.0.0/16", "", "169.254.0.0/16", "169.254.0.0/16"},
		{"169.254.169.254/28", "", "169.254.169.240/28", "169.254.169.240/28"},
		{"127.0.0.0/16", "", "127.0.0.0/16", "127.0.0.0/16"},
		{"0.0.1.0/24", "", "0.0.1.0/24", "0.0.1.0/24"},
		{"224.0.0.0/16", "", "224.0.0.0/16", "224.0.0.0/16"},
		{"239.255.255.0/24", "", "239.255.255.0/24", "239.255.255.0/24"},
		{"240.0.0.0/16", "", "240.0.0.0/16", "240.0.0.0/16"},
		{"255.255.255.255/28", "", "255.255.255.240/28", "255.255.255.240/28"},
	}
	for _, tt := range tests {
		want := map[string]string{"vpc": tt.vpc, "subnet": tt.subnet, "rule": tt.rule}
		for name, parse := range parsers() {
			t.Run(name+" "+tt.in, func(t *testing.T) {
				got, err := parse(tt.in)
				if want[name] == "" {
					if e := wantError(t, err, ipam.Range); e.Value != tt.in {
						t.Errorf("Value %q, want the input %q", e.Value, tt.in)
					}
					return
				}
				if err != nil || got.String() != want[name] {
					t.Errorf("got %v, %v; want %s", got, err, want[name])
				}
			})
		}
	}
}

// Refused by every parser, whatever the CIDR is for.
func TestParseRefuses(t *testing.T) {
	tests := []struct {
		in     string
		kind   ipam.Kind
		reason string
	}{
		{"", ipam.Syntax, "empty"},
		{"10.0.0.0/33", ipam.Syntax, `prefix length "33" is not a number from 0 to 32`},
		{"10.0.0.0/-1", ipam.Syntax, `prefix length "-1" is not a number from 0 to 32`},
		{"10.0.0.0/+16", ipam.Syntax, `prefix length "+16" is not a number from 0 to 32`},
		{"10.0.0.0/016", ipam.Syntax, `prefix length "016" is not a number from 0 to 32`},
		{"10.0.0.0/", ipam.Syntax, `prefix length "" is not a number from 0 to 32`},
		{"10.0.0.0/16/24", ipam.Syntax, `prefix length "16/24" is not a number from 0 to 32`},
		{"10.0.0.0/255.255.0.0", ipam.Syntax, `prefix length "255.255.0.0" is not a number from 0 to 32`},
		{"10.0.0.0/99999999999999999999", ipam.Syntax, `prefix length "99999999999999999999" is not a number from 0 to 32`},
		{"10.0.0.0", ipam.Syntax, "no prefix length"},
		{"prod", ipam.Syntax, "no prefix length"},
		{"010.0.0.0/8", ipam.Syntax, `octet "010" has a leading zero`},
		{"10.0.00.0/16", ipam.Syntax, `octet "00" has a leading zero`},
		{"0x0a.0.0.0/8", ipam.Syntax, "not an IPv4 CIDR"},
		{"10.0.0/16", ipam.Syntax, "not an IPv4 CIDR"},
		{"10.0.0.0.0/16", ipam.Syntax, "not an IPv4 CIDR"},
		{"10.0.0.256/16", ipam.Syntax, "not an IPv4 CIDR"},
		{"167772160/8", ipam.Syntax, "not an IPv4 CIDR"},
		{"/16", ipam.Syntax, "not an IPv4 CIDR"},
		{"/", ipam.Syntax, "not an IPv4 CIDR"},
		{"-rf", ipam.Syntax, "no prefix length"},
		{"../../etc", ipam.Syntax, "not an IPv4 CIDR"},
		{"$(id)/16", ipam.Syntax, "not an IPv4 CIDR"},
		{" 10.0.0.0/16", ipam.Syntax, "spaces around the value"},
		{"10.0.0.0/16\n", ipam.Syntax, "spaces around the value"},
		{"10.0.0.0 /16", ipam.Syntax, "not an IPv4 CIDR"},
		{"10.0.0.0/16\x00", ipam.Syntax, `prefix length "16\x00" is not a number from 0 to 32`},
		{"10.0.0.0%00/16", ipam.Syntax, `"%" found: an IPv4 value has no zone`},
		{"10.0.0.0%eth0/16", ipam.Syntax, `"%" found: an IPv4 value has no zone`},
		{"\u202e10.0.0.0/16", ipam.Syntax, "not an IPv4 CIDR"},
		{"١٠.0.0.0/16", ipam.Syntax, "not an IPv4 CIDR"},
		{"10.0.0.0∕16", ipam.Syntax, "no prefix length"},
		{"::ffff:10.0.0.0/104", ipam.Syntax, "IPv4 written as IPv6"},
		{"::ffff:10.0.0.0", ipam.Syntax, "IPv4 written as IPv6"},
		{"fe80::1%eth0/64", ipam.Syntax, `"%" found: an IPv4 value has no zone`},
		{"fe80::1%eth0", ipam.Syntax, `"%" found: an IPv4 value has no zone`},
		{"fe80::", ipam.Syntax, "no prefix length"},
	}
	for _, tt := range tests {
		for name, parse := range parsers() {
			t.Run(fmt.Sprintf("%s %q", name, tt.in), func(t *testing.T) {
				got, err := parse(tt.in)
				e := wantError(t, err, tt.kind)
				if e.Reason != tt.reason {
					t.Errorf("reason %s\n  want %s", e.Reason, tt.reason)
				}
				if got.IsValid() || e.Value != tt.in || e.Hint == "" {
					t.Errorf("prefix %v, Value %q, Hint %q", got, e.Value, e.Hint)
				}
			})
		}
	}
}

func TestParseRefusesIPv6(t *testing.T) {
	for _, in := range []string{"fe80::/64", "ff00::/8", "::/0", "2001:db8::/56", "fd00:ec2::/32"} {
		for name, parse := range parsers() {
			t.Run(name+" "+in, func(t *testing.T) {
				_, err := parse(in)
				wantError(t, err, ipam.Family)
			})
		}
	}
}

func TestParseMessages(t *testing.T) {
	tests := []struct {
		parse    parser
		in, want string
	}{
		{ipam.ParseVpcCIDR, "10.0.0.0/8", `"10.0.0.0/8": a VPC CIDR is /16 to /28, this is /8; use 10.0.0.0/16`},
		{ipam.ParseVpcCIDR, "10.1.2.3/30", `"10.1.2.3/30": a VPC CIDR is /16 to /28, this is /30; use 10.1.2.0/28`},
		{ipam.ParseVpcCIDR, "0.0.0.0/0", `"0.0.0.0/0": a VPC CIDR is /16 to /28, this is /0; use another range, as in 10.0.0.0/16`},
		{ipam.ParseVpcCIDR, "240.0.0.0/4", `"240.0.0.0/4": a VPC CIDR is /16 to /28, this is /4; use another range, as in 10.0.0.0/16`},
		{ipam.ParseVpcCIDR, "169.254.0.0/16", `"169.254.0.0/16": a VPC CIDR cannot lie in 169.254.0.0/16 (link-local); use another range, as in 10.0.0.0/16`},
		{ipam.ParseVpcCIDR, "127.0.0.0/24", `"127.0.0.0/24": a VPC CIDR cannot lie in 127.0.0.0/8 (loopback); use another range, as in 10.0.0.0/16`},
		{ipam.ParseVpcCIDR, "fe80::/64", `"fe80::/64": IPv6, but a VPC CIDR must be IPv4; write it as in 10.0.0.0/16`},
		{ipam.ParseSubnetCIDR, "10.0.0.0/29", `"10.0.0.0/29": a subnet CIDR is /16 to /28, this is /29; use 10.0.0.0/28`},
		{ipam.ParseSubnetCIDR, "10.0.1.0", `"10.0.1.0": no prefix length; write it as in 10.0.1.0/24`},
		{ipam.ParseRuleCIDR, "10.0.0.7", `"10.0.0.7": no prefix length; write it as in 203.0.113.7/32`},
		{ipam.ParseRuleCIDR, "\u202e\x1b[2J", `"\u202e\x1b[2J": no prefix length; write it as in 203.0.113.7/32`},
	}
	for _, tt := range tests {
		if _, err := tt.parse(tt.in); err == nil || err.Error() != tt.want {
			t.Errorf("got  %v\nwant %s", err, tt.want)
		}
	}
}

func TestMessageIsBounded(t *testing.T) {
	for _, in := range []string{
		strings.Repeat("é", 5<<20),
		"10.0.0.0/" + strings.Repeat("1", 10<<20),
		strings.Repeat("0", 10<<20) + "/8",
	} {
		_, err := ipam.ParseVpcCIDR(in)
		if e := wantError(t, err, ipam.Syntax); len(e.Error()) > 1024 {
			t.Errorf("message of %d bytes for an input of %d", len(e.Error()), len(in))
		}
	}
}

func TestParseAddr(t *testing.T) {
	for _, in := range []string{"0.0.0.0", "10.0.1.10", "255.255.255.255"} {
		a, err := ipam.ParseAddr(in)
		if err != nil || ipam.Format(a) != in {
			t.Errorf("%s: got %v, %v", in, a, err)
		}
	}
	refused := []struct {
		in     string
		kind   ipam.Kind
		reason string
	}{
		{"", ipam.Syntax, "empty"},
		{"10.0.0", ipam.Syntax, "not an IPv4 address"},
		{"10.0.0.256", ipam.Syntax, "not an IPv4 address"},
		{"10.0.0.1.", ipam.Syntax, "not an IPv4 address"},
		{"0x0a000001", ipam.Syntax, "not an IPv4 address"},
		{"10.0.0.01", ipam.Syntax, `octet "01" has a leading zero`},
		{"10.0.0.1/24", ipam.Syntax, "an address has no prefix length"},
		{" 10.0.0.1", ipam.Syntax, "spaces around the value"},
		{"10.0.0.1%eth0", ipam.Syntax, `"%" found: an IPv4 value has no zone`},
		{"fe80::1%eth0", ipam.Syntax, `"%" found: an IPv4 value has no zone`},
		{"::ffff:10.0.0.1", ipam.Syntax, "IPv4 written as IPv6"},
		{"::1", ipam.Family, "IPv6, but the address must be IPv4"},
	}
	for _, tt := range refused {
		t.Run(tt.in, func(t *testing.T) {
			a, err := ipam.ParseAddr(tt.in)
			e := wantError(t, err, tt.kind)
			if a.IsValid() || e.Reason != tt.reason || e.Value != tt.in || e.Hint == "" {
				t.Errorf("address %v, error %#v; want reason %s", a, e, tt.reason)
			}
		})
	}
}

func TestFormatLeavesOutWhatIsNoIPv4(t *testing.T) {
	for _, a := range []netip.Addr{{}, netip.MustParseAddr("::1"), netip.MustParseAddr("::ffff:10.0.0.1")} {
		if got := ipam.Format(a); got != "" {
			t.Errorf("%v: %q, want nothing", a, got)
		}
	}
}

func TestKindString(t *testing.T) {
	for k := ipam.Syntax; k <= ipam.Unsorted; k++ {
		if s := k.String(); s == "" || strings.HasPrefix(s, "kind(") {
			t.Errorf("kind %d has no name: %q", uint8(k), s)
		}
	}
	if s := (ipam.Unsorted + 1).String(); s != "kind(9)" {
		t.Errorf("unknown kind: %q", s)
	}
}

// The model of canonical form is bit arithmetic on the four octets.
func TestCanonicalForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, bits := rapid.Uint32().Draw(t, "address"), rapid.IntRange(0, 32).Draw(t, "bits")
		masked := n
		for i := range 32 - bits {
			masked &^= 1 << i
		}
		in, want := dotted(n, bits), dotted(masked, bits)
		got, err := ipam.ParseRuleCIDR(in)
		if err != nil || got.String() != want {
			t.Fatalf("%s: got %v, %v; want %s", in, got, err, want)
		}
		again, err := ipam.ParseRuleCIDR(got.String())
		if err != nil || again != got {
			t.Fatalf("not idempotent: %s, then %v, %v", got, again, err)
		}
	})
}

func dotted(n uint32, bits int) string {
	return fmt.Sprintf("%d.%d.%d.%d/%d", n>>24, n>>16&255, n>>8&255, n&255, bits)
}
