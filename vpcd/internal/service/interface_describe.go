package service

import (
	"context"
	"slices"
	"strconv"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// describeNetworkInterfaces answers in order of ids.
func (s *Service) describeNetworkInterfaces(_ context.Context, who Caller, in *api.DescribeNetworkInterfacesRequest) (*api.DescribeNetworkInterfacesResult, int64, error) {
	if err := checkPaging(in.NetworkInterfaceIds, "NetworkInterfaceIds", in.MaxResults); err != nil {
		return nil, 0, err
	}
	v := s.view(who)
	match, err := matchFilters(in.Filters, interfaceFilters(v), interfaceKind.tags)
	if err != nil {
		return nil, 0, err
	}
	enis, err := interfaceKind.pick(v.r, who, in.NetworkInterfaceIds, "NetworkInterfaceIds")
	if err != nil {
		return nil, 0, err
	}
	enis = slices.DeleteFunc(enis, func(eni *record.NetworkInterface) bool { return !match(eni) })
	enis, next, err := page(pageOf{who, in, in.MaxResults, in.NextToken}, enis, interfaceKind.idOf)
	if err != nil {
		return nil, 0, err
	}
	res := &api.DescribeNetworkInterfacesResult{NextToken: next}
	for _, eni := range enis {
		res.NetworkInterfaces = append(res.NetworkInterfaces, v.describedInterface(eni))
	}
	return res, v.revision(), nil
}

// describedInterface is the interface as EC2 shows it: the attachment says what
// its host reports.
func (v view) describedInterface(eni *record.NetworkInterface) api.NetworkInterface {
	out := eni.Interface
	v.shownAssociations(&out)
	if out.Attachment != nil {
		attachment := *out.Attachment
		attachment.Status = v.attachmentStatus(eni)
		out.Attachment = &attachment
	}
	return out
}

// attachmentStatus is attaching until the host reports the port as up.
func (v view) attachmentStatus(eni *record.NetworkInterface) string {
	if reported(v.r, eni) {
		return api.AttachmentStatusAttached
	}
	return api.AttachmentStatusAttaching
}

// interfaceFilters are EC2's, and two of ours that find the interfaces of a
// workload: attachment.host and attachment.target.
func interfaceFilters(v view) map[string]func(*record.NetworkInterface) []string {
	fields := map[string]func(*record.NetworkInterface) []string{}
	for name, of := range map[string]func(*api.NetworkInterface) string{
		"availability-zone":    func(i *api.NetworkInterface) string { return i.AvailabilityZone },
		"description":          func(i *api.NetworkInterface) string { return i.Description },
		"interface-type":       func(i *api.NetworkInterface) string { return i.InterfaceType },
		"mac-address":          func(i *api.NetworkInterface) string { return i.MacAddress },
		"network-interface-id": func(i *api.NetworkInterface) string { return i.NetworkInterfaceId },
		"owner-id":             func(i *api.NetworkInterface) string { return i.OwnerId },
		"private-dns-name":     func(i *api.NetworkInterface) string { return i.PrivateDnsName },
		"private-ip-address":   func(i *api.NetworkInterface) string { return i.PrivateIpAddress },
		"requester-id":         func(i *api.NetworkInterface) string { return i.RequesterId },
		"status":               func(i *api.NetworkInterface) string { return i.Status },
		"subnet-id":            func(i *api.NetworkInterface) string { return i.SubnetId },
		"vpc-id":               func(i *api.NetworkInterface) string { return i.VpcId },
	} {
		fields[name] = func(eni *record.NetworkInterface) []string { return []string{of(&eni.Interface)} }
	}
	fields["requester-managed"] = func(eni *record.NetworkInterface) []string { return boolText(eni.Interface.RequesterManaged) }
	fields["source-dest-check"] = func(eni *record.NetworkInterface) []string { return boolText(eni.Interface.SourceDestCheck) }
	addListFilters(fields)
	addAssociationFilters(fields, v)
	addAttachmentFilters(fields, v)
	return fields
}

// addListFilters are those where an interface has several values.
func addListFilters(fields map[string]func(*record.NetworkInterface) []string) {
	fields["group-id"] = func(eni *record.NetworkInterface) []string {
		return each(eni.Interface.Groups, func(g api.GroupIdentifier) string { return g.GroupId })
	}
	fields["group-name"] = func(eni *record.NetworkInterface) []string {
		return each(eni.Interface.Groups, func(g api.GroupIdentifier) string { return g.GroupName })
	}
	fields["addresses.private-ip-address"] = func(eni *record.NetworkInterface) []string {
		return each(eni.Interface.PrivateIpAddresses, func(p api.NetworkInterfacePrivateIpAddress) string { return p.PrivateIpAddress })
	}
	fields["addresses.primary"] = func(eni *record.NetworkInterface) []string {
		return each(eni.Interface.PrivateIpAddresses, func(p api.NetworkInterfacePrivateIpAddress) string {
			return strconv.FormatBool(api.Val(p.Primary))
		})
	}
}

// each is a value of every item.
func each[T any](items []T, of func(T) string) []string {
	out := make([]string, len(items))
	for i, item := range items {
		out[i] = of(item)
	}
	return out
}

// addAttachmentFilters never match an interface that is not attached.
func addAttachmentFilters(fields map[string]func(*record.NetworkInterface) []string, v view) {
	for name, of := range map[string]func(*record.NetworkInterface) []string{
		"attachment-id": func(eni *record.NetworkInterface) []string {
			return []string{eni.Interface.Attachment.AttachmentId}
		},
		"delete-on-termination": func(eni *record.NetworkInterface) []string {
			return boolText(eni.Interface.Attachment.DeleteOnTermination)
		},
		"device-index": func(eni *record.NetworkInterface) []string {
			return []string{strconv.Itoa(int(deviceIndex(eni)))}
		},
		"instance-id":       func(eni *record.NetworkInterface) []string { return given(eni.Interface.Attachment.InstanceId) },
		"instance-owner-id": func(eni *record.NetworkInterface) []string { return []string{eni.Interface.Attachment.InstanceOwnerId} },
		"status":            func(eni *record.NetworkInterface) []string { return []string{v.attachmentStatus(eni)} },
		"host":              func(eni *record.NetworkInterface) []string { return given(hostOf(v.r, eni)) },
		"target": func(eni *record.NetworkInterface) []string {
			a := api.Val(eni.Attached)
			return present([]string{a.Target, a.Display})
		},
	} {
		fields["attachment."+name] = func(eni *record.NetworkInterface) []string {
			if eni.Interface.Attachment == nil {
				return nil
			}
			return of(eni)
		}
	}
}
