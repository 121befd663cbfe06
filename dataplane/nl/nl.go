// Package nl reads and writes the network namespaces, links, addresses,
// neighbours and sysctls of one host: one delta driver for each kind of kernel
// object. It is the only package that speaks rtnetlink.
//
// What is ours: every namespace whose name is the host's prefix and the id of a
// VPC or NAT gateway, and everything in it. Inside the namespaces of workloads ours are the end of a
// veth pair whose other end is ours, and the addresses and routes that carry
// our protocol number. In the daemon's own namespace, the outside, ours are the
// ends of edges, the routes with that number and the host's mark, and what a
// record says was turned.
//
// Reviewers check: nothing outside is written that the last host to leave could
// not give back; no thread that could not return to its namespace is used
// again; an interrupted dump is never an answer; a namespace is only opened by
// path after its inode was compared.
package nl

import (
	"cmp"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/vpcfabric/vpc/dataplane/delta"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// writes counts every request of this process that could change the kernel.
var writes atomic.Int64

// Writes is how many kernel writes were tried since the process started.
func Writes() int64 { return writes.Load() }

// Kernel gives access to the namespaces of one host name. It keeps a socket
// per namespace; a namespace that was replaced or removed loses its socket on
// the next access.
type Kernel struct {
	prefix string

	mu       sync.Mutex
	conns    map[string]*conn
	prepared bool // /run/netns shows its mounts to others
}

// Open prepares access to the namespaces of the host with this name; it does
// nothing to the kernel.
func Open(host string) *Kernel {
	return &Kernel{prefix: "vpc-" + host + "-", conns: map[string]*conn{}}
}

// Netns is the full name of one of our namespaces: the prefix and the id of a VPC
// or NAT gateway, "vpc-" or "nat-" and 17 hexadecimal digits.
func (k *Kernel) Netns(id string) string { return k.prefix + id }

// Close gives back the sockets. The kernel objects stay.
func (k *Kernel) Close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, c := range k.conns {
		c.close()
		delete(k.conns, name)
	}
}

// Drivers is one driver for each kind, in an order in which creation works:
// each kind needs only kinds above it. Deleting a namespace or link takes along
// what is in or on it, so the kinds below find their work done.
type Drivers struct {
	Namespaces  delta.Driver[string, struct{}]
	Sysctls     delta.Driver[SysctlKey, string]
	Links       delta.Driver[LinkKey, Link]
	BridgePorts delta.Driver[LinkKey, BridgePort]
	Addresses   delta.Driver[AddressKey, struct{}]
	Ups         delta.Driver[LinkKey, Up]
	Neighbours  delta.Driver[NeighbourKey, spec.MAC]
	FDB         delta.Driver[FDBKey, int]
	Workloads   delta.Driver[int, Workload]
}

// Drivers returns the drivers of the real kernel.
func (k *Kernel) Drivers() Drivers {
	return Drivers{
		Namespaces:  namespaces{k},
		Sysctls:     sysctls{k},
		Links:       links{k},
		BridgePorts: bridgePorts{k},
		Addresses:   addresses{k},
		Ups:         ups{k},
		Neighbours:  neighbours{k},
		FDB:         fdb{k},
		Workloads:   newWorkloads(k),
	}
}

// SysctlKey names one sysctl of one of our namespaces; Name is the path below
// /proc/sys, for example net/ipv4/ip_forward.
type SysctlKey struct{ Netns, Name string }

// Compare orders by namespace, then name; the switch of forwarding comes first,
// because turning it sets others.
func (a SysctlKey) Compare(b SysctlKey) int {
	return cmp.Or(cmp.Compare(a.Netns, b.Netns), cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.Name, b.Name))
}

func (a SysctlKey) rank() int {
	if a.Name == "net/ipv4/ip_forward" {
		return 0
	}
	return 1
}

// String is netns/name.
func (a SysctlKey) String() string { return a.Netns + "/" + a.Name }

// LinkKey names a link by the index we gave it, in one of our namespaces.
type LinkKey struct {
	Netns string
	Index int
}

// Compare orders by namespace, then index.
func (a LinkKey) Compare(b LinkKey) int {
	return cmp.Or(cmp.Compare(a.Netns, b.Netns), cmp.Compare(a.Index, b.Index))
}

// String is netns#index.
func (a LinkKey) String() string { return fmt.Sprintf("%s#%d", a.Netns, a.Index) }

// Kinds of links.
const (
	Bridge = "bridge"
	Veth   = "veth"
	Tap    = "tap"
)

// Link is a link in one of our namespaces, down when created.
type Link struct {
	Kind string // Bridge, Veth or Tap
	Name string // of our end
	// Alias is what people see with `ip -d link`: whose link it is. At least one
	// byte, at most 63, without newline.
	Alias string
	MAC   spec.MAC // of our end
	MTU   int      // of both ends, bytes

	// The other end of a Veth lives in Peer, anyone's namespace. A Tap is taken
	// from Peer, where it is called PeerName, and given back on deletion. A Veth
	// without Peer and PeerName may lead anywhere; it is listed and never made.
	Peer     spec.Netns
	PeerName string
	PeerMAC  spec.MAC
	// PeerIndex, unless it is 0, says that the other end is ours as well and has
	// this index in Peer, which is one of our namespaces and meant by its path.
	// The other end has a Link of its own, with the same alias; making one makes
	// both, and so does deleting.
	PeerIndex int

	// Wrong is empty in what is wanted. A listing puts here what is wrong in
	// the kernel and no other field can say, for example "stp on".
	Wrong string
}

// BridgePort is the membership of a link in a bridge: isolated, without
// learning, flooding or ARP answers.
type BridgePort struct {
	Master int // ifindex of the bridge
	// Wrong is empty in what is wanted; a listing names flags that differ.
	Wrong string
}

// Up is the administrative state: a link that is up has one, others do not.
type Up struct{}

// AddressKey is one address on one link of ours.
type AddressKey struct {
	Netns  string
	Index  int
	Prefix netip.Prefix
}

// Compare orders by namespace, link, prefix.
func (a AddressKey) Compare(b AddressKey) int {
	return cmp.Or(cmp.Compare(a.Netns, b.Netns), cmp.Compare(a.Index, b.Index),
		a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()))
}

// String is netns#index prefix.
func (a AddressKey) String() string { return fmt.Sprintf("%s#%d %s", a.Netns, a.Index, a.Prefix) }

// NeighbourKey is one permanent neighbour on one link of ours.
type NeighbourKey struct {
	Netns string
	Index int
	Addr  netip.Addr
}

// Compare orders by namespace, link, address.
func (a NeighbourKey) Compare(b NeighbourKey) int {
	return cmp.Or(cmp.Compare(a.Netns, b.Netns), cmp.Compare(a.Index, b.Index), a.Addr.Compare(b.Addr))
}

// String is netns#index address.
func (a NeighbourKey) String() string { return fmt.Sprintf("%s#%d %s", a.Netns, a.Index, a.Addr) }

// FDBKey is one static forwarding entry of the bridge of a namespace; its value
// is the ifindex of the port. Our namespaces have one bridge at most.
type FDBKey struct {
	Netns string
	MAC   spec.MAC
}

// Compare orders by namespace, then address.
func (a FDBKey) Compare(b FDBKey) int {
	return cmp.Or(cmp.Compare(a.Netns, b.Netns), cmp.Compare(a.MAC.String(), b.MAC.String()))
}

// String is netns mac.
func (a FDBKey) String() string { return a.Netns + " " + a.MAC.String() }

// Workload is the configuration of the workload's end of a veth pair, keyed by
// the ifindex of our end.
type Workload struct {
	Netns spec.Netns
	// Name is what the link is called when it is made; the workload may rename
	// it.
	Name string
	MAC  spec.MAC
	MTU  int
	// Addr is the primary address with the subnet's prefix length, Extra the
	// secondary ones (each a /32 or /128).
	Addr  netip.Prefix
	Extra spec.Addrs
	// Gateway is the default route's next hop; invalid means none of ours.
	Gateway netip.Addr

	// Wrong is empty in what is wanted; a listing names what differs and has
	// no field, for example "down".
	Wrong string
}
