package storm

import (
	"fmt"
	"net/netip"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// Flows that every state allows, by their UDP port. The first two are one flow
// each; to the last two every packet is a new flow.
const (
	tracked   = 7050
	untracked = 7150 // open to the world, both ways
	anew      = 7250
	moving    = 7350 // allowed by whichever of two groups the sender is in
	held      = 7450 // TCP connections
	reach     = 40   // how far ranges around a port go
)

// Flows that every state denies: a port of each trap.
const (
	bySender   = 9050
	byReceiver = 9150
	byList     = 9250
	byShared   = 9350
	byPair     = 9450
	byACL      = 9550
)

var traps = []uint16{bySender, byReceiver, byList, byShared, byPair, byACL}

// side is one of the two workloads.
type side struct {
	subnet, eni, space string
	at                 netip.Addr
	own                string   // the group it is always in
	either             []string // two groups; it is always in one of them
	now                int      // which
	acls               []string // two; its subnet always has one of them
	acl                int
}

// world is everything that changes.
type world struct {
	*caller
	vpc      string
	from, to side
	shared   string   // a group of both
	extra    []string // groups that come and go
	every    []string // all groups
	lists    map[string]*list
	noises   int32 // rules of noise so far
}

// list is a prefix list as it is.
type list struct {
	id      string
	version int64
	entries []string
}

// bystanders are in groups of both sides and say nothing: what changes for one
// changes for all of them, and takes its time.
const bystanders = 8

const nowhere = "10.0.99.99/32"

func (s side) prefix() string { return s.at.String() + "/32" }

func newWorld(c *caller) *world {
	w := &world{caller: c, lists: map[string]*list{}}
	w.vpc = call[api.CreateVpcRequest, api.CreateVpcResult](c, &api.CreateVpcRequest{CidrBlock: "10.0.0.0/16"}).Vpc.VpcId
	w.from.at, w.to.at = netip.MustParseAddr("10.0.1.10"), netip.MustParseAddr("10.0.2.10")
	for i, s := range []*side{&w.from, &w.to} {
		s.subnet = call[api.CreateSubnetRequest, api.CreateSubnetResult](c,
			&api.CreateSubnetRequest{VpcId: w.vpc, CidrBlock: fmt.Sprintf("10.0.%d.0/24", i+1)}).Subnet.SubnetId
		s.own, s.either = w.group(), []string{w.group(), w.group()}
		s.acls = []string{w.networkACL(), w.networkACL()}
	}
	w.shared, w.extra = w.group(), []string{w.group(), w.group(), w.group()}
	w.list("both", w.from.prefix(), w.to.prefix())
	w.list("trap", w.to.prefix())
	w.rules()
	w.closeTraps()
	for i, s := range []*side{&w.from, &w.to} {
		w.associate(s, 0)
		s.space = w.Space([]string{"from", "to"}[i])
		s.eni = call[api.AttachWorkloadRequest, api.AttachWorkloadResult](c, &api.AttachWorkloadRequest{Target: "netns:" + s.space,
			SubnetId: s.subnet, PrivateIpAddress: s.at.String(), Groups: w.membership(s, nil)}).NetworkInterface.NetworkInterfaceId
	}
	for i := range bystanders {
		s := []*side{&w.from, &w.to}[i%2]
		call[api.AttachWorkloadRequest, api.AttachWorkloadResult](c, &api.AttachWorkloadRequest{Target: "netns:" + w.Space(fmt.Sprintf("by%d", i)),
			SubnetId: s.subnet, Groups: []string{w.from.own, w.to.own, w.shared, w.extra[0], s.either[i/2%2]}})
	}
	w.applied()
	return w
}

// group starts without the rule that allows everything out.
func (w *world) group() string {
	name := fmt.Sprintf("g%d", len(w.every))
	id := call[api.CreateSecurityGroupRequest, api.CreateSecurityGroupResult](w.caller,
		&api.CreateSecurityGroupRequest{VpcId: w.vpc, GroupName: name, Description: name}).GroupId
	w.every = append(w.every, id)
	w.revoke(id, true, w.find(id, "")...)
	return id
}

func (w *world) list(name string, prefixes ...string) {
	const room = 8
	made := call[api.CreateManagedPrefixListRequest, api.CreateManagedPrefixListResult](w.caller, &api.CreateManagedPrefixListRequest{
		PrefixListName: name, MaxEntries: api.Ptr[int32](room), AddressFamily: "IPv4", Entries: entries(prefixes)}).PrefixList
	w.lists[name] = &list{made.PrefixListId, *made.Version, prefixes}
}

func entries(prefixes []string) (out []api.AddPrefixListEntry) {
	for _, p := range prefixes {
		out = append(out, api.AddPrefixListEntry{Cidr: p})
	}
	return out
}

// rules of the allowed flows. Those of the receiver's replies are open to the
// world, and so is the way back to the sender: untracked wants that.
func (w *world) rules() {
	all := rule{proto: "-1", remote: "0.0.0.0/0", mark: "open"}
	w.authorize(w.from.own, false, all)
	w.authorize(w.to.own, true, all)
	w.authorize(w.from.own, true, udp("held", held, w.to.prefix()).over("tcp"))
	w.authorize(w.to.own, false, udp("held", held, w.from.prefix()).over("tcp"))
	for i := range w.from.either {
		w.authorize(w.from.either[i], true, udp("moving", moving, w.to.prefix()))
		w.authorize(w.to.own, false, udp("moving", moving, w.from.either[i]))
		for _, f := range swapped {
			w.authorize(w.from.either[i], true, w.form(f, true))
			w.authorize(w.to.either[i], false, w.form(f, false))
		}
	}
}

// closeTraps writes the rules that only halves of two states would let pass.
func (w *world) closeTraps() {
	from, to := w.from.prefix(), w.to.prefix()
	w.authorize(w.from.either[0], true, udp("trap", bySender, to))
	w.authorize(w.to.own, false, udp("trap", bySender, w.from.either[1]))

	w.authorize(w.to.either[0], false, udp("trap", byReceiver, from))
	w.authorize(w.from.own, true, udp("trap", byReceiver, w.to.either[1]))

	w.authorize(w.from.own, true, udp("trap", byList, w.lists["trap"].id))
	w.authorize(w.to.own, false, udp("trap", byList, w.lists["trap"].id))

	w.authorize(w.shared, true, udp("shared", byShared, to))
	w.authorize(w.shared, false, udp("shared", byShared, nowhere))

	w.authorize(w.to.own, false, udp("pair", byPair, from))

	w.authorize(w.from.own, true, udp("trap", byACL, to))
	w.authorize(w.to.own, false, udp("trap", byACL, from))
	w.wall(w.from.acls[0], true, byACL, byACL)
	w.wall(w.to.acls[1], false, byACL, byACL)
}

// membership is the groups of a side with some that mean nothing.
func (w *world) membership(s *side, extra []string) []string {
	return append([]string{s.own, w.shared, s.either[s.now]}, extra...)
}

func (w *world) join(s *side, groups []string) {
	call[api.ModifyNetworkInterfaceAttributeRequest, api.ModifyNetworkInterfaceAttributeResult](w.caller,
		&api.ModifyNetworkInterfaceAttributeRequest{NetworkInterfaceId: s.eni, Groups: groups})
}
