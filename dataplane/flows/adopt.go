package flows

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/vpcfabric/vpc/bpf"
)

// Adoption takes the live flows of another layout's table over into ours. It may
// be repeated at any time and after a crash: what is there already is not copied.
type Adoption struct {
	from, to, pairs *ebpf.Map
	adopt           *ebpf.Program
	// value and key are the ways of an entry and its key into our layout; back is
	// that of our key into theirs.
	value, key, back []move
	most             uint32
	// since is when the last copy began to read, ns of CLOCK_MONOTONIC.
	since uint64
}

// Adopted says what one copy did, in pairs.
type Adopted struct {
	New, Known, NoRoom, Nobodys int
}

// optional are the members of an entry that may be missing in another layout: 0
// is a safe value. On everything else a verdict rests; a member that is added has
// to be thought about, and named here if 0 decides nothing.
var optional = map[string]bool{
	"epoch": true, "peer_epoch": true, "dead_at": true, "slot": true, "key.pad": true,
	"packets": true, "bytes": true, "first_seen": true, "next": true, "ack": true,
	"out": true, "acl_out": true, "acl_in": true,
}

func needed(member string) bool { return !optional[member] }

// NewAdoption compares the shapes of both tables. m are our maps by name, adopt is
// the program that inserts. from is closed with the adoption, or here after an error.
func NewAdoption(from *ebpf.Map, m map[string]*ebpf.Map, adopt *ebpf.Program) (*Adoption, error) {
	a := &Adoption{from: from, to: m["flows"], pairs: m["adoptions"], adopt: adopt}
	if err := a.compare(); err != nil {
		return nil, errors.Join(fmt.Errorf("flows of another layout: %w", err), a.Close())
	}
	a.most = room(from.MaxEntries(), a.to.MaxEntries())
	return a, nil
}

// Close gives the other layout's table back.
func (a *Adoption) Close() error { return a.from.Close() }

// compare finds the ways between the two shapes.
func (a *Adoption) compare() error {
	from := a.from
	theirs, err := shapeOf(from, "flow", from.ValueSize())
	if err != nil {
		return err
	}
	ours, err := shapeOf(a.to, "flow", a.to.ValueSize())
	if err != nil {
		return err
	}
	theirKey, err := shapeOf(from, "flow_key", from.KeySize())
	if err != nil {
		return err
	}
	ourKey, err := shapeOf(a.to, "flow_key", a.to.KeySize())
	if err != nil {
		return err
	}
	if a.value, err = theirs.into(ours, needed); err != nil {
		return err
	}
	// A key with other members means other flows, in either direction.
	if a.key, err = theirKey.into(ourKey, func(string) bool { return true }); err != nil {
		return err
	}
	if a.back, err = ourKey.into(theirKey, func(string) bool { return true }); err != nil {
		return err
	}
	return nil
}

// room is how many pairs may be taken over: all where there is as much room as
// before, and of a smaller table a quarter stays free for what begins later.
func room(before, now uint32) uint32 {
	if now >= before {
		return bpf.FlowPairs(now)
	}
	return bpf.FlowPairs(now) / 4 * 3
}

// margin is more than the clock of entries is behind, ns.
const margin = 1e9

// Copy takes over every live pair the first time, and after that those that had a
// packet since. It reads in batches: memory does not grow with the table.
func (a *Adoption) Copy() (Adopted, error) {
	var total Adopted
	since := a.since
	a.since = max(monotonic(), margin) - margin
	pairs := make([]adoption, 0, bpf.Adoptions)
	flush := func() error {
		got, err := a.insert(pairs)
		total.add(got)
		pairs = pairs[:0]
		return err
	}
	err := a.each(func(k bpf.FlowKey, v bpf.Flow) error {
		if max(v.LastSeen, v.Born) < since {
			return nil
		}
		p, ok := a.pair(k, v, since != 0)
		if !ok {
			return nil
		}
		if pairs = append(pairs, p); len(pairs) < bpf.Adoptions {
			return nil
		}
		return flush()
	})
	return total, errors.Join(err, flush())
}

func (t *Adopted) add(o Adopted) {
	t.New, t.Known, t.NoRoom, t.Nobodys = t.New+o.New, t.Known+o.Known, t.NoRoom+o.NoRoom, t.Nobodys+o.Nobodys
}

// adoption is struct adoption of lib/adopt.h.
type adoption struct {
	Forth, Back bpf.Flow
	Payer, Pad  uint32
}

const (
	stateLive = uint32(bpf.FromEniFlowStateFLOW_LIVE)
	isReverse = uint32(bpf.FromEniFlowFlagsFLOW_REVERSE)
)

// pair finds the other half. A half that opens a pair stands for both, and that of
// the replies only where either may have changed.
func (a *Adoption) pair(k bpf.FlowKey, v bpf.Flow, either bool) (adoption, bool) {
	if v.State != stateLive || v.Flags&isReverse != 0 && !either {
		return adoption{}, false
	}
	key := otherHalf(k, v.PeerEni, v.Nat)
	rev, ok := a.lookup(key)
	if !ok || rev.State != stateLive || rev.Key != key || rev.PeerEni != k.Eni || rev.Nat != natBack(k, v.Nat) {
		return adoption{}, false
	}
	if v.Flags&isReverse != 0 {
		v, rev = rev, v
	}
	p := adoption{Forth: v, Back: rev, Payer: v.Key.Eni}
	if isEdge(v.Key.Eni) {
		p.Payer = v.PeerEni
	}
	for _, half := range []*bpf.Flow{&p.Forth, &p.Back} {
		half.Epoch, half.PeerEpoch, half.DeadAt, half.Slot = 0, 0, 0, 0
	}
	return p, true
}

// lookup reads one entry of theirs.
func (a *Adoption) lookup(k bpf.FlowKey) (v bpf.Flow, ok bool) {
	ours := make([]byte, a.to.KeySize())
	if _, err := binary.Encode(ours, binary.NativeEndian, k); err != nil {
		return v, false
	}
	key := make([]byte, a.from.KeySize())
	translate(key, ours, a.back)
	value := make([]byte, a.from.ValueSize())
	if err := a.from.Lookup(key, value); err != nil {
		return v, false
	}
	return v, a.decode(value, a.value, &v, int(a.to.ValueSize())) == nil
}

func (a *Adoption) decode(theirs []byte, way []move, to any, size int) error {
	ours := make([]byte, size)
	translate(ours, theirs, way)
	_, err := binary.Decode(ours, binary.NativeEndian, to)
	return err
}

// each reads their table in batches, as it is while packets change it.
func (a *Adoption) each(fn func(bpf.FlowKey, bpf.Flow) error) error {
	keys, values := rows(a.from.KeySize()), rows(a.from.ValueSize())
	var cursor ebpf.MapBatchCursor
	for {
		n, err := a.from.BatchLookup(&cursor, keys.Interface(), values.Interface(), nil)
		done := errors.Is(err, ebpf.ErrKeyNotExist)
		if err != nil && !done {
			return fmt.Errorf("read the other flow table: %w", err)
		}
		for i := range n {
			var k bpf.FlowKey
			var v bpf.Flow
			if err := a.decode(keys.Index(i).Bytes(), a.key, &k, int(a.to.KeySize())); err != nil {
				return err
			}
			if err := a.decode(values.Index(i).Bytes(), a.value, &v, int(a.to.ValueSize())); err != nil {
				return err
			}
			if err := fn(k, v); err != nil {
				return err
			}
		}
		if done {
			return nil
		}
	}
}

// rows is a batch of byte arrays: their size is known only now.
func rows(size uint32) reflect.Value {
	row := reflect.ArrayOf(int(size), reflect.TypeFor[byte]())
	return reflect.MakeSlice(reflect.SliceOf(row), batch, batch)
}

// insert gives pairs to the program.
func (a *Adoption) insert(pairs []adoption) (Adopted, error) {
	if len(pairs) == 0 {
		return Adopted{}, nil
	}
	keys := make([]uint32, len(pairs))
	for i := range keys {
		keys[i] = uint32(i)
	}
	if _, err := a.pairs.BatchUpdate(keys, pairs, nil); err != nil {
		return Adopted{}, fmt.Errorf("hand over flows: %w", err)
	}
	args := bpf.AdoptArgs{Count: uint32(len(pairs)), Most: a.most}
	var out bpf.AdoptArgs
	if _, err := a.adopt.Run(&ebpf.RunOptions{Context: args, ContextOut: &out}); err != nil {
		return Adopted{}, fmt.Errorf("take over flows: %w", err)
	}
	return Adopted{New: int(out.Adopted), Known: int(out.Known), NoRoom: int(out.Refused), Nobodys: int(out.Nobodys)}, nil
}

func isEdge(eni uint32) bool { return eni&bpf.EdgeENI != 0 }

// otherHalf is other_half of lib/flow.h: the key of the replies to k.
func otherHalf(k bpf.FlowKey, peer, nat uint32) bpf.FlowKey {
	out := bpf.FlowKey{Eni: peer, Saddr: k.Daddr, Daddr: k.Saddr, Sport: k.Dport, Dport: k.Sport, Proto: k.Proto, Dir: k.Dir}
	if nat != 0 && isEdge(k.Eni) {
		out.Saddr = nat
	} else if nat != 0 {
		out.Daddr = nat
	}
	if k.Proto == protoICMP {
		out.Sport, out.Dport = k.Sport, icmpPair(k.Dport)
	}
	return out
}

// icmpPair is icmp_pair of lib/flow.h: the type in the lower byte.
func icmpPair(message uint16) uint16 {
	const echoReply, echo, timestamp, addressReply = 0, 8, 13, 18
	switch kind := message & 0xff; {
	case kind == echo:
		return message &^ 0xff
	case kind == echoReply:
		return message | echo
	case kind < timestamp || kind > addressReply:
		return message
	case kind%2 == 1: // requests of pairs from here on are odd
		return message + 1
	}
	return message - 1
}

func natBack(k bpf.FlowKey, nat uint32) uint32 {
	switch {
	case nat == 0:
		return 0
	case isEdge(k.Eni):
		return k.Daddr
	}
	return k.Saddr
}

// String is for the log.
func (t Adopted) String() string {
	parts := []string{fmt.Sprintf("%d pairs of flows taken over", t.New)}
	if t.NoRoom > 0 {
		parts = append(parts, fmt.Sprintf("%d found no room", t.NoRoom))
	}
	return strings.Join(parts, ", ")
}
