package nl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	vnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// portFlag is one setting of a bridge port and the value that keeps it silent.
type portFlag struct {
	attr  uint16
	name  string
	value byte
}

// portFlags close a port: without its program a frame reaches nothing but the
// namespace's own addresses. A kernel that lacks one does not list it.
var portFlags = []portFlag{
	{vnl.IFLA_BRPORT_ISOLATED, "isolated", 1},
	{vnl.IFLA_BRPORT_NEIGH_SUPPRESS, "neigh_suppress", 1},
	{vnl.IFLA_BRPORT_LEARNING, "learning", 0},
	{vnl.IFLA_BRPORT_UNICAST_FLOOD, "flood", 0},
	{vnl.IFLA_BRPORT_MCAST_FLOOD, "mcast_flood", 0},
	{vnl.IFLA_BRPORT_BCAST_FLOOD, "bcast_flood", 0},
	{vnl.IFLA_BRPORT_MODE, "hairpin", 0},
	{vnl.IFLA_BRPORT_PROXYARP, "proxy_arp", 0},
	{vnl.IFLA_BRPORT_PROXYARP_WIFI, "proxy_arp_wifi", 0},
}

// bridgePorts enslaves links.
type bridgePorts struct{ k *Kernel }

// Observe lists every link that has a bridge as master.
func (d bridgePorts) Observe(ctx context.Context, _ map[LinkKey]BridgePort) (map[LinkKey]BridgePort, error) {
	out := map[LinkKey]BridgePort{}
	err := d.k.each(ctx, func(c *conn) error {
		list, err := c.links()
		for _, s := range list {
			if s.master != 0 && s.port != nil {
				out[LinkKey{c.name, s.index}] = BridgePort{Master: s.master, Wrong: portWrong(s)}
			}
		}
		return err
	})
	return out, err
}

// portWrong names the flags that are open, in a fixed order.
func portWrong(s linkState) string {
	var wrong []string
	for _, f := range portFlags {
		if have, ok := s.port[f.attr]; ok && have != f.value {
			wrong = append(wrong, fmt.Sprintf("%s %d", f.name, have))
		}
	}
	slices.Sort(wrong)
	return strings.Join(wrong, ", ")
}

// Put enslaves, then closes the port. Between the two requests the port has the
// bridge's defaults, so links are brought up later.
func (d bridgePorts) Put(_ context.Context, key LinkKey, v BridgePort) error {
	c, err := d.k.conn(key.Netns)
	if err != nil {
		return err
	}
	have, err := c.link(key.Index, "")
	if err != nil {
		return err
	}
	if have.master != v.Master {
		master := vnl.NewRtAttr(unix.IFLA_MASTER, vnl.Uint32Attr(uint32(v.Master)))
		if err := c.setLink(key.Index, master); err != nil {
			return fmt.Errorf("enslave to %d: %w", v.Master, err)
		}
	} else if portWrong(have) == "" {
		return nil
	}
	msg := vnl.NewIfInfomsg(unix.AF_BRIDGE)
	msg.Index = int32(key.Index)
	info := vnl.NewRtAttr(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, nil)
	for _, f := range portFlags {
		info.AddRtAttr(int(f.attr), []byte{f.value})
	}
	if err := c.write(unix.RTM_SETLINK, 0, msg, info); err != nil {
		return fmt.Errorf("close port: %w", err)
	}
	return nil
}

// Delete takes the link out of its bridge.
func (d bridgePorts) Delete(_ context.Context, key LinkKey) error {
	return d.k.in(key.Netns, func(c *conn) error {
		have, err := c.link(key.Index, "")
		if gone(err) || err == nil && have.master == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		err = c.setLink(key.Index, vnl.NewRtAttr(unix.IFLA_MASTER, vnl.Uint32Attr(0)))
		if gone(err) {
			return nil
		}
		return err
	})
}

// ups is the administrative state of links.
type ups struct{ k *Kernel }

// loIndex is the loopback's index in every namespace.
const loIndex = 1

// Observe lists the links that are up. The loopback counts only where it is
// wanted: its state hurts nobody.
func (d ups) Observe(ctx context.Context, want map[LinkKey]Up) (map[LinkKey]Up, error) {
	out := map[LinkKey]Up{}
	err := d.k.each(ctx, func(c *conn) error {
		list, err := c.links()
		for _, s := range list {
			key := LinkKey{c.name, s.index}
			if _, ok := want[key]; s.up && (ok || s.index != loIndex) {
				out[key] = Up{}
			}
		}
		return err
	})
	return out, err
}

// Put brings the link up.
func (d ups) Put(_ context.Context, key LinkKey, _ Up) error { return d.set(key, true) }

// Delete brings it down.
func (d ups) Delete(_ context.Context, key LinkKey) error {
	err := d.set(key, false)
	if gone(err) {
		return nil
	}
	return err
}

func (d ups) set(key LinkKey, up bool) error {
	c, err := d.k.conn(key.Netns)
	if err != nil {
		return err
	}
	have, err := c.link(key.Index, "")
	if err != nil || have.up == up {
		return err
	}
	err = c.setUp(key.Index, up)
	if up && errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("vanished: %w", err)
	}
	return err
}
