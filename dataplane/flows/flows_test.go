package flows_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/flows"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// open makes empty maps of its own; entries are written by the test.
func open(t *testing.T) (*progs.Set, *flows.Table) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: makes eBPF maps")
	}
	parent := filepath.Join(progs.Root, "vpc")
	dir := filepath.Join(parent, fmt.Sprintf("test-flows-%d", os.Getpid()))
	t.Cleanup(func() {
		if err := progs.Remove(dir); err != nil {
			t.Error(err)
		}
		_ = os.Remove(parent) // unless another test is using it
	})
	set, err := progs.Open(progs.Config{Dir: dir, FlowTable: progs.MinFlowTable})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close() })
	return set, flows.New(set.Maps, set.Sweep(), set.Cut())
}

func everyone(spec.ENI) bool { return true }

func only(e spec.ENI) func(spec.ENI) bool { return func(x spec.ENI) bool { return x == e } }

const (
	live    = uint32(bpf.FromEniFlowStateFLOW_LIVE)
	dead    = uint32(bpf.FromEniFlowStateFLOW_DEAD)
	reverse = uint32(bpf.FromEniFlowFlagsFLOW_REVERSE)
	tracked = uint32(bpf.FromEniFlowFlagsFLOW_TRACK_PEER)
)

func TestShowsFlows(t *testing.T) {
	set, table := open(t)
	// 10.0.1.10 and 10.0.1.11 in the order of the wire.
	const a, b = 0x0a01000a, 0x0b01000a
	for _, row := range []struct {
		k bpf.FlowKey
		v bpf.Flow
	}{
		{bpf.FlowKey{Eni: 1, Saddr: a, Daddr: b, Sport: 0x5000, Dport: 0xbb01, Proto: 6, Dir: 1}, bpf.Flow{State: live, Flags: tracked, PeerEni: 2, Packets: 3}},
		{bpf.FlowKey{Eni: 2, Saddr: b, Daddr: a, Sport: 0xbb01, Dport: 0x5000, Proto: 6, Dir: 1}, bpf.Flow{State: live, Flags: tracked | reverse, PeerEni: 1}},
		{bpf.FlowKey{Eni: 1, Saddr: a, Daddr: b, Sport: 0x0700, Dport: 8, Proto: 1, Dir: 1}, bpf.Flow{State: live, PeerEni: 3}},
		{bpf.FlowKey{Eni: 1, Saddr: a, Daddr: b, Proto: 47, Dir: 1}, bpf.Flow{State: dead, Flags: tracked, PeerEni: 2}},
	} {
		if err := set.Maps["flows"].Put(row.k, row.v); err != nil {
			t.Fatal(err)
		}
	}
	all, err := table.Flows(everyone, 100)
	if err != nil || len(all) != 3 {
		t.Fatalf("%d flows, %v; want the three that live", len(all), err)
	}
	seen := map[string]bool{}
	for _, f := range all {
		seen[fmt.Sprintf("%d: %d %s > %s reverse %v", f.ENI, f.Protocol, f.Source, f.Dest, f.Reverse)] = true
	}
	for _, want := range []string{
		"1: 6 10.0.1.10:80 > 10.0.1.11:443 reverse false",
		"2: 6 10.0.1.11:443 > 10.0.1.10:80 reverse true",
		"1: 1 10.0.1.10:7 > 10.0.1.11:8 reverse false",
	} {
		if !seen[want] {
			t.Errorf("not shown: %s; shown: %v", want, seen)
		}
	}
	if few, err := table.Flows(everyone, 2); err != nil || len(few) != 2 {
		t.Errorf("%d flows, %v; want the limit", len(few), err)
	}
	if some, err := table.Flows(only(2), 100); err != nil || len(some) != 1 {
		t.Errorf("%d flows of one interface, %v", len(some), err)
	}
	rules := map[uint32]bool{0: true}
	for eni, want := range map[spec.ENI]int{1: 1, 2: 1, 3: 0} {
		if n, err := table.TrackedBy(only(eni), rules); err != nil || n != want {
			t.Errorf("%d tracked flows at %d, %v; want %d", n, eni, err, want)
		}
	}
}

func TestDrops(t *testing.T) {
	set, table := open(t)
	cpus := ebpf.MustPossibleCPU()
	for _, eni := range []uint32{0, 1, 2} {
		cells := make([]bpf.DropCount, cpus)
		for i := range cells {
			cells[i] = bpf.DropCount{Packets: 2, Bytes: 100}
		}
		k := bpf.DropKey{Eni: eni, Stage: uint8(bpf.FromEniDropStageSTAGE_SPOOF), Reason: uint8(bpf.FromEniDropReasonDROP_ANTI_SPOOF)}
		if err := set.Maps["drops"].Put(k, cells); err != nil {
			t.Fatal(err)
		}
	}
	all, err := table.Drops()
	if err != nil || len(all) != 3 {
		t.Fatalf("%v, %v", all, err)
	}
	for _, d := range all {
		want := flows.Drop{ENI: d.ENI, Stage: "spoof", Reason: "anti_spoof", Packets: uint64(2 * cpus), Bytes: uint64(100 * cpus)}
		if d != want {
			t.Errorf("%+v, want %+v", d, want)
		}
	}
	// What nobody owns stays: it says that something is wrong with the host.
	if err := table.ForgetDrops(only(2)); err != nil {
		t.Fatal(err)
	}
	left := map[spec.ENI]bool{}
	all, err = table.Drops()
	for _, d := range all {
		left[d.ENI] = true
	}
	if err != nil || len(left) != 2 || !left[0] || !left[2] {
		t.Errorf("left %v, %v; want those of 0 and 2", left, err)
	}
}
