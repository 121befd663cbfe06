package wire

import (
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// crowd are the connections of a port that anybody reaches. Those that have
// proven nothing yet have places only as long as nobody else needs them: whoever
// can sign does so at once, and who opens connections to hold them loses the
// oldest. Those of callers who have are theirs until closed, as many as an
// account's share: what is beyond is for others.
type crowd struct {
	perSource  int // of those that wait, from one source at most
	perAccount int // of those that are proven
	mu         sync.Mutex
	waiting    []*conn // oldest first
	proven     map[string]int
}

// enter takes c in and returns the one that has to go for it, nil for none. full
// says that there is no place for c otherwise.
func (w *crowd) enter(c *conn, full bool) *conn {
	c.source = sourceOf(c.Conn)
	w.mu.Lock()
	defer w.mu.Unlock()
	mine := 0
	for _, other := range w.waiting {
		if other.source == c.source {
			mine++
		}
	}
	victim := -1
	switch {
	case mine >= w.perSource:
		victim = w.oldest(c.source)
	case full:
		victim = w.oldest(most(w.waiting, c.source, func(o *conn) netip.Prefix { return o.source }))
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

// prove takes c out of those that wait and counts it for an account. Whose it
// is, is settled by the first request on it.
func (w *crowd) prove(c *conn, account string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.account != "" {
		return nil
	}
	i := slices.Index(w.waiting, c)
	if i < 0 {
		return api.Errorf("RequestLimitExceeded", "", "the connection had to make room for others, and nothing was changed: ask again")
	}
	if w.proven[account] >= w.perAccount {
		return api.Errorf("RequestLimitExceeded", "", "the account %s has %d connections already, and nothing was changed: use those, or ask again", account, w.perAccount)
	}
	w.waiting = slices.Delete(w.waiting, i, i+1)
	if w.proven == nil {
		w.proven = map[string]int{}
	}
	w.proven[account]++
	c.account = account
	return nil
}

// leave forgets a connection that is closed.
func (w *crowd) leave(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.waiting, c); i >= 0 {
		w.waiting = slices.Delete(w.waiting, i, i+1)
	}
	if c.account == "" {
		return
	}
	if w.proven[c.account]--; w.proven[c.account] == 0 {
		delete(w.proven, c.account)
	}
	c.account = ""
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
