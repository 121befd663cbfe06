// Package vpcd is the daemon: it builds the tasks, connects them and runs them
// until one fails or the context ends. Stopping leaves the data plane running.
package vpcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vpcfabric/vpc/dataplane"
	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/vpcd/internal/agent"
	"github.com/vpcfabric/vpc/vpcd/internal/attach"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/seal"
	"github.com/vpcfabric/vpc/vpcd/internal/service"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
	"github.com/vpcfabric/vpc/vpcd/internal/wire"
)

// DefaultAccount owns what comes over the socket without an account.
const DefaultAccount = "000000000001"

// overlay is what a packet to another host will need beside its own bytes.
const overlay = 50

// Config of one daemon. The zero value of a field means its default.
type Config struct {
	// Name marks every kernel object of this host: letters, digits and
	// dashes, at most 24.
	Name    string
	DataDir string
	Socket  string
	// SocketGroup may use the socket beside root, if it exists.
	SocketGroup string
	Account     string
	// EC2Listen is IP:PORT for EC2's own clients, empty for none. The files of
	// a certificate and its key make it TLS, which an address that is not a
	// loopback one must have.
	EC2Listen, EC2TLSCert, EC2TLSKey string
	// MTU of links inside VPCs, bytes; 0 takes the default route's less the
	// overlay's header.
	MTU         int
	FlowTable   uint32
	Limits      map[string]int64
	StrictCIDRs bool
	// PublicPools are where public addresses come from, CIDR or CIDR,MODE;
	// none means DefaultPool. Those that are named are refused at the start where
	// another daemon in the same network has them; DefaultPool, which nobody asked
	// for, only once something needs it.
	PublicPools []string
	named       bool // PublicPools were
	// PublicAllow are CIDRs that are reached through internet gateways although
	// they are private, such as the network of the host.
	PublicAllow []string
	// NATPorts are what NAT gateways translate to, FIRST-LAST, and NATIdle is after
	// what time without a packet they forget a connection. Empty is AWS's.
	NATPorts     string
	NATIdle      time.Duration
	DockerSocket string
	Version      string
	Logger       *slog.Logger
	// Ready is called once requests are answered, Alive as a sign of life.
	Ready, Alive func()
	// Step is called at every point at which a crash must do no harm; see
	// Steps. Only crash tests set it.
	Step func(name string)
}

// Steps names those points: every write to the store and to the kernel, before
// and after its effect.
func Steps() []string { return slices.Concat(store.Steps(), dataplane.Steps()) }

// ErrRefused marks a configuration that cannot be run with.
var ErrRefused = errors.New("refused")

var hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?$`)

var accountID = regexp.MustCompile(`^[0-9]{12}$`)

// CheckName refuses names that could not mark kernel objects.
func CheckName(name string) error {
	if !hostName.MatchString(name) {
		return fmt.Errorf("%w: --name %q: lower-case letters, digits and dashes, 1 to 24 of them", ErrRefused, name)
	}
	return nil
}

func (c *Config) complete() error {
	if c.named = len(c.PublicPools) > 0; !c.named {
		c.PublicPools = []string{DefaultPool}
	}
	if err := CheckName(c.Name); err != nil {
		return err
	}
	if c.MTU == 0 {
		c.MTU = defaultMTU()
	}
	if c.MTU < 576 || c.MTU > 9001 {
		return fmt.Errorf("%w: --mtu %d: 576 to 9001 bytes", ErrRefused, c.MTU)
	}
	if c.FlowTable != 0 && (c.FlowTable < 1024 || c.FlowTable > 1<<24) {
		return fmt.Errorf("%w: --flow-table %d: 1024 to 16777216 entries", ErrRefused, c.FlowTable)
	}
	if c.Account == "" {
		c.Account = DefaultAccount
	}
	if !accountID.MatchString(c.Account) {
		return fmt.Errorf("%w: --account %q: 12 digits", ErrRefused, c.Account)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	for _, f := range []*func(){&c.Ready, &c.Alive} {
		if *f == nil {
			*f = func() {}
		}
	}
	return nil
}

func defaultMTU() int {
	mtu, err := nl.DefaultRouteMTU()
	if err != nil {
		mtu = 1500
	}
	return min(mtu-overlay, 9001)
}

// Run is the daemon's life.
func Run(ctx context.Context, cfg Config) error {
	if err := cfg.complete(); err != nil {
		return err
	}
	outside, err := parseOutside(cfg)
	if err != nil {
		return err
	}
	// What refuses comes first, so that a refused start leaves nothing behind.
	here, err := arrive(cfg, outside.pools)
	if err != nil {
		return err
	}
	defer here.close()
	l, owner, err := wire.Listen(cfg.Socket, cfg.SocketGroup)
	if err != nil {
		return fmt.Errorf("%w: --socket: %w", ErrRefused, err)
	}
	defer l.Close()
	port, endpoint, err := listenEC2(cfg)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if port != nil {
		defer port.Close()
	}
	if err := makeDataDir(cfg.DataDir); err != nil {
		return fmt.Errorf("%w: --data-dir: %w", ErrRefused, err)
	}
	st, err := openStore(ctx, cfg, outside.pools, here)
	if err != nil {
		return err
	}
	defer st.Close()
	box, err := seal.Open(filepath.Join(cfg.DataDir, sealFile))
	if err != nil {
		return fmt.Errorf("%w: --data-dir: %w", ErrRefused, err)
	}
	copies, remove, err := listenBackup(cfg.DataDir)
	if err != nil {
		return fmt.Errorf("%w: --data-dir: %w", ErrRefused, err)
	}
	defer remove()
	cfg.Logger.Info("socket", "path", cfg.Socket, "access", fmt.Sprint(owner))
	if port != nil {
		cfg.Logger.Info("EC2 endpoint", "address", port.Addr().String(), "url", endpoint)
	}

	dp, err := dataplane.Open(ctx, dataplane.Config{Name: cfg.Name, FlowTable: cfg.FlowTable, NAT: outside.nat, Logger: cfg.Logger, Step: cfg.Step})
	if err != nil {
		return err
	}
	defer dp.Close()

	g, ctx := errgroup.WithContext(ctx)
	resolver := attach.New(attach.Config{
		Kernel: kernel{dp}, DockerSocket: cfg.DockerSocket, OurPrefix: "vpc-" + cfg.Name + "-", Logger: cfg.Logger,
	})
	src, err := newSource(ctx, st, cfg.Name)
	if err != nil {
		return refusedStore(err)
	}
	if err := ownDataDir(cfg.DataDir, cfg.Name); err != nil {
		return fmt.Errorf("%w: --data-dir: %w", ErrRefused, err)
	}
	a := agent.New(agent.Config{
		Host: cfg.Name, MTU: cfg.MTU, PublicPools: outside.pools, PoolModes: outside.modes, PublicAllow: outside.allowed, Version: cfg.Version, Kernel: dp, Source: src,
		Resolver: resolver, Logger: cfg.Logger, Alive: cfg.Alive,
	})
	svc := service.New(service.Config{
		Store: st, Host: a.Local(resolver), HostName: cfg.Name, Limits: cfg.Limits, StrictCIDRs: cfg.StrictCIDRs,
		PublicPools: outside.pools, ClaimPools: func() error { return here.take(outside.pools) }, Warnings: firewalls, Seal: box, EC2Endpoint: endpoint,
	})
	src.release = svc.Release
	sayLost(cfg, box, svc.LostKeys())
	handlers := waitUntil(ctx, svc.Handlers())
	srv := wire.NewServer(handlers, wire.Options{DefaultAccount: cfg.Account, Logger: cfg.Logger})

	g.Go(func() error { return resolver.Run(ctx) })
	g.Go(func() error { return a.Run(ctx) })
	g.Go(func() error { return dp.Run(ctx) })
	g.Go(func() error { return svc.Run(ctx) })
	g.Go(func() error { return serveBackup(ctx, st, copies) })
	g.Go(func() error { return srv.Serve(l) })
	g.Go(func() error { return shutdown(ctx, srv) })
	if port != nil {
		ec2 := wire.NewEC2(handlers, svc, cfg.Logger)
		g.Go(func() error { return ec2.Serve(port) })
		g.Go(func() error { return shutdown(ctx, ec2) })
	}
	cfg.Ready()
	err = g.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// openStore refuses a store that these pools do not fit.
func openStore(ctx context.Context, cfg Config, pools []netip.Prefix, here *claim) (*store.Store, error) {
	st, err := store.Open(ctx, store.Config{Dir: filepath.Join(cfg.DataDir, storeDir), Decode: record.Decode, Logger: cfg.Logger, Step: cfg.Step})
	if err != nil {
		return nil, refusedStore(err)
	}
	if err = checkPools(st, pools); err == nil {
		err = here.begin(st, pools)
	}
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return st, nil
}

// listenEC2 opens the port for EC2's clients and says where they find it, or
// nil and "" where there is none.
func listenEC2(cfg Config) (*wire.EC2Listener, string, error) {
	if cfg.EC2Listen == "" {
		if cfg.EC2TLSCert != "" || cfg.EC2TLSKey != "" {
			return nil, "", errors.New("--ec2-tls-cert, --ec2-tls-key: there is nothing to protect without --ec2-listen")
		}
		return nil, "", nil
	}
	l, err := wire.ListenEC2(cfg.EC2Listen, cfg.EC2TLSCert, cfg.EC2TLSKey)
	if err != nil {
		return nil, "", err
	}
	return l, l.URL(), nil
}

// shutdown waits for ctx to end and then for the calls that a server has in flight.
func shutdown(ctx context.Context, srv interface{ Shutdown(context.Context) error }) error {
	<-ctx.Done()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return srv.Shutdown(stop)
}

// waitUntil ends calls that only wait when ctx ends: the others are given time
// to finish, and nobody should sit that out.
func waitUntil(ctx context.Context, handlers map[string]service.Handler) map[string]service.Handler {
	const action = "WaitApplied"
	handlers, wait := maps.Clone(handlers), handlers[action]
	handlers[action] = func(call context.Context, c service.Caller, req any) (any, int64, error) {
		call, cancel := context.WithCancel(call)
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		return wait(call, c, req)
	}
	return handlers
}

// refusedStore marks what the operator has to settle before the daemon can run.
func refusedStore(err error) error {
	for _, known := range []error{syscall.ENOSPC, store.ErrInUse, store.ErrNewerLayout, store.ErrCorrupt} {
		if errors.Is(err, known) {
			return fmt.Errorf("%w: --data-dir: %w", ErrRefused, err)
		}
	}
	return err
}
