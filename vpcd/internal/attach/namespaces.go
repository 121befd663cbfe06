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
	table, err := os.Open(filepath.Join(r.proc, "self/mountinfo"))
	if err != nil {
		r.log.Warn("cannot follow namespaces: they are looked for now and then", "err", err)
		<-ctx.Done()
		return ctx.Err()
	}
	defer table.Close()
	stopped, stop, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stopped.Close()
	defer stop.Close()
	defer context.AfterFunc(ctx, func() { stop.Close() })()

	seen := r.namedNamespaces()
	fds := []unix.PollFd{
		{Fd: int32(table.Fd()), Events: unix.POLLPRI},
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
// inode of a namespace that has gone to the next one that is made.
type named struct {
	inode   uint64
	created unix.Timespec
}

// namedNamespaces are other people's; our own ones change with every subnet and
// are no workloads.
func (r *Resolver) namedNamespaces() map[string]named {
	out := map[string]named{}
	entries, _ := os.ReadDir(r.netnsDir) // the first namespace makes the directory
	for _, e := range entries {
		var st unix.Stat_t
		if !r.isOurs(e.Name()) && unix.Stat(filepath.Join(r.netnsDir, e.Name()), &st) == nil {
			out[e.Name()] = named{st.Ino, st.Ctim}
		}
	}
	return out
}
