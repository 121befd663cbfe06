package ipam_test

import (
	"errors"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vpcfabric/vpc/ipam"
)

// claims parses words such as "10.0.0.4 10.0.0.5-7": in use, released at 7.
func claims(t *testing.T, words string) []ipam.Claim {
	t.Helper()
	var out []ipam.Claim
	for _, w := range strings.Fields(words) {
		text, released, free := strings.Cut(w, "-")
		c := ipam.Claim{Addr: netip.MustParseAddr(text), InUse: !free}
		for _, digit := range released {
			c.Released = c.Released*10 + int64(digit-'0')
		}
		out = append(out, c)
	}
	return out
}

func TestNext(t *testing.T) {
	const (
		full29   = "10.0.0.4 10.0.0.5 10.0.0.6"
		reserved = "10.0.0.0 10.0.0.1 10.0.0.2 10.0.0.3 "
	)
	tests := []struct {
		name, subnet, claims, want string // want "" when exhausted
	}{
		{"empty", "10.0.0.0/28", "", "10.0.0.4"},
		{"the next", "10.0.0.0/28", "10.0.0.4 10.0.0.5", "10.0.0.6"},
		{"a gap", "10.0.0.0/28", "10.0.0.4 10.0.0.6", "10.0.0.5"},
		{"a gap at the start", "10.0.0.0/28", "10.0.0.5 10.0.0.6", "10.0.0.4"},
		{"never used before released", "10.0.0.0/28", "10.0.0.4-1 10.0.0.5", "10.0.0.6"},
		{"the last one", "10.0.0.0/29", "10.0.0.4 10.0.0.5", "10.0.0.6"},
		{"full", "10.0.0.0/29", full29, ""},
		{"reserved claims change nothing", "10.0.0.0/29", reserved + full29 + " 10.0.0.7-1", ""},
		{"other subnets change nothing", "10.0.0.8/29", full29 + " 10.0.0.12 10.0.0.13 10.0.0.20-1", "10.0.0.14"},
		{"IPv6 changes nothing", "10.0.0.0/29", full29 + " fd00::4-1", ""},
		{"the one released", "10.0.0.0/29", "10.0.0.4 10.0.0.5-9 10.0.0.6", "10.0.0.5"},
		{"released longest ago", "10.0.0.0/29", "10.0.0.4-7 10.0.0.5-3 10.0.0.6-5", "10.0.0.5"},
		{"lowest of equals", "10.0.0.0/29", "10.0.0.4-7 10.0.0.5-3 10.0.0.6-3", "10.0.0.5"},
		{"host bits", "10.0.0.6/29", "10.0.0.4", "10.0.0.5"},
		{"end of the address space", "255.255.255.248/29", "255.255.255.252 255.255.255.253", "255.255.255.254"},
		{"no room", "10.0.0.0/30", "", ""},
		{"IPv6 subnet", "fd00::/64", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ipam.Next(netip.MustParsePrefix(tt.subnet), slices.Values(claims(t, tt.claims)))
			if tt.want == "" {
				wantError(t, err, ipam.Exhausted)
				if !errors.Is(err, ipam.ErrExhausted) {
					t.Errorf("%v is not ErrExhausted", err)
				}
				return
			}
			if err != nil || got.String() != tt.want {
				t.Errorf("got %v, %v; want %s", got, err, tt.want)
			}
		})
	}
	_, err := ipam.Next(netip.Prefix{}, slices.Values([]ipam.Claim{}))
	wantError(t, err, ipam.Exhausted)
}

func TestNextRefusesDisorder(t *testing.T) {
	tests := []struct{ name, subnet, claims string }{
		{"descending", "10.0.0.0/24", "10.0.0.4 10.0.0.5 10.0.0.4"},
		{"two owners of one address", "10.0.0.0/24", "10.0.0.4 10.0.0.4-1"},
		{"outside the subnet, after", "10.0.0.0/24", "10.0.0.4 9.0.0.0"},
		{"outside the subnet, before", "10.0.2.0/24", "10.0.1.0 10.0.0.4"},
		{"reserved addresses", "10.0.0.0/24", "10.0.0.0-1 10.0.0.0 10.0.0.4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ipam.Next(netip.MustParsePrefix(tt.subnet), slices.Values(claims(t, tt.claims)))
			e := wantError(t, err, ipam.Unsorted)
			if errors.Is(e, ipam.ErrExhausted) {
				t.Errorf("%v passes for ErrExhausted", e)
			}
		})
	}
}

func TestNextStopsAtTheGap(t *testing.T) {
	var read int
	endless := func(yield func(ipam.Claim) bool) {
		a := netip.MustParseAddr("10.0.0.0")
		for yield(ipam.Claim{Addr: a, InUse: true}) {
			if a = a.Next(); a == netip.MustParseAddr("10.0.0.9") {
				a = a.Next()
			}
			if read++; read > 1000 {
				t.Fatal("still reading after 1000 claims")
			}
		}
	}
	got, err := ipam.Next(netip.MustParsePrefix("10.0.0.0/16"), endless)
	if err != nil || got.String() != "10.0.0.9" || read != 9 {
		t.Errorf("got %v, %v after %d claims; want 10.0.0.9 after 9", got, err, read)
	}
	read = 0 // a full subnet ends the reading too
	if got, err = ipam.Next(netip.MustParsePrefix("10.0.0.16/28"), endless); err == nil || read > 40 {
		t.Errorf("got %v, %v after %d claims; want an error at the end of the subnet", got, err, read)
	}
}

// Constant memory over the largest subnet, and its last address is still found.
func TestNextOverAFullSlash16(t *testing.T) {
	p := netip.MustParsePrefix("10.0.0.0/16")
	upTo := func(last string) iter.Seq[ipam.Claim] {
		end := netip.MustParseAddr(last)
		return func(yield func(ipam.Claim) bool) {
			for a := ipam.Network(p); a.Compare(end) <= 0 && yield(ipam.Claim{Addr: a, InUse: true}); {
				a = a.Next()
			}
		}
	}
	if got, err := ipam.Next(p, upTo("10.0.255.253")); err != nil || got.String() != "10.0.255.254" {
		t.Errorf("got %v, %v; want 10.0.255.254", got, err)
	}
	full := upTo("10.0.255.255")
	allocations := testing.AllocsPerRun(1, func() {
		if _, err := ipam.Next(p, full); !errors.Is(err, ipam.ErrExhausted) {
			t.Errorf("full subnet: %v", err)
		}
	})
	if allocations > 32 {
		t.Errorf("%v allocations for 65,536 claims, want a constant few", allocations)
	}
}

// naiveNext looks at every address of p: the rule as prose, nothing clever.
func naiveNext(p netip.Prefix, owned map[netip.Addr]ipam.Claim) (netip.Addr, bool) {
	var inside []netip.Addr
	for a := p.Masked().Addr(); p.Contains(a); a = a.Next() {
		inside = append(inside, a)
	}
	var best *ipam.Claim
	for _, a := range inside[4 : len(inside)-1] {
		c, used := owned[a]
		if !used {
			return a, true
		}
		if !c.InUse && (best == nil || c.Released < best.Released) {
			best = &c
		}
	}
	if best == nil {
		return netip.Addr{}, false
	}
	return best.Addr, true
}

func sorted(owned map[netip.Addr]ipam.Claim) iter.Seq[ipam.Claim] {
	return func(yield func(ipam.Claim) bool) {
		for _, a := range slices.SortedFunc(maps.Keys(owned), netip.Addr.Compare) {
			if !yield(owned[a]) {
				return
			}
		}
	}
}

// Any set of claims, also of reserved addresses and neighbouring subnets.
func TestNextIsTheModel(t *testing.T) {
	p := netip.MustParsePrefix("10.0.0.32/28")
	rapid.Check(t, func(t *rapid.T) {
		owned := map[netip.Addr]ipam.Claim{}
		density := rapid.IntRange(1, 40).Draw(t, "density") // one in so many stays unused
		for last := byte(24); last < 56; last++ {
			a := netip.AddrFrom4([4]byte{10, 0, 0, last})
			if rapid.IntRange(1, density).Draw(t, "used") == 1 && density > 1 {
				continue
			}
			owned[a] = ipam.Claim{
				Addr:     a,
				InUse:    rapid.Bool().Draw(t, "in use"),
				Released: rapid.Int64Range(-2, 2).Draw(t, "released"),
			}
		}
		got, err := ipam.Next(p, sorted(owned))
		want, ok := naiveNext(p, owned)
		if got != want || ok != (err == nil) || !ok && !errors.Is(err, ipam.ErrExhausted) {
			t.Fatalf("got %v, %v; the model says %v, %v", got, err, want, ok)
		}
	})
}

// The life of a subnet: take, take a requested one, release, in any order.
func TestAllocatorLife(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := netip.PrefixFrom(netip.MustParseAddr("10.0.0.64"), rapid.IntRange(27, 29).Draw(t, "bits"))
		owned := map[netip.Addr]ipam.Claim{}
		var clock int64
		inUse := func() []netip.Addr {
			var out []netip.Addr
			for c := range sorted(owned) {
				if c.InUse {
					out = append(out, c.Addr)
				}
			}
			return out
		}
		take := func(t *rapid.T, a netip.Addr) {
			if owned[a].InUse {
				t.Fatalf("%v given to two owners", a)
			}
			if err := ipam.CheckAddress(p, a); err != nil {
				t.Fatalf("gave out an address that may not be asked for: %v", err)
			}
			owned[a] = ipam.Claim{Addr: a, InUse: true}
		}
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				a, err := ipam.Next(p, sorted(owned))
				want, ok := naiveNext(p, owned)
				if ok != (err == nil) || a != want {
					t.Fatalf("got %v, %v; the model says %v, %v", a, err, want, ok)
				}
				if err == nil {
					take(t, a)
				}
			},
			"take a requested one": func(t *rapid.T) {
				a := netip.AddrFrom4([4]byte{10, 0, 0, 60 + rapid.ByteMax(40).Draw(t, "address")})
				if ipam.CheckAddress(p, a) == nil && !owned[a].InUse {
					take(t, a)
				}
			},
			"release": func(t *rapid.T) {
				if len(inUse()) == 0 {
					t.Skip("nothing to release")
				}
				a := rapid.SampledFrom(inUse()).Draw(t, "address")
				clock++
				owned[a] = ipam.Claim{Addr: a, Released: clock}
			},
			"": func(t *rapid.T) {
				if n := len(inUse()); n > ipam.Capacity(p) {
					t.Fatalf("%d addresses in use, capacity %d", n, ipam.Capacity(p))
				}
			},
		})
	})
}

// Once every address was used, they come back in the order of their release.
func TestReuseFollowsRelease(t *testing.T) {
	p := netip.MustParsePrefix("10.0.0.0/28")
	rapid.Check(t, func(t *rapid.T) {
		owned := map[netip.Addr]ipam.Claim{}
		for range ipam.Capacity(p) {
			a, err := ipam.Next(p, sorted(owned))
			if err != nil {
				t.Fatal(err)
			}
			owned[a] = ipam.Claim{Addr: a, InUse: true}
		}
		all := slices.SortedFunc(maps.Keys(owned), netip.Addr.Compare)
		order := rapid.Permutation(all).Draw(t, "order of release")
		for i, a := range order {
			owned[a] = ipam.Claim{Addr: a, Released: int64(i)}
		}
		for _, want := range order {
			a, err := ipam.Next(p, sorted(owned))
			if err != nil || a != want {
				t.Fatalf("got %v, %v; want %v, released first of those left", a, err, want)
			}
			owned[a] = ipam.Claim{Addr: a, InUse: true}
		}
	})
}
