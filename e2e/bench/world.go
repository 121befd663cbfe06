package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/e2e/netns"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/client"
)

// Names of paths, as printed.
const (
	bare   = "bare veth"
	bridge = "bridge"
	filter = "bridge + nft"
	same   = "same subnet"
	cross  = "across subnets"
)

// path is a way from one namespace to an address in another.
type path struct {
	name     string
	from, to string
	dst      netip.Addr
}

// world is everything that is built; remove takes it away.
type world struct {
	prefix string // of namespaces, and the host's name
	bin    string
	dir    string
	spaces []string
	daemon *daemon
	paths  []path
	// gateway is a vpcd in a namespace that stands for a host, and ways are those
	// out of its VPC, with what they are compared with.
	gateway *daemon
	ways    []path
	mtu     int
	filter  string
	subnet  string // ID of the warm subnet
	warm    string // namespace of an interface in it
}

func newWorld(bin string) (*world, error) {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"vpc", "vpcd"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			return nil, fmt.Errorf("%w; `make build` makes it", err)
		}
	}
	dir, err := os.MkdirTemp("", "vpc-bench")
	if err != nil {
		return nil, err
	}
	return &world{prefix: fmt.Sprintf("vb%d", os.Getpid()), bin: bin, dir: dir}, netns.Prepare()
}

// remove is safe at any point of build. It does not use the context of a run
// that was interrupted.
func (w *world) remove() error {
	var errs []error
	for _, d := range []*daemon{w.daemon, w.gateway} {
		if d != nil {
			errs = append(errs, d.remove())
		}
	}
	for _, name := range w.spaces {
		errs = append(errs, netns.Delete(name))
	}
	return errors.Join(append(errs, os.RemoveAll(w.dir))...)
}

// space makes a namespace with its loopback up.
func (w *world) space(role string) (string, error) {
	name := w.prefix + "-" + role
	if err := netns.Add(name); err != nil {
		return "", err
	}
	w.spaces = append(w.spaces, name)
	return name, run(name, nil, "ip", "link", "set", "lo", "up")
}

// dropSpace removes one before the end.
func (w *world) dropSpace(name string) error {
	for i, s := range w.spaces {
		if s == name {
			w.spaces = append(w.spaces[:i], w.spaces[i+1:]...)
			break
		}
	}
	return netns.Delete(name)
}

// build makes ours first: the others get its MTU.
func (w *world) build(ctx context.Context) error {
	if err := w.buildOurs(ctx); err != nil {
		return fmt.Errorf("ours: %w", err)
	}
	for _, b := range []func() error{w.buildBare, w.buildBridge, w.buildFilter} {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := b(); err != nil {
			return err
		}
	}
	w.paths = append(w.paths[2:], w.paths[:2]...) // the opponents first
	for _, p := range w.paths {
		for _, ns := range []string{p.from, p.to} {
			if err := tune(ns); err != nil {
				return err
			}
		}
	}
	return nil
}

// tune gives a client enough ports for thousands of connections a second.
func tune(ns string) error {
	return netns.Do(ns, func() error {
		return errors.Join(
			os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("1024 65535"), 0),
			os.WriteFile("/proc/sys/net/ipv4/tcp_tw_reuse", []byte("1"), 0))
	})
}

func (w *world) buildOurs(ctx context.Context) error {
	d, err := startDaemon(ctx, w.bin, w.dir, w.prefix)
	w.daemon = d
	if err != nil {
		return err
	}
	steps := []string{
		"create bench --cidr 10.0.0.0/16",
		"subnet add warm --vpc bench --cidr 10.0.1.0/24",
		"subnet add other --vpc bench --cidr 10.0.2.0/24",
	}
	var names []string
	// Two for each path: what one leaves behind does not burden the other.
	for i, subnet := range []string{"warm", "warm", "warm", "other"} {
		name, err := w.space(fmt.Sprintf("ours%d", i))
		if err != nil {
			return err
		}
		names = append(names, name)
		steps = append(steps, fmt.Sprintf("attach netns:%s --subnet %s --ip 10.0.%d.1%d", name, subnet, 1+i/3, i))
	}
	for _, s := range steps {
		if err := d.vpc(ctx, strings.Fields(s)...); err != nil {
			return err
		}
	}
	subnets, _, err := client.Call[api.DescribeSubnetsRequest, api.DescribeSubnetsResult](ctx, d.api, "DescribeSubnets", &api.DescribeSubnetsRequest{})
	if err != nil {
		return err
	}
	for _, s := range subnets.Subnets {
		if s.CidrBlock == "10.0.1.0/24" {
			w.subnet = s.SubnetId
		}
	}
	w.warm = names[0]
	w.paths = append(w.paths,
		path{same, names[0], names[1], netip.MustParseAddr("10.0.1.11")},
		path{cross, names[2], names[3], netip.MustParseAddr("10.0.2.13")})
	w.mtu, err = mtuOf(names[0])
	return err
}

// mtuOf reads the MTU of eth0 in a namespace, through a socket: sysfs shows
// the namespace it was mounted in.
func mtuOf(ns string) (mtu int, err error) {
	err = netns.Do(ns, func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		req, err := unix.NewIfreq("eth0")
		if err != nil {
			return err
		}
		err = unix.IoctlIfreq(fd, unix.SIOCGIFMTU, req)
		mtu = int(req.Uint32())
		return err
	})
	return mtu, err
}

// pair makes the two workloads of an opponent with addresses, and no links.
func (w *world) pair(role string) (a, b string, err error) {
	if a, err = w.space(role + "-a"); err == nil {
		b, err = w.space(role + "-b")
	}
	return a, b, err
}

// address brings eth0 up.
func (w *world) address(ns, prefix string) error {
	return all(ns, []string{fmt.Sprintf("ip link set eth0 mtu %d", w.mtu), "ip addr add " + prefix + " dev eth0", "ip link set eth0 up"})
}

func (w *world) finish(name, a, b string) error {
	w.paths = append(w.paths, path{name, a, b, netip.MustParseAddr("10.9.0.2")})
	return errors.Join(w.address(a, "10.9.0.1/24"), w.address(b, "10.9.0.2/24"))
}

func (w *world) buildBare() error {
	a, b, err := w.pair("bare")
	if err != nil {
		return err
	}
	if err := run(a, nil, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", b); err != nil {
		return err
	}
	return w.finish(bare, a, b)
}

func (w *world) buildBridge() error {
	_, err := w.bridged("br", bridge)
	return err
}

// bridged makes two workloads behind a bridge in a namespace of its own.
func (w *world) bridged(role, name string) (middle string, err error) {
	a, b, err := w.pair(role)
	if err != nil {
		return "", err
	}
	if middle, err = w.space(role + "-m"); err != nil {
		return "", err
	}
	// Without this every frame would visit empty hooks of IPv4.
	for _, f := range []string{"iptables", "ip6tables", "arptables"} {
		if err := bridgeCalls(middle, f, "0"); err != nil {
			return "", err
		}
	}
	if err := all(middle, []string{
		"ip link add br0 type bridge", "ip link set br0 up",
		"ip link add name p0 type veth peer name eth0 netns " + a, "ip link add name p1 type veth peer name eth0 netns " + b,
		fmt.Sprintf("ip link set p0 master br0 mtu %d up", w.mtu), fmt.Sprintf("ip link set p1 master br0 mtu %d up", w.mtu),
	}); err != nil {
		return "", err
	}
	return middle, w.finish(name, a, b)
}

// bridgeCalls sets one switch of br_netfilter where the kernel has it.
func bridgeCalls(ns, family, value string) error {
	return netns.Do(ns, func() error {
		err := os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-"+family, []byte(value), 0)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	})
}

// rules are what a firewall needs to be stateful: known connections pass, new
// ones are looked up in one map.
const rules = `table %s bench {
	map open {
		type inet_proto . inet_service : verdict
		elements = { udp . 7000 : accept, tcp . 7000 : accept, tcp . 22 : accept, tcp . 443 : accept }
	}
	chain forward {
		type filter hook forward priority 0; policy drop;
		ct state vmap { established : accept, related : accept, invalid : drop }
		%s
		meta l4proto . th dport vmap @open
	}
}
`

func (w *world) buildFilter() error {
	middle, err := w.bridged("nft", filter)
	if err != nil {
		return err
	}
	w.filter = "in the bridge family"
	err = run(middle, strings.NewReader(fmt.Sprintf(rules, "bridge", "ether type arp accept")), "nft", "-f", "-")
	if err == nil {
		return nil
	}
	w.filter = "behind br_netfilter (the kernel tracks no connections of bridges)"
	if err := bridgeCalls(middle, "iptables", "1"); err != nil {
		return err
	}
	return run(middle, strings.NewReader(fmt.Sprintf(rules, "ip", "")), "nft", "-f", "-")
}

// all runs commands one after the other.
func all(ns string, commands []string) error {
	for _, c := range commands {
		words := strings.Fields(c)
		if err := run(ns, nil, words[0], words[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// run runs a short command inside a namespace.
func run(ns string, stdin io.Reader, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stdin = stdin
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the whole, not for a part
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := netns.Do(ns, cmd.Start); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out.String())
	}
	return nil
}
