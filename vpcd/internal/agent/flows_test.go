package agent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/vpcfabric/vpc/dataplane"
	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/host"
)

// someFlows are n flows of two interfaces, some of which the walk met twice, in
// no order.
func someFlows(n int) []dataplane.Flow {
	var out []dataplane.Flow
	for i := range n {
		f := dataplane.Flow{
			ENI: spec.ENI(1 + i%2), Protocol: []uint8{6, 17, 1}[i%3],
			Source: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, byte(i / 7)}), uint16(i)),
			Dest:   netip.MustParseAddrPort("10.0.2.10:80"),
		}
		out = append(out, f)
		if i%5 == 0 {
			out = append(out, f)
		}
	}
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// TestPartsOfFlows: the parts of a list, of whatever size, are the list, however
// the table is walked meanwhile.
func TestPartsOfFlows(t *testing.T) {
	names := map[spec.ENI]string{1: "eni-2", 2: "eni-1"}
	const n = 200
	for _, limit := range []int{1, 5, 7, 100, 199, 200, 201, 1000} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			var got []host.FlowID
			var after host.FlowID
			for range n + 1 {
				part := firstFlows(someFlows(n), names, after, limit)
				if len(part) == 0 {
					break
				}
				if len(part) > limit {
					t.Fatalf("%d of at most %d", len(part), limit)
				}
				for _, f := range part {
					if f.flow.Source != f.id.Source || names[f.flow.ENI] != f.id.Interface {
						t.Fatalf("%v is %+v", f.id, f.flow)
					}
					got = append(got, f.id)
				}
				after = got[len(got)-1]
			}
			if len(got) != n || !slices.IsSortedFunc(got, host.FlowID.Compare) || len(slices.CompactFunc(slices.Clone(got), func(a, b host.FlowID) bool { return a == b })) != n {
				t.Errorf("%d flows, in order and each once; want %d", len(got), n)
			}
		})
	}
}

// TestFlowsAfterOne: the id of an answer's flow is where the next answer begins.
func TestFlowsAfterOne(t *testing.T) {
	b := newBench()
	flowsOf(b)
	b.Pass(t.Context())
	local := b.Local(nil)
	var after host.FlowID
	var got []api.Flow
	for range 3 {
		part, err := local.Flows(t.Context(), nil, after, 1)
		if err != nil || len(part) > 1 {
			t.Fatal(part, err)
		}
		if len(part) == 1 {
			after = host.FlowIDOf(part[0])
		}
		got = append(got, part...)
	}
	if len(got) != 2 || got[0].Protocol != "47" || got[1].Protocol != "tcp" {
		t.Errorf("%+v", got)
	}
	if rest, err := local.Flows(t.Context(), nil, host.FlowID{Interface: "eni-x"}, 10); err != nil || len(rest) != 0 {
		t.Errorf("after the last interface: %v, %v", rest, err)
	}
	// One at a time, and nobody waits for longer than he likes.
	b.listing <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := local.Flows(ctx, nil, host.FlowID{}, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("while another lists: %v", err)
	}
}
