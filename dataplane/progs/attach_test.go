package progs_test

import (
	"context"
	"fmt"
	gomaps "maps"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/vpcfabric/vpc/dataplane/delta"
	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/progs"
)

// places are two devices in a namespace of the test's own, and the tracker of
// what is attached to them.
type places struct {
	t       *testing.T
	set     *progs.Set
	kernel  *nl.Kernel
	netns   string // path
	tracker *delta.Tracker[progs.Attachment, progs.Attached]
	driver  delta.Driver[progs.Attachment, progs.Attached]
	a, b    progs.Attachment
}

var worlds atomic.Int64

func openPlaces(t *testing.T, noTCX bool) *places {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: loads eBPF programs and makes a network namespace")
	}
	host := fmt.Sprintf("pa%d-%d", os.Getpid(), worlds.Add(1))
	p := &places{t: t, kernel: nl.Open(host)}
	t.Cleanup(p.kernel.Close)
	drivers, name := p.kernel.Drivers(), p.kernel.Netns(inVPC)
	p.must(drivers.Namespaces.Put(t.Context(), name, struct{}{}))
	t.Cleanup(func() { p.must(drivers.Namespaces.Delete(context.Background(), name)) })
	p.netns = "/run/netns/" + name
	p.a, p.b = progs.Attachment{Index: 5001, Netns: p.netns}, progs.Attachment{Index: 5002, Netns: p.netns}
	for _, at := range []progs.Attachment{p.a, p.b} {
		p.must(p.device(at, fmt.Sprintf("d%d", at.Index)))
	}
	dir := filepath.Join(progs.Root, "vpc", "test-"+host)
	t.Cleanup(func() {
		p.must(progs.Remove(dir))
		os.Remove(filepath.Dir(dir)) // unless another one is using it
	})
	set, err := progs.Open(progs.Config{Dir: dir, FlowTable: progs.MinFlowTable, NoTCX: noTCX})
	p.must(err)
	t.Cleanup(func() { set.Close() })
	p.set, p.driver = set, set.Attachments()
	p.tracker = delta.New("program", p.driver, progs.Attachment.Compare)
	return p
}

func (p *places) device(at progs.Attachment, name string) error {
	return p.kernel.Drivers().Links.Put(p.t.Context(), nl.LinkKey{Netns: filepath.Base(at.Netns), Index: at.Index},
		nl.Link{Kind: nl.Bridge, Name: name, Alias: "test", MTU: 1500})
}

func (p *places) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// converge makes it so, and shows that looking again finds nothing to do.
func (p *places) converge(want map[progs.Attachment]progs.Attached) {
	p.t.Helper()
	ctx := p.t.Context()
	p.tracker.Want(gomaps.Clone(want))
	p.tracker.Dirty()
	_, err := p.tracker.Put(ctx)
	p.must(err)
	_, err = p.tracker.Prune(ctx)
	p.must(err)
	have, err := p.driver.Observe(ctx, want)
	p.must(err)
	if !gomaps.Equal(have, want) {
		p.t.Fatalf("attached %v, want %v", have, want)
	}
	before := progs.Writes() + nl.Writes()
	p.tracker.Dirty()
	if n, err := p.tracker.Put(ctx); n != 0 || err != nil || progs.Writes()+nl.Writes() != before {
		p.t.Fatalf("the second time wrote %d, %v", n, err)
	}
}

// TestAttachments tells the life of an attachment, at the kernel's own hook and
// at the one of kernels without tcx.
func TestAttachments(t *testing.T) {
	for name, noTCX := range map[string]bool{"kernel": false, "clsact": true} {
		t.Run(name, func(t *testing.T) {
			p, ctx := openPlaces(t, noTCX), t.Context()
			eni := p.set.Current(progs.FromENI)
			p.converge(map[progs.Attachment]progs.Attached{p.a: eni, p.b: eni})
			p.converge(map[progs.Attachment]progs.Attached{p.a: eni})
			p.converge(map[progs.Attachment]progs.Attached{p.a: eni, p.b: eni})
			// Its device goes, and comes again without a program.
			links := p.kernel.Drivers().Links
			key := nl.LinkKey{Netns: filepath.Base(p.netns), Index: p.b.Index}
			p.must(links.Delete(ctx, key))
			have, err := p.driver.Observe(ctx, map[progs.Attachment]progs.Attached{p.a: eni, p.b: eni})
			p.must(err)
			if have[p.a] != eni || have[p.b].Tag != "" {
				t.Fatalf("without the device: %v", have)
			}
			p.must(p.device(p.b, "again"))
			p.converge(map[progs.Attachment]progs.Attached{p.a: eni, p.b: eni})
			// Everything goes; deleting what is gone is no error.
			p.must(p.kernel.Drivers().Namespaces.Delete(ctx, key.Netns))
			for range 2 {
				p.must(p.driver.Delete(ctx, p.a))
				p.must(p.driver.Delete(ctx, p.b))
			}
			if have, err := p.driver.Observe(ctx, nil); err != nil || len(have) != 0 {
				t.Fatalf("after the end: %v, %v", have, err)
			}
		})
	}
}

// TestPlaceIsFreeAtOnce: a program that was taken away, by the driver or with
// the whole directory, is not in the way of the next one.
func TestPlaceIsFreeAtOnce(t *testing.T) {
	for name, noTCX := range map[string]bool{"kernel": false, "clsact": true} {
		t.Run(name, func(t *testing.T) {
			p, ctx := openPlaces(t, noTCX), t.Context()
			eni := p.set.Current(progs.FromENI)
			for i := range 300 {
				if err := p.driver.Put(ctx, p.a, eni); err != nil {
					t.Fatalf("the %d. time: %v", i, err)
				}
				if i%2 == 0 {
					p.must(p.driver.Delete(ctx, p.a))
				} else {
					p.must(progs.Remove(p.set.Dir()))
				}
			}
		})
	}
}

// TestFilterIsFound: a filter that disappears or runs something else is seen,
// and one that nobody knows of is taken over by the next Put.
func TestFilterIsFound(t *testing.T) {
	p, ctx := openPlaces(t, true), t.Context()
	eni, foreign := p.set.Current(progs.FromENI), foreignProgram(t)
	want := map[progs.Attachment]progs.Attached{p.a: eni}
	for what, tamper := range map[string]func() error{
		"removed":  func() error { return nl.DeleteFilter(p.netns, p.a.Index) },
		"replaced": func() error { return nl.PutFilter(p.netns, p.a.Index, "other", foreign.FD()) },
		"its program": func() error {
			return nl.PutFilter(p.netns, p.a.Index, string(progs.FromENI), foreign.FD())
		},
	} {
		p.converge(want)
		p.must(tamper())
		if have, err := p.driver.Observe(ctx, want); err != nil || have[p.a] == eni {
			t.Errorf("%s: not seen: %v, %v", what, have, err)
		}
	}
	p.converge(want)
	p.must(os.Remove(filepath.Join(p.set.Dir(), "links", "from_eni-5001")))
	if have, err := p.driver.Observe(ctx, want); err != nil || len(have) != 0 {
		t.Fatalf("without its mark: %v, %v", have, err)
	}
	p.converge(want)
}

// TestRemoveDetaches: a filter would outlive the directory by itself.
func TestRemoveDetaches(t *testing.T) {
	p := openPlaces(t, true)
	p.converge(map[progs.Attachment]progs.Attached{p.a: p.set.Current(progs.FromENI)})
	list, err := nl.Filters(p.netns, []int{p.a.Index, p.b.Index, 9999})
	if err != nil || len(list) != 1 || list[0].Index != p.a.Index {
		t.Fatalf("%v, %v", list, err)
	}
	p.must(progs.Remove(p.set.Dir()))
	if list, err := nl.Filters(p.netns, []int{p.a.Index}); err != nil || len(list) != 0 {
		t.Fatalf("after removal: %v, %v", list, err)
	}
}

// foreignProgram is one that is not ours.
func foreignProgram(t *testing.T) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}
