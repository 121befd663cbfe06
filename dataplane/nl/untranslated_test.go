package nl

import (
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
)

func TestUntranslated(t *testing.T) {
	pools := untranslated{netip.MustParsePrefix("198.18.0.0/24")}
	for _, row := range []struct {
		src, dst, answers string
		want              bool
	}{
		{"198.18.0.2", "203.0.113.9", "198.18.0.2", true},
		{"198.18.0.2", "203.0.113.9", "192.0.2.2", false},
		{"198.18.0.2", "198.18.0.3", "198.18.0.2", false},
		{"198.18.0.1", "198.18.0.3", "198.18.0.1", false},
		{"203.0.113.9", "198.18.0.2", "203.0.113.9", false},
		{"10.0.0.1", "203.0.113.9", "10.0.0.1", false},
	} {
		f := &netlink.ConntrackFlow{}
		f.Forward.SrcIP, f.Forward.DstIP, f.Reverse.DstIP = net.ParseIP(row.src).To4(), net.ParseIP(row.dst).To4(), net.ParseIP(row.answers).To4()
		if got := pools.MatchConntrackFlow(f); got != row.want {
			t.Errorf("%+v: %t", row, got)
		}
	}
}
