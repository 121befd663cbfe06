package service

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/host"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

const attachmentIDPrefix = "eni-attach-"

// maxDeviceIndex bounds the number in a link name.
const maxDeviceIndex = 999

// attachRequest is a checked AttachWorkload request.
type attachRequest struct {
	*api.AttachWorkloadRequest
	spec *newInterface // nil when an existing interface is named
}

// attachWorkload gives a workload of this host an interface: a new one in a
// subnet, or an existing available one.
func (s *Service) attachWorkload(ctx context.Context, who Caller, in *api.AttachWorkloadRequest) (*api.AttachWorkloadResult, int64, error) {
	req, err := checkAttach(in)
	if err != nil {
		return nil, 0, err
	}
	if s.host == nil {
		return nil, 0, noHost()
	}
	// Asked at most once however often the transaction runs, and only after a
	// repeated call was recognised: the target of that one is taken, by itself.
	resolve := sync.OnceValues(func() (host.Workload, error) {
		return s.host.Resolve(ctx, in.Target, in.InterfaceName, !api.Val(in.NoDefaultRoute))
	})
	var attached *record.NetworkInterface
	revision, err := s.mutate(ctx, who, in.DryRun, func(c *change) error {
		id, err := c.replay(actionAttachWorkload, in.ClientToken, in)
		if err != nil {
			return err
		}
		if id != "" {
			attached, err = getInterface(c.tx, who, id)
			return err
		}
		w, err := resolve()
		if err != nil {
			return err
		}
		attached, err = c.attach(w, req)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	shown := s.view(who).describedInterface(attached)
	return &api.AttachWorkloadResult{
		NetworkInterface: &shown, InstanceId: api.Val(shown.Attachment).InstanceId, AttachmentId: api.Val(shown.Attachment).AttachmentId,
	}, revision, nil
}

// noHost: workloads can be judged only where they run.
func noHost() error {
	return api.Errorf("UnsupportedOperation", "Target", "this daemon manages no host: ask the one on the machine of the workload")
}

// checkAttach reads the part of a request that needs no knowledge of objects.
func checkAttach(in *api.AttachWorkloadRequest) (*attachRequest, error) {
	if err := checkIfName(in.InterfaceName); err != nil {
		return nil, err
	}
	if reason := badText(in.Target, 4*maxText); reason != "" {
		return nil, api.Errorf("InvalidParameterValue", "Target", "the target %s %s", quote(in.Target), reason)
	}
	if in.NetworkInterfaceId != "" {
		return checkAttachExisting(in)
	}
	if in.SubnetId == "" {
		return nil, api.Errorf("MissingParameter", "SubnetId", "the request must contain the parameter SubnetId or NetworkInterfaceId")
	}
	spec := &newInterface{subnetID: in.SubnetId, groups: in.Groups}
	if in.PrivateIpAddress != "" {
		a, err := parseAddress(in.PrivateIpAddress, "PrivateIpAddress")
		if err != nil {
			return nil, err
		}
		spec.addresses.primary = plannedAddress{addr: a}
	}
	if in.Name != "" {
		if err := checkNewName(in.Name); err != nil {
			return nil, err
		}
		spec.tags, spec.uniqueName = []api.Tag{{Key: "Name", Value: in.Name}}, in.Name
	}
	return &attachRequest{in, spec}, nil
}

// checkAttachExisting refuses what would silently not be applied.
func checkAttachExisting(in *api.AttachWorkloadRequest) (*attachRequest, error) {
	for _, p := range []struct {
		name  string
		given bool
	}{
		{"SubnetId", in.SubnetId != ""},
		{"Groups", len(in.Groups) > 0},
		{"PrivateIpAddress", in.PrivateIpAddress != ""},
		{"Name", in.Name != ""},
		{"AssociatePublicIpAddress", in.AssociatePublicIpAddress != nil},
	} {
		if p.given {
			return nil, api.Errorf("InvalidParameterCombination", p.name, "%s cannot be combined with NetworkInterfaceId: the existing interface has its own", p.name)
		}
	}
	return &attachRequest{in, nil}, nil
}

// checkNewName keeps apart what users type where a name, a target or an id is
// asked for.
func checkNewName(name string) error {
	reason := badText(name, maxTagValue)
	switch {
	case reason != "":
	case strings.TrimSpace(name) == "":
		reason = "is blank"
	case strings.ContainsAny(name, ":,"):
		reason = `has a ":" or ","`
	case wellFormed(name, interfaceKind.id):
		reason = "looks like an id"
	default:
		return nil
	}
	return api.Errorf("InvalidParameterValue", "Name", "the name %s %s: choose another one", quote(name), reason)
}

// maxIfName is the kernel's bound, IFNAMSIZ without its zero byte.
const maxIfName = 15

// checkIfName tests a link name more strictly than the kernel does; empty
// leaves the choice to the host.
func checkIfName(name string) error {
	const field = "InterfaceName"
	switch {
	case name == "":
		return nil
	case name == "lo" || name == "." || name == ".." || name == "all" || name == "default" || strings.HasPrefix(name, "-"):
		return api.Errorf("InvalidParameterValue", field, "an interface cannot be named %s: use a name like eth0 (--ifname)", quote(name))
	case len(name) > maxIfName:
		return api.Errorf("InvalidParameterValue", field, "the interface name %s is longer than %d characters: use a name like eth0 (--ifname)", quote(name), maxIfName)
	}
	for _, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && !strings.ContainsRune("._-", r) {
			return api.Errorf("InvalidParameterValue", field, "the interface name %s may have letters, digits, \".\", \"_\" and \"-\" only (--ifname)", quote(name))
		}
	}
	return nil
}

// attach makes or takes an interface and binds it to the workload.
func (c *change) attach(w host.Workload, req *attachRequest) (*record.NetworkInterface, error) {
	instance, err := c.instanceOf(w)
	if err != nil {
		return nil, err
	}
	siblings := interfacesOf(c.tx.Peek(), instance.InstanceId)
	if err := fitsBeside(siblings, w, !api.Val(req.NoDefaultRoute)); err != nil {
		return nil, err
	}
	eni, err := c.interfaceToAttach(req)
	if err != nil {
		return nil, err
	}
	index := freeDeviceIndex(siblings)
	public, err := c.wantsPublic(req, index)
	if err != nil {
		return nil, err
	}
	if public {
		if eni, err = c.automatic(eni); err != nil {
			return nil, err
		}
	}
	eni.DeleteOnDetach = req.spec != nil && !api.Val(req.Keep)
	eni.Attached = &record.Attachment{
		Host: c.hostName, Target: w.Target, Display: w.Display, Engine: w.Engine, IfName: w.IfName,
		NoDefaultRoute: api.Val(req.NoDefaultRoute), Public: public, ClientToken: req.ClientToken,
	}
	c.bind(eni, instance, index)
	c.remember(actionAttachWorkload, req.ClientToken, req.AttachWorkloadRequest, eni.Interface.NetworkInterfaceId)
	return eni, nil
}

// interfaceToAttach makes or finds the interface. It is a copy that may be changed.
func (c *change) interfaceToAttach(req *attachRequest) (*record.NetworkInterface, error) {
	if req.spec != nil {
		return c.namedInterface(req.spec)
	}
	return c.availableInterface(req.NetworkInterfaceId)
}

// namedInterface makes an interface whose name, if it must be unique, no other
// one in its VPC has.
func (c *change) namedInterface(spec *newInterface) (*record.NetworkInterface, error) {
	eni, err := c.addInterface(spec)
	if err != nil {
		return nil, err
	}
	i := eni.Interface
	return eni, nameFree(c, interfaceKind, spec.uniqueName, i.NetworkInterfaceId, interfacesOfVpc(i.VpcId))
}

// availableInterface is a copy of an existing interface that nobody has.
func (c *change) availableInterface(id string) (*record.NetworkInterface, error) {
	eni, err := ownInterface(c.tx, c.caller, id)
	if err != nil {
		return nil, err
	}
	if eni.Attached != nil {
		return nil, interfaceInUse(eni)
	}
	next := *eni
	return &next, nil
}

// fitsBeside refuses a second link of one name and a second default route. The
// host looks at what is in the workload; this looks at what will be.
func fitsBeside(siblings []*record.NetworkInterface, w host.Workload, defaultRoute bool) error {
	for _, eni := range siblings {
		id := eni.Interface.NetworkInterfaceId
		if eni.Attached.IfName == w.IfName {
			e := api.Errorf("Resource.AlreadyAssociated", "InterfaceName", "%s has the interface %s already: it is %s", workloadName(eni.Attached), quote(w.IfName), id)
			e.Hint = "choose another name with --ifname"
			return e
		}
		if defaultRoute && !eni.Attached.NoDefaultRoute {
			e := api.Errorf("Resource.AlreadyAssociated", "NoDefaultRoute", "%s has its default route through %s already", workloadName(eni.Attached), id)
			e.Hint = "attach this one with --no-default-route"
			return e
		}
	}
	return nil
}

// freeDeviceIndex is the lowest index that no sibling has.
func freeDeviceIndex(siblings []*record.NetworkInterface) int32 {
	index := int32(0)
	for _, eni := range siblings { // in order of their indices
		if deviceIndex(eni) != index {
			break
		}
		index++
	}
	return index
}

// bind writes the attachment into eni, whose Attached is set, and stores it.
func (c *change) bind(eni *record.NetworkInterface, instance *record.Instance, index int32) {
	now := c.now().UTC()
	eni.Interface.Status = api.NetworkInterfaceStatusInUse
	eni.Interface.Attachment = &api.NetworkInterfaceAttachment{
		AttachmentId: c.newID(attachmentIDPrefix), AttachTime: &now,
		DeleteOnTermination: api.Ptr(eni.DeleteOnDetach),
		DeviceIndex:         api.Ptr(index), NetworkCardIndex: api.Ptr[int32](0),
		InstanceId: instance.InstanceId, InstanceOwnerId: instance.OwnerId,
		Status: api.AttachmentStatusAttaching,
	}
	c.putInterface(eni)
}

// attachNetworkInterface gives an existing interface to a workload that has one
// already. Link names follow EC2's device index: eth1 for 1.
func (s *Service) attachNetworkInterface(ctx context.Context, who Caller, in *api.AttachNetworkInterfaceRequest) (*api.AttachNetworkInterfaceResult, int64, error) {
	index := api.Val(in.DeviceIndex)
	if err := unsupported(param{"EnaSrdSpecification", in.EnaSrdSpecification != nil}); err != nil {
		return nil, 0, err
	}
	switch {
	case api.Val(in.NetworkCardIndex) != 0:
		return nil, 0, api.Errorf("InvalidParameterValue", "NetworkCardIndex", "value (%d) for parameter NetworkCardIndex is invalid: a workload has the network card 0 only", *in.NetworkCardIndex)
	case index < 0 || index > maxDeviceIndex:
		return nil, 0, api.Errorf("InvalidParameterValue", "DeviceIndex", "value (%d) for parameter DeviceIndex is invalid: use 0 to %d", index, maxDeviceIndex)
	case s.host == nil:
		return nil, 0, noHost()
	}
	w, route, err := s.resolveInstance(ctx, who, in.InstanceId, index)
	if err != nil {
		return nil, 0, err
	}
	var attached *record.NetworkInterface
	revision, err := s.mutate(ctx, who, in.DryRun, func(c *change) error {
		instance, err := getInstance(c.tx, who, in.InstanceId)
		if err != nil {
			return err
		}
		siblings := interfacesOf(c.tx.Peek(), instance.InstanceId)
		for _, eni := range siblings {
			if deviceIndex(eni) == index {
				return api.Errorf("InvalidParameterValue", "DeviceIndex", "instance '%s' already has an interface attached at device index '%d': use %d", instance.InstanceId, index, freeDeviceIndex(siblings))
			}
		}
		if err := fitsBeside(siblings, w, route); err != nil {
			return err
		}
		if attached, err = c.availableInterface(in.NetworkInterfaceId); err != nil {
			return err
		}
		attached.DeleteOnDetach = false
		attached.Attached = &record.Attachment{
			Host: instance.Host, Target: instance.Target, Display: instance.Display,
			Engine: w.Engine, IfName: w.IfName, NoDefaultRoute: !route,
		}
		// Written unchanged: two changes to one workload must collide.
		c.tx.Put(record.Instances+instance.InstanceId, instance)
		c.bind(attached, instance, index)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.AttachNetworkInterfaceResult{AttachmentId: attached.Interface.Attachment.AttachmentId, NetworkCardIndex: api.Ptr[int32](0)}, revision, nil
}

// resolveInstance asks the host about the workload of an instance, and says
// whether its next interface should bring a default route.
func (s *Service) resolveInstance(ctx context.Context, who Caller, id string, index int32) (host.Workload, bool, error) {
	v := s.view(who)
	instance, err := getInstance(v.r, who, id)
	if err != nil {
		return host.Workload{}, false, err
	}
	if instance.Host != s.hostName {
		return host.Workload{}, false, api.Errorf("UnsupportedOperation", "InstanceId", "instance %s is on host %s: ask the daemon there", id, quote(instance.Host))
	}
	route := true
	for _, eni := range interfacesOf(v.r, id) {
		route = route && eni.Attached.NoDefaultRoute
	}
	w, err := s.host.Resolve(ctx, instance.Target, fmt.Sprintf("eth%d", index), route)
	return w, route, err
}
