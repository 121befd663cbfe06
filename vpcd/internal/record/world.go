package record

// World is every record the planner reads, at one revision, by id.
type World struct {
	Revision   int64
	Vpcs       map[string]*Vpc
	Subnets    map[string]*Subnet
	Interfaces map[string]*NetworkInterface
	Groups     map[string]*SecurityGroup
	Tables     map[string]*RouteTable
	Acls       map[string]*NetworkAcl
	Lists      map[string]*PrefixList
	Gateways   map[string]*Gateway
	Peerings   map[string]*Peering
	Nats       map[string]*NatGateway
	Tombstones map[string]*Tombstone
	// Revocations are by VPC, group and their own id, with slashes between.
	Revocations map[string]*Revocation
}

// NatInterface is the interface of a living NAT gateway, "" for none.
func (w *World) NatInterface(nat string) string {
	n := w.Nats[nat]
	if !n.Alive() {
		return ""
	}
	return n.Interface
}

// GatewayAttached says whether the internet gateway with this id is attached to
// the VPC: a route to it leads out, and anything else drops.
func (w *World) GatewayAttached(gateway, vpc string) bool { return w.Gateways[gateway].AttachedTo(vpc) }
