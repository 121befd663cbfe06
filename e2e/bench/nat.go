package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vpcfabric/vpc/e2e/netns"
)

// Names of the ways out of a VPC, and of what they are compared with.
const (
	natGroup  = "NAT"
	snat      = "nft SNAT"
	snatTwice = "nft SNAT, twice"
	elastic   = "EIP"
	natOut    = "NAT gateway"
	natInside = "NAT gateway, private"
)

var (
	worldAddr  = netip.MustParseAddr("203.0.113.9")
	insideAddr = netip.MustParseAddr("10.0.3.10")
)

// buildNAT makes a host in a namespace with a vpcd and an uplink to a world, and
// beside it what a person would build: a router with one rule that translates.
// What leaves a VPC is translated a second time, by the host, so the opponent is
// there with one router and with two; a private NAT gateway has nobody behind it
// and is compared with one.
func (w *world) buildNAT(ctx context.Context) error {
	if err := w.buildWaysOut(ctx); err != nil {
		return err
	}
	for i, name := range []string{snat, snatTwice} {
		if err := w.buildSNAT(name, i+1); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, p := range w.ways {
		if err := errors.Join(tune(p.from), tune(p.to)); err != nil {
			return err
		}
	}
	return w.tuneTracking()
}

// buildWaysOut begins with the host: its uplink gives the MTU inside.
func (w *world) buildWaysOut(ctx context.Context) error {
	var err error
	spaces := map[string]string{}
	for _, role := range []string{"host", "world", "eip", "app", "db", "behind"} {
		if spaces[role], err = w.space("nat-" + role); err != nil {
			return err
		}
	}
	host, outside := spaces["host"], spaces["world"]
	err = errors.Join(
		all(host, []string{"ip link add uplink type veth peer name uplink netns " + outside, "ip addr add 192.0.2.2/24 dev uplink", "ip link set uplink up"}),
		all(outside, []string{"ip addr add 192.0.2.1/24 dev uplink", fmt.Sprintf("ip addr add %s/32 dev lo", worldAddr), "ip link set uplink up"}),
		all(host, []string{"ip route add default via 192.0.2.1"}))
	if err != nil {
		return err
	}
	if w.gateway, err = startDaemonIn(ctx, host, w.bin, w.dir, w.prefix+"-n"); err != nil {
		return err
	}
	for _, s := range waysOut(spaces) {
		if err := w.gateway.vpc(ctx, strings.Fields(s)...); err != nil {
			return err
		}
	}
	w.ways = append(w.ways, path{elastic, spaces["eip"], outside, worldAddr}, path{natOut, spaces["app"], outside, worldAddr},
		path{natInside, spaces["db"], spaces["behind"], insideAddr})
	w.mtu, err = mtuOf(spaces["app"])
	return err
}

// waysOut are the calls that make a VPC: one workload has an address of its own,
// one is behind a gateway, and one behind it on the way to another subnet.
func waysOut(spaces map[string]string) []string {
	return []string{
		"create out --cidr 10.0.0.0/16",
		"subnet add public --vpc out --cidr 10.0.1.0/24", "subnet add private --vpc out --cidr 10.0.2.0/24",
		"subnet add far --vpc out --cidr 10.0.3.0/24",
		"igw add main --vpc out",
		"rt add public --vpc out", "rt associate public --subnet public", "route add public 0.0.0.0/0 --to igw:main",
		"rt add far --vpc out", "rt associate far --subnet far",
		"eip allocate --address 198.18.0.10", "nat add egress --subnet public --eip 198.18.0.10",
		"route add main 0.0.0.0/0 --to nat:egress --vpc out", "route add main 10.0.3.0/24 --to nat:egress --vpc out",
		"sg allow default --vpc out --in all --from 10.0.0.0/16",
		"attach netns:" + spaces["eip"] + " --subnet public --public",
		"attach netns:" + spaces["app"] + " --subnet private", "attach netns:" + spaces["db"] + " --subnet private",
		"attach netns:" + spaces["behind"] + " --subnet far --ip " + insideAddr.String(),
	}
}

// buildSNAT makes a client, routers in a row that translate to their own
// addresses, and a server.
func (w *world) buildSNAT(name string, routers int) error {
	role := fmt.Sprintf("snat%d-", routers)
	client, err := w.space(role + "c")
	if err != nil {
		return err
	}
	last, err := client, nil
	for i := 0; i <= routers; i++ {
		next, err := w.space(fmt.Sprint(role, i))
		if err != nil {
			return err
		}
		if err := w.hop(last, next, i); err != nil {
			return err
		}
		if i < routers {
			table := "table ip bench { chain post { type nat hook postrouting priority srcnat; oifname \"south\" masquerade; }; }\n"
			if err := errors.Join(run(next, nil, "sysctl", "-qw", "net.ipv4.ip_forward=1"), run(next, strings.NewReader(table), "nft", "-f", "-")); err != nil {
				return err
			}
		}
		last = next
	}
	w.ways = append(w.ways, path{name, client, last, netip.MustParseAddr(fmt.Sprintf("10.9.%d.2", routers))})
	return nil
}

// hop is the i-th link on the way down, whose lower end is the way up.
func (w *world) hop(up, down string, i int) error {
	return errors.Join(
		all(up, []string{fmt.Sprintf("ip link add name south mtu %d type veth peer name north mtu %d netns %s", w.mtu, w.mtu, down),
			fmt.Sprintf("ip addr add 10.9.%d.1/24 dev south", i), "ip link set south up", fmt.Sprintf("ip route replace default via 10.9.%d.2", i)}),
		all(down, []string{fmt.Sprintf("ip addr add 10.9.%d.2/24 dev north", i), "ip link set north up"}))
}

// tuneTracking has connections that were closed forgotten at once, wherever they
// are tracked: to one port of one server there are 64,000, which would be used up
// within one row.
func (w *world) tuneTracking() error {
	spaces, err := filepath.Glob(netns.Path("vpc-" + w.gateway.name + "-nat-*"))
	if err != nil || len(spaces) != 1 {
		return fmt.Errorf("namespaces of a NAT gateway: %q, %w", spaces, err)
	}
	spaces = append(spaces, netns.Path(w.gateway.inside))
	for _, s := range w.spaces {
		if strings.Contains(s, "-snat") {
			spaces = append(spaces, netns.Path(s))
		}
	}
	for _, s := range spaces {
		err := netns.Do(filepath.Base(s), func() error {
			err := os.WriteFile("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_time_wait", []byte("1"), 0)
			if errors.Is(err, os.ErrNotExist) { // nothing is tracked there
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
