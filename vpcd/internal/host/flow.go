package host

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// FlowID tells one flow of a host from all others, and flows are listed in its
// order: how many packets they have and how old they are changes meanwhile. The
// zero value comes before all others.
type FlowID struct {
	Interface           string // eni-…
	Source, Destination netip.AddrPort
	Protocol            string // as in api.Flow
}

// FlowIDOf is the id of a flow. Addresses that are none count as the zero value.
func FlowIDOf(f api.Flow) FlowID {
	end := func(addr string, port *int32) netip.AddrPort {
		a, err := netip.ParseAddr(addr)
		if err != nil {
			return netip.AddrPort{}
		}
		return netip.AddrPortFrom(a, uint16(api.Val(port)))
	}
	return FlowID{f.NetworkInterfaceId, end(f.Source, f.SourcePort), end(f.Destination, f.DestinationPort), f.Protocol}
}

// Compare orders flows by interface, source, destination and protocol.
func (f FlowID) Compare(g FlowID) int {
	return cmp.Or(strings.Compare(f.Interface, g.Interface), f.Source.Compare(g.Source),
		f.Destination.Compare(g.Destination), strings.Compare(f.Protocol, g.Protocol))
}

// noEnd is the zero value of an end.
const noEnd = "-"

// String is the id as text, which ParseFlowID reads.
func (f FlowID) String() string {
	end := func(a netip.AddrPort) string {
		if !a.IsValid() {
			return noEnd
		}
		return a.String()
	}
	return strings.Join([]string{f.Interface, end(f.Source), end(f.Destination), f.Protocol}, " ")
}

// ParseFlowID reads what String wrote; "" is the zero value.
func ParseFlowID(text string) (FlowID, error) {
	if text == "" {
		return FlowID{}, nil
	}
	f := strings.Split(text, " ")
	if len(f) != 4 {
		return FlowID{}, fmt.Errorf("%q is not a flow", text)
	}
	var ends [2]netip.AddrPort
	for i, end := range f[1:3] {
		if end == noEnd {
			continue
		}
		var err error
		if ends[i], err = netip.ParseAddrPort(end); err != nil {
			return FlowID{}, err
		}
	}
	return FlowID{f[0], ends[0], ends[1], f[3]}, nil
}
