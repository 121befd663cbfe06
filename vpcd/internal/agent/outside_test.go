package agent

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

// TestOutside: what the host was told of public addresses gets to its kernel.
func TestOutside(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.cfg.PublicPools = []netip.Prefix{netip.MustParsePrefix("198.18.0.0/24")}
		b.cfg.PoolModes = map[netip.Prefix]spec.Mode{b.cfg.PublicPools[0]: spec.PoolRouted}
		b.cfg.PublicAllow = []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16")}
		b.run(t)
		h := b.kernel.passes()[0]
		if have := fmt.Sprint(h.Pools, h.Allowed); have != "map[198.18.0.0/24:{198.18.0.1 routed}] map[192.168.0.0/16:true]" {
			t.Errorf("the kernel is given %s", have)
		}
	})
}
