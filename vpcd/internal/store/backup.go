package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"
)

// sectorSize divides the length of a database; a backup is that plus its hash.
const sectorSize = 512

// Backup writes the whole store at one revision to w: an etcd snapshot, that is
// the database file and its SHA-256. It returns an error if what was written
// is incomplete.
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := s.client.Snapshot(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer r.Close()
	sum := &trailingSum{hash: sha256.New()}
	if _, err := io.Copy(io.MultiWriter(w, sum), r); err != nil {
		return fmt.Errorf("store: backup: %w", err)
	}
	return sum.check()
}

// Restore makes a state directory at dir from the backup file src. dir must be
// missing or empty. It fails without leaving anything there if the backup is
// damaged. A dir that is open counts as not empty; one that is a mount point
// cannot be replaced. Errors: ErrNotEmpty, ErrCorrupt.
func Restore(ctx context.Context, src, dir string) error {
	if err := verifyBackup(ctx, src); err != nil {
		return err
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%w: %s", ErrNotEmpty, dir)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("store: %w", err)
	}
	// Built beside its destination: a directory with the final name is complete.
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), ".restore-")
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	defer os.RemoveAll(work)
	if err := unpack(src, filepath.Join(work, etcdName)); err != nil {
		return err
	}
	if _, err := checkDatabase(filepath.Join(work, etcdName, "member", "snap", "db")); err != nil {
		return err
	}
	if err := writeLayout(work); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// rename replaces an empty directory and refuses one that has been filled meanwhile.
	if err := os.Rename(work, dir); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// unpack makes etcd's data directory. Its functions panic on some damage.
func unpack(src, dir string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %s: %v", ErrCorrupt, src, r)
		}
	}()
	setSegmentSize()
	err = snapshot.NewV3(zap.NewNop()).Restore(snapshot.RestoreConfig{
		SnapshotPath:        src,
		Name:                memberName,
		OutputDataDir:       dir,
		PeerURLs:            []string{peerURL},
		InitialCluster:      memberName + "=" + peerURL,
		InitialClusterToken: "etcd-cluster",
	})
	if err != nil {
		return fmt.Errorf("store: restoring %s: %w", src, err)
	}
	return nil
}

// verifyBackup compares the file with the hash at its end.
func verifyBackup(ctx context.Context, src string) error {
	f, err := os.Open(src)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	defer f.Close()
	sum := &trailingSum{hash: sha256.New()}
	buf := make([]byte, 1<<20)
	for {
		n, err := f.Read(buf)
		sum.Write(buf[:n])
		if err == io.EOF {
			break
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return fmt.Errorf("store: reading %s: %w", src, err)
		}
	}
	if err := sum.check(); err != nil {
		return fmt.Errorf("%s: %w", src, err)
	}
	return nil
}

// trailingSum hashes all that is written to it but the last 32 bytes, which
// are the hash that should come out.
type trailingSum struct {
	hash hash.Hash
	tail []byte
	size int64
}

func (t *trailingSum) Write(p []byte) (int, error) {
	t.size += int64(len(p))
	t.tail = append(t.tail, p...)
	if extra := len(t.tail) - sha256.Size; extra > 0 {
		t.hash.Write(t.tail[:extra])
		t.tail = append(t.tail[:0], t.tail[extra:]...)
	}
	return len(p), nil
}

func (t *trailingSum) check() error {
	if t.size%sectorSize != sha256.Size {
		return fmt.Errorf("%w: backup is incomplete (%d bytes)", ErrCorrupt, t.size)
	}
	if string(t.hash.Sum(nil)) != string(t.tail) {
		return fmt.Errorf("%w: backup does not match its hash", ErrCorrupt)
	}
	return nil
}
