package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestReadYourWrites(t *testing.T) {
	s := openFast(t)
	for i := range 50 {
		revision := put(t, s, "a/x", i)
		sn := s.Snapshot()
		if c, ok := Get[*counter](sn, Prefix+"a/x"); !ok || c.N != i {
			t.Fatalf("after writing %d the snapshot has %v, %v", i, c, ok)
		}
		if at, _ := sn.ModRevision(Prefix + "a/x"); at != revision || sn.Revision() < revision {
			t.Fatalf("committed at %d, key at %d, snapshot at %d", revision, at, sn.Revision())
		}
	}
}

func TestSnapshotDoesNotChange(t *testing.T) {
	s := openFast(t)
	put(t, s, "a/x", 1)
	old := s.Snapshot()
	put(t, s, "a/y", 2)
	mustUpdate(t, s, func(tx *Tx) { tx.Delete(Prefix + "a/x") })
	wantContent(t, old, "a/x=1")
	wantContent(t, s.Snapshot(), "a/y=2")
}

func TestNoWritesNoTransaction(t *testing.T) {
	s := openFast(t)
	at := put(t, s, "a/x", 1)
	if got := mustUpdate(t, s, func(tx *Tx) { Get[*counter](tx, Prefix+"a/x") }); got != at {
		t.Errorf("revision %d, want %d", got, at)
	}
}

func TestConcurrentIncrementsAddUp(t *testing.T) {
	s := openFast(t)
	put(t, s, "a/sum", 0)
	const workers, times = 16, 50
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for range times {
				_, err := s.Update(t.Context(), func(tx *Tx) error {
					c, _ := Get[*counter](tx, Prefix+"a/sum")
					tx.Put(Prefix+"a/sum", counter{c.N + 1})
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	wantContent(t, s.Snapshot(), fmt.Sprintf("a/sum=%d", workers*times))
}

func TestOneCreateWins(t *testing.T) {
	s := openFast(t)
	taken := errors.New("taken")
	for round := range 10 {
		key := fmt.Sprintf("%sclaim/%d", Prefix, round)
		var won atomic.Int32
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				_, err := s.Update(t.Context(), func(tx *Tx) error {
					if _, ok := Get[*counter](tx, key); ok {
						return taken
					}
					tx.Put(key, counter{1})
					return nil
				})
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, taken) {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if won.Load() != 1 {
			t.Errorf("round %d: %d winners", round, won.Load())
		}
	}
}

// TestGuards commits a change between the read and the commit of another
// transaction: one that concerns what was read must make it run again.
func TestGuards(t *testing.T) {
	getX := func(tx *Tx) { Get[*counter](tx, Prefix+"a/x") }
	listA := func(tx *Tx) {
		for range List[*counter](tx, Prefix+"a/") {
		}
	}
	cases := []struct {
		name   string
		read   func(tx *Tx)
		change func(tx *Tx)
		runs   int
	}{
		{"get, same key written", getX, func(tx *Tx) { tx.Put(Prefix+"a/x", counter{9}) }, 2},
		{"get, same key deleted", getX, func(tx *Tx) { tx.Delete(Prefix + "a/x") }, 2},
		{"get, other key written", getX, func(tx *Tx) { tx.Put(Prefix+"a/y", counter{9}) }, 1},
		{"get of absent, created", func(tx *Tx) { Get[*counter](tx, Prefix+"a/new") },
			func(tx *Tx) { tx.Put(Prefix+"a/new", counter{9}) }, 2},
		{"revision, same key written", func(tx *Tx) { tx.ModRevision(Prefix + "a/x") },
			func(tx *Tx) { tx.Put(Prefix+"a/x", counter{9}) }, 2},
		{"list, insert", listA, func(tx *Tx) { tx.Put(Prefix+"a/new", counter{9}) }, 2},
		{"list, write", listA, func(tx *Tx) { tx.Put(Prefix+"a/y", counter{9}) }, 2},
		{"list, delete", listA, func(tx *Tx) { tx.Delete(Prefix + "a/y") }, 2},
		{"list, delete by prefix", listA, func(tx *Tx) { tx.DeletePrefix(Prefix + "a/") }, 2},
		{"list, other collection", listA, func(tx *Tx) { tx.Put(Prefix+"b/x", counter{9}) }, 1},
		{"list, delete in other collection", listA, func(tx *Tx) { tx.Delete(Prefix + "b/gone") }, 1},
		{"list of all, delete", func(tx *Tx) { content(tx) }, func(tx *Tx) { tx.Delete(Prefix + "a/y") }, 2},
		{"list of half a name, delete", func(tx *Tx) {
			for range List[*counter](tx, Prefix+"ab") {
			}
		}, func(tx *Tx) { tx.Delete(Prefix + "abc/z") }, 2},
		{"list of nothing, insert", func(tx *Tx) {
			for range List[*counter](tx, Prefix+"empty/") {
			}
		}, func(tx *Tx) { tx.Put(Prefix+"empty/x", counter{1}) }, 2},
		{"peek, same key written", func(tx *Tx) { Get[*counter](tx.Peek(), Prefix+"a/x"); content(tx.Peek()) },
			func(tx *Tx) { tx.Put(Prefix+"a/x", counter{9}) }, 1},
		{"own write read back, same key written", func(tx *Tx) {
			tx.Put(Prefix+"a/x", counter{7})
			Get[*counter](tx, Prefix+"a/x")
		}, func(tx *Tx) { tx.Put(Prefix+"a/x", counter{9}) }, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := openFast(t)
			put(t, s, "a/x", 1)
			put(t, s, "a/y", 2)
			put(t, s, "b/gone", 3)
			put(t, s, "abc/z", 4)
			runs := 0
			_, err := s.Update(limit(t), func(tx *Tx) error {
				if runs++; runs == 1 {
					mustUpdate(t, s, c.change)
				}
				c.read(tx)
				tx.Put(Prefix+"result/r", counter{runs})
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if runs != c.runs {
				t.Errorf("ran %d times, want %d", runs, c.runs)
			}
		})
	}
}

func TestConflictGivesUp(t *testing.T) {
	s := openFast(t)
	put(t, s, "a/x", 0)
	n := 0
	_, err := s.Update(limit(t), func(tx *Tx) error {
		Get[*counter](tx, Prefix+"a/x")
		n++
		// Written past Update: this one's turn to retry is taken.
		if _, err := s.client.Put(t.Context(), Prefix+"a/x", `{"N":1}`); err != nil {
			t.Fatal(err)
		}
		tx.Put(Prefix+"a/y", counter{1})
		return nil
	})
	if !errors.Is(err, ErrConflict) || n != maxAttempts {
		t.Errorf("err %v after %d attempts", err, n)
	}
}

// TestOwnWritesAreVisible: inside a transaction reads see its writes.
func TestOwnWritesAreVisible(t *testing.T) {
	s := openFast(t)
	put(t, s, "a/x", 1)
	put(t, s, "a/y", 2)
	put(t, s, "b/z", 3)
	mustUpdate(t, s, func(tx *Tx) {
		tx.Put(Prefix+"a/m", counter{5})
		tx.Delete(Prefix + "a/x")
		wantContent(t, tx, "a/m=5 a/y=2 b/z=3")
		for key, c := range List[*counter](tx, Prefix+"a/") {
			tx.Put(key, counter{c.N + 10}) // writing while iterating
		}
		tx.DeletePrefix(Prefix + "b/")
		wantContent(t, tx.Peek(), "a/m=15 a/y=12")
		wantContent(t, s.Snapshot(), "a/x=1 a/y=2 b/z=3")
	})
	wantContent(t, s.Snapshot(), "a/m=15 a/y=12")
}

func TestTransactionIsRefused(t *testing.T) {
	s := openFast(t)
	put(t, s, "a/x", 1)
	before := s.Snapshot().Revision()
	own := errors.New("own")
	cases := []struct {
		name string
		fn   func(tx *Tx) error
		want error
		text string
	}{
		{"own error", func(tx *Tx) error { tx.Put(Prefix+"a/y", counter{1}); return own }, own, ""},
		{"too many", func(tx *Tx) error {
			for i := range MaxOperations + 1 {
				tx.Put(fmt.Sprintf("%sa/%d", Prefix, i), counter{1})
			}
			return nil
		}, ErrTooLarge, ""},
		{"too large", func(tx *Tx) error { tx.Put(Prefix+"a/y", strings.Repeat("x", MaxValueBytes)); return nil }, ErrTooLarge, ""},
		{"no JSON", func(tx *Tx) error { tx.Put(Prefix+"a/y", func() {}); return nil }, nil, "encoding"},
		{"unreadable", func(tx *Tx) error { tx.Put(Prefix+"a/y", counter{-1}); return nil }, nil, "negative"},
		{"foreign key", func(tx *Tx) error { tx.Put("/other/x", counter{1}); return nil }, nil, "not below"},
		{"everything", func(tx *Tx) error { tx.DeletePrefix(Prefix); return nil }, nil, "not below"},
		{"half a collection", func(tx *Tx) error { tx.DeletePrefix(Prefix + "a"); return nil }, nil, "whole collection"},
		{"put into deleted", func(tx *Tx) error {
			tx.DeletePrefix(Prefix + "a/")
			tx.Put(Prefix+"a/y", counter{1})
			return nil
		}, nil, "prefix was deleted"},
	}
	for _, c := range cases {
		_, err := s.Update(limit(t), c.fn)
		if err == nil || (c.want != nil && !errors.Is(err, c.want)) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Update(ctx, func(tx *Tx) error { tx.Put(Prefix+"a/y", counter{1}); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
	if now := s.Snapshot(); now.Revision() != before {
		t.Errorf("revision went from %d to %d: %s", before, now.Revision(), content(now))
	}
}

// TestManyReads: more keys than etcd compares in one transaction are guarded
// all the same.
func TestManyReads(t *testing.T) {
	s := openFast(t)
	const n = 2*MaxOperations + 1
	for from := 0; from < n; from += MaxOperations {
		mustUpdate(t, s, func(tx *Tx) {
			for i := from; i < min(from+MaxOperations, n); i++ {
				tx.Put(fmt.Sprintf("%smany/%03d", Prefix, i), counter{i})
			}
		})
	}
	runs := 0
	mustUpdate(t, s, func(tx *Tx) {
		if runs++; runs == 1 {
			put(t, s, "many/150", 0)
		}
		for i := range n {
			Get[*counter](tx, fmt.Sprintf("%smany/%03d", Prefix, i))
		}
		tx.Put(Prefix+"result/r", counter{1})
	})
	if runs != 2 {
		t.Errorf("ran %d times, want 2", runs)
	}
}
