package dataplane

import (
	"testing"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

// TestUnknownPlaceStays: a daemon that starts while a workload cannot be looked
// for leaves its port as it is, and its neighbours' too.
func TestUnknownPlaceStays(t *testing.T) {
	d, name := openTest(t)
	h := twoSubnets(t, name)
	if _, err := d.Apply(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	known := h.Ports[2]
	lost := known
	lost.Netns = spec.Netns{}
	h.Ports[2] = lost
	again, err := Open(t.Context(), Config{Name: name, FlowTable: 4096})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	for _, p := range []spec.Port{lost, known} {
		h.Ports[2] = p
		rep, err := again.Apply(t.Context(), h)
		if err != nil || rep.Writes != 0 || !rep.Up[2] {
			t.Errorf("place %v: %d writes, up %v, %v", p.Netns, rep.Writes, rep.Up, err)
		}
		if err := ping(h.Ports[1].Netns, known.Addr.Addr().String()); err != nil {
			t.Error(err)
		}
		if drift, err := again.Verify(t.Context(), h); err != nil || len(drift) > 0 {
			t.Errorf("place %v: %v %v", p.Netns, drift, err)
		}
	}
	delete(h.Ports, 3)
	never := known
	never.ID, never.Netns, never.MAC, never.Addr = "eni-00000000000000009", spec.Netns{}, spec.MACOf(9), known.Addr
	h.Ports[9], h.Known[9] = never, true
	if rep, err := again.Apply(t.Context(), h); err == nil || !rep.Isolated || rep.Up[9] || !rep.Up[1] {
		t.Errorf("one that was never attached: %v, up %v", err, rep.Up)
	}
}
