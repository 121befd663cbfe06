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
	again []uint32
	due   time.Time
}

// make ends what outlives a rule that was not looked for yet.
func (c *cuts) make(t *flows.Table, wanted map[uint32]bool, now time.Time) error {
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
	for _, rule := range rules {
		c.done[rule] = true
	}
	c.again, c.due = append(c.again, rules...), now.Add(cutAgain)
	return nil
}

// repeat is for every tick.
func (c *cuts) repeat(t *flows.Table, now time.Time) error {
	if len(c.again) == 0 || now.Before(c.due) {
		return nil
	}
	_, err := t.Cut(c.again)
	if err == nil {
		c.again = nil
	}
	return err
}
