package service

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// claim takes an address in a transaction of its own.
func (b *bench) claim(subnetID string, want netip.Addr) (netip.Addr, error) {
	var got netip.Addr
	_, err := b.mutate(b.t.Context(), alice, nil, func(c *change) error {
		subnet, err := getSubnet(c.tx, alice, subnetID)
		if err != nil {
			return err
		}
		got, err = c.claimAddress(subnet, want, "eni-11111111")
		return err
	})
	return got, err
}

func (b *bench) release(subnetID, a string) {
	b.t.Helper()
	if _, err := b.mutate(b.t.Context(), alice, nil, func(c *change) error {
		c.releaseAddress(subnetID, netip.MustParseAddr(a))
		c.releaseAddress(subnetID, netip.Addr{}) // what was never claimed
		return nil
	}); err != nil {
		b.t.Fatal(err)
	}
}

func TestAddressesAreReusedLongestUnusedFirst(t *testing.T) {
	b := newBench(t)
	id := b.subnet(b.vpc("10.0.0.0/16").VpcId, "10.0.0.0/28").SubnetId
	take := func() string {
		a, err := b.claim(id, netip.Addr{})
		if err != nil {
			t.Fatal(err)
		}
		return a.String()
	}
	for i := range 10 {
		if got, want := take(), fmt.Sprintf("10.0.0.%d", 4+i); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	b.release(id, "10.0.0.9")
	b.release(id, "10.0.0.5")
	for _, want := range []string{"10.0.0.14", "10.0.0.9", "10.0.0.5"} {
		if got := take(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	_, err := b.claim(id, netip.Addr{})
	refused(t, err, "InsufficientFreeAddressesInSubnet", "SubnetId")
}

func TestClaimAddressRefuses(t *testing.T) {
	b := newBench(t)
	id := b.subnet(b.vpc("10.0.0.0/16").VpcId, "10.0.0.0/28").SubnetId
	if _, err := b.claim(id, netip.MustParseAddr("10.0.0.7")); err != nil {
		t.Fatal(err)
	}
	for a, code := range map[string]string{
		"10.0.0.0": "InvalidParameterValue", "10.0.0.1": "InvalidParameterValue", "10.0.0.2": "InvalidParameterValue", "10.0.0.3": "InvalidParameterValue",
		"10.0.0.15": "InvalidParameterValue", "10.0.0.16": "InvalidParameterValue", "fd00::1": "InvalidParameterValue", "10.0.0.7": "InvalidIPAddress.InUse",
	} {
		b.unchanged(t, func() {
			_, err := b.claim(id, netip.MustParseAddr(a))
			refused(t, err, code, "PrivateIpAddress")
		})
	}
}

func TestConcurrentClaimsAreDistinct(t *testing.T) {
	b := newBench(t)
	id := b.subnet(b.vpc("10.0.0.0/16").VpcId, "10.0.0.0/28").SubnetId
	got := together(14, func(int) error {
		_, err := b.claim(id, netip.Addr{})
		return err
	})
	if got[""] != 11 || got["InsufficientFreeAddressesInSubnet"] != 3 {
		t.Errorf("answers %v", got)
	}
	if n := freeAddresses(b.store.Snapshot(), &record.Subnet{Subnet: api.Subnet{SubnetId: id, CidrBlock: "10.0.0.0/28"}}); n != 0 {
		t.Errorf("%d addresses free", n)
	}
}

func TestClientTokens(t *testing.T) {
	b := newBench(t)
	made := 0
	create := func(caller Caller, token, description string) (id string, err error) {
		req := &api.CreateNetworkInterfaceRequest{SubnetId: "subnet-11111111", Description: description, ClientToken: token, DryRun: api.Ptr(false)}
		_, err = b.mutate(t.Context(), caller, nil, func(c *change) error {
			if id, err = c.replay("Create", token, req); err != nil || id != "" {
				return err
			}
			made++
			id = fmt.Sprintf("eni-%d", made)
			c.remember("Create", token, req, id)
			return nil
		})
		return id, err
	}
	first, err := create(alice, "t1", "a")
	again, err2 := create(alice, "t1", "a")
	if err != nil || err2 != nil || first != again || first == "" {
		t.Errorf("%s %v then %s %v", first, err, again, err2)
	}
	_, err = create(alice, "t1", "b")
	if e := refused(t, err, "IdempotentParameterMismatch", "ClientToken"); !strings.Contains(e.Message, first) {
		t.Error(e.Message)
	}
	for who, token := range map[Caller]string{alice: "t2", bob: "t1", {Account: "3"}: ""} {
		if id, err := create(who, token, "a"); err != nil || id == first {
			t.Errorf("%v with %q: %s %v", who, token, id, err)
		}
	}
	for _, bad := range []string{strings.Repeat("x", 65), "a b", "é", "a\n"} {
		_, err := create(alice, bad, "a")
		refused(t, err, "InvalidParameterValue", "ClientToken")
	}
	if _, err := b.mutate(t.Context(), alice, nil, func(c *change) error {
		c.forget("t1", "Other", "Create")
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if id, err := create(alice, "t1", "b"); err != nil || id == first {
		t.Errorf("after forget: %s %v", id, err)
	}
}

func TestGuardSerialises(t *testing.T) {
	b := newBench(t)
	together(8, func(int) error {
		_, err := b.mutate(t.Context(), alice, nil, func(c *change) error {
			c.guard("vpc-1")
			return nil
		})
		return err
	})
	if g, _ := store.Get[*record.Guard](b.store.Snapshot(), record.Guards+"vpc-1"); g.Generation != 8 {
		t.Errorf("generation %d after 8 guards", g.Generation)
	}
}
