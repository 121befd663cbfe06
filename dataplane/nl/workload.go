package nl

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	vnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

// workloads configures the ends of pairs that live in other people's
// namespaces. Addresses and the default route that carry our protocol number
// are ours to remove; all others are the workload's and stay. The link is found
// by what it is connected to, so that the workload may rename it.
type workloads struct {
	k *Kernel

	// The key alone does not say where the other end is; deletion needs it.
	mu   sync.Mutex
	last map[int]spec.Netns
}

func newWorkloads(k *Kernel) *workloads { return &workloads{k: k, last: map[int]spec.Netns{}} }

// remember notes where the other end is, for a deletion that names only ours.
func (d *workloads) remember(index int, n spec.Netns) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last[index] = n
}

// workloadState is what the kernel has of one workload.
type workloadState struct {
	link, lo  linkState
	addresses []netip.Prefix // ours
	routes    []route        // default routes of the gateway's family, anyone's
}

// find returns the link whose other end is ours with this index, and the
// loopback beside it. A missing one is unix.ENODEV.
func (d *workloads) find(c *conn, index int) (s, lo linkState, err error) {
	list, err := c.links()
	if err != nil {
		return s, lo, err
	}
	var found []linkState
	for _, l := range list {
		switch {
		case l.loopback:
			lo = l
		case l.kind == "veth" && l.peer == index && l.nsid != noNsid:
			found = append(found, l)
		}
	}
	if len(found) > 1 {
		// The workload made a pair of its own that leads to the same number.
		if found, err = d.ours(c, index, found); err != nil {
			return s, lo, err
		}
	}
	if len(found) == 0 {
		return s, lo, fmt.Errorf("no link in %s leads to %d: %w", c.name, index, unix.ENODEV)
	}
	return found[0], lo, nil
}

// ours keeps the links that lead into a namespace of ours with such a link.
func (d *workloads) ours(c *conn, index int, found []linkState) ([]linkState, error) {
	nsids := map[int]bool{}
	err := d.k.each(context.Background(), func(our *conn) error {
		if s, err := our.link(index, ""); err != nil || s.kind != "veth" {
			return nil
		}
		nsid, err := c.nsidOf(our.fd())
		nsids[nsid] = true
		return err
	})
	return slices.DeleteFunc(found, func(s linkState) bool { return !nsids[s.nsid] }), err
}

// read lists everything that Put and Observe decide on.
func (d *workloads) read(c *conn, index int, gateway netip.Addr) (workloadState, error) {
	var st workloadState
	var err error
	if st.link, st.lo, err = d.find(c, index); err != nil {
		return st, err
	}
	list, err := c.addresses()
	if err != nil {
		return st, err
	}
	for _, a := range list {
		if a.index == st.link.index && a.protocol == protocol {
			st.addresses = append(st.addresses, a.prefix)
		}
	}
	fam := unix.AF_INET
	if gateway.IsValid() {
		fam = family(gateway)
	}
	st.routes, err = c.defaultRoutes(fam)
	return st, err
}

// gateway is the next hop of our default route, if there is one.
func (st workloadState) gateway() (route, bool) {
	for _, r := range st.routes {
		if r.protocol == protocol && r.index == st.link.index {
			return r, true
		}
	}
	return route{}, false
}

// taken reports a default route of the workload's own where ours would be.
func (st workloadState) taken() bool {
	for _, r := range st.routes {
		if r.metric == 0 && (r.protocol != protocol || r.index != st.link.index) {
			return true
		}
	}
	return false
}

// Observe reads the workloads that are wanted. One that cannot be read is not
// listed, whatever the reason: its owner can make his namespace unreadable, for
// example by changing it faster than it can be listed. Its next Put then fails
// alone and says why; as nothing but the wanted is listed, nothing is removed.
func (d *workloads) Observe(ctx context.Context, want map[int]Workload) (map[int]Workload, error) {
	out := make(map[int]Workload, len(want))
	for index, w := range want {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if v, err := d.observe(index, w); err == nil {
			out[index] = v
		}
	}
	return out, nil
}

func (d *workloads) observe(index int, w Workload) (Workload, error) {
	c, err := foreign(w.Netns)
	if err != nil {
		return Workload{}, err
	}
	defer c.close()
	st, err := d.read(c, index, w.Gateway)
	if err != nil {
		return Workload{}, err
	}
	d.remember(index, w.Netns)
	return st.value(w), nil
}

// value renders the state as a Workload; what is as wanted equals w.
func (st workloadState) value(w Workload) Workload {
	v := Workload{Netns: w.Netns, Name: w.Name, MAC: st.link.mac, MTU: st.link.mtu}
	var wrong []string
	if !st.link.up {
		wrong = append(wrong, "down")
	}
	if !st.lo.up {
		wrong = append(wrong, "lo down")
	}
	var extra []netip.Addr
	for _, p := range st.addresses {
		switch {
		case p == w.Addr:
			v.Addr = p
		case p.IsSingleIP():
			extra = append(extra, p.Addr())
		default:
			wrong = append(wrong, "address "+p.String())
		}
	}
	v.Extra = spec.MakeAddrs(extra)
	if r, ok := st.gateway(); ok {
		v.Gateway = r.gateway
	} else if st.taken() {
		// The workload's own default route is its own decision.
		v.Gateway = w.Gateway
	}
	v.Wrong = strings.Join(wrong, ", ")
	return v
}

// Put configures the workload's end.
func (d *workloads) Put(_ context.Context, index int, v Workload) error {
	c, err := foreign(v.Netns)
	if err != nil {
		return err
	}
	defer c.close()
	st, err := d.read(c, index, v.Gateway)
	if err != nil {
		return err
	}
	d.remember(index, v.Netns)
	if err := st.putLink(c, v); err != nil {
		return err
	}
	changed, err := st.putAddresses(c, v)
	if err != nil {
		return err
	}
	if err := st.putUp(c); err != nil {
		return err
	}
	if changed {
		// Removing the last address of a link takes its routes along.
		if st, err = d.read(c, index, v.Gateway); err != nil {
			return err
		}
	}
	return st.putGateway(c, v)
}

// putLink corrects address and MTU. Link-local addresses are turned off only
// before the link first comes up; later the workload may want them.
func (st workloadState) putLink(c *conn, v Workload) error {
	var attrs []*vnl.RtAttr
	if st.link.mac != v.MAC {
		attrs = append(attrs, attrMAC(v.MAC))
	}
	if st.link.mtu != v.MTU {
		attrs = append(attrs, attrMTU(v.MTU))
	}
	if !st.link.up && st.link.genMode == 0 {
		attrs = append(attrs, attrNoLinkLocal())
	}
	if len(attrs) == 0 {
		return nil
	}
	return c.setLink(st.link.index, attrs...)
}

// putAddresses removes before it adds: an address added beside an old one of
// the same subnet would be its secondary, and go with it.
func (st workloadState) putAddresses(c *conn, v Workload) (changed bool, err error) {
	var want []netip.Prefix
	if v.Addr.IsValid() {
		want = append(want, v.Addr)
	}
	for _, a := range v.Extra.List() {
		want = append(want, netip.PrefixFrom(a, a.BitLen()))
	}
	for _, p := range st.addresses {
		if !slices.Contains(want, p) {
			changed = true
			if err := c.deleteAddress(st.link.index, p); err != nil {
				return changed, fmt.Errorf("remove %s: %w", p, err)
			}
		}
	}
	for _, p := range want {
		if !slices.Contains(st.addresses, p) {
			if err := c.setAddress(st.link.index, p, protocol); err != nil {
				return changed, fmt.Errorf("add %s: %w", p, err)
			}
		}
	}
	return changed, nil
}

// putUp also brings up the loopback: programs expect to reach themselves.
func (st workloadState) putUp(c *conn) error {
	for _, s := range []linkState{st.lo, st.link} {
		if !s.up {
			if err := c.setUp(s.index, true); err != nil {
				return fmt.Errorf("bring up %s: %w", s.name, err)
			}
		}
	}
	return nil
}

// putGateway replaces our default route and respects another's. A gateway
// outside the subnet, as with a /32, is reachable on the link itself.
func (st workloadState) putGateway(c *conn, v Workload) error {
	ours, ok := st.gateway()
	if ok && ours.gateway == v.Gateway {
		return nil
	}
	if ok {
		if err := c.deleteDefaultRoute(ours); err != nil {
			return fmt.Errorf("remove default route via %s: %w", ours.gateway, err)
		}
	}
	if !v.Gateway.IsValid() || st.taken() {
		return nil
	}
	err := c.addDefaultRoute(st.link.index, v.Gateway, !v.Addr.Masked().Contains(v.Gateway))
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("default route via %s: %w", v.Gateway, err)
	}
	return nil
}

// Delete removes our addresses and route where the link still is there; they
// go with the link otherwise.
func (d *workloads) Delete(_ context.Context, index int) error {
	d.mu.Lock()
	n, ok := d.last[index]
	d.mu.Unlock()
	if !ok {
		return nil
	}
	err := d.clear(index, n)
	if err != nil && !gone(err) && !errors.Is(err, ErrReplaced) {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.last, index)
	return nil
}

// clear leaves the link up and the workload's own addresses on it.
func (d *workloads) clear(index int, n spec.Netns) error {
	c, err := foreign(n)
	if err != nil {
		return err
	}
	defer c.close()
	st, err := d.read(c, index, netip.Addr{})
	if err != nil {
		return err
	}
	var errs []error
	if r, ok := st.gateway(); ok {
		errs = append(errs, c.deleteDefaultRoute(r))
	}
	for _, p := range st.addresses {
		errs = append(errs, c.deleteAddress(st.link.index, p))
	}
	return errors.Join(errs...)
}
