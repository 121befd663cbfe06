package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
)

const (
	memberName = "vpcd"
	// peerURL is the member's name in its own cluster of one. Nothing listens on it or dials it.
	peerURL = "http://localhost:2380"

	// A cluster of one elects itself after at most two election timeouts; it
	// can lose no election, so short ones cost nothing but the ticks.
	tickMs     = 10
	electionMs = 50

	// walSegmentBytes is preallocated twice; etcd's 64 MB would be most of a small disk.
	walSegmentBytes = 4 << 20
)

var setSegmentSize = sync.OnceFunc(func() { wal.SegmentSizeBytes = walSegmentBytes })

// embedded is an etcd server in this process, for one state directory.
type embedded struct {
	dir      *stateDir
	etcd     *embed.Etcd
	endpoint string
	room     *room
	fate     *fate
}

// fate is why the etcd has given up, which it does for good: it cannot be
// stopped then either, as what it was doing is never finished.
type fate struct {
	once   sync.Once
	sealed chan struct{} // closed when reason is set
	reason error
}

func newFate() *fate { return &fate{sealed: make(chan struct{})} }

func (f *fate) seal(reason error) {
	f.once.Do(func() {
		f.reason = reason
		close(f.sealed)
	})
}

// err is nil while the etcd lives.
func (f *fate) err() error {
	select {
	case <-f.sealed:
		return f.reason
	default:
		return nil
	}
}

// startEmbedded locks and checks the state directory and starts etcd in it.
func startEmbedded(ctx context.Context, cfg Config) (_ *embedded, err error) {
	dir, err := openStateDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			dir.close()
		}
	}()
	if err := dir.check(); err != nil {
		return nil, err
	}
	// Before etcd has written anything: what it cannot finish looks damaged.
	room := newRoom(dir)
	if err := room.checkToStart(); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	setSegmentSize()
	e := &embedded{dir: dir, endpoint: "unix://" + dir.socketPath(), room: room, fate: newFate()}
	if e.etcd, err = startServer(etcdConfig(cfg, dir, e.gaveUp), e.fate); err != nil {
		if full := room.checkToStart(); full != nil {
			err = full
		}
		return nil, fmt.Errorf("store: starting etcd in %s: %w", dir.etcdPath(), err)
	}
	if err := e.becomeReady(ctx); err != nil {
		e.stop()
		return nil, err
	}
	return e, nil
}

func (e *embedded) becomeReady(ctx context.Context) (err error) {
	select {
	case <-e.etcd.Server.ReadyNotify():
	case err = <-e.etcd.Err():
	case <-e.fate.sealed:
		err = e.fate.reason
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("store: etcd in %s did not become ready: %w", e.dir.etcdPath(), err)
	}
	return e.dir.markUsed()
}

// mourn says once that the etcd has given up.
func (e *embedded) mourn(ctx context.Context, log *slog.Logger) {
	select {
	case <-e.fate.sealed:
		log.Error("store: no writes any more; reads and the data plane go on", "err", e.fate.reason)
	case <-ctx.Done():
	}
}

// gaveUp takes the reason from etcd's log. Where the disk has no room, that is it.
func (e *embedded) gaveUp(reason string) {
	err := fmt.Errorf("%w: etcd has given up: %s; restart vpcd", ErrUnavailable, reason)
	if full := new(DiskFullError); errors.As(e.room.check(), &full) {
		full.GaveUp = true
		err = full
	}
	e.fate.seal(err)
}

func etcdConfig(cfg Config, dir *stateDir, fatal func(reason string)) *embed.Config {
	ec := embed.NewConfig()
	ec.Name = memberName
	ec.Dir = dir.etcdPath()
	ec.ListenPeerUrls = nil
	ec.AdvertisePeerUrls = []url.URL{{Scheme: "http", Host: "localhost:2380"}}
	ec.InitialCluster = memberName + "=" + peerURL
	socket := url.URL{Scheme: "unix", Path: dir.socketPath()}
	ec.ListenClientUrls = []url.URL{socket}
	ec.AdvertiseClientUrls = []url.URL{socket}
	ec.EnableGRPCGateway = false
	ec.TickMs, ec.ElectionMs = tickMs, electionMs
	ec.QuotaBackendBytes = cfg.QuotaBytes
	ec.MaxRequestBytes = maxRequestBytes
	ec.UnsafeNoFsync = cfg.NoSync
	ec.ZapLoggerBuilder = embed.NewZapLoggerBuilder(etcdLogger(cfg.Logger, fatal))
	return ec
}

// startServer turns the panics by which etcd reports damaged files, and the
// goroutines that end instead of exiting, into errors.
func startServer(ec *embed.Config, fate *fate) (*embed.Etcd, error) {
	type outcome struct {
		server *embed.Etcd
		err    error
	}
	started := make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() {
			if r := recover(); r != nil {
				o = outcome{err: fmt.Errorf("%w: %v", ErrCorrupt, r)}
			}
			started <- o
		}()
		o.server, o.err = embed.StartEtcd(ec)
	}()
	var o outcome
	select {
	case o = <-started:
	case <-fate.sealed:
	}
	if err := fate.err(); err != nil && o.server == nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if errno := syscall.Errno(0); o.err != nil && !errors.Is(o.err, ErrCorrupt) && !errors.As(o.err, &errno) {
		// The configuration is always the same: what is not the system's refusal is the files.
		o.err = fmt.Errorf("%w: %w", ErrCorrupt, o.err)
	}
	return o.server, o.err
}

// stop leaves an etcd that has given up to the end of the process.
func (e *embedded) stop() {
	if e.fate.err() == nil {
		e.etcd.Close()
	}
}

func (e *embedded) close() error {
	e.stop()
	err := os.Remove(filepath.Join(e.dir.path, socketName))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, e.dir.close())
}
