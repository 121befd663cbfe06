// Package record holds the types that the store keeps: the EC2 shape of each
// resource and, beside it, the small internal part that never leaves the
// server. It also owns the layout of the keys.
//
// A decoded record is shared between all readers and is never changed in
// place: copy, change the copy, put it.
package record

import (
	"github.com/vpcfabric/vpc/vpcd/api"
)

// Vpc is a VPC with its attributes.
type Vpc struct {
	Vpc api.Vpc
	// Index is unique for ever on all hosts.
	Index uint32
	// Attributes of ModifyVpcAttribute.
	EnableDnsSupport, EnableDnsHostnames, EnableNetworkAddressUsageMetrics bool
	// Revocation is "keep" (AWS: a tracked flow survives the removal of its
	// rule) or "cut".
	Revocation string
	// Created is the store revision that the creating call read: a host that
	// has applied no later one cannot know the VPC.
	Created int64
}

// Subnet is a subnet; AvailableIpAddressCount is computed, never stored.
type Subnet struct {
	Subnet api.Subnet
	Index  uint32
	// VNI is the segment's overlay identifier, 24 bits, from 4096.
	VNI uint32
	// Created is the store revision that the creating call read.
	Created int64
}

// NetworkInterface is an ENI with its attachment.
type NetworkInterface struct {
	Interface api.NetworkInterface
	Index     uint32
	// DeleteOnDetach: attach made it, detach removes it.
	DeleteOnDetach bool
	// Attached says which workload has it; nil when none has.
	Attached *Attachment
	// Nat is the NAT gateway whose interface it is, "" for all that are the
	// account's own.
	Nat         string `json:",omitempty"`
	ClientToken string `json:",omitempty"`
}

// InUse says whether something takes what is sent to the interface: a workload,
// or the gateway whose it is. One that is not there is not in use.
func (n *NetworkInterface) InUse() bool { return n != nil && (n.Attached != nil || n.Nat != "") }

// Attachment binds an interface to a workload on a host.
type Attachment struct {
	Host    string
	Target  string // canonical: netns:NAME, pid:N, docker:ID, tap:NAME
	Display string
	// Engine is the id of the engine that has the container, "" for others and
	// where it was not asked.
	Engine         string `json:",omitempty"`
	IfName         string
	NoDefaultRoute bool
	// Public: while it lasts, the primary address has a public one, an automatic
	// one where no elastic one takes its place.
	Public bool `json:",omitempty"`
	// ClientToken of the call that attached it, if any.
	ClientToken string `json:",omitempty"`
}

// SecurityGroup is a group with its rules.
type SecurityGroup struct {
	Group api.SecurityGroup
	Index uint32
	// Rules in order of creation; both directions.
	Rules []api.SecurityGroupRule
}

// RouteTable is a route table with routes and associations.
//
// Table.Routes have a canonical IPv4 CIDR or the id of a prefix list as their
// destination, each once, and one target: GatewayId, "local" or igw-…,
// NatGatewayId, or NetworkInterfaceId. Their Origin says whether EC2 made them,
// with the CIDRs of the VPC, or somebody has. State and InstanceId are empty: they
// follow from the target at the moment.
//
// Table.Associations name the subnets with this table, and one without a subnet
// is that of the VPC, whose main table this is. A subnet is in one table at most.
type RouteTable struct {
	Table       api.RouteTable
	Index       uint32
	ClientToken string `json:",omitempty"`
}

// NetworkAcl is a network ACL with entries and associations.
//
// Acl.Entries are those of egress, then those of ingress, each by ascending
// RuleNumber and closed by 32767, which denies. RuleNumber, Egress, RuleAction,
// Protocol and CidrBlock are always there: the protocol as a decimal number or
// "-1" for all, the CIDR canonical IPv4. PortRange stands at 6 and 17 only, with
// both ends; IcmpTypeCode at 1 only, with both, -1 for any.
//
// Acl.Associations name the subnets; a subnet is in exactly one ACL of its VPC.
type NetworkAcl struct {
	Acl         api.NetworkAcl
	Index       uint32
	ClientToken string `json:",omitempty"`
}

// PrefixList is a managed prefix list at its current version, List.Version.
type PrefixList struct {
	List api.ManagedPrefixList
	// Entries of the current version in order of their CIDRs, canonical IPv4,
	// each once. They may overlap.
	Entries     []api.PrefixListEntry
	ClientToken string `json:",omitempty"`
	// Oldest is the first version that is still known; 0 stands for 1.
	Oldest int64 `json:",omitempty"`
}

// PrefixListRevision leads from a version of a prefix list back to the one
// before it, so that a small change of a long list costs little.
type PrefixListRevision struct {
	// Had are entries that the older version has and the newer one has not, or
	// has with another description.
	Had []api.PrefixListEntry `json:",omitempty"`
	// Lacked are the CIDRs that only the newer version has.
	Lacked []string `json:",omitempty"`
}

// Gateway is an internet gateway; Gateway.Attachments has one entry or none.
type Gateway struct{ Gateway api.InternetGateway }

// AttachedTo says whether the gateway is that of a VPC. A gateway that is not
// there is attached to none.
func (g *Gateway) AttachedTo(vpc string) bool {
	return g != nil && len(g.Gateway.Attachments) > 0 && g.Gateway.Attachments[0].VpcId == vpc
}

// NatGateway is a NAT gateway.
//
// Gateway.State is empty: it follows from FailureCode, from Ended and from what
// its host reports. While it lives its addresses are those of its interface, and
// Gateway.NatGatewayAddresses is empty; after that it says which they were.
type NatGateway struct {
	Gateway api.NatGateway
	OwnerId string
	// Zone of its subnet, which may be gone before the record is.
	Zone string
	// Host carries it, "" while none can.
	Host string
	// Interface is its own, "" once it has failed.
	Interface string `json:",omitempty"`
	// Since are the store revisions that the calls read which gave it each
	// private address: a host that has applied no later one lacks the address.
	Since map[string]int64 `json:",omitempty"`
	// Allocated: its creation allocated its primary elastic address, and its
	// deletion releases it.
	Allocated bool `json:",omitempty"`
	// Ended is the store revision that the deleting call read, 0 before: a host
	// that has applied no later one may still carry it.
	Ended       int64  `json:",omitempty"`
	ClientToken string `json:",omitempty"`
}

// Alive says whether routes lead to the gateway: it has not failed and nobody
// has deleted it. One that is not there is not alive.
func (n *NatGateway) Alive() bool {
	return n != nil && n.Ended == 0 && n.Gateway.FailureCode == ""
}

// Elastic is an elastic address. While it is associated, AssociationId,
// NetworkInterfaceId and PrivateIpAddress say with what, and the interface's
// private address has the same association: whoever writes one writes both.
type Elastic struct {
	Address api.Address
	OwnerId string
	// Former is the AssociationId before the present one, or before there was none.
	Former string `json:",omitempty"`
}

// Peering is a connection between two VPCs, or the request for one. A request
// that nobody answers expires by time alone: what is written here then says
// pending-acceptance still.
type Peering struct {
	VpcPeeringConnectionId string
	// Requester asked for it, Accepter is whom it was asked of. The accepter of a
	// request that failed need not exist.
	Requester, Accepter PeeringSide
	// State is EC2's code.
	State string
	// Created is when it was asked for, Ended when it failed, was rejected or was
	// deleted; RFC 3339.
	Created string
	Ended   string `json:",omitempty"`
	// EndedBy is the account that rejected or deleted it.
	EndedBy string `json:",omitempty"`
}

// PeeringSide is one of the two VPCs of a peering.
type PeeringSide struct {
	VpcId   string
	OwnerId string
	// AllowDNS is AllowDnsResolutionFromRemoteVpc.
	AllowDNS bool `json:",omitempty"`
	// Tags are those of this side's owner, who does not see the other's. Where one
	// account has both sides they are the requester's.
	Tags []api.Tag `json:",omitempty"`
}

// Active says whether the VPCs are joined. A peering that is not there is not.
func (p *Peering) Active() bool {
	return p != nil && p.State == api.VpcPeeringConnectionStateReasonCodeActive
}

// Other is the VPC on the other side of one; ok is false where that is on
// neither.
func (p *Peering) Other(vpc string) (other string, ok bool) {
	switch {
	case p == nil:
	case p.Requester.VpcId == vpc:
		return p.Accepter.VpcId, true
	case p.Accepter.VpcId == vpc:
		return p.Requester.VpcId, true
	}
	return "", false
}

// Public claims one public address, for everybody. A released claim stays, and
// the revision of its release orders reuse.
type Public struct {
	// Holder is the elastic address, or the interface of an automatic one; empty
	// once released.
	Holder string `json:",omitempty"`
	// Released is the store revision at its release; 0 while it is held.
	Released int64 `json:",omitempty"`
	// Before is the last allocation that was released, while it is known.
	Before Allocation `json:",omitzero"`
}

// Allocation is an elastic address that an account had.
type Allocation struct{ Account, AllocationId string }

// Instance is a workload that has at least one interface attached.
type Instance struct {
	InstanceId string
	OwnerId    string
	Host       string
	Target     string
	Display    string
	Tags       []api.Tag
	LaunchTime string // RFC 3339
}

// Counter is the next value of a sequence; values are never reused.
type Counter struct{ Next uint32 }

// Address claims one address of a subnet. A released claim stays, and the
// revision of its release orders reuse.
type Address struct {
	// Interface that holds it; empty once released.
	Interface string `json:",omitempty"`
	// Released is the store revision at its release; 0 while it is held.
	Released int64 `json:",omitempty"`
}

// Tombstone confirms that a deletion was asked for.
type Tombstone struct {
	Index uint32
	Time  string // RFC 3339
	// Cut are rules of a group whose Revocation went with it before every host
	// had obeyed.
	Cut []string `json:",omitempty"`
}

// Revocation remembers which rules one call has taken out of a group, or which
// of them it has cut: who asks for their flows later must not be able to name
// the rules of others.
type Revocation struct {
	// Rules by id; an id never comes back.
	Rules []string
	// Cut: their tracked flows end. Otherwise they go on, as with AWS.
	Cut  bool   `json:",omitempty"`
	Time string // RFC 3339
}

// HostStatus is what a host last reported.
type HostStatus struct {
	Host api.Host
	// Interfaces that are in the kernel and ready, by id; the others of this
	// host are down.
	Up map[string]bool
}

// Guard serialises changes below a parent: whoever changes what must be unique
// among siblings writes it.
type Guard struct{ Generation int64 }

// Token remembers the call that a client token belongs to, for as long as the
// object lives that the call made.
type Token struct {
	// Digest of the request without token and DryRun, hex.
	Digest string
	// Id of the object.
	Id string
}

// Limit is a quota that was changed from its default.
type Limit struct{ Value int64 }

// AccessKey is a key of an account. Its secret is readable only with the seal
// key, which is never in the store.
type AccessKey struct {
	AccessKeyId string
	OwnerId     string
	Name        string
	CreateTime  string // RFC 3339
	// Sealed is the secret; it opens only beside the id and the owner it was
	// sealed with.
	Sealed []byte
}
