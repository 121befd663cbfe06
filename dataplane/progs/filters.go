package progs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/vpcfabric/vpc/dataplane/nl"
)

// haveTCX asks for the programs of the loopback, which kernels without tcx
// (before 6.6) cannot answer.
func haveTCX() bool {
	const loopback = 1
	_, err := link.QueryPrograms(link.QueryOptions{Target: loopback, Attach: ebpf.AttachTCXIngress})
	return err == nil
}

// filters is the driver for kernels without tcx: clsact classifiers. The kernel
// gives them no name below our directory, so each has a symbolic link there,
// ROLE-IFINDEX to the namespace it is in. It is written before the filter and
// removed after it: a filter without one does not outlive its next Put or the
// link that it is on.
type filters struct {
	s       *Set
	outside bool
}

// Observe reads the filter behind every symbolic link. One that is missing has
// an empty tag, so that it is attached anew or removed.
func (f filters) Observe(_ context.Context, want map[Attachment]Attached) (map[Attachment]Attached, error) {
	out, err := marks(f.s.linksDir())
	if err != nil {
		return nil, err
	}
	places := map[string][]int{}
	for k, v := range out {
		if v.Role.outside() != f.outside {
			delete(out, k)
			continue
		}
		places[k.Netns] = append(places[k.Netns], k.Index)
	}
	for path, indexes := range places {
		list, err := nl.Filters(path, indexes)
		if err != nil {
			return nil, fmt.Errorf("list filters: %w", err)
		}
		for _, have := range list {
			k := Attachment{Index: have.Index, Netns: path}
			role, maps, _ := strings.Cut(have.Name, mapsMark)
			if string(out[k].Role) == role {
				out[k] = Attached{Role: out[k].Role, Tag: have.Tag + "/" + maps}
			}
		}
	}
	return out, nil
}

// marks reads the symbolic links.
func marks(dir string) (map[Attachment]Attached, error) {
	out := map[Attachment]Attached{}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		role, number, ok := strings.Cut(e.Name(), "-")
		index, err := strconv.Atoi(number)
		if !ok || err != nil || e.Type()&fs.ModeSymlink == 0 {
			continue
		}
		path, err := os.Readlink(dir + "/" + e.Name())
		if err != nil {
			return nil, err
		}
		out[Attachment{Index: index, Netns: path}] = Attached{Role: Role(role)}
	}
	return out, nil
}

// Put replaces the program of a filter in place, or makes a new one.
func (f filters) Put(_ context.Context, k Attachment, v Attached) error {
	writes.Add(1)
	p, ok := f.s.programs[v.Role]
	if !ok {
		return fmt.Errorf("no program has the role %q", v.Role)
	}
	if err := f.s.removeOthers(k.Index, v.Role); err != nil {
		return err
	}
	if err := f.mark(k, v.Role); err != nil {
		return err
	}
	_, maps, _ := strings.Cut(p.tag, "/")
	return nl.PutFilter(k.Netns, k.Index, string(v.Role)+mapsMark+maps, p.FD())
}

// mapsMark parts the role in a filter's name from the digest of its maps.
const mapsMark = "@"

func (f filters) mark(k Attachment, r Role) error {
	pin := f.s.pin(r, k.Index)
	if path, err := os.Readlink(pin); err == nil && path == k.Netns {
		return nil
	}
	if err := os.Remove(pin); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(f.s.linksDir(), 0o700); err != nil {
		return err
	}
	return os.Symlink(k.Netns, pin)
}

// Delete detaches, then forgets.
func (f filters) Delete(_ context.Context, k Attachment) error {
	writes.Add(1)
	if err := nl.DeleteFilter(k.Netns, k.Index); err != nil {
		return err
	}
	return f.s.removeOthers(k.Index, "")
}

// detach takes away every filter and every pinned link that dir knows of.
func detach(dir string) error {
	list, err := marks(dir)
	errs := []error{err}
	for k := range list {
		errs = append(errs, nl.DeleteFilter(k.Netns, k.Index))
	}
	pins, err := filepath.Glob(filepath.Join(dir, "*"))
	errs = append(errs, err)
	for _, p := range pins {
		errs = append(errs, unpin(p))
	}
	return errors.Join(errs...)
}
