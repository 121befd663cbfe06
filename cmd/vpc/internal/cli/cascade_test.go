package cli

import (
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func TestCascade(t *testing.T) {
	b := newBench(t)
	b.world()
	b.ok("create other --cidr 10.0.0.0/16")
	b.calls = nil
	golden(t, "cascade", b.story("delete prod --cascade --dry-run", "delete prod --cascade --dry-run -o json")+
		"calls so far: "+strings.Join(b.calls, "\n")+"\n"+b.story("delete prod --cascade --yes", "list"))
	if len(b.enis)+len(b.subnets) != 0 || len(b.vpcs) != 1 || len(b.groups) != 1 {
		t.Errorf("left: %d ENIs, %d subnets, %d VPCs, %d groups", len(b.enis), len(b.subnets), len(b.vpcs), len(b.groups))
	}
}

// TestCascadeGoesOn: a failure stops it and the next run does the rest.
func TestCascadeGoesOn(t *testing.T) {
	b := newBench(t)
	b.world()
	b.refuse["DeleteSubnet"] = api.Errorf("InternalError", "", "not now")
	got := b.run("delete prod --cascade --yes")
	if got.code != 1 || !strings.Contains(got.errOut, "cannot delete subnet web") || len(b.enis) != 0 || len(b.vpcs) != 1 {
		t.Fatalf("exit %d\n%s", got.code, got.errOut)
	}
	delete(b.refuse, "DeleteSubnet")
	b.ok("delete prod --cascade --yes")
	if len(b.vpcs) != 0 {
		t.Error("the VPC is still there")
	}
}

// TestCascadeMeetsOthers: what somebody else deleted meanwhile is no failure.
func TestCascadeMeetsOthers(t *testing.T) {
	b := newBench(t)
	b.world()
	b.refuse["DeleteNetworkInterface"] = api.Errorf("InvalidNetworkInterfaceID.NotFound", "", "gone")
	b.ok("delete prod --cascade --yes")
}

func TestCascadeAsks(t *testing.T) {
	for answer, want := range map[string]int{"y\n": 0, "yes\n": 0, "n\n": 8, "\n": 8, "": 8} {
		b := newBench(t)
		b.world()
		b.tty, b.stdin = "in", answer
		got := b.run("delete prod --cascade")
		if got.code != want || !strings.Contains(got.errOut, "[y/N]") || (want != 0) != (len(b.calls) == 0) {
			t.Errorf("answer %q: exit %d, %d calls\n%s", answer, got.code, len(b.calls), got.errOut)
		}
	}
}
