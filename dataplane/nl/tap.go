package nl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	vnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

// maxKernelAlias is the kernel's limit for an alias, in bytes.
const maxKernelAlias = 255

// An adopted tap remembers where it came from in its alias, because it must
// find the way back when nothing else is left of us:
//
//	ALIAS | from NAME INODE up PATH
const originMark = " | from "

// origin is where an adopted tap was, and how.
type origin struct {
	netns spec.Netns
	name  string
	up    bool
}

func (o origin) alias(alias string) string {
	state := "down"
	if o.up {
		state = "up"
	}
	return fmt.Sprintf("%s%s%s %d %s %s", alias, originMark, o.name, o.netns.Inode, state, o.netns.Path)
}

// parseOrigin is false for an alias that is not of an adopted tap.
func parseOrigin(s string) (alias string, o origin, ok bool) {
	alias, rest, ok := strings.Cut(s, originMark)
	parts := strings.SplitN(rest, " ", 4)
	if !ok || len(parts) != 4 {
		return "", origin{}, false
	}
	inode, err := strconv.ParseUint(parts[1], 10, 64)
	if err != nil {
		return "", origin{}, false
	}
	return alias, origin{spec.Netns{Path: parts[3], Inode: inode}, parts[0], parts[2] == "up"}, true
}

// AdoptedError says that a namespace of ours holds a tap of somebody else's.
type AdoptedError struct {
	Index        int // of the tap, as a LinkKey has it
	Name, Inside string
	// Origin is what the tap was called, and From the path of the namespace
	// where that was.
	Origin, From string
}

// Error names the device and what to do.
func (e *AdoptedError) Error() string {
	return fmt.Sprintf("tap %s of %s is still inside as %s: free its name there or end its owner, or move it out with `ip -n %s link set %s netns …`",
		e.Origin, e.From, e.Name, e.Inside, e.Name)
}

// adopted is an AdoptedError for the first tap in the namespace that was taken
// from somebody, nil without one.
func (c *conn) adopted() error {
	list, err := c.links()
	if err != nil {
		return err
	}
	for _, s := range list {
		if _, o, ok := parseOrigin(s.alias); ok && s.kind == "tun" {
			return &AdoptedError{Index: s.index, Name: s.name, Inside: c.name, Origin: o.name, From: o.netns.Path}
		}
	}
	return nil
}

// putTap takes the device from the namespace of its owner, whose open
// descriptor stays valid, or corrects one taken before.
func (d links) putTap(c *conn, key LinkKey, v Link, have linkState, missing bool) error {
	if longest := (origin{v.Peer, v.PeerName, false}).alias(v.Alias); len(longest) > maxKernelAlias {
		return fmt.Errorf("path %s is too long to be remembered in %d bytes", v.Peer.Path, maxKernelAlias)
	}
	if !missing {
		_, o, ours := parseOrigin(have.alias)
		if ours && have.kind == "tun" && o.netns == v.Peer && o.name == v.PeerName && successor(have, v) == "" {
			return correct(c, have, v.Name, o.alias(v.Alias), v.MAC, v.MTU)
		}
		if err := d.replaceTap(c, have, v); err != nil {
			return err
		}
	}
	owner, err := foreign(v.Peer)
	if err != nil {
		return err
	}
	defer owner.close()
	dev, err := owner.link(0, v.PeerName)
	if err != nil {
		return fmt.Errorf("device %s: %w", v.PeerName, err)
	}
	if dev.kind != "tun" {
		return fmt.Errorf("device %s is a %q, not a tap", v.PeerName, dev.kind)
	}
	if err := d.clear(c, 0, v.Name); err != nil {
		return err
	}
	// The alias goes with the move: a crash after it leaves a device that
	// knows its origin.
	alias := origin{v.Peer, v.PeerName, dev.up}.alias(v.Alias)
	err = owner.setLink(dev.index, attrNetns(c.fd()), attrName(v.Name), attrAlias(alias),
		vnl.NewRtAttr(unix.IFLA_NEW_IFINDEX, vnl.Uint32Attr(uint32(key.Index))))
	if err != nil {
		return fmt.Errorf("take %s: %w", v.PeerName, err)
	}
	if have, err = c.link(key.Index, ""); err != nil {
		return err
	}
	return correct(c, have, v.Name, alias, v.MAC, v.MTU)
}

// replaceTap makes room at the index. A device whose owner has closed it while
// a new one waits has nobody to go back to.
func (d links) replaceTap(c *conn, have linkState, v Link) error {
	if have.kind == "tun" && successor(have, v) != "" {
		return c.deleteLink(have.index)
	}
	return d.remove(c, have)
}

// successor tells of a new device that waits where an adopted one came from:
// the owner was restarted and has opened another. The one we hold must be
// closed; two open ones are the owner's own affair.
func successor(have linkState, want Link) string {
	if want.Kind != Tap || have.carrier {
		return ""
	}
	owner, err := foreign(want.Peer)
	if err != nil {
		return ""
	}
	defer owner.close()
	dev, err := owner.link(0, want.PeerName)
	if err != nil || dev.kind != "tun" {
		return ""
	}
	return "a new device waits"
}

// release gives a tap back under its old name, up if it was. Where its origin is
// gone, so is its owner, and the device goes too. Where another link has taken
// the name it goes back under ours: that is done and an error, because the owner
// has to know where his device is.
func release(c *conn, have linkState) error {
	_, o, ok := parseOrigin(have.alias)
	if !ok {
		return fmt.Errorf("tap %s in %s is not ours", have.name, c.name)
	}
	owner, err := foreign(o.netns)
	if errors.Is(err, ErrReplaced) || errors.Is(err, fs.ErrNotExist) {
		return c.deleteLink(have.index)
	}
	if err != nil {
		return err
	}
	defer owner.close()
	name, err := roomFor(owner, o.name, have.name)
	if err != nil {
		return fmt.Errorf("give %s back to %s: %w; it stays in %s as %s", o.name, o.netns.Path, err, c.name, have.name)
	}
	err = c.setLink(have.index, attrNetns(owner.fd()), attrName(name), attrAlias(""))
	if gone(err) {
		return nil
	}
	if err != nil {
		if name, err = o.stranded(owner, have, err); err != nil {
			return err
		}
	}
	return o.settle(owner, name)
}

// roomFor is the first of two names that is free in the owner's namespace.
func roomFor(owner *conn, names ...string) (string, error) {
	for _, name := range names {
		_, err := owner.link(0, name)
		if errors.Is(err, unix.ENODEV) {
			return name, nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("the names %s are taken there", strings.Join(names, " and "))
}

// stranded looks for a device whose move failed half-way: the kernel moves first
// and renames then, so a name that was taken at the last moment leaves it with
// the owner under our name, with our alias, which it must not keep.
func (o origin) stranded(owner *conn, have linkState, cause error) (name string, err error) {
	dev, err := owner.link(0, have.name)
	if err != nil || dev.alias != have.alias {
		return "", fmt.Errorf("give %s back to %s: %w", o.name, o.netns.Path, cause)
	}
	if err := owner.setLink(dev.index, attrAlias("")); err != nil {
		return "", fmt.Errorf("%s is in %s as %s, with our alias: %w", o.name, o.netns.Path, have.name, err)
	}
	return have.name, nil
}

// settle brings a device up that was given back, and says so where it has
// another name than it came with.
func (o origin) settle(owner *conn, name string) error {
	var errs []error
	if name != o.name {
		errs = append(errs, fmt.Errorf("tap %s was given back to %s as %s: its name is taken there", o.name, o.netns.Path, name))
	}
	if o.up {
		dev, err := owner.link(0, name)
		if err == nil {
			err = owner.setUp(dev.index, true)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// openForeign opens the namespace that n means, or fails with ErrReplaced. That of
// a NAT gateway is meant by its name.
func openForeign(n spec.Netns) (*os.File, nsID, error) {
	f, err := os.Open(n.Path)
	if err != nil {
		return nil, nsID{}, err
	}
	id, err := identifyFile(f)
	if err == nil && id.inode != n.Inode && n != NATNamespace(filepath.Base(n.Path)) {
		err = fmt.Errorf("%s is namespace %d, not %d: the workload was replaced: %w", n.Path, id.inode, n.Inode, ErrReplaced)
	}
	if err != nil {
		f.Close()
		return nil, nsID{}, err
	}
	return f, id, nil
}
