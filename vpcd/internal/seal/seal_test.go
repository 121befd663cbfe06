package seal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"pgregory.net/rapid"
)

func newBox(t *testing.T) (*Box, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "seal.key")
	box, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return box, path
}

func TestOnlyTheSameKeyAndContextOpen(t *testing.T) {
	box, path := newBox(t)
	again, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	stranger, _ := newBox(t)
	sealed, err := box.Seal([]byte("secret"), []byte("record 1"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("secret")) {
		t.Errorf("%q shows the secret", sealed)
	}
	if plain, err := again.Open(sealed, []byte("record 1")); err != nil || string(plain) != "secret" {
		t.Errorf("after a restart it opens as %q, %v", plain, err)
	}
	if plain, err := box.Open(sealed, []byte("record 2")); !errors.Is(err, ErrSealed) || plain != nil {
		t.Errorf("in another record it opens as %q, %v", plain, err)
	}
	if plain, err := stranger.Open(sealed, []byte("record 1")); !errors.Is(err, ErrSealed) || plain != nil {
		t.Errorf("with another key it opens as %q, %v", plain, err)
	}
	if twice, err := box.Seal([]byte("secret"), []byte("record 1")); err != nil || bytes.Equal(twice, sealed) {
		t.Errorf("sealed twice it is the same %x, %v: equal secrets can be told", twice, err)
	}
}

// TestTampering: a secret comes back whole, and with any bit changed, any part
// cut off or anything added it does not come back at all.
func TestTampering(t *testing.T) {
	box, _ := newBox(t)
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		context := rapid.SliceOf(rapid.Byte()).Draw(t, "context")
		sealed, err := box.Seal(plain, context)
		if err != nil {
			t.Fatal(err)
		}
		if have, err := box.Open(sealed, context); err != nil || !bytes.Equal(have, plain) {
			t.Fatalf("%x comes back as %x, %v", plain, have, err)
		}
		bit := rapid.IntRange(0, 8*len(sealed)-1).Draw(t, "bit")
		changed := bytes.Clone(sealed)
		changed[bit/8] ^= 1 << (bit % 8)
		short := sealed[:rapid.IntRange(0, len(sealed)-1).Draw(t, "length")]
		for _, bad := range [][]byte{changed, short, append(bytes.Clone(sealed), 0), nil} {
			if have, err := box.Open(bad, context); !errors.Is(err, ErrSealed) || have != nil {
				t.Fatalf("%x opens as %x, %v", bad, have, err)
			}
		}
		if have, err := box.Open(sealed, append(bytes.Clone(context), 0)); !errors.Is(err, ErrSealed) {
			t.Fatalf("a longer context opens it as %x, %v", have, err)
		}
	})
}

func FuzzOpen(f *testing.F) {
	box, err := Open(filepath.Join(f.TempDir(), "seal.key"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{}, []byte{})
	f.Add([]byte{format}, []byte("context"))
	f.Fuzz(func(t *testing.T, sealed, context []byte) {
		if plain, err := box.Open(sealed, context); !errors.Is(err, ErrSealed) || plain != nil {
			t.Errorf("%x opens as %x, %v", sealed, plain, err)
		}
	})
}

func TestTheFile(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	_, path := newBox(t)
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 || info.Size() != keySize {
		t.Errorf("the key file is %v, %v", info, err)
	}
	if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 1 {
		t.Errorf("beside the key lies %v", files)
	}
}

// TestAfterACrash: what was left of making a key is gone, linked or not, and
// the key and the files of others are not.
func TestAfterACrash(t *testing.T) {
	box, path := newBox(t)
	sealed, err := box.Seal([]byte("secret"), nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(path)
	if err := os.Link(path, filepath.Join(dir, ".seal.key-1")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".seal.key-2", ".seal.keys", "seal.key-3"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Open(sealed, nil); err != nil {
		t.Errorf("the key is another: %v", err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 3 {
		t.Errorf("left are %v, %v", files, err)
	}
}

// TestManyAtOnce: those that start together without a key agree on one.
func TestManyAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seal.key")
	boxes := make([]*Box, 8)
	var all sync.WaitGroup
	for i := range boxes {
		all.Go(func() {
			box, err := Open(path)
			if err != nil {
				t.Error(err)
			}
			boxes[i] = box
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	sealed, err := boxes[0].Seal([]byte("secret"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, box := range boxes {
		if _, err := box.Open(sealed, nil); err != nil {
			t.Errorf("number %d has another key: %v", i, err)
		}
	}
}

func TestRefusedFiles(t *testing.T) {
	key := strings.Repeat("k", keySize)
	for _, tt := range []struct {
		name, want string
		make       func(path string) error
	}{
		{"readable by others", "chmod 600", writes(key, 0o644)},
		{"readable by the group", "chmod 600", writes(key, 0o640)},
		{"writable by others", "chmod 600", writes(key, 0o602)},
		{"executable", "chmod 600", writes(key, 0o700)},
		{"empty", "0 bytes", writes("", 0o600)},
		{"short", "31 bytes", writes(key[1:], 0o600)},
		{"long", "33 bytes", writes(key+"k", 0o600)},
		{"directory", "no regular file", func(path string) error { return os.Mkdir(path, 0o700) }},
		{"pipe", "no regular file", func(path string) error { return syscall.Mkfifo(path, 0o600) }},
		{"in a missing directory", "no such file", func(path string) error { return os.Remove(filepath.Dir(path)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keys", "seal.key")
			if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := tt.make(path); err != nil {
				t.Fatal(err)
			}
			box, err := Open(path)
			if box != nil || err == nil {
				t.Fatalf("it is taken: %v, %v", box, err)
			}
			if text := err.Error(); !strings.Contains(text, tt.want) || !strings.Contains(text, filepath.Dir(path)) {
				t.Errorf("the error %q lacks %q or the path", text, tt.want)
			}
		})
	}
}

func writes(content string, mode os.FileMode) func(string) error {
	return func(path string) error {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
		return os.Chmod(path, mode)
	}
}

func TestAnotherUsersFile(t *testing.T) {
	_, path := newBox(t)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := checkFile(path, info, os.Geteuid()); err != nil {
		t.Error(err)
	}
	if err := checkFile(path, info, os.Geteuid()+1); err == nil || !strings.Contains(err.Error(), "chown") || !strings.Contains(err.Error(), path) {
		t.Errorf("a key of another user: %v", err)
	}
}

// TestAReadOnlyKey: a key that is mounted from elsewhere may be a link and
// need not be writable.
func TestAReadOnlyKey(t *testing.T) {
	_, path := newBox(t)
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(link); err != nil {
		t.Error(err)
	}
}

// TestMade: a new key says that it is new, once, and Remove takes it and what a
// crash left of it.
func TestMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seal.key")
	for _, want := range []bool{true, false} {
		box, err := Open(path)
		if err != nil || box.Made() != want {
			t.Errorf("made: %v, want %t", err, want)
		}
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), unfinished(path)+"1"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Remove(path); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
