package cli

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// traffic is the PROTO[/PORTS] part of a rule as EC2 spells it: for icmp from
// and to are type and code, -1 for any; nil where a protocol has no ports.
type traffic struct {
	protocol string
	from, to *int32
}

// maxPort is the last port.
const maxPort = 65535

// protocolNames are the protocols with a name of their own, by number.
var protocolNames = map[string]string{"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6"}

// parseTraffic reads tcp/443, tcp/8000-8100, udp/53, tcp, icmp, icmp/8,
// icmp/8/0, 47 and all. What does not follow the syntax is a usage error;
// whether the numbers make sense is left to the daemon.
func parseTraffic(text string) (traffic, error) {
	protocol, rest, hasRest := strings.Cut(text, "/")
	if name, ok := protocolNames[protocol]; ok {
		protocol = name
	}
	switch protocol {
	case "tcp", "udp":
		if !hasRest {
			return traffic{protocol, api.Ptr(int32(0)), api.Ptr(int32(maxPort))}, nil
		}
		first, last, isRange := strings.Cut(rest, "-")
		if !isRange {
			last = first
		}
		return numbered(text, protocol, first, last)
	case "icmp", "icmpv6":
		if !hasRest {
			return traffic{protocol, api.Ptr(int32(-1)), api.Ptr(int32(-1))}, nil
		}
		kind, code, hasCode := strings.Cut(rest, "/")
		if hasCode {
			return numbered(text, protocol, kind, code)
		}
		t, err := numbered(text, protocol, kind, kind)
		t.to = api.Ptr(int32(-1))
		return t, err
	case "all", "-1":
		protocol = "-1"
	default:
		if _, ok := decimal(protocol); !ok {
			return traffic{}, notTraffic(text)
		}
	}
	if hasRest {
		return traffic{}, refusef("IpProtocol", "%s: only tcp and udp have ports, only icmp has types", text)
	}
	return traffic{protocol: protocol}, nil
}

// notTraffic shows what can be written instead.
func notTraffic(text string) error {
	return usagef("%q is not PROTO[/PORTS]: want tcp/443, tcp/8000-8100, udp/53, icmp, icmp/8/0, 47 or all", text)
}

func numbered(text, protocol, from, to string) (traffic, error) {
	first, ok := decimal(from)
	last, ok2 := decimal(to)
	if !ok || !ok2 {
		return traffic{}, notTraffic(text)
	}
	return traffic{protocol, &first, &last}, nil
}

// decimal reads a number in its one plain spelling: no sign, no leading zero,
// which other tools take for octal.
func decimal(s string) (int32, bool) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || strconv.FormatInt(n, 10) != s || n < 0 {
		return 0, false
	}
	return int32(n), true
}

// String is the form parseTraffic reads.
func (t traffic) String() string {
	from, to := api.Val(t.from), api.Val(t.to)
	switch {
	case t.protocol == "-1":
		return "all"
	case t.protocol == "tcp" || t.protocol == "udp":
		if from == 0 && to == maxPort {
			return t.protocol
		}
		if from == to {
			return fmt.Sprintf("%s/%d", t.protocol, from)
		}
		return fmt.Sprintf("%s/%d-%d", t.protocol, from, to)
	case (t.protocol == "icmp" || t.protocol == "icmpv6") && t.from != nil && from >= 0:
		if to < 0 {
			return fmt.Sprintf("%s/%d", t.protocol, from)
		}
		return fmt.Sprintf("%s/%d/%d", t.protocol, from, to)
	}
	return t.protocol
}

// peer is the other end of a rule; exactly one is set.
type peer struct {
	cidr4, cidr6 string
	group, list  string // a reference, later an id
	account      string // of a group that is another account's, "" for the own
}

// foreignGroup is how EC2's clients name a group of another account.
var foreignGroup = regexp.MustCompile(`^[0-9]{12}/sg-[0-9a-f]+$`)

// parsePeer reads a CIDR, sg:NAME, sg:ACCOUNT/ID, pl:NAME or the id of a group or a prefix
// list. The daemon checks the CIDR; only what cannot be one is refused here.
func parsePeer(text string) (peer, error) {
	group, isGroup := strings.CutPrefix(text, "sg:")
	list, isList := strings.CutPrefix(text, "pl:")
	switch {
	case isGroup && group == "":
		return peer{}, usagef("sg: needs the name or the id of a group")
	case isList && list == "":
		return peer{}, usagef("pl: needs the name or the id of a prefix list")
	case foreignGroup.MatchString(group):
		account, id, _ := strings.Cut(group, "/")
		return peer{group: id, account: account}, nil
	case isGroup || strings.HasPrefix(text, sgNoun.prefix):
		return peer{group: group}, nil
	case isList || strings.HasPrefix(text, plNoun.prefix):
		return peer{list: list}, nil
	}
	if text == "" || strings.Trim(text, "0123456789abcdefABCDEF.:/-%") != "" || !strings.ContainsAny(text, ".:") {
		return peer{}, usagef("%q is neither a CIDR nor sg:NAME nor pl:NAME", text)
	}
	if p, err := netip.ParsePrefix(text); err == nil && p.Addr().Is6() || err != nil && strings.Contains(text, ":") {
		return peer{cidr6: text}, nil
	}
	return peer{cidr4: text}, nil
}

// ruleFlags is what --in, --out, --from and --to say together.
type ruleFlags struct {
	in, out, from, to []string
	description       string
}

// parse checks that the flags fit together and reads them.
func (f *ruleFlags) parse() (egress bool, all []traffic, peers []peer, err error) {
	protocols, ends := f.in, f.from
	switch {
	case len(f.in) > 0 && len(f.out) > 0:
		return false, nil, nil, usagef("--in and --out are two rules: give one at a time")
	case len(f.in) == 0 && len(f.out) == 0:
		return false, nil, nil, usagef("which direction? give --in PROTO --from PEER, or --out PROTO --to PEER")
	case len(f.in) > 0 && len(f.to) > 0:
		return false, nil, nil, usagef("--in goes with --from, not --to")
	case len(f.out) > 0 && len(f.from) > 0:
		return false, nil, nil, usagef("--out goes with --to, not --from")
	case len(f.out) > 0:
		egress, protocols, ends = true, f.out, f.to
	}
	if len(ends) == 0 {
		return false, nil, nil, usagef("%s what? 0.0.0.0/0 means everybody", map[bool]string{false: "--from", true: "--to"}[egress])
	}
	for _, text := range protocols {
		t, err := parseTraffic(text)
		if err != nil {
			return false, nil, nil, err
		}
		all = append(all, t)
	}
	for _, text := range ends {
		p, err := parsePeer(text)
		if err != nil {
			return false, nil, nil, err
		}
		peers = append(peers, p)
	}
	return egress, all, peers, nil
}

// permissions makes EC2's form of the rules: every protocol with every peer.
func permissions(all []traffic, peers []peer, description string) []api.IpPermission {
	var out []api.IpPermission
	for _, t := range all {
		p := api.IpPermission{IpProtocol: t.protocol, FromPort: t.from, ToPort: t.to}
		for _, end := range peers {
			switch {
			case end.group != "":
				p.UserIdGroupPairs = append(p.UserIdGroupPairs, api.UserIdGroupPair{GroupId: end.group, UserId: end.account, Description: description})
			case end.list != "":
				p.PrefixListIds = append(p.PrefixListIds, api.PrefixListId{PrefixListId: end.list, Description: description})
			case end.cidr6 != "":
				p.Ipv6Ranges = append(p.Ipv6Ranges, api.Ipv6Range{CidrIpv6: end.cidr6, Description: description})
			default:
				p.IpRanges = append(p.IpRanges, api.IpRange{CidrIp: end.cidr4, Description: description})
			}
		}
		out = append(out, p)
	}
	return out
}

// resolvePeers turns the groups and lists that peers name into ids, groups in
// the VPC of the group that has the rule.
func (s *session) resolvePeers(peers []peer, vpcID string) ([]peer, error) {
	out := slices.Clone(peers)
	for i := range out {
		for n, ref := range map[*noun]*string{sgNoun: &out[i].group, plNoun: &out[i].list} {
			if *ref == "" || n == sgNoun && out[i].account != "" {
				continue
			}
			o, err := s.resolve(n, *ref, vpcID)
			if err != nil {
				return nil, err
			}
			*ref = o.id
		}
	}
	return out, nil
}

// ruleText is a rule as a user would type it, without flags: "in tcp/443 from 0.0.0.0/0".
func ruleText(r *api.SecurityGroupRule, names map[string]string) string {
	way, word := "in", "from"
	if api.Val(r.IsEgress) {
		way, word = "out", "to"
	}
	return way + " " + trafficOf(r).String() + " " + word + " " + rulePeer(r, names)
}

func trafficOf(r *api.SecurityGroupRule) traffic {
	return traffic{protocol: r.IpProtocol, from: r.FromPort, to: r.ToPort}
}

// peerNames are the names of what rules refer to, by id.
func (s *session) peerNames() map[string]string {
	out := s.names(sgNoun)
	maps.Copy(out, s.names(plNoun))
	return out
}

// rulePeer is the other end of a rule, a group or a list by its name where it is
// known.
func rulePeer(r *api.SecurityGroupRule, names map[string]string) string {
	if g := r.ReferencedGroupInfo; g != nil {
		if g.UserId != "" && g.UserId != r.GroupOwnerId && r.GroupOwnerId != "" {
			return "sg:" + g.UserId + "/" + g.GroupId
		}
		return "sg:" + firstOf(names[g.GroupId], g.GroupId)
	}
	if r.PrefixListId != "" {
		return "pl:" + firstOf(names[r.PrefixListId], r.PrefixListId)
	}
	return firstOf(r.CidrIpv4, r.CidrIpv6)
}
