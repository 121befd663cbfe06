package vpcd

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vpcfabric/vpc/dataplane"
	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/ipam"
	"github.com/vpcfabric/vpc/vpcd/internal/service"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// DefaultPool is where public addresses come from if nothing is said: a range
// that RFC 2544 keeps out of the internet.
const DefaultPool = "198.18.0.0/24"

// modes of a public pool, as they stand behind its CIDR. The first is that of a
// pool without one.
var modes = []spec.Mode{spec.PoolNAT, spec.PoolARP, spec.PoolRouted}

// outside is what the configuration says of the world beyond internet gateways.
type outside struct {
	pools, allowed []netip.Prefix
	modes          map[netip.Prefix]spec.Mode
	nat            dataplane.NATConfig
}

func parseOutside(cfg Config) (o outside, err error) {
	if o.nat, err = parseNAT(cfg); err != nil {
		return o, err
	}
	if o.pools, o.modes, err = parsePools(cfg.PublicPools); err == nil {
		o.allowed, err = parseAllowed(cfg.PublicAllow)
	}
	return o, err
}

// parsePools reads the values of --public-pool, CIDR or CIDR,MODE. Two pools
// share no address: each would give it to somebody.
func parsePools(values []string) ([]netip.Prefix, map[netip.Prefix]spec.Mode, error) {
	var pools []netip.Prefix
	modes := map[netip.Prefix]spec.Mode{}
	for _, value := range values {
		p, mode, err := parsePool(value)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: --public-pool %q: %w", ErrRefused, value, err)
		}
		for _, other := range pools {
			if ipam.Overlaps(p, other) {
				return nil, nil, fmt.Errorf("%w: --public-pool %q: it overlaps %s, which is a public pool as well", ErrRefused, value, other)
			}
		}
		pools, modes[p] = append(pools, p), mode
	}
	return pools, modes, nil
}

func parsePool(value string) (p netip.Prefix, mode spec.Mode, err error) {
	cidr, name, given := strings.Cut(value, ",")
	if given {
		i := slices.IndexFunc(modes, func(m spec.Mode) bool { return m.String() == name })
		if i < 0 {
			return p, mode, fmt.Errorf("there is no mode %q; use one of %v", name, modes)
		}
		mode = modes[i]
	}
	p, err = ipam.ParsePool(cidr)
	return p, mode, err
}

// parseAllowed reads the values of --public-allow, which may overlap. All at once is
// refused, and so is what no network has: it would open the host itself.
func parseAllowed(values []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, value := range values {
		p, err := ipam.ParseReachableCIDR(value)
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

// firewalls are what the host has that may drop the packets of gateways. Nobody
// can tell from outside, so that it does not make the host less ready.
func firewalls() (warnings []string) {
	chains, err := dataplane.ForwardDrops()
	if err != nil {
		return nil // the data plane says so itself
	}
	for _, c := range chains {
		warnings = append(warnings, "nftables drops by default what is forwarded, in chain "+c+"; see `vpc doctor`")
	}
	return warnings
}
