package crash

import (
	"os/exec"
	"strings"
	"testing"
)

// world is a host beyond the uplink.
const world = "192.0.2.1"

// routedPool is a pool that the world leads to the host; a's address is of it.
const (
	routedPool = "198.51.100.0/28"
	routed     = "198.51.100.5"
)

// laptop is a namespace for a daemon with gateways: it has an uplink, and a
// firewall that forwards nothing by itself.
func laptop(t *testing.T) string {
	host, beyond := netns(t, "host"), netns(t, "world")
	for _, line := range []string{
		"ip link set lo up",
		"ip link add uplink type veth peer name uplink netns " + beyond,
		"ip addr add 192.0.2.2/24 dev uplink",
		"ip link set uplink up",
		"ip route add default via " + world,
		"iptables -P FORWARD DROP",
	} {
		within(t, host, line)
	}
	within(t, beyond, "ip addr add "+world+"/24 dev uplink")
	within(t, beyond, "ip link set uplink up")
	within(t, beyond, "ip route add "+routedPool+" via 192.0.2.2")
	return host
}

func within(t *testing.T, ns, line string) {
	t.Helper()
	if out, err := exec.Command("nsenter", append([]string{"--net=/run/netns/" + ns}, strings.Fields(line)...)...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

// ofGateways: a step of a kind of object that only gateways have.
func ofGateways(step string) bool {
	for _, kind := range []string{"public", "filter", "firewall", "edge", "forwarding", "accept", "host-route", "nat", "door", "uplink", "gate"} {
		if strings.HasSuffix(step, " "+kind) {
			return true
		}
	}
	return false
}
