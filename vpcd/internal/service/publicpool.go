package service

import (
	"errors"
	"iter"
	"net/netip"

	"github.com/vpcfabric/vpc/ipam"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// claimPublic gives one public address to a holder, the id of an elastic
// address or of an interface: want, or with the zero Addr the one that rests
// longest, so that what is sent to its last owner does not reach the next one.
// Codes: InvalidAddress.NotFound for what no pool has, InvalidIPAddress.InUse,
// InsufficientAddressCapacity.
func (c *change) claimPublic(want netip.Addr, holder string) (netip.Addr, error) {
	err := c.poolsAreOurs()
	if err != nil {
		return netip.Addr{}, err
	}
	if want.IsValid() {
		err = c.inPool(want)
	} else {
		want, err = c.restedPublic()
	}
	if err != nil {
		return netip.Addr{}, err
	}
	// This read is the guard, as for the addresses of a subnet.
	key := record.PublicKey(want)
	held, there := store.Get[*record.Public](c.tx, key)
	if there && held.Holder != "" {
		e := api.Errorf("InvalidIPAddress.InUse", "Address", "the address %s is allocated already; choose another one or leave it out", want)
		e.Hint = "vpc eip list; vpc eip allocate without --address takes a free one"
		return netip.Addr{}, e
	}
	next := record.Public{Holder: holder}
	if there {
		next.Before = held.Before
	}
	c.tx.Put(key, next)
	return want, nil
}

// poolsAreOurs refuses what would lead to addresses that another daemon leads to.
func (s *Service) poolsAreOurs() error {
	if s.claimPools == nil {
		return nil
	}
	if err := s.claimPools(); err != nil {
		return hinted(api.Errorf("IncorrectState", "", "%v", err), "start vpcd with another --public-pool")
	}
	return nil
}

// NeedsPools says whether somebody has a public address, or a VPC a gateway.
func NeedsPools(st *store.Store) bool {
	sn := st.Snapshot()
	for claim := range publicClaims(sn) {
		if claim.InUse {
			return true
		}
	}
	for _, g := range store.List[*record.Gateway](sn, record.Gateways) {
		if len(g.Gateway.Attachments) > 0 {
			return true
		}
	}
	return false
}

// releasePublic gives a public address back. The claim stays, see restedPublic.
func (c *change) releasePublic(text string) {
	if a, err := netip.ParseAddr(text); err == nil && a.Is4() {
		c.tx.Put(record.PublicKey(a), record.Public{Released: c.tx.Revision()})
	}
}

// releaseAllocation is releasePublic that notes whose the address was, so that a
// late release of it is told from one of an address that never was theirs.
func (c *change) releaseAllocation(e *record.Elastic) {
	if a, err := netip.ParseAddr(e.Address.PublicIp); err == nil && a.Is4() {
		c.tx.Put(record.PublicKey(a), record.Public{
			Released: c.tx.Revision(), Before: record.Allocation{Account: e.OwnerId, AllocationId: e.Address.AllocationId},
		})
	}
}

// inPool refuses an address that nobody can get from this daemon.
func (s *Service) inPool(a netip.Addr) error {
	var last error = api.Errorf("InvalidAddress.NotFound", "Address", "address %s not found: there is no public pool", a)
	for _, pool := range s.publicPools {
		err := ipam.CheckPool(pool, a)
		if err == nil {
			return nil
		}
		last = api.Errorf("InvalidAddress.NotFound", "Address", "address %v", err)
		if pool.Contains(a) {
			break
		}
	}
	return last
}

// restedPublic is the free address of the first pool that has one: one that
// nobody had, or else the one that was released longest ago.
func (c *change) restedPublic() (netip.Addr, error) {
	for _, pool := range c.publicPools {
		a, err := ipam.NextOfPool(pool, publicClaims(c.tx.Peek()))
		if !errors.Is(err, ipam.ErrExhausted) {
			return a, err
		}
	}
	e := api.Errorf("InsufficientAddressCapacity", "", "not enough available addresses: the public pools %v have no free one; release some", c.publicPools)
	e.Hint = "vpc eip list; or start vpcd with one more --public-pool"
	return netip.Addr{}, e
}

// publicClaims yields the claims of all pools in order of their addresses.
func publicClaims(r store.Reader) iter.Seq[ipam.Claim] {
	return func(yield func(ipam.Claim) bool) {
		for key, claim := range store.List[*record.Public](r, record.Publics) {
			a, err := record.ParseAddressKey(key)
			if err != nil {
				continue
			}
			if !yield(ipam.Claim{Addr: a, InUse: claim.Holder != "", Released: claim.Released}) {
				return
			}
		}
	}
}

// OutsidePools are the public addresses that somebody holds and that none of
// the pools can give out, in order. A daemon that began without their pool
// would answer that they exist and let no packet to them.
func OutsidePools(st *store.Store, pools []netip.Prefix) []netip.Addr {
	var out []netip.Addr
	for claim := range publicClaims(st.Snapshot()) {
		held := claim.InUse
		for _, pool := range pools {
			held = held && ipam.CheckPool(pool, claim.Addr) != nil
		}
		if held {
			out = append(out, claim.Addr)
		}
	}
	return out
}
