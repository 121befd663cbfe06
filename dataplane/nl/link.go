package nl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	vnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

// links creates and corrects bridges, veth pairs and adopted taps.
type links struct{ k *Kernel }

// Put makes or corrects one link. A link of another kind at the index, or a
// pair whose other end is not where it should be, is replaced.
func (d links) Put(_ context.Context, key LinkKey, v Link) error {
	if err := check(key, v); err != nil {
		return err
	}
	c, err := d.k.conn(key.Netns)
	if err != nil {
		return err
	}
	have, err := c.link(key.Index, "")
	missing := errors.Is(err, unix.ENODEV)
	if err != nil && !missing {
		return err
	}
	if v.Kind == Tap {
		return d.putTap(c, key, v, have, missing)
	}
	var peer *conn
	if v.Kind == Veth {
		if peer, err = otherEnd(v); err != nil {
			return err
		}
		defer peer.close()
	}
	if !missing {
		same, err := same(c, have, v, peer)
		if err != nil {
			return err
		}
		if !same {
			if err := d.remove(c, have); err != nil {
				return err
			}
			missing = true
		}
	}
	if missing {
		if have, err = d.create(c, key, v, peer); err != nil {
			return err
		}
	}
	return correct(c, have, v.Name, v.Alias, v.MAC, v.MTU)
}

// check refuses what the kernel would take and we could not find again, or
// would refuse with an error that names nothing.
func check(key LinkKey, v Link) error {
	switch {
	case key.Index <= 1:
		return fmt.Errorf("index %d cannot be chosen", key.Index)
	case v.Kind != Bridge && v.Kind != Veth && v.Kind != Tap:
		return fmt.Errorf("unknown kind of link %q", v.Kind)
	case v.Name == "" || len(v.Name) >= unix.IFNAMSIZ || len(v.PeerName) >= unix.IFNAMSIZ:
		return fmt.Errorf("link names %q and %q must have 1 to %d bytes", v.Name, v.PeerName, unix.IFNAMSIZ-1)
	case v.Alias == "" || len(v.Alias) > maxAlias || strings.ContainsRune(v.Alias, '\n'):
		return fmt.Errorf("alias %q must be one line of 1 to %d bytes", v.Alias, maxAlias)
	case v.Kind == Veth && v.Peer == (spec.Netns{}) && v.PeerName == "":
		return errors.New("where its workload is cannot be found out at the moment")
	case v.Kind != Bridge && v.PeerName == "":
		return errors.New("the other end has no name")
	case v.Kind == Veth && v.Peer == (spec.Netns{}):
		return errors.New("the other end is in no namespace")
	}
	return nil
}

// maxAlias bounds an alias so that a tap's origin fits behind it.
const maxAlias = 63

// same reports whether a link can be corrected to v, or must be made anew.
func same(c *conn, have linkState, v Link, peer *conn) (bool, error) {
	if have.kind != v.Kind {
		return false, nil
	}
	if v.Kind != Veth {
		return true, nil
	}
	if v.PeerIndex != 0 && have.peer != v.PeerIndex {
		return false, nil
	}
	return c.leadsTo(have, peer.fd(), peer.id)
}

// create makes the link and reads it back. A link of ours that holds the name is
// left from something no longer wanted and gives way; one that holds the name of
// the other end is the workload's and does not, unless that end is ours as well.
func (d links) create(c *conn, key LinkKey, v Link, peer *conn) (linkState, error) {
	err := createOnce(c, key, v, peer)
	if errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EBUSY) && v.PeerIndex != 0 {
		if err := d.giveWay(c, v, peer); err != nil {
			return linkState{}, err
		}
		err = createOnce(c, key, v, peer)
	}
	if err == nil && v.PeerIndex != 0 {
		err = peer.setLink(v.PeerIndex, attrAlias(v.Alias))
	}
	if errors.Is(err, unix.EEXIST) && strings.HasPrefix(v.Alias, EdgeAlias) {
		return linkState{}, fmt.Errorf("create edge %s: the host has another device named %s: %w", v.Name, v.PeerName, err)
	}
	if errors.Is(err, unix.EEXIST) && v.Kind == Veth {
		return linkState{}, fmt.Errorf("create %s %s: the workload may have a link named %s: %w", v.Kind, v.Name, v.PeerName, err)
	}
	if err != nil {
		return linkState{}, fmt.Errorf("create %s %s: %w", v.Kind, v.Name, err)
	}
	return c.link(key.Index, "")
}

// giveWay removes what holds the names of v, and at the other end its index.
func (d links) giveWay(c *conn, v Link, peer *conn) error {
	err := d.clear(c, 0, v.Name)
	if v.PeerIndex != 0 {
		err = errors.Join(err, d.clear(peer, 0, v.PeerName), d.clear(peer, v.PeerIndex, ""))
	}
	return err
}

// createOnce tries once; unix.EEXIST leaves open which end is in the way.
func createOnce(c *conn, key LinkKey, v Link, peer *conn) error {
	if v.Kind == Bridge {
		return c.createBridge(key.Index, v.Name, v.MAC)
	}
	return c.createVeth(key.Index, v, peer)
}

// clear removes the link with the index, or with the name where index is zero;
// nothing there is fine.
func (d links) clear(c *conn, index int, name string) error {
	if index == 0 && name == "" {
		return nil
	}
	have, err := c.link(index, name)
	if errors.Is(err, unix.ENODEV) {
		return nil
	}
	if err != nil {
		return err
	}
	return d.remove(c, have)
}

// correct writes the attributes of a link that differ, in one request.
func correct(c *conn, have linkState, name, alias string, mac spec.MAC, mtu int) error {
	var attrs []*vnl.RtAttr
	if have.name != name {
		attrs = append(attrs, attrName(name))
	}
	if have.alias != alias {
		attrs = append(attrs, attrAlias(alias))
	}
	if mac != (spec.MAC{}) && have.mac != mac {
		attrs = append(attrs, attrMAC(mac))
	}
	if have.mtu != mtu {
		attrs = append(attrs, attrMTU(mtu))
	}
	if have.genMode >= 0 && have.genMode != genModeNone {
		attrs = append(attrs, attrNoLinkLocal())
	}
	if len(attrs) > 0 {
		err := c.setLink(have.index, attrs...)
		if errors.Is(err, unix.EBUSY) && have.up {
			// Before Linux 6.2 a link that is up keeps its name.
			err = errors.Join(c.setUp(have.index, false), c.setLink(have.index, attrs...), c.setUp(have.index, true))
		}
		if err != nil {
			return fmt.Errorf("correct %s: %w", have.name, err)
		}
	}
	if have.kind == "bridge" && bridgeWrong(have) != "" {
		return c.setBridge(have.index)
	}
	return nil
}

// Delete removes the link; a tap goes back to where it was taken from.
func (d links) Delete(_ context.Context, key LinkKey) error {
	return d.k.in(key.Netns, func(c *conn) error { return d.clear(c, key.Index, "") })
}

// remove destroys what can only be ours, and gives back what was adopted.
// Anything else in our namespace was put there by somebody and stays.
func (d links) remove(c *conn, have linkState) error {
	switch have.kind {
	case "tun":
		return release(c, have)
	case "bridge", "veth":
		return c.deleteLink(have.index)
	}
	return fmt.Errorf("link %s in %s is a %q, which is not ours", have.name, c.name, have.kind)
}

// Observe lists the links of all our namespaces. Other kinds (the loopback,
// tunnels that the kernel makes by itself) are not ours.
func (d links) Observe(ctx context.Context, want map[LinkKey]Link) (map[LinkKey]Link, error) {
	out := map[LinkKey]Link{}
	err := d.k.each(ctx, func(c *conn) error {
		list, err := c.links()
		for _, s := range list {
			key := LinkKey{c.name, s.index}
			wanted, hinted := want[key]
			v, ours, err := c.value(s, wanted, hinted)
			if err != nil {
				return fmt.Errorf("%v: %w", key, err)
			}
			if ours {
				out[key] = v
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// value is a link as a Link; false for what is not ours. What is wanted, if it
// is, fills in what the kernel does not keep.
func (c *conn) value(s linkState, wanted Link, hinted bool) (Link, bool, error) {
	v := Link{Name: s.name, Alias: s.alias, MAC: s.mac, MTU: s.mtu}
	if hinted && wanted.MAC == (spec.MAC{}) {
		v.MAC = spec.MAC{}
	}
	var wrong []string
	if s.genMode >= 0 && s.genMode != genModeNone {
		wrong = append(wrong, "IPv6 link-local on")
	}
	switch s.kind {
	case "bridge":
		v.Kind = Bridge
		wrong = append(wrong, bridgeWrong(s))
	case "tun":
		v.Kind = Tap
		alias, o, ok := parseOrigin(s.alias)
		if !ok {
			return v, false, nil
		}
		v.Alias, v.Peer, v.PeerName = alias, o.netns, o.name
		wrong = append(wrong, successor(s, wanted))
	case "veth":
		v.Kind = Veth
		if err := c.fillPeer(&v, s, wanted); err != nil {
			return v, false, err
		}
	default:
		return v, false, nil
	}
	v.Wrong = strings.Join(slices.DeleteFunc(wrong, func(s string) bool { return s == "" }), ", ")
	return v, true, nil
}

// otherEnd is a socket where the other end of a pair is or shall be.
func otherEnd(v Link) (*conn, error) {
	f, _, err := openOtherEnd(v)
	if err != nil {
		return nil, err
	}
	return dial(v.Peer.Path, f)
}

// openOtherEnd opens that namespace. Nobody knows the number of one of ours before
// it is made, and whichever has the name is the one meant.
func openOtherEnd(v Link) (*os.File, nsID, error) {
	if v.PeerIndex == 0 {
		return openForeign(v.Peer)
	}
	f, err := os.Open(v.Peer.Path)
	if err != nil {
		return nil, nsID{}, err
	}
	id, err := identifyFile(f)
	if err != nil {
		f.Close()
	}
	return f, id, err
}

// fillPeer says where a pair leads. The kernel tells only a number for the
// namespace; which one that is can be asked of the one wanted. A pair that leads
// anywhere else has no peer and is made anew.
func (c *conn) fillPeer(v *Link, s linkState, wanted Link) error {
	if wanted.Kind != Veth || wanted.Peer == (spec.Netns{}) {
		return nil
	}
	f, id, err := openOtherEnd(wanted)
	if err != nil {
		// The namespace meant is gone or another one: the pair leads elsewhere.
		return nil
	}
	defer f.Close()
	ok, err := c.leadsTo(s, uint32(f.Fd()), id)
	if err != nil || !ok || wanted.PeerIndex != 0 && s.peer != wanted.PeerIndex {
		return err
	}
	v.Peer, v.PeerName, v.PeerMAC, v.PeerIndex = wanted.Peer, wanted.PeerName, wanted.PeerMAC, wanted.PeerIndex
	return nil
}

// bridgeWrong names settings of a bridge that could make it forward.
func bridgeWrong(s linkState) string {
	var wrong []string
	for _, f := range []struct {
		attr uint16
		name string
	}{
		{vnl.IFLA_BR_STP_STATE, "stp on"},
		{vnl.IFLA_BR_MCAST_SNOOPING, "multicast snooping on"},
		{vnl.IFLA_BR_VLAN_FILTERING, "vlan filtering on"},
	} {
		if s.bridge[f.attr] != 0 {
			wrong = append(wrong, f.name)
		}
	}
	return strings.Join(wrong, ", ")
}
