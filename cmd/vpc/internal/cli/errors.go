package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/client"
)

// Exit codes that no error code stands for.
const (
	exitUsage    = 2
	exitNoDaemon = 7
	exitNegative = 10
)

// failure is an error as the user gets it. Its Code is empty where EC2 has none.
type failure struct {
	exit int
	// doing is what was tried: "delete vpc prod (vpc-…)".
	doing string
	// did says that it was done, and what failed came after.
	did bool
	refusal
}

// refusal is what an action answers; a failure made here has the same shape.
type refusal = api.Error

func (f *failure) Error() string { return f.Message }

// negative ends a command whose answer, already printed, is no.
type negative struct{ exit int }

func (negative) Error() string { return "negative answer" }

// usagef says that the command line cannot be understood.
func usagef(format string, args ...any) error {
	return &failure{exit: exitUsage, refusal: api.Error{Message: fmt.Sprintf(format, args...)}}
}

// refusef says that a value cannot be used; field is the flag or argument.
func refusef(field, format string, args ...any) error {
	return &failure{exit: api.ExitRefused, refusal: api.Error{
		Code: "InvalidParameterValue", Field: field, Message: fmt.Sprintf(format, args...)}}
}

// doing adds to an error what was tried. A dry run's success stays as it is.
func doing(what string, err error) error {
	if err == nil || errors.Is(err, errDryRun) {
		return err
	}
	f := explain(err)
	if f.doing == "" && !f.did && f.exit != exitUsage && f.exit != exitNoDaemon && f.exit != api.ExitPermission {
		f.doing = what
	}
	return f
}

// explain turns any error into the one shape.
func explain(err error) *failure {
	var f *failure
	var refused *api.Error
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &refused):
		return &failure{exit: refused.Exit(), refusal: *refused}
	case errors.Is(err, client.ErrNoDaemon):
		return &failure{exit: exitNoDaemon, refusal: api.Error{Message: err.Error(),
			Hint: "systemctl start vpcd, or name another socket with --socket"}}
	case errors.Is(err, client.ErrPermission):
		return &failure{exit: api.ExitPermission, refusal: api.Error{Message: err.Error(),
			Hint: "run it as root or as a member of the group vpc"}}
	case errors.Is(err, client.ErrUnanswered):
		return &failure{exit: api.ExitOther, refusal: api.Error{Message: err.Error(), Hint: "look whether it happened, and ask again"}}
	case errors.Is(err, context.Canceled):
		return &failure{exit: api.ExitOther, refusal: api.Error{Message: "interrupted"}}
	case isTimeout(err):
		return &failure{exit: api.ExitTimeout, refusal: api.Error{Code: "Timeout",
			Message: "no answer in time; it may still happen", Hint: "vpc status"}}
	}
	return &failure{exit: api.ExitOther, refusal: api.Error{Message: err.Error()}}
}

// report prints an error, if there is one to print, and returns the exit code.
func (s *session) report(err error) int {
	var no negative
	switch {
	case err == nil:
		return api.ExitOK
	case errors.Is(err, errDryRun):
		s.say("dry run: it would succeed, nothing was changed")
		return api.ExitOK
	case errors.As(err, &no):
		return no.exit
	}
	f := explain(err)
	if s.wantsJSON() {
		s.reportJSON(f)
	} else {
		for _, line := range f.lines() {
			fmt.Fprintln(s.Stderr, safe(line))
		}
	}
	return f.exit
}

// reportJSON prints the error as the wire carries it.
func (s *session) reportJSON(f *failure) {
	e := f.refusal
	if e.Code == "" && f.exit == exitUsage {
		e.Code = "CommandLine"
	}
	text, err := json.Marshal(struct{ Error api.Error }{e})
	if err != nil {
		text = []byte(`{"Error":{}}`)
	}
	fmt.Fprintln(s.Stderr, safeJSON(string(text)))
}

// wantsJSON looks at the bare arguments too: a command line that does not
// parse may have failed before -o was reached.
func (s *session) wantsJSON() bool {
	if s.output == outputJSON {
		return true
	}
	for i, arg := range s.Args {
		switch arg {
		case "-ojson", "-o=json", "--output=json":
			return true
		case "-o", "--output":
			return i+1 < len(s.Args) && s.Args[i+1] == outputJSON
		case "--":
			return false
		}
	}
	return false
}

// lines is the text form: what and why, the objects concerned, how to mend it.
func (f *failure) lines() []string {
	head := "Error: "
	if f.doing != "" {
		head += "cannot " + f.doing + ": "
	}
	head += f.why()
	if f.Code != "" {
		head += " [" + f.Code + "]"
	}
	out := []string{head}
	for _, b := range f.BlockedBy {
		line := "  " + b.Kind + " " + firstOf(b.Name, b.Id)
		if b.Detail != "" {
			line += " (" + b.Detail + ")"
		} else if b.Name != "" {
			line += " (" + b.Id + ")"
		}
		out = append(out, line)
	}
	if f.Hint != "" {
		out = append(out, "Try: "+f.Hint)
	}
	return out
}

// why counts what is in the way, for it is listed below; otherwise it is the
// daemon's sentence, with the field where the sentence does not name it.
func (f *failure) why() string {
	if f.Code == "DependencyViolation" && len(f.BlockedBy) == 1 {
		return "1 resource still uses it"
	}
	if f.Code == "DependencyViolation" && len(f.BlockedBy) > 1 {
		return fmt.Sprintf("%d resources still use it", len(f.BlockedBy))
	}
	why := strings.TrimSuffix(f.Message, ".")
	if f.Field != "" && !strings.Contains(why, f.Field) {
		why += " (" + f.Field + ")"
	}
	return why
}
