package dataplane

import (
	"errors"
	"testing"

	"github.com/vpcfabric/vpc/dataplane/delta"
	dmaps "github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// openEdge are phases with a firewall and an edge that is open behind it.
func openEdge(t *testing.T) (p *phases, w world, firewall *memory[string, spec.Firewall], edge *memory[nl.LinkKey, nl.Edge]) {
	t.Helper()
	firewall, edge = inMemory[string, spec.Firewall](), inMemory[nl.LinkKey, nl.Edge]()
	p = inMemoryOutside(firewall)
	p.edges = delta.New("edge", edge, nl.LinkKey.Compare)
	w = emptyWorld()
	w.firewall = map[string]spec.Firewall{"vpc_t": "x"}
	w.edges[nl.LinkKey{Netns: "n", Index: 1}] = nl.Edge{Name: "e"}
	p.want(w, dmaps.New(nil).Rules())
	if _, err := p.run(t.Context(), true); err != nil || len(firewall.m) != 1 || len(edge.m) != 1 {
		t.Fatalf("%v, %v, %v", err, firewall.m, edge.m)
	}
	return p, w, firewall, edge
}

// TestNoEdgeWithoutTheFirewall: where the table is gone and cannot be written, edges
// that are open close, even under the brake, and open again with the table.
func TestNoEdgeWithoutTheFirewall(t *testing.T) {
	p, w, firewall, edge := openEdge(t)
	clear(firewall.m)
	for _, prune := range []bool{true, false} {
		firewall.fail = errors.New("no memory")
		for _, x := range p.all() {
			x.Dirty()
		}
		p.want(w, dmaps.New(nil).Rules())
		if _, err := p.run(t.Context(), prune); err == nil || len(edge.m) != 0 {
			t.Errorf("%v; open: %v", err, edge.m)
		}
		firewall.fail = nil
		p.want(w, dmaps.New(nil).Rules())
		if _, err := p.run(t.Context(), prune); err != nil || len(edge.m) != 1 || len(firewall.m) != 1 {
			t.Errorf("%v; open: %v behind %v", err, edge.m, firewall.m)
		}
		clear(firewall.m)
	}
}

// TestFirewallOutlivesItsEdges: while an edge cannot be closed its name is known.
func TestFirewallOutlivesItsEdges(t *testing.T) {
	p, _, firewall, edge := openEdge(t)
	edge.fail = errors.New("busy")
	p.want(emptyWorld(), dmaps.New(nil).Rules())
	if _, err := p.run(t.Context(), true); err == nil || len(firewall.m) != 1 {
		t.Errorf("%v; firewall %v, open %v", err, firewall.m, edge.m)
	}
	edge.fail = nil
	if _, err := p.run(t.Context(), true); err != nil || len(firewall.m) != 0 || len(edge.m) != 0 {
		t.Errorf("%v; firewall %v, open %v", err, firewall.m, edge.m)
	}
}

// TestBlindChangesNothing: as long as nobody knows the host's uplinks, what they
// decide about stays as it is, and nothing opens.
func TestBlindChangesNothing(t *testing.T) {
	p, w, firewall, edge := openEdge(t)
	p.blind = true
	w.firewall = nil
	w.edges[nl.LinkKey{Netns: "n", Index: 2}] = nl.Edge{Name: "f"}
	p.want(w, dmaps.New(nil).Rules())
	if _, err := p.run(t.Context(), true); err != nil || len(firewall.m) != 1 || len(edge.m) != 1 {
		t.Errorf("%v; firewall %v, open %v", err, firewall.m, edge.m)
	}
}
