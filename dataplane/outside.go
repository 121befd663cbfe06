package dataplane

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/vpcfabric/vpc/dataplane/delta"
	"github.com/vpcfabric/vpc/dataplane/ipt"
	"github.com/vpcfabric/vpc/dataplane/nft"
	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/gateways"
)

// Outside is the host's own network, where the edges of VPCs end.
type Outside struct {
	// Netns is the path of its namespace; empty is the one that this process runs
	// in.
	Netns string
	// Records is the directory in which is noted what the host had before it was
	// changed; empty is DefaultRecords. All daemons of a machine share it.
	Records string
}

// DefaultRecords ends with the machine, as do the values that it remembers.
const DefaultRecords = "/run/vpcd/records"

func (o Outside) complete() Outside {
	return Outside{Netns: cmp.Or(o.Netns, "/proc/thread-self/ns/net"), Records: cmp.Or(o.Records, DefaultRecords)}
}

// host is what Open knows of the host's network.
type host struct {
	*nl.Outside
	netns    spec.Netns
	path     string
	firewall *nft.Driver
	accepts  *ipt.Driver
	// uplinks and machine as they were last read.
	uplinks []string
	machine gateways.Host
	// local are the host's addresses likewise, but for those in pools.
	local []netip.Addr
	// pools are those of mode nat that were last wanted.
	pools []netip.Prefix
	// devices likewise, where a pool is the world's business.
	devices []nl.Device
}

// blind says that nothing of the host was read yet, though somebody has a gateway.
func (o *host) blind(h *spec.Host, there bool) bool {
	return (len(edgesOf(h)) > 0 || there) && o.machine.LastPort == 0
}

func openHost(k *nl.Kernel, cfg Config) (*host, error) {
	o := cfg.Outside.complete()
	netns, err := nl.Identify(o.Netns)
	if err != nil {
		return nil, fmt.Errorf("the host's network: %w", err)
	}
	return &host{
		Outside: k.Outside(o.Netns, o.Records), netns: netns, path: o.Netns,
		firewall: nft.Open(o.Netns, cfg.Name), accepts: ipt.Open(o.Netns, cfg.Name),
	}, nil
}

// look reads the uplinks and what the firewall rests on, where somebody wants to get
// out by them or an edge is still there. Where they cannot be read those of before
// count.
func (o *host) look(h *spec.Host, there bool) error {
	o.pools = nil
	for _, p := range sortedPools(h) {
		if h.Pools[p].Mode == spec.PoolNAT {
			o.pools = append(o.pools, p)
		}
	}
	if len(edgesOf(h)) == 0 && !there {
		return nil
	}
	uplinks, err := o.Uplinks()
	if err != nil {
		return outsideError{fmt.Errorf("find the host's default routes: %w", err)}
	}
	quiet, err := o.Quiet(uplinks)
	if err != nil {
		return outsideError{fmt.Errorf("find out who forwards: %w", err)}
	}
	first, last, err := o.FreePorts()
	if err != nil {
		return outsideError{fmt.Errorf("find ports for public addresses: %w", err)}
	}
	local, err := o.Addresses()
	if err != nil {
		return outsideError{fmt.Errorf("list the host's addresses: %w", err)}
	}
	o.local = foreign(h, local)
	o.uplinks, o.machine = uplinks, gateways.Host{FirstPort: first, LastPort: last, Quiet: quiet}
	if !isDirect(h) {
		return nil
	}
	devices, err := o.Devices()
	if err != nil {
		return outsideError{fmt.Errorf("list the host's devices: %w", err)}
	}
	o.devices = devices
	return misplaced(h, devices)
}

// mostLocal bounds how many of the host's addresses the programs refuse; about the
// others the firewall decides alone.
const mostLocal = 2048

// admit leaves out the pools that somebody else has on this host, and the public
// addresses in them: no device of ours gets one, and nothing leads to them. What is
// said of each is the error.
func (o *host) admit(h *spec.Host) (*spec.Host, error) {
	if len(edgesOf(h)) == 0 {
		return h, nil
	}
	pools, errs := map[netip.Prefix]spec.Pool{}, []error{}
	for _, p := range sortedPools(h) {
		// One of mode arp is a part of the host's own network: routes tell whether it
		// may be.
		if err := o.Free(p); err != nil && h.Pools[p].Mode != spec.PoolARP {
			errs = append(errs, outsideError{fmt.Errorf("pool %v: %w", p, err)})
			continue
		}
		pools[p] = h.Pools[p]
	}
	if len(errs) == 0 {
		return h, nil
	}
	less := *h
	less.Pools, less.Public = pools, map[netip.Addr]spec.Public{}
	for a, p := range h.Public {
		for pool := range pools {
			if pool.Contains(a) {
				less.Public[a] = p
			}
		}
	}
	return &less, errors.Join(errs...)
}

// foreign are the addresses that are not the host's own in a pool, with which it
// speaks to public ones.
func foreign(h *spec.Host, local []netip.Addr) []netip.Addr {
	local = slices.DeleteFunc(local, func(a netip.Addr) bool {
		for _, p := range h.Pools {
			if p.Host == a {
				return true
			}
		}
		return false
	})
	return local[:min(len(local), mostLocal)]
}

// outsideError is a failure of the host's side of gateways. It concerns no
// interface: what is inside works without.
type outsideError struct{ error }

func (e outsideError) Unwrap() error { return e.error }

// besides marks errors of phases outside.
func (p *phases) besides(x delta.Phase, err error) error {
	if err == nil || !p.isOutside(x) {
		return err
	}
	var out []error
	for _, leaf := range leaves(err) {
		out = append(out, outsideError{leaf})
	}
	return errors.Join(out...)
}

func (p *phases) isOutside(x delta.Phase) bool {
	for _, o := range p.outside() {
		if o.Name() == x.Name() {
			return true
		}
	}
	return false
}

// seen reports whether the objects of a phase depend on what is seen of the host.
func (p *phases) seen(x delta.Phase) bool {
	return slices.Contains([]string{p.firewall.Name(), p.forwarding.Name(), p.accepts.Name()}, x.Name())
}

// outside is what a gateway needs on the host, in order: the firewall knows an
// edge before it opens, and nothing leads into it until it is open.
func (p *phases) outside() []delta.Phase {
	return append([]delta.Phase{p.firewall, p.edges, p.forwarding, p.accepts, p.hostRoutes}, p.direct.list()...)
}

// cleanup gives the host's network back. It comes after the edges are gone, which
// the firewall has to outlive: open says that one may not be. Where there was none,
// iptables that do not work are nobody's business; that there was one the table
// tells, which goes last, to a second attempt too.
func (o Outside) cleanup(ctx context.Context, k *nl.Kernel, host string, edges, open bool) error {
	o = o.complete()
	out := k.Outside(o.Netns, o.Records)
	defer out.Close()
	table, _ := nft.Open(o.Netns, host).Observe(ctx, nil)
	rules := ipt.Cleanup(ctx, o.Netns, host)
	if !edges && len(table) == 0 {
		rules = nil
	}
	err := errors.Join(out.Cleanup(ctx), rules)
	if !open && rules == nil {
		err = errors.Join(err, nft.Cleanup(ctx, o.Netns, host))
	}
	if gone := os.Remove(o.Records); gone != nil && !os.IsNotExist(gone) && !isNotEmpty(gone) {
		err = errors.Join(err, gone)
	}
	return err
}
