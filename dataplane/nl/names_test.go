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
	subnet := long.make(t, "subnet-0123456789abcdef0")
	t.Cleanup(func() {
		for _, name := range []string{other, subnet} {
			if err := long.Drivers().Namespaces.Delete(ctx, name); err != nil {
				t.Error(err)
			}
		}
	})
	have, err := short.Drivers().Namespaces.Observe(ctx, nil)
	if _, ok := have[own]; err != nil || !ok || len(have) != 1 {
		t.Errorf("the host %s… lists %v, %v; want only %s", short.prefix, have, err, own)
	}
	if err := short.Drivers().Namespaces.Delete(ctx, subnet); err == nil {
		t.Error("one host removes another's namespace")
	}
	names, err := long.names()
	if err != nil || !slices.Equal(names, []string{other, subnet}) {
		t.Errorf("the host %s… lists %v, %v", long.prefix, names, err)
	}
	if _, err := os.Stat(pathOf(subnet)); err != nil {
		t.Error(err)
	}
}
