package parity

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// shape is which elements an answer has and what their texts look like: a path
// is the same for all elements of a list, and has the kinds of all of them.
type shape map[string]string

// empty is the kind of an element without anything in it.
const empty = "empty"

// textKinds are told apart in this order.
var textKinds = []struct {
	kind string
	is   *regexp.Regexp
}{
	{"flag", regexp.MustCompile(`^(true|false)$`)},
	{"number", regexp.MustCompile(`^-?[0-9]{1,11}$`)},
	{"account", regexp.MustCompile(`^[0-9]{12}$`)},
	{"cidr", regexp.MustCompile(`^[0-9.]+/[0-9]+$`)},
	{"address", regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$`)},
	{"mac", regexp.MustCompile(`^([0-9a-f]{2}:){5}[0-9a-f]{2}$`)},
	{"time", regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z$`)},
	{"id", regexp.MustCompile(`^[a-z]+(-[a-z]+)*-[0-9a-f]{8,17}$`)},
}

// shapeOf has empty elements too, as clients tell an empty list from an absent
// one. An element that is empty in some places only has the kind of the others.
func shapeOf(root *element) shape {
	s := shape{}
	for _, c := range root.children {
		s.add(c.name, c)
	}
	delete(s, "requestId")
	return s
}

func (s shape) add(path string, e *element) {
	for _, c := range e.children {
		s.add(path+"/"+c.name, c)
	}
	if len(e.children) > 0 {
		return
	}
	if e.text == "" {
		s[path] = cmp.Or(s[path], empty)
		return
	}
	kinds := strings.Fields(strings.ReplaceAll(strings.TrimPrefix(s[path], empty), "+", " "))
	if kind := kindOfText(e.text); !slices.Contains(kinds, kind) {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	s[path] = strings.Join(kinds, "+")
}

func kindOfText(text string) string {
	for _, k := range textKinds {
		if k.is.MatchString(text) {
			return k.kind
		}
	}
	return "text"
}

// differences are one line for each path that is not the same in both.
func differences(ours, theirs shape) []string {
	all := shape{}
	maps.Copy(all, ours)
	maps.Copy(all, theirs)
	var out []string
	for _, path := range slices.Sorted(maps.Keys(all)) {
		a, b := ours[path], theirs[path]
		switch {
		case a == b:
		case b == "":
			out = append(out, "only-vpcd "+path)
		case a == "":
			out = append(out, "only-moto "+path)
		default:
			out = append(out, fmt.Sprintf("type %s %s/%s", path, a, b))
		}
	}
	return out
}

func TestDifferences(t *testing.T) {
	read := func(s string) shape {
		e, err := parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return shapeOf(e)
	}
	got := differences(
		read("<R><requestId>x</requestId><set><item><id>vpc-01234567</id><a>1</a></item><item><b>true</b></item></set><none/><e/><e>1</e></R>"),
		read("<R><set><item><id>Vpc</id><b>false</b><c>x</c></item></set><e>1</e><e/></R>"))
	if want := "only-vpcd none;only-vpcd set/item/a;only-moto set/item/c;type set/item/id id/text"; strings.Join(got, ";") != want {
		t.Errorf("have %q", got)
	}
}
