package maps_test

import (
	"context"
	"fmt"
	gomaps "maps"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/delta"
	"github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

var ctx = context.Background()

// kernel has the maps that open wraps, for tests that look behind the drivers.
var kernel = map[*maps.Maps]*progs.Set{}

func count(t *testing.T, m *maps.Maps, name string) (n int) {
	t.Helper()
	var k, v []byte
	it := kernel[m].Maps[name].Iterate()
	for it.Next(&k, &v) {
		n++
	}
	if err := it.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}

// lose deletes an element of a map, whichever comes first.
func lose(t *testing.T, m *maps.Maps, name string) {
	t.Helper()
	var k, v []byte
	if !kernel[m].Maps[name].Iterate().Next(&k, &v) {
		t.Fatalf("%s is empty", name)
	}
	if err := kernel[m].Maps[name].Delete(k); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T) *maps.Maps {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: makes eBPF maps")
	}
	parent := filepath.Join(progs.Root, "vpc")
	dir := filepath.Join(parent, fmt.Sprintf("test-maps-%d", os.Getpid()))
	t.Cleanup(func() {
		if err := progs.Remove(dir); err != nil {
			t.Error(err)
		}
		_ = os.Remove(parent) // unless another test is using it
	})
	set, err := progs.Open(progs.Config{Dir: dir, FlowTable: progs.MinFlowTable})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close() })
	m := maps.New(set.Maps)
	kernel[m] = set
	t.Cleanup(func() { delete(kernel, m) })
	return m
}

// lives tells the life of some objects: written, read back, written again
// without a change, removed, removed once more.
func lives[K, V comparable](t *testing.T, m *maps.Maps, d delta.Driver[K, V], want map[K]V) {
	t.Helper()
	check := func(want map[K]V) {
		t.Helper()
		have, err := d.Observe(ctx, want)
		if err != nil || !gomaps.Equal(have, want) {
			t.Fatalf("have %v, %v; want %v", have, err, want)
		}
	}
	for range 2 {
		for k, v := range want {
			if err := d.Put(ctx, k, v); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := m.Publish(); err != nil {
			t.Fatal(err)
		}
		check(want)
	}
	for range 2 {
		for k := range want {
			if err := d.Delete(ctx, k); err != nil {
				t.Fatal(err)
			}
		}
		check(map[K]V{})
	}
}

func TestEndpoints(t *testing.T) {
	groups, err := spec.MakeGroups([]spec.Group{9, 3})
	if err != nil {
		t.Fatal(err)
	}
	e := maps.Endpoint{Public: netip.MustParseAddr("198.18.0.5"), Slot: 4, Endpoint: spec.Endpoint{ENI: 1, Subnet: 2, MAC: spec.MACOf(1), Groups: groups}}
	other := e
	other.Public = netip.MustParseAddr("198.18.0.6")
	m := open(t)
	lives(t, m, m.Endpoints(), map[spec.EndpointKey]maps.Endpoint{
		{VPC: 1, Addr: netip.MustParseAddr("10.0.0.1")}:  e,
		{VPC: 2, Addr: netip.MustParseAddr("10.0.0.1")}:  other,
		{VPC: 1, Addr: netip.MustParseAddr("fd00::1:1")}: {},
	})
}

func TestRoutes(t *testing.T) {
	m := open(t)
	lives(t, m, m.Routes(), map[spec.RouteKey]maps.Route{
		{Table: 1, Dest: netip.MustParsePrefix("0.0.0.0/0")}:    {Route: spec.Route{Target: spec.Blackhole}},
		{Table: 1, Dest: netip.MustParsePrefix("10.0.0.0/16")}:  {Route: spec.Route{Target: spec.Local}},
		{Table: 2, Dest: netip.MustParsePrefix("10.0.0.1/32")}:  {Route: spec.Route{Target: spec.Interface, Via: netip.MustParseAddr("10.0.0.2")}},
		{Table: 2, Dest: netip.MustParsePrefix("10.1.0.0/16")}:  {Route: spec.Route{Target: spec.PeerVPC, Peer: 7}, Out: 5},
		{Table: 2, Dest: netip.MustParsePrefix("192.0.2.0/24")}: {Route: spec.Route{Target: spec.InternetGateway}},
		{Table: 1, Dest: netip.MustParsePrefix("::/0")}:         {Route: spec.Route{Target: spec.Local}},
	})
}

// someSets are lists of every shape: in their heads alone, of several words,
// and with both axes in chunks.
func someSets() (map[spec.RuleSetID]spec.RuleSet, []spec.RuleSetID) {
	var wide []spec.Rule
	for i := range 1000 {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 7), byte(i << 1), 0})
		wide = append(wide, spec.Rule{Protocol: 6, FromPort: int32(i), ToPort: int32(2 * i), Prefix: netip.PrefixFrom(a, 24), ID: uint32(i + 1)})
	}
	for i := range 20 {
		wide = append(wide, spec.Rule{Protocol: -1, FromPort: -1, ToPort: -1, Group: spec.Group(i + 1), ID: uint32(2000 + i)})
	}
	var list []spec.Rule
	for i := range 1000 {
		list = append(list, spec.Rule{Protocol: 17, FromPort: 53, ToPort: 53, Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 16 + byte(i>>7), byte(i << 1), 0}), 24), ID: 9})
	}
	sets := map[spec.RuleSetID]spec.RuleSet{}
	var ids []spec.RuleSetID
	add := func(id spec.RuleSetID, s spec.RuleSet) { sets[id], ids = s, append(ids, id) }
	for _, rules := range [][]spec.Rule{wide[:1], wide[:64], wide[:65], wide, wide[1:], list} {
		add(spec.MakeRuleSet(rules))
	}
	add(spec.MakeACL(append(wide[:40:40], spec.Rule{Protocol: -1, FromPort: -1, ToPort: -1, Prefix: netip.MustParsePrefix("0.0.0.0/0"), ID: 32767, Deny: true})))
	return sets, ids
}

func wanted(ids []spec.RuleSetID) map[spec.RuleSetID]struct{} {
	want := map[spec.RuleSetID]struct{}{}
	for _, id := range ids {
		want[id] = struct{}{}
	}
	return want
}

func TestPorts(t *testing.T) {
	m := open(t)
	rules := m.Rules()
	sets, ids := someSets()
	policies := m.Policies(rules)
	port := maps.Port{ENI: 5, Egress: ids[0], Ingress: ids[2], ACLOut: ids[6], ACLIn: ids[6], Table: 3, ACL: 4, Router: netip.MustParseAddr("10.0.0.1"),
		CIDR: netip.MustParsePrefix("10.0.0.0/24"), MTU: 1500, MAC: spec.MACOf(5)}
	if err := policies.Put(ctx, 1, port.Policy()); err == nil {
		t.Error("rules that are not there became a policy")
	}
	if err := m.Ports().Put(ctx, 1, port); err == nil {
		t.Error("a port was opened without a policy")
	}
	rules.Content(sets)
	for _, id := range ids {
		if err := rules.Put(ctx, id, struct{}{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := policies.Put(ctx, bpf.MaxPorts, port.Policy()); err == nil {
		t.Error("a slot beyond the table was written")
	}
	bare := port.Policy()
	bare.ACLOut, bare.ACLIn = spec.RuleSetID{}, spec.RuleSetID{}
	if err := policies.Put(ctx, 1, bare); err == nil {
		t.Error("a port got a policy without a network ACL")
	}
	empty, _ := spec.MakeRuleSet(nil)
	emptyACL, _ := spec.MakeACL(nil)
	closed := port
	closed.ENI, closed.Egress, closed.Ingress, closed.ACLOut, closed.Cut, closed.Tap = 6, empty, empty, emptyACL, true, true
	closed.Timeouts = spec.Timeouts{TCPEstablished: 60, UDP: 30, UDPStream: 180}
	lives(t, m, both{policies, m.Ports()}, map[maps.Slot]maps.Port{1: port, bpf.MaxPorts - 1: closed})
}

// both are the two drivers of a port as one.
type both struct {
	policies delta.Driver[maps.Slot, maps.Policy]
	ports    delta.Driver[maps.Slot, maps.Port]
}

func (b both) Put(ctx context.Context, k maps.Slot, p maps.Port) error {
	if err := b.policies.Put(ctx, k, p.Policy()); err != nil {
		return err
	}
	return b.ports.Put(ctx, k, p)
}

func (b both) Delete(ctx context.Context, k maps.Slot) error { return b.ports.Delete(ctx, k) }

func (b both) Observe(ctx context.Context, _ map[maps.Slot]maps.Port) (map[maps.Slot]maps.Port, error) {
	policies, err := b.policies.Observe(ctx, nil)
	if err != nil {
		return nil, err
	}
	want := map[maps.Slot]maps.Port{}
	for k, p := range policies {
		want[k] = maps.Port{Table: p.Table, Egress: p.Egress, Ingress: p.Ingress, ACLOut: p.ACLOut, ACLIn: p.ACLIn, ACL: p.ACL}
	}
	return b.ports.Observe(ctx, want)
}

// TestPortWithoutItsList: a port whose new rules cannot be had does not keep the
// old ones, which may be what was revoked.
func TestPortWithoutItsList(t *testing.T) {
	m := open(t)
	rules := m.Rules()
	sets, ids := someSets()
	rules.Content(sets)
	for _, id := range ids[1:] {
		if err := rules.Put(ctx, id, struct{}{}); err != nil {
			t.Fatal(err)
		}
	}
	policies := m.Policies(rules)
	p := maps.Policy{ENI: 5, Egress: ids[2], Ingress: ids[2], ACLOut: ids[6], ACLIn: ids[6]}
	put := func() error {
		err := policies.Put(ctx, 1, p)
		if _, err := m.Publish(); err != nil {
			t.Fatal(err)
		}
		return err
	}
	if err := put(); err != nil {
		t.Fatal(err)
	}
	before := inForce(t, m, 1)
	p.Ingress = ids[0]
	if err := put(); err == nil {
		t.Error("nothing is said of the list that is not there")
	}
	if now := inForce(t, m, 1); now.Ingress != 0 || now.Egress != before.Egress {
		t.Errorf("it was %+v and is %+v; want the ingress to refuse", before, now)
	}
	if err := rules.Put(ctx, ids[0], struct{}{}); err != nil {
		t.Fatal(err)
	}
	if err := put(); err != nil || inForce(t, m, 1).Ingress == 0 {
		t.Errorf("with its list: %v, %+v", err, inForce(t, m, 1))
	}
}

// inForce is the policy that the programs follow.
func inForce(t *testing.T, m *maps.Maps, slot uint32) bpf.Policy {
	t.Helper()
	var now uint64
	if err := kernel[m].Maps["generations"].Lookup(uint32(0), &now); err != nil {
		t.Fatal(err)
	}
	p := entry(t, m, slot).Policy
	if p[0].Since > now || p[1].Since <= now && p[1].Since > p[0].Since {
		return p[1]
	}
	return p[0]
}

// TestPolicyWaits: nothing of a change is in force before all of it is, and what
// an earlier process left half done never comes into force by itself.
func TestPolicyWaits(t *testing.T) {
	m := open(t)
	rules := m.Rules()
	sets, ids := someSets()
	rules.Content(sets)
	for _, id := range ids {
		if err := rules.Put(ctx, id, struct{}{}); err != nil {
			t.Fatal(err)
		}
	}
	policies := m.Policies(rules)
	put := func(egress spec.RuleSetID) {
		t.Helper()
		if err := policies.Put(ctx, 1, maps.Policy{ENI: 5, Egress: egress, Ingress: ids[2], ACLOut: ids[6], ACLIn: ids[6]}); err != nil {
			t.Fatal(err)
		}
	}
	publish := func() {
		t.Helper()
		if _, err := m.Publish(); err != nil {
			t.Fatal(err)
		}
	}
	put(ids[0])
	publish()
	first := inForce(t, m, 1)
	put(ids[1])
	if now := inForce(t, m, 1); now != first {
		t.Errorf("before it is published: %+v, was %+v", now, first)
	}

	// A new process finds what the last one did not publish, and writes it anew.
	again := maps.New(kernel[m].Maps)
	kernel[again] = kernel[m]
	defer delete(kernel, again)
	m, policies = again, again.Policies(rules)
	have, err := policies.Observe(ctx, nil)
	if err != nil || have[1] != (maps.Policy{}) {
		t.Fatalf("half done is taken for %+v, %v", have[1], err)
	}
	put(ids[0])
	publish()
	if now := inForce(t, m, 1); now.Egress != first.Egress {
		t.Errorf("in force is %+v, want what is wanted now: %+v", now, first)
	}
	put(ids[3])
	publish()
	if now := inForce(t, m, 1); now.Egress == first.Egress {
		t.Error("the next change is not in force")
	}
	if n, err := m.Publish(); n != 0 || err != nil {
		t.Errorf("nothing to publish took %d writes, %v", n, err)
	}
}

func entry(t *testing.T, m *maps.Maps, slot uint32) (p bpf.Port) {
	t.Helper()
	if err := kernel[m].Maps["ports"].Lookup(slot, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestRules: what was written is found again by a process that has just
// started, and nothing of it is left once it is deleted.
func TestRules(t *testing.T) {
	m := open(t)
	rules := m.Rules()
	sets, ids := someSets()
	want := wanted(ids)
	rules.Content(sets)
	for _, id := range ids {
		if err := rules.Put(ctx, id, struct{}{}); err != nil {
			t.Fatal(err)
		}
	}
	restarted := m.Rules()
	restarted.Content(sets)
	for _, r := range []*maps.Rules{rules, restarted} {
		if have, err := r.Observe(ctx, want); err != nil || !gomaps.Equal(have, want) {
			t.Fatalf("lists %v, %v; want %v", have, err, want)
		}
	}
	if err := restarted.Put(ctx, spec.RuleSetID{1}, struct{}{}); err == nil {
		t.Error("a list without content was written")
	}
	for id := range want {
		restarted.Rest = 0
		if err := restarted.Delete(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := restarted.Observe(ctx, want); err != nil || len(have) != 0 {
		t.Errorf("left: %v, %v", have, err)
	}
	for _, name := range listMaps {
		if n := count(t, m, name); n != 0 {
			t.Errorf("%d elements are left in %s", n, name)
		}
	}
}

var listMaps = []string{"lists", "rule_words", "addr_chunks", "service_chunks", "members", "bitmaps"}

// TestInterrupted: a list of which a part is missing or damaged has no name, and
// goes; so does what was written for one that never came.
func TestInterrupted(t *testing.T) {
	for _, name := range listMaps {
		t.Run(name, func(t *testing.T) {
			m := open(t)
			rules := m.Rules()
			sets, ids := someSets()
			rules.Content(sets)
			if err := rules.Put(ctx, ids[3], struct{}{}); err != nil {
				t.Fatal(err)
			}
			lose(t, m, name)
			restarted := m.Rules()
			restarted.Content(sets)
			restarted.Rest = 0
			have, err := restarted.Observe(ctx, nil)
			if _, intact := have[ids[3]]; err != nil || intact || len(have) != 1 {
				t.Fatalf("without an element of %s: %v, %v", name, have, err)
			}
			for id := range have {
				if err := restarted.Delete(ctx, id); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range listMaps {
				if n := count(t, m, name); n != 0 {
					t.Errorf("%d elements are left in %s", n, name)
				}
			}
		})
	}
}

// TestChangeWritesLittle: lists that share bit vectors share them in the kernel,
// and one changed rule of a thousand costs a few dozen writes.
func TestChangeWritesLittle(t *testing.T) {
	m := open(t)
	rules := m.Rules()
	var many []spec.Rule
	for i := range 1000 {
		a := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		many = append(many, spec.Rule{Protocol: 6, FromPort: 443, ToPort: 443, Prefix: netip.PrefixFrom(a, 32), ID: uint32(i + 1)})
	}
	put := func(list []spec.Rule) int64 {
		id, set := spec.MakeRuleSet(list)
		rules.Content(map[spec.RuleSetID]spec.RuleSet{id: set})
		before := maps.Writes()
		if err := rules.Put(ctx, id, struct{}{}); err != nil {
			t.Fatal(err)
		}
		return maps.Writes() - before
	}
	first := put(many)
	vectors := count(t, m, "bitmaps")
	many[500].Prefix = netip.MustParsePrefix("192.0.2.7/32")
	changed := put(many)
	t.Logf("%d writes for 1000 rules, %d for one changed rule, %d bit vectors", first, changed, vectors)
	if changed > 40 || count(t, m, "bitmaps") > vectors+2 {
		t.Errorf("%d writes and %d new bit vectors for one changed rule", changed, count(t, m, "bitmaps")-vectors)
	}
}

// TestListsRest: a list that nobody names stays whole for a while, and is not
// shown as there meanwhile.
func TestListsRest(t *testing.T) {
	m := open(t)
	rules := m.Rules()
	sets, ids := someSets()
	rules.Content(sets)
	rules.Rest = time.Hour
	for _, id := range ids[:4] {
		if err := rules.Put(ctx, id, struct{}{}); err != nil {
			t.Fatal(err)
		}
	}
	lists, vectors := count(t, m, "lists"), count(t, m, "bitmaps")
	if err := rules.Delete(ctx, ids[3]); err != nil {
		t.Fatal(err)
	}
	have, err := rules.Observe(ctx, nil)
	if _, shown := have[ids[3]]; err != nil || shown || len(have) != 3 {
		t.Errorf("shown: %v, %v", have, err)
	}
	if count(t, m, "lists") != lists || count(t, m, "bitmaps") != vectors {
		t.Error("what a program may still be reading is gone")
	}
	// Wanted again, it is another list.
	if err := rules.Put(ctx, ids[3], struct{}{}); err != nil || count(t, m, "lists") != lists+1 {
		t.Errorf("%v, %d lists", err, count(t, m, "lists"))
	}
	rules.Rest = 0
	if err := rules.Bury(); err != nil || count(t, m, "lists") != lists || count(t, m, "bitmaps") != vectors {
		t.Errorf("%v, %d lists and %d vectors, want %d and %d", err, count(t, m, "lists"), count(t, m, "bitmaps"), lists, vectors)
	}
}

// TestRecount: a new process has every open port's flows judged once more, and
// nothing is counted before what it stands for is in force.
func TestRecount(t *testing.T) {
	m := open(t)
	rules := m.Rules()
	sets, ids := someSets()
	rules.Content(sets)
	for _, id := range ids {
		if err := rules.Put(ctx, id, struct{}{}); err != nil {
			t.Fatal(err)
		}
	}
	policies := m.Policies(rules)
	p := maps.Policy{ENI: 5, Egress: ids[0], Ingress: ids[2], ACLOut: ids[6], ACLIn: ids[6]}
	if err := policies.Put(ctx, 1, p); err != nil {
		t.Fatal(err)
	}
	if n, err := m.CountEpochs(); n != 0 || err != nil {
		t.Errorf("%d epochs were counted for a policy that waits, %v", n, err)
	}
	publish := func() {
		t.Helper()
		if _, err := m.Publish(); err != nil {
			t.Fatal(err)
		}
	}
	publish()
	if n, err := m.CountEpochs(); n != 1 || err != nil {
		t.Errorf("%d epochs were counted, %v; want one", n, err)
	}
	before := entry(t, m, 1).Epoch
	again := maps.New(kernel[m].Maps)
	kernel[again] = kernel[m]
	defer delete(kernel, again)
	if err := again.Recount(); err != nil {
		t.Fatal(err)
	}
	if n, err := again.CountEpochs(); n != 1 || err != nil || entry(t, again, 1).Epoch == before {
		t.Errorf("a new process counted %d epochs, %v", n, err)
	}
	if n, err := again.CountEpochs(); n != 0 || err != nil {
		t.Errorf("and once more %d, %v", n, err)
	}
}
