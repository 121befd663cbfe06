package flows

import (
	"fmt"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/vpcfabric/vpc/bpf"
)

const (
	// cutPlaces is how many places of the clock one call looks at.
	cutPlaces = 1 << 14
	// cutPasses bounds how often the clock is walked for flows that packets
	// kept rewriting.
	cutPasses = 8
)

// Cut makes live flows that one of the rules let in, and that are tracked by it,
// ask the rules of today with their next packet. It returns how many there were.
// Rules are named by spec.Rule.ID; a second call with the same ones finds those
// that were being written during the first.
func (t *Table) Cut(rules []uint32) (int, error) {
	total := 0
	for some := range slices.Chunk(rules, bpf.CutRules) {
		args := bpf.SweepCutArgs{Count: cutPlaces}
		copy(args.Rule[:], some)
		for range cutPasses {
			cut, busy, err := t.cutPass(args)
			total += cut
			if err != nil {
				return total, err
			}
			if busy == 0 {
				break
			}
		}
	}
	return total, nil
}

// cutPass walks the whole clock once.
func (t *Table) cutPass(args bpf.SweepCutArgs) (cut, busy int, err error) {
	for ; args.From < t.slots.MaxEntries(); args.From += cutPlaces {
		var out bpf.SweepCutArgs
		args.Count = min(cutPlaces, t.slots.MaxEntries()-args.From)
		if _, err := t.cut.Run(&ebpf.RunOptions{Context: args, ContextOut: &out}); err != nil {
			return cut, busy, fmt.Errorf("cut tracked flows: %w", err)
		}
		cut, busy = cut+int(out.Cut), busy+int(out.Busy)
	}
	return cut, busy, nil
}
