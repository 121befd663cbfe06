package gateways

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

// NATConfig is what all NAT gateways of a host have in common.
type NATConfig struct {
	// FirstPort to LastPort are what TCP and UDP are translated to, for each
	// address and destination. AWS promises 55,000 connections of 64,512 ports; the
	// kernel searches from a random place and gives up at some point, which below
	// that number was not seen to fail.
	FirstPort, LastPort uint16
	// Idle is after how many seconds without a packet a connection is forgotten.
	Idle int
	// Connections bounds what one gateway remembers, where the kernel lets a
	// namespace have a bound of its own; else it is the machine's.
	Connections int
}

// DefaultNAT is AWS's, with room for eight addresses' worth of connections to one
// destination.
func DefaultNAT() NATConfig {
	return NATConfig{FirstPort: 1024, LastPort: 65535, Idle: 350, Connections: 524288}
}

// Counters of a NAT gateway's table. Bytes are of IP packets with their headers;
// what the sender's kernel left to segment or the receiver's has joined counts as
// one packet.
const (
	FromSource      = "from_source"      // came from inside
	ToDestination   = "to_destination"   // of these, left for outside, translated
	FromDestination = "from_destination" // answers that came from outside
	ToSource        = "to_source"        // of these, left for inside, and errors of the gateway's own
	Attempts        = "attempts"         // first SYNs of connections
	Established     = "established"      // SYN-ACKs from outside, repeated ones too
	Forgotten       = "forgotten"        // TCP packets of no known connection, answered with RST
	Fragments       = "fragments"        // fragments of TCP and ICMP
	Unsolicited     = "unsolicited"      // for the gateway itself: nobody asked for them
	Refused         = "refused"          // another protocol, or out of a connection nobody knows
	Untranslated    = "untranslated"     // would have left with another source than the gateway's
)

// natCounters in the order of their names, as they are listed.
func natCounters() []string {
	names := []string{
		FromSource, ToDestination, FromDestination, ToSource, Attempts, Established,
		Forgotten, Fragments, Unsolicited, Refused, Untranslated,
	}
	slices.Sort(names)
	return names
}

// NATTable is the table, by its name, of a NAT gateway in its namespace that
// translates to these addresses. Every
// packet comes and goes by the gateway's one interface, so direction is what
// connection tracking says: the first packet of a connection is for somebody
// else, while what is for the gateway's own address was not asked for.
func NATTable(host string, addresses spec.Addrs, c NATConfig) map[string]spec.Firewall {
	table := spec.FirewallTable(host)
	addrs := addresses.List()
	var b strings.Builder
	fmt.Fprintf(&b, "table ip %s {\n", table)
	for _, name := range natCounters() {
		fmt.Fprintf(&b, "\tcounter %s {\n\t\tpackets 0 bytes 0\n\t}\n\n", name)
	}
	fmt.Fprintf(&b, natFilter, joined(addrs))
	for i, a := range addrs {
		which := ""
		if len(addrs) > 1 {
			which = fmt.Sprintf(" jhash ip saddr mod %d seed 0x%x %d", len(addrs), natSeed, i)
		}
		for _, protocol := range []string{"tcp", "udp"} {
			fmt.Fprintf(&b, "\t\tip protocol %s%s snat to %s:%d-%d fully-random\n", protocol, which, a, c.FirstPort, c.LastPort)
		}
		fmt.Fprintf(&b, "\t\tip protocol icmp%s snat to %s\n", which, a)
	}
	b.WriteString(natLeave)
	return map[string]spec.Firewall{table: spec.Firewall(b.String())}
}

// natSeed is fixed, so that a source keeps its address while the gateway has the
// same ones.
const natSeed = 0x76

// joined lists elements of a set in the order of their text.
func joined(addrs []netip.Addr) string {
	var out []string
	for _, a := range addrs {
		out = append(out, a.String())
	}
	slices.Sort(out)
	return strings.Join(out, ",\n\t\t\t     ")
}

// natFilter up to the rules of translation. Fragments are seen before they are
// put together (at -400). An answer needs no further question: it has a
// connection only if its first packet was let through. TCP that belongs to no
// connection was forgotten after its idle time, and its sender shall know. Rules of
// translation are asked once for a connection, so attempts are counted there.
const natFilter = `	set addresses {
		type ipv4_addr
		elements = { %s }
	}

	chain fragments {
		type filter hook prerouting priority -450; policy accept;
		ip frag-off & 16383 != 0 ip protocol tcp counter name "fragments" drop
		ip frag-off & 16383 != 0 ip protocol icmp counter name "fragments" drop
	}

	chain input {
		type filter hook input priority filter; policy drop;
		counter name "unsolicited"
	}

	chain forward {
		type filter hook forward priority filter; policy drop;
		ct direction reply counter name "from_destination"
		ct direction reply tcp flags syn,ack / syn,ack counter name "established"
		ct direction reply accept
		counter name "from_source"
		ct state established,related accept
		ct state new ip protocol tcp accept
		ct state new ip protocol udp accept
		ct state new icmp type echo-request accept
		ct state invalid tcp flags ! rst counter name "forgotten" reject with tcp reset
		counter name "refused"
	}

	chain translate {
		type nat hook postrouting priority srcnat; policy accept;
		ip protocol tcp counter name "attempts"
`

// natLeave is after translation. A packet without a connection is the gateway's
// own RST.
const natLeave = `	}

	chain leave {
		type filter hook postrouting priority 200; policy accept;
		ct direction reply counter name "to_source" accept
		ip saddr @addresses counter name "to_destination" accept
		ct direction original counter name "untranslated" drop
	}
}
`

// Setting is one sysctl of a namespace; Name is the path below /proc/sys.
type Setting struct{ Name, Value string }

// NATSettings are the sysctls of a NAT gateway's namespace in the order in which
// they are set, after the table is in place: forwarding is the last but for what
// turning it on sets by itself. A new namespace inherits the host's values, so even
// the kernel's defaults are named. The interface's own values come from
// "default" when it is made.
func NATSettings(c NATConfig) []Setting {
	idle := strconv.Itoa(c.Idle)
	out := []Setting{
		{conntrack + "max", strconv.Itoa(c.Connections)},
		// A connection is known from its SYN on or not at all, or one that was
		// forgotten would come back without its translation.
		{conntrack + "tcp_loose", "0"},
		// One segment out of its window must not meet the rule of resets.
		{conntrack + "tcp_be_liberal", "1"},
		{conntrack + "tcp_timeout_established", idle},
		{conntrack + "tcp_timeout_unacknowledged", idle},
		{conntrack + "tcp_timeout_max_retrans", idle},
		{conntrack + "udp_timeout", idle},
		{conntrack + "udp_timeout_stream", idle},
		{conntrack + "icmp_timeout", idle},
		{"net/ipv6/conf/all/disable_ipv6", "1"},
		{"net/ipv6/conf/default/disable_ipv6", "1"},
	}
	for _, dev := range []string{"all", "default", NATDevice} {
		for _, s := range []Setting{
			{"send_redirects", "0"}, // every packet leaves where it came from
			{"rp_filter", "0"},
			{"accept_source_route", "0"},
			{"accept_local", "0"},
			{"route_localnet", "0"},
			{"proxy_arp", "0"},
		} {
			out = append(out, Setting{"net/ipv4/conf/" + dev + "/" + s.Name, s.Value})
		}
	}
	out = append(out, Setting{"net/ipv4/ip_forward", "1"})
	for _, dev := range []string{"all", "default", NATDevice} {
		out = append(out, Setting{"net/ipv4/conf/" + dev + "/accept_redirects", "0"})
	}
	return out
}

const conntrack = "net/netfilter/nf_conntrack_"

// NATDevice is what a gateway's interface is called in its namespace.
const NATDevice = "eth0"
