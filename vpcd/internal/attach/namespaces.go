package attach

import (
	"context"
	"maps"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// followNamespaces wakes the watchers when a named namespace appears, goes, or
// is replaced. The kernel tells of every change of the mount table, and a named
// namespace is a mount; watching the directory instead would tell of the empty
// file that the namespace is then mounted on, too early.
func (r *Resolver) followNamespaces(ctx context.Context) error {
	// Not by os.Open: the runtime would poll the file too, and each change is
	// told once per open file.
	table, err := unix.Open(filepath.Join(r.proc, "self/mountinfo"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		r.log.Warn("cannot follow namespaces: they are looked for now and then", "err", err)
		<-ctx.Done()
		return ctx.Err()
	}
	defer unix.Close(table)
	stopped, stop, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stopped.Close()
	defer stop.Close()
	defer context.AfterFunc(ctx, func() { stop.Close() })()

	seen := r.namedNamespaces()
	r.wake() // who looked before has not seen what came until now
	fds := []unix.PollFd{
		{Fd: int32(table), Events: unix.POLLPRI},
		{Fd: int32(stopped.Fd()), Events: unix.POLLIN},
	}
	for ctx.Err() == nil {
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return err
		}
		if now := r.namedNamespaces(); !maps.Equal(now, seen) {
			seen = now
			r.wake()
		}
	}
	return ctx.Err()
}

// named tells one namespace from the next of that name. The kernel gives the
// inode of a namespace that has gone to the next one that is made, and its
// clock stands still for milliseconds; mounts are numbered once (from Linux 6.8;
// before, their numbers too are used again).
type named struct {
	inode, mount uint64
	created      unix.StatxTimestamp
}

// namedNamespaces are other people's; our own ones change with every subnet and
// are no workloads.
func (r *Resolver) namedNamespaces() map[string]named {
	const fields = unix.STATX_INO | unix.STATX_CTIME | unix.STATX_MNT_ID | unix.STATX_MNT_ID_UNIQUE
	out := map[string]named{}
	entries, _ := os.ReadDir(r.netnsDir) // the first namespace makes the directory
	for _, e := range entries {
		var st unix.Statx_t
		if !r.isOurs(e.Name()) && unix.Statx(unix.AT_FDCWD, filepath.Join(r.netnsDir, e.Name()), 0, fields, &st) == nil {
			out[e.Name()] = named{st.Ino, st.Mnt_id, st.Ctime}
		}
	}
	return out
}
