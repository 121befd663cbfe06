// Package progs loads the eBPF programs of one host, keeps its maps and links
// pinned, and replaces programs without a gap.
//
// Everything lives below one directory of a bpf file system, so that the data
// plane outlives the daemon: maps/<layout>/<name> and links/<role>-<ifindex>.
// The layout is a digest of every map's shape; a daemon with another layout
// makes its own maps beside the old ones, fills them, moves the programs over
// and then removes the old ones. Of a map of another shape it reads flows, by the
// types that the kernel keeps of it, and nothing else.
//
// Reviewers check: no link is detached to be replaced; a program that does not
// load leaves the running one alone; nothing outside the directory is touched.
package progs

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/bpf"
)

// Root is where the bpf file system is expected, and mounted if it is missing.
const Root = "/sys/fs/bpf"

// Role names a program by what it is attached to.
type Role string

const (
	// FromENI is on the port of an interface.
	FromENI Role = "from_eni"
	// FromPeer is on both ends of the link between two VPCs.
	FromPeer Role = "from_peer"
	// FromEdge is on the host's end of a gateway's link.
	FromEdge Role = "from_edge"
	// FromUplink is on a device of the host towards the world.
	FromUplink Role = "from_uplink"
)

// outside reports whether the role is for devices of the host's own namespace.
func (r Role) outside() bool { return r == FromEdge || r == FromUplink }

// Config sizes the maps.
type Config struct {
	// Dir is the host's directory below Root.
	Dir string
	// FlowTable is the number of flow entries; two make a pair. It is rounded
	// up to a power of two.
	FlowTable uint32
	// Second is the unit of the flow table's timeouts; zero is a second. Tests
	// make it shorter.
	Second time.Duration
	// NoTCX attaches programs as on kernels without tcx.
	NoTCX bool
}

// DefaultFlowTable is the number of flow entries unless configured.
const DefaultFlowTable = 262144

// MinFlowTable is the smallest table that leaves each interface a useful share.
const MinFlowTable = 1024

// Set is the loaded programs and open maps of one host.
type Set struct {
	dir    string
	layout string
	tcx    bool

	// Maps by name, pinned.
	Maps map[string]*ebpf.Map
	// ids are the kernel's numbers of them, asked once: programs are compared by
	// them while ports are being moved over, one after another.
	ids map[string]ebpf.MapID

	programs map[Role]program
	// clock are the programs that user space runs, by name.
	clock map[string]*ebpf.Program
}

type program struct {
	*ebpf.Program
	tag string
}

// writes counts the kernel writes of this package.
var writes atomic.Int64

// Writes is how many programs were attached, replaced or detached so far.
func Writes() int64 { return writes.Load() }

// Open mounts the bpf file system where it is missing, opens or makes the maps
// and loads the programs. It attaches nothing.
func Open(cfg Config) (*Set, error) {
	if err := mountBPF(Root); err != nil {
		return nil, err
	}
	size := tableSize(cfg.FlowTable)
	specs, err := loadSpecs(size, cmp.Or(cfg.Second, time.Second))
	if err != nil {
		return nil, err
	}
	s := &Set{dir: cfg.Dir, layout: layoutOf(specs), tcx: !cfg.NoTCX && haveTCX(), Maps: map[string]*ebpf.Map{}, ids: map[string]ebpf.MapID{}, programs: map[Role]program{}}
	if err := s.openMaps(specs); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.load(specs); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func tableSize(n uint32) uint32 {
	if n == 0 {
		n = DefaultFlowTable
	}
	n = max(n, MinFlowTable)
	return 1 << bits.Len32(n-1)
}

// objects are the compiled collections, by role; the sweeper has none.
type objects struct {
	byRole map[Role]*ebpf.CollectionSpec
	sweep  *ebpf.CollectionSpec
}

func (o objects) all() []*ebpf.CollectionSpec {
	out := []*ebpf.CollectionSpec{o.sweep}
	for _, r := range sortedKeys(o.byRole) {
		out = append(out, o.byRole[r])
	}
	return out
}

func loadSpecs(table uint32, second time.Duration) (objects, error) {
	o := objects{byRole: map[Role]*ebpf.CollectionSpec{}}
	for role, load := range map[Role]func() (*ebpf.CollectionSpec, error){
		FromENI: bpf.LoadFromEni, FromPeer: bpf.LoadFromPeer, FromEdge: bpf.LoadFromEdge, FromUplink: bpf.LoadFromUplink,
	} {
		c, err := load()
		if err != nil {
			return objects{}, fmt.Errorf("%s: %w", role, err)
		}
		o.byRole[role] = c
	}
	var err error
	if o.sweep, err = bpf.LoadSweep(); err != nil {
		return objects{}, fmt.Errorf("sweep: %w", err)
	}
	settings := map[string]any{
		"flow_second":    uint64(second),
		"flow_slot_mask": bpf.FlowSlots(table) - 1,
		"flow_pairs":     bpf.FlowPairs(table),
		"flow_allowance": bpf.FlowAllowance(table),
		"flow_half_open": bpf.HalfOpenAllowance(table),
	}
	for _, c := range o.all() {
		for name, size := range map[string]uint32{"flows": table, "flow_slots": bpf.FlowSlots(table)} {
			if m := c.Maps[name]; m != nil {
				m.MaxEntries = size
			}
		}
		for name, v := range settings {
			if c.Variables[name] == nil {
				continue
			}
			if err := c.Variables[name].Set(v); err != nil {
				return objects{}, fmt.Errorf("set %s: %w", name, err)
			}
		}
	}
	return o, nil
}

// layoutOf names the shape of all maps together.
func layoutOf(o objects) string {
	names := map[string]*ebpf.MapSpec{}
	for _, c := range o.all() {
		for name, m := range c.Maps {
			if m.Type != ebpf.UnspecifiedMap && !internalMap(name) {
				names[name] = m
			}
		}
	}
	h := sha256.New()
	for _, name := range sortedKeys(names) {
		m := names[name]
		fmt.Fprintf(h, "%s %v %d %d %d %d %v %v\n", name, m.Type, m.KeySize, m.ValueSize, m.MaxEntries, m.Flags, m.Key, m.Value)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:6])
}

func (s *Set) mapsDir() string  { return filepath.Join(s.dir, "maps", s.layout) }
func (s *Set) linksDir() string { return filepath.Join(s.dir, "links") }

func (s *Set) openMaps(o objects) error {
	for _, d := range []string{s.mapsDir(), s.linksDir()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	if err := s.whole(o); err != nil {
		return err
	}
	for _, c := range o.all() {
		for _, name := range sortedKeys(c.Maps) {
			if internalMap(name) || s.Maps[name] != nil {
				continue
			}
			m, err := openMap(c.Maps[name], filepath.Join(s.mapsDir(), name))
			if err != nil {
				return fmt.Errorf("map %s: %w", name, err)
			}
			s.Maps[name] = m
			if s.ids[name], err = mapID(m); err != nil {
				return fmt.Errorf("map %s: %w", name, err)
			}
		}
	}
	return nil
}

func openMap(spec *ebpf.MapSpec, path string) (*ebpf.Map, error) {
	m, err := ebpf.LoadPinnedMap(path, nil)
	if err == nil {
		if err := spec.Compatible(m); err != nil {
			m.Close()
			return nil, fmt.Errorf("%s is not what this version made: %w", path, err)
		}
		return m, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	m, err = ebpf.NewMap(spec)
	if err != nil {
		return nil, err
	}
	if err := m.Pin(path); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

func (s *Set) load(o objects) error {
	for role, c := range o.byRole {
		p, err := s.loadOne(c)
		if err != nil {
			return fmt.Errorf("program %s: %w", role, err)
		}
		tag, err := s.identify(p)
		if err != nil {
			return err
		}
		s.programs[role] = program{Program: p, tag: tag}
	}
	var err error
	if s.clock, err = s.loadAll(o.sweep); err != nil {
		return fmt.Errorf("programs of the clock: %w", err)
	}
	return nil
}

// loadOne loads an object of one program.
func (s *Set) loadOne(c *ebpf.CollectionSpec) (*ebpf.Program, error) {
	all, err := s.loadAll(c)
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		return p, nil
	}
	return nil, errors.New("the object has no program")
}

func (s *Set) loadAll(c *ebpf.CollectionSpec) (map[string]*ebpf.Program, error) {
	replace := map[string]*ebpf.Map{}
	for name := range c.Maps {
		if !internalMap(name) {
			replace[name] = s.Maps[name]
		}
	}
	coll, err := ebpf.NewCollectionWithOptions(c, ebpf.CollectionOptions{MapReplacements: replace})
	if err != nil {
		return nil, err
	}
	defer coll.Close()
	out := map[string]*ebpf.Program{}
	for name := range c.Programs {
		out[name] = coll.DetachProgram(name)
	}
	return out, nil
}

// Dir is the directory of the pins.
func (s *Set) Dir() string { return s.dir }

// Sweep is the program that turns the flow table's clock.
func (s *Set) Sweep() *ebpf.Program { return s.clock["vpc_sweep"] }

// Cut is the program that ends flows that outlive their rule.
func (s *Set) Cut() *ebpf.Program { return s.clock["vpc_cut"] }

// Program is a loaded program, for tests and benchmarks.
func (s *Set) Program(r Role) *ebpf.Program { return s.programs[r].Program }

// Close gives back descriptors; what is pinned stays and keeps working.
func (s *Set) Close() error {
	var errs []error
	for _, m := range s.Maps {
		errs = append(errs, m.Close())
	}
	for _, p := range s.programs {
		errs = append(errs, p.Close())
	}
	for _, p := range s.clock {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

// RemoveOtherLayouts unpins maps that no program of ours uses any more. Call it
// when every link runs a program of this Set.
func (s *Set) RemoveOtherLayouts() error {
	parent := filepath.Join(s.dir, "maps")
	entries, err := os.ReadDir(parent)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if e.Name() != s.layout {
			errs = append(errs, os.RemoveAll(filepath.Join(parent, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// Remove unpins everything below dir: links go first, so that ports are closed
// before their configuration goes.
func Remove(dir string) error {
	links := filepath.Join(dir, "links")
	return errors.Join(detach(links), os.RemoveAll(links), os.RemoveAll(dir))
}

func mountBPF(path string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err == nil && st.Type == unix.BPF_FS_MAGIC {
		return nil
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return fmt.Errorf("bpf file system: %w", err)
	}
	if err := unix.Mount("bpf", path, "bpf", 0, "mode=0700"); err != nil {
		return fmt.Errorf("mount the bpf file system on %s: %w", path, err)
	}
	return nil
}
