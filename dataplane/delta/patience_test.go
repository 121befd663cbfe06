package delta_test

import (
	"cmp"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vpcfabric/vpc/dataplane/delta"
)

// tries counts how often a key was tried by a pass every interval.
func tries(t *testing.T, tr *delta.Tracker[int, string], k *counting, passes int, interval time.Duration) int {
	t.Helper()
	before := k.tries
	for range passes {
		if _, err := apply(tr); !errors.Is(err, errPlanned) {
			t.Fatalf("a pass with a failing object says %v", err)
		}
		<-time.After(interval)
	}
	return k.tries - before
}

// counting counts the tries of key 1.
type counting struct {
	*kernel
	tries int
}

func (k *counting) Put(ctx context.Context, key int, v string) error {
	if key == 1 {
		k.tries++
	}
	return k.kernel.Put(ctx, key, v)
}

func (k *counting) Delete(ctx context.Context, key int) error {
	if key == 1 {
		k.tries++
	}
	return k.kernel.Delete(ctx, key)
}

// TestFailingObjectIsTriedLessOften: ten passes a second for a minute, with the
// kernel read again before each, as after a failed pass.
func TestFailingObjectIsTriedLessOften(t *testing.T) {
	for name, prepare := range map[string]func(*counting) map[int]string{
		"put": func(k *counting) map[int]string {
			k.failPut = map[int]bool{1: true}
			return map[int]string{1: "a"}
		},
		"delete": func(k *counting) map[int]string {
			k.objects[1], k.failDelete = "a", map[int]bool{1: true}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &counting{kernel: newKernel()}
				tr := delta.New("thing", k, cmp.Compare[int])
				tr.Want(prepare(k))
				if n := tries(t, tr, k, 10, 100*time.Millisecond); n != 10 {
					t.Errorf("%d tries in the first second, want one for each pass", n)
				}
				for range 600 {
					tr.Dirty()
					_, _ = apply(tr)
					<-time.After(100 * time.Millisecond)
				}
				if n := k.tries - 10; n < 5 || n > 9 {
					t.Errorf("%d tries in the minute after, want some few", n)
				}
				// The cause is gone: the wait that is left has a bound.
				k.failPut, k.failDelete = nil, nil
				start := time.Now()
				for _, err := apply(tr); err != nil; _, err = apply(tr) {
					<-time.After(100 * time.Millisecond)
					if time.Since(start) > 15*time.Second {
						t.Fatal("it is not tried again within 15 s")
					}
				}
			})
		})
	}
}

// TestHealthyObjectsDoNotWait for one that fails.
func TestHealthyObjectsDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &counting{kernel: newKernel()}
		k.failPut = map[int]bool{1: true}
		tr := delta.New("thing", k, cmp.Compare[int])
		tr.Want(map[int]string{1: "a", 2: "a"})
		tries(t, tr, k, 200, 100*time.Millisecond)
		before := k.tries
		tr.Want(map[int]string{1: "a", 2: "b", 3: "c"})
		n, err := apply(tr)
		var blamed *delta.KeyError
		if n != 2 || k.objects[2] != "b" || k.objects[3] != "c" {
			t.Errorf("%d writes, objects %v; want the two healthy ones at once", n, k.objects)
		}
		if k.tries != before || !errors.As(err, &blamed) || blamed.Key != 1 || !blamed.Held {
			t.Errorf("%d more tries of the failing one, error %+v; want none, and an error that names it", k.tries-before, err)
		}
	})
}

// TestNewValueIsTriedAtOnce, and so is an object that was not wanted for a while.
func TestNewValueIsTriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &counting{kernel: newKernel()}
		k.failPut = map[int]bool{1: true}
		tr := delta.New("thing", k, cmp.Compare[int])
		for _, v := range []string{"a", "b"} {
			tr.Want(map[int]string{1: v})
			if n := tries(t, tr, k, 1, 0); n != 1 {
				t.Errorf("the value %s was tried %d times", v, n)
			}
			tries(t, tr, k, 200, 100*time.Millisecond)
			if n := tries(t, tr, k, 1, 0); n != 0 {
				t.Errorf("after 20 s it is still tried by every pass")
			}
		}
		tr.Want(map[int]string{})
		if _, err := apply(tr); err != nil {
			t.Fatal(err)
		}
		k.failPut = nil
		tr.Want(map[int]string{1: "b"})
		if _, err := apply(tr); err != nil || k.objects[1] != "b" {
			t.Errorf("wanted again: %v, objects %v", err, k.objects)
		}
	})
}
