package delta_test

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vpcfabric/vpc/dataplane/delta"
)

var errPlanned = errors.New("planned failure")

// kernel is a driver over a map that fails where told, and keeps a half-made
// object when a write fails, as real kernels do.
type kernel struct {
	objects     map[int]string
	failObserve bool
	failPut     map[int]bool
	failDelete  map[int]bool
	log         []string
	observes    int
}

func newKernel() *kernel { return &kernel{objects: map[int]string{}} }

func (k *kernel) Observe(context.Context, map[int]string) (map[int]string, error) {
	k.observes++
	if k.failObserve {
		// A part of the truth beside the error must not be believed.
		return map[int]string{99: "ghost"}, errPlanned
	}
	return maps.Clone(k.objects), nil
}

func (k *kernel) Put(_ context.Context, key int, v string) error {
	k.log = append(k.log, "put")
	if k.failPut[key] {
		k.objects[key] = "half"
		return errPlanned
	}
	k.objects[key] = v
	return nil
}

func (k *kernel) Delete(_ context.Context, key int) error {
	k.log = append(k.log, "delete")
	if k.failDelete[key] {
		return errPlanned
	}
	delete(k.objects, key)
	return nil
}

func apply(t *delta.Tracker[int, string]) (int, error) {
	puts, err := t.Put(context.Background())
	dels, err2 := t.Prune(context.Background())
	return puts + dels, errors.Join(err, err2)
}

func drawState(t *rapid.T, label string) map[int]string {
	return rapid.MapOf(rapid.IntRange(0, 7), rapid.SampledFrom([]string{"a", "b"})).Draw(t, label)
}

func drawFailures(t *rapid.T, label string) map[int]bool {
	return rapid.MapOf(rapid.IntRange(0, 7), rapid.Just(true)).Draw(t, label)
}

// TestConverges walks through wants, failures and outside changes: however it
// went, one apply without failures ends as desired, and the next writes nothing.
func TestConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := newKernel()
		k.objects = drawState(t, "start")
		tr := delta.New("thing", k, cmp.Compare[int])
		want := map[int]string{}
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			want = drawState(t, "want")
			tr.Want(maps.Clone(want))
			if rapid.Bool().Draw(t, "outside change") {
				k.objects = drawState(t, "outside")
				tr.Dirty()
			}
			k.failObserve = rapid.Bool().Draw(t, "fail observe")
			k.failPut = drawFailures(t, "fail put")
			k.failDelete = drawFailures(t, "fail delete")
			_, _ = apply(tr)
		}
		k.failObserve, k.failPut, k.failDelete = false, nil, nil
		if _, err := apply(tr); err != nil {
			t.Fatalf("apply without failures: %v", err)
		}
		if !maps.Equal(k.objects, want) {
			t.Fatalf("have %v, want %v", k.objects, want)
		}
		k.log = nil
		if n, err := apply(tr); n != 0 || err != nil || len(k.log) != 0 {
			t.Fatalf("second apply: %d writes, %v, %v", n, k.log, err)
		}
	})
}

// TestTouchesOnlyDifferences counts: as many writes as objects that differ.
func TestTouchesOnlyDifferences(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := newKernel()
		k.objects = drawState(t, "start")
		want := drawState(t, "want")
		expect := 0
		for key, v := range want {
			if k.objects[key] != v {
				expect++
			}
		}
		for key := range k.objects {
			if _, ok := want[key]; !ok {
				expect++
			}
		}
		tr := delta.New("thing", k, cmp.Compare[int])
		tr.Want(want)
		n, err := apply(tr)
		if err != nil || n != expect || len(k.log) != expect {
			t.Fatalf("%d writes (%v), want %d, %v", n, k.log, expect, err)
		}
		if k.observes != 1 {
			t.Fatalf("%d listings, want 1", k.observes)
		}
	})
}

// TestNeverDeletesAfterInterruptedObserve also shows that nothing is put.
func TestNeverDeletesAfterInterruptedObserve(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := newKernel()
		k.objects = drawState(t, "start")
		before := maps.Clone(k.objects)
		tr := delta.New("thing", k, cmp.Compare[int])
		tr.Want(drawState(t, "want"))
		if rapid.Bool().Draw(t, "read before") {
			if _, err := tr.Diff(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		k.failObserve = true
		if n, err := apply(tr); n != 0 || !errors.Is(err, errPlanned) {
			t.Fatalf("%d writes, %v", n, err)
		}
		if !maps.Equal(k.objects, before) || len(k.log) != 0 {
			t.Fatalf("touched: %v", k.log)
		}
	})
}

func TestFailedPutIsPrunedWhenNoLongerWanted(t *testing.T) {
	k := newKernel()
	tr := delta.New("thing", k, cmp.Compare[int])
	tr.Want(map[int]string{1: "a"})
	k.failPut = map[int]bool{1: true}
	if _, err := tr.Put(context.Background()); err == nil {
		t.Fatal("no error")
	}
	tr.Want(map[int]string{})
	if n, err := tr.Prune(context.Background()); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if len(k.objects) != 0 {
		t.Fatalf("left behind: %v", k.objects)
	}
}

func TestErrorsNameKindAndKeyAndDoNotStopOthers(t *testing.T) {
	k := newKernel()
	k.failPut = map[int]bool{1: true, 3: true}
	tr := delta.New("thing", k, cmp.Compare[int])
	tr.Want(map[int]string{1: "a", 2: "a", 3: "a"})
	n, err := tr.Put(context.Background())
	if n != 3 || err == nil {
		t.Fatalf("%d, %v", n, err)
	}
	got := strings.Split(err.Error(), "\n")
	if !slices.Equal(got, []string{"thing: 1: planned failure", "thing: 3: planned failure"}) {
		t.Fatalf("%q", got)
	}
	if k.objects[2] != "a" {
		t.Fatal("the key between the failing ones was not written")
	}
}

func TestDiffTouchesNothing(t *testing.T) {
	k := newKernel()
	k.objects = map[int]string{1: "a", 2: "b", 4: "d"}
	tr := delta.New("thing", k, cmp.Compare[int])
	tr.Want(map[int]string{1: "a", 2: "c", 3: "e"})
	drift, err := tr.Diff(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	want := []delta.Drift{
		{Kind: "thing", Object: "2", Want: "c", Have: "b"},
		{Kind: "thing", Object: "3", Want: "e"},
		{Kind: "thing", Object: "4", Have: "d"},
	}
	if !slices.Equal(drift, want) {
		t.Fatalf("%v", drift)
	}
	if len(k.log) != 0 {
		t.Fatalf("wrote %v", k.log)
	}
}

// dirtier calls Dirty from inside a write, as a link event does.
type dirtier struct {
	*kernel
	dirty func()
}

func (d dirtier) Put(ctx context.Context, key int, v string) error {
	d.dirty()
	return d.kernel.Put(ctx, key, v)
}

func TestDirtyDuringPutIsNotLost(t *testing.T) {
	k := newKernel()
	d := &dirtier{kernel: k}
	tr := delta.New("thing", d, cmp.Compare[int])
	d.dirty = tr.Dirty
	tr.Want(map[int]string{1: "a"})
	if _, err := tr.Put(context.Background()); err != nil {
		t.Fatal(err)
	}
	delete(k.objects, 1)
	if n, err := tr.Put(context.Background()); n != 1 || err != nil {
		t.Fatalf("%d, %v: the event was lost", n, err)
	}
}

func TestCancelledContextStops(t *testing.T) {
	k := newKernel()
	tr := delta.New("thing", k, cmp.Compare[int])
	tr.Want(map[int]string{1: "a", 2: "a"})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if n, err := tr.Put(ctx); n != 0 || !errors.Is(err, context.Canceled) {
		t.Fatalf("%d, %v", n, err)
	}
}

var _ delta.Phase = (*delta.Tracker[int, string])(nil)
