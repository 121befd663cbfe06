package service

import (
	"strconv"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
	"pgregory.net/rapid"
)

func TestParseProtocol(t *testing.T) {
	for in, want := range map[string]string{
		"tcp": "tcp", "TCP": "tcp", "6": "tcp", "udp": "udp", "17": "udp", "icmp": "icmp", "1": "icmp",
		"-1": "-1", "all": "-1", "0": "0", "47": "47", "255": "255",
	} {
		if got, err := parseProtocol(in, "IpProtocol"); err != nil || got != want {
			t.Errorf("parseProtocol(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for in, code := range map[string]string{
		"": "MissingParameter", "tcpp": "InvalidParameterValue", "256": "InvalidParameterValue", "-2": "InvalidParameterValue",
		"06": "InvalidParameterValue", "+6": "InvalidParameterValue", " tcp": "InvalidParameterValue", "tcp\n": "InvalidParameterValue",
		"6.0": "InvalidParameterValue", "icmpv6": "UnsupportedOperation", "58": "UnsupportedOperation",
	} {
		_, err := parseProtocol(in, "IpProtocol")
		refused(t, err, code, "IpProtocol")
	}
}

func TestParsePorts(t *testing.T) {
	none := int32(-99) // stands for an absent number
	for _, row := range []struct {
		protocol string
		from, to int32
		want     [2]int32
		field    string // of the refusal, empty when accepted
	}{
		{"tcp", 443, 443, [2]int32{443, 443}, ""},
		{"udp", 0, 65535, [2]int32{0, 65535}, ""},
		{"tcp", 0, 0, [2]int32{0, 0}, ""},
		{"tcp", -1, -1, [2]int32{}, "p.FromPort"},
		{"tcp", 1, 65536, [2]int32{}, "p.ToPort"},
		{"tcp", 65536, 65536, [2]int32{}, "p.FromPort"},
		{"tcp", 443, 80, [2]int32{}, "p.FromPort"},
		{"tcp", none, none, [2]int32{}, "p.FromPort"},
		{"udp", 53, none, [2]int32{}, "p.ToPort"},
		{"icmp", none, none, [2]int32{-1, -1}, ""},
		{"icmp", -1, -1, [2]int32{-1, -1}, ""},
		{"icmp", 8, none, [2]int32{8, -1}, ""},
		{"icmp", 3, 4, [2]int32{3, 4}, ""},
		{"icmp", 255, 255, [2]int32{255, 255}, ""},
		{"icmp", 256, -1, [2]int32{}, "p.FromPort"},
		{"icmp", 0, 65535, [2]int32{}, "p.ToPort"},
		{"icmp", -1, 4, [2]int32{}, "p.FromPort"},
		{"icmp", -2, -1, [2]int32{}, "p.FromPort"},
		{"-1", 80, 90, [2]int32{-1, -1}, ""},
		{"47", none, none, [2]int32{-1, -1}, ""},
		{"47", 0, 0, [2]int32{-1, -1}, ""},
		{"47", 0, 65535, [2]int32{-1, -1}, ""},
		{"47", -1, -1, [2]int32{-1, -1}, ""},
		{"47", 80, 80, [2]int32{-1, -1}, ""},
		{"47", 0, 80, [2]int32{-1, -1}, ""},
		{"47", none, 80, [2]int32{-1, -1}, ""},
		{"47", -2, 65536, [2]int32{-1, -1}, ""},
	} {
		given := func(n int32) *int32 {
			if n == none {
				return nil
			}
			return &n
		}
		from, to, err := parsePorts(row.protocol, given(row.from), given(row.to), "p")
		if row.field != "" {
			refused(t, err, "InvalidParameterValue", row.field)
			continue
		}
		if err != nil || [2]int32{from, to} != row.want {
			t.Errorf("parsePorts(%s, %d, %d) = %d, %d, %v; want %v", row.protocol, row.from, row.to, from, to, err, row.want)
		}
	}
}

func TestPermissionText(t *testing.T) {
	for want, p := range map[string]permission{
		"peer: 10.0.0.0/8, TCP, from port: 80, to port: 90, ALLOW": {protocol: "tcp", from: 80, to: 90, cidr: "10.0.0.0/8"},
		"peer: sg-1, ALL, ALLOW":                                   {protocol: "-1", from: -1, to: -1, group: "sg-1"},
		"peer: 0.0.0.0/0, ICMP, type: 8, code: -1, ALLOW":          {protocol: "icmp", from: 8, to: -1, cidr: allIPv4},
		"peer: 0.0.0.0/0, protocol 47, ALLOW":                      {protocol: "47", from: -1, to: -1, cidr: allIPv4},
	} {
		if got := p.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestCheckText(t *testing.T) {
	for _, good := range []string{"", "web servers", "a. _-:/()#,@[]+=&;{}!$*Z9", strings.Repeat("x", 255)} {
		if err := checkText(good, "Description", "the description"); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"a\nb", "a\x00b", "é", "\u202e", "a<b", "a|b", "a'b", "a\"b", "a%b", "\xff", strings.Repeat("x", 256), strings.Repeat("x", 10<<20)} {
		refused(t, checkText(bad, "Description", "the description"), "InvalidParameterValue", "Description")
	}
}

// anyPermission draws a permission in one of the spellings a client may use,
// beside the same one in another spelling.
func anyPermission(t *rapid.T) (one, other api.IpPermission) {
	cidr := rapid.SampledFrom([][2]string{
		{"0.0.0.0/0", "10.1.2.3/0"}, {"10.0.0.0/8", "10.20.30.40/8"}, {"192.0.2.1/32", "192.0.2.1/32"}, {"10.0.1.0/24", "10.0.1.255/24"},
	}).Draw(t, "cidr")
	spelling := rapid.SampledFrom([][2]string{
		{"tcp", "6"}, {"udp", "UDP"}, {"icmp", "1"}, {"-1", "all"}, {"47", "47"},
	}).Draw(t, "protocol")
	one = api.IpPermission{IpProtocol: spelling[0], IpRanges: []api.IpRange{{CidrIp: cidr[0], Description: "one"}}}
	other = api.IpPermission{IpProtocol: spelling[1], IpRanges: []api.IpRange{{CidrIp: cidr[1]}}}
	switch spelling[0] {
	case "tcp", "udp":
		from := rapid.Int32Range(0, 20).Draw(t, "from")
		to := rapid.Int32Range(from, 20).Draw(t, "to")
		one.FromPort, one.ToPort, other.FromPort, other.ToPort = &from, &to, &from, &to
	case "icmp":
		kind := rapid.Int32Range(-1, 5).Draw(t, "type")
		one.FromPort, other.FromPort = &kind, &kind
		other.ToPort = api.Ptr[int32](-1)
	case "47":
		other.FromPort, other.ToPort = api.Ptr[int32](80), api.Ptr[int32](90)
	default:
		other.FromPort, other.ToPort = api.Ptr[int32](22), api.Ptr[int32](23)
	}
	return one, other
}

// What was authorized is described such that revoking the description leaves
// nothing, and any other spelling of a rule is found to be the same rule.
func TestRulesRoundTrip(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		id := do[api.CreateSecurityGroupResult](b, &api.CreateSecurityGroupRequest{GroupName: "g" + strconv.Itoa(n), Description: "d", VpcId: vpc.VpcId}).GroupId
		model := map[string]bool{}
		for range rapid.IntRange(1, 6).Draw(rt, "rules") {
			one, other := anyPermission(rt)
			wanted, err := ruleReader{group: nil}.list([]api.IpPermission{one})
			if err != nil {
				rt.Fatal(err)
			}
			key := wanted[0].permission.String()
			_, _, err = b.call(alice, "AuthorizeSecurityGroupIngress", &api.AuthorizeSecurityGroupIngressRequest{GroupId: id, IpPermissions: []api.IpPermission{one}})
			if model[key] != (err != nil) {
				rt.Fatalf("%s: present %v, but authorize answered %v", key, model[key], err)
			}
			model[key] = true
			_, _, err = b.call(alice, "AuthorizeSecurityGroupIngress", &api.AuthorizeSecurityGroupIngressRequest{GroupId: id, IpPermissions: []api.IpPermission{other}})
			refused(t, err, "InvalidPermission.Duplicate", "IpPermissions.0.IpRanges.0")
		}
		shown := do[api.DescribeSecurityGroupsResult](b, &api.DescribeSecurityGroupsRequest{GroupIds: []string{id}}).SecurityGroups[0].IpPermissions
		count := 0
		for _, p := range shown {
			count += len(p.IpRanges)
		}
		if count != len(model) {
			rt.Fatalf("%d rules described, %d authorized: %+v", count, len(model), shown)
		}
		do[api.RevokeSecurityGroupIngressResult](b, &api.RevokeSecurityGroupIngressRequest{GroupId: id, IpPermissions: shown})
		if left := do[api.DescribeSecurityGroupsResult](b, &api.DescribeSecurityGroupsRequest{GroupIds: []string{id}}).SecurityGroups[0].IpPermissions; len(left) != 0 {
			rt.Fatalf("left after revoking what was described: %+v", left)
		}
		do[api.DeleteSecurityGroupResult](b, &api.DeleteSecurityGroupRequest{GroupId: id})
	})
}
