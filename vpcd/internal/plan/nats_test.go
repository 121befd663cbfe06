package plan

import (
	"testing"

	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// nat makes a NAT gateway on h1 with its interface in a subnet.
func (w *world) nat(name, subnet, addrs string) *record.NetworkInterface {
	n := w.eni("of-"+name, subnet, addrs)
	delete(w.facts.Places, n.Attached.Target)
	n.Attached, n.Nat, n.Interface.SourceDestCheck = nil, "nat-"+name, api.Ptr(false)
	w.Nats[n.Nat] = &record.NatGateway{Host: "h1", Interface: n.Interface.NetworkInterfaceId}
	return n
}

// route adds a route to the main table of VPC a.
func (w *world) route(dest string, r api.Route) {
	r.DestinationCidrBlock = dest
	t := &w.Tables["rtb-a-main"].Table
	t.Routes = append(t.Routes, r)
}

// natWorld has all that a route can lead to.
func natWorld() *world {
	w := web()
	w.gateway("a", "a")
	w.subnet("a2", "a", "10.0.2.0/24")
	nat := w.nat("egress", "a1", "10.0.1.50,10.0.1.41,10.0.1.60")
	public(public(nat, 0, "198.18.0.2"), 1, "198.18.0.3")
	w.nat("away", "a1", "10.0.1.70")
	w.Nats["nat-away"].Host = "h2"
	w.nat("ended", "a1", "10.0.1.71")
	w.Nats["nat-ended"].Ended = 5
	w.nat("failed", "a1", "10.0.1.72")
	w.Nats["nat-failed"].Gateway.FailureCode = "InternalError"
	w.eni("free", "a1", "10.0.1.80", "a-default").Attached = nil
	w.vpc("other", "10.0.0.0/16")
	w.subnet("o1", "other", "10.0.1.0/24")
	w.nat("other", "o1", "10.0.1.90")
	w.route("0.0.0.0/0", api.Route{NatGatewayId: "nat-egress"})
	w.route("192.0.2.0/28", api.Route{NatGatewayId: "nat-away"})
	w.route("192.0.2.16/28", api.Route{NatGatewayId: "nat-ended"})
	w.route("192.0.2.32/28", api.Route{NatGatewayId: "nat-failed"})
	w.route("192.0.2.48/28", api.Route{NatGatewayId: "nat-other"})
	w.route("192.0.2.64/28", api.Route{NatGatewayId: "nat-nowhere"})
	w.route("10.0.2.0/24", api.Route{NetworkInterfaceId: "eni-web"})
	w.route("192.0.2.80/28", api.Route{NetworkInterfaceId: "eni-free"})
	w.route("192.0.2.96/28", api.Route{NetworkInterfaceId: "eni-nowhere"})
	w.route("192.0.2.112/28", api.Route{NetworkInterfaceId: "eni-of-other"})
	return w
}

// TestNatNamespace: its addresses begin with the primary one, whatever their order.
func TestNatNamespace(t *testing.T) {
	w := natWorld()
	p := w.build()
	port := w.port(t, p, "of-egress")
	eni := spec.ENI(w.Interfaces["eni-of-egress"].Index)
	want := spec.NAT{ID: "nat-egress", VPC: port.VPC, Addrs: "10.0.1.50,10.0.1.41,10.0.1.60", Gateway: port.Gateway, MAC: port.MAC, MTU: 1450}
	if have := p.Spec.NATs[eni]; have != want || have.Addrs.List()[0] != port.Addr.Addr() {
		t.Errorf("have %+v, want %+v", have, want)
	}
	for _, id := range []spec.RuleSetID{port.Egress, port.Ingress} {
		if rules := p.Spec.RuleSets[id].Rules; len(rules) != 1 || !rules[0].AllowsAll() {
			t.Errorf("rules %v", rules)
		}
	}
	if port.Kind != spec.NATGateway || port.SourceDestCheck || port.Netns != (spec.Netns{}) {
		t.Errorf("port %+v", port)
	}
}

// TestReplacedLocalRoute: what leads to an interface instead of staying local is
// still no place for the entries of a list.
func TestReplacedLocalRoute(t *testing.T) {
	w := web()
	main := &w.Tables["rtb-a-main"].Table
	main.Routes[0] = api.Route{DestinationCidrBlock: "10.0.0.0/16", NetworkInterfaceId: "eni-web", Origin: api.RouteOriginCreateRouteTable}
	w.list("office", "10.0.1.0/24", "192.0.2.0/24")
	main.Routes = append(main.Routes, api.Route{DestinationPrefixListId: "pl-office", GatewayId: "igw-1"})
	p := w.build()
	if len(allRoutes(p.Spec)) != 2 {
		t.Errorf("routes:\n%s", render(p))
	}
}
