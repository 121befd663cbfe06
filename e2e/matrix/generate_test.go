package matrix

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

const workloads = 12

// world is generated rules and what is sent in them.
type world struct {
	rules
	ports   map[string][]int32 // two of tcp and two of udp
	sources []int32            // two, of tcp and udp alike
}

var (
	everybody = netip.MustParsePrefix("0.0.0.0/0")
	vpc       = netip.MustParsePrefix("10.0.0.0/16")
)

// generate draws worlds until one has a fair share of both verdicts: where
// nearly all is dropped or nearly all passes, a fault has nowhere to show.
func generate(rng *rand.Rand) *world {
	for range 1000 {
		w := draw(rng)
		answered, all := 0, 0
		for _, p := range w.probes() {
			all++
			if p.want.answered {
				answered++
			}
		}
		if share := float64(answered) / float64(all); share > 0.2 && share < 0.8 {
			return w
		}
	}
	panic("no world is fair: the generator is broken")
}

func draw(rng *rand.Rand) *world {
	w := &world{ports: map[string][]int32{}}
	for _, proto := range []string{"tcp", "udp"} {
		low := 1000 + rng.Int32N(4000)
		w.ports[proto] = []int32{low, low + 1 + rng.Int32N(4000)}
	}
	w.sources = []int32{10000 + rng.Int32N(20000), 30000 + rng.Int32N(30000)}
	w.drawEndpoints(rng, 3+rng.IntN(3))
	for range 2 + rng.IntN(2) {
		var l []netip.Prefix
		for range 1 + rng.IntN(maxEntries) {
			l = append(l, w.drawPrefix(rng))
		}
		slices.SortFunc(l, netip.Prefix.Compare)
		w.lists = append(w.lists, slices.Compact(l))
	}
	for g := range w.groups {
		w.drawGroup(rng, g)
	}
	for range w.subnets {
		w.acls = append(w.acls, w.drawACL(rng))
	}
	return w
}

// maxEntries of a prefix list: as many rules it counts for.
const maxEntries = 4

func (w *world) drawEndpoints(rng *rand.Rand, groups int) {
	w.groups = make([][]rule, groups)
	for i := range 2 + rng.IntN(2) {
		third := byte(10*i + rng.IntN(10))
		w.subnets = append(w.subnets, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, third, 0}), 24))
	}
	for i, host := range rng.Perm(200)[:workloads] {
		subnet := i % len(w.subnets)
		at := w.subnets[subnet].Addr().As4()
		at[3] = byte(10 + host)
		w.endpoints = append(w.endpoints, endpoint{netip.AddrFrom4(at), subnet, rng.Perm(groups)[:1+rng.IntN(3)]})
	}
}

// drawPrefix likes those that end beside an endpoint.
func (w *world) drawPrefix(rng *rand.Rand) netip.Prefix {
	at := w.endpoints[rng.IntN(len(w.endpoints))].at
	length := 24 + rng.IntN(9)
	switch rng.IntN(8) {
	case 0:
		return everybody
	case 1:
		return vpc
	case 2:
		at, length = netip.AddrFrom4([4]byte{10, byte(1 + rng.IntN(200)), 0, 0}), 16
	case 3, 4:
		length = 24
	}
	p, _ := at.Prefix(length) // the lengths are right
	return p
}

// drawMatch likes ranges that end at a port which is used, or beside it.
func (w *world) drawMatch(rng *rand.Rand) match {
	proto := []string{"-1", "tcp", "tcp", "tcp", "udp", "udp", "udp", "icmp", "icmp"}[rng.IntN(9)]
	switch proto {
	case "-1":
		return match{proto, 0, 0}
	case "icmp":
		kinds := [][2]int32{{-1, -1}, {8, -1}, {8, 0}, {0, -1}, {0, 0}, {3, 4}}
		k := kinds[rng.IntN(len(kinds))]
		return match{proto, k[0], k[1]}
	}
	used := append(slices.Clone(w.ports[proto]), w.sources...)
	p, far := used[rng.IntN(len(used))], rng.Int32N(900)
	ranges := [][2]int32{{p, p}, {p - far, p}, {p, p + far}, {p + 1, p + 1 + far}, {p - 1 - far, p - 1},
		{0, 65535}, {1024, 65535}, {w.ports[proto][0], w.ports[proto][1]}, {10000, 65535}}
	r := ranges[rng.IntN(len(ranges))]
	return match{proto, max(r[0], 0), min(r[1], 65535)}
}

func (w *world) drawGroup(rng *rand.Rand, g int) {
	add := func(r rule) {
		if !slices.Contains(w.groups[g], r) {
			w.groups[g] = append(w.groups[g], r)
		}
	}
	sending := 2 + rng.IntN(4)
	if rng.IntN(2) == 0 {
		sending = rng.IntN(2)
		add(rule{match{"-1", 0, 0}, remote{everybody, -1, -1}, true})
	}
	for i := range sending + 2 + rng.IntN(5) {
		r := rule{w.drawMatch(rng), remote{group: -1, list: -1}, i < sending}
		switch rng.IntN(4) {
		case 0:
			r.group = rng.IntN(len(w.groups))
		case 1:
			r.list = rng.IntN(len(w.lists))
		default:
			r.prefix = w.drawPrefix(rng)
		}
		add(r)
	}
}

// drawACL has room for refusals of both directions, and mostly lets the rest pass.
func (w *world) drawACL(rng *rand.Rand) []entry {
	if rng.IntN(3) == 0 {
		return nil
	}
	const last = 32766
	acl := []entry{}
	for _, egress := range []bool{false, true} {
		for _, n := range rng.Perm(last - 1)[:2+rng.IntN(5)] {
			acl = append(acl, entry{w.drawMatch(rng), int32(n + 1), w.drawPrefix(rng), egress, rng.IntN(3) > 0})
		}
		if rng.IntN(4) > 0 {
			acl = append(acl, entry{match{"-1", 0, 0}, last, everybody, egress, true})
		}
	}
	return acl
}

// TestGenerate: a seed is a world, and a run of worlds has all there is.
func TestGenerate(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(50) {
		w := generate(source(seed))
		if w.String() != generate(source(seed)).String() {
			t.Fatalf("seed %d is two worlds", seed)
		}
		for _, p := range w.probes() {
			seen[p.proto+map[verdict]string{{}: " dropped", {true, false}: " unanswered", {true, true}: " answered"}[p.want]] = true
		}
		for _, g := range w.groups {
			for _, r := range g {
				seen["group"], seen["list"] = seen["group"] || r.group >= 0, seen["list"] || r.list >= 0
			}
		}
		if n := len(w.groups); n < 3 || n > 5 || len(w.endpoints) != workloads || len(w.subnets) < 2 {
			t.Errorf("seed %d: %d groups, %d endpoints, %d subnets", seed, n, len(w.endpoints), len(w.subnets))
		}
	}
	for _, want := range []string{"tcp dropped", "tcp unanswered", "tcp answered", "udp dropped", "udp unanswered", "udp answered",
		"icmp dropped", "icmp unanswered", "icmp answered", "group", "list"} {
		if !seen[want] {
			t.Errorf("50 worlds without %q", want)
		}
	}
}
