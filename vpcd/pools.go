package vpcd

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/vpcfabric/vpc/dataplane"
	"github.com/vpcfabric/vpc/ipam"
	"github.com/vpcfabric/vpc/vpcd/internal/service"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// DefaultPool is where public addresses come from if nothing is said: a range
// that RFC 2544 keeps out of the internet.
const DefaultPool = "198.18.0.0/24"

// Modes of a public pool, as they stand behind its CIDR. In nat the host
// forwards, and hides the pool behind its own address towards others.
const modeNAT = "nat"

var modesToCome = []string{"arp", "routed"}

// outside is what the configuration says of the world beyond internet gateways.
type outside struct {
	pools, allowed []netip.Prefix
	nat            dataplane.NATConfig
}

func parseOutside(cfg Config) (o outside, err error) {
	if o.nat, err = parseNAT(cfg); err != nil {
		return o, err
	}
	if o.pools, err = parsePools(cfg.PublicPools); err == nil {
		o.allowed, err = parseAllowed(cfg.PublicAllow)
	}
	return o, err
}

// parsePools reads the values of --public-pool, CIDR or CIDR,MODE. Two pools
// share no address: each would give it to somebody.
func parsePools(values []string) ([]netip.Prefix, error) {
	var pools []netip.Prefix
	for _, value := range values {
		p, err := parsePool(value)
		if err != nil {
			return nil, fmt.Errorf("%w: --public-pool %q: %w", ErrRefused, value, err)
		}
		for _, other := range pools {
			if ipam.Overlaps(p, other) {
				return nil, fmt.Errorf("%w: --public-pool %q: it overlaps %s, which is a public pool as well", ErrRefused, value, other)
			}
		}
		pools = append(pools, p)
	}
	return pools, nil
}

func parsePool(value string) (netip.Prefix, error) {
	cidr, mode, given := strings.Cut(value, ",")
	for _, m := range modesToCome {
		if mode == m {
			return netip.Prefix{}, fmt.Errorf("the mode %s is not built yet; use %s", m, modeNAT)
		}
	}
	if given && mode != modeNAT {
		return netip.Prefix{}, fmt.Errorf("there is no mode %q; use %s", mode, modeNAT)
	}
	return ipam.ParsePool(cidr)
}

// parseAllowed reads the values of --public-allow, which may overlap.
func parseAllowed(values []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, value := range values {
		p, err := ipam.ParseRuleCIDR(value)
		if err != nil {
			return nil, fmt.Errorf("%w: --public-allow %q: %w", ErrRefused, value, err)
		}
		out = append(out, p)
	}
	return out, nil
}

// checkPools refuses to begin without the pool of an address that somebody has:
// it would look as if that were still theirs, and nothing would reach it.
func checkPools(st *store.Store, pools []netip.Prefix) error {
	outside := service.OutsidePools(st, pools)
	if len(outside) == 0 {
		return nil
	}
	const shown = 5
	var names []string
	for _, a := range outside[:min(len(outside), shown)] {
		names = append(names, a.String())
	}
	if more := len(outside) - shown; more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return fmt.Errorf("%w: --public-pool: %v without %s, which the store has given out: name their pool too, or release them first under the old one",
		ErrRefused, pools, strings.Join(names, ", "))
}
