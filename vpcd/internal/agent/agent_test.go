package agent

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/attach"
)

// bubble runs a case on a clock that jumps: no test here waits for real time.
func bubble(t *testing.T, f func(t *testing.T, b *bench)) {
	synctest.Test(t, func(t *testing.T) { f(t, newBench()) })
}

var errKernel = errors.New("no buffer space")

func TestFollowsRecords(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.run(t)
		b.expect(t, api.HostStateReady, 10, true)
		h := b.last(t).Host
		if h.HostName != "h1" || h.Version != "v1" || h.KernelRelease == "" || api.Val(h.Mtu) != 1450 || api.Val(h.Workloads) != 1 || api.Val(h.Subnets) != 1 {
			t.Errorf("report %+v", h)
		}
		b.set(oneWorkload(11))
		synctest.Wait()
		b.expect(t, api.HostStateReady, 11, true)
		if n := len(b.kernel.passes()); n != 2 {
			t.Errorf("%d passes for two revisions", n)
		}
		if b.alive.Load() != 2 {
			t.Errorf("%d signs of life for two passes", b.alive.Load())
		}
	})
}

// TestWakesCoalesce: what changes during a pass makes one more pass, however
// often it changed.
func TestWakesCoalesce(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.run(t)
		b.kernel.do(func() { b.kernel.hang = make(chan struct{}) })
		b.wake()
		synctest.Wait()
		for revision := int64(11); revision <= 20; revision++ {
			b.set(oneWorkload(revision))
			synctest.Wait()
		}
		hang := b.kernel.hang
		b.kernel.do(func() { b.kernel.hang = nil })
		close(hang)
		synctest.Wait()
		b.expect(t, api.HostStateReady, 20, true)
		if n := len(b.kernel.passes()); n != 3 {
			t.Errorf("%d passes, want the first, the one that took long and one for all ten changes", n)
		}
	})
}

// TestKernelFails: what the kernel refused is not reported as applied, says why
// and is tried again before anything else happens.
func TestKernelFails(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.run(t)
		b.kernel.do(func() { b.kernel.fail = errKernel })
		b.set(oneWorkload(11))
		synctest.Wait()
		b.expect(t, api.HostStateDegraded, 10, false)
		if r := b.last(t).Host.Reasons[0]; !strings.Contains(r, errKernel.Error()) {
			t.Errorf("reason %q does not say why", r)
		}
		tries := len(b.kernel.passes())
		pass(pollPlaces)
		if len(b.kernel.passes()) != tries+1 {
			t.Errorf("%d more tries within %s", len(b.kernel.passes())-tries, pollPlaces)
		}
		b.kernel.do(func() { b.kernel.fail = nil })
		pass(pollPlaces)
		b.expect(t, api.HostStateReady, 11, true)
		tries = len(b.kernel.passes())
		pass(pollPlaces)
		if len(b.kernel.passes()) != tries {
			t.Error("it goes on trying after it succeeded")
		}
	})
}

// TestFailureIsRetriedLessOften: what goes on failing costs fewer and fewer
// passes; a change of the records is acted on at once all the same.
func TestFailureIsRetriedLessOften(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.cfg.Resync = time.Hour
		b.kernel.fail = errKernel
		b.run(t)
		for range 60 {
			pass(pollPlaces)
		}
		if n := len(b.kernel.passes()); n < 5 || n > 8 {
			t.Errorf("%d passes in a minute of failing, want some few", n)
		}
		tries := len(b.kernel.passes())
		b.set(oneWorkload(11))
		synctest.Wait()
		if n := len(b.kernel.passes()); n != tries+1 {
			t.Errorf("%d passes for a change of the records, want one at once", n-tries)
		}
		b.kernel.do(func() { b.kernel.fail = nil })
		b.wake()
		synctest.Wait()
		b.kernel.do(func() { b.kernel.fail = errKernel })
		b.wake()
		synctest.Wait()
		tries = len(b.kernel.passes())
		pass(pollPlaces)
		if n := len(b.kernel.passes()); n != tries+1 {
			t.Errorf("a new failure after a success is tried %d times within %s, want once", n-tries, pollPlaces)
		}
	})
}

// TestQuiet: a pass without change writes no report until quietReport is over.
func TestQuiet(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.run(t)
		for range 4 {
			b.wake()
			synctest.Wait()
		}
		if len(b.kernel.passes()) != 5 || len(b.source.written()) != 1 {
			t.Errorf("%d passes wrote %d reports, want 5 and 1", len(b.kernel.passes()), len(b.source.written()))
		}
		pass(quietReport + defaultResync)
		if n := len(b.source.written()); n != 2 {
			t.Errorf("%d reports after %s, want a second one as a sign of life", n, quietReport)
		}
	})
}

// TestReportFails: a report that did not get through is written by the next pass.
func TestReportFails(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.source.refuse = errors.New("no leader")
		b.run(t)
		b.source.do(func() { b.source.refuse = nil })
		b.wake()
		synctest.Wait()
		b.expect(t, api.HostStateReady, 10, true)
	})
}

func TestSnapshotFails(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.run(t)
		b.source.do(func() { b.source.fail = errors.New("disk on fire") })
		b.wake()
		synctest.Wait()
		b.expect(t, api.HostStateDegraded, 10, true)
		s := b.last(t)
		if len(b.kernel.passes()) != 1 || api.Val(s.Host.Workloads) != 1 || !strings.Contains(s.Host.Reasons[0], "disk on fire") {
			t.Errorf("%d passes over the kernel, report %+v", len(b.kernel.passes()), s.Host)
		}
		b.source.do(func() { b.source.fail = nil })
		pass(pollPlaces)
		b.expect(t, api.HostStateReady, 10, true)
	})
}

func TestBrake(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.kernel.holds = []string{"eni index 9", "eni index 8"}
		local := b.Local(nil)
		b.run(t)
		b.expect(t, api.HostStateBraked, 10, true)
		if r := b.last(t).Host.Reasons[0]; !strings.Contains(r, "2 interfaces") || !strings.Contains(r, "eni index 8") || !strings.Contains(r, "vpc host confirm") {
			t.Errorf("reason %q", r)
		}
		pass(defaultResync)
		if len(b.kernel.lifted) != 0 {
			t.Fatalf("the brake was lifted by itself: %v", b.kernel.lifted)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		n, err := local.Confirm(gone)
		if n != 2 || err != nil || len(b.kernel.lifted) != 2 {
			t.Errorf("Confirm: %d, %v; lifted %v", n, err, b.kernel.lifted)
		}
		b.expect(t, api.HostStateReady, 10, true)
		if n, err := local.Confirm(t.Context()); n != 0 || err != nil {
			t.Errorf("a second Confirm: %d, %v", n, err)
		}
	})
}

// TestWorkloadMoves: a workload that is gone is down, and up again when it is
// back, by an event or by looking.
func TestWorkloadMoves(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.run(t)
		b.expect(t, api.HostStateReady, 10, true)
		move := func(there bool) {
			places := newBench().resolver.places
			if !there {
				clear(places)
			}
			b.resolver.do(func() { b.resolver.places = places })
		}
		move(false)
		pass(pollPlaces)
		b.expect(t, api.HostStateReady, 10, false)
		if ports := b.kernel.passes()[len(b.kernel.passes())-1].Ports; len(ports) != 0 {
			t.Errorf("a workload that is gone has ports %v", ports)
		}
		move(true)
		b.resolver.moved <- struct{}{}
		synctest.Wait()
		b.expect(t, api.HostStateReady, 10, true)
	})
}

// TestNobodyKnows: while it cannot be asked where a workload is, it stays.
func TestNobodyKnows(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.run(t)
		b.resolver.do(func() { b.resolver.fail = errors.New("docker does not answer") })
		b.set(oneWorkload(11))
		synctest.Wait()
		b.expect(t, api.HostStateReady, 11, true)
		pass(2 * defaultResync)
		b.expect(t, api.HostStateReady, 11, true)
	})
}

// TestUnknownFromTheStart: a daemon that has just started and cannot find a
// workload does not take its network away.
func TestUnknownFromTheStart(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.resolver.fail = errors.New("the engine does not answer")
		b.run(t)
		passes := b.kernel.passes()
		p, planned := passes[len(passes)-1].Ports[web]
		if !planned || p.Netns != (spec.Netns{}) {
			t.Fatalf("planned %t in %v; want its port, at no known place", planned, p.Netns)
		}
		b.resolver.do(func() { b.resolver.fail = nil })
		pass(pollPlaces)
		b.expect(t, api.HostStateReady, 10, true)
		passes = b.kernel.passes()
		if p := passes[len(passes)-1].Ports[web]; p.Netns.Path != "/run/netns/web" {
			t.Errorf("after the engine answers it is planned in %v", p.Netns)
		}
	})
}

func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.cfg.PassLimit = 3 * time.Second
		b.kernel.hang = make(chan struct{})
		ended := make(chan error, 1)
		start := time.Now()
		go func() { ended <- b.Run(t.Context()) }()
		if err := <-ended; !errors.Is(err, ErrStuck) {
			t.Errorf("Run ended with %v", err)
		}
		if d := time.Since(start); d != b.cfg.PassLimit {
			t.Errorf("it took %s", d)
		}
		if b.alive.Load() != 0 {
			t.Error("a pass that hangs gave a sign of life")
		}
		close(b.kernel.hang)
	})
}

// TestStopsBehindPass: Run ends after the pass it has begun, so that the kernel
// can be closed, and does not report the pass as a failure.
func TestStopsBehindPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.kernel.hang, b.kernel.fail = make(chan struct{}), errKernel
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Run(ctx) }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		select {
		case err := <-ended:
			t.Fatalf("Run ended during a pass: %v", err)
		default:
		}
		close(b.kernel.hang)
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
		if len(b.source.written()) != 0 {
			t.Errorf("stopping was reported: %+v", b.source.reports)
		}
	})
}

// TestResync: the whole kernel is read again and again, and nothing else makes
// the agent do so.
func TestResync(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.run(t)
		b.wake()
		pass(defaultResync - time.Millisecond)
		if b.kernel.readings() != 0 || len(b.kernel.passes()) != 2 {
			t.Errorf("read %d times before it was due, %d passes", b.kernel.readings(), len(b.kernel.passes()))
		}
		pass(time.Millisecond)
		pass(2 * defaultResync)
		if b.kernel.readings() != 3 {
			t.Errorf("read %d times, want 3", b.kernel.readings())
		}
	})
}

// TestDisturbed: what others do to tables is followed by a pass within a second,
// which does not read the whole kernel.
func TestDisturbed(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.run(t)
		pass(0)
		before := len(b.kernel.passes())
		b.kernel.do(func() { b.kernel.disturbed = true })
		pass(pollTables)
		if n := len(b.kernel.passes()); n != before+1 || b.kernel.readings() != 0 {
			t.Errorf("%d passes, want %d; read %d times", n, before+1, b.kernel.readings())
		}
	})
}

// TestRepairIsLookedAt: a repair is followed by a second reading at once, and
// that one, which finds nothing, by none.
func TestRepairIsLookedAt(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.run(t)
		b.kernel.do(func() { b.kernel.damage = 1 })
		pass(defaultResync)
		if n, passes := b.kernel.readings(), len(b.kernel.passes()); n != 2 || passes != 3 {
			t.Errorf("read %d times in %d passes, want 2 in 3", n, passes)
		}
	})
}

// TestProblems: a record that cannot be planned degrades the host and costs the
// others nothing.
func TestProblems(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		w := oneWorkload(10)
		bad := *w.Interfaces["eni-web"]
		bad.Index, bad.Interface.PrivateIpAddress = 6, "10.9.9.9"
		w.Interfaces["eni-bad"] = &bad
		b.source.world = w
		b.run(t)
		b.expect(t, api.HostStateDegraded, 10, true)
		if r := b.last(t).Host.Reasons[0]; !strings.HasPrefix(r, "eni-bad: ") {
			t.Errorf("reason %q", r)
		}
	})
}

// TestWorkloadRemoved: what will never be back is released; what is only away is not.
func TestWorkloadRemoved(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.run(t)
		b.resolver.do(func() { b.resolver.places = nil })
		pass(pollPlaces)
		var released []string
		b.source.do(func() { released = b.source.released })
		if released != nil {
			t.Fatalf("released %v, which is only away", released)
		}
		b.resolver.do(func() { b.resolver.fail = attach.ErrRemoved })
		pass(pollPlaces)
		b.source.do(func() { released = b.source.released })
		if !slices.Contains(released, "netns:web") {
			t.Errorf("released %v, want netns:web", released)
		}
	})
}

// TestWorkloadRemovedWhileAway: what was removed while no daemon looked is
// released by the first pass.
func TestWorkloadRemovedWhileAway(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.resolver.fail = attach.ErrRemoved
		b.run(t)
		if !slices.Contains(b.source.released, "netns:web") {
			t.Errorf("released %v, want netns:web", b.source.released)
		}
	})
}

// TestEngineOfAWorkload: the resolver is told which engine has a container, and
// none where the records do not say one thing.
func TestEngineOfAWorkload(t *testing.T) {
	for want, engines := range map[string][]string{"E1": {"E1", "E1"}, "": {"E1", "E2", "E2"}} {
		bubble(t, func(t *testing.T, b *bench) {
			w := oneWorkload(10)
			for i, engine := range engines {
				eni := *w.Interfaces["eni-web"]
				at := *eni.Attached
				at.Engine, eni.Attached = engine, &at
				w.Interfaces["eni-"+strconv.Itoa(i)] = &eni
			}
			delete(w.Interfaces, "eni-web")
			b.source.world = w
			b.run(t)
			b.resolver.do(func() {
				if have, asked := b.resolver.asked["netns:web"]; !asked || have != want {
					t.Errorf("engines %v: asked with %q, want %q", engines, have, want)
				}
			})
		})
	}
}

// TestOneLinePerDoubt: what stays unknown is not logged in each pass.
func TestOneLinePerDoubt(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var log bytes.Buffer
		b.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		b.resolver.fail = errors.New("another engine")
		b.run(t)
		pass(10 * pollPlaces)
		if n := strings.Count(log.String(), "another engine"); n != 1 {
			t.Errorf("%d lines:\n%s", n, &log)
		}
	})
}
