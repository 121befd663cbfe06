package store

import (
	"encoding/json"
	"fmt"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// MaxOperations bounds the writes of one transaction.
const MaxOperations = 100

// maxCompares keeps a transaction below etcd's default of 128 comparisons.
const maxCompares = 120

// deletionPrefix is followed by the name of a collection.
const deletionPrefix = root + "deletions/v1/"

// Tx is one attempt of an Update. It reads from one snapshot with its own
// writes laid over it, and must not be used after its function has returned or
// from another goroutine.
type Tx struct {
	base   *Snapshot
	view   *tree // base plus the writes; nil while there are none
	decode decoder

	keys    map[string]int64    // guard: key → the revision read, 0 for absent
	ranges  map[string]struct{} // guard: prefixes listed
	writes  map[string][]byte   // key → value, nil to delete
	deleted map[string]struct{} // prefixes deleted as a whole
	err     error               // the first misuse; fails the transaction
}

func newTx(base *Snapshot, decode decoder) *Tx {
	return &Tx{
		base: base, decode: decode,
		keys: map[string]int64{}, ranges: map[string]struct{}{},
		writes: map[string][]byte{}, deleted: map[string]struct{}{},
	}
}

// Revision is the store revision of the snapshot that the transaction reads.
func (tx *Tx) Revision() int64 { return tx.base.revision }

// ModRevision returns the revision that last wrote key before this transaction;
// false if it was absent. It guards the key like Get does.
func (tx *Tx) ModRevision(key string) (int64, bool) {
	tx.guardKey(key)
	return tx.base.ModRevision(key)
}

// Peek reads the same view without guarding what is read: for hints whose
// change must not fail the transaction.
func (tx *Tx) Peek() Reader { return peek{tx} }

// Put writes v, encoded as JSON, at key. A later Get in this transaction
// returns it decoded. A value that cannot be encoded, is too large, or cannot
// be read back fails the transaction.
func (tx *Tx) Put(key string, v any) {
	raw, err := json.Marshal(v)
	switch {
	case err != nil:
		tx.fail(fmt.Errorf("store: encoding %s: %w", key, err))
		return
	case len(raw) > MaxValueBytes:
		tx.fail(fmt.Errorf("%w: %s has %d bytes, more than %d", ErrTooLarge, key, len(raw), MaxValueBytes))
		return
	case !tx.checkKey(key):
		return
	case tx.inDeleted(key):
		// etcd refuses a put inside a range that the same transaction deletes.
		tx.fail(fmt.Errorf("store: put of %s after its prefix was deleted in the same transaction", key))
		return
	}
	it := tx.decode.item(key, raw, 0)
	if it.reason != "" {
		tx.fail(fmt.Errorf("store: %s could not be read back: %s", key, it.reason))
		return
	}
	tx.writes[key] = raw
	tx.edit().ReplaceOrInsert(it)
}

// Delete removes key. Deleting what does not exist is no error.
func (tx *Tx) Delete(key string) {
	if !tx.checkKey(key) {
		return
	}
	if !tx.inDeleted(key) {
		tx.writes[key] = nil
	}
	tx.edit().Delete(&item{key: key})
}

// DeletePrefix removes every key that starts with prefix, also those written
// after the snapshot. It counts as one operation.
func (tx *Tx) DeletePrefix(prefix string) {
	if !tx.checkKey(prefix) {
		return
	}
	if !strings.HasSuffix(collection(prefix), "/") {
		// A deletion marks one collection; half a name could mean several.
		tx.fail(fmt.Errorf("store: prefix %q does not name a whole collection", prefix))
		return
	}
	var gone []*item
	tx.ascendView(prefix, func(it *item) bool {
		gone = append(gone, it)
		return true
	})
	view := tx.edit()
	for _, it := range gone {
		view.Delete(it)
	}
	for key := range tx.writes {
		if strings.HasPrefix(key, prefix) {
			delete(tx.writes, key)
		}
	}
	tx.deleted[prefix] = struct{}{}
}

func (tx *Tx) get(key string) (*item, bool) {
	tx.guardKey(key)
	return tx.getView(key)
}

func (tx *Tx) ascend(prefix string, yield func(*item) bool) {
	if strings.HasPrefix(Prefix, prefix) {
		prefix = Prefix // there are no records elsewhere
	}
	tx.ranges[prefix] = struct{}{}
	tx.ascendView(prefix, yield)
}

func (tx *Tx) getView(key string) (*item, bool) {
	if tx.view == nil {
		return tx.base.get(key)
	}
	return treeGet(tx.view, key)
}

func (tx *Tx) ascendView(prefix string, yield func(*item) bool) {
	if tx.view == nil {
		tx.base.ascend(prefix, yield)
		return
	}
	treeAscend(tx.view, prefix, yield)
}

// edit returns a view to change. Each change gets its own clone, so that an
// iteration that is under way keeps the tree it started on.
func (tx *Tx) edit() *tree {
	if tx.view == nil {
		tx.view = tx.base.clone()
	} else {
		tx.view = tx.view.Clone()
	}
	return tx.view
}

// guardKey notes what the snapshot holds at key, unless the transaction has
// decided the content itself.
func (tx *Tx) guardKey(key string) {
	if _, own := tx.writes[key]; own || tx.inDeleted(key) {
		return
	}
	revision, _ := tx.base.ModRevision(key)
	tx.keys[key] = revision
}

func (tx *Tx) inDeleted(key string) bool { return coveredBy(key, tx.deleted) }

func (tx *Tx) checkKey(key string) bool {
	if !strings.HasPrefix(key, Prefix) || len(key) == len(Prefix) {
		tx.fail(fmt.Errorf("store: key %q is not below %s", key, Prefix))
		return false
	}
	return true
}

func (tx *Tx) fail(err error) {
	if tx.err == nil {
		tx.err = err
	}
}

// operations returns the writes in key order, then the marks of the
// collections that something is deleted from.
func (tx *Tx) operations() ([]clientv3.Op, error) {
	if n := len(tx.writes) + len(tx.deleted); n > MaxOperations {
		return nil, fmt.Errorf("%w: %d operations, more than %d", ErrTooLarge, n, MaxOperations)
	}
	var ops []clientv3.Op
	marks := map[string]struct{}{}
	for _, prefix := range sortedKeys(tx.deleted) {
		ops = append(ops, clientv3.OpDelete(prefix, clientv3.WithPrefix()))
		marks[collection(prefix)] = struct{}{}
	}
	for _, key := range sortedKeys(tx.writes) {
		if value := tx.writes[key]; value != nil {
			ops = append(ops, clientv3.OpPut(key, string(value)))
		} else {
			ops = append(ops, clientv3.OpDelete(key))
			marks[collection(key)] = struct{}{}
		}
	}
	for _, name := range sortedKeys(marks) {
		ops = append(ops, clientv3.OpPut(deletionPrefix+name, ""))
	}
	return ops, nil
}

// guards returns the conditions under which the writes may be made: every key
// read has the revision it had, and every range listed has lost and gained
// nothing since the snapshot.
func (tx *Tx) guards() ([]clientv3.Cmp, error) {
	keys, ranges := coarsen(tx.keys, tx.ranges)
	var cmps []clientv3.Cmp
	for _, key := range sortedKeys(keys) {
		cmps = append(cmps, clientv3.Compare(clientv3.ModRevision(key), "=", keys[key]))
	}
	next := tx.base.revision + 1
	marks := map[string]struct{}{}
	for _, prefix := range sortedKeys(ranges) {
		cmps = append(cmps, clientv3.Compare(clientv3.ModRevision(prefix), "<", next).WithPrefix())
		marks[collection(prefix)] = struct{}{}
	}
	for _, name := range sortedKeys(marks) {
		mark := clientv3.Compare(clientv3.ModRevision(deletionPrefix+name), "<", next)
		if !strings.HasSuffix(name, "/") {
			mark = mark.WithPrefix() // several collections may start like this
		}
		cmps = append(cmps, mark)
	}
	if len(cmps) > maxCompares {
		return nil, fmt.Errorf("%w: %d separate ranges read, more than %d", ErrTooLarge, len(cmps), maxCompares)
	}
	return cmps, nil
}

// coarsen drops guards that a listed range covers, and replaces the single keys
// by one range per collection where there are too many of them: more
// conflicts than necessary, never fewer.
func coarsen(keys map[string]int64, listed map[string]struct{}) (map[string]int64, map[string]struct{}) {
	ranges, single := map[string]struct{}{}, map[string]int64{}
	for prefix := range listed {
		ranges[prefix] = struct{}{}
	}
	for key, revision := range keys {
		if !coveredBy(key, ranges) {
			single[key] = revision
		}
	}
	if len(single)+2*len(ranges) <= MaxOperations {
		return single, ranges
	}
	for key := range single {
		ranges[Prefix+collection(key)] = struct{}{}
	}
	return nil, ranges
}

func coveredBy(key string, prefixes map[string]struct{}) bool {
	for prefix := range prefixes {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

// collection is the first path element of a key below Prefix, with its slash
// if it has one: "/vpc/v1/subnet/subnet-1" → "subnet/".
func collection(key string) string {
	rest := strings.TrimPrefix(key, Prefix)
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		return rest[:i+1]
	}
	return rest
}

// peek is a transaction's view without guards.
type peek struct{ tx *Tx }

func (p peek) get(key string) (*item, bool) { return p.tx.getView(key) }

func (p peek) ascend(prefix string, yield func(*item) bool) { p.tx.ascendView(prefix, yield) }
