package wire

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// bodies are the large bodies that are being read, oldest first. Like the
// connections of a crowd they have their places only as long as nobody else
// needs them: who sends at once is through before anybody comes, and who sends
// slowly, knowing no more than the id of a key, loses the oldest.
type bodies struct {
	places  chan struct{} // one value for each that is taken
	mu      sync.Mutex
	reading []*body
}

// body is one of them.
type body struct {
	key    string       // the id that it was said to be signed with
	source netip.Prefix // where it comes from
	// until sets the time at which reading it ends.
	until     func(time.Time) error
	displaced bool
}

// enter waits for a place, at most for long, and then lets in be read for that
// long. Where there is none, the body that has to go for it is cut off.
func (b *bodies) enter(ctx context.Context, in *body, long time.Duration) error {
	select {
	case b.places <- struct{}{}:
	default:
		b.makeRoom(in)
		wait := time.NewTimer(long)
		defer wait.Stop()
		select {
		case b.places <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		case <-wait.C:
			return api.Errorf("RequestLimitExceeded", "", "too many large requests arrive at once, and nothing was changed: ask again")
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	_ = in.until(time.Now().Add(long))
	b.reading = append(b.reading, in)
	return nil
}

// makeRoom cuts off the oldest of the key that has the most, and of its the
// oldest of the source that has the most: the owner of a key is not kept out by
// a stranger elsewhere who knows its id.
func (b *bodies) makeRoom(in *body) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := most(b.reading, in.key, func(o *body) string { return o.key })
	var same []*body
	for _, o := range b.reading {
		if o.key == key {
			same = append(same, o)
		}
	}
	source := most(same, in.source, func(o *body) netip.Prefix { return o.source })
	victim := slices.IndexFunc(b.reading, func(o *body) bool { return o.key == key && o.source == source })
	if victim < 0 {
		return // those who went for others are still on their way out
	}
	out := b.reading[victim]
	b.reading = slices.Delete(b.reading, victim, victim+1)
	out.displaced = true
	// Under the lock: once it has left, its connection may carry the next request.
	_ = out.until(time.Unix(1, 0))
}

// leave gives the place back. It reports whether in had to go for another.
func (b *bodies) leave(in *body) (displaced bool) {
	b.mu.Lock()
	if i := slices.Index(b.reading, in); i >= 0 {
		b.reading = slices.Delete(b.reading, i, i+1)
	}
	displaced = in.displaced
	b.mu.Unlock()
	<-b.places
	return displaced
}

// most is what occurs most often among items; own where nothing occurs more often
// than that.
func most[T any, K comparable](items []T, own K, of func(T) K) K {
	count, out := map[K]int{}, own
	for _, it := range items {
		count[of(it)]++
	}
	for _, it := range items {
		if k := of(it); count[k] > count[out] {
			out = k
		}
	}
	return out
}
