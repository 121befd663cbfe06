package dataplane

import (
	"errors"
	"fmt"
	gomaps "maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// slots numbers ports, with edges among them and between links to other VPCs, and
// subnets densely on this host. The kernel is the only
// memory: a link's ifindex is its slot and its alias its owner, so a restarted
// daemon continues where the last one was.
type slots struct {
	port   map[spec.ENI]maps.Slot
	peer   map[peerEnd]maps.Slot // no slot of a port
	subnet map[spec.SubnetID]int
	// edge has the VPC's id of each edge that has a port.
	edge map[spec.ENI]string
}

func newSlots() *slots {
	return &slots{port: map[spec.ENI]maps.Slot{}, peer: map[peerEnd]maps.Slot{}, subnet: map[spec.SubnetID]int{}, edge: map[spec.ENI]string{}}
}

// Aliases say who a link belongs to: the id for people, the index for us.
func portAlias(id string, e spec.ENI) string { return fmt.Sprintf("%s %d", id, e) }

func subnetAlias(id string, s spec.SubnetID) string { return fmt.Sprintf("%s %d", id, s) }

func edgeAlias(id string, v spec.VPC) string { return fmt.Sprintf("%s%s %d", nl.EdgeAlias, id, v) }

func parseEdgeAlias(alias string) (id string, e spec.ENI, ok bool) {
	rest, ok := strings.CutPrefix(alias, nl.EdgeAlias)
	id, n, known := parseAlias(rest, "vpc-")
	return id, spec.EdgeOf(spec.VPC(n)), ok && known
}

func parsePortAlias(alias string) (id string, e spec.ENI, ok bool) {
	id, n, ok := parseAlias(alias, "eni-")
	return id, spec.ENI(n), ok
}

func parseAlias(alias, prefix string) (string, uint32, bool) {
	id, number, ok := strings.Cut(alias, " ")
	if !ok || !strings.HasPrefix(id, prefix) {
		return "", 0, false
	}
	// A tap's alias goes on with the place it came from.
	number, _, _ = strings.Cut(number, " ")
	n, err := strconv.ParseUint(number, 10, 32)
	return id, uint32(n), err == nil
}

// readSlots takes the owners of links by their aliases. Two owners of one slot
// would share its entry, so the second moves; it stays known, for the brake.
func readSlots(links map[nl.LinkKey]nl.Link) *slots {
	s := newSlots()
	ports, subnets := map[maps.Slot]bool{}, map[int]bool{}
	var homelessPorts []spec.ENI
	var homelessPeers []peerEnd
	var homelessSubnets []spec.SubnetID
	for _, key := range slices.SortedFunc(gomaps.Keys(links), nl.LinkKey.Compare) {
		l := links[key]
		_, eni, ok := parsePortAlias(l.Alias)
		if id, edge, isEdge := parseEdgeAlias(l.Alias); isEdge {
			eni, ok, s.edge[edge] = edge, true, id
		}
		slot, numbered := slotOf(key)
		if ok && numbered && !take(s.port, ports, eni, slot) {
			homelessPorts = append(homelessPorts, eni)
		}
		if end, isPeer := parsePeerEnd(key.Netns, l.Alias); isPeer && numbered && !take(s.peer, ports, end, slot) {
			homelessPeers = append(homelessPeers, end)
		}
		if _, n, ok := parseAlias(l.Alias, "subnet-"); ok && l.Kind == nl.Bridge && key.Index >= bridgeBase {
			if !take(s.subnet, subnets, spec.SubnetID(n), key.Index-bridgeBase) {
				homelessSubnets = append(homelessSubnets, spec.SubnetID(n))
			}
		}
	}
	s.assignPorts(homelessPorts)
	s.assignPeers(homelessPeers)
	assign(s.subnet, homelessSubnets)
	return s
}

// take gives a slot to an owner unless somebody has it.
func take[K, S comparable](have map[K]S, used map[S]bool, k K, s S) bool {
	if used[s] {
		return false
	}
	have[k], used[s] = s, true
	return true
}

func (s *slots) assignPorts(owners []spec.ENI) {
	assign(s.port, owners, slices.Collect(gomaps.Values(s.peer))...)
}

func (s *slots) assignPeers(owners []peerEnd) {
	assign(s.peer, owners, slices.Collect(gomaps.Values(s.port))...)
}

// assign gives each owner that has none the lowest free slot that no other kind of
// owner has.
func assign[K comparable, S ~int | ~uint32](have map[K]S, owners []K, others ...S) {
	used := make(map[S]bool, len(have)+len(owners)+len(others))
	for _, s := range others {
		used[s] = true
	}
	for _, s := range have {
		used[s] = true
	}
	var next S
	for _, k := range owners {
		if _, ok := have[k]; ok {
			continue
		}
		for used[next] {
			next++
		}
		have[k], used[next] = next, true
	}
}

// keep frees the slots of owners that are not wanted, but for those that held
// has: their links are still in the kernel.
func (s *slots) keep(h *spec.Host, held *slots) {
	gomaps.DeleteFunc(s.port, func(eni spec.ENI, _ maps.Slot) bool {
		_, wanted := h.Ports[eni]
		if vpc, edge := eni.Edge(); edge {
			_, wanted = edgesOf(h)[vpc]
		}
		_, there := held.port[eni]
		return !wanted && !there
	})
	gomaps.DeleteFunc(s.edge, func(eni spec.ENI, _ string) bool { _, there := s.port[eni]; return !there })
	ends := endsOf(h)
	gomaps.DeleteFunc(s.peer, func(end peerEnd, _ maps.Slot) bool {
		_, there := held.peer[end]
		return !slices.Contains(ends, end) && !there
	})
	gomaps.DeleteFunc(s.subnet, func(id spec.SubnetID, _ int) bool {
		_, wanted := h.Subnets[id]
		_, there := held.subnet[id]
		return !wanted && !there
	})
}

func isNotEmpty(err error) bool {
	var p *os.PathError
	return errors.As(err, &p) && (errors.Is(p.Err, syscall.ENOTEMPTY) || errors.Is(p.Err, syscall.EBUSY))
}
