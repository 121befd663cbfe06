package vpcd

import (
	"os/exec"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// TestDriftHeals: what somebody changes behind the daemon's back comes back by
// itself, with what the kernel changes along: forwarding sets the redirects that
// a namespace accepts, on the way there and on the way back.
func TestDriftHeals(t *testing.T) {
	d := start(t, config(t))
	subnet := d.subnet(t)
	d.attach(t, subnet)
	vpc := do[api.DescribeSubnetsRequest, api.DescribeSubnetsResult](t, d, "DescribeSubnets", api.DescribeSubnetsRequest{SubnetIds: []string{subnet}}).Subnets[0].VpcId
	space := "/run/netns/vpc-" + d.Name + "-" + vpc
	if out, err := exec.Command("nsenter", "--net="+space, "sysctl", "-w", "net.ipv4.ip_forward=1").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	drifts := func() []api.Drift {
		return do[api.VerifyHostRequest, api.VerifyHostResult](t, d, "VerifyHost", api.VerifyHostRequest{}).Drifts
	}
	if list := drifts(); len(list) == 0 || list[0].Kind != "sysctl" {
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
