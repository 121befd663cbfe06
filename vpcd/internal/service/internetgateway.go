package service

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// gatewayAvailable is the state of an attachment. EC2 says so, although its
// model knows other words only; a gateway has no packets of its own to wait for.
const gatewayAvailable = "available"

// createInternetGateway makes a gateway; with VpcId, which is ours, it is
// attached in the same transaction. Codes: InternetGatewayLimitExceeded, and
// with VpcId those of attachInternetGateway.
func (s *Service) createInternetGateway(ctx context.Context, caller Caller, req *api.CreateInternetGatewayRequest) (*api.CreateInternetGatewayResult, int64, error) {
	tags, err := specTags(req.TagSpecifications, gatewayKind.resourceType)
	if err != nil {
		return nil, 0, err
	}
	var made *record.Gateway
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		// Listed under guard, so that the quota holds for two at once.
		if err := c.checkLimit(limitGateways, len(gatewayKind.list(c.tx, caller))+1); err != nil {
			return err
		}
		if err := nameFree(c, gatewayKind, uniqueName(req.TagSpecifications, tags), "", anyOf); err != nil {
			return err
		}
		made = &record.Gateway{Gateway: api.InternetGateway{
			InternetGatewayId: c.newID(gatewayKind.id), OwnerId: caller.Account, Tags: tags,
		}}
		if req.VpcId == "" {
			c.putGateway(made)
			return nil
		}
		made, err = c.attachGateway(made, req.VpcId)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	shape := made.Gateway
	return &api.CreateInternetGatewayResult{InternetGateway: &shape}, revision, nil
}

func (c *change) putGateway(g *record.Gateway) {
	c.tx.Put(record.Gateways+g.Gateway.InternetGatewayId, g)
}

// attachInternetGateway: a gateway has one VPC and a VPC one gateway. Codes:
// Resource.AlreadyAssociated for a gateway that has a VPC, InvalidParameterValue
// for a VPC that has another gateway.
func (s *Service) attachInternetGateway(ctx context.Context, caller Caller, req *api.AttachInternetGatewayRequest) (*api.AttachInternetGatewayResult, int64, error) {
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		g, err := getGateway(c.tx, caller, req.InternetGatewayId)
		if err != nil {
			return err
		}
		_, err = c.attachGateway(g, req.VpcId)
		return err
	})
	return &api.AttachInternetGatewayResult{}, revision, err
}

// attachGateway stores and returns a copy of the gateway that is attached. The guard of the
// VPC keeps two gateways from getting in.
func (c *change) attachGateway(g *record.Gateway, vpcID string) (*record.Gateway, error) {
	if _, err := getVpc(c.tx, c.caller, vpcID); err != nil {
		return nil, err
	}
	id := g.Gateway.InternetGatewayId
	if len(g.Gateway.Attachments) > 0 {
		has := g.Gateway.Attachments[0].VpcId
		e := api.Errorf("Resource.AlreadyAssociated", "InternetGatewayId", "resource %s is already attached to network %s: detach it there first", id, has)
		e.BlockedBy = []api.Blocker{{Kind: "vpc", Id: has}}
		e.Hint = "vpc igw detach " + id
		return nil, e
	}
	if err := c.poolsAreOurs(); err != nil {
		return nil, err
	}
	c.guard(vpcID)
	if other, ok := gatewayOf(c.tx.Peek(), vpcID); ok {
		e := api.Errorf("InvalidParameterValue", "VpcId", "network %s already has an internet gateway attached", vpcID)
		e.BlockedBy = []api.Blocker{gatewayBlocker(other)}
		e.Hint = "vpc igw detach " + other.Gateway.InternetGatewayId
		return nil, e
	}
	next := *g
	next.Gateway.Attachments = []api.InternetGatewayAttachment{{State: gatewayAvailable, VpcId: vpcID}}
	c.putGateway(&next)
	return &next, nil
}

// gatewayOf is the gateway that is attached to a VPC. Whoever changes that
// calls guard with the VPC's id.
func gatewayOf(r store.Reader, vpcID string) (*record.Gateway, bool) {
	for _, g := range store.List[*record.Gateway](r, record.Gateways) {
		if g.AttachedTo(vpcID) {
			return g, true
		}
	}
	return nil, false
}

// gatewayAttached says whether the internet gateway with this id is attached to
// the VPC: a route to it is active then, and a black hole otherwise.
func gatewayAttached(r store.Reader, id, vpcID string) bool {
	g, ok := store.Get[*record.Gateway](r, record.Gateways+id)
	return ok && g.AttachedTo(vpcID)
}

func gatewayBlocker(g *record.Gateway) api.Blocker {
	return api.Blocker{Kind: "igw", Id: g.Gateway.InternetGatewayId, Name: nameTag(g.Gateway.Tags)}
}

// detachInternetGateway: what is reached from outside keeps its way in. Codes:
// Gateway.NotAttached where it is not that VPC's, DependencyViolation while an
// address in the VPC has a public one.
func (s *Service) detachInternetGateway(ctx context.Context, caller Caller, req *api.DetachInternetGatewayRequest) (*api.DetachInternetGatewayResult, int64, error) {
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		g, err := getGateway(c.tx, caller, req.InternetGatewayId)
		if err != nil {
			return err
		}
		if _, err := getVpc(c.tx, caller, req.VpcId); err != nil {
			return err
		}
		if !gatewayAttached(c.tx, req.InternetGatewayId, req.VpcId) {
			return api.Errorf("Gateway.NotAttached", "VpcId", "resource %s is not attached to network %s", req.InternetGatewayId, req.VpcId)
		}
		// Whoever gives a private address a public one calls guard as well.
		c.guard(req.VpcId)
		if mapped := mappedAddresses(c.tx.Peek(), req.VpcId); len(mapped) > 0 {
			return &api.Error{
				Code: "DependencyViolation", Field: "VpcId", BlockedBy: mapped,
				Message: fmt.Sprintf("network %s has some mapped public address(es): %s; unmap them before detaching the gateway", req.VpcId, blockerNames(mapped)),
				Hint:    "vpc eip disassociate, or vpc detach for what was attached with a public address, or vpc nat rm",
			}
		}
		next := *g
		next.Gateway.Attachments = nil
		c.putGateway(&next)
		return nil
	})
	return &api.DetachInternetGatewayResult{}, revision, err
}

// mappedAddresses are the public addresses of a VPC with who has them.
func mappedAddresses(r store.Reader, vpcID string) []api.Blocker {
	var out []api.Blocker
	for _, eni := range store.List[*record.NetworkInterface](r, record.Interfaces) {
		if eni.Interface.VpcId != vpcID {
			continue
		}
		for _, a := range associationsOf(eni) {
			b := api.Blocker{Kind: "eip", Id: a.AllocationId, Name: a.PublicIp, Detail: "on " + cmp.Or(eni.Nat, eni.Interface.NetworkInterfaceId)}
			if a.AllocationId == "" {
				b = api.Blocker{Kind: "eni", Id: eni.Interface.NetworkInterfaceId, Name: nameTag(eni.Interface.TagSet), Detail: "has " + a.PublicIp + " while it is attached"}
			}
			out = append(out, b)
		}
	}
	return out
}

// blockerNames are the ids of blockers for a sentence, few of many.
func blockerNames(blockers []api.Blocker) string {
	const shown = 5
	names := each(blockers[:min(len(blockers), shown)], func(b api.Blocker) string { return b.Id })
	names = slices.Compact(names)
	if more := len(blockers) - shown; more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

// deleteInternetGateway refuses an attached gateway with DependencyViolation.
func (s *Service) deleteInternetGateway(ctx context.Context, caller Caller, req *api.DeleteInternetGatewayRequest) (*api.DeleteInternetGatewayResult, int64, error) {
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		g, err := getGateway(c.tx, caller, req.InternetGatewayId)
		if err != nil {
			return err
		}
		if len(g.Gateway.Attachments) > 0 {
			vpc := g.Gateway.Attachments[0].VpcId
			return &api.Error{
				Code: "DependencyViolation", Field: "InternetGatewayId", BlockedBy: []api.Blocker{{Kind: "vpc", Id: vpc}},
				Message: fmt.Sprintf("the internetGateway '%s' has dependencies and cannot be deleted: it is attached to %s", req.InternetGatewayId, vpc),
				Hint:    "vpc igw detach " + req.InternetGatewayId,
			}
		}
		// No kernel knows gateways: they have no index of their own.
		c.drop(record.Gateways, req.InternetGatewayId, 0)
		return nil
	})
	return &api.DeleteInternetGatewayResult{}, revision, err
}

var gatewayFilters = map[string]func(api.InternetGateway) []string{
	"attachment.state": func(g api.InternetGateway) []string {
		return collect(g.Attachments, func(a api.InternetGatewayAttachment) string { return a.State })
	},
	"attachment.vpc-id": func(g api.InternetGateway) []string {
		return collect(g.Attachments, func(a api.InternetGatewayAttachment) string { return a.VpcId })
	},
	"internet-gateway-id": func(g api.InternetGateway) []string { return []string{g.InternetGatewayId} },
	"owner-id":            func(g api.InternetGateway) []string { return []string{g.OwnerId} },
}

// describeInternetGateways lists the caller's gateways in order of their ids.
func (s *Service) describeInternetGateways(_ context.Context, caller Caller, req *api.DescribeInternetGatewaysRequest) (*api.DescribeInternetGatewaysResult, int64, error) {
	match, err := matchFilters(req.Filters, gatewayFilters, func(g api.InternetGateway) []api.Tag { return g.Tags })
	if err != nil {
		return nil, 0, err
	}
	if err := checkPaging(req.InternetGatewayIds, "InternetGatewayIds", req.MaxResults); err != nil {
		return nil, 0, err
	}
	v := s.view(caller)
	records, err := gatewayKind.pick(v.r, caller, req.InternetGatewayIds, "InternetGatewayIds")
	if err != nil {
		return nil, 0, err
	}
	var out []api.InternetGateway
	for _, rec := range records {
		if match(rec.Gateway) {
			out = append(out, rec.Gateway)
		}
	}
	out, next, err := page(pageOf{caller, req, req.MaxResults, req.NextToken}, out, func(g api.InternetGateway) string { return g.InternetGatewayId })
	return &api.DescribeInternetGatewaysResult{InternetGateways: out, NextToken: next}, v.revision(), err
}
