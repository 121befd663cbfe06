package service

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func (b *bench) acl(vpcID string) string {
	b.t.Helper()
	return do[api.CreateNetworkAclResult](b, &api.CreateNetworkAclRequest{VpcId: vpcID}).NetworkAcl.NetworkAclId
}

// aclsBy are the ACLs that a filter keeps.
func (b *bench) aclsBy(filter, value string) []api.NetworkAcl {
	b.t.Helper()
	return do[api.DescribeNetworkAclsResult](b, &api.DescribeNetworkAclsRequest{Filters: []api.Filter{{Name: filter, Values: []string{value}}}}).NetworkAcls
}

func (b *bench) defaultAcl(vpcID string) string {
	b.t.Helper()
	for _, a := range b.aclsBy("vpc-id", vpcID) {
		if api.Val(a.IsDefault) {
			return a.NetworkAclId
		}
	}
	b.t.Fatalf("%s has no default ACL", vpcID)
	return ""
}

// association is what binds a subnet to its ACL.
func (b *bench) association(subnetID string) api.NetworkAclAssociation {
	b.t.Helper()
	for _, acl := range b.aclsBy("association.subnet-id", subnetID) {
		for _, a := range acl.Associations {
			if a.SubnetId == subnetID {
				return a
			}
		}
	}
	b.t.Fatalf("%s has no ACL", subnetID)
	return api.NetworkAclAssociation{}
}

func (b *bench) associate(subnetID, aclID string) string {
	b.t.Helper()
	return do[api.ReplaceNetworkAclAssociationResult](b, &api.ReplaceNetworkAclAssociationRequest{
		AssociationId: b.association(subnetID).NetworkAclAssociationId, NetworkAclId: aclID}).NewAssociationId
}

// entry is a valid entry, which edit changes.
func entry(aclID string, number int32, egress bool, edit ...func(*api.CreateNetworkAclEntryRequest)) *api.CreateNetworkAclEntryRequest {
	req := &api.CreateNetworkAclEntryRequest{
		NetworkAclId: aclID, RuleNumber: &number, Egress: &egress, RuleAction: "allow", Protocol: "6", CidrBlock: "10.0.0.0/8",
		PortRange: &api.PortRange{From: api.Ptr[int32](80), To: api.Ptr[int32](81)},
	}
	for _, e := range edit {
		e(req)
	}
	return req
}

// entryLine is an entry as a person would note it down.
func entryLine(e *api.NetworkAclEntry) string {
	text := fmt.Sprintf("%s %d %s %s %s", map[bool]string{true: "out", false: "in"}[*e.Egress], *e.RuleNumber, e.RuleAction, e.Protocol, e.CidrBlock)
	if e.PortRange != nil {
		text += fmt.Sprintf(" ports %d-%d", *e.PortRange.From, *e.PortRange.To)
	}
	if e.IcmpTypeCode != nil {
		text += fmt.Sprintf(" icmp %d/%d", *e.IcmpTypeCode.Type, *e.IcmpTypeCode.Code)
	}
	return text
}

func (b *bench) entries(aclID string) []string {
	b.t.Helper()
	acl := do[api.DescribeNetworkAclsResult](b, &api.DescribeNetworkAclsRequest{NetworkAclIds: []string{aclID}}).NetworkAcls[0]
	var out []string
	for i := range acl.Entries {
		out = append(out, entryLine(&acl.Entries[i]))
	}
	return out
}

const closeOut, closeIn = "out 32767 deny -1 0.0.0.0/0", "in 32767 deny -1 0.0.0.0/0"

func TestNewAclDeniesEverything(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	req := &api.CreateNetworkAclRequest{VpcId: vpc.VpcId, ClientToken: "t", TagSpecifications: tagSpec("network-acl", api.Tag{Key: "Name", Value: "strict"})}
	res := do[api.CreateNetworkAclResult](b, req)
	acl := res.NetworkAcl
	if api.Val(acl.IsDefault) || acl.VpcId != vpc.VpcId || acl.OwnerId != alice.Account || nameTag(acl.Tags) != "strict" || res.ClientToken != "t" {
		t.Errorf("created %+v", acl)
	}
	if got := b.entries(acl.NetworkAclId); !slices.Equal(got, []string{closeOut, closeIn}) {
		t.Errorf("entries %q", got)
	}
	b.unchanged(t, func() {
		if again := do[api.CreateNetworkAclResult](b, req).NetworkAcl.NetworkAclId; again != acl.NetworkAclId {
			t.Errorf("the same token made %s and %s", acl.NetworkAclId, again)
		}
		other := *req
		other.TagSpecifications = nil
		_, _, err := b.call(alice, "CreateNetworkAcl", &other)
		refused(t, err, "IdempotentParameterMismatch", "ClientToken")
		_, _, err = b.call(alice, "CreateNetworkAcl", &api.CreateNetworkAclRequest{VpcId: vpc.VpcId, DryRun: api.Ptr(true)})
		refused(t, err, "DryRunOperation", "")
		_, _, err = b.call(bob, "CreateNetworkAcl", &api.CreateNetworkAclRequest{VpcId: vpc.VpcId})
		refused(t, err, "InvalidVpcID.NotFound", "VpcId")
		_, _, err = b.call(alice, "CreateNetworkAcl", &api.CreateNetworkAclRequest{VpcId: vpc.VpcId, TagSpecifications: tagSpec("vpc", api.Tag{Key: "a"})})
		refused(t, err, "InvalidParameterValue", "TagSpecifications.0.ResourceType")
	})
	do[api.DeleteNetworkAclResult](b, &api.DeleteNetworkAclRequest{NetworkAclId: acl.NetworkAclId})
	if fresh := do[api.CreateNetworkAclResult](b, req).NetworkAcl.NetworkAclId; fresh == acl.NetworkAclId {
		t.Error("a token of a deleted ACL still stands for it")
	}
}

// Whatever form a request has, the record has one.
func TestEntryForms(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	type request = api.CreateNetworkAclEntryRequest
	icmp := func(kind, code int32) func(*request) {
		return func(r *request) {
			r.Protocol, r.IcmpTypeCode = "1", &api.IcmpTypeCode{Type: &kind, Code: &code}
		}
	}
	protocol := func(p string) func(*request) { return func(r *request) { r.Protocol = p } }
	for want, edit := range map[string]func(*request){
		"in 5 allow 6 10.0.0.0/8 ports 80-81":     func(*request) {},
		"in 5 deny 6 10.0.0.0/8 ports 80-81":      func(r *request) { r.RuleAction = "deny" },
		"in 5 allow 6 10.128.0.0/9 ports 80-81":   func(r *request) { r.CidrBlock = "10.200.3.4/9" },
		"in 5 allow 17 10.0.0.0/8 ports 80-81":    protocol("udp"),
		"in 5 allow 6 0.0.0.0/0 ports 0-65535":    func(r *request) { r.CidrBlock, *r.PortRange.From, *r.PortRange.To = "1.2.3.4/0", 0, 65535 },
		"in 5 allow -1 10.0.0.0/8":                protocol("-1"),
		"in 5 deny -1 10.0.0.0/8":                 func(r *request) { r.Protocol, r.RuleAction = "all", "deny" },
		"in 5 allow 47 10.0.0.0/8":                protocol("47"),
		"in 5 allow 0 10.0.0.0/8":                 protocol("0"),
		"in 5 allow 255 10.0.0.0/8":               protocol("255"),
		"in 5 allow 58 10.0.0.0/8":                protocol("58"),
		"in 5 allow 1 10.0.0.0/8 icmp 8/0":        icmp(8, 0),
		"in 5 allow 1 10.0.0.0/8 icmp -1/-1":      icmp(-1, -1),
		"in 5 allow 1 10.0.0.0/8 icmp 3/-1":       icmp(3, -1),
		"in 5 deny 1 10.0.0.0/8 icmp 255/255":     func(r *request) { icmp(255, 255)(r); r.Protocol, r.RuleAction = "icmp", "deny" },
		"out 5 allow 6 10.0.0.0/8 ports 80-81":    func(r *request) { r.Egress = api.Ptr(true) },
		"in 1 allow 6 10.0.0.0/8 ports 80-81":     func(r *request) { r.RuleNumber = api.Ptr[int32](1) },
		"in 32766 allow 6 10.0.0.0/8 ports 80-81": func(r *request) { r.RuleNumber = api.Ptr[int32](32766) },
	} {
		id := b.acl(vpc.VpcId)
		do[api.CreateNetworkAclEntryResult](b, entry(id, 5, false, edit))
		wanted := []string{closeOut, want, closeIn}
		if strings.HasPrefix(want, "out") {
			wanted = []string{want, closeOut, closeIn}
		}
		if got := b.entries(id); !slices.Equal(got, wanted) {
			t.Errorf("have %q, want %q", got, wanted)
		}
		do[api.DeleteNetworkAclResult](b, &api.DeleteNetworkAclRequest{NetworkAclId: id})
	}
}

func TestEntryRefusals(t *testing.T) {
	b := newBench(t)
	id := b.acl(b.vpc("10.0.0.0/16").VpcId)
	do[api.CreateNetworkAclEntryResult](b, entry(id, 100, false))
	type request = api.CreateNetworkAclEntryRequest
	ports := func(from, to *int32) func(*request) {
		return func(r *request) { r.PortRange = &api.PortRange{From: from, To: to} }
	}
	icmp := func(kind, code *int32) func(*request) {
		return func(r *request) { r.Protocol, r.IcmpTypeCode = "1", &api.IcmpTypeCode{Type: kind, Code: code} }
	}
	n := api.Ptr[int32]
	for name, row := range map[string]struct {
		edit        func(*request)
		code, field string
	}{
		"taken":          {func(r *request) { r.RuleNumber = n(100) }, "NetworkAclEntryAlreadyExists", "RuleNumber"},
		"number 0":       {func(r *request) { r.RuleNumber = n(0) }, "InvalidParameterValue", "RuleNumber"},
		"number -1":      {func(r *request) { r.RuleNumber = n(-1) }, "InvalidParameterValue", "RuleNumber"},
		"number 32767":   {func(r *request) { r.RuleNumber = n(32767) }, "InvalidParameterValue", "RuleNumber"},
		"number 32768":   {func(r *request) { r.RuleNumber = n(32768) }, "InvalidParameterValue", "RuleNumber"},
		"no number":      {func(r *request) { r.RuleNumber = nil }, "MissingParameter", "RuleNumber"},
		"no direction":   {func(r *request) { r.Egress = nil }, "MissingParameter", "Egress"},
		"no action":      {func(r *request) { r.RuleAction = "" }, "MissingParameter", "RuleAction"},
		"action":         {func(r *request) { r.RuleAction = "reject" }, "InvalidParameterValue", "RuleAction"},
		"no protocol":    {func(r *request) { r.Protocol = "" }, "MissingParameter", "Protocol"},
		"protocol 256":   {func(r *request) { r.Protocol = "256" }, "InvalidParameterValue", "Protocol"},
		"protocol -2":    {func(r *request) { r.Protocol = "-2" }, "InvalidParameterValue", "Protocol"},
		"protocol 06":    {func(r *request) { r.Protocol = "06" }, "InvalidParameterValue", "Protocol"},
		"protocol +6":    {func(r *request) { r.Protocol = "+6" }, "InvalidParameterValue", "Protocol"},
		"protocol name":  {func(r *request) { r.Protocol = "gre\u202e" }, "InvalidParameterValue", "Protocol"},
		"no CIDR":        {func(r *request) { r.CidrBlock = "" }, "MissingParameter", "CidrBlock"},
		"CIDR":           {func(r *request) { r.CidrBlock = "10.0.0.0/33" }, "InvalidParameterValue", "CidrBlock"},
		"CIDR octal":     {func(r *request) { r.CidrBlock = "010.0.0.0/8" }, "InvalidParameterValue", "CidrBlock"},
		"IPv6 as CIDR":   {func(r *request) { r.CidrBlock = "::/0" }, "InvalidParameterValue", "CidrBlock"},
		"IPv6":           {func(r *request) { r.CidrBlock, r.Ipv6CidrBlock = "", "::/0" }, "UnsupportedOperation", "Ipv6CidrBlock"},
		"both CIDRs":     {func(r *request) { r.Ipv6CidrBlock = "::/0" }, "InvalidParameterCombination", "Ipv6CidrBlock"},
		"no ports":       {func(r *request) { r.PortRange = nil }, "MissingParameter", "PortRange"},
		"no first port":  {ports(nil, n(1)), "MissingParameter", "PortRange.From"},
		"no last port":   {ports(n(1), nil), "MissingParameter", "PortRange.To"},
		"port -1":        {ports(n(-1), n(1)), "InvalidParameterValue", "PortRange.From"},
		"port 65536":     {ports(n(1), n(65536)), "InvalidParameterValue", "PortRange.To"},
		"ports reversed": {ports(n(2), n(1)), "InvalidParameterValue", "PortRange.From"},
		"no ICMP":        {func(r *request) { r.Protocol = "1" }, "MissingParameter", "IcmpTypeCode"},
		"no type":        {icmp(nil, n(0)), "MissingParameter", "IcmpTypeCode.Type"},
		"no code":        {icmp(n(8), nil), "MissingParameter", "IcmpTypeCode.Code"},
		"type 256":       {icmp(n(256), n(0)), "InvalidParameterValue", "IcmpTypeCode.Type"},
		"type -2":        {icmp(n(-2), n(0)), "InvalidParameterValue", "IcmpTypeCode.Type"},
		"code 256":       {icmp(n(8), n(256)), "InvalidParameterValue", "IcmpTypeCode.Code"},
		"code of any":    {icmp(n(-1), n(0)), "InvalidParameterValue", "IcmpTypeCode.Code"},
		"no ACL":         {func(r *request) { r.NetworkAclId = "" }, "MissingParameter", "NetworkAclId"},
		"ACL":            {func(r *request) { r.NetworkAclId = "acl-x" }, "InvalidNetworkAclId.Malformed", "NetworkAclId"},
		"ACL unknown":    {func(r *request) { r.NetworkAclId = "acl-00000000" }, "InvalidNetworkAclID.NotFound", "NetworkAclId"},
	} {
		t.Run(name, func(t *testing.T) {
			b.unchanged(t, func() {
				req := entry(id, 5, false, row.edit)
				_, _, err := b.call(alice, "CreateNetworkAclEntry", req)
				refused(t, err, row.code, row.field)
				if name == "taken" {
					return
				}
				same := api.ReplaceNetworkAclEntryRequest(*req)
				_, _, err = b.call(alice, "ReplaceNetworkAclEntry", &same)
				refused(t, err, row.code, row.field)
			})
		})
	}
}

func TestReplaceAndDeleteEntries(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	id := b.defaultAcl(vpc.VpcId)
	change := api.ReplaceNetworkAclEntryRequest(*entry(id, 100, false))
	do[api.ReplaceNetworkAclEntryResult](b, &change)
	do[api.DeleteNetworkAclEntryResult](b, &api.DeleteNetworkAclEntryRequest{NetworkAclId: id, RuleNumber: api.Ptr[int32](100), Egress: api.Ptr(true)})
	want := []string{closeOut, "in 100 allow 6 10.0.0.0/8 ports 80-81", closeIn}
	if got := b.entries(id); !slices.Equal(got, want) {
		t.Errorf("the default ACL has %q, want %q", got, want)
	}
	absent := api.ReplaceNetworkAclEntryRequest(*entry(id, 100, true))
	for _, row := range []struct {
		req  any
		code string
	}{
		{&absent, "InvalidNetworkAclEntry.NotFound"},
		{&api.DeleteNetworkAclEntryRequest{NetworkAclId: id, RuleNumber: api.Ptr[int32](100), Egress: api.Ptr(true)}, "InvalidNetworkAclEntry.NotFound"},
		{&api.DeleteNetworkAclEntryRequest{NetworkAclId: id, RuleNumber: api.Ptr[int32](32767), Egress: api.Ptr(true)}, "InvalidParameterValue"},
	} {
		b.unchanged(t, func() {
			_, _, err := b.call(alice, actionOf(row.req), row.req)
			refused(t, err, row.code, "RuleNumber")
		})
	}
	b.unchanged(t, func() {
		_, _, err := b.call(alice, "DeleteNetworkAcl", &api.DeleteNetworkAclRequest{NetworkAclId: id})
		refused(t, err, "InvalidParameterValue", "NetworkAclId")
		_, _, err = b.call(bob, "DeleteNetworkAclEntry", &api.DeleteNetworkAclEntryRequest{NetworkAclId: id, RuleNumber: api.Ptr[int32](100), Egress: api.Ptr(false)})
		refused(t, err, "InvalidNetworkAclID.NotFound", "NetworkAclId")
	})
	do[api.DeleteVpcResult](b, &api.DeleteVpcRequest{VpcId: vpc.VpcId})
}

// The quotas count what a user made: neither the closing entries nor, in the
// other direction, anything.
func TestAclQuotas(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	id := b.acl(vpc.VpcId)
	for number := range int32(20) {
		do[api.CreateNetworkAclEntryResult](b, entry(id, number+1, false))
	}
	b.unchanged(t, func() {
		_, _, err := b.call(alice, "CreateNetworkAclEntry", entry(id, 21, false))
		refused(t, err, "NetworkAclEntryLimitExceeded", "NetworkAclId")
	})
	do[api.CreateNetworkAclEntryResult](b, entry(id, 21, true))
	change := api.ReplaceNetworkAclEntryRequest(*entry(id, 20, false))
	do[api.ReplaceNetworkAclEntryResult](b, &change)
	do[api.ModifyLimitResult](b, &api.ModifyLimitRequest{Name: "rules-per-acl", Value: api.Ptr[int64](21)})
	do[api.CreateNetworkAclEntryResult](b, entry(id, 21, false))

	do[api.ModifyLimitResult](b, &api.ModifyLimitRequest{Name: "acls-per-vpc", Value: api.Ptr[int64](4)})
	got := together(6, func(int) error {
		_, _, err := b.call(alice, "CreateNetworkAcl", &api.CreateNetworkAclRequest{VpcId: vpc.VpcId})
		return err
	})
	if got[""] != 2 || got["NetworkAclLimitExceeded"] != 4 {
		t.Errorf("beside two ACLs, of a limit of four: %v", got)
	}
}

func TestReplaceAssociation(t *testing.T) {
	b := newBench(t)
	vpc, elsewhere := b.vpc("10.0.0.0/16"), b.vpc("10.0.0.0/16")
	web := do[api.CreateSubnetResult](b, &api.CreateSubnetRequest{VpcId: vpc.VpcId, CidrBlock: "10.0.1.0/24",
		TagSpecifications: tagSpec("subnet", api.Tag{Key: "Name", Value: "web"})}).Subnet.SubnetId
	strict := b.acl(vpc.VpcId)
	first := b.association(web)
	second := b.associate(web, strict)
	if now := b.association(web); now.NetworkAclId != strict || now.NetworkAclAssociationId != second || second == first.NetworkAclAssociationId || !wellFormed(second, "aclassoc-") {
		t.Errorf("associated as %+v, answered %s", now, second)
	}
	if third := b.associate(web, strict); third == second {
		t.Error("the same ACL again has the same association")
	}
	third := b.association(web).NetworkAclAssociationId
	for _, row := range []struct{ association, acl, code, field string }{
		{first.NetworkAclAssociationId, strict, "InvalidAssociationID.NotFound", "AssociationId"},
		{"aclassoc-x", strict, "InvalidAssociationID.Malformed", "AssociationId"},
		{third, "acl-00000000", "InvalidNetworkAclID.NotFound", "NetworkAclId"},
		{third, "acl", "InvalidNetworkAclId.Malformed", "NetworkAclId"},
		{third, b.defaultAcl(elsewhere.VpcId), "InvalidParameterValue", "NetworkAclId"},
		{"", strict, "MissingParameter", "AssociationId"},
	} {
		b.unchanged(t, func() {
			_, _, err := b.call(alice, "ReplaceNetworkAclAssociation", &api.ReplaceNetworkAclAssociationRequest{AssociationId: row.association, NetworkAclId: row.acl})
			refused(t, err, row.code, row.field)
		})
	}
	b.unchanged(t, func() {
		_, _, err := b.call(bob, "ReplaceNetworkAclAssociation", &api.ReplaceNetworkAclAssociationRequest{AssociationId: third, NetworkAclId: strict})
		refused(t, err, "InvalidAssociationID.NotFound", "AssociationId")
		_, _, err = b.call(alice, "DeleteNetworkAcl", &api.DeleteNetworkAclRequest{NetworkAclId: strict})
		e := refused(t, err, "DependencyViolation", "NetworkAclId")
		if len(e.BlockedBy) != 1 || e.BlockedBy[0] != (api.Blocker{Kind: "subnet", Id: web, Name: "web"}) {
			t.Errorf("blocked by %+v", e.BlockedBy)
		}
	})
	b.associate(web, b.defaultAcl(vpc.VpcId))
	do[api.DeleteNetworkAclResult](b, &api.DeleteNetworkAclRequest{NetworkAclId: strict})
	checkInvariants(t, b.store.Snapshot())
}

func TestOneOfManyReplacementsWins(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	web := b.subnet(vpc.VpcId, "10.0.1.0/24").SubnetId
	acls := []string{b.acl(vpc.VpcId), b.acl(vpc.VpcId)}
	for range 10 {
		old := b.association(web).NetworkAclAssociationId
		got := together(4, func(i int) error {
			_, _, err := b.call(alice, "ReplaceNetworkAclAssociation", &api.ReplaceNetworkAclAssociationRequest{AssociationId: old, NetworkAclId: acls[i%2]})
			return err
		})
		if got[""] != 1 || got["InvalidAssociationID.NotFound"] != 3 {
			t.Errorf("answers %v", got)
		}
		checkInvariants(t, b.store.Snapshot())
	}
}

// A replacement is interrupted by what takes away one of its ends, and the
// other way round.
func TestReplacementMeetsDeletions(t *testing.T) {
	type world struct{ subnet, from, to, association string }
	replace := func(w world) any {
		return &api.ReplaceNetworkAclAssociationRequest{AssociationId: w.association, NetworkAclId: w.to}
	}
	for _, row := range []struct {
		name         string
		outer, inner func(world) any
		code, field  string
	}{
		{"the new ACL goes", replace, func(w world) any { return &api.DeleteNetworkAclRequest{NetworkAclId: w.to} }, "InvalidNetworkAclID.NotFound", "NetworkAclId"},
		{"the subnet goes", replace, func(w world) any { return &api.DeleteSubnetRequest{SubnetId: w.subnet} }, "InvalidAssociationID.NotFound", "AssociationId"},
		{"another replacement", replace, replace, "InvalidAssociationID.NotFound", "AssociationId"},
		{"the ACL being deleted gets a subnet", func(w world) any { return &api.DeleteNetworkAclRequest{NetworkAclId: w.to} }, replace, "DependencyViolation", "NetworkAclId"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b, interrupt := between(t)
			vpc := b.vpc("10.0.0.0/16")
			w := world{subnet: b.subnet(vpc.VpcId, "10.0.1.0/24").SubnetId, from: b.defaultAcl(vpc.VpcId), to: b.acl(vpc.VpcId)}
			w.association = b.association(w.subnet).NetworkAclAssociationId
			interrupt(func() {
				if _, _, err := b.call(alice, actionOf(row.inner(w)), row.inner(w)); err != nil {
					t.Errorf("the inner call: %v", err)
				}
			})
			_, _, err := b.call(alice, actionOf(row.outer(w)), row.outer(w))
			refused(t, err, row.code, row.field)
			checkInvariants(t, b.store.Snapshot())
		})
	}
}

func TestAclFilters(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	id := b.acl(vpc.VpcId)
	do[api.CreateNetworkAclEntryResult](b, entry(id, 7, true))
	do[api.CreateNetworkAclEntryResult](b, entry(id, 8, false, func(r *api.CreateNetworkAclEntryRequest) {
		r.Protocol, r.IcmpTypeCode = "1", &api.IcmpTypeCode{Type: api.Ptr[int32](3), Code: api.Ptr[int32](4)}
	}))
	do[api.CreateTagsResult](b, &api.CreateTagsRequest{Resources: []string{id}, Tags: []api.Tag{{Key: "k", Value: "v"}}})
	for filter, value := range map[string]string{
		"default": "false", "network-acl-id": id, "entry.rule-number": "7", "entry.protocol": "tcp", "entry.port-range.from": "80", "entry.port-range.to": "81",
		"entry.icmp.type": "3", "entry.icmp.code": "4", "entry.cidr": "10.0.0.0/8", "tag:k": "v", "tag-key": "k",
	} {
		if got := b.aclsBy(filter, value); len(got) != 1 || got[0].NetworkAclId != id {
			t.Errorf("%s=%s gives %d", filter, value, len(got))
		}
	}
	for filter, value := range map[string]string{"entry.protocol": "6", "entry.egress": "true", "entry.rule-action": "deny", "owner-id": alice.Account, "vpc-id": vpc.VpcId} {
		if got := b.aclsBy(filter, value); len(got) == 0 {
			t.Errorf("%s=%s gives nothing", filter, value)
		}
	}
	if got := b.aclsBy("entry.ipv6-cidr", "*"); len(got) != 0 {
		t.Errorf("ACLs for IPv6: %+v", got)
	}
}

// TestEntriesAreTheModel: after any calls an ACL has what a map from number to
// entry has, in order, between them the closing entries.
func TestEntriesAreTheModel(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	do[api.ModifyLimitResult](b, &api.ModifyLimitRequest{Name: "rules-per-acl", Value: api.Ptr[int64](4)})
	rapid.Check(t, func(r *rapid.T) {
		id := b.acl(vpc.VpcId)
		model := map[bool]map[int32]string{true: {}, false: {}}
		for range rapid.IntRange(1, 20).Draw(r, "steps") {
			egress, number := rapid.Bool().Draw(r, "egress"), rapid.Int32Range(0, 7).Draw(r, "number")
			create := entry(id, number, egress, func(req *api.CreateNetworkAclEntryRequest) {
				req.RuleAction = rapid.SampledFrom([]string{"allow", "deny"}).Draw(r, "action")
			})
			replace := api.ReplaceNetworkAclEntryRequest(*create)
			line := fmt.Sprintf("%d %s", number, create.RuleAction)
			_, there := model[egress][number]
			want := ""
			var req any
			switch rapid.IntRange(0, 3).Draw(r, "action") {
			case 0, 1:
				req = create
				switch {
				case there:
					want = "NetworkAclEntryAlreadyExists"
				case len(model[egress]) == 4:
					want = "NetworkAclEntryLimitExceeded"
				}
			case 2:
				req = &replace
				if !there {
					want = "InvalidNetworkAclEntry.NotFound"
				}
			default:
				req = &api.DeleteNetworkAclEntryRequest{NetworkAclId: id, RuleNumber: &number, Egress: &egress}
				line = ""
				if !there {
					want = "InvalidNetworkAclEntry.NotFound"
				}
			}
			if number == 0 {
				want = "InvalidParameterValue"
			}
			_, _, err := b.call(alice, actionOf(req), req)
			if have := codeOf(err); have != want {
				r.Fatalf("%s %d: %q, want %q", actionOf(req), number, have, want)
			}
			if want == "" {
				delete(model[egress], number)
				if line != "" {
					model[egress][number] = line
				}
			}
		}
		checkEntries(r, b, id, model)
		do[api.DeleteNetworkAclResult](b, &api.DeleteNetworkAclRequest{NetworkAclId: id})
	})
}

func checkEntries(r *rapid.T, b *bench, id string, model map[bool]map[int32]string) {
	var want, have []string
	for _, egress := range []bool{true, false} {
		for number := range int32(8) {
			if line, ok := model[egress][number]; ok {
				want = append(want, fmt.Sprint(egress, " ", line))
			}
		}
		want = append(want, fmt.Sprint(egress, " 32767 deny"))
	}
	for _, e := range b.aclsBy("network-acl-id", id)[0].Entries {
		have = append(have, fmt.Sprintf("%t %d %s", *e.Egress, *e.RuleNumber, e.RuleAction))
	}
	if !slices.Equal(have, want) {
		r.Fatalf("have %q\nwant %q", have, want)
	}
}
