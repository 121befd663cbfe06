package attach

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"
)

// following runs the Resolver until the test ends. The machine's own mount
// table is not looked at.
func (w *world) following() <-chan struct{} {
	w.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	moved := w.Watch(ctx)
	done := make(chan error, 1)
	go func() { done <- w.Resolver.Run(ctx) }()
	w.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if !errors.Is(err, context.Canceled) {
				w.Errorf("Run ended with %v", err)
			}
		case <-time.After(waitFor):
			w.Error("Run does not end")
		}
	})
	return moved
}

func TestEventsWake(t *testing.T) {
	w := newWorld(t)
	w.engine.start()
	target := "docker:" + webID
	c := w.run(webID, "web", 50, 120)
	moved := w.following()
	awake(t, moved, "the stream is open")
	w.isAt(target, "docker", 120)

	w.stop(c)
	w.engine.event("die", webID)
	awake(t, moved, "die")
	w.isGone(target)

	// No time passes: the event alone makes the Resolver ask again.
	w.run(webID, "web", 51, 121)
	w.engine.event("start", webID)
	awake(t, moved, "start")
	w.isAt(target, "docker", 121)
}

func TestEveryWatcherWakes(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	a, b := w.Watch(t.Context()), w.Watch(ctx)
	for range 3 {
		w.wake() // more than a watcher takes is one wake-up
	}
	awake(t, a, "first watcher")
	awake(t, b, "second watcher")
	if len(a)+len(b) != 0 {
		t.Fatal("a wake-up is kept twice")
	}
	cancel()
	deadline := time.Now().Add(waitFor)
	for count := 2; count != 1; {
		if time.Now().After(deadline) {
			t.Fatal("a watcher that has left is kept")
		}
		w.mu.Lock()
		count = len(w.watchers)
		w.mu.Unlock()
	}
}

func TestReconnects(t *testing.T) {
	w := newWorld(t)
	target := "docker:" + webID
	moved := w.following() // there is no engine yet, which is no error
	w.isUnknown(target)
	w.stop(w.run(webID, "web", 50, 120))
	w.engine.start()
	awake(t, moved, "the engine has come")
	w.isGone(target)

	// The container is started while nobody hears of it.
	w.engine.stop()
	w.run(webID, "web", 51, 121)
	w.engine.start()
	awake(t, moved, "the engine is back")
	w.isAt(target, "docker", 121)

	w.engine.event("die", webID)
	awake(t, moved, "an event of the new stream")
}

// Streams that break or talk nonsense are opened again.
func TestBadStreams(t *testing.T) {
	w := newWorld(t)
	calls := make(chan int, 100)
	n := 0
	w.engine.raw = func(rw http.ResponseWriter, r *http.Request) bool {
		n++
		calls <- n
		switch n {
		case 1:
			fmt.Fprintln(rw, "nonsense")
		case 2:
			fmt.Fprint(rw, "\n\n{\"Actor\":")
		case 3:
			http.Error(rw, "no", http.StatusServiceUnavailable)
		default:
			return false
		}
		return true
	}
	w.engine.start()
	moved := w.following()
	for want := 1; want <= 4; want++ {
		select {
		case got := <-calls:
			if got != want {
				t.Fatalf("call %d, want %d", got, want)
			}
		case <-time.After(waitFor):
			t.Fatalf("the stream was opened %d times only", want-1)
		}
	}
	awake(t, moved, "a good stream at last")
}

// An answer that was asked for before an event does not count after it.
func TestOldAnswerAfterEvent(t *testing.T) {
	k := containers{byID: map[string]sighting{}}
	now := time.Unix(1, 0)
	_, _, epoch := k.get(webID, now)
	k.forget(webID, now)
	k.put(webID, sighting{err: ErrGone, at: now}, epoch)
	if _, found, _ := k.get(webID, now); found {
		t.Fatal("bad news from before the event is kept")
	}
	k.put(webID, sighting{err: ErrGone, at: now}, epoch+1)
	if _, found, _ := k.get(webID, now); !found {
		t.Fatal("bad news from after the event is not kept")
	}
	k.forget(otherID, now.Add(doubtAfter+1))
	if len(k.byID) != 0 {
		t.Fatal("news too old to count is kept for ever")
	}
}

func TestNamedNamespaces(t *testing.T) {
	w := newWorld(t)
	w.namespace("x", 100)
	w.namespace("vpc-h1-vpc-1", 101)
	got := w.namedNamespaces()
	if _, ok := got["x"]; !ok || len(got) != 1 {
		t.Fatalf("namespaces %v, want x only", got)
	}
	w.netnsDir += "-none"
	if got := w.namedNamespaces(); len(got) != 0 {
		t.Fatalf("without a directory: %v", got)
	}
}

// A namespace of iproute2 is told of when it is ready and when it goes.
func TestFollowRealNamespace(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: makes a network namespace")
	}
	name := fmt.Sprintf("vpcat-%d", os.Getpid())
	target := "netns:" + name
	w := newWorld(t)
	w.proc, w.netnsDir = "/proc", "/run/netns"
	w.Resolver.kernel = statKernel{w.kernel}
	moved := w.following()
	t.Cleanup(func() { exec.Command("ip", "netns", "del", name).Run() })

	until := func(why string, there bool) Place {
		t.Helper()
		for {
			awake(t, moved, why)
			p, err := w.Locate(t.Context(), target, engineID)
			if there == (err == nil) {
				return p
			}
		}
	}
	iproute(t, "netns", "add", name)
	first := until("added", true)
	iproute(t, "netns", "del", name)
	until("deleted", false)
	iproute(t, "netns", "add", name)
	if second := until("added again", true); second.Netns.Path != first.Netns.Path {
		t.Errorf("it was at %+v, and is at %+v", first, second)
	}
	if _, err := w.Resolve(t.Context(), "pid:1", "", true); err == nil {
		t.Error("the namespace of process 1 can be attached")
	}
}

func iproute(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %v: %v: %s", args, err, out)
	}
}
