package nl

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/vishvananda/netlink"
	vnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

// sizeofNdmsg is the length of struct ndmsg, in bytes.
const sizeofNdmsg = 12

// neighbour is one entry of a neighbour or forwarding table.
type neighbour struct {
	index  int
	state  uint16
	flags  uint8
	mac    spec.MAC
	addr   netip.Addr // of neighbours
	master int        // of forwarding entries: the bridge
	vlan   bool
}

// neighbours lists one family's table; AF_BRIDGE is the forwarding table.
func (c *conn) neighbours(family int) ([]neighbour, error) {
	msgs, err := c.dump(unix.RTM_GETNEIGH, &netlink.Ndmsg{Family: uint8(family)})
	if err != nil {
		return nil, err
	}
	out := make([]neighbour, len(msgs))
	for i, m := range msgs {
		if out[i], err = parseNeighbour(m); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// parseNeighbour reads struct ndmsg by offset: ifindex at 4, state at 8, flags
// at 10.
func parseNeighbour(m []byte) (neighbour, error) {
	if len(m) < sizeofNdmsg {
		return neighbour{}, errors.New("short neighbour message")
	}
	n := neighbour{
		index: int(number(m[4:])), state: binary.NativeEndian.Uint16(m[8:]), flags: m[10],
	}
	err := parseAttrs(m[sizeofNdmsg:], func(kind uint16, v []byte) {
		switch kind {
		case netlink.NDA_DST:
			n.addr, _ = netip.AddrFromSlice(v)
		case netlink.NDA_LLADDR:
			if len(v) == len(n.mac) {
				copy(n.mac[:], v)
			}
		case netlink.NDA_MASTER:
			n.master = int(number(v))
		case netlink.NDA_VLAN:
			n.vlan = true
		}
	})
	return n, err
}

// neighbours are permanent entries: our namespaces never resolve by asking.
type neighbours struct{ k *Kernel }

// Observe lists the permanent entries of both families.
func (d neighbours) Observe(ctx context.Context, _ map[NeighbourKey]spec.MAC) (map[NeighbourKey]spec.MAC, error) {
	out := map[NeighbourKey]spec.MAC{}
	err := d.k.each(ctx, func(c *conn) error {
		list, err := c.neighbours(unix.AF_UNSPEC)
		for _, n := range list {
			if n.state&netlink.NUD_PERMANENT != 0 && n.addr.IsValid() {
				out[NeighbourKey{c.name, n.index, n.addr}] = n.mac
			}
		}
		return err
	})
	return out, err
}

// Put adds or replaces the entry.
func (d neighbours) Put(_ context.Context, key NeighbourKey, mac spec.MAC) error {
	c, err := d.k.conn(key.Netns)
	if err != nil {
		return err
	}
	return c.write(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE,
		&netlink.Ndmsg{Family: uint8(family(key.Addr)), Index: uint32(key.Index), State: netlink.NUD_PERMANENT},
		vnl.NewRtAttr(netlink.NDA_DST, key.Addr.AsSlice()), vnl.NewRtAttr(netlink.NDA_LLADDR, mac[:]))
}

// Delete removes the entry.
func (d neighbours) Delete(_ context.Context, key NeighbourKey) error {
	return d.k.in(key.Netns, func(c *conn) error {
		err := c.write(unix.RTM_DELNEIGH, 0,
			&netlink.Ndmsg{Family: uint8(family(key.Addr)), Index: uint32(key.Index)},
			vnl.NewRtAttr(netlink.NDA_DST, key.Addr.AsSlice()))
		if gone(err) {
			return nil
		}
		return err
	})
}

// fdb are static entries of the bridges in our namespaces.
type fdb struct{ k *Kernel }

// Observe lists the static entries. Those that a bridge makes for the addresses
// of its own ports are permanent, not static, and not ours.
func (d fdb) Observe(ctx context.Context, _ map[FDBKey]int) (map[FDBKey]int, error) {
	out := map[FDBKey]int{}
	err := d.k.each(ctx, func(c *conn) error {
		list, err := c.forwarding()
		for _, n := range list {
			out[FDBKey{c.name, n.mac}] = n.index
		}
		return err
	})
	return out, err
}

// forwarding lists the static entries of the namespace's bridge.
func (c *conn) forwarding() ([]neighbour, error) {
	list, err := c.neighbours(unix.AF_BRIDGE)
	var out []neighbour
	for _, n := range list {
		if n.state == netlink.NUD_NOARP && n.master != 0 && !n.vlan && n.flags&netlink.NTF_SELF == 0 {
			out = append(out, n)
		}
	}
	return out, err
}

// Put adds the entry, or moves it to another port.
func (d fdb) Put(_ context.Context, key FDBKey, index int) error {
	c, err := d.k.conn(key.Netns)
	if err != nil {
		return err
	}
	return c.write(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE,
		&netlink.Ndmsg{Family: unix.AF_BRIDGE, Index: uint32(index), State: netlink.NUD_NOARP, Flags: netlink.NTF_MASTER},
		vnl.NewRtAttr(netlink.NDA_LLADDR, key.MAC[:]))
}

// Delete removes the entry from whichever port has it.
func (d fdb) Delete(_ context.Context, key FDBKey) error {
	return d.k.in(key.Netns, func(c *conn) error {
		list, err := c.forwarding()
		if err != nil {
			return err
		}
		for _, n := range list {
			if n.mac != key.MAC {
				continue
			}
			err := c.write(unix.RTM_DELNEIGH, 0,
				&netlink.Ndmsg{Family: unix.AF_BRIDGE, Index: uint32(n.index), Flags: netlink.NTF_MASTER},
				vnl.NewRtAttr(netlink.NDA_LLADDR, key.MAC[:]))
			if err != nil && !gone(err) {
				return err
			}
		}
		return nil
	})
}
