package meter

import (
	"net/netip"
	"testing"
)

func startVolley(t *testing.T, a, b rig, fresh int) *Volley {
	t.Helper()
	v, err := StartVolley(VolleyConfig{From: a.ns, To: b.ns, Src: netip.MustParseAddr("192.0.2.1"), Dst: netip.MustParseAddr("192.0.2.2"),
		Ports: []uint16{7000, 7001}, PPS: lossRate, Fresh: fresh})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestVolleyCountsByPort: every packet is another flow, and those to a port
// that is closed are missing by their numbers.
func TestVolleyCountsByPort(t *testing.T) {
	a, b := pair(t)
	b.in(t, "nft add table ip wall")
	b.in(t, "nft add chain ip wall in { type filter hook prerouting priority 0 ; }")
	b.in(t, "nft add rule ip wall in udp dport 7001 drop")
	v := startVolley(t, a, b, 1)
	eventually(t, "packets arrive", func() bool { return v.Arrived(7000) > lossRate/10 })
	before := v.Sent()
	v.Aim(7001)
	eventually(t, "packets are refused", func() bool { return v.Sent() > before+lossRate/10 })
	got, missing := v.Stop()
	if v.Arrived(7001) != 0 || got.Received != v.Arrived(7000) || got.Lost() < lossRate/10 || got.Duplicates != 0 || got.Unsent != 0 {
		t.Errorf("one port is closed: %v, %d arrived there", got, v.Arrived(7001))
	}
	if len(missing) == 0 || missing[0] < before || missing[0] > got.Sent-got.Lost() {
		t.Errorf("missing %v; the first one should be number %d", missing, got.Sent-got.Lost())
	}
}

func TestVolleyLosesNothingOnAGoodLink(t *testing.T) {
	a, b := pair(t)
	for _, fresh := range []int{0, 1, 8} {
		v := startVolley(t, a, b, fresh)
		eventually(t, "packets are sent", func() bool { return v.Sent() > lossRate/10 })
		v.Shift()
		if got, missing := v.Stop(); got.Lost() != 0 || len(missing) != 0 || got.Duplicates != 0 || got.Received == 0 {
			t.Errorf("fresh %d: %v", fresh, got)
		}
	}
}

// TestVolleyIsAsManyFlows: a wall against all source ports but one sees how
// many packets are flows of their own.
func TestVolleyIsAsManyFlows(t *testing.T) {
	a, b := pair(t)
	b.in(t, "nft add table ip wall")
	b.in(t, "nft add chain ip wall in { type filter hook prerouting priority 0 ; }")
	b.in(t, "nft add rule ip wall in udp sport 2000-65535 drop")
	for fresh, want := range map[int]int{0: 0, 1: 1, 8: 8} {
		v := startVolley(t, a, b, fresh)
		eventually(t, "packets are sent", func() bool { return v.Sent() > lossRate/10 })
		got, _ := v.Stop()
		if want == 0 && got.Lost() != 0 || want > 0 && got.Lost() != (got.Sent+want-1)/want {
			t.Errorf("one in %d is another flow: %d of %d", want, got.Lost(), got.Sent)
		}
	}
}
