package maps

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	gomaps "maps"
	"slices"
	"sync"
	"time"

	"github.com/vpcfabric/vpc/dataplane/classify"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// CompareRuleSets orders by digest.
func CompareRuleSets(a, b spec.RuleSetID) int { return bytes.Compare(a[:], b[:]) }

// Rules is the driver of rule lists. A list is named by its content; the number
// that the programs use is given here, never twice while this process lives,
// and read back from the maps after a restart.
type Rules struct {
	// Rest is how long a list that nobody names any more stays: a program that
	// was interrupted on its way through it must not find another's content
	// there. The kernel gives the memory of what is deleted to the next that asks
	// for some.
	Rest time.Duration

	m *Maps

	mu      sync.Mutex
	content map[spec.RuleSetID]spec.RuleSet
	number  map[spec.RuleSetID]uint32
	name    map[uint32]spec.RuleSetID // the inverse of number
	parts   map[uint32]parts
	vectors *vectors
	next    uint32
	// retired are lists that nobody names any more, by number, and since when.
	retired map[uint32]time.Time
}

// Rules returns the driver; there is one per host.
func (m *Maps) Rules() *Rules {
	return &Rules{
		m: m, number: map[spec.RuleSetID]uint32{}, name: map[uint32]spec.RuleSetID{},
		parts: map[uint32]parts{}, vectors: newVectors(m), next: 1,
		retired: map[uint32]time.Time{}, Rest: time.Second,
	}
}

// Content says what the wanted digests stand for. Call it before Put.
func (r *Rules) Content(sets map[spec.RuleSetID]spec.RuleSet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.content = sets
}

// emptySet is the digest of no rules: it needs no list, number 0 is its name.
var emptySet, _ = spec.MakeRuleSet(nil)

// list is the number of a written set; an unknown one is an error, because a
// port must not be opened with rules that are not there.
func (r *Rules) list(id spec.RuleSetID) (uint32, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id == emptySet {
		return 0, nil
	}
	n, ok := r.number[id]
	if !ok {
		return 0, fmt.Errorf("rule list %s is not loaded", id)
	}
	return n, nil
}

// idOf is the inverse of list; an unknown number has a digest that nothing has.
func (r *Rules) idOf(n uint32) spec.RuleSetID {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n == 0 {
		return emptySet
	}
	return r.name[n]
}

// Observe reads every list. One that is not exactly what its name stands for
// has the name of no possible content.
func (r *Rules) Observe(context.Context, map[spec.RuleSetID]struct{}) (map[spec.RuleSetID]struct{}, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.bury(); err != nil {
		return nil, err
	}
	images, err := r.m.readImages()
	if err != nil {
		return nil, err
	}
	if err := r.vectors.read(); err != nil {
		return nil, err
	}
	used, err := r.m.listsOfPorts()
	if err != nil {
		return nil, err
	}
	for _, n := range used {
		r.next = max(r.next, n+1)
	}
	r.number, r.name, r.parts = map[spec.RuleSetID]uint32{}, map[uint32]spec.RuleSetID{}, map[uint32]parts{}
	out := map[spec.RuleSetID]struct{}{}
	for _, n := range slices.Sorted(gomaps.Keys(images)) {
		r.next = max(r.next, n+1)
		if _, gone := r.retired[n]; gone {
			r.parts[n] = images[n].parts()
			r.vectors.hold(r.parts[n].vectors)
			continue
		}
		id := r.identify(n, images[n])
		if _, taken := r.number[id]; taken {
			id = broken(n) // one of the two is enough
		}
		r.number[id], r.name[n], r.parts[n] = n, id, images[n].parts()
		r.vectors.hold(r.parts[n].vectors)
		out[id] = struct{}{}
	}
	return out, nil
}

// identify names a list by what it says. Of one that nobody wants it is enough
// that it has a name.
func (r *Rules) identify(n uint32, i *image) spec.RuleSetID {
	if i.head == nil || i.head.Name == (spec.RuleSetID{}) {
		return broken(n)
	}
	set, known := r.content[i.head.Name]
	if !known {
		return i.head.Name
	}
	l, err := classify.Compile(set)
	if err != nil {
		return broken(n)
	}
	if want, err := encode(i.head.Name, l, r.vectors.find); err != nil || !want.equal(i) {
		return broken(n)
	}
	return i.head.Name
}

// broken is the name of a damaged list, which no content has.
func broken(n uint32) (id spec.RuleSetID) {
	copy(id[:], "broken list ")
	binary.BigEndian.PutUint32(id[12:], n)
	return id
}

// Put compiles and writes a list under a fresh number.
func (r *Rules) Put(_ context.Context, id spec.RuleSetID, _ struct{}) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id == emptySet {
		return nil
	}
	if err := r.bury(); err != nil {
		return err
	}
	set, ok := r.content[id]
	if !ok {
		return fmt.Errorf("rule list %s has no content", id)
	}
	l, err := classify.Compile(set)
	if err != nil {
		return err
	}
	img, err := encode(id, l, r.vectors.intern)
	if err != nil {
		return errors.Join(err, r.vectors.tidy())
	}
	n := r.next
	r.next++
	r.parts[n] = img.parts()
	r.vectors.hold(r.parts[n].vectors)
	if err := img.write(r.m, n); err != nil {
		return errors.Join(err, r.take(n))
	}
	delete(r.name, r.number[id])
	r.number[id], r.name[n] = n, id
	return nil
}

// Delete lets the list with this content rest, then removes it in a later call.
func (r *Rules) Delete(_ context.Context, id spec.RuleSetID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, ok := r.number[id]
	if !ok {
		return nil
	}
	delete(r.number, id)
	delete(r.name, n)
	r.retired[n] = time.Now()
	return r.bury()
}

// bury removes lists that have rested long enough.
func (r *Rules) bury() error {
	var errs []error
	for n, since := range r.retired {
		if time.Since(since) < r.Rest {
			continue
		}
		if err := r.take(n); err != nil {
			errs = append(errs, err)
			continue
		}
		delete(r.retired, n)
	}
	return errors.Join(errs...)
}

// Bury removes lists that nobody has named for a while.
func (r *Rules) Bury() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bury()
}

// take removes list n and the bit vectors that only it has named.
func (r *Rules) take(n uint32) error {
	if err := r.parts[n].remove(r.m, n); err != nil {
		return err
	}
	r.vectors.release(r.parts[n].vectors)
	delete(r.parts, n)
	return r.vectors.tidy()
}
