package progs_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

const (
	// alone is the verdict on what is left to the kernel.
	alone = 0xffffffff

	fromKernel = "left alone"
	redirected = "redirected"
)

var (
	natPublic  = addr("198.18.0.11")
	hostPublic = addr("198.18.0.1")
	neighbour  = spec.MAC{2, 9, 9, 9, 9, 9}
)

// wires is the town with a public address that the world knows, one that it does
// not, and one of the host's own; the device of ann is the uplink.
type wires struct {
	*lab
	uplink int
	mac    spec.MAC
}

func openWires(t *testing.T) wires {
	t.Helper()
	l := openGate(t, progs.Config{})
	w := wires{lab: l, uplink: maps.Slot(ann.slot).Index()}
	w.mac = spec.MAC{2, 2, 2, 2, 2, byte(slices.Index(devices(), w.uplink))}
	l.public(natPublic, bob)
	l.publics[annPublic] = maps.Public{VPC: vpc, Private: ann.addr, Direct: true, Segment: w.uplink}
	l.publics[hostPublic] = maps.Public{Private: addr("0.0.0.0")}
	l.apply()
	l.must(l.maps.Doors().Put(ctx, vpc, maps.Slot(gate.slot).Index()))
	l.must(l.maps.Uplinks().Put(ctx, w.uplink, maps.Uplink{MAC: w.mac}))
	return w
}

// judge names what becomes of a frame.
func (w wires) judge(role progs.Role, frame []byte) (string, []byte) {
	r := w.run(role, packet{index: w.uplink, data: frame})
	switch r.verdict {
	case alone:
		return fromKernel, r.data
	case sent:
		return redirected, r.data
	case shot:
		return "dropped", r.data
	}
	return "passed", r.data
}

func asks(op uint16, spa, tpa string) []byte {
	return ethernet(broadcast, neighbour, typeARP, arpPacket(op, neighbour, addr(spa), spec.MAC{}, addr(tpa)))
}

func TestARPAtTheUplink(t *testing.T) {
	w := openWires(t)
	public := annPublic.String()
	for _, row := range []struct {
		name  string
		frame []byte
		want  string
	}{
		{"who has it", asks(1, "203.0.113.9", public), redirected},
		{"who asks before he takes it", asks(1, "0.0.0.0", public), redirected},
		{"asked at its address, as neighbours do again", ethernet(w.mac, neighbour, typeARP, arpPacket(1, neighbour, out.addr, w.mac, annPublic)), redirected},
		{"asked somebody else", ethernet(spec.MAC{2, 8}, neighbour, typeARP, arpPacket(1, neighbour, out.addr, w.mac, annPublic)), fromKernel},
		{"the asker's own", asks(1, public, public), fromKernel},
		{"an answer", asks(2, "203.0.113.9", public), fromKernel},
		{"nobody's", asks(1, "203.0.113.9", "198.18.0.99"), fromKernel},
		{"one that the world does not know", asks(1, "203.0.113.9", natPublic.String()), fromKernel},
		{"the host's", asks(1, "203.0.113.9", hostPublic.String()), fromKernel},
		{"cut", asks(1, "203.0.113.9", public)[:40], fromKernel},
		{"another kind of hardware", func() []byte { f := asks(1, "203.0.113.9", public); f[15] = 6; return f }(), fromKernel},
	} {
		got, data := w.judge(progs.FromUplink, row.frame)
		if got != row.want {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		}
		if got != redirected {
			if !bytes.Equal(data, row.frame) {
				t.Errorf("%s: left alone and changed", row.name)
			}
			continue
		}
		asked := row.frame[28:32]
		want := ethernet(neighbour, w.mac, typeARP, slices.Concat(
			[]byte{0, 1, 8, 0, 6, 4, 0, 2}, w.mac[:], annPublic.AsSlice(), neighbour[:], asked))
		if !bytes.Equal(data, want) {
			t.Errorf("%s: answered\n%x, want\n%x", row.name, data, want)
		}
	}
	w.publics[annPublic] = maps.Public{VPC: vpc, Private: ann.addr, Direct: true, Segment: w.uplink + 1}
	w.apply()
	if got, _ := w.judge(progs.FromUplink, asks(1, "203.0.113.9", public)); got != fromKernel {
		t.Errorf("at another uplink than its segment's: %s", got)
	}
}

// between is an IPv4 packet from a neighbour to the uplink.
func (w wires) between(src, dst string, size int) []byte {
	return ethernet(w.mac, neighbour, typeIPv4, ipv4(header{src: addr(src), dst: addr(dst), proto: udp}, udpDatagram(9, 9, size)))
}

func TestFromTheUplink(t *testing.T) {
	w := openWires(t)
	public := annPublic.String()
	elsewhere := w.between("203.0.113.9", public, 4)
	elsewhere[0] ^= 4
	v6 := w.between("203.0.113.9", public, 4)
	v6[14] = 0x65
	short := w.between("203.0.113.9", public, 4)
	short[14] = 0x44
	for _, row := range []struct {
		name  string
		frame []byte
		want  string
	}{
		{"to a public address", w.between("203.0.113.9", public, 4), redirected},
		{"a fragment", ethernet(w.mac, neighbour, typeIPv4, ipv4(header{src: out.addr, dst: annPublic, proto: udp, frag: 100}, make([]byte, 8))), redirected},
		{"as long as the way", w.between("203.0.113.9", public, 1472), redirected},
		{"too long for it", w.between("203.0.113.9", public, 1473), fromKernel},
		{"in a frame for somebody else", elsewhere, fromKernel},
		{"of another version", v6, fromKernel},
		{"broadcast", ethernet(broadcast, neighbour, typeIPv4, ipv4(header{src: out.addr, dst: annPublic, proto: udp}, udpDatagram(9, 9, 0))), fromKernel},
		{"to nobody", w.between("203.0.113.9", "198.18.0.99", 4), fromKernel},
		{"to one that the world does not know", w.between("203.0.113.9", natPublic.String(), 4), fromKernel},
		{"to the host", w.between("203.0.113.9", hostPublic.String(), 4), fromKernel},
		{"with a short header", short, fromKernel},
		{"with a source that is in here", w.between(natPublic.String(), public, 4), "dropped"},
		{"with the host's", w.between(hostPublic.String(), public, 4), "dropped"},
	} {
		before := w.counters()
		got, data := w.judge(progs.FromUplink, row.frame)
		if got != row.want || !bytes.Equal(data, row.frame) {
			t.Errorf("%s: %s, want %s, unchanged", row.name, got, row.want)
		}
		want := counters{}
		if row.want == "dropped" {
			want = counters{"drop " + text(bpf.EdgeENI|spec.ENI(vpc)) + " spoof/anti_spoof": 1}
		}
		if moved := w.counters().minus(before); moved.String() != want.String() {
			t.Errorf("%s: counted %s, want %s", row.name, moved, want)
		}
	}
	w.must(w.maps.Doors().Delete(ctx, vpc))
	if got, _ := w.judge(progs.FromUplink, w.between("203.0.113.9", public, 4)); got != fromKernel {
		t.Errorf("without a door: %s", got)
	}
}

// TestFromTheEdge: what is not decided here is the kernel's. Ways out are shown
// where there are routes.
func TestFromTheEdge(t *testing.T) {
	w := openWires(t)
	public := annPublic.String()
	for _, row := range []struct {
		name, src, dst, want string
	}{
		{"to one that the world knows", public, public, redirected},
		{"to one that it does not know", public, natPublic.String(), redirected},
		{"from one that it does not know", natPublic.String(), public, fromKernel},
		{"from nobody", "198.18.0.99", public, fromKernel},
		{"to the host", public, hostPublic.String(), fromKernel},
		{"without a route", public, "203.0.113.9", fromKernel},
		{"to this machine", public, "127.0.0.1", fromKernel},
	} {
		frame := w.between(row.src, row.dst, 4)
		if got, data := w.judge(progs.FromEdge, frame); got != row.want || !bytes.Equal(data, frame) {
			t.Errorf("%s: %s, want %s, unchanged", row.name, got, row.want)
		}
	}
}

// TestGates: programs outside are kept apart from those at ports, also where there
// is no tcx; what others have at the same place stays.
func TestGates(t *testing.T) {
	for _, noTCX := range []bool{false, true} {
		p := openPlaces(t, noTCX)
		theirs := p.another(p.b)
		ports := map[progs.Attachment]progs.Attached{p.a: p.set.Current(progs.FromENI)}
		p.converge(ports)
		gates := p.set.Gates()
		p.must(gates.Put(ctx, p.b, p.set.Current(progs.FromUplink)))
		have, err := gates.Observe(ctx, map[progs.Attachment]progs.Attached{p.b: {}})
		if err != nil || len(have) != 1 || have[p.b] != p.set.Current(progs.FromUplink) {
			t.Errorf("no tcx %v: gates %v, %v", noTCX, have, err)
		}
		p.converge(ports) // which prunes what it does not want
		p.must(gates.Delete(ctx, p.b))
		if have, err := gates.Observe(ctx, nil); err != nil || len(have) != 0 {
			t.Errorf("no tcx %v: after deletion %v, %v", noTCX, have, err)
		}
		p.must(gates.Put(ctx, p.b, p.set.Current(progs.FromUplink)))
		p.must(progs.Remove(p.set.Dir()))
		if theirs == nil {
			continue
		}
		if info, err := theirs.Info(); err != nil || info.TCX().Ifindex != uint32(p.b.Index) {
			t.Errorf("no tcx %v: another's program is gone: %v", noTCX, err)
		}
	}
}

// another attaches somebody else's program; nil where the kernel has no tcx.
func (p *places) another(at progs.Attachment) link.Link {
	p.t.Helper()
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()}})
	p.must(err)
	p.t.Cleanup(func() { prog.Close() })
	var l link.Link
	err = nl.In(at.Netns, func() (err error) {
		l, err = link.AttachTCX(link.TCXOptions{Interface: at.Index, Program: prog, Attach: ebpf.AttachTCXIngress})
		return err
	})
	if errors.Is(err, link.ErrNotSupported) {
		return nil
	}
	p.must(err)
	p.t.Cleanup(func() { l.Close() })
	return l
}
