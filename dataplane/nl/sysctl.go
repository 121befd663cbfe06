package nl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// sysctls of our namespaces. There is no listing of "all": what is ours is what
// is wanted, and deletion leaves the value, because the namespace goes with it.
type sysctls struct{ k *Kernel }

// Observe reads what is wanted, entering each namespace once.
func (d sysctls) Observe(ctx context.Context, want map[SysctlKey]string) (map[SysctlKey]string, error) {
	byNetns := map[string][]SysctlKey{}
	for key := range want {
		byNetns[key.Netns] = append(byNetns[key.Netns], key)
	}
	out := make(map[SysctlKey]string, len(want))
	for name, keys := range byNetns {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		err := d.k.in(name, func(c *conn) error {
			return inFile(c.ns, func() error {
				for _, key := range keys {
					v, err := readSysctl(key.Name, want[key])
					if errors.Is(err, fs.ErrNotExist) {
						continue
					}
					if err != nil {
						return err
					}
					out[key] = v
				}
				return nil
			})
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return out, nil
}

// Put writes one value unless it is there already.
func (d sysctls) Put(_ context.Context, key SysctlKey, v string) error {
	path, err := sysctlPath(key.Name)
	if err != nil {
		return err
	}
	c, err := d.k.conn(key.Netns)
	if err != nil {
		return err
	}
	return inFile(c.ns, func() error {
		have, err := readSysctl(key.Name, v)
		if err != nil || have == v {
			return err
		}
		writes.Add(1)
		return os.WriteFile(path, []byte(v), 0)
	})
}

// Delete leaves the value.
func (d sysctls) Delete(context.Context, SysctlKey) error { return nil }

// readSysctl reads one value in the namespace of the thread. Where the part of
// the kernel that has the sysctl is not loaded (net/bridge, net/ipv6), it
// cannot act and counts as wanted; when it is loaded, the next listing sees it.
func readSysctl(name, want string) (string, error) {
	path, err := sysctlPath(name)
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		parts := strings.SplitN(name, "/", 3)
		_, err2 := os.Stat(filepath.Join("/proc/sys", parts[0], parts[1]))
		if errors.Is(err2, fs.ErrNotExist) {
			return want, nil
		}
	}
	// Several numbers are separated by tabs; people write spaces.
	return strings.Join(strings.Fields(string(b)), " "), err
}

// sysctlPath refuses what leads out of /proc/sys/net: only there do values
// belong to a namespace, all others are the whole machine's.
func sysctlPath(name string) (string, error) {
	if !strings.HasPrefix(name, "net/") || filepath.Clean(name) != name {
		return "", fmt.Errorf("%q is not a network sysctl", name)
	}
	return filepath.Join("/proc/sys", name), nil
}
