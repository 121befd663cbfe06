package progs_test

import (
	"testing"

	"github.com/vpcfabric/vpc/dataplane/progs"
)

// TestAllowanceOutlivesReattachment: whoever leaves his port and comes back, as
// a container that restarts, finds the flows that he has opened still on his
// account. Else a few restarts fill the table for everybody.
func TestAllowanceOutlivesReattachment(t *testing.T) {
	const allowance = progs.MinFlowTable / 8
	l := openTown(t, progs.Config{FlowTable: progs.MinFlowTable})
	f := datagram
	for i := range uint16(allowance) {
		f.sport = 1000 + i
		l.passes(ann, bob, f.forth(0))
	}
	f.sport = 999
	l.drops(ann, f.forth(0), "flow", "allowance")

	port := l.ports[0]
	l.vacate(ann)
	l.apply()
	l.move(ann, vpc, mainTable)
	l.ports[0] = port
	l.apply()
	l.drops(ann, f.forth(0), "flow", "allowance")

	// Nor does it help that another interface has had the slot in between.
	l.vacate(ann)
	l.apply()
	other := ann
	other.eni = 900
	l.move(other, vpc, mainTable)
	l.apply()
	l.vacate(other)
	l.apply()
	l.move(ann, vpc, mainTable)
	l.ports[0] = port
	l.apply()
	l.drops(ann, f.forth(0), "flow", "allowance")
}
