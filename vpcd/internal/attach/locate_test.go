package attach

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

func TestLocateNetns(t *testing.T) {
	w := newWorld(t)
	w.isGone("netns:x")
	path := w.namespace("x", 100)
	if p := w.isAt("netns:x", "netns", 100); p.Netns.Path != path {
		t.Errorf("path %s, want %s", p.Netns.Path, path)
	}
	w.namespace("x", 101) // removed and made again between two looks
	w.isAt("netns:x", "netns", 101)
	w.namespace("x", rootInode)
	w.isGone("netns:x")
	w.namespace("x", 0)
	w.isGone("netns:x")
}

func TestLocatePid(t *testing.T) {
	w := newWorld(t)
	w.process(42, 4200, 110)
	w.isAt("pid:42/4200", "pid", 110)
	w.process(42, 4300, 110)
	w.isGone("pid:42/4200") // another process, even in the same namespace
	w.process(42, 4200, 111)
	w.isAt("pid:42/4200", "pid", 111) // it has moved
	w.state(42, 4200, "Z")
	w.isGone("pid:42/4200")
	w.process(42, 4200, rootInode)
	w.isGone("pid:42/4200")
	w.exit(42)
	w.isGone("pid:42/4200")
}

func TestLocateTap(t *testing.T) {
	w := newWorld(t)
	w.isGone("tap:t0")
	w.kernel.links["tap 2/t0"] = true
	p := w.isAt("tap:t0", "tap", ownInode)
	if p.Device != "t0" || p.Netns.Path != w.proc+"/self/ns/net" {
		t.Errorf("place %+v", p)
	}
	// The data plane takes it: it stays where it was found.
	delete(w.kernel.links, "tap 2/t0")
	w.kernel.adopted["t0"] = true
	if again := w.isAt("tap:t0", "tap", ownInode); again != p {
		t.Errorf("an adopted tap is at %+v, before it was at %+v", again, p)
	}
	delete(w.kernel.adopted, "t0")
	w.isGone("tap:t0")
}

// Only canonical targets name one thing for good.
func TestLocateWantsCanonical(t *testing.T) {
	w := populated(t)
	for _, target := range []string{"pid:42", "docker:web", "docker:" + webID[:12], "web", ""} {
		w.isUnknown(target)
	}
}

func TestLocateContainer(t *testing.T) {
	w := newWorld(t)
	w.engine.start()
	target := "docker:" + webID
	w.isGone(target)
	w.clock.pass(doubtAfter + 1)
	w.run(webID, "web", 50, 120)
	w.isAt(target, "docker", 120)

	asked := w.engine.inspections()
	for range 100 {
		w.isAt(target, "docker", 120)
	}
	if got := w.engine.inspections(); got != asked {
		t.Errorf("%d inspections of a container that runs on", got-asked)
	}

	// A restart is a new process in a new namespace, seen without an event.
	w.exit(50)
	c := w.run(webID, "web", 51, 121)
	w.isAt(target, "docker", 121)
	// Its number goes to a process that has nothing to do with it.
	w.stop(c)
	w.process(51, 999, 130)
	w.isGone(target)
}

// A stopped container is not asked about in each pass, but not for ever either.
func TestLocateStopped(t *testing.T) {
	w := newWorld(t)
	w.engine.start()
	target := "docker:" + webID
	w.stop(w.run(webID, "web", 50, 120))
	for range 100 {
		w.isGone(target)
	}
	if got := w.engine.inspections(); got != 1 {
		t.Errorf("%d inspections, want 1", got)
	}
	w.run(webID, "web", 51, 121)
	w.clock.pass(doubtAfter + 1)
	w.isAt(target, "docker", 121)
}

// An attachment made by hand right after `docker start` does not wait for news
// to grow old.
func TestResolveRefreshes(t *testing.T) {
	w := newWorld(t)
	w.engine.start()
	w.stop(w.run(webID, "web", 50, 120))
	w.isGone("docker:" + webID)
	w.run(webID, "web", 51, 121)
	if _, err := w.Resolve(t.Context(), "docker:web", "", true); err != nil {
		t.Fatal(err)
	}
	w.isAt("docker:"+webID, "docker", 121)
}

// While the engine is away its containers run on.
func TestLocateWithoutEngine(t *testing.T) {
	w := newWorld(t)
	w.engine.start()
	target := "docker:" + webID
	w.run(webID, "web", 50, 120)
	w.isAt(target, "docker", 120)
	w.engine.stop()
	w.isAt(target, "docker", 120)
	w.isUnknown("docker:" + otherID) // never seen: nobody can say
	w.exit(50)
	w.isGone(target)
}

// An ended process is not the end of its container: an engine that restarts ends
// them all, answers nobody for a while, and starts them again.
func TestLocateWhileEngineRestarts(t *testing.T) {
	w := newWorld(t)
	w.engine.start()
	target := "docker:" + webID
	w.run(webID, "web", 50, 120)
	w.isAt(target, "docker", 120)
	w.engine.stop()
	w.exit(50)
	if _, err := w.Locate(t.Context(), target, engineID); !errors.Is(err, ErrGone) || errors.Is(err, ErrRemoved) {
		t.Errorf("got %v, want that it is gone, not for good", err)
	}
	w.engine.start()
	w.clock.pass(askAgain + 1)
	w.run(webID, "web", 51, 121)
	w.isAt(target, "docker", 121)
}

// TestLocateRemovedWhileAway: a daemon that has just started, and has seen none
// of its workloads, tells those that are gone for good from those that may come
// back.
func TestLocateRemovedWhileAway(t *testing.T) {
	w := newWorld(t)
	docker := "docker:" + webID
	w.isUnknown(docker) // no engine: nobody can say
	w.engine.start()
	w.process(43, 4300, 111) // the number is used again
	w.clock.pass(askAgain + 1)
	for target, lasts := range map[string]bool{
		docker: true, "pid:42/4200": true, "pid:43/4200": true,
		"netns:x": false, "tap:t0": false, // the next one of that name is the same workload
	} {
		if _, err := w.Locate(t.Context(), target, engineID); !errors.Is(err, ErrGone) || errors.Is(err, ErrRemoved) != lasts {
			t.Errorf("%s: %v; want gone, for good: %t", target, err, lasts)
		}
	}
	w.stop(w.run(otherID, "db", 51, 121))
	if _, err := w.Locate(t.Context(), "docker:"+otherID, engineID); !errors.Is(err, ErrGone) || errors.Is(err, ErrRemoved) {
		t.Errorf("a stopped container: %v; want that it is gone, not for good", err)
	}
}

// TestLocateAskingAnotherEngine: that a container does not exist counts for good
// only from the engine it was attached with. Another one knows nothing of it, and
// where the record does not say which it was, a person has to.
func TestLocateAskingAnotherEngine(t *testing.T) {
	w := newWorld(t)
	w.engine.start()
	target := "docker:" + webID
	became := func(id string) {
		w.engine.mu.Lock()
		defer w.engine.mu.Unlock()
		w.engine.id = id
		w.clock.pass(doubtAfter + 1)
	}
	if _, err := w.Locate(t.Context(), target, ""); !errors.Is(err, ErrGone) || errors.Is(err, ErrRemoved) {
		t.Errorf("an engine of which nothing is known: %v; want that it is gone, not for good", err)
	}
	became("another")
	for range 100 {
		w.isUnknown(target)
	}
	became("")
	w.isUnknown(target)
	became(engineID)
	if _, err := w.Locate(t.Context(), target, engineID); !errors.Is(err, ErrRemoved) {
		t.Errorf("its own engine: %v; want that it is gone for good", err)
	}
	// One that was seen to run, and ended while another engine was there.
	w.clock.pass(doubtAfter + 1)
	w.run(webID, "web", 50, 120)
	w.isAt(target, "docker", 120)
	became("another")
	w.exit(50)
	w.engine.remove(webID)
	if _, err := w.Locate(t.Context(), target, engineID); !errors.Is(err, ErrGone) || errors.Is(err, ErrRemoved) {
		t.Errorf("ended under another engine: %v; want that it is gone, not for good", err)
	}
}

// TestLocateWhileEnginesChange: whichever of two engines answers which question,
// a container is removed only when its own said so.
func TestLocateWhileEnginesChange(t *testing.T) {
	const own, other = engineID, "another"
	for name, row := range map[string]struct {
		answering []string // the engine behind the socket, by question; the last stays
		exists    bool     // in its own engine
		removed   bool
	}{
		"its own comes after the first answer":    {[]string{other, own}, true, false},
		"its own goes after it said who it is":    {[]string{other, own, other, other}, true, false},
		"its own was there for one question only": {[]string{other, own, other}, false, false},
		"its own, all the time":                   {[]string{own}, false, true},
		"its own, from the second question on":    {[]string{other, own}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			asked := 0
			w.engine.raw = func(rw http.ResponseWriter, r *http.Request) bool {
				w.engine.mu.Lock()
				defer w.engine.mu.Unlock()
				w.engine.id = row.answering[min(asked, len(row.answering)-1)]
				asked++
				if r.URL.Path == "/info" || w.engine.id == own {
					return false
				}
				http.Error(rw, `{"message":"no such container"}`, http.StatusNotFound)
				return true
			}
			w.engine.start()
			if row.exists {
				w.run(webID, "web", 50, 120)
			}
			_, err := w.Locate(t.Context(), "docker:"+webID, own)
			if errors.Is(err, ErrRemoved) != row.removed || err == nil {
				t.Errorf("%v; want gone for good: %t", err, row.removed)
			}
			if asked > 4 {
				t.Errorf("%d questions", asked)
			}
		})
	}
}

// The engine's word about another container is no answer, and one that names a
// process outside the container's namespace is none yet.
func TestLocateDistrusts(t *testing.T) {
	w := newWorld(t)
	w.engine.start()
	c := w.run(webID, "web", 50, 120)
	w.process(50, 1, 999)
	w.isUnknown("docker:" + webID)
	w.process(50, 1, 120)
	w.isAt("docker:"+webID, "docker", 120)
	w.exit(50)
	c.ID = otherID
	w.isUnknown("docker:" + webID)
}

// A container whose inspection fails keeps nobody from asking about others.
func TestLocateOneRefused(t *testing.T) {
	w := newWorld(t)
	w.run(otherID, "db", 51, 121)
	w.engine.raw = func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/containers/"+webID+"/json" {
			return false
		}
		http.Error(rw, `{"message":"broken"}`, http.StatusInternalServerError)
		return true
	}
	w.engine.start()
	w.isUnknown("docker:" + webID)
	w.isAt("docker:"+otherID, "docker", 121)
}

// An engine that hangs is waited for once, not once per container and pass.
func TestLocateHangingEngine(t *testing.T) {
	w := newWorld(t)
	asked := make(chan struct{}, 100)
	w.engine.raw = func(_ http.ResponseWriter, r *http.Request) bool {
		asked <- struct{}{}
		<-r.Context().Done()
		return true
	}
	w.engine.start()
	for range 20 {
		w.isUnknown("docker:" + webID)
		w.isUnknown("docker:" + otherID)
	}
	if len(asked) != 1 {
		t.Fatalf("asked %d times, want once", len(asked))
	}
	w.clock.pass(askAgain + 1)
	// A caller in a hurry says nothing about the engine.
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := w.Locate(ctx, "docker:"+webID, engineID); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if err := w.known.silence(w.now()); err != nil {
		t.Fatalf("the engine is held for silent: %v", err)
	}
}

// startTime reads what this machine's kernel writes.
func TestStartTimeOfRealProcess(t *testing.T) {
	r := New(Config{})
	own, err := r.startTime(os.Getpid())
	if err != nil || own == 0 {
		t.Fatalf("own start time %d, %v", own, err)
	}
	child := exec.Command("sleep", "1000")
	must(t, child.Start())
	pid := child.Process.Pid
	start, err := r.startTime(pid)
	if err != nil || start < own {
		t.Errorf("start time of a child %s: %d, %v; own %d", strconv.Itoa(pid), start, err, own)
	}
	must(t, child.Process.Kill())
	child.Wait()
	if _, err := r.startTime(pid); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a process that was waited for: %v", err)
	}
}
