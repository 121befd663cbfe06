package agent

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/dataplane"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// manySubnets is oneWorkload with a second VPC, whose rule has the number of the
// first one's, a second subnet behind the same network ACL, and a third with its own.
func manySubnets() *record.World {
	w := oneWorkload(10)
	entry := func(n int32, egress bool) api.NetworkAclEntry {
		return api.NetworkAclEntry{RuleNumber: &n, Egress: &egress, RuleAction: api.RuleActionAllow, Protocol: "-1", CidrBlock: "0.0.0.0/0"}
	}
	w.Acls["acl-1"].Index = 5
	w.Acls["acl-1"].Acl.Entries = []api.NetworkAclEntry{entry(100, false), entry(100, true), entry(32767, false), entry(32767, true)}
	w.Subnets["subnet-2"] = &record.Subnet{Subnet: api.Subnet{SubnetId: "subnet-2", VpcId: "vpc-1", CidrBlock: "10.0.2.0/24"}, Index: 12}
	w.Subnets["subnet-3"] = &record.Subnet{Subnet: api.Subnet{SubnetId: "subnet-3", VpcId: "vpc-1", CidrBlock: "10.0.3.0/24"}, Index: 13}
	w.Acls["acl-3"] = &record.NetworkAcl{Index: 15, Acl: api.NetworkAcl{NetworkAclId: "acl-3", VpcId: "vpc-1",
		Entries: []api.NetworkAclEntry{entry(100, true)}, Associations: []api.NetworkAclAssociation{{SubnetId: "subnet-3"}}}}
	w.Vpcs["vpc-9"] = &record.Vpc{Vpc: api.Vpc{VpcId: "vpc-9"}, Index: 9}
	w.Groups["sg-9"] = &record.SecurityGroup{Index: 19, Group: api.SecurityGroup{GroupId: "sg-9", VpcId: "vpc-9"},
		Rules: []api.SecurityGroupRule{{SecurityGroupRuleId: "sgr-000000aa999999999", IsEgress: api.Ptr(true), IpProtocol: "-1", CidrIpv4: "0.0.0.0/0"}}}
	return w
}

func hit(r dataplane.Rule, n uint64, idle time.Duration) dataplane.Hit {
	return dataplane.Hit{Rule: r, Verdicts: n, Last: idle}
}

func TestRuleHits(t *testing.T) {
	b := newBench()
	if list, err := b.Local(nil).RuleHits(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("before the first pass: %+v, %v", list, err)
	}
	b.source.world = manySubnets()
	b.kernel.hits = []dataplane.Hit{
		hit(dataplane.Rule{ID: 0xaa, VPC: 9}, 2, time.Hour),
		hit(dataplane.Rule{ID: 0xaa, VPC: 1}, 5, 1500*time.Millisecond),
		hit(dataplane.Rule{ID: 0xbb, VPC: 1}, 9, 0),           // its rule is gone
		hit(dataplane.Rule{ID: 0xaa, VPC: 8}, 9, 0),           // its VPC is gone
		hit(dataplane.Rule{ID: 50, ACL: 5}, 9, 0),             // its entry is gone
		hit(dataplane.Rule{ID: 100, ACL: 7, Out: true}, 9, 0), // its ACL is gone
		hit(dataplane.Rule{ID: 32767, ACL: 5}, 1, 0),
		hit(dataplane.Rule{ID: 100, ACL: 5, Out: true}, 7, 5*time.Second),
		hit(dataplane.Rule{ID: 100, ACL: 15, Out: true}, 6, 0),
	}
	b.Pass(t.Context())
	list, err := b.Local(nil).RuleHits(t.Context())
	acl := func(id string, n int32, egress bool, hits, idle int64) api.RuleHit {
		return api.RuleHit{NetworkAclId: id, RuleNumber: &n, Egress: &egress, Hits: &hits, IdleSeconds: &idle}
	}
	want := []api.RuleHit{
		acl("acl-1", 32767, false, 1, 0),
		acl("acl-1", 100, true, 7, 5),
		acl("acl-3", 100, true, 6, 0),
		{GroupId: "sg-1", SecurityGroupRuleId: "sgr-000000aa000000000", Egress: api.Ptr(false), Hits: api.Ptr(int64(5)), IdleSeconds: api.Ptr(int64(1))},
		{GroupId: "sg-9", SecurityGroupRuleId: "sgr-000000aa999999999", Egress: api.Ptr(true), Hits: api.Ptr(int64(2)), IdleSeconds: api.Ptr(int64(3600))},
	}
	if err != nil || !reflect.DeepEqual(list, want) {
		t.Errorf("%v\nhave %s\nwant %s", err, asJSON(t, list), asJSON(t, want))
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
