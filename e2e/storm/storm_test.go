package storm

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/e2e/harness"
	"github.com/vpcfabric/vpc/e2e/meter"
	"github.com/vpcfabric/vpc/e2e/probe"
)

// bin has the binaries under test: VPC_BIN, or built once from this checkout.
var bin string

func TestMain(m *testing.M) { os.Exit(harness.Main(m, &bin)) }

func TestChangesUnderLoad(t *testing.T) { storm(t, harness.Count("CHANGES"), 0) }

func TestChangesUnderLoadAndKills(t *testing.T) {
	storm(t, harness.Count("CHANGES"), harness.Count("CHANGEKILLS"))
}

const (
	// freshPPS keeps a packet's flow from meeting itself: its port comes again
	// after the 30 seconds that a UDP flow of one direction lives.
	freshPPS = 1500
	// The denied flows are sent so many times as often as an allowed one, because
	// a trap is open for microseconds; one in so many packets is a new flow.
	deniedRate, deniedFresh = 4, 8
	// connections are held open.
	connections = 10
	// most changes follow each other without waiting for the kernel.
	most = 4
)

// seed of a run: VPC_SEED, or a new one.
func seed(t *testing.T) uint64 {
	n := rand.Uint64N(1 << 32)
	if text := os.Getenv("VPC_SEED"); text != "" {
		var err error
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("VPC_SEED=%d", n)
	return n
}

// flowTable holds the new flows of half a minute in one interface's share.
const flowTable = "1048576"

// storm makes n changes, and kills vpcd in the middle of some of them. A kill
// that came too late does not count, and is made up for.
func storm(t *testing.T, n, kills int) {
	c := &caller{Host: harness.NewHost(t, bin), rng: rand.New(rand.NewPCG(seed(t), uint64(n)))}
	c.Start("--flow-table", flowTable)
	l := startLoad(newWorld(c))
	usual := 20 * time.Millisecond // how long a turn takes
	start, done := time.Now(), 0
	for done < n || c.inside < kills && done < 2*n {
		together := 1
		if c.rng.IntN(4) == 0 {
			together = 2 + c.rng.IntN(most-1)
		}
		done += together
		began := time.Now()
		doomed := c.inside*n < kills*done
		if doomed {
			c.doom(time.Duration(c.rng.Int64N(int64(usual))))
		}
		l.turn(together)
		if !doomed {
			usual = (7*usual + time.Since(began)) / 8
		}
	}
	t.Logf("%d changes in %s, %s a turn", done, time.Since(start).Round(time.Millisecond), usual.Round(time.Millisecond/10))
	if kills > 0 {
		t.Logf("%d kills in the middle of changes, %d behind them; clean at most %s after a start", c.inside, c.behind, c.slowest.Round(time.Millisecond))
	}
	if c.inside < kills {
		t.Errorf("%d kills met a change, want %d", c.inside, kills)
	}
	l.judge()
}

// load is the traffic during a storm.
type load struct {
	*world
	allowed map[string]*meter.Volley
	denied  *meter.Volley // one flow, and new ones among it
	held    *probe.Hold
	turns   []turn
}

// turn is what the traffic had come to when some changes began.
type turn struct {
	what []string
	sent map[string]int
}

func startLoad(w *world) *load {
	l := &load{world: w, allowed: map[string]*meter.Volley{}}
	pps := harness.Count("PPS")
	l.allowed["tracked"] = l.volley(pps, 0, tracked)
	l.allowed["untracked"] = l.volley(pps, 0, untracked)
	l.allowed["new flows"] = l.volley(freshPPS, 1, anew, moving)
	l.denied = l.volley(deniedRate*pps, deniedFresh, traps...)
	echo, err := probe.Serve(w.to.space, "tcp", held)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { echo.Close() })
	if l.held, err = probe.Open(w.from.space, netip.AddrPortFrom(w.to.at, held), connections); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { l.held.Close() })
	for name, v := range l.allowed {
		l.await(name+" arrives", func() bool { return v.Arrived(tracked)+v.Arrived(untracked)+v.Arrived(anew) > 0 })
	}
	return l
}

func (l *load) volley(pps, fresh int, ports ...uint16) *meter.Volley {
	v, err := meter.StartVolley(meter.VolleyConfig{From: l.from.space, To: l.to.space, Src: l.from.at, Dst: l.to.at, Ports: ports, PPS: pps, Fresh: fresh})
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { v.Stop() })
	return v
}

// await looks until it is so, within a bound.
func (l *load) await(what string, so func() bool) {
	l.Helper()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for start := time.Now(); !so(); <-tick.C {
		if time.Since(start) > healed {
			l.Fatalf("it never came true that %s", what)
		}
	}
}

// turn makes some changes, and waits for the last of them only.
func (l *load) turn(together int) {
	t := turn{sent: map[string]int{}}
	for name, v := range l.allowed {
		t.sent[name] = v.Sent()
	}
	before := l.leaked()
	for range together {
		c := l.draw()
		l.aim(c.trap)
		t.what = append(t.what, c.do(l.world))
	}
	l.applied()
	l.reap()
	l.turns = append(l.turns, t)
	if n := l.leaked() - before; n > 0 {
		l.Errorf("turn %d: %d denied packets arrived: %q", len(l.turns), n, t.what)
		l.denied.Shift() // what has been let pass once goes on
	}
}

// aim sends the denied flows into the trap that a change endangers.
func (l *load) aim(trap uint16) {
	if trap == 0 {
		trap = traps[l.rng.IntN(len(traps))]
	}
	l.denied.Aim(trap)
	l.allowed["new flows"].Aim([]uint16{anew, moving}[l.rng.IntN(2)])
}

func (l *load) leaked() (n int) {
	for _, port := range traps {
		n += l.denied.Arrived(port)
	}
	return n
}

func (l *load) byTrap() (out string) {
	for i, port := range traps {
		out += fmt.Sprintf(" %s %d", []string{"sender", "receiver", "list", "shared", "pair", "ACL"}[i], l.denied.Arrived(port))
	}
	return out
}

// judge ends the traffic and says what became of it.
func (l *load) judge() {
	for name, v := range l.allowed {
		got, missing := v.Stop()
		l.Logf("allowed, %s: %v", name, got)
		if got.Lost() != 0 || got.Duplicates != 0 || got.Received == 0 {
			l.Errorf("allowed, %s: %v%s", name, got, l.when(name, missing))
		}
	}
	if got := l.held.Close(); got.Resets != 0 || got.Wrong != 0 || got.Echoes < connections {
		l.Errorf("held connections: %+v", got)
	}
	if n := l.leaked(); n != 0 {
		l.Errorf("%d packets of denied flows arrived, by trap: %s", n, l.byTrap())
	}
	l.openTraps()
	l.Logf("denied: %d sent", l.denied.Sent())
	for _, port := range traps {
		before := l.denied.Arrived(port)
		l.denied.Aim(port)
		l.await(fmt.Sprintf("the open trap %d lets packets pass", port), func() bool { return l.denied.Arrived(port) > before })
	}
	l.denied.Stop()
}

// when names the turns in which packets were lost.
func (l *load) when(name string, missing []int) string {
	out, last := "", -1
	for _, n := range missing {
		at := len(l.turns) - 1
		for at > 0 && l.turns[at].sent[name] > n {
			at--
		}
		if at != last && at >= 0 {
			out += fmt.Sprintf("\n\tnumber %d, in turn %d: %q", n, at+1, l.turns[at].what)
			last = at
		}
	}
	return out
}
