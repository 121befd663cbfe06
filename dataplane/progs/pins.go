package progs

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/vpcfabric/vpc/dataplane/delta"
)

// identify says which program this is and on which of our maps it works: the
// same instructions on other maps are another program, whose flows and ports
// nobody here writes.
func (s *Set) identify(p *ebpf.Program) (string, error) {
	info, err := p.Info()
	if err != nil {
		return "", err
	}
	used, _ := info.MapIDs()
	var names []string
	for name, id := range s.ids {
		if slices.Contains(used, id) {
			names = append(names, fmt.Sprint(name, id))
		}
	}
	slices.Sort(names)
	sum := sha256.Sum256(fmt.Append(nil, names))
	return fmt.Sprintf("%s/%x", info.Tag, sum[:4]), nil
}

func mapID(m *ebpf.Map) (ebpf.MapID, error) {
	info, err := m.Info()
	if err != nil {
		return 0, err
	}
	id, ok := info.ID()
	if !ok {
		return 0, errors.New("the kernel gives maps no id")
	}
	return id, nil
}

// whole drops what is left of a layout of which a part is missing: its maps
// belong together, and some of them with some new ones would be neither the old
// state nor the new. Running programs keep the old ones until they are replaced.
func (s *Set) whole(o objects) error {
	have, want := 0, map[string]bool{}
	for _, c := range o.all() {
		for name := range c.Maps {
			if !internalMap(name) {
				want[name] = true
			}
		}
	}
	for name := range want {
		_, err := os.Lstat(filepath.Join(s.mapsDir(), name))
		if err == nil {
			have++
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if have == 0 || have == len(want) {
		return nil
	}
	if err := os.RemoveAll(s.mapsDir()); err != nil {
		return err
	}
	return os.MkdirAll(s.mapsDir(), 0o700)
}

// MapNames are the names under which maps shall be pinned.
func (s *Set) MapNames() map[string]struct{} {
	out := map[string]struct{}{}
	for name := range s.Maps {
		out[name] = struct{}{}
	}
	return out
}

// Pins is the driver of the maps' pins: each name shall lead to the very map
// that is open here.
func (s *Set) Pins() delta.Driver[string, struct{}] { return pins{s} }

type pins struct{ s *Set }

func (p pins) Observe(context.Context, map[string]struct{}) (map[string]struct{}, error) {
	out := map[string]struct{}{}
	for name, m := range p.s.Maps {
		same, err := p.leadsTo(name, m)
		if err != nil {
			return nil, err
		}
		if same {
			out[name] = struct{}{}
		}
	}
	return out, nil
}

func (p pins) leadsTo(name string, m *ebpf.Map) (bool, error) {
	pinned, err := ebpf.LoadPinnedMap(filepath.Join(p.s.mapsDir(), name), nil)
	if err != nil {
		return false, nil // missing, or no map at all
	}
	defer pinned.Close()
	have, err := mapID(pinned)
	if err != nil {
		return false, err
	}
	want, err := mapID(m)
	return have == want, err
}

func (p pins) Put(_ context.Context, name string, _ struct{}) error {
	writes.Add(1)
	if err := os.MkdirAll(p.s.mapsDir(), 0o700); err != nil {
		return err
	}
	m := p.s.Maps[name]
	// What the library remembers of the old pin would make it do nothing.
	if err := m.Unpin(); err != nil {
		return err
	}
	return m.Pin(filepath.Join(p.s.mapsDir(), name))
}

// Delete leaves other layouts to RemoveOtherLayouts.
func (pins) Delete(context.Context, string) error { return nil }
