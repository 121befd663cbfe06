package dataplane

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/dataplane/delta"
	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/progs"
	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/gateways"
)

const (
	insideIP  = "10.0.1.10"
	outsideIP = "192.0.2.2"
	natIP     = "10.0.2.5"
	secondIP  = "10.0.2.6"

	refusal  = 300 * time.Millisecond
	patience = 5 * time.Second
)

// natLab is a NAT gateway on a stick: its one interface leads to a router, which
// sends it whatever comes from inside and is for outside. The router is the
// namespace of a VPC, where a plain kernel stands for the programs. Its own errors
// come back to it from the gateway, so it accepts what has its own address.
type natLab struct {
	name                         string
	inside, router, outside, nat string // paths
	kernel                       *nl.Kernel
	host                         *spec.Host
	config                       gateways.NATConfig
	driver                       *nats
	phases                       []delta.Phase
	want                         func()
}

func newNATLab(t *testing.T, config gateways.NATConfig, addrs spec.Addrs) *natLab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	name := fmt.Sprintf("nat%dn%d", os.Getpid(), hosts.Add(1))
	vpc, id := fmt.Sprintf("vpc-%017x", 1), fmt.Sprintf("nat-%017x", 1)
	l := &natLab{name: name, config: config}
	t.Cleanup(func() {
		if err := Cleanup(context.Background(), name, Outside{}); err != nil {
			t.Error(err)
		}
	})
	cidr := netip.MustParsePrefix("10.0.2.0/24")
	router := cidr.Addr().Next()
	l.host = &spec.Host{
		Name: name, MTU: 1500,
		Subnets: map[spec.SubnetID]spec.Subnet{1: {ID: "subnet-1", VPC: 1, VPCID: vpc, CIDR: cidr, Router: router, MAC: spec.RouterMAC(1)}},
		Ports: map[spec.ENI]spec.Port{7: {
			ID: "eni-7", VPC: 1, Subnet: 1, Kind: spec.NATGateway, Name: "eth0", MAC: spec.MACOf(7),
			Addr: netip.PrefixFrom(netip.MustParseAddr(natIP), 24), Gateway: router,
		}},
		NATs: map[spec.ENI]spec.NAT{7: {ID: id, VPC: 1, Addrs: addrs, Gateway: router, MAC: spec.MACOf(7), MTU: 1500}},
	}
	l.restart(t)
	l.router, l.nat = netnsDir+l.kernel.Netns(vpc), netnsDir+l.kernel.Netns(id)
	l.apply(t)
	l.connect(t)
	return l
}

// restart forgets everything that this process knows.
func (l *natLab) restart(t *testing.T) {
	t.Helper()
	l.kernel = nl.Open(l.name)
	t.Cleanup(l.kernel.Close)
	d := l.kernel.Drivers()
	l.driver = newNATs(l.kernel, l.name, l.config)
	namespaces, nats := delta.New("netns", d.Namespaces, strings.Compare), delta.New("nat", l.driver, compareENIs)
	links, ups := delta.New("link", d.Links, nl.LinkKey.Compare), delta.New("up", d.Ups, nl.LinkKey.Compare)
	workloads := delta.New("workload", d.Workloads, cmp.Compare[int])
	l.phases = []delta.Phase{namespaces, nats, links, ups, workloads}
	l.want = func() {
		w := expand(l.host, around{netns: l.kernel.Netns, current: func(progs.Role) progs.Attached { return progs.Attached{} }, slots: newSlots()})
		namespaces.Want(w.namespaces)
		nats.Want(w.nats)
		links.Want(w.links)
		ups.Want(w.ups)
		workloads.Want(w.workloads)
	}
}

// apply reads everything again and corrects it; it returns what was wrong.
func (l *natLab) apply(t *testing.T) (drift []string) {
	t.Helper()
	l.want()
	for _, p := range l.phases {
		found, err := p.Diff(context.Background())
		for _, d := range found {
			if d.Want != "" { // the test's own links are in the router
				drift = append(drift, d.String())
			}
		}
		p.Dirty()
		_, err2 := p.Put(context.Background())
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
	}
	return drift
}

func inNetns(t *testing.T, path, line string) {
	t.Helper()
	run(t, "nsenter", append([]string{"--net=" + path}, strings.Fields(line)...)...)
}

// connect makes inside and outside and tells the router where they are. Outside
// knows a way to inside, so that what leaves untranslated is seen and not lost.
func (l *natLab) connect(t *testing.T) {
	t.Helper()
	inside, outside := workloadNetns(t, l.name+"i"), workloadNetns(t, l.name+"o")
	l.inside, l.outside = inside.Path, outside.Path
	port := fmt.Sprintf("vpc-%08x", 7)
	for _, line := range []string{
		"sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.rp_filter=0 net.ipv4.conf.all.accept_local=1",
		"ip link add in0 type veth peer name eth0 netns " + strings.TrimPrefix(l.inside, netnsDir),
		"ip link add out0 type veth peer name eth0 netns " + strings.TrimPrefix(l.outside, netnsDir),
		"ip addr add 10.0.1.1/24 dev in0", "ip link set in0 up", "ip addr add 192.0.2.1/24 dev out0", "ip link set out0 up",
		"ip addr add 10.0.2.1/32 dev " + port, "ip route add 10.0.2.0/28 dev " + port + " src 10.0.2.1",
		"ip rule add iif in0 lookup 100", "ip route add default via " + natIP + " dev " + port + " onlink table 100",
		"sysctl -qw net.ipv4.conf." + port + ".rp_filter=0",
	} {
		inNetns(t, l.router, line)
	}
	for _, line := range []string{"ip addr add " + insideIP + "/24 dev eth0", "ip link set eth0 up", "ip link set lo up", "ip route add default via 10.0.1.1"} {
		inNetns(t, l.inside, line)
	}
	for _, line := range []string{"ip addr add " + outsideIP + "/24 dev eth0", "ip link set eth0 up", "ip link set lo up", "ip route add 10.0.0.0/16 via 192.0.2.1"} {
		inNetns(t, l.outside, line)
	}
}

// metrics reads the gateway's.
func (l *natLab) metrics(t *testing.T) NATMetrics {
	t.Helper()
	m, err := l.driver.metrics(context.Background(), l.kernel.Netns(l.host.NATs[7].ID))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// serve answers, over TCP, every line with the address that it came from.
func (l *natLab) serve(t *testing.T, port uint16) {
	t.Helper()
	var server net.Listener
	enter(t, l.outside, func() (err error) {
		server, err = net.Listen("tcp4", outsideAt(port))
		return err
	})
	t.Cleanup(func() { server.Close() })
	go func() {
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for b := make([]byte, 65536); ; {
					if _, err := c.Read(b); err != nil {
						return
					}
					fmt.Fprintln(c, c.RemoteAddr())
				}
			}()
		}
	}()
}

func outsideAt(port uint16) string {
	return netip.AddrPortFrom(netip.MustParseAddr(outsideIP), port).String()
}

func enter(t *testing.T, path string, fn func() error) {
	t.Helper()
	if err := nl.In(path, fn); err != nil {
		t.Fatal(err)
	}
}

// dial connects from an address inside.
func (l *natLab) dial(t *testing.T, from string, port uint16, limit time.Duration) (c net.Conn, err error) {
	t.Helper()
	d := net.Dialer{Timeout: limit, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	err = nl.In(l.inside, func() (err error) {
		c, err = d.Dial("tcp4", outsideAt(port))
		return err
	})
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

// talk says something and returns as whom the other side sees it.
func talk(c net.Conn) (netip.AddrPort, error) {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return netip.AddrPort{}, err
	}
	if _, err := io.WriteString(c, "who am I?"); err != nil {
		return netip.AddrPort{}, err
	}
	b := make([]byte, 64)
	n, err := c.Read(b)
	if err != nil {
		return netip.AddrPort{}, err
	}
	line, _, _ := strings.Cut(string(b[:n]), "\n") // of what it says to each segment
	return netip.ParseAddrPort(line)
}

// seen is whom a new connection is seen as.
func (l *natLab) seen(t *testing.T, from string, port uint16) (net.Conn, netip.AddrPort) {
	t.Helper()
	c, err := l.dial(t, from, port, patience)
	if err != nil {
		t.Fatal(err)
	}
	as, err := talk(c)
	if err != nil {
		t.Fatal(err)
	}
	return c, as
}

// udp opens a socket.
func udp(t *testing.T, path, address string) *net.UDPConn {
	t.Helper()
	var c *net.UDPConn
	enter(t, path, func() (err error) {
		c, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address)))
		return err
	})
	t.Cleanup(func() { c.Close() })
	return c
}

// receive waits for one datagram.
func receive(c *net.UDPConn, limit time.Duration) (string, netip.AddrPort, error) {
	if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return "", netip.AddrPort{}, err
	}
	b := make([]byte, 65536)
	n, from, err := c.ReadFromUDPAddrPort(b)
	return string(b[:n]), netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), err
}

func send(t *testing.T, c *net.UDPConn, text string, to netip.AddrPort) {
	t.Helper()
	if _, err := c.WriteToUDPAddrPort([]byte(text), to); err != nil {
		t.Fatal(err)
	}
}

func pings(path, options, to string) error {
	return nsenter(path, strings.Fields("ping -c1 -W0.3 -q "+options+" "+to)...)
}

func nsenter(path string, args ...string) error {
	out, err := exec.Command("nsenter", append([]string{"--net=" + path}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%v: %w: %s", args, err, out)
	}
	return nil
}
