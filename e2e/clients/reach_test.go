package clients

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/e2e/netns"
	"github.com/vpcfabric/vpc/e2e/uplink"
)

const (
	reachPort = 7000
	// silence is how long is listened for what should not arrive, and how long
	// what should arrive may take: TCP's second try is after one second.
	silence = 2500 * time.Millisecond
	again   = 100 * time.Millisecond // between two datagrams
)

// place is where packets begin and end: a workload, the host, the world.
type place struct {
	name, tier string // tier is public, private, intra; laptop, world
	zone       int
	ns         string
	private    netip.Addr // of the laptop and the world, their only one
	public     netip.Addr
}

// tiers are all places, and the address of each zone's NAT gateway.
type tiers struct {
	places []*place
	nat    [zones]netip.Addr
	// inPool is the host's own address among the public ones.
	inPool netip.Addr
}

// pair is an attempt at an address. want is the address that the receiver sees,
// invalid where nothing may arrive.
type pair struct {
	from, to *place // to is nil for an address of a NAT gateway
	addr     netip.Addr
	want     netip.Addr

	mu        sync.Mutex
	connected netip.Addr            // whom the server of TCP saw
	answered  bool                  // UDP
	arrived   map[string]netip.Addr // UDP: whom who saw
}

func (p *pair) String() string {
	to := "a NAT gateway"
	if p.to != nil {
		to = p.to.name
	}
	return fmt.Sprintf("%s → %s (%s)", p.from.name, to, p.addr)
}

// pairs are all ordered ones, by each address that the receiver has.
func (m *tiers) pairs() (out []*pair) {
	for _, from := range m.places {
		for _, to := range m.places {
			if from != to {
				out = append(out, &pair{from: from, to: to, addr: to.private, want: m.seen(from, to, false)})
			}
			if to.public.IsValid() {
				out = append(out, &pair{from: from, to: to, addr: to.public, want: m.seen(from, to, true)})
			}
		}
		for _, addr := range m.nat {
			out = append(out, &pair{from: from, addr: addr})
		}
	}
	return out
}

// seen is the model: the groups let everything pass, the routes decide.
func (m *tiers) seen(from, to *place, public bool) (as netip.Addr) {
	inside := map[string]bool{"public": true, "private": true, "intra": true}
	switch {
	case inside[to.tier] && !public:
		if inside[from.tier] {
			return from.private
		}
	case to.tier == "laptop" && inside[from.tier]:
		// The host forwards; it is no server of a tenant.
	case from.tier == "intra":
		// Nothing leads out.
	case to.tier == "world" && inside[from.tier]:
		return uplink.Laptop
	case from.tier == "public":
		return from.public
	case from.tier == "private":
		return m.nat[from.zone]
	case from.tier == "laptop" && public:
		return m.inPool
	default:
		return from.private
	}
	return netip.Addr{}
}

// reach probes every pair at the same time, by TCP and by UDP. UDP shows what
// arrives without being answered, and where; what passes is the control of what
// does not.
func (m *tiers) reach(h *host) {
	h.Helper()
	pairs := m.pairs()
	for _, p := range m.places {
		h.must(listen(h, p, pairs))
	}
	var wg sync.WaitGroup
	for id, p := range pairs {
		wg.Go(p.connect)
		wg.Go(func() { p.send(uint32(id)) })
	}
	wg.Wait()
	var wrong []string
	open := 0
	for _, p := range pairs {
		if p.want.IsValid() {
			open++
		}
		wrong = append(wrong, p.faults()...)
	}
	h.Logf("%d pairs, %d of them open", len(pairs), open)
	if len(wrong) > 0 {
		h.Errorf("%d faults in %d pairs:\n\t%s", len(wrong), len(pairs), strings.Join(wrong, "\n\t"))
	}
}

// faults compares what happened with what should.
func (p *pair) faults() (out []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.connected != p.want {
		out = append(out, fmt.Sprintf("%s tcp: seen as %v, want %v", p, p.connected, p.want))
	}
	if p.answered != p.want.IsValid() {
		out = append(out, fmt.Sprintf("%s udp: answered is %t", p, p.answered))
	}
	if p.want.IsValid() && !p.arrived[p.to.name].IsValid() {
		out = append(out, fmt.Sprintf("%s udp: it did not arrive", p))
	}
	for at, as := range p.arrived {
		if !p.want.IsValid() || at != p.to.name || as != p.want {
			out = append(out, fmt.Sprintf("%s udp: at %s, seen as %v, want %v", p, at, as, p.want))
		}
	}
	return out
}

// connect asks the server whom it sees.
func (p *pair) connect() {
	var c net.Conn
	err := netns.Do(p.from.ns, func() (err error) {
		c, err = net.DialTimeout("tcp4", netip.AddrPortFrom(p.addr, reachPort).String(), silence)
		return err
	})
	if err != nil {
		return
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(silence))
	text, _ := io.ReadAll(c) // what is missing is compared
	addr, _ := netip.ParseAddr(string(text))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.connected = addr
}

// send repeats a datagram until it is answered or the time is over.
func (p *pair) send(id uint32) {
	var c net.Conn
	err := netns.Do(p.from.ns, func() (err error) {
		c, err = net.Dial("udp4", netip.AddrPortFrom(p.addr, reachPort).String())
		return err
	})
	if err != nil {
		return // no route at all: nothing arrives
	}
	defer c.Close()
	buf := make([]byte, 4)
	for end := time.Now().Add(silence); time.Now().Before(end); {
		c.Write(binary.BigEndian.AppendUint32(nil, id))
		c.SetReadDeadline(time.Now().Add(again))
		if n, err := c.Read(buf); err == nil && n == len(buf) && binary.BigEndian.Uint32(buf) == id {
			p.mu.Lock()
			p.answered = true
			p.mu.Unlock()
			return
		}
	}
}

// listen serves TCP and UDP at a place until the test ends.
func listen(h *host, at *place, pairs []*pair) error {
	return netns.Do(at.ns, func() error {
		l, err := net.Listen("tcp4", fmt.Sprintf("0.0.0.0:%d", reachPort))
		if err != nil {
			return err
		}
		h.Cleanup(func() { l.Close() })
		c, err := net.ListenUDP("udp4", &net.UDPAddr{Port: reachPort})
		if err != nil {
			return err
		}
		h.Cleanup(func() { c.Close() })
		go tell(l)
		go at.record(c, pairs)
		return nil
	})
}

// tell answers every connection with the address it comes from.
func tell(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		io.WriteString(c, netip.MustParseAddrPort(c.RemoteAddr().String()).Addr().String())
		c.Close()
	}
}

func (at *place) record(c *net.UDPConn, pairs []*pair) {
	buf := make([]byte, 64)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if n != 4 || int(binary.BigEndian.Uint32(buf)) >= len(pairs) {
			continue
		}
		p := pairs[binary.BigEndian.Uint32(buf)]
		p.mu.Lock()
		if p.arrived == nil {
			p.arrived = map[string]netip.Addr{}
		}
		p.arrived[at.name] = from.Addr().Unmap()
		p.mu.Unlock()
		c.WriteToUDPAddrPort(buf[:n], from)
	}
}

// TestReachModel states the model in a few words.
func TestReachModel(t *testing.T) {
	m := &tiers{inPool: netip.MustParseAddr("198.18.0.200"), nat: [zones]netip.Addr{netip.MustParseAddr("198.18.0.1"), netip.MustParseAddr("198.18.0.2"), netip.MustParseAddr("198.18.0.3")}}
	web := &place{tier: "public", private: netip.MustParseAddr("10.0.1.1"), public: netip.MustParseAddr("198.18.0.9")}
	app := &place{tier: "private", zone: 1, private: netip.MustParseAddr("10.0.2.1")}
	db := &place{tier: "intra", private: netip.MustParseAddr("10.0.3.1")}
	world, laptop := &place{tier: "world", private: uplink.World}, &place{tier: "laptop", private: uplink.Laptop}
	for _, c := range []struct {
		from, to *place
		public   bool
		want     netip.Addr
	}{
		{web, app, false, web.private}, {app, db, false, app.private}, {db, web, false, db.private},
		{web, web, true, web.public}, {app, web, true, m.nat[1]}, {db, web, true, netip.Addr{}},
		{web, world, false, uplink.Laptop}, {app, world, false, uplink.Laptop}, {db, world, false, netip.Addr{}},
		{world, web, true, uplink.World}, {laptop, web, true, m.inPool}, {world, web, false, netip.Addr{}},
		{world, app, false, netip.Addr{}}, {laptop, db, false, netip.Addr{}}, {app, laptop, false, netip.Addr{}},
		{laptop, world, false, uplink.Laptop}, {world, laptop, false, uplink.World},
	} {
		if got := m.seen(c.from, c.to, c.public); got != c.want {
			t.Errorf("%s to %s, public %t: %v, want %v", c.from.tier, c.to.tier, c.public, got, c.want)
		}
	}
}
