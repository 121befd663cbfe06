package nl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	vnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Tracking is what the kernel tells of the connection tracking of a namespace.
// The numbers count packets since the namespace was made, but for Connections.
type Tracking struct {
	// Connections are remembered now: of all protocols, half open ones and those
	// that were closed a moment ago too.
	Connections uint64
	// InsertFailed are first packets of connections that could not be remembered,
	// because what they were translated to is another's: in a namespace that
	// translates, no port was free.
	InsertFailed uint64
	// Dropped are packets that tracking itself dropped: those, and what came while
	// there was no room for more connections.
	Dropped uint64
}

// Requests and attributes of ctnetlink that no package has names for.
const (
	getStatsPerCPU = 4
	getStats       = 5

	statsEntries      = 1 // of getStats
	statsInsertFailed = 9 // of getStatsPerCPU
	statsDrop         = 10
)

// Tracking reads the statistics of one of our namespaces.
func (k *Kernel) Tracking(netns string) (Tracking, error) {
	var t Tracking
	err := k.ctnetlink(netns, func() error {
		// The kernel marks its one answer to getStats as one of several, so the
		// acknowledgement is what ends it.
		for _, q := range []struct{ request, flags int }{{getStats, unix.NLM_F_ACK}, {getStatsPerCPU, unix.NLM_F_DUMP}} {
			req := vnl.NewNetlinkRequest(unix.NFNL_SUBSYS_CTNETLINK<<8|q.request, q.flags)
			req.AddData(&vnl.Nfgenmsg{NfgenFamily: unix.AF_UNSPEC, Version: vnl.NFNETLINK_V0})
			msgs, err := req.Execute(unix.NETLINK_NETFILTER, 0)
			if err != nil {
				return fmt.Errorf("statistics: %w", err)
			}
			for _, m := range msgs {
				if err := t.add(m, q.request); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return t, err
}

// add adds one answer: the whole's, or one CPU's.
func (t *Tracking) add(m []byte, request int) error {
	if len(m) < vnl.SizeofNfgenmsg {
		return errors.New("short message of connection tracking")
	}
	return parseAttrs(m[vnl.SizeofNfgenmsg:], func(kind uint16, v []byte) {
		if len(v) < 4 {
			return
		}
		n := uint64(binary.BigEndian.Uint32(v))
		switch {
		case request == getStats && kind == statsEntries:
			t.Connections += n
		case request == getStatsPerCPU && kind == statsInsertFailed:
			t.InsertFailed += n
		case request == getStatsPerCPU && kind == statsDrop:
			t.Dropped += n
		}
	})
}

// ForgetOthers removes connections that are translated to other addresses than
// those that stay, from one of our namespaces, and returns how many.
func (k *Kernel) ForgetOthers(netns string, stay []netip.Addr) (int, error) {
	var forgotten uint
	err := k.ctnetlink(netns, func() error {
		h, err := netlink.NewHandle(unix.NETLINK_NETFILTER)
		if err != nil {
			return err
		}
		defer h.Close()
		for range dumpTries {
			var n uint
			n, err = h.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, others(stay))
			forgotten += n
			writes.Add(int64(n))
			if !errors.Is(err, netlink.ErrDumpInterrupted) {
				return err
			}
		}
		return err
	})
	return int(forgotten), err
}

// others matches connections whose answers are for none of the addresses.
type others []netip.Addr

// MatchConntrackFlow is netlink.CustomConntrackFilter.
func (o others) MatchConntrackFlow(f *netlink.ConntrackFlow) bool {
	a, ok := netip.AddrFromSlice(f.Reverse.DstIP)
	return ok && !slices.Contains(o, a.Unmap())
}

// ctnetlink runs fn on a thread in one of our namespaces.
func (k *Kernel) ctnetlink(netns string, fn func() error) error {
	c, err := k.conn(netns)
	if err != nil {
		return err
	}
	if err := inFile(c.ns, fn); err != nil {
		return fmt.Errorf("connection tracking of %s: %w", netns, err)
	}
	return nil
}
