// Package attach says what the targets of an attachment mean and where they
// are now: a named network namespace, a process, a Docker container, a tap.
//
// A target has a form that people type ("docker:web", "pid:42") and a canonical
// one that is stored ("docker:" and the full id, "pid:42/START"), which never
// comes to mean another workload: a container made again under an old name and
// a process with a used number are not attached by accident.
//
// Nothing here changes the kernel, and nothing here has to be told of every
// change: Watch only says that it is worth looking again.
package attach

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

// Kinds of target, the part before the colon.
const (
	KindNetns  = "netns"
	KindPid    = "pid"
	KindDocker = "docker"
	KindTap    = "tap"
)

// defaultDockerSocket is where a Docker engine listens unless told otherwise.
const defaultDockerSocket = "/var/run/docker.sock"

// ErrGone says that a workload is not there now: the container is stopped or
// removed, the namespace deleted, the process ended or its number used again,
// the tap closed. Any other error of Locate means that nobody knows.
var ErrGone = errors.New("workload is gone")

// ErrRemoved is an ErrGone that lasts: the container was removed, the process
// has ended. Nothing will ever have this canonical target again.
var ErrRemoved = fmt.Errorf("%w for good", ErrGone)

// Kernel answers questions about network namespaces. The composition root
// implements it with the data plane.
type Kernel interface {
	// Identify names the namespace that path leads to; fs.ErrNotExist when
	// there is none.
	Identify(path string) (spec.Netns, error)
	// HasLink reports whether the namespace has a link of that name.
	HasLink(path, name string) (bool, error)
	// HasDefaultRoute reports whether the namespace has an IPv4 default route.
	HasDefaultRoute(path string) (bool, error)
	// TapExists reports whether the namespace has a device of that name which
	// carries Ethernet frames of a user of /dev/net/tun.
	TapExists(path, name string) (bool, error)
	// Adopted reports whether the data plane holds the tap that had this name
	// in the daemon's namespace.
	Adopted(name string) bool
}

// Config is what a Resolver needs.
type Config struct {
	Kernel Kernel
	// DockerSocket is the path of the engine's unix socket,
	// /var/run/docker.sock if empty. It need not exist.
	DockerSocket string
	// OurPrefix starts the names of this host's own namespaces, which carry
	// the network and are nobody's workload.
	OurPrefix string
	Logger    *slog.Logger // slog.Default if nil
}

// Place is where a workload is now.
type Place struct {
	Kind string
	// Netns is the workload's namespace; for a tap, where the device was found.
	Netns spec.Netns
	// Device is the name of a tap there, else empty.
	Device string
}

// Resolver finds the workloads of one host. Its methods may be called
// concurrently, and before Run.
type Resolver struct {
	kernel Kernel
	prefix string
	log    *slog.Logger
	docker *docker
	known  containers
	now    func() time.Time

	// Where the kernel shows itself; tests have their own.
	proc, netnsDir string

	mu       sync.Mutex
	roots    []uint64 // inodes of namespaces that are never a workload
	watchers map[chan struct{}]struct{}
}

// New makes a Resolver; it asks nothing yet.
func New(cfg Config) *Resolver {
	log := cfg.Logger
	if log == nil {
		log = slog.Default()
	}
	return &Resolver{
		kernel: cfg.Kernel, prefix: cfg.OurPrefix, log: log, now: time.Now,
		docker: newDocker(cmp.Or(cfg.DockerSocket, defaultDockerSocket)),
		known:  containers{byID: map[string]sighting{}},
		proc:   "/proc", netnsDir: "/run/netns",
		watchers: map[chan struct{}]struct{}{},
	}
}

// Watch returns a channel that gets a value when some workload may have moved
// since the last one was taken; it is not closed. It lives as long as ctx. Only
// a running Run feeds it, and not everything makes an event: poll as well.
func (r *Resolver) Watch(ctx context.Context) <-chan struct{} {
	ch := make(chan struct{}, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watchers[ch] = struct{}{}
	context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.watchers, ch)
	})
	return ch
}

func (r *Resolver) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for ch := range r.watchers {
		select {
		case ch <- struct{}{}:
		default: // a wake-up is waiting already
		}
	}
}

// here is the daemon's own namespace by the calling thread: the main thread,
// which the process is shown by, may be visiting another namespace just now.
func (r *Resolver) here() string { return r.proc + "/thread-self/ns/net" }

// home is the daemon's own namespace, where taps are found, by a path that
// other threads and processes can open.
func (r *Resolver) home() (spec.Netns, error) {
	n, err := r.kernel.Identify(r.here())
	return spec.Netns{Path: r.proc + "/self/ns/net", Inode: n.Inode}, err
}

// isRoot reports whether n is the machine's first namespace or the daemon's
// own: a link or a default route put there would redirect the host itself.
func (r *Resolver) isRoot(n spec.Netns) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.roots == nil {
		own, err := r.home()
		if err != nil {
			return false, err
		}
		first, err := r.kernel.Identify(r.proc + "/1/ns/net")
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return false, err
		}
		r.roots = []uint64{own.Inode}
		if err == nil {
			r.roots = append(r.roots, first.Inode)
		}
	}
	return slices.Contains(r.roots, n.Inode), nil
}
