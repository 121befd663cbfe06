package nl

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	vnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// protocol marks addresses and routes in workloads' namespaces and outside as
// ours. It survives restarts of both sides, and no other program is known to use
// it.
const protocol = 0x76

// ifaProto is IFA_PROTO, since Linux 5.18.
const ifaProto = 11

// address is one address as the kernel lists it.
type address struct {
	index    int
	prefix   netip.Prefix
	protocol byte
}

// addresses lists all addresses of the namespace, of both families.
func (c *conn) addresses() ([]address, error) {
	msgs, err := c.dump(unix.RTM_GETADDR, vnl.NewIfInfomsg(unix.AF_UNSPEC))
	if err != nil {
		return nil, err
	}
	var out []address
	for _, m := range msgs {
		a, ok, err := parseAddress(m)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, a)
		}
	}
	return out, nil
}

// parseAddress is false for what has no address of its own. On a point-to-point
// link IFA_ADDRESS is the other end's, so IFA_LOCAL counts first.
func parseAddress(m []byte) (address, bool, error) {
	if len(m) < unix.SizeofIfAddrmsg {
		return address{}, false, errors.New("short address message")
	}
	msg := vnl.DeserializeIfAddrmsg(m)
	a := address{index: int(msg.Index)}
	var local, remote []byte
	err := parseAttrs(m[unix.SizeofIfAddrmsg:], func(kind uint16, v []byte) {
		switch kind {
		case unix.IFA_LOCAL:
			local = v
		case unix.IFA_ADDRESS:
			remote = v
		case ifaProto:
			if len(v) > 0 {
				a.protocol = v[0]
			}
		}
	})
	if local == nil {
		local = remote
	}
	ip, ok := netip.AddrFromSlice(local)
	if ok && int(msg.Prefixlen) <= ip.BitLen() {
		a.prefix = netip.PrefixFrom(ip, int(msg.Prefixlen))
	}
	return a, a.prefix.IsValid(), err
}

// setAddress adds an address, or marks one that is there as ours.
func (c *conn) setAddress(index int, p netip.Prefix, proto byte) error {
	flags := unix.NLM_F_CREATE | unix.NLM_F_REPLACE
	return c.write(unix.RTM_NEWADDR, flags, addressParts(index, p, proto)...)
}

// deleteAddress matches address and length; whose mark it carries is the
// caller's to check.
func (c *conn) deleteAddress(index int, p netip.Prefix) error {
	err := c.write(unix.RTM_DELADDR, 0, addressParts(index, p, 0)...)
	if gone(err) {
		return nil
	}
	return err
}

func addressParts(index int, p netip.Prefix, proto byte) []vnl.NetlinkRequestData {
	msg := vnl.NewIfAddrmsg(family(p.Addr()))
	msg.Index = uint32(index)
	msg.Prefixlen = uint8(p.Bits())
	ip := p.Addr().AsSlice()
	parts := []vnl.NetlinkRequestData{
		msg, vnl.NewRtAttr(unix.IFA_LOCAL, ip), vnl.NewRtAttr(unix.IFA_ADDRESS, ip),
	}
	if p.Addr().Is6() {
		// Uniqueness is ours to guarantee; detection would delay the first
		// packet by a second.
		parts = append(parts, vnl.NewRtAttr(unix.IFA_FLAGS, vnl.Uint32Attr(unix.IFA_F_NODAD)))
	}
	if proto != 0 {
		parts = append(parts, vnl.NewRtAttr(ifaProto, []byte{proto}))
	}
	return parts
}

func family(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// addresses of links in our namespaces; all of them are ours, but for the
// loopback's own.
type addresses struct{ k *Kernel }

// Observe lists all addresses in our namespaces.
func (d addresses) Observe(ctx context.Context, _ map[AddressKey]struct{}) (map[AddressKey]struct{}, error) {
	out := map[AddressKey]struct{}{}
	err := d.k.each(ctx, func(c *conn) error {
		list, err := c.addresses()
		for _, a := range list {
			if !a.prefix.Addr().IsLoopback() {
				out[AddressKey{c.name, a.index, a.prefix}] = struct{}{}
			}
		}
		return err
	})
	return out, err
}

// Put adds the address.
func (d addresses) Put(_ context.Context, key AddressKey, _ struct{}) error {
	if !key.Prefix.IsValid() {
		return fmt.Errorf("%v is not an address", key.Prefix)
	}
	c, err := d.k.conn(key.Netns)
	if err != nil {
		return err
	}
	return c.setAddress(key.Index, key.Prefix, protocol)
}

// Delete removes the address.
func (d addresses) Delete(_ context.Context, key AddressKey) error {
	return d.k.in(key.Netns, func(c *conn) error { return c.deleteAddress(key.Index, key.Prefix) })
}
