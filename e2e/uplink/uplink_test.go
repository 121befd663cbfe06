package uplink

import (
	"crypto/rand"
	"encoding/hex"
	"net/netip"
	"os"
	"testing"

	"github.com/vpcfabric/vpc/e2e/netns"
	"github.com/vpcfabric/vpc/e2e/probe"
)

func TestConnect(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("namespaces need root")
	}
	b := make([]byte, 2)
	rand.Read(b)
	laptop, world := "u"+hex.EncodeToString(b)+"-laptop", "u"+hex.EncodeToString(b)+"-world"
	for _, ns := range []string{laptop, world} {
		if err := netns.Add(ns); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { netns.Delete(ns) })
	}
	if err := Connect(laptop, world, netip.MustParsePrefix("198.51.100.0/24")); err != nil {
		t.Fatal(err)
	}
	for _, to := range []netip.Addr{World, Second} {
		if seen, err := probe.SeenAs(laptop, world, to); err != nil || seen != Laptop {
			t.Errorf("the world at %s sees the laptop as %s: %v", to, seen, err)
		}
	}
	if seen, err := probe.SeenAs(world, laptop, Laptop); err != nil || seen != World {
		t.Errorf("the laptop sees the world as %s: %v", seen, err)
	}
	// A packet for what is behind the laptop gets there.
	p := probe.Packet{Proto: "udp", Src: World, Dst: netip.MustParseAddr("198.51.100.7"), DstPort: 9, Token: probe.NewToken()}
	sniffer, err := probe.Sniff(laptop, p.Token)
	if err != nil {
		t.Fatal(err)
	}
	if err := probe.Send(world, p, 1); err != nil {
		t.Error(err)
	}
	if err := probe.Ping(world, Laptop, 0); err != nil {
		t.Error(err)
	}
	if n, err := sniffer.Close(); n == 0 || err != nil {
		t.Errorf("%d packets, %v", n, err)
	}
}
