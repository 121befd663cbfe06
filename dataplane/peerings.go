package dataplane

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// peerEnd is one end of the link between two VPCs, by their ids: the end in the
// namespace of one, which leads to the other. It has a slot like a port, so that
// its ifindex is no other device's, and no entry among ports: nobody is there.
type peerEnd struct{ in, to string }

func (e peerEnd) other() peerEnd { return peerEnd{e.to, e.in} }

// endsOf are the ends of all links that a host shall have, in order.
func endsOf(h *spec.Host) []peerEnd {
	out := make([]peerEnd, 0, 2*len(h.Peerings))
	for _, p := range h.Peerings {
		out = append(out, peerEnd{p.A, p.B}, peerEnd{p.B, p.A})
	}
	slices.SortFunc(out, func(a, b peerEnd) int { return cmp.Or(strings.Compare(a.in, b.in), strings.Compare(a.to, b.to)) })
	return out
}

// peerAlias begins the alias of both ends of such a link.
const peerAlias = "pcx "

// alias is the same at both ends: a link is made with it, so that neither end is
// ever without.
func (e peerEnd) alias() string { return peerAlias + min(e.in, e.to) + " " + max(e.in, e.to) }

// parsePeerEnd tells the two ends apart by the namespace that each is in.
func parsePeerEnd(netns, alias string) (peerEnd, bool) {
	rest, ok := strings.CutPrefix(alias, peerAlias)
	a, b, two := strings.Cut(rest, " ")
	switch {
	case !ok || !two:
	case strings.HasSuffix(netns, "-"+a):
		return peerEnd{a, b}, true
	case strings.HasSuffix(netns, "-"+b):
		return peerEnd{b, a}, true
	}
	return peerEnd{}, false
}

// peerings adds the links between VPCs: no addresses, no bridge, and a program at
// both ends that takes only what a port's program hands over.
func (x *expander) peerings() {
	for pair, p := range x.h.Peerings {
		x.peerEnd(peerEnd{p.A, p.B}, pair.B, pair.A)
		x.peerEnd(peerEnd{p.B, p.A}, pair.A, pair.B)
	}
}

// peerEnd is one end; to and in are the indexes of the VPCs.
func (x *expander) peerEnd(e peerEnd, to, in spec.VPC) {
	inside, far := x.own(e.in), x.own(e.to)
	at := nl.LinkKey{Netns: inside, Index: x.slots.peer[e].Index()}
	x.links[at] = nl.Link{
		Kind: nl.Veth, Name: fmt.Sprintf("pcx-%08x", to), Alias: e.alias(), MTU: x.h.MTU,
		Peer: spec.Netns{Path: netnsDir + far}, PeerName: fmt.Sprintf("pcx-%08x", in), PeerIndex: x.slots.peer[e.other()].Index(),
	}
	x.attachments[progs.Attachment{Index: at.Index, Netns: netnsDir + inside}] = x.current(progs.FromPeer)
	x.ups[at] = nl.Up{}
}

// waysOut are the ways from a VPC to those that some routes lead into. Without a
// link there is none, and the programs drop.
func (x *expander) waysOut(from spec.VPC, peers []spec.VPC) map[spec.VPC]maps.Slot {
	out := map[spec.VPC]maps.Slot{}
	for _, to := range peers {
		if way := x.wayOut(from, to); way != 0 {
			out[to] = way
		}
	}
	return out
}

// wayOut is the slot of the link to another VPC and 1, or 0.
func (x *expander) wayOut(from, to spec.VPC) maps.Slot {
	pair := spec.VPCPair{A: min(from, to), B: max(from, to)}
	p, ok := x.h.Peerings[pair]
	if !ok {
		return 0
	}
	near := peerEnd{p.A, p.B}
	if from == pair.B {
		near = near.other()
	}
	return x.slots.peer[near] + 1
}
