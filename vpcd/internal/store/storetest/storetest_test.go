package storetest

import (
	"encoding/json"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

func TestOpen(t *testing.T) {
	s := Open(t, nil)
	_, err := s.Update(t.Context(), func(tx *store.Tx) error {
		tx.Put(store.Prefix+"a/x", "hello")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := store.Get[json.RawMessage](s.Snapshot(), store.Prefix+"a/x"); !ok || string(v) != `"hello"` {
		t.Errorf("got %s, %v", v, ok)
	}
}
