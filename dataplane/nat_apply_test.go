package dataplane

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// withNAT puts a NAT gateway into the second subnet.
func withNAT(t *testing.T, name string) *spec.Host {
	t.Helper()
	h := twoSubnets(t, name)
	const eni = 9
	p := h.Ports[3]
	addr := netip.MustParseAddr("10.0.2.99")
	p.ID, p.Kind, p.Netns, p.MAC, p.Addr, p.SourceDestCheck = "eni-00000000000000009", spec.NATGateway, spec.Netns{}, spec.MACOf(eni), netip.PrefixFrom(addr, 24), false
	h.Ports[eni] = p
	h.Endpoints[spec.EndpointKey{VPC: 1, Addr: addr}] = spec.Endpoint{ENI: eni, Subnet: 2, MAC: p.MAC}
	h.Known[eni] = true
	h.NATs = map[spec.ENI]spec.NAT{eni: {
		ID: "nat-00000000000000009", VPC: 1, Addrs: spec.MakeAddrs([]netip.Addr{addr}), Gateway: p.Gateway, MAC: p.MAC, MTU: h.MTU,
	}}
	return h
}

// speaks shows that the gateway's interface leads into the VPC. Nothing answers to
// the gateway itself, so one datagram has to do.
func speaks(t *testing.T, h *spec.Host, path string) {
	t.Helper()
	server := udp(t, h.Ports[1].Netns.Path, "10.0.1.10:0")
	send(t, udp(t, path, "10.0.2.99:0"), "hello", server.LocalAddr().(*net.UDPAddr).AddrPort())
	if text, from, err := receive(server, patience); err != nil || text != "hello" || from.Addr() != netip.MustParseAddr("10.0.2.99") {
		t.Errorf("%q from %v, %v", text, from, err)
	}
}

// TestNATComesAndGoes: a gateway among the other objects of a spec.
func TestNATComesAndGoes(t *testing.T) {
	d, name := openTest(t)
	h := withNAT(t, name)
	rep, err := d.Apply(t.Context(), h)
	if err != nil || !rep.Up[9] {
		t.Fatalf("%+v, %v", rep, err)
	}
	path := netnsDir + d.kernel.Netns(h.NATs[9].ID)
	speaks(t, h, path)
	if m, err := d.NAT(t.Context(), h.NATs[9].ID); err != nil || m.PacketsInFromSource != 0 {
		t.Errorf("%+v, %v", m, err)
	}
	before := Writes()
	d.Dirty()
	if rep, err = d.Apply(t.Context(), h); err != nil || rep.Writes != 0 || Writes() != before {
		t.Errorf("a second Apply wrote %d objects, %d kernel writes, %v", rep.Writes, Writes()-before, err)
	}
	if drift, err := d.Verify(t.Context(), h); err != nil || len(drift) > 0 {
		t.Errorf("verify: %v %v", drift, err)
	}

	// Its namespace is made again, and with it what led there.
	run(t, "ip", "netns", "del", d.kernel.Netns(h.NATs[9].ID))
	d.Dirty()
	if rep, err = d.Apply(t.Context(), h); err != nil || !rep.Up[9] {
		t.Fatalf("made again: %+v, %v", rep, err)
	}
	speaks(t, h, path)
	if drift, err := d.Verify(t.Context(), h); err != nil || len(drift) > 0 {
		t.Errorf("verify: %v %v", drift, err)
	}

	without := *h
	without.NATs, without.Ports, without.Endpoints = nil, map[spec.ENI]spec.Port{1: h.Ports[1]}, map[spec.EndpointKey]spec.Endpoint{}
	if _, err := d.Apply(t.Context(), &without); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the namespace: %v", err)
	}
	if _, err := d.NAT(t.Context(), h.NATs[9].ID); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("metrics of a gateway that is not here: %v", err)
	}
}

// TestNATFailureIsItsOwn: a gateway that cannot be made is not up, and everybody
// else is.
func TestNATFailureIsItsOwn(t *testing.T) {
	d, name := openTest(t)
	h := withNAT(t, name)
	n := h.NATs[9]
	n.Addrs = "fd00::1"
	h.NATs[9] = n
	rep, err := d.Apply(t.Context(), h)
	if err == nil || !rep.Isolated || rep.Up[9] || !rep.Up[1] || !rep.Up[3] {
		t.Errorf("%+v, %v", rep, err)
	}
}

// What a host does not say is AWS's in the settings too, not only in the table.
func TestNATSettingsAreComplete(t *testing.T) {
	said, usual := newNATs(nil, "test", NATConfig{Idle: 4}), newNATs(nil, "test", NATConfig{})
	for _, want := range []struct {
		of          *nats
		name, value string
	}{
		{said, "udp_timeout", "4"},
		{usual, "udp_timeout", "350"},
		{usual, "tcp_timeout_established", "350"},
	} {
		if !slices.Contains(want.of.settings, nl.Setting{Name: "net/netfilter/nf_conntrack_" + want.name, Value: want.value}) {
			t.Errorf("no %s=%s in %v", want.name, want.value, want.of.settings)
		}
	}
}
