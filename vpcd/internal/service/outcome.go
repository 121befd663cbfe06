package service

import (
	"context"
	"errors"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// outcome is what became of the transaction of a call, for whoever answers in
// place of a handler that came to grief.
type outcome struct {
	// made is true from when the transaction is on its way, and false again
	// when the store says that nothing was written.
	made bool
}

type outcomeKey struct{}

func withOutcome(ctx context.Context) (context.Context, *outcome) {
	o := new(outcome)
	return context.WithValue(ctx, outcomeKey{}, o), o
}

// outcomeOf is never nil: of a call without one nobody asks.
func outcomeOf(ctx context.Context) *outcome {
	if o, ok := ctx.Value(outcomeKey{}).(*outcome); ok {
		return o
	}
	return new(outcome)
}

// answerable is err as a call with this outcome may answer it. A change that is
// made is not made again by clients who take an error for a mere delay; other
// errors pass.
func (o *outcome) answerable(name string, err error) error {
	var e *api.Error
	if err == nil || !o.made || errors.As(err, &e) && api.HTTPStatus(e.Code) < 500 && e.Code != "RequestTimeout" {
		return err
	}
	return api.Errorf("OutcomeUnknown", "", "%s has most likely made its change, and could not say so: look before asking again (%v)", name, err)
}
