package clients

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/e2e/clients/query"
	"github.com/vpcfabric/vpc/vpcd/api"
)

// How many clients work at once, and for how long: 10 minutes with VPC_SOAK=1.
const (
	crowd    = 20
	loadTime = 20 * time.Second
	soakTime = 10 * time.Minute
	// blocks are the CIDRs that all clients want in the one VPC they share; few,
	// so that they meet.
	blocks = 48
	names  = 8
)

// holders knows who has a CIDR, an address or a name. A client that is given
// what another still has shows a fault.
type holders struct {
	mu   sync.Mutex
	held map[string]string
}

// take says who holds it already, "" when nobody did.
func (h *holders) take(what, who string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if other := h.held[what]; other != "" {
		return other
	}
	h.held[what] = who
	return ""
}

// release comes before the call that gives it up: somebody else may have it
// before that call returns.
func (h *holders) release(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.held, what)
}

// load is one run of the crowd.
type load struct {
	*host
	shared, subnet string // the VPC and the subnet that all use
	taken          holders
	done, refused  atomic.Int64
}

// worker is one client of the crowd.
type worker struct {
	*load
	*query.Client
	name string
	rng  *rand.Rand
}

// expected are refusals that clients of one VPC cause each other.
var expected = []string{"InvalidSubnet.Conflict", "InvalidGroup.Duplicate", "VpcLimitExceeded"}

// created is whatever id an answer has.
type created struct {
	Vpc       string `xml:"vpc>vpcId"`
	Subnet    string `xml:"subnet>subnetId"`
	Group     string `xml:"groupId"`
	Interface string `xml:"networkInterface>networkInterfaceId"`
	Address   string `xml:"networkInterface>privateIpAddress"`
}

// act does an action and says whether it was done. Refusals that are expected
// are counted; all else is an error of the test.
func (w *worker) act(ctx context.Context, action string, params query.Params) (created, bool) {
	var out created
	err := w.Call(ctx, action, params, &out)
	f := (*query.Fault)(nil)
	switch {
	case err == nil:
		w.done.Add(1)
		return out, true
	case errors.As(err, &f) && slices.Contains(expected, f.Code):
		w.refused.Add(1)
	default:
		w.Errorf("%s of %s: %v", action, w.name, err)
	}
	return out, false
}

// hold notes what was given and reports a second holder.
func (w *worker) hold(kind, what string) {
	if other := w.taken.take(kind+" "+what, w.name); other != "" {
		w.Errorf("%s %s is %s's, and was given to %s", kind, what, other, w.name)
	}
}

// round makes one thing of a kind, looks at it, and removes it.
func (w *worker) round(ctx context.Context, i int) {
	switch i % 4 {
	case 0:
		w.subnetRound(ctx)
	case 1:
		w.interfaceRound(ctx)
	case 2:
		w.groupRound(ctx)
	default:
		w.vpcRound(ctx)
	}
}

func (w *worker) subnetRound(ctx context.Context) {
	cidr := fmt.Sprintf("10.0.%d.0/24", 1+w.rng.IntN(blocks))
	if out, ok := w.act(ctx, "CreateSubnet", query.Params{"VpcId": w.shared, "CidrBlock": cidr}); ok {
		w.hold("CIDR", cidr)
		w.act(ctx, "DescribeSubnets", query.Params{"SubnetId.1": out.Subnet})
		w.taken.release("CIDR " + cidr)
		w.act(ctx, "DeleteSubnet", query.Params{"SubnetId": out.Subnet})
	}
}

func (w *worker) interfaceRound(ctx context.Context) {
	if out, ok := w.act(ctx, "CreateNetworkInterface", query.Params{"SubnetId": w.subnet}); ok {
		w.hold("address", out.Address)
		w.act(ctx, "DescribeNetworkInterfaces", query.Params{"Filter.1.Name": "private-ip-address", "Filter.1.Value.1": out.Address})
		w.taken.release("address " + out.Address)
		w.act(ctx, "DeleteNetworkInterface", query.Params{"NetworkInterfaceId": out.Interface})
	}
}

func (w *worker) groupRound(ctx context.Context) {
	name := fmt.Sprintf("g%d", w.rng.IntN(names))
	if out, ok := w.act(ctx, "CreateSecurityGroup", query.Params{"VpcId": w.shared, "GroupName": name, "GroupDescription": w.name}); ok {
		w.hold("name", name)
		w.act(ctx, "AuthorizeSecurityGroupIngress", query.Params{"GroupId": out.Group, "IpPermissions.1.IpProtocol": "-1", "IpPermissions.1.IpRanges.1.CidrIp": "10.0.0.0/8"})
		w.taken.release("name " + name)
		w.act(ctx, "DeleteSecurityGroup", query.Params{"GroupId": out.Group})
	}
}

func (w *worker) vpcRound(ctx context.Context) {
	if out, ok := w.act(ctx, "CreateVpc", query.Params{"CidrBlock": "10.0.0.0/16"}); ok {
		if sub, ok := w.act(ctx, "CreateSubnet", query.Params{"VpcId": out.Vpc, "CidrBlock": "10.0.0.0/24"}); ok {
			w.act(ctx, "DeleteSubnet", query.Params{"SubnetId": sub.Subnet})
		}
		w.act(ctx, "DeleteVpc", query.Params{"VpcId": out.Vpc})
	}
}

// TestCrowd lets many clients create and delete at once: no fault, nothing
// given twice, nothing left.
func TestCrowd(t *testing.T) {
	h := startHost(t)
	limit := loadTime
	if os.Getenv("VPC_SOAK") == "1" {
		limit = soakTime
	}
	l := &load{host: h, taken: holders{held: map[string]string{}}}
	l.shared = ask[api.CreateVpcResult](h, account, "create", "shared", "--cidr", "10.0.0.0/16").Vpc.VpcId
	l.subnet = ask[api.CreateSubnetResult](h, account, "subnet", "add", "shared", "--vpc", "shared", "--cidr", "10.0.0.0/24").Subnet.SubnetId
	env := h.env(account)
	start := time.Now()
	var wg sync.WaitGroup
	for i := range crowd {
		c := env.client()
		c.HTTP = &http.Client{Transport: &http.Transport{}, Timeout: patience}
		w := &worker{load: l, Client: c, name: "client " + strconv.Itoa(i), rng: rand.New(rand.NewPCG(uint64(i), 1))}
		wg.Go(func() {
			defer c.HTTP.CloseIdleConnections()
			for n := i; time.Since(start) < limit && !t.Failed(); n++ {
				w.round(context.Background(), n)
			}
		})
	}
	wg.Wait()
	t.Logf("%d clients: %d actions, %d refusals in %v", crowd, l.done.Load(), l.refused.Load(), time.Since(start).Round(time.Second))
	if l.done.Load() < crowd*10 || l.refused.Load() == 0 {
		t.Errorf("%d actions and %d refusals: the clients have hardly met", l.done.Load(), l.refused.Load())
	}
	l.left()
}

// left wants the shared VPC as it was, alone, and then away.
func (l *load) left() {
	l.Helper()
	l.verify()
	vpcs := len(ask[api.DescribeVpcsResult](l.host, account, "list").Vpcs)
	subnets := len(ask[api.DescribeSubnetsResult](l.host, account, "subnet", "list").Subnets)
	enis := len(ask[api.DescribeNetworkInterfacesResult](l.host, account, "eni", "list").NetworkInterfaces)
	groups := len(ask[api.DescribeSecurityGroupsResult](l.host, account, "sg", "list").SecurityGroups)
	if vpcs != 1 || subnets != 1 || enis != 0 || groups != 1 {
		l.Errorf("left: %d VPCs, %d subnets, %d interfaces, %d groups, want 1 1 0 1", vpcs, subnets, enis, groups)
	}
	l.vpc("subnet", "rm", l.subnet)
	l.vpc("delete", l.shared)
	l.verify()
}
