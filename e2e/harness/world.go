package harness

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vpcfabric/vpc/e2e/netns"
	"github.com/vpcfabric/vpc/e2e/probe"
	"github.com/vpcfabric/vpc/e2e/uplink"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/client"
)

// What lies beyond a VPC, in namespaces of the script: the host that vpcd runs
// on, instead of this machine's own, and a network that it is connected to.
const (
	laptop = "laptop"
	world  = "world"
)

// cmdWorld makes a laptop with an uplink to the world, and has vpcd run there
// from now on. The world knows the laptop and nothing behind it, unless it is
// told that public addresses are there too.
//
//	world [knows CIDR] [offload=off] [mtu=N]
func cmdWorld(c call, args []string) error {
	if c.daemon != nil || c.inside != "" {
		return errors.New("it comes before vpcd, once")
	}
	if err := cmdNs(c, []string{"add", laptop, world}); err != nil {
		return err
	}
	c.fixed = map[string]netip.Addr{laptop: uplink.Laptop, world: uplink.World}
	c.inside = laptop
	if err := uplink.Connect(c.full(laptop), c.full(world)); err != nil {
		return err
	}
	var lines []string
	for i := 0; i < len(args); i++ {
		switch mtu, isMTU := strings.CutPrefix(args[i], "mtu="); {
		case args[i] == "knows" && i+1 < len(args):
			i++
			lines = append(lines, "world ip route add "+args[i]+" via "+uplink.Laptop.String()+" src "+uplink.World.String())
		case args[i] == "offload=off":
			lines = append(lines, "laptop ethtool -K uplink tx off gso off tso off gro off", "world ethtool -K uplink tx off gso off tso off gro off")
		case isMTU:
			lines = append(lines, "laptop ip link set uplink mtu "+mtu, "world ip link set uplink mtu "+mtu)
		default:
			return fmt.Errorf("no %q of a world", args[i])
		}
	}
	for _, line := range lines {
		words := strings.Fields(line)
		if out, err := c.within(words[0], words[1], words[2:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", line, err, out)
		}
	}
	return nil
}

// within is a program inside one of the script's namespaces.
func (h *host) within(alias, name string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--net=" + netns.Path(h.full(alias)), "--", name}, args...)...)
}

// binary is vpc or vpcd, where vpcd runs. nsenter becomes the program, so its
// process is the program's.
func (h *host) binary(name string, args []string) (string, []string) {
	path := filepath.Join(h.bin, name)
	if h.inside == "" {
		return path, args
	}
	return "nsenter", append([]string{"--net=" + netns.Path(h.full(h.inside)), "--", path}, args...)
}

// publicAddress is that of a workload's interface.
func (h *host) publicAddress(alias string) (netip.Addr, error) {
	_, link, err := probe.Address(h.full(alias))
	if err != nil {
		return netip.Addr{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	enis, _, err := client.Call[api.DescribeNetworkInterfacesRequest, api.DescribeNetworkInterfacesResult](ctx, h.api, "DescribeNetworkInterfaces", &api.DescribeNetworkInterfacesRequest{})
	if err != nil {
		return netip.Addr{}, err
	}
	for _, e := range enis.NetworkInterfaces {
		if e.MacAddress == link.HardwareAddr.String() && e.Association != nil {
			return netip.ParseAddr(e.Association.PublicIp)
		}
	}
	return netip.Addr{}, fmt.Errorf("%s has no public address", alias)
}

// cmdSeenAs wants a connection to arrive, and to come from an address.
//
//	seenas web world 192.0.2.2
func cmdSeenAs(c call, args []string) error {
	if len(args) != 3 {
		return errors.New("want FROM TO ADDRESS")
	}
	at, server := args[1], args[1]
	if alias, ok := strings.CutPrefix(at, "public@"); ok {
		server = alias
	}
	to, _, err := c.address(at)
	if err != nil {
		return err
	}
	want, _, err := c.address(args[2])
	if err != nil {
		return err
	}
	got, err := probe.SeenAs(c.full(args[0]), c.full(server), to)
	if err == nil && got != want {
		err = fmt.Errorf("seen as %s, want %s", got, want)
	}
	return err
}

// cmdHostNet compares everything that the laptop has of its own: links,
// addresses, routes, rules, settings.
//
//	hostnet mark
//	hostnet same
func cmdHostNet(c call, args []string) error {
	if len(args) != 1 || c.inside == "" {
		return errors.New("want mark or same, and a world")
	}
	now, err := c.hostNet()
	if err != nil {
		return err
	}
	switch args[0] {
	case "mark":
		c.hostnet = now
		return nil
	case "same":
		for line := range strings.Lines(now) {
			if !slices.Contains(strings.SplitAfter(c.hostnet, "\n"), line) {
				return fmt.Errorf("more than before: %s", line)
			}
		}
		if len(now) != len(c.hostnet) {
			return fmt.Errorf("before:\n%s\nnow:\n%s", c.hostnet, now)
		}
		return nil
	}
	return fmt.Errorf("no %q", args[0])
}

func (h *host) hostNet() (string, error) {
	var all strings.Builder
	for _, words := range [][]string{
		{"ip", "-o", "link"}, {"ip", "-o", "addr"}, {"ip", "route", "show", "table", "all"}, {"ip", "rule"},
		{"nft", "list", "ruleset"}, {"iptables-save"}, {"sysctl", "-a", "-r", `^net\.ipv4\.(ip_forward|conf\..*\.(forwarding|rp_filter|accept_local|send_redirects|proxy_arp))`},
	} {
		out, err := h.within(laptop, words[0], words[1:]...).Output()
		if err != nil {
			return "", fmt.Errorf("%v: %w", words, err)
		}
		for line := range strings.Lines(string(out)) {
			if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, ":") { // dates and counters
				all.WriteString(line)
			}
		}
	}
	return all.String(), nil
}
