package harness

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/vpcfabric/vpc/e2e/meter"
	"github.com/vpcfabric/vpc/e2e/netns"
	"github.com/vpcfabric/vpc/e2e/probe"
)

// full is the name of the namespace behind an alias.
func (h *host) full(alias string) string { return h.name + "-" + alias }

// cmdNs makes or removes workload namespaces.
//
//	ns add web db
//	ns del web
func cmdNs(c call, args []string) error {
	if len(args) < 2 {
		return errors.New("want add or del, and names")
	}
	for _, alias := range args[1:] {
		switch args[0] {
		case "add":
			if err := netns.Add(c.full(alias)); err != nil {
				return err
			}
			c.spaces[alias] = true
		case "del":
			if err := netns.Delete(c.full(alias)); err != nil {
				return err
			}
			delete(c.spaces, alias)
		default:
			return fmt.Errorf("no %q of a namespace", args[0])
		}
	}
	return nil
}

// cmdIn runs a program inside a workload's network namespace.
//
//	in web ip addr show
func cmdIn(c call, args []string) error {
	if len(args) < 2 || !c.spaces[args[0]] {
		return errors.New("want a namespace of this script and a command")
	}
	cmd := exec.Command("nsenter", append([]string{"--net=" + netns.Path(c.full(args[0])), "--"}, args[1:]...)...)
	cmd.Stdout, cmd.Stderr = c.ts.Stdout(), c.ts.Stderr()
	return cmd.Run()
}

// address reads ALIAS, ALIAS:PORT, IP or IP:PORT. The router of a workload is
// router@ALIAS, its interface's public address public@ALIAS.
func (h *host) address(text string) (netip.Addr, uint16, error) {
	var port uint16
	if name, number, ok := strings.Cut(text, ":"); ok {
		if _, err := fmt.Sscan(number, &port); err != nil {
			return netip.Addr{}, 0, fmt.Errorf("port of %q: %w", text, err)
		}
		text = name
	}
	if alias, ok := strings.CutPrefix(text, "router@"); ok {
		p, _, err := probe.Address(h.full(alias))
		return p.Masked().Addr().Next(), port, err
	}
	if alias, ok := strings.CutPrefix(text, "public@"); ok {
		addr, err := h.publicAddress(alias)
		return addr, port, err
	}
	if addr, ok := h.fixed[text]; ok {
		return addr, port, nil
	}
	if h.spaces[text] {
		p, _, err := probe.Address(h.full(text))
		return p.Addr(), port, err
	}
	addr, err := netip.ParseAddr(text)
	return addr, port, err
}

// mac reads ALIAS, router@ALIAS, broadcast, multicast, unknown or a MAC.
func (h *host) mac(text string) (net.HardwareAddr, error) {
	switch text {
	case "broadcast":
		return net.ParseMAC("ff:ff:ff:ff:ff:ff")
	case "multicast":
		return net.ParseMAC("01:00:5e:00:00:fb")
	case "unknown":
		return net.ParseMAC("02:de:ad:00:00:01")
	}
	if alias, ok := strings.CutPrefix(text, "router@"); ok {
		return h.routerMAC(alias)
	}
	if h.spaces[text] {
		_, link, err := probe.Address(h.full(text))
		return link.HardwareAddr, err
	}
	return net.ParseMAC(text)
}

// routerMAC asks the workload's own neighbour table, after a ping to fill it.
func (h *host) routerMAC(alias string) (net.HardwareAddr, error) {
	router, _, err := h.address("router@" + alias)
	if err != nil {
		return nil, err
	}
	if err := probe.Ping(h.full(alias), router, 0); err != nil {
		return nil, fmt.Errorf("router of %s: %w", alias, err)
	}
	out, err := exec.Command("nsenter", "--net="+netns.Path(h.full(alias)), "--", "ip", "neigh", "show", router.String()).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	_, after, ok := strings.Cut(string(out), "lladdr ")
	if !ok {
		return nil, fmt.Errorf("no neighbour %s of %s: %s", router, alias, out)
	}
	return net.ParseMAC(strings.Fields(after)[0])
}

// cmdMark keeps a dump of what the kernel has; cmdSame wants it to be so again.
func cmdMark(c call, args []string) (err error) {
	if len(args) != 1 {
		return errors.New("want a name")
	}
	c.marks[args[0]], err = meter.Take(c.scope())
	return err
}

func cmdSame(c call, args []string) error {
	if len(args) != 1 || c.marks[args[0]] == nil {
		return errors.New("want the name of a mark")
	}
	after, err := meter.Take(c.scope())
	if err != nil {
		return err
	}
	var out []string
	for _, ch := range meter.Compare(c.marks[args[0]], after) {
		out = append(out, ch.String())
	}
	if len(out) > 0 {
		return fmt.Errorf("%d differences:\n%s", len(out), strings.Join(out, "\n"))
	}
	return nil
}

// cmdWreck destroys or changes the daemon's kernel objects behind its back.
//
//	wreck pins       every pin is unlinked
//	wreck programs   every program is detached from its interface
//	wreck netns | links | down | mtu | mac | sysctl     in each of its namespaces
func cmdWreck(c call, args []string) error {
	if len(args) != 1 {
		return errors.New("want what to destroy")
	}
	switch args[0] {
	case "pins":
		return removePins(c.pins())
	case "programs":
		return detachPrograms(filepath.Join(c.pins(), "links"))
	}
	spaces, err := filepath.Glob(netns.Path("vpc-" + c.name + "-*"))
	if err != nil {
		return err
	}
	if len(spaces) == 0 {
		return errors.New("there is nothing to destroy")
	}
	for _, path := range spaces {
		if err := wreckNetns(filepath.Base(path), args[0]); err != nil {
			return err
		}
	}
	return nil
}

// wreckNetns does one kind of harm to one namespace. One end of a pair takes
// the other along, so a link that is gone meanwhile is fine.
func wreckNetns(ns, what string) error {
	switch what {
	case "netns":
		// Busy: it has been made again between its two halves of a deletion.
		if err := netns.Delete(ns); !errors.Is(err, syscall.EBUSY) {
			return err
		}
		return nil
	case "sysctl":
		return netns.Do(ns, func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0) })
	}
	change, ok := map[string][]string{"links": {"del"}, "down": {"set", "down"}, "mtu": {"set", "mtu", "1300"},
		"mac": {"set", "address", "02:de:ad:00:00:02"}}[what]
	if !ok {
		return fmt.Errorf("no %q to destroy", what)
	}
	links, err := linksOf(ns)
	if err != nil {
		return err
	}
	for _, name := range links {
		words := append([]string{"--net=" + netns.Path(ns), "--", "ip", "link", change[0], "dev", name}, change[1:]...)
		exec.Command("nsenter", words...).Run()
	}
	return nil
}

func detachPrograms(dir string) error {
	count := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		count++
		if out, err := exec.Command("bpftool", "link", "detach", "pinned", path).CombinedOutput(); err != nil {
			return fmt.Errorf("detach %s: %w: %s", path, err, out)
		}
		return nil
	})
	if err == nil && count == 0 {
		err = errors.New("there are no links below " + dir)
	}
	return err
}

func linksOf(ns string) (names []string, err error) {
	err = netns.Do(ns, func() error {
		links, err := net.Interfaces()
		for _, l := range links {
			if l.Flags&net.FlagLoopback == 0 {
				names = append(names, l.Name)
			}
		}
		return err
	})
	return names, err
}

// removePins removes a directory of pins once. A daemon that repairs at the same
// moment may have put some back before their directory was gone.
func removePins(dir string) error {
	err := os.RemoveAll(dir)
	if errors.Is(err, syscall.ENOTEMPTY) {
		return nil
	}
	return err
}
