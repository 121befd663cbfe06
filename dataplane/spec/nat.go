package spec

import "net/netip"

// NAT is the namespace of a NAT gateway that is on this host: what it sends on
// has one of its own addresses as the source, and it remembers whose it was.
type NAT struct {
	ID      string // nat-…, names the namespace
	VPC     VPC
	Addrs   Addrs      // private addresses it translates to, the primary first
	Gateway netip.Addr // the subnet's router
	MAC     MAC        // of its interface
	MTU     int
}
