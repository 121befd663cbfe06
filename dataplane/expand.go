package dataplane

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"

	"github.com/vpcfabric/vpc/dataplane/ipt"
	"github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/gateways"
)

// bridgeBase is the ifindex of the first subnet's bridge; ports have a lower
// base, in the programs' header.
const bridgeBase = 0x03000000

const netnsDir = "/run/netns/"

// world is every kernel object that one host shall have, kind by kind.
type world struct {
	namespaces  map[string]struct{}
	sysctls     map[nl.SysctlKey]string
	links       map[nl.LinkKey]nl.Link
	rules       map[spec.RuleSetID]struct{}
	content     map[spec.RuleSetID]spec.RuleSet
	routes      map[spec.RouteTable]*routeSet
	tables      map[spec.RouteTable]table
	endpoints   map[spec.EndpointKey]maps.Endpoint
	publics     map[netip.Addr]maps.Public
	filters     map[netip.Prefix]maps.Filter
	attachments map[progs.Attachment]progs.Attached
	policies    map[maps.Slot]maps.Policy
	ports       map[maps.Slot]maps.Port
	bridgePorts map[nl.LinkKey]nl.BridgePort
	addresses   map[nl.AddressKey]struct{}
	firewall    map[string]spec.Firewall
	edges       map[nl.LinkKey]nl.Edge
	ups         map[nl.LinkKey]nl.Up
	neighbours  map[nl.NeighbourKey]spec.MAC
	fdb         map[nl.FDBKey]int
	workloads   map[int]nl.Workload
	forwarding  map[string]bool
	accepts     map[ipt.Rule]struct{}
	hostRoutes  map[netip.Prefix]nl.HostRoute
	nats        map[spec.ENI]nat
	direct
}

// sysctlsOfOurs are set explicitly, because a new namespace inherits what the
// host has: on a Docker host it would route. A port that has lost its program
// meets nothing else: without a strict return path it could have another
// subnet's router answer to an interface there, with a source route likewise;
// and ARP is the programs' business alone. Of rp_filter the kernel takes the
// larger of all's and the bridge's, and 2 is the loose one.
var sysctlsOfOurs = map[string]string{
	"net/ipv4/ip_forward":                   "0",
	"net/ipv4/conf/all/send_redirects":      "0",
	"net/ipv4/conf/default/send_redirects":  "0",
	"net/ipv4/conf/all/accept_redirects":    "0",
	"net/ipv4/conf/all/rp_filter":           "1",
	"net/ipv4/conf/default/rp_filter":       "1",
	"net/ipv4/conf/all/accept_source_route": "0",
	"net/ipv4/conf/all/arp_ignore":          "8",
	"net/ipv6/conf/all/disable_ipv6":        "1",
	"net/ipv6/conf/default/disable_ipv6":    "1",
	"net/ipv6/conf/all/accept_ra":           "0",
	"net/bridge/bridge-nf-call-iptables":    "0",
	"net/bridge/bridge-nf-call-ip6tables":   "0",
	"net/bridge/bridge-nf-call-arptables":   "0",
}

// around is what expansion knows of this host besides the spec.
type around struct {
	netns   func(role string) string
	current func(progs.Role) progs.Attached
	slots   *slots
	// before are the tables of the last time.
	before map[spec.RouteTable]table
	// outside is the namespace in which edges end, and uplinks are its devices
	// towards the world.
	outside     spec.Netns
	outsidePath string
	uplinks     []string
	// devices are all of the host's, where a pool is the world's business.
	devices []nl.Device
	// machine is what else the firewall has to know of it.
	machine gateways.Host
	// local are addresses of its own that gateways do not lead to.
	local []netip.Addr
	// staying says that edges nobody wants are not removed.
	staying bool
}

type expander struct {
	world
	around
	h *spec.Host
	// public and publicsIn are made when they are first asked for.
	public    map[spec.EndpointKey]netip.Addr
	publicsIn map[spec.VPC][]netip.Addr
}

func emptyWorld() world {
	return world{
		namespaces: map[string]struct{}{}, sysctls: map[nl.SysctlKey]string{}, links: map[nl.LinkKey]nl.Link{},
		rules: map[spec.RuleSetID]struct{}{}, routes: map[spec.RouteTable]*routeSet{}, tables: map[spec.RouteTable]table{},
		endpoints: map[spec.EndpointKey]maps.Endpoint{}, publics: map[netip.Addr]maps.Public{}, filters: map[netip.Prefix]maps.Filter{},
		attachments: map[progs.Attachment]progs.Attached{}, policies: map[maps.Slot]maps.Policy{}, ports: map[maps.Slot]maps.Port{},
		bridgePorts: map[nl.LinkKey]nl.BridgePort{}, addresses: map[nl.AddressKey]struct{}{}, edges: map[nl.LinkKey]nl.Edge{},
		ups: map[nl.LinkKey]nl.Up{}, neighbours: map[nl.NeighbourKey]spec.MAC{}, fdb: map[nl.FDBKey]int{}, workloads: map[int]nl.Workload{},
		forwarding: map[string]bool{}, accepts: map[ipt.Rule]struct{}{}, hostRoutes: map[netip.Prefix]nl.HostRoute{},
		nats: map[spec.ENI]nat{}, direct: newDirect(),
	}
}

// expand is pure but for slots, where new owners get theirs.
func expand(h *spec.Host, a around) world {
	x := expander{h: h, around: a, world: emptyWorld()}
	x.content = h.RuleSets
	s := a.slots
	subnets, ports := sorted(h.Subnets), sorted(h.Ports)
	assign(s.subnet, subnets)
	s.assignPeers(endsOf(h))
	s.assignPorts(ports)
	edges := edgesOf(h)
	for _, vpc := range sorted(edges) {
		s.assignPorts([]spec.ENI{spec.EdgeOf(vpc)})
		s.edge[spec.EdgeOf(vpc)] = edges[vpc].VPCID
	}
	for _, id := range subnets {
		x.subnet(id, h.Subnets[id])
	}
	x.routeTables()
	x.peerings()
	versions := x.versions()
	for _, eni := range ports {
		x.port(eni, h.Ports[eni], versions[eni])
	}
	for eni, n := range h.NATs {
		x.nat(eni, n)
	}
	for k, e := range h.Endpoints {
		if slot, local := s.port[e.ENI]; local {
			x.endpoints[k] = maps.Endpoint{Endpoint: e, Slot: slot}
		}
	}
	x.gateways()
	for id, set := range h.RuleSets {
		if len(set.Rules) > 0 { // the empty list needs no entry to refuse everything
			x.rules[id] = struct{}{}
		}
	}
	return x.world
}

func (x *expander) own(role string) string {
	name := x.netns(role)
	x.namespaces[name] = struct{}{}
	for k, v := range sysctlsOfOurs {
		x.sysctls[nl.SysctlKey{Netns: name, Name: k}] = v
	}
	return name
}

func (x *expander) subnet(id spec.SubnetID, s spec.Subnet) {
	inside := x.own(s.VPCID)
	bridge := nl.LinkKey{Netns: inside, Index: bridgeBase + x.slots.subnet[id]}
	x.links[bridge] = nl.Link{Kind: nl.Bridge, Name: fmt.Sprintf("br-%08x", id), Alias: subnetAlias(s.ID, id), MAC: s.MAC, MTU: x.h.MTU}
	x.addresses[nl.AddressKey{Netns: inside, Index: bridge.Index, Prefix: netip.PrefixFrom(s.Router, s.CIDR.Bits())}] = struct{}{}
	x.ups[bridge] = nl.Up{}
}

func (x *expander) port(eni spec.ENI, p spec.Port, version uint32) {
	subnet, ok := x.h.Subnets[p.Subnet]
	if !ok {
		return
	}
	slot := x.slots.port[eni]
	inside := x.netns(subnet.VPCID)
	at := nl.LinkKey{Netns: inside, Index: slot.Index()}
	bridge := bridgeBase + x.slots.subnet[p.Subnet]

	x.links[at] = x.portLink(eni, p)
	x.attachments[progs.Attachment{Index: at.Index, Netns: netnsDir + inside}] = x.current(progs.FromENI)
	x.ports[slot] = x.portEntry(eni, p, subnet, version)
	x.policies[slot] = x.ports[slot].Policy()
	x.bridgePorts[at] = nl.BridgePort{Master: bridge}
	x.ups[at] = nl.Up{}
	x.fdb[nl.FDBKey{Netns: inside, MAC: p.MAC}] = at.Index
	for _, a := range append([]netip.Addr{p.Addr.Addr()}, p.Extra.List()...) {
		x.neighbours[nl.NeighbourKey{Netns: inside, Index: bridge, Addr: a}] = p.MAC
	}
	if p.Kind == spec.Veth && p.Netns != (spec.Netns{}) {
		x.workloads[at.Index] = nl.Workload{
			Netns: p.Netns, Name: p.Name, MAC: p.MAC, MTU: x.h.MTU, Addr: p.Addr, Extra: p.Extra, Gateway: p.Gateway,
		}
	}
}

func (x *expander) portLink(eni spec.ENI, p spec.Port) nl.Link {
	l := nl.Link{
		Kind: nl.Veth, Name: fmt.Sprintf("vpc-%08x", eni), Alias: portAlias(p.ID, eni), MAC: spec.PortMAC(eni), MTU: x.h.MTU,
		Peer: p.Netns, PeerName: p.Name, PeerMAC: p.MAC,
	}
	switch {
	case p.Kind == spec.Tap:
		l.Kind, l.PeerMAC = nl.Tap, spec.MAC{}
	case p.Kind == spec.NATGateway:
		l.Peer, l.PeerName = x.natEnd(eni), gateways.NATDevice
	case p.Netns == (spec.Netns{}):
		l.PeerName, l.PeerMAC = "", spec.MAC{}
	}
	return l
}

func (x *expander) portEntry(eni spec.ENI, p spec.Port, subnet spec.Subnet, version uint32) maps.Port {
	return maps.Port{
		ENI: eni, VPC: p.VPC, Subnet: p.Subnet, Table: p.Table, Egress: p.Egress, Ingress: p.Ingress,
		ACLOut: subnet.ACLOut, ACLIn: subnet.ACLIn, ACL: subnet.ACL,
		MAC: p.MAC, RouterMAC: subnet.MAC, Router: subnet.Router, CIDR: subnet.CIDR,
		MTU: x.h.MTU, Tap: p.Kind == spec.Tap, NAT: p.Kind == spec.NATGateway, SourceDestCheck: p.SourceDestCheck, Cut: p.CutTracked,
		Gateway: x.gatewayOf(p.VPC), Timeouts: p.Timeouts, Version: version,
	}
}

// versions digests, for each port, what its verdicts rest on besides its own
// entry: its addresses and groups, the public addresses that stand for them, what
// gateways let through, and the routes of its table.
func (x *expander) versions() map[spec.ENI]uint32 {
	own := map[spec.ENI][]spec.EndpointKey{}
	for k, e := range x.h.Endpoints {
		own[e.ENI] = append(own[e.ENI], k)
	}
	public, allowed := x.publicOf(), x.allowed()
	out := map[spec.ENI]uint32{}
	var text []byte
	for eni, p := range x.h.Ports {
		keys := own[eni]
		slices.SortFunc(keys, maps.CompareEndpoints)
		h := fnv.New32a()
		for _, k := range keys {
			text = appendAddr(appendAddr(text[:0], k.Addr), public[k])
			for _, g := range x.h.Endpoints[k].Groups {
				text = binary.BigEndian.AppendUint32(text, uint32(g))
			}
			h.Write(text)
		}
		if x.gatewayOf(p.VPC) != 0 {
			fmt.Fprintln(h, allowed, x.local)
		}
		h.Write(binary.BigEndian.AppendUint32(nil, x.tables[p.Table].version))
		out[eni] = h.Sum32()
	}
	return out
}

// appendAddr has as many bytes for every address, none among them.
func appendAddr(b []byte, a netip.Addr) []byte {
	all := a.As16()
	return append(b, all[:]...)
}

// sorted makes slot assignment independent of map order.
func sorted[K ~uint32, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
