package dataplane

import (
	"maps"

	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// Disturbed reports whether nftables, or newer iptables, changed since it was last
// asked, in a namespace where what is ours can be flushed by others: the host's own
// and those of NAT gateways. The next Apply then reads what we have there, and
// nothing else. What this program writes is a change as well: looking once more
// costs little, and misses nothing that came in between.
//
// Neighbours that change their tables all the time cost one such look each time
// this is called, so it is called at intervals. It costs one message for each
// namespace.
func (d *Dataplane) Disturbed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := map[string]uint32{}
	for _, path := range d.flushable(d.host) {
		// A namespace that cannot be asked is a matter of the next whole look.
		if n, err := nl.NFTGeneration(path); err == nil {
			now[path] = n
		}
	}
	before := d.generations
	d.generations = now
	if maps.Equal(before, now) {
		return false
	}
	d.phases.firewall.Dirty()
	d.phases.accepts.Dirty()
	d.phases.nats.Dirty()
	return true
}

// flushable are the paths of the namespaces in which we have tables.
func (d *Dataplane) flushable(h *spec.Host) []string {
	if h == nil {
		return nil
	}
	var out []string
	if len(edgesOf(h)) > 0 {
		out = append(out, d.out.netns.Path)
	}
	for _, n := range h.NATs {
		out = append(out, netnsDir+d.kernel.Netns(n.ID))
	}
	return out
}
