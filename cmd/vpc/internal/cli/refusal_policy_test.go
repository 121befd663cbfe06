package cli

import "testing"

// TestPolicyCommandLines is TestCommandLines for network ACLs and prefix lists.
func TestPolicyCommandLines(t *testing.T) {
	refuseLines(t, []badLine{
		{[]string{"acl", "add", "x"}, 2, "--vpc"},
		{[]string{"acl", "add", "default", "--vpc", "prod"}, 4, "InvalidNetworkAclID.Duplicate"},
		{[]string{"acl", "add", "a:b", "--vpc", "prod"}, 8, "NAME"},
		{[]string{"acl", "set", "default"}, 2, "nothing to set"},
		{[]string{"acl", "rm", "nobody"}, 3, "InvalidNetworkAclID.NotFound"},
		{[]string{"acl", "associate", "default"}, 2, "--subnet"},
		{[]string{"acl", "associate", "nobody", "--subnet", "web"}, 3, "InvalidNetworkAclID.NotFound"},
		{[]string{"acl", "associate", "default", "--subnet", "nobody"}, 3, "InvalidSubnetID.NotFound"},
		{[]string{"acl", "rule"}, 2, "which command?"},
		{[]string{"acl", "rule", "add", "default", "allow", "tcp/80", "--from", "0.0.0.0/0"}, 2, "--in NUMBER"},
		{[]string{"acl", "rule", "add", "default", "--in", "1", "--out", "1", "allow", "tcp/80", "--from", "0.0.0.0/0"}, 2, "--in NUMBER"},
		{[]string{"acl", "rule", "add", "default", "--in", "x", "allow", "tcp/80", "--from", "0.0.0.0/0"}, 2, "invalid"},
		{[]string{"acl", "rule", "add", "default", "--in", "1", "tcp/80", "--from", "0.0.0.0/0"}, 2, "allow|deny"},
		{[]string{"acl", "rule", "add", "default", "--in", "1", "reject", "tcp/80", "--from", "0.0.0.0/0"}, 2, "allow or deny"},
		{[]string{"acl", "rule", "add", "default", "--in", "1", "allow", "tcpp", "--from", "0.0.0.0/0"}, 2, "PROTO"},
		{[]string{"acl", "rule", "add", "default", "--in", "1", "allow", "tcp/80"}, 2, "--from what?"},
		{[]string{"acl", "rule", "add", "default", "--out", "1", "allow", "tcp/80"}, 2, "--to what?"},
		{[]string{"acl", "rule", "add", "default", "--in", "1", "allow", "tcp/80", "--to", "0.0.0.0/0"}, 2, "--from"},
		{[]string{"acl", "rule", "set", "default", "--out", "1", "allow", "tcp/80", "--from", "0.0.0.0/0"}, 2, "--to"},
		{[]string{"acl", "rule", "add", "default", "--in", "1", "allow", "tcp/80", "--from", "sg:web"}, 8, "CIDRs only"},
		{[]string{"acl", "rule", "add", "default", "--in", "1", "allow", "tcp/80", "--from", "pl:office"}, 8, "CIDRs only"},
		{[]string{"acl", "rule", "add", "nobody", "--in", "1", "allow", "tcp/80", "--from", "0.0.0.0/0"}, 3, "InvalidNetworkAclID.NotFound"},
		{[]string{"acl", "rule", "rm", "default"}, 2, "--in NUMBER"},
		{[]string{"pl", "add", "office"}, 2, "--max"},
		{[]string{"pl", "add", "office", "--max", "many"}, 2, "max"},
		{[]string{"pl", "add", "a,b", "--max", "1"}, 8, "NAME"},
		{[]string{"pl", "show", "nobody", "--vpc", "prod"}, 3, "there is no pl nobody [InvalidPrefixListID.NotFound]"},
		{[]string{"pl", "set", "pl-00000000000000001", "--max", "1"}, 3, "InvalidPrefixListID.NotFound"},
		{[]string{"pl", "entry", "add", "office"}, 2, "CIDR"},
		{[]string{"pl", "entry", "list", "office", "--version", "x"}, 2, "version"},
		{[]string{"pl", "restore", "office"}, 2, "--version"},
	})
}
