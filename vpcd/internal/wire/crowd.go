package wire

import (
	"net"
	"net/netip"
	"slices"
	"sync"
)

// crowd are the connections that have proven nothing yet, oldest first. They
// have places only as long as nobody else needs them: whoever can sign does so
// at once, and who opens connections to hold them loses the oldest.
type crowd struct {
	perSource int // of one source at most
	mu        sync.Mutex
	waiting   []*conn
}

// enter takes c in and returns the one that has to go for it, nil for none. full
// says that there is no place for c otherwise.
func (w *crowd) enter(c *conn, full bool) *conn {
	c.source = sourceOf(c.Conn)
	w.mu.Lock()
	defer w.mu.Unlock()
	bySource := map[netip.Prefix]int{}
	largest := c.source
	for _, other := range w.waiting {
		bySource[other.source]++
		if bySource[other.source] > bySource[largest] {
			largest = other.source
		}
	}
	victim := -1
	switch {
	case bySource[c.source] >= w.perSource:
		victim = w.oldest(c.source)
	case full:
		victim = w.oldest(largest)
	}
	var out *conn
	if victim >= 0 {
		out = w.waiting[victim]
		w.waiting = slices.Delete(w.waiting, victim, victim+1)
	}
	w.waiting = append(w.waiting, c)
	return out
}

func (w *crowd) oldest(source netip.Prefix) int {
	return slices.IndexFunc(w.waiting, func(c *conn) bool { return c.source == source })
}

// leave reports whether c was still there: it is not when it had to go.
func (w *crowd) leave(c *conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.Index(w.waiting, c)
	if i >= 0 {
		w.waiting = slices.Delete(w.waiting, i, i+1)
	}
	return i >= 0
}

// sourceOf is what one machine can be told by: an address, or the network of 64
// bits of which it has every address.
func sourceOf(c net.Conn) netip.Prefix {
	at, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Prefix{}
	}
	a, bits := at.Addr().Unmap().WithZone(""), 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}
