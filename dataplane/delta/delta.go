// Package delta makes one kind of kernel object look as desired while touching
// only what differs.
//
// A Driver knows how to list, write and remove objects of one kind; a Tracker
// remembers what was last read or written, so that a change of one object
// costs one write and no listing. Dirty throws that memory away: the next Put
// or Prune reads everything first, which is how drift is found and healed.
//
// An object that keeps failing is tried less and less often, so that one whose
// owner stands in its way costs the others nothing; see patience.
//
// Reviewers check: nothing is deleted on the strength of a listing that failed,
// no failure is ever remembered as a success, and what is held back is an error
// of every pass until it succeeds.
package delta

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Driver reads and writes one kind of kernel object. All three calls may be
// repeated at any time with the same result.
type Driver[K, V comparable] interface {
	// Observe lists completely what is ours in the kernel. want says where to
	// look and fills what the kernel does not keep; it is not modified. A
	// listing that was interrupted is an error, never a part of the truth.
	Observe(ctx context.Context, want map[K]V) (map[K]V, error)
	// Put creates the object or corrects it; a right one stays untouched.
	Put(ctx context.Context, k K, v V) error
	// Delete removes the object; one that is missing is removed already.
	Delete(ctx context.Context, k K) error
}

// Drift is one object that is not as desired. Want is empty for what should
// not exist, Have for what does not.
type Drift struct {
	Kind, Object, Want, Have string
}

// String renders one line for people.
func (d Drift) String() string {
	switch {
	case d.Want == "":
		return fmt.Sprintf("%s %s: have %s, want nothing", d.Kind, d.Object, d.Have)
	case d.Have == "":
		return fmt.Sprintf("%s %s: missing, want %s", d.Kind, d.Object, d.Want)
	}
	return fmt.Sprintf("%s %s: have %s, want %s", d.Kind, d.Object, d.Have, d.Want)
}

// KeyError is the failure of one object.
type KeyError struct {
	Kind, Verb string // Verb is "delete " or empty
	Key        any
	Err        error
	// Held says that it failed in an earlier pass and was not tried in this one.
	Held bool
}

// Error names kind and key.
func (e *KeyError) Error() string { return fmt.Sprintf("%s: %s%v: %v", e.Kind, e.Verb, e.Key, e.Err) }

// Unwrap is the driver's error.
func (e *KeyError) Unwrap() error { return e.Err }

// Phase is a Tracker without its types, so that kinds can be put in order in
// one list.
type Phase interface {
	Name() string
	Dirty()
	Put(ctx context.Context) (int, error)
	Prune(ctx context.Context) (int, error)
	Diff(ctx context.Context) ([]Drift, error)
}

// Tracker holds desired and actual state of one kind. Its methods may be
// called from several goroutines; Put, Prune and Diff wait for each other,
// Want and Dirty wait for nobody.
type Tracker[K, V comparable] struct {
	name    string
	driver  Driver[K, V]
	compare func(a, b K) int

	want atomic.Pointer[map[K]V]
	// epoch counts Dirty calls. One that arrives while the driver works must
	// not be lost, so what was read carries the epoch from before the reading.
	epoch atomic.Uint64

	mu   sync.Mutex
	read uint64 // epoch of have; zero means never read
	have map[K]V
	// whole is what was wanted when all of it was found or written.
	whole *map[K]V
	// unsure are keys whose last write failed: they may exist or not, and in
	// which shape is unknown.
	unsure map[K]struct{}
	// puts and deletes are the keys that fail.
	puts    map[K]failing[V]
	deletes map[K]failing[struct{}]
}

// New returns a tracker that wants nothing and has read nothing. compare orders
// keys, so that the same change always makes the same writes in the same order.
func New[K, V comparable](name string, d Driver[K, V], compare func(a, b K) int) *Tracker[K, V] {
	t := &Tracker[K, V]{name: name, driver: d, compare: compare, unsure: map[K]struct{}{},
		puts: map[K]failing[V]{}, deletes: map[K]failing[struct{}]{}}
	t.want.Store(&map[K]V{})
	t.epoch.Store(1)
	return t
}

// Name is the kind, as shown in errors and drift.
func (t *Tracker[K, V]) Name() string { return t.name }

// Want replaces the desired state. The tracker owns m from here on; the caller
// must not modify it.
func (t *Tracker[K, V]) Want(m map[K]V) { t.want.Store(&m) }

// Dirty forgets what was read.
func (t *Tracker[K, V]) Dirty() { t.epoch.Add(1) }

// Put creates what is missing and corrects what differs, in key order, and
// returns how many objects it wrote. A key that fails does not stop the others;
// it is tried again by a later Put. The errors are joined, also those of keys
// that were not tried now.
func (t *Tracker[K, V]) Put(ctx context.Context) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	wanted := t.want.Load()
	want := *wanted
	t.whole = nil
	if err := t.observe(ctx, want); err != nil {
		return 0, err
	}
	todo := map[K]V{}
	for k, v := range want {
		if have, ok := t.have[k]; !ok || have != v {
			todo[k] = v
		}
	}
	settle(t.puts, todo)
	n, err := each(ctx, t, t.puts, todo, "", func(k K) error {
		if err := t.driver.Put(ctx, k, want[k]); err != nil {
			return err
		}
		t.have[k] = want[k]
		return nil
	})
	if err == nil {
		t.whole = wanted
	}
	return n, err
}

// Prune deletes what is not desired, in reverse key order, and returns how many
// objects it deleted. It deletes nothing unless everything could be listed.
func (t *Tracker[K, V]) Prune(ctx context.Context) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	wanted := t.want.Load()
	want := *wanted
	if err := t.observe(ctx, want); err != nil {
		return 0, err
	}
	doomed := map[K]struct{}{}
	if t.whole == wanted && len(t.have) == len(want) && len(t.unsure) == 0 {
		settle(t.deletes, doomed) // as many as are wanted, and these are there
		return 0, nil
	}
	for k := range t.have {
		if _, ok := want[k]; !ok {
			doomed[k] = struct{}{}
		}
	}
	for k := range t.unsure {
		if _, ok := want[k]; !ok {
			doomed[k] = struct{}{}
		}
	}
	settle(t.deletes, doomed)
	return each(ctx, t, t.deletes, doomed, "delete ", func(k K) error { return t.driver.Delete(ctx, k) })
}

// Diff lists the kernel and compares, in key order. It writes nothing and
// leaves what the tracker remembers as it was.
func (t *Tracker[K, V]) Diff(ctx context.Context) ([]Drift, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	want := *t.want.Load()
	have, err := t.driver.Observe(ctx, want)
	if err != nil {
		return nil, fmt.Errorf("%s: list: %w", t.name, err)
	}
	return drift(t.name, want, have, t.compare), nil
}

// drift is what differs, in key order.
func drift[K, V comparable](kind string, want, have map[K]V, compare func(a, b K) int) []Drift {
	keys := map[K]struct{}{}
	for k, v := range want {
		if h, ok := have[k]; !ok || h != v {
			keys[k] = struct{}{}
		}
	}
	for k := range have {
		if _, ok := want[k]; !ok {
			keys[k] = struct{}{}
		}
	}
	var out []Drift
	for _, k := range slices.SortedFunc(maps.Keys(keys), compare) {
		out = append(out, Drift{Kind: kind, Object: fmt.Sprint(k), Want: show(want, have, k), Have: show(have, want, k)})
	}
	return out
}

// observe makes have true as of the newest Dirty.
func (t *Tracker[K, V]) observe(ctx context.Context, want map[K]V) error {
	epoch := t.epoch.Load()
	if t.read == epoch {
		return nil
	}
	have, err := t.driver.Observe(ctx, want)
	if err != nil {
		return fmt.Errorf("%s: list: %w", t.name, err)
	}
	t.have = make(map[K]V, len(have))
	maps.Copy(t.have, have)
	clear(t.unsure)
	t.read, t.whole = epoch, nil
	return nil
}

// each writes keys one after another and keeps have and unsure honest: before a
// write the key is unsure, after a good one it is what op recorded.
func each[K, V, W comparable](ctx context.Context, t *Tracker[K, V], fails map[K]failing[W], todo map[K]W, verb string, op func(K) error) (int, error) {
	keys := slices.SortedFunc(maps.Keys(todo), t.compare)
	if verb != "" {
		slices.Reverse(keys)
	}
	writes := 0
	var errs []error
	for _, k := range keys {
		if err := ctx.Err(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", t.name, err))
			break
		}
		if f, ok := fails[k]; ok && time.Now().Before(f.next) {
			held := *f.err
			held.Held = true
			errs = append(errs, &held)
			continue
		}
		delete(t.have, k)
		t.unsure[k] = struct{}{}
		writes++
		if err := op(k); err != nil {
			failure := &KeyError{Kind: t.name, Verb: verb, Key: k, Err: err}
			errs = append(errs, failure)
			if ctx.Err() == nil { // being stopped says nothing of the object
				fails[k] = fails[k].again(todo[k], failure)
			}
			continue
		}
		delete(t.unsure, k)
		delete(fails, k)
	}
	return writes, errors.Join(errs...)
}
