package service

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/host"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// stateRunning is the code of the only state a workload here can have: one
// that is not attached to anything is no instance.
const stateRunning = 16

// instanceOf is the instance record of a workload of this host, made if it has
// none. It is written in any case: two changes to one workload must collide.
func (c *change) instanceOf(w host.Workload) (*record.Instance, error) {
	// Guarded as a range, so that one target never gets two records.
	for _, i := range store.List[*record.Instance](c.tx, record.Instances) {
		if i.Host != c.hostName || i.Target != w.Target {
			continue
		}
		if i.OwnerId != c.caller.Account {
			return nil, api.Errorf("Resource.AlreadyAssociated", "Target", "%s is attached by another account: detach it there first", quote(w.Display))
		}
		c.tx.Put(record.Instances+i.InstanceId, i)
		return i, nil
	}
	made := &record.Instance{
		InstanceId: c.newID(instanceKind.id), OwnerId: c.caller.Account,
		Host: c.hostName, Target: w.Target, Display: w.Display,
		Tags:       []api.Tag{{Key: "Name", Value: shortened(cmp.Or(w.Display, w.Target))}},
		LaunchTime: c.now().UTC().Format(time.RFC3339),
	}
	c.tx.Put(record.Instances+made.InstanceId, made)
	return made, nil
}

// shortened fits a target into a tag.
func shortened(s string) string {
	if len(s) <= maxTagValue {
		return s
	}
	return strings.ToValidUTF8(s[:maxTagValue], "")
}

// interfacesOf are the interfaces of an instance, in order of device index.
// They are read unguarded: whoever attaches or detaches one writes the
// instance, which the caller has read or written guarded.
func interfacesOf(r store.Reader, instanceID string) []*record.NetworkInterface {
	var out []*record.NetworkInterface
	for _, eni := range store.List[*record.NetworkInterface](r, record.Interfaces) {
		if a := eni.Interface.Attachment; a != nil && a.InstanceId == instanceID && eni.Attached != nil {
			out = append(out, eni)
		}
	}
	slices.SortFunc(out, func(a, b *record.NetworkInterface) int {
		return cmp.Compare(deviceIndex(a), deviceIndex(b))
	})
	return out
}

// deviceIndex is the position of an attached interface in its workload.
func deviceIndex(eni *record.NetworkInterface) int32 {
	return api.Val(api.Val(eni.Interface.Attachment).DeviceIndex)
}

// describeInstances lists attached workloads; every one is running.
func (s *Service) describeInstances(_ context.Context, who Caller, in *api.DescribeInstancesRequest) (*api.DescribeInstancesResult, int64, error) {
	if err := checkPaging(in.InstanceIds, "InstanceIds", in.MaxResults); err != nil {
		return nil, 0, err
	}
	v := s.view(who)
	records, err := instanceKind.pick(v.r, who, in.InstanceIds, "InstanceIds")
	if err != nil {
		return nil, 0, err
	}
	match, err := matchFilters(in.Filters, instanceFilters, func(w workload) []api.Tag { return w.record.Tags })
	if err != nil {
		return nil, 0, err
	}
	var all []workload
	for _, r := range records {
		if w := (workload{r, v.describedInstance(r)}); match(w) {
			all = append(all, w)
		}
	}
	all, next, err := page(pageOf{who, in, in.MaxResults, in.NextToken}, all, func(w workload) string { return w.record.InstanceId })
	if err != nil {
		return nil, 0, err
	}
	res := &api.DescribeInstancesResult{NextToken: next}
	for _, w := range all {
		// One call attaches one workload, so each is a reservation of its own.
		res.Reservations = append(res.Reservations, api.Reservation{
			ReservationId: "r-" + strings.TrimPrefix(w.record.InstanceId, instanceKind.id),
			OwnerId:       w.record.OwnerId, Instances: []api.Instance{w.shown},
		})
	}
	return res, v.revision(), nil
}

// workload is an instance as stored and as shown.
type workload struct {
	record *record.Instance
	shown  api.Instance
}

// describedInstance takes the addresses of the instance from its first
// interface, as EC2 does.
func (v view) describedInstance(r *record.Instance) api.Instance {
	out := api.Instance{
		InstanceId: r.InstanceId, Tags: r.Tags,
		// The kind of workload stands where EC2 has the kind of machine.
		InstanceType: targetKind(r.Target),
		State:        &api.InstanceState{Code: api.Ptr[int32](stateRunning), Name: api.InstanceStateNameRunning},
	}
	if t, err := time.Parse(time.RFC3339, r.LaunchTime); err == nil {
		out.LaunchTime = &t
	}
	for i, eni := range interfacesOf(v.r, r.InstanceId) {
		shown := v.describedInterface(eni)
		out.NetworkInterfaces = append(out.NetworkInterfaces, instanceInterface(&shown))
		if i > 0 {
			continue
		}
		out.SubnetId, out.VpcId = shown.SubnetId, shown.VpcId
		out.PrivateIpAddress, out.PrivateDnsName = shown.PrivateIpAddress, shown.PrivateDnsName
		out.PublicIpAddress, out.PublicDnsName = api.Val(shown.Association).PublicIp, api.Val(shown.Association).PublicDnsName
		out.SecurityGroups, out.SourceDestCheck = shown.Groups, shown.SourceDestCheck
		out.Placement = &api.Placement{AvailabilityZone: shown.AvailabilityZone, Tenancy: "default"}
	}
	return out
}

// targetKind is netns, pid, docker or tap.
func targetKind(target string) string {
	kind, _, _ := strings.Cut(target, ":")
	return kind
}

// instanceInterface is EC2's second shape for the same facts.
func instanceInterface(i *api.NetworkInterface) api.InstanceNetworkInterface {
	out := api.InstanceNetworkInterface{
		Description: i.Description, Groups: i.Groups, MacAddress: i.MacAddress,
		NetworkInterfaceId: i.NetworkInterfaceId, OwnerId: i.OwnerId,
		PrivateDnsName: i.PrivateDnsName, PrivateIpAddress: i.PrivateIpAddress,
		SourceDestCheck: i.SourceDestCheck, Status: i.Status,
		SubnetId: i.SubnetId, VpcId: i.VpcId, InterfaceType: i.InterfaceType,
		Association: instanceAssociation(i.Association),
	}
	if a := i.Attachment; a != nil {
		out.Attachment = &api.InstanceNetworkInterfaceAttachment{
			AttachTime: a.AttachTime, AttachmentId: a.AttachmentId, DeleteOnTermination: a.DeleteOnTermination,
			DeviceIndex: a.DeviceIndex, Status: a.Status, NetworkCardIndex: a.NetworkCardIndex,
		}
	}
	for _, p := range i.PrivateIpAddresses {
		out.PrivateIpAddresses = append(out.PrivateIpAddresses, api.InstancePrivateIpAddress{
			PrivateIpAddress: p.PrivateIpAddress, Primary: p.Primary, PrivateDnsName: p.PrivateDnsName,
			Association: instanceAssociation(p.Association),
		})
	}
	return out
}

func instanceAssociation(a *api.NetworkInterfaceAssociation) *api.InstanceNetworkInterfaceAssociation {
	if a == nil {
		return nil
	}
	return &api.InstanceNetworkInterfaceAssociation{IpOwnerId: a.IpOwnerId, PublicDnsName: a.PublicDnsName, PublicIp: a.PublicIp}
}

// instanceFilters are EC2's that make sense for a workload, and two of ours,
// host and target.
var instanceFilters = map[string]func(workload) []string{
	"instance-id":         func(w workload) []string { return []string{w.shown.InstanceId} },
	"instance-state-name": func(w workload) []string { return []string{w.shown.State.Name} },
	"instance-state-code": func(workload) []string { return []string{"16"} },
	"instance-type":       func(w workload) []string { return []string{w.shown.InstanceType} },
	"owner-id":            func(w workload) []string { return []string{w.record.OwnerId} },
	"private-ip-address":  func(w workload) []string { return []string{w.shown.PrivateIpAddress} },
	"private-dns-name":    func(w workload) []string { return []string{w.shown.PrivateDnsName} },
	"ip-address":          func(w workload) []string { return given(w.shown.PublicIpAddress) },
	"dns-name":            func(w workload) []string { return given(w.shown.PublicDnsName) },
	"subnet-id":           func(w workload) []string { return []string{w.shown.SubnetId} },
	"vpc-id":              func(w workload) []string { return []string{w.shown.VpcId} },
	"instance.group-id": func(w workload) []string {
		return each(w.shown.SecurityGroups, func(g api.GroupIdentifier) string { return g.GroupId })
	},
	"network-interface.network-interface-id": func(w workload) []string {
		return each(w.shown.NetworkInterfaces, func(i api.InstanceNetworkInterface) string { return i.NetworkInterfaceId })
	},
	"host":   func(w workload) []string { return []string{w.record.Host} },
	"target": func(w workload) []string { return []string{w.record.Target, w.record.Display} },
}
