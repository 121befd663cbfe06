package progs_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/progs"
)

// wire is a real pair of links: frames written to one end arrive at the other,
// which is ann's port with its program.
type wire struct {
	*lab
	socket int
	far    int // ifindex of the workload's end
}

const farIndex = 7001

func openWire(t *testing.T) *wire {
	t.Helper()
	town := openTown(t, progs.Config{})
	k := nl.Open(fmt.Sprintf("progs%d.wire", os.Getpid()))
	name := k.Netns("lab")
	d := k.Drivers()
	t.Cleanup(func() {
		if err := d.Namespaces.Delete(ctx, name); err != nil {
			t.Error(err)
		}
		k.Close()
	})
	port := nl.LinkKey{Netns: name, Index: maps.Slot(ann.slot).Index()}
	town.must(d.Namespaces.Put(ctx, name, struct{}{}))
	town.must(d.Links.Put(ctx, port, nl.Link{Kind: nl.Veth, Name: "port", Alias: "test", MTU: 9000, MAC: bob.mac(),
		PeerNetns: name, PeerName: "far", PeerIndex: farIndex, PeerMAC: ann.mac()}))
	town.must(d.Ups.Put(ctx, port, nl.Up{}))
	town.must(d.Ups.Put(ctx, nl.LinkKey{Netns: name, Index: farIndex}, nl.Up{}))
	town.netns = "/run/netns/" + name
	town.enter()
	driver := town.set.Attachments()
	place := progs.Attachment{Index: port.Index, Netns: town.netns}
	town.must(driver.Put(ctx, place, town.set.Current(progs.FromENI)))
	s, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	town.must(err)
	t.Cleanup(func() { unix.Close(s) })
	return &wire{lab: town, socket: s, far: farIndex}
}

func (w *wire) write(frame []byte) {
	w.t.Helper()
	kind := binary.BigEndian.Uint16(frame[12:])
	w.must(unix.Sendto(w.socket, frame, 0, &unix.SockaddrLinklayer{Ifindex: w.far, Protocol: swapped(kind)}))
}

// expect sends a frame and waits until exactly want has been counted.
func (w *wire) expect(frame []byte, want counters) {
	w.t.Helper()
	before := w.counters()
	w.write(frame)
	eventually(w.t, "counted: "+want.String(), func() bool { return len(w.counters().minus(before)) > 0 })
	if got := w.counters().minus(before); got.String() != want.String() {
		w.t.Errorf("counters [%s], want [%s]", got, want)
	}
}

// TestLiveFrames shows what a test run cannot: a tag that the kernel has moved
// into the metadata, and a frame whose headers are not linear.
func TestLiveFrames(t *testing.T) {
	w := openWire(t)
	w.change(bob, func(p *maps.Port) { p.MTU = 9000 })
	w.change(ann, func(p *maps.Port) { p.MTU = 9000 })
	w.apply()
	plain := datagram.forth(0)
	w.expect(plain, counters{"tx 101": 1, "rx 102": 1})
	tagged := append(append([]byte{}, plain[:12]...), 0x81, 0, 0, 5)
	tagged = append(tagged, plain[12:]...)
	w.expect(tagged, counters{"drop 101 parse/vlan": 1})
	// Above a page only the Ethernet header is linear.
	w.expect(ann.frame(bob, header{proto: udp}, udpDatagram(datagram.sport, datagram.dport, 8000)), counters{"tx 101": 1, "rx 102": 1})
	w.expect(ann.frame(bob, header{proto: tcp}, append(tcpSegment(1, 22, syn), make([]byte, 8000)...)), counters{"drop 101 ingress/security_group": 1})
}
