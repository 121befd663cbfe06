package attach

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"sync"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// doubtAfter is how long bad news of a container is believed without asking
// again. Good news needs no limit: the process shows whether it still holds.
const doubtAfter = 2 * time.Second

// An engine that hangs must not hold up the workloads of which it knows
// nothing: Locate waits for askTimeout, then not again before askAgain.
const (
	askTimeout = time.Second
	askAgain   = 10 * time.Second
)

// sighting is what was last seen of a container: the process it runs as, or why
// there is none.
type sighting struct {
	pid   int
	start uint64
	err   error
	at    time.Time
}

// containers remembers sightings by full id, so that a pass over every workload
// of a host does not ask the engine about each. With an engine that does not
// answer, containers that run are still found.
type containers struct {
	mu   sync.Mutex
	byID map[string]sighting
	// epoch counts events: an answer asked for before one may be older than it.
	epoch uint64
	// silent is why the engine could not be asked, and since when.
	silent   error
	silentAt time.Time
	// engine is the id of the engine that answered last, and when it was asked.
	engine   string
	engineAt time.Time
}

func (c *containers) get(id string, now time.Time) (s sighting, found bool, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, found = c.byID[id]
	if found && s.err != nil && now.Sub(s.at) > doubtAfter {
		return sighting{}, false, c.epoch
	}
	return s, found, c.epoch
}

// put keeps an answer; bad news only if no event has come since epoch.
func (c *containers) put(id string, s sighting, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.err == nil || c.epoch == epoch {
		c.byID[id] = s
	}
}

// silence is why there is no point in asking the engine now, or nil.
func (c *containers) silence(now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.silentAt) > askAgain {
		return nil
	}
	return c.silent
}

// unanswered notes that the engine could not be asked.
func (c *containers) unanswered(err error, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.silent, c.silentAt = err, now
}

// otherEngine is the id of the engine that answered lately, if it is not wanted.
func (c *containers) otherEngine(wanted string, now time.Time) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.engine == wanted || now.Sub(c.engineAt) > doubtAfter {
		return ""
	}
	return c.engine
}

func (c *containers) answered(engine string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.engine, c.engineAt = engine, now
}

// forget drops what is known of one container, and what is too old to count.
func (c *containers) forget(id string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	delete(c.byID, id)
	maps.DeleteFunc(c.byID, func(_ string, s sighting) bool { return s.err != nil && now.Sub(s.at) > doubtAfter })
}

// forgetBadNews is for the moment from which events are heard.
func (c *containers) forgetBadNews() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	c.silent, c.engine = nil, ""
	maps.DeleteFunc(c.byID, func(_ string, s sighting) bool { return s.err != nil })
}

// findContainer says where the container with this full id is, which was
// attached by the engine with this id, "" where that is not known. ErrGone only
// when an engine says that it does not run, or its process is seen to be gone;
// ErrRemoved only when its own engine says that there is no such container. That
// one is believed also of a container that was never seen here: whoever removed
// it while no daemon looked shall not have to detach it. Any other engine behind
// the socket, or the same one before its data is mounted, knows none of ours.
func (r *Resolver) findContainer(ctx context.Context, id, engine string) (Place, error) {
	now := r.now()
	s, found, epoch := r.known.get(id, now)
	if found && s.err != nil {
		return Place{}, s.err
	}
	var lost error
	if found {
		p, err := r.findProcess(s.pid, s.start)
		if !errors.Is(err, ErrGone) {
			p.Kind = KindDocker
			return p, err
		}
		lost = ended(id, err)
	}
	c, err := r.ask(ctx, id, now)
	if errors.Is(err, errNoContainer) {
		err = r.noContainer(ctx, id, engine, now)
	}
	var refused *refusal
	switch {
	case errors.Is(err, ErrGone):
	case errors.As(err, &refused):
	case err != nil && lost != nil:
		return Place{}, lost
	case err != nil:
		return Place{}, err
	case c.ID != id:
		return Place{}, fmt.Errorf("docker: asked for container %.12s, told of %.12s", id, c.ID)
	case !c.State.Running || c.State.Pid <= 0:
		err = fmt.Errorf("container %s does not run: %w", c.Name, ErrGone)
	}
	if err != nil {
		r.known.put(id, sighting{err: err, at: now}, epoch)
		return Place{}, err
	}
	p, start, err := r.enter(c)
	if err != nil {
		return Place{}, err
	}
	r.known.put(id, sighting{pid: c.State.Pid, start: start}, epoch)
	return p, nil
}

// noContainer is what it means that an engine has no such container. Whoever
// answered that may have been another engine than the one that says next who it
// is. So the container's own is asked again, between two answers of who it is.
func (r *Resolver) noContainer(ctx context.Context, id, engine string, now time.Time) error {
	if engine == "" {
		return fmt.Errorf("container %.12s does not exist, and which engine had it is not known: %w", id, ErrGone)
	}
	if err := r.isEngine(ctx, id, engine, now); err != nil {
		return err
	}
	switch _, err := r.ask(ctx, id, now); {
	case err == nil:
		return fmt.Errorf("docker: the engine at %s was another one a moment ago: container %.12s exists", r.docker.socket, id)
	case !errors.Is(err, errNoContainer):
		return err
	}
	if err := r.isEngine(ctx, id, engine, now); err != nil {
		return err
	}
	return fmt.Errorf("container %.12s does not exist: %w", id, ErrRemoved)
}

// isEngine is nil where the engine that answers is the one that the container was
// attached with.
func (r *Resolver) isEngine(ctx context.Context, id, engine string, now time.Time) error {
	answering, err := r.engineNow(ctx, engine, now)
	if err != nil {
		return err
	}
	if answering != engine {
		return fmt.Errorf("docker: the engine at %s, %s, is not the one that container %.12s was attached with, %s",
			r.docker.socket, api.Quote(answering), id, api.Quote(engine))
	}
	return nil
}

// engineNow is the id of the engine that answers. An older answer is good enough
// for an engine that is not the wanted one: only that one's word costs a record.
func (r *Resolver) engineNow(ctx context.Context, wanted string, now time.Time) (string, error) {
	if id := r.known.otherEngine(wanted, now); id != "" {
		return id, nil
	}
	short, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	id, err := r.docker.engineID(short)
	if err == nil {
		r.known.answered(id, now)
	}
	return id, err
}

// ended is what the end of its process says of a container: it may be started
// again. That it is gone for good is only the engine's to say.
func ended(id string, err error) error {
	if errors.Is(err, ErrRemoved) {
		return fmt.Errorf("container %.12s: %v: %w", id, err, ErrGone)
	}
	return err
}

// ask inspects unless the engine has lately not answered.
func (r *Resolver) ask(ctx context.Context, id string, now time.Time) (container, error) {
	if err := r.known.silence(now); err != nil {
		return container{}, err
	}
	short, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	c, err := r.docker.inspect(short, id)
	var refused *refusal
	answered := err == nil || errors.Is(err, errNoContainer) || errors.As(err, &refused)
	if !answered && ctx.Err() == nil {
		r.known.unanswered(err, now)
	}
	return c, err
}

// enter finds the namespace of a running container. One that has ended since is
// ErrGone.
func (r *Resolver) enter(c container) (Place, uint64, error) {
	start, err := r.startTime(c.State.Pid)
	if errors.Is(err, fs.ErrNotExist) {
		return Place{}, 0, fmt.Errorf("container %s has just ended: %w", c.Name, ErrGone)
	}
	if err != nil {
		return Place{}, 0, err
	}
	p, err := r.findProcess(c.State.Pid, start)
	if err != nil {
		return Place{}, 0, ended(c.ID, err)
	}
	p.Kind = KindDocker
	// The process may have ended and its number been used again since the
	// engine answered; the engine's own handle of the namespace tells.
	key := c.NetworkSettings.SandboxKey
	if key == "" {
		return p, start, nil
	}
	if sandbox, err := r.kernel.Identify(key); err == nil && sandbox.Inode != p.Netns.Inode {
		return Place{}, 0, fmt.Errorf("container %s: process %d is not in its namespace %s", c.Name, c.State.Pid, key)
	}
	return p, start, nil
}
