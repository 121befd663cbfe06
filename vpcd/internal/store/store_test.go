package store

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"
)

// counter is the record of these tests. Its decoder refuses negative values
// and panics on an empty one.
type counter struct {
	N int
}

func decodeCounter(_ string, value []byte) (any, error) {
	_ = value[0]
	var c counter
	if err := json.Unmarshal(value, &c); err != nil {
		return nil, err
	}
	if c.N < 0 {
		return nil, fmt.Errorf("negative: %d", c.N)
	}
	return &c, nil
}

func TestMain(m *testing.M) {
	if dir := os.Getenv("STORE_TEST_WRITER"); dir != "" {
		writeUntilKilled(dir)
	}
	if dir := os.Getenv("STORE_TEST_FULL_DISK"); dir != "" {
		if err := fillDisk(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// open opens a store in a fresh directory, or in cfg.Dir, and closes it at the end.
func open(t *testing.T, cfg Config) *Store {
	t.Helper()
	if cfg.Dir == "" && cfg.Endpoints == nil {
		cfg.Dir = t.TempDir()
	}
	cfg.Decode = decodeCounter
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func openFast(t *testing.T) *Store { return open(t, Config{NoSync: true}) }

func limit(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func mustUpdate(t *testing.T, s *Store, fn func(tx *Tx)) int64 {
	t.Helper()
	revision, err := s.Update(limit(t), func(tx *Tx) error { fn(tx); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func put(t *testing.T, s *Store, key string, n int) int64 {
	t.Helper()
	return mustUpdate(t, s, func(tx *Tx) { tx.Put(Prefix+key, counter{n}) })
}

// content is the whole store as text: "a/x=1 b/y=2".
func content(r Reader) string {
	out := ""
	for key, c := range List[*counter](r, Prefix) {
		if out != "" {
			out += " "
		}
		out += fmt.Sprintf("%s=%d", key[len(Prefix):], c.N)
	}
	return out
}

func wantContent(t *testing.T, r Reader, want string) {
	t.Helper()
	if got := content(r); got != want {
		t.Errorf("content:\n got %s\nwant %s", got, want)
	}
}
