package nl

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

// pair is one link with both ends among ours.
func pair(a, b LinkKey) map[LinkKey]Link {
	end := func(near, far LinkKey) Link {
		return Link{
			Kind: Veth, Name: fmt.Sprintf("to%d", far.Index), Alias: "pcx a b", MTU: 1450,
			Peer: spec.Netns{Path: pathOf(far.Netns)}, PeerName: fmt.Sprintf("to%d", near.Index), PeerIndex: far.Index,
		}
	}
	return map[LinkKey]Link{a: end(a, b), b: end(b, a)}
}

// TestPairOfOurs: making one end makes both, complete; each end is seen by itself,
// and what is wrong with either is mended.
func TestPairOfOurs(t *testing.T) {
	k := testHost(t)
	a, b := LinkKey{k.make(t, 1), 100001}, LinkKey{k.make(t, 2), 100002}
	d := k.Drivers().Links
	want := pair(a, b)
	must(t, d.Put(ctx, a, want[a]))
	if got := have(t, d, want); got[a] != want[a] || got[b].Alias != want[b].Alias || got[b].PeerIndex != a.Index || got[b].Name != want[b].Name {
		t.Fatalf("one end was made, and there is %+v", got)
	}
	converge(t, "link", d, LinkKey.Compare, want)
	in := func(key LinkKey, fn func(c *conn) error) func() {
		return func() { by(t, pathOf(key.Netns), fn) }
	}
	for name, tamper := range map[string]func(){
		"deletion":  in(b, func(c *conn) error { return c.deleteLink(b.Index) }),
		"alias":     in(b, func(c *conn) error { return c.setLink(b.Index, attrAlias("")) }),
		"name":      in(a, func(c *conn) error { return c.setLink(a.Index, attrName("renamed")) }),
		"mtu":       in(b, func(c *conn) error { return c.setLink(b.Index, attrMTU(1300)) }),
		"namespace": in(a, func(c *conn) error { return moveAway(t, c, a.Index) }),
		"number": func() {
			must(t, d.Delete(ctx, a))
			must(t, d.Put(ctx, a, pair(a, LinkKey{b.Netns, 100009})[a]))
		},
		"names are taken": func() {
			must(t, d.Delete(ctx, a))
			by(t, pathOf(a.Netns), func(c *conn) error { return c.createBridge(100011, want[a].Name, spec.MAC{}) })
			by(t, pathOf(b.Netns), func(c *conn) error { return c.createBridge(100012, want[b].Name, spec.MAC{}) })
		},
		"the number is taken": func() {
			must(t, d.Delete(ctx, a))
			by(t, pathOf(b.Netns), func(c *conn) error { return c.createBridge(b.Index, "odd", spec.MAC{}) })
		},
	} {
		tamper()
		if got := have(t, d, want); got[a] == want[a] && got[b] == want[b] {
			t.Errorf("%s: not seen", name)
		}
		converge(t, "link after "+name, d, LinkKey.Compare, want)
	}
	must(t, d.Delete(ctx, b))
	if got := have(t, d, want); len(got) != 0 {
		t.Errorf("one end was deleted, and there is %+v", got)
	}
	must(t, d.Delete(ctx, a))
}

// moveAway gives an end to a stranger.
func moveAway(t *testing.T, c *conn, index int) error {
	t.Helper()
	n := stranger(t)
	f, _, err := openForeign(n)
	if err != nil {
		return err
	}
	defer f.Close()
	return c.setLink(index, attrNetns(uint32(f.Fd())))
}

// TestPairFollowsTheName: a namespace of ours that was made again is the same one.
func TestPairFollowsTheName(t *testing.T) {
	k := testHost(t)
	a, b := LinkKey{k.make(t, 1), 100001}, LinkKey{k.make(t, 2), 100002}
	d := k.Drivers()
	want := pair(a, b)
	converge(t, "link", d.Links, LinkKey.Compare, want)
	must(t, d.Namespaces.Delete(ctx, b.Netns))
	if err := d.Links.Put(ctx, a, want[a]); err == nil || !strings.Contains(err.Error(), b.Netns) {
		t.Errorf("a pair into nowhere: %v", err)
	}
	k.make(t, 2)
	converge(t, "link", d.Links, LinkKey.Compare, want)
}
