package dataplane

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/vpcfabric/vpc/dataplane/delta"
	"github.com/vpcfabric/vpc/dataplane/ipt"
	"github.com/vpcfabric/vpc/dataplane/maps"
	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// phases are the kinds of kernel objects in the order in which they appear.
type phases struct {
	namespaces  *delta.Tracker[string, struct{}]
	sysctls     *delta.Tracker[nl.SysctlKey, string]
	nats        *delta.Tracker[spec.ENI, nat]
	links       *delta.Tracker[nl.LinkKey, nl.Link]
	rules       *delta.Tracker[spec.RuleSetID, struct{}]
	routes      *delta.Sets[spec.RouteTable, spec.RouteKey, maps.Route]
	endpoints   *delta.Tracker[spec.EndpointKey, maps.Endpoint]
	publics     *delta.Tracker[netip.Addr, maps.Public]
	filters     *delta.Tracker[netip.Prefix, maps.Filter]
	attachments *delta.Tracker[progs.Attachment, progs.Attached]
	policies    *delta.Tracker[maps.Slot, maps.Policy]
	published   act
	ports       *delta.Tracker[maps.Slot, maps.Port]
	count       func() (int, error) // epochs of ports whose own entry stays as it is
	bridgePorts *delta.Tracker[nl.LinkKey, nl.BridgePort]
	addresses   *delta.Tracker[nl.AddressKey, struct{}]
	firewall    *delta.Tracker[string, spec.Firewall]
	edges       *delta.Tracker[nl.LinkKey, nl.Edge]
	ups         *delta.Tracker[nl.LinkKey, nl.Up]
	neighbours  *delta.Tracker[nl.NeighbourKey, spec.MAC]
	fdb         *delta.Tracker[nl.FDBKey, int]
	workloads   *delta.Tracker[int, nl.Workload]
	forwarding  *delta.Tracker[string, bool]
	accepts     *delta.Tracker[ipt.Rule, struct{}]
	hostRoutes  *delta.Tracker[netip.Prefix, nl.HostRoute]
	direct      directPhases

	// entries is what the port table shall hold when all is settled.
	entries map[maps.Slot]maps.Port

	// salt makes provisional versions differ.
	salt uint32

	// pins of maps are put back before anything else; they are nobody's wish.
	pins *delta.Tracker[string, struct{}]

	// mover takes flows of another layout of the maps over.
	mover mover
	// blind says that nobody knows the host's uplinks yet: what they decide about
	// stays as it is.
	blind bool

	crash func(step string)
}

// kernelDrivers are the drivers of what is not a map or a program.
type kernelDrivers struct {
	inside   nl.Drivers
	outside  nl.OutsideDrivers
	firewall delta.Driver[string, spec.Firewall]
	accepts  delta.Driver[ipt.Rule, struct{}]
	nats     delta.Driver[spec.ENI, nat]
	news     *announcer
}

func newPhases(drivers kernelDrivers, m *maps.Maps, rules *maps.Rules, set *progs.Set) phases {
	k, o, a := drivers.inside, drivers.outside, drivers.news
	return phases{
		namespaces:  delta.New("netns", k.Namespaces, strings.Compare),
		sysctls:     delta.New("sysctl", k.Sysctls, nl.SysctlKey.Compare),
		nats:        delta.New("nat", drivers.nats, compareENIs),
		links:       delta.New("link", k.Links, nl.LinkKey.Compare),
		rules:       delta.New("rules", rules, maps.CompareRuleSets),
		routes:      newRoutes(m.Routes()),
		endpoints:   delta.New("endpoint", m.Endpoints(), maps.CompareEndpoints),
		publics:     delta.New("public", a.addresses(m.Publics()), maps.ComparePublics),
		filters:     delta.New("filter", m.Filters(), maps.ComparePrefixes),
		attachments: delta.New("program", set.Attachments(), progs.Attachment.Compare),
		policies:    delta.New("policy", m.Policies(rules), maps.CompareSlots),
		published:   act{"generation", m.Publish},
		ports:       delta.New("port", m.Ports(), maps.CompareSlots),
		count:       m.CountEpochs,
		bridgePorts: delta.New("bridge-port", k.BridgePorts, nl.LinkKey.Compare),
		addresses:   delta.New("address", k.Addresses, nl.AddressKey.Compare),
		firewall:    delta.New("firewall", drivers.firewall, strings.Compare),
		edges:       delta.New("edge", o.Edges, nl.LinkKey.Compare),
		ups:         delta.New("up", k.Ups, nl.LinkKey.Compare),
		neighbours:  delta.New("neighbour", k.Neighbours, nl.NeighbourKey.Compare),
		fdb:         delta.New("fdb", k.FDB, nl.FDBKey.Compare),
		workloads:   delta.New("workload", k.Workloads, cmp.Compare[int]),
		forwarding:  delta.New("forwarding", o.Forwarding, strings.Compare),
		accepts:     delta.New("accept", drivers.accepts, ipt.Rule.Compare),
		hostRoutes:  delta.New("host-route", o.Routes, netip.Prefix.Compare),
		direct:      newDirectPhases(m, set, a),
		pins:        delta.New("pin", set.Pins(), strings.Compare),
		mover:       mover{set: set},
	}
}

// newRoutes follows route tables one by one: there may be many long ones.
func newRoutes(d delta.Driver[spec.RouteKey, maps.Route]) *delta.Sets[spec.RouteTable, spec.RouteKey, maps.Route] {
	return delta.NewSets("route", d, func(k spec.RouteKey) spec.RouteTable { return k.Table }, cmp.Compare[spec.RouteTable], maps.CompareRoutes)
}

// counting counts the epochs that writing ports has left uncounted.
type counting struct {
	delta.Phase
	count func() (int, error)
}

func (c counting) Put(ctx context.Context) (int, error) {
	n, err := c.Phase.Put(ctx)
	_, uncounted := c.count() // nothing else about them was changed
	return n, errors.Join(err, uncounted)
}

// act is a step of every Apply that looks for itself what there is to do.
type act struct {
	name string
	do   func() (int, error)
}

func (a act) Name() string                                { return a.name }
func (a act) Dirty()                                      {}
func (a act) Put(context.Context) (int, error)            { return a.do() }
func (a act) Prune(context.Context) (int, error)          { return 0, nil }
func (a act) Diff(context.Context) ([]delta.Drift, error) { return nil, nil }

// list is THE order. A NAT gateway's namespace is closed until its table is in
// place, and then there is nothing in it yet. What decides about packets is written beside the old and
// put in force at one moment; a port's own entry comes after, because writing it
// counts the epoch; its link goes up after its program is attached and its entry
// is whole. Deletion runs the list backwards.
func (p *phases) list() []delta.Phase {
	return append([]delta.Phase{
		p.namespaces, p.sysctls, p.nats, p.links,
		p.rules, p.routes, p.endpoints, p.publics, p.filters, p.attachments, p.policies, p.published, counting{p.ports, p.count},
		p.bridgePorts, p.addresses, p.firewall, p.edges, p.ups, p.neighbours, p.fdb, p.workloads, p.forwarding, p.accepts, p.hostRoutes,
	}, p.direct.list()...)
}

// all is everything that is compared with the kernel.
func (p *phases) all() []delta.Phase { return append([]delta.Phase{p.pins}, p.list()...) }

func (p *phases) want(w world, rules *maps.Rules) {
	rules.Content(w.content)
	p.namespaces.Want(w.namespaces)
	p.sysctls.Want(w.sysctls)
	p.nats.Want(w.nats)
	p.links.Want(w.links)
	p.rules.Want(w.rules)
	p.routes.Want(w.routes)
	p.endpoints.Want(w.endpoints)
	p.publics.Want(w.publics)
	p.filters.Want(w.filters)
	p.attachments.Want(w.attachments)
	p.policies.Want(w.policies)
	p.entries = w.ports
	p.ports.Want(p.entries)
	p.bridgePorts.Want(w.bridgePorts)
	p.addresses.Want(w.addresses)
	p.firewall.Want(w.firewall)
	p.edges.Want(w.edges)
	p.ups.Want(w.ups)
	p.neighbours.Want(w.neighbours)
	p.fdb.Want(w.fdb)
	p.workloads.Want(w.workloads)
	p.forwarding.Want(w.forwarding)
	p.accepts.Want(w.accepts)
	p.hostRoutes.Want(w.hostRoutes)
	p.direct.ways.Want(w.ways)
	p.direct.open()
}

// step is one thing to do to one kind of object.
type step struct {
	verb string // "put" or "prune"
	delta.Phase
}

// do makes the step's writes.
func (s step) do(ctx context.Context) (int, error) {
	if s.verb == "prune" {
		return s.Prune(ctx)
	}
	return s.Put(ctx)
}

// moving is the part of an Apply in which programs move over from another layout
// of the maps: behind the ports, because a running port has to find its entry, and
// with their flows.
func (p *phases) moving() []step {
	return []step{{"put", act{"flow", p.mover.early}}, {"put", p.attachments}, {"put", act{"late-flow", p.mover.late}}}
}

// steps is one Apply. Routes and addresses that are no more go before the ports
// are written: the epoch that is counted then makes flows look again at a table
// in which they are gone. An edge that is no more closes before the firewall
// forgets its name.
func (p *phases) steps(prune, moving bool) []step {
	var out []step
	list := p.list()
	for _, phase := range list {
		if prune && phase.Name() == p.attachments.Name() {
			out = append(out, step{"prune", p.filters}, step{"prune", p.publics}, step{"prune", p.endpoints}, step{"prune", p.routes})
		}
		if prune && phase.Name() == p.firewall.Name() {
			out = append(out, step{"prune", p.hostRoutes}, step{"prune", p.edges})
		}
		if !moving || phase.Name() != p.attachments.Name() {
			out = append(out, step{"put", phase})
		}
		if moving && phase.Name() == p.ports.Name() {
			out = append(out, p.moving()...)
		}
	}
	for i := len(list) - 1; prune && i >= 0; i-- {
		if _, nothing := list[i].(act); !nothing {
			out = append(out, step{"prune", list[i]})
		}
	}
	return out
}

// run goes on past failures and joins them; it returns how many objects were
// written or removed.
func (p *phases) run(ctx context.Context, prune bool) (int, error) {
	var (
		total, changed  int
		errs            []error
		unsettled, half bool
		closed          = p.blind // the host is not ready for what comes out of gateways
		open            bool      // an edge that shall be closed may not be
	)
	n, err := p.pins.Put(ctx)
	total, errs = n, append(errs, err)
	moving := p.mover.waiting()
	for _, s := range p.steps(prune, moving) {
		name := s.verb + " " + s.Name()
		p.reached("before " + name)
		if s.Phase.Name() == p.published.Name() && (half || ctx.Err() != nil) {
			errs, unsettled = append(errs, errHalf), true
			if moving {
				break // the programs that run have a policy that is whole
			}
			continue
		}
		if closed && s.verb == "put" && p.isOutside(s.Phase) || p.blind && p.seen(s.Phase) || open && name == "prune firewall" {
			continue
		}
		if s.verb == "put" && s.Phase.Name() == p.direct.doors.Name() {
			p.direct.open()
		}
		if name == "put port" && unsettled {
			p.ports.Want(p.provisional(changed > 0))
		}
		n, err := s.do(ctx)
		if name == "put firewall" && err != nil {
			shut, failed := p.shut(ctx)
			n, err = n+shut, errors.Join(err, failed)
		}
		err = p.besides(s.Phase, err)
		if moving && s.Phase.Name() == p.attachments.Name() && s.verb == "put" && (nobodys(err) || ctx.Err() != nil) {
			errs = append(errs, err)
			break // some port still needs the other layout, for a reason of nobody's
		}
		if name == "prune edge" {
			open = err != nil
		}
		closed = closed || err != nil && (name == "prune edge" || name == "put firewall")
		unsettled = unsettled || err != nil && p.basis(s.Phase)
		half = half || p.missing(s.Phase, err)
		if p.basis(s.Phase) {
			changed += n - failures(err)
		}
		if n > 0 {
			p.reached("after " + name)
		}
		total += n
		errs = append(errs, err)
	}
	return total, errors.Join(errs...)
}

// shut closes all edges: without the table what comes out of them reaches the host.
// The next run wants them again.
func (p *phases) shut(ctx context.Context) (int, error) {
	p.edges.Want(nil)
	return p.edges.Prune(ctx)
}

// basis reports whether ports' verdicts rest on the objects of a phase.
func (p *phases) basis(x delta.Phase) bool {
	return slices.Contains([]string{p.rules.Name(), p.routes.Name(), p.endpoints.Name(), p.publics.Name(), p.filters.Name(), p.published.Name()}, x.Name())
}

// failures counts the objects that were tried in vain.
func failures(err error) int {
	n := 0
	for _, leaf := range leaves(err) {
		var one *delta.KeyError
		if errors.As(leaf, &one) && !one.Held {
			n++
		}
	}
	return n
}

// errHalf is why a change is not in force yet.
var errHalf = errors.New("policy: not put in force, because only a part of it could be written")

// missing reports whether a part of a change was not written that nobody is to
// blame for: the kernel could not be listed, or this process is to end. What one
// object is to blame for concerns that object.
func (p *phases) missing(x delta.Phase, err error) bool {
	return (p.basis(x) || x.Name() == p.policies.Name()) && nobodys(err)
}

// nobodys reports whether no single object is to blame for a part of err.
func nobodys(err error) bool {
	return err != nil && slices.ContainsFunc(leaves(err), func(leaf error) bool {
		var one *delta.KeyError
		return !errors.As(leaf, &one)
	})
}

// provisional are the entries with another version each. They are written where
// something they rest on could not be: the epoch that is counted now covers what
// could, and the true version will count one more for the rest. The kernel keeps
// the difference, should this process not live to see it. Whenever something was
// written, it is another difference.
func (p *phases) provisional(changed bool) map[maps.Slot]maps.Port {
	if changed {
		p.salt++
	}
	out := make(map[maps.Slot]maps.Port, len(p.entries))
	for k, e := range p.entries {
		e.Version = ^e.Version - p.salt
		if e.Version == p.entries[k].Version {
			e.Version--
		}
		out[k] = e
	}
	return out
}

func (p *phases) reached(name string) {
	if p.crash != nil {
		p.crash(name)
	}
}

// Steps names every point at which an Apply can be cut off.
func Steps() []string {
	p := newPhases(kernelDrivers{}, maps.New(nil), nil, &progs.Set{})
	var out []string
	for _, s := range p.steps(true, false) {
		name := s.verb + " " + s.Name()
		out = append(out, "before "+name, "after "+name)
	}
	return out
}
