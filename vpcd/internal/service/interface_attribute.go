package service

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// modifyNetworkInterfaceAttribute changes exactly one attribute, as EC2 does.
func (s *Service) modifyNetworkInterfaceAttribute(ctx context.Context, who Caller, in *api.ModifyNetworkInterfaceAttributeRequest) (*api.ModifyNetworkInterfaceAttributeResult, int64, error) {
	edit, err := interfaceChange(in)
	if err != nil {
		return nil, 0, err
	}
	revision, err := s.mutate(ctx, who, in.DryRun, func(c *change) error {
		eni, err := ownInterface(c.tx, who, in.NetworkInterfaceId)
		if err != nil {
			return err
		}
		next := *eni
		if err := edit(c, &next); err != nil {
			return err
		}
		c.putInterface(&next)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.ModifyNetworkInterfaceAttributeResult{}, revision, nil
}

// interfaceEdit changes a copy of an interface.
type interfaceEdit func(*change, *record.NetworkInterface) error

// interfaceChange picks the one attribute that a request sets.
func interfaceChange(in *api.ModifyNetworkInterfaceAttributeRequest) (interfaceEdit, error) {
	if err := unsupported(
		param{"EnaSrdSpecification", in.EnaSrdSpecification != nil},
		param{"EnablePrimaryIpv6", in.EnablePrimaryIpv6 != nil},
		param{"AssociatePublicIpAddress", in.AssociatePublicIpAddress != nil},
	); err != nil {
		return nil, err
	}
	edits := map[string]interfaceEdit{}
	if in.Attachment != nil {
		edits["Attachment"] = editAttachment(in.Attachment)
	}
	if in.Description != nil {
		edits["Description"] = editDescription(in.Description.Value)
	}
	if len(in.Groups) > 0 {
		edits["Groups"] = editGroups(in.Groups)
	}
	if in.SourceDestCheck != nil {
		edits["SourceDestCheck"] = editSourceDestCheck(in.SourceDestCheck.Value)
	}
	if in.ConnectionTrackingSpecification != nil {
		edits["ConnectionTrackingSpecification"] = editTracking(in.ConnectionTrackingSpecification)
	}
	const all = "Attachment, ConnectionTrackingSpecification, Description, Groups, SourceDestCheck"
	switch len(edits) {
	case 0:
		return nil, api.Errorf("InvalidParameterCombination", "", "no attributes specified: set one of %s", all)
	case 1:
		for _, edit := range edits {
			return edit, nil
		}
	}
	return nil, api.Errorf("InvalidParameterCombination", "", "fields for multiple attribute types specified: set one of %s in each call", all)
}

// editAttachment sets whether the interface goes with its workload. EC2 means
// the end of the instance; here it is DetachWorkload.
func editAttachment(in *api.NetworkInterfaceAttachmentChanges) interfaceEdit {
	return func(_ *change, eni *record.NetworkInterface) error {
		const id = "Attachment.AttachmentId"
		switch {
		case in.AttachmentId == "":
			return api.Errorf("MissingParameter", id, "the request must contain the parameter %s", id)
		case in.DeleteOnTermination == nil:
			return api.Errorf("MissingParameter", "Attachment.DeleteOnTermination", "the request must contain the parameter Attachment.DeleteOnTermination")
		case eni.Interface.Attachment == nil || eni.Interface.Attachment.AttachmentId != in.AttachmentId:
			return api.Errorf("InvalidAttachmentID.NotFound", id, "the attachment ID %s is not that of %s: DescribeNetworkInterfaces shows it", quote(in.AttachmentId), eni.Interface.NetworkInterfaceId)
		}
		attachment := *eni.Interface.Attachment
		attachment.DeleteOnTermination = in.DeleteOnTermination
		eni.Interface.Attachment = &attachment
		eni.DeleteOnDetach = *in.DeleteOnTermination
		return nil
	}
}

func editDescription(text string) interfaceEdit {
	return func(_ *change, eni *record.NetworkInterface) error {
		eni.Interface.Description = text
		return checkInterfaceText(text, "Description.Value")
	}
}

// editGroups replaces all groups; an interface is never without one.
func editGroups(ids []string) interfaceEdit {
	return func(c *change, eni *record.NetworkInterface) error {
		groups, err := c.interfaceGroups(eni.Interface.VpcId, ids)
		eni.Interface.Groups = groups
		return err
	}
}

func editSourceDestCheck(on *bool) interfaceEdit {
	return func(_ *change, eni *record.NetworkInterface) error {
		if on == nil {
			return api.Errorf("MissingParameter", "SourceDestCheck.Value", "the request must contain the parameter SourceDestCheck.Value")
		}
		eni.Interface.SourceDestCheck = on
		return nil
	}
}

// editTracking keeps the timeouts that the request leaves out.
func editTracking(in *api.ConnectionTrackingSpecificationRequest) interfaceEdit {
	return func(_ *change, eni *record.NetworkInterface) error {
		tracking, err := trackingOf(in, eni.Interface.ConnectionTrackingConfiguration)
		eni.Interface.ConnectionTrackingConfiguration = tracking
		return err
	}
}

// trackingOf lays the timeouts of a request over those in force; what neither
// sets has the data plane's default. Seconds; bounds as EC2 documents them.
func trackingOf(in *api.ConnectionTrackingSpecificationRequest, now *api.ConnectionTrackingConfiguration) (*api.ConnectionTrackingConfiguration, error) {
	if in == nil {
		return now, nil
	}
	var out api.ConnectionTrackingConfiguration
	if now != nil {
		out = *now
	}
	for _, t := range []struct {
		name      string
		want      *int32
		low, high int32
		into      **int32
	}{
		{"TcpEstablishedTimeout", in.TcpEstablishedTimeout, 60, 432000, &out.TcpEstablishedTimeout},
		{"UdpTimeout", in.UdpTimeout, 30, 60, &out.UdpTimeout},
		{"UdpStreamTimeout", in.UdpStreamTimeout, 60, 180, &out.UdpStreamTimeout},
	} {
		if t.want == nil {
			continue
		}
		if *t.want < t.low || *t.want > t.high {
			at := "ConnectionTrackingSpecification." + t.name
			return nil, api.Errorf("InvalidParameterValue", at, "value (%d) for parameter %s is invalid: use %d to %d seconds", *t.want, at, t.low, t.high)
		}
		*t.into = t.want
	}
	return &out, nil
}

// resetNetworkInterfaceAttribute restores a default. EC2 knows one attribute
// here, and takes any value for "reset it".
func (s *Service) resetNetworkInterfaceAttribute(ctx context.Context, who Caller, in *api.ResetNetworkInterfaceAttributeRequest) (*api.ResetNetworkInterfaceAttributeResult, int64, error) {
	if in.SourceDestCheck == "" {
		return nil, 0, api.Errorf("InvalidParameterCombination", "SourceDestCheck", "no attributes specified: set SourceDestCheck")
	}
	revision, err := s.mutate(ctx, who, in.DryRun, func(c *change) error {
		eni, err := ownInterface(c.tx, who, in.NetworkInterfaceId)
		if err != nil {
			return err
		}
		next := *eni
		next.Interface.SourceDestCheck = api.Ptr(true)
		c.putInterface(&next)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.ResetNetworkInterfaceAttributeResult{}, revision, nil
}

// interfaceAttributes are what DescribeNetworkInterfaceAttribute can show.
var interfaceAttributes = map[string]func(*api.NetworkInterface, *api.DescribeNetworkInterfaceAttributeResult){
	"description": func(i *api.NetworkInterface, out *api.DescribeNetworkInterfaceAttributeResult) {
		out.Description = &api.AttributeValue{Value: i.Description}
	},
	"groupSet": func(i *api.NetworkInterface, out *api.DescribeNetworkInterfaceAttributeResult) {
		out.Groups = i.Groups
	},
	"sourceDestCheck": func(i *api.NetworkInterface, out *api.DescribeNetworkInterfaceAttributeResult) {
		out.SourceDestCheck = &api.AttributeBooleanValue{Value: i.SourceDestCheck}
	},
	"attachment": func(i *api.NetworkInterface, out *api.DescribeNetworkInterfaceAttributeResult) {
		out.Attachment = i.Attachment
	},
	// Public addresses on attach are not built, so this is never on.
	"associatePublicIpAddress": func(_ *api.NetworkInterface, out *api.DescribeNetworkInterfaceAttributeResult) {
		out.AssociatePublicIpAddress = api.Ptr(false)
	},
}

// describeNetworkInterfaceAttribute shows the one attribute that is asked for.
func (s *Service) describeNetworkInterfaceAttribute(_ context.Context, who Caller, in *api.DescribeNetworkInterfaceAttributeRequest) (*api.DescribeNetworkInterfaceAttributeResult, int64, error) {
	v := s.view(who)
	eni, err := getInterface(v.r, who, in.NetworkInterfaceId)
	if err != nil {
		return nil, 0, err
	}
	show, ok := interfaceAttributes[in.Attribute]
	if !ok {
		return nil, 0, api.Errorf("InvalidParameterCombination", "Attribute", "no attributes specified: set Attribute to one of %s", strings.Join(slices.Sorted(maps.Keys(interfaceAttributes)), ", "))
	}
	out := &api.DescribeNetworkInterfaceAttributeResult{NetworkInterfaceId: eni.Interface.NetworkInterfaceId}
	show(api.Ptr(v.describedInterface(eni)), out)
	return out, v.revision(), nil
}
