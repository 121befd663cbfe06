package dataplane

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// slots numbers ports and subnets densely on this host. The kernel is the only
// memory: a link's ifindex is its slot and its alias its owner, so a restarted
// daemon continues where the last one was.
type slots struct {
	port   map[spec.ENI]maps.Slot
	subnet map[spec.SubnetID]int
}

// Aliases say who a link belongs to: the id for people, the index for us.
func portAlias(id string, e spec.ENI) string { return fmt.Sprintf("%s %d", id, e) }

func subnetAlias(id string, s spec.SubnetID) string { return fmt.Sprintf("%s %d", id, s) }

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

func readSlots(links map[nl.LinkKey]nl.Link) *slots {
	s := &slots{port: map[spec.ENI]maps.Slot{}, subnet: map[spec.SubnetID]int{}}
	for key, l := range links {
		if _, eni, ok := parsePortAlias(l.Alias); ok && key.Index >= bpf.PortBase && key.Index < bpf.PortBase+bpf.MaxPorts {
			s.port[eni] = maps.Slot(key.Index - bpf.PortBase)
		}
		if _, n, ok := parseAlias(l.Alias, "subnet-"); ok && l.Kind == nl.Veth && key.Index >= bpf.PatchBase && key.Index < bridgeBase {
			s.subnet[spec.SubnetID(n)] = (key.Index - bpf.PatchBase) / 2
		}
	}
	return s
}

// assign gives each owner its slot, or the lowest free one.
func assign[K comparable, S ~int | ~uint32](have map[K]S, k K) S {
	if s, ok := have[k]; ok {
		return s
	}
	used := make(map[S]bool, len(have))
	for _, s := range have {
		used[s] = true
	}
	var s S
	for used[s] {
		s++
	}
	have[k] = s
	return s
}

// keep frees the slots of owners that have left the kernel.
func (s *slots) keep(h *spec.Host) {
	for eni := range s.port {
		if _, ok := h.Ports[eni]; !ok {
			delete(s.port, eni)
		}
	}
	for id := range s.subnet {
		if _, ok := h.Subnets[id]; !ok {
			delete(s.subnet, id)
		}
	}
}

func isNotEmpty(err error) bool {
	var p *os.PathError
	return errors.As(err, &p) && (errors.Is(p.Err, syscall.ENOTEMPTY) || errors.Is(p.Err, syscall.EBUSY))
}
