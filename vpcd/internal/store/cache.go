package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// root covers the records and the deletion marks, so that every
	// transaction of ours is an event of the one watch.
	root = "/vpc/"
	// listPage bounds one answer of a listing.
	listPage = 2000
	// resyncEvery is how often a healthy watch is checked against a full listing.
	resyncEvery = 5 * time.Minute

	minRelistDelay = 20 * time.Millisecond
	maxRelistDelay = 2 * time.Second
)

var errResync = errors.New("store: time for a full listing")

// cache follows the store. Only the goroutine in follow changes it.
type cache struct {
	client *clientv3.Client
	decode decoder

	items      *tree
	quarantine map[string]string
	revision   int64

	publish func(s *Snapshot, changed []string)
	failed  func(error)
}

// follow keeps the cache current until ctx ends. load has been called before.
func (c *cache) follow(ctx context.Context) {
	delay := minRelistDelay
	for ctx.Err() == nil {
		before := c.revision
		err := c.watch(ctx)
		if c.revision > before || errors.Is(err, errResync) {
			delay = minRelistDelay
		}
		if errors.Is(err, errResync) {
			err = c.load(ctx)
		}
		for err != nil && ctx.Err() == nil {
			c.failed(err)
			pause(ctx, delay)
			delay = min(2*delay, maxRelistDelay)
			err = c.load(ctx)
		}
	}
}

// load replaces the cache by a full listing at one revision and publishes the
// difference. Items whose revision is unchanged stay the same objects.
func (c *cache) load(ctx context.Context) error {
	items, quarantine := newTree(), map[string]string{}
	revision, err := c.list(ctx, func(kv *mvccpb.KeyValue) {
		key := string(kv.Key)
		it, ok := (*item)(nil), false
		if c.items != nil {
			it, ok = treeGet(c.items, key)
		}
		if !ok || it.modRevision != kv.ModRevision || !bytes.Equal(it.raw, kv.Value) {
			it = c.decode.item(key, kv.Value, kv.ModRevision)
		}
		items.ReplaceOrInsert(it)
		if it.reason != "" {
			quarantine[key] = it.reason
		}
	})
	if err != nil {
		return err
	}
	if c.items != nil && revision < c.revision {
		c.failed(fmt.Errorf("the store went back from revision %d to %d", c.revision, revision))
	}
	changed := difference(c.items, items)
	c.items, c.quarantine, c.revision = items, quarantine, revision
	c.emit(changed)
	return nil
}

// list calls each for every record at one revision, which it returns.
func (c *cache) list(ctx context.Context, each func(*mvccpb.KeyValue)) (int64, error) {
	from, revision := Prefix, int64(0)
	for {
		opts := []clientv3.OpOption{clientv3.WithRange(clientv3.GetPrefixRangeEnd(Prefix)), clientv3.WithLimit(listPage)}
		if revision != 0 {
			opts = append(opts, clientv3.WithRev(revision))
		}
		resp, err := c.client.Get(ctx, from, opts...)
		if err != nil {
			return 0, err
		}
		if revision == 0 {
			revision = resp.Header.Revision
		}
		for _, kv := range resp.Kvs {
			each(kv)
		}
		if !resp.More || len(resp.Kvs) == 0 {
			return revision, nil
		}
		from = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
	}
}

// watch applies events after c.revision until the watch fails or it is time to resync.
func (c *cache) watch(ctx context.Context) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	events := c.client.Watch(ctx, root, clientv3.WithPrefix(), clientv3.WithRev(c.revision+1))
	resync := time.NewTimer(resyncEvery)
	defer resync.Stop()
	for {
		select {
		case resp, ok := <-events:
			if !ok {
				return fmt.Errorf("watch ended: %w", ErrUnavailable)
			}
			if err := resp.Err(); err != nil {
				return err
			}
			c.apply(resp.Events)
		case <-resync.C:
			return errResync
		}
	}
}

// apply takes one batch of events. A batch never splits a revision, so what is
// published is always a state the store really had.
func (c *cache) apply(events []*clientv3.Event) {
	changed := make([]string, 0, len(events))
	copied := false
	for _, ev := range events {
		c.revision = max(c.revision, ev.Kv.ModRevision)
		key := string(ev.Kv.Key)
		if !strings.HasPrefix(key, Prefix) {
			continue
		}
		if !copied {
			c.quarantine, copied = maps.Clone(c.quarantine), true
		}
		delete(c.quarantine, key)
		if ev.Type == clientv3.EventTypeDelete {
			c.items.Delete(&item{key: key})
		} else {
			it := c.decode.item(key, ev.Kv.Value, ev.Kv.ModRevision)
			c.items.ReplaceOrInsert(it)
			if it.reason != "" {
				c.quarantine[key] = it.reason
			}
		}
		changed = append(changed, key)
	}
	if len(events) > 0 {
		c.emit(changed)
	}
}

func (c *cache) emit(changed []string) {
	c.publish(&Snapshot{revision: c.revision, items: c.items.Clone(), quarantine: c.quarantine}, changed)
}

// difference returns the keys that two trees do not share as the same object.
func difference(old, new *tree) []string {
	var changed []string
	new.Ascend(func(it *item) bool {
		if old == nil {
			changed = append(changed, it.key)
		} else if was, ok := treeGet(old, it.key); !ok || was != it {
			changed = append(changed, it.key)
		}
		return true
	})
	if old != nil {
		old.Ascend(func(it *item) bool {
			if !new.Has(it) {
				changed = append(changed, it.key)
			}
			return true
		})
	}
	return changed
}

// pause waits for about d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d/2 + rand.N(d/2+1))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
