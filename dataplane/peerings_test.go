package dataplane

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/bpf"
	dmaps "github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// street is VPCs in a row, 10.1.0.0/16 and so on, each with one interface in one
// subnet, each joined with its neighbours and with routes to them.
type street struct {
	d *Dataplane
	h *spec.Host
}

func newStreet(t *testing.T, n int) *street {
	t.Helper()
	d, name := openTest(t)
	open, set := spec.MakeRuleSet([]spec.Rule{{Protocol: spec.AnyProtocol, FromPort: -1, ToPort: -1, Prefix: netip.MustParsePrefix("10.0.0.0/8"), ID: 1}})
	acl, entries := spec.MakeACL(set.Rules)
	s := &street{d, &spec.Host{
		Name: name, MTU: 1450,
		Subnets: map[spec.SubnetID]spec.Subnet{}, Ports: map[spec.ENI]spec.Port{}, Endpoints: map[spec.EndpointKey]spec.Endpoint{},
		RuleSets: map[spec.RuleSetID]spec.RuleSet{open: set, acl: entries}, Routes: map[spec.RouteTable]*spec.RouteSet{},
		Peerings: map[spec.VPCPair]spec.Peering{}, Known: map[spec.ENI]bool{}, Gone: map[spec.ENI]bool{},
	}}
	for i := range n {
		s.house(t, i+1, open, acl)
		if i > 0 {
			s.join(i, i+1)
		}
	}
	return s
}

// house adds the VPC with number i: its subnet, table and interface have the same.
func (s *street) house(t *testing.T, i int, open, acl spec.RuleSetID) {
	t.Helper()
	subnet, eni, vpc := spec.SubnetID(i), spec.ENI(i), spec.VPC(i)
	cidr := netip.MustParsePrefix(fmt.Sprintf("10.%d.1.0/24", i))
	s.h.Subnets[subnet] = spec.Subnet{
		ID: fmt.Sprintf("subnet-%017x", i), VPC: vpc, VPCID: vpcID(i), CIDR: cidr, Router: cidr.Addr().Next(), MAC: spec.RouterMAC(subnet), ACLOut: acl, ACLIn: acl,
	}
	s.h.Ports[eni] = spec.Port{
		ID: fmt.Sprintf("eni-%017x", i), VPC: vpc, Subnet: subnet, Netns: workloadNetns(t, fmt.Sprint(s.h.Name, "h", i)), Name: "eth0", MAC: spec.MACOf(eni),
		Addr: netip.PrefixFrom(house(i), 24), Gateway: s.h.Subnets[subnet].Router, Table: spec.RouteTable(i), Egress: open, Ingress: open, SourceDestCheck: true,
	}
	s.h.Endpoints[spec.EndpointKey{VPC: vpc, Addr: house(i)}] = spec.Endpoint{ENI: eni, Subnet: subnet, MAC: spec.MACOf(eni)}
	putRoute(s.h, to(i, i), spec.Route{Target: spec.Local})
	s.h.Known[eni] = true
}

func vpcID(i int) string { return fmt.Sprintf("vpc-%017x", i) }

func house(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("10.%d.1.10", i)) }

// to is the route in the table of one VPC to the network of another.
func to(table, vpc int) spec.RouteKey {
	return spec.RouteKey{Table: spec.RouteTable(table), Dest: netip.MustParsePrefix(fmt.Sprintf("10.%d.0.0/16", vpc))}
}

func (s *street) join(a, b int) {
	s.h.Peerings[spec.VPCPair{A: spec.VPC(a), B: spec.VPC(b)}] = spec.Peering{A: vpcID(a), B: vpcID(b)}
	putRoute(s.h, to(a, b), spec.Route{Target: spec.PeerVPC, Peer: spec.VPC(b)})
	putRoute(s.h, to(b, a), spec.Route{Target: spec.PeerVPC, Peer: spec.VPC(a)})
}

// part is the end of a peering: routes to it drop, as the planner has them.
func (s *street) part(a, b int) {
	delete(s.h.Peerings, spec.VPCPair{A: spec.VPC(a), B: spec.VPC(b)})
	putRoute(s.h, to(a, b), spec.Route{Target: spec.Blackhole})
	putRoute(s.h, to(b, a), spec.Route{Target: spec.Blackhole})
}

func (s *street) netns(i int) spec.Netns {
	return spec.Netns{Path: netnsDir + s.d.kernel.Netns(vpcID(i))}
}

// settle applies, and wants nothing to be left to do for whoever looks.
func (s *street) settle(t *testing.T) {
	t.Helper()
	if _, err := s.d.Apply(t.Context(), s.h); err != nil {
		t.Fatal(err)
	}
	s.settled(t)
}

func (s *street) settled(t *testing.T) {
	t.Helper()
	before := Writes()
	for _, dirty := range []bool{false, true} {
		if dirty {
			s.d.Dirty()
		}
		if rep, err := s.d.Apply(t.Context(), s.h); err != nil || rep.Writes != 0 || Writes() != before {
			t.Errorf("dirty %v: %d objects, %d kernel writes, %v", dirty, rep.Writes, Writes()-before, err)
		}
	}
	if drift, err := s.d.Verify(t.Context(), s.h); err != nil || len(drift) > 0 {
		t.Errorf("drift %v, %v", drift, err)
	}
}

func (s *street) reaches(t *testing.T, from, to int, want bool) {
	t.Helper()
	if err := ping(s.h.Ports[spec.ENI(from)].Netns, house(to).String()); (err == nil) != want {
		drops, _ := s.d.Read().Drops()
		t.Errorf("%d reaches %d: %v, want %v; %v, drops %+v", from, to, err == nil, want, err, drops)
	}
}

// dropped counts what was dropped of an interface's packets for a reason.
func (s *street) dropped(t *testing.T, eni int, reason string) (n uint64) {
	t.Helper()
	drops, err := s.d.Read().Drops()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range drops {
		if d.ENI == spec.ENI(eni) && d.Reason == reason {
			n += d.Packets
		}
	}
	return n
}

// reopen is the start of the next daemon.
func (s *street) reopen(t *testing.T) {
	t.Helper()
	s.d.Close()
	d, err := Open(t.Context(), s.d.cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.d = d
	t.Cleanup(func() { d.Close() })
}

// TestPeeringCarriesTraffic: neighbours reach each other, both ways, and nobody
// reaches anybody through a neighbour, whatever his routes say.
func TestPeeringCarriesTraffic(t *testing.T) {
	s := newStreet(t, 3)
	putRoute(s.h, to(1, 3), spec.Route{Target: spec.PeerVPC, Peer: 2})
	putRoute(s.h, to(3, 1), spec.Route{Target: spec.PeerVPC, Peer: 2})
	s.settle(t)
	for _, pair := range [][2]int{{1, 2}, {2, 1}, {2, 3}, {3, 2}} {
		s.reaches(t, pair[0], pair[1], true)
	}
	s.reaches(t, 1, 3, false)
	if s.dropped(t, 1, "no_endpoint") == 0 {
		t.Error("what is not there is not counted")
	}
	putRoute(s.h, to(1, 3), spec.Route{Target: spec.PeerVPC, Peer: 3}) // not joined
	s.settle(t)
	s.reaches(t, 1, 3, false)
	// A whole frame, and what does not fit.
	from := s.h.Ports[1].Netns
	in(t, from, "ping -c1 -W1 -M do -s 1422 "+house(2).String())
	if out, err := exec.Command("nsenter", "--net="+from.Path, "ping", "-c1", "-W1", "-M", "do", "-s", "1423", house(2).String()).CombinedOutput(); err == nil {
		t.Errorf("larger than the MTU: %s", out)
	}
	for eni, slot := range s.d.slots.port {
		if _, isPort := s.h.Ports[eni]; !isPort {
			t.Errorf("the link's slot %d is a port", slot)
		}
	}
	if n := len(s.d.phases.entries); n != 3 {
		t.Errorf("%d entries of ports, want 3", n)
	}
}

// TestPeeringNeedsBothRoutes: with one side's route the other side's answers are
// dropped, and counted as that side's.
func TestPeeringNeedsBothRoutes(t *testing.T) {
	for _, lacks := range []int{1, 2} {
		s := newStreet(t, 2)
		other := 3 - lacks
		dropRoute(s.h, to(lacks, other))
		s.settle(t)
		s.reaches(t, 1, 2, false)
		s.reaches(t, 2, 1, false)
		if s.dropped(t, lacks, "no_route") == 0 || s.dropped(t, other, "no_route") != 0 {
			t.Errorf("%d has no route; dropped for that: %d of its packets, %d of the other's", lacks, s.dropped(t, lacks, "no_route"), s.dropped(t, other, "no_route"))
		}
		putRoute(s.h, to(lacks, other), spec.Route{Target: spec.PeerVPC, Peer: spec.VPC(other)})
		s.settle(t)
		s.reaches(t, 1, 2, true)
	}
}

// TestPeeringEnds: routes that lead nowhere drop from the moment of the change on,
// what was tracked as well, and nothing of the link is left.
func TestPeeringEnds(t *testing.T) {
	s := newStreet(t, 3)
	s.settle(t)
	flow := s.talk(t, 1, 2)
	flow.answered(t, true)
	s.part(1, 2)
	s.settle(t)
	flow.answered(t, false)
	s.reaches(t, 2, 1, false)
	s.reaches(t, 2, 3, true)
	if s.dropped(t, 1, "blackhole") == 0 {
		t.Error("what a dead route takes is not counted")
	}
	for i, want := range map[int]int{1: 0, 2: 1, 3: 1} {
		if links := in(t, s.netns(i), "ip -br link"); strings.Count(links, "pcx-") != want {
			t.Errorf("VPC %d has not %d links to others:\n%s", i, want, links)
		}
	}
	if n := len(s.d.slots.peer); n != 2 {
		t.Errorf("%d slots are kept, want 2", n)
	}
	s.join(1, 2)
	s.settle(t)
	flow.answered(t, true)
	// The route stays, and only the link goes: the numbers of its ends may be
	// others' next, so no flow may go on using them.
	delete(s.h.Peerings, spec.VPCPair{A: 1, B: 2})
	before := s.dropped(t, 1, "no_endpoint")
	s.settle(t)
	flow.answered(t, false)
	if n := s.dropped(t, 1, "no_endpoint") - before; n != 1 {
		t.Errorf("%d packets have no way out, want 1", n)
	}
}

// TestPeerLeaves: flows to an interface that is no more end, as they do within a
// VPC.
func TestPeerLeaves(t *testing.T) {
	s := newStreet(t, 2)
	second := netip.MustParseAddr("10.2.1.20")
	give := func(addrs ...netip.Addr) {
		p := s.h.Ports[2]
		p.Extra = spec.MakeAddrs(addrs)
		s.h.Ports[2] = p
		delete(s.h.Endpoints, spec.EndpointKey{VPC: 2, Addr: second})
		for _, a := range addrs {
			s.h.Endpoints[spec.EndpointKey{VPC: 2, Addr: a}] = spec.Endpoint{ENI: 2, Subnet: 2, MAC: spec.MACOf(2)}
		}
	}
	give(second)
	s.settle(t)
	flow := s.talkTo(t, 1, second)
	flow.answered(t, true)
	give()
	s.settle(t)
	flow.answered(t, false)
	s.reaches(t, 1, 2, true)
	give(second)
	s.settle(t)
	flow.answered(t, true)
}

// TestPeeringOutlivesTheDaemon: the next one finds the slots of both ends, writes
// nothing and loses no packet.
func TestPeeringOutlivesTheDaemon(t *testing.T) {
	s := newStreet(t, 3)
	s.settle(t)
	flow := s.talk(t, 1, 2)
	before := s.d.slots.peer
	s.reopen(t)
	flow.answered(t, true)
	if len(s.d.slots.peer) != 4 {
		t.Errorf("%v is known of %v", s.d.slots.peer, before)
	}
	for end, slot := range before {
		if got, ok := s.d.slots.peer[end]; !ok || got != slot {
			t.Errorf("the end %v has slot %d, was %d", end, got, slot)
		}
	}
	if rep, err := s.d.Apply(t.Context(), s.h); err != nil || rep.Writes != 0 {
		t.Errorf("the next daemon wrote %d objects, %v", rep.Writes, err)
	}
	s.settled(t)
	flow.answered(t, true)
}

// TestPeeringIsHealed: whatever end of a link is gone or closed, or has lost its
// program, is seen and comes back.
func TestPeeringIsHealed(t *testing.T) {
	s := newStreet(t, 2)
	s.settle(t)
	for _, in1 := range []int{1, 2} {
		name := fmt.Sprintf("pcx-%08x", 3-in1)
		for what, do := range map[string]func(){
			"deleted": func() { in(t, s.netns(in1), "ip link del "+name) },
			"down":    func() { in(t, s.netns(in1), "ip link set "+name+" down") },
			"renamed": func() { in(t, s.netns(in1), "ip link set "+name+" name other") },
			"program": func() {
				slot := s.d.slots.peer[peerEnd{vpcID(in1), vpcID(3 - in1)}]
				run(t, "rm", fmt.Sprintf("%s/links/from_peer-%d", Pins(s.h.Name), slot.Index()))
			},
		} {
			do()
			if drift, err := s.d.Verify(t.Context(), s.h); err != nil || len(drift) == 0 {
				t.Errorf("VPC %d, %s: verify sees %v, %v", in1, what, drift, err)
			}
			s.d.Dirty()
			s.settle(t)
			s.reaches(t, 1, 2, true)
			s.reaches(t, 2, 1, true)
		}
	}
}

// TestPeeringAfterACrash: whatever was the last thing that a daemon did.
func TestPeeringAfterACrash(t *testing.T) {
	s := newStreet(t, 2)
	for _, last := range []string{"before put link", "after put link", "before put program", "after put program", "before put up", "after put port"} {
		ctx, stop := context.WithCancel(t.Context())
		s.d.phases.crash = func(step string) {
			if step == last {
				stop()
			}
		}
		if _, err := s.d.Apply(ctx, s.h); err == nil {
			t.Errorf("%s: the end of the daemon has no consequence", last)
		}
		stop()
		s.reopen(t)
		s.settle(t)
		s.reaches(t, 1, 2, true)
		all := s.h.Peerings
		s.h.Peerings = nil
		s.settle(t)
		s.reaches(t, 1, 2, false)
		s.h.Peerings = all
	}
}

// TestHalfAPair: an end that is left from something else, or a pair whose numbers
// nobody remembers, gives way.
func TestHalfAPair(t *testing.T) {
	s := newStreet(t, 2)
	all := s.h.Peerings
	s.h.Peerings = nil
	s.settle(t)
	in(t, s.netns(1), "ip link add pcx-00000002 index 16777300 type veth peer name left netns "+strings.TrimPrefix(s.netns(2).Path, netnsDir))
	in(t, s.netns(2), "ip link add pcx-00000001 index 16777301 type bridge")
	s.h.Peerings = all
	s.d.Dirty()
	s.settle(t)
	s.reaches(t, 1, 2, true)
	for end := range s.d.slots.peer {
		for _, l := range s.links(t) {
			if strings.HasPrefix(l.Alias, peerAlias) && l.Alias != end.alias() {
				t.Errorf("an end says %q", l.Alias)
			}
		}
	}
}

func (s *street) links(t *testing.T) map[nl.LinkKey]nl.Link {
	t.Helper()
	links, err := s.d.kernel.Drivers().Links.Observe(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return links
}

// TestSlotsOfPeers: ports and links between VPCs share the numbers, and after a
// failure a link's number is nobody else's.
func TestSlotsOfPeers(t *testing.T) {
	end := peerEnd{vpcID(1), vpcID(2)}
	key := func(netns, slot int) nl.LinkKey {
		return nl.LinkKey{Netns: "vpc-h-" + vpcID(netns), Index: bpf.PortBase + slot}
	}
	s := readSlots(map[nl.LinkKey]nl.Link{
		key(1, 0): {Alias: "eni-00000000000000001 1"}, key(1, 1): {Alias: end.alias()}, key(2, 3): {Alias: end.alias()},
		key(2, 1): {Alias: "eni-00000000000000002 2"}, key(3, 5): {Alias: end.alias()},
	})
	if s.peer[end] != 1 || s.peer[end.other()] != 3 || s.port[1] != 0 || len(s.peer) != 2 {
		t.Errorf("read %+v", s)
	}
	if s.port[2] != 2 {
		t.Errorf("who came second to slot 1 has %d", s.port[2])
	}
	s.assignPorts([]spec.ENI{3})
	s.assignPeers([]peerEnd{{vpcID(1), vpcID(3)}, {vpcID(3), vpcID(1)}})
	used := map[dmaps.Slot]bool{}
	for _, slot := range s.port {
		used[slot] = true
	}
	for _, slot := range s.peer {
		used[slot] = true
	}
	if len(used) != len(s.port)+len(s.peer) {
		t.Errorf("%+v: somebody shares a slot", s)
	}
	h := &spec.Host{Peerings: map[spec.VPCPair]spec.Peering{{A: 1, B: 2}: {A: vpcID(1), B: vpcID(2)}}}
	s.keep(h, &slots{peer: s.peer})
	if len(s.peer) != 4 {
		t.Errorf("after a failure %v", s.peer)
	}
	s.keep(h, newSlots())
	if len(s.peer) != 2 || s.peer[end] != 1 {
		t.Errorf("kept %v", s.peer)
	}
}

// conversation is one UDP flow between two workloads.
type conversation struct{ asks, answers *net.UDPConn }

func (s *street) talk(t *testing.T, from, to int) conversation {
	return s.talkTo(t, from, house(to))
}

// talkTo opens a flow to an address of VPC 2.
func (s *street) talkTo(t *testing.T, from int, at netip.Addr) (c conversation) {
	t.Helper()
	open := func(in int, fn func() (*net.UDPConn, error)) (conn *net.UDPConn) {
		err := nl.In(s.h.Ports[spec.ENI(in)].Netns.Path, func() (err error) { conn, err = fn(); return err })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	server := net.UDPAddrFromAddrPort(netip.AddrPortFrom(at, 7000))
	c.answers = open(2, func() (*net.UDPConn, error) { return net.ListenUDP("udp4", server) })
	c.asks = open(from, func() (*net.UDPConn, error) { return net.DialUDP("udp4", nil, server) })
	return c
}

// answered sends one question and wants an answer, or none.
func (c conversation) answered(t *testing.T, want bool) {
	t.Helper()
	soon := time.Now().Add(time.Second)
	c.answers.SetDeadline(soon)
	c.asks.SetDeadline(soon)
	buf := make([]byte, 64)
	_, err := c.asks.Write([]byte("?"))
	if err == nil {
		var from netip.AddrPort
		if _, from, err = c.answers.ReadFromUDPAddrPort(buf); err == nil {
			c.answers.WriteToUDPAddrPort([]byte("!"), from)
			_, err = c.asks.Read(buf)
		}
	}
	if (err == nil) != want {
		t.Errorf("answered: %v, want %v; %v", err == nil, want, err)
	}
}

// TestPeeringReachesATap: what comes by the link goes to a virtual machine's
// device as it does within a VPC.
func TestPeeringReachesATap(t *testing.T) {
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skip("no /dev/net/tun here")
	}
	s := newStreet(t, 2)
	machine := openTap(t, s.h.Ports[2].Netns, "tap0")
	p := s.h.Ports[2]
	p.Kind, p.Name = spec.Tap, "tap0"
	s.h.Ports[2] = p
	s.settle(t)
	var asks net.Conn
	err := nl.In(s.h.Ports[1].Netns.Path, func() (err error) {
		asks, err = net.Dial("udp4", netip.AddrPortFrom(house(2), 7000).String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer asks.Close()
	if _, err := asks.Write([]byte("by the link")); err != nil {
		t.Fatal(err)
	}
	fd := int(machine.Fd())
	ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(ready, 2000); n != 1 {
		t.Fatalf("nothing comes, %v", err)
	}
	frame := make([]byte, 2048)
	n, err := unix.Read(fd, frame)
	if err != nil || !strings.HasSuffix(string(frame[:n]), "by the link") || spec.MAC(frame[:6]) != spec.MACOf(2) || spec.MAC(frame[6:12]) != spec.RouterMAC(2) {
		t.Errorf("the machine gets %x, %v", frame[:n], err)
	}
}

// TestPeeringThatCannotBe: what stands in the way of a link concerns no interface.
func TestPeeringThatCannotBe(t *testing.T) {
	s := newStreet(t, 2)
	all := s.h.Peerings
	s.h.Peerings = nil
	s.settle(t)
	s.h.Peerings = all
	in(t, s.netns(1), "ip link add link br-00000001 pcx-00000002 type macvlan")
	rep, err := s.d.Apply(t.Context(), s.h)
	if err == nil || !strings.Contains(err.Error(), "pcx-00000002") || !rep.Isolated || !rep.Up[1] || !rep.Up[2] {
		t.Errorf("%v, isolated %v, up %v", err, rep.Isolated, rep.Up)
	}
	in(t, s.netns(1), "ip link del pcx-00000002")
	s.settle(t)
	s.reaches(t, 1, 2, true)
}

// TestNumbersOfALinkThatIsGone are nobody else's until all that might use them is
// written.
func TestNumbersOfALinkThatIsGone(t *testing.T) {
	s := newStreet(t, 3)
	in(t, s.h.Ports[3].Netns, "ip link add eth0 type bridge")
	s.part(1, 2)
	s.part(2, 3)
	s.join(1, 2)
	for range 2 {
		if rep, err := s.d.Apply(t.Context(), s.h); err == nil || !rep.Isolated {
			t.Fatalf("over a name that is taken: %v, isolated %v", err, rep.Isolated)
		}
		if n := len(s.d.slots.peer); n != 2 {
			t.Errorf("%d slots, want 2", n)
		}
		s.part(1, 2)
	}
	for _, l := range s.links(t) {
		if strings.HasPrefix(l.Alias, peerAlias) {
			t.Errorf("%s is left", l.Name)
		}
	}
	in(t, s.h.Ports[3].Netns, "ip link del eth0")
	s.settle(t)
	if n := len(s.d.slots.peer); n != 0 {
		t.Errorf("%d slots, want none", n)
	}
}
