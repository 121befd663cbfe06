package service

import (
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

const (
	// managedAttachmentPrefix is that of attachments which nobody can change.
	managedAttachmentPrefix = "ela-attach-"
	// ownerOfManaged is whose the other end of such an attachment is.
	ownerOfManaged = "amazon-aws"
	// natInterfaceType is what EC2 answers; its model spells it another way.
	natInterfaceType = "nat_gateway"
)

// natInterface makes the interface of a NAT gateway. It has no groups, forwards,
// and is the gateway's alone: see ownInterface.
func (c *change) natInterface(nat string, subnet *record.Subnet, addresses []plannedAddress) (*record.NetworkInterface, error) {
	eni, err := c.blankInterface(subnet)
	if err != nil {
		return nil, err
	}
	now := c.now().UTC()
	eni.Nat = nat
	i := &eni.Interface
	i.Description = "Interface for NAT Gateway " + nat
	i.InterfaceType = natInterfaceType
	i.RequesterManaged, i.SourceDestCheck = api.Ptr(true), api.Ptr(false)
	i.Status = api.NetworkInterfaceStatusInUse
	i.Attachment = &api.NetworkInterfaceAttachment{
		AttachmentId: c.newID(managedAttachmentPrefix), AttachTime: &now, DeleteOnTermination: api.Ptr(false),
		DeviceIndex: api.Ptr[int32](1), NetworkCardIndex: api.Ptr[int32](0), InstanceOwnerId: ownerOfManaged,
	}
	if err := c.claimPlan(subnet, eni, addressPlan{primary: addresses[0], secondary: addresses[1:]}); err != nil {
		return nil, err
	}
	c.putInterface(eni)
	return eni, nil
}

// ownInterface is getInterface for whoever changes it: the interface of a
// gateway is changed through its gateway only.
func ownInterface(r store.Reader, c Caller, id string) (*record.NetworkInterface, error) {
	eni, err := getInterface(r, c, id)
	if err != nil {
		return nil, err
	}
	return eni, unmanaged(eni)
}

// unmanaged refuses the interface of a gateway with OperationNotPermitted.
func unmanaged(eni *record.NetworkInterface) error {
	if eni.Nat == "" {
		return nil
	}
	e := api.Errorf("OperationNotPermitted", "NetworkInterfaceId", "you are not allowed to manage the network interface %s: it belongs to the NAT gateway %s", eni.Interface.NetworkInterfaceId, eni.Nat)
	e.BlockedBy = []api.Blocker{{Kind: "nat", Id: eni.Nat}}
	e.Hint = "vpc nat show " + eni.Nat
	return e
}

// managedBy is the NAT gateway that an elastic address is associated with, ""
// for none.
func managedBy(r store.Reader, a *api.Address) string {
	eni, ok := store.Get[*record.NetworkInterface](r, record.Interfaces+a.NetworkInterfaceId)
	if a.NetworkInterfaceId == "" || !ok {
		return ""
	}
	return eni.Nat
}

// hostOf is the host of whatever has an interface, "" for none.
func hostOf(r store.Reader, eni *record.NetworkInterface) string {
	if eni.Attached != nil {
		return eni.Attached.Host
	}
	if n, ok := store.Get[*record.NatGateway](r, record.Nats+eni.Nat); ok && eni.Nat != "" {
		return n.Host
	}
	return ""
}

// reported says whether its host has an interface ready.
func reported(r store.Reader, eni *record.NetworkInterface) bool {
	host := hostOf(r, eni)
	status, ok := store.Get[*record.HostStatus](r, record.Statuses+host)
	return host != "" && ok && status.Up[eni.Interface.NetworkInterfaceId]
}
