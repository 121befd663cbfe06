package cli

import (
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func TestRuleHits(t *testing.T) {
	b := newBench(t)
	b.world()
	b.ok("sg allow db --in icmp --from sg:web")
	ids := map[string]string{} // group → its first rule
	for _, r := range b.rules {
		if ids[r.GroupId] == "" {
			ids[r.GroupId] = r.SecurityGroupRuleId
		}
	}
	for _, g := range b.groups {
		b.hits = append(b.hits, api.RuleHit{GroupId: g.GroupId, SecurityGroupRuleId: ids[g.GroupId], Hits: api.Ptr(int64(123456)), IdleSeconds: api.Ptr(int64(7199))})
	}
	b.hits = append(b.hits, api.RuleHit{NetworkAclId: "acl-00000000000000001", RuleNumber: api.Ptr(int32(32767)), Egress: api.Ptr(true),
		Hits: api.Ptr(int64(2)), IdleSeconds: api.Ptr(int64(0))})
	out := b.story("sg show db", "sg show db -o wide", "sg show db -o json", "acl show acl-0", "acl show acl-0 -o wide", "acl show acl-0 -o yaml")
	b.refuse["DescribeRuleHits"] = api.Errorf("UnsupportedOperation", "", "this vpcd has no data plane to ask")
	golden(t, "hits", out+b.story("sg show db", "sg show db -o json", "acl show acl-0"))
}

func TestAge(t *testing.T) {
	var out []string
	for _, seconds := range []int64{0, 59, 60, 3599, 3600, 86399, 86400, 40 * 86400} {
		out = append(out, age(seconds))
	}
	if got := strings.Join(out, " "); got != "0s 59s 1m 59m 1h 23h 1d 40d" {
		t.Error(got)
	}
}
