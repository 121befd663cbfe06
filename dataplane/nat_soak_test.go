package dataplane

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/vpcfabric/vpc/gateways"
)

// TestNATRealPorts opens what AWS promises, 55,000 connections of one address to one
// destination, and more, until no port is free: those are counted, and another
// destination is reached all the same.
func TestNATRealPorts(t *testing.T) {
	if os.Getenv("VPC_SOAK") != "1" {
		t.Skip("opens 70,000 connections: VPC_SOAK=1")
	}
	const promised, ports = 55000, 65535 - 1024 + 1
	l := newNATLab(t, gateways.NATConfig{}, natIP)
	// It needs a listener, or "port unreachable" ends what was just opened.
	server, other := udp(t, l.outside, outsideIP+":53"), udp(t, l.outside, outsideIP+":54")
	defer server.Close()
	second := "10.0.1.11"
	inNetns(t, l.inside, "ip addr add "+second+"/24 dev eth0")
	to := netip.MustParseAddrPort(outsideIP + ":53")
	opened := 0
	open := func(until int) {
		enter(t, l.inside, func() error {
			for ; opened < until; opened++ {
				from := net.UDPAddr{IP: net.ParseIP([]string{insideIP, second}[opened/60000]), Port: 2000 + opened%60000}
				c, err := net.ListenUDP("udp4", &from)
				if err != nil {
					return err
				}
				_, err = c.WriteToUDPAddrPort([]byte{1}, to)
				c.Close()
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	open(promised)
	if m := l.metrics(t); m.ErrorPortAllocation != 0 || m.ActiveConnections < promised {
		t.Fatalf("of the first %d: %+v", promised, m)
	}
	open(ports + 4000)
	m := l.metrics(t)
	if m.ErrorPortAllocation < 4000 || m.ActiveConnections > ports+10 {
		t.Errorf("of %d: %+v", opened, m)
	}
	t.Logf("%d of %d connections, %d without a port", m.ActiveConnections, opened, m.ErrorPortAllocation)
	client := udp(t, l.inside, insideIP+":1500")
	send(t, client, "hello", netip.MustParseAddrPort(outsideIP+":54"))
	if text, _, err := receive(other, patience); err != nil || text != "hello" {
		t.Errorf("another destination: %q, %v", text, err)
	}
}
