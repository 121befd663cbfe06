package nl

import (
	"errors"
	"fmt"
	"net/netip"

	vnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// route is one default route of a namespace's main table.
type route struct {
	index    int
	gateway  netip.Addr
	protocol byte
	metric   uint32
}

// defaultRoutes lists the default routes of one family. Of IPv4 it reads only
// the head of the table: its owner may have put any number of routes there.
func (c *conn) defaultRoutes(family int) ([]route, error) {
	msgs, err := whole(func() ([][]byte, error) { return c.mainRoutes(family) })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	var out []route
	for _, m := range msgs {
		r, ok, err := parseDefaultRoute(m)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, r)
		}
	}
	return out, nil
}

// parseDefaultRoute is false for a route to anything less than everything.
func parseDefaultRoute(m []byte) (route, bool, error) {
	if len(m) < unix.SizeofRtMsg {
		return route{}, false, errors.New("short route message")
	}
	rt := vnl.DeserializeRtMsg(m)
	if rt.Dst_len != 0 || rt.Table != unix.RT_TABLE_MAIN || rt.Type != unix.RTN_UNICAST {
		return route{}, false, nil
	}
	r := route{protocol: rt.Protocol}
	err := parseAttrs(m[unix.SizeofRtMsg:], func(kind uint16, v []byte) {
		switch kind {
		case unix.RTA_OIF:
			r.index = int(number(v))
		case unix.RTA_GATEWAY:
			r.gateway, _ = netip.AddrFromSlice(v)
		case unix.RTA_PRIORITY:
			r.metric = number(v)
		}
	})
	return r, true, err
}

// addDefaultRoute adds a route of ours. One of the same metric that is there
// already makes it fail with unix.EEXIST.
func (c *conn) addDefaultRoute(index int, gateway netip.Addr, onlink bool) error {
	return c.write(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, routeParts(index, gateway, onlink)...)
}

func (c *conn) deleteDefaultRoute(r route) error {
	err := c.write(unix.RTM_DELROUTE, 0, routeParts(r.index, r.gateway, false)...)
	if gone(err) {
		return nil
	}
	return err
}

func routeParts(index int, gateway netip.Addr, onlink bool) []vnl.NetlinkRequestData {
	msg := vnl.NewRtMsg()
	msg.Family = uint8(family(gateway))
	msg.Protocol = protocol
	if onlink {
		msg.Flags = unix.RTNH_F_ONLINK
	}
	return []vnl.NetlinkRequestData{
		msg, vnl.NewRtAttr(unix.RTA_GATEWAY, gateway.AsSlice()),
		vnl.NewRtAttr(unix.RTA_OIF, vnl.Uint32Attr(uint32(index))),
	}
}
