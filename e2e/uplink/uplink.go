// Package uplink connects two namespaces as a host and what it is connected
// to: a laptop, on which vpcd runs instead of on this machine, and a world with
// servers. Nothing of it touches the machine's own network.
package uplink

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"

	"github.com/vpcfabric/vpc/e2e/netns"
)

// Addresses, of RFC 5737's networks.
var (
	Laptop = netip.MustParseAddr("192.0.2.2")    // of the laptop, on its uplink
	World  = netip.MustParseAddr("203.0.113.9")  // of a server in the world
	Second = netip.MustParseAddr("203.0.113.10") // the same server's other one

	router = netip.MustParseAddr("192.0.2.1") // of the world, at the laptop's uplink
)

// Interface is what the uplink is called at both ends.
const Interface = "uplink"

// Connect makes the uplink between two empty namespaces. The laptop forwards,
// and has its default route to the world; the world knows the laptop and, behind
// it, the prefixes that it is told.
func Connect(laptop, world string, knows ...netip.Prefix) error {
	for _, ns := range []string{laptop, world} {
		// Neighbour discovery would be traffic that nobody sent.
		for _, of := range []string{"all", "default"} {
			if err := set(ns, "ipv6/conf/"+of+"/disable_ipv6", "1"); err != nil {
				return err
			}
		}
	}
	for _, line := range commands(laptop, world, knows) {
		words := strings.Fields(line)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", line, err, out)
		}
	}
	return set(laptop, "ipv4/ip_forward", "1")
}

func commands(laptop, world string, knows []netip.Prefix) []string {
	at := func(ns, format string, args ...any) string { return "ip -n " + ns + " " + fmt.Sprintf(format, args...) }
	lines := []string{
		at(laptop, "link set lo up"),
		at(laptop, "link add %s type veth peer name %s netns %s", Interface, Interface, world),
		at(laptop, "addr add %s/24 dev %s", Laptop, Interface),
		at(laptop, "link set %s up", Interface),
		at(world, "link set lo up"),
		at(world, "addr add %s/32 dev lo", World),
		at(world, "addr add %s/32 dev lo", Second),
		at(world, "addr add %s/24 dev %s", router, Interface),
		at(world, "link set %s up", Interface),
		// Its servers answer as they were asked.
		at(world, "route change 192.0.2.0/24 dev %s src %s", Interface, World),
		at(laptop, "route add default via %s", router),
	}
	for _, p := range knows {
		lines = append(lines, at(world, "route add %s via %s src %s", p, Laptop, World))
	}
	return lines
}

// set writes a setting of a namespace, which is that of the thread that writes.
func set(ns, name, value string) error {
	return netns.Do(ns, func() error { return os.WriteFile("/proc/sys/net/"+name, []byte(value), 0) })
}
