package cli

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func TestFirstFree(t *testing.T) {
	for _, c := range []struct {
		within, taken []string
		bits          int
		want          string
	}{
		{[]string{"10.0.0.0/16"}, nil, 24, "10.0.0.0/24"},
		{[]string{"10.0.0.0/16"}, []string{"10.0.0.0/24", "10.0.1.0/25"}, 24, "10.0.2.0/24"},
		{[]string{"10.0.0.0/16"}, []string{"10.0.0.0/24"}, 16, ""},
		{[]string{"10.0.0.0/28", "10.1.0.0/16"}, nil, 24, "10.1.0.0/24"},
		{[]string{"255.255.0.0/16"}, []string{"255.255.0.0/17"}, 17, "255.255.128.0/17"},
		{[]string{"255.255.255.240/28"}, []string{"255.255.255.240/28"}, 28, ""},
		{nil, nil, 24, ""},
	} {
		p, ok := firstFree(prefixes(c.within), prefixes(c.taken), c.bits)
		if ok != (c.want != "") || ok && p.String() != c.want {
			t.Errorf("%+v: %v %v", c, p, ok)
		}
	}
}

// TestFirstFreeIsFirst compares with looking at every prefix.
func TestFirstFreeIsFirst(t *testing.T) {
	within := netip.MustParsePrefix("10.0.0.0/24")
	at := func(n, bits int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}), bits).Masked()
	}
	rapid.Check(t, func(t *rapid.T) {
		var taken []netip.Prefix
		for range rapid.IntRange(0, 12).Draw(t, "taken") {
			taken = append(taken, at(rapid.IntRange(0, 255).Draw(t, "at"), rapid.IntRange(25, 28).Draw(t, "size")))
		}
		bits := rapid.IntRange(24, 28).Draw(t, "bits")
		var want netip.Prefix
		for n := 0; n < 256 && !want.IsValid(); n += 1 << (32 - bits) {
			p, free := at(n, bits), true
			for _, o := range taken {
				free = free && !o.Overlaps(p)
			}
			if free {
				want = p
			}
		}
		have, ok := firstFree([]netip.Prefix{within}, taken, bits)
		if ok != want.IsValid() || have != want {
			t.Fatalf("taken %v: have %v, want %v", taken, have, want)
		}
	})
}
