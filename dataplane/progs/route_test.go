package progs_test

import (
	"testing"

	"github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// TestThroughAnInterface: everything under a route goes to the interface that it
// names, if that takes what is not its own; what it sends on is judged as its own.
func TestThroughAnInterface(t *testing.T) {
	l := openTown(t, progs.Config{})
	far := nic{addr: addr("203.0.113.9")}
	asks := func(from nic) []byte {
		return from.frame(far, header{src: ann.addr, proto: udp}, udpDatagram(9, 53, 0))
	}
	l.route("203.0.113.0/24", spec.Route{Target: spec.Interface, Via: cat.addr})
	l.ingress(cat, inTownUDP)
	l.apply()
	l.drops(ann, asks(ann), "route", "source_dest_check")

	l.change(cat, func(p *maps.Port) { p.SourceDestCheck = false })
	l.apply()
	l.passes(ann, cat, asks(ann))
	l.passes(ann, cat, asks(ann))
	l.drops(cat, asks(cat), "route", "no_endpoint") // to itself
	// Its answer, as if from there.
	l.passes(cat, ann, cat.frame(ann, header{src: far.addr, proto: udp}, udpDatagram(53, 9, 0)))

	l.aclIn(cat, denyRest)
	l.apply()
	l.drops(ann, asks(ann), "nacl_in", "network_acl")
	l.aclIn(cat, allowAll, denyRest)
	l.ingress(cat)
	l.apply()
	next := ann.frame(far, header{proto: udp}, udpDatagram(10, 53, 0))
	l.drops(ann, next, "ingress", "security_group")
	l.ingress(cat, inTownUDP)

	// Another target counts from the next packet on, and so does none.
	l.change(bob, func(p *maps.Port) { p.SourceDestCheck = false })
	l.route("203.0.113.0/24", spec.Route{Target: spec.Interface, Via: bob.addr})
	l.apply()
	l.passes(ann, bob, ann.frame(far, header{proto: udp}, udpDatagram(10, 53, 0)))
	l.route("203.0.113.0/24", spec.Route{Target: spec.Interface, Via: addr("10.0.2.200")})
	l.apply()
	l.drops(ann, next, "route", "no_endpoint")
}

// TestGroupsBehindAnInterface: a rule that names a group admits its members'
// addresses, and not what is sent through one of them.
func TestGroupsBehindAnInterface(t *testing.T) {
	l := openTown(t, progs.Config{})
	far := nic{addr: addr("203.0.113.9")}
	l.route("203.0.113.0/24", spec.Route{Target: spec.Interface, Via: cat.addr})
	l.change(cat, func(p *maps.Port) { p.SourceDestCheck = false })
	l.endpoint(vpc, cat.addr, cat, dbGroup)
	l.egress(ann, spec.Rule{Protocol: spec.AnyProtocol, FromPort: -1, ToPort: -1, Group: dbGroup, ID: 9})
	l.apply()
	l.passes(ann, cat, ann.frame(cat, header{proto: udp}, udpDatagram(9, 53, 0)))
	l.drops(ann, ann.frame(far, header{proto: udp}, udpDatagram(9, 53, 0)), "egress", "security_group")
}

// TestImpossibleSources: an interface without source check may use any address
// that a host can have.
func TestImpossibleSources(t *testing.T) {
	l := openTown(t, progs.Config{})
	l.ingress(bob, anything)
	l.change(ann, func(p *maps.Port) { p.SourceDestCheck = false })
	l.apply()
	from := func(a string) []byte {
		return ann.frame(bob, header{src: addr(a), proto: udp}, udpDatagram(9, 53, 0))
	}
	l.passes(ann, bob, from("203.0.113.9"))
	for _, a := range []string{"0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "239.1.2.3", "255.255.255.255", bob.addr.String()} {
		l.drops(ann, from(a), "spoof", "anti_spoof")
	}
	quote := ipv4(header{src: bob.addr, dst: ann.addr, proto: udp}, udpDatagram(1, 2, 0))
	l.drops(ann, ann.frame(bob, header{src: addr("127.0.0.1"), proto: icmp}, icmpMessage(unreachable, 3, 0, quote)), "spoof", "anti_spoof")
}

// TestPeer: a route to another VPC leads to interfaces there, by the link between
// the two, whatever else that VPC's routes lead to; the way back is the other's.
func TestPeer(t *testing.T) {
	const link = 600
	l := openGate(t, progs.Config{})
	there := nic{eni: dan.eni, slot: dan.slot, addr: addr("10.7.0.5"), router: dan.router, subnet: foreign}
	l.endpoint(otherVPC, there.addr, there, webGroup)
	l.routes[spec.RouteKey{Table: mainTable, Dest: prefix("10.7.0.0/16")}] = maps.Route{Route: spec.Route{Target: spec.PeerVPC, Peer: otherVPC}, Out: link + 1}
	l.touch(ann)
	l.apply()
	f := flow{from: ann, to: there, proto: tcp, sport: 5, dport: 80}
	handed := func(from, to nic, frame []byte) {
		t.Helper()
		r := l.passes(from, to, frame)
		if r.cb[0] == 0 || r.cb[1] != uint32(to.slot) {
			t.Errorf("handed over with %x", r.cb)
		}
		in := l.run(progs.FromPeer, packet{index: maps.Slot(from.slot).Index(), data: r.data, cb: r.cb})
		if in.verdict != sent || in.cb != [5]uint32{} {
			t.Errorf("at the other end: verdict %d, %x left", in.verdict, in.cb)
		}
	}
	l.ingress(there, inTownWeb, spec.Rule{Protocol: udp, ToPort: 65535, Group: webGroup, ID: 9})
	l.apply()
	handed(ann, there, f.forth(syn))
	l.drops(there, f.back(syn|ack), "route", "no_endpoint") // its own 10.0.0.0/16
	l.routes[spec.RouteKey{Table: otherRoutes, Dest: prefix("10.0.1.10/32")}] = maps.Route{Route: spec.Route{Target: spec.PeerVPC, Peer: vpc}, Out: link + 2}
	l.ports[maps.Slot(there.slot)] = withCIDR(l.ports[maps.Slot(there.slot)], "10.7.0.0/24")
	l.touch(there)
	l.apply()
	handed(there, ann, f.back(syn|ack))
	handed(ann, there, f.forth(ack))
	handed(ann, there, f.forth(ack))

	// Members of a group are known across.
	l.endpoint(vpc, ann.addr, ann, webGroup)
	l.apply()
	handed(ann, there, flow{from: ann, to: there, proto: udp, sport: 5, dport: 53}.forth(0))

	// Nobody there, and nothing beyond.
	l.drops(ann, ann.frame(nic{addr: addr("10.7.0.6")}, header{proto: udp}, udpDatagram(9, 53, 0)), "route", "no_endpoint")
	delete(l.routes, spec.RouteKey{Table: mainTable, Dest: prefix("10.7.0.0/16")})
	l.touch(ann)
	l.apply()
	l.drops(ann, f.forth(ack), "route", "no_public_address")
}

func withCIDR(p maps.Port, cidr string) maps.Port {
	p.CIDR = prefix(cidr)
	p.Router = p.CIDR.Addr().Next()
	return p
}

// handedOver marks what a port's program gives to the link between two VPCs.
const handedOver = 0x76706331

// TestOnlyHandedOver: the link between two VPCs takes nothing that no port's
// program gave it.
func TestOnlyHandedOver(t *testing.T) {
	l := openGate(t, progs.Config{})
	frame := ann.frame(bob, header{proto: udp}, udpDatagram(9, 53, 0))
	for name, cb := range map[string][5]uint32{
		"nothing": {}, "another magic": {handedOver + 1, uint32(bob.slot)}, "no port": {handedOver, emptyRow}, "no slot": {handedOver, 1 << 20}, "a gateway": {handedOver, uint32(gate.slot)},
	} {
		if r := l.run(progs.FromPeer, packet{index: maps.Slot(ann.slot).Index(), data: frame, cb: cb}); r.verdict != shot {
			t.Errorf("%s: verdict %d", name, r.verdict)
		}
	}
	if r := l.run(progs.FromPeer, packet{index: maps.Slot(ann.slot).Index(), data: frame, cb: [5]uint32{handedOver, uint32(bob.slot)}}); r.verdict != sent {
		t.Errorf("a port: verdict %d", r.verdict)
	}
}
