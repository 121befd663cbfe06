package dataplane

import "testing"

// TestDisturbed: what others flush is seen by the first question afterwards, is put
// back by an Apply, and is no news when that is over.
func TestDisturbed(t *testing.T) {
	w := newTown(t)
	w.applyUntil(t, "")
	settled := func() {
		t.Helper()
		w.d.Disturbed() // what we have written ourselves
		w.applyUntil(t, "")
		if w.d.Disturbed() {
			t.Error("disturbed, and nobody did anything")
		}
	}
	settled()
	table := in(t, w.outside, "nft list tables")
	in(t, w.outside, "nft flush ruleset")
	if !w.d.Disturbed() {
		t.Fatal("a flush was not seen")
	}
	rep, err := w.d.Apply(t.Context(), w.h)
	if err != nil || rep.Writes != 1 {
		t.Errorf("%d writes, %v", rep.Writes, err)
	}
	if have := in(t, w.outside, "nft list tables"); have != table {
		t.Errorf("have %q, want %q", have, table)
	}
	settled()
	in(t, w.outside, "nft add table ip others")
	if !w.d.Disturbed() {
		t.Error("another's table was not seen")
	}
	if rep, err := w.d.Apply(t.Context(), w.h); err != nil || rep.Writes != 0 {
		t.Errorf("%d writes, %v", rep.Writes, err)
	}
}
