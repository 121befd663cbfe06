//go:build failpoint

package main

import (
	"fmt"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd"
)

// crashStep kills the process at the step that VPCD_CRASH_AT names, once the
// file VPCD_CRASH_WHEN exists; it removes the file, so that the next life of
// the daemon gets past the step.
func crashStep() func(string) {
	at, when := os.Getenv("VPCD_CRASH_AT"), os.Getenv("VPCD_CRASH_WHEN")
	return func(name string) {
		if name != at || os.Remove(when) != nil {
			return
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

// crashCommands lists the steps, so that a test can visit all of them.
func crashCommands() []*cobra.Command {
	return []*cobra.Command{{
		Use:     "crash-points",
		Short:   "list the steps at which a crash must do no harm",
		Example: "  vpcd crash-points",
		Args:    noArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			for _, s := range vpcd.Steps() {
				fmt.Fprintln(cmd.OutOrStdout(), s)
			}
		},
	}}
}
