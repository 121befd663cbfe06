package wire

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// Ownership is who may open a socket that Listen made.
type Ownership struct {
	Path     string
	Mode     fs.FileMode // 0660 or 0600
	UID, GID int
	// Group is the name of the group that may connect, empty when only the owner may.
	Group string
	// Missing is the name of the group that would have been let in, had it existed.
	Missing string
}

// String is a line for a log: mode, owner, and what is missing.
func (o Ownership) String() string {
	s := fmt.Sprintf("%s: mode %04o, user %d, group %d", o.Path, o.Mode, o.UID, o.GID)
	switch {
	case o.Group != "":
		return s + ": open to group " + o.Group
	case o.Missing != "":
		return s + ": open to its owner only, because there is no group " + o.Missing
	}
	return s + ": open to its owner only"
}

// pathMax is the longest path the kernel takes for a socket, in bytes.
const pathMax = 107

// lockWait is how long another process may take to make a socket in the same folder.
const lockWait = 2 * time.Second

// Listen makes a unix socket that members of a group can connect to, or only
// the owner where the group does not exist or is empty. The folder is made
// (0750) when it is missing. A socket nobody listens on is replaced. Errors:
// somebody listens on it, something else is in its place, the path is not
// absolute or too long, or what the system refused.
//
// Close of the listener removes the socket, unless another has taken its place.
func Listen(path, group string) (net.Listener, Ownership, error) {
	if !filepath.IsAbs(path) || strings.ContainsRune(path, 0) {
		return nil, Ownership{}, fmt.Errorf("socket %q: the path must be absolute", path)
	}
	if len(path) > pathMax {
		return nil, Ownership{}, fmt.Errorf("socket %s: the path has %d bytes, the kernel takes %d", path, len(path), pathMax)
	}
	owner := Ownership{Path: path, Mode: 0o600, UID: os.Geteuid(), GID: os.Getegid()}
	if err := owner.find(group); err != nil {
		return nil, Ownership{}, fmt.Errorf("socket %s: %w", path, err)
	}
	if err := makeFolder(filepath.Dir(path), owner); err != nil {
		return nil, Ownership{}, fmt.Errorf("socket %s: %w", path, err)
	}
	unlock, err := lockFolder(filepath.Dir(path))
	if err != nil {
		return nil, Ownership{}, fmt.Errorf("socket %s: %w", path, err)
	}
	defer unlock()
	if err := makeRoom(path); err != nil {
		return nil, Ownership{}, err
	}
	l, err := bind(owner)
	if err != nil {
		return nil, Ownership{}, err
	}
	return l, owner, nil
}

// find looks the group up.
func (o *Ownership) find(group string) error {
	if group == "" {
		return nil
	}
	g, err := user.LookupGroup(group)
	var unknown user.UnknownGroupError
	if errors.As(err, &unknown) || errors.Is(err, fs.ErrNotExist) {
		o.Missing = group
		return nil
	}
	if err != nil {
		return fmt.Errorf("look up group %s: %w", group, err)
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return fmt.Errorf("group %s has the id %q: %w", group, g.Gid, err)
	}
	o.Mode, o.GID, o.Group = 0o660, gid, group
	return nil
}

// makeFolder leaves a folder that exists as it is: it may be shared.
func makeFolder(dir string, owner Ownership) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	err := withUmask(0o027, func() error { return os.Mkdir(dir, 0o750) })
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil || owner.Group == "" {
		return err
	}
	return os.Chown(dir, -1, owner.GID)
}

// lockFolder keeps two daemons that start at once from each finding the other's
// new socket dead. A lock on the folder itself leaves no file behind.
func lockFolder(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	locked := make(chan error, 1)
	go func() { locked <- flock(f) }()
	select {
	case err := <-locked:
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
		return func() { f.Close() }, nil
	case <-time.After(lockWait):
		go func() {
			<-locked
			f.Close()
		}()
		return nil, fmt.Errorf("lock %s: another process has held it for %v", dir, lockWait)
	}
}

func flock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// makeRoom removes a dead socket at path and refuses everything else that is there.
func makeRoom(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("socket %s: there is something that is not a socket (%s): remove it or choose another path", path, info.Mode())
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		defer c.Close()
		return fmt.Errorf("socket %s: %s listens on it: stop that one, or choose another path", path, listener(c))
	}
	// Anything but a refusal, a full backlog for one, may be a live daemon.
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("socket %s: is in use or may not be opened: %w", path, err)
	}
	return os.Remove(path)
}

// listener names the process at the other end.
func listener(c net.Conn) string {
	p, err := peerOf(c)
	if err != nil {
		return "another process"
	}
	name, err := os.ReadFile("/proc/" + strconv.Itoa(int(p.PID)) + "/comm")
	if err != nil {
		return fmt.Sprintf("process %d", p.PID)
	}
	return fmt.Sprintf("process %d (%s)", p.PID, api.Printable(strings.TrimSpace(string(name))))
}

func bind(owner Ownership) (net.Listener, error) {
	var l *net.UnixListener
	err := withUmask(0o777&^int(owner.Mode), func() (err error) {
		l, err = net.ListenUnix("unix", &net.UnixAddr{Name: owner.Path, Net: "unix"})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", owner.Path, err)
	}
	// The standard library removes whatever has that name by then.
	l.SetUnlinkOnClose(false)
	info, err := os.Lstat(owner.Path)
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("socket %s: %w", owner.Path, err)
	}
	s := &socket{UnixListener: l, path: owner.Path, info: info}
	if owner.Group != "" {
		// Until here the mode's group was our own: narrower, for a daemon of root.
		if err := os.Chown(owner.Path, -1, owner.GID); err != nil {
			s.Close()
			return nil, fmt.Errorf("socket %s: give it to group %s: %w", owner.Path, owner.Group, err)
		}
	}
	return s, nil
}

// withUmask runs fn on a thread with a umask of its own, because the process's
// would also be that of every file another goroutine makes meanwhile. The
// thread ends with fn. Where a sandbox forbids that, it is the process's umask.
func withUmask(mask int, fn func() error) error {
	done := make(chan error)
	go func() {
		// Never unlocked: the thread must not be used again.
		runtime.LockOSThread()
		_ = syscall.Unshare(syscall.CLONE_FS)
		old := syscall.Umask(mask)
		err := fn()
		syscall.Umask(old)
		done <- err
	}()
	return <-done
}

// socket is a listener that takes only its own socket away.
type socket struct {
	*net.UnixListener
	path string
	info fs.FileInfo
	once sync.Once
}

// Close removes the socket first: while we listen nobody takes its place, and
// the open socket keeps its inode number from being used again. A second Close
// has neither on its side and leaves the path alone.
func (s *socket) Close() error {
	var removed error
	s.once.Do(func() {
		if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.info) {
			removed = os.Remove(s.path)
		}
	})
	return errors.Join(removed, s.UnixListener.Close())
}
