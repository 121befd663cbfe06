package service

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// defaultGroupName is reserved for the group that comes with a VPC.
const defaultGroupName = "default"

// allIPv4 is the source or destination that every packet has.
const allIPv4 = "0.0.0.0/0"

// createSecurityGroup makes a group in a VPC. Errors: InvalidGroup.Reserved,
// InvalidGroup.Duplicate, SecurityGroupLimitExceeded, VPCIdNotSpecified, those
// of the VPC's id, InvalidParameterValue for name and description.
func (s *Service) createSecurityGroup(ctx context.Context, who Caller, in *api.CreateSecurityGroupRequest) (*api.CreateSecurityGroupResult, int64, error) {
	// EC2 cuts trailing spaces instead of refusing them.
	name := strings.TrimRight(in.GroupName, " ")
	if err := checkGroupName(name); err != nil {
		return nil, 0, err
	}
	if err := checkText(in.Description, "Description", "the description"); err != nil {
		return nil, 0, err
	}
	tags, err := specTags(in.TagSpecifications, groupKind.resourceType)
	if err != nil {
		return nil, 0, err
	}
	var made *record.SecurityGroup
	revision, err := s.mutate(ctx, who, in.DryRun, func(c *change) error {
		vpc, err := c.vpcOrDefault(in.VpcId)
		if err != nil {
			return err
		}
		made, err = c.addGroup(vpc, name, in.Description, tags)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.CreateSecurityGroupResult{GroupId: made.Group.GroupId, Tags: tags}, revision, nil
}

// checkGroupName applies EC2's rules for names of groups in a VPC.
func checkGroupName(name string) error {
	const field = "GroupName"
	switch {
	case name == "":
		return api.Errorf("MissingParameter", field, "the request must contain the parameter GroupName")
	case name == defaultGroupName:
		return api.Errorf("InvalidGroup.Reserved", field, "cannot use the reserved security group name default: every VPC has that group already; choose another name")
	case strings.HasPrefix(name, groupKind.id):
		return api.Errorf("InvalidParameterValue", field, "group names may not start with sg-, as ids do: %s; choose another name", quote(name))
	}
	return checkText(name, field, "the group name")
}

// vpcOrDefault is the VPC id, or without one the account's default VPC.
func (c *change) vpcOrDefault(id string) (*record.Vpc, error) {
	if id != "" {
		return getVpc(c.tx, c.caller, id)
	}
	if vpc, ok := defaultVpc(c.tx, c.caller); ok {
		return vpc, nil
	}
	return nil, api.Errorf("VPCIdNotSpecified", "VpcId", "no default VPC for this user: set VpcId")
}

// defaultVpc is the VPC that requests without one mean.
func defaultVpc(r store.Reader, who Caller) (*record.Vpc, bool) {
	for _, v := range vpcKind.list(r, who) {
		if api.Val(v.Vpc.IsDefault) {
			return v, true
		}
	}
	return nil, false
}

// addGroup makes a group whose name is free and lets everything out. Names are
// read unguarded: the VPC's guard serialises all who add a group to it, and
// changes to the rules of other groups do not get in the way.
func (c *change) addGroup(vpc *record.Vpc, name, description string, tags []api.Tag) (*record.SecurityGroup, error) {
	vpcID := vpc.Vpc.VpcId
	c.guard(vpcID)
	if g, ok := groupNamed(c.tx.Peek(), vpcID, name); ok {
		return nil, api.Errorf("InvalidGroup.Duplicate", "GroupName", "the security group %s already exists for VPC %s: it is %s; choose another name", quote(name), vpcID, g.Group.GroupId)
	}
	if err := c.checkLimit(limitGroups, len(groupKind.list(c.tx.Peek(), c.caller))+1); err != nil {
		return nil, err
	}
	g, err := c.newGroup(vpc, name, description, tags)
	if err != nil {
		return nil, err
	}
	world := permission{egress: true, protocol: anyProtocol, from: anyPort, to: anyPort, cidr: allIPv4}
	g.Rules = []api.SecurityGroupRule{c.newRule(g, wantedRule{permission: world}, nil)}
	c.tx.Put(record.Groups+g.Group.GroupId, g)
	return g, nil
}

// newDefaultGroup makes the group that comes with a VPC: everything from its
// own members in, everything out.
func (c *change) newDefaultGroup(vpc *record.Vpc) (*record.SecurityGroup, error) {
	g, err := c.newGroup(vpc, defaultGroupName, "default VPC security group", nil)
	if err != nil {
		return nil, err
	}
	all := permission{protocol: anyProtocol, from: anyPort, to: anyPort}
	own, world := all, all
	own.group = g.Group.GroupId
	world.egress, world.cidr = true, allIPv4
	self := &api.ReferencedSecurityGroup{GroupId: own.group, UserId: g.Group.OwnerId}
	g.Rules = []api.SecurityGroupRule{c.newRule(g, wantedRule{permission: own, ref: self}, nil), c.newRule(g, wantedRule{permission: world}, nil)}
	c.tx.Put(record.Groups+g.Group.GroupId, g)
	return g, nil
}

// newGroup is a group without rules, not stored yet.
func (c *change) newGroup(vpc *record.Vpc, name, description string, tags []api.Tag) (*record.SecurityGroup, error) {
	index, err := c.nextIndex("sg")
	if err != nil {
		return nil, err
	}
	return &record.SecurityGroup{
		Index: index,
		Group: api.SecurityGroup{
			GroupId: c.newID(groupKind.id), GroupName: name, Description: description,
			OwnerId: vpc.Vpc.OwnerId, VpcId: vpc.Vpc.VpcId, Tags: tags,
		},
	}, nil
}

// newRule makes a rule with a fresh id; the caller puts it into the group.
func (c *change) newRule(g *record.SecurityGroup, w wantedRule, tags []api.Tag) api.SecurityGroupRule {
	r := api.SecurityGroupRule{
		SecurityGroupRuleId: c.newID(ruleIDPrefix),
		GroupId:             g.Group.GroupId, GroupOwnerId: g.Group.OwnerId,
		Description: w.description, Tags: tags,
	}
	setPermission(&r, w)
	return r
}

// setPermission writes what is wanted into a rule, but for the description.
func setPermission(r *api.SecurityGroupRule, w wantedRule) {
	p := w.permission
	r.IsEgress = api.Ptr(p.egress)
	r.IpProtocol = p.protocol
	r.FromPort, r.ToPort = api.Ptr(p.from), api.Ptr(p.to)
	r.CidrIpv4, r.PrefixListId, r.ReferencedGroupInfo = p.cidr, p.list, w.ref
}

// groupNamed finds a group of a VPC by its name.
func groupNamed(r store.Reader, vpcID, name string) (*record.SecurityGroup, bool) {
	for _, g := range store.List[*record.SecurityGroup](r, record.Groups) {
		if g.Group.VpcId == vpcID && g.Group.GroupName == name {
			return g, true
		}
	}
	return nil, false
}

// findGroup is the group a request names by id or, in the default VPC, by name.
func findGroup(r store.Reader, who Caller, id, name string) (*record.SecurityGroup, error) {
	switch {
	case id != "" && name != "":
		return nil, api.Errorf("InvalidParameterCombination", "GroupName", "the parameter GroupName cannot be used with the parameter GroupId: use one of them")
	case id != "":
		return getGroup(r, who, id)
	case name == "":
		return nil, api.Errorf("MissingParameter", "GroupId", "the request must contain the parameter GroupId or GroupName")
	}
	if vpc, ok := defaultVpc(r, who); ok {
		if g, ok := groupNamed(r, vpc.Vpc.VpcId, name); ok {
			return g, nil
		}
	}
	return nil, api.Errorf("InvalidGroup.NotFound", "GroupName", "the security group %s does not exist in default VPC: name a group of another VPC by GroupId", quote(name))
}

// deleteSecurityGroup refuses while an interface has the group or another
// group names it (DependencyViolation), and for a default group (CannotDelete).
func (s *Service) deleteSecurityGroup(ctx context.Context, who Caller, in *api.DeleteSecurityGroupRequest) (*api.DeleteSecurityGroupResult, int64, error) {
	revision, err := s.mutate(ctx, who, in.DryRun, func(c *change) error {
		g, err := findGroup(c.tx, who, in.GroupId, in.GroupName)
		if err != nil {
			return err
		}
		if g.Group.GroupName == defaultGroupName {
			return api.Errorf("CannotDelete", "GroupId", "the specified group %s is the default group of %s: it is deleted with its VPC; revoke its rules instead", g.Group.GroupId, g.Group.VpcId)
		}
		if users := groupUsers(c.tx, g); len(users) > 0 {
			return &api.Error{
				Code: "DependencyViolation", Field: "GroupId", BlockedBy: users,
				Message: "resource " + g.Group.GroupId + " has a dependent object: " + blockerIDs(users),
				Hint:    "take the group off these interfaces and revoke the rules that name it, then delete it",
			}
		}
		c.dropGroup(g)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.DeleteSecurityGroupResult{}, revision, nil
}

// groupUsers are the interfaces that have a group and the other groups of its VPC
// whose rules name it: those of peered VPCs become stale, as in EC2. Listing guards both collections, so no user appears between
// this look and the deletion.
func groupUsers(r store.Reader, used *record.SecurityGroup) []api.Blocker {
	id := used.Group.GroupId
	var out []api.Blocker
	for _, eni := range store.List[*record.NetworkInterface](r, record.Interfaces) {
		if slices.ContainsFunc(eni.Interface.Groups, func(g api.GroupIdentifier) bool { return g.GroupId == id }) {
			out = append(out, interfaceBlocker(eni))
		}
	}
	for _, g := range store.List[*record.SecurityGroup](r, record.Groups) {
		if g.Group.GroupId == id || g.Group.VpcId != used.Group.VpcId {
			continue
		}
		if rules := rulesNaming(g, id); len(rules) > 0 {
			out = append(out, api.Blocker{Kind: "sg", Id: g.Group.GroupId, Name: g.Group.GroupName, Detail: "rule " + strings.Join(rules, ", ")})
		}
	}
	return out
}

// rulesNaming are the ids of the rules of g that name the group id.
func rulesNaming(g *record.SecurityGroup, id string) []string {
	var out []string
	for i := range g.Rules {
		if ref := g.Rules[i].ReferencedGroupInfo; ref != nil && ref.GroupId == id {
			out = append(out, g.Rules[i].SecurityGroupRuleId)
		}
	}
	return out
}

// interfaceBlocker names an interface with the workload that has it.
func interfaceBlocker(eni *record.NetworkInterface) api.Blocker {
	if eni.Nat != "" {
		return api.Blocker{Kind: "nat", Id: eni.Nat}
	}
	b := api.Blocker{Kind: "eni", Id: eni.Interface.NetworkInterfaceId, Name: nameTag(eni.Interface.TagSet)}
	if eni.Attached != nil {
		b.Detail = cmp.Or(eni.Attached.Display, eni.Attached.Target)
	}
	return b
}

func blockerIDs(blockers []api.Blocker) string {
	ids := make([]string, len(blockers))
	for i, b := range blockers {
		ids[i] = b.Id
	}
	return strings.Join(ids, ", ")
}
