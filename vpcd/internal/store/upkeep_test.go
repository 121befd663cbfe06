package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

func TestHealth(t *testing.T) {
	s := openFast(t)
	put(t, s, "a/x", 1)
	h := s.Health(limit(t))
	if h.Alarm || h.Reason != "" || h.Leader == "" || h.SizeBytes == 0 || h.QuotaBytes != defaultQuotaBytes ||
		h.Revision != s.Snapshot().Revision() {
		t.Errorf("%+v", h)
	}
	s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if h := s.Health(ctx); !h.Alarm || h.Reason == "" {
		t.Errorf("closed, and yet %+v", h)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	s := open(t, Config{NoSync: true, History: 10})
	first := put(t, s, "a/x", 0)
	for i := range 100 {
		put(t, s, "a/x", i)
	}
	eventually(t, "the first revision is compacted", func() bool {
		_, err := s.client.Get(t.Context(), Prefix+"a/x", clientv3.WithRev(first))
		return errors.Is(err, rpctypes.ErrCompacted)
	})
	if _, err := s.client.Get(t.Context(), Prefix+"a/x", clientv3.WithRev(s.Snapshot().Revision()-5)); err != nil {
		t.Errorf("recent history is gone: %v", err)
	}
}

// fill rewrites one large record until etcd refuses: history fills the quota.
func fill(t *testing.T, s *Store) error {
	t.Helper()
	pad := strings.Repeat("x", 200<<10)
	for i := range 1000 {
		_, err := s.Update(limit(t), func(tx *Tx) error {
			tx.Put(Prefix+"a/big", map[string]any{"N": i, "Pad": pad})
			return nil
		})
		if err != nil {
			return err
		}
	}
	t.Fatal("the quota was never reached")
	return nil
}

func TestQuotaAlarmHealsItself(t *testing.T) {
	s := open(t, Config{NoSync: true, QuotaBytes: 4 << 20})
	err := fill(t, s)
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "quota") {
		t.Fatalf("refused with %v", err)
	}
	eventually(t, "writes are accepted again", func() bool {
		_, err := s.Update(t.Context(), func(tx *Tx) error { tx.Put(Prefix+"a/after", counter{1}); return nil })
		return err == nil
	})
	if h := s.Health(limit(t)); h.Alarm || h.SizeBytes >= h.QuotaBytes {
		t.Errorf("after healing: %+v", h)
	}
}

func TestQuotaAlarmHealsAtStart(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Config{Dir: dir, NoSync: true, QuotaBytes: 4 << 20})
	s.stop() // no upkeep, no cache: like a process that died at the alarm
	s.done.Wait()
	pad := fmt.Sprintf(`{"N":1,"Pad":%q}`, strings.Repeat("x", 200<<10))
	var err error
	for range 1000 {
		if _, err = s.client.Put(t.Context(), Prefix+"a/big", pad); err != nil {
			break
		}
	}
	if !errors.Is(err, rpctypes.ErrNoSpace) {
		t.Fatalf("the quota was not reached: %v", err)
	}
	s.Close()
	s = open(t, Config{Dir: dir, NoSync: true, QuotaBytes: 4 << 20})
	put(t, s, "a/after", 1)
}

// eventually polls what no event announces.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		pause(t.Context(), 10*time.Millisecond)
	}
}
