package fuzz

import (
	"fmt"
	gomaps "maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/classify"
	"github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

const questionsPerList = 50

// round is one set of lists in the harness's maps.
type round struct {
	h       *harness
	d       dice
	near    places
	lists   []ruleList
	vectors vectors
}

func (h *harness) round(d dice) *round {
	h.ask(opClear)
	r := &round{h: h, d: d, near: d.places(), vectors: vectors{h, map[classify.Bits]uint32{}}}
	number := 1 + d.Uint32N(1<<30)
	for i := range uint32(1 + d.IntN(3)) {
		l, err := d.list(number+i, r.near, r.vectors.intern)
		if err != nil {
			h.t.Fatal(err)
		}
		h.load(l)
		r.lists = append(r.lists, l)
	}
	return r
}

// ask puts n questions to one list and compares the answers with what wrong
// says of them.
func (r *round) ask(l ruleList, n int, wrong func(q question, got, want questionAnswer) string) {
	r.h.t.Helper()
	questions := make([]question, n)
	for i := range questions {
		questions[i] = r.d.question(l, r.near)
		r.h.question(l.number, questions[i])
	}
	r.h.flush()
	for _, q := range questions {
		var got questionAnswer
		r.h.answer(&got)
		if why := wrong(q, got, l.expect(q)); why != "" {
			r.h.t.Fatalf("%s\n%+v\nanswer %+v, reference %+v\nlist of %d rules: %s", why, q, got, l.expect(q), len(l.rules), l.about(q))
		}
	}
}

// about are the rules that match the question, which is what a reader wants
// of a list of a thousand.
func (l ruleList) about(q question) (out []string) {
	for i, r := range l.rules {
		if matches(r, q) || len(l.rules) < 20 {
			out = append(out, fmt.Sprintf("\n  %d: %s", i, r))
		}
	}
	return out
}

func same(_ question, got, want questionAnswer) string {
	if got != want {
		return "another answer than the rules, read one after another"
	}
	return ""
}

// TestRules: no list and no question is answered otherwise by the programs'
// vectors than by the rules in their order: verdict, rule, and what the rule says.
func TestRules(t *testing.T) {
	h, d := start(t), roll(t, 2)
	allowed, refused, widths := 0, 0, map[int]int{}
	for n := count(50000); n > 0; {
		r := h.round(d)
		for _, l := range r.lists {
			widths[l.words]++
			r.ask(l, questionsPerList, func(q question, got, want questionAnswer) string {
				if got.Allowed != 0 {
					allowed++
				} else {
					refused++
				}
				return same(q, got, want)
			})
			n -= questionsPerList
		}
		r.ask(ruleList{number: r.lists[0].number + 1000}, 2, same) // absent: the empty list
		r.ask(ruleList{}, 2, same)
	}
	t.Logf("%d allowed, %d refused; lists by words: %v", allowed, refused, widths)
	if !testing.Short() && (allowed < refused/10 || refused < allowed/10 || len(widths) < 5) {
		t.Error("this shows little")
	}
}

// TestMissingParts takes elements away from under a list: whatever is missing,
// nothing passes that the whole list refuses, and without an axis nothing does.
func TestMissingParts(t *testing.T) {
	h, d := start(t), roll(t, 3)
	lost := map[string]int{}
	for n := count(20000); n > 0; n -= questionsPerList {
		r := h.round(d)
		l := r.lists[d.IntN(len(r.lists))]
		parts := r.parts(l)
		names := slices.Sorted(gomaps.Keys(parts))
		name := names[d.IntN(len(names))]
		lost[name]++
		all := d.IntN(2) == 0
		if !all {
			parts[name] = parts[name][:1]
		}
		for _, key := range parts[name] {
			h.remove(name, key)
		}
		axis := slices.Contains([]string{"lists", "addr_chunks", "service_chunks", "bitmaps"}, name) && all
		r.ask(l, questionsPerList, func(q question, got, want questionAnswer) string {
			byGroups := want.Flags&uint32(bpf.FromEniListFlagsLIST_GROUPS) != 0
			switch {
			case got.Allowed > want.Allowed || got.Returned != got.Allowed:
				return "allowed without " + name
			case got.Allowed != 0 && axis && !(name == "addr_chunks" && byGroups):
				return "allowed without any " + name
			case got.Rule != 0 && got.Rule != want.Rule && !byGroups:
				return "a later rule of an ACL decides without " + name
			}
			return ""
		})
	}
	t.Logf("%v", lost)
}

// parts are the keys of a list's elements, by map.
func (r *round) parts(l ruleList) map[string][]any {
	out := map[string][]any{}
	for _, e := range l.elements {
		out[e.Map] = append(out[e.Map], e.Key)
	}
	for _, keys := range out {
		r.d.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	}
	if l.words > 1 {
		for n := range uint32(len(r.vectors.number)) {
			out["bitmaps"] = append(out["bitmaps"], n+1)
		}
	}
	return out
}

// TestNoise asks lists whose content is damaged at random. There is no right
// answer; there must be one, and nothing outside of the values may be read.
func TestNoise(t *testing.T) {
	h, d := start(t), roll(t, 4)
	for n := count(20000); n > 0; n -= questionsPerList {
		r := h.round(d)
		l := r.lists[0]
		for _, e := range l.elements {
			value := bytesOf(e.Value)
			if d.IntN(3) == 0 {
				d.fill(value)
			}
			for range d.IntN(8) {
				value[d.IntN(len(value))] = d.byte()
			}
			h.put(e.Map, e.Key, value)
		}
		r.ask(l, questionsPerList, func(_ question, got, _ questionAnswer) string {
			if got.Allowed > 1 || got.Any > 1 || got.Returned != got.Allowed {
				return "no answer"
			}
			return ""
		})
	}
}

// TestLastAddress: the end of the axis of addresses is nobody's, and a list in
// chunks refuses it whatever its rules say; its neighbour is judged by them.
func TestLastAddress(t *testing.T) {
	h := start(t)
	rules := []spec.Rule{{ID: 1, Protocol: spec.AnyProtocol, FromPort: -1, ToPort: -1, Prefix: netip.MustParsePrefix("e000::/3")}}
	for i := range 2 * bpf.InlineSegments {
		narrow := netip.AddrFrom4([4]byte{10, byte(2 * i), 0, 0})
		rules = append(rules, spec.Rule{ID: uint32(2 + i), Protocol: protoTCP, FromPort: 22, ToPort: 22, Prefix: netip.PrefixFrom(narrow, 16)})
	}
	id, set := spec.MakeRuleSet(rules)
	compiled, err := classify.Compile(set)
	if err != nil || len(compiled.Addrs) <= bpf.InlineSegments {
		t.Fatalf("%d segments, %v", len(compiled.Addrs), err)
	}
	elements, err := maps.Elements(1, id, compiled, vectors{h, map[classify.Bits]uint32{}}.intern)
	if err != nil {
		t.Fatal(err)
	}
	h.load(ruleList{elements: elements})
	for remote, want := range map[netip.Addr]uint32{lastAddress.Prev(): 1, lastAddress: 0} {
		h.question(1, question{remote: remote})
		h.flush()
		var a questionAnswer
		if h.answer(&a); a.Allowed != want || a.Returned != want {
			t.Errorf("%s: %+v, want allowed %d", remote, a, want)
		}
	}
}

// everything is a list that lets all packets pass.
func everything(t *testing.T, h *harness, number uint32) {
	id, set := spec.MakeRuleSet([]spec.Rule{{Protocol: spec.AnyProtocol, FromPort: -1, ToPort: -1, Prefix: netip.MustParsePrefix("0.0.0.0/0"), ID: 1}})
	l, err := classify.Compile(set)
	if err != nil {
		t.Fatal(err)
	}
	elements, err := maps.Elements(number, id, l, vectors{h, map[classify.Bits]uint32{}}.intern)
	if err != nil {
		t.Fatal(err)
	}
	h.load(ruleList{elements: elements})
}
