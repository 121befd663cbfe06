package delta_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/vpcfabric/vpc/dataplane/delta"
)

func newSets(k *kernel) *delta.Sets[int, int, string] {
	return delta.NewSets("thing", k, func(key int) int { return key / 3 }, cmp.Compare[int], cmp.Compare[int])
}

// drawer has the sets in use, by name; a set that is drawn again is the very one.
type drawer map[int][]*delta.Set[int, string]

// drawSets takes new sets, and some of before as they are; flat is their content.
func (s drawer) drawSets(t *rapid.T, known map[*delta.Set[int, string]]map[int]string) (want map[int]*delta.Set[int, string], flat map[int]string) {
	want, flat = map[int]*delta.Set[int, string]{}, map[int]string{}
	for g := range 3 {
		if rapid.IntRange(0, 4).Draw(t, "absent") == 0 {
			continue
		}
		if n := rapid.IntRange(0, 2*len(s[g])).Draw(t, "again"); n < len(s[g]) {
			want[g] = s[g][n]
		} else {
			objects := map[int]string{}
			for key, v := range drawState(t, "set") {
				if key/3 == g {
					objects[key] = v
				}
			}
			want[g] = delta.MakeSet(maps.Clone(objects))
			known[want[g]], s[g] = objects, append(s[g], want[g])
		}
		maps.Copy(flat, known[want[g]])
	}
	return want, flat
}

// TestSetsAreATracker: through wants, failures, outside changes and passes that may
// not delete, sets are written exactly as a tracker writes the objects in them.
func TestSetsAreATracker(t *testing.T) {
	ctx := context.Background()
	rapid.Check(t, func(t *rapid.T) {
		k, plain := newKernel(), newKernel()
		sets, tracker := newSets(k), delta.New("thing", plain, cmp.Compare[int])
		all, known := drawer{}, map[*delta.Set[int, string]]map[int]string{}
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			want, flat := all.drawSets(t, known)
			sets.Want(want)
			tracker.Want(maps.Clone(flat))
			if rapid.IntRange(0, 2).Draw(t, "outside") == 0 {
				k.objects = drawState(t, "outside")
				plain.objects = maps.Clone(k.objects)
				sets.Dirty()
				tracker.Dirty()
			}
			k.failObserve = rapid.IntRange(0, 3).Draw(t, "fail observe") == 0
			k.failPut, k.failDelete = drawFailures(t, "fail put"), drawFailures(t, "fail delete")
			plain.failObserve, plain.failPut, plain.failDelete = k.failObserve, k.failPut, k.failDelete
			same(t, "put", k, plain, sets.Put, tracker.Put)
			if rapid.Bool().Draw(t, "prune") {
				same(t, "prune", k, plain, sets.Prune, tracker.Prune)
			}
			drifts, err := sets.Diff(ctx)
			others, err2 := tracker.Diff(ctx)
			if !slices.Equal(drifts, others) || fmt.Sprint(err) != fmt.Sprint(err2) {
				t.Fatalf("drift %v, %v; want %v, %v", drifts, err, others, err2)
			}
		}
		k.failObserve, k.failPut, k.failDelete = false, nil, nil
		_, err := sets.Put(ctx)
		_, err2 := sets.Prune(ctx)
		k.log = nil
		n, err3 := sets.Put(ctx)
		m, err4 := sets.Prune(ctx)
		if err := errors.Join(err, err2, err3, err4); err != nil || n+m != 0 || len(k.log) != 0 {
			t.Fatalf("settled: %d writes, %v, %v", n+m, k.log, err)
		}
	})
}

// same compares what one step did to both kernels.
func same(t *rapid.T, what string, k, plain *kernel, sets, tracker func(context.Context) (int, error)) {
	n, err := sets(context.Background())
	m, err2 := tracker(context.Background())
	if n != m || fmt.Sprint(err) != fmt.Sprint(err2) || !slices.Equal(k.log, plain.log) || !maps.Equal(k.objects, plain.objects) {
		t.Fatalf("%s: %d writes %v (%v) leave %v\nwant %d writes %v (%v) and %v", what, n, k.log, err, k.objects, m, plain.log, err2, plain.objects)
	}
}

// TestSettledSetsAreNotLookedAt: a pass asks only what changed. What is wanted is
// changed here behind the tracker's back, which nobody may do but this test.
func TestSettledSetsAreNotLookedAt(t *testing.T) {
	ctx := context.Background()
	k := newKernel()
	sets := newSets(k)
	hidden := map[int]string{0: "a"}
	settled := delta.MakeSet(hidden)
	pass := func(want map[int]*delta.Set[int, string]) {
		sets.Want(want)
		if _, err := sets.Put(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := sets.Prune(ctx); err != nil {
			t.Fatal(err)
		}
	}
	pass(map[int]*delta.Set[int, string]{0: settled})
	hidden[1] = "a"
	pass(map[int]*delta.Set[int, string]{0: settled, 1: delta.MakeSet(map[int]string{3: "b"})})
	if want := (map[int]string{0: "a", 3: "b"}); !maps.Equal(k.objects, want) {
		t.Errorf("have %v, want %v", k.objects, want)
	}
	sets.Dirty()
	pass(map[int]*delta.Set[int, string]{0: settled})
	if want := (map[int]string{0: "a", 1: "a"}); !maps.Equal(k.objects, want) {
		t.Errorf("after a full look have %v, want %v", k.objects, want)
	}
}
