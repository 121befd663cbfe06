package dataplane

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"strings"

	"github.com/vpcfabric/vpc/dataplane/nft"
	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/gateways"
)

// nat is what makes a namespace of ours a NAT gateway.
type nat struct {
	netns string
	// addrs is what it translates to.
	addrs spec.Addrs
	// wrong is empty in what is wanted; a listing says what differs.
	wrong string
}

// nats is the driver of NAT gateways, keyed by their interface. Each is made in
// its namespace before there is an interface in it, and forwards from the moment
// its table is in place: see gateways.NATSettings.
type nats struct {
	kernel   *nl.Kernel
	host     string
	config   gateways.NATConfig
	settings []nl.Setting
}

// NATConfig is what all NAT gateways of a host have in common; what is zero in
// Config.NAT is AWS's.
type NATConfig = gateways.NATConfig

func completeNAT(c NATConfig) NATConfig {
	usual := gateways.DefaultNAT()
	c.FirstPort, c.LastPort = cmp.Or(c.FirstPort, usual.FirstPort), cmp.Or(c.LastPort, usual.LastPort)
	c.Idle, c.Connections = cmp.Or(c.Idle, usual.Idle), cmp.Or(c.Connections, usual.Connections)
	return c
}

func newNATs(k *nl.Kernel, host string, c gateways.NATConfig) *nats {
	d := &nats{kernel: k, host: host, config: completeNAT(c)}
	for _, s := range gateways.NATSettings(d.config) {
		d.settings = append(d.settings, nl.Setting(s))
	}
	return d
}

func (d *nats) tables(netns string) *nft.Driver { return nft.OpenInside(netnsDir+netns, d.host) }

// table is what a gateway shall have.
func (d *nats) table(v nat) map[string]spec.Firewall {
	return gateways.NATTable(d.host, v.addrs, d.config)
}

// Observe reads the gateways that are wanted. One that cannot be read is not
// listed: its next Put fails alone and says why. As nothing but the wanted is
// listed, nothing is removed; the namespace takes everything along.
func (d *nats) Observe(ctx context.Context, want map[spec.ENI]nat) (map[spec.ENI]nat, error) {
	out := make(map[spec.ENI]nat, len(want))
	for eni, w := range want {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if have, err := d.observe(ctx, w); err == nil {
			out[eni] = have
		}
	}
	return out, nil
}

func (d *nats) observe(ctx context.Context, w nat) (nat, error) {
	want := d.table(w)
	have, err := d.tables(w.netns).Observe(ctx, want)
	if err != nil {
		return nat{}, err
	}
	w.wrong, err = d.kernel.Differing(w.netns, d.settings)
	if !maps.Equal(have, want) {
		w.wrong = strings.TrimSuffix("another table, "+w.wrong, ", ")
	}
	return w, err
}

// Put replaces the table and corrects the settings, if need be. Connections of an
// address that stays go on. Those of one that has gone are refused by the new
// table, whose set of addresses they are not in; then they are forgotten.
func (d *nats) Put(ctx context.Context, _ spec.ENI, v nat) error {
	err := d.translate(ctx, v)
	if err != nil {
		// A namespace can be born forwarding, as the host does, and its interface
		// is made even if this failed.
		return errors.Join(err, d.kernel.Set(v.netns, closed))
	}
	_, err = d.kernel.ForgetOthers(v.netns, v.addrs.List())
	return err
}

// closed forwards nothing.
var closed = []nl.Setting{{Name: "net/ipv4/ip_forward", Value: "0"}}

// translate opens the gateway last.
func (d *nats) translate(ctx context.Context, v nat) error {
	for name, text := range d.table(v) {
		if err := d.tables(v.netns).Put(ctx, name, text); err != nil {
			return err
		}
	}
	return d.kernel.Set(v.netns, d.settings)
}

// Delete leaves everything to the namespace.
func (d *nats) Delete(context.Context, spec.ENI) error { return nil }

func compareENIs(a, b spec.ENI) int { return cmp.Compare(a, b) }

// nat makes the namespace of a gateway, and its end of the pair of the port that
// it has in its subnet: addresses without a subnet and a way out through the
// router, so that whatever it sends meets the port's program.
func (x *expander) nat(eni spec.ENI, n spec.NAT) {
	inside := x.netns(n.ID)
	x.namespaces[inside] = struct{}{}
	x.nats[eni] = nat{netns: inside, addrs: n.Addrs}
	slot, ported := x.slots.port[eni]
	addrs := n.Addrs.List()
	if !ported || len(addrs) == 0 {
		return
	}
	x.workloads[slot.Index()] = nl.Workload{
		Netns: nl.NATNamespace(inside), Name: gateways.NATDevice, MAC: n.MAC, MTU: n.MTU,
		Addr: netip.PrefixFrom(addrs[0], addrs[0].BitLen()), Extra: spec.MakeAddrs(addrs[1:]), Gateway: n.Gateway,
	}
}

// natEnd is where the other end of a gateway's port lives.
func (x *expander) natEnd(eni spec.ENI) spec.Netns {
	return nl.NATNamespace(x.netns(x.h.NATs[eni].ID))
}

// NATMetrics are the numbers that CloudWatch has of a NAT gateway, counted since
// its namespace was made; a change of its addresses does not reset them. Bytes
// are of IP packets with their headers, and a packet is what the gateway's kernel
// handles as one: a train of segments that a sender's offload left together
// counts once.
type NATMetrics struct {
	// ActiveConnections are remembered now, of all protocols; half open ones and
	// those closed up to two minutes ago too.
	ActiveConnections uint64
	// BytesInFromSource came from inside and was not for the gateway itself;
	// BytesOutToDestination of these left for outside. The first packet of a
	// connection for which no port was free is in both.
	BytesInFromSource, PacketsInFromSource         uint64
	BytesOutToDestination, PacketsOutToDestination uint64
	// BytesInFromDestination are answers from outside, BytesOutToSource of these
	// left for inside.
	BytesInFromDestination, PacketsInFromDestination uint64
	BytesOutToSource, PacketsOutToSource             uint64
	// ConnectionAttempts are first SYNs of connections; one for which no port was
	// free counts again whenever it is repeated. ConnectionsEstablished are SYN-ACKs
	// from outside, repeated ones too. Only TCP has either.
	ConnectionAttempts, ConnectionsEstablished uint64
	// ErrorPortAllocation are first packets of connections, each repetition too,
	// for which no port to their destination was free.
	ErrorPortAllocation uint64
	// IdleTimeouts are TCP packets from inside that belong to no connection and
	// were answered with RST. Connections that time out without anybody noticing
	// are not in it, and strays that never had one are.
	IdleTimeouts uint64
	// PacketsDropped are fragments of TCP and ICMP, what nobody asked for, other
	// protocols, what belongs to no connection and is not TCP, and what connection
	// tracking dropped: for want of a port or because it was full.
	PacketsDropped uint64
}

// NAT reads the metrics of a NAT gateway of this host by its id, nat-…; one that
// is not here is fs.ErrNotExist.
func (d *Dataplane) NAT(ctx context.Context, id string) (NATMetrics, error) {
	return newNATs(d.kernel, d.cfg.Name, d.cfg.NAT).metrics(ctx, d.kernel.Netns(id))
}

func (d *nats) metrics(ctx context.Context, netns string) (NATMetrics, error) {
	counted, err := d.tables(netns).Counters(ctx)
	tracked, err2 := d.kernel.Tracking(netns)
	if err := errors.Join(err, err2); err != nil {
		return NATMetrics{}, fmt.Errorf("metrics of %s: %w", netns, err)
	}
	m := NATMetrics{
		ActiveConnections:      tracked.Connections,
		ConnectionAttempts:     counted[gateways.Attempts].Packets,
		ConnectionsEstablished: counted[gateways.Established].Packets,
		ErrorPortAllocation:    tracked.InsertFailed,
		IdleTimeouts:           counted[gateways.Forgotten].Packets,
		PacketsDropped:         tracked.Dropped,
	}
	for name, into := range map[string]struct{ packets, bytes *uint64 }{
		gateways.FromSource:      {&m.PacketsInFromSource, &m.BytesInFromSource},
		gateways.ToDestination:   {&m.PacketsOutToDestination, &m.BytesOutToDestination},
		gateways.FromDestination: {&m.PacketsInFromDestination, &m.BytesInFromDestination},
		gateways.ToSource:        {&m.PacketsOutToSource, &m.BytesOutToSource},
	} {
		*into.packets, *into.bytes = counted[name].Packets, counted[name].Bytes
	}
	for _, name := range []string{gateways.Fragments, gateways.Unsolicited, gateways.Refused, gateways.Untranslated} {
		m.PacketsDropped += counted[name].Packets
	}
	return m, nil
}
