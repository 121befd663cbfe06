package cli

import (
	"encoding/binary"
	"net/netip"
)

// prefixes reads CIDRs and skips what is not IPv4.
func prefixes(texts []string) (out []netip.Prefix) {
	for _, text := range texts {
		if p, err := netip.ParsePrefix(text); err == nil && p.Addr().Is4() {
			out = append(out, p.Masked())
		}
	}
	return out
}

// firstFree finds the lowest IPv4 prefix of that length that lies in one of
// within, which are tried in order, and overlaps none of taken.
func firstFree(within, taken []netip.Prefix, bits int) (netip.Prefix, bool) {
	for _, w := range within {
		if w.Bits() > bits {
			continue
		}
		at, end := bounds(w)
		for at < end {
			p := netip.PrefixFrom(address(at), bits)
			next, free := at+1<<(32-bits), true
			for _, t := range taken {
				if t.Overlaps(p) {
					// Behind a larger neighbour there is nothing to look at.
					_, last := bounds(t)
					next, free = max(next, last), false
				}
			}
			if free {
				return p, true
			}
			at = next
		}
	}
	return netip.Prefix{}, false
}

// bounds are the first address and the one after the last, in 64 bits so that
// the end of the address space does not wrap.
func bounds(p netip.Prefix) (first, end uint64) {
	a := p.Masked().Addr().As4()
	first = uint64(binary.BigEndian.Uint32(a[:]))
	return first, first + 1<<(32-p.Bits())
}

func address(n uint64) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(n))))
}
