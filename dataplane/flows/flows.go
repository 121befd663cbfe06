// Package flows reads the flow table and the counters, and turns the clock that
// keeps the table tidy. Nothing depends on it: programs make their own room.
package flows

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// Table is the flow table of one host.
type Table struct {
	flows, slots, drops, stats, ports, usage, hits, meta *ebpf.Map
	sweep, cut                                           *ebpf.Program
}

// New wraps the maps of one host, by name, and the programs that walk the clock.
func New(m map[string]*ebpf.Map, sweep, cut *ebpf.Program) *Table {
	return &Table{flows: m["flows"], slots: m["flow_slots"], drops: m["drops"], stats: m["stats"], ports: m["ports"], usage: m["usage"], hits: m["hits"], meta: m["meta"], sweep: sweep, cut: cut}
}

// Swept says what one turn of the clock did.
type Swept struct {
	Killed, Deleted, Used int
}

// Slots is the number of places in the clock.
func (t *Table) Slots() int { return int(t.slots.MaxEntries()) }

// Sweep looks at the next n places of the clock.
func (t *Table) Sweep(n int) (Swept, error) {
	args := bpf.SweepSweepArgs{Budget: uint32(n)}
	var out bpf.SweepSweepArgs
	ret, err := t.sweep.Run(&ebpf.RunOptions{Context: args, ContextOut: &out})
	if err != nil {
		return Swept{}, fmt.Errorf("sweep: %w", err)
	}
	if ret != 0 {
		return Swept{}, errors.New("sweep: the host state map is missing")
	}
	return Swept{Killed: int(out.Killed), Deleted: int(out.Deleted), Used: int(out.Used)}, nil
}

// Flow is one live half of a pair, as its sender's interface sees it.
type Flow struct {
	ENI              spec.ENI
	Protocol         uint8
	Source, Dest     netip.AddrPort // for ICMP the ports are id and type
	Reverse, Tracked bool
	Packets, Bytes   uint64
	Age, Idle        time.Duration
}

// Flows returns at most limit live halves of the interfaces that keep accepts.
func (t *Table) Flows(keep func(spec.ENI) bool, limit int) ([]Flow, error) {
	now := monotonic()
	var out []Flow
	err := t.each(func(k bpf.FlowKey, v bpf.Flow) bool {
		if v.State == uint32(bpf.FromEniFlowStateFLOW_LIVE) && keep(spec.ENI(k.Eni)) {
			out = append(out, decode(k, v, now))
		}
		return len(out) < limit
	})
	return out, err
}

const batch = 4096

// each reads the table in batches while packets change it: an entry may be seen
// twice or not at all, which is fine for showing and counting.
func (t *Table) each(fn func(bpf.FlowKey, bpf.Flow) bool) error {
	keys, values := make([]bpf.FlowKey, batch), make([]bpf.Flow, batch)
	var cursor ebpf.MapBatchCursor
	for {
		n, err := t.flows.BatchLookup(&cursor, keys, values, nil)
		done := errors.Is(err, ebpf.ErrKeyNotExist)
		if err != nil && !done {
			return fmt.Errorf("read the flow table: %w", err)
		}
		for i := range n {
			if !fn(keys[i], values[i]) {
				return nil
			}
		}
		if done {
			return nil
		}
	}
}

func decode(k bpf.FlowKey, v bpf.Flow, now uint64) Flow {
	f := Flow{
		ENI: spec.ENI(k.Eni), Protocol: k.Proto,
		Source: netip.AddrPortFrom(addr(k.Saddr), port(k.Sport)), Dest: netip.AddrPortFrom(addr(k.Daddr), port(k.Dport)),
		Reverse: v.Flags&uint32(bpf.FromEniFlowFlagsFLOW_REVERSE) != 0,
		Tracked: v.Flags&uint32(bpf.FromEniFlowFlagsFLOW_TRACK_OWN) != 0,
		Packets: v.Packets, Bytes: v.Bytes,
		Age: since(uint64(v.FirstSeen)<<firstSeenUnit, now), Idle: since(v.LastSeen, now),
	}
	if k.Proto == protoICMP {
		// The programs keep the type as a number, and the code above it.
		f.Dest = netip.AddrPortFrom(f.Dest.Addr(), k.Dport&0xff)
	}
	return f
}

// firstSeenUnit: the table keeps when a flow began in units of 2^30 ns.
const firstSeenUnit = 30

const protoICMP = 1

func since(then, now uint64) time.Duration {
	if then > now {
		return 0
	}
	return time.Duration(now - then)
}

// monotonic is the clock of bpf_ktime_get_ns.
func monotonic() uint64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0
	}
	return uint64(ts.Nano())
}

func addr(v uint32) netip.Addr {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], v)
	return netip.AddrFrom4(b)
}

func port(v uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], v)
	return binary.BigEndian.Uint16(b[:])
}

// Drop is one drop counter.
type Drop struct {
	ENI            spec.ENI // 0: no interface could be named
	Stage, Reason  string
	Rule           uint32
	Packets, Bytes uint64
}

// Drops reads every drop counter, summed over CPUs.
func (t *Table) Drops() ([]Drop, error) {
	var (
		out   []Drop
		k     bpf.DropKey
		cells []bpf.DropCount
	)
	it := t.drops.Iterate()
	for it.Next(&k, &cells) {
		d := Drop{ENI: spec.ENI(k.Eni), Stage: bpf.StageName(k.Stage), Reason: bpf.ReasonName(k.Reason), Rule: k.Rule}
		for _, c := range cells {
			d.Packets += c.Packets
			d.Bytes += c.Bytes
		}
		out = append(out, d)
	}
	if err := it.Err(); err != nil {
		return nil, fmt.Errorf("read drop counters: %w", err)
	}
	return out, nil
}

// ForgetDrops removes the counters of interfaces that keep refuses.
func (t *Table) ForgetDrops(keep func(spec.ENI) bool) error {
	var (
		k      bpf.DropKey
		cells  []bpf.DropCount
		doomed []bpf.DropKey
	)
	it := t.drops.Iterate()
	for it.Next(&k, &cells) {
		if k.Eni != 0 && !keep(spec.ENI(k.Eni)) {
			doomed = append(doomed, k)
		}
	}
	for _, k := range doomed {
		if err := t.drops.Delete(k); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
	}
	return it.Err()
}

// ForgetUsage removes the accounts of interfaces that keep refuses and that have
// given everything back.
func (t *Table) ForgetUsage(keep func(spec.ENI) bool) error {
	var (
		eni    uint32
		u      bpf.FlowUsage
		doomed []uint32
	)
	it := t.usage.Iterate()
	for it.Next(&eni, &u) {
		if u.Flows <= 0 && !keep(spec.ENI(eni)) {
			doomed = append(doomed, eni)
		}
	}
	for _, eni := range doomed {
		if err := t.usage.Delete(eni); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
	}
	return it.Err()
}
