package nl

import (
	"errors"
	"fmt"
	"testing"

	"github.com/vishvananda/netlink"
	"pgregory.net/rapid"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

// FuzzMessages: whatever the kernel sends, now or in ten years, is an error at
// worst.
func FuzzMessages(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 64))
	link := append(make([]byte, 16), 8, 0, 11, 0, 0, 0, 0, 0)
	f.Add(link)
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = parseLink(b)
		_, _, _ = parseAddress(b)
		_, _ = parseNeighbour(b)
		_, _, _ = parseDefaultRoute(b)
		_, _, _ = parseOrigin(string(b))
	})
}

func TestOriginSurvivesItsAlias(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.StringMatching(`[a-z0-9-]{1,40}`).Draw(t, "alias")
		o := origin{
			netns: spec.Netns{
				Path:  rapid.StringMatching(`/[a-z0-9/ ]{1,60}`).Draw(t, "path"),
				Inode: rapid.Uint64().Draw(t, "inode"),
			},
			name: rapid.StringMatching(`[a-z0-9.]{1,15}`).Draw(t, "name"),
			up:   rapid.Bool().Draw(t, "up"),
		}
		alias, back, ok := parseOrigin(o.alias(want))
		if !ok || alias != want || back != o {
			t.Fatalf("%q became %q %v %v", o.alias(want), alias, back, ok)
		}
	})
}

func TestInterruptedListingIsNeverAnAnswer(t *testing.T) {
	part := [][]byte{{1}}
	for interrupted := range dumpTries + 2 {
		calls := 0
		msgs, err := whole(func() ([][]byte, error) {
			if calls++; calls <= interrupted {
				return part, fmt.Errorf("wrapped: %w", netlink.ErrDumpInterrupted)
			}
			return [][]byte{{1}, {2}}, nil
		})
		if interrupted < dumpTries {
			if len(msgs) != 2 || err != nil || calls != interrupted+1 {
				t.Errorf("%d interruptions: %v, %v after %d calls", interrupted, msgs, err, calls)
			}
		} else if msgs != nil || !errors.Is(err, netlink.ErrDumpInterrupted) || calls != dumpTries {
			t.Errorf("%d interruptions: %v, %v after %d calls", interrupted, msgs, err, calls)
		}
	}
	broken := errors.New("broken")
	calls := 0
	if msgs, err := whole(func() ([][]byte, error) { calls++; return part, broken }); msgs != nil || !errors.Is(err, broken) || calls != 1 {
		t.Errorf("%v, %v after %d calls", msgs, err, calls)
	}
}
