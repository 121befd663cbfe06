package delta

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// Set is a part of what is wanted. It is made once and never changes.
type Set[K, V comparable] struct{ objects map[K]V }

// MakeSet takes the map over: nobody may change it from then on.
func MakeSet[K, V comparable](objects map[K]V) *Set[K, V] { return &Set[K, V]{objects} }

// Sets is a Tracker for objects that are many and come in sets, each with a name
// G. A set that is the very one that was settled last is not compared again, so a
// pass costs what the changed sets hold and not what all do. After Dirty all are
// compared with what the kernel has, object by object.
//
// The driver lists without being told what is wanted.
type Sets[G, K, V comparable] struct {
	name   string
	driver Driver[K, V]
	of     func(K) G
	order  func(a, b K) int
	sort   func(a, b G) int

	want  atomic.Pointer[map[G]*Set[K, V]]
	epoch atomic.Uint64

	mu      sync.Mutex
	read    uint64 // epoch of what members have; zero means never read
	members map[G]*member[K, V]
}

// member follows one set. put and pruned say that nothing is left to be created
// and deleted for it.
type member[K, V comparable] struct {
	*Tracker[K, V]
	set         *Set[K, V]
	put, pruned bool
}

// NewSets is New for sets: of says which one an object belongs to, and sort orders
// them.
func NewSets[G, K, V comparable](name string, d Driver[K, V], of func(K) G, sort func(a, b G) int, compare func(a, b K) int) *Sets[G, K, V] {
	s := &Sets[G, K, V]{name: name, driver: d, of: of, order: compare, sort: sort, members: map[G]*member[K, V]{}}
	s.want.Store(&map[G]*Set[K, V]{})
	s.epoch.Store(1)
	return s
}

// Name is the kind, as shown in errors and drift.
func (s *Sets[G, K, V]) Name() string { return s.name }

// Want replaces the desired state; m is the tracker's from here on.
func (s *Sets[G, K, V]) Want(m map[G]*Set[K, V]) { s.want.Store(&m) }

// Dirty forgets what was read.
func (s *Sets[G, K, V]) Dirty() { s.epoch.Add(1) }

// Put is Tracker.Put for the sets that are not settled, in order.
func (s *Sets[G, K, V]) Put(ctx context.Context) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	want := *s.want.Load()
	if err := s.observe(ctx); err != nil {
		return 0, err
	}
	return inOrder(want, s.sort, false, func(g G) (int, error) {
		m := s.member(g, want[g])
		if m.put {
			return 0, nil
		}
		n, err := m.Put(ctx)
		m.put = err == nil
		return n, err
	})
}

// Prune is Tracker.Prune for the sets that are not settled, in reverse order, and
// for those that are no more.
func (s *Sets[G, K, V]) Prune(ctx context.Context) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	want := *s.want.Load()
	if err := s.observe(ctx); err != nil {
		return 0, err
	}
	return inOrder(s.members, s.sort, true, func(g G) (int, error) {
		m := s.member(g, want[g])
		if m.pruned {
			return 0, nil
		}
		n, err := m.Prune(ctx)
		m.pruned = err == nil
		if m.pruned && m.set == nil {
			delete(s.members, g)
		}
		return n, err
	})
}

// Diff compares everything with the kernel, in the order of keys.
func (s *Sets[G, K, V]) Diff(ctx context.Context) ([]Drift, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	have, err := s.driver.Observe(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: list: %w", s.name, err)
	}
	want := map[K]V{}
	for _, set := range *s.want.Load() {
		maps.Copy(want, set.objects)
	}
	return drift(s.name, want, have, s.order), nil
}

// inOrder visits sets and joins what comes of it.
func inOrder[G comparable, X any](sets map[G]X, sort func(a, b G) int, reverse bool, do func(G) (int, error)) (int, error) {
	names := slices.SortedFunc(maps.Keys(sets), sort)
	if reverse {
		slices.Reverse(names)
	}
	total := 0
	var errs []error
	for _, g := range names {
		n, err := do(g)
		total += n
		if err != nil {
			errs = append(errs, err)
		}
	}
	return total, errors.Join(errs...)
}

// member is who follows the set of that name, which is this one now; nil is none.
func (s *Sets[G, K, V]) member(g G, set *Set[K, V]) *member[K, V] {
	m := s.follower(g)
	if m.set == set {
		return m
	}
	m.set, m.put, m.pruned = set, false, false
	objects := map[K]V{}
	if set != nil {
		objects = set.objects
	}
	m.Want(objects)
	return m
}

// follower is a member that is there already, or a new one that has nothing.
func (s *Sets[G, K, V]) follower(g G) *member[K, V] {
	m := s.members[g]
	if m == nil {
		m = &member[K, V]{Tracker: New(s.name, s.driver, s.order)}
		m.know(nil)
		s.members[g] = m
	}
	return m
}

// know gives a member what was read.
func (m *member[K, V]) know(have map[K]V) {
	if have == nil {
		have = map[K]V{}
	}
	m.have, m.whole, m.read, m.put, m.pruned = have, nil, m.epoch.Load(), false, false
	clear(m.unsure)
}

// observe makes true what members have, as of the newest Dirty.
func (s *Sets[G, K, V]) observe(ctx context.Context) error {
	epoch := s.epoch.Load()
	if s.read == epoch {
		return nil
	}
	have, err := s.driver.Observe(ctx, nil)
	if err != nil {
		return fmt.Errorf("%s: list: %w", s.name, err)
	}
	parts := map[G]map[K]V{}
	for k, v := range have {
		g := s.of(k)
		if parts[g] == nil {
			parts[g] = map[K]V{}
		}
		parts[g][k] = v
	}
	for g := range parts {
		s.follower(g)
	}
	for g, m := range s.members {
		m.know(parts[g])
	}
	s.read = epoch
	return nil
}
