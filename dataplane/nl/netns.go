package nl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

// runDir is where iproute2 looks for names of namespaces.
const runDir = "/run/netns"

// maxStacked bounds how many mounts on one name are undone.
const maxStacked = 16

// nsID identifies a namespace for as long as somebody holds it open.
type nsID struct{ dev, inode uint64 }

// Identify names the namespace that path leads to. A path that is no network
// namespace is an error.
func Identify(path string) (spec.Netns, error) {
	id, err := identify(path)
	if err != nil {
		return spec.Netns{}, err
	}
	return spec.Netns{Path: path, Inode: id.inode}, nil
}

// identify opens the path, because only an open file can be asked what kind of
// namespace it is: a name without a mount is a plain file.
func identify(path string) (nsID, error) {
	f, err := os.Open(path)
	if err != nil {
		return nsID{}, err
	}
	defer f.Close()
	id, err := identifyFile(f)
	if err != nil {
		return nsID{}, fmt.Errorf("%s: %w", path, err)
	}
	return id, nil
}

func identifyFile(f *os.File) (nsID, error) {
	mounted, err := isNamespace(f)
	if err != nil {
		return nsID{}, err
	}
	if !mounted {
		return nsID{}, fmt.Errorf("not a network namespace: %w", fs.ErrNotExist)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nsID{}, err
	}
	return nsID{uint64(st.Dev), st.Ino}, nil
}

func isNamespace(f *os.File) (bool, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return false, err
	}
	if st.Type != unix.NSFS_MAGIC {
		return false, nil
	}
	kind, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_NSTYPE)
	return err == nil && kind == unix.CLONE_NEWNET, err
}

// In runs fn on a thread inside the namespace at path. fn must not start
// goroutines that count on the namespace.
func In(path string, fn func() error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := identifyFile(f); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return inFile(f, fn)
}

// inFile is In for a namespace that is open: it cannot be another one.
func inFile(f *os.File, fn func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter %s: %w", f.Name(), err)
		}
		return fn()
	})
}

// onThread runs fn on a locked thread of its own and brings the thread back to
// where it was. A thread that cannot come back is not unlocked, so the runtime
// ends it with its goroutine.
func onThread(fn func() error) error {
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
		err = fn()
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// namespaces are bind mounts in /run/netns, so that `ip netns` lists them and
// they outlive this process.
type namespaces struct{ k *Kernel }

// Observe lists by prefix. A name without a mount, left by a crash, is listed
// only when it is not wanted, so that it is either repaired or removed.
func (d namespaces) Observe(_ context.Context, want map[string]struct{}) (map[string]struct{}, error) {
	entries, err := d.k.entries()
	if err != nil {
		return nil, err
	}
	out := make(map[string]struct{}, len(entries))
	for name, mounted := range entries {
		if _, ok := want[name]; mounted || !ok {
			out[name] = struct{}{}
		}
	}
	d.k.forgetExcept(entries)
	return out, nil
}

// Put makes the namespace, or completes a half-made one.
func (d namespaces) Put(_ context.Context, name string, _ struct{}) error {
	if !d.k.owns(name) {
		return fmt.Errorf("not a namespace name of ours (%s…)", d.k.prefix)
	}
	path := filepath.Join(runDir, name)
	if _, err := identify(path); err == nil {
		return nil
	}
	if err := d.k.prepareOnce(); err != nil {
		return err
	}
	writes.Add(1)
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o444)
	if err != nil {
		return err
	}
	f.Close()
	return onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("new network namespace: %w", err)
		}
		if err := unix.Mount("/proc/thread-self/ns/net", path, "none", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("name network namespace: %w", err)
		}
		return nil
	})
}

// Delete takes the name away without waiting for the kernel's teardown. While a
// tap of somebody else's is inside, which could not be given back, it is an
// AdoptedError: the device would end with its namespace.
func (d namespaces) Delete(_ context.Context, name string) error {
	if !d.k.owns(name) {
		return fmt.Errorf("not a namespace name of ours (%s…)", d.k.prefix)
	}
	if err := d.k.in(name, (*conn).adopted); err != nil {
		return err
	}
	d.k.drop(name)
	path := filepath.Join(runDir, name)
	for range maxStacked {
		err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if err == nil {
			writes.Add(1)
			continue
		}
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			break
		}
		return fmt.Errorf("unmount: %w", err)
	}
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	writes.Add(1)
	return err
}

// prepareOnce prepares the directory on the first creation: doing so walks all
// mounts in it. A failure is not remembered.
func (k *Kernel) prepareOnce() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.prepared {
		return nil
	}
	err := prepareRunDir()
	k.prepared = err == nil
	return err
}

// prepareRunDir makes mounts below /run/netns visible in other mount
// namespaces, as iproute2 does; under the same lock, because two that do it at
// once would stack mounts.
func prepareRunDir() error {
	if err := os.MkdirAll(runDir, 0o755); err != nil {
		return err
	}
	dir, err := os.Open(runDir)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", runDir, err)
	}
	err = unix.Mount("", runDir, "none", unix.MS_SHARED|unix.MS_REC, "")
	if !errors.Is(err, unix.EINVAL) {
		return err
	}
	if err := unix.Mount(runDir, runDir, "none", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mount %s: %w", runDir, err)
	}
	return unix.Mount("", runDir, "none", unix.MS_SHARED|unix.MS_REC, "")
}
