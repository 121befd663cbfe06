package maps

import (
	"context"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/delta"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// Doors is the driver of the host's ends of gateways' links: their ifindexes in
// the host's namespace, by VPC.
func (m *Maps) Doors() delta.Driver[spec.VPC, int] { return doors{m} }

type doors struct{ *Maps }

func (d doors) Observe(context.Context, map[spec.VPC]int) (map[spec.VPC]int, error) {
	out := map[spec.VPC]int{}
	err := each(d.m["doors"], func(k, v uint32) { out[spec.VPC(k)] = int(v) })
	return out, err
}

func (d doors) Put(_ context.Context, k spec.VPC, index int) error {
	writes.Add(1)
	return d.m["doors"].Put(uint32(k), uint32(index))
}

func (d doors) Delete(_ context.Context, k spec.VPC) error { return remove(d.m["doors"], uint32(k)) }

// Uplink is a device towards the world.
type Uplink struct {
	// MAC is what public addresses are at; zero where frames have no addresses.
	MAC spec.MAC
}

// Uplinks is the driver of these devices, by ifindex in the host's namespace.
func (m *Maps) Uplinks() delta.Driver[int, Uplink] { return uplinks{m} }

type uplinks struct{ *Maps }

func (d uplinks) Observe(context.Context, map[int]Uplink) (map[int]Uplink, error) {
	out := map[int]Uplink{}
	err := each(d.m["uplinks"], func(k uint32, v bpf.Uplink) { out[int(k)] = Uplink{MAC: v.Mac} })
	return out, err
}

func (d uplinks) Put(_ context.Context, k int, v Uplink) error {
	writes.Add(1)
	return d.m["uplinks"].Put(uint32(k), bpf.Uplink{Mac: v.MAC})
}

func (d uplinks) Delete(_ context.Context, k int) error { return remove(d.m["uplinks"], uint32(k)) }
