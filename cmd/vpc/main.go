// Command vpc is the command line of vpcd: every subcommand is one or a few
// actions over the daemon's unix socket.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/vpcfabric/vpc/cmd/vpc/internal/cli"
)

// version is set by the build.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, cli.System(version))
	stop()
	os.Exit(code)
}
