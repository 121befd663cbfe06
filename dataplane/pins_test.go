package dataplane

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

// life opens the host again, as a daemon that starts, and applies h.
func life(t *testing.T, h *spec.Host, table uint32) *Dataplane {
	t.Helper()
	d, err := Open(t.Context(), Config{Name: h.Name, FlowTable: table})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	settle(t, d, h)
	return d
}

// settle wants h in the kernel, all of it, and traffic on it.
func settle(t *testing.T, d *Dataplane, h *spec.Host) {
	t.Helper()
	// The kernel frees a link some time after its pin: until then its place is
	// taken, and Apply says so.
	var err error
	for range 50 {
		if _, err = d.Apply(t.Context(), h); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if drift, err := d.Verify(t.Context(), h); err != nil || len(drift) > 0 {
		t.Errorf("drift %v, %v", drift, err)
	}
	for _, to := range []string{"10.0.1.11", "10.0.2.12"} {
		if err := ping(h.Ports[1].Netns, to); err != nil {
			t.Errorf("ping %s: %v", to, err)
		}
	}
}

func mapPins(t *testing.T, host, name string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(Pins(host), "maps", "*", name))
	if err != nil || len(found) == 0 {
		t.Fatalf("no pin of map %s: %v", name, err)
	}
	return found
}

// TestLostPins: the maps of a host belong together. A pin that is removed is
// seen and put back; what a daemon finds incomplete at its start is not mixed
// with new maps behind the back of running programs.
func TestLostPins(t *testing.T) {
	d, name := openTest(t)
	h := twoSubnets(t, name)
	settle(t, d, h)
	for _, lost := range []string{"flows", "lists"} {
		if err := os.Remove(mapPins(t, name, lost)[0]); err != nil {
			t.Fatal(err)
		}
		drift, err := d.Verify(t.Context(), h)
		if want := fmt.Sprintf("pin %s: missing, want present", lost); err != nil || len(drift) != 1 || drift[0].String() != want {
			t.Errorf("without the pin of %s: %v, %v; want %q", lost, drift, err, want)
		}
		d.Dirty()
		settle(t, d, h)
	}
	if err := os.RemoveAll(Pins(name)); err != nil {
		t.Fatal(err)
	}
	d.Dirty()
	settle(t, d, h)

	for _, lost := range []string{"flows", "ports"} {
		if err := os.Remove(mapPins(t, name, lost)[0]); err != nil {
			t.Fatal(err)
		}
		life(t, h, 4096)
	}
}

// TestOtherLayout: a daemon with other maps moves every program onto them.
func TestOtherLayout(t *testing.T) {
	d, name := openTest(t)
	h := twoSubnets(t, name)
	settle(t, d, h)
	life(t, h, 8192)
	if left := mapPins(t, name, "flows"); len(left) != 1 {
		t.Errorf("layouts left: %v", left)
	}
}
