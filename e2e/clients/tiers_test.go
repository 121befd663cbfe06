package clients

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/vpcfabric/vpc/e2e/uplink"
	"github.com/vpcfabric/vpc/vpcd/api"
)

// zones of the configuration; each has a subnet of every tier.
const zones = 3

// TestTerraformTiers applies what most people have, and sends from everywhere to
// everywhere: a workload in each of nine subnets, the host, the world.
func TestTerraformTiers(t *testing.T) {
	h := newHost(t)
	laptop, world, pool := h.space("laptop"), h.space("world"), netip.MustParsePrefix(h.pool())
	h.must(uplink.Connect(laptop, world, pool, netip.MustParsePrefix("10.0.0.0/16")))
	h.home = laptop
	h.start("--ec2-listen", loopback)
	tf := newTerraform(h, "tiers")
	tf.must(tf.run("apply", "-no-color", "-auto-approve"))
	empty := func() {
		t.Helper()
		if err := tf.run("plan", "-no-color", "-detailed-exitcode"); err != nil {
			t.Errorf("the plan is not empty: %v", err)
		}
	}
	empty()

	m := &tiers{inPool: pool.Addr().Next()}
	for zone := range zones {
		m.nat[zone] = netip.MustParseAddr(tf.values("nat")[fmt.Sprint(zone)])
	}
	m.places = append(m.attach(h, tf),
		&place{name: "world", tier: "world", ns: world, private: uplink.World},
		&place{name: "laptop", tier: "laptop", ns: laptop, private: uplink.Laptop})
	h.settled()
	m.reach(h)
	h.verify()
	m.reasons(h)
	empty()

	for _, p := range m.places[:len(m.places)-2] {
		h.vpc("detach", "netns:"+p.ns)
	}
	tf.must(tf.run("destroy", "-no-color", "-auto-approve"))
	h.nothing()
}

// reasons wants the intra subnets to be closed for want of a route, and gateways not
// to lead to the host. What that says about shorter ways between public addresses is
// dropped, too.
func (m *tiers) reasons(h *host) {
	h.Helper()
	drops := h.drops(account)
	for _, reason := range []string{"no_route/route", "not_public/route"} {
		if drops[reason] == 0 {
			h.Errorf("nothing was dropped as %s", reason)
		}
	}
	for reason, n := range drops {
		if reason != "no_route/route" && reason != "not_public/route" && reason != "redirect/parse" {
			h.Errorf("%d packets were dropped as %s", n, reason)
		}
	}
}

// attach puts a workload into every subnet. The first public one is that of the
// configuration's interface.
func (m *tiers) attach(h *host, tf *terraform) (places []*place) {
	h.Helper()
	subnets, www := tf.values("subnets"), tf.values("www")
	for _, tier := range []string{"public", "private", "intra"} {
		for zone := range zones {
			p := &place{name: fmt.Sprint(tier, zone), tier: tier, zone: zone}
			p.ns = h.space(p.name)
			args := []string{"attach", "netns:" + p.ns, "--subnet", subnets[p.name]}
			if p.name == "public0" {
				args = []string{"attach", "netns:" + p.ns, "--eni", www["interface"]}
			}
			eni := ask[api.AttachWorkloadResult](h, account, args...).NetworkInterface
			p.private = address(eni)
			if a := eni.Association; a != nil {
				p.public = netip.MustParseAddr(a.PublicIp)
			}
			if p.public.IsValid() != (tier == "public") {
				h.Errorf("%s has the public address %v", p.name, p.public)
			}
			places = append(places, p)
		}
	}
	if got := places[0].public.String(); got != www["public"] {
		h.Errorf("the server has %s, want %s", got, www["public"])
	}
	return places
}
