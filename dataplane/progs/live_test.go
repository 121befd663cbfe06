package progs_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// wire is a real pair of links: frames written to one end arrive at the other,
// which is ann's port with its program.
type wire struct {
	*lab
	drivers nl.Drivers
	inside  string     // the name of the VPC's namespace
	outside spec.Netns // of ann's workload
	socket  int        // of packets, in there
	far     int        // ifindex of the workload's end
}

// ownNetns makes a namespace that only this test uses.
func (l *lab) ownNetns(role string) (nl.Drivers, spec.Netns, string) {
	l.t.Helper()
	k := nl.Open(fmt.Sprintf("progs%d.%s", os.Getpid(), role))
	name := k.Netns(inVPC)
	d := k.Drivers()
	l.t.Cleanup(func() {
		if err := d.Namespaces.Delete(ctx, name); err != nil {
			l.t.Error(err)
		}
		k.Close()
	})
	l.must(d.Namespaces.Put(ctx, name, struct{}{}))
	n, err := nl.Identify("/run/netns/" + name)
	l.must(err)
	return d, n, name
}

func openWire(t *testing.T) *wire {
	t.Helper()
	w := &wire{lab: openTown(t, progs.Config{})}
	var n spec.Netns
	w.drivers, n, w.inside = w.ownNetns("wire")
	_, w.outside, _ = w.ownNetns("far")
	index := maps.Slot(ann.slot).Index()
	port := nl.LinkKey{Netns: w.inside, Index: index}
	w.must(w.drivers.Links.Put(ctx, port, nl.Link{Kind: nl.Veth, Name: "port", Alias: "test", MTU: 9000, MAC: bob.mac(),
		Peer: w.outside, PeerName: "far", PeerMAC: ann.mac()}))
	w.must(w.drivers.Ups.Put(ctx, port, nl.Up{}))
	w.must(w.drivers.Workloads.Put(ctx, index, nl.Workload{Netns: w.outside, Name: "far", MAC: ann.mac(), MTU: 9000}))
	w.netns = n.Path
	w.enter()
	w.attach(index)
	facts, err := nl.LinkByName(w.outside.Path, "far")
	w.must(err)
	w.far = facts.Index
	w.must(nl.In(w.outside.Path, func() (err error) {
		w.socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
		return err
	}))
	t.Cleanup(func() { unix.Close(w.socket) })
	return w
}

func (w *wire) attach(index int) {
	w.t.Helper()
	place := progs.Attachment{Index: index, Netns: w.netns}
	w.must(w.set.Attachments().Put(ctx, place, w.set.Current(progs.FromENI)))
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

// adopt gives n a tap for a port and returns its machine's side.
func (w *wire) adopt(n nic) *os.File {
	w.t.Helper()
	var fd int
	w.must(nl.In(w.outside.Path, func() (err error) {
		if fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
			return err
		}
		req, err := unix.NewIfreq("tap0")
		if err != nil {
			return err
		}
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		return unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}))
	machine := os.NewFile(uintptr(fd), "tap0")
	w.t.Cleanup(func() { machine.Close() })
	key := nl.LinkKey{Netns: w.inside, Index: maps.Slot(n.slot).Index()}
	w.must(w.drivers.Links.Put(ctx, key, nl.Link{Kind: nl.Tap, Name: "tap", Alias: "test", MTU: mtu, MAC: spec.PortMAC(n.eni),
		Peer: w.outside, PeerName: "tap0"}))
	w.must(w.drivers.Ups.Put(ctx, key, nl.Up{}))
	w.attach(key.Index)
	return machine
}

// arrives reads from a machine until the frame comes; the kernel may say things
// of its own before.
func (w *wire) arrives(machine *os.File, frame []byte) {
	w.t.Helper()
	w.must(machine.SetReadDeadline(time.Now().Add(5 * time.Second)))
	buf := make([]byte, 4096)
	for range 100 {
		n, err := machine.Read(buf)
		if err != nil {
			w.t.Fatalf("%x did not arrive: %v", frame, err)
		}
		if bytes.Equal(buf[:n], frame) {
			return
		}
	}
	w.t.Fatalf("%x did not arrive", frame)
}

// TestLiveTap: a machine behind a tap gets what is for it. A tap has no other
// end among the kernel's links, and what is sent there is lost.
func TestLiveTap(t *testing.T) {
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skip("no /dev/net/tun here")
	}
	w := openWire(t)
	machine := w.adopt(bob)
	w.change(bob, func(p *maps.Port) { p.Tap = true })
	w.apply()
	frame := datagram.forth(0)
	w.expect(frame, counters{"tx 101": 1, "rx 102": 1})
	w.arrives(machine, frame)

	router := netip.MustParseAddr("10.0.1.1")
	_, err := machine.Write(ethernet(broadcast, bob.mac(), typeARP, arpPacket(1, bob.mac(), bob.addr, spec.MAC{}, router)))
	w.must(err)
	w.arrives(machine, ethernet(bob.mac(), bob.router, typeARP, arpPacket(2, bob.router, router, bob.mac(), bob.addr)))
	before := w.counters()
	_, err = machine.Write(datagram.back(0))
	w.must(err)
	eventually(t, "the answer is counted", func() bool { return len(w.counters().minus(before)) > 0 })
	if got, want := w.counters().minus(before).String(), (counters{"tx 102": 1, "rx 101": 1}).String(); got != want {
		t.Errorf("counters [%s], want [%s]", got, want)
	}
}
