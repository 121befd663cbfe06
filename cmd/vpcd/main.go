// Command vpcd is the daemon of one host and its maintenance subcommands.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/vpcfabric/vpc/vpcd"
)

// version is set by the build.
var version = "dev"

// Exit codes, as those of vpc.
const (
	exitOther   = 1
	exitUsage   = 2
	exitRefused = 8
	exitAnswer  = 10
)

// negative is an answer, not a failure: what was asked about is not well.
var errNegative = errors.New("not well")

// usageError marks a command line that cannot be parsed.
type usageError struct{ error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := root().ExecuteContext(ctx)
	stop()
	os.Exit(report(err))
}

func report(err error) int {
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errNegative):
		return exitAnswer
	case errors.As(err, &usage):
		fmt.Fprintln(os.Stderr, "Error:", err)
		return exitUsage
	case errors.Is(err, vpcd.ErrRefused):
		fmt.Fprintln(os.Stderr, "Error:", err)
		return exitRefused
	}
	fmt.Fprintln(os.Stderr, "Error:", err)
	return exitOther
}
