package nl

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

// Device is one of the host's own that is up: not its loopback.
type Device struct {
	Name  string
	Index int
	// MAC is zero where frames have no such addresses.
	MAC spec.MAC
	// Addrs are its IPv4 addresses, each with the length of its network.
	Addrs []netip.Prefix
}

// Devices lists them in the order of their indexes.
func (o *Outside) Devices() ([]Device, error) {
	c, err := o.conn()
	if err != nil {
		return nil, err
	}
	links, err := c.links()
	if err != nil {
		return nil, err
	}
	list, err := c.addresses()
	if err != nil {
		return nil, err
	}
	at := map[int][]netip.Prefix{}
	for _, a := range list {
		if a.prefix.Addr().Is4() {
			at[a.index] = append(at[a.index], a.prefix)
		}
	}
	var out []Device
	for _, s := range links {
		if s.up && !s.loopback {
			out = append(out, Device{Name: s.name, Index: s.index, MAC: s.mac, Addrs: at[s.index]})
		}
	}
	slices.SortFunc(out, func(a, b Device) int { return a.Index - b.Index })
	return out, nil
}

// EdgeIndex is the ifindex of the outer end of the pair of a port, in this
// namespace; unix.ENODEV where there is none.
func (o *Outside) EdgeIndex(key LinkKey) (int, error) {
	c, err := o.conn()
	if err != nil {
		return 0, err
	}
	s, err := edges{o}.find(c, key)
	return s.index, err
}

// Claim is an address that shall be found at a device.
type Claim struct {
	Device int // ifindex
	MAC    spec.MAC
	Addr   netip.Addr // IPv4
}

// Announce broadcasts each claim once, by gratuitous ARP: who has an entry for the
// address corrects it.
func (o *Outside) Announce(claims []Claim) error {
	c, err := o.conn()
	if err != nil || len(claims) == 0 {
		return err
	}
	return inFile(c.ns, func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // it receives nothing
		if err != nil {
			return fmt.Errorf("packet socket: %w", err)
		}
		defer unix.Close(fd)
		for _, a := range claims {
			to := &unix.SockaddrLinklayer{Protocol: 0x0608, Ifindex: a.Device, Halen: 6, Addr: [8]byte{255, 255, 255, 255, 255, 255}}
			if err := unix.Sendto(fd, a.frame(), unix.MSG_DONTWAIT, to); err != nil {
				return fmt.Errorf("announce %s on ifindex %d: %w", a.Addr, a.Device, err)
			}
		}
		return nil
	})
}

// frame is a question for the own address, the kind of announcement that
// RFC 5227 asks for.
func (a Claim) frame() []byte {
	mac, ip := net.HardwareAddr(a.MAC[:]), a.Addr.AsSlice()
	return slices.Concat(
		[]byte{255, 255, 255, 255, 255, 255}, mac, []byte{8, 6},
		[]byte{0, 1, 8, 0, 6, 4, 0, 1}, mac, ip, make([]byte, 6), ip,
	)
}
