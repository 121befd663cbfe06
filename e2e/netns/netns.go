// Package netns makes, enters and removes the named network namespaces that
// stand for workloads. They are entered with setns on a thread of their own,
// never with a new mount namespace: that would hide bpffs and make mounts that
// nobody else sees.
package netns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// Dir is where iproute2 and the product look for names.
const Dir = "/run/netns"

// Path of a name; "" is the namespace of this process.
func Path(name string) string {
	if name == "" {
		return "/proc/self/ns/net"
	}
	return filepath.Join(Dir, name)
}

// Exists reports whether the name is mounted.
func Exists(name string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(Path(name), &fs) == nil && fs.Type == unix.NSFS_MAGIC
}

// Prepare makes mounts in Dir visible to other mount namespaces, as the first
// `ip netns add` of a machine does.
func Prepare() error {
	if err := os.MkdirAll(Dir, 0o755); err != nil {
		return err
	}
	d, err := os.Open(Dir)
	if err != nil {
		return err
	}
	defer d.Close()
	// iproute2 and the product take the same lock: two that bind at once stack mounts.
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	if err := unix.Mount("", Dir, "none", unix.MS_SHARED|unix.MS_REC, ""); !errors.Is(err, unix.EINVAL) {
		return err
	}
	if err := unix.Mount(Dir, Dir, "none", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	return unix.Mount("", Dir, "none", unix.MS_SHARED|unix.MS_REC, "")
}

// Add makes an empty namespace with loopback down, as `ip netns add` does.
func Add(name string) error {
	if err := Prepare(); err != nil {
		return err
	}
	f, err := os.OpenFile(Path(name), os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return err
	}
	f.Close()
	err = onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		return unix.Mount("/proc/thread-self/ns/net", Path(name), "none", unix.MS_BIND, "")
	})
	if err != nil {
		os.Remove(Path(name))
		return fmt.Errorf("namespace %s: %w", name, err)
	}
	return nil
}

// Delete takes the name away; what is missing is no error.
func Delete(name string) error {
	err := unix.Unmount(Path(name), unix.MNT_DETACH)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", name, err)
	}
	if err := os.Remove(Path(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Do runs f on a thread inside the namespace. Sockets that f makes stay there;
// f must not start goroutines that make more.
func Do(name string, f func() error) error {
	if name == "" {
		return f()
	}
	return onThread(func() error {
		fd, err := unix.Open(Path(name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
			unix.Close(fd)
		}
		if err != nil {
			return fmt.Errorf("enter namespace %s: %w", name, err)
		}
		return f()
	})
}

// onThread runs f on a thread that comes home afterwards. A thread that cannot
// is never used again; ending it is the exception, because what it had started
// may be bound to its life.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			done <- err
			return
		}
		defer home.Close()
		err = f()
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}
