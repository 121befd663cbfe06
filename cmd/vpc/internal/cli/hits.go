package cli

import (
	"errors"
	"fmt"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// hitsHead are the columns that hitCells fills.
var hitsHead = []string{"HITS", "LAST"}

const hitsHelp = "HITS is how often a rule has decided on this host: once for each flow that it let pass, " +
	"not for each packet. LAST is when it last did. A dash in place of HITS says that the host has not been able to tell."

// ruleKey is a rule of a group by its id, or an entry of a network ACL.
type ruleKey struct {
	rule   string
	number int32
	egress bool
}

// ruleHits is how often rules have decided; one that is not there never has. It
// is nil where nobody knows.
type ruleHits map[ruleKey]api.RuleHit

// hits reads the counts of one group or one network ACL. A host that cannot
// count must not keep anybody from seeing the rules: then there are none, nil.
func (s *session) hits(o object) ([]api.RuleHit, error) {
	req := &api.DescribeRuleHitsRequest{GroupIds: []string{o.id}}
	if o.kind == aclNoun.word {
		req = &api.DescribeRuleHitsRequest{NetworkAclIds: []string{o.id}}
	}
	res, err := ask[api.DescribeRuleHitsResult](s, "DescribeRuleHits", req)
	var refused *api.Error
	if errors.As(err, &refused) {
		return nil, nil
	}
	if err != nil {
		return nil, doing("read the hits of "+o.String(), err)
	}
	return append([]api.RuleHit{}, res.RuleHits...), nil
}

func byRule(all []api.RuleHit) ruleHits {
	if all == nil {
		return nil
	}
	out := ruleHits{}
	for _, h := range all {
		key := ruleKey{rule: h.SecurityGroupRuleId}
		if h.NetworkAclId != "" {
			key = ruleKey{number: api.Val(h.RuleNumber), egress: api.Val(h.Egress)}
		}
		out[key] = h
	}
	return out
}

func ofRule(r *api.SecurityGroupRule) ruleKey { return ruleKey{rule: r.SecurityGroupRuleId} }

func ofEntry(e *api.NetworkAclEntry) ruleKey {
	return ruleKey{number: api.Val(e.RuleNumber), egress: api.Val(e.Egress)}
}

// hitCells are how often a rule has decided and how long ago it last did, to
// the second with -o wide.
func (s *session) hitCells(h ruleHits, key ruleKey) []string {
	hit, ok := h[key]
	switch {
	case h == nil:
		return []string{"", ""}
	case !ok:
		return []string{"0", ""}
	case s.output == outputWide:
		return []string{number(hit.Hits), fmt.Sprintf("%ds ago", api.Val(hit.IdleSeconds))}
	}
	return []string{number(hit.Hits), age(api.Val(hit.IdleSeconds)) + " ago"}
}

// age is a time in its largest unit, cut off: 3s, 59m, 23h, 12d.
func age(seconds int64) string {
	const minute, hour, day = 60, 3600, 86400
	switch {
	case seconds < minute:
		return fmt.Sprintf("%ds", seconds)
	case seconds < hour:
		return fmt.Sprintf("%dm", seconds/minute)
	case seconds < day:
		return fmt.Sprintf("%dh", seconds/hour)
	}
	return fmt.Sprintf("%dd", seconds/day)
}
