package matrix

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/e2e/harness"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/client"
)

// bin has the binaries under test: VPC_BIN, or built once from this checkout.
var bin string

func TestMain(m *testing.M) { os.Exit(harness.Main(m, &bin)) }

// patience bounds one action and its way into the kernel.
const patience = 20 * time.Second

func source(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// TestEveryPairIsAsTheModelSays builds one world after another. VPC_SEED makes
// the first one that of another run.
func TestEveryPairIsAsTheModelSays(t *testing.T) {
	h := &host{Host: harness.NewHost(t, bin)}
	first := rand.Uint64N(1 << 32)
	if text := os.Getenv("VPC_SEED"); text != "" {
		var err error
		if first, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	h.Start()
	for i := range workloads {
		h.spaces = append(h.spaces, h.Space(fmt.Sprintf("w%d", i)))
	}
	count := map[verdict]int{}
	slow, sets := 0, harness.Count("RULESETS")
	for i := range sets {
		seed := first + uint64(i)
		w := generate(source(seed))
		gone := h.build(w)
		slow += h.compare(seed, w, count)
		gone()
	}
	t.Logf("%d worlds from VPC_SEED=%d: %d probes dropped, %d unanswered, %d answered; %d needed a second try",
		sets, first, count[verdict{}], count[verdict{true, false}], count[verdict{true, true}], slow)
}

type host struct {
	*harness.Host
	spaces   []string
	revision int64
}

// compare probes a world and names what is not as it should be.
func (h *host) compare(seed uint64, w *world, count map[verdict]int) (slow int) {
	f, err := listen(w, h.spaces)
	if err != nil {
		h.Fatal(err)
	}
	defer f.close()
	if slow, err = f.fire(h.spaces); err != nil {
		h.Fatalf("VPC_SEED=%d: %v", seed, err)
	}
	const most = 20
	var wrong []string
	for _, p := range f.probes {
		got := p.seen()
		count[got]++
		if got != p.want {
			wrong = append(wrong, fmt.Sprintf("%s: have %+v, want %+v", p, got, p.want))
		}
	}
	if len(wrong) > 0 {
		h.Errorf("VPC_SEED=%d: %d of %d are wrong\n\t%s\n%s", seed, len(wrong), len(f.probes), strings.Join(wrong[:min(most, len(wrong))], "\n\t"), &w.rules)
	}
	return slow
}

// call does one action.
func call[Req, Res any](h *host, req *Req) *Res {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.Context(), patience)
	defer cancel()
	action := strings.TrimSuffix(reflect.TypeFor[Req]().Name(), "Request")
	res, revision, err := client.Call[Req, Res](ctx, h.Client(), action, req)
	if err != nil {
		h.Fatalf("%s: %v", action, err)
	}
	h.revision = max(h.revision, revision)
	return res
}

// build makes the kernel obey a world; gone takes it away.
func (h *host) build(w *world) (gone func()) {
	id := call[api.CreateVpcRequest, api.CreateVpcResult](h, &api.CreateVpcRequest{CidrBlock: vpc.String()}).Vpc.VpcId
	var subnets, lists, groups []string
	for i, s := range w.subnets {
		subnet := call[api.CreateSubnetRequest, api.CreateSubnetResult](h, &api.CreateSubnetRequest{VpcId: id, CidrBlock: s.String()}).Subnet.SubnetId
		subnets = append(subnets, subnet)
		if w.acls[i] != nil {
			h.buildACL(id, subnet, w.acls[i])
		}
	}
	for i, l := range w.lists {
		req := &api.CreateManagedPrefixListRequest{PrefixListName: fmt.Sprintf("l%d", i), MaxEntries: api.Ptr[int32](maxEntries), AddressFamily: "IPv4"}
		for _, p := range l {
			req.Entries = append(req.Entries, api.AddPrefixListEntry{Cidr: p.String()})
		}
		lists = append(lists, call[api.CreateManagedPrefixListRequest, api.CreateManagedPrefixListResult](h, req).PrefixList.PrefixListId)
	}
	for i := range w.groups {
		groups = append(groups, h.buildGroup(id, fmt.Sprintf("g%d", i)))
	}
	for i, g := range w.groups {
		for _, r := range g {
			h.authorize(groups, lists, i, r)
		}
	}
	for i, e := range w.endpoints {
		req := &api.AttachWorkloadRequest{Target: "netns:" + h.spaces[i], SubnetId: subnets[e.subnet], PrivateIpAddress: e.at.String()}
		for _, g := range e.groups {
			req.Groups = append(req.Groups, groups[g])
		}
		call[api.AttachWorkloadRequest, api.AttachWorkloadResult](h, req)
	}
	call[api.WaitAppliedRequest, api.WaitAppliedResult](h, &api.WaitAppliedRequest{Revision: &h.revision})
	return func() {
		for _, s := range h.spaces {
			call[api.DetachWorkloadRequest, api.DetachWorkloadResult](h, &api.DetachWorkloadRequest{Target: "netns:" + s})
		}
		h.Vpc("delete", id, "--cascade", "--yes")
		for _, l := range lists {
			call[api.DeleteManagedPrefixListRequest, api.DeleteManagedPrefixListResult](h, &api.DeleteManagedPrefixListRequest{PrefixListId: l})
		}
	}
}

// buildGroup makes one that allows nothing.
func (h *host) buildGroup(vpc, name string) string {
	id := call[api.CreateSecurityGroupRequest, api.CreateSecurityGroupResult](h,
		&api.CreateSecurityGroupRequest{VpcId: vpc, GroupName: name, Description: name}).GroupId
	all := api.IpPermission{IpProtocol: "-1", IpRanges: []api.IpRange{{CidrIp: everybody.String()}}}
	call[api.RevokeSecurityGroupEgressRequest, api.RevokeSecurityGroupEgressResult](h,
		&api.RevokeSecurityGroupEgressRequest{GroupId: id, IpPermissions: []api.IpPermission{all}})
	return id
}

func (h *host) authorize(groups, lists []string, of int, r rule) {
	p := api.IpPermission{IpProtocol: r.proto}
	if r.proto != "-1" {
		p.FromPort, p.ToPort = &r.lo, &r.hi
	}
	switch {
	case r.group >= 0:
		p.UserIdGroupPairs = []api.UserIdGroupPair{{GroupId: groups[r.group]}}
	case r.list >= 0:
		p.PrefixListIds = []api.PrefixListId{{PrefixListId: lists[r.list]}}
	default:
		p.IpRanges = []api.IpRange{{CidrIp: r.prefix.String()}}
	}
	if r.egress {
		call[api.AuthorizeSecurityGroupEgressRequest, api.AuthorizeSecurityGroupEgressResult](h,
			&api.AuthorizeSecurityGroupEgressRequest{GroupId: groups[of], IpPermissions: []api.IpPermission{p}})
		return
	}
	call[api.AuthorizeSecurityGroupIngressRequest, api.AuthorizeSecurityGroupIngressResult](h,
		&api.AuthorizeSecurityGroupIngressRequest{GroupId: groups[of], IpPermissions: []api.IpPermission{p}})
}

// buildACL makes one and gives it to a subnet.
func (h *host) buildACL(vpc, subnet string, entries []entry) {
	id := call[api.CreateNetworkAclRequest, api.CreateNetworkAclResult](h, &api.CreateNetworkAclRequest{VpcId: vpc}).NetworkAcl.NetworkAclId
	for _, e := range entries {
		req := &api.CreateNetworkAclEntryRequest{NetworkAclId: id, Egress: &e.egress, RuleNumber: &e.number, CidrBlock: e.prefix.String(),
			Protocol: map[string]string{"-1": "-1", "icmp": "1", "tcp": "6", "udp": "17"}[e.proto], RuleAction: "deny"}
		if e.allow {
			req.RuleAction = "allow"
		}
		switch e.proto {
		case "tcp", "udp":
			req.PortRange = &api.PortRange{From: &e.lo, To: &e.hi}
		case "icmp":
			req.IcmpTypeCode = &api.IcmpTypeCode{Type: &e.lo, Code: &e.hi}
		}
		call[api.CreateNetworkAclEntryRequest, api.CreateNetworkAclEntryResult](h, req)
	}
	acls := call[api.DescribeNetworkAclsRequest, api.DescribeNetworkAclsResult](h,
		&api.DescribeNetworkAclsRequest{Filters: []api.Filter{{Name: "association.subnet-id", Values: []string{subnet}}}})
	for _, a := range acls.NetworkAcls[0].Associations {
		if a.SubnetId == subnet {
			call[api.ReplaceNetworkAclAssociationRequest, api.ReplaceNetworkAclAssociationResult](h,
				&api.ReplaceNetworkAclAssociationRequest{AssociationId: a.NetworkAclAssociationId, NetworkAclId: id})
		}
	}
}
