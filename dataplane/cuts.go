package dataplane

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/vpcfabric/vpc/dataplane/flows"
)

// cutAgain is how long after a cut it is made once more: a packet that was being
// judged by the old rules at that moment has written its flow long before.
const cutAgain = time.Second

// cuts remembers which rules' flows were ended. A new process ends them again,
// which finds nothing: the numbers of rules never come back.
type cuts struct {
	done  map[uint32]bool
	again []batch
}

// batch are rules whose flows are looked for once more.
type batch struct {
	rules []uint32
	due   time.Time
}

// make ends what outlives a rule that was not looked for yet. Whatever else of a
// change fails, flows of revoked rules do not wait for it; only where the change
// is settled need nobody come back to them.
func (c *cuts) make(t *flows.Table, wanted map[uint32]bool, settled bool, now time.Time) error {
	maps.DeleteFunc(c.done, func(rule uint32, _ bool) bool { return !wanted[rule] })
	var rules []uint32
	for rule := range wanted {
		if !c.done[rule] {
			rules = append(rules, rule)
		}
	}
	if len(rules) == 0 {
		return nil
	}
	slices.Sort(rules)
	if _, err := t.Cut(rules); err != nil {
		return fmt.Errorf("end flows of revoked rules: %w", err)
	}
	if !settled {
		return nil
	}
	for _, rule := range rules {
		c.done[rule] = true
	}
	c.again = append(c.again, batch{rules, now.Add(cutAgain)})
	return nil
}

// repeat is for every tick.
func (c *cuts) repeat(t *flows.Table, now time.Time) error {
	for len(c.again) > 0 && !now.Before(c.again[0].due) {
		if _, err := t.Cut(c.again[0].rules); err != nil {
			return err
		}
		c.again = c.again[1:]
	}
	return nil
}
