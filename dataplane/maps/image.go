package maps

import (
	"fmt"
	gomaps "maps"
	"slices"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/classify"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// image is one rule list as the maps hold it: the head, and what did not fit
// into it by part.
type image struct {
	head     *bpf.List // nil: a list that was not written to its end
	words    map[uint32]bpf.RuleWord
	addrs    map[uint32]bpf.AddrChunk
	services map[uint32]bpf.ServiceChunk
	members  map[uint32]bpf.Member // by group
}

func newImage() *image {
	return &image{
		words: map[uint32]bpf.RuleWord{}, addrs: map[uint32]bpf.AddrChunk{},
		services: map[uint32]bpf.ServiceChunk{}, members: map[uint32]bpf.Member{},
	}
}

func (i *image) equal(o *image) bool {
	return i.head != nil && o.head != nil && *i.head == *o.head && gomaps.Equal(i.words, o.words) && gomaps.Equal(i.addrs, o.addrs) &&
		gomaps.Equal(i.services, o.services) && gomaps.Equal(i.members, o.members)
}

// vectors are the numbers of the bit vectors that the list names, each once.
func (i *image) vectors() []uint32 {
	seen := map[uint32]bool{}
	see := func(v uint64) { seen[uint32(v)] = true }
	if i.head != nil && i.head.Words == 1 {
		return nil
	}
	if i.head != nil {
		for _, s := range i.head.Addrs {
			see(s.Bits)
		}
		for _, b := range i.head.ServiceBits {
			see(b)
		}
	}
	for _, c := range i.addrs {
		for _, s := range c.Addrs {
			see(s.Bits)
		}
	}
	for _, c := range i.services {
		for _, b := range c.Bits {
			see(b)
		}
	}
	for _, m := range i.members {
		see(m.Bits)
	}
	delete(seen, 0)
	return slices.Collect(gomaps.Keys(seen))
}

// encode lays a list out. vector gives the number of a bit vector; lists of one
// word hold theirs themselves.
func encode(id spec.RuleSetID, l classify.List, vector func(classify.Bits) (uint32, error)) (*image, error) {
	e := encoder{image: newImage(), wide: l.Words() > 1, vector: vector}
	e.head = &bpf.List{Name: id, Words: uint32(l.Words()), Rules: uint32(len(l.Rules))}
	for flag, on := range map[bpf.FromEniListFlags]bool{
		bpf.FromEniListFlagsLIST_OPEN_TCP: l.OpenTCP,
		bpf.FromEniListFlagsLIST_OPEN_UDP: l.OpenUDP,
		bpf.FromEniListFlagsLIST_GROUPS:   len(l.Groups) > 0,
	} {
		if on {
			e.head.Flags |= uint32(flag)
		}
	}
	e.rules(l.Rules)
	e.addresses(l.Addrs)
	e.axis(l.Services)
	for g, b := range l.Groups {
		e.members[uint32(g)] = bpf.Member{Bits: e.bits(b)}
	}
	return e.image, e.err
}

type encoder struct {
	*image
	wide   bool
	vector func(classify.Bits) (uint32, error)
	err    error
}

func (e *encoder) bits(b classify.Bits) uint64 {
	if !e.wide {
		return b[0]
	}
	if b == (classify.Bits{}) || e.err != nil {
		return 0
	}
	var n uint32
	n, e.err = e.vector(b)
	return uint64(n)
}

func (e *encoder) rules(rules []classify.Verdict) {
	part := uint32(0)
	for chunk := range slices.Chunk(rules, bpf.WordRules) {
		var w bpf.RuleWord
		for i, r := range chunk {
			w.Id[i] = r.ID
			if r.Any {
				w.Any |= 1 << i
			}
			if r.Deny {
				w.Deny |= 1 << i
			}
		}
		if part == 0 {
			e.head.First = w
		} else {
			e.words[part] = w
		}
		part++
	}
}

// addresses fills the head, or chunks of which the head holds the starts. What
// is left of either repeats the end, so that a search of a fixed length ends
// right.
func (e *encoder) addresses(in []classify.AddrSegment) {
	segments := make([]bpf.AddrSegment, len(in))
	for i, s := range in {
		segments[i] = bpf.AddrSegment{Hi: s.Start.Hi, Lo: s.Start.Lo, Bits: e.bits(s.Bits)}
	}
	if len(segments) <= bpf.InlineSegments {
		copyPadded(e.head.Addrs[:], segments, lastAddr)
		return
	}
	var starts []bpf.AddrSegment
	for chunk := range slices.Chunk(segments, bpf.ChunkSegments) {
		var c bpf.AddrChunk
		copyPadded(c.Addrs[:], chunk, lastAddr)
		e.addrs[uint32(len(starts))] = c
		starts = append(starts, bpf.AddrSegment{Hi: chunk[0].Hi, Lo: chunk[0].Lo})
	}
	e.head.AddrChunks = uint32(len(starts))
	copyPadded(e.head.Addrs[:], starts, lastAddr)
}

func lastAddr(s bpf.AddrSegment) bpf.AddrSegment {
	return bpf.AddrSegment{Hi: ^uint64(0), Lo: ^uint64(0), Bits: s.Bits}
}

func copyPadded[T any](to, from []T, pad func(last T) T) {
	n := copy(to, from)
	for i := n; i < len(to); i++ {
		to[i] = pad(from[n-1])
	}
}

// axis does the same for services.
func (e *encoder) axis(in []classify.ServiceSegment) {
	starts, bits := make([]uint32, len(in)), make([]uint64, len(in))
	for i, s := range in {
		starts[i], bits[i] = s.Start, e.bits(s.Bits)
	}
	lastService := func(uint32) uint32 { return ^uint32(0) }
	same := func(b uint64) uint64 { return b }
	if len(in) <= bpf.InlineSegments {
		copyPadded(e.head.Services[:], starts, lastService)
		copyPadded(e.head.ServiceBits[:], bits, same)
		return
	}
	var heads []uint32
	for i := 0; i < len(in); i += bpf.ChunkSegments {
		end := min(i+bpf.ChunkSegments, len(in))
		var c bpf.ServiceChunk
		copyPadded(c.Services[:], starts[i:end], lastService)
		copyPadded(c.Bits[:], bits[i:end], same)
		e.services[uint32(len(heads))] = c
		heads = append(heads, starts[i])
	}
	e.head.ServiceChunks = uint32(len(heads))
	copyPadded(e.head.Services[:], heads, lastService)
}

// parts are where a list is written, so that all of it can be found again.
type parts struct {
	words, addrs, services, groups, vectors []uint32
}

func (i *image) parts() parts {
	return parts{
		words: slices.Collect(gomaps.Keys(i.words)), addrs: slices.Collect(gomaps.Keys(i.addrs)),
		services: slices.Collect(gomaps.Keys(i.services)), groups: slices.Collect(gomaps.Keys(i.members)), vectors: i.vectors(),
	}
}

// Element is one entry of a map of the programs: the map's name, and a key and
// a value of package bpf's layouts.
type Element struct {
	Map        string
	Key, Value any
}

// Elements lays list l out under number n, as Put writes it, for whoever holds
// the programs' maps elsewhere than in the kernel. vector gives the number, not
// 0, of a bit vector that the caller puts into bitmaps.
func Elements(n uint32, id spec.RuleSetID, l classify.List, vector func(classify.Bits) (uint32, error)) ([]Element, error) {
	img, err := encode(id, l, vector)
	if err != nil {
		return nil, err
	}
	return img.elements(n), nil
}

// elements are a list under number n, its head last: without it the list
// matches nothing.
func (i *image) elements(n uint32) (out []Element) {
	out = appendParts(out, "rule_words", n, i.words, listPart)
	out = appendParts(out, "addr_chunks", n, i.addrs, listPart)
	out = appendParts(out, "service_chunks", n, i.services, listPart)
	out = appendParts(out, "members", n, i.members, listGroup)
	return append(out, Element{"lists", n, *i.head})
}

// write puts a list under number n.
func (i *image) write(m *Maps, n uint32) error {
	for _, e := range i.elements(n) {
		writes.Add(1)
		if err := m.m[e.Map].Put(e.Key, e.Value); err != nil {
			return fmt.Errorf("rule list %d: %w", n, err)
		}
	}
	return nil
}

func listPart(n, part uint32) bpf.ListKey     { return bpf.ListKey{List: n, Part: part} }
func listGroup(n, group uint32) bpf.MemberKey { return bpf.MemberKey{List: n, Group: group} }

func appendParts[K, V any](out []Element, name string, n uint32, values map[uint32]V, key func(n, part uint32) K) []Element {
	for _, part := range slices.Sorted(gomaps.Keys(values)) {
		out = append(out, Element{name, key(n, part), values[part]})
	}
	return out
}

// remove takes list n away, its head first.
func (p parts) remove(m *Maps, n uint32) error {
	if err := remove(m.m["lists"], n); err != nil {
		return err
	}
	for name, list := range map[string][]uint32{"rule_words": p.words, "addr_chunks": p.addrs, "service_chunks": p.services} {
		for _, part := range list {
			if err := remove(m.m[name], listPart(n, part)); err != nil {
				return err
			}
		}
	}
	for _, group := range p.groups {
		if err := remove(m.m["members"], listGroup(n, group)); err != nil {
			return err
		}
	}
	return nil
}

// readImages lists what the maps hold, by list.
func (m *Maps) readImages() (map[uint32]*image, error) {
	out := map[uint32]*image{}
	of := func(n uint32) *image {
		if out[n] == nil {
			out[n] = newImage()
		}
		return out[n]
	}
	for _, read := range []func() error{
		func() error { return each(m.m["lists"], func(n uint32, v bpf.List) { of(n).head = &v }) },
		func() error {
			return each(m.m["rule_words"], func(k bpf.ListKey, v bpf.RuleWord) { of(k.List).words[k.Part] = v })
		},
		func() error {
			return each(m.m["addr_chunks"], func(k bpf.ListKey, v bpf.AddrChunk) { of(k.List).addrs[k.Part] = v })
		},
		func() error {
			return each(m.m["service_chunks"], func(k bpf.ListKey, v bpf.ServiceChunk) { of(k.List).services[k.Part] = v })
		},
		func() error {
			return each(m.m["members"], func(k bpf.MemberKey, v bpf.Member) { of(k.List).members[k.Group] = v })
		},
	} {
		if err := read(); err != nil {
			return nil, err
		}
	}
	return out, nil
}
