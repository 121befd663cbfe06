package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// upkeepEvery is how often sizes and alarms are looked at without a reason.
	upkeepEvery = 30 * time.Second
	// healRetry spaces attempts while live data alone fill the quota.
	healRetry = 5 * time.Second
	// defragWorth is the free space in the file that makes a defragmentation at start pay.
	defragWorth = 64 << 20
	// defragTimeout bounds a defragmentation, which blocks all requests.
	defragTimeout = 2 * time.Minute
)

// Health is the state of the store as an operator needs it.
type Health struct {
	Revision    int64  // newest revision in memory
	SizeBytes   int64  // database file
	InUseBytes  int64  // of it in use
	QuotaBytes  int64  // 0 if unknown (external cluster)
	Alarm       bool   // etcd refuses writes
	Reason      string // what the alarm or error is; empty when all is well
	Leader      string // member id of the leader in hex; empty without one
	Quarantined int    // keys that could not be read
}

// Health asks the first endpoint that answers. Without an answer it returns
// what is known here, with Alarm set and the error as Reason.
func (s *Store) Health(ctx context.Context) Health {
	sn := s.Snapshot()
	h := Health{Revision: sn.Revision(), Quarantined: len(sn.quarantine)}
	if s.embedded != nil {
		h.QuotaBytes = s.cfg.QuotaBytes
	}
	if s.embedded != nil && s.embedded.fate.err() != nil {
		h.Alarm, h.Reason = true, s.embedded.fate.reason.Error()
		return h
	}
	status, err := s.status(ctx)
	if err != nil {
		h.Alarm, h.Reason = true, err.Error()
		return h
	}
	h.SizeBytes, h.InUseBytes = status.DbSize, status.DbSizeInUse
	if s.embedded != nil {
		if err := s.embedded.room.check(); err != nil {
			h.Alarm, h.Reason = true, err.Error()
		}
	}
	if status.Leader != 0 {
		h.Leader = fmt.Sprintf("%x", status.Leader)
	}
	for _, reason := range status.Errors {
		h.Alarm, h.Reason = true, reason
	}
	return h
}

func (s *Store) status(ctx context.Context) (*clientv3.StatusResponse, error) {
	err := error(ErrUnavailable)
	for _, endpoint := range s.cfg.Endpoints {
		var resp *clientv3.StatusResponse
		if resp, err = s.client.Status(ctx, endpoint); err == nil {
			return resp, nil
		}
	}
	return nil, err
}

// upkeep bounds the history and heals the quota alarm of the embedded etcd. The
// history of an external cluster belongs to whoever runs it.
func (s *Store) upkeep(ctx context.Context) {
	compacted := s.Snapshot().Revision()
	tick := time.NewTicker(upkeepEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		s.mu.Lock()
		changed, revision := s.changed, s.snapshot.revision
		s.mu.Unlock()
		if revision >= compacted+2*s.cfg.History && s.embedded.room.check() == nil {
			s.compact(ctx, revision-s.cfg.History)
			compacted = revision - s.cfg.History
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-tick.C:
			s.shrink(ctx)
		case <-s.heal:
			if err := s.reclaim(ctx); err != nil {
				s.log.Error("store: no space for writes; more attempts follow", "dir", s.cfg.Dir, "err", err)
				pause(ctx, healRetry)
				s.requestHeal()
			}
		}
	}
}

func (s *Store) requestHeal() {
	select {
	case s.heal <- struct{}{}:
	default:
	}
}

// healAtStart clears an alarm that an earlier run left behind and returns
// unused space to the file system when there is much of it.
func (s *Store) healAtStart(ctx context.Context) {
	status, err := s.status(ctx)
	if err != nil {
		s.log.Warn("store: status at start", "err", err)
		return
	}
	if !outOfSpace(status) && status.DbSize-status.DbSizeInUse < defragWorth {
		return
	}
	if err := s.reclaim(ctx); err != nil {
		s.log.Error("store: no space for writes; more attempts follow", "dir", s.cfg.Dir, "err", err)
		s.requestHeal()
	}
}

// shrink acts before the quota does: a file near it whose pages are mostly free.
func (s *Store) shrink(ctx context.Context) {
	status, err := s.status(ctx)
	if err != nil {
		return
	}
	nearQuota := status.DbSize > s.cfg.QuotaBytes/5*4 && status.DbSizeInUse < status.DbSize/2
	if nearQuota || outOfSpace(status) {
		s.requestHeal()
	}
}

// outOfSpace reports whether the quota alarm is raised; status lists alarms as text.
func outOfSpace(status *clientv3.StatusResponse) bool {
	return slices.ContainsFunc(status.Errors, func(text string) bool {
		return strings.Contains(text, pb.AlarmType_NOSPACE.String())
	})
}

// reclaim drops all history, shrinks the file and, if that made room, lifts the
// quota alarm. It is an error if live data alone exceed the quota: then not even
// deletions pass, and only a start with a larger quota helps.
func (s *Store) reclaim(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, defragTimeout)
	defer cancel()
	if err := s.embedded.room.roomToCopy(s.embedded.dir.databasePath()); err != nil {
		return err
	}
	alarms, err := s.client.AlarmList(ctx)
	if err != nil {
		return err
	}
	resp, err := s.client.Get(ctx, Prefix, clientv3.WithCountOnly())
	if err != nil {
		return err
	}
	s.compact(ctx, resp.Header.Revision)
	if _, err := s.client.Defragment(ctx, s.embedded.endpoint); err != nil {
		return err
	}
	status, err := s.status(ctx)
	if err != nil {
		return err
	}
	if status.DbSize >= s.cfg.QuotaBytes {
		return fmt.Errorf("the records need %d bytes and the quota is %d; start with a larger one", status.DbSize, s.cfg.QuotaBytes)
	}
	for _, alarm := range alarms.Alarms {
		if alarm.Alarm != pb.AlarmType_NOSPACE {
			continue // a CORRUPT alarm is not ours to lift
		}
		if _, err := s.client.AlarmDisarm(ctx, (*clientv3.AlarmMember)(alarm)); err != nil {
			return err
		}
		s.log.Info("store: quota alarm lifted", "size", status.DbSize, "quota", s.cfg.QuotaBytes)
	}
	return nil
}

// compact forgets the history before revision and waits until its pages are
// free. What is already compacted is no error.
func (s *Store) compact(ctx context.Context, revision int64) {
	_, err := s.client.Compact(ctx, revision, clientv3.WithCompactPhysical())
	if err != nil && !errors.Is(err, rpctypes.ErrCompacted) && ctx.Err() == nil {
		s.log.Warn("store: compaction", "revision", revision, "err", err)
	}
}
