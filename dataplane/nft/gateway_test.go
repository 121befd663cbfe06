package nft

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/dataplane/delta"
	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/gateways"
)

const (
	public   = "198.18.0.7"
	others   = "198.18.0.8"
	nobodys  = "198.18.0.99"
	hostSide = "192.0.2.1"
	worldIP  = "192.0.2.2"

	// refused is how long a connection that must not come about may try.
	refused = 300 * time.Millisecond
	patient = 10 * time.Second
)

// gateway is a host with two VPCs, and the world behind its uplink. No program
// runs: a VPC's namespace itself has the public address.
type gateway struct {
	vpc, second, host, world string // paths
	edge                     string
	firewall                 *Driver
	phases                   []delta.Phase
	outside                  *nl.Outside
}

// run runs a command in a namespace.
func run(t *testing.T, path string, line string) {
	t.Helper()
	args := append([]string{"--net=" + path}, strings.Fields(line)...)
	if out, err := exec.Command("nsenter", args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", line, err, out)
	}
}

// newGateway lets the drivers make the host's side.
func newGateway(t *testing.T) *gateway {
	t.Helper()
	k, vpc := kernel(t)
	g := &gateway{vpc: "/run/netns/" + vpc, host: namespace(t), world: namespace(t), edge: gateways.EdgeName("lab", "vpc-1")}
	for _, line := range []string{
		"sysctl -qw net.ipv4.ip_forward=1", "sysctl -qw net.ipv4.ip_forward=0", "sysctl -qw net.ipv4.conf.all.rp_filter=0",
		"ip link set lo up", "ip link add up0 type veth peer name w0 netns " + strings.TrimPrefix(g.world, "/run/netns/"),
		"ip addr add " + hostSide + "/24 dev up0", "ip link set up0 up", "ip route add default via " + worldIP,
	} {
		run(t, g.host, line)
	}
	run(t, g.world, "ip addr add "+worldIP+"/24 dev w0")
	run(t, g.world, "ip link set w0 up")
	run(t, g.world, "ip route add 198.18.0.0/24 via "+hostSide) // so that a lack of translation is seen and not lost

	g.outside = k.Outside(g.host, t.TempDir())
	t.Cleanup(g.outside.Close)
	g.second = "/run/netns/" + k.Netns("vpc-00000000000000002")
	must(t, k.Drivers().Namespaces.Put(ctx, k.Netns("vpc-00000000000000002"), struct{}{}))
	t.Cleanup(func() {
		if err := k.Drivers().Namespaces.Delete(ctx, k.Netns("vpc-00000000000000002")); err != nil {
			t.Error(err)
		}
	})
	secondEdge := gateways.EdgeName("lab", "vpc-2")
	uplinks, err := g.outside.Uplinks()
	must(t, err)
	d := g.outside.Drivers()
	pool := netip.MustParsePrefix("198.18.0.0/24")
	want := map[nl.LinkKey]nl.Edge{}
	for i, name := range []string{g.edge, secondEdge} {
		key := nl.LinkKey{Netns: strings.TrimPrefix([]string{g.vpc, g.second}[i], "/run/netns/"), Index: 100001 + i}
		want[key] = makeEdge(t, k, key, g.host, name, gateways.Router(pool))
	}
	g.firewall = Open(g.host, "lab")
	firewalls := delta.New[string, spec.Firewall]("firewall", g.firewall, strings.Compare)
	edges := delta.New("edge", d.Edges, nl.LinkKey.Compare)
	forwarding := delta.New("forwarding", d.Forwarding, cmp.Compare[string])
	routes := delta.New("host route", d.Routes, netip.Prefix.Compare)
	firewalls.Want(firewall("lab", g.edge, secondEdge))
	edges.Want(want)
	forwarding.Want(map[string]bool{uplinks[0]: true})
	routes.Want(map[netip.Prefix]nl.HostRoute{
		pool: {}, netip.MustParsePrefix(public + "/32"): {Device: g.edge}, netip.MustParsePrefix(others + "/32"): {Device: secondEdge},
	})
	g.phases = []delta.Phase{firewalls, edges, forwarding, routes}
	g.apply(t)
	inhabit(t, g.vpc, public)
	inhabit(t, g.second, others)
	return g
}

// makeEdge makes a pair with the same address at both ends: without ARP each end
// then addresses its frames to the other.
func makeEdge(t *testing.T, k *nl.Kernel, key nl.LinkKey, host, name string, router netip.Addr) nl.Edge {
	t.Helper()
	root, err := nl.Identify(host)
	must(t, err)
	mac := spec.MAC{2, 0x0e, 0, 0, 0, byte(key.Index)}
	must(t, k.Drivers().Links.Put(ctx, key, nl.Link{
		Kind: nl.Veth, Name: "edge", Alias: nl.EdgeAlias + "vpc-1 1", MAC: mac, MTU: 1400, Peer: root, PeerName: name, PeerMAC: mac,
	}))
	return nl.Edge{Name: name, Alias: "edge of " + key.Netns[len(key.Netns)-21:], MAC: mac, MTU: 1400, Addr: router}
}

// inhabit does by hand what programs do for interfaces.
func inhabit(t *testing.T, path, address string) {
	t.Helper()
	run(t, path, "ip link set lo up")
	run(t, path, "ip link set edge arp off up")
	run(t, path, "ip addr add "+address+"/32 dev edge")
	run(t, path, "ip route add default dev edge src "+address)
}

// apply reads everything again and corrects it; it returns what was wrong.
func (g *gateway) apply(t *testing.T) (drift []string) {
	t.Helper()
	for _, p := range g.phases {
		found, err := p.Diff(ctx)
		must(t, err)
		for _, d := range found {
			drift = append(drift, d.Kind)
		}
		p.Dirty()
		_, err = p.Put(ctx)
		must(t, err)
	}
	return drift
}

// serve answers each connection with the address that it came from.
func serve(t *testing.T, path, address string) {
	t.Helper()
	var l net.Listener
	must(t, nl.In(path, func() (err error) {
		l, err = net.Listen("tcp4", address)
		return err
	}))
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			from, _, _ := net.SplitHostPort(c.RemoteAddr().String())
			io.WriteString(c, from)
			c.Close()
		}
	}()
}

// ask connects and returns the answer.
func ask(path, to string, limit time.Duration) (string, error) {
	var c net.Conn
	d := net.Dialer{Timeout: limit}
	err := nl.In(path, func() (err error) {
		c, err = d.Dial("tcp4", to)
		return err
	})
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	return string(b), err
}

// reaches shows who is seen at the other side.
func reaches(t *testing.T, path, to, seen string) {
	t.Helper()
	if got, err := ask(path, to, patient); err != nil || got != seen {
		t.Errorf("%s to %s: seen as %q, want %q, %v", path, to, got, seen, err)
	}
}

// silent shows that nothing comes back.
func silent(t *testing.T, path, to string) {
	t.Helper()
	var timeout net.Error
	if got, err := ask(path, to, refused); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("%s to %s: %q, %v", path, to, got, err)
	}
}

func (g *gateway) promises(t *testing.T) {
	t.Helper()
	reaches(t, g.vpc, worldIP+":80", hostSide)
	reaches(t, g.host, public+":8080", "198.18.0.1")
	reaches(t, g.world, public+":8080", worldIP)
	for _, to := range []string{hostSide + ":22", "198.18.0.1:22", hostSide + ":8081"} {
		silent(t, g.vpc, to)
	}
	reaches(t, g.host, others+":8080", "198.18.0.1")
	reaches(t, g.second, public+":8080", others)
	reaches(t, g.host, "198.18.0.1:22", "198.18.0.1")
	g.onlyOwnSources(t)
	for _, path := range []string{g.vpc, g.host, g.world} {
		if _, err := ask(path, nobodys+":80", patient); !errors.Is(err, unix.EHOSTUNREACH) {
			t.Errorf("%s to an address that nobody has: %v", path, err)
		}
	}
}

// onlyOwnSources sends with the address of another VPC, and then with the own one
// on the same way.
func (g *gateway) onlyOwnSources(t *testing.T) {
	t.Helper()
	world := listenUDP(t, g.world, worldIP+":53")
	defer world.Close()
	run(t, g.vpc, "ip addr add "+others+"/32 dev edge")
	defer run(t, g.vpc, "ip addr del "+others+"/32 dev edge")
	for _, from := range []string{others, public} {
		must(t, nl.In(g.vpc, func() error {
			d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}
			c, err := d.Dial("udp4", worldIP+":53")
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = io.WriteString(c, from)
			return err
		}))
	}
	b := make([]byte, 32)
	must(t, world.SetReadDeadline(time.Now().Add(patient)))
	if n, err := world.Read(b); err != nil || string(b[:n]) != public {
		t.Errorf("with the address of another VPC: the world got %q first, %v", b[:n], err)
	}
}

func listenUDP(t *testing.T, path, address string) *net.UDPConn {
	t.Helper()
	var c *net.UDPConn
	must(t, nl.In(path, func() (err error) {
		c, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address)))
		return err
	}))
	t.Cleanup(func() { c.Close() })
	return c
}

func (g *gateway) servers(t *testing.T) {
	t.Helper()
	serve(t, g.world, worldIP+":80")
	serve(t, g.host, ":22")
	serve(t, g.vpc, ":8080")
	serve(t, g.second, ":8080")
	// What a container engine does to publish a port.
	nft(t, g.host, "table ip engine { chain pre { type nat hook prerouting priority dstnat; fib daddr type local tcp dport 8081 dnat to "+worldIP+":80; }; }")
}

func TestGateway(t *testing.T) {
	g := newGateway(t)
	g.servers(t)
	g.promises(t)
	if drift := g.apply(t); len(drift) != 0 {
		t.Fatalf("drift from traffic: %v", drift)
	}
	// Without the table there would be no secret: the checks can fail.
	nft(t, g.host, "delete table ip vpc_lab")
	reaches(t, g.vpc, worldIP+":80", public)
	reaches(t, g.vpc, hostSide+":22", public)
	reaches(t, g.vpc, hostSide+":8081", public)
	for _, harm := range []struct{ what, line string }{
		{"firewall", "nft flush ruleset"},
		{"host route", "ip route del unreachable 198.18.0.0/24"},
		{"host route", "ip route flush proto 118"},
		{"edge", "ip addr flush dev " + g.edge},
		{"edge", "ip link set " + g.edge + " down"},
		{"forwarding", "sysctl -qw net.ipv4.conf.up0.forwarding=0"},
	} {
		run(t, g.host, harm.line)
		if drift := g.apply(t); !strings.Contains(fmt.Sprint(drift), harm.what) {
			t.Errorf("%s: drift %v", harm.line, drift)
		}
	}
	nft(t, g.host, "table ip engine { chain pre { type nat hook prerouting priority dstnat; fib daddr type local tcp dport 8081 dnat to "+worldIP+":80; }; }")
	g.promises(t)
	must(t, errors.Join(g.outside.Cleanup(ctx), Cleanup(ctx, g.host, "lab")))
	if got := nft(t, g.host, "list ruleset"); strings.Contains(got, "vpc_lab") {
		t.Errorf("after cleanup\n%s", got)
	}
	if left, err := g.outside.Drivers().Routes.Observe(ctx, nil); err != nil || len(left) != 0 {
		t.Errorf("after cleanup %v, %v", left, err)
	}
}

// TestReplacementHasNoGap sends first packets of new flows without a pause while
// the table is replaced: none is let through to the host, and none leaves with
// its public address.
func TestReplacementHasNoGap(t *testing.T) {
	g := newGateway(t)
	world, host := listenUDP(t, g.world, worldIP+":53"), listenUDP(t, g.host, hostSide+":53")
	stop, sent := make(chan struct{}), make(chan error, 1)
	go func() {
		sent <- nl.In(g.vpc, func() error {
			for {
				select {
				case <-stop:
					return nil
				default:
				}
				for _, to := range []string{worldIP, hostSide} {
					c, err := net.Dial("udp4", to+":53")
					if err != nil {
						return err
					}
					_, err = c.Write([]byte("x"))
					c.Close()
					if err != nil {
						return err
					}
				}
			}
		})
	}()
	seen, strange := make(chan int, 1), make(chan netip.Addr, 1)
	go func() {
		n := 0
		for {
			_, from, err := world.ReadFromUDPAddrPort(make([]byte, 1))
			if err != nil {
				seen <- n
				return
			}
			n++
			if from.Addr().String() != hostSide {
				select {
				case strange <- from.Addr():
				default:
				}
			}
		}
	}()
	const replacements = 200
	for i := range replacements {
		want := firewall("lab", g.edge, fmt.Sprintf("other%d", i))
		must(t, g.firewall.Put(ctx, "vpc_lab", want["vpc_lab"]))
	}
	close(stop)
	must(t, <-sent)
	world.Close()
	if n := <-seen; n < replacements {
		t.Errorf("only %d packets in %d replacements", n, replacements)
	}
	select {
	case from := <-strange:
		t.Errorf("the world saw %v", from)
	default:
	}
	// What comes from the world is let in, so it is the first to arrive.
	must(t, nl.In(g.world, func() error {
		c, err := net.Dial("udp4", hostSide+":53")
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte("x"))
		return err
	}))
	must(t, host.SetReadDeadline(time.Now().Add(patient)))
	if _, from, err := host.ReadFromUDPAddrPort(make([]byte, 1)); err != nil || from.Addr().String() != worldIP {
		t.Errorf("%v reached the host, %v", from, err)
	}
}
