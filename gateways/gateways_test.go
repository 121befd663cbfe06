package gateways

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

var update = flag.Bool("update", false, "write the golden files")

var pools = []netip.Prefix{netip.MustParsePrefix("198.18.0.0/24")}

// place is a machine that forwarded nothing before; another one forwarded already.
var place = Host{FirstPort: 32768, LastPort: 51819, Quiet: []string{"wlan0", "eth0", "wlan0"}}

func TestFirewall(t *testing.T) {
	for name, edges := range map[string][]string{
		"one-edge":    {"vpc-0000002a"},
		"two-edges":   {"vpc-000000ff", "vpc-0000002a", "vpc-000000ff"},
		"known-pools": {"vpc-0000002a"},
	} {
		at := place
		if name == "one-edge" {
			at.Quiet = nil
		}
		t.Run(name, func(t *testing.T) {
			got := Firewall("lab", pools, edges, at)
			if name == "known-pools" {
				got = Firewall("lab", pools, edges, at, netip.MustParsePrefix("203.0.113.64/28"), netip.MustParsePrefix("192.0.2.0/24"))
			}
			if len(got) != 1 {
				t.Fatalf("%d tables", len(got))
			}
			path := filepath.Join("testdata", name+".nft")
			if *update {
				if err := os.WriteFile(path, []byte(got["vpc_lab"]), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got["vpc_lab"] != spec.Firewall(want) {
				t.Errorf("have\n%s\nwant\n%s", got["vpc_lab"], want)
			}
		})
	}
}

func TestNoEdgeNoFirewall(t *testing.T) {
	if got := Firewall("lab", pools, nil, place); len(got) != 0 {
		t.Fatalf("%v", got)
	}
}

// TestEdgesDoNotMove: the order in which edges are named changes nothing, and the
// caller's list stays as it is.
func TestEdgesDoNotMove(t *testing.T) {
	edges := []string{"vpc-2", "vpc-1"}
	a := Firewall("lab", pools, edges, place)
	if edges[0] != "vpc-2" {
		t.Errorf("the caller's list became %v", edges)
	}
	if b := Firewall("lab", pools, []string{"vpc-1", "vpc-2"}, place); a["vpc_lab"] != b["vpc_lab"] {
		t.Errorf("%s\nis not\n%s", a, b)
	}
}

// TestEachPoolIsTranslated: the world knows the addresses of none.
func TestEachPoolIsTranslated(t *testing.T) {
	second := netip.MustParsePrefix("198.19.0.0/24")
	got := Firewall("lab", []netip.Prefix{second, pools[0], second}, []string{"vpc-1"}, place)["vpc_lab"]
	for _, p := range []netip.Prefix{pools[0], second} {
		if n := strings.Count(string(got), "ip saddr "+p.String()+" "); n != 5 {
			t.Errorf("%v is in %d rules of\n%s", p, n, got)
		}
	}
}

// TestNeighboursShareNothing: two daemons of one machine.
func TestNeighboursShareNothing(t *testing.T) {
	const id = "vpc-00000000000000001"
	a, b := EdgeName("a", id), EdgeName("b", id)
	if a == b {
		t.Errorf("both call their edge %s", a)
	}
	if !regexp.MustCompile(`^vpc-[0-9a-f]{8}$`).MatchString(a) || a != EdgeName("a", id) {
		t.Errorf("%q", a)
	}
	if _, ok := Firewall("a", pools, []string{a}, place)[spec.FirewallTable("b")]; ok {
		t.Error("one writes the other's table")
	}
}

func TestRouter(t *testing.T) {
	for in, want := range map[string]string{"198.18.0.0/24": "198.18.0.1", "203.0.113.77/28": "203.0.113.65"} {
		if got := Router(netip.MustParsePrefix(in)).String(); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
