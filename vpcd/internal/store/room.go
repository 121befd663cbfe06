package store

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// roomNeeded is what a commit may take in the worst case: two log segments,
	// which etcd allocates ahead, and one full request in the database. etcd
	// ends the process when it cannot write, so there must always be more.
	roomNeeded = 2*walSegmentBytes + maxRequestBytes
	// inodesNeeded is the same for files.
	inodesNeeded = 16
	// databaseAhead is how much of the database's future has its blocks already.
	databaseAhead = 4 << 20
)

// DiskFullError says that the file system of the state directory has too little
// room for a write. It is an ErrUnavailable; reads go on, and writes are taken
// again as soon as there is room.
type DiskFullError struct {
	Dir    string // the state directory
	Free   int64  // bytes
	Needed int64  // bytes
	Inodes bool   // it is files, not bytes, that are missing
	GaveUp bool   // a write has failed for it: only a restart takes writes again
}

// Error names the directory and both numbers.
func (e *DiskFullError) Error() string {
	text := fmt.Sprintf("the file system of %s has %d MB left and %d are needed", e.Dir, e.Free>>20, e.Needed>>20)
	if e.Inodes {
		text = fmt.Sprintf("the file system of %s has no inodes left", e.Dir)
	}
	if e.GaveUp {
		text += "; it filled up during a write, so free some space and restart vpcd"
	}
	return text
}

// Is makes it an ErrUnavailable, and for the system what ENOSPC is.
func (e *DiskFullError) Is(target error) bool {
	return target == ErrUnavailable || target == syscall.ENOSPC
}

// room watches the space beside the database. Whoever writes asks the file
// system, each time: that takes about a microsecond, and an older answer is one
// from before somebody else filled it.
type room struct {
	dir      string
	database string
	needed   int64
	statfs   func(path string, st *syscall.Statfs_t) error
}

func newRoom(dir *stateDir) *room {
	return &room{dir: dir.path, database: dir.databasePath(), needed: roomNeeded, statfs: syscall.Statfs}
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

// checkToStart is check with the room for what a start writes: log segments,
// and some pages of the database.
func (r *room) checkToStart() error {
	start := *r
	start.needed = 3 * walSegmentBytes
	if err := start.check(); err != nil {
		return fmt.Errorf("%w; nothing is damaged: free some space", err)
	}
	return nil
}

// reserve gives the database its blocks ahead of time. A commit reaches its file
// up to 100 ms after it was answered, and until then others may fill the disk.
// File systems without fallocate are left at that risk.
func (r *room) reserve() error {
	f, err := os.OpenFile(r.database, os.O_WRONLY, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil || st.Blocks*512 >= st.Size+databaseAhead {
		return nil
	}
	err = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, st.Size+databaseAhead)
	if errors.Is(err, unix.ENOSPC) {
		return &DiskFullError{Dir: r.dir, Needed: r.needed}
	}
	return nil
}

// ableToWrite is nil where a commit cannot fail for want of room.
func (e *embedded) ableToWrite() error {
	if err := e.fate.err(); err != nil {
		return err
	}
	if err := e.room.check(); err != nil {
		return err
	}
	return e.room.reserve()
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
	double := *r
	double.needed += info.Size()
	return double.check()
}
