package dataplane

import "testing"

// TestWorkloadMovesBetweenTwoLooks: a container that restarts quickly is seen
// in its old namespace and then in its new one, never in none. Its link is made
// again, and all that hung on the old link must be too.
func TestWorkloadMovesBetweenTwoLooks(t *testing.T) {
	d, name := openTest(t)
	h := twoSubnets(t, name)
	if _, err := d.Apply(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	if err := ping(h.Ports[1].Netns, "10.0.1.11"); err != nil {
		t.Fatal(err)
	}
	p := h.Ports[2]
	p.Netns = workloadNetns(t, name+"moved")
	h.Ports[2] = p
	rep, err := d.Apply(t.Context(), h)
	if err != nil || !rep.Up[2] {
		t.Fatalf("%v, up %v", err, rep.Up)
	}
	if err := ping(h.Ports[1].Netns, "10.0.1.11"); err != nil {
		drops, _ := d.Read().Drops()
		t.Errorf("to its new place: %v drops %+v", err, drops)
	}
	if drift, err := d.Verify(t.Context(), h); err != nil || len(drift) > 0 {
		t.Errorf("verify: %v %v", drift, err)
	}
}
