// Package dataplane makes the kernel of one host look like a spec.Host and
// tells what the kernel has counted. It is the only place that touches the
// kernel; DESIGN.md has the table of what is ours and how it is recognised.
//
// Apply is level-triggered and idempotent: a second Apply of the same spec
// writes nothing. What runs does so without this process.
package dataplane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/vpcfabric/vpc/dataplane/flows"
	"github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// Config names the host and sizes its tables.
type Config struct {
	// Name marks every object of this host.
	Name string
	// FlowTable is the number of flow entries.
	FlowTable uint32
	// NAT is for all NAT gateways.
	NAT    NATConfig
	Logger *slog.Logger
	// Outside is the host's own network.
	Outside Outside
	// Step, if set, is called with the name of each step before and after it:
	// crash tests end the process there.
	Step func(name string)
}

// Report says what one Apply did.
type Report struct {
	// Writes is how many kernel objects were written or removed.
	Writes int
	// Up holds the interfaces whose port is complete.
	Up map[spec.ENI]bool
	// Isolated says that what failed, if anything, concerns single interfaces,
	// which are not Up: everything else is as the spec says.
	Isolated bool
	// Braked holds interfaces that are in the kernel, but that neither a
	// record nor a tombstone knows. Nothing was removed on their account.
	Braked []string
}

// Dataplane is one host's kernel.
type Dataplane struct {
	cfg    Config
	kernel *nl.Kernel
	out    *host
	progs  *progs.Set
	rules  *maps.Rules
	flows  *flows.Table
	phases phases
	news   *announcer

	mu    sync.Mutex
	slots *slots
	links map[nl.LinkKey]nl.Link // as last wanted
	host  *spec.Host             // as last wanted
	// tables are the route tables as last made.
	tables map[spec.RouteTable]table
	// lifted is set once the operator confirmed what the brake held back.
	lifted map[string]bool
	cuts   cuts
	// generations are those of nftables as Disturbed last saw them, by path.
	generations map[string]uint32
}

// Open loads programs and maps and reads what an earlier life of this host left
// in the kernel. It changes nothing that carries traffic.
func Open(ctx context.Context, cfg Config) (*Dataplane, error) {
	set, err := progs.Open(progs.Config{Dir: Pins(cfg.Name), FlowTable: cfg.FlowTable})
	if err != nil {
		return nil, fmt.Errorf("eBPF: %w", err)
	}
	m := maps.New(set.Maps)
	d := &Dataplane{
		cfg: cfg, kernel: nl.Open(cfg.Name), progs: set, rules: m.Rules(),
		flows: flows.New(set.Maps, set.Sweep(), set.Cut()), lifted: map[string]bool{}, news: newAnnouncer(),
		cuts: cuts{done: map[uint32]bool{}},
	}
	if d.out, err = openHost(d.kernel, cfg); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	d.phases = newPhases(kernelDrivers{d.kernel.Drivers(), d.out.Drivers(), d.out.translated(), d.out.accepts, newNATs(d.kernel, cfg.Name, cfg.NAT), d.news}, m, d.rules, set)
	d.phases.crash = cfg.Step
	if err := m.Recount(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	d.phases.pins.Want(set.MapNames())
	d.phases.mover.log = cfg.Logger
	links, err := d.kernel.Drivers().Links.Observe(ctx, nil)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("list links: %w", err), d.Close())
	}
	d.slots = readSlots(links)
	return d, nil
}

// Pins is the directory of the host's pinned maps and links.
func Pins(host string) string { return filepath.Join(progs.Root, "vpc", host) }

// Close gives back descriptors. The data plane goes on.
func (d *Dataplane) Close() error {
	if d.out != nil {
		d.out.Close()
	}
	d.kernel.Close()
	return d.progs.Close()
}

// Dirty makes the next Apply read the kernel before it compares.
func (d *Dataplane) Dirty() {
	for _, p := range d.phases.all() {
		p.Dirty()
	}
}

// Apply makes the kernel look like h. It goes on past the failure of one
// object; what it returns as error names all that failed.
func (d *Dataplane) Apply(ctx context.Context, h *spec.Host) (Report, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h, taken := d.out.admit(h)
	rep := Report{Up: map[spec.ENI]bool{}, Braked: d.braked(h)}
	blind := errors.Join(taken, d.out.look(h, len(d.slots.edge) > 0))
	w := d.expand(h, len(rep.Braked) > 0)
	if moved(d.links, w.links) {
		d.Dirty()
	}
	d.links, d.host = w.links, h
	d.want(w)
	d.phases.blind = d.out.blind(h, len(d.slots.edge) > 0)
	n, err := d.phases.run(ctx, len(rep.Braked) == 0)
	d.announce()
	rep.Writes, err = n, errors.Join(err, blind)
	// What only waits for its next turn was looked at when it failed.
	if slices.ContainsFunc(leaves(err), tried) {
		d.Dirty()
	}
	var failed map[spec.ENI]bool
	failed, rep.Isolated = d.blame(h, err)
	for eni := range h.Ports {
		rep.Up[eni] = !failed[eni] && (err == nil || rep.Isolated)
	}
	cut := d.cuts.make(d.flows, h.Cuts, err == nil || rep.Isolated, time.Now())
	rep.Isolated = rep.Isolated && cut == nil
	err = errors.Join(err, cut)
	if len(rep.Braked) == 0 {
		d.freeSlots(ctx, h, err != nil)
	}
	if err == nil {
		err = d.progs.RemoveOtherLayouts()
	}
	return rep, err
}

// want makes w what is wanted.
func (d *Dataplane) want(w world) {
	d.news.publics, d.news.ways = w.publics, w.ways
	d.phases.direct.opening = func() (map[spec.VPC]int, map[progs.Attachment]progs.Attached) { return d.opening(w) }
	d.phases.want(w, d.rules)
}

// expand makes a world of h for the host as it is now. Edges that nobody wants are
// staying while the brake holds.
func (d *Dataplane) expand(h *spec.Host, staying bool) world {
	w := expand(h, around{
		netns: d.kernel.Netns, current: d.progs.Current, slots: d.slots, before: d.tables,
		outside: d.out.netns, outsidePath: d.out.path, uplinks: d.out.uplinks, devices: d.out.devices,
		machine: d.out.machine, local: d.out.local, staying: staying,
	})
	d.tables = w.tables
	return w
}

// freeSlots forgets owners that are gone. After a failure the kernel is asked
// who they are: a number that a link still has must not be given away.
func (d *Dataplane) freeSlots(ctx context.Context, h *spec.Host, failed bool) {
	held := newSlots()
	if failed {
		links, err := d.kernel.Drivers().Links.Observe(ctx, nil)
		if err != nil {
			return
		}
		held = readSlots(links)
		// A flow whose port could not be written still leaves by what it knows.
		held.peer = d.slots.peer
	}
	d.slots.keep(h, held)
}

// moved reports whether a link's other end has gone elsewhere. The link is made
// again then, and what was attached to it, set on it or plugged into it went
// with the old one, though it is wanted unchanged: it has to be looked for.
func moved(before, after map[nl.LinkKey]nl.Link) bool {
	for key, was := range before {
		if is, ok := after[key]; ok && (is.Peer != was.Peer || is.PeerIndex != was.PeerIndex || is.Kind != was.Kind) {
			return true
		}
	}
	return false
}

// braked lists the kernel's interfaces that nobody accounts for.
func (d *Dataplane) braked(h *spec.Host) []string {
	var out []string
	for eni := range d.slots.port {
		name := fmt.Sprintf("eni index %d", eni)
		_, edge := eni.Edge() // which may always be made anew
		if !edge && !h.Known[eni] && !h.Gone[eni] && !d.lifted[name] {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Lift lets the next Apply remove what the brake holds back now.
func (d *Dataplane) Lift(names []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range names {
		d.lifted[n] = true
	}
}

// Verify compares the kernel with h and touches nothing.
func (d *Dataplane) Verify(ctx context.Context, h *spec.Host) ([]Drift, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h, taken := d.out.admit(h)
	errs := []error{taken, d.out.look(h, len(d.slots.edge) > 0)}
	d.want(d.expand(h, len(d.braked(h)) > 0))
	var out []Drift
	for _, p := range d.phases.all() {
		drift, err := p.Diff(ctx)
		out = append(out, drift...)
		errs = append(errs, err)
	}
	return out, errors.Join(errs...)
}

// Writes is how many kernel writes this process tried so far: netlink, maps and
// programs together.
func Writes() int64 { return nl.Writes() + maps.Writes() + progs.Writes() }

// Cleanup removes every kernel object of the host, with or without a store. It
// is closed first, then gone: programs and maps after the namespaces, and last,
// because by them a second attempt knows that there was a host.
func Cleanup(ctx context.Context, host string, o Outside) error {
	k := nl.Open(host)
	defer k.Close()
	drivers := k.Drivers()
	var errs []error
	links, err := drivers.Links.Observe(ctx, nil)
	errs = append(errs, err)
	for key := range links {
		errs = append(errs, drivers.Links.Delete(ctx, key))
	}
	left, err := drivers.Links.Observe(ctx, nil)
	open := err != nil || len(readSlots(left).edge) > 0
	errs = append(errs, err, o.cleanup(ctx, k, host, len(readSlots(links).edge) > 0, open))
	names, err := drivers.Namespaces.Observe(ctx, nil)
	errs = append(errs, err)
	for name := range names {
		errs = append(errs, drivers.Namespaces.Delete(ctx, name))
	}
	errs = append(errs, progs.Remove(Pins(host)))
	// The parent goes with its last host.
	if err := os.Remove(filepath.Dir(Pins(host))); err != nil && !os.IsNotExist(err) && !isNotEmpty(err) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Attached lists the interfaces that have a port in the kernel.
func Attached(ctx context.Context, host string) ([]string, error) {
	k := nl.Open(host)
	defer k.Close()
	links, err := k.Drivers().Links.Observe(ctx, nil)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, l := range links {
		if id, _, ok := parsePortAlias(l.Alias); ok {
			out = append(out, id)
		}
	}
	return out, nil
}
