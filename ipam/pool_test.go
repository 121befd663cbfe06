package ipam

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
)

func TestParsePool(t *testing.T) {
	for text, want := range map[string]Kind{
		"198.18.0.0/24": 0, "203.0.113.9/29": 0, "10.0.0.0/8": 0, "192.0.2.0/30": 0,
		"192.0.2.0/31": Range, "192.0.2.1/32": Range, "16.0.0.0/7": Range, "127.0.0.0/24": Range, "224.0.0.0/24": Range,
		"169.254.1.0/24": Range, "0.0.0.0/8": Range, "255.255.255.0/24": Range,
		"": Syntax, "198.18.0.0": Syntax, "2001:db8::/64": Family,
	} {
		p, err := ParsePool(text)
		var refused *Error
		if errors.As(err, &refused); (want == 0) != (err == nil) || err != nil && refused.Kind != want {
			t.Errorf("%q: %s, %v; want %s", text, p, err, want)
		}
	}
}

func TestCheckPool(t *testing.T) {
	p := netip.MustParsePrefix("198.18.0.0/29")
	if have := PoolHost(p); have != netip.MustParseAddr("198.18.0.1") {
		t.Errorf("the host has %s", have)
	}
	for text, want := range map[string]Kind{
		"198.18.0.0": ReservedAddress, "198.18.0.1": ReservedAddress, "198.18.0.2": 0, "198.18.0.6": 0,
		"198.18.0.7": ReservedAddress, "198.18.0.8": Outside, "10.0.0.1": Outside, "::1": Outside,
	} {
		err := CheckPool(p, netip.MustParseAddr(text))
		var refused *Error
		if errors.As(err, &refused); (want == 0) != (err == nil) || err != nil && refused.Kind != want {
			t.Errorf("%s: %v; want %s", text, err, want)
		}
	}
	if CheckPool(p, netip.Addr{}) == nil {
		t.Error("no address is an address of the pool")
	}
}

// TestNextOfPool goes through a pool of five: first those that nobody had, then
// the one that rests longest.
func TestNextOfPool(t *testing.T) {
	p := netip.MustParsePrefix("198.18.0.0/29")
	var claims []Claim
	next := func() string {
		a, err := NextOfPool(p, slices.Values(claims))
		if err != nil {
			if !errors.Is(err, ErrExhausted) {
				t.Fatal(err)
			}
			return "none"
		}
		return a.String()
	}
	for _, want := range []string{"198.18.0.2", "198.18.0.3", "198.18.0.4", "198.18.0.5", "198.18.0.6", "none"} {
		have := next()
		if have != want {
			t.Fatalf("%s is next, want %s", have, want)
		}
		if have != "none" {
			claims = append(claims, Claim{Addr: netip.MustParseAddr(have), InUse: true})
		}
	}
	claims[3] = Claim{Addr: claims[3].Addr, Released: 5}
	claims[1] = Claim{Addr: claims[1].Addr, Released: 9}
	if have := next(); have != "198.18.0.5" {
		t.Errorf("%s is next, and .5 rests longest", have)
	}
	claims[2] = claims[0]
	if _, err := NextOfPool(p, slices.Values(claims)); err == nil {
		t.Error("claims out of order are taken")
	}
}
