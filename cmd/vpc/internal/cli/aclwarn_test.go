package cli

import (
	"strings"
	"testing"
)

// TestNoAnswers: who forgets that an ACL knows nothing of connections is told so
// when a subnet has it, and only as long as it is so.
func TestNoAnswers(t *testing.T) {
	b := newBench(t)
	b.world()
	b.ok("acl add edge --vpc prod")
	for _, step := range []struct{ line, want string }{
		{"acl rule add edge --out 100 allow tcp/443 --to 0.0.0.0/0", ""}, // no subnet has it
		{"acl associate edge --subnet web", "out, and none that lets its answers in"},
		{"acl rule add edge --in 100 allow icmp --from 0.0.0.0/0", "answers in"},
		{"acl rule add edge --in 110 deny tcp/1024-65535 --from 192.0.2.0/24", "answers in"},
		{"acl rule add edge --in 120 allow tcp/32768-60999 --from 0.0.0.0/0", ""},
		{"acl rule add edge --in 130 allow tcp/80 --from 0.0.0.0/0", "in, and none that lets its answers out"},
		{"acl rule set edge --out 100 allow all --to 0.0.0.0/0", ""},
		{"acl rule rm edge --in 120", "answers in"},
		{"acl rule add edge --in 140 allow all --from 0.0.0.0/0", ""},
	} {
		got := b.run(step.line)
		switch {
		case got.code != 0:
			t.Errorf("vpc %s: exit %d: %s", step.line, got.code, got.errOut)
		case step.want == "" && got.errOut != "":
			t.Errorf("vpc %s: %s", step.line, got.errOut)
		case step.want != "" && (!strings.Contains(got.errOut, "warning: ") || !strings.Contains(got.errOut, step.want)):
			t.Errorf("vpc %s: %q, want %q", step.line, got.errOut, step.want)
		}
	}
}
