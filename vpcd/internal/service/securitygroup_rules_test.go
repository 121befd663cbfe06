package service

import (
	"strings"
	"sync"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

func (b *bench) rules(filter, value string) []api.SecurityGroupRule {
	b.t.Helper()
	return do[api.DescribeSecurityGroupRulesResult](b, &api.DescribeSecurityGroupRulesRequest{Filters: []api.Filter{{Name: filter, Values: []string{value}}}}).SecurityGroupRules
}

func TestAuthorizeForms(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	web, db := b.group(vpc.VpcId, "web"), b.group(vpc.VpcId, "db")
	p := tcp(443, "10.1.2.3/8", "192.0.2.1/32")
	p.IpRanges[0].Description = "office"
	p.UserIdGroupPairs = []api.UserIdGroupPair{{GroupName: "db", UserId: alice.Account, VpcId: vpc.VpcId}}
	res := do[api.AuthorizeSecurityGroupIngressResult](b, &api.AuthorizeSecurityGroupIngressRequest{
		GroupId: web, IpPermissions: []api.IpPermission{p}, TagSpecifications: tagSpec("security-group-rule", api.Tag{Key: "k", Value: "v"}),
	})
	got := res.SecurityGroupRules
	if !api.Val(res.Return) || len(got) != 3 {
		t.Fatalf("authorize answered %+v", res)
	}
	first, last := got[0], got[2]
	if first.CidrIpv4 != "10.0.0.0/8" || first.Description != "office" || first.IpProtocol != "tcp" || *first.FromPort != 443 || *first.ToPort != 443 ||
		*first.IsEgress || first.GroupId != web || first.GroupOwnerId != alice.Account || len(first.Tags) != 1 || !wellFormed(first.SecurityGroupRuleId, "sgr-") {
		t.Errorf("first rule is %+v", first)
	}
	if last.ReferencedGroupInfo == nil || last.ReferencedGroupInfo.GroupId != db || last.CidrIpv4 != "" {
		t.Errorf("rule by group is %+v", last)
	}
	if shown := b.described(web).IpPermissions; len(shown) != 1 || len(shown[0].IpRanges) != 2 || len(shown[0].UserIdGroupPairs) != 1 || *shown[0].FromPort != 443 {
		t.Errorf("described as %+v", shown)
	}
	do[api.AuthorizeSecurityGroupIngressResult](b, &api.AuthorizeSecurityGroupIngressRequest{GroupId: web, IpProtocol: "icmp", FromPort: api.Ptr[int32](8), CidrIp: "0.0.0.0/0"})
	byName := do[api.AuthorizeSecurityGroupIngressResult](b, &api.AuthorizeSecurityGroupIngressRequest{GroupId: web, SourceSecurityGroupName: "db"}).SecurityGroupRules
	if len(byName) != 3 || byName[2].IpProtocol != "icmp" || *byName[0].ToPort != 65535 {
		t.Errorf("a source group alone means %+v", byName)
	}
	out := do[api.AuthorizeSecurityGroupEgressResult](b, &api.AuthorizeSecurityGroupEgressRequest{GroupId: web, IpPermissions: []api.IpPermission{tcp(443, "10.0.0.0/8")}}).SecurityGroupRules
	if len(out) != 1 || !*out[0].IsEgress {
		t.Errorf("egress rule is %+v", out)
	}
	do[api.RevokeSecurityGroupIngressResult](b, &api.RevokeSecurityGroupIngressRequest{GroupId: web, SourceSecurityGroupName: "db"})
	if n := len(b.rules("group-id", web)); n != 6 {
		t.Errorf("%d rules, want 6", n)
	}
}

func TestRuleRefusals(t *testing.T) {
	b := newBench(t)
	vpc, elsewhere := b.vpc("10.0.0.0/16"), b.vpc("10.0.0.0/16")
	web, foreign := b.group(vpc.VpcId, "web"), b.group(elsewhere.VpcId, "foreign")
	do[api.AuthorizeSecurityGroupIngressResult](b, &api.AuthorizeSecurityGroupIngressRequest{GroupId: web, IpPermissions: []api.IpPermission{tcp(22, "10.0.0.0/8")}})
	one := api.Ptr[int32](1)
	described := func(text string) api.IpPermission {
		p := tcp(80, "0.0.0.0/0")
		p.IpRanges[0].Description = text
		return p
	}
	pair := func(p api.UserIdGroupPair) api.IpPermission {
		return api.IpPermission{IpProtocol: "-1", UserIdGroupPairs: []api.UserIdGroupPair{p}}
	}
	type request = api.AuthorizeSecurityGroupIngressRequest
	perms := func(p ...api.IpPermission) request { return request{GroupId: web, IpPermissions: p} }
	for name, row := range map[string]struct {
		req         request
		code, field string
	}{
		"no group":          {request{IpPermissions: []api.IpPermission{tcp(1, "0.0.0.0/0")}}, "MissingParameter", "GroupId"},
		"group unknown":     {request{GroupId: "sg-00000000", IpPermissions: []api.IpPermission{tcp(1, "0.0.0.0/0")}}, "InvalidGroup.NotFound", "GroupId"},
		"group malformed":   {request{GroupId: "web", IpPermissions: []api.IpPermission{tcp(1, "0.0.0.0/0")}}, "InvalidGroupId.Malformed", "GroupId"},
		"nothing":           {request{GroupId: web}, "MissingParameter", "IpPermissions"},
		"no protocol":       {perms(api.IpPermission{IpRanges: []api.IpRange{{CidrIp: "0.0.0.0/0"}}}), "MissingParameter", "IpPermissions.0.IpProtocol"},
		"protocol":          {perms(api.IpPermission{IpProtocol: "tcpp", IpRanges: []api.IpRange{{CidrIp: "0.0.0.0/0"}}}), "InvalidParameterValue", "IpPermissions.0.IpProtocol"},
		"no source":         {perms(tcp(80)), "InvalidPermission.Malformed", "IpPermissions.0"},
		"port":              {perms(tcp(80, "0.0.0.0/0"), tcp(-1, "0.0.0.0/0")), "InvalidParameterValue", "IpPermissions.1.FromPort"},
		"CIDR":              {perms(tcp(80, "10.0.0.0/33")), "InvalidParameterValue", "IpPermissions.0.IpRanges.0.CidrIp"},
		"CIDR empty":        {perms(tcp(80, "")), "InvalidParameterValue", "IpPermissions.0.IpRanges.0.CidrIp"},
		"CIDR octal":        {perms(tcp(80, "010.0.0.0/8")), "InvalidParameterValue", "IpPermissions.0.IpRanges.0.CidrIp"},
		"CIDR no length":    {perms(tcp(80, "10.0.0.0")), "InvalidParameterValue", "IpPermissions.0.IpRanges.0.CidrIp"},
		"IPv6 as CidrIp":    {perms(tcp(80, "::/0")), "InvalidParameterValue", "IpPermissions.0.IpRanges.0.CidrIp"},
		"IPv6":              {perms(api.IpPermission{IpProtocol: "-1", Ipv6Ranges: []api.Ipv6Range{{CidrIpv6: "::/0"}}}), "UnsupportedOperation", "IpPermissions.0.Ipv6Ranges"},
		"prefix list":       {perms(api.IpPermission{IpProtocol: "-1", PrefixListIds: []api.PrefixListId{{PrefixListId: "pl-00000000"}}}), "InvalidPrefixListID.NotFound", "IpPermissions.0.PrefixListIds.0.PrefixListId"},
		"peering":           {perms(pair(api.UserIdGroupPair{GroupId: web, VpcPeeringConnectionId: "pcx-00000000"})), "InvalidVpcPeeringConnectionID.NotFound", "IpPermissions.0.UserIdGroupPairs.0.VpcPeeringConnectionId"},
		"pair empty":        {perms(pair(api.UserIdGroupPair{})), "MissingParameter", "IpPermissions.0.UserIdGroupPairs.0.GroupId"},
		"pair unknown":      {perms(fromGroups("sg-00000000")), "InvalidGroup.NotFound", "IpPermissions.0.UserIdGroupPairs.0.GroupId"},
		"pair malformed":    {perms(fromGroups("sg")), "InvalidGroupId.Malformed", "IpPermissions.0.UserIdGroupPairs.0.GroupId"},
		"pair name":         {perms(pair(api.UserIdGroupPair{GroupName: "nope"})), "InvalidGroup.NotFound", "IpPermissions.0.UserIdGroupPairs.0.GroupName"},
		"pair account":      {perms(pair(api.UserIdGroupPair{GroupId: web, UserId: bob.Account})), "InvalidGroup.NotFound", "IpPermissions.0.UserIdGroupPairs.0.UserId"},
		"pair VPC":          {perms(pair(api.UserIdGroupPair{GroupId: web, VpcId: elsewhere.VpcId})), "InvalidGroup.NotFound", "IpPermissions.0.UserIdGroupPairs.0.VpcId"},
		"other VPC":         {perms(fromGroups(foreign)), "InvalidGroup.NotFound", "IpPermissions.0.UserIdGroupPairs.0.GroupId"},
		"duplicate":         {perms(tcp(22, "10.9.9.9/8")), "InvalidPermission.Duplicate", "IpPermissions.0.IpRanges.0"},
		"duplicate in call": {perms(tcp(80, "10.0.0.0/8"), tcp(80, "10.1.0.0/8")), "InvalidPermission.Duplicate", "IpPermissions.1.IpRanges.0"},
		"description":       {perms(described("a\nb")), "InvalidParameterValue", "IpPermissions.0.IpRanges.0.Description"},
		"description long":  {perms(described(strings.Repeat("x", 256))), "InvalidParameterValue", "IpPermissions.0.IpRanges.0.Description"},
		"both forms":        {request{GroupId: web, CidrIp: "0.0.0.0/0", IpPermissions: []api.IpPermission{tcp(1, "0.0.0.0/0")}}, "InvalidParameterCombination", "IpPermissions"},
		"CIDR and group":    {request{GroupId: web, CidrIp: "0.0.0.0/0", SourceSecurityGroupName: "web"}, "InvalidParameterCombination", "SourceSecurityGroupName"},
		"owner alone":       {request{GroupId: web, SourceSecurityGroupOwnerId: alice.Account}, "MissingParameter", "SourceSecurityGroupName"},
		"source unknown":    {request{GroupId: web, SourceSecurityGroupName: "nope"}, "InvalidGroup.NotFound", "SourceSecurityGroupName"},
		"flat no CIDR":      {request{GroupId: web, IpProtocol: "tcp", FromPort: one, ToPort: one}, "MissingParameter", "CidrIp"},
		"flat no protocol":  {request{GroupId: web, CidrIp: "0.0.0.0/0"}, "MissingParameter", "IpProtocol"},
		"flat CIDR":         {request{GroupId: web, IpProtocol: "-1", CidrIp: "x"}, "InvalidParameterValue", "CidrIp"},
		"flat port":         {request{GroupId: web, IpProtocol: "tcp", FromPort: one, CidrIp: "0.0.0.0/0"}, "InvalidParameterValue", "ToPort"},
		"tags":              {request{GroupId: web, TagSpecifications: tagSpec("vpc", api.Tag{Key: "k"})}, "InvalidParameterValue", "TagSpecifications.0.ResourceType"},
	} {
		t.Run(name, func(t *testing.T) {
			b.unchanged(t, func() {
				_, _, err := b.call(alice, "AuthorizeSecurityGroupIngress", &row.req)
				refused(t, err, row.code, row.field)
			})
		})
	}
	b.unchanged(t, func() {
		_, _, err := b.call(bob, "AuthorizeSecurityGroupIngress", &request{GroupId: web, IpPermissions: []api.IpPermission{tcp(1, "0.0.0.0/0")}})
		refused(t, err, "InvalidGroup.NotFound", "GroupId")
	})
}

func TestRuleQuota(t *testing.T) {
	b := newBench(t)
	web := b.group(b.vpc("10.0.0.0/16").VpcId, "web")
	var many []api.IpPermission
	for port := range int32(60) {
		many = append(many, tcp(port, "0.0.0.0/0"))
	}
	do[api.AuthorizeSecurityGroupIngressResult](b, &api.AuthorizeSecurityGroupIngressRequest{GroupId: web, IpPermissions: many})
	b.unchanged(t, func() {
		_, _, err := b.call(alice, "AuthorizeSecurityGroupIngress", &api.AuthorizeSecurityGroupIngressRequest{GroupId: web, IpPermissions: []api.IpPermission{tcp(60, "0.0.0.0/0")}})
		refused(t, err, "RulesPerSecurityGroupLimitExceeded", "IpPermissions")
	})
	// The directions count apart, and the new group has one egress rule.
	do[api.AuthorizeSecurityGroupEgressResult](b, &api.AuthorizeSecurityGroupEgressRequest{GroupId: web, IpPermissions: many[:59]})
	// A lower quota leaves what is there editable.
	do[api.ModifyLimitResult](b, &api.ModifyLimitRequest{Name: "rules-per-sg", Value: api.Ptr[int64](10)})
	do[api.RevokeSecurityGroupIngressResult](b, &api.RevokeSecurityGroupIngressRequest{GroupId: web, IpPermissions: many[:1]})
}

func TestRevoke(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	web := b.group(vpc.VpcId, "web")
	rules := do[api.AuthorizeSecurityGroupIngressResult](b, &api.AuthorizeSecurityGroupIngressRequest{GroupId: web, IpPermissions: []api.IpPermission{tcp(1, "0.0.0.0/0"), tcp(2, "0.0.0.0/0")}}).SecurityGroupRules
	egress := b.rules("group-id", web)[0].SecurityGroupRuleId
	type request = api.RevokeSecurityGroupIngressRequest
	for name, row := range map[string]struct {
		req         request
		code, field string
	}{
		"unknown":      {request{GroupId: web, IpPermissions: []api.IpPermission{tcp(1, "0.0.0.0/0"), tcp(3, "0.0.0.0/0")}}, "InvalidPermission.NotFound", "IpPermissions.1.IpRanges.0"},
		"id unknown":   {request{GroupId: web, SecurityGroupRuleIds: []string{"sgr-00000000"}}, "InvalidSecurityGroupRuleId.NotFound", "SecurityGroupRuleIds.0"},
		"id malformed": {request{GroupId: web, SecurityGroupRuleIds: []string{"sg-00000000"}}, "InvalidSecurityGroupRuleId.Malformed", "SecurityGroupRuleIds.0"},
		"direction":    {request{GroupId: web, SecurityGroupRuleIds: []string{egress}}, "InvalidSecurityGroupRuleId.NotFound", "SecurityGroupRuleIds.0"},
		"both":         {request{GroupId: web, SecurityGroupRuleIds: []string{egress}, CidrIp: "0.0.0.0/0"}, "InvalidParameterCombination", "SecurityGroupRuleIds"},
		"nothing":      {request{GroupId: web}, "MissingParameter", "IpPermissions"},
		// Terraform revokes EC2's default IPv6 rule of every new group, and goes on after exactly this code.
		"IPv6": {request{GroupId: web, IpPermissions: []api.IpPermission{{IpProtocol: "-1", Ipv6Ranges: []api.Ipv6Range{{CidrIpv6: "::/0"}}}}}, "InvalidPermission.NotFound", "IpPermissions.0.Ipv6Ranges"},
	} {
		b.unchanged(t, func() {
			_, _, err := b.call(alice, "RevokeSecurityGroupIngress", &row.req)
			if e := refused(t, err, row.code, row.field); name == "direction" && e.Hint == "" {
				t.Error("no hint that the rule is of the other direction")
			}
		})
	}
	do[api.RevokeSecurityGroupIngressResult](b, &request{GroupId: web, SecurityGroupRuleIds: []string{rules[0].SecurityGroupRuleId}})
	do[api.RevokeSecurityGroupIngressResult](b, &request{GroupId: web, IpProtocol: "6", FromPort: api.Ptr[int32](2), ToPort: api.Ptr[int32](2), CidrIp: "1.2.3.4/0"})
	do[api.RevokeSecurityGroupEgressResult](b, &api.RevokeSecurityGroupEgressRequest{GroupId: web, SecurityGroupRuleIds: []string{egress}})
	if left := b.rules("group-id", web); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
}

func TestModifyRules(t *testing.T) {
	b := newBench(t)
	web := b.group(b.vpc("10.0.0.0/16").VpcId, "web")
	rules := do[api.AuthorizeSecurityGroupIngressResult](b, &api.AuthorizeSecurityGroupIngressRequest{GroupId: web, IpPermissions: []api.IpPermission{tcp(1, "0.0.0.0/0"), tcp(2, "0.0.0.0/0")}}).SecurityGroupRules
	port := func(n int32, cidr string) *api.SecurityGroupRuleRequest {
		return &api.SecurityGroupRuleRequest{IpProtocol: "tcp", FromPort: &n, ToPort: &n, CidrIpv4: cidr, Description: "d"}
	}
	update := func(i int, r *api.SecurityGroupRuleRequest) api.SecurityGroupRuleUpdate {
		return api.SecurityGroupRuleUpdate{SecurityGroupRuleId: rules[i].SecurityGroupRuleId, SecurityGroupRule: r}
	}
	// Two rules change places in one call: never two equal ones at its end.
	do[api.ModifySecurityGroupRulesResult](b, &api.ModifySecurityGroupRulesRequest{GroupId: web, SecurityGroupRules: []api.SecurityGroupRuleUpdate{update(0, port(2, "1.1.1.1/0")), update(1, port(1, "0.0.0.0/0"))}})
	if got := b.rules("security-group-rule-id", rules[0].SecurityGroupRuleId)[0]; *got.FromPort != 2 || got.CidrIpv4 != "0.0.0.0/0" || got.Description != "d" {
		t.Errorf("rule is %+v", got)
	}
	both := port(3, "0.0.0.0/0")
	both.ReferencedGroupId = web
	for name, row := range map[string]struct {
		updates     []api.SecurityGroupRuleUpdate
		code, field string
	}{
		"duplicate": {[]api.SecurityGroupRuleUpdate{update(0, port(1, "0.0.0.0/0"))}, "InvalidPermission.Duplicate", "SecurityGroupRules.0.SecurityGroupRule"},
		"twice":     {[]api.SecurityGroupRuleUpdate{update(0, port(3, "0.0.0.0/0")), update(0, port(4, "0.0.0.0/0"))}, "InvalidParameterValue", "SecurityGroupRules.1.SecurityGroupRuleId"},
		"unknown":   {[]api.SecurityGroupRuleUpdate{{SecurityGroupRuleId: "sgr-00000000", SecurityGroupRule: port(3, "0.0.0.0/0")}}, "InvalidSecurityGroupRuleId.NotFound", "SecurityGroupRules.0.SecurityGroupRuleId"},
		"malformed": {[]api.SecurityGroupRuleUpdate{{SecurityGroupRuleId: "x", SecurityGroupRule: port(3, "0.0.0.0/0")}}, "InvalidSecurityGroupRuleId.Malformed", "SecurityGroupRules.0.SecurityGroupRuleId"},
		"empty":     {[]api.SecurityGroupRuleUpdate{update(0, nil)}, "MissingParameter", "SecurityGroupRules.0.SecurityGroupRule"},
		"no source": {[]api.SecurityGroupRuleUpdate{update(0, port(3, ""))}, "InvalidPermission.Malformed", "SecurityGroupRules.0.SecurityGroupRule"},
		"both":      {[]api.SecurityGroupRuleUpdate{update(0, both)}, "InvalidParameterCombination", "SecurityGroupRules.0.SecurityGroupRule"},
		"port":      {[]api.SecurityGroupRuleUpdate{update(0, port(65536, "0.0.0.0/0"))}, "InvalidParameterValue", "SecurityGroupRules.0.SecurityGroupRule.FromPort"},
		"IPv6":      {[]api.SecurityGroupRuleUpdate{update(0, &api.SecurityGroupRuleRequest{IpProtocol: "-1", CidrIpv6: "::/0"})}, "UnsupportedOperation", "SecurityGroupRules.0.SecurityGroupRule.CidrIpv6"},
		"list":      {[]api.SecurityGroupRuleUpdate{update(0, &api.SecurityGroupRuleRequest{IpProtocol: "-1", PrefixListId: "pl-0"})}, "InvalidPrefixListId.Malformed", "SecurityGroupRules.0.SecurityGroupRule.PrefixListId"},
		"group":     {[]api.SecurityGroupRuleUpdate{update(0, &api.SecurityGroupRuleRequest{IpProtocol: "-1", ReferencedGroupId: "sg-00000000"})}, "InvalidGroup.NotFound", "SecurityGroupRules.0.SecurityGroupRule.ReferencedGroupId"},
	} {
		t.Run(name, func(t *testing.T) {
			b.unchanged(t, func() {
				_, _, err := b.call(alice, "ModifySecurityGroupRules", &api.ModifySecurityGroupRulesRequest{GroupId: web, SecurityGroupRules: row.updates})
				refused(t, err, row.code, row.field)
			})
		})
	}
}

func TestRuleDescriptions(t *testing.T) {
	b := newBench(t)
	web := b.group(b.vpc("10.0.0.0/16").VpcId, "web")
	rule := do[api.AuthorizeSecurityGroupIngressResult](b, &api.AuthorizeSecurityGroupIngressRequest{GroupId: web, IpPermissions: []api.IpPermission{tcp(1, "0.0.0.0/0")}}).SecurityGroupRules[0].SecurityGroupRuleId
	type request = api.UpdateSecurityGroupRuleDescriptionsIngressRequest
	byID := func(id, text string) []api.SecurityGroupRuleDescription {
		return []api.SecurityGroupRuleDescription{{SecurityGroupRuleId: id, Description: text}}
	}
	described := tcp(1, "9.9.9.9/0")
	described.IpRanges[0].Description = "by permission"
	for want, req := range map[string]*request{
		"by id":         {GroupId: web, SecurityGroupRuleDescriptions: byID(rule, "by id")},
		"by permission": {GroupId: web, IpPermissions: []api.IpPermission{described}},
		"":              {GroupId: web, IpPermissions: []api.IpPermission{tcp(1, "0.0.0.0/0")}},
	} {
		do[api.UpdateSecurityGroupRuleDescriptionsIngressResult](b, req)
		if got := b.rules("security-group-rule-id", rule)[0].Description; got != want {
			t.Errorf("description is %q, want %q", got, want)
		}
	}
	do[api.UpdateSecurityGroupRuleDescriptionsEgressResult](b, &api.UpdateSecurityGroupRuleDescriptionsEgressRequest{GroupId: web, IpPermissions: []api.IpPermission{{IpProtocol: "-1", IpRanges: []api.IpRange{{CidrIp: "0.0.0.0/0", Description: "out"}}}}})
	for _, row := range []struct {
		req         *request
		code, field string
	}{
		{&request{GroupId: web, SecurityGroupRuleDescriptions: byID("sgr-00000000", "x")}, "InvalidSecurityGroupRuleId.NotFound", "SecurityGroupRuleDescriptions.0.SecurityGroupRuleId"},
		{&request{GroupId: web, SecurityGroupRuleDescriptions: byID(rule, "\x00")}, "InvalidParameterValue", "SecurityGroupRuleDescriptions.0.Description"},
		{&request{GroupId: web, SecurityGroupRuleDescriptions: byID(rule, "x"), IpPermissions: []api.IpPermission{described}}, "InvalidParameterCombination", "SecurityGroupRuleDescriptions"},
		{&request{GroupId: web, IpPermissions: []api.IpPermission{tcp(2, "0.0.0.0/0")}}, "InvalidPermission.NotFound", "IpPermissions.0.IpRanges.0"},
		{&request{GroupId: web}, "MissingParameter", "IpPermissions"},
		{&request{}, "MissingParameter", "GroupId"},
	} {
		b.unchanged(t, func() {
			_, _, err := b.call(alice, "UpdateSecurityGroupRuleDescriptionsIngress", row.req)
			refused(t, err, row.code, row.field)
		})
	}
	_, _, err := b.call(alice, "DescribeSecurityGroupRules", &api.DescribeSecurityGroupRulesRequest{SecurityGroupRuleIds: []string{"sgr-00000000"}})
	refused(t, err, "InvalidSecurityGroupRuleId.NotFound", "SecurityGroupRuleIds.0")
}

// Of eight who authorize one rule at once, one makes it.
func TestAuthorizeRace(t *testing.T) {
	b := newBench(t)
	web := b.group(b.vpc("10.0.0.0/16").VpcId, "web")
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			_, _, errs[i] = b.call(alice, "AuthorizeSecurityGroupIngress", &api.AuthorizeSecurityGroupIngressRequest{GroupId: web, IpPermissions: []api.IpPermission{tcp(80, "0.0.0.0/0")}})
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		refused(t, err, "InvalidPermission.Duplicate", "IpPermissions.0.IpRanges.0")
	}
	if n := len(b.described(web).IpPermissions); won != 1 || n != 1 {
		t.Errorf("%d calls succeeded, %d rules are there, want 1 and 1", won, n)
	}
}

// In a default VPC groups have names for ids, and a permission that matches no
// rule is reported instead of refused.
func TestDefaultVpcGroups(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("172.31.0.0/16")
	key := record.Vpcs + vpc.VpcId
	rec, _ := store.Get[*record.Vpc](b.store.Snapshot(), key)
	changed := *rec
	changed.Vpc.IsDefault = api.Ptr(true)
	b.put(key, &changed)

	web := b.group("", "web")
	do[api.AuthorizeSecurityGroupIngressResult](b, &api.AuthorizeSecurityGroupIngressRequest{GroupName: "web", IpPermissions: []api.IpPermission{tcp(1, "0.0.0.0/0")}})
	res := do[api.RevokeSecurityGroupIngressResult](b, &api.RevokeSecurityGroupIngressRequest{GroupName: "web", IpPermissions: []api.IpPermission{tcp(1, "0.0.0.0/0"), tcp(2, "10.1.1.1/8")}})
	if u := res.UnknownIpPermissions; len(u) != 1 || *u[0].FromPort != 2 || u[0].IpRanges[0].CidrIp != "10.0.0.0/8" {
		t.Errorf("unknown permissions are %+v", u)
	}
	if left := b.described(web).IpPermissions; len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
	do[api.DeleteSecurityGroupResult](b, &api.DeleteSecurityGroupRequest{GroupName: "web"})
}
