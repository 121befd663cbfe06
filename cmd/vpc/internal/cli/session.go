package cli

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/client"
)

const (
	defaultSocket  = "/run/vpcd/vpcd.sock"
	defaultTimeout = 30 * time.Second
	// pollPause is how long a command that polls rests between two questions.
	pollPause = 200 * time.Millisecond
)

var accountID = regexp.MustCompile(`^[0-9]{12}$`)

// session is one run of the program: the global flags, the connection and the
// newest revision this run has written.
type session struct {
	Env
	// ctx ends with the process; until ends with it or after --timeout.
	ctx    context.Context
	until  context.Context
	cancel context.CancelFunc

	socket, vpc, account       string
	output                     string
	quiet, dryRun, noWait, yes bool
	timeout                    time.Duration

	conn  *client.Client
	scope *object // what --vpc stands for, once resolved
	// revision is the newest this run has written, 0 when it has not.
	revision int64
}

// start checks the global flags once they are parsed and starts the clock.
func (s *session) start(ctx context.Context) error {
	if s.socket == "" {
		s.socket = firstOf(s.Getenv("VPC_SOCKET"), defaultSocket)
	}
	if s.vpc == "" {
		s.vpc = s.Getenv("VPC_VPC")
	}
	if s.quiet {
		s.output = outputID
	}
	if err := checkOutput(s.output); err != nil {
		return err
	}
	if s.account != "" && !accountID.MatchString(s.account) {
		return refusef("--account", "an account is 12 digits, not %s", s.account)
	}
	if s.timeout <= 0 {
		return usagef("--timeout must be more than zero, not %s", s.timeout)
	}
	s.ctx = ctx
	s.restartClock()
	return nil
}

// restartClock starts --timeout again, for the time that a person took to
// answer is not the daemon's.
func (s *session) restartClock() {
	if s.cancel != nil {
		s.cancel()
	}
	s.until, s.cancel = context.WithTimeout(s.ctx, s.timeout)
}

// close gives the connection back; what waits on the clock ends.
func (s *session) close() {
	if s.cancel != nil {
		s.cancel()
	}
	if s.conn != nil {
		s.conn.Close()
	}
}

// client connects at the first action only: help, versions and mistakes on the
// command line need no daemon.
func (s *session) client() *client.Client {
	if s.conn == nil {
		s.conn = s.Dial(s.socket)
		if s.account != "" {
			s.conn = s.conn.WithAccount(s.account)
		}
	}
	return s.conn
}

// ask does an action that only reads.
func ask[Res, Req any](s *session, action string, req *Req) (*Res, error) {
	res, _, err := client.Call[Req, Res](s.until, s.client(), action, req)
	return res, err
}

// errDryRun says that the server would have done the action.
var errDryRun = errors.New("dry run")

// change does an action that writes. With --dry-run it answers errDryRun when
// the action would have succeeded; an action without a dry run is refused
// rather than done.
func change[Res, Req any](s *session, action string, req *Req) (*Res, error) {
	if s.dryRun && !setDryRun(req) {
		return nil, &failure{exit: api.ExitRefused, refusal: api.Error{
			Code: "UnsupportedOperation", Field: "DryRun", Message: action + " has no dry run"}}
	}
	res, revision, err := client.Call[Req, Res](s.until, s.client(), action, req)
	if refused := (*api.Error)(nil); errors.As(err, &refused) && refused.Code == "DryRunOperation" {
		return nil, errDryRun
	}
	if err != nil {
		return nil, err
	}
	s.revision = max(s.revision, revision)
	return res, nil
}

// setDryRun sets the member DryRun of a request, a pointer to a struct, and
// reports whether there is one.
func setDryRun(req any) bool {
	f := reflect.ValueOf(req).Elem().FieldByName("DryRun")
	if !f.IsValid() {
		return false
	}
	f.Set(reflect.ValueOf(api.Ptr(true)))
	return true
}

// steps does several changes that are one command. A dry run tries them all.
func (s *session) steps(all ...func() error) error {
	var dry error
	for _, step := range all {
		switch err := step(); {
		case errors.Is(err, errDryRun):
			dry = err
		case err != nil:
			return err
		}
	}
	return dry
}

// done prints the outcome of a change and waits for the kernel.
func (s *session) done(result any, o object, outcome string) error {
	line := fmt.Sprintf("%s %s", o, outcome)
	if err := s.emit(result, []string{o.id}, func() { s.say("%s", line) }); err != nil {
		return err
	}
	return s.wait(line)
}

// wait returns when every host concerned has applied what this run wrote. The
// outcome was printed before: a wait that fails undoes nothing.
func (s *session) wait(outcome string) error {
	if s.noWait || s.revision == 0 {
		return nil
	}
	defer s.statusLine("waiting for the kernel …")()
	for {
		res, err := ask[api.WaitAppliedResult](s, "WaitApplied", &api.WaitAppliedRequest{Revision: api.Ptr(s.revision)})
		switch {
		case err == nil && api.Val(res.Applied):
			return nil
		case s.ctx.Err() != nil:
			return s.ctx.Err()
		case err != nil && !isTimeout(err):
			f := explain(err)
			f.did, f.Message = true, fmt.Sprintf("%s; waiting for the kernel: %s", outcome, f.Message)
			return f
		}
		// A daemon may give up before --timeout does: then ask again.
		if s.until.Err() != nil || s.pause(pollPause) != nil {
			return &failure{exit: api.ExitTimeout, did: true, refusal: api.Error{Code: "Timeout", Hint: "vpc status",
				Message: fmt.Sprintf("%s, but the kernel has not followed within %s", outcome, s.timeout)}}
		}
	}
}

// pause waits d, or less when the time of the command is up.
func (s *session) pause(d time.Duration) error {
	select {
	case <-s.After(d):
		return nil
	case <-s.until.Done():
		return s.until.Err()
	}
}

// statusLine shows one line on a terminal until the returned func is called.
func (s *session) statusLine(text string) (clear func()) {
	if !s.IsTTY(s.Stderr) {
		return func() {}
	}
	fmt.Fprintf(s.Stderr, "%s", safe(text))
	return func() { fmt.Fprint(s.Stderr, "\r\x1b[K") }
}

// isTimeout takes in both ways a call can be late: this side gave up, or the
// daemon did.
func isTimeout(err error) bool {
	refused := (*api.Error)(nil)
	return errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &refused) && api.ExitCode(refused.Code) == api.ExitTimeout
}

// firstOf is the first value that is not empty.
func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
