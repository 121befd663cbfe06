package dataplane

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// workloadNetns makes a namespace that the test owns.
func workloadNetns(t *testing.T, role string) spec.Netns {
	t.Helper()
	name := fmt.Sprintf("vt%d-%s", os.Getpid(), role)
	run(t, "ip", "netns", "add", name)
	t.Cleanup(func() { run(t, "ip", "netns", "del", name) })
	ns, err := nl.Identify(netnsDir + name)
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

func ping(from spec.Netns, to string) error {
	out, err := exec.Command("nsenter", "--net="+from.Path, "ping", "-c1", "-W1", to).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// putRoute and dropRoute give a table another set.
func putRoute(h *spec.Host, k spec.RouteKey, r spec.Route) {
	routes := dropRoute(h, k)
	routes[k.Dest] = r
	h.Routes[k.Table] = spec.MakeRoutes(routes)
}

func dropRoute(h *spec.Host, k spec.RouteKey) map[netip.Prefix]spec.Route {
	routes := map[netip.Prefix]spec.Route{}
	if set := h.Routes[k.Table]; set != nil {
		maps.Insert(routes, set.All())
	}
	delete(routes, k.Dest)
	h.Routes[k.Table] = spec.MakeRoutes(maps.Clone(routes))
	return routes
}

// twoSubnets is a VPC with a workload in each of two subnets and a third beside
// the first.
func twoSubnets(t *testing.T, name string) *spec.Host {
	open, set := spec.MakeRuleSet([]spec.Rule{{Protocol: spec.AnyProtocol, FromPort: -1, ToPort: -1, Prefix: netip.MustParsePrefix("0.0.0.0/0"), ID: 1}})
	acl, entries := spec.MakeACL(set.Rules)
	h := &spec.Host{
		Name: name, MTU: 1450,
		Subnets: map[spec.SubnetID]spec.Subnet{}, Ports: map[spec.ENI]spec.Port{}, Endpoints: map[spec.EndpointKey]spec.Endpoint{},
		RuleSets: map[spec.RuleSetID]spec.RuleSet{open: set, acl: entries}, Routes: map[spec.RouteTable]*spec.RouteSet{},
		Known: map[spec.ENI]bool{}, Gone: map[spec.ENI]bool{},
	}
	putRoute(h, spec.RouteKey{Table: 1, Dest: netip.MustParsePrefix("10.0.0.0/16")}, spec.Route{Target: spec.Local})
	for i := range spec.SubnetID(2) {
		cidr := netip.MustParsePrefix(fmt.Sprintf("10.0.%d.0/24", i+1))
		h.Subnets[i+1] = spec.Subnet{ID: fmt.Sprintf("subnet-%017x", i+1), VPC: 1, VPCID: fmt.Sprintf("vpc-%017x", 1), CIDR: cidr, Router: cidr.Addr().Next(), MAC: spec.RouterMAC(i + 1), ACLOut: acl, ACLIn: acl}
	}
	for i, where := range []spec.SubnetID{1, 1, 2} {
		eni := spec.ENI(i + 1)
		addr := netip.MustParseAddr(fmt.Sprintf("10.0.%d.1%d", where, i))
		h.Ports[eni] = spec.Port{
			ID: fmt.Sprintf("eni-%017x", eni), VPC: 1, Subnet: where, Netns: workloadNetns(t, fmt.Sprint(name, i)), Name: "eth0", MAC: spec.MACOf(eni),
			Addr: netip.PrefixFrom(addr, 24), Gateway: h.Subnets[where].Router, Table: 1, Egress: open, Ingress: open, SourceDestCheck: true,
		}
		h.Endpoints[spec.EndpointKey{VPC: 1, Addr: addr}] = spec.Endpoint{ENI: eni, Subnet: where, MAC: spec.MACOf(eni)}
		h.Known[eni] = true
	}
	return h
}

// hosts numbers the hosts of this process.
var hosts atomic.Int32

func openTest(t *testing.T) (*Dataplane, string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	name := fmt.Sprintf("dp%d-%d", os.Getpid(), hosts.Add(1))
	d, err := Open(t.Context(), Config{Name: name, FlowTable: 4096})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.Close()
		if err := Cleanup(context.Background(), name, Outside{}); err != nil {
			t.Error(err)
		}
	})
	return d, name
}

func TestApplyCarriesTrafficAndSettles(t *testing.T) {
	d, name := openTest(t)
	h := twoSubnets(t, name)
	start := time.Now()
	rep, err := d.Apply(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d writes in %v", rep.Writes, time.Since(start))
	for _, to := range []string{"10.0.1.11", "10.0.2.12"} {
		if err := ping(h.Ports[1].Netns, to); err != nil {
			drops, _ := d.Read().Drops()
			t.Errorf("ping %s: %v drops %+v", to, err, drops)
		}
	}
	before := Writes()
	for _, dirty := range []bool{false, true} {
		if dirty {
			d.Dirty()
		}
		if rep, err = d.Apply(t.Context(), h); err != nil || rep.Writes != 0 || Writes() != before {
			t.Errorf("dirty %v: a second Apply wrote %d objects, %d kernel writes, %v", dirty, rep.Writes, Writes()-before, err)
		}
	}
	drift, err := d.Verify(t.Context(), h)
	if err != nil || len(drift) > 0 {
		t.Errorf("verify: %v %v", drift, err)
	}
	rep, err = d.Apply(t.Context(), &spec.Host{Name: name, MTU: 1450, Known: h.Known})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("removed by %d writes", rep.Writes)
	if drift, err := d.Verify(t.Context(), &spec.Host{Name: name, MTU: 1450, Known: h.Known}); err != nil || len(drift) > 0 {
		t.Errorf("after removal: %v %v", drift, err)
	}
}

// TestWorkloadTakesItsLinkDown: what a workload does to its own end is drift like
// any other: verify says it, and the next look mends it.
func TestWorkloadTakesItsLinkDown(t *testing.T) {
	d, name := openTest(t)
	h := twoSubnets(t, name)
	if _, err := d.Apply(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	run(t, "nsenter", "--net="+h.Ports[1].Netns.Path, "ip", "link", "set", "eth0", "down")
	drift, err := d.Verify(t.Context(), h)
	if err != nil || len(drift) == 0 || drift[0].Kind != "workload" || !strings.Contains(drift[0].Have, "down") {
		t.Errorf("verify sees %v, %v; want the workload's link down", drift, err)
	}
	d.Dirty()
	if _, err := d.Apply(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	if drift, err := d.Verify(t.Context(), h); err != nil || len(drift) > 0 {
		t.Errorf("still %v, %v", drift, err)
	}
	if err := ping(h.Ports[1].Netns, "10.0.2.12"); err != nil {
		t.Error(err)
	}
}

// TestListThatCannotBe: rules that the programs could not hold concern the
// interfaces they are for, and nobody else.
func TestListThatCannotBe(t *testing.T) {
	d, name := openTest(t)
	h := twoSubnets(t, name)
	var many []spec.Rule
	for i := range 1100 {
		many = append(many, spec.Rule{Protocol: 6, FromPort: int32(i), ToPort: int32(i), Prefix: netip.MustParsePrefix("10.0.0.0/8"), ID: uint32(i + 2)})
	}
	id, set := spec.MakeRuleSet(many)
	h.RuleSets[id] = set
	p := h.Ports[2]
	p.Ingress = id
	h.Ports[2] = p
	rep, err := d.Apply(t.Context(), h)
	if err == nil || !rep.Isolated || !rep.Up[1] || rep.Up[2] || !rep.Up[3] {
		t.Errorf("%v, isolated %v, up %v; want all but 2", err, rep.Isolated, rep.Up)
	}
	if err := ping(h.Ports[1].Netns, "10.0.2.12"); err != nil {
		t.Error("the others: ", err)
	}
}

// TestOneBrokenWorkloadIsItsOwnProblem: whoever occupies the name of his own
// interface fails alone.
func TestOneBrokenWorkloadIsItsOwnProblem(t *testing.T) {
	d, name := openTest(t)
	h := twoSubnets(t, name)
	run(t, "nsenter", "--net="+h.Ports[2].Netns.Path, "ip", "link", "add", "eth0", "type", "bridge")
	rep, err := d.Apply(t.Context(), h)
	if err == nil || !rep.Isolated {
		t.Fatalf("Apply over a name that is taken: %v, isolated %v", err, rep.Isolated)
	}
	if !rep.Up[1] || rep.Up[2] || !rep.Up[3] {
		t.Errorf("up: %v, want all but 2", rep.Up)
	}
	if err := ping(h.Ports[1].Netns, "10.0.2.12"); err != nil {
		drops, _ := d.Read().Drops()
		t.Errorf("the others: %v drops %+v", err, drops)
	}
	run(t, "nsenter", "--net="+h.Ports[2].Netns.Path, "ip", "link", "del", "eth0")
	if rep, err = d.Apply(t.Context(), h); err != nil || !rep.Up[2] {
		t.Errorf("after the name is free: %v, up %v", err, rep.Up)
	}
}
