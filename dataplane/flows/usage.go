package flows

import (
	"fmt"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// Usage is what an interface has of the flow table, in pairs of flow entries: a
// connection is one pair, whose account is the interface that opened it.
type Usage struct {
	Flows int
	// HalfOpen is how many of them are TCP connections that nobody has answered.
	HalfOpen int
	// Allowance and HalfOpenAllowance are the most it may have at the moment: of
	// flows, less than its share while the table is short of room.
	Allowance, HalfOpenAllowance int
	// Exceeded counts packets that would have opened one more flow and were
	// dropped for want of room: AWS's conntrack_allowance_exceeded.
	Exceeded uint64
}

// roomReasons are the drops of packets that found no room in the flow table.
var roomReasons = map[string]bool{
	bpf.ReasonName(uint8(bpf.FromEniDropReasonDROP_ALLOWANCE)):  true,
	bpf.ReasonName(uint8(bpf.FromEniDropReasonDROP_TABLE_FULL)): true,
	bpf.ReasonName(uint8(bpf.FromEniDropReasonDROP_HALF_OPEN)):  true,
}

// allowance is what one interface may open now, as the programs say it.
func (t *Table) allowance() (int, error) {
	var m bpf.HostState
	if err := t.meta.Lookup(uint32(0), &m); err != nil {
		return 0, fmt.Errorf("read the state of the flow table: %w", err)
	}
	table := t.flows.MaxEntries()
	free := int64(bpf.FlowPairs(table)) - int64(m.Live/2)
	return int(min(int64(bpf.FlowAllowance(table)), max(free, 0)/3)), nil
}

// Usage reads the accounts of all interfaces.
func (t *Table) Usage() (map[spec.ENI]Usage, error) {
	var (
		out = map[spec.ENI]Usage{}
		eni uint32
		u   bpf.FlowUsage
	)
	allowance, err := t.allowance()
	if err != nil {
		return nil, err
	}
	halfOpen := int(bpf.HalfOpenAllowance(t.flows.MaxEntries()))
	it := t.usage.Iterate()
	for it.Next(&eni, &u) {
		// A pair that two CPUs account for at once may be counted down first.
		out[spec.ENI(eni)] = Usage{
			Flows: int(max(u.Flows, 0)), HalfOpen: int(max(u.HalfOpen, 0)), Allowance: allowance, HalfOpenAllowance: halfOpen,
		}
	}
	if err := it.Err(); err != nil {
		return nil, fmt.Errorf("read the accounts of flows: %w", err)
	}
	drops, err := t.Drops()
	if err != nil {
		return nil, err
	}
	for _, d := range drops {
		if u, ok := out[d.ENI]; ok && roomReasons[d.Reason] {
			u.Exceeded += d.Packets
			out[d.ENI] = u
		}
	}
	return out, nil
}

// TrackedBy counts live pairs that an interface keep accepts is an end of and
// that some security group tracks and has let in by one of these rules.
func (t *Table) TrackedBy(keep func(spec.ENI) bool, rules map[uint32]bool) (int, error) {
	const own, peer = uint32(bpf.FromEniFlowFlagsFLOW_TRACK_OWN), uint32(bpf.FromEniFlowFlagsFLOW_TRACK_PEER)
	n := 0
	err := t.each(func(k bpf.FlowKey, v bpf.Flow) bool {
		forward := v.Flags&uint32(bpf.FromEniFlowFlagsFLOW_REVERSE) == 0
		tracked := v.Flags&own != 0 && rules[v.OwnRule] || v.Flags&peer != 0 && rules[v.PeerRule]
		if v.State == uint32(bpf.FromEniFlowStateFLOW_LIVE) && forward && tracked &&
			(keep(spec.ENI(k.Eni)) || keep(spec.ENI(v.PeerEni))) {
			n++
		}
		return true
	})
	return n, err
}
