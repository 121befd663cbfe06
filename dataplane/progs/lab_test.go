package progs_test

import (
	"context"
	"encoding/binary"
	"fmt"
	gomaps "maps"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/delta"
	"github.com/vpcfabric/vpc/dataplane/flows"
	"github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// Verdicts of a program at this hook.
const (
	ok   = 0
	shot = 2
	sent = 7 // redirected
)

var (
	ctx = context.Background()
	ne  = binary.NativeEndian
)

var labs atomic.Int64

// lab is the programs, the maps and a namespace with a device for each ifindex
// that a packet can arrive on. The ports behind them exist only in the maps.
type lab struct {
	t     testing.TB
	set   *progs.Set
	table *flows.Table
	netns string
	// kernel has the namespace and its links.
	kernel *nl.Kernel

	ports     map[maps.Slot]maps.Port
	endpoints map[spec.EndpointKey]maps.Endpoint
	routes    map[spec.RouteKey]maps.Route
	sets      map[spec.RuleSetID]spec.RuleSet
	publics   map[netip.Addr]maps.Public
	filters   map[netip.Prefix]maps.Filter
	maps      *maps.Maps
	lists     *maps.Rules
	phases    []delta.Phase
	track     trackers
}

type trackers struct {
	rules     *delta.Tracker[spec.RuleSetID, struct{}]
	routes    *delta.Tracker[spec.RouteKey, maps.Route]
	endpoints *delta.Tracker[spec.EndpointKey, maps.Endpoint]
	policies  *delta.Tracker[maps.Slot, maps.Policy]
	ports     *delta.Tracker[maps.Slot, maps.Port]
	publics   *delta.Tracker[netip.Addr, maps.Public]
	filters   *delta.Tracker[netip.Prefix, maps.Filter]
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: loads eBPF programs and makes a network namespace")
	}
}

// openLab loads everything below a directory of its own. It shares the ground,
// or has a namespace of its own with devices of the given ifindexes.
func openLab(t testing.TB, cfg progs.Config, own ...int) *lab {
	t.Helper()
	needRoot(t)
	number := labs.Add(1)
	parent := filepath.Join(progs.Root, "vpc")
	cfg.Dir = filepath.Join(parent, fmt.Sprintf("test-%d-%d", os.Getpid(), number))
	t.Cleanup(func() {
		if err := progs.Remove(cfg.Dir); err != nil {
			t.Error(err)
		}
		_ = os.Remove(parent) // unless another one is using it
	})
	set, err := progs.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close() })
	l := &lab{
		t: t, set: set, table: flows.New(set.Maps, set.Sweep(), set.Cut()),
		ports: map[maps.Slot]maps.Port{}, endpoints: map[spec.EndpointKey]maps.Endpoint{},
		routes: map[spec.RouteKey]maps.Route{}, sets: map[spec.RuleSetID]spec.RuleSet{},
		publics: map[netip.Addr]maps.Public{}, filters: map[netip.Prefix]maps.Filter{},
	}
	l.trackers()
	g := &ground
	if len(own) > 0 {
		g = &place{}
		g.prepare(fmt.Sprintf("progs%d.%d", os.Getpid(), number), own)
		t.Cleanup(func() { l.must(g.remove()) })
	} else {
		g.once.Do(func() { g.prepare(fmt.Sprintf("progs%d", os.Getpid()), devices()) })
	}
	l.must(g.err)
	l.kernel, l.netns = g.kernel, filepath.Join("/run/netns", g.name)
	l.enter()
	return l
}

func (l *lab) trackers() {
	m := maps.New(l.set.Maps)
	l.maps, l.lists = m, m.Rules()
	l.lists.Rest = 0 // nothing else runs
	l.track = trackers{
		rules:     delta.New("rules", l.lists, maps.CompareRuleSets),
		routes:    delta.New("routes", m.Routes(), maps.CompareRoutes),
		endpoints: delta.New("endpoints", m.Endpoints(), maps.CompareEndpoints),
		policies:  delta.New("policies", m.Policies(l.lists), maps.CompareSlots),
		ports:     delta.New("ports", m.Ports(), maps.CompareSlots),
		publics:   delta.New("publics", m.Publics(), maps.ComparePublics),
		filters:   delta.New("filters", m.Filters(), maps.ComparePrefixes),
	}
	l.phases = []delta.Phase{l.track.rules, l.track.routes, l.track.endpoints, l.track.policies, l.track.ports}
}

// TestMain removes the namespace that all labs share: making its devices takes
// much longer than a test.
func TestMain(m *testing.M) {
	code := m.Run()
	if err := ground.remove(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// place is a namespace with a device for each ifindex that a packet can arrive
// on; a test run refuses an ifindex without a device.
type place struct {
	kernel *nl.Kernel
	name   string
	err    error
	once   sync.Once
}

var ground place

// inVPC is the VPC to which the namespaces of tests belong.
const inVPC = "vpc-00000000000000001"

func (g *place) prepare(host string, devices []int) {
	g.kernel = nl.Open(host)
	g.name = g.kernel.Netns(inVPC)
	d := g.kernel.Drivers()
	g.err = d.Namespaces.Put(ctx, g.name, struct{}{})
	for i, index := range devices {
		link := nl.Link{Kind: nl.Bridge, Name: fmt.Sprintf("d%d", i), Alias: "test", MAC: spec.MAC{2, 2, 2, 2, 2, byte(i)}, MTU: 1500}
		if g.err == nil {
			g.err = d.Links.Put(ctx, nl.LinkKey{Netns: g.name, Index: index}, link)
		}
	}
}

func (g *place) remove() error {
	if g.kernel == nil {
		return nil
	}
	defer g.kernel.Close()
	return g.kernel.Drivers().Namespaces.Delete(ctx, g.name)
}

// enter moves the calling goroutine into the namespace until its test ends.
func (l *lab) enter() {
	l.t.Helper()
	leave, err := enter(l.netns)
	l.must(err)
	l.t.Cleanup(leave)
}

// enter locks the thread and moves it; leave undoes both.
func enter(path string) (leave func(), err error) {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	there, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	return func() {
		defer home.Close()
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
	}, nil
}

// in is the same lab inside a subtest, which runs on a thread of its own.
func (l *lab) in(t *testing.T) *lab {
	t.Helper()
	c := *l
	c.t = t
	c.enter()
	return &c
}

func (l *lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// apply makes the maps say what the lab wants, ports last, and returns how
// many objects were written.
func (l *lab) apply() int {
	l.t.Helper()
	l.lists.Content(gomaps.Clone(l.sets))
	want := map[spec.RuleSetID]struct{}{}
	for id, s := range l.sets {
		if len(s.Rules) > 0 {
			want[id] = struct{}{}
		}
	}
	l.track.rules.Want(want)
	l.track.routes.Want(gomaps.Clone(l.routes))
	l.track.endpoints.Want(gomaps.Clone(l.endpoints))
	policies := map[maps.Slot]maps.Policy{}
	for k, p := range l.ports {
		policies[k] = p.Policy()
	}
	l.track.policies.Want(policies)
	l.track.ports.Want(gomaps.Clone(l.ports))
	writes := 0
	count := func(n int, err error) {
		l.must(err)
		writes += n
	}
	count(l.track.rules.Put(ctx))
	count(l.track.routes.Put(ctx))
	count(l.track.endpoints.Put(ctx))
	l.track.publics.Want(gomaps.Clone(l.publics))
	l.track.filters.Want(gomaps.Clone(l.filters))
	count(l.track.publics.Put(ctx))
	count(l.track.filters.Put(ctx))
	count(l.track.publics.Prune(ctx))
	count(l.track.filters.Prune(ctx))
	count(l.track.endpoints.Prune(ctx))
	count(l.track.routes.Prune(ctx))
	count(l.track.policies.Put(ctx))
	count(l.maps.Publish())
	count(l.track.ports.Put(ctx))
	count(l.maps.CountEpochs())
	count(l.track.ports.Prune(ctx))
	count(l.track.policies.Prune(ctx))
	count(l.track.rules.Prune(ctx))
	return writes
}

// Offsets in the kernel's struct __sk_buff, which a test run takes and gives back.
const (
	contextSize = 192
	offIfindex  = 40
	offCB       = 48
	offSegs     = 164
	offGSO      = 176
)

// packet is one frame on its way into a program.
type packet struct {
	index int // where it arrives
	data  []byte
	gso   uint32 // size of the segments it stands for
	cb    [5]uint32
}

// result is what became of it.
type result struct {
	verdict uint32
	data    []byte
	cb      [5]uint32
}

func (l *lab) run(role progs.Role, p packet) result {
	l.t.Helper()
	in, out := make([]byte, contextSize), make([]byte, contextSize)
	ne.PutUint32(in[offIfindex:], uint32(p.index))
	for i, w := range p.cb {
		ne.PutUint32(in[offCB+4*i:], w)
	}
	if p.gso != 0 {
		ne.PutUint32(in[offGSO:], p.gso)
		ne.PutUint32(in[offSegs:], uint32(len(p.data))/p.gso+1)
	}
	opts := ebpf.RunOptions{Data: p.data, DataOut: make([]byte, len(p.data)+256), Context: in, ContextOut: out}
	verdict, err := l.set.Program(role).Run(&opts)
	l.must(err)
	r := result{verdict: verdict, data: opts.DataOut}
	for i := range r.cb {
		r.cb[i] = ne.Uint32(out[offCB+4*i:])
	}
	return r
}

// send is a frame from the workload of n.
func (l *lab) send(n nic, frame []byte) result {
	l.t.Helper()
	return l.run(progs.FromENI, packet{index: maps.Slot(n.slot).Index(), data: frame})
}

// counters are everything that programs count, by name. Entries of zero are
// left out.
type counters map[string]uint64

func (l *lab) counters() counters {
	l.t.Helper()
	out := counters{}
	drops, err := l.table.Drops()
	l.must(err)
	for _, d := range drops {
		out[fmt.Sprintf("drop %d %s/%s", d.ENI, d.Stage, d.Reason)] += d.Packets
	}
	var cells []bpf.PortStats
	for slot, p := range l.ports {
		l.must(l.set.Maps["stats"].Lookup(uint32(slot), &cells))
		for _, c := range cells {
			out[fmt.Sprintf("tx %d", p.ENI)] += c.TxPackets
			out[fmt.Sprintf("rx %d", p.ENI)] += c.RxPackets
		}
	}
	gomaps.DeleteFunc(out, func(_ string, n uint64) bool { return n == 0 })
	return out
}

// minus is what moved since before.
func (c counters) minus(before counters) counters {
	out := counters{}
	for k, n := range c {
		if n != before[k] {
			out[k] = n - before[k]
		}
	}
	return out
}

func (c counters) String() string {
	var parts []string
	for _, k := range sortedKeys(c) {
		parts = append(parts, fmt.Sprintf("%s +%d", k, c[k]))
	}
	return strings.Join(parts, ", ")
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(gomaps.Keys(m))
}

// liveFlows lists the halves that are LIVE.
func (l *lab) liveFlows() []flows.Flow {
	l.t.Helper()
	all, err := l.table.Flows(func(spec.ENI) bool { return true }, 1<<20)
	l.must(err)
	return all
}

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// eventually polls a condition that time alone makes true.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
		runtime.Gosched()
	}
}
