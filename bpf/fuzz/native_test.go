package fuzz

import (
	"math/rand/v2"
	"testing"

	"github.com/vpcfabric/vpc/bpf"
)

// These are for `make fuzz`, which looks for inputs that take the references,
// and so the programs, where no input has been. Without -fuzz they try the
// seeds and testdata/fuzz, where it writes what failed.

// again is the harness of one fuzzing process; another when that has ended.
type again struct{ *harness }

// ready returns it for one input; world prepares a new one.
func (a *again) ready(t *testing.T, world func(*harness)) *harness {
	if a.ended {
		a.harness = launch(t)
		world(a.harness)
	}
	a.t = t
	return a.harness
}

func newAgain(f *testing.F) *again {
	a := &again{launch(f)}
	f.Cleanup(func() {
		a.t = f
		a.stop()
	})
	return a
}

// FuzzFrame: any frame, handed over in any way.
func FuzzFrame(f *testing.F) {
	h := newAgain(f)
	h.found(world{gated: true})
	d := dice{rand.New(rand.NewPCG(1, 1))}
	for range 200 {
		x := d.frame()
		f.Add(x.bytes, uint32(x.length), uint16(x.linear), uint16(x.gsoSegs), uint16(x.gsoSize), x.stuck, uint8(x.ifindex))
	}
	f.Fuzz(func(t *testing.T, bytes []byte, length uint32, linear, segs, size uint16, stuck bool, at uint8) {
		if len(bytes) > 4096 {
			t.Skip("more than there are headers for")
		}
		x := frame{ifindex: portBase + uint32(at), now: 1e18, bytes: bytes, length: max(len(bytes), int(length%200000)), stuck: stuck,
			gsoSegs: uint32(segs), gsoSize: uint32(size)}
		x.linear = min(x.length, int(linear%2048))
		h.ready(t, func(h *harness) { h.found(world{gated: true}) }).shoot(1, func() frame { return x }, func(x frame, a frameAnswer) {
			if err := x.judge(a, world{gated: true}); err != nil {
				t.Errorf("%v\n%v", err, x)
			}
		})
	})
}

// tape is a source of dice whose rolls an input decides, a byte each, as far as
// it goes.
type tape struct {
	left []byte
	rest *rand.PCG
}

func (s *tape) Uint64() uint64 {
	if len(s.left) == 0 {
		return s.rest.Uint64()
	}
	b := s.left[0]
	s.left = s.left[1:]
	return uint64(b) * 0x0101010101010101
}

// FuzzRules: any lists, asked about packets near what they say.
func FuzzRules(f *testing.F) {
	h := newAgain(f)
	d := dice{rand.New(rand.NewPCG(1, 2))}
	for range 20 {
		f.Add(d.fill(make([]byte, 2000)))
	}
	f.Fuzz(func(t *testing.T, rolls []byte) {
		h := h.ready(t, func(*harness) {})
		r := h.round(dice{rand.New(&tape{rolls, rand.NewPCG(uint64(len(rolls)), 3)})})
		for _, l := range r.lists {
			r.ask(l, questionsPerList, same)
		}
	})
}

// FuzzNoise: whole values of the maps, of which nothing is right.
func FuzzNoise(f *testing.F) {
	h := newAgain(f)
	f.Add(bytesOf(bpf.List{Words: 2, AddrChunks: 3}), bytesOf(bpf.AddrChunk{}), bytesOf(bpf.ServiceChunk{}), uint32(1))
	f.Fuzz(func(t *testing.T, list, addrs, services []byte, service uint32) {
		h := h.ready(t, func(*harness) {})
		h.ask(opClear)
		h.put("lists", uint32(1), sized(list, bpf.List{}))
		for part := range uint32(bpf.InlineSegments) {
			h.put("addr_chunks", bpf.ListKey{List: 1, Part: part}, sized(addrs, bpf.AddrChunk{}))
			h.put("service_chunks", bpf.ListKey{List: 1, Part: part}, sized(services, bpf.ServiceChunk{}))
		}
		h.ask(opQuestion, questionRequest{List: 1, Service: service, Member: 1})
		h.flush()
		var a questionAnswer
		if h.answer(&a); a.Allowed > 1 || a.Returned != a.Allowed {
			t.Errorf("no answer: %+v", a)
		}
	})
}

// sized cuts bytes, or fills them up, to the size of a value.
func sized(b []byte, like any) []byte {
	out := bytesOf(like)
	copy(out, b)
	return out
}
