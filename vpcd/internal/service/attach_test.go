package service

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/host"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// workloads is a host on which every target exists. "docker:web" is a name for
// a container; what is in missing does not resolve.
type workloads struct {
	host.Host
	mu      sync.Mutex
	asked   []string
	missing map[string]bool
}

const containerID = "docker:0123456789abcdef0123456789abcdef"

func (h *workloads) Resolve(_ context.Context, target, ifname string, _ bool) (host.Workload, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = append(h.asked, target)
	if h.missing[target] {
		return host.Workload{}, api.Errorf("InvalidTarget.NotFound", "Target", "there is no network namespace %s on this host", target)
	}
	if ifname == "" {
		ifname = "eth0"
	}
	w := host.Workload{Target: target, Display: target, Kind: targetKind(target), IfName: ifname}
	if w.Kind == "docker" {
		w.Engine = "E1"
	}
	if target == "docker:web" {
		w.Target = containerID
	}
	return w, nil
}

// yard is a bench with a host, a VPC and a subnet.
type yard struct {
	*bench
	host *workloads
	vpc  *api.Vpc
	sub  *api.Subnet
}

func newYard(t *testing.T) *yard {
	t.Helper()
	h := &workloads{missing: map[string]bool{}}
	b := newBench(t, func(c *Config) { c.Host, c.HostName = h, "h1" })
	vpc := b.vpc("10.0.0.0/16")
	return &yard{bench: b, host: h, vpc: vpc, sub: b.subnet(vpc.VpcId, "10.0.1.0/24")}
}

// attached makes an interface on a target, with a default route only for eth0.
func (y *yard) attached(target, ifname string) *api.AttachWorkloadResult {
	y.t.Helper()
	return do[api.AttachWorkloadResult](y.bench, &api.AttachWorkloadRequest{
		Target: target, SubnetId: y.sub.SubnetId, InterfaceName: ifname, NoDefaultRoute: api.Ptr(ifname != "" && ifname != "eth0"),
	})
}

func (y *yard) instances() []api.Reservation {
	y.t.Helper()
	return do[api.DescribeInstancesResult](y.bench, &api.DescribeInstancesRequest{}).Reservations
}

func TestAttachWorkload(t *testing.T) {
	y := newYard(t)
	web := y.group(y.vpc.VpcId, "web")
	res := do[api.AttachWorkloadResult](y.bench, &api.AttachWorkloadRequest{
		Target: "docker:web", SubnetId: y.sub.SubnetId, Groups: []string{web}, PrivateIpAddress: "10.0.1.10", Name: "web1",
	})
	i := res.NetworkInterface
	if i.PrivateIpAddress != "10.0.1.10" || i.Groups[0].GroupId != web || nameTag(i.TagSet) != "web1" || i.Status != "in-use" {
		t.Errorf("interface is %+v", i)
	}
	a := i.Attachment
	if a == nil || a.AttachmentId != res.AttachmentId || a.InstanceId != res.InstanceId || !*a.DeleteOnTermination || *a.DeviceIndex != 0 || a.Status != "attaching" ||
		a.InstanceOwnerId != alice.Account || a.AttachTime == nil || !wellFormed(res.AttachmentId, "eni-attach-") || !wellFormed(res.InstanceId, "i-") {
		t.Errorf("attachment is %+v", a)
	}
	rec, _ := store.Get[*record.NetworkInterface](y.store.Snapshot(), record.Interfaces+i.NetworkInterfaceId)
	if want := (record.Attachment{Host: "h1", Target: containerID, Display: "docker:web", Engine: "E1", IfName: "eth0"}); rec.Attached == nil || *rec.Attached != want {
		t.Errorf("record has %+v, want %+v", rec.Attached, want)
	}
	// The host reports the port: only then it is attached.
	y.put(record.Statuses+"h1", &record.HostStatus{Up: map[string]bool{i.NetworkInterfaceId: true}})
	if status := y.shown(i.NetworkInterfaceId).Attachment.Status; status != "attached" {
		t.Errorf("status is %s", status)
	}
	second := y.attached("docker:web", "eth1")
	if second.InstanceId != res.InstanceId || *second.NetworkInterface.Attachment.DeviceIndex != 1 {
		t.Errorf("second interface is %+v", second)
	}
	y.attached("netns:a", "")
	for _, target := range []string{"docker:web", containerID} {
		got := do[api.DescribeNetworkInterfacesResult](y.bench, &api.DescribeNetworkInterfacesRequest{Filters: []api.Filter{{Name: "attachment.target", Values: []string{target}}}}).NetworkInterfaces
		if len(got) != 2 {
			t.Errorf("%s has %d interfaces, want 2", target, len(got))
		}
	}
}

func TestDescribeInstances(t *testing.T) {
	y := newYard(t)
	first := y.attached("docker:web", "")
	y.attached("docker:web", "eth1")
	y.attached("netns:a", "")
	all := y.instances()
	if len(all) != 2 {
		t.Fatalf("%d instances, want 2", len(all))
	}
	got := do[api.DescribeInstancesResult](y.bench, &api.DescribeInstancesRequest{Filters: []api.Filter{{Name: "tag:Name", Values: []string{"docker:web"}}}}).Reservations
	if len(got) != 1 || len(got[0].Instances) != 1 {
		t.Fatalf("reservations are %+v", got)
	}
	i := got[0].Instances[0]
	if i.InstanceId != first.InstanceId || i.State.Name != "running" || *i.State.Code != 16 || i.SubnetId != y.sub.SubnetId || i.VpcId != y.vpc.VpcId ||
		i.PrivateIpAddress != first.NetworkInterface.PrivateIpAddress || len(i.NetworkInterfaces) != 2 || i.InstanceType != "docker" || i.LaunchTime == nil || got[0].OwnerId != alice.Account {
		t.Errorf("instance is %+v", i)
	}
	for filter, value := range map[string]string{"target": "netns:a", "instance-type": "netns", "private-ip-address": "10.0.1.6"} {
		got := do[api.DescribeInstancesResult](y.bench, &api.DescribeInstancesRequest{Filters: []api.Filter{{Name: filter, Values: []string{value}}}}).Reservations
		if len(got) != 1 {
			t.Errorf("%s=%s: %d instances, want 1", filter, value, len(got))
		}
	}
	_, _, err := y.call(bob, "DescribeInstances", &api.DescribeInstancesRequest{InstanceIds: []string{first.InstanceId}})
	refused(t, err, "InvalidInstanceID.NotFound", "InstanceIds.0")
}

func TestAttachRefusals(t *testing.T) {
	y := newYard(t)
	y.host.missing["netns:gone"] = true
	taken := y.attached("netns:a", "")
	taken2 := do[api.AttachWorkloadResult](y.bench, &api.AttachWorkloadRequest{Target: "netns:b", SubnetId: y.sub.SubnetId, Name: "b1"})
	free := y.plain(y.sub.SubnetId).NetworkInterfaceId
	type request = api.AttachWorkloadRequest
	sub := y.sub.SubnetId
	for name, row := range map[string]struct {
		req         request
		code, field string
	}{
		"no target":         {request{SubnetId: sub}, "MissingParameter", "Target"},
		"target missing":    {request{Target: "netns:gone", SubnetId: sub}, "InvalidTarget.NotFound", "Target"},
		"target text":       {request{Target: "netns:\x1b", SubnetId: sub}, "InvalidParameterValue", "Target"},
		"no subnet":         {request{Target: "netns:x"}, "MissingParameter", "SubnetId"},
		"subnet":            {request{Target: "netns:x", SubnetId: "subnet-00000000"}, "InvalidSubnetID.NotFound", "SubnetId"},
		"subnet and eni":    {request{Target: "netns:x", SubnetId: sub, NetworkInterfaceId: free}, "InvalidParameterCombination", "SubnetId"},
		"groups and eni":    {request{Target: "netns:x", Groups: []string{"sg-00000000"}, NetworkInterfaceId: free}, "InvalidParameterCombination", "Groups"},
		"address and eni":   {request{Target: "netns:x", PrivateIpAddress: "10.0.1.9", NetworkInterfaceId: free}, "InvalidParameterCombination", "PrivateIpAddress"},
		"name and eni":      {request{Target: "netns:x", Name: "n", NetworkInterfaceId: free}, "InvalidParameterCombination", "Name"},
		"eni unknown":       {request{Target: "netns:x", NetworkInterfaceId: "eni-00000000"}, "InvalidNetworkInterfaceID.NotFound", "NetworkInterfaceId"},
		"eni taken":         {request{Target: "netns:x", NetworkInterfaceId: taken.NetworkInterface.NetworkInterfaceId}, "InvalidNetworkInterface.InUse", "NetworkInterfaceId"},
		"same name":         {request{Target: "netns:a", SubnetId: sub, NoDefaultRoute: api.Ptr(true)}, "Resource.AlreadyAssociated", "InterfaceName"},
		"default route":     {request{Target: "netns:a", SubnetId: sub, InterfaceName: "eth1"}, "Resource.AlreadyAssociated", "NoDefaultRoute"},
		"address":           {request{Target: "netns:x", SubnetId: sub, PrivateIpAddress: "10.0.1.300"}, "InvalidParameterValue", "PrivateIpAddress"},
		"address in use":    {request{Target: "netns:x", SubnetId: sub, PrivateIpAddress: taken2.NetworkInterface.PrivateIpAddress}, "InvalidIPAddress.InUse", "PrivateIpAddress"},
		"group":             {request{Target: "netns:x", SubnetId: sub, Groups: []string{"sg-00000000"}}, "InvalidGroup.NotFound", "Groups.0"},
		"name taken":        {request{Target: "netns:x", SubnetId: sub, Name: "b1"}, "InvalidNetworkInterfaceID.Duplicate", "Name"},
		"name colon":        {request{Target: "netns:x", SubnetId: sub, Name: "a:b"}, "InvalidParameterValue", "Name"},
		"name id":           {request{Target: "netns:x", SubnetId: sub, Name: free}, "InvalidParameterValue", "Name"},
		"name blank":        {request{Target: "netns:x", SubnetId: sub, Name: " "}, "InvalidParameterValue", "Name"},
		"name control":      {request{Target: "netns:x", SubnetId: sub, Name: "a\u202eb"}, "InvalidParameterValue", "Name"},
		"interface slash":   {request{Target: "netns:x", SubnetId: sub, InterfaceName: "a/b"}, "InvalidParameterValue", "InterfaceName"},
		"interface dots":    {request{Target: "netns:x", SubnetId: sub, InterfaceName: ".."}, "InvalidParameterValue", "InterfaceName"},
		"interface lo":      {request{Target: "netns:x", SubnetId: sub, InterfaceName: "lo"}, "InvalidParameterValue", "InterfaceName"},
		"interface long":    {request{Target: "netns:x", SubnetId: sub, InterfaceName: "sixteen-letters-"}, "InvalidParameterValue", "InterfaceName"},
		"interface space":   {request{Target: "netns:x", SubnetId: sub, InterfaceName: "a b"}, "InvalidParameterValue", "InterfaceName"},
		"interface percent": {request{Target: "netns:x", SubnetId: sub, InterfaceName: "eth%d"}, "InvalidParameterValue", "InterfaceName"},
		"dry run":           {request{Target: "netns:x", SubnetId: sub, DryRun: api.Ptr(true)}, "DryRunOperation", ""},
	} {
		t.Run(name, func(t *testing.T) {
			y.unchanged(t, func() {
				_, _, err := y.call(alice, "AttachWorkload", &row.req)
				e := refused(t, err, row.code, row.field)
				if flag := map[string]string{"same name": "--ifname", "default route": "--no-default-route", "eni taken": "vpc detach"}[name]; !strings.Contains(e.Hint, flag) {
					t.Errorf("hint %q does not name %s", e.Hint, flag)
				}
			})
		})
	}
	y.unchanged(t, func() {
		sub := y.sub
		_, _, err := y.call(bob, "AttachWorkload", &request{Target: "netns:x", SubnetId: sub.SubnetId})
		refused(t, err, "InvalidSubnetID.NotFound", "SubnetId")
		_, _, err = y.call(alice, "DeleteNetworkInterface", &api.DeleteNetworkInterfaceRequest{NetworkInterfaceId: taken.NetworkInterface.NetworkInterfaceId})
		if e := refused(t, err, "InvalidNetworkInterface.InUse", "NetworkInterfaceId"); !strings.Contains(e.Message, "netns:a") || len(e.BlockedBy) != 1 {
			t.Errorf("the workload is not named: %+v", e)
		}
	})
	theirs := do2(t, y, bob, &api.CreateVpcRequest{CidrBlock: "10.0.0.0/16"}).(*api.CreateVpcResult).Vpc
	their := do2(t, y, bob, &api.CreateSubnetRequest{VpcId: theirs.VpcId, CidrBlock: "10.0.1.0/24"}).(*api.CreateSubnetResult).Subnet
	_, _, err := y.call(bob, "AttachWorkload", &request{Target: "netns:a", SubnetId: their.SubnetId})
	refused(t, err, "Resource.AlreadyAssociated", "Target")
}

// do2 is a call by somebody that must succeed.
func do2(t *testing.T, y *yard, who Caller, req any) any {
	t.Helper()
	res, _, err := y.call(who, actionOf(req), req)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestAttachWithoutHost(t *testing.T) {
	b := newBench(t)
	_, _, err := b.call(alice, "AttachWorkload", &api.AttachWorkloadRequest{Target: "netns:a", SubnetId: "subnet-00000000"})
	refused(t, err, "UnsupportedOperation", "Target")
}

// A repeated call is answered from the store: by then the host would refuse it.
func TestAttachToken(t *testing.T) {
	y := newYard(t)
	req := &api.AttachWorkloadRequest{Target: "netns:a", SubnetId: y.sub.SubnetId, ClientToken: "t"}
	first := do[api.AttachWorkloadResult](y.bench, req)
	y.host.missing["netns:a"] = true
	if again := do[api.AttachWorkloadResult](y.bench, req); again.AttachmentId != first.AttachmentId {
		t.Errorf("the token attached %s, then %s", first.AttachmentId, again.AttachmentId)
	}
	delete(y.host.missing, "netns:a")
	do[api.DetachWorkloadResult](y.bench, &api.DetachWorkloadRequest{Target: "netns:a"})
	if again := do[api.AttachWorkloadResult](y.bench, req); again.AttachmentId == first.AttachmentId {
		t.Error("the token outlived its attachment")
	}
}

func TestDetachWorkload(t *testing.T) {
	y := newYard(t)
	made := y.attached("docker:web", "").NetworkInterface.NetworkInterfaceId
	existing := y.plain(y.sub.SubnetId).NetworkInterfaceId
	do[api.AttachWorkloadResult](y.bench, &api.AttachWorkloadRequest{Target: "docker:web", NetworkInterfaceId: existing, InterfaceName: "eth1", NoDefaultRoute: api.Ptr(true)})
	kept := do[api.AttachWorkloadResult](y.bench, &api.AttachWorkloadRequest{Target: "docker:web", SubnetId: y.sub.SubnetId, InterfaceName: "eth2", NoDefaultRoute: api.Ptr(true), Keep: api.Ptr(true)}).NetworkInterface.NetworkInterfaceId
	y.attached("netns:a", "")
	type request = api.DetachWorkloadRequest
	free := y.plain(y.sub.SubnetId).NetworkInterfaceId
	for _, row := range []struct {
		req         *request
		code, field string
	}{
		{&request{}, "MissingParameter", "Target"},
		{&request{Target: "netns:a", NetworkInterfaceId: made}, "InvalidParameterCombination", "NetworkInterfaceId"},
		{&request{Target: "netns:nope"}, "InvalidTarget.NotFound", "Target"},
		{&request{Target: "docker:0123"}, "InvalidTarget.NotFound", "Target"},
		{&request{NetworkInterfaceId: free}, "IncorrectState", "NetworkInterfaceId"},
		{&request{NetworkInterfaceId: "eni-00000000"}, "InvalidNetworkInterfaceID.NotFound", "NetworkInterfaceId"},
		{&request{Target: "docker:web", DryRun: api.Ptr(true)}, "DryRunOperation", ""},
	} {
		y.unchanged(t, func() {
			_, _, err := y.call(alice, "DetachWorkload", row.req)
			refused(t, err, row.code, row.field)
		})
	}
	_, _, err := y.call(bob, "DetachWorkload", &request{Target: "docker:web"})
	refused(t, err, "InvalidTarget.NotFound", "Target")
	// The start of the container's id will do, as container tools print it.
	got := do[api.DetachWorkloadResult](y.bench, &request{Target: containerID[:len("docker:")+12]})
	if want := []string{made, existing, kept}; !slices.Equal(got.NetworkInterfaceIds, want) {
		t.Errorf("detached %v, want %v", got.NetworkInterfaceIds, want)
	}
	_, _, err = y.call(alice, "DescribeNetworkInterfaces", &api.DescribeNetworkInterfacesRequest{NetworkInterfaceIds: []string{made}})
	refused(t, err, "InvalidNetworkInterfaceID.NotFound", "NetworkInterfaceIds.0")
	for _, id := range []string{existing, kept} {
		if i := y.shown(id); i.Status != "available" || i.Attachment != nil {
			t.Errorf("%s is %+v", id, i)
		}
	}
	if left := y.instances(); len(left) != 1 || left[0].Instances[0].InstanceType != "netns" {
		t.Errorf("instances left: %+v", left)
	}
}

func TestDetachAmbiguous(t *testing.T) {
	y := newYard(t)
	y.attached("docker:web", "")
	// A container of that name that is gone, and still has its record.
	y.put(record.Instances+"i-00000000", &record.Instance{InstanceId: "i-00000000", OwnerId: alice.Account, Host: "h1", Target: "docker:feed", Display: "docker:web"})
	_, _, err := y.call(alice, "DetachWorkload", &api.DetachWorkloadRequest{Target: "docker:web"})
	if e := refused(t, err, "InvalidTarget.Conflict", "Target"); len(e.BlockedBy) != 2 || api.ExitCode(e.Code) != api.ExitConflict {
		t.Errorf("error is %+v", e)
	}
}

func TestAttachNetworkInterface(t *testing.T) {
	y := newYard(t)
	first := y.attached("netns:a", "")
	free := y.plain(y.sub.SubnetId).NetworkInterfaceId
	type request = api.AttachNetworkInterfaceRequest
	index := func(n int32) *int32 { return &n }
	for _, row := range []struct {
		req         *request
		code, field string
	}{
		{&request{DeviceIndex: index(0), InstanceId: first.InstanceId, NetworkInterfaceId: free}, "InvalidParameterValue", "DeviceIndex"},
		{&request{DeviceIndex: index(-1), InstanceId: first.InstanceId, NetworkInterfaceId: free}, "InvalidParameterValue", "DeviceIndex"},
		{&request{DeviceIndex: index(1), NetworkCardIndex: index(1), InstanceId: first.InstanceId, NetworkInterfaceId: free}, "InvalidParameterValue", "NetworkCardIndex"},
		{&request{DeviceIndex: index(1), InstanceId: "i-00000000", NetworkInterfaceId: free}, "InvalidInstanceID.NotFound", "InstanceId"},
		{&request{DeviceIndex: index(1), InstanceId: first.InstanceId, NetworkInterfaceId: first.NetworkInterface.NetworkInterfaceId}, "InvalidNetworkInterface.InUse", "NetworkInterfaceId"},
		{&request{InstanceId: first.InstanceId, NetworkInterfaceId: free}, "MissingParameter", "DeviceIndex"},
	} {
		y.unchanged(t, func() {
			_, _, err := y.call(alice, "AttachNetworkInterface", row.req)
			refused(t, err, row.code, row.field)
		})
	}
	attachment := do[api.AttachNetworkInterfaceResult](y.bench, &request{DeviceIndex: index(3), InstanceId: first.InstanceId, NetworkInterfaceId: free}).AttachmentId
	rec, _ := store.Get[*record.NetworkInterface](y.store.Snapshot(), record.Interfaces+free)
	if rec.Attached.IfName != "eth3" || !rec.Attached.NoDefaultRoute || rec.DeleteOnDetach || *rec.Interface.Attachment.DeviceIndex != 3 {
		t.Errorf("record is %+v, %+v", rec.Attached, rec.Interface.Attachment)
	}
	for id, code := range map[string]string{"eni-attach-00000000": "InvalidAttachmentID.NotFound", "x": "InvalidNetworkInterfaceAttachmentId.Malformed", first.AttachmentId: "OperationNotPermitted"} {
		_, _, err := y.call(alice, "DetachNetworkInterface", &api.DetachNetworkInterfaceRequest{AttachmentId: id})
		refused(t, err, code, "AttachmentId")
	}
	do[api.ModifyNetworkInterfaceAttributeResult](y.bench, &api.ModifyNetworkInterfaceAttributeRequest{NetworkInterfaceId: free, Attachment: &api.NetworkInterfaceAttachmentChanges{AttachmentId: attachment, DeleteOnTermination: api.Ptr(true)}})
	if !*y.shown(free).Attachment.DeleteOnTermination {
		t.Error("DeleteOnTermination was not set")
	}
	do[api.DetachNetworkInterfaceResult](y.bench, &api.DetachNetworkInterfaceRequest{AttachmentId: attachment})
	if i := y.shown(free); i.Status != "available" {
		t.Errorf("EC2's detach leaves the interface, this one is %+v", i)
	}
}

// Sixteen at once on one target: one interface of that name, one instance. The
// interfaces exist before: making one would put the calls in a row by itself.
func TestAttachRace(t *testing.T) {
	y := newYard(t)
	errs := make([]error, 16)
	enis := make([]string, len(errs))
	for i := range enis {
		enis[i] = y.plain(y.sub.SubnetId).NetworkInterfaceId
	}
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			_, _, errs[i] = y.call(alice, "AttachWorkload", &api.AttachWorkloadRequest{Target: "netns:a", NetworkInterfaceId: enis[i]})
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		refused(t, err, "Resource.AlreadyAssociated", "InterfaceName")
	}
	if n := len(y.instances()); won != 1 || n != 1 {
		t.Errorf("%d calls succeeded, %d instances are there, want 1 and 1", won, n)
	}
}

// After everything is detached and deleted, only marks of the past are left.
func TestNothingLeft(t *testing.T) {
	y := newYard(t)
	before := y.dump()
	web := y.group(y.vpc.VpcId, "web")
	do[api.AttachWorkloadResult](y.bench, &api.AttachWorkloadRequest{Target: "netns:a", SubnetId: y.sub.SubnetId, Groups: []string{web}, ClientToken: "t"})
	do[api.DetachWorkloadResult](y.bench, &api.DetachWorkloadRequest{Target: "netns:a"})
	do[api.DeleteSecurityGroupResult](y.bench, &api.DeleteSecurityGroupRequest{GroupId: web})
	for _, key := range slices.Sorted(maps.Keys(y.dump())) {
		_, was := before[key]
		history := strings.HasPrefix(key, record.Tombstones) || strings.HasPrefix(key, record.Counters) || strings.HasPrefix(key, record.Addresses)
		if !was && !history {
			t.Errorf("left: %s", key)
		}
	}
}

// TestRelease: what its workload leaves behind stays, available, and only that.
func TestRelease(t *testing.T) {
	y := newYard(t)
	one, two := y.attached("docker:web", "eth0"), y.attached("docker:web", "eth1")
	other := y.attached("netns:db", "eth0")
	y.unchanged(t, func() {
		if err := y.Release(t.Context(), []string{"pid:9/9"}); err != nil {
			t.Error(err)
		}
	})
	if err := y.Release(t.Context(), []string{containerID}); err != nil {
		t.Fatal(err)
	}
	for _, res := range []*api.AttachWorkloadResult{one, two} {
		if i := y.shown(res.NetworkInterface.NetworkInterfaceId); i.Status != "available" || i.Attachment != nil {
			t.Errorf("interface of a removed workload is %+v", i)
		}
		do[api.DeleteNetworkInterfaceResult](y.bench, &api.DeleteNetworkInterfaceRequest{NetworkInterfaceId: res.NetworkInterface.NetworkInterfaceId})
	}
	if i := y.shown(other.NetworkInterface.NetworkInterfaceId); i.Status != "in-use" {
		t.Errorf("another workload's interface is %+v", i)
	}
	if left := y.instances(); len(left) != 1 {
		t.Errorf("instances left: %+v", left)
	}
}
