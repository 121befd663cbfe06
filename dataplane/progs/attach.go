package progs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/vpcfabric/vpc/dataplane/delta"
	"github.com/vpcfabric/vpc/dataplane/nl"
)

// Attachment is a place for a program. The ifindex alone names it, because ours
// are unique on the host; the namespace says where to go to attach.
type Attachment struct {
	Index int
	Netns string // path
}

// Compare orders by ifindex.
func (a Attachment) Compare(b Attachment) int { return cmp.Compare(a.Index, b.Index) }

// String is if<index>.
func (a Attachment) String() string { return "if" + strconv.Itoa(a.Index) }

// Attached is what runs there: the role, and the tag of the very program with a
// digest of the maps on which it works.
type Attached struct {
	Role Role
	Tag  string
}

// Current is the value that a place with this role shall have.
func (s *Set) Current(r Role) Attached { return Attached{Role: r, Tag: s.programs[r].tag} }

// Attachments is the driver of pinned tcx links, or of clsact filters where the
// kernel has no tcx. Either replaces a program without a gap.
func (s *Set) Attachments() delta.Driver[Attachment, Attached] { return s.attachments(false) }

// Gates is the same for devices of the host's own namespace, where others have
// programs as well: ours come after those that are there.
func (s *Set) Gates() delta.Driver[Attachment, Attached] { return s.attachments(true) }

func (s *Set) attachments(outside bool) delta.Driver[Attachment, Attached] {
	if s.tcx {
		return attachments{s, outside}
	}
	return filters{s, outside}
}

// attachments is the driver of pinned tcx links, of the roles outside or of the
// others.
type attachments struct {
	s       *Set
	outside bool
}

func (s *Set) pin(r Role, index int) string {
	return filepath.Join(s.linksDir(), fmt.Sprintf("%s-%d", r, index))
}

// Observe reads every pinned link. One whose device is gone is reported under
// its key with an empty tag, so that it is attached anew or removed.
func (a attachments) Observe(_ context.Context, want map[Attachment]Attached) (map[Attachment]Attached, error) {
	place := map[int]Attachment{}
	for k := range want {
		place[k.Index] = k
	}
	out := map[Attachment]Attached{}
	entries, err := os.ReadDir(a.s.linksDir())
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		role, number, ok := strings.Cut(e.Name(), "-")
		index, err := strconv.Atoi(number)
		if !ok || err != nil || Role(role).outside() != a.outside {
			continue
		}
		k, ok := place[index]
		if !ok {
			k = Attachment{Index: index}
		}
		out[k] = Attached{Role: Role(role), Tag: a.tag(filepath.Join(a.s.linksDir(), e.Name()), index)}
	}
	return out, nil
}

// tag is empty unless the link still holds its device.
func (a attachments) tag(path string, index int) string {
	l, err := link.LoadPinnedLink(path, nil)
	if err != nil {
		return ""
	}
	defer l.Close()
	id, ok := holds(l, index)
	if !ok {
		return ""
	}
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return ""
	}
	defer p.Close()
	tag, err := a.s.identify(p)
	if err != nil {
		return ""
	}
	return tag
}

// holds says which program a link has, if it still holds its device.
func holds(l link.Link, index int) (ebpf.ProgramID, bool) {
	info, err := l.Info()
	if err != nil {
		return 0, false
	}
	tcx := info.TCX()
	return info.Program, tcx != nil && int(tcx.Ifindex) == index
}

// Put replaces the program of a living link in place, or makes a new link. While
// programs move to other maps it is called for port after port, so it asks little.
func (a attachments) Put(_ context.Context, k Attachment, v Attached) error {
	writes.Add(1)
	p, ok := a.s.programs[v.Role]
	if !ok {
		return fmt.Errorf("no program has the role %q", v.Role)
	}
	if err := a.s.removeOthers(k.Index, v.Role); err != nil {
		return err
	}
	path := a.s.pin(v.Role, k.Index)
	if l, err := link.LoadPinnedLink(path, nil); err == nil {
		defer l.Close()
		if _, ok := holds(l, k.Index); ok && l.Update(p.Program) == nil {
			return nil
		}
		if err := unpin(path); err != nil {
			return err
		}
	}
	return nl.In(k.Netns, func() error { return a.attach(path, k.Index, p.Program) })
}

func (a attachments) attach(path string, index int, p *ebpf.Program) error {
	l, err := link.AttachTCX(link.TCXOptions{Interface: index, Program: p, Attach: ebpf.AttachTCXIngress})
	if err != nil {
		return fmt.Errorf("attach to ifindex %d: %w", index, err)
	}
	defer l.Close()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return l.Pin(path)
}

// removeOthers drops the pins of another role from the same place.
func (s *Set) removeOthers(index int, keep Role) error {
	for _, r := range slices.Collect(maps.Keys(s.programs)) {
		if r == keep {
			continue
		}
		if err := unpin(s.pin(r, index)); err != nil {
			return err
		}
	}
	return nil
}

// unpin detaches the link that is pinned at path, then forgets it; what has no
// link there is only forgotten. Without its pin a link is freed some time later,
// and until then it would hold its place against the next one.
func unpin(path string) error {
	if l, err := link.LoadPinnedLink(path, nil); err == nil {
		err = errors.Join(l.Detach(), l.Close())
		if err != nil {
			return fmt.Errorf("detach %s: %w", path, err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Delete detaches; a link whose device is gone is only forgotten.
func (a attachments) Delete(_ context.Context, k Attachment) error {
	writes.Add(1)
	return a.s.removeOthers(k.Index, "")
}
