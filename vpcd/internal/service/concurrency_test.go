package service

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// together runs n calls at once and counts their codes, "" for success.
func together(n int, call func(i int) error) map[string]int {
	codes := make([]string, n)
	var start, done sync.WaitGroup
	start.Add(1)
	for i := range n {
		done.Go(func() {
			start.Wait()
			codes[i] = codeOf(call(i))
		})
	}
	start.Done()
	done.Wait()
	count := map[string]int{}
	for _, c := range codes {
		count[c]++
	}
	return count
}

// codeOf is the code of an error, "" for none.
func codeOf(err error) string {
	var e *api.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Code
	}
	return err.Error()
}

func TestOneOfManyOverlappingSubnetsWins(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	got := together(8, func(i int) error {
		// Every one of them holds 10.0.0.0/24, no two are equal.
		_, _, err := b.call(alice, "CreateSubnet", &api.CreateSubnetRequest{VpcId: vpc.VpcId, CidrBlock: fmt.Sprintf("10.0.0.0/%d", 17+i)})
		return err
	})
	if got[""] != 1 || got["InvalidSubnet.Conflict"] != 7 {
		t.Errorf("answers %v", got)
	}
	checkInvariants(t, b.store.Snapshot())
}

func TestNeighbouringSubnetsAllSucceed(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	got := together(8, func(i int) error {
		_, _, err := b.call(alice, "CreateSubnet", &api.CreateSubnetRequest{VpcId: vpc.VpcId, CidrBlock: fmt.Sprintf("10.0.%d.0/24", i)})
		return err
	})
	if got[""] != 8 {
		t.Errorf("answers %v", got)
	}
	checkInvariants(t, b.store.Snapshot())
}

func TestDeleteVpcRacesCreateSubnet(t *testing.T) {
	b := newBench(t)
	for round := range 10 {
		vpc := b.vpc("10.0.0.0/16")
		got := together(4, func(i int) error {
			var err error
			if i == round%4 {
				_, _, err = b.call(alice, "DeleteVpc", &api.DeleteVpcRequest{VpcId: vpc.VpcId})
			} else {
				_, _, err = b.call(alice, "CreateSubnet", &api.CreateSubnetRequest{VpcId: vpc.VpcId, CidrBlock: fmt.Sprintf("10.0.%d.0/24", i)})
			}
			return err
		})
		deleted := got["InvalidVpcID.NotFound"] == 3 && got[""] == 1
		kept := got["DependencyViolation"] == 1 && got[""] == 3
		if !deleted && !kept {
			t.Errorf("round %d: answers %v", round, got)
		}
		checkInvariants(t, b.store.Snapshot())
		for _, s := range do[api.DescribeSubnetsResult](b, &api.DescribeSubnetsRequest{}).Subnets {
			do[api.DeleteSubnetResult](b, &api.DeleteSubnetRequest{SubnetId: s.SubnetId})
		}
		if kept {
			do[api.DeleteVpcResult](b, &api.DeleteVpcRequest{VpcId: vpc.VpcId})
		}
	}
}

func TestDeleteSubnetRacesCreateInterface(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	for round := range 10 {
		subnet := b.subnet(vpc.VpcId, fmt.Sprintf("10.0.%d.0/24", round))
		got := together(3, func(i int) error {
			var err error
			if i == 0 {
				_, _, err = b.call(alice, "DeleteSubnet", &api.DeleteSubnetRequest{SubnetId: subnet.SubnetId})
			} else {
				_, _, err = b.call(alice, "CreateNetworkInterface", &api.CreateNetworkInterfaceRequest{SubnetId: subnet.SubnetId})
			}
			return err
		})
		deleted := got["InvalidSubnetID.NotFound"] == 2 && got[""] == 1
		kept := got["DependencyViolation"] == 1 && got[""] == 2
		if !deleted && !kept {
			t.Errorf("round %d: answers %v", round, got)
		}
		checkInvariants(t, b.store.Snapshot())
	}
}

func TestVpcLimitHoldsUnderConcurrency(t *testing.T) {
	b := newBench(t)
	got := together(8, func(int) error {
		_, _, err := b.call(alice, "CreateVpc", &api.CreateVpcRequest{CidrBlock: "10.0.0.0/16"})
		return err
	})
	if got[""] != 5 || got["VpcLimitExceeded"] != 3 {
		t.Errorf("answers %v", got)
	}
	checkInvariants(t, b.store.Snapshot())
}

// testingT is what *testing.T and *rapid.T have in common.
type testingT interface {
	Helper()
	Errorf(format string, args ...any)
}

// checkInvariants asserts what must hold of the store at every revision.
func checkInvariants(t testingT, sn *store.Snapshot) {
	t.Helper()
	vpcs := map[string]*record.Vpc{}
	numbers := map[string]string{}
	unique := func(kind string, n uint32, id string) {
		key := fmt.Sprintf("%s %d", kind, n)
		if other, taken := numbers[key]; taken {
			t.Errorf("%s belongs to %s and %s", key, other, id)
		}
		numbers[key] = id
	}
	for _, v := range store.List[*record.Vpc](sn, record.Vpcs) {
		vpcs[v.Vpc.VpcId] = v
		unique("vpc", v.Index, v.Vpc.VpcId)
		inside := contentOf(sn, v.Vpc.VpcId)
		if len(inside.groups) == 0 || len(inside.tables) == 0 || len(inside.acls) == 0 {
			t.Errorf("%s lacks defaults: %+v", v.Vpc.VpcId, inside)
		}
	}
	for _, x := range store.List[*record.RouteTable](sn, record.Tables) {
		if vpcs[x.Table.VpcId] == nil {
			t.Errorf("%s is an orphan", x.Table.RouteTableId)
		}
	}
	for _, x := range store.List[*record.SecurityGroup](sn, record.Groups) {
		if vpcs[x.Group.VpcId] == nil {
			t.Errorf("%s is an orphan", x.Group.GroupId)
		}
	}
	subnets := map[string]*record.Subnet{}
	for _, s := range store.List[*record.Subnet](sn, record.Subnets) {
		checkSubnet(t, s, subnets, vpcs)
		subnets[s.Subnet.SubnetId] = s
		unique("subnet", s.Index, s.Subnet.SubnetId)
		unique("vni", s.VNI, s.Subnet.SubnetId)
	}
	checkAcls(t, sn, subnets)
	checkTables(t, sn, vpcs, subnets)
	checkClaims(t, sn, subnets)
	checkMapped(t, sn)
}

func checkSubnet(t testingT, s *record.Subnet, others map[string]*record.Subnet, vpcs map[string]*record.Vpc) {
	t.Helper()
	id, cidr := s.Subnet.SubnetId, netip.MustParsePrefix(s.Subnet.CidrBlock)
	vpc := vpcs[s.Subnet.VpcId]
	if vpc == nil {
		t.Errorf("%s is an orphan of %s", id, s.Subnet.VpcId)
		return
	}
	inside := false
	for _, p := range vpcPrefixes(vpc) {
		inside = inside || p.Contains(cidr.Addr()) && p.Bits() <= cidr.Bits()
	}
	if !inside {
		t.Errorf("%s with %s is outside %v", id, cidr, vpcPrefixes(vpc))
	}
	for _, o := range others {
		if o.Subnet.VpcId == s.Subnet.VpcId && netip.MustParsePrefix(o.Subnet.CidrBlock).Overlaps(cidr) {
			t.Errorf("%s with %s overlaps %s", id, cidr, o.Subnet.SubnetId)
		}
	}
}

// checkAcls wants each subnet in exactly one ACL, and no other one in any.
func checkAcls(t testingT, sn *store.Snapshot, subnets map[string]*record.Subnet) {
	t.Helper()
	in := map[string]int{}
	for _, x := range store.List[*record.NetworkAcl](sn, record.Acls) {
		if n := len(x.Acl.Entries); n > 0 && *x.Acl.Entries[n-1].RuleNumber != lastRule {
			t.Errorf("%s does not end with a closing entry: %+v", x.Acl.NetworkAclId, x.Acl.Entries)
		}
		for _, a := range x.Acl.Associations {
			in[a.SubnetId]++
			if s := subnets[a.SubnetId]; s == nil || s.Subnet.VpcId != x.Acl.VpcId {
				t.Errorf("%s has the subnet %s, which is not in its VPC", x.Acl.NetworkAclId, a.SubnetId)
			}
		}
	}
	for id := range subnets {
		if in[id] != 1 {
			t.Errorf("%s is in %d ACLs", id, in[id])
		}
	}
}

// checkTables wants one main table in each VPC, each subnet in one table at most,
// and in every table the local routes of its VPC, and no route twice.
func checkTables(t testingT, sn *store.Snapshot, vpcs map[string]*record.Vpc, subnets map[string]*record.Subnet) {
	t.Helper()
	in, mains := map[string]int{}, map[string]int{}
	for _, x := range store.List[*record.RouteTable](sn, record.Tables) {
		for _, a := range x.Table.Associations {
			in[a.SubnetId]++
			s := subnets[a.SubnetId]
			switch {
			case api.Val(a.Main):
				mains[x.Table.VpcId]++
			case s == nil || s.Subnet.VpcId != x.Table.VpcId:
				t.Errorf("%s has the subnet %s, which is not in its VPC", x.Table.RouteTableId, a.SubnetId)
			case in[a.SubnetId] > 1:
				t.Errorf("%s is in two tables", a.SubnetId)
			}
		}
		local, seen := 0, map[string]bool{}
		for _, r := range x.Table.Routes {
			to := r.DestinationCidrBlock + r.DestinationPrefixListId
			if seen[to] || r.State != "" {
				t.Errorf("%s: the route %+v", x.Table.RouteTableId, r)
			}
			seen[to] = true
			if r.Origin == api.RouteOriginCreateRouteTable {
				local++
			}
		}
		if v := vpcs[x.Table.VpcId]; v != nil && local != len(vpcPrefixes(v)) {
			t.Errorf("%s has %d local routes: %+v", x.Table.RouteTableId, local, x.Table.Routes)
		}
	}
	for id := range vpcs {
		if mains[id] != 1 {
			t.Errorf("%s has %d main tables", id, mains[id])
		}
	}
}

// checkClaims wants the claims that are held to be those of the interfaces.
func checkClaims(t testingT, sn *store.Snapshot, subnets map[string]*record.Subnet) {
	t.Helper()
	want := map[string]string{}
	for _, e := range store.List[*record.NetworkInterface](sn, record.Interfaces) {
		i := e.Interface
		if subnets[i.SubnetId] == nil {
			t.Errorf("%s is an orphan of %s", i.NetworkInterfaceId, i.SubnetId)
		}
		for _, a := range i.PrivateIpAddresses {
			key := record.AddressKey(i.SubnetId, netip.MustParseAddr(a.PrivateIpAddress))
			if other, taken := want[key]; taken {
				t.Errorf("%s has two owners: %s and %s", a.PrivateIpAddress, other, i.NetworkInterfaceId)
			}
			want[key] = i.NetworkInterfaceId
		}
	}
	have := map[string]string{}
	for key, claim := range store.List[*record.Address](sn, record.Addresses) {
		if claim.Interface != "" {
			have[key] = claim.Interface
		}
		if id, _, _ := strings.Cut(strings.TrimPrefix(key, record.Addresses), "/"); subnets[id] == nil {
			t.Errorf("claim %s is of no subnet", key)
		}
	}
	if fmt.Sprint(have) != fmt.Sprint(want) {
		t.Errorf("claims %v, interfaces hold %v", have, want)
	}
}
