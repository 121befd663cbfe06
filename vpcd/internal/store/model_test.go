package store

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// modelContent prints a model as content prints a store.
func modelContent(m map[string]int) string {
	var out []string
	for _, key := range sortedKeys(m) {
		out = append(out, fmt.Sprintf("%s=%d", key, m[key]))
	}
	return strings.Join(out, " ")
}

// TestStoreBehavesLikeAMap runs random transactions against a plain map; the
// view inside the transaction, the snapshot after it, and a listing from
// scratch must all agree with it.
func TestStoreBehavesLikeAMap(t *testing.T) {
	s := openFast(t)
	rapid.Check(t, func(r *rapid.T) {
		mustUpdate(t, s, func(tx *Tx) {
			for _, name := range []string{"a/", "ab/", "b/"} {
				tx.DeletePrefix(Prefix + name)
			}
		})
		model := map[string]int{}
		for range rapid.IntRange(1, 5).Draw(r, "transactions") {
			model = randomTransaction(t, r, s, model)
			if got, want := content(s.Snapshot()), modelContent(model); got != want {
				r.Fatalf("snapshot:\n got %s\nwant %s", got, want)
			}
		}
		var listed *Snapshot
		c := &cache{client: s.client, decode: decodeCounter, publish: func(sn *Snapshot, _ []string) { listed = sn }}
		if err := c.load(t.Context()); err != nil {
			r.Fatal(err)
		}
		if got, want := content(listed), modelContent(model); got != want {
			r.Fatalf("listing:\n got %s\nwant %s", got, want)
		}
	})
}

func randomTransaction(t *testing.T, r *rapid.T, s *Store, before map[string]int) map[string]int {
	model := maps.Clone(before)
	keys := rapid.SampledFrom([]string{"a/1", "a/2", "a/3/x", "ab/1", "b/1"})
	cleared := "" // a prefix deleted in this transaction takes no puts
	mustUpdate(t, s, func(tx *Tx) {
		for range rapid.IntRange(0, 6).Draw(r, "operations") {
			key := keys.Draw(r, "key")
			switch rapid.SampledFrom([]string{"put", "put", "put", "delete", "clear"}).Draw(r, "what") {
			case "put":
				if cleared != "" && strings.HasPrefix(key, cleared) {
					continue
				}
				model[key] = rapid.IntRange(0, 99).Draw(r, "value")
				tx.Put(Prefix+key, counter{model[key]})
			case "delete":
				delete(model, key)
				tx.Delete(Prefix + key)
			case "clear":
				if cleared != "" {
					continue
				}
				cleared = key[:strings.IndexByte(key, '/')+1]
				tx.DeletePrefix(Prefix + cleared)
				maps.DeleteFunc(model, func(k string, _ int) bool { return strings.HasPrefix(k, cleared) })
			}
			if got, want := content(tx), modelContent(model); got != want {
				r.Fatalf("in the transaction:\n got %s\nwant %s", got, want)
			}
		}
	})
	return model
}
