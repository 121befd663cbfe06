package store

import (
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"sync"

	"github.com/google/btree"
)

// Prefix is what every record key starts with.
const Prefix = "/vpc/v1/"

// MaxValueBytes bounds the encoded size of one record. Larger values found in
// the store are quarantined, larger Puts are refused.
const MaxValueBytes = 1 << 20

// treeDegree is the fan-out of the tree: 2×32 items keep a copied node near one page.
const treeDegree = 32

// item is one stored revision of one key. It is never changed once made.
type item struct {
	key         string
	modRevision int64
	raw         []byte
	value       any
	reason      string // why value is missing; empty when it decoded
}

type tree = btree.BTreeG[*item]

func newTree() *tree {
	return btree.NewG(treeDegree, func(a, b *item) bool { return a.key < b.key })
}

// Reader is what Get and List read from: a *Snapshot, a *Tx, or the unguarded
// view of a transaction that (*Tx).Peek returns.
type Reader interface {
	get(key string) (*item, bool)
	ascend(prefix string, yield func(*item) bool)
}

// Snapshot is an immutable view of all records at one revision. It is safe for
// concurrent use and may be kept as long as one likes.
type Snapshot struct {
	revision   int64
	items      *tree
	quarantine map[string]string

	// cloning guards the bookkeeping that btree changes in the origin of a clone.
	cloning sync.Mutex
}

// Quarantine names a stored key that could not be used and why.
type Quarantine struct {
	Key    string
	Reason string
}

// Revision is the store revision of the last change the snapshot contains.
func (s *Snapshot) Revision() int64 { return s.revision }

// ModRevision returns the revision that last wrote key; false if it is absent.
// Quarantined keys are present here: they exist, they just cannot be read.
func (s *Snapshot) ModRevision(key string) (int64, bool) {
	it, ok := s.get(key)
	if !ok {
		return 0, false
	}
	return it.modRevision, true
}

// Quarantined lists, in key order, the keys that Get and List leave out.
func (s *Snapshot) Quarantined() []Quarantine {
	if len(s.quarantine) == 0 {
		return nil
	}
	out := make([]Quarantine, 0, len(s.quarantine))
	for _, key := range sortedKeys(s.quarantine) {
		out = append(out, Quarantine{Key: key, Reason: s.quarantine[key]})
	}
	return out
}

func (s *Snapshot) get(key string) (*item, bool) { return treeGet(s.items, key) }

func (s *Snapshot) ascend(prefix string, yield func(*item) bool) { treeAscend(s.items, prefix, yield) }

func (s *Snapshot) clone() *tree {
	s.cloning.Lock()
	defer s.cloning.Unlock()
	return s.items.Clone()
}

// Get returns the record at key. It is absent (false) if the key does not
// exist, is quarantined, or holds another type than T. Do not change what it
// refers to: it is shared by everyone who reads this revision.
func Get[T any](r Reader, key string) (T, bool) {
	var zero T
	it, ok := r.get(key)
	if !ok {
		return zero, false
	}
	v, ok := it.value.(T)
	return v, ok
}

// List yields the records of type T whose key starts with prefix, in key order.
// Inside a transaction it is safe to write while iterating.
func List[T any](r Reader, prefix string) iter.Seq2[string, T] {
	return func(yield func(string, T) bool) {
		r.ascend(prefix, func(it *item) bool {
			v, ok := it.value.(T)
			return !ok || yield(it.key, v)
		})
	}
}

func treeGet(t *tree, key string) (*item, bool) { return t.Get(&item{key: key}) }

func treeAscend(t *tree, prefix string, yield func(*item) bool) {
	t.AscendGreaterOrEqual(&item{key: prefix}, func(it *item) bool {
		return strings.HasPrefix(it.key, prefix) && yield(it)
	})
}

// decoder turns stored bytes into shared values.
type decoder func(key string, value []byte) (any, error)

// rawDecoder serves stores without a Decode: records are json.RawMessage.
func rawDecoder(_ string, value []byte) (any, error) { return json.RawMessage(value), nil }

// item decodes one stored revision. Whatever is wrong with the bytes, the
// result is an item: a bad record must not take the others with it.
func (decode decoder) item(key string, value []byte, modRevision int64) *item {
	it := &item{key: key, modRevision: modRevision, raw: value}
	if len(value) > MaxValueBytes {
		it.reason = fmt.Sprintf("value has %d bytes, more than %d", len(value), MaxValueBytes)
		return it
	}
	v, err := decode.safely(key, value)
	if err != nil {
		it.reason = err.Error()
		return it
	}
	it.value = v
	return it
}

// safely treats a panic in the decoder as one more way to be undecodable:
// anybody with access to the store can write any bytes.
func (decode decoder) safely(key string, value []byte) (v any, err error) {
	defer func() {
		if r := recover(); r != nil {
			v, err = nil, fmt.Errorf("decoder panicked: %v", r)
		}
	}()
	v, err = decode(key, value)
	if err == nil && v == nil {
		err = fmt.Errorf("decoder knows no record at this key")
	}
	return v, err
}
