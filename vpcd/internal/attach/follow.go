package attach

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// Run follows containers and namespaces and wakes the watchers, until ctx ends,
// whose error it returns. A machine without Docker is not an error.
func (r *Resolver) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.followDocker(ctx) })
	g.Go(func() error { return r.followNamespaces(ctx) })
	return g.Wait()
}

// followDocker keeps an event stream open.
func (r *Resolver) followDocker(ctx context.Context) error {
	defer r.docker.client.CloseIdleConnections()
	pause := firstRetry
	for ctx.Err() == nil {
		connected, asked := false, r.now()
		err := r.docker.events(ctx, asked, func() {
			connected = true
			r.log.Info("following Docker", "socket", r.docker.socket)
			// Whatever happened before is not told.
			r.known.forgetBadNews()
			r.wake()
		}, func(id string) {
			r.known.forget(id, r.now())
			r.wake()
		})
		switch {
		case ctx.Err() != nil:
		case connected:
			// An engine that keeps failing is not asked ever faster.
			if r.now().Sub(asked) > lastRetry {
				pause = firstRetry
			}
			r.log.Warn("lost Docker: containers that restart now are attached when it is back", "err", err)
		case pause == firstRetry && errors.Is(err, errNoDocker):
			r.log.Debug("no Docker here", "socket", r.docker.socket)
		case pause == firstRetry:
			r.log.Warn("cannot follow Docker", "err", err)
		}
		if !sleep(ctx, pause) {
			break
		}
		pause = min(2*pause, lastRetry)
	}
	return ctx.Err()
}

// sleep reports whether the time passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
