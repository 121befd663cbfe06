package progs_test

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/progs"
)

// slotBusy is SLOT_BUSY: somebody is looking at the place.
const slotBusy = 2

// shooter sends frames without looking at what comes out: fast, and without a
// test's right to fail from another goroutine.
type shooter struct {
	p    *ebpf.Program
	opts ebpf.RunOptions
	ctx  [contextSize]byte
}

func (l *lab) shooter() *shooter {
	s := &shooter{p: l.set.Program(progs.FromENI)}
	s.opts.Context = s.ctx[:]
	return s
}

func (s *shooter) send(n nic, frame []byte) (uint32, error) {
	ne.PutUint32(s.ctx[offIfindex:], uint32(maps.Slot(n.slot).Index()))
	s.opts.Data = frame
	return s.p.Run(&s.opts)
}

func (l *lab) usage(n nic) int {
	l.t.Helper()
	var u bpf.FlowUsage
	l.must(l.set.Maps["usage"].Lookup(uint32(n.eni), &u))
	return int(u.Flows)
}

func TestTableFull(t *testing.T) {
	l := openTown(t, progs.Config{FlowTable: progs.MinFlowTable, Second: time.Millisecond})
	l.passes(ann, bob, web.forth(syn))
	table := l.set.Maps["flows"]
	var planted []bpf.FlowKey
	for i := range uint32(progs.MinFlowTable) {
		k := bpf.FlowKey{Eni: 1 << 30, Saddr: i}
		if err := table.Update(k, bpf.Flow{}, ebpf.UpdateNoExist); err != nil {
			break
		}
		planted = append(planted, k)
	}
	l.drops(ann, datagram.forth(0), "flow", "table_full")
	l.passes(ann, bob, web.forth(syn)) // what is known goes on
	// With room for one half only, the pair is still refused as a whole.
	l.must(table.Delete(planted[0]))
	l.drops(ann, datagram.forth(0), "flow", "table_full")
	for _, k := range planted[1:] {
		l.must(table.Delete(k))
	}
	l.passes(ann, bob, datagram.forth(0))
	l.passes(bob, ann, datagram.back(0))
	l.swept()
}

func TestAllowance(t *testing.T) {
	const share = progs.MinFlowTable / 8
	l := openTown(t, progs.Config{FlowTable: progs.MinFlowTable})
	for i := range share {
		l.passes(ann, bob, flow{from: ann, to: bob, proto: udp, sport: uint16(1000 + i), dport: 53}.forth(0))
	}
	l.drops(ann, datagram.forth(0), "flow", "allowance")
	l.passes(ann, bob, flow{from: ann, to: bob, proto: udp, sport: 1000, dport: 53}.forth(0))
	l.passes(cat, bob, flow{from: cat, to: bob, proto: udp, sport: 1, dport: 53}.forth(0))
	if n := l.usage(ann); n != share {
		t.Errorf("ann is charged for %d pairs, has opened %d", n, share)
	}
	for i := range share {
		l.age(flow{from: ann, to: bob, proto: udp, sport: uint16(1000 + i), dport: 53}, time.Minute)
	}
	// The refused ones turn the clock: in a while there is room, without help.
	eventually(t, "expired flows make room", func() bool { return l.send(ann, datagram.forth(0)).verdict == sent })
}

// TestDensePlaces: long-lived flows side by side in the clock refuse nobody.
func TestDensePlaces(t *testing.T) {
	l := openTown(t, progs.Config{FlowTable: progs.MinFlowTable})
	for i := range uint32(progs.MinFlowTable / 2) {
		l.must(l.set.Maps["flow_slots"].Put(i, bpf.FlowSlot{State: slotBusy}))
	}
	for i := range 20 {
		l.must(l.set.Maps["meta"].Put(uint32(0), bpf.HostState{Live: uint64(i)}))
		l.passes(ann, bob, flow{from: ann, to: bob, proto: udp, sport: uint16(1000 + i), dport: 53}.forth(0))
	}
}

// TestShortFlows: many more connections than the table holds, each closed, and
// nobody but the new ones to make room.
func TestShortFlows(t *testing.T) {
	count := 200000
	if testing.Short() {
		count = 20000
	}
	// The shorter second sets the pace: three interfaces that take all they get
	// may open 682 pairs each in the 0.7 seconds that a closed one stays when room
	// is short. A machine that is held up for a while sends what it owes in a burst.
	const table, perMillisecond, second = 8192, 20, 10 * time.Millisecond
	// A closed connection is remembered for 10 of these seconds, a tick of the
	// kernel's coarse clock more or less. On a busy machine that may pass between
	// two packets of ours, and what comes then is rightly a stray; one connection
	// is held up on purpose.
	const remembered, tick, heldUp = 10 * second, 2 * second, 1000
	l := openTown(t, progs.Config{FlowTable: table, Second: second})
	start := time.Now()
	s := l.shooter()
	pairs := [][2]nic{{ann, bob}, {bob, cat}, {cat, ann}}
	for i := range count {
		for i > int(time.Since(start).Milliseconds())*perMillisecond {
			runtime.Gosched()
		}
		ends := pairs[i%len(pairs)]
		n := i / len(pairs)
		f := flow{from: ends[0], to: ends[1], proto: tcp, sport: uint16(n), dport: 80}
		last := start
		for step, x := range []struct {
			from  nic
			frame []byte
		}{
			{f.from, f.forth(syn)}, {f.to, f.back(syn | ack)}, {f.from, f.forth(ack)},
			{f.from, f.forth(fin | ack)}, {f.to, f.back(fin | ack)}, {f.from, f.forth(ack)},
		} {
			for i == heldUp && step == 5 && time.Since(last) <= remembered+tick {
				runtime.Gosched()
			}
			verdict, err := s.send(x.from, x.frame)
			late := step > 0 && time.Since(last) > remembered-tick
			if err != nil || verdict != sent && !late || verdict == sent && i == heldUp && step == 5 {
				t.Fatalf("connection %d, packet %d: verdict %d, %v; counters [%s]", i, step, verdict, err, l.counters())
			}
			if verdict != sent {
				break
			}
			last = time.Now()
		}
	}
	if n := l.entries(); n > table {
		t.Errorf("%d entries", n)
	}
	for _, n := range []nic{ann, bob, cat} {
		if u := l.usage(n); u > table/8 || u < 0 {
			t.Errorf("%d is charged for %d pairs", n.eni, u)
		}
	}
	l.swept()
}

func TestSweep(t *testing.T) {
	l := openTown(t, progs.Config{Second: 100 * time.Millisecond})
	turn := func() (killed, deleted, used int) {
		r, err := l.table.Sweep(l.table.Slots())
		l.must(err)
		return r.Killed, r.Deleted, r.Used
	}
	l.passes(ann, bob, datagram.forth(0))
	if k, d, u := turn(); k != 0 || d != 0 || u != 2 {
		t.Errorf("a fresh pair: %d killed, %d deleted, %d used", k, d, u)
	}
	// One half that still talks keeps both.
	l.age(datagram, 20*time.Second)
	l.passes(bob, ann, ann.reply(bob))
	l.age(datagram, 20*time.Second)
	if k, d, _ := turn(); k != 1 || d != 0 {
		t.Errorf("an idle pair: %d killed, %d deleted", k, d)
	}
	if n, live := l.entries(), len(l.liveFlows()); n != 2 || live != 0 {
		t.Errorf("a killed pair: %d entries, %d live", n, live)
	}
	if _, d, _ := turn(); d != 0 {
		t.Error("deleted within its quarantine")
	}
	l.passes(ann, bob, datagram.forth(0)) // rebuilt in place
	if n, live := l.entries(), len(l.liveFlows()); n != 2 || live != 2 {
		t.Errorf("a revived pair: %d entries, %d live", n, live)
	}
	l.swept()
}

// TestPairLiveness: whichever side talks, the pair lives.
func TestPairLiveness(t *testing.T) {
	l := openTown(t, progs.Config{Second: 100 * time.Millisecond})
	l.passes(ann, bob, datagram.forth(0))
	l.passes(bob, ann, datagram.back(0))
	fresh := l.entry(datagram.reply())
	l.age(datagram, 30*time.Second)
	l.must(l.set.Maps["flows"].Put(datagram.reply().key(), fresh))
	r, err := l.table.Sweep(l.table.Slots())
	l.must(err)
	if r.Killed != 0 {
		t.Error("killed although one half was in use")
	}
	l.passes(ann, bob, datagram.forth(0))
}

// TestAbandoned: connections of an interface that has left do not hold their
// places for days.
func TestAbandoned(t *testing.T) {
	l := openTown(t, progs.Config{Second: 5 * time.Millisecond})
	l.handshake(web)
	l.handshake(flow{from: cat, to: ann, proto: tcp, sport: 1, dport: 80})
	l.vacate(bob)
	l.apply()
	eventually(t, "only the other connection is left", func() bool {
		_, err := l.table.Sweep(l.table.Slots())
		l.must(err)
		return l.entries() == 2
	})
	l.passes(cat, ann, flow{from: cat, to: ann, proto: tcp, sport: 1, dport: 80}.forth(ack))
}

// gang runs n goroutines inside the namespace and reports their first error.
func (l *lab) gang(n int, work func(i int, s *shooter) error) {
	l.t.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			leave, err := enter(l.netns)
			if err != nil {
				errs[i] = err
				return
			}
			defer leave()
			errs[i] = work(i, l.shooter())
		})
	}
	wg.Wait()
	l.must(errors.Join(errs...))
}

var errRefused = errors.New("refused")

func must(verdict uint32, err error) error {
	if err == nil && verdict != sent {
		err = errRefused
	}
	return err
}

// TestConcurrentCreation: the same first packet on two CPUs, and its answer on
// a third way, make one complete pair, and none is refused.
func TestConcurrentCreation(t *testing.T) {
	const pairs = 500
	for _, bothSides := range []bool{false, true} {
		l := openTown(t, progs.Config{Second: 10 * time.Millisecond})
		var ready atomic.Int64
		l.gang(2, func(who int, s *shooter) error {
			for i := range pairs {
				f := flow{from: ann, to: bob, proto: udp, sport: uint16(i + 1), dport: uint16(i + 1)}
				if bothSides && who == 1 {
					f = f.reply()
				}
				for ready.Add(1); ready.Load() < int64(2*i+2); {
					runtime.Gosched()
				}
				if err := must(s.send(f.from, f.forth(0))); err != nil {
					return err
				}
			}
			return nil
		})
		for i := range pairs {
			f := flow{from: ann, to: bob, proto: udp, sport: uint16(i + 1), dport: uint16(i + 1)}
			l.entry(f)
			l.entry(f.reply())
		}
		if n := l.entries(); n != 2*pairs {
			t.Errorf("%d entries for %d pairs", n, pairs)
		}
		l.swept()
	}
}

// TestRecycle: elements die and are given to other tuples under packets that
// look them up; each packet still reaches its own receiver.
func TestRecycle(t *testing.T) {
	const packets = 60000
	l := openTown(t, progs.Config{FlowTable: progs.MinFlowTable, Second: 2 * time.Microsecond})
	before := l.counters()
	l.gang(3, func(who int, s *shooter) error {
		to := []nic{bob, cat}
		for i := range packets {
			if who == 2 {
				if _, err := l.table.Sweep(l.table.Slots() / 8); err != nil {
					return err
				}
				continue
			}
			f := flow{from: ann, to: to[who], proto: udp, sport: uint16(i % 16), dport: 53}
			if err := must(s.send(f.from, f.forth(0))); err != nil {
				return err
			}
		}
		return nil
	})
	moved := l.counters().minus(before)
	if want := (counters{"tx 101": 2 * packets, "rx 102": packets, "rx 103": packets}); moved.String() != want.String() {
		t.Errorf("counters [%s], want [%s]", moved, want)
	}
	l.swept()
}

// reply is the answer of from to a datagram of n's.
func (n nic) reply(from nic) []byte {
	return flow{from: n, to: from, proto: udp, sport: datagram.sport, dport: datagram.dport}.back(0)
}
