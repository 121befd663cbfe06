package service

import (
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// EC2's codes in short. Those it only passes through (provisioning, deleting) do
// not occur: a peering changes in one transaction.
const (
	peeringPending  = api.VpcPeeringConnectionStateReasonCodePendingAcceptance
	peeringActive   = api.VpcPeeringConnectionStateReasonCodeActive
	peeringFailed   = api.VpcPeeringConnectionStateReasonCodeFailed
	peeringRejected = api.VpcPeeringConnectionStateReasonCodeRejected
	peeringExpired  = api.VpcPeeringConnectionStateReasonCodeExpired
	peeringDeleted  = api.VpcPeeringConnectionStateReasonCodeDeleted
)

const (
	// requestLife is how long a request waits for an answer.
	requestLife = 7 * 24 * time.Hour
	// What has ended stays visible: longer to the side that did not end it.
	shownToWhoEnded = 2 * time.Hour
	shownToOthers   = 2 * 24 * time.Hour
)

// peeringState is the code of a peering now: a request expires without anybody's
// doing, so that nothing is lost while no daemon runs. It is "" for nil.
func (s *Service) peeringState(p *record.Peering) string {
	switch {
	case p == nil:
		return ""
	case p.State == peeringPending && !s.now().Before(expiry(p)):
		return peeringExpired
	}
	return p.State
}

// expiry is when a request expires. One whose time cannot be read has.
func expiry(p *record.Peering) time.Time {
	created, err := time.Parse(time.RFC3339, p.Created)
	if err != nil {
		return time.Time{}
	}
	return created.Add(requestLife)
}

// shownTo says whether a peering that concerns an account is one that EC2 still
// shows to it: for some time after its end, to each side for its own.
func (s *Service) shownTo(p *record.Peering, account string) bool {
	ended, life := time.Time{}, shownToOthers
	switch s.peeringState(p) {
	case peeringPending, peeringActive:
		return true
	case peeringExpired:
		ended = expiry(p)
	default:
		ended, _ = time.Parse(time.RFC3339, p.Ended)
		if p.EndedBy == account || p.State == peeringFailed {
			life = shownToWhoEnded
		}
	}
	return s.now().Before(ended.Add(life))
}

// shownPeering is a peering that the caller sees. Its errors are those of the id.
func (s *Service) shownPeering(r store.Reader, c Caller, id, field string) (*record.Peering, error) {
	p, err := peeringKind.getAs(r, c, id, field)
	if err == nil && !s.shownTo(p, c.Account) {
		return nil, peeringKind.missing(id, field)
	}
	return p, err
}

// peeringStatus is the state with EC2's words for it.
func (s *Service) peeringStatus(p *record.Peering) *api.VpcPeeringConnectionStateReason {
	code := s.peeringState(p)
	messages := map[string]string{
		peeringPending:  "Pending Acceptance by " + p.Accepter.OwnerId,
		peeringActive:   "Active",
		peeringFailed:   "Failed due to incorrect VPC-ID, Account ID, or overlapping CIDR range",
		peeringRejected: "Rejected by " + p.EndedBy,
		peeringExpired:  "Expired",
		peeringDeleted:  "Deleted by " + p.EndedBy,
	}
	return &api.VpcPeeringConnectionStateReason{Code: code, Message: messages[code]}
}

// peeringShape is a peering as answers have it. EC2 tells the CIDRs of the
// accepter, and both sides' options, only while the peering is active.
func (s *Service) peeringShape(r store.Reader, p *record.Peering, c Caller) *api.VpcPeeringConnection {
	out := &api.VpcPeeringConnection{VpcPeeringConnectionId: p.VpcPeeringConnectionId, Status: s.peeringStatus(p)}
	if side := sideOf(p, c); side != nil {
		out.Tags = side.Tags
	}
	pending, active := out.Status.Code == peeringPending, out.Status.Code == peeringActive
	out.RequesterVpcInfo = s.sideShape(r, &p.Requester, active, pending || active)
	out.AccepterVpcInfo = s.sideShape(r, &p.Accepter, active, active)
	if pending {
		out.ExpirationTime = api.Ptr(expiry(p).UTC())
	}
	return out
}

func (s *Service) sideShape(r store.Reader, side *record.PeeringSide, options, cidrs bool) *api.VpcPeeringConnectionVpcInfo {
	out := &api.VpcPeeringConnectionVpcInfo{OwnerId: side.OwnerId, VpcId: side.VpcId, Region: s.region}
	if options {
		out.PeeringOptions = (*api.VpcPeeringConnectionOptionsDescription)(optionsOf(side))
	}
	if vpc, ok := store.Get[*record.Vpc](r, record.Vpcs+side.VpcId); ok && cidrs {
		out.CidrBlock = vpc.Vpc.CidrBlock
		for _, cidr := range vpcPrefixes(vpc) {
			out.CidrBlockSet = append(out.CidrBlockSet, api.CidrBlock{CidrBlock: cidr.String()})
		}
	}
	return out
}

// optionsOf are the options of one side; ClassicLink is no more in EC2 either.
func optionsOf(side *record.PeeringSide) *api.PeeringConnectionOptions {
	return &api.PeeringConnectionOptions{
		AllowDnsResolutionFromRemoteVpc:            api.Ptr(side.AllowDNS),
		AllowEgressFromLocalClassicLinkToRemoteVpc: api.Ptr(false),
		AllowEgressFromLocalVpcToRemoteClassicLink: api.Ptr(false),
	}
}

// badTransition has EC2's words, which its clients look for.
func (s *Service) badTransition(p *record.Peering, to string) error {
	return api.Errorf("InvalidStateTransition", "VpcPeeringConnectionId", "invalid state transition for %s, attempted to transition from %s to %s", p.VpcPeeringConnectionId, s.peeringState(p), to)
}
