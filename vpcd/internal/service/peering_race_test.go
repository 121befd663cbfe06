package service

import (
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// raced are two VPCs of one account with what the calls of a race name.
type raced struct{ vpc, peer, pcx, table, near, far string }

// TestPeeringRaces: the inner call is committed between reading and commit of the
// outer one, which must then answer as if it had come later. "" stands for
// success; either way no joined VPCs overlap and none is gone.
func TestPeeringRaces(t *testing.T) {
	add := func(vpc, cidr string) any { return &api.AssociateVpcCidrBlockRequest{VpcId: vpc, CidrBlock: cidr} }
	accept := func(x raced) any { return &api.AcceptVpcPeeringConnectionRequest{VpcPeeringConnectionId: x.pcx} }
	remove := func(x raced) any { return &api.DeleteVpcPeeringConnectionRequest{VpcPeeringConnectionId: x.pcx} }
	ask := func(x raced) any { return &api.CreateVpcPeeringConnectionRequest{VpcId: x.peer, PeerVpcId: x.vpc} }
	permitFar := func(x raced) any {
		return &api.AuthorizeSecurityGroupIngressRequest{GroupId: x.near, IpPermissions: permit(api.UserIdGroupPair{GroupId: x.far})}
	}
	for name, row := range map[string]struct {
		active       bool
		outer, inner func(raced) any
		code         string
		state        string // of the peering in the end
	}{
		"the accepter gets a CIDR while it accepts": {false, accept, func(x raced) any { return add(x.peer, "10.0.8.0/24") }, "", peeringFailed},
		"the CIDR comes while it is accepted":       {false, func(x raced) any { return add(x.peer, "10.0.8.0/24") }, accept, "InvalidVpc.Range", peeringActive},
		"both get one CIDR":                         {true, func(x raced) any { return add(x.vpc, "10.5.0.0/16") }, func(x raced) any { return add(x.peer, "10.5.0.0/20") }, "InvalidVpc.Range", peeringActive},
		"accepted and taken back":                   {false, accept, remove, "InvalidStateTransition", peeringDeleted},
		"a route to what is deleted": {true, func(x raced) any {
			return &api.CreateRouteRequest{RouteTableId: x.table, DestinationCidrBlock: "10.9.0.0/16", VpcPeeringConnectionId: x.pcx}
		}, remove, "InvalidStateTransition", peeringDeleted},
		"a rule across what is deleted":     {true, permitFar, remove, "InvalidGroup.NotFound", peeringDeleted},
		"a rule of a group that goes":       {true, permitFar, func(x raced) any { return &api.DeleteSecurityGroupRequest{GroupId: x.far} }, "InvalidGroup.NotFound", peeringActive},
		"the VPC goes while it is accepted": {false, func(x raced) any { return &api.DeleteVpcRequest{VpcId: x.vpc} }, accept, "", peeringDeleted},
		"accepted for a VPC that goes":      {false, accept, func(x raced) any { return &api.DeleteVpcRequest{VpcId: x.vpc} }, "InvalidStateTransition", peeringDeleted},
		"asked while its VPC goes":          {true, ask, func(x raced) any { return &api.DeleteVpcRequest{VpcId: x.vpc} }, "InvalidVpcID.NotFound", peeringDeleted},
	} {
		t.Run(name, func(t *testing.T) {
			b, interrupt := between(t)
			x := raced{vpc: b.vpc("10.0.0.0/16").VpcId, peer: b.vpc("10.9.0.0/16").VpcId}
			x.pcx = do[api.CreateVpcPeeringConnectionResult](b, &api.CreateVpcPeeringConnectionRequest{VpcId: x.vpc, PeerVpcId: x.peer}).VpcPeeringConnection.VpcPeeringConnectionId
			if row.active {
				do[api.AcceptVpcPeeringConnectionResult](b, accept(x))
			}
			x.table, _ = b.mainTable(x.vpc)
			x.near, x.far = b.defaultGroupOf(x.vpc), b.group(x.peer, "far")
			interrupt(func() {
				if _, _, err := b.call(alice, actionOf(row.inner(x)), row.inner(x)); err != nil {
					t.Errorf("the inner call: %v", err)
				}
			})
			_, _, err := b.call(alice, actionOf(row.outer(x)), row.outer(x))
			if codeOf(err) != row.code {
				t.Errorf("the outer call: %v, want %q", err, row.code)
			}
			p, _ := store.Get[*record.Peering](b.store.Snapshot(), record.Peerings+x.pcx)
			if p.State != row.state {
				t.Errorf("the peering is %s, want %s", p.State, row.state)
			}
			checkPeerings(t, b.store.Snapshot())
		})
	}
}

// TestOnePeeringOfAPair: of two requests at once, in either direction, the second
// gets the peering of the first.
func TestOnePeeringOfAPair(t *testing.T) {
	b, interrupt := between(t)
	one, two := b.vpc("10.0.0.0/16").VpcId, b.vpc("10.9.0.0/16").VpcId
	ask := func(a, o string) string {
		return do[api.CreateVpcPeeringConnectionResult](b, &api.CreateVpcPeeringConnectionRequest{VpcId: a, PeerVpcId: o}).VpcPeeringConnection.VpcPeeringConnectionId
	}
	var first string
	interrupt(func() { first = ask(two, one) })
	if second := ask(one, two); first == "" || second != first {
		t.Errorf("the pair has %s and %s", first, second)
	}
}

// checkPeerings holds what is active against the VPCs.
func checkPeerings(t testingT, r store.Reader) {
	t.Helper()
	pairs := map[[2]string]bool{}
	for _, p := range store.List[*record.Peering](r, record.Peerings) {
		if !p.Active() {
			continue
		}
		one, ok := store.Get[*record.Vpc](r, record.Vpcs+p.Requester.VpcId)
		two, both := store.Get[*record.Vpc](r, record.Vpcs+p.Accepter.VpcId)
		if !ok || !both || overlapping(one, two) {
			t.Errorf("%s joins VPCs that overlap or are gone", p.VpcPeeringConnectionId)
		}
		pair := [2]string{min(p.Requester.VpcId, p.Accepter.VpcId), max(p.Requester.VpcId, p.Accepter.VpcId)}
		if pairs[pair] {
			t.Errorf("%v are joined twice", pair)
		}
		pairs[pair] = true
	}
}
