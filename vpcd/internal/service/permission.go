package service

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vpcfabric/vpc/ipam"
	"github.com/vpcfabric/vpc/vpcd/api"
)

// anyProtocol is how EC2 spells "every protocol".
const anyProtocol = "-1"

// anyPort is how EC2 spells "every port", "every ICMP type" and "every ICMP
// code" in a rule.
const anyPort int32 = -1

// maxPort and maxICMP are the largest port and the largest ICMP type or code.
const (
	maxPort = 65535
	maxICMP = 255
)

// permission is what a rule allows, in normal form: two permissions that let
// the same packets pass under the same source are equal as Go values, however
// they were spelled. Whether it is of ingress or egress is part of it.
type permission struct {
	egress bool
	// protocol is tcp, udp, icmp, "-1", or the number of any other protocol.
	protocol string
	// from and to are ports, or ICMP type and code; both anyPort where the
	// protocol has neither.
	from, to int32
	// Exactly one is set: cidr in canonical form, group or list, both ids.
	cidr, group, list string
}

// String is the form EC2 uses in its error texts.
func (p permission) String() string {
	peer := cmp.Or(p.cidr, p.group, p.list)
	switch p.protocol {
	case anyProtocol:
		return fmt.Sprintf("peer: %s, ALL, ALLOW", peer)
	case "icmp":
		return fmt.Sprintf("peer: %s, ICMP, type: %d, code: %d, ALLOW", peer, p.from, p.to)
	case "tcp", "udp":
		return fmt.Sprintf("peer: %s, %s, from port: %d, to port: %d, ALLOW", peer, strings.ToUpper(p.protocol), p.from, p.to)
	}
	return fmt.Sprintf("peer: %s, protocol %s, ALLOW", peer, p.protocol)
}

// permissionOf is the permission of a stored rule, which is in normal form.
func permissionOf(r *api.SecurityGroupRule) permission {
	p := permission{
		egress: api.Val(r.IsEgress), protocol: r.IpProtocol,
		from: api.Val(r.FromPort), to: api.Val(r.ToPort), cidr: r.CidrIpv4, list: r.PrefixListId,
	}
	if r.ReferencedGroupInfo != nil {
		p.group = r.ReferencedGroupInfo.GroupId
	}
	return p
}

// protocolNames are the names EC2 accepts, by number.
var protocolNames = map[string]string{"1": "icmp", "6": "tcp", "17": "udp"}

// parseProtocol brings a protocol to its normal form. Names match in any case.
func parseProtocol(s, field string) (string, error) {
	name := strings.ToLower(s)
	switch name {
	case "":
		return "", api.Errorf("MissingParameter", field, "the request must contain the parameter %s: tcp, udp, icmp, a protocol number, or -1 for all", field)
	case "tcp", "udp", "icmp", anyProtocol:
		return name, nil
	case "all":
		return anyProtocol, nil
	case "icmpv6", "58":
		return "", api.Errorf("UnsupportedOperation", field, "protocol %s needs IPv6, which is not built yet", quote(s))
	}
	if known, ok := protocolNames[name]; ok {
		return known, nil
	}
	n, err := strconv.ParseUint(name, 10, 8)
	// A second spelling of one number would be a second identical rule.
	if err != nil || strconv.FormatUint(n, 10) != name {
		return "", api.Errorf("InvalidParameterValue", field,
			"invalid value %s for IP protocol: use tcp, udp, icmp, a number from 0 to 255, or -1 for all", quote(s))
	}
	return name, nil
}

// parsePorts brings the two numbers of a rule to their normal form; at is the
// place of the rule in the request.
func parsePorts(protocol string, from, to *int32, at place) (int32, int32, error) {
	switch protocol {
	case "tcp", "udp":
		return tcpPorts(from, to, at)
	case "icmp":
		return icmpTypeCode(from, to, at)
	}
	// As documented by EC2: any other protocol passes on all ports, whatever the
	// request says.
	return anyPort, anyPort, nil
}

// tcpPorts wants both ends: with one of them missing, EC2 clients disagree on
// whether it means one port or all above it.
func tcpPorts(from, to *int32, at place) (int32, int32, error) {
	for _, end := range []struct {
		name string
		port *int32
	}{{"FromPort", from}, {"ToPort", to}} {
		if end.port == nil {
			return 0, 0, api.Errorf("InvalidParameterValue", at.field(end.name), "TCP and UDP need both ends of the port range: set FromPort and ToPort, 0 and %d for all", maxPort)
		}
		if *end.port < 0 || *end.port > maxPort {
			return 0, 0, api.Errorf("InvalidParameterValue", at.field(end.name), "TCP/UDP port (%d) out of range: use 0 to %d", *end.port, maxPort)
		}
	}
	if *from > *to {
		return 0, 0, api.Errorf("InvalidParameterValue", at.field("FromPort"), "invalid TCP/UDP port range (%d:%d): FromPort must not be above ToPort", *from, *to)
	}
	return *from, *to, nil
}

// icmpTypeCode reads FromPort as type and ToPort as code, -1 or absent for any.
func icmpTypeCode(from, to *int32, at place) (int32, int32, error) {
	kind, code := anyPort, anyPort
	if from != nil {
		kind = *from
	}
	if to != nil {
		code = *to
	}
	if kind < anyPort || kind > maxICMP {
		return 0, 0, api.Errorf("InvalidParameterValue", at.field("FromPort"), "ICMP type (%d) out of range: use 0 to %d, or -1 for any", kind, maxICMP)
	}
	if code < anyPort || code > maxICMP {
		return 0, 0, api.Errorf("InvalidParameterValue", at.field("ToPort"), "ICMP code (%d) out of range: use 0 to %d, or -1 for any", code, maxICMP)
	}
	if kind == anyPort && code != anyPort {
		return 0, 0, api.Errorf("InvalidParameterValue", at.field("FromPort"), "ICMP code %d needs a type: set FromPort to the type, or ToPort to -1", code)
	}
	return kind, code, nil
}

// parseRuleSource brings an IPv4 CIDR to its canonical form.
func parseRuleSource(s, field string) (string, error) {
	p, err := ipam.ParseRuleCIDR(s)
	if err != nil {
		return "", api.Errorf("InvalidParameterValue", field, "CIDR block %v", err)
	}
	return p.String(), nil
}

// maxText is the longest name or description, in characters.
const maxText = 255

// textPunctuation is what EC2 allows in names and descriptions beside letters
// and digits.
const textPunctuation = ". _-:/()#,@[]+=&;{}!$*"

// checkText tests a name or description: up to 255 of EC2's characters.
func checkText(s, field, what string) error {
	if len(s) > maxText {
		return api.Errorf("InvalidParameterValue", field, "%s is %d characters long: at most %d are allowed", what, len(s), maxText)
	}
	for _, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && !strings.ContainsRune(textPunctuation, r) {
			return api.Errorf("InvalidParameterValue", field, "%s contains %s: use letters, digits and %s", what, strconv.QuoteToASCII(string(r)), textPunctuation)
		}
	}
	return nil
}

// place is where in a request a value stands, as an error's Field names it.
type place string

// field is the name of a member of the value at p.
func (p place) field(name string) string {
	if p == "" {
		return name
	}
	return string(p) + "." + name
}

// item is the place of an element of a list; elements count from 0.
func (p place) item(list string, i int) place {
	return place(p.field(list) + "." + strconv.Itoa(i))
}

// permissionsOf groups rules into the form of DescribeSecurityGroups: one
// IpPermission per protocol and port range, in order of first appearance.
func permissionsOf(rules []api.SecurityGroupRule, egress bool) []api.IpPermission {
	type head struct {
		protocol string
		from, to int32
	}
	out := []api.IpPermission{}
	// A slice and not a map: the quota bounds it, and answers keep their order.
	var heads []head
	for i := range rules {
		r := &rules[i]
		if api.Val(r.IsEgress) != egress {
			continue
		}
		p := permissionOf(r)
		h := head{p.protocol, p.from, p.to}
		at := slices.Index(heads, h)
		if at < 0 {
			at = len(heads)
			heads = append(heads, h)
			out = append(out, newIpPermission(p))
		}
		addSource(&out[at], r)
	}
	return out
}

// newIpPermission is without ports where the protocol has none, as EC2 answers.
func newIpPermission(p permission) api.IpPermission {
	out := api.IpPermission{IpProtocol: p.protocol}
	switch p.protocol {
	case "tcp", "udp", "icmp":
		out.FromPort, out.ToPort = api.Ptr(p.from), api.Ptr(p.to)
	}
	return out
}

// addSource adds the rule's source or destination, in either direction.
func addSource(p *api.IpPermission, r *api.SecurityGroupRule) {
	if ref := r.ReferencedGroupInfo; ref != nil {
		p.UserIdGroupPairs = append(p.UserIdGroupPairs, api.UserIdGroupPair{
			GroupId: ref.GroupId, UserId: ref.UserId, Description: r.Description,
			VpcId: ref.VpcId, VpcPeeringConnectionId: ref.VpcPeeringConnectionId, PeeringStatus: ref.PeeringStatus,
		})
		return
	}
	if r.PrefixListId != "" {
		p.PrefixListIds = append(p.PrefixListIds, api.PrefixListId{PrefixListId: r.PrefixListId, Description: r.Description})
		return
	}
	p.IpRanges = append(p.IpRanges, api.IpRange{CidrIp: r.CidrIpv4, Description: r.Description})
}
