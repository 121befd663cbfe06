package cli

import "github.com/vpcfabric/vpc/vpcd/api"

// Where clients have their own ports: answers go there, and services are below.
const (
	firstOwnPort = 1024
	lastPort     = 65535
)

// warnNoAnswers tells people that a network ACL which subnets have lets TCP
// connections begin in one direction and refuses their answers in the other: it
// knows nothing of connections. It is best effort.
func (s *session) warnNoAnswers(acl object) {
	res, err := ask[api.DescribeNetworkAclsResult](s, "DescribeNetworkAcls", &api.DescribeNetworkAclsRequest{NetworkAclIds: []string{acl.id}})
	if err != nil || len(res.NetworkAcls) != 1 || len(res.NetworkAcls[0].Associations) == 0 {
		return
	}
	entries := res.NetworkAcls[0].Entries
	for _, w := range []struct {
		out                 bool
		begins, back, peers string
	}{
		{true, "out", "in", "from"},
		{false, "in", "out", "to"},
	} {
		if allowsTCP(entries, w.out, 0, firstOwnPort-1) && !allowsTCP(entries, !w.out, firstOwnPort, lastPort) {
			s.warn("%s has rules that let TCP %s, and none that lets its answers %s, which go to ports from %d: vpc acl rule add %s --%s NUMBER allow tcp/%d-%d --%s 0.0.0.0/0",
				acl, w.begins, w.back, firstOwnPort, acl.arg(), w.back, firstOwnPort, lastPort, w.peers)
		}
	}
}

// allowsTCP reports whether a rule of one direction allows TCP over IPv4 to some of
// these ports, whatever rules with lower numbers say.
func allowsTCP(entries []api.NetworkAclEntry, egress bool, first, last int32) bool {
	for i := range entries {
		e := &entries[i]
		if api.Val(e.Egress) != egress || e.RuleAction != api.RuleActionAllow || e.CidrBlock == "" {
			continue
		}
		switch aclTraffic(e).protocol {
		case "all", "-1":
			return true
		case "tcp":
			if e.PortRange == nil || api.Val(e.PortRange.From) <= last && api.Val(e.PortRange.To) >= first {
				return true
			}
		}
	}
	return false
}
