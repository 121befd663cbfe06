package service

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// CheckLimits says whether quotas can have these values together, with the
// defaults for those that are left out. Errors are those of CheckLimit, and one
// for too many rules of an interface.
func CheckLimits(limits map[string]int64) error {
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		if err := CheckLimit(name, limits[name]); err != nil {
			return err
		}
	}
	of := func(name limitName) int64 {
		if value, ok := limits[string(name)]; ok {
			return value
		}
		return quotas[name].value
	}
	return productError(limitRules, of(limitRules), limitGroupsOfENI, of(limitGroupsOfENI))
}

// productError is for two limits whose product, the rules that an interface
// could have, is more than an interface can. It asks to change the first.
func productError(name limitName, value int64, other limitName, factor int64) error {
	if rulesOfENI(value, factor) <= maxRulesOfENI {
		return nil
	}
	e := api.Errorf("InvalidParameterValue", "Value",
		"the limit %s cannot be %d while %s is %d: one interface could have %s rules in a direction, and has room for %d",
		name, value, other, factor, times(value, factor), maxRulesOfENI)
	e.Hint = fmt.Sprintf("vpc limits %s=%d, or lower %s first", name, most(factor), other)
	return e
}

// rulesOfENI is the product of two limits, of which one may be unlimited.
func rulesOfENI(a, b int64) int64 {
	if a == 0 || b == 0 {
		return 0
	}
	if a == unlimited || b == unlimited || a > math.MaxInt64/b {
		return math.MaxInt64
	}
	return a * b
}

func times(a, b int64) string {
	if n := rulesOfENI(a, b); n < math.MaxInt64 {
		return fmt.Sprint(n)
	}
	return "any number of"
}

// most is what a limit can be beside one that is factor.
func most(factor int64) int64 {
	if factor == unlimited {
		return 0
	}
	return maxRulesOfENI / max(1, factor)
}

// checkProduct refuses a value for a limit with which an interface could get
// more rules than it has room for: together with the other limit, and where it
// is raised, with what exceeds that one since before it was lowered.
func (c *change) checkProduct(name limitName, value int64) error {
	other := limitGroupsOfENI
	switch name {
	case limitRules:
	case limitGroupsOfENI:
		other = limitRules
	default:
		return nil
	}
	// Both guarded: of two changes at once the second sees the first.
	factor, before := c.limit(c.tx, other), c.limit(c.tx, name)
	if err := productError(name, value, other, factor); err != nil {
		return err
	}
	if before == unlimited || value <= before {
		return nil
	}
	n, who := c.mostGroups()
	if other == limitRules {
		n, who = c.mostRules()
	}
	if rulesOfENI(value, n) <= maxRulesOfENI {
		return nil
	}
	return &api.Error{
		Code: "InvalidParameterValue", Field: "Value", BlockedBy: []api.Blocker{who},
		Message: fmt.Sprintf("the limit %s cannot be %d while %s has %s, which is more than the limit %s: one interface could have %d rules in a direction, and has room for %d",
			name, value, who.Id, who.Detail, other, value*n, maxRulesOfENI),
		Hint: fmt.Sprintf("vpc limits %s=%d, or remove some from %s first", name, most(n), who.Id),
	}
}

// mostRules finds the group with the most rules in a direction. Like the quotas
// it is read without a guard.
func (c *change) mostRules() (n int64, who api.Blocker) {
	for _, g := range store.List[*record.SecurityGroup](c.tx.Peek(), record.Groups) {
		weights := ruleWeights(c.tx.Peek(), g.Rules)
		if w := int64(max(weights[true], weights[false])); w > n {
			n, who = w, api.Blocker{Kind: "sg", Id: g.Group.GroupId, Name: g.Group.GroupName, Detail: fmt.Sprintf("%d rules", w)}
		}
	}
	return n, who
}

// mostGroups finds the interface with the most groups.
func (c *change) mostGroups() (n int64, who api.Blocker) {
	for _, eni := range store.List[*record.NetworkInterface](c.tx.Peek(), record.Interfaces) {
		if m := int64(len(eni.Interface.Groups)); m > n {
			n, who = m, api.Blocker{Kind: "eni", Id: eni.Interface.NetworkInterfaceId, Detail: fmt.Sprintf("%d groups", m)}
		}
	}
	return n, who
}

// excessOfLimits is the sentence for people where the limits in force together
// allow more rules than an interface has room for: those of the command line
// meet others that are stored. "" where they do not.
func (s *Service) excessOfLimits(r store.Reader) string {
	rules, groups := s.limit(r, limitRules), s.limit(r, limitGroupsOfENI)
	if rulesOfENI(rules, groups) <= maxRulesOfENI {
		return ""
	}
	return fmt.Sprintf("the limits %s=%d and %s=%d allow %s rules in a direction of an interface, which has room for %d: lower one with `vpc limits`",
		limitRules, rules, limitGroupsOfENI, groups, times(rules, groups), maxRulesOfENI)
}
