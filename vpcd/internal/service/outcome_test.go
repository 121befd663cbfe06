package service

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// TestAFaultAfterTheCommit: what is done is not answered in a way that has
// clients do it once more.
func TestAFaultAfterTheCommit(t *testing.T) {
	b := newBench(t)
	dry := true
	write := func(c *change) error { c.tx.Put(record.Limits+"vpcs", record.Limit{Value: 1}); return nil }
	for name, row := range map[string]struct {
		do     func(context.Context)
		fails  error // nil: with a panic
		made   bool
		code   string
		repeat bool
	}{
		"panic":                      {func(context.Context) {}, nil, false, "InternalError", true},
		"panic, dry":                 {func(ctx context.Context) { _, _ = b.mutate(ctx, alice, &dry, write) }, nil, false, "InternalError", true},
		"panic before the commit":    {func(ctx context.Context) { _, _ = b.mutate(ctx, alice, nil, func(*change) error { panic("x") }) }, nil, false, "InternalError", true},
		"panic after the commit":     {func(ctx context.Context) { _, _ = b.mutate(ctx, alice, nil, write) }, nil, true, "OutcomeUnknown", false},
		"fault":                      {func(context.Context) {}, errors.New("x"), false, "Unavailable", true},
		"fault after the commit":     {func(ctx context.Context) { _, _ = b.mutate(ctx, alice, nil, write) }, errors.New("x"), true, "OutcomeUnknown", false},
		"late after the commit":      {func(ctx context.Context) { _, _ = b.mutate(ctx, alice, nil, write) }, context.DeadlineExceeded, true, "OutcomeUnknown", false},
		"a refusal after the commit": {func(ctx context.Context) { _, _ = b.mutate(ctx, alice, nil, write) }, api.Errorf("IncorrectState", "", "a message that is long enough"), true, "IncorrectState", false},
	} {
		t.Run(name, func(t *testing.T) {
			before := b.store.Snapshot().Revision()
			h := contain("CreateVpc", action(func(ctx context.Context, _ Caller, _ *api.CreateVpcRequest) (*api.CreateVpcResult, int64, error) {
				row.do(ctx)
				if row.fails == nil {
					panic("secret")
				}
				return nil, 0, row.fails
			}))
			result, revision, err := h(t.Context(), alice, &api.CreateVpcRequest{CidrBlock: "10.0.0.0/16"})
			refused(t, err, row.code, "")
			if result != nil || revision != 0 {
				t.Errorf("got %v at %d beside the error", result, revision)
			}
			if made := b.store.Snapshot().Revision() > before; made != row.made {
				t.Errorf("made: %t", made)
			}
			if repeated := api.HTTPStatus(row.code) >= 500 || slices.Contains(repeatedCodes, row.code); repeated != row.repeat {
				t.Errorf("clients repeat it: %t", repeated)
			}
		})
	}
}
