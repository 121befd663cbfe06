package cli

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// TestStatusNamesWorkloadsThatAreAway: the host is ready, and nobody shall have
// to look for what is missing.
func TestStatusNamesWorkloadsThatAreAway(t *testing.T) {
	b := newBench(t)
	b.world()
	if out := b.ok("status"); strings.Contains(out, "away") {
		t.Errorf("nobody is away:\n%s", out)
	}
	for i := range b.enis {
		if b.enis[i].Attachment != nil {
			b.enis[i].Attachment.Status = api.AttachmentStatusAttaching
		}
	}
	if out := b.ok("status"); !strings.HasSuffix(out, "\n1 workload is away: docker:web1\n") {
		t.Errorf("one is away:\n%s", out)
	}
	if have := oneLine([]string{"one\ntwo\n", "three"}); have != "one; two; three" {
		t.Errorf("reasons of several lines: %q", have)
	}
	if out := b.ok("status -o json") + b.ok("status -q"); strings.Contains(out, "away") {
		t.Errorf("programs are told:\n%s", out)
	}
	for i := range 11 {
		b.enis = append(b.enis, api.NetworkInterface{Attachment: &api.NetworkInterfaceAttachment{
			InstanceId: fmt.Sprintf("i-%02d", i), Status: api.AttachmentStatusAttaching}})
	}
	if out := b.ok("status"); !strings.Contains(out, "\n12 workloads are away: docker:web1, i-00, ") || !strings.HasSuffix(out, " and 2 more\n") {
		t.Errorf("many are away:\n%s", out)
	}
}
