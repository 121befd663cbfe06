package service

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
	"github.com/vpcfabric/vpc/vpcd/internal/store/storetest"
)

// between gives a bench whose store runs a hook: whatever the hook does is
// committed after the action under test has read and before it commits. That
// makes the worst moment of a race happen every time.
func between(t *testing.T) (b *bench, interrupt func(do func())) {
	var hook func()
	once := func() {
		if do := hook; do != nil {
			hook = nil
			do()
		}
	}
	b = newBench(t, func(c *Config) {
		c.Store = storetest.Open(t, record.Decode, func(name string) {
			if name == "before commit" {
				once()
			}
		})
	})
	return b, func(do func()) { hook = do }
}

func TestWhatHappensBetweenReadAndCommitCounts(t *testing.T) {
	newSubnet := func(vpc *api.Vpc) any { return &api.CreateSubnetRequest{VpcId: vpc.VpcId, CidrBlock: "10.0.1.0/24"} }
	remove := func(vpc *api.Vpc) any { return &api.DeleteVpcRequest{VpcId: vpc.VpcId} }
	for _, row := range []struct {
		name         string
		outer, inner func(*api.Vpc) any
		code, field  string
	}{
		{"a subnet into a VPC being deleted", remove, newSubnet, "DependencyViolation", "VpcId"},
		{"a group into a VPC being deleted", remove, func(vpc *api.Vpc) any {
			return &api.CreateSecurityGroupRequest{VpcId: vpc.VpcId, GroupName: "g", Description: "d"}
		}, "DependencyViolation", "VpcId"},
		{"the VPC of a new subnet goes", newSubnet, remove, "InvalidVpcID.NotFound", "VpcId"},
		{"the range of a new subnet is taken", newSubnet, func(vpc *api.Vpc) any {
			return &api.CreateSubnetRequest{VpcId: vpc.VpcId, CidrBlock: "10.0.0.0/20"}
		}, "InvalidSubnet.Conflict", "CidrBlock"},
		{"the VPC goes while it gets a CIDR", func(vpc *api.Vpc) any {
			return &api.AssociateVpcCidrBlockRequest{VpcId: vpc.VpcId, CidrBlock: "10.1.0.0/16"}
		}, remove, "InvalidVpcID.NotFound", "VpcId"},
		{"the CIDR is taken while it is added", func(vpc *api.Vpc) any {
			return &api.AssociateVpcCidrBlockRequest{VpcId: vpc.VpcId, CidrBlock: "10.1.0.0/16"}
		}, func(vpc *api.Vpc) any {
			return &api.AssociateVpcCidrBlockRequest{VpcId: vpc.VpcId, CidrBlock: "10.1.2.0/24"}
		}, "InvalidVpc.Range", "CidrBlock"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b, interrupt := between(t)
			vpc := b.vpc("10.0.0.0/16")
			interrupted := false
			interrupt(func() {
				interrupted = true
				if _, _, err := b.call(alice, actionOf(row.inner(vpc)), row.inner(vpc)); err != nil {
					t.Errorf("the inner call: %v", err)
				}
			})
			_, _, err := b.call(alice, actionOf(row.outer(vpc)), row.outer(vpc))
			refused(t, err, row.code, row.field)
			if !interrupted {
				t.Error("the hook did not run")
			}
			checkInvariants(t, b.store.Snapshot())
		})
	}
}

// A tag put on a default object while its VPC is deleted must not bring the
// object back.
func TestATagDoesNotResurrect(t *testing.T) {
	b, interrupt := between(t)
	vpc := b.vpc("10.0.0.0/16")
	acl := aclKind.list(b.store.Snapshot(), alice)[0].Acl.NetworkAclId
	interrupt(func() {
		do[api.CreateTagsResult](b, &api.CreateTagsRequest{Resources: []string{acl}, Tags: manyTags(1)})
	})
	do[api.DeleteVpcResult](b, &api.DeleteVpcRequest{VpcId: vpc.VpcId})
	checkInvariants(t, b.store.Snapshot())
	for key := range b.dump() {
		if strings.HasPrefix(key, record.Acls) {
			t.Errorf("left behind: %s", key)
		}
	}
}

func TestDeletedSubnetLeavesItsTable(t *testing.T) {
	b := newBench(t)
	vpc := b.vpc("10.0.0.0/16")
	s := b.subnet(vpc.VpcId, "10.0.1.0/24")
	own := &record.RouteTable{Table: api.RouteTable{RouteTableId: "rtb-11111111", VpcId: vpc.VpcId, OwnerId: alice.Account,
		Associations: []api.RouteTableAssociation{{SubnetId: s.SubnetId, RouteTableAssociationId: "rtbassoc-1"}, {SubnetId: "subnet-22222222"}}}}
	b.put(record.Tables+"rtb-11111111", own)
	do[api.DeleteSubnetResult](b, &api.DeleteSubnetRequest{SubnetId: s.SubnetId})
	after, _ := store.Get[*record.RouteTable](b.store.Snapshot(), record.Tables+"rtb-11111111")
	if len(after.Table.Associations) != 1 || after.Table.Associations[0].SubnetId != "subnet-22222222" {
		t.Errorf("associations %+v", after.Table.Associations)
	}
}

// repeatedCodes make AWS's SDKs ask again whatever the status is: botocore's
// standard retries, and the default of those for Go, which has no others.
var repeatedCodes = []string{
	"RequestTimeout", "RequestTimeoutException", "PriorRequestNotComplete", "Throttling", "ThrottlingException",
	"ThrottledException", "RequestThrottledException", "TooManyRequestsException", "ProvisionedThroughputExceededException",
	"TransactionInProgressException", "RequestLimitExceeded", "BandwidthLimitExceeded", "LimitExceededException",
	"RequestThrottled", "SlowDown", "EC2ThrottledException",
}

// What a client repeats by itself must be safe to repeat.
func TestCodesOfStoreErrors(t *testing.T) {
	for _, row := range []struct {
		err    error
		code   string
		repeat bool
	}{
		{store.ErrOutcomeUnknown, "OutcomeUnknown", false},
		{fmt.Errorf("x: %w: %w", store.ErrOutcomeUnknown, context.DeadlineExceeded), "OutcomeUnknown", false},
		{context.DeadlineExceeded, "RequestTimeout", true},
		{store.ErrConflict, "RequestLimitExceeded", true},
		{store.ErrTooLarge, "ResourceLimitExceeded", false},
		{store.ErrUnavailable, "Unavailable", true},
		{fmt.Errorf("x: %w", &store.DiskFullError{Dir: "/var/lib/vpcd/store", Free: 3 << 20, Needed: 24 << 20}), "Unavailable", true},
		{store.ErrClosed, "Unavailable", true},
		{fmt.Errorf("wrapped: %w", api.Errorf("X", "f", "a message that is long enough")), "X", false},
	} {
		var field string
		if row.code == "X" {
			field = "f"
		}
		refused(t, publicError(row.err), row.code, field)
		if repeated := api.HTTPStatus(row.code) >= 500 || slices.Contains(repeatedCodes, row.code); repeated != row.repeat {
			t.Errorf("%v: clients repeat it: %v", row.err, repeated)
		}
	}
	full := refused(t, publicError(&store.DiskFullError{Dir: "/var/lib/vpcd/store", Free: 3 << 20, Needed: 24 << 20}), "Unavailable", "")
	if !strings.Contains(full.Message, "/var/lib/vpcd/store has 3 MB left and 24 are needed") || !strings.Contains(full.Hint, "free some space") {
		t.Errorf("a full disk: %q, hint %q", full.Message, full.Hint)
	}
	if publicError(nil) != nil {
		t.Error("no error became one")
	}
}

func TestAnActionOnAClosedStore(t *testing.T) {
	b := newBench(t)
	b.vpc("10.0.0.0/16")
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	_, _, err := b.call(alice, "CreateVpc", &api.CreateVpcRequest{CidrBlock: "10.0.0.0/16"})
	refused(t, err, "Unavailable", "")
	_, _, err = b.call(alice, "WaitApplied", &api.WaitAppliedRequest{Revision: api.Ptr(int64(1 << 40))})
	refused(t, err, "Unavailable", "")
}

func TestRandomIDs(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := New(Config{}).newID("vpc-")
		if !wellFormed(id, "vpc-") || len(id) != 21 || seen[id] {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
	}
}
