package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	maxAttempts     = 64
	minConflictWait = 2 * time.Millisecond
	maxConflictWait = 100 * time.Millisecond
	// commitTimeout bounds one request when the caller's context does not.
	commitTimeout = 5 * time.Second
	// catchUpTimeout bounds how long a committed transaction waits to be readable.
	catchUpTimeout = 10 * time.Second
)

// Update runs fn on the newest snapshot and commits what it wrote in one etcd
// transaction, which fails if anything that fn read has changed; then fn runs
// again on a newer snapshot. fn must have no other effects than through tx.
//
// It returns the revision of the commit, which every later Snapshot contains,
// or of the snapshot if fn wrote nothing. An error of fn is returned as it is,
// and nothing is written. Other errors: ErrConflict, ErrUnavailable (a
// *DiskFullError among them), ErrOutcomeUnknown, ErrTooLarge, ErrClosed. If the revision is not 0 despite
// an error, the writes are committed but not yet readable here.
func (s *Store) Update(ctx context.Context, fn func(tx *Tx) error) (revision int64, err error) {
	wait := minConflictWait
	for attempt := range maxAttempts {
		if attempt == 1 {
			// Losers queue here, so each competes with newcomers only.
			select {
			case s.retrying <- struct{}{}:
				defer func() { <-s.retrying }()
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
		revision, current, err := s.attempt(ctx, fn)
		if !errors.Is(err, ErrConflict) {
			return revision, err
		}
		if err := s.afterConflict(ctx, current, wait); err != nil {
			return 0, err
		}
		wait = min(2*wait, maxConflictWait)
	}
	return 0, fmt.Errorf("%w: gave up after %d attempts", ErrConflict, maxAttempts)
}

// attempt runs fn once. On ErrConflict, current is the revision that etcd is at.
func (s *Store) attempt(ctx context.Context, fn func(tx *Tx) error) (revision, current int64, err error) {
	if err := s.usable(ctx); err != nil {
		return 0, 0, err
	}
	tx := newTx(s.Snapshot(), s.decode)
	if err := fn(tx); err != nil {
		return 0, 0, err
	}
	if tx.err != nil {
		return 0, 0, tx.err
	}
	ops, err := tx.operations()
	if err != nil {
		return 0, 0, err
	}
	if len(ops) == 0 {
		return tx.base.revision, 0, nil
	}
	cmps, err := tx.guards()
	if err != nil {
		return 0, 0, err
	}
	if s.embedded != nil {
		if err := s.embedded.ableToWrite(); err != nil {
			return 0, 0, err
		}
	}
	return s.commit(ctx, cmps, ops)
}

func (s *Store) commit(ctx context.Context, cmps []clientv3.Cmp, ops []clientv3.Op) (revision, current int64, err error) {
	request, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	s.step("before commit")
	resp, err := s.client.Txn(request).If(cmps...).Then(ops...).Commit()
	if err == nil && resp.Succeeded {
		s.step("after commit")
	}
	if err != nil {
		err = commitError(err)
		if errors.Is(err, rpctypes.ErrNoSpace) {
			s.requestHeal()
		}
		return 0, 0, err
	}
	if !resp.Succeeded {
		return 0, resp.Header.Revision, ErrConflict
	}
	return resp.Header.Revision, 0, s.catchUp(ctx, resp.Header.Revision)
}

// catchUp waits until the cache contains a committed revision. The caller's
// cancellation does not count any more: the writes are made.
func (s *Store) catchUp(ctx context.Context, revision int64) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), catchUpTimeout)
	defer cancel()
	err := s.Wait(ctx, func(sn *Snapshot) bool { return sn.revision >= revision })
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: committed at revision %d, not yet readable", ErrUnavailable, revision)
	}
	return err
}

// afterConflict waits for the change that was lost against, then for a random
// part of wait. In a cluster shared with other users the revision may be
// theirs and never come, so the first wait is bounded too.
func (s *Store) afterConflict(ctx context.Context, current int64, wait time.Duration) error {
	bounded, cancel := context.WithTimeout(ctx, maxConflictWait)
	defer cancel()
	err := s.Wait(bounded, func(sn *Snapshot) bool { return sn.revision >= current })
	if errors.Is(err, ErrClosed) {
		return err
	}
	pause(ctx, wait)
	return ctx.Err()
}

func (s *Store) usable(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	return ctx.Err()
}
