// Package gateways builds what surrounds the gateways of VPCs, as data: the
// firewall of a host whose VPCs reach the world through it, and the table and
// settings of a NAT gateway's namespace.
//
// A VPC with an internet gateway has one edge on the host: a device out of which
// its packets come with public addresses of the pool as their sources. In mode
// nat the world does not know the pool, so the host puts its own address in
// their place.
//
// Reviewers check: no rule matches a packet that neither came from an edge of
// ours nor carries an address of our pool, so that the tables of others decide
// about everything else as if ours were not there.
package gateways

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

// EdgeName is what the edge of a VPC is called on the host: "vpc-" and 8
// hexadecimal digits. The host's name is in it, because several daemons of one
// machine, each with its own numbers, share one namespace for their edges.
func EdgeName(host, vpc string) string {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s/%s", host, vpc)
	return fmt.Sprintf("vpc-%08x", h.Sum32())
}

// Router is the host's own address in a pool, the first usable one. It is never
// allocated.
func Router(pool netip.Prefix) netip.Addr { return pool.Masked().Addr().Next() }

// Firewall is the host's table, by its name, for the pools of mode nat and the
// names of the host's edges, both in any order. Without an edge there is none.
func Firewall(host string, pools []netip.Prefix, edges []string) map[string]spec.Firewall {
	if len(edges) == 0 {
		return nil
	}
	table := spec.FirewallTable(host)
	var names, rules []string
	for _, e := range edges {
		names = append(names, fmt.Sprintf("%q", e))
	}
	slices.Sort(names)
	pools = slices.Clone(pools)
	slices.SortFunc(pools, netip.Prefix.Compare)
	for _, p := range slices.Compact(pools) {
		rules = append(rules, fmt.Sprintf(masquerade, p.Masked()))
	}
	elements := strings.Join(slices.Compact(names), ",\n\t\t\t     ")
	return map[string]spec.Firewall{table: spec.Firewall(fmt.Sprintf(firewall, table, elements, strings.Join(rules, "")))}
}

// masquerade is the rule of one pool.
const masquerade = `		ip saddr %s oifname != "lo" oifname != @edges masquerade comment "public addresses, which the world does not know"
`

// firewall of a host. What is for the host itself is refused before anybody's
// destination translation, which could turn it into something that is not: a
// published port of a container is the host's as well. What is left over reaches
// input only as broadcast or multicast. Packets from the host to itself, through
// lo, and those to an edge leave nothing that is ours.
const firewall = `table ip %s {
	set edges {
		type ifname
		elements = { %s }
	}

	chain prerouting {
		type filter hook prerouting priority mangle; policy accept;
		iifname @edges ct state established,related accept comment "answers to the host"
		iifname @edges fib daddr type local drop comment "the host itself, and what it publishes"
	}

	chain input {
		type filter hook input priority filter; policy accept;
		iifname @edges ct state established,related accept comment "answers to the host"
		iifname @edges drop comment "the host itself, by broadcast or multicast"
	}

	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
%s	}
}
`
