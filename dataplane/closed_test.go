package dataplane

import (
	"encoding/binary"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// sumOf is the Internet checksum.
func sumOf(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// echoRequest is a whole frame, with checksums that the kernel accepts.
func echoRequest(dst, src spec.MAC, from, to string) []byte {
	ip := []byte{0x45, 0, 0, 28, 0, 1, 0, 0, 64, 1, 0, 0}
	a, b := netip.MustParseAddr(from).As4(), netip.MustParseAddr(to).As4()
	ip = append(append(ip, a[:]...), b[:]...)
	binary.BigEndian.PutUint16(ip[10:], sumOf(ip))
	echo := []byte{8, 0, 0, 0, 0, 7, 0, 1}
	binary.BigEndian.PutUint16(echo[2:], sumOf(echo))
	frame := append(append([]byte{}, dst[:]...), src[:]...)
	return append(append(append(frame, 8, 0), ip...), echo...)
}

// arpRequest asks everybody for an address.
func arpRequest(src spec.MAC, from, to string) []byte {
	a, b := netip.MustParseAddr(from).As4(), netip.MustParseAddr(to).As4()
	frame := append([]byte{255, 255, 255, 255, 255, 255}, src[:]...)
	frame = append(append(frame, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1), src[:]...)
	return append(append(append(frame, a[:]...), 0, 0, 0, 0, 0, 0), b[:]...)
}

// inject writes a frame to the workload's eth0, as its owner may.
func inject(t *testing.T, n spec.Netns, frame []byte) {
	t.Helper()
	facts, err := nl.LinkByName(n.Path, "eth0")
	if err != nil {
		t.Fatal(err)
	}
	err = nl.In(n.Path, func() error {
		s, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
		if err != nil {
			return err
		}
		defer unix.Close(s)
		return unix.Sendto(s, frame, 0, &unix.SockaddrLinklayer{Ifindex: facts.Index, Protocol: 8})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// received is how many packets have arrived at the workload's eth0.
func received(t *testing.T, n spec.Netns) (packets int) {
	t.Helper()
	err := nl.In(n.Path, func() error {
		b, err := os.ReadFile("/proc/thread-self/net/dev")
		_, rest, _ := strings.Cut(string(b), "eth0:")
		if fields := strings.Fields(rest); err == nil && len(fields) > 1 {
			packets, err = strconv.Atoi(fields[1])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return packets
}

// TestPortWithoutProgram: what a workload sends past its program reaches no
// other workload, neither by itself nor as an answer that it has sent there, and
// the next look at the kernel puts the program back.
func TestPortWithoutProgram(t *testing.T) {
	d, name := openTest(t)
	h := twoSubnets(t, name)
	if _, err := d.Apply(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	inside := netnsDir + d.kernel.Netns(h.Subnets[1].VPCID)
	place := progs.Attachment{Index: d.slots.port[1].Index(), Netns: inside}
	if err := d.progs.Attachments().Delete(t.Context(), place); err != nil {
		t.Fatal(err)
	}
	self, near, across := h.Ports[1], h.Ports[2], h.Ports[3]
	router, other := h.Subnets[1].MAC, h.Subnets[2].MAC
	all := spec.MAC{255, 255, 255, 255, 255, 255}
	const own, neighbour, far, gateway, farGateway = "10.0.1.10", "10.0.1.11", "10.0.2.12", "10.0.1.1", "10.0.2.1"
	for what, frame := range map[string][]byte{
		"to the neighbour":                         echoRequest(near.MAC, self.MAC, own, neighbour),
		"to the neighbour by the router":           echoRequest(router, self.MAC, own, neighbour),
		"to everybody":                             echoRequest(all, self.MAC, own, neighbour),
		"across":                                   echoRequest(across.MAC, self.MAC, own, far),
		"across by the router":                     echoRequest(router, self.MAC, own, far),
		"to the router, from across":               echoRequest(router, self.MAC, far, gateway),
		"to the router, from across, with its MAC": echoRequest(router, across.MAC, far, gateway),
		"to the router across, from there":         echoRequest(router, self.MAC, far, farGateway),
		"to the router across and its MAC":         echoRequest(other, self.MAC, far, farGateway),
		"to the router, from the router across":    echoRequest(router, self.MAC, farGateway, gateway),
		"asking for the neighbour":                 arpRequest(self.MAC, own, neighbour),
		"asking for the router":                    arpRequest(self.MAC, own, gateway),
	} {
		before := []int{received(t, self.Netns), received(t, near.Netns), received(t, across.Netns)}
		inject(t, self.Netns, frame)
		// What comes behind it on the same way is answered: it has had its time.
		inject(t, self.Netns, echoRequest(router, self.MAC, own, gateway))
		deadline := time.Now().Add(5 * time.Second)
		for received(t, self.Netns) == before[0] {
			if time.Now().After(deadline) {
				t.Fatalf("%s: the router answers nobody", what)
			}
		}
		after := []int{received(t, self.Netns) - 1, received(t, near.Netns), received(t, across.Netns)}
		for i, who := range []string{"itself", "the neighbour", "the workload across"} {
			if after[i] != before[i] {
				t.Errorf("%s: %d packets reached %s", what, after[i]-before[i], who)
			}
		}
	}

	d.Dirty()
	if rep, err := d.Apply(t.Context(), h); err != nil || rep.Writes == 0 {
		t.Fatalf("the next look wrote %d, %v", rep.Writes, err)
	}
	if drift, err := d.Verify(t.Context(), h); err != nil || len(drift) > 0 {
		t.Errorf("drift %v, %v", drift, err)
	}
	before := received(t, near.Netns)
	inject(t, self.Netns, echoRequest(router, self.MAC, neighbour, gateway))
	for _, to := range []string{gateway, far} {
		if err := ping(self.Netns, to); err != nil {
			t.Errorf("ping %s: %v", to, err)
		}
	}
	if after := received(t, near.Netns); after != before {
		t.Errorf("with its program again, an answer was sent to the neighbour")
	}
}
