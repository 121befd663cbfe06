package vpcd

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func TestParsePools(t *testing.T) {
	for text, want := range map[string]string{
		"198.18.0.0/24":                   "[198.18.0.0/24]",
		"198.18.0.9/24,nat":               "[198.18.0.0/24]",
		"198.18.0.0/24 203.0.113.0/28":    "[198.18.0.0/24 203.0.113.0/28]",
		"198.18.0.0/24 198.18.0.128/25":   "overlaps 198.18.0.0/24",
		"198.18.0.0/24,nat 198.18.0.0/24": "overlaps 198.18.0.0/24",
		"198.18.0.0/24,arp":               "198.18.0.0/24:arp",
		"198.18.0.0/24,routed":            "198.18.0.0/24:routed",
		"198.18.0.0/24 192.0.2.64/28,arp": "map[192.0.2.64/28:arp 198.18.0.0/24:nat]",
		"198.18.0.0/24,bridge":            `no mode "bridge"`,
		"198.18.0.0/24,":                  `no mode ""`,
		"198.18.0.0":                      "198.18.0.0",
		"198.18.0.0/31":                   "/8 to /30",
		"2001:db8::/64":                   "IPv4",
		"127.0.0.0/24":                    "loopback",
	} {
		pools, modes, err := parsePools(strings.Fields(text))
		have := fmt.Sprint(pools, modes)
		if err != nil {
			have = err.Error()
		}
		if !strings.Contains(have, want) || err != nil && (!errors.Is(err, ErrRefused) || !strings.Contains(have, "--public-pool")) {
			t.Errorf("%s: %s; want %s", text, have, want)
		}
	}
}

func TestParseAllowed(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "[]",
		"192.168.7.9/16 10.0.0.0/8":     "[192.168.0.0/16 10.0.0.0/8]",
		"192.168.0.0/16 192.168.1.0/24": "[192.168.0.0/16 192.168.1.0/24]",
		"192.168.0.1":                   "no prefix length",
		"fd00::/8":                      "IPv4",
		"0.0.0.0/0":                     "/1 to /32",
		"0.0.0.0/1":                     "this network",
		"127.0.0.1/32":                  "loopback",
		"224.0.0.251/32":                "multicast",
		"lan":                           "no prefix length",
	} {
		allowed, err := parseAllowed(strings.Fields(text))
		have := fmt.Sprint(allowed)
		if err != nil {
			have = err.Error()
		}
		if !strings.Contains(have, want) || err != nil && (!errors.Is(err, ErrRefused) || !strings.Contains(have, "--public-allow")) {
			t.Errorf("%s: %s; want %s", text, have, want)
		}
	}
}

// TestLostPool: a daemon does not begin without the pool of an address that
// somebody has, and says which.
func TestLostPool(t *testing.T) {
	cfg := config(t)
	d := start(t, cfg)
	got := do[api.AllocateAddressRequest, api.AllocateAddressResult](t, d, "AllocateAddress", api.AllocateAddressRequest{Address: "198.18.0.77"})
	d.stop(t)
	cfg.PublicPools = []string{"203.0.113.0/24"}
	refused(t, cfg, "--public-pool", got.PublicIp)
	cfg.PublicPools = []string{"203.0.113.0/24", "198.18.0.64/26"}
	d = start(t, cfg)
	do[api.ReleaseAddressRequest, api.ReleaseAddressResult](t, d, "ReleaseAddress", api.ReleaseAddressRequest{AllocationId: got.AllocationId})
	d.stop(t)
	cfg.PublicPools = []string{"203.0.113.0/24"}
	start(t, cfg).host(t)
}
