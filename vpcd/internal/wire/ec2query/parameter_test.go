package ec2query

import (
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func TestName(t *testing.T) {
	for _, c := range []struct {
		request              any
		field, message       string
		wantField, wantWords string
	}{
		{&api.DeleteVpcRequest{}, "VpcId", "no such thing", "VpcId", "no such thing (parameter VpcId)"},
		{&api.DeleteVpcRequest{}, "VpcId", "VpcId is missing", "VpcId", "VpcId is missing"},
		{&api.DeleteVpcRequest{}, "", "no such thing", "", "no such thing"},
		{&api.DeleteVpcRequest{}, "Nonsense.1", "Nonsense.1 is unknown", "Nonsense.1", "Nonsense.1 is unknown"},
		{&api.DescribeVpcsRequest{}, "VpcIds.x", "bad", "VpcIds.x", "bad (parameter VpcIds.x)"},
		{&api.CreateNetworkInterfaceRequest{}, "Groups.2", "bad", "SecurityGroupId.3", "bad (parameter SecurityGroupId.3)"},
		{&api.AuthorizeSecurityGroupIngressRequest{}, "IpPermissions.0.UserIdGroupPairs.1.GroupId", "IpPermissions.0.UserIdGroupPairs.1.GroupId: bad",
			"IpPermissions.1.Groups.2.GroupId", "IpPermissions.1.Groups.2.GroupId: bad"},
		{&api.ModifyNetworkInterfaceAttributeRequest{}, "Attachment.AttachmentId", "bad", "Attachment.AttachmentId", "bad (parameter Attachment.AttachmentId)"},
	} {
		err := api.Errorf("Code", c.field, "%s", c.message)
		got := Name(err, c.request)
		if got.Field != c.wantField || got.Message != c.wantWords {
			t.Errorf("%s %q: have %s %q", c.field, c.message, got.Field, got.Message)
		}
		if err.Field != c.field || err.Message != c.message {
			t.Errorf("%s: the error itself was changed", c.field)
		}
	}
}
