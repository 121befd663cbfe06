package fuzz

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/vpcfabric/vpc/bpf"
)

func mustPrefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// TestProgram sends frames through a world whose lists let everything pass, so
// that the flow table, its clock, fragments and remembered refusals run as well.
// Time goes on in leaps: flows expire and their places are used again.
func TestProgram(t *testing.T) {
	h, d := start(t), roll(t, 5)
	verdicts := map[uint32]int{}
	for n := count(100000); n > 0; n -= 20000 {
		h.found(1)
		everything(t, h, 1)
		for _, nic := range nics {
			h.put("frags", nic.slot, bpf.FragTable{})
			h.put("denied", nic.slot, bpf.DeniedTable{})
		}
		now := uint64(1e18)
		h.shoot(min(n, 20000), func() frame {
			f := d.frame()
			now += uint64(some(d, 0, 1, 1e3, 1e6, 1e9, 20e9))
			f.now = now
			return f
		}, func(f frame, a frameAnswer) {
			if err := f.judge(a, true); err != nil {
				t.Fatalf("%v\n%v", err, f)
			}
			verdicts[a.Verdict]++
		})
	}
	t.Logf("passed %d, shot %d, sent %d", verdicts[passed], verdicts[shot], verdicts[sent])
	if !testing.Short() && (verdicts[passed] == 0 || verdicts[sent] < 1000) {
		t.Error("this shows little")
	}
}

// fragmentRequest is struct fragment_request.
type fragmentRequest struct {
	Now                             uint64
	Recall, Slot, ENI, Source, Dest uint32
	ID, Sport, Dport                uint16
	Proto, Type, Code               uint8
	_                               [3]uint8
}

// fragmentAnswer is struct fragment_answer.
type fragmentAnswer struct {
	Failed       uint32
	Sport, Dport uint16
	Type, Code   uint8
	_            [2]uint8
}

// packetID is what fragments of one packet share.
type packetID struct {
	Slot, ENI, Source, Dest uint32
	ID                      uint16
	Proto                   uint8
}

const fragmentLife = 10e9 // ns

// TestFragments: a later fragment gets the ports of its own packet's first, as
// that was last seen, no longer than 10 s, or none. Nobody else's fills push out
// what came last.
func TestFragments(t *testing.T) {
	h, d := start(t), roll(t, 6)
	const slots = 3
	h.ask(opClear)
	for slot := range uint32(slots) {
		h.put("frags", slot, bpf.FragTable{})
	}
	firsts, latest := map[packetID]fragmentRequest{}, [slots][2]packetID{}
	recalled, now := 0, uint64(1e18)
	for n := count(100000); n > 0; n -= mostAnswers {
		asked, known, fresh := make([]fragmentRequest, mostAnswers), make([]*fragmentRequest, mostAnswers), make([]bool, mostAnswers)
		for i := range asked {
			now += uint64(some(d, 1, 1, 1, 1e3, 1e6, 1e8, fragmentLife/2, fragmentLife))
			q := fragmentRequest{Now: now, Recall: uint32(d.IntN(2)), Slot: d.Uint32N(slots + 1), ENI: 100 + d.Uint32N(2), Source: d.Uint32N(2) << 24,
				Dest: d.Uint32N(2) << 24, ID: uint16(d.IntN(3)), Proto: some[uint8](d, protoUDP, protoICMP),
				Sport: uint16(d.Uint32()), Dport: uint16(d.Uint32()), Type: d.byte(), Code: d.byte()}
			id := packetID{q.Slot, q.ENI, q.Source, q.Dest, q.ID, q.Proto}
			if q.Slot < slots && q.Recall == 0 {
				firsts[id] = q
				if latest[q.Slot][0] != id {
					latest[q.Slot] = [2]packetID{id, latest[q.Slot][0]}
				}
			} else if first, ok := firsts[id]; ok && first.Now+fragmentLife >= now {
				known[i], fresh[i] = &first, slices.Contains(latest[q.Slot][:], id)
			}
			asked[i] = q
			h.ask(opFragment, q)
		}
		h.flush()
		for i, q := range asked {
			var a fragmentAnswer
			h.answer(&a)
			if q.Recall == 0 {
				continue
			}
			f := known[i]
			switch {
			case a.Failed != 0 && fresh[i]:
				t.Fatalf("one of the two latest firsts is forgotten: %+v, first %+v", q, *f)
			case a.Failed == 0 && f == nil:
				t.Fatalf("a fragment without a first has ports: %+v got %+v", q, a)
			case a.Failed == 0 && (a.Sport != f.Sport || a.Dport != f.Dport || a.Type != f.Type || a.Code != f.Code):
				t.Fatalf("ports of another packet: %+v got %+v, first %+v", q, a, *f)
			}
			recalled += int(1 - a.Failed)
		}
	}
	t.Logf("%d recalled", recalled)
	if recalled < 100 {
		t.Error("this shows little")
	}
}
