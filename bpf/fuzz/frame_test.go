package fuzz

import (
	"fmt"
	"testing"

	"github.com/vpcfabric/vpc/bpf"
)

// frameRequest is struct frame_request; the frame's bytes follow it.
type frameRequest struct {
	Now                                                          uint64
	Len, Linear, Ifindex, GsoSize, GsoSegs, Vlan, Stuck, Program uint32
}

// frameAnswer is struct frame_answer.
type frameAnswer struct {
	Parsed                            parsed
	Verdict, SentTo, Redirects, Drops uint32
	DropENI, DropStage, DropReason    uint32
	CB                                [2]uint32
	Left                              uint32
}

// What a frameRequest wants beside what the parser says.
const (
	wantVerdict = iota + 1
	wantFrame
)

func (h *harness) send(f frame, want uint32) {
	h.ask(opFrame, frameRequest{
		f.now, uint32(f.length), uint32(f.linear), f.ifindex, f.gsoSize, f.gsoSegs, f.vlan, uint32(flag(f.stuck)), want,
	}, f.bytes)
}

func (f frame) String() string {
	return fmt.Sprintf("ifindex %#x vlan %d gso %d×%d length %d linear %d stuck %v bytes %x",
		f.ifindex, f.vlan, f.gsoSegs, f.gsoSize, f.length, f.linear, f.stuck, f.bytes)
}

// judge compares an answer with the references. In an open world some frames
// pass that the references, whose lists are closed, refuse.
func (f frame) judge(a frameAnswer, w world) error {
	want, drop := f.parse()
	got := bpf.ReasonName(a.Parsed.Reason)
	if (drop == "") != (a.Parsed.Reason == 0) || drop != "" && got != drop {
		return fmt.Errorf("parse drops it for %q, want %q", got, drop)
	}
	if drop == "" && a.Parsed != want {
		return fmt.Errorf("parse says\n%+v, want\n%+v", a.Parsed, want)
	}
	fate, judged := f.fate(w)
	if w.list != 0 && judged {
		return a.consistent()
	}
	if a.Verdict != fate.verdict || a.SentTo != fate.to {
		return fmt.Errorf("verdict %d to %#x, want %+v", a.Verdict, a.SentTo, fate)
	}
	if got := bpf.StageName(uint8(a.DropStage)) + "/" + bpf.ReasonName(uint8(a.DropReason)); fate.drop != "" && got != fate.drop {
		return fmt.Errorf("dropped as %s, want %s", got, fate.drop)
	}
	return a.consistent()
}

// consistent is what holds in every world: nothing of this is for the kernel,
// what is dropped is counted once, and what is sent is sent once.
func (a frameAnswer) consistent() error {
	drops, redirects := uint32(0), uint32(0)
	switch a.Verdict {
	case shot:
		drops = 1
	case sent:
		redirects = 1
	case passed:
	default:
		return fmt.Errorf("verdict %d", a.Verdict)
	}
	if a.Drops != drops || a.Redirects != redirects {
		return fmt.Errorf("verdict %d with %d drops counted and %d redirections", a.Verdict, a.Drops, a.Redirects)
	}
	return nil
}

// shoot sends frames in batches and calls judge with each answer.
func (h *harness) shoot(n int, next func() frame, judge func(frame, frameAnswer)) {
	for n > 0 {
		batch := make([]frame, min(n, mostAnswers))
		for i := range batch {
			batch[i] = next()
			h.send(batch[i], wantVerdict)
		}
		h.flush()
		for _, f := range batch {
			var a frameAnswer
			h.answer(&a)
			judge(f, a)
		}
		n -= len(batch)
	}
}

// TestFrames: the parser and the way up to the first list do what the
// documents say with any frame, and read nothing that is not the frame's. So in
// a world with an internet gateway, and without.
func TestFrames(t *testing.T) {
	h, d := start(t), roll(t, 1)
	reasons, fates := map[string]int{}, map[string]int{}
	for _, w := range []world{{}, {gated: true}} {
		h.found(w)
		h.shoot(count(100000), d.frame, func(f frame, a frameAnswer) {
			if err := f.judge(a, w); err != nil {
				t.Fatalf("%+v: %v\n%v", w, err, f)
			}
			reasons[bpf.ReasonName(a.Parsed.Reason)]++
			fates[fmt.Sprint(a.Verdict, " ", bpf.StageName(uint8(a.DropStage)), "/", bpf.ReasonName(uint8(a.DropReason)))]++
		})
	}
	t.Logf("parser: %v", reasons)
	t.Logf("program: %v", fates)
	if len(fates) < 30 {
		t.Errorf("only %d fates: this shows little", len(fates))
	}
}
