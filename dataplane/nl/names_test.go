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
	own, other := short.make(t, 1), long.make(t, 1)
	tail := Open(short.prefix[len("vpc-"):] + "b-vpc")
	defer tail.Close()
	t.Cleanup(func() {
		if err := long.Drivers().Namespaces.Delete(ctx, other); err != nil {
			t.Error(err)
		}
	})
	have, err := short.Drivers().Namespaces.Observe(ctx, nil)
	if _, ok := have[own]; err != nil || !ok || len(have) != 1 {
		t.Errorf("the host %s… lists %v, %v; want only %s", short.prefix, have, err, own)
	}
	if err := short.Drivers().Namespaces.Delete(ctx, other); err == nil {
		t.Error("one host removes another's namespace")
	}
	if names, err := tail.names(); err != nil || len(names) > 0 {
		t.Errorf("the host %s… lists %v, %v", tail.prefix, names, err)
	}
	names, err := long.names()
	if err != nil || !slices.Equal(names, []string{other}) {
		t.Errorf("the host %s… lists %v, %v", long.prefix, names, err)
	}
	if _, err := os.Stat(pathOf(other)); err != nil {
		t.Error(err)
	}
}

// TestPersonsNamespaceIsNotOurs: a name that only begins like ours is somebody's
// own, who would lose his namespace to the next pass.
func TestPersonsNamespaceIsNotOurs(t *testing.T) {
	k := testHost(t)
	ours := k.make(t, 1)
	for _, rest := range []string{"web1", "lab", "vpc", "", "vpc-0123456789abcde", "vpc-0123456789abcdef01", "vpc-0123456789ABCDEF0", "b-" + vpc(1), vpc(1) + "\n"} {
		if k.owns(k.prefix + rest) {
			t.Errorf("%q is taken for ours", k.prefix+rest)
		}
	}
	person := k.prefix + "web1"
	must(t, os.WriteFile(pathOf(person), nil, 0o444))
	t.Cleanup(func() { os.Remove(pathOf(person)) })
	if got := have(t, k.Drivers().Namespaces, nil); len(got) != 1 {
		t.Errorf("listed %v, want only %s", got, ours)
	}
	if err := k.Drivers().Namespaces.Delete(ctx, person); err == nil {
		t.Error("a person's namespace was deleted")
	}
}
