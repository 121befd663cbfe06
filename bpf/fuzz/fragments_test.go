package fuzz

import (
	"slices"
	"testing"

	"github.com/vpcfabric/vpc/bpf"
)

// packetID is what the fragments of one packet share, and whose memory it is.
type packetID struct {
	Slot, ENI, Source, Dest uint32
	ID                      uint16
	Proto                   uint8
}

// ports are what a first fragment tells the later ones.
type ports struct {
	Sport, Dport uint16
	Type, Code   uint8
}

// fragmentRequest is struct fragment_request.
type fragmentRequest struct {
	Now    uint64
	Recall uint32
	Slot   uint32
	ENI    uint32
	Source uint32
	Dest   uint32
	ID     uint16
	Ports  ports
	Proto  uint8
	_      [3]uint8
}

// fragmentAnswer is struct fragment_answer.
type fragmentAnswer struct {
	Failed uint32
	Ports  ports
	_      [2]uint8
}

// dictionary is the reference: it forgets nothing.
type dictionary struct {
	dice
	now    uint64
	firsts map[packetID]fragmentRequest
	latest [fragmentSlots][2]packetID
}

const (
	fragmentLife  = 10e9 // ns
	fragmentSlots = 3    // one more is asked for, which has no memory
)

// next is a request at a later time, sometimes at the very end of a first's life.
func (r *dictionary) next() (q fragmentRequest, id packetID) {
	d := r.dice
	r.now += uint64(some(d, 1, 1, 1e3, 1e6))
	id = packetID{d.Uint32N(fragmentSlots + 1), 100 + d.Uint32N(2), d.Uint32N(2) << 24, d.Uint32N(2) << 24, uint16(d.IntN(40)), some[uint8](d, protoUDP, protoICMP)}
	q.Recall = d.Uint32N(2)
	if q.Recall != 0 && id.Slot < fragmentSlots && d.IntN(2) == 0 {
		id = r.latest[id.Slot][d.IntN(2)]
		if d.IntN(50) == 0 {
			r.now = max(r.now, r.firsts[id].Now+fragmentLife+uint64(d.IntN(2)))
		}
	}
	q.Now, q.Slot, q.ENI, q.Source, q.Dest, q.ID, q.Proto = r.now, id.Slot, id.ENI, id.Source, id.Dest, id.ID, id.Proto
	q.Ports = ports{uint16(d.Uint32()), uint16(d.Uint32()), d.byte(), d.byte()}
	if q.Recall == 0 && q.Slot < fragmentSlots {
		r.firsts[id] = q
		if last := &r.latest[q.Slot]; last[0] != id {
			last[0], last[1] = id, last[0]
		}
	}
	return q, id
}

// expectation is what a recall may answer.
type expectation struct {
	first fragmentRequest
	known bool // there is a first, and it is not too old
	must  bool // it is one of the two latest of its port
}

func (r *dictionary) expect(id packetID) (e expectation) {
	e.first, e.known = r.firsts[id]
	e.known = e.known && r.now <= e.first.Now+fragmentLife
	e.must = e.known && slices.Contains(r.latest[id.Slot][:], id)
	return e
}

func (e expectation) judge(a fragmentAnswer) string {
	switch {
	case a.Failed != 0 && e.must:
		return "one of the port's two latest firsts is forgotten"
	case a.Failed == 0 && !e.known:
		return "ports, but there is no first"
	case a.Failed == 0 && a.Ports != e.first.Ports:
		return "another packet's ports"
	}
	return ""
}

// TestFragments: a later fragment gets the ports of its own packet's first, as
// that was last seen within 10 s, or none; a port's two latest firsts are never
// forgotten.
func TestFragments(t *testing.T) {
	h, r := start(t), dictionary{dice: roll(t, 6), now: 1e18, firsts: map[packetID]fragmentRequest{}}
	h.ask(opClear)
	for slot := range uint32(fragmentSlots) {
		h.put("frags", slot, bpf.FragTable{})
	}
	recalled := 0
	for n := count(100000); n > 0; n -= mostAnswers {
		asked, expected := make([]fragmentRequest, mostAnswers), make([]expectation, mostAnswers)
		for i := range asked {
			var id packetID
			asked[i], id = r.next()
			expected[i] = r.expect(id)
			h.ask(opFragment, asked[i])
		}
		h.flush()
		for i, q := range asked {
			var a fragmentAnswer
			if h.answer(&a); q.Recall == 0 {
				continue
			}
			if why := expected[i].judge(a); why != "" {
				t.Fatalf("%s: %+v got %+v, first %+v", why, q, a, expected[i].first)
			}
			recalled += int(1 - a.Failed)
		}
	}
	t.Logf("%d recalled", recalled)
	if recalled < 500 {
		t.Error("this shows little")
	}
}
