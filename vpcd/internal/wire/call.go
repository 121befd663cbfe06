package wire

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"runtime/debug"
	"slices"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/service"
)

// call is one request as every encoding understands it.
type call struct {
	id     string
	action api.Action
	caller service.Caller
	// origin says for the log who is behind the caller, as far as is proven.
	origin []slog.Attr
}

// codec is what an encoding does to one call. Request and result are the
// action's structs in package api, by pointer.
type codec struct {
	decode func(request any) error
	encode func(result any) ([]byte, error)
}

// lookup finds the action that a request names.
func (s *core) lookup(name string) (api.Action, error) {
	a, ok := api.Actions[name]
	if !ok && api.IsAbsent(name) {
		return api.Action{}, api.Errorf("InvalidAction", "", "the action %s is EC2's and not built yet", name)
	}
	if !ok {
		return api.Action{}, api.Errorf("InvalidAction", "", "there is no action %q", api.Printable(name))
	}
	if s.handlers[name] == nil {
		return api.Action{}, api.Errorf("UnsupportedOperation", "", "the action %s is not built yet", name)
	}
	return a, nil
}

// run takes a call from its request to its answer. Every error is an
// *api.Error; an action that changes something is logged whatever became of it.
// A change whose answer cannot be written is made all the same, which must not
// look like a fault that is worth another try.
func (s *core) run(ctx context.Context, c call, codec codec) (answer []byte, revision int64, err error) {
	made := false
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("an action failed by a fault of its own", "action", c.action.Name, "request", c.id, "panic", p, "stack", string(debug.Stack()))
			answer, revision, err = nil, 0, internalError(c)
		}
		if err != nil && made {
			err = api.Errorf("OutcomeUnknown", "", "%s made its change, and the answer is lost by a fault of vpcd: look before asking again, and report this with what its log says of request %s", c.action.Name, c.id)
		}
		s.audit(ctx, c, err)
	}()
	request := c.action.NewRequest()
	if err := codec.decode(request); err != nil {
		return nil, 0, s.public(c, err)
	}
	if err := api.Check(request); err != nil {
		return nil, 0, s.public(c, err)
	}
	result, revision, err := s.handlers[c.action.Name](ctx, c.caller, request)
	if err != nil {
		return nil, 0, s.public(c, err)
	}
	made = c.action.Mutates
	if answer, err = codec.encode(api.FillLists(result)); err != nil {
		return nil, 0, s.public(c, err)
	}
	return answer, revision, nil
}

// public keeps errors that are not meant for a caller in the log.
func (s *core) public(c call, err error) error {
	var known *api.Error
	if errors.As(err, &known) && known != nil {
		return known
	}
	s.log.Error("an action answered with an error that has no code", "action", c.action.Name, "request", c.id, "error", err)
	return internalError(c)
}

func internalError(c call) *api.Error {
	return api.Errorf("InternalError", "", "%s failed by a fault of vpcd: please report this with what its log says of request %s", c.action.Name, c.id)
}

// audit writes the line that tells who changed what; the log adds the time.
func (s *core) audit(ctx context.Context, c call, err error) {
	if !c.action.Mutates {
		return
	}
	attrs := append(slices.Clone(c.origin), slog.String("account", c.caller.Account), slog.String("action", c.action.Name))
	var e *api.Error
	if errors.As(err, &e) {
		attrs = append(attrs, slog.String("code", e.Code), slog.String("message", api.Printable(e.Message)))
	} else {
		attrs = append(attrs, slog.String("code", "ok"))
	}
	attrs = append(attrs, slog.String("request", c.id))
	// Without the call's context: a caller who left must not take the line along.
	s.log.LogAttrs(context.WithoutCancel(ctx), slog.LevelInfo, "audit", attrs...)
}

func newRequestID() string { return rand.Text() }

// isAccount tells whether s is an account id: 12 digits.
func isAccount(s string) bool {
	if len(s) != 12 {
		return false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
