package plan

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// natDevice is the link inside the namespace of a NAT gateway.
const natDevice = "eth0"

// isNatHere says whether an interface is that of a living NAT gateway which this
// host carries.
func (b *builder) isNatHere(n *record.NetworkInterface) bool {
	nat := b.w.Nats[n.Nat]
	return nat.Alive() && nat.Host == b.f.Host && nat.Interface == n.Interface.NetworkInterfaceId
}

// nat plans the interface of a NAT gateway: a port like others, but for its
// namespace, which is ours, and its rules. No group judges what passes, and
// nothing is tracked here: the namespace remembers connections itself.
func (b *builder) nat(id string, n *record.NetworkInterface) error {
	x, vpc, subnet, err := b.surroundings(id, n)
	if err != nil {
		return err
	}
	if x.port, err = b.natPort(&x, n); err != nil {
		return err
	}
	if x.routes, err = b.routes(vpc, subnet); err != nil {
		return err
	}
	x.port.Table = x.routes.table
	eni := spec.ENI(n.Index)
	if err := b.enter(eni, x); err != nil {
		return err
	}
	b.Spec.NATs[eni] = spec.NAT{
		ID: n.Nat, VPC: x.port.VPC, Addrs: inOrder(x.port.Addr.Addr(), x.port.Extra), Gateway: x.port.Gateway, MAC: x.port.MAC, MTU: b.f.MTU,
	}
	return b.public(n, x)
}

func (b *builder) natPort(x *wiring, n *record.NetworkInterface) (spec.Port, error) {
	primary, extra, err := addresses(x.segment, n)
	if err != nil {
		return spec.Port{}, err
	}
	open := addRuleSet(x.rules, []spec.Rule{{Protocol: spec.AnyProtocol, FromPort: -1, ToPort: -1, Prefix: allIPv4}})
	return spec.Port{
		ID: n.Interface.NetworkInterfaceId, VPC: x.segment.VPC, Subnet: spec.SubnetID(b.w.Subnets[n.Interface.SubnetId].Index),
		Kind: spec.NATGateway, Name: natDevice, MAC: spec.MACOf(spec.ENI(n.Index)),
		Addr: netip.PrefixFrom(primary, x.segment.CIDR.Bits()), Extra: extra, Gateway: x.segment.Router,
		Egress: open, Ingress: open,
	}, nil
}

// inOrder are the addresses of a gateway, the primary one first.
func inOrder(primary netip.Addr, extra spec.Addrs) spec.Addrs {
	return spec.Addrs(strings.TrimSuffix(fmt.Sprintf("%s,%s", primary, extra), ","))
}
