package store

import (
	"context"
	"errors"
	"fmt"
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
	setSegmentSize()
	server, err := startServer(etcdConfig(cfg, dir))
	if full := roomToStart(dir.path); err != nil && full != nil {
		err = full
	}
	if err != nil {
		return nil, fmt.Errorf("store: starting etcd in %s: %w", dir.etcdPath(), err)
	}
	select {
	case <-server.Server.ReadyNotify():
	case err = <-server.Err():
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		server.Close()
		return nil, fmt.Errorf("store: etcd in %s did not become ready: %w", dir.etcdPath(), err)
	}
	if err := dir.markUsed(); err != nil {
		server.Close()
		return nil, err
	}
	return &embedded{dir: dir, etcd: server, endpoint: "unix://" + dir.socketPath(), room: newRoom(dir.path)}, nil
}

func etcdConfig(cfg Config, dir *stateDir) *embed.Config {
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
	ec.ZapLoggerBuilder = embed.NewZapLoggerBuilder(etcdLogger(cfg.Logger))
	return ec
}

// startServer turns the panics by which etcd reports damaged files into errors.
func startServer(ec *embed.Config) (server *embed.Etcd, err error) {
	defer func() {
		if r := recover(); r != nil {
			server, err = nil, fmt.Errorf("%w: %v", ErrCorrupt, r)
		}
	}()
	server, err = embed.StartEtcd(ec)
	if errno := syscall.Errno(0); err != nil && !errors.As(err, &errno) {
		// The configuration is always the same: what is not the system's refusal is the files.
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return server, err
}

func (e *embedded) close() error {
	e.etcd.Close()
	err := os.Remove(filepath.Join(e.dir.path, socketName))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, e.dir.close())
}
