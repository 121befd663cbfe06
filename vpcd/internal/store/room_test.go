package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap"
)

// disk is a file system as a test says.
type disk struct{ free, inodes int64 }

func (d *disk) put(r *room) {
	r.statfs = func(_ string, st *syscall.Statfs_t) error {
		st.Bsize, st.Bavail, st.Files, st.Ffree = 1, uint64(d.free), 1000, uint64(d.inodes)
		return nil
	}
}

// TestFullDiskRefusesWrites and nothing else; the next write after there is room
// passes by itself.
func TestFullDiskRefusesWrites(t *testing.T) {
	s := openFast(t)
	put(t, s, "a/x", 1)
	d := &disk{free: roomNeeded, inodes: 1000}
	d.put(s.embedded.room)
	write := func() error {
		_, err := s.Update(limit(t), func(tx *Tx) error { tx.Put(Prefix+"a/x", counter{2}); return nil })
		return err
	}
	for name, fill := range map[string]func(){
		"bytes":  func() { d.free = roomNeeded - 1 },
		"inodes": func() { d.inodes = inodesNeeded - 1 },
	} {
		d.free, d.inodes = roomNeeded, 1000
		if err := write(); err != nil {
			t.Fatalf("there is room: %v", err)
		}
		before := s.Snapshot().Revision()
		fill()
		err := write()
		var full *DiskFullError
		if !errors.Is(err, ErrUnavailable) || !errors.Is(err, syscall.ENOSPC) || !errors.As(err, &full) ||
			full.Dir != s.embedded.dir.path || !strings.Contains(err.Error(), full.Dir) {
			t.Fatalf("no room for %s: %v", name, err)
		}
		if s.Snapshot().Revision() != before {
			t.Errorf("no room for %s: refused, and yet at revision %d", name, s.Snapshot().Revision())
		}
		wantContent(t, s.Snapshot(), "a/x=2")
		if h := s.Health(limit(t)); !h.Alarm || !strings.Contains(h.Reason, full.Dir) {
			t.Errorf("no room for %s: health %+v", name, h)
		}
		if _, err := s.Update(limit(t), func(*Tx) error { return nil }); err != nil {
			t.Errorf("a transaction without writes: %v", err)
		}
	}
	d.free, d.inodes = roomNeeded, 1000
	if err := write(); err != nil {
		t.Errorf("there is room again: %v", err)
	}
}

// TestFullDisk fills a real file system under a store, in a mount namespace of a
// child process.
func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: mounts a file system in a namespace of its own")
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "STORE_TEST_FULL_DISK="+t.TempDir())
	child.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// fillDisk is the child of TestFullDisk.
func fillDisk(dir string) (err error) {
	// Go has made the mounts of the new namespace private.
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=96m"); err != nil {
		return err
	}
	cfg := Config{Dir: filepath.Join(dir, "store"), Decode: decodeCounter}
	s, err := Open(context.Background(), cfg)
	if err != nil {
		return err
	}
	defer s.Close()
	write := func(n int) error {
		_, err := s.Update(context.Background(), func(tx *Tx) error { tx.Put(Prefix+"a/x", counter{n}); return nil })
		return err
	}
	if err := write(1); err != nil {
		return err
	}
	ballast := filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		return err
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	// At once after a commit, which is in etcd's memory for up to 100 ms more.
	for n := range 20 {
		if _, err := s.Update(context.Background(), func(tx *Tx) error {
			for i := range 100 {
				tx.Put(fmt.Sprintf("%sb/%d/%d", Prefix, n, i), counter{i})
			}
			return nil
		}); err != nil {
			return err
		}
	}
	if err := write(1); err != nil {
		return err
	}
	if err := refill(f, block); err != nil {
		return err
	}
	// What was committed reaches the file all the same.
	committed := make(chan struct{})
	go func() {
		s.embedded.etcd.Server.Backend().ForceCommit()
		close(committed)
	}()
	select {
	case <-committed:
	case <-s.embedded.fate.sealed:
		return fmt.Errorf("etcd could not write what it had answered: %w", s.embedded.fate.reason)
	}
	for n := range 100 {
		var full *DiskFullError
		if err := write(n); !errors.As(err, &full) {
			return fmt.Errorf("a write to a full file system: %w", err)
		}
	}
	if c, ok := Get[*counter](s.Snapshot(), Prefix+"a/x"); !ok || c.N != 1 {
		return fmt.Errorf("reads: %v, %v", c, ok)
	}
	if err := s.Close(); err != nil {
		return err
	}
	if err := refill(f, block); err != nil {
		return err
	}
	full := new(DiskFullError)
	if _, err := Open(context.Background(), cfg); !errors.As(err, &full) || errors.Is(err, ErrCorrupt) {
		return fmt.Errorf("a start on a full file system: %w", err)
	}
	f.Close()
	if err := os.Remove(ballast); err != nil {
		return err
	}
	if s, err = Open(context.Background(), cfg); err != nil {
		return err
	}
	defer s.Close()
	return write(2)
}

// refill takes what there is, to the last page.
func refill(f *os.File, block []byte) error {
	for {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// TestGivingUp: an etcd that cannot go on ends neither the process nor reads.
func TestGivingUp(t *testing.T) {
	s := openFast(t)
	put(t, s, "a/x", 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		etcdLogger(s.log, s.embedded.gaveUp).Fatal("failed to commit tx", zap.Error(syscall.ENOSPC))
		t.Error("what etcd calls fatal returned")
	}()
	<-done
	_, err := s.Update(limit(t), func(tx *Tx) error { tx.Put(Prefix+"a/x", counter{2}); return nil })
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "failed to commit tx: no space left") {
		t.Errorf("a write: %v", err)
	}
	wantContent(t, s.Snapshot(), "a/x=1")
	if h := s.Health(limit(t)); !h.Alarm || !strings.Contains(h.Reason, "given up") {
		t.Errorf("health %+v", h)
	}
	// The test's etcd is well, and has to go.
	s.embedded.fate = newFate()
}

// BenchmarkRoom is what each commit pays for a true answer.
func BenchmarkRoom(b *testing.B) {
	s, err := Open(context.Background(), Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for b.Loop() {
		if err := s.embedded.ableToWrite(); err != nil {
			b.Fatal(err)
		}
	}
}
