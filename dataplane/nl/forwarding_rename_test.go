package nl

import (
	"cmp"
	"maps"
	"os"
	"testing"

	vnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// TestForwardingOfRenamedUplink: the value is given back under whatever name the
// device has then, also where two have swapped theirs.
func TestForwardingOfRenamedUplink(t *testing.T) {
	_, o, _, _ := outside(t)
	for i, name := range []string{"up0", "up1"} {
		uplink(t, o, name, uint32(i+1))
		sysctlIn(t, o, sysctlOf(name), "0")
	}
	rename := func(pairs ...string) {
		t.Helper()
		by(t, o.path, func(c *conn) error {
			for i := 0; i < len(pairs); i += 2 {
				s, err := c.link(0, pairs[i])
				if err == nil {
					err = c.setLink(s.index, vnl.NewRtAttr(unix.IFLA_IFNAME, vnl.ZeroTerminated(pairs[i+1])))
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	drv := o.Drivers().Forwarding
	converge(t, "forwarding", drv, cmp.Compare[string], map[string]bool{"up0": true, "up1": true})
	rename("up0", "other", "up1", "up0", "other", "up1")
	if got := have(t, drv, nil); !maps.Equal(got, map[string]bool{"up0": true, "up1": true}) {
		t.Errorf("after a swap: %v", got)
	}
	rename("up0", "lan0")
	// Who wants it by its new name already has it.
	if got := have(t, drv, map[string]bool{"lan0": true, "up1": true}); !maps.Equal(got, map[string]bool{"lan0": true, "up1": true}) {
		t.Errorf("after a change of name: %v", got)
	}
	rename("lan0", "wan0")
	must(t, o.Cleanup(ctx))
	for _, name := range []string{"wan0", "up1"} {
		if v := sysctlIn(t, o, sysctlOf(name), ""); v != "0" {
			t.Errorf("%s: forwarding %s is not given back", name, v)
		}
	}
	if left, err := os.ReadDir(o.records); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
