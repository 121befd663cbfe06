package service

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/netip"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/host"
	"github.com/vpcfabric/vpc/vpcd/internal/seal"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// Config is what the service needs from its surroundings.
type Config struct {
	Store *store.Store
	// Host is the local host, nil where nothing can be attached.
	Host     host.Host
	HostName string
	// Region and Zones are labels; empty means local-1 and its zones a, b, c.
	Region string
	Zones  []string
	// Limits override the default quotas, by name.
	Limits map[string]int64
	// StrictCIDRs turns AWS's table of restricted CIDR associations on.
	StrictCIDRs bool
	// PublicPools are where public addresses come from, apart from each other; of
	// each, ipam.CheckPool says which ones.
	PublicPools []netip.Prefix
	// ClaimPools is called before an address of them or a gateway is given out; its
	// error refuses that. nil allows it.
	ClaimPools func() error
	// Warnings are asked for with the status, where a VPC has a gateway or somebody
	// a public address: what on the host stands in the way of their packets. nil
	// says that nothing does.
	Warnings func() []string
	// Seal keeps the secrets of access keys; nil where there are none.
	Seal *seal.Box
	// EC2Endpoint is the URL at which EC2 clients reach this service, "" where
	// they cannot.
	EC2Endpoint string
	// Now, NewID and FirstIndex are replaced in tests; nil means the clock,
	// random ids, and sequences of indices that begin at a random value.
	Now        func() time.Time
	NewID      func(prefix string) string
	FirstIndex func() uint32
}

// Service answers the actions. It holds no state of its own: everything it
// knows is in the store, so that several of them may share one.
type Service struct {
	store       *store.Store
	host        host.Host
	hostName    string
	region      string
	zones       []string
	limits      map[string]int64
	strictCIDRs bool
	publicPools []netip.Prefix
	claimPools  func() error
	warnings    func() []string
	seal        *seal.Box
	ec2Endpoint string
	now         func() time.Time
	newID       func(prefix string) string
	firstIndex  func() uint32
}

// New makes a service. It trusts cfg.Limits: see CheckLimit.
func New(cfg Config) *Service {
	s := &Service{
		store:       cfg.Store,
		host:        cfg.Host,
		hostName:    cfg.HostName,
		region:      cfg.Region,
		zones:       cfg.Zones,
		limits:      cfg.Limits,
		strictCIDRs: cfg.StrictCIDRs,
		publicPools: cfg.PublicPools, claimPools: cfg.ClaimPools, warnings: cfg.Warnings,
		seal:        cfg.Seal,
		ec2Endpoint: cfg.EC2Endpoint,
		now:         cfg.Now,
		newID:       cfg.NewID,
		firstIndex:  cfg.FirstIndex,
	}
	if s.region == "" {
		s.region = "local-1"
	}
	if len(s.zones) == 0 {
		s.zones = []string{s.region + "a", s.region + "b", s.region + "c"}
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.newID == nil {
		s.newID = randomID
	}
	if s.firstIndex == nil {
		s.firstIndex = randomIndex
	}
	return s
}

// randomID is an EC2 id: the prefix with its dash and 17 hex digits.
func randomID(prefix string) string {
	var b [9]byte
	// rand.Read never fails: it ends the process instead.
	_, _ = rand.Read(b[:])
	return prefix + hex.EncodeToString(b[:])[:17]
}

// Caller is who asks. The account comes from the connection, never from the
// request.
type Caller struct{ Account string }

// view is one consistent read on behalf of a caller.
type view struct {
	*Service
	caller Caller
	r      *store.Snapshot
}

func (s *Service) view(c Caller) view {
	return view{Service: s, caller: c, r: s.store.Snapshot()}
}

// revision is that of the snapshot the view reads.
func (v view) revision() int64 { return v.r.Revision() }

// change is one mutating action under way. What it reads through tx is
// guarded: the action runs again when somebody else changed it meanwhile.
type change struct {
	*Service
	ctx    context.Context
	caller Caller
	tx     *store.Tx
}

// mutate runs fn in one transaction and returns the revision of its commit.
// With dryRun everything is validated, nothing is written, and the answer is
// DryRunOperation. fn may run several times: what it hands out must be set
// anew in each run.
func (s *Service) mutate(ctx context.Context, c Caller, dryRun *bool, fn func(*change) error) (int64, error) {
	did := outcomeOf(ctx)
	revision, err := s.store.Update(ctx, func(tx *store.Tx) error {
		did.made = false // in a run before this one nothing was
		if err := fn(&change{Service: s, ctx: ctx, caller: c, tx: tx}); err != nil {
			return err
		}
		if api.Val(dryRun) {
			return dryRunOperation()
		}
		did.made = true
		return nil
	})
	// A commit that is not yet readable here is a commit: an error would have
	// the caller do it twice.
	if err != nil && revision == 0 {
		did.made = false
		return 0, publicError(err)
	}
	return revision, nil
}

func dryRunOperation() *api.Error {
	return api.Errorf("DryRunOperation", "", "the request would have succeeded, but the DryRun flag is set")
}

// publicError makes an *api.Error of whatever the store or a host answered.
// Codes that EC2 clients repeat by themselves are used only where a repetition
// cannot do the same thing twice; of OutcomeUnknown none knows.
func publicError(err error) error {
	var known *api.Error
	var full *store.DiskFullError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case errors.As(err, &full):
		e := api.Errorf("Unavailable", "", "the disk is full, and nothing was changed: %v; what is there goes on working", full)
		e.Hint = "free some space there: changes are taken again by themselves"
		if full.GaveUp {
			e.Hint = "free some space there, then restart vpcd"
		}
		return e
	case errors.Is(err, store.ErrOutcomeUnknown):
		return api.Errorf("OutcomeUnknown", "", "the connection to the store was lost during the commit: the change is either made or not; look before asking again (%v)", err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return api.Errorf("RequestTimeout", "", "the call ended before the answer was there, and nothing was changed: %v; ask again", err)
	case errors.Is(err, store.ErrConflict):
		return api.Errorf("RequestLimitExceeded", "", "too many calls change the same objects at once, and nothing was changed: %v; ask again", err)
	case errors.Is(err, store.ErrTooLarge):
		return api.Errorf("ResourceLimitExceeded", "", "the change is too large to make at once, and nothing was changed: %v; split it", err)
	}
	return api.Errorf("Unavailable", "", "the store did not answer, and nothing was changed: %v; see `vpc status`", err)
}
