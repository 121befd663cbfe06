package progs

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/cilium/ebpf"
)

// flowsMap is the name of the flow table in every layout.
const flowsMap = "flows"

// Former is the flow table of another layout, whose programs may still run.
type Former struct {
	path string
	made int64
}

// Former lists the flow tables of other layouts, the last made first: what was in
// use most recently comes before what an interrupted change has left.
func (s *Set) Former() ([]Former, error) {
	parent := filepath.Join(s.dir, "maps")
	entries, err := os.ReadDir(parent)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Former
	for _, e := range entries {
		path := filepath.Join(parent, e.Name(), flowsMap)
		if info, err := os.Lstat(path); err == nil && e.Name() != s.layout {
			out = append(out, Former{path, info.ModTime().UnixNano()})
		}
	}
	slices.SortFunc(out, func(a, b Former) int { return cmp.Compare(b.made, a.made) })
	return out, nil
}

// Open opens the table; the caller closes it.
func (f Former) Open() (*ebpf.Map, error) { return ebpf.LoadPinnedMap(f.path, nil) }

// Forget removes the table's pin, so that what has been taken over is not taken
// over once more when those flows may be over. Programs that use it keep it.
func (f Former) Forget() error {
	err := os.Remove(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Adopt is the program that takes over flows of another layout.
func (s *Set) Adopt() *ebpf.Program { return s.clock["vpc_adopt"] }
