package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrNotOurs says that a directory is not one that a Store has made.
var ErrNotOurs = errors.New("it holds no state of vpcd")

// CheckOurs is nil for a state directory. What merely points at one is none: who
// removes it would remove something else.
func CheckOurs(path string) error {
	for _, dir := range []string{path, filepath.Join(path, etcdName)} {
		info, err := os.Lstat(dir)
		switch {
		case errors.Is(err, os.ErrNotExist):
			return fmt.Errorf("%w: there is no %s", ErrNotOurs, dir)
		case err != nil:
			return err
		case !info.IsDir():
			return fmt.Errorf("%w: %s is no directory", ErrNotOurs, dir)
		}
	}
	info, err := os.Lstat(filepath.Join(path, lockName))
	if err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("%w: there is no file %s", ErrNotOurs, filepath.Join(path, lockName))
	}
	return nil
}

// Remove deletes a state directory with all records. What others have put there
// stays, and the directory with it: the error is then ENOTEMPTY. Other errors:
// ErrNotOurs, ErrInUse.
func Remove(path string) error {
	if err := CheckOurs(path); err != nil {
		return err
	}
	lock, err := os.Open(filepath.Join(path, lockName))
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	defer lock.Close()
	// Nothing is written into it: removing has to work on a full disk.
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("%w: %s", ErrInUse, path)
	}
	// The layout goes last but for the lock: without it, what is left after a
	// crash is a first start that was cut off, and not damage.
	errs := []error{os.RemoveAll(filepath.Join(path, etcdName, "member"))}
	for _, name := range []string{etcdName, socketName, layoutName + ".new", layoutName, lockName} {
		if err := os.Remove(filepath.Join(path, name)); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	errs = append(errs, unix.Rmdir(path))
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("store: %s: %w", path, err)
		}
	}
	return nil
}
