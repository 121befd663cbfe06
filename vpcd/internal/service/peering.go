package service

import (
	"context"
	"net/netip"
	"regexp"
	"slices"
	"time"

	"github.com/vpcfabric/vpc/ipam"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// peeringKind has two owners, each with tags of its own. What has ended is still
// found here: see shownPeering.
var peeringKind = kind[*record.Peering]{
	keys: record.Peerings, id: "pcx-", resourceType: "vpc-peering-connection", noun: "VPC peering connection", field: "VpcPeeringConnectionId",
	notFound: "InvalidVpcPeeringConnectionID.NotFound", malformed: "InvalidVpcPeeringConnectionId.Malformed",
	mine: func(p *record.Peering, c Caller) bool { return sideOf(p, c) != nil },
	idOf: func(p *record.Peering) string { return p.VpcPeeringConnectionId },
}

// accountID is the form of an account's id.
var accountID = regexp.MustCompile(`^[0-9]{12}$`)

// sideOf is the side of an account that a peering concerns, nil where it does not
// concern it: a request that failed has reached nobody. Where both are the
// account's it is the requester's.
func sideOf(p *record.Peering, c Caller) *record.PeeringSide {
	switch {
	case p.Requester.OwnerId == c.Account:
		return &p.Requester
	case p.Accepter.OwnerId == c.Account && p.State != peeringFailed:
		return &p.Accepter
	}
	return nil
}

// createVpcPeeringConnection asks for a peering with another VPC, of another
// account where PeerOwnerId says so. The answer says initiating-request; what
// became of it is in the next Describe: pending-acceptance, or failed where a
// CIDR of one VPC overlaps one of the other, and for a VPC that the other account
// does not have, which EC2 does not tell apart. Of two VPCs that have a peering,
// or a request for one in either direction, the answer is that one. Codes: those
// of VPC ids, InvalidParameterValue for a VPC and itself, UnsupportedOperation for
// another region, OutstandingVpcPeeringConnectionLimitExceeded.
func (s *Service) createVpcPeeringConnection(ctx context.Context, caller Caller, req *api.CreateVpcPeeringConnectionRequest) (*api.CreateVpcPeeringConnectionResult, int64, error) {
	tags, err := specTags(req.TagSpecifications, peeringKind.resourceType)
	if err != nil {
		return nil, 0, err
	}
	if req.PeerRegion != "" && req.PeerRegion != s.region {
		return nil, 0, api.Errorf("UnsupportedOperation", "PeerRegion", "a peering with the region %s is not possible: the VPCs here are all in %s; leave PeerRegion out", quote(req.PeerRegion), s.region)
	}
	if req.PeerOwnerId != "" && !accountID.MatchString(req.PeerOwnerId) {
		return nil, 0, api.Errorf("InvalidParameterValue", "PeerOwnerId", "%s is no account: the id of one is 12 digits", quote(req.PeerOwnerId))
	}
	var made *api.VpcPeeringConnection
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		p, fresh, err := c.requestPeering(req, tags)
		if err != nil {
			return err
		}
		made = s.peeringShape(c.tx, p, caller)
		if fresh {
			made.Status = &api.VpcPeeringConnectionStateReason{
				Code: api.VpcPeeringConnectionStateReasonCodeInitiatingRequest, Message: "Initiating Request to " + p.Accepter.OwnerId}
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.CreateVpcPeeringConnectionResult{VpcPeeringConnection: made}, revision, nil
}

// requestPeering stores a request, or finds what there is between the VPCs. The
// guards of both keep a second one, and CIDRs that overlap, from getting in.
func (c *change) requestPeering(req *api.CreateVpcPeeringConnectionRequest, tags []api.Tag) (p *record.Peering, fresh bool, err error) {
	own, err := getVpc(c.tx, c.caller, req.VpcId)
	if err != nil {
		return nil, false, err
	}
	if req.PeerVpcId == req.VpcId {
		return nil, false, api.Errorf("InvalidParameterValue", "PeerVpcId", "%s is both VPCs of the peering: name another one", req.VpcId)
	}
	accepter := Caller{Account: req.PeerOwnerId}
	if accepter.Account == "" {
		accepter = c.caller
	}
	peer, err := vpcKind.getAs(c.tx, accepter, req.PeerVpcId, "PeerVpcId")
	if err != nil && (accepter == c.caller || !wellFormed(req.PeerVpcId, vpcKind.id)) {
		return nil, false, err
	}
	c.guard(req.VpcId)
	if peer != nil {
		c.guard(req.PeerVpcId)
		if there := c.between(req.VpcId, req.PeerVpcId); there != nil {
			return there, false, nil
		}
	}
	if err := c.checkLimit(limitRequests, c.outstanding()+1); err != nil {
		return nil, false, err
	}
	if err := c.peeringNameFree(uniqueName(req.TagSpecifications, tags), ""); err != nil {
		return nil, false, err
	}
	p = &record.Peering{
		VpcPeeringConnectionId: c.newID(peeringKind.id), State: peeringPending, Created: c.now().UTC().Format(time.RFC3339Nano),
		Requester: record.PeeringSide{VpcId: req.VpcId, OwnerId: c.caller.Account, Tags: tags},
		Accepter:  record.PeeringSide{VpcId: req.PeerVpcId, OwnerId: accepter.Account},
	}
	if peer == nil || overlapping(own, peer) {
		p.State, p.Ended = peeringFailed, p.Created
	}
	c.putPeering(p)
	return p, true, nil
}

func (c *change) putPeering(p *record.Peering) {
	c.tx.Put(record.Peerings+p.VpcPeeringConnectionId, p)
}

// between is the peering, or the request for one, that there is between two VPCs;
// nil without any. What it finds is read under guard.
func (c *change) between(one, other string) *record.Peering {
	for _, seen := range peeringsOf(c.tx.Peek(), one) {
		if far, _ := seen.Other(one); far != other {
			continue
		}
		p, ok := store.Get[*record.Peering](c.tx, record.Peerings+seen.VpcPeeringConnectionId)
		if code := c.peeringState(p); ok && (code == peeringActive || code == peeringPending) {
			return p
		}
	}
	return nil
}

// outstanding counts the requests of the caller that wait for an answer.
func (c *change) outstanding() int {
	n := 0
	for _, p := range store.List[*record.Peering](c.tx.Peek(), record.Peerings) {
		if p.Requester.OwnerId == c.caller.Account && c.peeringState(p) == peeringPending {
			n++
		}
	}
	return n
}

// peeringsOf are the peerings that a VPC has or had, in order of ids. Whoever
// changes that calls guard with its id.
func peeringsOf(r store.Reader, vpcID string) []*record.Peering {
	var out []*record.Peering
	for _, p := range store.List[*record.Peering](r, record.Peerings) {
		if _, ok := p.Other(vpcID); ok {
			out = append(out, p)
		}
	}
	return out
}

// activePeering is the peering that joins two VPCs at the moment, nil without
// one.
func activePeering(r store.Reader, one, other string) *record.Peering {
	for _, p := range peeringsOf(r, one) {
		if far, _ := p.Other(one); far == other && p.Active() {
			return p
		}
	}
	return nil
}

// overlapping says whether any CIDR of one VPC overlaps one of the other.
func overlapping(a, b *record.Vpc) bool {
	return slices.ContainsFunc(vpcPrefixes(a), func(cidr netip.Prefix) bool {
		_, overlap := ipam.FirstOverlap(cidr, slices.Values(vpcPrefixes(b)))
		return overlap
	})
}

// peeringNameFree is nameFree for peerings, whose name depends on who asks.
func (c *change) peeringNameFree(name, self string) error {
	k := peeringKind
	k.tags = func(p *record.Peering) []api.Tag { return sideOf(p, c.caller).Tags }
	return nameFree(c, k, name, self, func(p *record.Peering) bool { return p.Ended == "" })
}

// checkPeers refuses a further CIDR of a VPC that would overlap one of a VPC it is
// peered with, and any while a request of it waits: what was asked for must not
// change. That of an accepter may make the request fail in the end.
func (c *change) checkPeers(vpc *record.Vpc, cidr netip.Prefix) error {
	id := vpc.Vpc.VpcId
	for _, p := range peeringsOf(c.tx.Peek(), id) {
		switch c.peeringState(p) {
		case peeringPending:
			if p.Requester.VpcId != id {
				continue
			}
			e := api.Errorf("OperationNotPermitted", "VpcId", "%s has asked for the peering %s, which waits for an answer, and gets no CIDR meanwhile", id, p.VpcPeeringConnectionId)
			e.BlockedBy = []api.Blocker{c.peeringBlocker(p)}
			e.Hint = "vpc peering accept " + p.VpcPeeringConnectionId + ", or vpc peering rm " + p.VpcPeeringConnectionId
			return e
		case peeringActive:
			far, _ := p.Other(id)
			// Guarded: the other VPC may get a CIDR as well at the moment.
			peer, ok := store.Get[*record.Vpc](c.tx, record.Vpcs+far)
			if !ok {
				continue
			}
			if other, overlap := ipam.FirstOverlap(cidr, slices.Values(vpcPrefixes(peer))); overlap {
				return api.Errorf("InvalidVpc.Range", "CidrBlock", "the CIDR '%s' overlaps %s of %s, with which %s is peered by %s; use another range", cidr, other, far, id, p.VpcPeeringConnectionId)
			}
		}
	}
	return nil
}

// peeringBlocker names a peering to the caller, with the name it has for them.
func (c *change) peeringBlocker(p *record.Peering) api.Blocker {
	b := api.Blocker{Kind: "peering", Id: p.VpcPeeringConnectionId}
	if side := sideOf(p, c.caller); side != nil {
		b.Name = nameTag(side.Tags)
	}
	return b
}
