package flows

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cilium/ebpf"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// Rule names a rule as the programs count it: by its own number, within a VPC or
// a network ACL.
type Rule struct {
	// ID is spec.Rule's.
	ID uint32
	// VPC is set for a rule of a security group; ACL for one of a network ACL,
	// in direction Out or in.
	VPC spec.VPC
	ACL spec.ACL
	Out bool
}

// Hit says how often a rule has decided. Packets of a known flow are not
// counted: a rule of a group decides once for each flow, one of an ACL once for
// each of its directions and once for each refusal that is not remembered.
type Hit struct {
	Rule
	Verdicts uint64
	// Last is how long ago it last decided.
	Last time.Duration
}

// RuleHits reads the count of every rule that has ever decided, summed over
// CPUs. What found no room is counted by nobody.
func (t *Table) RuleHits() ([]Hit, error) {
	now := monotonic()
	// The kernel begins its walk anew when the element it stands on is deleted.
	counted := map[Rule]Hit{}
	err := t.eachHit(func(k bpf.HitKey, cells []bpf.HitCount) {
		h, last := Hit{Rule: ruleOf(k)}, uint64(0)
		for _, c := range cells {
			h.Verdicts += c.Verdicts
			last = max(last, c.Last)
		}
		h.Last = since(last, now)
		counted[h.Rule] = h
	})
	return slices.Collect(maps.Values(counted)), err
}

func ruleOf(k bpf.HitKey) Rule {
	r := Rule{ID: k.Rule}
	switch bpf.FromEniHitKind(k.Kind) {
	case bpf.FromEniHitKindHIT_GROUP:
		r.VPC = spec.VPC(k.Owner)
	case bpf.FromEniHitKindHIT_ACL_OUT:
		r.ACL, r.Out = spec.ACL(k.Owner), true
	case bpf.FromEniHitKindHIT_ACL_IN:
		r.ACL = spec.ACL(k.Owner)
	}
	return r
}

func (t *Table) eachHit(fn func(bpf.HitKey, []bpf.HitCount)) error {
	var (
		k     bpf.HitKey
		cells []bpf.HitCount
	)
	it := t.hits.Iterate()
	for it.Next(&k, &cells) {
		fn(k, cells)
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("read the hits of rules: %w", err)
	}
	return nil
}

// ForgetHits removes the counts of rules that keep refuses.
func (t *Table) ForgetHits(keep func(Rule) bool) error {
	var doomed []bpf.HitKey
	err := t.eachHit(func(k bpf.HitKey, _ []bpf.HitCount) {
		if !keep(ruleOf(k)) {
			doomed = append(doomed, k)
		}
	})
	if err != nil {
		return err
	}
	for _, k := range doomed {
		if err := t.hits.Delete(k); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
	}
	return nil
}
