package service

import (
	"encoding/json"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// Of a list its newest versions are known. Where there are more than these
// bounds allow the oldest are forgotten, as in EC2; the one before the current
// stays whatever its size, so that the last change can be taken back.
const (
	// maxVersions is EC2's, with the current one.
	maxVersions = 1000
	// maxHistory is in bytes of the store, which all accounts share. Changes of
	// one entry fill it with more than maxVersions versions, unless they have
	// long descriptions.
	maxHistory = 256 << 10
	// maxForgotten is what one change forgets: a transaction has that many
	// operations, and some to spare. The next change goes on.
	maxForgotten = store.MaxOperations - 10
)

// nextVersion gives the list other entries and remembers those it had, as far
// as there is room for them.
func (c *change) nextVersion(list *record.PrefixList, entries []api.PrefixListEntry) error {
	if err := checkFits(entries, api.Val(list.List.MaxEntries)); err != nil {
		return err
	}
	id, version := list.List.PrefixListId, api.Val(list.List.Version)
	first := oldestVersion(list)
	c.tx.Put(record.RevisionKey(id, version), revisionBetween(list.Entries, entries))
	list.Entries = entries
	list.List.Version = api.Ptr(version + 1)
	list.Oldest = min(oldestWithRoom(c.tx.Peek(), list, first), first+maxForgotten)
	for v := first; v < list.Oldest; v++ {
		c.tx.Delete(record.RevisionKey(id, v))
	}
	return nil
}

// oldestVersion is the first version of the list that is known. A record without
// Oldest has all that maxVersions allows.
func oldestVersion(list *record.PrefixList) int64 {
	return max(1, list.Oldest, api.Val(list.List.Version)-maxVersions+1)
}

// oldestWithRoom is the first version, not before first, from which on the
// history of the list is within its bounds. What is read needs no guard: who
// adds or forgets a version writes the list.
func oldestWithRoom(r store.Reader, list *record.PrefixList, first int64) int64 {
	current, room := api.Val(list.List.Version), maxHistory
	first = max(first, current-maxVersions+1)
	oldest := current
	for v := current - 1; v >= first; v-- {
		if rev, ok := store.Get[*record.PrefixListRevision](r, record.RevisionKey(list.List.PrefixListId, v)); ok {
			room -= storedSize(rev)
		}
		if room < 0 && v < current-1 {
			break
		}
		oldest = v
	}
	return oldest
}

// storedSize is in bytes.
func storedSize(rev *record.PrefixListRevision) int {
	// What came out of the store can be encoded.
	raw, _ := json.Marshal(rev)
	return len(raw)
}

// entriesAt are the entries of a version of the list, if it is known.
func entriesAt(r store.Reader, list *record.PrefixList, version int64, field string) ([]api.PrefixListEntry, error) {
	current, oldest := api.Val(list.List.Version), oldestVersion(list)
	if version < oldest || version > current {
		return nil, api.Errorf("InvalidParameterValue", field, "the prefix list %s has no version %d: there are %d to %d", list.List.PrefixListId, version, oldest, current)
	}
	if version == current {
		return list.Entries, nil
	}
	entries := byCIDR(list.Entries)
	for v := current - 1; v >= version; v-- {
		rev, ok := store.Get[*record.PrefixListRevision](r, record.RevisionKey(list.List.PrefixListId, v))
		if !ok {
			return nil, api.Errorf("InternalError", "", "version %d of %s has no record; the store is damaged, restore a backup", v, list.List.PrefixListId)
		}
		goBack(entries, rev)
	}
	return inOrder(entries), nil
}

// goBack makes the entries of a version those of the one before.
func goBack(entries map[string]api.PrefixListEntry, rev *record.PrefixListRevision) {
	for _, cidr := range rev.Lacked {
		delete(entries, cidr)
	}
	for _, e := range rev.Had {
		entries[e.Cidr] = e
	}
}

// revisionBetween is what leads back from newer entries to older ones.
func revisionBetween(before, after []api.PrefixListEntry) record.PrefixListRevision {
	var out record.PrefixListRevision
	had, has := byCIDR(before), byCIDR(after)
	for _, e := range before {
		if now, ok := has[e.Cidr]; !ok || now != e {
			out.Had = append(out.Had, e)
		}
	}
	for _, e := range after {
		if _, ok := had[e.Cidr]; !ok {
			out.Lacked = append(out.Lacked, e.Cidr)
		}
	}
	return out
}
