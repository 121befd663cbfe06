package service

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// peerBench is a bench whose clock a test moves.
type peerBench struct {
	*bench
	clock time.Time
}

func newPeerBench(t testing.TB) *peerBench {
	t.Helper()
	p := &peerBench{clock: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	p.bench = newBench(t, func(c *Config) {
		c.Now = func() time.Time { return p.clock }
		c.Limits = map[string]int64{"vpcs": unlimited}
	})
	return p
}

// by is a call of one account that must succeed.
func by[Res any](b *peerBench, who Caller, req any) *Res {
	b.t.Helper()
	res, _, err := b.call(who, actionOf(req), req)
	if err != nil {
		b.t.Fatalf("%s: %v", actionOf(req), err)
	}
	return res.(*Res)
}

func (b *peerBench) vpcOf(who Caller, cidr string) string {
	b.t.Helper()
	return by[api.CreateVpcResult](b, who, &api.CreateVpcRequest{CidrBlock: cidr}).Vpc.VpcId
}

// request asks for a peering on behalf of an account.
func (b *peerBench) request(who Caller, vpc, peer string, owner Caller) string {
	b.t.Helper()
	return by[api.CreateVpcPeeringConnectionResult](b, who, &api.CreateVpcPeeringConnectionRequest{VpcId: vpc, PeerVpcId: peer, PeerOwnerId: owner.Account}).VpcPeeringConnection.VpcPeeringConnectionId
}

func (b *peerBench) accept(who Caller, id string) string {
	b.t.Helper()
	return by[api.AcceptVpcPeeringConnectionResult](b, who, &api.AcceptVpcPeeringConnectionRequest{VpcPeeringConnectionId: id}).VpcPeeringConnection.Status.Code
}

// joined are two VPCs of an account each, and their active peering.
func (b *peerBench) joined(one, two Caller) (vpc, peer, id string) {
	b.t.Helper()
	vpc, peer = b.vpcOf(one, "10.0.0.0/16"), b.vpcOf(two, "10.9.0.0/16")
	id = b.request(one, vpc, peer, two)
	if code := b.accept(two, id); code != "active" {
		b.t.Fatalf("%s is %s", id, code)
	}
	return vpc, peer, id
}

// status is what an account sees of a peering, "" where it sees none.
func (b *peerBench) status(who Caller, id string) string {
	b.t.Helper()
	for _, p := range by[api.DescribeVpcPeeringConnectionsResult](b, who, &api.DescribeVpcPeeringConnectionsRequest{}).VpcPeeringConnections {
		if p.VpcPeeringConnectionId == id {
			return p.Status.Code + ": " + p.Status.Message
		}
	}
	_, _, err := b.call(who, "DescribeVpcPeeringConnections", &api.DescribeVpcPeeringConnectionsRequest{VpcPeeringConnectionIds: []string{id}})
	refused(b.t, err, "InvalidVpcPeeringConnectionID.NotFound", "VpcPeeringConnectionIds.0")
	return ""
}

func (b *peerBench) sees(t *testing.T, id, alices, bobs string) {
	t.Helper()
	if a, o := b.status(alice, id), b.status(bob, id); a != alices || o != bobs {
		t.Errorf("alice sees %q and bob %q, want %q and %q", a, o, alices, bobs)
	}
}

// TestPeeringLife is one request of alice to bob, as EC2 documents its states.
func TestPeeringLife(t *testing.T) {
	b := newPeerBench(t)
	vpc, peer := b.vpcOf(alice, "10.0.0.0/16"), b.vpcOf(bob, "10.9.0.0/16")
	made := by[api.CreateVpcPeeringConnectionResult](b, alice, &api.CreateVpcPeeringConnectionRequest{
		VpcId: vpc, PeerVpcId: peer, PeerOwnerId: bob.Account, PeerRegion: "local-1", TagSpecifications: tagSpec("vpc-peering-connection", api.Tag{Key: "Name", Value: "ours"})}).VpcPeeringConnection
	id := made.VpcPeeringConnectionId
	if !wellFormed(id, "pcx-") || made.Status.Code != "initiating-request" || made.Status.Message != "Initiating Request to "+bob.Account || nameTag(made.Tags) != "ours" {
		t.Errorf("made %+v", made)
	}
	if want := b.clock.Add(7 * 24 * time.Hour); !made.ExpirationTime.Equal(want) {
		t.Errorf("it expires at %s, want %s", made.ExpirationTime, want)
	}
	if far := made.AccepterVpcInfo; far.CidrBlock != "" || far.OwnerId != bob.Account || far.VpcId != peer || far.Region != "local-1" || made.RequesterVpcInfo.CidrBlock != "10.0.0.0/16" {
		t.Errorf("the sides are %+v and %+v", made.RequesterVpcInfo, far)
	}
	pending := "pending-acceptance: Pending Acceptance by " + bob.Account
	b.sees(t, id, pending, pending)
	for _, again := range []string{b.request(alice, vpc, peer, bob), b.request(bob, peer, vpc, alice)} {
		if again != id {
			t.Errorf("a second request made %s", again)
		}
	}
	accepted := by[api.AcceptVpcPeeringConnectionResult](b, bob, &api.AcceptVpcPeeringConnectionRequest{VpcPeeringConnectionId: id}).VpcPeeringConnection
	if far := accepted.AccepterVpcInfo; far.CidrBlock != "10.9.0.0/16" || len(far.CidrBlockSet) != 1 || far.PeeringOptions == nil || accepted.ExpirationTime != nil || len(accepted.Tags) != 0 {
		t.Errorf("accepted %+v, %+v", accepted, far)
	}
	b.sees(t, id, "active: Active", "active: Active")
	if again := b.request(bob, peer, vpc, alice); again != id {
		t.Errorf("a request between peers made %s", again)
	}
	by[api.DeleteVpcPeeringConnectionResult](b, bob, &api.DeleteVpcPeeringConnectionRequest{VpcPeeringConnectionId: id})
	deleted := "deleted: Deleted by " + bob.Account
	b.sees(t, id, deleted, deleted)
	b.clock = b.clock.Add(2 * time.Hour)
	b.sees(t, id, deleted, "")
	b.clock = b.clock.Add(46 * time.Hour)
	b.sees(t, id, "", "")
	if again := b.request(alice, vpc, peer, bob); again == id {
		t.Error("a peering that ended is returned for a new request")
	}
}

// TestPeeringEnds: how long each side sees what has ended in each way.
func TestPeeringEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		end            func(b *peerBench, id string)
		code           string
		alices, others time.Duration
	}{
		"rejected": {func(b *peerBench, id string) {
			by[api.RejectVpcPeeringConnectionResult](b, bob, &api.RejectVpcPeeringConnectionRequest{VpcPeeringConnectionId: id})
		}, "rejected: Rejected by " + bob.Account, shownToOthers, shownToWhoEnded},
		"taken back": {func(b *peerBench, id string) {
			by[api.DeleteVpcPeeringConnectionResult](b, alice, &api.DeleteVpcPeeringConnectionRequest{VpcPeeringConnectionId: id})
		}, "deleted: Deleted by " + alice.Account, shownToWhoEnded, shownToOthers},
		"expired": {func(b *peerBench, _ string) { b.clock = b.clock.Add(requestLife) }, "expired: Expired", shownToOthers, shownToOthers},
	} {
		t.Run(name, func(t *testing.T) {
			b := newPeerBench(t)
			vpc, peer := b.vpcOf(alice, "10.0.0.0/16"), b.vpcOf(bob, "10.9.0.0/16")
			id := b.request(alice, vpc, peer, bob)
			b.clock = b.clock.Add(requestLife - time.Second)
			b.sees(t, id, "pending-acceptance: Pending Acceptance by "+bob.Account, "pending-acceptance: Pending Acceptance by "+bob.Account)
			b.clock = b.clock.Add(time.Second - requestLife)
			tt.end(b, id)
			b.sees(t, id, tt.code, tt.code)
			for who, action := range map[Caller]any{
				alice: &api.DeleteVpcPeeringConnectionRequest{VpcPeeringConnectionId: id}, bob: &api.AcceptVpcPeeringConnectionRequest{VpcPeeringConnectionId: id}} {
				_, _, err := b.call(who, actionOf(action), action)
				refused(t, err, "InvalidStateTransition", "VpcPeeringConnectionId")
			}
			ended, seen := b.clock, map[bool]string{true: tt.code}
			for _, after := range []time.Duration{shownToWhoEnded - 1, shownToWhoEnded, shownToOthers - 1, shownToOthers} {
				b.clock = ended.Add(after)
				b.sees(t, id, seen[after < tt.alices], seen[after < tt.others])
			}
			err := b.reap(context.Background())
			for key := range store.List[*record.Peering](b.store.Snapshot(), record.Peerings) {
				t.Errorf("%s is kept, and nobody sees it: %v", key, err)
			}
		})
	}
}

// TestPeeringThatFails: an overlap of any CIDR, and what the other account does
// not have, look the same, to the requester alone.
func TestPeeringThatFails(t *testing.T) {
	b := newPeerBench(t)
	vpc, peer := b.vpcOf(alice, "10.0.0.0/16"), b.vpcOf(bob, "10.9.0.0/16")
	by[api.AssociateVpcCidrBlockResult](b, bob, &api.AssociateVpcCidrBlockRequest{VpcId: peer, CidrBlock: "10.0.128.0/20"})
	var seen []string
	for _, far := range []string{peer, "vpc-00000000"} {
		id := b.request(alice, vpc, far, bob)
		seen = append(seen, b.status(alice, id))
		b.sees(t, id, seen[0], "")
		for who, code := range map[Caller]string{alice: "OperationNotPermitted", bob: "InvalidVpcPeeringConnectionID.NotFound"} {
			_, _, err := b.call(who, "AcceptVpcPeeringConnection", &api.AcceptVpcPeeringConnectionRequest{VpcPeeringConnectionId: id})
			refused(t, err, code, "VpcPeeringConnectionId")
		}
	}
	if seen[0] != seen[1] || !strings.HasPrefix(seen[0], "failed: Failed due to incorrect VPC-ID") {
		t.Errorf("the two are %q", seen)
	}
	b.clock = b.clock.Add(shownToWhoEnded)
	if n := len(by[api.DescribeVpcPeeringConnectionsResult](b, alice, &api.DescribeVpcPeeringConnectionsRequest{}).VpcPeeringConnections); n != 0 {
		t.Errorf("%d that failed are shown for too long", n)
	}
}

// TestWhoMayDoWhat: the accepter answers, the requester takes back.
func TestWhoMayDoWhat(t *testing.T) {
	b := newPeerBench(t)
	vpc, peer := b.vpcOf(alice, "10.0.0.0/16"), b.vpcOf(bob, "10.9.0.0/16")
	id := b.request(alice, vpc, peer, bob)
	const field = "VpcPeeringConnectionId"
	options := &api.PeeringConnectionOptionsRequest{AllowDnsResolutionFromRemoteVpc: api.Ptr(true)}
	carol := Caller{Account: "000000000003"}
	for _, row := range []struct {
		who         Caller
		req         any
		code, field string
	}{
		{alice, &api.AcceptVpcPeeringConnectionRequest{VpcPeeringConnectionId: id}, "OperationNotPermitted", field},
		{alice, &api.RejectVpcPeeringConnectionRequest{VpcPeeringConnectionId: id}, "OperationNotPermitted", field},
		{bob, &api.DeleteVpcPeeringConnectionRequest{VpcPeeringConnectionId: id}, "OperationNotPermitted", field},
		{carol, &api.AcceptVpcPeeringConnectionRequest{VpcPeeringConnectionId: id}, "InvalidVpcPeeringConnectionID.NotFound", field},
		{carol, &api.DeleteVpcPeeringConnectionRequest{VpcPeeringConnectionId: id}, "InvalidVpcPeeringConnectionID.NotFound", field},
		{alice, &api.ModifyVpcPeeringConnectionOptionsRequest{VpcPeeringConnectionId: id, RequesterPeeringConnectionOptions: options}, "OperationNotPermitted", field},
		{alice, &api.ModifyVpcPeeringConnectionOptionsRequest{VpcPeeringConnectionId: id}, "MissingParameter", "RequesterPeeringConnectionOptions"},
		{alice, &api.CreateVpcPeeringConnectionRequest{VpcId: vpc, PeerVpcId: vpc}, "InvalidParameterValue", "PeerVpcId"},
		{alice, &api.CreateVpcPeeringConnectionRequest{VpcId: vpc}, "MissingParameter", "PeerVpcId"},
		{alice, &api.CreateVpcPeeringConnectionRequest{VpcId: vpc, PeerVpcId: "vpc-x", PeerOwnerId: bob.Account}, "InvalidVpcID.Malformed", "PeerVpcId"},
		{alice, &api.CreateVpcPeeringConnectionRequest{VpcId: vpc, PeerVpcId: peer}, "InvalidVpcID.NotFound", "PeerVpcId"},
		{alice, &api.CreateVpcPeeringConnectionRequest{VpcId: vpc, PeerVpcId: peer, PeerOwnerId: bob.Account, PeerRegion: "mars-1"}, "UnsupportedOperation", "PeerRegion"},
		{alice, &api.CreateVpcPeeringConnectionRequest{VpcId: vpc, PeerVpcId: peer, PeerOwnerId: "bob"}, "InvalidParameterValue", "PeerOwnerId"},
		{bob, &api.DeleteVpcRequest{VpcId: peer}, "DependencyViolation", "VpcId"},
		{alice, &api.AssociateVpcCidrBlockRequest{VpcId: vpc, CidrBlock: "10.5.0.0/16"}, "OperationNotPermitted", "VpcId"},
	} {
		b.unchanged(t, func() {
			_, _, err := b.call(row.who, actionOf(row.req), row.req)
			refused(t, err, row.code, row.field)
		})
	}
}

// TestPeersNeverOverlap: neither by a CIDR that comes before the answer, nor by
// one that comes later, on either side.
func TestPeersNeverOverlap(t *testing.T) {
	b := newPeerBench(t)
	vpc, peer := b.vpcOf(alice, "10.0.0.0/16"), b.vpcOf(bob, "10.9.0.0/16")
	id := b.request(alice, vpc, peer, bob)
	by[api.AssociateVpcCidrBlockResult](b, bob, &api.AssociateVpcCidrBlockRequest{VpcId: peer, CidrBlock: "10.0.8.0/24"})
	if code := b.accept(bob, id); code != "failed" {
		t.Errorf("VPCs that overlap by now are joined: %s", code)
	}
	b.sees(t, id, "failed: Failed due to incorrect VPC-ID, Account ID, or overlapping CIDR range", "")
	vpc, peer, id = b.joined(alice, bob)
	for who, change := range map[Caller]*api.AssociateVpcCidrBlockRequest{alice: {VpcId: vpc, CidrBlock: "10.9.128.0/20"}, bob: {VpcId: peer, CidrBlock: "10.0.0.0/17"}} {
		b.unchanged(t, func() {
			_, _, err := b.call(who, "AssociateVpcCidrBlock", change)
			if e := refused(t, err, "InvalidVpc.Range", "CidrBlock"); !strings.Contains(e.Message, id) {
				t.Errorf("%s does not name the peering", e.Message)
			}
		})
	}
	by[api.AssociateVpcCidrBlockResult](b, alice, &api.AssociateVpcCidrBlockRequest{VpcId: vpc, CidrBlock: "10.5.0.0/16"})
	_, _, err := b.call(bob, "AssociateVpcCidrBlock", &api.AssociateVpcCidrBlockRequest{VpcId: peer, CidrBlock: "10.5.1.0/24"})
	refused(t, err, "InvalidVpc.Range", "CidrBlock")
}

// TestDeletedVpcEndsItsPeerings, as in EC2, whoever asked for them.
func TestDeletedVpcEndsItsPeerings(t *testing.T) {
	b := newPeerBench(t)
	vpc, peer, active := b.joined(bob, alice)
	mine := b.vpcOf(alice, "10.4.0.0/16")
	asked := b.request(alice, mine, vpc, bob)
	own := b.request(alice, mine, peer, alice)
	by[api.DeleteVpcResult](b, alice, &api.DeleteVpcRequest{VpcId: peer})
	deleted := "deleted: Deleted by " + alice.Account
	b.sees(t, active, deleted, deleted)
	b.sees(t, own, deleted, "")
	b.sees(t, asked, "pending-acceptance: Pending Acceptance by "+bob.Account, "pending-acceptance: Pending Acceptance by "+bob.Account)
	by[api.DeleteVpcResult](b, alice, &api.DeleteVpcRequest{VpcId: mine})
	b.sees(t, asked, deleted, deleted)
	if cidr := by[api.DescribeVpcPeeringConnectionsResult](b, bob, &api.DescribeVpcPeeringConnectionsRequest{}).VpcPeeringConnections[0].RequesterVpcInfo.CidrBlock; cidr != "" {
		t.Errorf("a peering that ended shows %s", cidr)
	}
}

// TestPeeringQuotas: requests are bounded by account, peerings by VPC, on both
// sides.
func TestPeeringQuotas(t *testing.T) {
	b := newPeerBench(t)
	b.mustLimit(limitRequests, 2)
	b.mustLimit(limitPeerings, 1)
	hub := b.vpcOf(bob, "10.0.0.0/16")
	var ids, vpcs []string
	for i := range 3 {
		vpcs = append(vpcs, b.vpcOf(alice, fmt.Sprintf("10.%d.0.0/16", i+1)))
	}
	for _, vpc := range vpcs[:2] {
		ids = append(ids, b.request(alice, vpc, hub, bob))
	}
	_, _, err := b.call(alice, "CreateVpcPeeringConnection", &api.CreateVpcPeeringConnectionRequest{VpcId: vpcs[2], PeerVpcId: hub, PeerOwnerId: bob.Account})
	refused(t, err, "OutstandingVpcPeeringConnectionLimitExceeded", "VpcId")
	b.accept(bob, ids[0])
	ids = append(ids, b.request(alice, vpcs[2], hub, bob))
	for _, id := range ids[1:] {
		_, _, err := b.call(bob, "AcceptVpcPeeringConnection", &api.AcceptVpcPeeringConnectionRequest{VpcPeeringConnectionId: id})
		refused(t, err, "ActiveVpcPeeringConnectionPerVpcLimitExceeded", "")
	}
	b.clock = b.clock.Add(requestLife)
	b.request(alice, vpcs[1], hub, bob)
}

// TestPeeringOptions are each side's own, and only while the peering is active.
func TestPeeringOptions(t *testing.T) {
	b := newPeerBench(t)
	vpc, peer, id := b.joined(alice, bob)
	set := func(who Caller, requester, accepter *bool) (*api.ModifyVpcPeeringConnectionOptionsResult, error) {
		req := &api.ModifyVpcPeeringConnectionOptionsRequest{VpcPeeringConnectionId: id}
		if requester != nil {
			req.RequesterPeeringConnectionOptions = &api.PeeringConnectionOptionsRequest{AllowDnsResolutionFromRemoteVpc: requester}
		}
		if accepter != nil {
			req.AccepterPeeringConnectionOptions = &api.PeeringConnectionOptionsRequest{AllowDnsResolutionFromRemoteVpc: accepter}
		}
		res, _, err := b.call(who, "ModifyVpcPeeringConnectionOptions", req)
		if err != nil {
			return nil, err
		}
		return res.(*api.ModifyVpcPeeringConnectionOptionsResult), nil
	}
	on := api.Ptr(true)
	_, err := set(alice, nil, on)
	refused(t, err, "OperationNotPermitted", "AccepterPeeringConnectionOptions")
	_, err = set(alice, on, nil)
	refused(t, err, "InvalidVpcPeeringConnectionState.DnsHostnamesDisabled", "RequesterPeeringConnectionOptions")
	for who, one := range map[Caller]string{alice: vpc, bob: peer} {
		by[api.ModifyVpcAttributeResult](b, who, &api.ModifyVpcAttributeRequest{VpcId: one, EnableDnsHostnames: &api.AttributeBooleanValue{Value: on}})
	}
	res, err := set(alice, on, nil)
	if err != nil || !*res.RequesterPeeringConnectionOptions.AllowDnsResolutionFromRemoteVpc || res.AccepterPeeringConnectionOptions != nil {
		t.Fatalf("%+v, %v", res, err)
	}
	shown := by[api.DescribeVpcPeeringConnectionsResult](b, bob, &api.DescribeVpcPeeringConnectionsRequest{}).VpcPeeringConnections[0]
	if !*shown.RequesterVpcInfo.PeeringOptions.AllowDnsResolutionFromRemoteVpc || *shown.AccepterVpcInfo.PeeringOptions.AllowDnsResolutionFromRemoteVpc {
		t.Errorf("options are %+v and %+v", shown.RequesterVpcInfo.PeeringOptions, shown.AccepterVpcInfo.PeeringOptions)
	}
	_, _, err = b.call(alice, "ModifyVpcPeeringConnectionOptions", &api.ModifyVpcPeeringConnectionOptionsRequest{VpcPeeringConnectionId: id,
		RequesterPeeringConnectionOptions: &api.PeeringConnectionOptionsRequest{AllowEgressFromLocalClassicLinkToRemoteVpc: on}})
	refused(t, err, "UnsupportedOperation", "RequesterPeeringConnectionOptions.AllowEgressFromLocalClassicLinkToRemoteVpc")
}

// TestPeeringTags are each side's own.
func TestPeeringTags(t *testing.T) {
	b := newPeerBench(t)
	_, _, id := b.joined(alice, bob)
	for who, name := range map[Caller]string{alice: "to-bob", bob: "to-alice"} {
		by[api.CreateTagsResult](b, who, &api.CreateTagsRequest{Resources: []string{id}, Tags: []api.Tag{{Key: "Name", Value: name}}, UniqueName: api.Ptr(true)})
	}
	for who, name := range map[Caller]string{alice: "to-bob", bob: "to-alice"} {
		found := by[api.DescribeVpcPeeringConnectionsResult](b, who, &api.DescribeVpcPeeringConnectionsRequest{Filters: []api.Filter{{Name: "tag:Name", Values: []string{name}}}}).VpcPeeringConnections
		tags := by[api.DescribeTagsResult](b, who, &api.DescribeTagsRequest{}).Tags
		if len(found) != 1 || len(tags) != 1 || tags[0].Value != name || tags[0].ResourceType != "vpc-peering-connection" {
			t.Errorf("%s finds %d by its name, and the tags %+v", who.Account, len(found), tags)
		}
	}
	vpc, peer := b.vpcOf(alice, "10.1.0.0/16"), b.vpcOf(alice, "10.2.0.0/16")
	spec := []api.TagSpecification{{ResourceType: "vpc-peering-connection", UniqueName: api.Ptr(true), Tags: []api.Tag{{Key: "Name", Value: "to-bob"}}}}
	create := &api.CreateVpcPeeringConnectionRequest{VpcId: vpc, PeerVpcId: peer, TagSpecifications: spec}
	_, _, err := b.call(alice, "CreateVpcPeeringConnection", create)
	refused(t, err, "InvalidVpcPeeringConnectionID.Duplicate", "Name")
	by[api.DeleteVpcPeeringConnectionResult](b, alice, &api.DeleteVpcPeeringConnectionRequest{VpcPeeringConnectionId: id})
	if _, _, err := b.call(alice, "CreateVpcPeeringConnection", create); err != nil {
		t.Errorf("the name of what ended is not free: %v", err)
	}
	_, _, err = b.call(alice, "CreateTags", &api.CreateTagsRequest{Resources: []string{id}, Tags: []api.Tag{{Key: "x"}}})
	refused(t, err, "InvalidVpcPeeringConnectionID.NotFound", "Resources.0")
}

// TestRoutesToPeerings: one of the VPC's own, active while the peering is.
func TestRoutesToPeerings(t *testing.T) {
	b := newPeerBench(t)
	vpc, peer := b.vpcOf(alice, "10.0.0.0/16"), b.vpcOf(bob, "10.9.0.0/16")
	id := b.request(alice, vpc, peer, bob)
	_, _, other := b.joined(alice, alice)
	table, _ := b.mainTable(vpc)
	state := func() string {
		routes := by[api.DescribeRouteTablesResult](b, alice, &api.DescribeRouteTablesRequest{RouteTableIds: []string{table}}).RouteTables[0].Routes
		i := slices.IndexFunc(routes, func(r api.Route) bool { return r.VpcPeeringConnectionId == id })
		return routes[i].DestinationCidrBlock + " " + routes[i].State + " " + routes[i].GatewayId
	}
	to := func(cidr, pcx string) *api.CreateRouteRequest {
		return &api.CreateRouteRequest{RouteTableId: table, DestinationCidrBlock: cidr, VpcPeeringConnectionId: pcx}
	}
	do[api.CreateRouteResult](b.bench, to("10.9.0.0/16", id))
	for _, row := range []struct {
		req         *api.CreateRouteRequest
		code, field string
	}{
		{to("10.8.0.0/16", other), "InvalidParameterValue", "VpcPeeringConnectionId"},
		{to("10.8.0.0/16", "pcx-00000000"), "InvalidVpcPeeringConnectionID.NotFound", "VpcPeeringConnectionId"},
		{to("10.8.0.0/16", "pcx-x"), "InvalidVpcPeeringConnectionId.Malformed", "VpcPeeringConnectionId"},
		{to("10.0.1.0/24", id), "InvalidParameterValue", "DestinationCidrBlock"},
		{&api.CreateRouteRequest{RouteTableId: table, DestinationCidrBlock: "10.8.0.0/16", VpcPeeringConnectionId: id, GatewayId: "igw-00000000"}, "InvalidParameterCombination", "VpcPeeringConnectionId"},
	} {
		b.unchanged(t, func() {
			_, _, err := b.call(alice, "CreateRoute", row.req)
			refused(t, err, row.code, row.field)
		})
	}
	if have := state(); have != "10.9.0.0/16 blackhole " {
		t.Errorf("before the answer: %s", have)
	}
	b.accept(bob, id)
	if have := state(); have != "10.9.0.0/16 active " {
		t.Errorf("joined: %s", have)
	}
	gateway := b.gateway(vpc)
	do[api.ReplaceRouteResult](b.bench, &api.ReplaceRouteRequest{RouteTableId: table, DestinationCidrBlock: "10.9.0.0/16", GatewayId: gateway})
	do[api.ReplaceRouteResult](b.bench, &api.ReplaceRouteRequest{RouteTableId: table, DestinationCidrBlock: "10.9.0.0/16", VpcPeeringConnectionId: id})
	if have := state(); have != "10.9.0.0/16 active " {
		t.Errorf("replaced: %s", have)
	}
	by[api.DeleteVpcPeeringConnectionResult](b, bob, &api.DeleteVpcPeeringConnectionRequest{VpcPeeringConnectionId: id})
	if have := state(); have != "10.9.0.0/16 blackhole " {
		t.Errorf("deleted: %s", have)
	}
	_, _, err := b.call(alice, "CreateRoute", to("10.8.0.0/16", id))
	refused(t, err, "InvalidStateTransition", "VpcPeeringConnectionId")
	b.clock = b.clock.Add(shownToOthers)
	if err := b.reap(context.Background()); err != nil {
		t.Fatal(err)
	}
	if have := state(); have != "10.9.0.0/16 blackhole " {
		t.Errorf("long after: %s", have)
	}
}
