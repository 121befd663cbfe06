// Package seal keeps secrets unreadable in the store and in its backups: they
// are encrypted with a key that lies in a file beside the store and never in
// it. Who has only the store, or only the file, has no secret.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// keySize is that of an AES-256 key, bytes. The file is the key and nothing else.
const keySize = 32

// format is the first byte of what Seal returns, for the day it changes.
const format = 1

// ErrSealed is what Open answers for all it cannot open: a reader is not told
// whether the key, the context or the text is wrong, as nothing can tell.
var ErrSealed = errors.New("it was sealed with another key or for another record, or was changed since")

// Box seals and opens with one key. It may be used by many at once.
type Box struct {
	aead cipher.AEAD
	made bool
}

// Made reports whether Open had to make the key: then it opens nothing that was
// sealed before.
func (b *Box) Made() bool { return b.made }

// Open reads the key at path, or makes one where there is no file. It refuses
// a file that others may read or write, that belongs to another user, or that
// is not a key; the error names the path and the remedy.
func Open(path string) (*Box, error) {
	key, made, err := findKey(path)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("seal key %s: %w", path, err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("seal key %s: %w", path, err)
	}
	return &Box{aead: aead, made: made}, nil
}

// findKey reads the key or makes it. The lock on the directory keeps two who
// start at once from taking what the other is making for the rest of a crash.
func findKey(path string) (key []byte, made bool, err error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, false, fmt.Errorf("seal key: %w", err)
	}
	defer dir.Close()
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
		return nil, false, fmt.Errorf("seal key: lock %s: %w", dir.Name(), err)
	}
	if err := sweep(dir, path); err != nil {
		return nil, false, fmt.Errorf("seal key: %w", err)
	}
	key, err = readKey(path)
	if made = errors.Is(err, fs.ErrNotExist); made {
		if err = createKey(path); err == nil {
			key, err = readKey(path)
		}
	}
	return key, made, err
}

// Seal encrypts plain. context is not stored: it says what the secret belongs
// to, and only the same context opens it.
func (b *Box) Seal(plain, context []byte) ([]byte, error) {
	return b.aead.Seal([]byte{format}, nil, plain, context), nil
}

// Open is the inverse of Seal. The error is ErrSealed.
func (b *Box) Open(sealed, context []byte) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != format {
		return nil, ErrSealed
	}
	plain, err := b.aead.Open(nil, nil, sealed[1:], context)
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// readKey looks at the file that it has opened, so that nobody can put another
// in its place between the look and the reading.
func readKey(path string) ([]byte, error) {
	// Without O_NONBLOCK a pipe of that name would hold up the start for ever.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("seal key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("seal key: %w", err)
	}
	if err := checkFile(path, info, os.Geteuid()); err != nil {
		return nil, err
	}
	key := make([]byte, keySize)
	if _, err := io.ReadFull(f, key); err != nil {
		return nil, fmt.Errorf("seal key %s: %w", path, err)
	}
	return key, nil
}

// checkFile refuses a key that somebody else may know or have put there.
func checkFile(path string, info fs.FileInfo, user int) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("seal key %s: it is no regular file; move it away", path)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != user {
		return fmt.Errorf("seal key %s: it belongs to user %d and not to the daemon's, %d; chown %d %s if it is yours", path, stat.Uid, user, user, path)
	}
	if perm := info.Mode().Perm(); perm&^0o600 != 0 {
		return fmt.Errorf("seal key %s: its permissions are %#o, so others may have it; chmod 600 %s", path, perm, path)
	}
	if info.Size() != keySize {
		return fmt.Errorf("seal key %s: it has %d bytes and a key has %d; restore it from your copy, "+
			"or move it away: then a new one is made, and the access keys made so far are of no use any more", path, info.Size(), keySize)
	}
	return nil
}

// unfinished is how the names of keys begin that are being made for path.
func unfinished(path string) string { return "." + filepath.Base(path) + "-" }

// sweep removes what a crash has left of making a key: one that is linked
// already is the key itself, under a name that nobody guards.
func sweep(dir *os.File, path string) error {
	names, err := dir.Readdirnames(-1)
	for _, name := range names {
		if strings.HasPrefix(name, unfinished(path)) {
			err = errors.Join(err, os.Remove(filepath.Join(dir.Name(), name)))
		}
	}
	return err
}

// Remove deletes the key at path, and what a crash has left of making it.
// A key that is not there is no error.
func Remove(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("seal key: %w", err)
	}
	defer dir.Close()
	err = sweep(dir, path)
	if gone := os.Remove(path); !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}

// createKey makes the file whole or not at all: it is written under another
// name, and linking it refuses to replace a key that somebody else has made
// meanwhile. That one then is the key, and this is no error.
func createKey(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), unfinished(path)+"*")
	if err != nil {
		return fmt.Errorf("seal key: %w", err)
	}
	defer os.Remove(f.Name())
	err = writeKey(f)
	if err == nil {
		err = os.Link(f.Name(), path)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("seal key: %w", err)
	}
	return nil
}

// writeKey needs no Chmod: CreateTemp gives 0600, whatever the umask adds.
func writeKey(f *os.File) error {
	key := make([]byte, keySize)
	// rand.Read never fails: it ends the process instead.
	_, _ = rand.Read(key)
	_, err := f.Write(key)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
