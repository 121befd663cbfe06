package service

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// history is how many versions of a list the store has records of, and their
// size in bytes.
func (b *bench) history(id string) (versions, size int) {
	for _, rev := range store.List[*record.PrefixListRevision](b.store.Snapshot(), record.Revisions+id+"/") {
		raw, err := json.Marshal(rev)
		if err != nil {
			b.t.Fatal(err)
		}
		versions++
		size += len(raw)
	}
	return versions, size
}

// replaceAll makes version v of a list: 100 entries with long descriptions that
// all differ from those of the version before.
func (b *bench) replaceAll(id string, v int) {
	b.t.Helper()
	of := func(v int) []string {
		var out []string
		for i := range maxListChanges {
			out = append(out, fmt.Sprintf("10.%d.%d.0/24=%s", v%2, i, strings.Repeat("d", maxText)))
		}
		return out
	}
	req := &api.ModifyManagedPrefixListRequest{PrefixListId: id, AddEntries: adds(of(v)...)}
	if v > 2 {
		for _, e := range adds(of(v - 1)...) {
			req.RemoveEntries = append(req.RemoveEntries, removes(e.Cidr)...)
		}
	}
	if got := do[api.ModifyManagedPrefixListResult](b, req).PrefixList; *got.Version != int64(v) {
		b.t.Fatalf("version %d, want %d", *got.Version, v)
	}
}

// TestHistoryHasABound: however large its changes are, the older versions of a
// list take no more than their room; the newest stay.
func TestHistoryHasABound(t *testing.T) {
	b := newBench(t)
	id := b.list(maxListChanges).PrefixListId
	const last = 40
	for v := 2; v <= last; v++ {
		b.replaceAll(id, v)
		if _, size := b.history(id); size > maxHistory {
			t.Fatalf("at version %d the older ones take %d bytes", v, size)
		}
	}
	versions, _ := b.history(id)
	oldest := int64(last - versions)
	if oldest < 2 || versions < 4 {
		t.Fatalf("%d older versions are kept of %d", versions, last-1)
	}
	for v := oldest; v <= last; v++ {
		want := fmt.Sprintf("10.%d.0.0/24=%s", v%2, strings.Repeat("d", maxText))
		if got := b.listed(id, v); len(got) != maxListChanges || got[0] != want {
			t.Errorf("version %d has %d entries", v, len(got))
		}
	}
	b.unchanged(t, func() {
		_, _, err := b.call(alice, "GetManagedPrefixListEntries", &api.GetManagedPrefixListEntriesRequest{PrefixListId: id, TargetVersion: api.Ptr(oldest - 1)})
		e := refused(t, err, "InvalidParameterValue", "TargetVersion")
		if want := fmt.Sprintf("there are %d to %d", oldest, last); !strings.Contains(e.Message, want) {
			t.Errorf("%q does not say %q", e.Message, want)
		}
		_, _, err = b.call(alice, "RestoreManagedPrefixListVersion", &api.RestoreManagedPrefixListVersionRequest{
			PrefixListId: id, PreviousVersion: api.Ptr(oldest - 1), CurrentVersion: api.Ptr[int64](last)})
		refused(t, err, "InvalidParameterValue", "PreviousVersion")
	})
	do[api.RestoreManagedPrefixListVersionResult](b, &api.RestoreManagedPrefixListVersionRequest{
		PrefixListId: id, PreviousVersion: api.Ptr(oldest), CurrentVersion: api.Ptr[int64](last)})
}

// TestTheLastChangeCanBeTakenBack: also one that is larger than all that is kept
// otherwise, after many small ones.
func TestTheLastChangeCanBeTakenBack(t *testing.T) {
	b := newBench(t)
	id := b.list(maxListEntries).PrefixListId
	var all []api.PrefixListEntry
	for i := range maxListEntries {
		all = append(all, api.PrefixListEntry{Cidr: fmt.Sprintf("10.%d.%d.0/24", i/256, i%256), Description: strings.Repeat("d", maxText)})
	}
	const version = 400
	b.put(record.Lists+id, &record.PrefixList{Entries: all, List: api.ManagedPrefixList{
		PrefixListId: id, OwnerId: alice.Account, MaxEntries: api.Ptr[int32](maxListEntries), Version: api.Ptr[int64](version)}})
	for v := int64(1); v < version; v++ {
		b.put(record.RevisionKey(id, v), &record.PrefixListRevision{Lacked: []string{all[v].Cidr}})
	}
	// Version 1 has none of them.
	b.put(record.RevisionKey(id, 1), &record.PrefixListRevision{Lacked: collect(all, func(e api.PrefixListEntry) string { return e.Cidr })})
	restore := func(previous, current int64) {
		do[api.RestoreManagedPrefixListVersionResult](b, &api.RestoreManagedPrefixListVersionRequest{
			PrefixListId: id, PreviousVersion: &previous, CurrentVersion: &current})
	}
	restore(1, version)
	if left := b.listed(id, 0); len(left) != 0 {
		t.Fatalf("%d entries left", len(left))
	}
	restore(version, version+1)
	if got := b.listed(id, 0); len(got) != maxListEntries {
		t.Errorf("%d entries are back, want %d", len(got), maxListEntries)
	}
	// One change forgets as many as one transaction can; a few forget all.
	for v := version + 2; v < version+6; v++ {
		do[api.ModifyManagedPrefixListResult](b, &api.ModifyManagedPrefixListRequest{PrefixListId: id, RemoveEntries: removes(all[v].Cidr)})
	}
	if versions, size := b.history(id); versions > 6 {
		t.Errorf("%d versions of %d bytes are kept", versions, size)
	}
}

// TestReadingAnOldVersionIsCheap: sorting once, and not once for each version
// on the way back.
func TestReadingAnOldVersionIsCheap(t *testing.T) {
	b := newBench(t)
	list := &record.PrefixList{List: api.ManagedPrefixList{PrefixListId: "pl-1", Version: api.Ptr[int64](500)}}
	for i := range maxListEntries {
		list.Entries = append(list.Entries, api.PrefixListEntry{Cidr: fmt.Sprintf("10.%d.%d.0/24", i/256, i%256)})
	}
	for v := int64(1); v < 500; v++ {
		b.put(record.RevisionKey("pl-1", v), &record.PrefixListRevision{Lacked: []string{list.Entries[v].Cidr}})
	}
	r := b.store.Snapshot()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := entriesAt(r, list, 1, "")
	runtime.ReadMemStats(&after)
	if err != nil || len(got) != maxListEntries-499 || !slices.IsSortedFunc(got, func(a, b api.PrefixListEntry) int {
		return strings.Compare(cidrOrder(a.Cidr), cidrOrder(b.Cidr))
	}) {
		t.Fatalf("%d entries, or not in order; %v", len(got), err)
	}
	// One copy for each version would be 60 MiB.
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 4<<20 {
		t.Errorf("reading one version allocates %d KiB", allocated>>10)
	}
}
