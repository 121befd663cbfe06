package wire

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// umask sets the process's umask for a test, which must not run in parallel.
func umask(t *testing.T, mask int) {
	old := syscall.Umask(mask)
	t.Cleanup(func() { syscall.Umask(old) })
}

// ownGroup is the name of a group that the test may give files to.
func ownGroup(t *testing.T) *user.Group {
	t.Helper()
	if os.Getuid() == 0 {
		if g, err := user.LookupGroup("daemon"); err == nil {
			return g
		}
	}
	g, err := user.LookupGroupId(strconv.Itoa(os.Getgid()))
	if err != nil {
		t.Skip("the group of this process has no name:", err)
	}
	return g
}

func listen(t *testing.T, path, group string) (net.Listener, Ownership) {
	t.Helper()
	l, o, err := Listen(path, group)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, o
}

func stat(t *testing.T, path string) (fs.FileMode, uint32) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode(), info.Sys().(*syscall.Stat_t).Gid
}

// dead leaves a socket that nobody listens on.
func dead(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

func TestPermissions(t *testing.T) {
	g := ownGroup(t)
	for _, mask := range []int{0, 0o777} {
		umask(t, mask)
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "run", "s")
		_, o := listen(t, path, g.Name)
		mode, gid := stat(t, path)
		if mode != fs.ModeSocket|0o660 || strconv.Itoa(int(gid)) != g.Gid || o.Mode != 0o660 || o.Group != g.Name || o.GID != int(gid) {
			t.Errorf("umask %o, with group: %v, group %d, %+v", mask, mode, gid, o)
		}
		if mode, gid = stat(t, filepath.Dir(path)); mode != fs.ModeDir|0o750 || strconv.Itoa(int(gid)) != g.Gid {
			t.Errorf("umask %o, folder: %v, group %d", mask, mode, gid)
		}
		path += "2"
		_, o = listen(t, path, "no-such-group")
		if mode, _ = stat(t, path); mode != fs.ModeSocket|0o600 || o.Mode != 0o600 || !strings.Contains(o.String(), "no group no-such-group") {
			t.Errorf("umask %o, without group: %v, %v", mask, mode, o)
		}
		if old := syscall.Umask(mask); old != mask {
			t.Errorf("the process's umask was %o and became %o", mask, old)
		}
	}
}

// TestUmaskIsPrivate makes a file elsewhere while a socket is being made.
func TestUmaskIsPrivate(t *testing.T) {
	if err := tryUnshare(); err != nil {
		t.Skip("no umask of a thread's own here:", err)
	}
	umask(t, 0o022)
	path := filepath.Join(t.TempDir(), "f")
	err := withUmask(0o777, func() error {
		made := make(chan error)
		go func() { made <- os.WriteFile(path, nil, 0o644) }()
		return <-made
	})
	if err != nil {
		t.Fatal(err)
	}
	if mode, _ := stat(t, path); mode != 0o644 {
		t.Errorf("a file of another goroutine got the mode %v", mode)
	}
}

func tryUnshare() error {
	var failed error
	_ = withUmask(0o022, func() error {
		failed = syscall.Unshare(syscall.CLONE_FS)
		return nil
	})
	return failed
}

func TestFolderThatExistsIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	listen(t, filepath.Join(dir, "s"), "")
	if mode, _ := stat(t, dir); mode.Perm() != 0o711 {
		t.Errorf("mode %v", mode)
	}
}

func TestLiveSocketIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listen(t, path, "")
	_, _, err := Listen(path, "")
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "process "+strconv.Itoa(os.Getpid())+" (") {
		t.Errorf("error %v", err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("the first no longer listens: %v", err)
	}
	c.Close()
}

func TestDeadSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead(t, path)
	listen(t, path, "")
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestWhatIsNoSocketStays(t *testing.T) {
	dir := t.TempDir()
	file, link, sock := filepath.Join(dir, "f"), filepath.Join(dir, "l"), filepath.Join(dir, "s")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	dead(t, sock)
	if err := os.Symlink(sock, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link, dir} {
		if _, _, err := Listen(path, ""); err == nil || !strings.Contains(err.Error(), "not a socket") {
			t.Errorf("%s: %v", path, err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
}

func TestBadPaths(t *testing.T) {
	for _, path := range []string{"", "s", "@s", "\x00s", "/tmp/\x00", "/" + strings.Repeat("x", pathMax), "/proc/nowhere/s"} {
		if l, _, err := Listen(path, ""); err == nil {
			l.Close()
			t.Errorf("%q was taken", path)
		}
	}
}

func TestCloseTakesOnlyItsOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	first, _ := listen(t, path, "")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second, _ := listen(t, path, "")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("the second lost its socket: %v", err)
	}
	c.Close()
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the second left its socket: %v", err)
	}
}

// TestOneOfManyGetsTheSocket starts several at once over a dead socket.
func TestOneOfManyGetsTheSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead(t, path)
	const many = 16
	got := make([]net.Listener, many)
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() { got[i], _, _ = Listen(path, "") })
	}
	wg.Wait()
	n := 0
	for _, l := range got {
		if l != nil {
			n++
			defer l.Close()
		}
	}
	if n != 1 {
		t.Errorf("%d got the socket, want 1", n)
	}
}
