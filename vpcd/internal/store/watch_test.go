package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func pending(wake <-chan struct{}) bool {
	select {
	case <-wake:
		return true
	default:
		return false
	}
}

func TestWatchWakesAndCoalesces(t *testing.T) {
	s := openFast(t)
	wake := s.Watch(t.Context(), Prefix+"a/", func(key string) bool { return strings.HasSuffix(key, "/quiet") })
	if !pending(wake) {
		t.Error("not ready for what happened before")
	}
	for i := range 10 {
		put(t, s, "a/x", i)
	}
	if !pending(wake) {
		t.Error("ten changes, no wake")
	}
	if pending(wake) {
		t.Error("ten changes, more than one wake")
	}
	put(t, s, "b/x", 1)
	put(t, s, "a/quiet", 1)
	if pending(wake) {
		t.Error("woken by what was not asked for")
	}
	mustUpdate(t, s, func(tx *Tx) { tx.Delete(Prefix + "a/x") })
	if !pending(wake) {
		t.Error("a deletion does not wake")
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	s := openFast(t)
	ctx, cancel := context.WithCancel(t.Context())
	wake := s.Watch(ctx, Prefix, nil)
	cancel()
	for range wake { // ends, or the test times out
	}
	put(t, s, "a/x", 1)
}

func TestWait(t *testing.T) {
	s := openFast(t)
	done := make(chan error, 1)
	go func() {
		done <- s.Wait(limit(t), func(sn *Snapshot) bool {
			c, ok := Get[*counter](sn, Prefix+"a/x")
			return ok && c.N == 3
		})
	}()
	for i := range 4 {
		put(t, s, "a/x", i)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Wait(ctx, func(*Snapshot) bool { return false }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled wait: %v", err)
	}
}

// TestCompactedWatchSeesTheFinalState: a second follower is left behind, the
// revisions it needs are compacted, and it must still learn of all changes and
// of all that has gone.
func TestCompactedWatchSeesTheFinalState(t *testing.T) {
	s := openFast(t)
	put(t, s, "a/kept", 1)
	put(t, s, "a/changed", 1)
	put(t, s, "a/gone", 1)

	snapshots := make(chan *Snapshot, 100)
	changes := map[string]bool{}
	late := &cache{client: s.client, decode: decodeCounter, failed: func(error) {}, publish: func(sn *Snapshot, changed []string) {
		for _, key := range changed {
			changes[key[len(Prefix):]] = true
		}
		snapshots <- sn
	}}
	if err := late.load(limit(t)); err != nil {
		t.Fatal(err)
	}
	kept, _ := (<-snapshots).get(Prefix + "a/kept")
	clear(changes)

	put(t, s, "a/changed", 2)
	put(t, s, "a/new", 3)
	revision := mustUpdate(t, s, func(tx *Tx) { tx.Delete(Prefix + "a/gone") })
	if _, err := s.client.Compact(t.Context(), revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { late.follow(ctx); close(ended) }()
	final := <-snapshots
	cancel()
	<-ended
	wantContent(t, final, "a/changed=2 a/kept=1 a/new=3")
	if got := strings.Join(sortedKeys(changes), " "); got != "a/changed a/gone a/new" {
		t.Errorf("changed: %s", got)
	}
	if again, _ := final.get(Prefix + "a/kept"); again != kept {
		t.Error("an unchanged record was decoded again")
	}
}

func TestListingHasPages(t *testing.T) {
	s := openFast(t)
	const n = 2*listPage + 50
	for from := 0; from < n; from += MaxOperations {
		mustUpdate(t, s, func(tx *Tx) {
			for i := from; i < min(n, from+MaxOperations); i++ {
				tx.Put(fmt.Sprintf("%sa/%05d", Prefix, i), counter{i})
			}
		})
	}
	var got *Snapshot
	c := &cache{client: s.client, decode: decodeCounter, publish: func(sn *Snapshot, _ []string) { got = sn }}
	if err := c.load(limit(t)); err != nil {
		t.Fatal(err)
	}
	if content(got) != content(s.Snapshot()) || got.items.Len() != n {
		t.Errorf("the listing has %d records, want %d", got.items.Len(), n)
	}
}

func TestUnreadableRecordsAreQuarantined(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Config{Dir: dir, NoSync: true})
	put(t, s, "a/good", 1)
	bad := map[string]string{
		"a/cut": `{"N":`, "a/empty": "", "a/negative": `{"N":-1}`,
		"a/huge": `{"N":1,"Pad":"` + strings.Repeat("x", MaxValueBytes) + `"}`,
	}
	for key, value := range bad {
		resp, err := s.client.Put(t.Context(), Prefix+key, value)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.catchUp(t.Context(), resp.Header.Revision); err != nil {
			t.Fatal(err)
		}
	}
	check := func(sn *Snapshot) {
		t.Helper()
		wantContent(t, sn, "a/good=1")
		var keys []string
		for _, q := range sn.Quarantined() {
			keys = append(keys, q.Key[len(Prefix):])
			if q.Reason == "" {
				t.Errorf("%s: no reason", q.Key)
			}
		}
		if got := strings.Join(keys, " "); got != "a/cut a/empty a/huge a/negative" {
			t.Errorf("quarantined: %s", got)
		}
	}
	check(s.Snapshot())
	s.Close()
	s = open(t, Config{Dir: dir, NoSync: true})
	check(s.Snapshot())

	put(t, s, "a/cut", 2)
	mustUpdate(t, s, func(tx *Tx) {
		for _, key := range []string{"a/empty", "a/huge", "a/negative"} {
			tx.Delete(Prefix + key)
		}
	})
	if q := s.Snapshot().Quarantined(); q != nil {
		t.Errorf("repaired, still quarantined: %v", q)
	}
	wantContent(t, s.Snapshot(), "a/cut=2 a/good=1")
}

// TestExternalCluster reaches a running etcd by its endpoint, as with a cluster.
func TestExternalCluster(t *testing.T) {
	here := openFast(t)
	there := open(t, Config{Endpoints: []string{here.embedded.endpoint}})
	put(t, here, "a/x", 1)
	revision := put(t, there, "a/y", 2)
	wantContent(t, there.Snapshot(), "a/x=1 a/y=2")
	if err := here.Wait(limit(t), func(sn *Snapshot) bool { return sn.Revision() >= revision }); err != nil {
		t.Fatal(err)
	}
	wantContent(t, here.Snapshot(), "a/x=1 a/y=2")
}
