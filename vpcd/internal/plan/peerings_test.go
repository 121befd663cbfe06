package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// peering joins two VPCs, or has once.
func (w *world) peering(name, requester, accepter, state string) *record.Peering {
	p := &record.Peering{VpcPeeringConnectionId: "pcx-" + name, State: state,
		Requester: record.PeeringSide{VpcId: "vpc-" + requester}, Accepter: record.PeeringSide{VpcId: "vpc-" + accepter}}
	w.Peerings["pcx-"+name] = p
	return p
}

// routes adds routes to peerings to a table, "CIDR pcx-…" each.
func (w *world) routes(table string, routes ...string) {
	t := &w.Tables["rtb-"+table].Table
	for _, text := range routes {
		cidr, peering, _ := strings.Cut(text, " ")
		t.Routes = append(t.Routes, api.Route{DestinationCidrBlock: cidr, VpcPeeringConnectionId: peering})
	}
}

// peerings is a VPC with peers that are here, not here, no more and not yet.
func peerings() *world {
	w := web()
	for i, name := range []string{"b", "far", "was", "asked"} {
		cidr := fmt.Sprintf("10.%d.0.0/16", i+1)
		w.vpc(name, cidr)
		w.Tables["rtb-"+name+"-main"].Table.Routes[0].DestinationCidrBlock = cidr
		w.group(name+"-web", name)
		if name == "far" {
			continue
		}
		w.subnet(name+"1", name, fmt.Sprintf("10.%d.1.0/24", i+1))
		w.eni(name, name+"1", fmt.Sprintf("10.%d.1.10", i+1), name+"-web")
	}
	w.peering("b", "b", "a", "active")
	w.peering("far", "a", "far", "active")
	w.peering("was", "a", "was", "deleted")
	w.peering("asked", "asked", "a", "pending-acceptance")
	w.routes("a-main", "10.1.0.0/16 pcx-b", "10.2.0.0/16 pcx-far", "10.3.0.0/16 pcx-was", "10.4.0.0/16 pcx-asked", "0.0.0.0/0 pcx-b", "10.9.0.0/16 pcx-none")
	w.routes("b-main", "10.0.0.0/16 pcx-b", "10.2.0.0/16 pcx-far")
	w.group("peers", "a", "in tcp:80-80 sg-b-web", "in tcp:81-81 sg-far-web", "in tcp:82-82 sg-was-web", "in tcp:83-83 sg-asked-web", "out -1 sg-b-web")
	w.eni("open", "a1", "10.0.1.20", "peers")
	return w
}

// TestRulesFollowThePeering: a rule that names a group across admits it for as
// long as the VPCs are joined, and again once they are joined anew.
func TestRulesFollowThePeering(t *testing.T) {
	w := peerings()
	for _, step := range []struct {
		change func()
		want   int
	}{
		{func() {}, 2},
		{func() { w.Peerings["pcx-b"].State = "deleted" }, 1},
		{func() { w.peering("b2", "a", "b", "pending-acceptance") }, 1},
		{func() { w.Peerings["pcx-b2"].State = "active" }, 2},
		{func() { delete(w.Groups, "sg-far-web") }, 1},
	} {
		step.change()
		p := w.build()
		if have := len(p.Spec.RuleSets[w.port(t, p, "open").Ingress].Rules); have != step.want {
			t.Errorf("%d rules, want %d; problems %q", have, step.want, p.Problems)
		}
	}
}

// TestPeeringThatCannotBeTold: of two VPCs with one index neither is anybody's
// peer, or a route could lead into the wrong one.
func TestPeeringThatCannotBeTold(t *testing.T) {
	w := peerings()
	w.Vpcs["vpc-far"].Index = w.Vpcs["vpc-b"].Index
	p := w.build()
	if len(p.Spec.Peerings) > 0 {
		t.Errorf("peerings %v", p.Spec.Peerings)
	}
	for key, r := range allRoutes(p.Spec) {
		if r.Target == spec.PeerVPC {
			t.Errorf("%s leads to VPC %d", key.Dest, r.Peer)
		}
	}
}

// TestOnlyPresentPairs: a pair is there while both VPCs have a port here, and the
// route to a VPC without one still names it.
func TestOnlyPresentPairs(t *testing.T) {
	w := peerings()
	table := func() spec.RouteTable { return spec.RouteTable(w.Tables["rtb-a-main"].Index) }
	toB := spec.RouteKey{Table: table(), Dest: netip.MustParsePrefix("10.1.0.0/16")}
	want := spec.Route{Target: spec.PeerVPC, Peer: spec.VPC(w.Vpcs["vpc-b"].Index)}
	for _, host := range []string{"h1", "h2", "h1"} {
		w.Interfaces["eni-b"].Attached.Host = host
		p := w.build()
		if have := len(p.Spec.Peerings); have != map[string]int{"h1": 1, "h2": 0}[host] {
			t.Errorf("with the peer on %s: %v", host, p.Spec.Peerings)
		}
		if have := allRoutes(p.Spec)[toB]; have != want {
			t.Errorf("with the peer on %s the route is %+v, want %+v", host, have, want)
		}
	}
	w.Lists["pl-b"] = &record.PrefixList{Entries: []api.PrefixListEntry{{Cidr: "10.1.7.0/24"}}}
	main := &w.Tables["rtb-a-main"].Table
	main.Routes = append(slices.Clone(main.Routes), api.Route{DestinationPrefixListId: "pl-b", VpcPeeringConnectionId: "pcx-b"})
	toB.Dest = netip.MustParsePrefix("10.1.7.0/24")
	if have := allRoutes(w.build().Spec)[toB]; have != want {
		t.Errorf("by a list the route is %+v, want %+v", have, want)
	}
}

// checkPeerings: pairs are of VPCs that are here, and a route into another VPC
// belongs to an active peering.
func checkPeerings(t *rapid.T, w *world, h *spec.Host) {
	here, active := map[spec.VPC]bool{}, map[spec.VPCPair]bool{}
	for _, p := range h.Ports {
		here[p.VPC] = true
	}
	for _, p := range w.Peerings {
		one, two := w.Vpcs[p.Requester.VpcId], w.Vpcs[p.Accepter.VpcId]
		if p.Active() && one != nil && two != nil {
			active[spec.VPCPair{A: spec.VPC(one.Index), B: spec.VPC(two.Index)}] = true
			active[spec.VPCPair{A: spec.VPC(two.Index), B: spec.VPC(one.Index)}] = true
		}
	}
	for pair := range h.Peerings {
		if pair.A >= pair.B || !here[pair.A] || !here[pair.B] || !active[pair] {
			t.Fatalf("the pair %v: here are %v, active %v", pair, here, active)
		}
	}
	for _, port := range h.Ports {
		for _, r := range h.Routes[port.Table].All() {
			if r.Target == spec.PeerVPC && !active[spec.VPCPair{A: port.VPC, B: r.Peer}] {
				t.Fatalf("a port of %d has a route to %d; active are %v", port.VPC, r.Peer, active)
			}
		}
	}
}
