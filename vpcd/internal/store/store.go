package store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

const (
	defaultQuotaBytes = 512 << 20
	// defaultHistory is how many revisions survive a compaction.
	defaultHistory = 1000
	// openTimeout bounds the first contact with etcd when ctx has no deadline.
	openTimeout = 30 * time.Second
	// maxRequestBytes lets a full transaction carry a few large records.
	maxRequestBytes = 16 << 20
)

// Config says where the records are and how to read them.
type Config struct {
	// Dir is the state directory of the embedded etcd, created with mode 0700. Ignored with Endpoints.
	Dir string
	// Endpoints of an external cluster ("https://host:2379", "unix:///path"). Empty: embedded.
	Endpoints []string
	// TLS for external endpoints; nil means none.
	TLS *tls.Config
	// Username and Password for external clusters with authentication.
	Username, Password string

	// Decode turns the bytes at key into the value that Get and List return. It is called once per
	// stored revision; the result is shared by all readers, which must not change it. An error
	// quarantines the key. nil: every record is a json.RawMessage.
	Decode func(key string, value []byte) (any, error)

	// QuotaBytes bounds the embedded database file. 0: 512 MiB.
	QuotaBytes int64
	// History is how many revisions stay readable in etcd after a compaction. 0: 1,000.
	History int64
	// Logger takes what the operator should see. nil: nothing is logged.
	Logger *slog.Logger
	// NoSync leaves out every fsync of the embedded etcd: commits are not durable. For tests only.
	NoSync bool
	// Step, if set, is called with the name of each step of a commit: crash tests end the process
	// there. Steps lists the names.
	Step func(name string)
}

// Steps names every point at which a commit can be cut off.
func Steps() []string { return []string{"before commit", "after commit"} }

// Store is an open store. All methods are safe for concurrent use.
type Store struct {
	cfg      Config
	log      *slog.Logger
	client   *clientv3.Client
	embedded *embedded // nil with an external cluster
	decode   decoder
	step     func(name string)

	// retrying lets one conflicting Update of this process try again at a time.
	retrying chan struct{}
	// heal wakes the upkeep when a write met the quota.
	heal chan struct{}

	stop context.CancelFunc
	done sync.WaitGroup

	mu       sync.Mutex
	snapshot *Snapshot
	changed  chan struct{} // closed and replaced when snapshot is
	watchers map[*watcher]struct{}
	closed   bool
}

type watcher struct {
	wake   chan struct{}
	wanted func(key string) bool
}

// Open starts or reaches etcd and returns when the first full listing is in
// memory. Errors: ErrInUse, ErrNewerLayout, ErrCorrupt for the state directory;
// ErrUnavailable if etcd does not answer in time.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg = withDefaults(cfg)
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()

	var server *embedded
	if len(cfg.Endpoints) == 0 {
		var err error
		if server, err = startEmbedded(ctx, cfg); err != nil {
			return nil, err
		}
		cfg.Endpoints = []string{server.endpoint}
		cfg.TLS = nil
	}
	s, err := connect(ctx, cfg, server)
	if err != nil && server != nil {
		server.close()
	}
	return s, err
}

func withDefaults(cfg Config) Config {
	if cfg.Decode == nil {
		cfg.Decode = rawDecoder
	}
	if cfg.QuotaBytes == 0 {
		cfg.QuotaBytes = defaultQuotaBytes
	}
	if cfg.History == 0 {
		cfg.History = defaultHistory
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg
}

// connect is the part that an embedded and an external etcd have in common.
func connect(ctx context.Context, cfg Config, server *embedded) (*Store, error) {
	client, err := clientv3.New(clientv3.Config{
		Endpoints: cfg.Endpoints, TLS: cfg.TLS, Username: cfg.Username, Password: cfg.Password,
		DialTimeout:          5 * time.Second,
		DialKeepAliveTime:    10 * time.Second,
		DialKeepAliveTimeout: 5 * time.Second,
		MaxCallSendMsgSize:   maxRequestBytes + 1<<20,
		Logger:               zap.NewNop(),
		DialOptions:          []grpc.DialOption{grpc.WithNoProxy()},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	background, stop := context.WithCancel(context.Background())
	s := &Store{
		cfg: cfg, log: cfg.Logger, client: client, embedded: server, decode: cfg.Decode,
		retrying: make(chan struct{}, 1), heal: make(chan struct{}, 1), stop: stop,
		changed: make(chan struct{}), watchers: map[*watcher]struct{}{}, step: func(string) {},
	}
	if cfg.Step != nil {
		s.step = cfg.Step
	}
	c := &cache{client: client, decode: s.decode, publish: s.publish, failed: s.watchFailed}
	if server != nil {
		s.healAtStart(ctx)
	}
	if err := c.load(ctx); err != nil {
		stop()
		client.Close()
		return nil, fmt.Errorf("%w: first listing: %w", ErrUnavailable, err)
	}
	s.done.Go(func() { c.follow(background) })
	if server != nil {
		s.done.Go(func() { s.upkeep(background) })
		s.done.Go(func() { server.mourn(background, cfg.Logger) })
	}
	return s, nil
}

// Close stops the store and, if embedded, its etcd. Waiters get ErrClosed, the
// channels of Watch are closed. A second Close does nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	for w := range s.watchers {
		close(w.wake)
	}
	s.watchers = nil
	close(s.changed)
	s.mu.Unlock()

	s.stop()
	err := s.client.Close()
	if errors.Is(err, context.Canceled) {
		err = nil // what the client answers to an ordinary Close
	}
	s.done.Wait()
	if s.embedded != nil {
		err = errors.Join(err, s.embedded.close())
	}
	return err
}

// Snapshot returns the newest state in memory. It contains every transaction
// that this process has committed.
func (s *Store) Snapshot() *Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snapshot
}

// Watch returns a channel that is ready after something changed. It says only
// "look again": any number of changes make one wake, and it is ready at once
// for what happened before. Only keys with the prefix count, and of these not
// the ones for which skip, if given, is true. The channel is closed when ctx
// ends or the store is closed.
func (s *Store) Watch(ctx context.Context, prefix string, skip func(key string) bool) <-chan struct{} {
	w := &watcher{wake: make(chan struct{}, 1), wanted: func(key string) bool {
		return len(key) >= len(prefix) && key[:len(prefix)] == prefix && (skip == nil || !skip(key))
	}}
	w.wake <- struct{}{}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		close(w.wake)
		return w.wake
	}
	s.watchers[w] = struct{}{}
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, ok := s.watchers[w]; ok {
			delete(s.watchers, w)
			close(w.wake)
		}
	})
	return w.wake
}

// Wait returns nil once cond holds for the current snapshot; ctx's error or
// ErrClosed otherwise. cond is called again after every change.
func (s *Store) Wait(ctx context.Context, cond func(*Snapshot) bool) error {
	for {
		s.mu.Lock()
		snapshot, changed, closed := s.snapshot, s.changed, s.closed
		s.mu.Unlock()
		if closed {
			return ErrClosed
		}
		if cond(snapshot) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// publish makes snapshot the current one and wakes who asked.
func (s *Store) publish(snapshot *Snapshot, changed []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.snapshot = snapshot
	close(s.changed)
	s.changed = make(chan struct{})
	for w := range s.watchers {
		for _, key := range changed {
			if w.wanted(key) {
				select {
				case w.wake <- struct{}{}:
				default: // a wake is pending already
				}
				break
			}
		}
	}
}

func (s *Store) watchFailed(err error) {
	s.log.Warn("store: listing again", "reason", err)
}
