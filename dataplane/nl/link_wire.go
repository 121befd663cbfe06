package nl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	vnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

// genModeNone is IN6_ADDR_GEN_MODE_NONE: no link-local address by itself.
const genModeNone = 1

// attrMask takes the flags off an attribute's type.
const attrMask = 0x3fff

// noNsid is what the kernel says for a peer in the same namespace or for a
// namespace that was never numbered.
const noNsid = -1

// linkState is a link as one message of a listing describes it.
type linkState struct {
	index    int
	kind     string
	name     string
	alias    string
	mac      spec.MAC
	mtu      int
	up       bool
	noarp    bool
	loopback bool
	carrier  bool
	master   int
	peer     int // ifindex of the other end of a veth
	nsid     int // of the namespace the other end is in, seen from here
	genMode  int // -1 without IPv6
	bridge   map[uint16]byte
	port     map[uint16]byte
}

// attrHeader is the length of struct rtattr, in bytes.
const attrHeader = 4

// parseAttrs calls fn for each attribute, with the flags off its type. Bytes
// that do not add up are an error, never a panic.
func parseAttrs(b []byte, fn func(kind uint16, v []byte)) error {
	for len(b) >= attrHeader {
		size := int(binary.NativeEndian.Uint16(b))
		if size < attrHeader || size > len(b) {
			return fmt.Errorf("attribute of %d bytes where %d are left", size, len(b))
		}
		fn(binary.NativeEndian.Uint16(b[2:])&attrMask, b[attrHeader:size])
		b = b[min(len(b), (size+attrHeader-1)&^(attrHeader-1)):]
	}
	return nil
}

func parseLink(m []byte) (linkState, error) {
	if len(m) < unix.SizeofIfInfomsg {
		return linkState{}, errors.New("short link message")
	}
	msg := vnl.DeserializeIfInfomsg(m)
	s := linkState{
		index: int(msg.Index), up: msg.Flags&unix.IFF_UP != 0, noarp: msg.Flags&unix.IFF_NOARP != 0,
		loopback: msg.Flags&unix.IFF_LOOPBACK != 0, nsid: noNsid, genMode: -1,
	}
	var inner error
	err := parseAttrs(m[unix.SizeofIfInfomsg:], func(kind uint16, v []byte) {
		switch kind {
		case unix.IFLA_IFNAME:
			s.name = text(v)
		case unix.IFLA_IFALIAS:
			s.alias = text(v)
		case unix.IFLA_ADDRESS:
			if len(v) == len(s.mac) {
				copy(s.mac[:], v)
			}
		case unix.IFLA_MTU:
			s.mtu = int(number(v))
		case unix.IFLA_CARRIER:
			s.carrier = len(v) > 0 && v[0] != 0
		case unix.IFLA_MASTER:
			s.master = int(number(v))
		case unix.IFLA_LINK:
			s.peer = int(number(v))
		case unix.IFLA_LINK_NETNSID:
			s.nsid = int(int32(number(v)))
		case unix.IFLA_LINKINFO:
			inner = errors.Join(inner, s.parseInfo(v))
		case unix.IFLA_AF_SPEC:
			inner = errors.Join(inner, s.parseFamilies(v))
		}
	})
	return s, errors.Join(err, inner)
}

// parseInfo reads what depends on the kind: of the bridge itself, and of the
// bridge this link is a port of.
func (s *linkState) parseInfo(b []byte) error {
	var data, slave []byte
	var slaveKind string
	err := parseAttrs(b, func(kind uint16, v []byte) {
		switch kind {
		case vnl.IFLA_INFO_KIND:
			s.kind = text(v)
		case vnl.IFLA_INFO_DATA:
			data = v
		case vnl.IFLA_INFO_SLAVE_KIND:
			slaveKind = text(v)
		case vnl.IFLA_INFO_SLAVE_DATA:
			slave = v
		}
	})
	if s.kind == "bridge" {
		s.bridge = map[uint16]byte{}
		err = errors.Join(err, parseBytes(data, s.bridge))
	}
	if slaveKind == "bridge" {
		s.port = map[uint16]byte{}
		err = errors.Join(err, parseBytes(slave, s.port))
	}
	return err
}

// parseFamilies finds how IPv6 addresses are made; a kernel or link without
// IPv6 does not say.
func (s *linkState) parseFamilies(b []byte) error {
	var inner error
	err := parseAttrs(b, func(family uint16, v []byte) {
		if family == unix.AF_INET6 {
			inner = parseAttrs(v, func(kind uint16, v []byte) {
				if kind == unix.IFLA_INET6_ADDR_GEN_MODE && len(v) > 0 {
					s.genMode = int(v[0])
				}
			})
		}
	})
	return errors.Join(err, inner)
}

// parseBytes keeps the first byte of each attribute: enough for flags and for
// numbers that are compared with zero or one.
func parseBytes(b []byte, into map[uint16]byte) error {
	return parseAttrs(b, func(kind uint16, v []byte) {
		if len(v) > 0 {
			into[kind] = v[0]
		}
	})
}

func text(v []byte) string { return strings.TrimRight(string(v), "\x00") }

func number(v []byte) uint32 {
	if len(v) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(v)
}

// links lists the links of the namespace.
func (c *conn) links() ([]linkState, error) {
	msgs, err := c.dump(unix.RTM_GETLINK, vnl.NewIfInfomsg(unix.AF_UNSPEC))
	if err != nil {
		return nil, err
	}
	out := make([]linkState, len(msgs))
	for i, m := range msgs {
		if out[i], err = parseLink(m); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// link reads one link by index, or by name where index is zero. One that is
// missing is unix.ENODEV.
func (c *conn) link(index int, name string) (linkState, error) {
	msg := vnl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	parts := []vnl.NetlinkRequestData{msg}
	if index == 0 {
		parts = append(parts, vnl.NewRtAttr(unix.IFLA_IFNAME, vnl.ZeroTerminated(name)))
	}
	msgs, err := c.get(unix.RTM_GETLINK, parts...)
	if err != nil {
		return linkState{}, err
	}
	if len(msgs) != 1 {
		return linkState{}, fmt.Errorf("%d answers for one link", len(msgs))
	}
	return parseLink(msgs[0])
}

// setLink changes one link; attributes come in any order.
func (c *conn) setLink(index int, attrs ...*vnl.RtAttr) error {
	msg := vnl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	return c.write(unix.RTM_SETLINK, 0, withAttrs(msg, attrs)...)
}

// setUp changes the administrative state of one link.
func (c *conn) setUp(index int, up bool) error { return c.setFlag(index, unix.IFF_UP, up) }

// setFlag changes one flag of a link.
func (c *conn) setFlag(index int, flag uint32, on bool) error {
	msg := vnl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	msg.Change = flag
	if on {
		msg.Flags = flag
	}
	return c.write(unix.RTM_NEWLINK, 0, msg)
}

// deleteLink is done when the link is gone, whoever removed it.
func (c *conn) deleteLink(index int) error {
	msg := vnl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	if err := c.write(unix.RTM_DELLINK, 0, msg); err != nil && !gone(err) {
		return err
	}
	return nil
}

func withAttrs(msg vnl.NetlinkRequestData, attrs []*vnl.RtAttr) []vnl.NetlinkRequestData {
	parts := []vnl.NetlinkRequestData{msg}
	for _, a := range attrs {
		parts = append(parts, a)
	}
	return parts
}

// nsidOf is the number by which this namespace knows another one, or noNsid.
func (c *conn) nsidOf(fd uint32) (int, error) {
	msgs, err := c.get(unix.RTM_GETNSID, vnl.NewRtGenMsg(), vnl.NewRtAttr(unix.NETNSA_FD, vnl.Uint32Attr(fd)))
	if err != nil {
		return 0, err
	}
	id := noNsid
	for _, m := range msgs {
		err := parseAttrs(m[vnl.NewRtGenMsg().Len():], func(kind uint16, v []byte) {
			if kind == unix.NETNSA_NSID {
				id = int(int32(number(v)))
			}
		})
		if err != nil {
			return 0, err
		}
	}
	return id, nil
}

// leadsTo reports whether the other end of a veth is in the namespace that is
// open as fd.
func (c *conn) leadsTo(s linkState, fd uint32, id nsID) (bool, error) {
	if id == c.id {
		return s.nsid == noNsid, nil
	}
	if s.nsid == noNsid {
		return false, nil
	}
	nsid, err := c.nsidOf(fd)
	return nsid == s.nsid, err
}

// attributes of a link, as they go on the wire

func attrName(name string) *vnl.RtAttr {
	return vnl.NewRtAttr(unix.IFLA_IFNAME, vnl.ZeroTerminated(name))
}
func attrMAC(m spec.MAC) *vnl.RtAttr     { return vnl.NewRtAttr(unix.IFLA_ADDRESS, m[:]) }
func attrMTU(mtu int) *vnl.RtAttr        { return vnl.NewRtAttr(unix.IFLA_MTU, vnl.Uint32Attr(uint32(mtu))) }
func attrAlias(alias string) *vnl.RtAttr { return vnl.NewRtAttr(unix.IFLA_IFALIAS, []byte(alias)) }
func attrNetns(fd uint32) *vnl.RtAttr    { return vnl.NewRtAttr(unix.IFLA_NET_NS_FD, vnl.Uint32Attr(fd)) }

// attrNoLinkLocal keeps the kernel from giving the link an address and
// announcing it: nothing of ours speaks IPv6 unasked.
func attrNoLinkLocal() *vnl.RtAttr {
	families := vnl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	inet6 := families.AddRtAttr(unix.AF_INET6, nil)
	inet6.AddRtAttr(unix.IFLA_INET6_ADDR_GEN_MODE, []byte{genModeNone})
	return families
}

// createBridge makes a bridge that forwards nothing by itself: no spanning
// tree, no multicast snooping, no VLANs. The MTU is not given here, because a
// bridge keeps only one that is set later; else it follows its ports.
func (c *conn) createBridge(index int, name string, mac spec.MAC) error {
	attrs := []*vnl.RtAttr{attrName(name)}
	if mac != (spec.MAC{}) {
		attrs = append(attrs, attrMAC(mac))
	}
	return c.writeBridge(index, unix.NLM_F_CREATE|unix.NLM_F_EXCL, attrs)
}

// setBridge corrects what createBridge sets.
func (c *conn) setBridge(index int) error { return c.writeBridge(index, 0, nil) }

func (c *conn) writeBridge(index, flags int, attrs []*vnl.RtAttr) error {
	msg := vnl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	err := c.write(unix.RTM_NEWLINK, flags, withAttrs(msg, append(attrs, attrBridge(true)))...)
	if errors.Is(err, unix.EOPNOTSUPP) {
		// A kernel built without VLANs in bridges refuses to turn them off.
		err = c.write(unix.RTM_NEWLINK, flags, withAttrs(msg, append(attrs, attrBridge(false)))...)
	}
	return err
}

// attrBridge closes a bridge. The default VLAN is taken away because with it
// every static forwarding entry exists twice.
func attrBridge(vlans bool) *vnl.RtAttr {
	info := vnl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(vnl.IFLA_INFO_KIND, vnl.NonZeroTerminated("bridge"))
	data := info.AddRtAttr(vnl.IFLA_INFO_DATA, nil)
	data.AddRtAttr(vnl.IFLA_BR_STP_STATE, vnl.Uint32Attr(0))
	data.AddRtAttr(vnl.IFLA_BR_MCAST_SNOOPING, []byte{0})
	if vlans {
		data.AddRtAttr(vnl.IFLA_BR_VLAN_FILTERING, []byte{0})
		data.AddRtAttr(vnl.IFLA_BR_VLAN_DEFAULT_PVID, vnl.Uint16Attr(0))
	}
	return info
}

// createVeth makes a pair with both ends where they belong, so that neither is
// ever seen in another namespace.
func (c *conn) createVeth(index int, v Link, peer *conn) error {
	msg := vnl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	info := vnl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(vnl.IFLA_INFO_KIND, vnl.NonZeroTerminated("veth"))
	other := info.AddRtAttr(vnl.IFLA_INFO_DATA, nil).AddRtAttr(vnl.VETH_INFO_PEER, nil)
	vnl.NewIfInfomsgChild(other, unix.AF_UNSPEC).Index = int32(v.PeerIndex) // 0: the kernel numbers it
	other.AddChild(attrName(v.PeerName))
	other.AddChild(attrMTU(v.MTU))
	other.AddChild(attrNetns(peer.fd()))
	if v.PeerMAC != (spec.MAC{}) {
		other.AddChild(attrMAC(v.PeerMAC))
	}
	attrs := []*vnl.RtAttr{attrName(v.Name), attrMTU(v.MTU), info}
	if v.MAC != (spec.MAC{}) {
		attrs = append(attrs, attrMAC(v.MAC))
	}
	return c.write(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, withAttrs(msg, attrs)...)
}
