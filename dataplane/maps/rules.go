package maps

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/classify"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// CompareRuleSets orders by digest.
func CompareRuleSets(a, b spec.RuleSetID) int { return bytes.Compare(a[:], b[:]) }

// Rules is the driver of rule lists. A list is named by its content; the number
// that the programs use is given here, never twice while this process lives,
// and read back from the map after a restart.
type Rules struct {
	m *Maps

	mu      sync.Mutex
	content map[spec.RuleSetID]spec.RuleSet
	number  map[spec.RuleSetID]uint32
	name    map[uint32]spec.RuleSetID // the inverse of number
	next    uint32
}

// Rules returns the driver; there is one per host.
func (m *Maps) Rules() *Rules {
	return &Rules{m: m, number: map[spec.RuleSetID]uint32{}, name: map[uint32]spec.RuleSetID{}, next: 1}
}

// Content says what the wanted digests stand for. Call it before Put.
func (r *Rules) Content(sets map[spec.RuleSetID]spec.RuleSet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.content = sets
}

// emptySet is the digest of no rules: it needs no list, number 0 is its name.
var emptySet, _ = spec.MakeRuleSet(nil)

// list is the number of a written set; an unknown one is an error, because a
// port must not be opened with rules that are not there.
func (r *Rules) list(id spec.RuleSetID) (uint32, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id == emptySet {
		return 0, nil
	}
	n, ok := r.number[id]
	if !ok {
		return 0, fmt.Errorf("rule list %s is not loaded", id)
	}
	return n, nil
}

// idOf is the inverse of list; an unknown number has a digest that nothing has.
func (r *Rules) idOf(n uint32) spec.RuleSetID {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n == 0 {
		return emptySet
	}
	return r.name[n]
}

// Observe reads every list and names it by what it says, so a list with one
// changed rule is another list.
func (r *Rules) Observe(context.Context, map[spec.RuleSetID]struct{}) (map[spec.RuleSetID]struct{}, error) {
	chunks := map[uint32]map[uint32]bpf.RuleChunk{}
	err := each(r.m.m["rules"], func(k bpf.ListKey, v bpf.RuleChunk) {
		if chunks[k.List] == nil {
			chunks[k.List] = map[uint32]bpf.RuleChunk{}
		}
		chunks[k.List][k.Chunk] = v
	})
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.number, r.name = map[spec.RuleSetID]uint32{}, map[uint32]spec.RuleSetID{}
	out := map[spec.RuleSetID]struct{}{}
	for n, parts := range chunks {
		id := digest(n, parts)
		if old, ok := r.number[id]; !ok || n < old {
			r.number[id] = n
		}
		out[id] = struct{}{}
		r.next = max(r.next, n+1)
	}
	for id, n := range r.number {
		r.name[n] = id
	}
	return out, nil
}

// digest of a damaged list is that of no possible content.
func digest(n uint32, parts map[uint32]bpf.RuleChunk) spec.RuleSetID {
	l, ok := decode(parts)
	if ok {
		set := classify.Decompile(l)
		id, canonical := spec.MakeRuleSet(set.Rules)
		again, err := classify.Compile(canonical)
		if err == nil && sameList(again, l) {
			return id
		}
	}
	var broken spec.RuleSetID
	copy(broken[:], "broken list ")
	binary.BigEndian.PutUint32(broken[12:], n)
	return broken
}

func sameList(a, b classify.List) bool {
	return a.OpenTCP == b.OpenTCP && a.OpenUDP == b.OpenUDP && slices.Equal(a.Rules, b.Rules)
}

func decode(parts map[uint32]bpf.RuleChunk) (classify.List, bool) {
	head, ok := parts[0]
	if !ok || int(head.Chunks) != len(parts) {
		return classify.List{}, false
	}
	l := classify.List{
		OpenTCP: head.Flags&uint32(bpf.FromEniListFlagsLIST_OPEN_TCP) != 0,
		OpenUDP: head.Flags&uint32(bpf.FromEniListFlagsLIST_OPEN_UDP) != 0,
	}
	for i := range head.Chunks {
		c, ok := parts[i]
		if !ok || c.Count > bpf.RulesPerChunk {
			return classify.List{}, false
		}
		for _, x := range c.Rules[:c.Count] {
			l.Rules = append(l.Rules, decodeRule(x))
		}
	}
	return l, true
}

// Put compiles and writes a list under a fresh number. Chunk 0 comes last, so
// a list that lacks a later chunk is never complete by accident.
func (r *Rules) Put(_ context.Context, id spec.RuleSetID, _ struct{}) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id == emptySet {
		return nil
	}
	set, ok := r.content[id]
	if !ok {
		return fmt.Errorf("rule list %s has no content", id)
	}
	l, err := classify.Compile(set)
	if err != nil {
		return err
	}
	n := r.next
	r.next++
	chunks := encode(l)
	for i := len(chunks) - 1; i >= 0; i-- {
		writes.Add(1)
		if err := r.m.m["rules"].Put(bpf.ListKey{List: n, Chunk: uint32(i)}, chunks[i]); err != nil {
			return err
		}
	}
	delete(r.name, r.number[id])
	r.number[id], r.name[n] = n, id
	return nil
}

// Delete removes the list with this content, chunk 0 first.
func (r *Rules) Delete(_ context.Context, id spec.RuleSetID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, ok := r.number[id]
	if !ok {
		return nil
	}
	for i := range uint32(bpf.MaxChunks) {
		var c bpf.RuleChunk
		k := bpf.ListKey{List: n, Chunk: i}
		if r.m.m["rules"].Lookup(k, &c) != nil {
			continue
		}
		if err := remove(r.m.m["rules"], k); err != nil {
			return err
		}
	}
	delete(r.number, id)
	delete(r.name, n)
	return nil
}

func encode(l classify.List) []bpf.RuleChunk {
	var out []bpf.RuleChunk
	for part := range slices.Chunk(l.Rules, bpf.RulesPerChunk) {
		c := bpf.RuleChunk{Count: uint32(len(part))}
		for i, r := range part {
			c.Rules[i] = encodeRule(r)
		}
		out = append(out, c)
	}
	out[0].Chunks = uint32(len(out))
	if l.OpenTCP {
		out[0].Flags |= uint32(bpf.FromEniListFlagsLIST_OPEN_TCP)
	}
	if l.OpenUDP {
		out[0].Flags |= uint32(bpf.FromEniListFlagsLIST_OPEN_UDP)
	}
	return out
}

func encodeRule(r classify.Rule) (out bpf.Rule) {
	for i := range 4 {
		out.Addr.W[i] = binary.NativeEndian.Uint32(r.Addr[4*i:])
		out.Mask.W[i] = binary.NativeEndian.Uint32(r.Mask[4*i:])
	}
	out.Group, out.Proto, out.Id = r.Group, r.Proto, r.ID
	out.PortMin, out.PortMax, out.CodeMin, out.CodeMax = r.PortMin, r.PortMax, r.CodeMin, r.CodeMax
	if r.Any {
		out.Any = 1
	}
	return out
}

func decodeRule(r bpf.Rule) (out classify.Rule) {
	for i := range 4 {
		binary.NativeEndian.PutUint32(out.Addr[4*i:], r.Addr.W[i])
		binary.NativeEndian.PutUint32(out.Mask[4*i:], r.Mask.W[i])
	}
	out.Group, out.Proto, out.ID = r.Group, r.Proto, r.Id
	out.PortMin, out.PortMax, out.CodeMin, out.CodeMax = r.PortMin, r.PortMax, r.CodeMin, r.CodeMax
	out.Any = r.Any != 0
	return out
}
