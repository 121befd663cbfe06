// Package storetest opens stores for the tests of other packages: a real
// embedded etcd in a temporary directory, without fsync.
package storetest

import (
	"testing"

	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// Open returns an empty store that is closed when the test ends. decode is
// Config.Decode; nil reads every record as json.RawMessage. steps are told what
// Config.Step is.
func Open(t testing.TB, decode func(key string, value []byte) (any, error), steps ...func(name string)) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Dir: t.TempDir(), Decode: decode, NoSync: true, Step: func(name string) {
		for _, step := range steps {
			step(name)
		}
	}})
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("storetest: close: %v", err)
		}
	})
	return s
}
