package attach

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/vpcd/api"
)

// Inodes of the namespaces every world has.
const (
	rootInode = 1
	ownInode  = 2 // that of the daemon, in a lab another one than the root
)

// engineID is that of a world's engine.
const engineID = "7TJD:ZKX4"

const waitFor = 10 * time.Second

// world is a machine: processes, namespaces and a Docker engine that a test
// makes up, and the Resolver that looks at them.
type world struct {
	*testing.T
	*Resolver
	kernel *fakeKernel
	engine *fakeEngine
	clock  *clock
	dir    string
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	k := &fakeKernel{inodes: map[string]uint64{}, links: map[string]bool{}, routes: map[uint64]bool{}, adopted: map[string]bool{}}
	w := &world{T: t, kernel: k, dir: dir, clock: &clock{now: time.Unix(1_700_000_000, 0)}}
	w.engine = &fakeEngine{T: t, socket: filepath.Join(dir, "docker.sock"), id: engineID, containers: map[string]*container{}}
	w.Resolver = New(Config{Kernel: k, DockerSocket: w.engine.socket, OurPrefix: "vpc-h1-", Logger: slog.New(slog.DiscardHandler)})
	w.proc, w.netnsDir, w.now = filepath.Join(dir, "proc"), filepath.Join(dir, "netns"), w.clock.Now
	must(t, os.Mkdir(w.netnsDir, 0o755))
	w.process(1, 1, rootInode)
	w.kernel.set(w.proc+"/thread-self/ns/net", ownInode)
	t.Cleanup(w.docker.client.CloseIdleConnections)
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// process starts one, or another one with a used number.
func (w *world) process(pid int, start, inode uint64) {
	w.Helper()
	w.state(pid, start, "S")
	w.kernel.set(filepath.Join(w.proc, strconv.Itoa(pid), "ns/net"), inode)
}

func (w *world) state(pid int, start uint64, state string) {
	w.Helper()
	dir := filepath.Join(w.proc, strconv.Itoa(pid))
	must(w.T, os.MkdirAll(dir, 0o755))
	// Fields 4 to 21 do not matter; the name is as nasty as names get.
	stat := fmt.Sprintf("%d (a) S 7 (b) %s%s %d 0\n", pid, state, strings.Repeat(" 9", 18), start)
	must(w.T, os.WriteFile(filepath.Join(dir, "stat"), []byte(stat), 0o644))
}

func (w *world) exit(pid int) {
	w.Helper()
	must(w.T, os.RemoveAll(filepath.Join(w.proc, strconv.Itoa(pid))))
	w.kernel.set(filepath.Join(w.proc, strconv.Itoa(pid), "ns/net"), 0)
}

// namespace makes a named one, or with inode 0 removes it.
func (w *world) namespace(name string, inode uint64) string {
	w.Helper()
	path := filepath.Join(w.netnsDir, name)
	if inode == 0 {
		must(w.T, os.Remove(path))
	} else {
		must(w.T, os.WriteFile(path, nil, 0o644))
	}
	w.kernel.set(path, inode)
	return path
}

// run starts a container, or starts it again, as process pid in a new namespace.
func (w *world) run(id, name string, pid int, inode uint64) *container {
	w.Helper()
	w.process(pid, uint64(pid)*100, inode)
	c := &container{ID: id, Name: "/" + name}
	c.State.Running, c.State.Pid, c.HostConfig.NetworkMode = true, pid, "none"
	c.NetworkSettings.SandboxKey = filepath.Join(w.dir, "sandbox-"+strconv.FormatUint(inode, 10))
	w.kernel.set(c.NetworkSettings.SandboxKey, inode)
	w.engine.put(c)
	return c
}

func (w *world) stop(c *container) {
	w.Helper()
	w.exit(c.State.Pid)
	stopped := *c
	stopped.State.Running, stopped.State.Pid = false, 0
	w.engine.put(&stopped)
}

func (w *world) isAt(target string, kind string, inode uint64) Place {
	w.Helper()
	p, err := w.Locate(w.Context(), target, engineID)
	if err != nil {
		w.Fatal(err)
	}
	if p.Kind != kind || p.Netns.Inode != inode {
		w.Fatalf("%s is at %+v, want kind %s in namespace %d", target, p, kind, inode)
	}
	return p
}

func (w *world) isGone(target string) {
	w.Helper()
	if p, err := w.Locate(w.Context(), target, engineID); !errors.Is(err, ErrGone) {
		w.Fatalf("%s: %+v, %v; want ErrGone", target, p, err)
	}
}

func (w *world) isUnknown(target string) {
	w.Helper()
	if p, err := w.Locate(w.Context(), target, engineID); err == nil || errors.Is(err, ErrGone) {
		w.Fatalf("%s: %+v, %v; want an error that is not ErrGone", target, p, err)
	}
}

// refusedWith checks an error for what a user gets to see.
func refusedWith(t *testing.T, err error, code, field, hint string) {
	t.Helper()
	var e *api.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v is no *api.Error", err)
	}
	if e.Code != code || e.Field != field || !strings.Contains(e.Hint, hint) {
		t.Fatalf("error %s field %q hint %q, want %s, %q, %q; message: %s", e.Code, e.Field, e.Hint, code, field, hint, e.Message)
	}
}

func awake(t *testing.T, ch <-chan struct{}, why string) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(waitFor):
		t.Fatalf("no wake-up: %s", why)
	}
}

// fakeKernel knows namespaces by path and what is in them by inode.
type fakeKernel struct {
	mu      sync.Mutex
	inodes  map[string]uint64
	links   map[string]bool // "INODE/NAME", and "tap INODE/NAME"
	routes  map[uint64]bool
	adopted map[string]bool
	fail    error
}

func (k *fakeKernel) set(path string, inode uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.inodes[path] = inode
}

func (k *fakeKernel) Identify(path string) (spec.Netns, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		return spec.Netns{}, k.fail
	}
	if k.inodes[path] == 0 {
		return spec.Netns{}, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	return spec.Netns{Path: path, Inode: k.inodes[path]}, nil
}

func (k *fakeKernel) link(mark, path, name string) (bool, error) {
	n, err := k.Identify(path)
	if err != nil {
		return false, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.links[fmt.Sprintf("%s%d/%s", mark, n.Inode, name)], nil
}

func (k *fakeKernel) HasLink(path, name string) (bool, error)   { return k.link("", path, name) }
func (k *fakeKernel) TapExists(path, name string) (bool, error) { return k.link("tap ", path, name) }

func (k *fakeKernel) HasDefaultRoute(path string) (bool, error) {
	n, err := k.Identify(path)
	return k.routes[n.Inode], err
}

func (k *fakeKernel) Adopted(name string) bool { return k.adopted[name] }

// statKernel identifies namespaces of this machine and knows nothing else.
type statKernel struct{ Kernel }

func (statKernel) Identify(path string) (spec.Netns, error) {
	var st unix.Stat_t
	var fst unix.Statfs_t
	if err := errors.Join(unix.Stat(path, &st), unix.Statfs(path, &fst)); err != nil {
		return spec.Netns{}, err
	}
	if fst.Type != unix.NSFS_MAGIC {
		return spec.Netns{}, fs.ErrNotExist
	}
	return spec.Netns{Path: path, Inode: st.Ino}, nil
}

// fakeEngine answers like a Docker engine on a unix socket.
type fakeEngine struct {
	*testing.T
	socket string

	mu         sync.Mutex
	id         string // engineID unless a test has another engine answer
	containers map[string]*container
	asked      int // inspections so far
	streams    map[chan string]struct{}
	raw        func(http.ResponseWriter, *http.Request) bool // true: it has answered
	stop       func()
}

func (f *fakeEngine) put(c *container) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.containers[c.ID] = c
}

func (f *fakeEngine) remove(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.containers, id)
}

func (f *fakeEngine) inspections() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

// start listens; the end of the test, or halt, ends it with all streams.
func (f *fakeEngine) start() {
	f.Helper()
	l, err := net.Listen("unix", f.socket)
	must(f.T, err)
	ctx, cancel := context.WithCancel(context.Background())
	f.streams = map[chan string]struct{}{}
	srv := &http.Server{Handler: f, BaseContext: func(net.Listener) context.Context { return ctx }}
	done := make(chan struct{})
	go func() { defer close(done); srv.Serve(l) }()
	f.stop = sync.OnceFunc(func() { cancel(); srv.Close(); <-done })
	f.Cleanup(f.stop)
}

func (f *fakeEngine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	raw := f.raw
	f.mu.Unlock()
	switch {
	case raw != nil && raw(w, r):
	case r.URL.Path == "/info":
		f.mu.Lock()
		defer f.mu.Unlock()
		fmt.Fprintf(w, `{"ID":%q,"Name":"host"}`, f.id)
	case r.URL.Path == "/events":
		f.serveEvents(w, r)
	default:
		f.serveContainer(w, r)
	}
}

func (f *fakeEngine) serveContainer(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	ref := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/containers/"), "/json")
	for id, c := range f.containers {
		if c.Name == "/"+ref || strings.HasPrefix(id, ref) {
			json.NewEncoder(w).Encode(c)
			return
		}
	}
	w.WriteHeader(http.StatusNotFound)
	fmt.Fprintf(w, `{"message":"No such container: %s"}`, ref)
}

func (f *fakeEngine) serveEvents(w http.ResponseWriter, r *http.Request) {
	if got := r.URL.Query().Get("filters"); got != `{"type":["container"],"event":["start","die","destroy"]}` {
		f.Errorf("filters %s", got)
	}
	ch := make(chan string, 16)
	f.mu.Lock()
	f.streams[ch] = struct{}{}
	f.mu.Unlock()
	w.(http.Flusher).Flush()
	for {
		select {
		case line := <-ch:
			fmt.Fprintln(w, line)
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

func (f *fakeEngine) event(action, id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for ch := range f.streams {
		ch <- fmt.Sprintf(`{"status":%q,"Type":"container","Action":%q,"Actor":{"ID":%q,"Attributes":{"name":"x"}},"time":1}`, action, action, id)
	}
}
