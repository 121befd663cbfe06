package ipam_test

import (
	"net/netip"
	"testing"

	"github.com/vpcfabric/vpc/ipam"
)

func TestRestrictedAssociation(t *testing.T) {
	tests := []struct {
		existing string
		allowed  string
		refused  string
	}{
		{
			"10.5.0.0/16",
			"10.0.0.0/16 10.1.0.0/16 10.6.0.0/16 100.64.0.0/16 8.8.0.0/16 198.18.0.0/16",
			"172.16.0.0/16 172.31.255.0/24 192.168.0.0/16 192.168.9.0/28 198.19.0.0/16 198.19.7.0/24",
		},
		{
			"10.0.0.0/24", // from 10.0.0.0/15
			"10.1.0.0/16 10.2.0.0/16 10.255.0.0/16 100.127.0.0/16 11.0.0.0/16",
			"10.0.1.0/24 10.0.255.240/28 172.16.0.0/16 192.168.0.0/16 198.19.0.0/16",
		},
		{
			"10.1.0.0/16", // also from 10.0.0.0/15
			"10.2.0.0/16",
			"10.0.0.0/16 10.0.128.0/20",
		},
		{
			"172.16.0.0/16",
			"172.17.0.0/16 172.30.0.0/16 172.32.0.0/16 100.64.0.0/16 8.8.0.0/16",
			"10.0.0.0/16 10.255.0.0/16 192.168.0.0/24 172.31.0.0/16 172.31.16.0/20 198.19.0.0/16",
		},
		{
			"192.168.0.0/20",
			"192.168.16.0/20 192.169.0.0/16 100.64.0.0/16 8.8.0.0/16",
			"10.0.0.0/16 172.16.0.0/16 172.31.0.0/16 198.19.0.0/16",
		},
		{
			"198.19.0.0/20",
			"198.19.16.0/20 198.18.0.0/16 100.64.0.0/16 8.8.0.0/16",
			"10.0.0.0/16 172.16.0.0/16 192.168.0.0/16",
		},
		{
			"100.64.0.0/16",
			"100.65.0.0/16 8.8.0.0/16 198.18.0.0/16",
			"10.0.0.0/16 172.16.0.0/16 192.168.0.0/16 198.19.0.0/16",
		},
		{
			"8.8.0.0/16",
			"9.9.0.0/16 100.64.0.0/16",
			"10.0.0.0/16 172.31.0.0/16 192.168.0.0/16 198.19.0.0/16",
		},
		{
			"10.5.0.0/16 10.1.0.0/16", // each of the existing counts, not only the first
			"10.6.0.0/16",
			"10.0.0.0/16",
		},
		{"", "10.0.0.0/16 172.16.0.0/16 198.19.0.0/16", ""},
	}
	for _, tt := range tests {
		existing := prefixes(tt.existing)
		for _, add := range prefixes(tt.allowed) {
			if err := ipam.RestrictedAssociation(existing, add); err != nil {
				t.Errorf("%s beside %q: %v", add, tt.existing, err)
			}
		}
		for _, add := range prefixes(tt.refused) {
			t.Run(add.String()+" beside "+tt.existing, func(t *testing.T) {
				wantError(t, ipam.RestrictedAssociation(existing, add), ipam.Restricted)
			})
		}
	}
}

func TestRestrictedAssociationMessage(t *testing.T) {
	const want = `"172.31.16.0/20": a CIDR from 172.31.0.0/16 cannot join a VPC that has 172.16.0.0/16; ` +
		`use a CIDR outside 172.31.0.0/16, or turn strict CIDRs off`
	err := ipam.RestrictedAssociation(prefixes("172.16.0.0/16"), netip.MustParsePrefix("172.31.16.0/20"))
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
