package agent

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/dataplane"
)

func TestDrops(t *testing.T) {
	b := newBench()
	b.kernel.drops = []dataplane.Drop{
		{ENI: web, Stage: "from_eni", Reason: "sg_ingress", Rule: 0xaa, Packets: 4, Bytes: 240},
		{ENI: 0, Stage: "from_eni", Reason: "unknown_port", Packets: 1},
		{ENI: 99, Stage: "from_eni", Reason: "anti_spoof", Packets: 7}, // its interface is gone
	}
	b.Pass(t.Context())
	list, err := b.Local(nil).Drops(t.Context(), nil)
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	if d := list[0]; d.NetworkInterfaceId != "eni-web" || d.Reason != "sg_ingress" || d.RuleId != "sgr-000000aa000000000" || *d.Packets != 4 || *d.Bytes != 240 {
		t.Errorf("%+v", d)
	}
	if d := list[1]; d.NetworkInterfaceId != "" || d.Reason != "unknown_port" {
		t.Errorf("%+v", d)
	}
	if list, _ := b.Local(nil).Drops(t.Context(), []string{"eni-web"}); len(list) != 1 {
		t.Errorf("drops of one interface: %+v", list)
	}
}

// TestDropsInOrder: by interface, stage, reason and rule, one for each, whatever
// order the kernel's table is in. An entry of a network ACL has its number, also
// where a rule of a group has the same.
func TestDropsInOrder(t *testing.T) {
	b := newBench()
	acl := func(stage string, rule uint32, packets uint64) dataplane.Drop {
		return dataplane.Drop{ENI: web, Stage: stage, Reason: "network_acl", Rule: rule, Packets: packets, Bytes: 60 * packets}
	}
	b.kernel.drops = []dataplane.Drop{
		{Stage: "bridge", Reason: "unknown_port", Packets: 1},
		{ENI: web, Stage: "route", Reason: "no_route", Packets: 2},
		acl("nacl_out", 32767, 3), acl("nacl_out", 0xaa, 4), acl("nacl_out", 90, 5), acl("nacl_in", 1000, 6), acl("nacl_in", 0, 13),
		{ENI: web, Stage: "ingress", Reason: "security_group", Rule: 0xaa, Packets: 7},
		{ENI: web, Stage: "ingress", Reason: "security_group", Packets: 8},
		{ENI: web, Stage: "ingress", Reason: "security_group", Rule: 0xbb, Packets: 9}, // a rule that is gone
	}
	b.Pass(t.Context())
	list, err := b.Local(nil).Drops(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, d := range list {
		have = append(have, strings.Join([]string{d.NetworkInterfaceId, d.Stage, d.Reason, d.RuleId, strconv.FormatInt(*d.Packets, 10), strconv.FormatInt(*d.Bytes, 10)}, " "))
	}
	want := []string{
		"eni-web ingress security_group  17 0",
		"eni-web ingress security_group sgr-000000aa000000000 7 0",
		"eni-web nacl_in network_acl  13 780",
		"eni-web nacl_in network_acl 1000 6 360",
		"eni-web nacl_out network_acl 90 5 300",
		"eni-web nacl_out network_acl 170 4 240",
		"eni-web nacl_out network_acl 32767 3 180",
		"eni-web route no_route  2 0",
		" bridge unknown_port  1 0",
	}
	if !slices.Equal(have, want) {
		t.Errorf("have\n%s\nwant\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
}
