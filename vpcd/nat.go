package vpcd

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/vpcfabric/vpc/dataplane"
)

// parseNAT reads --nat-ports, FIRST-LAST, and --nat-idle; what is not said is
// AWS's.
func parseNAT(cfg Config) (c dataplane.NATConfig, err error) {
	if cfg.NATPorts != "" {
		first, last, _ := strings.Cut(cfg.NATPorts, "-")
		a, errA := strconv.ParseUint(first, 10, 16)
		b, errB := strconv.ParseUint(last, 10, 16)
		if errA != nil || errB != nil || a < 1024 || b < a {
			return c, fmt.Errorf("%w: --nat-ports %q: want FIRST-LAST, from 1024 to 65535", ErrRefused, cfg.NATPorts)
		}
		c.FirstPort, c.LastPort = uint16(a), uint16(b)
	}
	if cfg.NATIdle != 0 {
		if cfg.NATIdle < time.Second || cfg.NATIdle > 24*time.Hour || cfg.NATIdle%time.Second != 0 {
			return c, fmt.Errorf("%w: --nat-idle %s: want whole seconds, from 1s to 24h", ErrRefused, cfg.NATIdle)
		}
		c.Idle = int(cfg.NATIdle / time.Second)
	}
	return c, nil
}
