package service

import (
	"context"
	"fmt"
	"slices"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

const (
	aclAssociationPrefix = "aclassoc-"
	// allowAllRule is the number of the one rule of a new default ACL.
	allowAllRule = 100
	// lastRule denies what no other rule matched; it cannot be changed.
	lastRule = 32767
)

// newDefaultAcl makes the network ACL that every new subnet joins. It lets
// everything pass both ways until its rules are changed.
func (c *change) newDefaultAcl(vpc *record.Vpc) error {
	acl, err := c.newAcl(vpc)
	if err != nil {
		return err
	}
	acl.Acl.IsDefault = api.Ptr(true)
	acl.Acl.Entries = []api.NetworkAclEntry{
		entryForAll(allowAllRule, api.RuleActionAllow, true),
		entryForAll(lastRule, api.RuleActionDeny, true),
		entryForAll(allowAllRule, api.RuleActionAllow, false),
		entryForAll(lastRule, api.RuleActionDeny, false),
	}
	c.putAcl(acl)
	return nil
}

// newAcl is an ACL that lets nothing pass, not stored yet.
func (c *change) newAcl(vpc *record.Vpc) (*record.NetworkAcl, error) {
	index, err := c.nextIndex("acl")
	if err != nil {
		return nil, err
	}
	return &record.NetworkAcl{
		Index: index,
		Acl: api.NetworkAcl{
			NetworkAclId: c.newID(aclKind.id),
			VpcId:        vpc.Vpc.VpcId,
			OwnerId:      vpc.Vpc.OwnerId,
			IsDefault:    api.Ptr(false),
			Entries: []api.NetworkAclEntry{
				entryForAll(lastRule, api.RuleActionDeny, true),
				entryForAll(lastRule, api.RuleActionDeny, false),
			},
		},
	}, nil
}

func (c *change) putAcl(acl *record.NetworkAcl) {
	c.tx.Put(record.Acls+acl.Acl.NetworkAclId, acl)
}

// actionCreateAcl is the action as client tokens know it.
const actionCreateAcl = "CreateNetworkAcl"

// createNetworkAcl makes an ACL that denies everything and serves no subnet.
// Codes: those of the VPC's id, NetworkAclLimitExceeded.
func (s *Service) createNetworkAcl(ctx context.Context, caller Caller, req *api.CreateNetworkAclRequest) (*api.CreateNetworkAclResult, int64, error) {
	tags, err := specTags(req.TagSpecifications, aclKind.resourceType)
	if err != nil {
		return nil, 0, err
	}
	var made *record.NetworkAcl
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		id, err := c.replay(actionCreateAcl, req.ClientToken, req)
		if err != nil {
			return err
		}
		if id != "" {
			made, err = getAcl(c.tx, caller, id)
			return err
		}
		if err := nameFree(c, aclKind, uniqueName(req.TagSpecifications, tags), "", aclsOf(req.VpcId)); err != nil {
			return err
		}
		if made, err = c.addAcl(req.VpcId, tags, req.ClientToken); err != nil {
			return err
		}
		c.remember(actionCreateAcl, req.ClientToken, req, made.Acl.NetworkAclId)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	shape := made.Acl
	return &api.CreateNetworkAclResult{NetworkAcl: &shape, ClientToken: req.ClientToken}, revision, nil
}

func (c *change) addAcl(vpcID string, tags []api.Tag, token string) (*record.NetworkAcl, error) {
	vpc, err := getVpc(c.tx, c.caller, vpcID)
	if err != nil {
		return nil, err
	}
	c.guard(vpcID)
	if err := c.checkLimit(limitAcls, len(contentOf(c.tx.Peek(), vpcID).acls)+1); err != nil {
		return nil, err
	}
	acl, err := c.newAcl(vpc)
	if err != nil {
		return nil, err
	}
	acl.Acl.Tags, acl.ClientToken = tags, token
	c.putAcl(acl)
	return acl, nil
}

// deleteNetworkAcl refuses for the default ACL (InvalidParameterValue) and
// while a subnet has the ACL (DependencyViolation).
func (s *Service) deleteNetworkAcl(ctx context.Context, caller Caller, req *api.DeleteNetworkAclRequest) (*api.DeleteNetworkAclResult, int64, error) {
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		acl, err := getAcl(c.tx, caller, req.NetworkAclId)
		if err != nil {
			return err
		}
		if api.Val(acl.Acl.IsDefault) {
			return api.Errorf("InvalidParameterValue", "NetworkAclId", "cannot delete the default network ACL %s of %s: it is deleted with its VPC; change its entries instead", req.NetworkAclId, acl.Acl.VpcId)
		}
		if users := aclUsers(c.tx.Peek(), acl); len(users) > 0 {
			return &api.Error{
				Code: "DependencyViolation", Field: "NetworkAclId", BlockedBy: users,
				Message: fmt.Sprintf("the networkAcl '%s' has dependencies and cannot be deleted: %s", req.NetworkAclId, blockerIDs(users)),
				Hint:    "vpc acl associate default --subnet " + users[0].Id,
			}
		}
		c.guard(acl.Acl.VpcId)
		c.forget(acl.ClientToken, actionCreateAcl)
		c.drop(record.Acls, req.NetworkAclId, acl.Index)
		return nil
	})
	return &api.DeleteNetworkAclResult{}, revision, err
}

// aclUsers are the subnets that have an ACL. Their names are a courtesy: who
// the users are stands in the ACL, which the caller has read guarded.
func aclUsers(r store.Reader, acl *record.NetworkAcl) []api.Blocker {
	var out []api.Blocker
	for _, a := range acl.Acl.Associations {
		b := api.Blocker{Kind: "subnet", Id: a.SubnetId}
		if subnet, ok := store.Get[*record.Subnet](r, record.Subnets+a.SubnetId); ok {
			b.Name = nameTag(subnet.Subnet.Tags)
		}
		out = append(out, b)
	}
	return out
}

// replaceNetworkAclAssociation gives a subnet another ACL of its VPC in one
// step: it is never without one. The association gets a new id, also where the
// ACL is the one it had. Codes: InvalidAssociationID.NotFound, those of the
// ACL's id, InvalidParameterValue for an ACL of another VPC.
func (s *Service) replaceNetworkAclAssociation(ctx context.Context, caller Caller, req *api.ReplaceNetworkAclAssociationRequest) (*api.ReplaceNetworkAclAssociationResult, int64, error) {
	var made string
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		from, subnetID, err := c.leaveAcl(req.AssociationId)
		if err != nil {
			return err
		}
		// Read after the leave, so that it may be the same ACL.
		to, err := getAcl(c.tx, caller, req.NetworkAclId)
		if err != nil {
			return err
		}
		if to.Acl.VpcId != from.Acl.VpcId {
			return api.Errorf("InvalidParameterValue", "NetworkAclId", "network ACL %s and subnet %s belong to different networks: name an ACL of %s", req.NetworkAclId, subnetID, from.Acl.VpcId)
		}
		made = c.joinAcl(to, subnetID)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.ReplaceNetworkAclAssociationResult{NewAssociationId: made}, revision, nil
}

// leaveAcl ends the association with this id and returns the ACL it was of.
func (c *change) leaveAcl(id string) (*record.NetworkAcl, string, error) {
	const field = "AssociationId"
	if !wellFormed(id, aclAssociationPrefix) {
		return nil, "", api.Errorf("InvalidAssociationID.Malformed", field, "invalid id %s: the id of a network ACL association is %s and 17 digits or letters a-f", quote(id), aclAssociationPrefix)
	}
	hasID := func(a api.NetworkAclAssociation) bool { return a.NetworkAclAssociationId == id }
	for _, seen := range aclKind.list(c.tx.Peek(), c.caller) {
		if !slices.ContainsFunc(seen.Acl.Associations, hasID) {
			continue
		}
		// The search was not guarded; this read is.
		acl, err := getAcl(c.tx, c.caller, seen.Acl.NetworkAclId)
		if err != nil {
			return nil, "", err
		}
		i := slices.IndexFunc(acl.Acl.Associations, hasID)
		subnetID := acl.Acl.Associations[i].SubnetId
		changed := *acl
		changed.Acl.Associations = slices.Delete(slices.Clone(acl.Acl.Associations), i, i+1)
		c.putAcl(&changed)
		return acl, subnetID, nil
	}
	return nil, "", api.Errorf("InvalidAssociationID.NotFound", field, "the association ID '%s' does not exist: it changes with every replacement; look the subnet up again with DescribeNetworkAcls", id)
}

// joinAcl associates a subnet with an ACL and returns the association's id.
func (c *change) joinAcl(acl *record.NetworkAcl, subnetID string) string {
	id := c.newID(aclAssociationPrefix)
	changed := *acl
	changed.Acl.Associations = slices.Concat(acl.Acl.Associations, []api.NetworkAclAssociation{{
		NetworkAclAssociationId: id,
		NetworkAclId:            acl.Acl.NetworkAclId,
		SubnetId:                subnetID,
	}})
	c.putAcl(&changed)
	return id
}

// entryForAll matches every packet of one direction.
func entryForAll(number int32, action string, egress bool) api.NetworkAclEntry {
	return api.NetworkAclEntry{
		RuleNumber: api.Ptr(number), RuleAction: action, Egress: api.Ptr(egress),
		Protocol: anyProtocol, CidrBlock: allIPv4,
	}
}

// joinDefaultAcl associates a new subnet with its VPC's default ACL.
func (c *change) joinDefaultAcl(vpcID, subnetID string) error {
	for _, seen := range contentOf(c.tx.Peek(), vpcID).acls {
		if !api.Val(seen.Acl.IsDefault) {
			continue
		}
		acl, err := getAcl(c.tx, c.caller, seen.Acl.NetworkAclId)
		if err != nil {
			return err
		}
		c.joinAcl(acl, subnetID)
		return nil
	}
	return api.Errorf("InternalError", "", "%s has no default network ACL; its record is damaged, restore a backup", vpcID)
}

// leaveAcls takes a subnet out of its ACL.
func (c *change) leaveAcls(vpcID, subnetID string) {
	ofSubnet := func(a api.NetworkAclAssociation) bool { return a.SubnetId == subnetID }
	for _, acl := range contentOf(c.tx.Peek(), vpcID).acls {
		if !slices.ContainsFunc(acl.Acl.Associations, ofSubnet) {
			continue
		}
		key := record.Acls + acl.Acl.NetworkAclId
		c.tx.ModRevision(key)
		changed := *acl
		changed.Acl.Associations = slices.DeleteFunc(slices.Clone(acl.Acl.Associations), ofSubnet)
		c.tx.Put(key, &changed)
	}
}
