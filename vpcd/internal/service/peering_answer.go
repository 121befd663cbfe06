package service

import (
	"context"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// acceptVpcPeeringConnection joins the VPCs, or fails where their CIDRs overlap
// since the request: the answer says which. Codes: those of the id,
// OperationNotPermitted for who is not the accepter, InvalidStateTransition for
// what does not wait, ActiveVpcPeeringConnectionPerVpcLimitExceeded.
func (s *Service) acceptVpcPeeringConnection(ctx context.Context, caller Caller, req *api.AcceptVpcPeeringConnectionRequest) (*api.AcceptVpcPeeringConnectionResult, int64, error) {
	var shape *api.VpcPeeringConnection
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		p, err := c.answerable(req.VpcPeeringConnectionId, "accept", peeringActive)
		if err != nil {
			return err
		}
		next := *p
		if next.State, err = c.peer(p); err != nil {
			return err
		}
		if next.State == peeringFailed {
			next.Ended = c.now().UTC().Format(time.RFC3339Nano)
		}
		c.putPeering(&next)
		shape = s.peeringShape(c.tx, &next, caller)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.AcceptVpcPeeringConnectionResult{VpcPeeringConnection: shape}, revision, nil
}

// answerable is a request that waits for the caller's answer.
func (c *change) answerable(id, verb, to string) (*record.Peering, error) {
	p, err := c.shownPeering(c.tx, c.caller, id, peeringKind.field)
	switch {
	case err != nil:
		return nil, err
	case p.Accepter.OwnerId != c.caller.Account:
		return nil, api.Errorf("OperationNotPermitted", peeringKind.field, "user (%s) cannot %s peering %s: the owner of %s can, %s", c.caller.Account, verb, id, p.Accepter.VpcId, p.Accepter.OwnerId)
	case c.peeringState(p) != peeringPending:
		return nil, c.badTransition(p, to)
	}
	return p, nil
}

// peer is the state that an accepted request goes over to. The guards keep both
// VPCs' CIDRs and peerings as they are.
func (c *change) peer(p *record.Peering) (string, error) {
	var vpcs []*record.Vpc
	for _, side := range []record.PeeringSide{p.Requester, p.Accepter} {
		vpc, ok := store.Get[*record.Vpc](c.tx, record.Vpcs+side.VpcId)
		if !ok {
			return peeringFailed, nil
		}
		vpcs = append(vpcs, vpc)
		c.guard(side.VpcId)
		active := 1
		for _, other := range peeringsOf(c.tx.Peek(), side.VpcId) {
			if other.Active() {
				active++
			}
		}
		if err := c.checkLimit(limitPeerings, active); err != nil {
			return "", err
		}
	}
	if overlapping(vpcs[0], vpcs[1]) {
		return peeringFailed, nil
	}
	return peeringActive, nil
}

// rejectVpcPeeringConnection declines a request. Codes are those of accept.
func (s *Service) rejectVpcPeeringConnection(ctx context.Context, caller Caller, req *api.RejectVpcPeeringConnectionRequest) (*api.RejectVpcPeeringConnectionResult, int64, error) {
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		p, err := c.answerable(req.VpcPeeringConnectionId, "reject", peeringRejected)
		if err != nil {
			return err
		}
		c.endPeering(p, peeringRejected)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.RejectVpcPeeringConnectionResult{Return: api.Ptr(true)}, revision, nil
}

// endPeering stores that the caller has ended a peering.
func (c *change) endPeering(p *record.Peering, state string) {
	next := *p
	next.State, next.EndedBy, next.Ended = state, c.caller.Account, c.now().UTC().Format(time.RFC3339Nano)
	c.putPeering(&next)
}

// deleteVpcPeeringConnection ends an active peering for either owner, and takes
// a request back for who made it. Routes and rules that name it stay and lead
// nowhere. Codes: those of the id, InvalidStateTransition for what has ended,
// OperationNotPermitted for the accepter of a request.
func (s *Service) deleteVpcPeeringConnection(ctx context.Context, caller Caller, req *api.DeleteVpcPeeringConnectionRequest) (*api.DeleteVpcPeeringConnectionResult, int64, error) {
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		p, err := c.shownPeering(c.tx, caller, req.VpcPeeringConnectionId, peeringKind.field)
		if err != nil {
			return err
		}
		switch state := c.peeringState(p); {
		case state != peeringActive && state != peeringPending:
			return c.badTransition(p, api.VpcPeeringConnectionStateReasonCodeDeleting)
		case state == peeringPending && p.Requester.OwnerId != caller.Account:
			e := api.Errorf("OperationNotPermitted", peeringKind.field, "user (%s) cannot delete peering %s while it waits for an answer: reject it", caller.Account, p.VpcPeeringConnectionId)
			e.Hint = "vpc peering reject " + p.VpcPeeringConnectionId
			return e
		}
		c.endPeering(p, peeringDeleted)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.DeleteVpcPeeringConnectionResult{Return: api.Ptr(true)}, revision, nil
}

// unpeer ends the peerings of a VPC that is deleted, and takes its requests back.
// A request from another account is what keeps it, as in EC2: it has to be
// rejected first. The caller has called guard for the VPC.
func (c *change) unpeer(vpcID string) error {
	var ended []*record.Peering
	for _, seen := range peeringsOf(c.tx.Peek(), vpcID) {
		p, ok := store.Get[*record.Peering](c.tx, record.Peerings+seen.VpcPeeringConnectionId)
		if state := c.peeringState(p); !ok || state != peeringActive && state != peeringPending {
			continue
		}
		if !p.Active() && p.Requester.OwnerId != c.caller.Account {
			e := api.Errorf("DependencyViolation", "VpcId", "the vpc '%s' has dependencies and cannot be deleted: %s asks for the peering %s", vpcID, p.Requester.OwnerId, p.VpcPeeringConnectionId)
			e.BlockedBy = []api.Blocker{c.peeringBlocker(p)}
			e.Hint = "vpc peering reject " + p.VpcPeeringConnectionId
			return e
		}
		ended = append(ended, p)
	}
	for _, p := range ended {
		c.endPeering(p, peeringDeleted)
	}
	return nil
}

// modifyVpcPeeringConnectionOptions changes the options of the sides that are the
// caller's, while the peering is active; a side that is left out keeps its own.
// Codes: those of the id, OperationNotPermitted, UnsupportedOperation for
// ClassicLink, InvalidVpcPeeringConnectionState.DnsHostnamesDisabled.
func (s *Service) modifyVpcPeeringConnectionOptions(ctx context.Context, caller Caller, req *api.ModifyVpcPeeringConnectionOptionsRequest) (*api.ModifyVpcPeeringConnectionOptionsResult, int64, error) {
	if req.RequesterPeeringConnectionOptions == nil && req.AccepterPeeringConnectionOptions == nil {
		return nil, 0, api.Errorf("MissingParameter", "RequesterPeeringConnectionOptions", "the request must contain RequesterPeeringConnectionOptions or AccepterPeeringConnectionOptions")
	}
	for field, options := range map[string]*api.PeeringConnectionOptionsRequest{
		"RequesterPeeringConnectionOptions": req.RequesterPeeringConnectionOptions, "AccepterPeeringConnectionOptions": req.AccepterPeeringConnectionOptions} {
		if err := noClassicLink(field, options); err != nil {
			return nil, 0, err
		}
	}
	res := &api.ModifyVpcPeeringConnectionOptionsResult{}
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		p, err := c.shownPeering(c.tx, caller, req.VpcPeeringConnectionId, peeringKind.field)
		if err != nil {
			return err
		}
		if !p.Active() {
			return api.Errorf("OperationNotPermitted", peeringKind.field, "peering %s is not active. Peering options can be added only to active peerings", p.VpcPeeringConnectionId)
		}
		next := *p
		if res.RequesterPeeringConnectionOptions, err = c.setOptions(&next, &next.Requester, "RequesterPeeringConnectionOptions", req.RequesterPeeringConnectionOptions); err != nil {
			return err
		}
		if res.AccepterPeeringConnectionOptions, err = c.setOptions(&next, &next.Accepter, "AccepterPeeringConnectionOptions", req.AccepterPeeringConnectionOptions); err != nil {
			return err
		}
		c.putPeering(&next)
		return nil
	})
	return res, revision, err
}

func noClassicLink(field string, o *api.PeeringConnectionOptionsRequest) error {
	if o == nil {
		return nil
	}
	return unsupported(
		param{field + ".AllowEgressFromLocalClassicLinkToRemoteVpc", api.Val(o.AllowEgressFromLocalClassicLinkToRemoteVpc)},
		param{field + ".AllowEgressFromLocalVpcToRemoteClassicLink", api.Val(o.AllowEgressFromLocalVpcToRemoteClassicLink)},
	)
}

// setOptions changes one side of p, which is the caller's own copy, and returns
// what it then is; nil where nothing is asked of it.
func (c *change) setOptions(p *record.Peering, side *record.PeeringSide, field string, o *api.PeeringConnectionOptionsRequest) (*api.PeeringConnectionOptions, error) {
	if o == nil {
		return nil, nil
	}
	if side.OwnerId != c.caller.Account {
		return nil, api.Errorf("OperationNotPermitted", field, "user (%s) cannot modify the options of %s in %s: its owner can, %s", c.caller.Account, side.VpcId, p.VpcPeeringConnectionId, side.OwnerId)
	}
	if o.AllowDnsResolutionFromRemoteVpc == nil {
		return optionsOf(side), nil
	}
	if *o.AllowDnsResolutionFromRemoteVpc {
		for _, id := range []string{p.Requester.VpcId, p.Accepter.VpcId} {
			vpc, ok := store.Get[*record.Vpc](c.tx, record.Vpcs+id)
			if !ok || !vpc.EnableDnsHostnames || !vpc.EnableDnsSupport {
				e := api.Errorf("InvalidVpcPeeringConnectionState.DnsHostnamesDisabled", field, "peering DNS resolution needs DNS hostnames and DNS support in both VPCs, and %s lacks one", id)
				e.Hint = "vpc set " + id + " --dns-hostnames --dns-support"
				return nil, e
			}
		}
	}
	side.AllowDNS = *o.AllowDnsResolutionFromRemoteVpc
	return optionsOf(side), nil
}
