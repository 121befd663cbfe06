package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const api = ".."

func TestGeneratedFilesAreUpToDate(t *testing.T) {
	files, err := generate(api)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		have, err := os.ReadFile(filepath.Join(api, name))
		if err != nil || !bytes.Equal(have, want) {
			t.Errorf("vpcd/api/%s is stale (%v): run `go run ./vpcd/api/gen`", name, err)
		}
	}
	onDisk, err := filepath.Glob(filepath.Join(api, "zz_*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range onDisk {
		if _, ok := files[filepath.Base(path)]; !ok {
			t.Errorf("%s is not generated any more: remove it", path)
		}
	}
}

// model/ec2.json must be what the two lists make of the large model. That one
// is not here, but pruning the pruned model must change nothing.
func TestPrunedModelMatchesItsLists(t *testing.T) {
	m, err := readModel(filepath.Join(api, "model", "ec2.json"))
	if err != nil {
		t.Fatal(err)
	}
	actions, err := lines("actions.txt")
	if err != nil {
		t.Fatal(err)
	}
	again, err := reachable(m, actions)
	if err != nil {
		t.Fatal(err)
	}
	have, want := slices.Sorted(maps.Keys(m.Operations)), slices.Sorted(maps.Keys(again.Operations))
	if !slices.Equal(have, want) {
		t.Errorf("actions: the model has %v, actions.txt %v: run `go run ./vpcd/api/gen prune MODEL`", have, want)
	}
	if len(m.Shapes) != len(again.Shapes) {
		t.Errorf("the model has %d shapes, its actions reach %d", len(m.Shapes), len(again.Shapes))
	}
	rules, err := lines("trim.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range rules {
		f := strings.Fields(rule)
		s := m.Shapes[f[1]]
		if s == nil {
			t.Errorf("trim.txt: %q: no action reaches this shape", rule)
			continue
		}
		for _, one := range s.Members {
			listed := slices.Contains(f[2:], one.Name)
			if f[0] == "keep" && !listed || f[0] == "drop" && listed {
				t.Errorf("trim.txt: %q: %s is still in the model", rule, one.Name)
			}
		}
		if f[0] == "open" && len(s.Enum) > 0 {
			t.Errorf("trim.txt: %q: the model still has the values", rule)
		}
	}
}

func small() *model {
	return &model{
		Operations: map[string]operation{
			"GetA": {Name: "GetA", Input: &ref{Shape: "GetARequest"}, Output: &ref{Shape: "GetAResult"}},
			"GetB": {Name: "GetB", Input: &ref{Shape: "GetBRequest"}},
		},
		Shapes: map[string]*shape{
			"GetARequest": {Type: "structure", Members: members{{Name: "Id", ref: ref{Shape: "S"}}}},
			"GetAResult":  {Type: "structure", Members: members{{Name: "As", ref: ref{Shape: "L"}}, {Name: "Extra", ref: ref{Shape: "X"}}}},
			"GetBRequest": {Type: "structure"},
			"L":           {Type: "list", Member: &ref{Shape: "A"}},
			"A":           {Type: "structure", Members: members{{Name: "Again", ref: ref{Shape: "L"}}}},
			"S":           {Type: "string", Enum: []string{"in-use", "in.use"}},
			"X":           {Type: "structure"},
		},
	}
}

func TestReachable(t *testing.T) {
	m := small()
	if err := trim(m, []string{"drop GetAResult Extra"}); err != nil {
		t.Fatal(err)
	}
	got, err := reachable(m, []string{"GetA"})
	if err != nil {
		t.Fatal(err)
	}
	if names := strings.Join(slices.Sorted(maps.Keys(got.Shapes)), " "); names != "A GetARequest GetAResult L S" {
		t.Errorf("shapes: %s", names)
	}
	if _, err := reachable(m, []string{"GetC"}); err == nil {
		t.Error("an action the model lacks was accepted")
	}
}

func TestExtend(t *testing.T) {
	extra := func(shape, name string) *model {
		return &model{Extensions: map[string]members{shape: {{Name: name, ref: ref{Shape: "S"}}}}}
	}
	m := small()
	if err := extra("GetARequest", "Own").extend(m); err != nil || len(m.Shapes["GetARequest"].Members) != 2 {
		t.Errorf("%v, members %v", err, m.Shapes["GetARequest"].Members)
	}
	for _, bad := range []*model{extra("Nope", "Own"), extra("GetARequest", "Id")} {
		if bad.extend(small()) == nil {
			t.Errorf("%v was accepted", bad.Extensions)
		}
	}
}

func TestTrim(t *testing.T) {
	m := small()
	if err := trim(m, []string{"keep GetAResult As", "open S"}); err != nil {
		t.Fatal(err)
	}
	if s := m.Shapes["GetAResult"]; len(s.Members) != 1 || s.Members[0].Name != "As" {
		t.Errorf("keep left %v", s.Members)
	}
	if m.Shapes["S"].Enum != nil {
		t.Error("open left the values")
	}
	of := m.Shapes["GetAResult"].Members[0].Shape
	item := m.Shapes[of].Member.Shape
	if err := trim(m, []string{"split GetAResult As New"}); err != nil {
		t.Fatal(err)
	}
	if s := m.Shapes["GetAResult"]; s.Members[0].Shape != "NewList" || m.Shapes["NewList"].Member.Shape != "New" || m.Shapes["New"] != m.Shapes[item] || m.Shapes[of].Member.Shape != item {
		t.Errorf("split left %v, items %v of %v", s.Members, m.Shapes["NewList"].Member, m.Shapes[of].Member)
	}
	for _, bad := range []string{"keep", "keep Nope A", "drop A Nope", "cut A", "split GetAResult As", "split GetAResult Nope B", "split GetARequest A B", "split GetAResult As A"} {
		if err := trim(small(), []string{bad}); err == nil {
			t.Errorf("rule %q was accepted", bad)
		}
	}
}

// Two enum values that spell the same Go name must not silently become one.
func TestCollidingNamesFail(t *testing.T) {
	g := &generator{names: map[string]string{}}
	m := small()
	g.shapes("x", m, slices.Sorted(maps.Keys(m.Shapes)))
	if g.err == nil || !strings.Contains(g.err.Error(), "SInUse") {
		t.Errorf("error: %v", g.err)
	}
}

func TestMembersKeepTheirOrder(t *testing.T) {
	const text = `{"Z":{"shape":"S"},"A":{"shape":"S","locationName":"a"},"M":{"shape":"L"}}`
	var m members
	if err := m.UnmarshalJSON([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if b, err := m.MarshalJSON(); err != nil || string(b) != text {
		t.Errorf("have %s (%v)\nwant %s", b, err, text)
	}
}

func TestModelsMayNotRedefineEachOther(t *testing.T) {
	if _, err := small().withShapesOf(small()); err == nil {
		t.Error("the same shape in both models was accepted")
	}
}
