package ipam_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/ipam"
)

// show writes addresses as text, "-" for the zero Addr.
func show(addrs [5]netip.Addr) string {
	words := make([]string, len(addrs))
	for i, a := range addrs {
		words[i] = "-"
		if a.IsValid() {
			words[i] = a.String()
		}
	}
	return strings.Join(words, " ")
}

func TestReservedAndCapacity(t *testing.T) {
	tests := []struct {
		prefix   string
		reserved string // network, router, DNS, future, broadcast
		capacity int
	}{
		{"10.0.1.0/24", "10.0.1.0 10.0.1.1 10.0.1.2 10.0.1.3 10.0.1.255", 251},
		{"10.0.0.0/16", "10.0.0.0 10.0.0.1 10.0.0.2 10.0.0.3 10.0.255.255", 65531},
		{"10.0.0.16/28", "10.0.0.16 10.0.0.17 10.0.0.18 10.0.0.19 10.0.0.31", 11},
		{"10.0.0.21/28", "10.0.0.16 10.0.0.17 10.0.0.18 10.0.0.19 10.0.0.31", 11},
		{"255.255.255.240/28", "255.255.255.240 255.255.255.241 255.255.255.242 255.255.255.243 255.255.255.255", 11},
		{"0.0.0.0/0", "0.0.0.0 0.0.0.1 0.0.0.2 0.0.0.3 255.255.255.255", 1<<32 - 5},
		{"10.0.0.0/29", "10.0.0.0 10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.7", 3},
		{"10.0.0.0/30", "10.0.0.0 10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.3", 0},
		{"10.0.0.0/31", "10.0.0.0 10.0.0.1 - - 10.0.0.1", 0},
		{"255.255.255.255/32", "255.255.255.255 - - - 255.255.255.255", 0},
		{"fe80::/64", "- - - - -", 0},
		{"::ffff:10.0.0.0/120", "- - - - -", 0},
	}
	for _, tt := range tests {
		t.Run(tt.prefix, func(t *testing.T) {
			p := netip.MustParsePrefix(tt.prefix)
			all := ipam.Reserved(p)
			if got := show(all); got != tt.reserved {
				t.Errorf("Reserved: %s\n    want: %s", got, tt.reserved)
			}
			one := [5]netip.Addr{ipam.Network(p), ipam.Router(p), ipam.DNS(p), ipam.Future(p), ipam.Broadcast(p)}
			if one != all {
				t.Errorf("one by one: %s; together: %s", show(one), show(all))
			}
			if got := ipam.Capacity(p); got != tt.capacity {
				t.Errorf("Capacity: %d, want %d", got, tt.capacity)
			}
		})
	}
	if got := ipam.Reserved(netip.Prefix{}); got != [5]netip.Addr{} || ipam.Capacity(netip.Prefix{}) != 0 {
		t.Errorf("zero prefix: %s", show(got))
	}
}

func TestIsReserved(t *testing.T) {
	p := netip.MustParsePrefix("10.0.1.0/24")
	names := map[string]string{
		"10.0.1.0":   "network address",
		"10.0.1.1":   "VPC router",
		"10.0.1.2":   "DNS resolver",
		"10.0.1.3":   "address kept for future use",
		"10.0.1.255": "broadcast address",
	}
	for a := p.Addr(); p.Contains(a); a = a.Next() {
		reserved, name := ipam.IsReserved(p, a)
		if want := names[a.String()]; name != want || reserved != (want != "") {
			t.Errorf("%s: %v, %q; want %q", a, reserved, name, want)
		}
	}
	for _, a := range []netip.Addr{{}, netip.MustParseAddr("10.0.2.1"), netip.MustParseAddr("::ffff:10.0.1.1")} {
		if reserved, name := ipam.IsReserved(p, a); reserved {
			t.Errorf("%v is reported as the %s", a, name)
		}
	}
	// The zero Addr stands for "no such address" and must not match itself.
	if reserved, _ := ipam.IsReserved(netip.MustParsePrefix("10.0.0.0/32"), netip.Addr{}); reserved {
		t.Error("the zero Addr is reported as reserved")
	}
}

func TestCheckAddress(t *testing.T) {
	const advice = "; use 10.0.1.4 to 10.0.1.254, or leave the address out"
	tests := []struct {
		addr string
		kind ipam.Kind // 0 if accepted
		want string
	}{
		{"10.0.1.4", 0, ""},
		{"10.0.1.254", 0, ""},
		{"10.0.1.0", ipam.ReservedAddress, `"10.0.1.0": reserved: the network address of 10.0.1.0/24` + advice},
		{"10.0.1.1", ipam.ReservedAddress, `"10.0.1.1": reserved: the VPC router of 10.0.1.0/24` + advice},
		{"10.0.1.2", ipam.ReservedAddress, `"10.0.1.2": reserved: the DNS resolver of 10.0.1.0/24` + advice},
		{"10.0.1.3", ipam.ReservedAddress, `"10.0.1.3": reserved: the address kept for future use of 10.0.1.0/24` + advice},
		{"10.0.1.255", ipam.ReservedAddress, `"10.0.1.255": reserved: the broadcast address of 10.0.1.0/24` + advice},
		{"10.0.2.4", ipam.Outside, `"10.0.2.4": not in the subnet's CIDR 10.0.1.0/24` + advice},
		{"10.0.0.255", ipam.Outside, `"10.0.0.255": not in the subnet's CIDR 10.0.1.0/24` + advice},
		{"::ffff:10.0.1.4", ipam.Syntax, `"::ffff:10.0.1.4": IPv4 written as IPv6; write it as in 10.0.1.10`},
		{"fd00::4", ipam.Family, `"fd00::4": IPv6, but the address must be IPv4; write it as in 10.0.1.10`},
		{"", ipam.Syntax, `"": empty; write it as in 10.0.1.10`},
	}
	for _, p := range []string{"10.0.1.0/24", "10.0.1.77/24"} {
		for _, tt := range tests {
			t.Run(p+" "+tt.addr, func(t *testing.T) {
				a, _ := netip.ParseAddr(tt.addr)
				err := ipam.CheckAddress(netip.MustParsePrefix(p), a)
				if tt.kind == 0 {
					if err != nil {
						t.Errorf("refused: %v", err)
					}
					return
				}
				if e := wantError(t, err, tt.kind); e.Error() != tt.want {
					t.Errorf("got  %v\nwant %s", e, tt.want)
				}
			})
		}
	}
}

func TestCheckAddressInPrefixesThatAreNoSubnet(t *testing.T) {
	a := netip.MustParseAddr("10.0.0.2")
	wantError(t, ipam.CheckAddress(netip.Prefix{}, a), ipam.Outside)
	wantError(t, ipam.CheckAddress(netip.MustParsePrefix("fd00::/64"), a), ipam.Outside)
	wantError(t, ipam.CheckAddress(netip.MustParsePrefix("10.0.0.0/30"), a), ipam.ReservedAddress)
}
