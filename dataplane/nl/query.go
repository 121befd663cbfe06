package nl

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

// Facts are what one can know of anyone's link.
type Facts struct {
	Index int
	// Kind is the kernel's: "veth", "bridge", "tun" (also for taps), or empty
	// for hardware and the loopback.
	Kind string
	MAC  spec.MAC
	MTU  int // bytes
	Up   bool
}

// LinkByName looks a link up in the namespace at path. A missing namespace or
// link is fs.ErrNotExist.
func LinkByName(path, name string) (Facts, error) {
	var out Facts
	err := at(path, func(c *conn) error {
		s, err := c.link(0, name)
		if errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("link %s in %s: %w", name, path, fs.ErrNotExist)
		}
		out = Facts{Index: s.index, Kind: s.kind, MAC: s.mac, MTU: s.mtu, Up: s.up}
		return err
	})
	return out, err
}

// HasDefaultRoute reports whether the namespace at path has an IPv4 default
// route in its main table.
func HasDefaultRoute(path string) (bool, error) {
	var found bool
	err := at(path, func(c *conn) error {
		list, err := c.defaultRoutes(unix.AF_INET)
		found = len(list) > 0
		return err
	})
	return found, err
}

// DefaultRouteMTU is the MTU in bytes of the link through which this process's
// namespace reaches the rest of the world: that of the IPv4 default route of
// the lowest metric. Without one the error is fs.ErrNotExist.
func DefaultRouteMTU() (int, error) { return routeMTU("/proc/thread-self/ns/net") }

func routeMTU(path string) (int, error) {
	var mtu int
	err := at(path, func(c *conn) error {
		list, err := c.defaultRoutes(unix.AF_INET)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return fmt.Errorf("default route: %w", fs.ErrNotExist)
		}
		best := slices.MinFunc(list, func(a, b route) int { return cmp.Compare(a.metric, b.metric) })
		s, err := c.link(best.index, "")
		mtu = s.mtu
		return err
	})
	return mtu, err
}

// at runs fn with a socket in the namespace at path.
func at(path string, fn func(c *conn) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	c, err := dial(path, f)
	if err != nil {
		return err
	}
	defer c.close()
	return fn(c)
}
