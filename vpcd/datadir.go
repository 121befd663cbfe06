package vpcd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/seal"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// What lies in a data directory, beside the backup socket.
const (
	storeDir  = "store"
	sealFile  = "seal.key"
	ownerFile = "host" // the name of the host that the store belongs to
)

// makeDataDir makes the directory, or refuses one in which others can put files:
// a store or a key of theirs would be taken for ours.
func makeDataDir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return checkDataDir(path, info, os.Geteuid())
}

func checkDataDir(path string, info fs.FileInfo, user int) error {
	if !info.IsDir() {
		return fmt.Errorf("%s is no directory", path)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != user {
		return fmt.Errorf("%s belongs to user %d and not to the daemon's, %d; chown %d %s if it is yours", path, st.Uid, user, user, path)
	}
	if perm := info.Mode().Perm(); perm&0o022 != 0 {
		return fmt.Errorf("the permissions of %s are %#o, so others may put files there; chmod go-w %s", path, perm, path)
	}
	return nil
}

// ownDataDir leaves the host's name where it can be read without a store.
func ownDataDir(path, host string) error {
	name := filepath.Join(path, ownerFile)
	if have, err := os.ReadFile(name); err == nil && strings.TrimSpace(string(have)) == host {
		return nil
	}
	err := os.WriteFile(name+".new", []byte(host+"\n"), 0o600)
	if err == nil {
		err = os.Rename(name+".new", name)
	}
	return err
}

// sayLost warns of secrets that the seal key does not open. Nothing else says
// that a key was lost: EC2's clients are told no more than of a wrong secret.
func sayLost(cfg Config, box *seal.Box, lost int) {
	if lost == 0 {
		return
	}
	what := "the seal key is not the one that access keys were made with"
	if box.Made() {
		what = "the seal key was missing and a new one was made"
	}
	cfg.Logger.Warn(what+": their secrets cannot be read; stop vpcd and put the old file back, or delete the keys and make new ones",
		"path", filepath.Join(cfg.DataDir, sealFile), "access keys", lost)
}

// namedOwner is what the file says, "" if it says nothing.
func namedOwner(path string) string {
	text, err := os.ReadFile(filepath.Join(path, ownerFile))
	if name := strings.TrimSpace(string(text)); err == nil && CheckName(name) == nil {
		return name
	}
	return ""
}

// withoutStore tells a directory that a purge has left half done: the owner's
// name goes last.
func withoutStore(path string) bool {
	_, err := os.Lstat(filepath.Join(path, storeDir))
	return errors.Is(err, fs.ErrNotExist)
}

// ownerOf is the host that a data directory belongs to, "" for none yet. One
// without the file is asked for its records.
func ownerOf(ctx context.Context, path string) (string, error) {
	if name := namedOwner(path); name != "" {
		return name, nil
	}
	st, err := store.Open(ctx, store.Config{Dir: filepath.Join(path, storeDir), Decode: record.Decode})
	if err != nil {
		return "", fmt.Errorf("whose it is cannot be told: %w", err)
	}
	defer st.Close()
	for key := range store.List[*record.HostStatus](st.Snapshot(), record.Statuses) {
		return strings.TrimPrefix(key, record.Statuses), nil
	}
	return "", nil
}

// purgeable says whose data a directory holds, and refuses to take any other
// directory for one. There may be none at all: then there is nothing to refuse.
func purgeable(ctx context.Context, path string) (owner string, there bool, err error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", false, nil
	case err != nil:
		return "", false, err
	case info.Mode()&fs.ModeSymlink != 0:
		return "", false, fmt.Errorf("%s is a symbolic link; name the directory itself", path)
	case !info.IsDir():
		return "", false, fmt.Errorf("%s is no directory", path)
	}
	if owner := namedOwner(path); owner != "" && withoutStore(path) {
		return owner, true, nil
	}
	if err := store.CheckOurs(filepath.Join(path, storeDir)); err != nil {
		return "", false, fmt.Errorf("%s is not a data directory of vpcd, and nothing was removed: %w", path, err)
	}
	if inUse(path) {
		return "", false, fmt.Errorf("a vpcd runs on %s; stop it first", path)
	}
	if owner, err = ownerOf(ctx, path); err != nil {
		return "", false, fmt.Errorf("%s: %w", path, err)
	}
	return owner, true, nil
}

// purge removes what vpcd has put into a data directory, by name, and the
// directory if that was all. Else kept says why it is still there.
func purge(path string) (kept string, err error) {
	if !withoutStore(path) {
		if err := store.Remove(filepath.Join(path, storeDir)); err != nil && !errors.Is(err, syscall.ENOTEMPTY) {
			return "", err
		}
	}
	errs := []error{seal.Remove(filepath.Join(path, sealFile))}
	for _, name := range []string{backupSocket, ownerFile + ".new", ownerFile} {
		if err := os.Remove(filepath.Join(path, name)); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	err = syscall.Rmdir(path)
	switch {
	case err == nil, errors.Is(err, syscall.ENOENT):
		return "", nil
	case errors.Is(err, syscall.ENOTEMPTY), errors.Is(err, syscall.EEXIST):
		return "it holds files that are not vpcd's", nil
	case errors.Is(err, syscall.EBUSY):
		return "it is a mount point", nil
	}
	return "", fmt.Errorf("remove %s: %w", path, err)
}
