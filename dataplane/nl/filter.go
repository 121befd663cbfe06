package nl

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"github.com/vishvananda/netlink"
	vnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// What makes a filter ours: its place. Nobody else has reason to use it, and a
// link of ours has no other tenants.
const (
	filterHandle   = 1
	filterPriority = 0x7670
	filterKind     = "bpf"
)

// Filter is our program at the ingress of one link. Kernels before 6.6 have no
// other place for it: a classifier of a clsact queueing discipline.
type Filter struct {
	Index int
	Name  string // as `tc filter show` prints it
	Tag   string // of the program, hexadecimal
}

// Filters lists our filters at links of the namespace at path. A link that has
// none, or is not there, is left out; so is a namespace that is gone.
func Filters(path string, indexes []int) ([]Filter, error) {
	var out []Filter
	err := at(path, func(c *conn) error {
		for _, i := range indexes {
			msgs, err := c.dump(unix.RTM_GETTFILTER, ingress(i))
			if noFilter(err) {
				continue
			}
			if err != nil {
				return err
			}
			for _, m := range msgs {
				f, ours, err := parseFilter(m)
				if err != nil {
					return err
				}
				if ours && f.Index == i {
					out = append(out, f)
				}
			}
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return out, err
}

// PutFilter runs a program, given by its descriptor, for every packet that
// arrives at a link. One of ours that is there is replaced at once: every
// packet meets the old program or the new one.
func PutFilter(path string, index int, name string, program int) error {
	return at(path, func(c *conn) error {
		qdisc := &vnl.TcMsg{Ifindex: int32(index), Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}
		kind := vnl.NewRtAttr(vnl.TCA_KIND, vnl.ZeroTerminated("clsact"))
		err := c.write(unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_EXCL, qdisc, kind)
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("clsact of ifindex %d: %w", index, err)
		}
		options := vnl.NewRtAttr(vnl.TCA_OPTIONS, nil)
		options.AddRtAttr(vnl.TCA_BPF_FD, vnl.Uint32Attr(uint32(program)))
		options.AddRtAttr(vnl.TCA_BPF_NAME, vnl.ZeroTerminated(name))
		options.AddRtAttr(vnl.TCA_BPF_FLAGS, vnl.Uint32Attr(vnl.TCA_BPF_FLAG_ACT_DIRECT))
		kind = vnl.NewRtAttr(vnl.TCA_KIND, vnl.ZeroTerminated(filterKind))
		if err := c.write(unix.RTM_NEWTFILTER, unix.NLM_F_CREATE, ingress(index), kind, options); err != nil {
			return fmt.Errorf("filter of ifindex %d: %w", index, err)
		}
		return nil
	})
}

// DeleteFilter takes our filter away; one that is missing is no error. The
// queueing discipline stays until its link goes: others may use it.
func DeleteFilter(path string, index int) error {
	err := at(path, func(c *conn) error {
		kind := vnl.NewRtAttr(vnl.TCA_KIND, vnl.ZeroTerminated(filterKind))
		err := c.write(unix.RTM_DELTFILTER, 0, ingress(index), kind)
		if noFilter(err) {
			return nil
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// ingress names our filter of a link.
func ingress(index int) *vnl.TcMsg {
	return &vnl.TcMsg{
		Ifindex: int32(index), Handle: filterHandle, Parent: netlink.HANDLE_MIN_INGRESS,
		Info: filterPriority<<16 | uint32(vnl.Swap16(unix.ETH_P_ALL)),
	}
}

// noFilter are the answers for a link or a queueing discipline that is not there.
func noFilter(err error) bool { return gone(err) || errors.Is(err, unix.EINVAL) }

// parseFilter is false for a filter that is not ours.
func parseFilter(m []byte) (f Filter, ours bool, err error) {
	if len(m) < vnl.SizeofTcMsg {
		return f, false, errors.New("short filter message")
	}
	msg := vnl.DeserializeTcMsg(m)
	if msg.Handle != filterHandle || msg.Info>>16 != filterPriority {
		return f, false, nil
	}
	f.Index = int(msg.Ifindex)
	var kind string
	var options []byte
	err = parseAttrs(m[vnl.SizeofTcMsg:], func(t uint16, v []byte) {
		switch t {
		case vnl.TCA_KIND:
			kind = text(v)
		case vnl.TCA_OPTIONS:
			options = v
		}
	})
	if err != nil || kind != filterKind {
		return f, false, err
	}
	err = parseAttrs(options, func(t uint16, v []byte) {
		switch t {
		case vnl.TCA_BPF_NAME:
			f.Name = text(v)
		case vnl.TCA_BPF_TAG:
			f.Tag = hex.EncodeToString(v)
		}
	})
	return f, err == nil, err
}
