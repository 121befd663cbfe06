package fuzz

import "testing"

// TestProgram sends frames through a world whose lists let everything pass, so
// that the flow table, its clock, fragments and remembered refusals run as well.
// Time goes on in leaps: flows expire and their places are used again.
func TestProgram(t *testing.T) {
	h, d := start(t), roll(t, 5)
	verdicts := map[uint32]int{}
	for n := count(100000); n > 0; n -= 20000 {
		w := world{list: 1, gated: n/20000%2 == 0}
		h.found(w)
		everything(t, h, 1)
		h.furnish()
		now := uint64(1e18)
		h.shoot(min(n, 20000), func() frame {
			f := d.frame()
			now += uint64(some(d, 0, 1, 1e3, 1e6, 1e9, 20e9))
			f.now = now
			return f
		}, func(f frame, a frameAnswer) {
			if err := f.judge(a, w); err != nil {
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
