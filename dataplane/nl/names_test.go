package nl

import (
	"os"
	"slices"
	"testing"
)

// TestHostsWithSimilarNames: a host whose name is the beginning of another's
// sees nothing of that one's, or its next pass would remove it.
func TestHostsWithSimilarNames(t *testing.T) {
	short := testHost(t)
	long := Open(short.prefix[len("vpc-"):] + "b")
	defer long.Close()
	own, other := short.make(t, "fabric"), long.make(t, "fabric")
	vpc := long.make(t, "vpc-0123456789abcdef0")
	tail := Open(short.prefix[len("vpc-"):] + "b-vpc")
	defer tail.Close()
	t.Cleanup(func() {
		for _, name := range []string{other, vpc} {
			if err := long.Drivers().Namespaces.Delete(ctx, name); err != nil {
				t.Error(err)
			}
		}
	})
	have, err := short.Drivers().Namespaces.Observe(ctx, nil)
	if _, ok := have[own]; err != nil || !ok || len(have) != 1 {
		t.Errorf("the host %s… lists %v, %v; want only %s", short.prefix, have, err, own)
	}
	if err := short.Drivers().Namespaces.Delete(ctx, vpc); err == nil {
		t.Error("one host removes another's namespace")
	}
	if names, err := tail.names(); err != nil || len(names) > 0 {
		t.Errorf("the host %s… lists %v, %v", tail.prefix, names, err)
	}
	names, err := long.names()
	if err != nil || !slices.Equal(names, []string{other, vpc}) {
		t.Errorf("the host %s… lists %v, %v", long.prefix, names, err)
	}
	if _, err := os.Stat(pathOf(vpc)); err != nil {
		t.Error(err)
	}
}
