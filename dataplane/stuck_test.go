package dataplane

import (
	"context"
	"testing"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// TestPortThatStaysKeepsItsSlot: a link that could not be removed keeps its
// number. Two ports of one number would share an entry, and each could speak
// for the other.
func TestPortThatStaysKeepsItsSlot(t *testing.T) {
	d, name := openTest(t)
	h := twoSubnets(t, name)
	if _, err := d.Apply(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	stays := d.slots.port[2]
	addr := h.Ports[2].Addr.Addr()
	delete(h.Ports, 2)
	delete(h.Endpoints, spec.EndpointKey{VPC: 1, Addr: addr})
	ctx, cancel := context.WithCancel(t.Context())
	d.phases.crash = func(step string) {
		if step == "before prune link" {
			cancel()
		}
	}
	_, err := d.Apply(ctx, h)
	d.phases.crash = nil
	if err == nil {
		t.Fatal("an Apply that was cut off reports success")
	}
	if s, kept := d.slots.port[2]; !kept || s != stays {
		t.Errorf("slots %v after a failure; want 2 still at %d", d.slots.port, stays)
	}
	d.freeSlots(t.Context(), h, true)
	if s, kept := d.slots.port[2]; !kept || s != stays {
		t.Errorf("slots %v while its link is there; want 2 still at %d", d.slots.port, stays)
	}
	if _, err := d.Apply(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	if _, kept := d.slots.port[2]; kept {
		t.Error("the slot was not given back with its port")
	}
}

// TestOneSlotForEach: what an earlier life left twice is told apart again.
func TestOneSlotForEach(t *testing.T) {
	links := map[nl.LinkKey]nl.Link{
		{Netns: "a", Index: bpf.PortBase}:     {Kind: nl.Veth, Alias: "eni-1 1"},
		{Netns: "a", Index: bpf.PortBase + 5}: {Kind: nl.Veth, Alias: "eni-2 2"},
		{Netns: "b", Index: bpf.PortBase + 5}: {Kind: nl.Veth, Alias: "eni-3 3"},
		{Netns: "a", Index: bridgeBase + 1}:   {Kind: nl.Bridge, Alias: "subnet-1 1"},
		{Netns: "b", Index: bridgeBase + 1}:   {Kind: nl.Bridge, Alias: "subnet-2 2"},
	}
	for range 20 { // maps are read in any order
		s := readSlots(links)
		if s.port[1] != 0 || s.port[2] != 5 || s.port[3] != 1 {
			t.Fatalf("ports %v", s.port)
		}
		if s.subnet[1] != 1 || s.subnet[2] != 0 {
			t.Fatalf("subnets %v", s.subnet)
		}
	}
}
