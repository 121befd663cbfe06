package dataplane

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"

	"github.com/vpcfabric/vpc/dataplane/ipt"
	"github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/gateways"
)

// gateways adds the internet gateways: inside, a port for each; outside, on the
// host, what lies between it and the world. Without a gateway the host gets
// nothing.
func (x *expander) gateways() {
	edges := edgesOf(x.h)
	for _, vpc := range sorted(edges) {
		x.edge(vpc, edges[vpc])
	}
	x.publicAddresses()
	x.firewall = gateways.Firewall(x.h.Name, x.pools(true), x.edgeNames(), x.machine, x.pools(false)...)
	if len(edges) == 0 {
		return
	}
	for _, p := range x.allowed() {
		x.filters[p] = maps.Allow
	}
	for _, a := range x.local {
		x.filters[netip.PrefixFrom(a, a.BitLen())] = maps.Refuse
	}
	for _, p := range sortedPools(x.h) {
		x.filters[p.Masked()] = maps.Allow                  // also where it is a private one
		x.hostRoutes[p] = nl.HostRoute{Within: x.within(p)} // what nobody has is not asked of the world
	}
	for _, device := range x.uplinks {
		x.forwarding[device] = true
	}
	x.directly()
}

// pools are those of mode nat, or the others.
func (x *expander) pools(nat bool) (out []netip.Prefix) {
	for p, pool := range x.h.Pools {
		if nat == (pool.Mode == spec.PoolNAT) {
			out = append(out, p)
		}
	}
	return out
}

// within is the device whose network a pool is cut out of.
func (x *expander) within(pool netip.Prefix) string {
	if x.h.Pools[pool].Mode != spec.PoolARP {
		return ""
	}
	at, _, _ := segment(x.h, pool, x.devices)
	return at.Name
}

// noRules is the empty list: nothing is refused or let through by a gateway's own
// rules, for it has none.
var noRules, _ = spec.MakeRuleSet(nil)

// anyEdge is iptables' word for all edges of the machine.
var anyEdge = strings.TrimSuffix(gateways.EdgePattern, "*") + "+"

// edge is a port without an interface: the other end is the host's.
func (x *expander) edge(vpc spec.VPC, e spec.Edge) {
	eni := spec.EdgeOf(vpc)
	slot, inside := x.slots.port[eni], x.own(e.VPCID)
	at := nl.LinkKey{Netns: inside, Index: slot.Index()}
	name := gateways.EdgeName(x.h.Name, e.VPCID)

	x.links[at] = nl.Link{
		Kind: nl.Veth, Name: fmt.Sprintf("igw-%08x", vpc), Alias: edgeAlias(e.VPCID, vpc), MAC: spec.PortMAC(eni), MTU: x.h.MTU,
		Peer: x.outside, PeerName: name, PeerMAC: spec.EdgeMAC(vpc),
	}
	x.attachments[progs.Attachment{Index: at.Index, Netns: netnsDir + inside}] = x.current(progs.FromENI)
	x.ports[slot] = maps.Port{
		ENI: eni, VPC: vpc, MAC: spec.EdgeMAC(vpc), RouterMAC: spec.PortMAC(eni), MTU: x.h.MTU, Edge: true,
		Egress: noRules, Ingress: noRules, ACLOut: noRules, ACLIn: noRules,
		Router: netip.IPv4Unspecified(), CIDR: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Version: x.edgeVersion(vpc),
	}
	x.policies[slot] = x.ports[slot].Policy()
	x.ups[at] = nl.Up{}
	x.accepts[ipt.Rule{In: name, Out: anyEdge}] = struct{}{}
	for _, uplink := range x.uplinks {
		x.accepts[ipt.Rule{In: name, Out: uplink}] = struct{}{}
		x.accepts[ipt.Rule{In: uplink, Out: name}] = struct{}{}
	}
	x.edges[at] = nl.Edge{Name: name, Alias: "internet gateway of " + e.VPCID, MAC: spec.EdgeMAC(vpc), MTU: x.h.MTU, Addr: x.hostAddress()}
}

// edgeNames are the edges that the firewall has to know: those that are wanted,
// and those that nobody wants and that stay nevertheless.
func (x *expander) edgeNames() (names []string) {
	for eni, id := range x.slots.edge {
		vpc, _ := eni.Edge()
		if _, wanted := edgesOf(x.h)[vpc]; wanted || x.staying {
			names = append(names, gateways.EdgeName(x.h.Name, id))
		}
	}
	return names
}

// edgesOf are the gateways that can be made: without a pool there is no address
// that one could lead to.
func edgesOf(h *spec.Host) map[spec.VPC]spec.Edge {
	if len(h.Pools) == 0 {
		return nil
	}
	return h.Edges
}

// hostAddress is where the host itself speaks from to public addresses. It is the
// same on all edges, so that none of them takes it along when it goes.
func (x *expander) hostAddress() netip.Addr { return x.h.Pools[sortedPools(x.h)[0]].Host }

func sortedPools(h *spec.Host) []netip.Prefix {
	var out []netip.Prefix
	for p := range h.Pools {
		out = append(out, p)
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return out
}

// publicAddresses leads public addresses whose VPC has a gateway here to their
// interfaces, and back.
func (x *expander) publicAddresses() {
	names := map[spec.VPC]string{}
	for vpc, edge := range edgesOf(x.h) {
		names[vpc] = gateways.EdgeName(x.h.Name, edge.VPCID)
	}
	for key, public := range x.publicOf() {
		e, there := x.endpoints[key]
		name, open := names[key.VPC]
		if !there || !open {
			continue
		}
		e.Public = public
		x.endpoints[key] = e
		x.publics[public] = x.publicEntry(public, key)
		x.hostRoutes[netip.PrefixFrom(public, public.BitLen())] = nl.HostRoute{Device: name}
	}
}

// publicOf is the public address of each private one.
func (x *expander) publicOf() map[spec.EndpointKey]netip.Addr {
	if x.public == nil {
		x.public = make(map[spec.EndpointKey]netip.Addr, len(x.h.Public))
		for public, p := range x.h.Public {
			x.public[spec.EndpointKey{VPC: p.VPC, Addr: p.Private}] = public
		}
	}
	return x.public
}

// gatewayOf is where ports of a VPC find its gateway; 0 is none.
func (x *expander) gatewayOf(vpc spec.VPC) maps.Slot {
	if _, ok := edgesOf(x.h)[vpc]; !ok {
		return 0
	}
	return x.slots.port[spec.EdgeOf(vpc)] + 1
}

// edgeVersion digests what verdicts about a gateway rest on besides its entry.
func (x *expander) edgeVersion(vpc spec.VPC) uint32 {
	h := fnv.New32a()
	var text []byte
	for _, public := range x.publicsOf()[vpc] {
		p := x.h.Public[public]
		text = appendAddr(appendAddr(text[:0], public), p.Private)
		h.Write(binary.BigEndian.AppendUint32(text, uint32(p.ENI)))
	}
	fmt.Fprintln(h, x.allowed(), x.local)
	return h.Sum32()
}

// publicsOf are the public addresses of each VPC, in order.
func (x *expander) publicsOf() map[spec.VPC][]netip.Addr {
	if x.publicsIn != nil {
		return x.publicsIn
	}
	x.publicsIn = map[spec.VPC][]netip.Addr{}
	for public, p := range x.h.Public {
		x.publicsIn[p.VPC] = append(x.publicsIn[p.VPC], public)
	}
	for _, list := range x.publicsIn {
		slices.SortFunc(list, netip.Addr.Compare)
	}
	return x.publicsIn
}

// allowed is the list of networks that gateways may lead to, in order.
func (x *expander) allowed() []netip.Prefix {
	var out []netip.Prefix
	for p := range x.h.Allowed {
		out = append(out, p.Masked())
	}
	out = append(out, sortedPools(x.h)...)
	out = append(out, x.opened()...)
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}
