package storm

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/vpcfabric/vpc/e2e/harness"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/client"
)

const (
	patience = 20 * time.Second // one action
	healed   = 5 * time.Second  // from ready to a clean verify
	look     = 5 * time.Millisecond
)

// caller does actions, and outlives the vpcd that it speaks to.
type caller struct {
	*harness.Host
	rng      *rand.Rand
	revision int64 // of the last action
	dying    <-chan struct{}

	// What became of the kills: in the middle of a change, or behind it; and the
	// longest time from the start of a process to a clean verify.
	inside, behind int
	slowest        time.Duration
}

// call does one action. When vpcd dies under it, the next one is asked the same:
// a refusal with one of the codes says then that the first had done it. The
// result is nil in that case.
func call[Req, Res any](c *caller, req *Req, done ...string) *Res {
	c.Helper()
	action := strings.TrimSuffix(reflect.TypeFor[Req]().Name(), "Request")
	res, err := attempt[Req, Res](c, action, req)
	if c.died(err) {
		c.inside++
		c.restart()
		res, err = attempt[Req, Res](c, action, req)
		var refused *api.Error
		if errors.As(err, &refused) && slices.Contains(done, refused.Code) {
			return nil
		}
	}
	if err != nil {
		c.Fatalf("%s: %v", action, err)
	}
	return res
}

func attempt[Req, Res any](c *caller, action string, req *Req) (*Res, error) {
	ctx, cancel := context.WithTimeout(c.Context(), patience)
	defer cancel()
	res, revision, err := client.Call[Req, Res](ctx, c.Client(), action, req)
	if err == nil {
		c.revision = max(c.revision, revision)
	}
	return res, err
}

// died tells whether an error is the death that was ordered.
func (c *caller) died(err error) bool {
	var refused *api.Error
	return err != nil && c.dying != nil && !errors.As(err, &refused)
}

// applied waits until the kernel has every action so far.
func (c *caller) applied() {
	c.Helper()
	_, err := attempt[api.WaitAppliedRequest, api.WaitAppliedResult](c, "WaitApplied", &api.WaitAppliedRequest{Revision: &c.revision})
	if c.died(err) {
		c.inside++
		c.restart() // and a clean verify says more
	} else if err != nil {
		c.Fatalf("wait for revision %d: %v", c.revision, err)
	}
}

// doom orders the death of vpcd.
func (c *caller) doom(in time.Duration) { c.dying = c.KillAfter(in) }

// reap waits for a death that came too late to meet the change.
func (c *caller) reap() {
	if c.dying != nil {
		c.behind++
		c.restart()
	}
}

// restart returns when store, plan and kernel are equal.
func (c *caller) restart() {
	c.Helper()
	<-c.dying
	c.dying = nil
	c.Buried()
	launched := time.Now()
	c.Start()
	start := time.Now()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		seen, err := attempt[api.VerifyHostRequest, api.VerifyHostResult](c, "VerifyHost", &api.VerifyHostRequest{})
		if err == nil && api.Val(seen.Clean) {
			break
		}
		if time.Since(start) > healed {
			c.Fatalf("not clean %s after it was ready: %v %+v", healed, err, seen)
		}
		<-tick.C
	}
	c.slowest = max(c.slowest, time.Since(launched))
}
