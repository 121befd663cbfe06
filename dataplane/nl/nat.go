package nl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

// natName is what the name of a NAT gateway's namespace ends with.
var natName = regexp.MustCompile(`^vpc-.+-nat-[0-9a-f]{17}$`)

func isNAT(name string) bool { return natName.MatchString(name) }

// NATNamespace is where a NAT gateway's end of a pair lives, by the name of the
// namespace. It has no inode: the namespace is ours, so whichever has the name is
// the one meant, and nobody could know its number before it is made.
func NATNamespace(name string) spec.Netns {
	if !isNAT(name) {
		return spec.Netns{}
	}
	return spec.Netns{Path: filepath.Join(runDir, name)}
}

// Setting is one sysctl; Name is the path below /proc/sys.
type Setting struct{ Name, Value string }

// Differing names what is not set as wanted in a namespace of ours, with what it
// is, for people; empty is good. A value that this kernel lets nobody change in a
// namespace counts as good, and so does one of a device that is not there.
func (k *Kernel) Differing(netns string, want []Setting) (string, error) {
	var wrong []string
	err := k.settings(netns, want, func(_ string, s Setting, have string) error {
		wrong = append(wrong, s.Name+" "+have)
		return nil
	})
	return strings.Join(wrong, ", "), err
}

// Set writes, in order, what is not set as wanted. It ends at the first failure.
func (k *Kernel) Set(netns string, want []Setting) error {
	return k.settings(netns, want, func(path string, s Setting, _ string) error {
		writes.Add(1)
		if err := os.WriteFile(path, []byte(s.Value), 0); err != nil {
			return fmt.Errorf("set %s to %s: %w", s.Name, s.Value, err)
		}
		return nil
	})
}

// settings calls fn in the namespace with each that differs.
func (k *Kernel) settings(netns string, want []Setting, fn func(path string, s Setting, have string) error) error {
	c, err := k.conn(netns)
	if err != nil {
		return err
	}
	return inFile(c.ns, func() error {
		for _, s := range want {
			path, err := sysctlPath(s.Name)
			if err != nil {
				return err
			}
			have, err := readSysctl(s.Name, s.Value)
			if errors.Is(err, fs.ErrNotExist) || err == nil && (have == s.Value || !writable(path)) {
				continue
			}
			if err == nil {
				err = fn(path, s, have)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// writable reports whether the kernel offers a sysctl for writing here: the bound
// of connections, for one, is the machine's alone up to Linux 6.18 at least.
func writable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().Perm()&0o222 != 0
}
