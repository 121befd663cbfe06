package store

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

const (
	// roomNeeded is what a commit may take in the worst case: two log segments,
	// which etcd allocates ahead, and one full request in the database. etcd
	// ends the process when it cannot write, so there must always be more.
	roomNeeded = 2*walSegmentBytes + maxRequestBytes
	// inodesNeeded is the same for files.
	inodesNeeded = 16
)

// DiskFullError says that the file system of the state directory has too little
// room for a write. It is an ErrUnavailable; reads go on, and writes are taken
// again as soon as there is room.
type DiskFullError struct {
	Dir    string // the state directory
	Free   int64  // bytes
	Needed int64  // bytes
	Inodes bool   // it is files, not bytes, that are missing
}

// Error names the directory and both numbers.
func (e *DiskFullError) Error() string {
	if e.Inodes {
		return fmt.Sprintf("the file system of %s has no inodes left", e.Dir)
	}
	return fmt.Sprintf("the file system of %s has %d MB left and %d are needed", e.Dir, e.Free>>20, e.Needed>>20)
}

// Is makes it an ErrUnavailable, and for the system what ENOSPC is.
func (e *DiskFullError) Is(target error) bool {
	return target == ErrUnavailable || target == syscall.ENOSPC
}

// room watches the space beside the database. Whoever writes asks the file
// system, each time: that takes about a microsecond, and an older answer is one
// from before somebody else filled it.
type room struct {
	dir    string
	needed int64
	statfs func(path string, st *syscall.Statfs_t) error
}

func newRoom(dir string) *room {
	return &room{dir: dir, needed: roomNeeded, statfs: syscall.Statfs}
}

// check is a *DiskFullError where a write could end the process, else nil. A
// file system that does not answer is left to the write itself.
func (r *room) check() error {
	var st syscall.Statfs_t
	if r.statfs(r.dir, &st) != nil {
		return nil
	}
	full := &DiskFullError{Dir: r.dir, Free: int64(st.Bavail) * st.Bsize, Needed: r.needed}
	if full.Free < r.needed {
		return full
	}
	// File systems that make inodes as they need them count none.
	if full.Inodes = st.Files > 0 && st.Ffree < inodesNeeded; full.Inodes {
		return full
	}
	return nil
}

// roomToStart is why files that cannot be written look damaged: no room for the
// log segments on the file system of dir.
func roomToStart(dir string) error {
	r := newRoom(dir)
	r.needed = 2 * walSegmentBytes
	if err := r.check(); err != nil {
		return fmt.Errorf("%w; nothing is damaged: free some space", err)
	}
	return nil
}

// roomToCopy is nil where the database fits beside itself once more, as
// defragmenting it takes.
func (r *room) roomToCopy(database string) error {
	info, err := os.Stat(database)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	double := newRoom(r.dir)
	double.statfs, double.needed = r.statfs, r.needed+info.Size()
	return double.check()
}
