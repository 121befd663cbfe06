package service

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/host"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
	"github.com/vpcfabric/vpc/vpcd/internal/store/storetest"
)

var (
	alice = Caller{Account: "000000000001"}
	bob   = Caller{Account: "000000000002"}
)

// bench is a service on a store of its own.
type bench struct {
	*Service
	t        testing.TB
	handlers map[string]Handler
}

func newBench(t testing.TB, edit ...func(*Config)) *bench {
	t.Helper()
	var ids atomic.Int64
	cfg := Config{
		Now:   func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) },
		NewID: func(prefix string) string { return fmt.Sprintf("%s%017x", prefix, ids.Add(1)) },

		FirstIndex:  func() uint32 { return 1 },
		PublicPools: []netip.Prefix{netip.MustParsePrefix("198.18.0.0/24")},
	}
	for _, e := range edit {
		e(&cfg)
	}
	if cfg.Store == nil {
		cfg.Store = storetest.Open(t, record.Decode)
	}
	s := New(cfg)
	return &bench{Service: s, t: t, handlers: s.Handlers()}
}

// call runs an action through its handler, as a wire does.
func (b *bench) call(c Caller, name string, req any) (any, int64, error) {
	h, ok := b.handlers[name]
	if !ok {
		b.t.Fatalf("no handler for %s", name)
	}
	return h(context.Background(), c, req)
}

// do is a call by alice that must succeed.
func do[Res any](b *bench, req any) *Res {
	b.t.Helper()
	res, _, err := b.call(alice, actionOf(req), req)
	if err != nil {
		b.t.Fatalf("%s: %v", actionOf(req), err)
	}
	return res.(*Res)
}

// actionOf is the action that a request belongs to, from the name of its type.
func actionOf(req any) string {
	name := strings.TrimPrefix(fmt.Sprintf("%T", req), "*api.")
	return strings.TrimSuffix(name, "Request")
}

// refused asserts code and field of an error, and that it has a message.
func refused(t testing.TB, err error, code, field string) *api.Error {
	t.Helper()
	var e *api.Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %v (%T), want an *api.Error %s", err, err, code)
	}
	if e.Code != code || e.Field != field {
		t.Fatalf("error is %s at %q: %s; want %s at %q", e.Code, e.Field, e.Message, code, field)
	}
	if len(e.Message) < 20 || len(e.Message) > 1500 || strings.ContainsAny(e.Message, "\x00\n\u202e") {
		t.Errorf("%s: message is not fit for people: %q", code, e.Message)
	}
	return e
}

// dump is the content of the store: every key with its revision.
func (b *bench) dump() map[string]int64 {
	out := map[string]int64{}
	sn := b.store.Snapshot()
	for key := range store.List[any](sn, record.Root) {
		out[key], _ = sn.ModRevision(key)
	}
	return out
}

// unchanged asserts that fn leaves the store alone.
func (b *bench) unchanged(t testing.TB, fn func()) {
	t.Helper()
	before := b.dump()
	fn()
	if after := b.dump(); !maps.Equal(before, after) {
		t.Errorf("the store has changed:\nbefore %v\nafter  %v", slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after)))
	}
}

func (b *bench) vpc(cidr string) *api.Vpc {
	b.t.Helper()
	return do[api.CreateVpcResult](b, &api.CreateVpcRequest{CidrBlock: cidr}).Vpc
}

func (b *bench) subnet(vpcID, cidr string) *api.Subnet {
	b.t.Helper()
	return do[api.CreateSubnetResult](b, &api.CreateSubnetRequest{VpcId: vpcID, CidrBlock: cidr}).Subnet
}

// put writes records straight into the store.
func (b *bench) put(key string, v any) int64 {
	b.t.Helper()
	revision, err := b.store.Update(context.Background(), func(tx *store.Tx) error {
		tx.Put(key, v)
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return revision
}

// eni plants an interface with its claim, attached to target if that is given.
func (b *bench) eni(subnet *api.Subnet, address, target string) string {
	b.t.Helper()
	id := b.newID("eni-")
	rec := &record.NetworkInterface{Interface: api.NetworkInterface{
		NetworkInterfaceId: id, SubnetId: subnet.SubnetId, VpcId: subnet.VpcId, OwnerId: subnet.OwnerId, PrivateIpAddress: address,
	}}
	if target != "" {
		rec.Attached = &record.Attachment{Target: target, Display: target}
	}
	b.put(record.Interfaces+id, rec)
	b.put(record.AddressKey(subnet.SubnetId, netip.MustParseAddr(address)), record.Address{Interface: id})
	return id
}

func tagSpec(resourceType string, tags ...api.Tag) []api.TagSpecification {
	return []api.TagSpecification{{ResourceType: resourceType, Tags: tags}}
}

// answers is a host whose answers are given.
type answers struct {
	host.Host
	drifts    []api.Drift
	drops     []api.Drop
	hits      []api.RuleHit
	flows     []api.Flow
	leaks     bool // flows of others too
	asked     []string
	confirmed int
	err       error
	// tracked answers TrackedFlows, which was asked for rules.
	tracked    int
	rules      []string
	statistics map[string][]api.Counter
}

func (a *answers) TrackedFlows(_ context.Context, ids, rules []string) (int, error) {
	a.asked, a.rules = ids, rules
	return a.tracked, a.err
}

func (a *answers) Statistics(_ context.Context, ids []string) (map[string][]api.Counter, error) {
	a.asked = ids
	return a.statistics, a.err
}

func (a *answers) Verify(context.Context) ([]api.Drift, error) { return a.drifts, a.err }

func (a *answers) Drops(_ context.Context, ids []string) ([]api.Drop, error) {
	a.asked = ids
	return a.drops, a.err
}

func (a *answers) RuleHits(context.Context) ([]api.RuleHit, error) { return a.hits, a.err }

func (a *answers) Flows(_ context.Context, ids []string, after host.FlowID, limit int) ([]api.Flow, error) {
	a.asked = ids
	flows := slices.SortedFunc(slices.Values(a.flows), func(x, y api.Flow) int { return host.FlowIDOf(x).Compare(host.FlowIDOf(y)) })
	flows = slices.DeleteFunc(flows, func(f api.Flow) bool {
		return host.FlowIDOf(f).Compare(after) <= 0 || !slices.Contains(ids, f.NetworkInterfaceId) && !a.leaks
	})
	return flows[:min(limit, len(flows))], a.err
}

func (a *answers) Confirm(context.Context) (int, error) { return a.confirmed, a.err }
