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
// which data directory the first one has.
func lockHost(name, dataDir string) (*os.File, error) {
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
		return nil, fmt.Errorf("%w: another vpcd runs here as host %s (%s); choose another --name, or stop that one",
			ErrRefused, name, strings.TrimSpace(string(owner)))
	}
	if err := f.Truncate(0); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(f, "pid %d, data directory %s\n", os.Getpid(), dataDir); err != nil {
		return nil, err
	}
	return f, nil
}
