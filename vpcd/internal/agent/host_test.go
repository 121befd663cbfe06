package agent

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vpcfabric/vpc/dataplane"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/host"
)

func flowsOf(b *bench) {
	b.kernel.flows = []dataplane.Flow{{
		ENI: web, Protocol: 6, Source: netip.MustParseAddrPort("10.0.1.10:40000"), Dest: netip.MustParseAddrPort("10.0.1.11:80"),
		Tracked: true, Packets: 3, Bytes: 180, Age: 90 * time.Second, Idle: 2500 * time.Millisecond,
	}, {
		ENI: web, Protocol: 47, Source: netip.MustParseAddrPort("10.0.1.10:0"), Dest: netip.MustParseAddrPort("10.0.1.11:0"),
	}, {ENI: 99, Protocol: 17}}
}

func TestFlows(t *testing.T) {
	b := newBench()
	flowsOf(b)
	b.Pass(t.Context())
	local := b.Local(nil)
	list, err := local.Flows(t.Context(), nil, host.FlowID{}, 10)
	if err != nil || len(list) != 2 {
		t.Fatalf("%v, %v", list, err)
	}
	want := api.Flow{
		NetworkInterfaceId: "eni-web", Direction: "egress", Protocol: "tcp", Source: "10.0.1.10", SourcePort: api.Ptr(int32(40000)),
		Destination: "10.0.1.11", DestinationPort: api.Ptr(int32(80)), State: "live", Tracked: api.Ptr(true),
		Packets: api.Ptr(int64(3)), Bytes: api.Ptr(int64(180)), AgeSeconds: api.Ptr(int64(90)), IdleSeconds: api.Ptr(int64(2)),
	}
	// In order of their ports: the one without any comes first.
	if !reflect.DeepEqual(list[1], want) {
		t.Errorf("have %+v\nwant %+v", list[1], want)
	}
	if list[0].Protocol != "47" {
		t.Errorf("protocol without a name is %q", list[0].Protocol)
	}
}

func TestVerify(t *testing.T) {
	b := newBench()
	b.kernel.drifts = []dataplane.Drift{{Kind: "route", Object: "table 3", Want: "local", Have: "nothing"}}
	w := oneWorkload(10)
	w.Interfaces["eni-web"].Interface.SubnetId = "subnet-lost"
	b.source.world = w
	list, err := b.Local(nil).Verify(t.Context())
	want := []api.Drift{
		{Kind: "route", Object: "table 3", Want: "local", Have: "nothing"},
		{Kind: "record", Object: "eni-web: its subnet subnet-lost has no record"},
	}
	if err != nil || !reflect.DeepEqual(list, want) {
		t.Errorf("%+v, %v", list, err)
	}
	if len(b.kernel.applied) != 0 {
		t.Error("verify wrote to the kernel")
	}
	b.kernel.fail = errKernel
	if _, err := b.Local(nil).Verify(t.Context()); !errors.Is(err, errKernel) {
		t.Errorf("the kernel's error is %v", err)
	}
	b.source.fail = errors.New("no records")
	if _, err := b.Local(nil).Verify(t.Context()); !errors.Is(err, b.source.fail) {
		t.Errorf("the store's error is %v", err)
	}
}

type echoTargets struct{}

func (echoTargets) Resolve(_ context.Context, target, ifname string, defaultRoute bool) (host.Workload, error) {
	if !defaultRoute {
		return host.Workload{}, errors.New("asked without a default route")
	}
	return host.Workload{Target: target, IfName: ifname}, nil
}

func TestResolve(t *testing.T) {
	w, err := newBench().Local(echoTargets{}).Resolve(t.Context(), "netns:x", "eth1", true)
	if err != nil || w.Target != "netns:x" || w.IfName != "eth1" {
		t.Errorf("%+v, %v", w, err)
	}
}

// occupied refuses until the kernel has made as many passes as it takes.
type occupied struct {
	kernel *kernel
	passes int
	asked  int
}

func (o *occupied) Resolve(context.Context, string, string, bool) (host.Workload, error) {
	o.asked++
	if len(o.kernel.passes()) < o.passes {
		return host.Workload{}, api.Errorf("Resource.AlreadyAssociated", "InterfaceName", "it has a link eth0 already")
	}
	return host.Workload{Target: "netns:web"}, nil
}

// TestAttachBehindDetach: an attachment that meets what a detachment has not
// taken yet has the kernel follow first; one that meets anything else is refused
// without.
func TestAttachBehindDetach(t *testing.T) {
	b := newBench()
	b.Pass(t.Context())
	there := &occupied{kernel: b.kernel, passes: 2}
	local := b.Local(there)
	if _, err := local.Resolve(t.Context(), "netns:web", "", true); err == nil || there.asked != 1 || len(b.kernel.passes()) != 1 {
		t.Errorf("nothing is pending: %v after %d looks and %d passes", err, there.asked, len(b.kernel.passes()))
	}
	b.source.world = oneWorkload(11)
	if w, err := local.Resolve(t.Context(), "netns:web", "", true); err != nil || w.Target != "netns:web" || len(b.kernel.passes()) != 2 {
		t.Errorf("a detachment is pending: %+v, %v after %d passes", w, err, len(b.kernel.passes()))
	}
	b.source.world = oneWorkload(12)
	there.passes = 9
	if _, err := local.Resolve(t.Context(), "netns:web", "", true); err == nil || len(b.kernel.passes()) != 3 {
		t.Errorf("its own link: %v after %d passes, want a refusal after one", err, len(b.kernel.passes()))
	}
}

// TestEndWaitsForCallers: whoever runs an agent closes the kernel's handles when
// Run returns, so a pass that a caller has set off is over by then, and none
// begins later.
func TestEndWaitsForCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Run(ctx) }()
		synctest.Wait()
		hang := make(chan struct{})
		b.kernel.do(func() { b.kernel.hang = hang })
		b.source.do(func() { b.source.world = oneWorkload(11) })
		local := b.Local(&occupied{kernel: b.kernel, passes: 9})
		caller, hangUp := context.WithCancel(t.Context())
		asked := make(chan struct{})
		go func() {
			defer close(asked)
			_, _ = local.Resolve(caller, "netns:web", "", true)
		}()
		synctest.Wait()
		hangUp()
		cancel()
		synctest.Wait()
		select {
		case err := <-ended:
			t.Fatalf("Run returned over a pass that is under way: %v", err)
		default:
		}
		close(hang)
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
		<-asked
		passes := len(b.kernel.passes())
		b.source.do(func() { b.source.world = oneWorkload(12) })
		_, _ = local.Resolve(t.Context(), "netns:web", "", true)
		if n := len(b.kernel.passes()); n != passes {
			t.Error("a pass began after the end")
		}
		if _, err := local.Verify(t.Context()); !errors.Is(err, context.Canceled) {
			t.Errorf("a question after the end: %v", err)
		}
	})
}
