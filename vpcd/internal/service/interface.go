package service

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// Actions that can make an interface, as client tokens know them.
const (
	actionCreateInterface = "CreateNetworkInterface"
	actionAttachWorkload  = "AttachWorkload"
)

// newInterface is what makes one interface differ from another.
type newInterface struct {
	subnetID    string
	description string
	groups      []string // ids; none means the VPC's default group
	addresses   addressPlan
	tags        []api.Tag
	uniqueName  string // that no other interface of the VPC may have, "" for any
	tracking    *api.ConnectionTrackingConfiguration
	token       string
}

// createNetworkInterface makes an available interface. Errors: those of the ids
// of subnet and groups, InvalidIPAddress.InUse, InsufficientFreeAddressesInSubnet,
// the quotas, InvalidParameterValue for what cannot be an address here.
func (s *Service) createNetworkInterface(ctx context.Context, who Caller, in *api.CreateNetworkInterfaceRequest) (*api.CreateNetworkInterfaceResult, int64, error) {
	spec, err := interfaceOf(in)
	if err != nil {
		return nil, 0, err
	}
	var made *record.NetworkInterface
	revision, err := s.mutate(ctx, who, in.DryRun, func(c *change) error {
		id, err := c.replay(actionCreateInterface, in.ClientToken, in)
		if err != nil {
			return err
		}
		if id != "" {
			made, err = getInterface(c.tx, who, id)
			return err
		}
		if made, err = c.namedInterface(spec); err != nil {
			return err
		}
		c.remember(actionCreateInterface, in.ClientToken, in, made.Interface.NetworkInterfaceId)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.CreateNetworkInterfaceResult{
		NetworkInterface: api.Ptr(s.view(who).describedInterface(made)), ClientToken: in.ClientToken,
	}, revision, nil
}

// interfaceOf reads the part of a request that needs no knowledge of objects.
func interfaceOf(in *api.CreateNetworkInterfaceRequest) (*newInterface, error) {
	if err := supportedInterface(in); err != nil {
		return nil, err
	}
	if err := checkInterfaceText(in.Description, "Description"); err != nil {
		return nil, err
	}
	tags, err := specTags(in.TagSpecifications, interfaceKind.resourceType)
	if err != nil {
		return nil, err
	}
	tracking, err := trackingOf(in.ConnectionTrackingSpecification, nil)
	if err != nil {
		return nil, err
	}
	addresses, err := planAddresses(in.PrivateIpAddress, in.PrivateIpAddresses, in.SecondaryPrivateIpAddressCount)
	if err != nil {
		return nil, err
	}
	return &newInterface{
		subnetID: in.SubnetId, description: in.Description, groups: in.Groups,
		addresses: addresses, tags: tags, uniqueName: uniqueName(in.TagSpecifications, tags), tracking: tracking, token: in.ClientToken,
	}, nil
}

// supportedInterface refuses what has no packets yet.
func supportedInterface(in *api.CreateNetworkInterfaceRequest) error {
	return unsupported(
		param{"Ipv6AddressCount", api.Val(in.Ipv6AddressCount) != 0},
		param{"Ipv6Addresses", len(in.Ipv6Addresses) > 0},
		param{"Ipv4Prefixes", len(in.Ipv4Prefixes) > 0},
		param{"Ipv4PrefixCount", api.Val(in.Ipv4PrefixCount) != 0},
		param{"Ipv6Prefixes", len(in.Ipv6Prefixes) > 0},
		param{"Ipv6PrefixCount", api.Val(in.Ipv6PrefixCount) != 0},
		param{"EnablePrimaryIpv6", api.Val(in.EnablePrimaryIpv6)},
		param{"InterfaceType", in.InterfaceType != "" && in.InterfaceType != api.NetworkInterfaceTypeInterface},
	)
}

// checkInterfaceText tests a description. EC2 takes any text here; what a
// terminal would obey is refused.
func checkInterfaceText(s, field string) error {
	if reason := badText(s, maxText); reason != "" {
		return api.Errorf("InvalidParameterValue", field, "the description %s %s", quote(s), reason)
	}
	return nil
}

// addInterface makes an available interface in a subnet of the caller.
func (c *change) addInterface(spec *newInterface) (*record.NetworkInterface, error) {
	subnet, err := getSubnet(c.tx, c.caller, spec.subnetID)
	if err != nil {
		return nil, err
	}
	groups, err := c.interfaceGroups(subnet.Subnet.VpcId, spec.groups)
	if err != nil {
		return nil, err
	}
	eni, err := c.blankInterface(subnet)
	if err != nil {
		return nil, err
	}
	eni.ClientToken = spec.token
	i := &eni.Interface
	i.Description, i.Groups, i.TagSet, i.ConnectionTrackingConfiguration = spec.description, groups, spec.tags, spec.tracking
	if err := c.claimPlan(subnet, eni, spec.addresses); err != nil {
		return nil, err
	}
	c.putInterface(eni)
	return eni, nil
}

// blankInterface is a new interface without groups and addresses, not yet stored.
func (c *change) blankInterface(subnet *record.Subnet) (*record.NetworkInterface, error) {
	if err := c.checkLimit(limitInterfaces, interfacesInZone(c.tx.Peek(), c.caller, subnet.Subnet.AvailabilityZone)+1); err != nil {
		return nil, err
	}
	index, err := c.nextIndex("eni")
	if err != nil {
		return nil, err
	}
	return &record.NetworkInterface{Index: index, Interface: api.NetworkInterface{
		NetworkInterfaceId: c.newID(interfaceKind.id),
		AvailabilityZone:   subnet.Subnet.AvailabilityZone,
		SubnetId:           subnet.Subnet.SubnetId,
		VpcId:              subnet.Subnet.VpcId,
		OwnerId:            subnet.Subnet.OwnerId,
		InterfaceType:      api.NetworkInterfaceTypeInterface,
		MacAddress:         macText(index),
		RequesterId:        c.caller.Account,
		RequesterManaged:   api.Ptr(false),
		SourceDestCheck:    api.Ptr(true),
		Status:             api.NetworkInterfaceStatusAvailable,
	}}, nil
}

func (c *change) putInterface(eni *record.NetworkInterface) {
	c.tx.Put(record.Interfaces+eni.Interface.NetworkInterfaceId, eni)
}

// macText is the interface's Ethernet address: locally administered, with the
// index in its last four bytes. The data plane computes the same one, so the
// sender of a frame is known from the frame.
func macText(index uint32) string {
	return fmt.Sprintf("02:0e:%02x:%02x:%02x:%02x", byte(index>>24), byte(index>>16), byte(index>>8), byte(index))
}

// privateDNSName is EC2's name for an address: ip-10-0-1-10.local-1.compute.internal.
func (s *Service) privateDNSName(a netip.Addr) string {
	return "ip-" + strings.ReplaceAll(a.String(), ".", "-") + "." + s.region + ".compute.internal"
}

// interfacesInZone counts for the quota, which EC2 sets per zone.
func interfacesInZone(r store.Reader, who Caller, zone string) int {
	n := 0
	for _, eni := range interfaceKind.list(r, who) {
		if eni.Interface.AvailabilityZone == zone {
			n++
		}
	}
	return n
}

// interfaceGroups are the groups with these ids, in their order and each once;
// without any it is the VPC's default group. A group's record is read guarded:
// it cannot be deleted under the interface that is about to have it.
func (c *change) interfaceGroups(vpcID string, ids []string) ([]api.GroupIdentifier, error) {
	if len(ids) == 0 {
		return c.defaultGroup(vpcID)
	}
	var out []api.GroupIdentifier
	for i, id := range ids {
		at := string(place("").item("Groups", i))
		g, err := groupKind.getAs(c.tx, c.caller, id, at)
		if err != nil {
			return nil, err
		}
		if g.Group.VpcId != vpcID {
			return nil, api.Errorf("InvalidParameter", at, "the security group %s is in %s and the interface in %s: name a group of the same VPC", id, g.Group.VpcId, vpcID)
		}
		if ref := groupIdentifier(g); !slices.Contains(out, ref) {
			out = append(out, ref)
		}
	}
	return out, c.checkLimit(limitGroupsOfENI, len(out))
}

// defaultGroup finds the group unguarded, as that reads all groups, and then
// reads the one that was found guarded.
func (c *change) defaultGroup(vpcID string) ([]api.GroupIdentifier, error) {
	g, ok := groupNamed(c.tx.Peek(), vpcID, defaultGroupName)
	if !ok {
		return nil, api.Errorf("InvalidGroup.NotFound", "Groups", "the VPC %s has no default security group: name one in Groups", vpcID)
	}
	g, err := getGroup(c.tx, c.caller, g.Group.GroupId)
	if err != nil {
		return nil, err
	}
	return []api.GroupIdentifier{groupIdentifier(g)}, nil
}

func groupIdentifier(g *record.SecurityGroup) api.GroupIdentifier {
	return api.GroupIdentifier{GroupId: g.Group.GroupId, GroupName: g.Group.GroupName}
}

// deleteNetworkInterface refuses an attached interface with
// InvalidNetworkInterface.InUse and the name of its workload.
func (s *Service) deleteNetworkInterface(ctx context.Context, who Caller, in *api.DeleteNetworkInterfaceRequest) (*api.DeleteNetworkInterfaceResult, int64, error) {
	revision, err := s.mutate(ctx, who, in.DryRun, func(c *change) error {
		eni, err := ownInterface(c.tx, who, in.NetworkInterfaceId)
		if err != nil {
			return err
		}
		if eni.Attached != nil {
			return interfaceInUse(eni)
		}
		c.removeInterface(eni)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.DeleteNetworkInterfaceResult{}, revision, nil
}

// interfaceInUse names the workload that has an attached interface.
func interfaceInUse(eni *record.NetworkInterface) error {
	id, workload := eni.Interface.NetworkInterfaceId, workloadName(eni.Attached)
	return &api.Error{
		Code: "InvalidNetworkInterface.InUse", Field: "NetworkInterfaceId",
		Message:   fmt.Sprintf("network interface '%s' is currently in use by %s", id, workload),
		BlockedBy: []api.Blocker{{Kind: "instance", Id: api.Val(eni.Interface.Attachment).InstanceId, Name: workload, Detail: "interface " + eni.Attached.IfName}},
		Hint:      "vpc detach " + id,
	}
}

// workloadName is what people call the workload.
func workloadName(a *record.Attachment) string { return cmp.Or(a.Display, a.Target) }

// removeInterface deletes an interface and gives back what it holds.
func (c *change) removeInterface(eni *record.NetworkInterface) {
	i := &eni.Interface
	for _, p := range i.PrivateIpAddresses {
		if p.Association != nil {
			c.letGo(p.Association)
		}
		if a, err := netip.ParseAddr(p.PrivateIpAddress); err == nil {
			c.releaseAddress(i.SubnetId, a)
		}
	}
	c.forget(eni.ClientToken, actionCreateInterface)
	c.tx.Delete(record.Interfaces + i.NetworkInterfaceId)
	c.bury(i.NetworkInterfaceId, eni.Index)
}
