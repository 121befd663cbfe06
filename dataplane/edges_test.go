package dataplane

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	dmaps "github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/gateways"
)

const (
	public    = "198.18.0.10"
	poolRoute = "198.18.0.0/24"
)

// in runs a line in a namespace and returns what it says.
func in(t *testing.T, n spec.Netns, line string) string {
	t.Helper()
	out, err := exec.Command("nsenter", append([]string{"--net=" + n.Path}, strings.Fields(line)...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// town is a host whose own network is a namespace of the test, with an uplink to
// another one that is the world.
type town struct {
	d              *Dataplane
	h              *spec.Host
	outside, world spec.Netns
	cfg            Config
	edge           string
}

func newTown(t *testing.T) *town {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	name := fmt.Sprintf("dp%d-%d", os.Getpid(), hosts.Add(1))
	w := &town{outside: workloadNetns(t, name+"-out"), world: workloadNetns(t, name+"-world")}
	w.cfg = Config{Name: name, FlowTable: 4096, Outside: Outside{Netns: w.outside.Path, Records: t.TempDir() + "/records"}}
	for _, line := range []string{
		"sysctl -qw net.ipv4.ip_forward=1", "sysctl -qw net.ipv4.ip_forward=0", "sysctl -qw net.ipv4.conf.all.rp_filter=0", "ip link set lo up",
		"ip link add up0 type veth peer name w0 netns " + strings.TrimPrefix(w.world.Path, netnsDir),
		"ip addr add 192.0.2.1/24 dev up0", "ip link set up0 up", "ip route add default via 192.0.2.2",
	} {
		in(t, w.outside, line)
	}
	for _, line := range []string{"ip link set lo up", "ip addr add 192.0.2.2/24 dev w0", "ip link set w0 up"} {
		in(t, w.world, line)
	}
	t.Cleanup(func() {
		w.d.Close()
		w.clean(t)
	})
	w.open(t)
	w.h = twoSubnets(t, name)
	id := w.h.Subnets[1].VPCID
	w.edge = gateways.EdgeName(name, id)
	w.h.Edges = map[spec.VPC]spec.Edge{1: {VPCID: id}}
	w.h.Pools = map[netip.Prefix]spec.Pool{netip.MustParsePrefix(poolRoute): {Host: netip.MustParseAddr("198.18.0.1")}}
	w.h.Public = map[netip.Addr]spec.Public{netip.MustParseAddr(public): {VPC: 1, ENI: 1, Private: w.h.Ports[1].Addr.Addr()}}
	putRoute(w.h, spec.RouteKey{Table: 1, Dest: netip.MustParsePrefix("0.0.0.0/0")}, spec.Route{Target: spec.InternetGateway})
	return w
}

// open is the start of a daemon.
func (w *town) open(t *testing.T) {
	t.Helper()
	if w.d != nil {
		w.d.Close()
	}
	d, err := Open(t.Context(), w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.d = d
}

func (w *town) clean(t *testing.T) {
	t.Helper()
	if err := Cleanup(context.Background(), w.cfg.Name, w.cfg.Outside); err != nil {
		t.Error(err)
	}
}

// applyUntil ends an Apply at a step; "" is its end. Nothing is written under a
// context that has ended.
func (w *town) applyUntil(t *testing.T, last string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	w.d.phases.crash = func(step string) {
		if step == last {
			stop()
		}
	}
	if _, err := w.d.Apply(ctx, w.h); (err == nil) != (last == "") {
		t.Errorf("until %q: %v", last, err)
	}
	w.d.phases.crash = nil
}

// settle applies and wants it to be done.
func (w *town) settle(t *testing.T) {
	t.Helper()
	if _, err := w.d.Apply(t.Context(), w.h); err != nil {
		t.Fatal(err)
	}
	w.settled(t)
}

// settled wants nothing to be left to do, for whoever looks.
func (w *town) settled(t *testing.T) {
	t.Helper()
	before := Writes()
	for _, dirty := range []bool{false, true} {
		if dirty {
			w.d.Dirty()
		}
		if rep, err := w.d.Apply(t.Context(), w.h); err != nil || rep.Writes != 0 || Writes() != before {
			t.Errorf("dirty %v: %d objects, %d kernel writes, %v", dirty, rep.Writes, Writes()-before, err)
		}
	}
	if drift, err := w.d.Verify(t.Context(), w.h); err != nil || len(drift) > 0 {
		t.Errorf("drift %v, %v", drift, err)
	}
}

// look is everything outside that somebody could have changed.
func (w *town) look(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, line := range []string{
		"ip -br link", "ip -4 -br addr", "ip -4 route show table all", "nft list ruleset", "sysctl net.ipv4.ip_forward net.ipv4.conf.up0.forwarding net.ipv4.conf.all.rp_filter",
	} {
		fmt.Fprintf(&b, "%s:\n%s", line, in(t, w.outside, line))
	}
	return b.String()
}

// TestGatewayComesAndGoes: what the host gets for a gateway is all there, is found
// again by the next daemon, and is gone with the gateway.
func TestGatewayComesAndGoes(t *testing.T) {
	w := newTown(t)
	before := w.look(t)
	w.settle(t)
	for line, want := range map[string]string{
		"ip -4 addr show " + w.edge:                    "inet 198.18.0.1/32",
		"ip -d link show " + w.edge:                    spec.EdgeMAC(1).String(),
		"ip route get " + public:                       "dev " + w.edge + " src 198.18.0.1",
		"ip route show type unreachable":               poolRoute,
		"nft list table ip vpc_" + w.cfg.Name:          "ip saddr " + poolRoute,
		"sysctl -n net.ipv4.conf.up0.forwarding":       "1",
		"sysctl -n net.ipv4.ip_forward":                "0",
		"nft list set ip vpc_" + w.cfg.Name + " edges": w.edge,
	} {
		if got := in(t, w.outside, line); !strings.Contains(got, want) {
			t.Errorf("%s: %q is not in\n%s", line, want, got)
		}
	}
	slot := w.d.slots.port[spec.EdgeOf(1)]
	w.open(t)
	if got, ok := w.d.slots.port[spec.EdgeOf(1)]; !ok || got != slot {
		t.Errorf("the next daemon thinks that the edge has slot %d, not %d", got, slot)
	}
	if rep, err := w.d.Apply(t.Context(), w.h); err != nil || rep.Writes != 0 {
		t.Errorf("the next daemon wrote %d objects, %v", rep.Writes, err)
	}
	w.settled(t)
	if p := w.d.phases.entries[w.d.slots.port[1]]; p.Gateway != slot+1 || p.Edge {
		t.Errorf("a port finds its gateway at %d, not %d", p.Gateway, slot+1)
	}

	// A host without a pool has no address that a gateway could lead to.
	pools := w.h.Pools
	w.h.Pools = nil
	w.settle(t)
	if after := w.look(t); after != before {
		t.Errorf("without a pool\n%s\nbefore\n%s", after, before)
	}
	w.h.Pools = pools
	w.settle(t)
	w.h.Edges = nil
	w.settle(t)
	if after := w.look(t); after != before {
		t.Errorf("afterwards\n%s\nbefore\n%s", after, before)
	}
	if _, ok := w.d.slots.port[spec.EdgeOf(1)]; ok {
		t.Error("the slot stays")
	}
}

// TestGatewayCarriesTraffic: who has a public address reaches the world and is
// reached, and reaches nothing of the host; who has none stays inside.
func TestGatewayCarriesTraffic(t *testing.T) {
	w := newTown(t)
	w.settle(t)
	owner, other := w.h.Ports[1].Netns, w.h.Ports[2].Netns
	in(t, w.outside, "ip addr add 203.0.113.1/32 dev lo") // appears later, on another device
	must := func(what string, from spec.Netns, to string, want bool) {
		t.Helper()
		if err := ping(from, to); (err == nil) != want {
			drops, _ := w.d.Read().Drops()
			t.Errorf("%s: ping %s is answered: %v, want %v; %v, drops %+v", what, to, err == nil, want, err, drops)
		}
	}
	must("out", owner, "192.0.2.2", true)
	must("in, from the host", w.outside, public, true)
	must("to the host's uplink", owner, "192.0.2.1", false)
	must("to the host's address in the pool", owner, "198.18.0.1", false)
	must("to the host's later address", owner, "203.0.113.1", false)
	must("without a public address", other, "192.0.2.2", false)
	w.h.Public = nil
	w.settle(t)
	must("disassociated", owner, "192.0.2.2", false)
	must("disassociated, from the host", w.outside, public, false)
	w.settled(t)
}

// TestHostThatForwardsNothing: rules of others that drop what is forwarded make
// room for gateways, also if they come later, and have it back afterwards.
func TestHostThatForwardsNothing(t *testing.T) {
	if _, err := exec.LookPath("iptables"); err != nil {
		t.Skip("no iptables here")
	}
	w := newTown(t)
	in(t, w.outside, "iptables -P FORWARD DROP")
	w.settle(t)
	if err := ping(w.h.Ports[1].Netns, "192.0.2.2"); err != nil {
		t.Error(err)
	}
	in(t, w.outside, "iptables -N DOCKER-USER")
	in(t, w.outside, "iptables -I FORWARD -j DOCKER-USER")
	in(t, w.outside, "iptables -F FORWARD")
	in(t, w.outside, "iptables -A FORWARD -j DOCKER-USER")
	if err := ping(w.h.Ports[1].Netns, "192.0.2.2"); err == nil {
		t.Error("forwarded, though nothing lets it")
	}
	w.d.Dirty()
	w.settle(t)
	if err := ping(w.h.Ports[1].Netns, "192.0.2.2"); err != nil {
		t.Error(err)
	}
	w.h.Edges = nil
	w.settle(t)
	if got := in(t, w.outside, "iptables -S"); strings.Contains(got, w.edge) {
		t.Errorf("left behind:\n%s", got)
	}
}

// TestPublicAddressMoves: the host's route follows, and verdicts of the interfaces
// concerned are made anew, of no other.
func TestPublicAddressMoves(t *testing.T) {
	w := newTown(t)
	w.settle(t)
	versions := func() (out [3]uint32) {
		for i := range out {
			out[i] = w.d.phases.entries[w.d.slots.port[spec.ENI(i+1)]].Version
		}
		return out
	}
	was := versions()
	w.h.Public = map[netip.Addr]spec.Public{netip.MustParseAddr(public): {VPC: 1, ENI: 2, Private: w.h.Ports[2].Addr.Addr()}}
	w.settle(t)
	if is := versions(); is[0] == was[0] || is[1] == was[1] || is[2] != was[2] {
		t.Errorf("versions were %v and are %v", was, is)
	}
	was = versions()
	w.h.Public = nil
	w.settle(t)
	if is := versions(); is[0] != was[0] || is[1] == was[1] {
		t.Errorf("versions were %v and are %v", was, is)
	}
	if got := in(t, w.outside, "ip route show "+public); got != "" {
		t.Errorf("nobody has it, and the host sends it to %s", got)
	}
	was = versions()
	w.h.Allowed = map[netip.Prefix]bool{netip.MustParsePrefix("10.9.0.0/16"): true}
	w.settle(t)
	if is := versions(); is[0] == was[0] {
		t.Error("a network was allowed, and flows do not look again")
	}
}

// TestHarmOutside: what others do to our things on the host is seen and mended.
func TestHarmOutside(t *testing.T) {
	w := newTown(t)
	w.settle(t)
	for line, kind := range map[string]string{
		"nft flush ruleset":                                    "firewall",
		"nft delete table ip vpc_" + w.cfg.Name:                "firewall",
		"ip link set " + w.edge + " down":                      "edge",
		"ip link set " + w.edge + " address 02:00:00:00:00:99": "edge",
		"ip addr flush dev " + w.edge:                          "edge",
		"ip link del " + w.edge:                                "link",
		"ip route flush proto 118":                             "host-route",
		"sysctl -qw net.ipv4.conf.up0.forwarding=0":            "forwarding",
	} {
		in(t, w.outside, line)
		drift, err := w.d.Verify(t.Context(), w.h)
		seen := false
		for _, d := range drift {
			seen = seen || d.Kind == kind
		}
		if err != nil || !seen {
			t.Errorf("%s: %v, %v; want drift of %s", line, drift, err, kind)
		}
		w.d.Dirty()
		w.settle(t)
	}
}

// TestWhatIsInTheWayOutside: a name, a table or addresses that somebody else has
// on the host stay his. Gateways wait for it, interfaces do not.
func TestWhatIsInTheWayOutside(t *testing.T) {
	for name, says := range map[string]string{
		"device": "another device named", "table": "somebody else has an nftables table", "network": "is taken on this host", "router": "is taken on this host",
	} {
		t.Run(name, func(t *testing.T) {
			w := newTown(t)
			table := spec.FirewallTable(w.cfg.Name)
			do := map[string][]string{
				"device":  {"ip link add " + w.edge + " type bridge"},
				"table":   {"nft add table ip " + table, "nft add chain ip " + table + " mine"},
				"network": {"ip route add " + poolRoute + " dev up0"},
				"router":  {"ip route add " + poolRoute + " via 192.0.2.2"},
			}
			undo := map[string]string{
				"device": "ip link del " + w.edge, "table": "nft delete table ip " + table, "network": "ip route del " + poolRoute + " dev up0",
				"router": "ip route del " + poolRoute + " via 192.0.2.2",
			}
			for _, line := range do[name] {
				in(t, w.outside, line)
			}
			before := w.look(t)
			rep, err := w.d.Apply(t.Context(), w.h)
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Fatalf("%v does not say %q", err, says)
			}
			if !rep.Isolated || !rep.Up[1] || !rep.Up[2] || !rep.Up[3] {
				t.Errorf("isolated %v, up %v", rep.Isolated, rep.Up)
			}
			if err := ping(w.h.Ports[1].Netns, "10.0.2.12"); err != nil {
				t.Error(err)
			}
			if name == "table" && strings.Contains(in(t, w.outside, "ip -br link show "+w.edge), "UP") {
				t.Error("the edge is open without the firewall")
			}
			for _, a := range []string{public, "198.18.0.1"} {
				if name != "router" {
					break
				}
				if got := in(t, w.outside, "ip route get "+a); !strings.Contains(got, "via 192.0.2.2 dev up0") {
					t.Errorf("his address is led to %s", got)
				}
			}
			none := *w.h
			none.Edges = nil
			if _, err := w.d.Apply(t.Context(), &none); err != nil {
				t.Error(err)
			}
			if after := w.look(t); after != before {
				t.Errorf("afterwards\n%s\nbefore\n%s", after, before)
			}
			in(t, w.outside, undo[name])
			w.open(t) // whose patience begins anew
			w.settle(t)
		})
	}
}

// TestBrakeKeepsTheHostClosed: edges that nobody wants stay while the brake holds,
// and so does what the host is protected by.
func TestBrakeKeepsTheHostClosed(t *testing.T) {
	w := newTown(t)
	w.settle(t)
	w.open(t)
	lost := &spec.Host{Name: w.cfg.Name, MTU: 1450, Pools: w.h.Pools}
	rep, err := w.d.Apply(t.Context(), lost)
	if err != nil || len(rep.Braked) != 3 {
		t.Fatalf("%v, braked %v", err, rep.Braked)
	}
	if got := in(t, w.outside, "nft list table ip vpc_"+w.cfg.Name); !strings.Contains(got, w.edge) {
		t.Errorf("the firewall has forgotten the edge:\n%s", got)
	}
	if got := in(t, w.outside, "ip -br link show "+w.edge); !strings.Contains(got, "UP") {
		t.Errorf("the edge is closed: %s", got)
	}
}

// TestCleanupGivesTheHostBack: without a daemon and without a store, after an end
// at any time.
func TestCleanupGivesTheHostBack(t *testing.T) {
	w := newTown(t)
	before := w.look(t)
	for _, last := range []string{"before put program", "before put firewall", "before put edge", "before put up", "before put forwarding", "before put host-route", ""} {
		w.open(t)
		w.applyUntil(t, last)
		w.clean(t)
		if after := w.look(t); after != before {
			t.Errorf("%s: afterwards\n%s\nbefore\n%s", last, after, before)
		}
		if _, err := os.Stat(w.cfg.Outside.Records); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: records are left: %v", last, err)
		}
	}
}

// TestCrashOutside: whatever was the last thing a daemon did, the next one brings
// the rest about.
func TestCrashOutside(t *testing.T) {
	w := newTown(t)
	for _, last := range []string{"before put edge", "after put edge", "after put up", "before put host-route"} {
		w.open(t)
		w.applyUntil(t, last)
		w.open(t)
		w.settle(t)
		edges := w.h.Edges
		w.h.Edges = nil
		w.settle(t)
		w.h.Edges = edges
	}
}

// TestEdgeWaitsForTheFirewall: where the table cannot be written, nothing opens.
func TestEdgeWaitsForTheFirewall(t *testing.T) {
	firewall := inMemory[string, spec.Firewall]()
	firewall.fail = errors.New("no memory")
	p, lists := inMemoryOutside(firewall), dmaps.New(nil).Rules()
	w := emptyWorld()
	w.firewall = map[string]spec.Firewall{"vpc_t": "x"}
	w.forwarding["up0"] = true
	w.hostRoutes[netip.MustParsePrefix(poolRoute)] = nl.HostRoute{}
	for _, fails := range []bool{true, false} {
		if !fails {
			firewall.fail = nil
			p = inMemoryOutside(firewall)
		}
		p.want(w, lists)
		n, err := p.run(t.Context(), true)
		if fails && (err == nil || n != 1) || !fails && (err != nil || n != 3) {
			t.Errorf("fails %v: %d objects were written, %v", fails, n, err)
		}
		for _, leaf := range leaves(err) {
			if out := (outsideError{}); !errors.As(leaf, &out) {
				t.Errorf("%v concerns more than gateways", leaf)
			}
		}
	}
}
