package agent

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vpcfabric/vpc/dataplane"
	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/attach"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// source is a store of which a test turns the pages.
type source struct {
	mu       sync.Mutex
	world    *record.World
	fail     error
	refuse   error // what Report answers
	reports  []record.HostStatus
	wake     chan struct{}
	released []string
}

// do lets a test look at the fake or change it while the agent runs.
func (s *source) do(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *source) written() (out []record.HostStatus) {
	s.do(func() { out = slices.Clone(s.reports) })
	return out
}

func (s *source) Snapshot(context.Context) (*record.World, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.world, s.fail
}

func (s *source) Wake() <-chan struct{} { return s.wake }

func (s *source) Report(_ context.Context, status record.HostStatus) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse == nil {
		s.reports = append(s.reports, status)
	}
	return s.refuse
}

func (s *source) Release(_ context.Context, targets []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.released = append(s.released, targets...)
	return s.refuse
}

// kernel follows at once, fails on demand, or hangs until it is let go.
type kernel struct {
	mu      sync.Mutex
	applied []*spec.Host
	fail    error
	hang    chan struct{}
	dirty   int
	holds   []string // what the brake holds back until it is lifted
	lifted  []string
	damage  int // objects that the next Apply finds and repairs
	drifts  []dataplane.Drift
	reader
	disturbed bool
	nats      map[string]dataplane.NATMetrics
}

func (k *kernel) do(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
}

func (k *kernel) passes() (out []*spec.Host) {
	k.do(func() { out = slices.Clone(k.applied) })
	return out
}

func (k *kernel) readings() (n int) {
	k.do(func() { n = k.dirty })
	return n
}

func (k *kernel) Apply(_ context.Context, h *spec.Host) (dataplane.Report, error) {
	k.mu.Lock()
	hang := k.hang
	k.mu.Unlock()
	if hang != nil {
		<-hang
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.applied = append(k.applied, h)
	rep := dataplane.Report{Up: map[spec.ENI]bool{}, Braked: k.holds, Writes: k.damage}
	k.damage = 0
	for eni := range h.Ports {
		rep.Up[eni] = k.fail == nil
	}
	return rep, k.fail
}

func (k *kernel) Verify(context.Context, *spec.Host) ([]dataplane.Drift, error) {
	return k.drifts, k.fail
}

func (k *kernel) Dirty() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dirty++
}

func (k *kernel) Disturbed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	was := k.disturbed
	k.disturbed = false
	return was
}

func (k *kernel) Lift(names []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lifted, k.holds = names, nil
}

func (k *kernel) Read() dataplane.Reader { return k.reader }

func (k *kernel) NAT(_ context.Context, id string) (dataplane.NATMetrics, error) {
	m, there := k.nats[id]
	if !there {
		return m, fs.ErrNotExist
	}
	return m, k.reader.fail
}

// reader has counted what a test says.
type reader struct {
	flows []dataplane.Flow
	drops []dataplane.Drop
	hits  []dataplane.Hit
	// tracked are flows by interface and rule.
	tracked []trackedFlow
	usage   map[spec.ENI]dataplane.Usage
	fail    error
}

type trackedFlow struct {
	eni  spec.ENI
	rule uint32
}

func (r reader) Flows(keep func(spec.ENI) bool, limit int) ([]dataplane.Flow, error) {
	var out []dataplane.Flow
	for _, f := range r.flows {
		if keep(f.ENI) && len(out) < limit {
			out = append(out, f)
		}
	}
	return out, nil
}

func (r reader) TrackedBy(keep func(spec.ENI) bool, rules map[uint32]bool) (int, error) {
	n := 0
	for _, f := range r.tracked {
		if keep(f.eni) && rules[f.rule] {
			n++
		}
	}
	return n, r.fail
}

func (r reader) Usage() (map[spec.ENI]dataplane.Usage, error) { return r.usage, r.fail }

func (r reader) Drops() ([]dataplane.Drop, error) { return r.drops, nil }

func (r reader) RuleHits() ([]dataplane.Hit, error) { return r.hits, nil }

// resolver knows the places that a test gives it.
type resolver struct {
	mu     sync.Mutex
	places map[string]attach.Place
	fail   error
	asked  map[string]string // the engine by target
	moved  chan struct{}
}

func (r *resolver) do(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

func (r *resolver) Locate(_ context.Context, target, engine string) (attach.Place, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = map[string]string{target: engine}
	if r.fail != nil {
		return attach.Place{}, r.fail
	}
	p, ok := r.places[target]
	if !ok {
		return p, fmt.Errorf("%s: %w", target, attach.ErrGone)
	}
	return p, nil
}

func (r *resolver) Watch(context.Context) <-chan struct{} { return r.moved }

// bench is an agent among fakes.
type bench struct {
	*Agent
	source   *source
	kernel   *kernel
	resolver *resolver
	alive    atomic.Int32
}

// newBench has one VPC with one workload, netns:web, at revision 10.
func newBench() *bench {
	b := &bench{
		source:   &source{world: oneWorkload(10), wake: make(chan struct{}, 1)},
		kernel:   &kernel{},
		resolver: &resolver{places: map[string]attach.Place{"netns:web": {Netns: spec.Netns{Path: "/run/netns/web", Inode: 1}}}, moved: make(chan struct{}, 1)},
	}
	b.Agent = New(Config{
		Host: "h1", MTU: 1450, Version: "v1", Kernel: b.kernel, Source: b.source, Resolver: b.resolver,
		Logger: slog.New(slog.DiscardHandler), Alive: func() { b.alive.Add(1) },
	})
	return b
}

const web = spec.ENI(5)

func oneWorkload(revision int64) *record.World {
	return &record.World{
		Revision: revision,
		Vpcs:     map[string]*record.Vpc{"vpc-1": {Vpc: api.Vpc{VpcId: "vpc-1"}, Index: 1}},
		Subnets:  map[string]*record.Subnet{"subnet-1": {Subnet: api.Subnet{SubnetId: "subnet-1", VpcId: "vpc-1", CidrBlock: "10.0.1.0/24"}, Index: 2}},
		Tables: map[string]*record.RouteTable{"rtb-1": {Index: 3, Table: api.RouteTable{
			RouteTableId: "rtb-1", VpcId: "vpc-1", Associations: []api.RouteTableAssociation{{Main: api.Ptr(true)}},
		}}},
		Acls: map[string]*record.NetworkAcl{"acl-1": {Index: 5, Acl: api.NetworkAcl{NetworkAclId: "acl-1", VpcId: "vpc-1", IsDefault: api.Ptr(true)}}},
		Groups: map[string]*record.SecurityGroup{"sg-1": {
			Index: 4, Group: api.SecurityGroup{GroupId: "sg-1", VpcId: "vpc-1"},
			Rules: []api.SecurityGroupRule{{SecurityGroupRuleId: "sgr-000000aa000000000", IpProtocol: "-1", CidrIpv4: "0.0.0.0/0"}},
		}},
		Interfaces: map[string]*record.NetworkInterface{"eni-web": {
			Index: uint32(web),
			Interface: api.NetworkInterface{
				NetworkInterfaceId: "eni-web", VpcId: "vpc-1", SubnetId: "subnet-1", PrivateIpAddress: "10.0.1.10",
				Groups: []api.GroupIdentifier{{GroupId: "sg-1"}},
			},
			Attached: &record.Attachment{Host: "h1", Target: "netns:web", IfName: "eth0"},
		}},
	}
}

// run starts the agent in the test's bubble and stops it at the end. Its first
// pass is over when run returns. The bubble fails the test if anything is left.
func (b *bench) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != context.Canceled {
			t.Errorf("Run ended with %v, want that it was cancelled", err)
		}
	})
	synctest.Wait()
}

// set changes the records and wakes the agent.
func (b *bench) set(w *record.World) {
	b.source.do(func() { b.source.world = w })
	b.wake()
}

func (b *bench) wake() {
	select {
	case b.source.wake <- struct{}{}:
	default:
	}
}

func (b *bench) last(t *testing.T) record.HostStatus {
	t.Helper()
	reports := b.source.written()
	if len(reports) == 0 {
		t.Fatal("nothing was reported")
	}
	return reports[len(reports)-1]
}

// expect compares the last report and whether the workload is up in it.
func (b *bench) expect(t *testing.T, state string, revision int64, up bool) {
	t.Helper()
	s := b.last(t)
	if s.Host.State != state || api.Val(s.Host.AppliedRevision) != revision || !maps.Equal(s.Up, map[string]bool{"eni-web": true}) == up {
		t.Errorf("report is %s at %d, up %v, reasons %q; want %s at %d, web up %t",
			s.Host.State, api.Val(s.Host.AppliedRevision), s.Up, s.Host.Reasons, state, revision, up)
	}
	if api.Val(s.Host.Ready) != (state == api.HostStateReady) || (len(s.Host.Reasons) == 0) != (state == api.HostStateReady) {
		t.Errorf("ready %t with state %s and reasons %q", api.Val(s.Host.Ready), state, s.Host.Reasons)
	}
}

// pass lets the fake clock run and everything that is due happen.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
