package dataplane

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/vpcfabric/vpc/dataplane/nft"
	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/progs"
)

// ours matches the namespaces that this package makes, one for each VPC.
var ours = regexp.MustCompile(`^vpc-(.+)-vpc-[0-9a-f]{17}$`)

// Hosts lists the names that left anything in this kernel: pins or namespaces.
func Hosts() ([]string, error) {
	var names []string
	pins, err := readDir(filepath.Join(progs.Root, "vpc"))
	if err != nil {
		return nil, err
	}
	names = append(names, pins...)
	spaces, err := readDir(strings.TrimSuffix(netnsDir, "/"))
	if err != nil {
		return nil, err
	}
	for _, s := range spaces {
		if m := ours.FindStringSubmatch(s); m != nil {
			names = append(names, m[1])
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// ForwardDrops names the chains of nftables in the network of this process that
// drop what is forwarded, gateways' packets too.
func ForwardDrops() ([]string, error) { return nft.ForwardDrops(Outside{}.complete().Netns) }

func readDir(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := make([]string, len(entries))
	for i, e := range entries {
		out[i] = e.Name()
	}
	return out, nil
}

// HoldsTap reports whether a tap that had this name where it was found is in
// one of our namespaces and still open.
func (d *Dataplane) HoldsTap(name string) bool {
	links, err := d.kernel.Drivers().Links.Observe(context.Background(), nil)
	if err != nil {
		return false
	}
	for _, l := range links {
		if l.Kind == nl.Tap && l.PeerName == name {
			return true
		}
	}
	return false
}
