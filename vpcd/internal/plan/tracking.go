package plan

import (
	"fmt"

	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// timeouts are those that were set; the others stay 0, the default. One out of
// EC2's bounds is an error: nobody can have asked for it.
func timeouts(c *api.ConnectionTrackingConfiguration) (spec.Timeouts, error) {
	var out spec.Timeouts
	if c == nil {
		return out, nil
	}
	for _, t := range []struct {
		name      string
		seconds   *int32
		low, high int32
		into      *uint32
	}{
		{"TcpEstablishedTimeout", c.TcpEstablishedTimeout, 60, 432000, &out.TCPEstablished},
		{"UdpTimeout", c.UdpTimeout, 30, 60, &out.UDP},
		{"UdpStreamTimeout", c.UdpStreamTimeout, 60, 180, &out.UDPStream},
	} {
		switch s := t.seconds; {
		case s == nil:
		case *s < t.low || *s > t.high:
			return spec.Timeouts{}, fmt.Errorf("its %s of %d s is not from %d to %d", t.name, *s, t.low, t.high)
		default:
			*t.into = uint32(*s)
		}
	}
	return out, nil
}

// cuts are the numbers of rules whose tracked flows shall not outlive them. It
// is up to the data plane which of them it has flows of.
func cuts(w *record.World) map[uint32]bool {
	out := map[uint32]bool{}
	add := func(rules []string) {
		for _, id := range rules {
			out[RuleIndex(id)] = true
		}
	}
	for _, r := range w.Revocations {
		if r.Cut {
			add(r.Rules)
		}
	}
	for _, t := range w.Tombstones {
		add(t.Cut)
	}
	if len(out) == 0 {
		return out
	}
	// Two ids may begin with the same digits: a rule that is there must not lose
	// its flows, again and again, to another that is gone. 0 is no rule.
	delete(out, 0)
	for _, g := range w.Groups {
		for _, r := range g.Rules {
			delete(out, RuleIndex(r.SecurityGroupRuleId))
		}
	}
	return out
}
