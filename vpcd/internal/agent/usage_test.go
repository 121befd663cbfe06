package agent

import (
	"errors"
	"reflect"
	"testing"

	"github.com/vpcfabric/vpc/dataplane"
	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/vpcd/api"
)

// TestTrackedFlows: what counts are the rules by their numbers, at interfaces
// that the records name.
func TestTrackedFlows(t *testing.T) {
	b := newBench()
	b.kernel.tracked = []trackedFlow{{web, 0xaa}, {web, 0xaa}, {web, 0xbb}, {web, 0}, {99, 0xaa}}
	b.Pass(t.Context())
	local := b.Local(nil)
	for _, tt := range []struct {
		names, rules []string
		want         int
	}{
		{[]string{"eni-web"}, []string{"sgr-000000aa000000000"}, 2},
		{[]string{"eni-web"}, []string{"sgr-000000aa000000000", "sgr-000000bb111111111"}, 3},
		{[]string{"eni-web"}, []string{"sgr-000000cc000000000", "sgr-00000000000000001"}, 0},
		{[]string{"eni-other"}, []string{"sgr-000000aa000000000"}, 0},
	} {
		if n, err := local.TrackedFlows(t.Context(), tt.names, tt.rules); n != tt.want || err != nil {
			t.Errorf("%v at %v: %d flows, %v; want %d", tt.rules, tt.names, n, err, tt.want)
		}
	}
	b.kernel.reader.fail = errors.New("no table")
	if _, err := local.TrackedFlows(t.Context(), nil, nil); !errors.Is(err, b.kernel.reader.fail) {
		t.Errorf("the kernel's error is %v", err)
	}
}

func TestStatistics(t *testing.T) {
	b := newBench()
	b.kernel.usage = map[spec.ENI]dataplane.Usage{
		web: {Flows: 7, HalfOpen: 2, Allowance: 100, HalfOpenAllowance: 50, Exceeded: 3},
		99:  {Flows: 1}, // its interface is gone
	}
	b.Pass(t.Context())
	local := b.Local(nil)
	list, err := local.Statistics(t.Context(), []string{"eni-web"})
	if err != nil || len(list) != 1 || list["eni-web"] == nil {
		t.Fatalf("%+v, %v", list, err)
	}
	want := map[string]int64{
		"conntrack_allowance_available": 93, "conntrack_allowance_exceeded": 3, "conntrack_flows": 7, "conntrack_allowance": 100,
		"conntrack_half_open_flows": 2, "conntrack_half_open_allowance": 50,
	}
	have := map[string]int64{}
	for _, c := range list["eni-web"] {
		have[c.Name] = api.Val(c.Value)
	}
	if !reflect.DeepEqual(have, want) {
		t.Errorf("have %v\nwant %v", have, want)
	}
	if list, err := local.Statistics(t.Context(), []string{"eni-other"}); len(list) != 0 || err != nil {
		t.Errorf("of another interface: %+v, %v", list, err)
	}
	b.kernel.usage[web] = dataplane.Usage{Flows: 101, Allowance: 100}
	if list, _ := local.Statistics(t.Context(), nil); *list["eni-web"][0].Value != 0 {
		t.Errorf("over the allowance: %+v", list)
	}
	b.kernel.reader.fail = errors.New("no table")
	if _, err := local.Statistics(t.Context(), nil); !errors.Is(err, b.kernel.reader.fail) {
		t.Errorf("the kernel's error is %v", err)
	}
}

// TestNATStatistics: a gateway is told from an interface by its id, each of its
// numbers has a name of its own, and one that is not here has none.
func TestNATStatistics(t *testing.T) {
	b := newBench()
	b.kernel.usage = map[spec.ENI]dataplane.Usage{web: {Flows: 7}}
	var m dataplane.NATMetrics
	for i := range reflect.TypeOf(m).NumField() {
		reflect.ValueOf(&m).Elem().Field(i).SetUint(uint64(i + 1))
	}
	b.kernel.nats = map[string]dataplane.NATMetrics{"nat-1": m}
	b.Pass(t.Context())
	local := b.Local(nil)
	got, err := local.Statistics(t.Context(), []string{"nat-1", "nat-2"})
	if err != nil || len(got) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	names, values := map[string]bool{}, map[int64]bool{}
	for _, c := range got["nat-1"] {
		names[c.Name], values[*c.Value] = true, true
	}
	if n := reflect.TypeOf(m).NumField(); len(names) != n || len(values) != n || values[0] {
		t.Errorf("of %d numbers: %+v", n, got)
	}
	if got, err := local.Statistics(t.Context(), []string{"nat-1", "eni-web"}); err != nil || len(got) != 2 {
		t.Errorf("both: %+v, %v", got, err)
	}
	b.kernel.reader.fail = errors.New("no tracking")
	if _, err := local.Statistics(t.Context(), []string{"nat-1"}); !errors.Is(err, b.kernel.reader.fail) {
		t.Errorf("the kernel's error is %v", err)
	}
}
