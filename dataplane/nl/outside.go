package nl

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/dataplane/delta"
)

// Outside is the namespace that the daemon itself runs in, where the edges of
// VPCs end. It belongs to others: ours are the ends of pairs that lead into
// namespaces of ours, the routes with our protocol number and the host's mark,
// and switches of forwarding that a record says we turned.
type Outside struct {
	k       *Kernel
	path    string
	records string
	mark    uint32
	// writeSysctl is os.WriteFile, but for tests.
	writeSysctl func(path, value string) error

	mu sync.Mutex
	c  *conn
	// pools are those whose route is ours, so that nobody else is asked about
	// each of their addresses.
	pools map[netip.Prefix]struct{}
}

// Outside gives access to the namespace at path, for example
// /proc/thread-self/ns/net. In the directory records it notes what it found
// before it changed it: the directory shall outlive the daemon and end with the
// machine, and all daemons of the machine share it.
func (k *Kernel) Outside(path, records string) *Outside {
	h := fnv.New32a()
	h.Write([]byte(k.prefix))
	return &Outside{
		k: k, path: path, records: records, mark: max(1, h.Sum32()), pools: map[netip.Prefix]struct{}{},
		writeSysctl: func(path, value string) error { return os.WriteFile(path, []byte(value), 0) },
	}
}

// OutsideDrivers are in an order in which creation works.
type OutsideDrivers struct {
	// Edges are keyed by the port inside whose pair they are the other end of.
	Edges delta.Driver[LinkKey, Edge]
	// Forwarding is keyed by the device that packets come in from.
	Forwarding delta.Driver[string, bool]
	Routes     delta.Driver[netip.Prefix, HostRoute]
}

// Drivers returns the drivers of the real kernel.
func (o *Outside) Drivers() OutsideDrivers {
	return OutsideDrivers{Edges: edges{o}, Forwarding: forwarding{o}, Routes: hostRoutes{o}}
}

// Cleanup removes the host's routes and gives back what was recorded, without
// knowing what was ever wanted. Edges end with the namespaces they lead into.
func (o *Outside) Cleanup(ctx context.Context) error {
	d := o.Drivers()
	return errors.Join(removeAll(ctx, d.Routes), removeAll(ctx, d.Forwarding))
}

func removeAll[K, V comparable](ctx context.Context, d delta.Driver[K, V]) error {
	have, err := d.Observe(ctx, nil)
	errs := []error{err}
	for k := range have {
		errs = append(errs, d.Delete(ctx, k))
	}
	return errors.Join(errs...)
}

// Close gives back the socket.
func (o *Outside) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.c != nil {
		o.c.close()
		o.c = nil
	}
}

// conn returns the socket of the namespace, which is opened on first use and is
// the same one for ever.
func (o *Outside) conn() (*conn, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.c == nil {
		f, err := os.Open(o.path)
		if err != nil {
			return nil, err
		}
		if o.c, err = dial(o.path, f); err != nil {
			return nil, err
		}
	}
	return o.c, nil
}

// Uplinks names the devices of all IPv4 default routes, sorted.
func (o *Outside) Uplinks() ([]string, error) {
	c, err := o.conn()
	if err != nil {
		return nil, err
	}
	msgs, err := whole(func() ([][]byte, error) { return c.mainRoutes(unix.AF_INET) })
	if err != nil {
		return nil, err
	}
	var out []string
	for _, m := range msgs {
		_, ok, err := parseDefaultRoute(m)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		devices, err := routeDevices(m)
		if err != nil {
			return nil, err
		}
		for _, index := range devices {
			s, err := c.link(index, "")
			if err != nil && !gone(err) {
				return nil, fmt.Errorf("uplink %d: %w", index, err)
			}
			if err == nil && !s.loopback {
				out = append(out, s.name)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// Addresses are the IPv4 addresses of all devices but edges, and but loopback's own
// range, sorted. Edges have the host's addresses in pools, this daemon's or another's.
func (o *Outside) Addresses() (out []netip.Addr, err error) {
	c, err := o.conn()
	if err != nil {
		return nil, err
	}
	list, err := c.addresses()
	if err != nil {
		return nil, err
	}
	devices, err := c.links()
	edges := map[int]bool{}
	for _, d := range devices {
		edges[d.index] = strings.HasPrefix(d.name, "vpc-")
	}
	for _, a := range list {
		if at := a.prefix.Addr(); at.Is4() && !at.IsLoopback() && !edges[a.index] {
			out = append(out, at)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out), err
}
