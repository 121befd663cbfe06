package storm

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// rule is one rule of a security group. The mark is its description: rules are
// found again by it, also by a caller whose last answer was lost.
type rule struct {
	proto, remote, mark string
	lo, hi              int32
}

// udp is a rule for one port; remote is a prefix, a group or a prefix list.
func udp(mark string, port int32, remote string) rule { return rule{"udp", remote, mark, port, port} }

func (r rule) over(proto string) rule { r.proto = proto; return r }

func (r rule) ports() (lo, hi *int32) {
	if r.proto == "udp" || r.proto == "tcp" || r.proto == "icmp" {
		return api.Ptr(r.lo), api.Ptr(r.hi)
	}
	return nil, nil
}

func (r rule) permission() api.IpPermission {
	p := api.IpPermission{IpProtocol: r.proto}
	p.FromPort, p.ToPort = r.ports()
	switch {
	case strings.HasPrefix(r.remote, "sg-"):
		p.UserIdGroupPairs = []api.UserIdGroupPair{{GroupId: r.remote, Description: r.mark}}
	case strings.HasPrefix(r.remote, "pl-"):
		p.PrefixListIds = []api.PrefixListId{{PrefixListId: r.remote, Description: r.mark}}
	default:
		p.IpRanges = []api.IpRange{{CidrIp: r.remote, Description: r.mark}}
	}
	return p
}

func (r rule) update(id string) api.SecurityGroupRuleUpdate {
	u := &api.SecurityGroupRuleRequest{IpProtocol: r.proto, Description: r.mark}
	u.FromPort, u.ToPort = r.ports()
	switch {
	case strings.HasPrefix(r.remote, "sg-"):
		u.ReferencedGroupId = r.remote
	case strings.HasPrefix(r.remote, "pl-"):
		u.PrefixListId = r.remote
	default:
		u.CidrIpv4 = r.remote
	}
	return api.SecurityGroupRuleUpdate{SecurityGroupRuleId: id, SecurityGroupRule: u}
}

func (w *world) authorize(group string, egress bool, r rule) {
	const there = "InvalidPermission.Duplicate"
	permissions := []api.IpPermission{r.permission()}
	if egress {
		call[api.AuthorizeSecurityGroupEgressRequest, api.AuthorizeSecurityGroupEgressResult](w.caller,
			&api.AuthorizeSecurityGroupEgressRequest{GroupId: group, IpPermissions: permissions}, there)
		return
	}
	call[api.AuthorizeSecurityGroupIngressRequest, api.AuthorizeSecurityGroupIngressResult](w.caller,
		&api.AuthorizeSecurityGroupIngressRequest{GroupId: group, IpPermissions: permissions}, there)
}

func (w *world) revoke(group string, egress bool, rules ...api.SecurityGroupRule) {
	const gone = "InvalidSecurityGroupRuleId.NotFound"
	var ids []string
	for _, r := range rules {
		if *r.IsEgress == egress {
			ids = append(ids, r.SecurityGroupRuleId)
		}
	}
	switch {
	case len(ids) == 0:
	case egress:
		call[api.RevokeSecurityGroupEgressRequest, api.RevokeSecurityGroupEgressResult](w.caller,
			&api.RevokeSecurityGroupEgressRequest{GroupId: group, SecurityGroupRuleIds: ids}, gone)
	default:
		call[api.RevokeSecurityGroupIngressRequest, api.RevokeSecurityGroupIngressResult](w.caller,
			&api.RevokeSecurityGroupIngressRequest{GroupId: group, SecurityGroupRuleIds: ids}, gone)
	}
}

// modify changes rules of one group, of both directions, in one call.
func (w *world) modify(group string, updates ...api.SecurityGroupRuleUpdate) {
	call[api.ModifySecurityGroupRulesRequest, api.ModifySecurityGroupRulesResult](w.caller,
		&api.ModifySecurityGroupRulesRequest{GroupId: group, SecurityGroupRules: updates})
}

// find lists the rules of a group with a mark.
func (w *world) find(group, mark string) (out []api.SecurityGroupRule) {
	all := call[api.DescribeSecurityGroupRulesRequest, api.DescribeSecurityGroupRulesResult](w.caller,
		&api.DescribeSecurityGroupRulesRequest{Filters: []api.Filter{{Name: "group-id", Values: []string{group}}}})
	for _, r := range all.SecurityGroupRules {
		if r.Description == mark {
			out = append(out, r)
		}
	}
	return out
}

// swapped are allowed flows whose rules are exchanged for others.
var swapped = []string{"tracked", "untracked", "anew"}

// form is a random rule that allows one of them, and no trap.
func (w *world) form(flow string, egress bool) rule {
	port := map[string]int32{"tracked": tracked, "untracked": untracked, "anew": anew}[flow]
	r := rule{"udp", "", flow, port - w.rng.Int32N(reach), port + w.rng.Int32N(reach)}
	peer := w.from
	if egress {
		peer = w.to
	}
	switch n := w.rng.IntN(6); {
	case flow == "untracked":
		r.remote = "0.0.0.0/0"
	case n == 0:
		r.remote = peer.own
	case n == 1:
		r.remote = w.lists["both"].id
	default:
		r.remote = w.around(peer.at)
	}
	return r
}

// around is a random prefix that holds an address.
func (w *world) around(a netip.Addr) string {
	p, _ := a.Prefix([]int{32, 31, 28, 24, 16}[w.rng.IntN(5)]) // the lengths are right
	return p.String()
}

// noise is a rule of other ports and protocols than the flows have, and never
// the same one twice.
func (w *world) noise() rule {
	w.noises++
	r := rule{proto: []string{"tcp", "udp", "icmp", "47"}[w.rng.IntN(4)], mark: "noise", lo: 20000 + w.noises%10000}
	r.hi = r.lo + w.rng.Int32N(1000)
	r.remote = fmt.Sprintf("11.%d.%d.0/24", w.noises/256%256, w.noises%256)
	switch n := w.rng.IntN(4); {
	case r.proto == "icmp":
		r.lo, r.hi = w.rng.Int32N(40), -1
	case r.proto == "47":
	case n == 0:
		r.remote = w.every[w.rng.IntN(len(w.every))]
	case n == 1:
		r.remote = w.lists[[]string{"both", "trap"}[w.rng.IntN(2)]].id
	case n == 2:
		r.remote = "0.0.0.0/0"
	}
	return r
}

// junk is a prefix of nobody.
func (w *world) junk() string {
	return fmt.Sprintf("10.%d.%d.0/24", 1+w.rng.IntN(200), w.rng.IntN(256))
}
