package dataplane

import (
	"errors"
	"slices"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/delta"
	"github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// blame finds the interfaces that a failed Apply left incomplete. isolated is
// false when something failed that is not one interface's own: then nobody
// knows who is affected. A gateway and the link of a peering are like an interface in
// that, but nobody asks whether they are up.
func (d *Dataplane) blame(h *spec.Host, err error) (failed map[spec.ENI]bool, isolated bool) {
	owner := make(map[maps.Slot]spec.ENI, len(d.slots.port))
	for eni, slot := range d.slots.port {
		owner[slot] = eni
	}
	between := map[maps.Slot]bool{}
	for _, slot := range d.slots.peer {
		between[slot] = true
	}
	failed, isolated = map[spec.ENI]bool{}, true
	for _, leaf := range leaves(err) {
		if out := (outsideError{}); errors.As(leaf, &out) {
			continue
		}
		eni, ok := spec.ENI(0), false
		if e := (*delta.KeyError)(nil); errors.As(leaf, &e) {
			held := (*nl.AdoptedError)(nil)
			if k, isList := e.Key.(spec.RuleSetID); isList {
				for _, eni := range portsWith(h, k) {
					failed[eni] = true
				}
				continue
			}
			if k, isNAT := e.Key.(spec.ENI); isNAT {
				failed[k] = true
				continue
			}
			if k, isFDB := e.Key.(nl.FDBKey); isFDB {
				eni, ok = spec.ENIOf(k.MAC)
			} else if errors.As(leaf, &held) {
				// Its namespace waits for it and nobody else does.
				slot, _ := slotOf(held.Index)
				eni, ok = owner[slot]
			} else if slot, isPort := slotOf(e.Key); isPort {
				if between[slot] {
					continue
				}
				eni, ok = owner[slot]
			}
		}
		if !ok {
			isolated = false
			continue
		}
		failed[eni] = true
	}
	return failed, isolated
}

// portsWith are the interfaces that a rule list decides about.
func portsWith(h *spec.Host, id spec.RuleSetID) []spec.ENI {
	var out []spec.ENI
	for eni, p := range h.Ports {
		s := h.Subnets[p.Subnet]
		if slices.Contains([]spec.RuleSetID{p.Egress, p.Ingress, s.ACLOut, s.ACLIn}, id) {
			out = append(out, eni)
		}
	}
	return out
}

// slotOf is the slot of the port that a key of any kind is about.
func slotOf(key any) (maps.Slot, bool) {
	index := 0
	switch k := key.(type) {
	case maps.Slot:
		return k, true
	case int: // a workload, by its port's ifindex
		index = k
	case nl.LinkKey:
		index = k.Index
	case progs.Attachment:
		index = k.Index
	}
	if index < bpf.PortBase || index >= bpf.PortBase+bpf.MaxPorts {
		return 0, false
	}
	return maps.Slot(index - bpf.PortBase), true
}

// tried reports whether an error comes from this pass, not from an earlier one
// whose object is not due again.
func tried(err error) bool {
	var e *delta.KeyError
	return !errors.As(err, &e) || !e.Held
}

// leaves are the errors that were joined.
func leaves(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var out []error
	for _, e := range joined.Unwrap() {
		out = append(out, leaves(e)...)
	}
	return out
}
