package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"go.etcd.io/etcd/server/v3/storage/wal"
	"golang.org/x/sys/unix"
)

// Files in the state directory.
const (
	lockName   = "lock"      // flock'ed while open; holds the process id
	layoutName = "layout"    // layout version; present once there are records to lose
	socketName = "etcd.sock" // clients of the embedded etcd
	etcdName   = "etcd"      // etcd's data directory
)

// layoutVersion is what this version writes and the newest it reads.
const layoutVersion = 1

// maxSocketPath is the room in sockaddr_un for a path and its final zero.
const maxSocketPath = 107

// stateDir is an exclusively locked state directory.
type stateDir struct {
	path string
	lock *os.File
	self *os.File // the directory itself, to name it briefly
}

// openStateDir creates path if need be and locks it. Errors: ErrInUse.
func openStateDir(path string) (_ *stateDir, err error) {
	if path == "" {
		return nil, errors.New("store: no state directory given")
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("store: state directory: %w", err)
	}
	for _, dir := range []string{path, filepath.Join(path, etcdName)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("store: state directory: %w", err)
		}
	}
	if err := os.Chmod(path, 0o700); err != nil {
		return nil, fmt.Errorf("store: state directory: %w", err)
	}
	d := &stateDir{path: path}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if d.self, err = os.Open(path); err != nil {
		return nil, fmt.Errorf("store: state directory: %w", err)
	}
	if err = d.takeLock(); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *stateDir) takeLock() error {
	name := filepath.Join(d.path, lockName)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(name)
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("%w: %s (process %s)", ErrInUse, d.path, strings.TrimSpace(string(holder)))
		}
		return fmt.Errorf("store: locking %s: %w", name, err)
	}
	d.lock = f
	if err := f.Truncate(0); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

func (d *stateDir) etcdPath() string { return filepath.Join(d.path, etcdName) }

func (d *stateDir) databasePath() string {
	return filepath.Join(d.etcdPath(), "member", "snap", "db")
}

// socketPath is the name under which this process binds and dials the socket.
// A directory too long for a socket address is named by its descriptor, which
// needs no second place to clean up.
func (d *stateDir) socketPath() string {
	name := filepath.Join(d.path, socketName)
	if len(name) <= maxSocketPath {
		return name
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", d.self.Fd(), socketName)
}

// check refuses a directory that etcd would misread: written by a later
// version, damaged, or emptied behind our back, which etcd would take for new.
func (d *stateDir) check() error {
	version, used, err := d.readLayout()
	if err != nil {
		return err
	}
	if version > layoutVersion {
		return fmt.Errorf("%w: %s has layout %d, this version reads up to %d; "+
			"install the version that wrote it, or restore a backup into an empty directory",
			ErrNewerLayout, d.path, version, layoutVersion)
	}
	db := d.databasePath()
	log := filepath.Join(d.etcdPath(), "member", "wal")
	if _, err := os.Stat(db); err == nil {
		applied, err := checkDatabase(db)
		if err != nil && !used && !wal.Exist(log) {
			return os.Remove(db) // the very first start was cut off; nothing was ever written
		}
		if err != nil {
			return err
		}
		return checkLog(log, applied)
	} else if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("store: %w", err)
	}
	if used {
		return fmt.Errorf("%w: %s is missing; restore a backup into an empty directory, "+
			"or remove %s to begin with no records", ErrCorrupt, db, d.path)
	}
	return nil
}

func (d *stateDir) readLayout() (version int, present bool, err error) {
	name := filepath.Join(d.path, layoutName)
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("store: %w", err)
	}
	version, err = strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, false, fmt.Errorf("%w: %s does not hold a layout version: %q", ErrCorrupt, name, text)
	}
	return version, true, nil
}

// markUsed records the layout. It goes through a rename, so that a crash
// leaves the old file or the new one.
func (d *stateDir) markUsed() error {
	if version, used, err := d.readLayout(); err == nil && used && version == layoutVersion {
		return nil
	}
	return writeLayout(d.path)
}

func writeLayout(dir string) error {
	name := filepath.Join(dir, layoutName)
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	_, err = f.WriteString(strconv.Itoa(layoutVersion) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(name+".new", name)
	}
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// close gives up the lock. The lock file stays: removing it would let two
// processes lock two files of the same name.
func (d *stateDir) close() error {
	var err error
	for _, f := range []*os.File{d.self, d.lock} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	d.self, d.lock = nil, nil
	return err
}
