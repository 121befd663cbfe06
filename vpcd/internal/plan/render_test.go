package plan

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

// render is a plan as text that a person can review: numbers are kept where
// they are keys in the kernel.
func render(p Plan) string {
	var b strings.Builder
	h := p.Spec
	fmt.Fprintf(&b, "host %s revision %d mtu %d\n", h.Name, h.Revision, h.MTU)
	section(&b, "subnets", h.Subnets, func(id spec.SubnetID, s spec.Subnet) string {
		return fmt.Sprintf("%d %s vpc %d %s router %s %s acl %d out %s in %s", id, s.ID, s.VPC, s.CIDR, s.Router, s.MAC,
			s.ACL, s.ACLOut.String()[:8], s.ACLIn.String()[:8])
	})
	section(&b, "ports", h.Ports, func(id spec.ENI, x spec.Port) string { return renderPort(id, x) })
	section(&b, "endpoints", h.Endpoints, func(k spec.EndpointKey, e spec.Endpoint) string {
		return fmt.Sprintf("vpc %d %s -> eni %d subnet %d %s groups %s", k.VPC, k.Addr, e.ENI, e.Subnet, e.MAC, e.Groups)
	})
	section(&b, "rules", h.RuleSets, func(id spec.RuleSetID, s spec.RuleSet) string {
		text := id.String()[:8]
		for _, r := range s.Rules {
			text += "\n    " + r.String()
		}
		return text
	})
	section(&b, "routes", allRoutes(h), func(k spec.RouteKey, r spec.Route) string {
		text := map[spec.Target]string{spec.Local: "local", spec.Blackhole: "blackhole", spec.InternetGateway: "internet gateway", spec.Interface: "interface", spec.PeerVPC: fmt.Sprint("peer vpc ", r.Peer)}[r.Target]
		if r.Via.IsValid() {
			text += " " + r.Via.String()
		}
		return fmt.Sprintf("table %d %s %s", k.Table, k.Dest, text)
	})
	section(&b, "nats", h.NATs, func(e spec.ENI, n spec.NAT) string {
		return fmt.Sprintf("eni %d %s vpc %d addresses %s gateway %s %s mtu %d", e, n.ID, n.VPC, n.Addrs, n.Gateway, n.MAC, n.MTU)
	})
	section(&b, "peerings", h.Peerings, func(k spec.VPCPair, x spec.Peering) string {
		return fmt.Sprintf("vpc %d %s - vpc %d %s", k.A, x.A, k.B, x.B)
	})
	section(&b, "edges", h.Edges, func(v spec.VPC, e spec.Edge) string { return fmt.Sprintf("vpc %d %s", v, e.VPCID) })
	section(&b, "public", h.Public, func(a netip.Addr, x spec.Public) string {
		return fmt.Sprintf("%s -> vpc %d eni %d %s", a, x.VPC, x.ENI, x.Private)
	})
	section(&b, "pools", h.Pools, func(p netip.Prefix, x spec.Pool) string { return fmt.Sprintf("%s %s host %s", p, x.Mode, x.Host) })
	section(&b, "allowed", h.Allowed, func(p netip.Prefix, _ bool) string { return p.String() })
	section(&b, "cuts", h.Cuts, func(rule uint32, _ bool) string { return fmt.Sprintf("%08x", rule) })
	lines(&b, "known", numbers(h.Known))
	lines(&b, "deleted", numbers(h.Gone))
	lines(&b, "without workload", p.Gone)
	lines(&b, "problems", p.Problems)
	return b.String()
}

// allRoutes are the routes of all tables.
func allRoutes(h *spec.Host) map[spec.RouteKey]spec.Route {
	out := map[spec.RouteKey]spec.Route{}
	for table, set := range h.Routes {
		for dest, r := range set.All() {
			out[spec.RouteKey{Table: table, Dest: dest}] = r
		}
	}
	return out
}

func renderPort(id spec.ENI, x spec.Port) string {
	kind := map[spec.Kind]string{spec.Veth: "veth", spec.Tap: "tap", spec.NATGateway: "nat"}[x.Kind]
	text := fmt.Sprintf("%d %s vpc %d subnet %d %s %s in %s inode %d %s %s", id, x.ID, x.VPC, x.Subnet, kind, x.Name, x.Netns.Path, x.Netns.Inode, x.MAC, x.Addr)
	if x.Extra != "" {
		text += " extra " + string(x.Extra)
	}
	if x.Gateway.IsValid() {
		text += " gateway " + x.Gateway.String()
	}
	text += fmt.Sprintf(" table %d egress %s ingress %s", x.Table, x.Egress.String()[:8], x.Ingress.String()[:8])
	if !x.SourceDestCheck {
		text += " no-source-dest-check"
	}
	if x.CutTracked {
		text += " cut"
	}
	if x.Timeouts != (spec.Timeouts{}) {
		text += fmt.Sprintf(" timeouts tcp %d udp %d stream %d", x.Timeouts.TCPEstablished, x.Timeouts.UDP, x.Timeouts.UDPStream)
	}
	return text
}

func section[K comparable, V any](b *strings.Builder, name string, m map[K]V, line func(K, V) string) {
	var out []string
	for k, v := range m {
		out = append(out, line(k, v))
	}
	slices.Sort(out)
	lines(b, name, out)
}

func lines(b *strings.Builder, name string, list []string) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "%s\n", name)
	for _, l := range list {
		fmt.Fprintf(b, "  %s\n", l)
	}
}

func numbers(m map[spec.ENI]bool) []string {
	var out []string
	for _, n := range slices.Sorted(maps.Keys(m)) {
		out = append(out, fmt.Sprint(n))
	}
	return out
}
