// Command vpcd is the daemon of one host and its maintenance subcommands.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
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

// The main thread's namespace is what /proc/self shows, so nothing that enters
// other namespaces may ever run on it.
func init() { runtime.LockOSThread() }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := root(vpcd.Run).ExecuteContext(ctx)
	stop()
	os.Exit(report(os.Stderr, err))
}

// report explains err and is its exit code.
func report(w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	if errors.Is(err, errNegative) {
		return exitAnswer
	}
	fmt.Fprintln(w, "Error:", err)
	var usage usageError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, vpcd.ErrRefused):
		return exitRefused
	}
	return exitOther
}
