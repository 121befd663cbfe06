package vpcd

import (
	"errors"
	"io/fs"

	"github.com/vpcfabric/vpc/dataplane"
	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/vpcd/internal/attach"
)

// kernel answers the questions that finding a workload needs.
type kernel struct{ dp *dataplane.Dataplane }

var _ attach.Kernel = kernel{}

// Identify implements attach.Kernel.
func (kernel) Identify(path string) (spec.Netns, error) { return nl.Identify(path) }

// HasLink implements attach.Kernel.
func (kernel) HasLink(path, name string) (bool, error) {
	_, ok, err := link(path, name)
	return ok, err
}

// HasDefaultRoute implements attach.Kernel.
func (kernel) HasDefaultRoute(path string) (bool, error) { return nl.HasDefaultRoute(path) }

// TapExists implements attach.Kernel. A tun without Ethernet has no address.
func (kernel) TapExists(path, name string) (bool, error) {
	f, ok, err := link(path, name)
	return ok && f.Kind == "tun" && f.MAC != spec.MAC{}, err
}

// Adopted implements attach.Kernel.
func (k kernel) Adopted(name string) bool { return k.dp.HoldsTap(name) }

func link(path, name string) (nl.Facts, bool, error) {
	f, err := nl.LinkByName(path, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nl.Facts{}, false, nil
	}
	return f, err == nil, err
}
