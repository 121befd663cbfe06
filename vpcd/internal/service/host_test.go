package service

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store/storetest"
)

func (b *bench) report(name string, applied int64) {
	b.t.Helper()
	b.put(record.Statuses+name, &record.HostStatus{Host: api.Host{HostName: name, State: "ready", Ready: api.Ptr(true), AppliedRevision: &applied}})
}

func TestWaitApplied(t *testing.T) {
	b := newBench(t, func(c *Config) { c.HostName = "h1" })
	_, revision, err := b.call(alice, "CreateVpc", &api.CreateVpcRequest{CidrBlock: "10.0.0.0/16"})
	if err != nil {
		t.Fatal(err)
	}
	wait := func(ctx context.Context) error {
		_, _, err := b.handlers["WaitApplied"](ctx, alice, &api.WaitAppliedRequest{Revision: &revision})
		return err
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	refused(t, wait(gone), "RequestTimeout", "Revision") // before the first report
	b.report("h1", revision)
	if err := wait(gone); err != nil {
		t.Errorf("applied, but %v", err)
	}
	b.report("h2", revision-1)
	refused(t, wait(gone), "RequestTimeout", "Revision")

	done := make(chan error, 1)
	go func() { done <- wait(t.Context()) }()
	b.report("h2", revision+5)
	if err := <-done; err != nil {
		t.Error(err)
	}
	_, _, err = b.call(alice, "WaitApplied", &api.WaitAppliedRequest{})
	refused(t, err, "MissingParameter", "Revision")
	_, _, err = b.call(alice, "WaitApplied", &api.WaitAppliedRequest{Revision: api.Ptr(int64(-1))})
	refused(t, err, "InvalidParameterValue", "Revision")
}

func TestDescribeHosts(t *testing.T) {
	b := newBench(t, func(c *Config) { c.HostName = "h2" })
	hosts := do[api.DescribeHostsResult](b, &api.DescribeHostsRequest{}).Hosts
	if len(hosts) != 1 || hosts[0].State != "starting" || *hosts[0].Ready || *hosts[0].StoreAlarm {
		t.Errorf("before the first report: %+v", hosts)
	}
	b.report("h2", 3)
	b.report("h1", 2)
	hosts = do[api.DescribeHostsResult](b, &api.DescribeHostsRequest{}).Hosts
	if len(hosts) != 2 || hosts[0].HostName != "h1" || hosts[0].StoreRevision != nil || *hosts[1].StoreRevision == 0 || !*hosts[1].Ready {
		t.Errorf("hosts %+v", hosts)
	}
}

// TestAppliedIsUpToDate: a host that has applied everything is at the store's
// revision, though its report of that is one more; a change after it is not in.
func TestAppliedIsUpToDate(t *testing.T) {
	b := newBench(t, func(c *Config) { c.HostName = "h1" })
	b.vpc("10.0.0.0/16")
	b.report("h1", b.store.Snapshot().Revision())
	behind := func() int64 {
		h := do[api.DescribeHostsResult](b, &api.DescribeHostsRequest{}).Hosts[0]
		return *h.StoreRevision - *h.AppliedRevision
	}
	if n := behind(); n != 0 {
		t.Errorf("an idle host is %d behind", n)
	}
	b.vpc("10.1.0.0/16")
	if behind() <= 0 {
		t.Error("a change that is not applied does not show")
	}
}

func TestARecordThatCannotBeReadShows(t *testing.T) {
	const damaged = record.Vpcs + "vpc-1"
	var reads atomic.Int32
	decode := func(key string, value []byte) (any, error) {
		// The first read is the store's own, which would refuse to write it.
		if key == damaged && reads.Add(1) > 1 {
			return nil, errors.New("damaged")
		}
		return record.Decode(key, value)
	}
	b := newBench(t, func(c *Config) { c.HostName, c.Store = "h1", storetest.Open(t, decode) })
	b.put(damaged, &record.Vpc{Vpc: api.Vpc{VpcId: "vpc-1"}})
	b.report("h1", 3)
	h := do[api.DescribeHostsResult](b, &api.DescribeHostsRequest{}).Hosts[0]
	if h.State != "degraded" || *h.Ready || len(h.Reasons) != 1 {
		t.Errorf("with a damaged record: %+v", h)
	}
}

func TestQuestionsToTheHost(t *testing.T) {
	h := &answers{confirmed: 3}
	b := newBench(t, func(c *Config) { c.Host, c.HostName = h, "h1" })
	if res := do[api.VerifyHostResult](b, &api.VerifyHostRequest{HostName: "h1"}); !*res.Clean || res.Drifts == nil {
		t.Errorf("clean host: %+v", res)
	}
	h.drifts = []api.Drift{{Kind: "link", Object: "x"}}
	if res := do[api.VerifyHostResult](b, &api.VerifyHostRequest{}); *res.Clean || len(res.Drifts) != 1 {
		t.Errorf("drifted host: %+v", res)
	}
	if res := do[api.ConfirmHostResult](b, &api.ConfirmHostRequest{}); *res.Confirmed != 3 {
		t.Errorf("confirmed %+v", res)
	}
	_, _, err := b.call(alice, "ConfirmHost", &api.ConfirmHostRequest{DryRun: api.Ptr(true)})
	refused(t, err, "DryRunOperation", "")
	_, _, err = b.call(alice, "VerifyHost", &api.VerifyHostRequest{HostName: "h\x009"})
	refused(t, err, "InvalidHostID.NotFound", "HostName")
	b.report("h2", 1)
	_, _, err = b.call(alice, "VerifyHost", &api.VerifyHostRequest{HostName: "h2"})
	refused(t, err, "UnsupportedOperation", "HostName")
	h.err = errors.New("the kernel said no")
	_, _, err = b.call(alice, "VerifyHost", &api.VerifyHostRequest{})
	refused(t, err, "InternalError", "")
	h.err = api.Errorf("IncorrectState", "X", "a reason long enough to read")
	_, _, err = b.call(alice, "ConfirmHost", &api.ConfirmHostRequest{})
	refused(t, err, "IncorrectState", "X")
	_, _, err = newBench(t).call(alice, "VerifyHost", &api.VerifyHostRequest{})
	refused(t, err, "UnsupportedOperation", "HostName")
}

func TestDropsAndFlowsAreOfOnesOwn(t *testing.T) {
	h := &answers{leaks: true}
	b := newBench(t, func(c *Config) { c.Host, c.HostName = h, "h1" })
	subnet := b.subnet(b.vpc("10.0.0.0/16").VpcId, "10.0.1.0/24")
	mine := b.eni(subnet, "10.0.1.4", "")
	h.drops = []api.Drop{{NetworkInterfaceId: mine}, {NetworkInterfaceId: "eni-22222222"}, {Stage: "underlay"}}
	h.flows = []api.Flow{{NetworkInterfaceId: mine}, {NetworkInterfaceId: "eni-22222222"}}
	if got := do[api.DescribeDropsResult](b, &api.DescribeDropsRequest{}).Drops; !reflect.DeepEqual(got, []api.Drop{h.drops[0], h.drops[2]}) {
		t.Errorf("drops %+v", got)
	}
	if got := do[api.DescribeDropsResult](b, &api.DescribeDropsRequest{NetworkInterfaceIds: []string{mine}}).Drops; !reflect.DeepEqual(got, h.drops[:1]) {
		t.Errorf("drops of one %+v", got)
	}
	if got := do[api.DescribeFlowsResult](b, &api.DescribeFlowsRequest{}).Flows; len(got) != 1 || !reflect.DeepEqual(h.asked, []string{mine}) {
		t.Errorf("flows %+v, asked for %v", got, h.asked)
	}
	// Somebody without interfaces must not end up asking for all.
	res, _, err := b.call(bob, "DescribeFlows", &api.DescribeFlowsRequest{})
	if err != nil || len(res.(*api.DescribeFlowsResult).Flows) != 0 {
		t.Errorf("bob sees %+v %v", res, err)
	}
	for _, req := range []any{&api.DescribeDropsRequest{NetworkInterfaceIds: []string{mine}}, &api.DescribeFlowsRequest{NetworkInterfaceIds: []string{mine}}} {
		_, _, err := b.call(bob, actionOf(req), req)
		refused(t, err, "InvalidNetworkInterfaceID.NotFound", "NetworkInterfaceIds.0")
	}
	_, _, err = b.call(alice, "DescribeFlows", &api.DescribeFlowsRequest{MaxResults: api.Ptr(int32(0))})
	refused(t, err, "InvalidParameterValue", "MaxResults")
}

// TestFlowsHaveABound: also who asks for all gets them in parts.
func TestFlowsHaveABound(t *testing.T) {
	h := &answers{}
	b := newBench(t, func(c *Config) { c.Host, c.HostName = h, "h1" })
	mine := b.eni(b.subnet(b.vpc("10.0.0.0/16").VpcId, "10.0.1.0/24"), "10.0.1.4", "")
	for port := range int32(maxPage + 1) {
		h.flows = append(h.flows, api.Flow{NetworkInterfaceId: mine, Source: "10.0.1.4", SourcePort: &port, Destination: "10.0.1.5", Protocol: "tcp"})
	}
	first := do[api.DescribeFlowsResult](b, &api.DescribeFlowsRequest{})
	rest := do[api.DescribeFlowsResult](b, &api.DescribeFlowsRequest{NextToken: first.NextToken})
	if len(first.Flows) != maxPage || len(rest.Flows) != 1 || rest.NextToken != "" || *rest.Flows[0].SourcePort != maxPage {
		t.Errorf("%d flows, then %d", len(first.Flows), len(rest.Flows))
	}
	// The digest in a token is no secret, so what follows it may be anything.
	req := &api.DescribeFlowsRequest{}
	req.NextToken = pageOf{caller: alice, req: req}.next("eni-1 x y tcp")
	_, _, err := b.call(alice, "DescribeFlows", req)
	refused(t, err, "InvalidNextToken", "NextToken")
}

func TestZonesRegionsAndAccount(t *testing.T) {
	b := newBench(t)
	zones := do[api.DescribeAvailabilityZonesResult](b, &api.DescribeAvailabilityZonesRequest{}).AvailabilityZones
	if names := collect(zones, func(z api.AvailabilityZone) string { return z.ZoneName + " " + z.ZoneId }); !reflect.DeepEqual(names, []string{"local-1a local-1-az1", "local-1b local-1-az2", "local-1c local-1-az3"}) {
		t.Errorf("zones %v", names)
	}
	one := do[api.DescribeAvailabilityZonesResult](b, &api.DescribeAvailabilityZonesRequest{ZoneNames: []string{"local-1b"}, Filters: []api.Filter{{Name: "state", Values: []string{"available"}}}}).AvailabilityZones
	if len(one) != 1 {
		t.Errorf("zones %+v", one)
	}
	_, _, err := b.call(alice, "DescribeAvailabilityZones", &api.DescribeAvailabilityZonesRequest{ZoneNames: []string{"local-1a", "moon-1a"}})
	refused(t, err, "InvalidParameterValue", "ZoneNames.1")
	if r := do[api.DescribeRegionsResult](b, &api.DescribeRegionsRequest{}).Regions; len(r) != 1 || r[0].RegionName != "local-1" {
		t.Errorf("regions %+v", r)
	}
	if a := do[api.DescribeAccountAttributesResult](b, &api.DescribeAccountAttributesRequest{AttributeNames: []string{"default-vpc"}}).AccountAttributes; len(a) != 1 || a[0].AttributeValues[0].AttributeValue != "none" {
		t.Errorf("attributes %+v", a)
	}
	for limit, want := range map[int64]string{7: "7", 16: "16"} {
		do[api.ModifyLimitResult](b, &api.ModifyLimitRequest{Name: "sgs-per-eni", Value: &limit})
		a := do[api.DescribeAccountAttributesResult](b, &api.DescribeAccountAttributesRequest{AttributeNames: []string{"vpc-max-security-groups-per-interface"}}).AccountAttributes
		if len(a) != 1 || a[0].AttributeValues[0].AttributeValue != want {
			t.Errorf("attributes with a limit of %d: %+v", limit, a)
		}
	}
}

// TestWarnings: what is in the way of gateways is said where there is one, and
// leaves the host as ready as it is.
func TestWarnings(t *testing.T) {
	b := newBench(t, func(c *Config) {
		c.HostName = "h1"
		c.Warnings = func() []string { return []string{"a firewall"} }
	})
	said := func() bool {
		h := do[api.DescribeHostsResult](b, &api.DescribeHostsRequest{}).Hosts[0]
		return slices.Contains(h.Reasons, "a firewall")
	}
	if said() {
		t.Error("without a gateway")
	}
	b.gateway(b.vpc("10.0.0.0/16").VpcId)
	if !said() {
		t.Error("not with a gateway")
	}
}
