package service

import (
	"slices"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// ruleRequest is what the four Authorize and Revoke requests have in common.
type ruleRequest struct {
	egress             bool
	groupID, groupName string
	permissions        []api.IpPermission
	flat               flatPermission
	ruleIDs            []string
	cut                bool // the tracked flows of what is revoked
	tags               []api.TagSpecification
}

// flatPermission is the older form: one permission in the request itself.
type flatPermission struct {
	protocol                string
	from, to                *int32
	cidr                    string
	sourceName, sourceOwner string
}

// given says whether a request uses the older form. Pointers count when they
// are not nil, so a port of 0 is given.
func (f flatPermission) given() bool { return f != flatPermission{} }

// wantedRule is one rule a request names.
type wantedRule struct {
	permission
	// ref is the group with its VPC, where the permission names one.
	ref         *api.ReferencedSecurityGroup
	description string
	at          place // of the permission in the request
}

// ruleReader turns requests into wanted rules on behalf of one group.
type ruleReader struct {
	r      *store.Tx
	caller Caller
	group  *record.SecurityGroup
	egress bool
	// existing says that the request names rules that are there, not new ones.
	existing bool
}

// wanted lists the rules a request names; one form must be used, and one only.
func (rr ruleReader) wanted(in *ruleRequest) ([]wantedRule, error) {
	switch {
	case in.flat.given() && len(in.permissions) > 0:
		return nil, api.Errorf("InvalidParameterCombination", "IpPermissions", "IpPermissions cannot be combined with CidrIp, IpProtocol, FromPort, ToPort or SourceSecurityGroupName: use IpPermissions alone")
	case in.flat.given():
		return rr.flat(in.flat)
	case len(in.permissions) == 0:
		return nil, api.Errorf("MissingParameter", "IpPermissions", "the request must contain the parameter IpPermissions")
	}
	return rr.list(in.permissions)
}

// list reads the form with IpPermissions. Every source becomes a rule of its
// own, as each has an id and can be revoked alone.
func (rr ruleReader) list(perms []api.IpPermission) ([]wantedRule, error) {
	var out []wantedRule
	for i := range perms {
		more, err := rr.permission(&perms[i], place("").item("IpPermissions", i))
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

// permission makes one rule of each source in p.
func (rr ruleReader) permission(p *api.IpPermission, at place) ([]wantedRule, error) {
	base, err := rr.base(p.IpProtocol, p.FromPort, p.ToPort, at)
	if err != nil {
		return nil, err
	}
	if len(p.Ipv6Ranges) > 0 {
		return nil, rr.noIPv6Rule(at.field("Ipv6Ranges"))
	}
	if len(p.IpRanges)+len(p.UserIdGroupPairs)+len(p.PrefixListIds) == 0 {
		return nil, api.Errorf("InvalidPermission.Malformed", string(at), "the permission names no %s: add a CIDR to IpRanges (0.0.0.0/0 for all), a group to UserIdGroupPairs or a prefix list to PrefixListIds", rr.peerNoun())
	}
	var out []wantedRule
	for i, r := range p.IpRanges {
		here := at.item("IpRanges", i)
		w := wantedRule{permission: base, description: r.Description, at: here}
		if w.cidr, err = parseRuleSource(r.CidrIp, here.field("CidrIp")); err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	for i := range p.UserIdGroupPairs {
		here := at.item("UserIdGroupPairs", i)
		w := wantedRule{permission: base, description: p.UserIdGroupPairs[i].Description, at: here}
		if w.ref, err = rr.pair(&p.UserIdGroupPairs[i], here); err != nil {
			return nil, err
		}
		w.group = w.ref.GroupId
		out = append(out, w)
	}
	for i, l := range p.PrefixListIds {
		here := at.item("PrefixListIds", i)
		w := wantedRule{permission: base, description: l.Description, at: here}
		if w.list, err = rr.prefixList(l.PrefixListId, here.field("PrefixListId")); err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	for _, w := range out {
		if err := checkText(w.description, w.at.field("Description"), "a rule's description"); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// peerNoun keeps error texts true for egress, where EC2's parameter names
// still say "source".
func (rr ruleReader) peerNoun() string {
	if rr.egress {
		return "destination"
	}
	return "source"
}

// base is a permission that lacks its source.
func (rr ruleReader) base(protocol string, from, to *int32, at place) (permission, error) {
	p := permission{egress: rr.egress}
	var err error
	if p.protocol, err = parseProtocol(protocol, at.field("IpProtocol")); err != nil {
		return p, err
	}
	p.from, p.to, err = parsePorts(p.protocol, from, to, at)
	return p, err
}

// flat reads the older form. With a source group it means all of TCP, UDP and
// ICMP, and takes no other parameter.
func (rr ruleReader) flat(f flatPermission) ([]wantedRule, error) {
	if f.sourceName != "" || f.sourceOwner != "" {
		return rr.flatGroup(f)
	}
	base, err := rr.base(f.protocol, f.from, f.to, "")
	if err != nil {
		return nil, err
	}
	if f.cidr == "" {
		return nil, api.Errorf("MissingParameter", "CidrIp", "the request must contain the parameter CidrIp: the %s of the rule, 0.0.0.0/0 for all", rr.peerNoun())
	}
	base.cidr, err = parseRuleSource(f.cidr, "CidrIp")
	return []wantedRule{{permission: base, at: "CidrIp"}}, err
}

func (rr ruleReader) flatGroup(f flatPermission) ([]wantedRule, error) {
	const field = "SourceSecurityGroupName"
	if f.cidr != "" || f.protocol != "" || f.from != nil || f.to != nil {
		return nil, api.Errorf("InvalidParameterCombination", field, "SourceSecurityGroupName cannot be combined with CidrIp, IpProtocol, FromPort or ToPort: use IpPermissions for a group with a protocol")
	}
	if f.sourceName == "" {
		return nil, api.Errorf("MissingParameter", field, "SourceSecurityGroupOwnerId needs SourceSecurityGroupName beside it")
	}
	if err := rr.ownedBy(f.sourceOwner, "SourceSecurityGroupOwnerId"); err != nil {
		return nil, err
	}
	id, err := rr.named(f.sourceName, field)
	if err != nil {
		return nil, err
	}
	all := []permission{
		{protocol: "tcp", from: 0, to: maxPort},
		{protocol: "udp", from: 0, to: maxPort},
		{protocol: "icmp", from: anyPort, to: anyPort},
	}
	out := make([]wantedRule, len(all))
	for i, p := range all {
		p.egress, p.group = rr.egress, id
		out[i] = wantedRule{permission: p, ref: rr.own(id), at: field}
	}
	return out, nil
}

// prefixList checks that the list id can stand in a rule: it is the caller's,
// in any VPC. The read guards it against being deleted meanwhile.
func (rr ruleReader) prefixList(id, field string) (string, error) {
	_, err := listKind.getAs(rr.r, rr.caller, id, field)
	return id, err
}

// ownedBy refuses another owner than the caller, for whom "" stands too: the
// groups of others do not exist here.
func (rr ruleReader) ownedBy(owner, field string) error {
	if owner == "" || owner == rr.caller.Account {
		return nil
	}
	return api.Errorf("InvalidGroup.NotFound", field, "the security group does not exist in account %s: name one of your own", quote(owner))
}

// named is referenced for a group that is given by its name. EC2 looks in the
// default VPC; here it is the VPC of the rule, the only one that can be meant.
func (rr ruleReader) named(name, field string) (string, error) {
	g, ok := groupNamed(rr.r, rr.group.Group.VpcId, name)
	if !ok {
		return "", api.Errorf("InvalidGroup.NotFound", field, "the security group %s does not exist in %s", quote(name), rr.group.Group.VpcId)
	}
	return g.Group.GroupId, nil
}

// otherNetwork has EC2's words and, oddly, EC2's code for a group that exists.
func (rr ruleReader) otherNetwork(field string) error {
	return api.Errorf("InvalidGroup.NotFound", field, "you have specified two resources that belong to different networks: name a group of %s", rr.group.Group.VpcId)
}

// single reads the form of ModifySecurityGroupRules: exactly one source.
func (rr ruleReader) single(in *api.SecurityGroupRuleRequest, at place) (wantedRule, error) {
	w := wantedRule{description: in.Description, at: at}
	var err error
	if w.permission, err = rr.base(in.IpProtocol, in.FromPort, in.ToPort, at); err != nil {
		return w, err
	}
	given := slices.DeleteFunc([]string{in.CidrIpv4, in.CidrIpv6, in.PrefixListId, in.ReferencedGroupId}, func(s string) bool { return s == "" })
	switch {
	case len(given) == 0:
		return w, api.Errorf("InvalidPermission.Malformed", string(at), "the rule names no %s: set CidrIpv4, ReferencedGroupId or PrefixListId", rr.peerNoun())
	case len(given) > 1:
		return w, api.Errorf("InvalidParameterCombination", string(at), "a rule has exactly one %s: set one of CidrIpv4, CidrIpv6, PrefixListId and ReferencedGroupId", rr.peerNoun())
	case in.CidrIpv6 != "":
		return w, rr.noIPv6Rule(at.field("CidrIpv6"))
	case in.PrefixListId != "":
		w.list, err = rr.prefixList(in.PrefixListId, at.field("PrefixListId"))
	case in.CidrIpv4 != "":
		w.cidr, err = parseRuleSource(in.CidrIpv4, at.field("CidrIpv4"))
	default:
		// The only form that has no place for an account.
		if w.ref, err = rr.referenced(in.ReferencedGroupId, rr.ownerOf(in.ReferencedGroupId), at.field("ReferencedGroupId"), ""); err == nil {
			w.group = w.ref.GroupId
		}
	}
	if err == nil {
		err = checkText(w.description, at.field("Description"), "a rule's description")
	}
	return w, err
}

// noIPv6Rule: a rule that filters nothing must not be recorded as if it did. As
// none is recorded, none can be named: clients revoke EC2's default rule for
// IPv6 of every new group, and expect to hear just that.
func (rr ruleReader) noIPv6Rule(field string) error {
	if rr.existing {
		return api.Errorf("InvalidPermission.NotFound", field, "%s has no rule for IPv6: such rules are not built yet", rr.group.Group.GroupId)
	}
	return api.Errorf("UnsupportedOperation", field, "rules for IPv6 are not built yet: leave %s out", field)
}
