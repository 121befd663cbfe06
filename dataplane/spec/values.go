package spec

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// MAC is an Ethernet address.
type MAC [6]byte

// String renders the usual colon form.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

const (
	macENI    = 0x0e
	macPort   = 0x0f
	macEdge   = 0x0d
	macRouter = 0x01
)

// MACOf is the address of an interface: locally administered, with the index
// in its last four bytes, so the sender of a frame is known from the frame.
func MACOf(e ENI) MAC { return mac(macENI, uint32(e)) }

// ENIOf is the interface whose address m is.
func ENIOf(m MAC) (ENI, bool) {
	return ENI(binary.BigEndian.Uint32(m[2:])), m[0] == 0x02 && m[1] == macENI
}

// RouterMAC is the address that a subnet's router answers with.
func RouterMAC(s SubnetID) MAC { return mac(macRouter, uint32(s)) }

// PortMAC is the address of the host's end of an interface's link; no packet
// carries it.
func PortMAC(e ENI) MAC { return mac(macPort, uint32(e)) }

// EdgeMAC is the address of the host's end of a VPC's edge. Nobody there answers
// ARP, so it is on every frame, both ways.
func EdgeMAC(v VPC) MAC { return mac(macEdge, uint32(v)) }

func mac(role byte, index uint32) MAC {
	m := MAC{0: 0x02, 1: role}
	binary.BigEndian.PutUint32(m[2:], index)
	return m
}

// ParseMAC reads the colon form.
func ParseMAC(s string) (MAC, error) {
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != 6 {
		return MAC{}, fmt.Errorf("%q is not an Ethernet address", s)
	}
	return MAC(hw), nil
}

// Addrs is a sorted list of addresses as one comparable value.
type Addrs string

// MakeAddrs sorts and joins.
func MakeAddrs(in []netip.Addr) Addrs {
	in = slices.Clone(in)
	slices.SortFunc(in, netip.Addr.Compare)
	parts := make([]string, len(in))
	for i, a := range in {
		parts[i] = a.String()
	}
	return Addrs(strings.Join(parts, ","))
}

// List returns the addresses in order.
func (a Addrs) List() []netip.Addr {
	if a == "" {
		return nil
	}
	parts := strings.Split(string(a), ",")
	out := make([]netip.Addr, len(parts))
	for i, p := range parts {
		out[i] = netip.MustParseAddr(p)
	}
	return out
}

// MaxGroups is how many security groups one interface can have.
const MaxGroups = 16

// Groups is the sorted set of an interface's security groups; unused places
// are zero, which is no group's index.
type Groups [MaxGroups]Group

// MakeGroups sorts and packs; more than MaxGroups is a planner's error.
func MakeGroups(in []Group) (Groups, error) {
	var out Groups
	in = slices.Clone(in)
	slices.Sort(in)
	in = slices.Compact(in)
	if len(in) > MaxGroups {
		return out, fmt.Errorf("%d security groups on one interface, at most %d", len(in), MaxGroups)
	}
	copy(out[:], in)
	return out, nil
}

// String lists the groups, for goldens.
func (g Groups) String() string {
	var parts []string
	for _, x := range g {
		if x != 0 {
			parts = append(parts, strconv.FormatUint(uint64(x), 10))
		}
	}
	return strings.Join(parts, ",")
}

// RuleSetID is the digest of a rule list's content: equal lists are one list,
// and a list never changes.
type RuleSetID [16]byte

// String is the digest in hex.
func (id RuleSetID) String() string { return hex.EncodeToString(id[:]) }
