package nft

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// errEncoded ends a transaction before it is sent.
var errEncoded = errors.New("encoded")

// encoded is a transaction as the library writes it. It is sent here, because of an
// expression masq with ports the library leaves out the flags, and without them the
// kernel takes no notice of the ports.
func encoded(fill func(c *nftables.Conn) error) (batch []netlink.Message, err error) {
	c, err := nftables.New(nftables.WithTestDial(func(msgs []netlink.Message) ([]netlink.Message, error) {
		batch = msgs
		return nil, errEncoded
	}))
	if err == nil {
		err = fill(c)
	}
	if err != nil {
		return nil, err
	}
	if err := c.Flush(); !errors.Is(err, errEncoded) {
		return nil, fmt.Errorf("encode table: %w", err)
	}
	for i := range batch {
		batch[i].Header.PID, batch[i].Header.Sequence, batch[i].Header.Length = 0, 0, 0 // whoever sends knows
		if batch[i].Header.Type == unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWRULE {
			batch[i].Data, err = withFlags(batch[i].Data)
		}
		if err != nil {
			return nil, err
		}
	}
	return batch, nil
}

// send has the kernel do a transaction, or nothing of it.
func (d *Driver) send(batch []netlink.Message) error {
	ns, err := os.Open(d.netns)
	if err != nil {
		return err
	}
	defer ns.Close()
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: int(ns.Fd())})
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.SendMessages(batch); err != nil {
		return fmt.Errorf("%w: %w", errBatch, err)
	}
	var errs []error
	for _, m := range batch {
		if m.Header.Flags&netlink.Acknowledge == 0 {
			continue
		}
		if _, err := c.Receive(); err != nil {
			errs = append(errs, fmt.Errorf("%w: %w", errBatch, err))
			if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOBUFS) {
				break // of these the kernel says no more than one
			}
		}
	}
	return errors.Join(errs...)
}

// Numbers of linux/netfilter/nf_tables.h and of its header of each message.
const (
	nfgenSize = 4
	masqName  = "masq\x00"
)

// withFlags adds the flags to each masq with ports of a rule.
func withFlags(rule []byte) ([]byte, error) {
	attrs, err := netlink.UnmarshalAttributes(rule[nfgenSize:])
	if err != nil {
		return nil, err
	}
	for i := range attrs {
		if attrs[i].Type&^unix.NLA_F_NESTED != unix.NFTA_RULE_EXPRESSIONS {
			continue
		}
		if attrs[i].Data, err = eachNested(attrs[i].Data, flagged); err != nil {
			return nil, err
		}
	}
	out, err := pack(attrs)
	return append(bytes.Clone(rule[:nfgenSize]), out...), err
}

// flagged is one expression of a rule: its name, and what belongs to it.
func flagged(e netlink.Attribute) (netlink.Attribute, error) {
	parts, err := netlink.UnmarshalAttributes(e.Data)
	if err != nil || len(parts) != 2 || string(parts[0].Data) != masqName {
		return e, err
	}
	fields, err := netlink.UnmarshalAttributes(parts[1].Data)
	if err != nil || len(fields) == 0 {
		return e, err
	}
	for _, f := range fields {
		if f.Type == unix.NFTA_MASQ_FLAGS {
			return e, nil
		}
	}
	flags := binary.BigEndian.AppendUint32(nil, expr.NF_NAT_RANGE_PROTO_SPECIFIED|expr.NF_NAT_RANGE_PROTO_RANDOM_FULLY)
	fields = append(fields, netlink.Attribute{Type: unix.NFTA_MASQ_FLAGS, Data: flags})
	if parts[1].Data, err = pack(fields); err == nil {
		e.Data, err = pack(parts)
	}
	return e, err
}

// eachNested changes the attributes of a list.
func eachNested(list []byte, fn func(netlink.Attribute) (netlink.Attribute, error)) ([]byte, error) {
	attrs, err := netlink.UnmarshalAttributes(list)
	for i := range attrs {
		if err == nil {
			attrs[i], err = fn(attrs[i])
		}
	}
	if err != nil {
		return nil, err
	}
	return pack(attrs)
}

// pack measures attributes anew.
func pack(attrs []netlink.Attribute) ([]byte, error) {
	for i := range attrs {
		attrs[i].Length = 0
	}
	return netlink.MarshalAttributes(attrs)
}
