package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestOpenIsFast(t *testing.T) {
	dir := t.TempDir()
	for _, run := range []string{"first", "second"} {
		start := time.Now()
		s, err := Open(t.Context(), Config{Dir: dir})
		took := time.Since(start)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s start: %v", run, took)
		if took > time.Second {
			t.Errorf("%s start took %v", run, took)
		}
		start = time.Now()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("close took %v", took)
		}
	}
}

func TestStateDirectoryIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	open(t, Config{Dir: dir})
	for _, name := range []string{"", etcdName} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%q: %v, %v", name, info.Mode(), err)
		}
	}
}

// TestOnlyUnixSockets compares this process's sockets before and while a store is open.
func TestOnlyUnixSockets(t *testing.T) {
	dir := t.TempDir()
	before := ownSockets(t)
	open(t, Config{Dir: dir, NoSync: true})
	var bound []string
	for inode, what := range ownSockets(t) {
		if _, ok := before[inode]; ok || what == "unix " {
			continue // the client's end of a unix connection has no name
		}
		bound = append(bound, what)
		if what != "unix "+filepath.Join(dir, socketName) {
			t.Errorf("unexpected socket: %s", what)
		}
	}
	if len(bound) == 0 {
		t.Error("the store's own socket was not seen: the test looks in the wrong place")
	}
}

// ownSockets maps the inode of each socket of this process to its protocol and address.
func ownSockets(t *testing.T) map[string]string {
	t.Helper()
	held := map[string]bool{}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		target, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if inode, ok := strings.CutPrefix(target, "socket:["); err == nil && ok {
			held[strings.TrimSuffix(inode, "]")] = true
		}
	}
	out := map[string]string{}
	for file, column := range map[string]int{"tcp": 9, "tcp6": 9, "udp": 9, "udp6": 9, "unix": 6} {
		text, err := os.ReadFile("/proc/self/net/" + file)
		if err != nil {
			continue // no IPv6 here
		}
		for _, line := range strings.Split(string(text), "\n")[1:] {
			f := strings.Fields(line)
			if len(f) <= column || !held[f[column]] {
				continue
			}
			address := f[1]
			if file == "unix" {
				address = strings.Join(f[column+1:], " ")
			}
			out[f[column]] = file + " " + address
		}
	}
	return out
}

func TestLongDirectoryName(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 100), strings.Repeat("e", 100))
	s := open(t, Config{Dir: dir, NoSync: true})
	put(t, s, "a/x", 1)
	if _, err := os.Stat(filepath.Join(dir, socketName)); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, socketName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

func TestSecondOpenIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	_, err := Open(t.Context(), Config{Dir: dir})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("second open: %v", err)
	}
	s.Close()
	open(t, Config{Dir: dir})
}

func TestNewerLayoutIsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, Config{Dir: dir}).Close()
	layout := filepath.Join(dir, layoutName)
	for text, want := range map[string]error{"2\n": ErrNewerLayout, "what\n": ErrCorrupt} {
		if err := os.WriteFile(layout, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), Config{Dir: dir}); !errors.Is(err, want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("layout %q: %v", text, err)
		}
	}
}

// TestDamageIsRefused: whatever happened to the files, the answer is an error
// and never an empty store.
func TestDamageIsRefused(t *testing.T) {
	var log bytes.Buffer
	dir := t.TempDir()
	s := open(t, Config{Dir: dir, NoSync: true})
	for i := range 20 {
		mustUpdate(t, s, func(tx *Tx) {
			for j := range MaxOperations {
				tx.Put(fmt.Sprintf("%sa/%d-%d", Prefix, i, j), counter{i})
			}
		})
	}
	s.Close()
	db := filepath.Join("etcd", "member", "snap", "db")
	firstLog := filepath.Join("etcd", "member", "wal", "0000000000000000-0000000000000000.wal")
	truncate := func(n int64) func(string) error {
		return func(dir string) error { return os.Truncate(filepath.Join(dir, db), n) }
	}
	cases := map[string]func(dir string) error{
		"no bytes":      truncate(0),
		"one page":      truncate(4096),
		"cut":           truncate(20 * 4096),
		"removed":       func(dir string) error { return os.Remove(filepath.Join(dir, db)) },
		"all removed":   func(dir string) error { return os.RemoveAll(filepath.Join(dir, etcdName)) },
		"header gone":   overwrite(db, 0, 8192),
		"pages garbled": overwrite(db, 8192, 1<<20),
		"log garbled":   overwrite(firstLog, 4096, 64),
		"log cut":       func(dir string) error { return os.Truncate(filepath.Join(dir, firstLog), 8192) },
		"log zeroed":    func(dir string) error { return zero(filepath.Join(dir, firstLog), 8192) },
		"log removed":   func(dir string) error { return os.RemoveAll(filepath.Join(dir, filepath.Dir(firstLog))) },
	}
	for name, damage := range cases {
		t.Run(name, func(t *testing.T) {
			copied := filepath.Join(t.TempDir(), "state")
			if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			if err := damage(copied); err != nil {
				t.Fatal(err)
			}
			s, err := Open(t.Context(), Config{Dir: copied, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if err == nil {
				n := strings.Count(content(s.Snapshot()), "=")
				s.Close()
				t.Fatalf("opened, with %d records", n)
			}
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), copied) {
				t.Errorf("unclear error: %v", err)
			}
		})
	}
}

// zero clears a file from offset on and keeps its length, like lost blocks.
func zero(name string, offset int64) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if err := os.Truncate(name, offset); err != nil {
		return err
	}
	return os.Truncate(name, info.Size())
}

// TestFirstStartCutOff: etcd makes its database before its log; a crash
// between the two, before there is a layout, must not need a human.
func TestFirstStartCutOff(t *testing.T) {
	dir := t.TempDir()
	db := filepath.Join(dir, "etcd", "member", "snap", "db")
	if err := os.MkdirAll(filepath.Dir(db), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(db, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	put(t, open(t, Config{Dir: dir, NoSync: true}), "a/x", 1)
}

func overwrite(name string, offset, n int64) func(dir string) error {
	return func(dir string) error {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		_, err = f.WriteAt(bytes.Repeat([]byte{0xA5}, int(min(n, info.Size()-offset))), offset)
		return err
	}
}

func TestCloseLeaksNothing(t *testing.T) {
	cycle := func() {
		s, err := Open(t.Context(), Config{Dir: t.TempDir(), NoSync: true, Decode: decodeCounter})
		if err != nil {
			t.Fatal(err)
		}
		wake := s.Watch(t.Context(), Prefix, nil)
		put(t, s, "a/x", 1)
		waiting := make(chan error, 1)
		go func() { waiting <- s.Wait(context.Background(), func(*Snapshot) bool { return false }) }()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		for range wake { // ends because Close closes it
		}
		if err := <-waiting; !errors.Is(err, ErrClosed) {
			t.Errorf("wait: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("second close: %v", err)
		}
		if _, err := s.Update(t.Context(), func(tx *Tx) error { return nil }); !errors.Is(err, ErrClosed) {
			t.Errorf("update after close: %v", err)
		}
	}
	cycle() // starts what libraries keep for the process
	before := runtime.NumGoroutine()
	for range 3 {
		cycle()
	}
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, before %d\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
		runtime.Gosched()
	}
}

func TestBackupAndRestore(t *testing.T) {
	s := openFast(t)
	put(t, s, "a/x", 1)
	put(t, s, "b/y", 2)
	var backup bytes.Buffer
	if err := s.Backup(limit(t), &backup); err != nil {
		t.Fatal(err)
	}
	put(t, s, "a/later", 3)

	work := t.TempDir()
	write := func(name string, data []byte) string {
		file := filepath.Join(work, name)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	good := write("good", backup.Bytes())
	dir := filepath.Join(work, "restored")
	if err := Restore(limit(t), good, dir); err != nil {
		t.Fatal(err)
	}
	restored := open(t, Config{Dir: dir})
	wantContent(t, restored.Snapshot(), "a/x=1 b/y=2")
	put(t, restored, "a/x", 5)
	wantContent(t, restored.Snapshot(), "a/x=5 b/y=2")

	if err := Restore(limit(t), good, dir); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("into a used directory: %v", err)
	}
	flipped := bytes.Clone(backup.Bytes())
	flipped[len(flipped)/2] ^= 1
	cut := backup.Bytes()[:backup.Len()-512]
	for name, data := range map[string][]byte{"flipped": flipped, "cut": cut, "empty": {}, "text": []byte("hello")} {
		target := filepath.Join(work, "from-"+name)
		if err := Restore(limit(t), write(name, data), target); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(target); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: something is left at %s", name, target)
		}
	}
	if err := s.Backup(limit(t), failingWriter{}); err == nil {
		t.Error("a backup to a full disk succeeded")
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrShortWrite }
