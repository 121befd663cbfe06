package progs_test

import (
	"testing"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// TestEndpointOfAnotherVPC: the kernel may give an endpoint's memory to another
// one while a program reads it. Whatever it then says, nothing leaves its VPC.
func TestEndpointOfAnotherVPC(t *testing.T) {
	l := openTown(t, progs.Config{})
	l.ingress(dan, anything)
	strange := bob
	strange.addr = addr("10.0.1.77")
	l.endpoints[spec.EndpointKey{VPC: vpc, Addr: strange.addr}] = maps.Endpoint{
		Endpoint: spec.Endpoint{ENI: dan.eni, Subnet: dan.subnet, MAC: dan.mac()}, Slot: maps.Slot(dan.slot),
	}
	l.apply()
	frame := ethernet(ann.router, ann.mac(), typeIPv4, ipv4(header{src: ann.addr, dst: strange.addr, proto: udp}, udpDatagram(1, 2, 0)))
	l.drops(ann, frame, "route", "peer_down")
}

// TestReplyHalfIsBeingDeleted: a flow that begins while its old entries are
// being taken away has replies like any other.
func TestReplyHalfIsBeingDeleted(t *testing.T) {
	l := openTown(t, progs.Config{})
	l.ingress(ann)
	l.apply()
	back := datagram.reply().key()
	for _, forward := range []bool{false, true} { // is the old forward half still there
		l.passes(ann, bob, datagram.forth(0))
		old := l.entry(datagram.reply())
		old.State = uint32(bpf.FromEniFlowStateFLOW_GONE)
		l.must(l.set.Maps["flows"].Put(back, old))
		if forward {
			dead := l.entry(datagram)
			dead.State = uint32(bpf.FromEniFlowStateFLOW_DEAD)
			l.must(l.set.Maps["flows"].Put(datagram.key(), dead))
		} else {
			l.must(l.set.Maps["flows"].Delete(datagram.key()))
		}
		l.passes(ann, bob, datagram.forth(0))
		l.must(l.set.Maps["flows"].Delete(back))
		l.passes(ann, bob, datagram.forth(0))
		l.passes(bob, ann, datagram.back(0))
	}
}
