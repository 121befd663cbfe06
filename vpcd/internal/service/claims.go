package service

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"iter"
	"math"
	"net/netip"

	"github.com/vpcfabric/vpc/ipam"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// Overlay identifiers have 24 bits; those below firstVNI are left to the host
// and to other software.
const (
	firstVNI = 4096
	lastVNI  = 1<<24 - 1
)

// nextIndex takes the next value of the sequence kind. A sequence never gives a
// value twice, also not one whose owner is gone: the kernel may still hold state
// under it. For the same reason it begins somewhere: after the loss of a store,
// a new one must not name what the old one left in the kernel.
func (c *change) nextIndex(kind string) (uint32, error) {
	return c.nextValue(kind, c.firstIndex(), math.MaxUint32-1)
}

// randomIndex leaves three quarters of the range for the sequence to go on.
func randomIndex() uint32 {
	var b [4]byte
	// rand.Read never fails: it ends the process instead.
	_, _ = rand.Read(b[:])
	return binary.NativeEndian.Uint32(b[:])>>2 | 1<<24
}

// nextVNI takes the overlay identifier of a new subnet.
func (c *change) nextVNI() (uint32, error) { return c.nextValue("vni", firstVNI, lastVNI) }

func (c *change) nextValue(name string, first, last uint32) (uint32, error) {
	value := first
	if counter, ok := store.Get[*record.Counter](c.tx, record.Counters+name); ok {
		value = counter.Next
	}
	if value > last {
		return 0, api.Errorf("InsufficientCapacity", "", "all numbers of the sequence %s, %d to %d, have been used; start a new store", name, first, last)
	}
	c.tx.Put(record.Counters+name, record.Counter{Next: value + 1})
	return value, nil
}

// guard serialises changes below a parent: of two changes that both call it,
// one runs again and sees what the other wrote. Siblings can then be read
// without guarding each of them.
func (c *change) guard(parentID string) {
	key := record.Guards + parentID
	next := record.Guard{Generation: 1}
	if g, ok := store.Get[*record.Guard](c.tx, key); ok {
		next.Generation = g.Generation + 1
	}
	c.tx.Put(key, next)
}

// claimAddress gives one address of the subnet to the interface eni: want, or
// with the zero Addr the one that ipam chooses. Errors carry the field
// PrivateIpAddress: InvalidParameterValue for an address outside the subnet or
// reserved, InvalidIPAddress.InUse, InsufficientFreeAddressesInSubnet.
func (c *change) claimAddress(subnet *record.Subnet, want netip.Addr, eni string) (netip.Addr, error) {
	const field = "PrivateIpAddress"
	id := subnet.Subnet.SubnetId
	prefix, err := netip.ParsePrefix(subnet.Subnet.CidrBlock)
	if err != nil {
		return netip.Addr{}, api.Errorf("InternalError", "", "the subnet %s has the CIDR %s: %v", id, quote(subnet.Subnet.CidrBlock), err)
	}
	if want.IsValid() {
		err = ipam.CheckAddress(prefix, want)
	} else {
		want, err = ipam.Next(prefix, claims(c.tx.Peek(), id))
	}
	if err != nil {
		return netip.Addr{}, addressError(err, id, field)
	}
	// This read is the guard: whoever claims the address first wins, and the
	// other runs again.
	key := record.AddressKey(id, want)
	if held, ok := store.Get[*record.Address](c.tx, key); ok && held.Interface != "" {
		return netip.Addr{}, api.Errorf("InvalidIPAddress.InUse", field,
			"the address %s is in use by %s; choose another one or leave it out", want, held.Interface)
	}
	c.tx.Put(key, record.Address{Interface: eni})
	return want, nil
}

// releaseAddress gives an address back. The claim stays, so that the address
// is handed out again only after those that rest longer.
func (c *change) releaseAddress(subnetID string, a netip.Addr) {
	if !a.Is4() {
		return
	}
	c.tx.Put(record.AddressKey(subnetID, a), record.Address{Released: c.tx.Revision()})
}

// claims yields the claims of a subnet in order of their addresses.
func claims(r store.Reader, subnetID string) iter.Seq[ipam.Claim] {
	return func(yield func(ipam.Claim) bool) {
		for key, claim := range store.List[*record.Address](r, record.Addresses+subnetID+"/") {
			a, err := record.ParseAddressKey(key)
			if err != nil {
				continue
			}
			if !yield(ipam.Claim{Addr: a, InUse: claim.Interface != "", Released: claim.Released}) {
				return
			}
		}
	}
}

func addressError(err error, subnetID, field string) error {
	var refused *ipam.Error
	if !errors.As(err, &refused) {
		return err
	}
	switch refused.Kind {
	case ipam.Exhausted:
		return api.Errorf("InsufficientFreeAddressesInSubnet", "SubnetId",
			"the subnet %s (%s) has no free address: %s; %s", subnetID, refused.Value, refused.Reason, refused.Hint)
	case ipam.Unsorted:
		return api.Errorf("InternalError", "", "the address claims of %s are out of order: %v", subnetID, refused)
	}
	return api.Errorf("InvalidParameterValue", field, "address %v", refused)
}

// bury leaves the mark that the deletion of a record was asked for: hosts take
// a record that is missing without one for a damaged store and keep its state.
func (c *change) bury(id string, index uint32) {
	c.tx.Put(record.TombstoneKey(id), record.Tombstone{Index: index, Time: c.now().UTC().Format(timeLayout)})
}

// timeLayout is RFC 3339 with milliseconds, as EC2 prints times.
const timeLayout = "2006-01-02T15:04:05.000Z"
