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

// Host is what the table has to know of the machine it is on.
type Host struct {
	// FirstPort to LastPort are what TCP and UDP of public addresses leave with. No
	// service of the host shall be at one of them: what comes to it from where a
	// tenant speaks to would be the tenant's. At least two.
	FirstPort, LastPort uint16
	// Quiet are the uplinks out of which nothing was forwarded before there were
	// gateways, in any order.
	Quiet []string
}

// Firewall is the host's table, by its name, for the pools of mode nat and the
// names of the host's edges, and for pools that are known to the world; all in any
// order. Without an edge there is none.
func Firewall(host string, pools []netip.Prefix, edges []string, at Host, known ...netip.Prefix) map[string]spec.Firewall {
	if len(edges) == 0 {
		return nil
	}
	var refuse, translate, bare strings.Builder
	for _, p := range inOrder(pools) {
		fmt.Fprintf(&refuse, forged, p)
		for _, rule := range []string{
			fmt.Sprintf("ip protocol tcp masquerade to :%d-%d fully-random", at.FirstPort, at.LastPort),
			fmt.Sprintf("ip protocol udp masquerade to :%d-%d fully-random", at.FirstPort, at.LastPort),
			"ip protocol icmp masquerade",
			`drop comment "without ports: an answer could be the host's"`,
		} {
			fmt.Fprintf(&translate, leaving, p, rule)
		}
	}
	for _, p := range inOrder(known) {
		fmt.Fprintf(&bare, untracked, p)
	}
	raw := ""
	if bare.Len() > 0 {
		raw = fmt.Sprintf(chainRaw, bare.String())
	}
	table := spec.FirewallTable(host)
	text := fmt.Sprintf(firewall, table, quoted(edges), raw, refuse.String(), quiet(at.Quiet), translate.String())
	return map[string]spec.Firewall{table: spec.Firewall(text)}
}

func inOrder(pools []netip.Prefix) (out []netip.Prefix) {
	for _, p := range pools {
		out = append(out, p.Masked())
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}

// quoted lists the elements of a set of names.
func quoted(names []string) string {
	var out []string
	for _, e := range names {
		out = append(out, fmt.Sprintf("%q", e))
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), ",\n\t\t\t     ")
}

// quiet is the chain that keeps the machine from forwarding for its neighbours what
// it did not forward before; "" where there is nothing to keep.
func quiet(uplinks []string) string {
	if len(uplinks) == 0 {
		return ""
	}
	uplinks = slices.Clone(uplinks)
	slices.Sort(uplinks)
	rules := ""
	for _, u := range slices.Compact(uplinks) {
		rules += fmt.Sprintf(unforwarded, u)
	}
	return fmt.Sprintf(forward, rules)
}

// EdgePattern matches the names of all edges of the machine, other daemons' as
// well. They know each other's public addresses.
const EdgePattern = "vpc-*"

// forged is the rule about the sources of a pool: they are behind edges and nowhere
// else. Security groups and NAT gateways rest on that.
const forged = `		iifname != @edges iifname != "lo" ip saddr %s drop comment "public addresses are behind edges only"
`

// leaving begins the rules of what the world must not see of a pool.
const leaving = `		ip saddr %s oifname != "lo" oifname != "` + EdgePattern + `" %s
`

const unforwarded = `		iifname %q oifname != "` + EdgePattern + `" drop comment "forwarding was turned on for gateways only"
`

const forward = `	chain forward {
		type filter hook forward priority filter; policy accept;
%s	}

`

// untracked are the rules of one pool that the world knows. Its packets come here
// only where programs leave them to the kernel, in one direction or in both, and
// half a connection would be an invalid one. What is for the host is tracked: that
// is how it knows answers.
const untracked = `		iifname @edges ip saddr %[1]s fib daddr type != local notrack comment "public addresses, which the world knows"
		iifname != @edges ip daddr %[1]s fib daddr type != local notrack comment "public addresses, which the world knows"
`

const chainRaw = `	chain raw {
		type filter hook prerouting priority raw; policy accept;
%s	}

`

// firewall of a host. What is for the host itself is refused before anybody's
// destination translation, which could turn it into something that is not: a
// published port of a container is the host's as well. What is left over reaches
// input only as broadcast or multicast. Packets from the host to itself, through
// lo, and those to an edge leave nothing that is ours. A tenant has no say in the
// port that he leaves with: with a port of the host's own service he would get
// what the world sends to that.
const firewall = `table ip %s {
	set edges {
		type ifname
		elements = { %s }
	}

%s	chain prerouting {
		type filter hook prerouting priority mangle; policy accept;
		iifname @edges ct state established,related accept comment "answers to the host"
		iifname @edges fib daddr type local drop comment "the host itself, and what it publishes"
%s	}

	chain input {
		type filter hook input priority filter; policy accept;
		iifname @edges ct state established,related accept comment "answers to the host"
		iifname @edges drop comment "the host itself, by broadcast or multicast"
	}

%s	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
%s	}
}
`
