package flows

import (
	"errors"
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
// that were being written during the first. The table is read once to see which
// of the rules any flow names, most often none.
func (t *Table) Cut(rules []uint32) (int, error) {
	named, err := t.named(rules)
	total := 0
	for some := range slices.Chunk(named, bpf.CutRules) {
		if err != nil {
			break
		}
		args := bpf.SweepCutArgs{}
		copy(args.Rule[:], some)
		var cut int
		cut, err = t.cutAll(args)
		total += cut
	}
	return total, err
}

// cutAll walks until no flow was being written meanwhile.
func (t *Table) cutAll(args bpf.SweepCutArgs) (int, error) {
	total := 0
	for range cutPasses {
		cut, busy, err := t.cutPass(args)
		total += cut
		if err != nil || busy == 0 {
			return total, err
		}
	}
	return total, errors.New("cut tracked flows: some were being written all the while")
}

// named are those of the rules that some live flow is tracked by.
func (t *Table) named(rules []uint32) ([]uint32, error) {
	const tracked = uint32(bpf.FromEniFlowFlagsFLOW_TRACK_OWN | bpf.FromEniFlowFlagsFLOW_TRACK_PEER)
	seen := map[uint32]bool{}
	err := t.each(func(_ bpf.FlowKey, v bpf.Flow) bool {
		if v.Flags&tracked != 0 {
			seen[v.OwnRule], seen[v.PeerRule] = true, true
		}
		return true
	})
	return slices.DeleteFunc(slices.Clone(rules), func(rule uint32) bool { return !seen[rule] }), err
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
