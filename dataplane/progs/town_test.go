package progs_test

import (
	"cmp"
	"net/netip"
	"testing"

	"github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

const (
	vpc, otherVPC          spec.VPC        = 7, 8
	red, blue, foreign     spec.SubnetID   = 11, 12, 21
	mainTable, otherRoutes spec.RouteTable = 1, 2

	webGroup, dbGroup spec.Group = 501, 502

	mtu      = 1500
	emptyRow = 9 // a slot with a device and no port
	ghost    = 8 // a slot that an endpoint names and that has no port

	smallTable = 1 << 14 // the usual size takes a while to allocate
)

// The interfaces of the town: two neighbours, one across the router, and one
// in another VPC with the same addresses.
var (
	ann = nic{eni: 101, slot: 0, addr: addr("10.0.1.10"), router: spec.RouterMAC(red), subnet: red}
	bob = nic{eni: 102, slot: 1, addr: addr("10.0.1.11"), router: spec.RouterMAC(red), subnet: red}
	cat = nic{eni: 103, slot: 2, addr: addr("10.0.2.10"), router: spec.RouterMAC(blue), subnet: blue}
	dan = nic{eni: 104, slot: 3, addr: addr("10.0.1.11"), router: spec.RouterMAC(foreign), subnet: foreign}
	// eve has an address in the town and no port on this host.
	eve = nic{eni: 105, slot: ghost, addr: addr("10.0.1.99"), router: spec.RouterMAC(red), subnet: red}

	second = addr("10.0.1.20") // ann's other address
)

var cidrs = map[spec.SubnetID]netip.Prefix{
	red: prefix("10.0.1.0/24"), blue: prefix("10.0.2.0/24"), foreign: prefix("10.0.1.0/24"),
}

// Rules that many tests share.
var (
	anything   = spec.Rule{Protocol: spec.AnyProtocol, FromPort: -1, ToPort: -1, Prefix: prefix("0.0.0.0/0"), ID: 1}
	inTownWeb  = spec.Rule{Protocol: tcp, FromPort: 80, ToPort: 80, Prefix: prefix("10.0.0.0/16"), ID: 2}
	inTownUDP  = spec.Rule{Protocol: udp, FromPort: 0, ToPort: 65535, Prefix: prefix("10.0.0.0/16"), ID: 3}
	inTownPing = spec.Rule{Protocol: icmp, FromPort: echo, ToPort: -1, Prefix: prefix("10.0.0.0/16"), ID: 4}
	allowAll   = spec.Rule{Protocol: spec.AnyProtocol, FromPort: -1, ToPort: -1, Prefix: prefix("0.0.0.0/0"), ID: 100}
	denyRest   = spec.Rule{Protocol: spec.AnyProtocol, FromPort: -1, ToPort: -1, Prefix: prefix("0.0.0.0/0"), ID: 32767, Deny: true}
	anyoneWeb  = spec.Rule{Protocol: tcp, FromPort: 80, ToPort: 80, Prefix: prefix("0.0.0.0/0"), ID: 5}
)

// devices are the ifindexes of the town's ports.
func devices() []int {
	var out []int
	for _, slot := range []int{ann.slot, bob.slot, cat.slot, dan.slot, gate.slot, emptyRow} {
		out = append(out, maps.Slot(slot).Index())
	}
	return out
}

// openTown is a lab with the town in it. Everything may leave; what may enter
// is web, UDP and ping from inside, so every flow is tracked by its receiver.
func openTown(t testing.TB, cfg progs.Config) *lab {
	t.Helper()
	cfg.FlowTable = cmp.Or(cfg.FlowTable, smallTable)
	l := openLab(t, cfg)
	for _, n := range []nic{ann, bob, cat} {
		l.move(n, vpc, mainTable)
	}
	l.move(dan, otherVPC, otherRoutes)
	l.endpoint(vpc, second, ann)
	l.endpoint(vpc, eve.addr, eve)
	l.routes[spec.RouteKey{Table: mainTable, Dest: prefix("10.0.0.0/16")}] = maps.Route{Route: spec.Route{Target: spec.Local}}
	l.routes[spec.RouteKey{Table: mainTable, Dest: prefix("10.0.66.0/24")}] = maps.Route{Route: spec.Route{Target: spec.Blackhole}}
	l.routes[spec.RouteKey{Table: otherRoutes, Dest: prefix("10.0.0.0/16")}] = maps.Route{Route: spec.Route{Target: spec.Local}}
	for _, n := range []nic{ann, bob, cat, dan} {
		l.egress(n, anything)
		l.ingress(n, inTownWeb, inTownUDP, inTownPing)
	}
	l.apply()
	return l
}

// aclOf is the index of a subnet's network ACL.
func aclOf(s spec.SubnetID) spec.ACL { return spec.ACL(100 + s) }

// move gives n a port and its address.
func (l *lab) move(n nic, v spec.VPC, table spec.RouteTable, groups ...spec.Group) {
	l.t.Helper()
	l.ports[maps.Slot(n.slot)] = maps.Port{
		ENI: n.eni, VPC: v, Subnet: n.subnet, Table: table, ACL: aclOf(n.subnet),
		MAC: n.mac(), RouterMAC: n.router, Router: cidrs[n.subnet].Addr().Next(), CIDR: cidrs[n.subnet],
		MTU: mtu, SourceDestCheck: true,
	}
	l.egress(n)
	l.ingress(n)
	l.aclOut(n, allowAll, denyRest)
	l.aclIn(n, allowAll, denyRest)
	l.endpoint(v, n.addr, n, groups...)
}

func (l *lab) endpoint(v spec.VPC, a netip.Addr, n nic, groups ...spec.Group) {
	l.t.Helper()
	set, err := spec.MakeGroups(groups)
	l.must(err)
	l.endpoints[spec.EndpointKey{VPC: v, Addr: a}] = maps.Endpoint{
		Endpoint: spec.Endpoint{ENI: n.eni, Subnet: n.subnet, MAC: n.mac(), Groups: set}, Slot: maps.Slot(n.slot),
	}
	l.touch(n)
}

func (l *lab) rules(rules []spec.Rule) spec.RuleSetID {
	id, set := spec.MakeRuleSet(rules)
	l.sets[id] = set
	return id
}

func (l *lab) egress(n nic, rules ...spec.Rule) {
	l.change(n, func(p *maps.Port) { p.Egress = l.rules(rules) })
}

func (l *lab) ingress(n nic, rules ...spec.Rule) {
	l.change(n, func(p *maps.Port) { p.Ingress = l.rules(rules) })
}

func (l *lab) acl(rules []spec.Rule) spec.RuleSetID {
	id, set := spec.MakeACL(rules)
	l.sets[id] = set
	return id
}

// aclOut and aclIn are one direction of the ACL of n's subnet, as n's port
// knows it.
func (l *lab) aclOut(n nic, rules ...spec.Rule) {
	l.change(n, func(p *maps.Port) { p.ACLOut = l.acl(rules) })
}

func (l *lab) aclIn(n nic, rules ...spec.Rule) {
	l.change(n, func(p *maps.Port) { p.ACLIn = l.acl(rules) })
}

// touch says that something else changed that verdicts about n rest on.
func (l *lab) touch(n nic) {
	l.change(n, func(p *maps.Port) { p.Version++ })
}

func (l *lab) change(n nic, edit func(*maps.Port)) {
	if p, ok := l.ports[maps.Slot(n.slot)]; ok {
		edit(&p)
		l.ports[maps.Slot(n.slot)] = p
	}
}

// vacate takes away n's port and addresses.
func (l *lab) vacate(n nic) {
	delete(l.ports, maps.Slot(n.slot))
	for k, e := range l.endpoints {
		if e.ENI == n.eni {
			delete(l.endpoints, k)
		}
	}
}

// passes demands that frame goes from one interface to another, and that
// nothing else moves.
func (l *lab) passes(from, to nic, frame []byte) result {
	l.t.Helper()
	before := l.counters()
	r := l.send(from, frame)
	want := counters{}
	want["tx "+text(from.eni)]++
	want["rx "+text(to.eni)]++
	l.demand(before, r, sent, want)
	if got := spec.MAC(r.data[:6]); r.verdict == sent && got != to.mac() {
		l.t.Errorf("delivered to %s, want %s", got, to.mac())
	}
	return r
}

// drops demands one drop by name, and that nothing else moves.
func (l *lab) drops(from nic, frame []byte, stage, reason string) {
	l.t.Helper()
	before := l.counters()
	r := l.send(from, frame)
	l.demand(before, r, shot, counters{"drop " + text(from.eni) + " " + stage + "/" + reason: 1})
}

func (l *lab) demand(before counters, r result, verdict uint32, want counters) {
	l.t.Helper()
	got := l.counters().minus(before)
	if r.verdict != verdict || got.String() != want.String() {
		l.t.Errorf("verdict %d, counters [%s]; want verdict %d, counters [%s]", r.verdict, got, verdict, want)
	}
}
