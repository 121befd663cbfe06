package plan

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/ipam"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// connected are the internet gateways of VPCs that have one.
func connected(w *record.World) map[string]string {
	out := map[string]string{}
	for id, g := range w.Gateways {
		for _, a := range g.Gateway.Attachments {
			out[a.VpcId] = id
		}
	}
	return out
}

// pools are those of this host, which has the first address of each itself.
func pools(f Facts) map[netip.Prefix]spec.Pool {
	out := map[netip.Prefix]spec.Pool{}
	for _, p := range f.PublicPools {
		out[p] = spec.Pool{Host: ipam.PoolHost(p), Mode: f.PoolModes[p]}
	}
	return out
}

func allowed(prefixes []netip.Prefix) map[netip.Prefix]bool {
	out := map[netip.Prefix]bool{}
	for _, p := range prefixes {
		out[p] = true
	}
	return out
}

// public enters the gateway of an interface of this host, and the public addresses
// that lead to the interface: none without a gateway to come in by. An address that
// cannot be planned is left out alone: inside its VPC the interface works.
func (b *builder) public(n *record.NetworkInterface, x wiring) error {
	gateway := b.connected[x.segment.VPCID]
	if gateway == "" {
		return nil
	}
	b.Names[spec.EdgeOf(x.segment.VPC)] = gateway
	b.Spec.Edges[x.segment.VPC] = spec.Edge{VPCID: x.segment.VPCID}
	var errs []error
	for _, p := range n.Interface.PrivateIpAddresses {
		if p.Association == nil {
			continue
		}
		private, err := address(x.segment, p.PrivateIpAddress)
		if err == nil {
			err = b.enterPublic(p.Association.PublicIp, spec.Public{VPC: x.segment.VPC, ENI: spec.ENI(n.Index), Private: private})
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (b *builder) enterPublic(text string, p spec.Public) error {
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is4() {
		return fmt.Errorf("public address %q is no IPv4 address", text)
	}
	if other, taken := b.Spec.Public[a]; taken {
		return fmt.Errorf("public address %s belongs to %s already", a, b.Names[other.ENI])
	}
	b.Spec.Public[a] = p
	return nil
}
