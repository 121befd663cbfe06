package attach

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseTargetRefuses(t *testing.T) {
	for _, s := range []string{
		"", "web", ":", ":x", "Docker:web", "vm:x", " netns:x", "netns",
		"netns:", "netns:.", "netns:..", "netns:a/b", "netns:../x", "netns:a b", "netns:a\nb", "netns:a\x00",
		"netns:é", "netns:" + strings.Repeat("a", 65), "netns:/run/netns/x", "netns:x:y",
		"pid:", "pid:0", "pid:-1", "pid:+1", "pid:01", "pid: 1", "pid:1x", "pid:0x10", "pid:4194305",
		"pid:99999999999999999999", "pid:self", "pid:1/", "pid:1/0", "pid:1/-1", "pid:1/2/3", "pid:1/../2", "pid:1/007",
		"docker:", "docker:/web", "docker:..", "docker:-web", "docker:web/../../x", "docker:a b", "docker:web?x=1",
		"docker:" + strings.Repeat("a", 256), "docker:wéb",
		"tap:", "tap:.", "tap:a/b", "tap:a b", "tap:a:b", "tap:vnet%d", "tap:sixteencharslong", "tap:\x1b[31m",
	} {
		got, err := parseTarget(s)
		if err == nil {
			t.Errorf("%q is taken for %v", s, got)
			continue
		}
		refusedWith(t, err, "InvalidParameterValue", "Target", "netns:NAME")
		if strings.ContainsAny(err.Error(), "\n\x1b\x00") {
			t.Errorf("%q: the message repeats what a terminal obeys: %q", s, err)
		}
	}
}

// What is read is written back the same way, so that a target is found again
// under the words it was stored with.
func TestParseTargetRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(
			rapid.StringMatching(`netns:[A-Za-z0-9_-][A-Za-z0-9._-]{0,20}`),
			rapid.StringMatching(`docker:[a-z0-9][a-zA-Z0-9_.-]{0,20}`),
			rapid.StringMatching(`tap:[a-z][a-z0-9.@-]{0,14}`),
			rapid.Custom(func(t *rapid.T) string {
				pid := rapid.IntRange(1, maxPid).Draw(t, "pid")
				if start := rapid.Uint64().Draw(t, "start"); start > 0 {
					return fmt.Sprintf("pid:%d/%d", pid, start)
				}
				return fmt.Sprintf("pid:%d", pid)
			}),
		).Draw(t, "target")
		got, err := parseTarget(s)
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != s {
			t.Fatalf("%q comes back as %q", s, got)
		}
	})
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"netns:a", "pid:1/2", "docker:web", "tap:t0", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := parseTarget(s); err == nil && got.String() != s {
			t.Fatalf("%q comes back as %q", s, got)
		}
	})
}
