package plan

import (
	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// peers say which VPCs are joined, by the ids of both in either order.
type peers map[[2]string]bool

func peersOf(w *record.World) peers {
	out := peers{}
	for _, p := range w.Peerings {
		if p.Active() {
			out[[2]string{p.Requester.VpcId, p.Accepter.VpcId}] = true
			out[[2]string{p.Accepter.VpcId, p.Requester.VpcId}] = true
		}
	}
	return out
}

// across is the index of the VPC at the other end of a peering; ok is false where
// the peering does not join the VPC to one that can be told apart.
func (b *builder) across(peering, vpc string) (peer spec.VPC, ok bool) {
	p := b.w.Peerings[peering]
	far, ok := p.Other(vpc)
	if !ok || !p.Active() || b.doubtful[far] != nil {
		return 0, false
	}
	other, ok := b.w.Vpcs[far]
	if !ok {
		return 0, false
	}
	return spec.VPC(other.Index), true
}

// peerings enters the pairs of joined VPCs that both have an interface here. A
// route to a VPC that has none here stays one to that VPC: nobody in it is
// known, so what takes the route drops as it does for any address that nobody
// has, and it is right already when the first interface comes.
func (b *builder) peerings() {
	here := map[string]spec.VPC{}
	for _, p := range b.Spec.Ports {
		here[b.Spec.Subnets[p.Subnet].VPCID] = p.VPC
	}
	for pair := range b.peers {
		one, ok := here[pair[0]]
		two, both := here[pair[1]]
		if ok && both && one < two {
			b.Spec.Peerings[spec.VPCPair{A: one, B: two}] = spec.Peering{A: pair[0], B: pair[1]}
		}
	}
}
