package maps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/delta"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// Slot numbers the ports of one host densely.
type Slot uint32

// Index is the ifindex of the slot's device.
func (s Slot) Index() int { return bpf.PortBase + int(s) }

// CompareSlots orders slots.
func CompareSlots(a, b Slot) int { return cmp.Compare(a, b) }

// Port is what the programs know of one port; the epoch is counted here and
// belongs to nobody else.
type Port struct {
	ENI             spec.ENI
	VPC             spec.VPC
	Subnet          spec.SubnetID
	Table           spec.RouteTable
	Egress, Ingress spec.RuleSetID
	// ACLOut and ACLIn are the network ACL of the port's subnet.
	ACLOut, ACLIn   spec.RuleSetID
	ACL             spec.ACL
	MAC, RouterMAC  spec.MAC
	Router          netip.Addr
	CIDR            netip.Prefix
	MTU             int
	Tap             bool
	SourceDestCheck bool
	Cut             bool
	// Edge is the VPC's internet gateway itself; Gateway is where that is, from
	// another port, or 0: a slot and 1.
	Edge    bool
	Gateway Slot
	// NAT is the port of a NAT gateway.
	NAT      bool
	Timeouts spec.Timeouts
	// Version is a digest of everything else that verdicts about this port
	// rest on: its addresses, groups and routes. A new one counts the epoch.
	Version uint32
}

// Ports is the driver of everything about ports but their policies, which it
// takes as they are wanted.
func (m *Maps) Ports() delta.Driver[Slot, Port] { return ports{m} }

type ports struct {
	*Maps
}

// read returns the whole table; slots are an array, so it is one listing.
func (d ports) read() ([]bpf.Port, error) {
	keys := make([]uint32, bpf.MaxPorts)
	values := make([]bpf.Port, bpf.MaxPorts)
	var cursor ebpf.MapBatchCursor
	n, err := d.m["ports"].BatchLookup(&cursor, keys, values, nil)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil, fmt.Errorf("list ports: %w", err)
	}
	if n != bpf.MaxPorts {
		return nil, fmt.Errorf("list ports: %d of %d slots read", n, bpf.MaxPorts)
	}
	return values, nil
}

func (d ports) Observe(_ context.Context, want map[Slot]Port) (map[Slot]Port, error) {
	values, err := d.read()
	if err != nil {
		return nil, err
	}
	out := map[Slot]Port{}
	for i, v := range values {
		if v.Eni == 0 {
			continue
		}
		p := d.decode(v)
		if w, ok := want[Slot(i)]; ok {
			p.Table, p.Egress, p.Ingress, p.ACLOut, p.ACLIn, p.ACL = w.Table, w.Egress, w.Ingress, w.ACLOut, w.ACLIn, w.ACL
		}
		if !d.furnished(uint32(i), v.Eni) {
			p.MTU = 0 // differs from whatever is wanted
		}
		out[Slot(i)] = p
	}
	return out, nil
}

func (d ports) decode(v bpf.Port) Port {
	flags := bpf.FromEniPortFlags(v.Flags)
	p := Port{
		ENI: spec.ENI(v.Eni), VPC: spec.VPC(v.Vpc), Subnet: spec.SubnetID(v.Subnet),
		MAC: v.Mac, RouterMAC: v.RouterMac,
		Router: addr4(v.Router), CIDR: netip.PrefixFrom(addr4(v.Net), maskBits(v.Mask)), MTU: int(v.Mtu),
		Tap:             flags&bpf.FromEniPortFlagsPORT_TAP != 0,
		SourceDestCheck: flags&bpf.FromEniPortFlagsPORT_SRC_DST_CHECK != 0,
		Cut:             flags&bpf.FromEniPortFlagsPORT_CUT != 0,
		Edge:            flags&bpf.FromEniPortFlagsPORT_EDGE != 0,
		Gateway:         Slot(v.Edge),
		NAT:             flags&bpf.FromEniPortFlagsPORT_NAT != 0,
		Timeouts:        spec.Timeouts{TCPEstablished: v.TcpIdle, UDP: v.UdpIdle, UDPStream: v.UdpStream},
		Version:         v.Version,
	}
	if flags&bpf.FromEniPortFlagsPORT_READY == 0 || v.Uncounted != 0 {
		p.MTU = 0 // half written: differs from whatever is wanted
	}
	return p
}

// encode is the entry of a port, without epoch and policy.
func (d ports) encode(p Port) bpf.Port {
	v := bpf.Port{
		Eni: uint32(p.ENI), Vpc: uint32(p.VPC), Subnet: uint32(p.Subnet),
		Mac: p.MAC, RouterMac: p.RouterMAC, Router: be32(p.Router), Net: be32(p.CIDR.Addr()), Mask: maskOf(p.CIDR.Bits()),
		TcpIdle: p.Timeouts.TCPEstablished, UdpIdle: p.Timeouts.UDP, UdpStream: p.Timeouts.UDPStream,
		Mtu: uint32(p.MTU), Edge: uint32(p.Gateway), Version: p.Version, Flags: uint32(bpf.FromEniPortFlagsPORT_READY),
	}
	for flag, on := range map[bpf.FromEniPortFlags]bool{
		bpf.FromEniPortFlagsPORT_TAP:           p.Tap,
		bpf.FromEniPortFlagsPORT_SRC_DST_CHECK: p.SourceDestCheck,
		bpf.FromEniPortFlagsPORT_CUT:           p.Cut,
		bpf.FromEniPortFlagsPORT_EDGE:          p.Edge,
		bpf.FromEniPortFlagsPORT_NAT:           p.NAT,
	} {
		if on {
			v.Flags |= uint32(flag)
		}
	}
	return v
}

// Put writes everything but the epoch, then the epoch, so that no decision of
// the old content carries the new one. The policy's driver has made the slot this
// interface's.
func (d ports) Put(_ context.Context, k Slot, p Port) error {
	var old bpf.Port
	if err := d.m["ports"].Lookup(uint32(k), &old); err != nil {
		return err
	}
	if old.Eni != uint32(p.ENI) {
		return fmt.Errorf("port slot %d is interface %d's: %d has no policy there yet", k, old.Eni, p.ENI)
	}
	if err := d.furnish(k, old.Eni); err != nil {
		return err
	}
	v := d.encode(p)
	v.Epoch, v.Policy, v.Uncounted = old.Epoch, old.Policy, old.Uncounted
	if err := d.write(k, v); err != nil {
		return err
	}
	return d.count(k, v)
}

// count counts the epoch of a port that is otherwise whole.
func (d ports) count(k Slot, v bpf.Port) error {
	v.Epoch, v.Uncounted = nextEpoch(v.Epoch), 0
	if err := d.write(k, v); err != nil {
		return err
	}
	delete(d.gen.uncounted, k)
	return nil
}

// furnish opens the account of the flows that an interface opens, or finds it:
// one who comes back, to whatever slot, still has them in the table. The slot
// gets its tables of fragments and refusals; what they hold names its interface
// and may stay.
func (d ports) furnish(k Slot, eni uint32) error {
	writes.Add(3)
	for _, err := range []error{
		d.m["usage"].Update(eni, bpf.FlowUsage{}, ebpf.UpdateNoExist),
		d.m["frags"].Update(uint32(k), bpf.FragTable{}, ebpf.UpdateNoExist),
		d.m["denied"].Update(uint32(k), bpf.DeniedTable{}, ebpf.UpdateNoExist),
	} {
		if err != nil && !errors.Is(err, ebpf.ErrKeyExist) {
			return err
		}
	}
	return nil
}

// furnished: without an account no flow can be opened, without tables no
// fragment passes and each refusal costs the whole walk.
func (d ports) furnished(slot, eni uint32) bool {
	return d.m["usage"].Lookup(eni, &bpf.FlowUsage{}) == nil && d.m["frags"].Lookup(slot, &bpf.FragTable{}) == nil &&
		d.m["denied"].Lookup(slot, &bpf.DeniedTable{}) == nil
}

// listsOfPorts are the numbers of all lists that some port names.
func (m *Maps) listsOfPorts() ([]uint32, error) {
	values, err := ports{Maps: m}.read()
	var out []uint32
	for _, v := range values {
		for _, p := range v.Policy {
			out = append(out, p.Egress, p.Ingress, p.AclOut, p.AclIn)
		}
	}
	return out, err
}

// claim gives a slot to its new owner, closed, and starts its counters at zero.
func (d ports) claim(k Slot, old bpf.Port, owner spec.ENI) (bpf.Port, error) {
	v := bpf.Port{Epoch: nextEpoch(old.Epoch), Eni: uint32(owner)}
	if err := d.write(k, v); err != nil {
		return v, err
	}
	writes.Add(1)
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return v, err
	}
	return v, d.m["stats"].Put(uint32(k), make([]bpf.PortStats, cpus))
}

func (d ports) write(k Slot, v bpf.Port) error {
	writes.Add(1)
	return d.m["ports"].Put(uint32(k), v)
}

// Delete closes the slot. Its epoch goes on counting, so flows that remember
// the slot never match its next owner.
func (d ports) Delete(_ context.Context, k Slot) error {
	var old bpf.Port
	if err := d.m["ports"].Lookup(uint32(k), &old); err != nil {
		return err
	}
	if err := d.write(k, bpf.Port{Epoch: nextEpoch(old.Epoch)}); err != nil {
		return err
	}
	return errors.Join(remove(d.m["frags"], uint32(k)), remove(d.m["denied"], uint32(k)))
}

// nextEpoch skips 0, which marks an entry under construction.
func nextEpoch(e uint32) uint32 { return max(e+1, 1) }

func maskOf(bits int) uint32 {
	return hostOrder(uint32(uint64(0xffffffff) << (32 - bits)))
}

func maskBits(mask uint32) int {
	n := 0
	for v := hostOrder(mask); v&0x80000000 != 0; v <<= 1 {
		n++
	}
	return n
}
