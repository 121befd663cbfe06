package nl

import (
	"errors"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ForgetUntranslated removes connections that began outside while nothing
// translated them: they come from a public address of these pools, and their
// answers are for that address still. The kernel decides once for a connection, so
// without this it would stay untranslated for as long as it lives. It returns how
// many there were.
func (o *Outside) ForgetUntranslated(pools []netip.Prefix) (int, error) {
	c, err := o.conn()
	if err != nil {
		return 0, err
	}
	var forgotten uint
	err = inFile(c.ns, func() error {
		h, err := netlink.NewHandle(unix.NETLINK_NETFILTER)
		if err != nil {
			return err
		}
		defer h.Close()
		for range dumpTries {
			var n uint
			n, err = h.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, untranslated(pools))
			forgotten += n
			if !errors.Is(err, netlink.ErrDumpInterrupted) {
				return err
			}
		}
		return err
	})
	return int(forgotten), err
}

// untranslated matches such connections of public addresses. What public
// addresses, or the host, say to each other is never translated.
type untranslated []netip.Prefix

// MatchConntrackFlow is netlink.CustomConntrackFilter.
func (u untranslated) MatchConntrackFlow(f *netlink.ConntrackFlow) bool {
	return u.has(f.Forward.SrcIP) && !u.has(f.Forward.DstIP) && f.Reverse.DstIP.Equal(f.Forward.SrcIP)
}

func (u untranslated) has(ip []byte) bool {
	a, ok := netip.AddrFromSlice(ip)
	for _, p := range u {
		if ok && p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}
