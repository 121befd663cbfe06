package progs_test

import (
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/flows"
	"github.com/vpcfabric/vpc/dataplane/progs"
)

// shortSecond lets tables that are swept be empty soon.
const shortSecond = time.Second / 10

// successor is the same host opened with a table of another size: another layout,
// with maps of its own that say what l's say, and no flows.
func (l *lab) successor(table uint32) *lab {
	l.t.Helper()
	set, err := progs.Open(progs.Config{Dir: l.set.Dir(), FlowTable: table, Second: shortSecond})
	l.must(err)
	l.t.Cleanup(func() { set.Close() })
	next := *l
	next.set, next.table = set, flows.New(set.Maps, set.Sweep(), set.Cut())
	next.trackers()
	next.apply()
	return &next
}

// adoption opens the other layout's table, as a new daemon does.
func (l *lab) adoption() *flows.Adoption {
	l.t.Helper()
	former, err := l.set.Former()
	l.must(err)
	if len(former) != 1 {
		l.t.Fatalf("%d other layouts", len(former))
	}
	table, err := former[0].Open()
	l.must(err)
	return l.adopts(table)
}

func (l *lab) adopts(table *ebpf.Map) *flows.Adoption {
	l.t.Helper()
	a, err := flows.NewAdoption(table, l.set.Maps, l.set.Adopt())
	l.must(err)
	l.t.Cleanup(func() { a.Close() })
	return a
}

// copies demands what one copy did.
func (l *lab) copies(a *flows.Adoption, want flows.Adopted) {
	l.t.Helper()
	got, err := a.Copy()
	l.must(err)
	if got != want {
		l.t.Errorf("%#v, want %#v", got, want)
	}
}

// TestFlowsMoveToAnotherLayout: what the old programs let live, the new ones let
// live, by the rules of today, and account for; what is over there is over.
func TestFlowsMoveToAnotherLayout(t *testing.T) {
	old := openGate(t, progs.Config{Second: shortSecond})
	old.ingress(bob, inTownWeb, inTownUDP, inTownPing)
	old.ingress(cat, anyoneWeb)
	old.apply()
	half := flow{from: ann, to: bob, proto: tcp, sport: 40002, dport: 80}
	open := flow{from: ann, to: cat, proto: tcp, sport: 40003, dport: 80}
	outward := flow{from: ann, to: out, proto: tcp, sport: 40004, dport: 80}
	old.handshake(web)
	old.handshake(open)
	old.passes(ann, bob, half.forth(syn))
	old.passes(ann, bob, ping.forth(0))
	old.send(ann, outward.forth(syn))
	before := old.account(ann)

	l := old.successor(2 * smallTable)
	l.drops(ann, web.forth(ack), "flow", "stray")
	a := l.adoption()
	l.copies(a, flows.Adopted{New: 5})
	l.copies(a, flows.Adopted{Known: 5 * 2}) // each is found by both of its halves
	if now := l.account(ann); now.Flows != before.Flows || now.HalfOpen != before.HalfOpen {
		t.Errorf("ann's account is %+v, was %+v", now, before)
	}
	l.ingress(bob)
	l.ingress(cat)
	l.apply()
	l.passes(ann, bob, web.forth(ack))
	l.passes(bob, ann, web.back(ack))
	l.passes(bob, ann, half.back(syn|ack))
	l.passes(bob, ann, ping.back(0))
	l.drops(ann, open.forth(ack), "ingress", "security_group") // nobody tracks it
	l.drops(ann, web.forth(syn), "ingress", "security_group")
	l.drops(ann, flow{from: ann, to: bob, proto: tcp, sport: 40009, dport: 80}.forth(ack), "ingress", "security_group")
	l.ingress(bob, inTownWeb)
	l.ingress(cat, anyoneWeb)
	l.apply()
	for _, f := range []flow{web, half, open} {
		l.ends(f)
	}
	l.swept()
}

// ends closes a connection from both sides.
func (l *lab) ends(f flow) {
	l.t.Helper()
	l.passes(f.from, f.to, f.forth(fin|ack))
	l.passes(f.to, f.from, f.back(fin|ack))
}

// otherShape is a flow table of another build: one member more in the middle, one
// that is smaller than ours, and the edits of the test.
func (l *lab) otherShape(edit func(*btf.Struct)) *ebpf.Map {
	l.t.Helper()
	objects, err := bpf.LoadFromEni()
	l.must(err)
	spec := objects.Maps["flows"].Copy()
	ours := spec.Value.(*btf.Struct)
	theirs := &btf.Struct{Name: ours.Name}
	for _, m := range ours.Members {
		if m.Name == "seen" {
			theirs.Members = append(theirs.Members, btf.Member{Name: "weather", Type: &btf.Int{Name: "unsigned int", Size: 4}})
		}
		if m.Name == "bytes" {
			m.Type = &btf.Int{Name: "unsigned int", Size: 4}
		}
		theirs.Members = append(theirs.Members, m)
	}
	edit(theirs)
	for i, m := range theirs.Members {
		size, err := btf.Sizeof(m.Type)
		l.must(err)
		theirs.Members[i].Offset = btf.Bits(8 * theirs.Size)
		theirs.Size += uint32(size)
	}
	spec.Value, spec.ValueSize, spec.MaxEntries, spec.Pinning = theirs, theirs.Size, smallTable, ebpf.PinNone
	m, err := ebpf.NewMap(spec)
	l.must(err)
	l.t.Cleanup(func() { m.Close() })
	return m
}

// fill writes l's flows into a table of another build, member by member.
func (l *lab) fill(m *ebpf.Map, theirs *btf.Struct) {
	l.t.Helper()
	var (
		key bpf.FlowKey
		v   []byte
	)
	ours := map[string]btf.Member{}
	objects, err := bpf.LoadFromEni()
	l.must(err)
	for _, member := range objects.Maps["flows"].Value.(*btf.Struct).Members {
		ours[member.Name] = member
	}
	it := l.set.Maps["flows"].Iterate()
	for it.Next(&key, &v) {
		row := make([]byte, theirs.Size)
		for i := range row {
			row[i] = 0xee // what the other build has and ours has not
		}
		for _, member := range theirs.Members {
			size, err := btf.Sizeof(member.Type)
			l.must(err)
			if from, ok := ours[member.Name]; ok {
				copy(row[member.Offset.Bytes():][:size], v[from.Offset.Bytes():])
			}
		}
		l.must(m.Put(key, row))
	}
	l.must(it.Err())
}

func (l *lab) structOf(m *ebpf.Map) *btf.Struct {
	l.t.Helper()
	info, err := m.Info()
	l.must(err)
	id, _ := info.BTFID()
	h, err := btf.NewHandleFromID(id)
	l.must(err)
	defer h.Close()
	types, err := h.Spec(nil)
	l.must(err)
	var s *btf.Struct
	l.must(types.TypeByName("flow", &s))
	return s
}

// TestFlowsMoveFromAnotherBuild: members are found by their names, wherever they
// are; what has another size is 0.
func TestFlowsMoveFromAnotherBuild(t *testing.T) {
	old := openTown(t, progs.Config{Second: shortSecond})
	old.handshake(web)
	other := old.otherShape(func(*btf.Struct) {})
	old.fill(other, old.structOf(other))
	was := old.entry(web)

	l := old.successor(2 * smallTable)
	l.copies(l.adopts(other), flows.Adopted{New: 1})
	now := l.entry(web)
	if now.Packets != was.Packets || now.LastSeen != was.LastSeen || now.Seen != was.Seen || now.Flags != was.Flags || now.Bytes != 0 {
		t.Errorf("taken over as %+v, was %+v", now, was)
	}
	l.ingress(bob)
	l.apply()
	l.passes(ann, bob, web.forth(ack))
	l.passes(bob, ann, web.back(ack))
	l.ends(web)
	l.swept()
}

// TestNothingMovesWithoutItsMeaning: where a member is missing on which verdicts
// rest, flows begin anew.
func TestNothingMovesWithoutItsMeaning(t *testing.T) {
	l := openTown(t, progs.Config{})
	for _, name := range []string{"flags", "peer_eni", "nat", "own_rule", "seen"} {
		t.Run(name, func(t *testing.T) {
			l := l.in(t)
			other := l.otherShape(func(s *btf.Struct) {
				for i, m := range s.Members {
					if m.Name == name {
						s.Members[i].Name = "new_" + name
					}
				}
			})
			if _, err := flows.NewAdoption(other, l.set.Maps, l.set.Adopt()); err == nil {
				t.Error("flows are taken over without " + name)
			}
		})
	}
}

// TestWhatHappensMeanwhile: what the old programs see between two copies is
// followed, until the new ones have seen a packet of their own.
func TestWhatHappensMeanwhile(t *testing.T) {
	old := openTown(t, progs.Config{Second: shortSecond})
	old.passes(ann, bob, web.forth(syn))
	l := old.successor(2 * smallTable)
	a := l.adoption()
	l.copies(a, flows.Adopted{New: 1})
	if u := l.account(ann); u.HalfOpen != 1 {
		t.Errorf("half open: %+v", u)
	}
	old.passes(bob, ann, web.back(syn|ack))
	old.passes(ann, bob, web.forth(ack))
	old.passes(ann, bob, datagram.forth(0))
	l.copies(a, flows.Adopted{New: 1, Known: 3})
	if u := l.account(ann); u.HalfOpen != 0 || u.Flows != 2 {
		t.Errorf("answered: %+v", u)
	}
	if now, was := l.entry(web.reply()), old.entry(web.reply()); now.Seen != was.Seen || now.Epoch != 0 {
		t.Errorf("%+v, was %+v", now, was)
	}
	l.passes(ann, bob, web.forth(ack))
	packets := l.entry(web).Packets
	old.passes(ann, bob, web.forth(rst))
	l.copies(a, flows.Adopted{Known: 4})
	if now := l.entry(web); now.Packets != packets || now.Epoch == 0 {
		t.Errorf("ours was overwritten: %+v", now)
	}
}

// TestFullTableMovesSoon: as many flows as the usual table holds.
func TestFullTableMovesSoon(t *testing.T) {
	old := openTown(t, progs.Config{FlowTable: progs.DefaultFlowTable})
	pairs := int(bpf.FlowAllowance(progs.DefaultFlowTable))
	payers := []nic{ann, bob, cat, dan}
	var keys []bpf.FlowKey
	var halves []bpf.Flow
	for _, n := range payers {
		for i := range pairs {
			f := flow{from: n, to: eve, proto: udp, sport: uint16(i), dport: uint16(5000 + n.slot)}
			for _, v := range []bpf.Flow{{Key: f.key(), PeerEni: uint32(eve.eni)}, {Key: f.reply().key(), PeerEni: uint32(n.eni), Flags: 1}} {
				v.State, v.LastSeen, v.Born = 1, 1<<62, uint64(i+1)
				keys, halves = append(keys, v.Key), append(halves, v)
			}
		}
	}
	_, err := old.set.Maps["flows"].BatchUpdate(keys, halves, nil)
	old.must(err)
	l := old.successor(2 * progs.DefaultFlowTable)
	a := l.adoption()
	start := time.Now()
	l.copies(a, flows.Adopted{New: len(payers) * pairs})
	t.Logf("%d pairs in %s", len(payers)*pairs, time.Since(start))
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}

// TestSmallerTableTakesWhatFits: and leaves room for what begins later.
func TestSmallerTableTakesWhatFits(t *testing.T) {
	old := openTown(t, progs.Config{})
	old.ingress(bob, anything)
	old.apply()
	const n = 1000
	for i := range n {
		f := synFrom(ann, i)
		f.proto = udp
		old.passes(ann, bob, f.forth(0))
	}
	l := old.successor(progs.MinFlowTable)
	share := int(bpf.FlowAllowance(progs.MinFlowTable))
	l.copies(l.adoption(), flows.Adopted{New: share, NoRoom: n - share})
	l.passes(cat, bob, synFrom(cat, 0).forth(syn))
}
