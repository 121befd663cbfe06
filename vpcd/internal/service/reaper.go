package service

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

const (
	reapEvery = time.Minute
	// A tombstone outlives the last host that could still ask for it by far.
	tombstoneLife = time.Hour
	// natMemory is how long a NAT gateway that has ended or failed is listed.
	natMemory = time.Hour
	// reapAtOnce keeps one round within one transaction.
	reapAtOnce = 50
)

// Run does what time alone changes, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(reapEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		// A store that refuses writes is reported by DescribeHosts; the next
		// round tries again.
		_ = s.reap(ctx)
	}
}

// reap removes what every host has obeyed and that is old.
func (s *Service) reap(ctx context.Context) error {
	return errors.Join(s.reapTombstones(ctx), s.reapCuts(ctx), s.reapPeerings(ctx), s.reapNats(ctx))
}

func (s *Service) reapCuts(ctx context.Context) error {
	old := s.oldCuts()
	if len(old) == 0 {
		return nil
	}
	_, err := s.store.Update(ctx, func(tx *store.Tx) error {
		for _, key := range old {
			tx.Delete(key)
		}
		return nil
	})
	return err
}

func (s *Service) reapTombstones(ctx context.Context) error {
	known := s.view(Caller{}).knownEverywhere()
	_, err := s.store.Update(ctx, func(tx *store.Tx) error {
		var doomed []string
		for key, t := range store.List[*record.Tombstone](tx.Peek(), record.Tombstones) {
			made, err := time.Parse(time.RFC3339, t.Time)
			rev, _ := tx.ModRevision(key)
			if err == nil && s.now().Sub(made) > tombstoneLife && rev <= known {
				doomed = append(doomed, strings.Clone(key))
			}
			if len(doomed) == reapAtOnce {
				break
			}
		}
		for _, key := range doomed {
			tx.Delete(key)
		}
		return nil
	})
	return err
}
