package nl

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"

	vnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// HostRoute is where the host sends packets for a public address, or for a whole
// pool.
type HostRoute struct {
	// Device is the name of an edge; empty means that nobody has the address,
	// and the host says so instead of asking the world.
	Device string
	// Within is the device of a network that a pool is cut out of; empty means
	// that the pool is apart from everybody's networks.
	Within string
	// Wrong is empty in what is wanted; a listing names what differs and has
	// no field, for example "via 192.0.2.1".
	Wrong string
}

// hostRoutes are the routes of the main table that carry our protocol number and
// the host's mark as their metric. The mark tells the daemons of one machine
// apart, and keeps a replacement from ever meeting a route of somebody else's.
type hostRoutes struct{ o *Outside }

// ownRoute is one of them as the kernel lists it.
type ownRoute struct {
	dest  netip.Prefix
	value HostRoute
	index int
}

// Observe lists all routes of the host.
func (d hostRoutes) Observe(ctx context.Context, want map[netip.Prefix]HostRoute) (map[netip.Prefix]HostRoute, error) {
	c, err := d.o.conn()
	if err != nil {
		return nil, err
	}
	msgs, err := c.ourRoutes()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	names := map[int]string{0: ""}
	out := map[netip.Prefix]HostRoute{}
	for _, m := range msgs {
		r, ours, err := d.parse(m)
		if err != nil {
			return nil, err
		}
		if !ours {
			continue
		}
		if _, known := names[r.index]; !known {
			s, err := c.link(r.index, "")
			if err != nil {
				if gone(err) { // and the route with it
					continue
				}
				return nil, err
			}
			names[r.index] = s.name
		}
		r.value.Device, r.value.Within = names[r.index], want[r.dest].Within // which the kernel does not keep
		out[r.dest] = r.value
	}
	d.know(maps.Keys(out))
	return out, ctx.Err()
}

// parse is false for what is not this host's.
func (d hostRoutes) parse(m []byte) (r ownRoute, ours bool, err error) {
	if len(m) < unix.SizeofRtMsg {
		return r, false, errors.New("short route message")
	}
	rt := vnl.DeserializeRtMsg(m)
	dest := netip.IPv4Unspecified()
	var metric uint32
	err = parseAttrs(m[unix.SizeofRtMsg:], func(kind uint16, v []byte) {
		switch kind {
		case unix.RTA_DST:
			dest, _ = netip.AddrFromSlice(v)
		case unix.RTA_PRIORITY:
			metric = number(v)
		case unix.RTA_OIF:
			r.index = int(number(v))
		case unix.RTA_GATEWAY:
			if via, ok := netip.AddrFromSlice(v); ok {
				r.value.Wrong = "via " + via.String()
			}
		}
	})
	r.dest = netip.PrefixFrom(dest, int(rt.Dst_len))
	if (rt.Type == unix.RTN_UNREACHABLE) != (r.index == 0) {
		r.value.Wrong = fmt.Sprintf("type %d", rt.Type)
	}
	return r, rt.Protocol == protocol && rt.Table == unix.RT_TABLE_MAIN && metric == d.o.mark && r.dest.IsValid(), err
}

// Put makes the route or points it elsewhere, in one step: no packet meets the
// time between two.
func (d hostRoutes) Put(_ context.Context, dest netip.Prefix, v HostRoute) error {
	if !dest.Addr().Is4() || dest != dest.Masked() || dest.Bits() == 0 {
		return fmt.Errorf("%v is no public address and no pool", dest)
	}
	c, err := d.o.conn()
	if err != nil {
		return err
	}
	if err := d.vacant(c, dest, v.Within); err != nil {
		return err
	}
	msg, parts := d.parts(dest)
	msg.Protocol, msg.Type = protocol, unix.RTN_UNREACHABLE
	if v.Device != "" {
		s, err := c.link(0, v.Device)
		if err != nil {
			return fmt.Errorf("edge %s: %w", v.Device, err)
		}
		msg.Type, msg.Scope = unix.RTN_UNICAST, unix.RT_SCOPE_LINK
		parts = append(parts, vnl.NewRtAttr(unix.RTA_OIF, vnl.Uint32Attr(uint32(s.index))))
	}
	if err := c.write(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, parts...); err != nil {
		return err
	}
	d.know(slices.Values([]netip.Prefix{dest}))
	return nil
}

// know keeps in mind which pools have a route of ours.
func (d hostRoutes) know(routes iter.Seq[netip.Prefix]) {
	d.o.mu.Lock()
	defer d.o.mu.Unlock()
	for r := range routes {
		if !r.IsSingleIP() {
			d.o.pools[r] = struct{}{}
		}
	}
}

// inPool reports whether a prefix lies within a pool of ours.
func (d hostRoutes) inPool(dest netip.Prefix) bool {
	d.o.mu.Lock()
	defer d.o.mu.Unlock()
	for p := range d.o.pools {
		if p.Bits() < dest.Bits() && p.Contains(dest.Addr()) {
			return true
		}
	}
	return false
}

// ErrTaken says that addresses of a pool are already in use on the host.
var ErrTaken = errors.New("is taken on this host")

// minNetwork is the length of the widest prefix that somebody can be in. A tunnel
// that is to take everything has two routes of length 1, which are no claim.
const minNetwork = 8

// vacant refuses addresses that somebody else has here: ours would be the better
// route, and his would be without traffic. A route of his that is wider and leads
// to another router is no such claim; a pool may be cut out of it, and out of the
// network of the device within.
func (d hostRoutes) vacant(c *conn, dest netip.Prefix, within string) error {
	if !d.inPool(dest) {
		if err := d.unclaimed(c, dest); err != nil {
			return err
		}
	}
	msg := &vnl.RtMsg{}
	msg.Family, msg.Dst_len, msg.Flags = unix.AF_INET, 32, unix.RTM_F_FIB_MATCH
	msgs, err := c.get(unix.RTM_GETROUTE, msg, vnl.NewRtAttr(unix.RTA_DST, dest.Addr().AsSlice()))
	if errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EACCES) {
		return nil // no way there, on purpose or not
	}
	if err != nil || len(msgs) != 1 {
		return errors.Join(err, fmt.Errorf("%d answers for one route", len(msgs)))
	}
	r, ours, err := d.parse(msgs[0])
	distant := r.value.Wrong != "" && r.dest.Bits() < dest.Bits()
	if err != nil || ours || r.dest.Bits() < minNetwork || distant {
		return err
	}
	device, err := c.link(r.index, "")
	if err == nil && within != "" && device.name == within && r.dest.Bits() < dest.Bits() {
		return nil
	}
	return errors.Join(err, fmt.Errorf("%v %w: there is a route to %v, device %s", dest, ErrTaken, r.dest, device.name))
}

// Free says why a pool cannot be ours: somebody else has its addresses here. One
// whose route is ours already stays so.
func (o *Outside) Free(pool netip.Prefix) error {
	c, err := o.conn()
	if err != nil {
		return err
	}
	d := hostRoutes{o}
	msgs, err := c.ourRoutes()
	if err != nil {
		return err
	}
	for _, m := range msgs {
		if r, ours, err := d.parse(m); err != nil || ours && r.dest == pool {
			return err
		}
	}
	return d.vacant(c, pool, "")
}

// unclaimed refuses what another daemon of this machine has.
func (d hostRoutes) unclaimed(c *conn, dest netip.Prefix) error {
	msgs, err := c.ourRoutes()
	if err != nil {
		return err
	}
	for _, m := range msgs {
		r, ours, err := d.parse(m)
		if err != nil {
			return err
		}
		if !ours && r.dest.Overlaps(dest) {
			return fmt.Errorf("%v %w: another vpcd has a route to %v", dest, ErrTaken, r.dest)
		}
	}
	return nil
}

// parts name a route of this host.
func (d hostRoutes) parts(dest netip.Prefix) (*vnl.RtMsg, []vnl.NetlinkRequestData) {
	msg := &vnl.RtMsg{}
	msg.Family, msg.Table, msg.Dst_len = unix.AF_INET, unix.RT_TABLE_MAIN, uint8(dest.Bits())
	return msg, []vnl.NetlinkRequestData{
		msg, vnl.NewRtAttr(unix.RTA_DST, dest.Addr().AsSlice()), vnl.NewRtAttr(unix.RTA_PRIORITY, vnl.Uint32Attr(d.o.mark)),
	}
}

// Delete removes the route.
func (d hostRoutes) Delete(_ context.Context, dest netip.Prefix) error {
	c, err := d.o.conn()
	if err != nil {
		return err
	}
	msg, parts := d.parts(dest)
	msg.Protocol, msg.Scope = protocol, unix.RT_SCOPE_NOWHERE // of any scope
	d.o.mu.Lock()
	delete(d.o.pools, dest)
	d.o.mu.Unlock()
	if err := c.write(unix.RTM_DELROUTE, 0, parts...); !gone(err) {
		return err
	}
	return nil
}

// routeDevices are the devices of a route, of all its next hops.
func routeDevices(m []byte) (out []int, err error) {
	var hops []byte
	err = parseAttrs(m[unix.SizeofRtMsg:], func(kind uint16, v []byte) {
		switch kind {
		case unix.RTA_OIF:
			out = append(out, int(number(v)))
		case unix.RTA_MULTIPATH:
			hops = v
		}
	})
	// struct rtnexthop: its length with attributes, flags, weight, ifindex.
	for len(hops) >= unix.SizeofRtNexthop && err == nil {
		size := int(binary.NativeEndian.Uint16(hops))
		if size < unix.SizeofRtNexthop || size > len(hops) {
			return nil, fmt.Errorf("next hop of %d bytes where %d are left", size, len(hops))
		}
		out = append(out, int(number(hops[4:])))
		hops = hops[min(len(hops), (size+attrHeader-1)&^(attrHeader-1)):]
	}
	return out, err
}
