package gateways

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

func TestNATTable(t *testing.T) {
	small := DefaultNAT()
	small.FirstPort, small.LastPort = 40000, 40015
	for name, c := range map[string]struct {
		addrs  spec.Addrs
		config NATConfig
	}{
		"nat-one":   {"10.0.1.5", DefaultNAT()},
		"nat-three": {"10.0.1.5,10.0.1.17,10.0.1.200", small},
	} {
		t.Run(name, func(t *testing.T) {
			got := NATTable("lab", c.addrs, c.config)
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
			if len(got) != 1 || got["vpc_lab"] != spec.Firewall(want) {
				t.Errorf("have\n%s\nwant\n%s", got["vpc_lab"], want)
			}
		})
	}
}

// TestForwardingIsLast: until then everything else is in place, and after it only
// what it sets by itself.
func TestForwardingIsLast(t *testing.T) {
	settings := NATSettings(DefaultNAT())
	i := slices.Index(settings, Setting{"net/ipv4/ip_forward", "1"})
	if i < 0 {
		t.Fatal("nothing is forwarded")
	}
	for _, s := range settings[i+1:] {
		if filepath.Base(s.Name) != "accept_redirects" {
			t.Errorf("%s comes after forwarding", s.Name)
		}
	}
	seen := map[string]bool{}
	for _, s := range settings {
		if seen[s.Name] {
			t.Errorf("%s is set twice", s.Name)
		}
		seen[s.Name] = true
	}
}
