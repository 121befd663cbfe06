package storm

import (
	"fmt"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// Numbers of entries: noise stands before the wall, and what is left passes.
const (
	aclNoise = 50
	aclWall  = 90
	aclRest  = 200
)

// networkACL lets everything pass, with one entry of noise each way and one
// where the wall of a trap can stand.
func (w *world) networkACL() string {
	id := call[api.CreateNetworkAclRequest, api.CreateNetworkAclResult](w.caller, &api.CreateNetworkAclRequest{VpcId: w.vpc}).NetworkAcl.NetworkAclId
	for _, egress := range []bool{false, true} {
		for number, action := range map[int32]string{aclNoise: "deny", aclWall: "deny", aclRest: "allow"} {
			e := entry{id, egress, number, action, "udp", 60000, 60010}
			if number == aclRest {
				e.proto = "all"
			}
			call[api.CreateNetworkAclEntryRequest, api.CreateNetworkAclEntryResult](w.caller, e.request(), "NetworkAclEntryAlreadyExists")
		}
	}
	return id
}

type entry struct {
	acl    string
	egress bool
	number int32
	action string
	proto  string
	lo, hi int32
}

func (e entry) request() *api.CreateNetworkAclEntryRequest {
	r := &api.CreateNetworkAclEntryRequest{NetworkAclId: e.acl, Egress: &e.egress, RuleNumber: &e.number, RuleAction: e.action,
		Protocol: map[string]string{"all": "-1", "tcp": "6", "udp": "17"}[e.proto], CidrBlock: "0.0.0.0/0"}
	if e.proto != "all" {
		r.PortRange = &api.PortRange{From: &e.lo, To: &e.hi}
	}
	return r
}

func (w *world) replace(e entry) {
	r := e.request()
	call[api.ReplaceNetworkAclEntryRequest, api.ReplaceNetworkAclEntryResult](w.caller, &api.ReplaceNetworkAclEntryRequest{
		NetworkAclId: r.NetworkAclId, Egress: r.Egress, RuleNumber: r.RuleNumber, RuleAction: r.RuleAction,
		Protocol: r.Protocol, CidrBlock: r.CidrBlock, PortRange: r.PortRange})
}

// wall denies a range of UDP ports.
func (w *world) wall(acl string, egress bool, lo, hi int32) {
	w.replace(entry{acl, egress, aclWall, "deny", "udp", lo, hi})
}

// associate gives a side's subnet one of its ACLs.
func (w *world) associate(s *side, which int) {
	acls := call[api.DescribeNetworkAclsRequest, api.DescribeNetworkAclsResult](w.caller,
		&api.DescribeNetworkAclsRequest{Filters: []api.Filter{{Name: "association.subnet-id", Values: []string{s.subnet}}}})
	id := ""
	for _, a := range acls.NetworkAcls[0].Associations {
		if a.SubnetId == s.subnet {
			id = a.NetworkAclAssociationId
		}
	}
	call[api.ReplaceNetworkAclAssociationRequest, api.ReplaceNetworkAclAssociationResult](w.caller,
		&api.ReplaceNetworkAclAssociationRequest{AssociationId: id, NetworkAclId: s.acls[which]}, "InvalidAssociationID.NotFound")
	s.acl = which
}

// swapACLs takes the wall from one subnet's edge to the other's: in between,
// both have it.
func (w *world) swapACLs() string {
	if w.from.acl == 0 {
		w.associate(&w.to, 1)
		w.associate(&w.from, 1)
	} else {
		w.associate(&w.from, 0)
		w.associate(&w.to, 0)
	}
	return fmt.Sprintf("ACLs of the subnets to number %d", w.from.acl)
}

// replaceEntry changes noise, or the wall for a wider one.
func (w *world) replaceEntry() string {
	s := []*side{&w.from, &w.to}[w.rng.IntN(2)]
	which, egress := w.rng.IntN(2), w.rng.IntN(2) == 0
	if wall := s == &w.from && which == 0 && egress || s == &w.to && which == 1 && !egress; wall && w.rng.IntN(2) == 0 {
		w.wall(s.acls[which], egress, byACL-w.rng.Int32N(reach), byACL+w.rng.Int32N(reach))
		return "wall of an ACL replaced"
	}
	e := entry{s.acls[which], egress, aclNoise, "allow", "udp", tracked - reach, held + reach}
	if w.rng.IntN(2) == 0 {
		e = entry{s.acls[which], egress, aclNoise, "deny", "tcp", 20000, 20000 + w.rng.Int32N(1000)}
	}
	w.replace(e)
	return "entry of an ACL replaced"
}
