package maps

import (
	"errors"
	"fmt"

	"github.com/vpcfabric/vpc/bpf"
)

// generations is what the drivers of one host share: the number that says which
// of two versions of a policy is in force. What they write is for the generation
// after it, and counts once Publish has made that one the present.
type generations struct {
	known   bool
	inForce uint64
	// changed says that there is something to publish.
	changed bool
	// uncounted are the ports whose policy was written and whose epoch has not
	// been counted since.
	uncounted map[Slot]bool
	// owners says which endpoint has each public address, so that none has two.
	owners map[uint32]bpf.EndpointKey
}

// present is the generation in force.
func (m *Maps) present() (uint64, error) {
	if m.gen.known {
		return m.gen.inForce, nil
	}
	if err := m.m["generations"].Lookup(uint32(0), &m.gen.inForce); err != nil {
		return 0, fmt.Errorf("read the generation of policy: %w", err)
	}
	m.gen.known = true
	return m.gen.inForce, nil
}

// Publish puts in force, with one write, everything that was written of
// policies, endpoints and routes since it was last called, and returns how many
// writes it took. Decisions that were under way are made again.
func (m *Maps) Publish() (int, error) {
	if !m.gen.changed {
		return 0, nil
	}
	now, err := m.present()
	if err != nil {
		return 0, err
	}
	writes.Add(1)
	if err := m.m["generations"].Put(uint32(0), now+1); err != nil {
		m.gen.known = false
		return 1, fmt.Errorf("publish policy: %w", err)
	}
	m.gen.inForce, m.gen.changed = now+1, false
	return 1, nil
}

// CountEpochs counts the epochs of ports whose policy was published and whose own
// entry was not written since. It returns how many it wrote.
func (m *Maps) CountEpochs() (int, error) {
	if m.gen.changed {
		return 0, nil // not in force yet
	}
	var errs []error
	n := 0
	for k := range m.gen.uncounted {
		var v bpf.Port
		err := m.m["ports"].Lookup(uint32(k), &v)
		if err == nil && v.Eni != 0 {
			n++
			err = ports{m}.count(k, v)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		delete(m.gen.uncounted, k)
	}
	return n, errors.Join(errs...)
}

// Recount has the epochs of all ports counted by the next CountEpochs. A process
// that was killed may have changed routes and places of addresses, which count at
// once, and not the ports that rest on them; if they were changed back since,
// nothing else would show that.
func (m *Maps) Recount() error {
	values, err := ports{m}.read()
	for i, v := range values {
		if v.Eni != 0 {
			m.gen.uncounted[Slot(i)] = true
		}
	}
	return err
}

// newest says which of two versions is in force at a generation, -1 if none is,
// and whether one waits for a later generation. The programs decide alike.
func newest(since [2]uint64, now uint64) (at int, waits bool) {
	at = -1
	for i, s := range since {
		if s > now {
			waits = true
		} else if at < 0 || s > since[at] {
			at = i
		}
	}
	return at, waits
}
