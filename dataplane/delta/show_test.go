package delta_test

import (
	"context"
	"maps"
	"net/netip"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/dataplane/delta"
)

type place struct {
	Path  string
	Inode uint64
}

// thing has a member of every sort that the kinds of the data plane have.
type thing struct {
	Kind    string
	Addr    netip.Addr
	PeerMTU int
	Peer    place
	Packed  string
	Up      bool
	Wrong   string
}

// shelf is a driver over a map that only lists.
type shelf map[string]thing

func (s shelf) Observe(context.Context, map[string]thing) (map[string]thing, error) {
	return maps.Clone(s), nil
}
func (shelf) Put(context.Context, string, thing) error { return nil }
func (shelf) Delete(context.Context, string) error     { return nil }

// TestDriftIsReadable: people see words and only what differs, never the syntax
// of a struct.
func TestDriftIsReadable(t *testing.T) {
	right := thing{Kind: "veth", Addr: netip.MustParseAddr("10.0.1.1"), PeerMTU: 1450, Peer: place{"/run/netns/x", 7}, Packed: "\x00\n", Up: true}
	off := right
	off.PeerMTU, off.Addr, off.Wrong = 1300, netip.Addr{}, "stp on"
	moved := right
	moved.Peer.Inode, moved.Up = 8, false
	tr := delta.New("link", shelf{"b": off, "c": moved, "d": {Kind: "bridge"}, "e": {}}, strings.Compare)
	tr.Want(map[string]thing{"a": right, "b": right, "c": right})
	drift, err := tr.Diff(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range drift {
		got = append(got, d.String())
	}
	want := `link a: missing, want kind veth, addr 10.0.1.1, peer mtu 1450, peer /run/netns/x 7, packed "\x00\n", up true
link b: have addr none, peer mtu 1300, wrong stp on, want addr 10.0.1.1, peer mtu 1450, wrong none
link c: have peer /run/netns/x 8, up false, want peer /run/netns/x 7, up true
link d: have kind bridge, want nothing
link e: have present, want nothing`
	if have := strings.Join(got, "\n"); have != want {
		t.Errorf("have\n%s\nwant\n%s", have, want)
	}
}
