package nl

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// role is what follows the prefix in a name of ours: the id of a VPC or of a NAT
// gateway, which has 17 hexadecimal digits. Anything looser would take a person's
// namespace for ours and delete it, or those of the host "a-b" for those of the
// host "a".
var role = regexp.MustCompile(`^(vpc|nat)-[0-9a-f]{17}$`)

// owns reports whether a name in /run/netns is of this host.
func (k *Kernel) owns(name string) bool {
	rest, ok := strings.CutPrefix(name, k.prefix)
	return ok && role.MatchString(rest)
}

// entries lists our names in /run/netns and whether a namespace is mounted on
// each.
func (k *Kernel) entries() (map[string]bool, error) {
	dir, err := os.ReadDir(runDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, e := range dir {
		if !k.owns(e.Name()) {
			continue
		}
		var st unix.Statfs_t
		err := unix.Statfs(filepath.Join(runDir, e.Name()), &st)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			return nil, &fs.PathError{Op: "statfs", Path: e.Name(), Err: err}
		}
		out[e.Name()] = st.Type == unix.NSFS_MAGIC
	}
	return out, nil
}

// names lists our namespaces in order.
func (k *Kernel) names() ([]string, error) {
	entries, err := k.entries()
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(entries, func(_ string, mounted bool) bool { return !mounted })
	return slices.Sorted(maps.Keys(entries)), nil
}

// forgetExcept closes sockets of namespaces whose name is gone: an open socket
// would keep such a namespace alive.
func (k *Kernel) forgetExcept(entries map[string]bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, c := range k.conns {
		if !entries[name] {
			c.close()
			delete(k.conns, name)
		}
	}
}
