package ipam_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vpcfabric/vpc/ipam"
)

// prefixes parses words such as "10.0.0.0/16 10.1.0.0/16".
func prefixes(words string) []netip.Prefix {
	var out []netip.Prefix
	for _, w := range strings.Fields(words) {
		out = append(out, netip.MustParsePrefix(w))
	}
	return out
}

func TestOverlapsAndCovers(t *testing.T) {
	tests := []struct {
		a, b                        string
		overlaps, aCoversB, bCovers bool
	}{
		{"10.0.0.0/16", "10.0.0.0/16", true, true, true},
		{"10.0.0.0/16", "10.0.5.0/24", true, true, false},
		{"10.0.0.0/16", "10.1.0.0/16", false, false, false},
		{"10.0.0.0/24", "10.0.1.0/24", false, false, false},
		{"10.0.0.99/24", "10.0.0.0/25", true, true, false},
		{"0.0.0.0/0", "255.255.255.255/32", true, true, false},
		{"0.0.0.0/0", "::/0", false, false, false},
		{"10.0.0.0/8", "::ffff:10.0.0.0/104", false, false, false},
	}
	for _, tt := range tests {
		a, b := netip.MustParsePrefix(tt.a), netip.MustParsePrefix(tt.b)
		if ipam.Overlaps(a, b) != tt.overlaps || ipam.Overlaps(b, a) != tt.overlaps {
			t.Errorf("%s and %s: overlap is not %v both ways", a, b, tt.overlaps)
		}
		if ipam.Covers(a, b) != tt.aCoversB || ipam.Covers(b, a) != tt.bCovers {
			t.Errorf("%s and %s: covers %v, %v; want %v, %v", a, b,
				ipam.Covers(a, b), ipam.Covers(b, a), tt.aCoversB, tt.bCovers)
		}
	}
	some := netip.MustParsePrefix("0.0.0.0/0")
	if ipam.Overlaps(netip.Prefix{}, some) || ipam.Covers(some, netip.Prefix{}) {
		t.Error("the zero prefix overlaps something")
	}
}

func TestFirstOverlapAndParent(t *testing.T) {
	vpc := prefixes("10.0.0.0/16 10.1.0.0/16 10.1.0.0/20")
	tests := []struct{ p, overlap, parent string }{
		{"10.0.3.0/24", "10.0.0.0/16", "10.0.0.0/16"},
		{"10.1.3.0/24", "10.1.0.0/16", "10.1.0.0/16"},
		{"10.0.0.0/16", "10.0.0.0/16", "10.0.0.0/16"},
		{"10.0.0.0/15", "10.0.0.0/16", "invalid Prefix"}, // across two CIDRs of the VPC
		{"10.2.0.0/24", "invalid Prefix", "invalid Prefix"},
	}
	for _, tt := range tests {
		p := netip.MustParsePrefix(tt.p)
		overlap, overlaps := ipam.FirstOverlap(p, slices.Values(vpc))
		if overlap.String() != tt.overlap || overlaps != overlap.IsValid() {
			t.Errorf("%s: overlap %v, %v; want %s", p, overlap, overlaps, tt.overlap)
		}
		parent, ok := ipam.Parent(p, slices.Values(vpc))
		if parent.String() != tt.parent || ok != parent.IsValid() {
			t.Errorf("%s: parent %v, %v; want %s", p, parent, ok, tt.parent)
		}
	}
}

func TestFreePrefix(t *testing.T) {
	tests := []struct {
		name, parents string
		bits          int
		used, want    string
	}{
		{"empty VPC", "10.0.0.0/16", 24, "", "10.0.0.0/24"},
		{"the whole VPC", "10.0.0.0/16", 16, "", "10.0.0.0/16"},
		{"first gap", "10.0.0.0/16", 24, "10.0.0.0/24 10.0.2.0/24", "10.0.1.0/24"},
		{"order does not matter", "10.0.0.0/16", 24, "10.0.2.0/24 10.0.0.0/24", "10.0.1.0/24"},
		{"aligned past a smaller one", "10.0.0.0/16", 24, "10.0.0.0/28", "10.0.1.0/24"},
		{"one address at the start", "10.0.0.0/24", 26, "10.0.0.0/32", "10.0.0.64/26"},
		{"one address at the end", "10.0.0.0/24", 26, "10.0.0.63/32", "10.0.0.64/26"},
		{"hole too small", "10.0.0.0/16", 23, "10.0.0.0/24 10.0.2.0/24", "10.0.4.0/23"},
		{"nested used", "10.0.0.0/16", 24, "10.0.0.0/20 10.0.1.0/24", "10.0.16.0/24"},
		{"full", "10.0.0.0/28", 28, "10.0.0.0/28", ""},
		{"full of larger", "10.0.0.0/24", 28, "10.0.0.0/16", ""},
		{"larger than the parent", "10.0.0.0/24", 23, "", ""},
		{"secondary when the primary is full", "10.0.0.0/24 10.1.0.0/24", 24, "10.0.0.0/24", "10.1.0.0/24"},
		{"lowest parent first", "10.1.0.0/16 10.0.0.0/16", 24, "", "10.0.0.0/24"},
		{"end of the address space", "255.255.255.0/24", 25, "255.255.255.0/25", "255.255.255.128/25"},
		{"past the end of the address space", "255.255.255.0/24", 25, "255.255.255.0/25 255.255.255.128/25", ""},
		{"everything", "0.0.0.0/0", 0, "", "0.0.0.0/0"},
		{"IPv6 is ignored", "fd00::/8 10.0.0.0/24", 24, "::/0", "10.0.0.0/24"},
		{"host bits are ignored", "10.0.0.9/24", 25, "10.0.0.77/25", "10.0.0.128/25"},
		{"negative length", "10.0.0.0/16", -1, "", ""},
		{"length over 32", "10.0.0.0/16", 33, "", ""},
		{"no parent", "", 24, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := ipam.FreePrefix(prefixes(tt.parents), tt.bits, prefixes(tt.used))
			if ok != (tt.want != "") || ok && got.String() != tt.want {
				t.Errorf("got %v, %v; want %q", got, ok, tt.want)
			}
		})
	}
}

// A VPC of nothing but /28s: 4,096 subnets, handed out in order, then no more.
func TestFreePrefixFillsAVpc(t *testing.T) {
	vpc := prefixes("10.0.0.0/16")
	var used []netip.Prefix
	for a := vpc[0].Addr(); vpc[0].Contains(a); {
		used = append(used, netip.PrefixFrom(a, 28))
		for range 16 {
			a = a.Next()
		}
	}
	for _, n := range []int{0, 1, 2047, 4095} {
		if got, ok := ipam.FreePrefix(vpc, 28, used[:n]); !ok || got != used[n] {
			t.Errorf("after %d subnets: %v, %v; want %v", n, got, ok, used[n])
		}
	}
	if got, ok := ipam.FreePrefix(vpc, 28, used); ok {
		t.Errorf("found %v in a full VPC of %d subnets", got, len(used))
	}
}

// The model marks single addresses of a /24 and tries every aligned place.
func TestFreePrefixIsBruteForce(t *testing.T) {
	small := rapid.Custom(func(t *rapid.T) netip.Prefix {
		// Single addresses on the edges of larger blocks are where searches go wrong.
		edges := rapid.SampledFrom([]byte{0, 1, 31, 32, 63, 64, 127, 128, 191, 192, 254, 255})
		last := rapid.OneOf(edges, rapid.Byte()).Draw(t, "last octet")
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{255, 255, 255, last}), rapid.IntRange(24, 32).Draw(t, "bits"))
	})
	rapid.Check(t, func(t *rapid.T) {
		parents := rapid.SliceOfN(small, 0, 4).Draw(t, "parents")
		used := rapid.SliceOfN(small, 0, 12).Draw(t, "used")
		bits := rapid.IntRange(23, 32).Draw(t, "wanted bits")
		before := slices.Clone(used)
		got, ok := ipam.FreePrefix(parents, bits, used)
		want, wantOK := bruteForce(parents, bits, used)
		if got != want || ok != wantOK {
			t.Fatalf("got %v, %v; brute force finds %v, %v", got, ok, want, wantOK)
		}
		if !slices.Equal(before, used) {
			t.Fatalf("the caller's slice was reordered: %v", used)
		}
	})
}

func bruteForce(parents []netip.Prefix, bits int, used []netip.Prefix) (netip.Prefix, bool) {
	holds := func(list []netip.Prefix, a netip.Addr) bool {
		return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Masked().Contains(a) })
	}
	n := 1 << (32 - bits)
	for start := 0; start+n <= 256; start += n {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{255, 255, 255, byte(start)}), bits)
		inOneParent := slices.ContainsFunc(parents, func(parent netip.Prefix) bool {
			last := netip.AddrFrom4([4]byte{255, 255, 255, byte(start + n - 1)})
			return parent.Masked().Contains(p.Addr()) && parent.Masked().Contains(last)
		})
		free := true
		for i := range n {
			free = free && !holds(used, netip.AddrFrom4([4]byte{255, 255, 255, byte(start + i)}))
		}
		if inOneParent && free {
			return p, true
		}
	}
	return netip.Prefix{}, false
}
