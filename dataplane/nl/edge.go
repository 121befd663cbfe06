package nl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

// EdgeAlias begins the alias of a Link that is the inner end of an edge. It tells
// edges from ports whose workload lives in the host's namespace as well.
const EdgeAlias = "igw "

// Edge is the outer end of a VPC's edge, a device on the host. The pair itself is
// a Link, whose Peer is the host's namespace, whose PeerName is Name and whose
// Alias begins with EdgeAlias.
type Edge struct {
	Name string
	// Alias is what people see with `ip -d link`: whose it is.
	Alias string
	// MAC is also the destination of every frame that the host sends into the
	// edge, because nobody there answers ARP.
	MAC spec.MAC
	MTU int // bytes
	// Addr is the host's own address in the pool, the same on all edges.
	Addr netip.Addr

	// Wrong is empty in what is wanted; a listing names what differs and has
	// no field, for example "down".
	Wrong string
}

// sysctlsOfEdges, below net/. A packet from an edge is forwarded, comes from an
// address that a route of the edge leads to, and never moves another route.
// Nothing there speaks IPv6 or ARP.
var sysctlsOfEdges = []struct{ family, name, value string }{
	{"ipv4", "forwarding", "1"},
	{"ipv4", "rp_filter", "1"},
	{"ipv4", "send_redirects", "0"},
	{"ipv4", "accept_redirects", "0"},
	{"ipv4", "secure_redirects", "0"},
	{"ipv4", "accept_source_route", "0"},
	{"ipv4", "accept_local", "0"},
	{"ipv4", "route_localnet", "0"},
	{"ipv4", "proxy_arp", "0"},
	{"ipv4", "arp_ignore", "8"},
	{"ipv6", "disable_ipv6", "1"},
}

// edges configures outer ends. A missing one means a missing pair, which is the
// business of links.
type edges struct{ o *Outside }

// find returns the outer end of the pair of a port. A pair that is missing or
// leads elsewhere is unix.ENODEV.
func (d edges) find(outer *conn, key LinkKey) (linkState, error) {
	missing := fmt.Errorf("%v has no other end in %s: %w", key, outer.name, unix.ENODEV)
	inner, err := d.o.k.conn(key.Netns)
	if errors.Is(err, fs.ErrNotExist) {
		return linkState{}, missing
	}
	if err != nil {
		return linkState{}, err
	}
	s, err := inner.link(key.Index, "")
	if err != nil {
		return s, err
	}
	if ok, err := inner.leadsTo(s, outer.fd(), outer.id); err != nil || !ok || s.kind != "veth" {
		return s, errors.Join(missing, err)
	}
	return outer.link(s.peer, "")
}

// Observe reads the edges that are wanted, and finds those that nobody wants any
// more, so that they are closed before the firewall forgets them.
func (d edges) Observe(ctx context.Context, want map[LinkKey]Edge) (map[LinkKey]Edge, error) {
	there, err := d.inside(ctx)
	if err != nil || len(there) == 0 {
		return nil, err
	}
	c, err := d.o.conn()
	if err != nil {
		return nil, err
	}
	list, err := c.addresses()
	if err != nil {
		return nil, err
	}
	out := make(map[LinkKey]Edge, len(there))
	for _, key := range there {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s, err := d.find(c, key)
		w, wanted := want[key]
		if gone(err) || err == nil && !wanted && !s.up {
			continue
		}
		if err != nil {
			return nil, err
		}
		if out[key], err = value(c, s, list, w); err != nil {
			return nil, fmt.Errorf("%v: %w", key, err)
		}
	}
	return out, nil
}

// inside lists the inner ends of edges.
func (d edges) inside(ctx context.Context) (out []LinkKey, err error) {
	err = d.o.k.each(ctx, func(c *conn) error {
		list, err := c.links()
		for _, s := range list {
			if s.kind == "veth" && strings.HasPrefix(s.alias, EdgeAlias) {
				out = append(out, LinkKey{c.name, s.index})
			}
		}
		return err
	})
	return out, err
}

// value renders the state as an Edge; what is as wanted equals w.
func value(c *conn, s linkState, list []address, w Edge) (Edge, error) {
	v := Edge{Name: s.name, Alias: s.alias, MAC: s.mac, MTU: s.mtu}
	var wrong []string
	if !s.up {
		wrong = append(wrong, "down")
	}
	if !s.noarp {
		wrong = append(wrong, "ARP on")
	}
	for _, a := range list {
		switch {
		case a.index != s.index:
		case a.prefix == host(w.Addr):
			v.Addr = w.Addr
		default:
			wrong = append(wrong, "address "+a.prefix.String())
		}
	}
	err := eachSysctl(c, s.name, func(path, have, want string) error {
		if have != want {
			wrong = append(wrong, path+" "+have)
		}
		return nil
	})
	v.Wrong = strings.Join(wrong, ", ")
	return v, err
}

func host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// eachSysctl calls fn in the namespace with each sysctl of a device that shall
// have a value. A device that vanished has none.
func eachSysctl(c *conn, device string, fn func(path, have, want string) error) error {
	return inFile(c.ns, func() error {
		for _, s := range sysctlsOfEdges {
			path := "net/" + s.family + "/conf/" + device + "/" + s.name
			have, err := readSysctl(path, s.value)
			if errors.Is(err, fs.ErrNotExist) {
				continue // of IPv6 also where the MTU is too small for it
			}
			if err == nil {
				err = fn(path, have, s.value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Put configures the outer end. It is up last: until then nothing comes in.
func (d edges) Put(_ context.Context, key LinkKey, v Edge) error {
	if !v.Addr.Is4() || v.Alias == "" || len(v.Alias) > maxAlias {
		return fmt.Errorf("edge %q needs an IPv4 address, not %v, and an alias of 1 to %d bytes", v.Name, v.Addr, maxAlias)
	}
	c, err := d.o.conn()
	if err != nil {
		return err
	}
	s, err := d.find(c, key)
	if err != nil {
		return err
	}
	err = correct(c, s, v.Name, v.Alias, v.MAC, v.MTU)
	if errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("the host has another device named %s: %w", v.Name, err)
	}
	if err == nil && !s.noarp {
		err = c.setFlag(s.index, unix.IFF_NOARP, true)
	}
	if err == nil {
		err = d.putSysctls(c, v.Name)
	}
	if err == nil {
		err = putEdgeAddress(c, s.index, host(v.Addr))
	}
	if err == nil && !s.up {
		err = c.setUp(s.index, true)
	}
	return err
}

func (d edges) putSysctls(c *conn, device string) error {
	return eachSysctl(c, device, func(path, have, want string) error {
		if have == want {
			return nil
		}
		return d.o.turn(path, want)
	})
}

// putEdgeAddress leaves one address on the device: it is ours alone.
func putEdgeAddress(c *conn, index int, want netip.Prefix) error {
	list, err := c.addresses()
	if err != nil {
		return err
	}
	there := slices.ContainsFunc(list, func(a address) bool { return a.index == index && a.prefix == want })
	if !there {
		if err := c.setAddress(index, want, protocol); err != nil {
			return fmt.Errorf("add %s: %w", want, err)
		}
	}
	for _, a := range list {
		if a.index == index && a.prefix != want {
			if err := c.deleteAddress(index, a.prefix); err != nil {
				return fmt.Errorf("remove %s: %w", a.prefix, err)
			}
		}
	}
	return nil
}

// Delete closes the edge; the device itself goes with its pair.
func (d edges) Delete(_ context.Context, key LinkKey) error {
	c, err := d.o.conn()
	if err != nil {
		return err
	}
	s, err := d.find(c, key)
	if err == nil && s.up {
		err = c.setUp(s.index, false)
	}
	if gone(err) {
		return nil
	}
	return err
}
