package vpcd

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/client"
)

// poolHere is one that no test of another process uses.
func poolHere(bits int) string { return fmt.Sprintf("198.19.%d.0/%d", os.Getpid()%256, bits) }

// TestSecondOnThePool: two daemons in one network never give out the same
// addresses, and the second hears who the first is.
func TestSecondOnThePool(t *testing.T) {
	cfg := config(t)
	cfg.PublicPools = []string{poolHere(24)}
	d := start(t, cfg)
	other := config(t)
	other.PublicPools = []string{"203.0.113.0/24", poolHere(28)}
	refused(t, other, "--public-pool", "host "+d.Name, fmt.Sprint("pid ", os.Getpid()), poolHere(24))
	absent(t, other.DataDir, other.Socket, claimPath(other.Name))
	d.host(t)
	// Without a daemon nobody has it, whatever is left of that.
	d.stop(t)
	second := start(t, other)
	refused(t, cfg, "host "+second.Name)
	second.stop(t)
	start(t, cfg).host(t)
}

// TestPoolThatNobodyNamed is claimed by what needs it first.
func TestPoolThatNobodyNamed(t *testing.T) {
	needRoot(t)
	one, err := openClaim(config(t).Name)
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(t)
	d := start(t, cfg)
	pools, _, err := parsePools([]string{DefaultPool})
	if err != nil {
		t.Fatal(err)
	}
	if err := one.take(pools); err != nil {
		one.close()
		t.Skip("somebody on this machine has the default pool: ", err)
	}
	for action, try := range map[string]func() error{
		"AllocateAddress": func() error {
			_, _, err := client.Call[api.AllocateAddressRequest, api.AllocateAddressResult](t.Context(), d.client, "AllocateAddress", &api.AllocateAddressRequest{})
			return err
		},
		"CreateInternetGateway": func() error {
			vpc := do[api.CreateVpcRequest, api.CreateVpcResult](t, d, "CreateVpc", api.CreateVpcRequest{CidrBlock: "10.0.0.0/16"}).Vpc.VpcId
			_, _, err := client.Call[api.CreateInternetGatewayRequest, api.CreateInternetGatewayResult](t.Context(), d.client, "CreateInternetGateway", &api.CreateInternetGatewayRequest{VpcId: vpc})
			return err
		},
	} {
		if err := try(); err == nil || !strings.Contains(err.Error(), "host "+one.host) {
			t.Errorf("%s: %v", action, err)
		}
	}
	d.host(t)
	one.close()
	do[api.AllocateAddressRequest, api.AllocateAddressResult](t, d, "AllocateAddress", api.AllocateAddressRequest{})
	// Once something needs it, the daemon has it from its start.
	d.stop(t)
	again, err := openClaim(one.host)
	if err != nil {
		t.Fatal(err)
	}
	defer again.close()
	if err := again.take(pools); err != nil {
		t.Fatal(err)
	}
	refused(t, cfg, "host "+one.host)
}

// TestCleanupWhereTheDaemonRan: what a host left in another network goes as well,
// and a network that has ended is no obstacle.
func TestCleanupWhereTheDaemonRan(t *testing.T) {
	cfg := config(t)
	name := cfg.Name + "-home"
	netns(t, name)
	ns, err := nl.Identify("/run/netns/" + name)
	if err != nil {
		t.Fatal(err)
	}
	inside := func(args ...string) string {
		out, _ := exec.Command("nsenter", append([]string{"--net=/run/netns/" + name, "nft"}, args...)...).CombinedOutput()
		return string(out)
	}
	table := spec.FirewallTable(cfg.Name)
	inside("add", "table", "ip", table)
	if !strings.Contains(inside("list", "tables"), table) {
		t.Skip("needs nft")
	}
	c, err := openClaim(cfg.Name)
	if err != nil {
		t.Fatal(err)
	}
	c.is.Netns = []uint64{1, ns.Inode}
	c.begun = true
	if err := c.take(nil); err != nil {
		t.Fatal(err)
	}
	c.close()
	done, err := Cleanup(t.Context(), CleanupOptions{Name: cfg.Name})
	if err != nil || !slices.Equal(done.Removed, []string{cfg.Name}) {
		t.Errorf("%+v, %v", done, err)
	}
	if left := inside("list", "tables"); strings.Contains(left, table) {
		t.Errorf("left there: %s", left)
	}
	done, err = Cleanup(t.Context(), CleanupOptions{Name: cfg.Name})
	if err != nil || !slices.Equal(done.Absent, []string{cfg.Name}) {
		t.Errorf("once more: %+v, %v", done, err)
	}
	absent(t, claimPath(cfg.Name))
}
