package vpcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/internal/seal"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// dataOf makes a data directory as a daemon of this name leaves it.
func dataOf(t *testing.T, host string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if err := makeDataDir(dir); err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(t.Context(), store.Config{Dir: filepath.Join(dir, storeDir), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	_, sealed := seal.Open(filepath.Join(dir, sealFile))
	if err := errors.Join(st.Close(), sealed, ownDataDir(dir, host)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestPurgeRefuses: what is not the named host's data directory is left as it is.
func TestPurgeRefuses(t *testing.T) {
	needRoot(t)
	full := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	theirs := dataOf(t, "theirs")
	file := filepath.Join(full, "precious")
	inner := filepath.Join(full, storeDir)
	if err := errors.Join(os.WriteFile(file, []byte("mine"), 0o600), os.Mkdir(inner, 0o700), os.WriteFile(filepath.Join(inner, "lock"), nil, 0o600), os.Symlink(theirs, link)); err != nil {
		t.Fatal(err)
	}
	for dir, words := range map[string]string{
		full:        "not a data directory",
		t.TempDir(): "not a data directory",
		file:        "no directory",
		link:        "symbolic link",
		theirs:      "belongs to host theirs",
		"/":         "not a data directory",
	} {
		done, err := Cleanup(t.Context(), CleanupOptions{Name: "ours-not-here", DataDir: dir, PurgeData: true, Force: true})
		if !errors.Is(err, ErrRefused) || done.Purged || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %+v, %v; want %q", dir, done, err, words)
		}
	}
	if text, err := os.ReadFile(file); string(text) != "mine" {
		t.Errorf("the file of others: %v", err)
	}
	if owner, there, err := purgeable(t.Context(), theirs); owner != "theirs" || !there || err != nil {
		t.Errorf("the other host's: %q, %t, %v", owner, there, err)
	}
}

// TestPurgeTakesOurs: files go by name, here from inside of the directory; what
// is not vpcd's stays, and is what keeps the directory.
func TestPurgeTakesOurs(t *testing.T) {
	needRoot(t)
	dir := dataOf(t, "gone")
	t.Chdir(dir)
	done, err := Cleanup(context.Background(), CleanupOptions{Name: "gone", DataDir: ".", PurgeData: true})
	if err != nil || !done.Purged || done.Kept != "" || len(done.Removed) != 0 || len(done.Absent) != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	absent(t, dir)

	for _, name := range []string{"mine", "store/mine", "store/etcd/mine"} {
		dir := dataOf(t, "kept")
		mine := filepath.Join(dir, name)
		if err := os.WriteFile(mine, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		kept, err := purge(dir)
		if err != nil || !strings.Contains(kept, "not vpcd's") {
			t.Errorf("%s: kept for %q, %v", name, kept, err)
		}
		if _, err := os.Stat(mine); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		absent(t, filepath.Join(dir, sealFile), filepath.Join(dir, ownerFile), filepath.Join(dir, "store", "layout"), filepath.Join(dir, "store", "etcd", "member"))
	}
}

// TestPurgeGoesOn: one that was cut off behind the store is finished by the next.
func TestPurgeGoesOn(t *testing.T) {
	needRoot(t)
	dir := dataOf(t, "cut")
	if err := store.Remove(filepath.Join(dir, storeDir)); err != nil {
		t.Fatal(err)
	}
	done, err := Cleanup(t.Context(), CleanupOptions{Name: "cut", DataDir: dir, PurgeData: true})
	if err != nil || !done.Purged || done.Kept != "" {
		t.Errorf("%+v, %v", done, err)
	}
	absent(t, dir)
}

// TestDataDirOfOthers: nobody else may be able to put files there.
func TestDataDirOfOthers(t *testing.T) {
	dir := t.TempDir()
	for mode, ok := range map[os.FileMode]bool{0o700: true, 0o755: true, 0o775: false, 0o757: false, 0o777 | os.ModeSticky: false} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		err := makeDataDir(dir)
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "chmod go-w "+dir) {
			t.Errorf("%v: %v", mode, err)
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	other := int(info.Sys().(*syscall.Stat_t).Uid) + 1
	if err := checkDataDir(dir, info, other); err == nil || !strings.Contains(err.Error(), "chown") {
		t.Errorf("another user's: %v", err)
	}
}

// TestAFullDiskRefusesTheStart, in whatever part of it the disk was full.
func TestAFullDiskRefusesTheStart(t *testing.T) {
	for _, err := range []error{&store.DiskFullError{Dir: "/d"}, fmt.Errorf("store: %w", &os.PathError{Op: "write", Path: "/d", Err: syscall.ENOSPC})} {
		if err = refusedStore(err); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "--data-dir") || !strings.Contains(err.Error(), "/d") {
			t.Errorf("%v", err)
		}
	}
}

// TestALostKeyIsSaid when vpcd starts, and nothing where none is lost.
func TestALostKeyIsSaid(t *testing.T) {
	dir := t.TempDir()
	for want, lost := range map[string]int{"": 0, "was missing and a new one was made": 2, "is not the one": 1} {
		box, err := seal.Open(filepath.Join(dir, fmt.Sprint(lost)))
		if lost == 1 {
			box, err = seal.Open(filepath.Join(dir, fmt.Sprint(lost)))
		}
		if err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		sayLost(Config{DataDir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))}, box, lost)
		if (log.Len() > 0) != (lost > 0) || !strings.Contains(log.String(), want) {
			t.Errorf("%d lost: %q", lost, log.String())
		}
	}
}
