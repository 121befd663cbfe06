package vpcd

import (
	"os/exec"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// TestDriftHeals: what somebody changes behind the daemon's back comes back by
// itself.
func TestDriftHeals(t *testing.T) {
	d := start(t, config(t))
	d.attach(t, d.subnet(t))
	fabric := "/run/netns/vpc-" + d.Name + "-fabric"
	if out, err := exec.Command("nsenter", "--net="+fabric, "sysctl", "-w", "net.ipv4.conf.all.accept_redirects=1").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	drifts := func() []api.Drift {
		return do[api.VerifyHostRequest, api.VerifyHostResult](t, d, "VerifyHost", api.VerifyHostRequest{}).Drifts
	}
	if list := drifts(); len(list) != 1 || list[0].Kind != "sysctl" {
		t.Fatalf("verify does not see it: %+v", list)
	}
	deadline := time.After(8 * time.Second)
	for list := drifts(); len(list) > 0; list = drifts() {
		select {
		case <-deadline:
			t.Fatalf("not healed: %+v", list)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
