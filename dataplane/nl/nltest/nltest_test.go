package nltest_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/nl/nltest"
)

var ctx = context.Background()

func TestRefusesWhatDangles(t *testing.T) {
	var k nltest.Kernel
	d := k.Drivers()
	br, p := nl.LinkKey{Netns: "s", Index: 2}, nl.LinkKey{Netns: "s", Index: 3}
	if d.Links.Put(ctx, br, nl.Link{Kind: nl.Bridge}) == nil {
		t.Fatal("a link without a namespace")
	}
	for _, err := range []error{
		d.Namespaces.Put(ctx, "s", struct{}{}),
		d.Links.Put(ctx, br, nl.Link{Kind: nl.Bridge}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if d.BridgePorts.Put(ctx, p, nl.BridgePort{Master: 2}) == nil {
		t.Fatal("a port without a link")
	}
	if d.Links.Put(ctx, nl.LinkKey{Netns: "f", Index: 3}, nl.Link{Kind: nl.Veth}) == nil {
		t.Fatal("a pair out of nowhere")
	}
	if d.Workloads.Put(ctx, 9, nl.Workload{}) == nil {
		t.Fatal("a workload without a port")
	}
}

func TestDeletionTakesDependantsAlong(t *testing.T) {
	var k nltest.Kernel
	d := k.Drivers()
	key := nl.LinkKey{Netns: "s", Index: 2}
	for _, err := range []error{
		d.Namespaces.Put(ctx, "s", struct{}{}),
		d.Links.Put(ctx, key, nl.Link{Kind: nl.Bridge}),
		d.Ups.Put(ctx, key, nl.Up{}),
		d.Namespaces.Delete(ctx, "s"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if ups, err := d.Ups.Observe(ctx, nil); len(ups) != 0 || err != nil {
		t.Fatalf("%v, %v", ups, err)
	}
}

func TestFailsOnDemand(t *testing.T) {
	var k nltest.Kernel
	planned := errors.New("planned")
	k.Fail(func(op nltest.Op) error {
		if op.Verb == "put" {
			return planned
		}
		return nil
	})
	d := k.Drivers().Namespaces
	if err := d.Put(ctx, "s", struct{}{}); !errors.Is(err, planned) {
		t.Fatal(err)
	}
	if have, err := d.Observe(ctx, nil); len(have) != 0 || err != nil {
		t.Fatalf("%v, %v", have, err)
	}
	if w := k.Writes(); len(w) != 1 || w[0].String() != "put namespace s" {
		t.Fatalf("%v", w)
	}
}

func TestOutsideHangsOnTheInside(t *testing.T) {
	var k nltest.Kernel
	d, o := k.Drivers(), k.Outside()
	key, one, pool := nl.LinkKey{Netns: "s", Index: 2}, netip.MustParsePrefix("198.18.0.7/32"), netip.MustParsePrefix("198.18.0.0/24")
	if o.Edges.Put(ctx, key, nl.Edge{Name: "e"}) == nil {
		t.Fatal("an edge without a pair")
	}
	if o.Routes.Put(ctx, one, nl.HostRoute{Device: "e"}) == nil {
		t.Fatal("a route over an edge that is not there")
	}
	for _, err := range []error{
		d.Namespaces.Put(ctx, "s", struct{}{}),
		d.Links.Put(ctx, key, nl.Link{Kind: nl.Veth}),
		o.Edges.Put(ctx, key, nl.Edge{Name: "e"}),
		o.Forwarding.Put(ctx, "eth0", true),
		o.Routes.Put(ctx, one, nl.HostRoute{Device: "e"}),
		o.Routes.Put(ctx, pool, nl.HostRoute{}),
		d.Links.Delete(ctx, key),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	edges, _ := o.Edges.Observe(ctx, nil)
	routes, _ := o.Routes.Observe(ctx, nil)
	if _, kept := routes[pool]; len(edges) != 0 || len(routes) != 1 || !kept {
		t.Fatalf("after the pair: %v, %v", edges, routes)
	}
}
