package service

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// plain makes an interface of defaults.
func (b *bench) plain(subnetID string) *api.NetworkInterface {
	b.t.Helper()
	return do[api.CreateNetworkInterfaceResult](b, &api.CreateNetworkInterfaceRequest{SubnetId: subnetID}).NetworkInterface
}

func (b *bench) shown(eniID string) api.NetworkInterface {
	b.t.Helper()
	return do[api.DescribeNetworkInterfacesResult](b, &api.DescribeNetworkInterfacesRequest{NetworkInterfaceIds: []string{eniID}}).NetworkInterfaces[0]
}

// The data plane knows an interface by this form of its address.
func TestMACText(t *testing.T) {
	for index, want := range map[uint32]string{1: "02:0e:00:00:00:01", 0x12345678: "02:0e:12:34:56:78", 1<<32 - 1: "02:0e:ff:ff:ff:ff"} {
		if got := macText(index); got != want {
			t.Errorf("macText(%d) = %s, want %s", index, got, want)
		}
	}
}

func TestNewInterface(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	sub := b.subnet(vpc.VpcId, "10.0.1.0/24")
	i := do[api.CreateNetworkInterfaceResult](b, &api.CreateNetworkInterfaceRequest{
		SubnetId: sub.SubnetId, Description: "first é", TagSpecifications: tagSpec("network-interface", api.Tag{Key: "Name", Value: "a"}),
		ConnectionTrackingSpecification: &api.ConnectionTrackingSpecificationRequest{UdpTimeout: api.Ptr[int32](60)},
	}).NetworkInterface
	if i.Status != "available" || i.SubnetId != sub.SubnetId || i.VpcId != vpc.VpcId || i.AvailabilityZone != sub.AvailabilityZone || i.OwnerId != alice.Account ||
		i.Description != "first é" || !*i.SourceDestCheck || *i.RequesterManaged || i.RequesterId != alice.Account || i.InterfaceType != "interface" || i.Attachment != nil || len(i.TagSet) != 1 {
		t.Errorf("interface is %+v", i)
	}
	if i.PrivateIpAddress != "10.0.1.4" || i.PrivateDnsName != "ip-10-0-1-4.local-1.compute.internal" || len(i.PrivateIpAddresses) != 1 || !*i.PrivateIpAddresses[0].Primary {
		t.Errorf("addresses are %s %s %+v", i.PrivateIpAddress, i.PrivateDnsName, i.PrivateIpAddresses)
	}
	if len(i.Groups) != 1 || i.Groups[0].GroupId != b.defaultGroupOf(vpc.VpcId) || i.Groups[0].GroupName != "default" {
		t.Errorf("groups are %+v", i.Groups)
	}
	if i.MacAddress != "02:0e:00:00:00:01" || b.plain(sub.SubnetId).MacAddress != "02:0e:00:00:00:02" {
		t.Errorf("address is %s", i.MacAddress)
	}
	if ct := i.ConnectionTrackingConfiguration; ct == nil || *ct.UdpTimeout != 60 || ct.TcpEstablishedTimeout != nil {
		t.Errorf("timeouts are %+v", ct)
	}
}

func TestCreateInterfaceAddresses(t *testing.T) {
	b := newBench(t)
	sub := b.subnet(b.vpc("10.0.0.0/16").VpcId, "10.0.1.0/24")
	spec := func(primary bool, a string) api.PrivateIpAddressSpecification {
		return api.PrivateIpAddressSpecification{PrivateIpAddress: a, Primary: &primary}
	}
	type request = api.CreateNetworkInterfaceRequest
	for _, row := range []struct {
		req  request
		want string // primary first
	}{
		{request{PrivateIpAddress: "10.0.1.20"}, "10.0.1.20"},
		{request{PrivateIpAddresses: []api.PrivateIpAddressSpecification{spec(false, "10.0.1.31"), spec(true, "10.0.1.30")}}, "10.0.1.30 10.0.1.31"},
		{request{PrivateIpAddress: "10.0.1.40", PrivateIpAddresses: []api.PrivateIpAddressSpecification{spec(false, "10.0.1.41")}}, "10.0.1.40 10.0.1.41"},
		{request{SecondaryPrivateIpAddressCount: api.Ptr[int32](2)}, "10.0.1.4 10.0.1.5 10.0.1.6"},
		// A number never takes what the same request names.
		{request{PrivateIpAddress: "10.0.1.7", SecondaryPrivateIpAddressCount: api.Ptr[int32](1)}, "10.0.1.7 10.0.1.8"},
	} {
		row.req.SubnetId = sub.SubnetId
		i := do[api.CreateNetworkInterfaceResult](b, &row.req).NetworkInterface
		if got := strings.Join(addressesOf(i), " "); got != row.want || i.PrivateIpAddress != addressesOf(i)[0] {
			t.Errorf("%+v: addresses %s, want %s", row.req, got, row.want)
		}
	}
	for name, row := range map[string]struct {
		req         request
		code, field string
	}{
		"two primary":   {request{PrivateIpAddresses: []api.PrivateIpAddressSpecification{spec(true, "10.0.1.50"), spec(true, "10.0.1.51")}}, "InvalidParameterCombination", "PrivateIpAddresses.1.Primary"},
		"no primary":    {request{PrivateIpAddresses: []api.PrivateIpAddressSpecification{spec(false, "10.0.1.50")}}, "InvalidParameterCombination", "PrivateIpAddresses"},
		"twice":         {request{PrivateIpAddresses: []api.PrivateIpAddressSpecification{spec(true, "10.0.1.50"), spec(false, "10.0.1.50")}}, "InvalidParameterValue", "PrivateIpAddresses.1.PrivateIpAddress"},
		"list, number":  {request{PrivateIpAddresses: []api.PrivateIpAddressSpecification{spec(true, "10.0.1.50"), spec(false, "10.0.1.51")}, SecondaryPrivateIpAddressCount: api.Ptr[int32](1)}, "InvalidParameterCombination", "SecondaryPrivateIpAddressCount"},
		"negative":      {request{SecondaryPrivateIpAddressCount: api.Ptr[int32](-1)}, "InvalidParameterValue", "SecondaryPrivateIpAddressCount"},
		"too many":      {request{SecondaryPrivateIpAddressCount: api.Ptr[int32](50)}, "PrivateIpAddressLimitExceeded", "PrivateIpAddresses"},
		"in use":        {request{PrivateIpAddress: "10.0.1.20"}, "InvalidIPAddress.InUse", "PrivateIpAddress"},
		"in use, list":  {request{PrivateIpAddresses: []api.PrivateIpAddressSpecification{spec(true, "10.0.1.50"), spec(false, "10.0.1.20")}}, "InvalidIPAddress.InUse", "PrivateIpAddresses.1.PrivateIpAddress"},
		"network":       {request{PrivateIpAddress: "10.0.1.0"}, "InvalidParameterValue", "PrivateIpAddress"},
		"router":        {request{PrivateIpAddress: "10.0.1.1"}, "InvalidParameterValue", "PrivateIpAddress"},
		"resolver":      {request{PrivateIpAddress: "10.0.1.2"}, "InvalidParameterValue", "PrivateIpAddress"},
		"reserved":      {request{PrivateIpAddress: "10.0.1.3"}, "InvalidParameterValue", "PrivateIpAddress"},
		"broadcast":     {request{PrivateIpAddress: "10.0.1.255"}, "InvalidParameterValue", "PrivateIpAddress"},
		"other subnet":  {request{PrivateIpAddress: "10.0.2.9"}, "InvalidParameterValue", "PrivateIpAddress"},
		"not one":       {request{PrivateIpAddress: "10.0.1.9/24"}, "InvalidParameterValue", "PrivateIpAddress"},
		"octal":         {request{PrivateIpAddress: "10.0.1.010"}, "InvalidParameterValue", "PrivateIpAddress"},
		"IPv6":          {request{PrivateIpAddress: "fe80::1%eth0"}, "InvalidParameterValue", "PrivateIpAddress"},
		"empty in list": {request{PrivateIpAddresses: []api.PrivateIpAddressSpecification{spec(true, "")}}, "InvalidParameterValue", "PrivateIpAddresses.0.PrivateIpAddress"},
	} {
		t.Run(name, func(t *testing.T) {
			row.req.SubnetId = sub.SubnetId
			b.unchanged(t, func() {
				_, _, err := b.call(alice, "CreateNetworkInterface", &row.req)
				refused(t, err, row.code, row.field)
			})
		})
	}
}

func addressesOf(i *api.NetworkInterface) []string {
	return each(i.PrivateIpAddresses, func(p api.NetworkInterfacePrivateIpAddress) string { return p.PrivateIpAddress })
}

func TestCreateInterfaceRefusals(t *testing.T) {
	b := newBench(t)
	vpc, elsewhere := b.vpc("10.0.0.0/16"), b.vpc("10.0.0.0/16")
	sub := b.subnet(vpc.VpcId, "10.0.1.0/28")
	foreign := b.group(elsewhere.VpcId, "foreign")
	var six []string
	for i := range 6 {
		six = append(six, b.group(vpc.VpcId, fmt.Sprint("g", i)))
	}
	do[api.CreateNetworkInterfaceResult](b, &api.CreateNetworkInterfaceRequest{SubnetId: sub.SubnetId, Groups: append(six[:5:5], six[0])})
	type request = api.CreateNetworkInterfaceRequest
	timeout := func(tcp, udp, stream int32) *api.ConnectionTrackingSpecificationRequest {
		return &api.ConnectionTrackingSpecificationRequest{TcpEstablishedTimeout: &tcp, UdpTimeout: &udp, UdpStreamTimeout: &stream}
	}
	for name, row := range map[string]struct {
		req         request
		code, field string
	}{
		"no subnet":        {request{}, "MissingParameter", "SubnetId"},
		"subnet unknown":   {request{SubnetId: "subnet-00000000"}, "InvalidSubnetID.NotFound", "SubnetId"},
		"subnet malformed": {request{SubnetId: "x"}, "InvalidSubnetID.Malformed", "SubnetId"},
		"other VPC":        {request{SubnetId: sub.SubnetId, Groups: []string{six[0], foreign}}, "InvalidParameter", "Groups.1"},
		"group unknown":    {request{SubnetId: sub.SubnetId, Groups: []string{"sg-00000000"}}, "InvalidGroup.NotFound", "Groups.0"},
		"group malformed":  {request{SubnetId: sub.SubnetId, Groups: []string{"web"}}, "InvalidGroupId.Malformed", "Groups.0"},
		"six groups":       {request{SubnetId: sub.SubnetId, Groups: six}, "SecurityGroupsPerInterfaceLimitExceeded", "Groups"},
		"description":      {request{SubnetId: sub.SubnetId, Description: "a\nb"}, "InvalidParameterValue", "Description"},
		"description long": {request{SubnetId: sub.SubnetId, Description: strings.Repeat("x", 10<<20)}, "InvalidParameterValue", "Description"},
		"IPv6":             {request{SubnetId: sub.SubnetId, Ipv6AddressCount: api.Ptr[int32](1)}, "UnsupportedOperation", "Ipv6AddressCount"},
		"prefix":           {request{SubnetId: sub.SubnetId, Ipv4PrefixCount: api.Ptr[int32](1)}, "UnsupportedOperation", "Ipv4PrefixCount"},
		"type":             {request{SubnetId: sub.SubnetId, InterfaceType: "efa"}, "UnsupportedOperation", "InterfaceType"},
		"tcp timeout":      {request{SubnetId: sub.SubnetId, ConnectionTrackingSpecification: timeout(59, 30, 60)}, "InvalidParameterValue", "ConnectionTrackingSpecification.TcpEstablishedTimeout"},
		"udp timeout":      {request{SubnetId: sub.SubnetId, ConnectionTrackingSpecification: timeout(60, 61, 60)}, "InvalidParameterValue", "ConnectionTrackingSpecification.UdpTimeout"},
		"stream timeout":   {request{SubnetId: sub.SubnetId, ConnectionTrackingSpecification: timeout(60, 60, 181)}, "InvalidParameterValue", "ConnectionTrackingSpecification.UdpStreamTimeout"},
		"full":             {request{SubnetId: sub.SubnetId, SecondaryPrivateIpAddressCount: api.Ptr[int32](10)}, "InsufficientFreeAddressesInSubnet", "SubnetId"},
		"token":            {request{SubnetId: sub.SubnetId, ClientToken: strings.Repeat("x", 65)}, "InvalidParameterValue", "ClientToken"},
		"dry run":          {request{SubnetId: sub.SubnetId, DryRun: api.Ptr(true)}, "DryRunOperation", ""},
	} {
		t.Run(name, func(t *testing.T) {
			b.unchanged(t, func() {
				_, _, err := b.call(alice, "CreateNetworkInterface", &row.req)
				refused(t, err, row.code, row.field)
			})
		})
	}
	b.unchanged(t, func() {
		_, _, err := b.call(bob, "CreateNetworkInterface", &request{SubnetId: sub.SubnetId})
		refused(t, err, "InvalidSubnetID.NotFound", "SubnetId")
	})
	do[api.ModifyLimitResult](b, &api.ModifyLimitRequest{Name: "enis", Value: api.Ptr[int64](1)})
	_, _, err := b.call(alice, "CreateNetworkInterface", &request{SubnetId: sub.SubnetId})
	refused(t, err, "NetworkInterfaceLimitExceeded", "")
}

func TestInterfaceToken(t *testing.T) {
	b := newBench(t)
	sub := b.subnet(b.vpc("10.0.0.0/16").VpcId, "10.0.1.0/24")
	req := &api.CreateNetworkInterfaceRequest{SubnetId: sub.SubnetId, ClientToken: "t"}
	first := do[api.CreateNetworkInterfaceResult](b, req).NetworkInterface.NetworkInterfaceId
	b.unchanged(t, func() {
		if again := do[api.CreateNetworkInterfaceResult](b, req).NetworkInterface.NetworkInterfaceId; again != first {
			t.Errorf("the token made %s, then %s", first, again)
		}
		_, _, err := b.call(alice, "CreateNetworkInterface", &api.CreateNetworkInterfaceRequest{SubnetId: sub.SubnetId, ClientToken: "t", Description: "x"})
		refused(t, err, "IdempotentParameterMismatch", "ClientToken")
	})
	do[api.DeleteNetworkInterfaceResult](b, &api.DeleteNetworkInterfaceRequest{NetworkInterfaceId: first})
	if again := do[api.CreateNetworkInterfaceResult](b, req).NetworkInterface.NetworkInterfaceId; again == first {
		t.Error("the token outlived its interface")
	}
}

func TestDeleteInterface(t *testing.T) {
	b := newBench(t)
	sub := b.subnet(b.vpc("10.0.0.0/16").VpcId, "10.0.1.0/24")
	eni := b.plain(sub.SubnetId)
	_, _, err := b.call(bob, "DeleteNetworkInterface", &api.DeleteNetworkInterfaceRequest{NetworkInterfaceId: eni.NetworkInterfaceId})
	refused(t, err, "InvalidNetworkInterfaceID.NotFound", "NetworkInterfaceId")
	do[api.DeleteNetworkInterfaceResult](b, &api.DeleteNetworkInterfaceRequest{NetworkInterfaceId: eni.NetworkInterfaceId})
	_, _, err = b.call(alice, "DeleteNetworkInterface", &api.DeleteNetworkInterfaceRequest{NetworkInterfaceId: eni.NetworkInterfaceId})
	refused(t, err, "InvalidNetworkInterfaceID.NotFound", "NetworkInterfaceId")
	tomb, ok := store.Get[*record.Tombstone](b.store.Snapshot(), record.TombstoneKey(eni.NetworkInterfaceId))
	if !ok || tomb.Index != 1 {
		t.Errorf("tombstone is %+v, %v", tomb, ok)
	}
	// The address rests: the next interface gets one that was never used.
	if next := b.plain(sub.SubnetId); next.PrivateIpAddress != "10.0.1.5" {
		t.Errorf("next address is %s", next.PrivateIpAddress)
	}
	do[api.CreateNetworkInterfaceResult](b, &api.CreateNetworkInterfaceRequest{SubnetId: sub.SubnetId, PrivateIpAddress: eni.PrivateIpAddress})
}

func TestInterfaceAttributes(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	web := b.group(vpc.VpcId, "web")
	id := b.plain(b.subnet(vpc.VpcId, "10.0.1.0/24").SubnetId).NetworkInterfaceId
	type request = api.ModifyNetworkInterfaceAttributeRequest
	modify := func(r request) {
		r.NetworkInterfaceId = id
		do[api.ModifyNetworkInterfaceAttributeResult](b, &r)
	}
	modify(request{Groups: []string{web}})
	modify(request{Description: &api.AttributeValue{Value: "new"}})
	modify(request{SourceDestCheck: &api.AttributeBooleanValue{Value: api.Ptr(false)}})
	modify(request{ConnectionTrackingSpecification: &api.ConnectionTrackingSpecificationRequest{UdpTimeout: api.Ptr[int32](60)}})
	modify(request{ConnectionTrackingSpecification: &api.ConnectionTrackingSpecificationRequest{UdpStreamTimeout: api.Ptr[int32](90)}})
	i := b.shown(id)
	if ct := i.ConnectionTrackingConfiguration; i.Description != "new" || *i.SourceDestCheck || len(i.Groups) != 1 || i.Groups[0].GroupId != web || *ct.UdpTimeout != 60 || *ct.UdpStreamTimeout != 90 {
		t.Errorf("interface is %+v", i)
	}
	attribute := func(name string) *api.DescribeNetworkInterfaceAttributeResult {
		return do[api.DescribeNetworkInterfaceAttributeResult](b, &api.DescribeNetworkInterfaceAttributeRequest{NetworkInterfaceId: id, Attribute: name})
	}
	if attribute("description").Description.Value != "new" || *attribute("sourceDestCheck").SourceDestCheck.Value || attribute("groupSet").Groups[0].GroupId != web || attribute("attachment").Attachment != nil {
		t.Error("attributes differ from the interface")
	}
	do[api.ResetNetworkInterfaceAttributeResult](b, &api.ResetNetworkInterfaceAttributeRequest{NetworkInterfaceId: id, SourceDestCheck: "true"})
	if !*b.shown(id).SourceDestCheck {
		t.Error("the check was not reset")
	}
	for name, row := range map[string]struct {
		req         request
		code, field string
	}{
		"none":        {request{}, "InvalidParameterCombination", ""},
		"two":         {request{Groups: []string{web}, Description: &api.AttributeValue{}}, "InvalidParameterCombination", ""},
		"description": {request{Description: &api.AttributeValue{Value: "\x1b"}}, "InvalidParameterValue", "Description.Value"},
		"check":       {request{SourceDestCheck: &api.AttributeBooleanValue{}}, "MissingParameter", "SourceDestCheck.Value"},
		"group":       {request{Groups: []string{"sg-00000000"}}, "InvalidGroup.NotFound", "Groups.0"},
		"attachment":  {request{Attachment: &api.NetworkInterfaceAttachmentChanges{AttachmentId: "eni-attach-00000000", DeleteOnTermination: api.Ptr(true)}}, "InvalidAttachmentID.NotFound", "Attachment.AttachmentId"},
		"no id":       {request{Attachment: &api.NetworkInterfaceAttachmentChanges{DeleteOnTermination: api.Ptr(true)}}, "MissingParameter", "Attachment.AttachmentId"},
		"no value":    {request{Attachment: &api.NetworkInterfaceAttachmentChanges{AttachmentId: "x"}}, "MissingParameter", "Attachment.DeleteOnTermination"},
		"public":      {request{AssociatePublicIpAddress: api.Ptr(true)}, "UnsupportedOperation", "AssociatePublicIpAddress"},
		"unknown":     {request{NetworkInterfaceId: "eni-00000000", Groups: []string{web}}, "InvalidNetworkInterfaceID.NotFound", "NetworkInterfaceId"},
		"dry run":     {request{Groups: []string{web}, DryRun: api.Ptr(true)}, "DryRunOperation", ""},
	} {
		b.unchanged(t, func() {
			if row.req.NetworkInterfaceId == "" {
				row.req.NetworkInterfaceId = id
			}
			_, _, err := b.call(alice, "ModifyNetworkInterfaceAttribute", &row.req)
			t.Log(name)
			refused(t, err, row.code, row.field)
		})
	}
	_, _, err := b.call(alice, "ResetNetworkInterfaceAttribute", &api.ResetNetworkInterfaceAttributeRequest{NetworkInterfaceId: id})
	refused(t, err, "InvalidParameterCombination", "SourceDestCheck")
	_, _, err = b.call(alice, "DescribeNetworkInterfaceAttribute", &api.DescribeNetworkInterfaceAttributeRequest{NetworkInterfaceId: id})
	refused(t, err, "InvalidParameterCombination", "Attribute")
}

func TestDescribeInterfaces(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	sub := b.subnet(vpc.VpcId, "10.0.1.0/24")
	other, want := b.plain(sub.SubnetId), b.plain(sub.SubnetId)
	do[api.AssignPrivateIpAddressesResult](b, &api.AssignPrivateIpAddressesRequest{NetworkInterfaceId: want.NetworkInterfaceId, PrivateIpAddresses: []string{"10.0.1.99"}})
	for filter, value := range map[string]string{
		"network-interface-id": want.NetworkInterfaceId, "mac-address": want.MacAddress, "private-ip-address": want.PrivateIpAddress,
		"addresses.private-ip-address": "10.0.1.99", "private-dns-name": want.PrivateDnsName, "addresses.primary": "false",
	} {
		got := do[api.DescribeNetworkInterfacesResult](b, &api.DescribeNetworkInterfacesRequest{Filters: []api.Filter{{Name: filter, Values: []string{value}}}}).NetworkInterfaces
		if len(got) != 1 || got[0].NetworkInterfaceId != want.NetworkInterfaceId {
			t.Errorf("%s=%s: %+v", filter, value, got)
		}
	}
	for filter, value := range map[string]string{"vpc-id": vpc.VpcId, "subnet-id": sub.SubnetId, "status": "available", "group-name": "default", "owner-id": alice.Account, "source-dest-check": "true", "availability-zone": "*a"} {
		got := do[api.DescribeNetworkInterfacesResult](b, &api.DescribeNetworkInterfacesRequest{Filters: []api.Filter{{Name: filter, Values: []string{value}}}}).NetworkInterfaces
		if len(got) != 2 {
			t.Errorf("%s=%s: %d interfaces, want %s and %s", filter, value, len(got), other.NetworkInterfaceId, want.NetworkInterfaceId)
		}
	}
	if got := do[api.DescribeNetworkInterfacesResult](b, &api.DescribeNetworkInterfacesRequest{Filters: []api.Filter{{Name: "attachment.instance-id", Values: []string{"*"}}}}).NetworkInterfaces; len(got) != 0 {
		t.Errorf("an available interface has the attachment %+v", got)
	}
	_, _, err := b.call(bob, "DescribeNetworkInterfaces", &api.DescribeNetworkInterfacesRequest{NetworkInterfaceIds: []string{want.NetworkInterfaceId}})
	refused(t, err, "InvalidNetworkInterfaceID.NotFound", "NetworkInterfaceIds.0")
}
