package attach

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

// Locate says where the workload of a canonical target is now. It wraps ErrGone
// when the workload is not there; with any other error nothing is known, and
// what was known before is the better guess. engine is host.Workload.Engine as it
// was when the target was resolved, "" where nobody wrote that down.
func (r *Resolver) Locate(ctx context.Context, canonical, engine string) (Place, error) {
	t, err := parseTarget(canonical)
	if err != nil {
		return Place{}, err
	}
	switch t.kind {
	case KindTap:
		return r.findTap(t.name)
	case KindNetns:
		n, err := r.workloadNetns(filepath.Join(r.netnsDir, t.name))
		if err != nil {
			return Place{}, err
		}
		return Place{Kind: KindNetns, Netns: n}, nil
	case KindPid:
		if t.start == 0 {
			return Place{}, fmt.Errorf("target %s names no single process: it has no start time", canonical)
		}
		return r.findProcess(t.pid, t.start)
	}
	if !containerID.MatchString(t.name) {
		return Place{}, fmt.Errorf("target %s names no single container: it is no full id", canonical)
	}
	return r.findContainer(ctx, t.name, engine)
}

// findTap looks for the device in the daemon's namespace. One that the data
// plane has taken from there still counts as being there.
func (r *Resolver) findTap(name string) (Place, error) {
	home, err := r.home()
	if err != nil {
		return Place{}, err
	}
	there := r.kernel.Adopted(name)
	if !there {
		if there, err = r.kernel.TapExists(r.here(), name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Place{}, err
		}
	}
	if !there {
		return Place{}, fmt.Errorf("no tap %s: %w", name, ErrGone)
	}
	return Place{Kind: KindTap, Netns: home, Device: name}, nil
}

// findProcess is the namespace of the process that was started at start.
func (r *Resolver) findProcess(pid int, start uint64) (Place, error) {
	n, err := r.workloadNetns(r.netnsOf(pid))
	if gone(err) {
		return Place{}, fmt.Errorf("process %d: %w", pid, ErrRemoved)
	}
	if err != nil {
		return Place{}, err
	}
	// Asked last: whoever had the number when the namespace was opened has it
	// still, or another start time.
	now, err := r.startTime(pid)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Place{}, fmt.Errorf("%v: %w", err, ErrRemoved)
	case err != nil:
		return Place{}, err
	case now != start:
		return Place{}, fmt.Errorf("process %d is another one: %w", pid, ErrRemoved)
	}
	return Place{Kind: KindPid, Netns: n}, nil
}

// workloadNetns identifies the namespace at path; a path that leads nowhere, or
// has come to lead to the host's own namespace, is ErrGone.
func (r *Resolver) workloadNetns(path string) (spec.Netns, error) {
	n, err := r.kernel.Identify(path)
	if errors.Is(err, fs.ErrNotExist) {
		return spec.Netns{}, fmt.Errorf("%v: %w", err, ErrGone)
	}
	if err != nil {
		return spec.Netns{}, err
	}
	root, err := r.isRoot(n)
	if err != nil {
		return spec.Netns{}, err
	}
	if root {
		return spec.Netns{}, fmt.Errorf("%s: %w: %w", path, errRoot, ErrGone)
	}
	return n, nil
}

var errRoot = errors.New("it is the host's own network namespace")
