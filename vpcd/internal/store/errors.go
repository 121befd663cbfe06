package store

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

var (
	// ErrConflict: what the transaction read kept changing until the attempts were used up. Nothing was written.
	ErrConflict = errors.New("store: too many conflicting changes")
	// ErrUnavailable: the store cannot take writes now; the wrapping error says why. Nothing was written.
	ErrUnavailable = errors.New("store: unavailable")
	// ErrOutcomeUnknown: the connection was lost between the commit and its answer; the writes are all there or all missing.
	ErrOutcomeUnknown = errors.New("store: outcome of the transaction is unknown")
	// ErrTooLarge: more than MaxOperations writes, or a value over MaxValueBytes. Nothing was written.
	ErrTooLarge = errors.New("store: transaction too large")
	// ErrInUse: another process has the state directory open.
	ErrInUse = errors.New("store: state directory is in use")
	// ErrCorrupt: the files in the state directory, or a backup, are damaged or incomplete.
	ErrCorrupt = errors.New("store: state is damaged")
	// ErrNewerLayout: the state directory was written by a later version.
	ErrNewerLayout = errors.New("store: state directory has a newer layout")
	// ErrNotEmpty: Restore found files where the state would go.
	ErrNotEmpty = errors.New("store: directory is not empty")
	// ErrClosed: the store has been closed.
	ErrClosed = errors.New("store: closed")
)

// commitError says what a failed transaction request means for the caller:
// refused (nothing written), or undecided.
func commitError(err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrNoSpace):
		return fmt.Errorf("%w: the database has reached its quota and is being compacted: %w", ErrUnavailable, err)
	case errors.Is(err, rpctypes.ErrTooManyRequests), errors.Is(err, rpctypes.ErrNoLeader):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case errors.Is(err, rpctypes.ErrRequestTooLarge), errors.Is(err, rpctypes.ErrTooManyOps):
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
	var etcd rpctypes.EtcdError
	if errors.As(err, &etcd) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
}
