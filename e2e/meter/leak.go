// Package meter measures what tests promise: Take and Compare show which kernel
// objects a test left behind or destroyed, Loss counts lost packets.
//
// The root namespace is compared whole. Other tests of the same machine make
// namespaces, programs and processes of their own at the same time; a Scope
// says which of those count. Alone, everything counts.
package meter

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Key names one object: its kind, the namespace it is in ("" for root or for
// what is in no namespace), and its name there.
type Key struct{ Kind, Netns, Name string }

func (k Key) String() string {
	if k.Netns == "" {
		return k.Kind + " " + k.Name
	}
	return k.Kind + " " + k.Netns + "/" + k.Name
}

// Dump is every object with its normalised state: counters, ages and other
// values that change by themselves are left out.
type Dump map[Key]string

// Scope says which objects outside the root namespace belong to a test.
type Scope struct {
	// Host is the name of the vpcd under test: namespaces vpc-<Host>-… and
	// <Host>-…, pins below vpc/<Host>, and paths that contain it count.
	Host string
	// Bin is the directory of the binaries under test: their processes for this
	// host, and what those listen on, count.
	Bin string
	// Alone says that nothing else on the machine makes such objects.
	Alone bool
}

// Netns reports whether a named namespace counts.
func (s Scope) Netns(name string) bool {
	return s.Alone || strings.HasPrefix(name, "vpc-"+s.Host+"-") || strings.HasPrefix(name, s.Host+"-")
}

// path reports whether a pin, socket or mount counts.
func (s Scope) path(p string) bool { return s.Alone || strings.Contains(p, s.Host) }

// Change is one difference between two dumps.
type Change struct {
	Key           Key
	Before, After string // empty where the object did not exist
}

func (c Change) String() string {
	switch {
	case c.Before == "":
		return fmt.Sprintf("left behind: %s: %s", c.Key, c.After)
	case c.After == "":
		return fmt.Sprintf("missing: %s: %s", c.Key, c.Before)
	}
	return fmt.Sprintf("changed: %s\n    before %s\n    after  %s", c.Key, c.Before, c.After)
}

// Compare lists the differences in order of their keys.
func Compare(before, after Dump) []Change {
	var out []Change
	for k, v := range after {
		if before[k] != v {
			out = append(out, Change{k, before[k], v})
		}
	}
	for k, v := range before {
		if _, ok := after[k]; !ok {
			out = append(out, Change{k, v, ""})
		}
	}
	slices.SortFunc(out, func(a, b Change) int { return strings.Compare(a.Key.String(), b.Key.String()) })
	return out
}

// Take dumps the root namespace, the named namespaces in scope, and what is in
// no namespace. An error of any source is an error: a meter that sees nothing
// would find every machine clean.
func Take(s Scope) (Dump, error) {
	d := Dump{}
	names, err := s.namespaces()
	if err != nil {
		return nil, err
	}
	for name := range names {
		d[Key{"netns", "", name}] = names[name]
	}
	for _, ns := range append([]string{""}, slices.Sorted(maps.Keys(names))...) {
		if names[ns] == unmounted {
			continue
		}
		for _, src := range perNetns {
			if err := src(d, s, ns); err != nil {
				// A namespace may go away between listing and reading.
				if still, e := s.namespaces(); e == nil && ns != "" && still[ns] == "" {
					break
				}
				return nil, fmt.Errorf("dump of namespace %q: %w", ns, err)
			}
		}
	}
	for _, src := range global {
		if err := src(d, s); err != nil {
			return nil, err
		}
	}
	return d, nil
}
