package vpcd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// runDir holds one lock file per host name: two daemons of one name, whatever
// their data directories, would fight over the same kernel objects.
const runDir = "/run/vpcd"

// lockHost refuses a second daemon of the same name on this machine and says
// what the first one is.
func lockHost(name, purpose string) (*os.File, error) {
	if err := os.MkdirAll(runDir, 0o755); err != nil {
		return nil, err
	}
	path := filepath.Join(runDir, name+".lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		owner, _ := os.ReadFile(path)
		f.Close()
		return nil, fmt.Errorf("%w: another vpcd runs here as host %s (%s)", ErrRefused, name, strings.TrimSpace(string(owner)))
	}
	if err := sign(f, path, purpose); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// sign says in the lock file who holds it. A file that cleanup has removed
// since it was opened locks nobody out.
func sign(f *os.File, path, purpose string) error {
	held, err := f.Stat()
	if err != nil {
		return err
	}
	if now, err := os.Stat(path); err != nil || !os.SameFile(held, now) {
		return fmt.Errorf("%w: %s was removed a moment ago; try again", ErrRefused, path)
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "pid %d, %s\n", os.Getpid(), purpose)
	return err
}
